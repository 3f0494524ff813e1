//! A thread is asked on its signal stack, or on its own, and takes a few kilobytes there; one that has not as much left is in
//! `goroutine` without its stack, and nothing is written beyond its end. The same for ticks of the CPU profile.
#![cfg(all(feature = "http", target_arch = "x86_64", target_env = "gnu"))]

mod http_client;
mod own_process;

use std::ffi::c_void;
use std::hint::black_box;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use http_client::respond;
use own_process::{Ended, OwnProcess, part};

const TEST: &str = "threads_on_the_smallest_stacks_are_asked_without_harm";

const PAGE: usize = 4096;
const PAINT: u8 = 0xa5;

/// Bytes that a handler takes at most besides what the kernel writes: what is checked for before a walk, and its own frames.
const MOST: usize = 5 << 10;

static STOP: AtomicBool = AtomicBool::new(false);

/// Painted, with a guard page below it; never unmapped.
fn new_stack(bytes: usize) -> *mut u8 {
    let bytes = bytes.next_multiple_of(PAGE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let all = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a mapping at an address of the kernel's choice touches nobody's memory.
    let guard = unsafe { libc::mmap(ptr::null_mut(), PAGE + bytes, all, flags, -1, 0) };
    assert_ne!(guard, libc::MAP_FAILED);
    // SAFETY: the first page of that mapping, which nobody uses.
    assert_eq!(unsafe { libc::mprotect(guard, PAGE, libc::PROT_NONE) }, 0);
    let stack = guard.cast::<u8>().wrapping_add(PAGE);
    // SAFETY: the rest of it.
    unsafe { stack.write_bytes(PAINT, bytes) };
    stack
}

/// Bytes of such a stack that were written to.
fn touched(stack: usize, bytes: usize) -> usize {
    let stack = ptr::with_exposed_provenance::<u8>(stack);
    // SAFETY: a mapping of `new_stack`'s; its thread waits.
    let bytes_of = unsafe { std::slice::from_raw_parts(stack, bytes) };
    let untouched = bytes_of.iter().position(|byte| *byte != PAINT);
    bytes - untouched.unwrap_or(bytes)
}

/// A thread that computes with a signal stack of its own; where that lies.
fn on_signal_stack(name: &str, bytes: usize) -> usize {
    let stack = new_stack(bytes).expose_provenance();
    let ready: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let work = move || {
        let stack = libc::stack_t {
            ss_sp: ptr::with_exposed_provenance_mut(stack),
            ss_flags: 0,
            ss_size: bytes,
        };
        // SAFETY: the range is valid and unused.
        let set = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
        assert_eq!(set, 0);
        ready.store(true, Ordering::Release);
        compute();
    };
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .expect("a thread");
    while !ready.load(Ordering::Acquire) {
        thread::yield_now();
    }
    stack
}

#[inline(never)]
fn compute() {
    while !STOP.load(Ordering::Relaxed) {
        black_box(());
        thread::sleep(Duration::from_micros(50));
    }
}

/// A thread on the smallest stack that there is, without a signal stack.
fn on_smallest_stack() {
    extern "C" fn start(_: *mut c_void) -> *mut c_void {
        // SAFETY: names the calling thread.
        unsafe { libc::prctl(libc::PR_SET_NAME, c"smallest".as_ptr()) };
        while !STOP.load(Ordering::Relaxed) {
            // SAFETY: no preconditions.
            unsafe { libc::usleep(50) };
        }
        ptr::null_mut()
    }
    // SAFETY: all zeros is what `pthread_attr_init` may be given.
    let mut attributes = unsafe { mem::zeroed() };
    // SAFETY: valid to write to.
    assert_eq!(unsafe { libc::pthread_attr_init(&raw mut attributes) }, 0);
    let bytes = libc::PTHREAD_STACK_MIN;
    let stack = new_stack(bytes);
    // SAFETY: the attributes of above; the stack is a mapping of that many bytes.
    let set = unsafe { libc::pthread_attr_setstack(&raw mut attributes, stack.cast(), bytes) };
    assert_eq!(set, 0);
    let mut thread = 0;
    // SAFETY: valid arguments; `start` takes nothing.
    let made = unsafe {
        libc::pthread_create(
            &raw mut thread,
            &raw const attributes,
            start,
            ptr::null_mut(),
        )
    };
    assert_eq!(made, 0);
}

fn is_listed(text: &str, name: &str, has_stack: bool) -> bool {
    let mut blocks = text.split("\n\n");
    let block = blocks.find(|block| block.contains(&format!("{name:?}")));
    block.is_some_and(|block| {
        block.contains("stack unavailable: it has no room") != has_stack
            && block.lines().count() > 1
    })
}

fn asked() {
    // SAFETY: asks for a number.
    let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let least = least.max(libc::MINSIGSTKSZ);
    // The tables; the first walk binds symbols.
    respond(&Request::get("/debug/pprof/goroutine?symbolize=0"));
    let large = on_signal_stack("large", 64 << 10);
    // Enough for the kernel's frame and for a function or two.
    on_signal_stack("small", least + 1024);
    on_smallest_stack();
    let start = Instant::now();
    loop {
        let text = respond(&Request::get("/debug/pprof/goroutine?debug=2")).text();
        if is_listed(&text, "large", true)
            && is_listed(&text, "small", false)
            && text.contains("\"smallest\"")
        {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{text}");
    }
    let taken = touched(large, 64 << 10);
    println!("{taken} bytes of a signal stack, of which the kernel writes up to {least}");
    assert!(taken > 512 && taken <= least + MOST, "{taken}");
    // Ticks.
    let answer = respond(&Request::get("/debug/pprof/profile?seconds=1&hz=1000"));
    assert_eq!(answer.status, 200);
    let taken = touched(large, 64 << 10);
    println!("{taken} with ticks");
    assert!(taken <= least + MOST, "{taken}");
    STOP.store(true, Ordering::Relaxed);
}

#[test]
fn threads_on_the_smallest_stacks_are_asked_without_harm() {
    match part().as_deref() {
        Some("asked") => asked(),
        _ => match OwnProcess::of(TEST, "asked").ended() {
            Ended::Well(said) => println!("{said}"),
            other => panic!("{other:?}"),
        },
    }
}
