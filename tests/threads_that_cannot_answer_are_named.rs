//! Threads that no signal reaches are in `goroutine` all the same, with what they do and why there is no stack, and the answer
//! comes: one that blocks all signals, and one that the kernel does not interrupt. What the second is sent late harms nobody.
#![cfg(all(feature = "http", target_arch = "x86_64", target_env = "gnu"))]

mod http_client;
mod own_process;

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::http::Request;
use http_client::respond;
use http_client::validator::{self, Expect, Kind};
use own_process::{Ended, OwnProcess, part};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

const TEST: &str = "threads_that_cannot_answer_are_named";

/// Generous: the limits are 0.1 s for a thread and 2 s for all.
const LIMIT: Duration = Duration::from_secs(20);

static CHILD: AtomicI32 = AtomicI32::new(0);

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(work).expect("a thread");
}

fn block_all_signals() {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: makes the set valid.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: a valid set; only this thread's mask changes.
    let set = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// Waits in the kernel, and not for signals, until the child that shares its memory is killed, as in a `vfork`.
fn wait_uninterruptibly() {
    extern "C" fn child(_: *mut c_void) -> libc::c_int {
        // SAFETY: no preconditions.
        CHILD.store(unsafe { libc::getpid() }, Ordering::Release);
        loop {
            // SAFETY: no preconditions.
            unsafe { libc::pause() };
        }
    }
    let stack = vec![0_u8; 64 * 1024].leak();
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child has a stack of its own, and does nothing but wait.
    let made = unsafe { libc::clone(child, top, flags, std::ptr::null_mut()) };
    assert!(made > 0);
}

/// The block of `debug=2` that has this name.
fn block(name: &str) -> String {
    let start = Instant::now();
    let text = respond(&Request::get("/debug/pprof/goroutine?debug=2")).text();
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    let mut blocks = text.split("\n\n");
    let found = blocks.find(|block| block.contains(&format!("{name:?}")));
    found
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .to_owned()
}

fn named() {
    spawn("deaf", || {
        block_all_signals();
        loop {
            thread::sleep(Duration::from_secs(600));
        }
    });
    static CAME_BACK: AtomicBool = AtomicBool::new(false);
    spawn("in-the-kernel", || {
        wait_uninterruptibly();
        CAME_BACK.store(true, Ordering::Release);
        loop {
            thread::sleep(Duration::from_secs(600));
        }
    });
    let mut child = 0;
    while child == 0 {
        child = CHILD.load(Ordering::Acquire);
        thread::yield_now();
    }

    let deaf = block("deaf");
    println!("{deaf}");
    assert!(
        deaf.contains("[sleep, ") && deaf.contains("stack unavailable: it blocks signal "),
        "{deaf}"
    );
    let kernel = block("in-the-kernel");
    println!("{kernel}");
    assert!(kernel.contains("[uninterruptible: "), "{kernel}");
    assert!(
        kernel.contains("stack unavailable: it did not answer within 100 ms"),
        "{kernel}"
    );

    let text = respond(&Request::get("/debug/pprof/goroutine?debug=1")).text();
    println!("{text}");
    assert!(
        text.contains("[no stack]") && text.contains("\"state\":\"sleep\""),
        "{text}"
    );
    let answer = respond(&Request::get("/debug/pprof/goroutine"));
    let profile = validator::assert_valid(&answer.body, Expect::new(Kind::Goroutine).period(1));
    assert_eq!(profile.through("[no stack]", "goroutine"), 2);

    // Both signals that it was sent are delivered now, and nobody waits for them.
    // SAFETY: the child of this process.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    while !CAME_BACK.load(Ordering::Acquire) {
        thread::yield_now();
    }
    let start = Instant::now();
    loop {
        let kernel = block("in-the-kernel");
        if !kernel.contains("unavailable") {
            println!("{kernel}");
            break;
        }
        assert!(start.elapsed() < LIMIT, "{kernel}");
    }
}

#[test]
fn threads_that_cannot_answer_are_named() {
    match part().as_deref() {
        Some("named") => named(),
        _ => match OwnProcess::of(TEST, "named")
            .limit(Duration::from_secs(120))
            .ended()
        {
            Ended::Well(said) => println!("{said}"),
            other => panic!("{other:?}"),
        },
    }
}
