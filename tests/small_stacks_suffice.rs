//! A sampled allocation takes a few kilobytes of stack, and only where they are left: on the smallest stacks that threads
//! and signal handlers can have, and near a guard page, samples are taken without their call stacks, and nothing faults.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))]

mod lock_free_heap;
mod measured;
mod statistics;
mod watched;

use std::ffi::c_void;
use std::hint::black_box;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use lock_free_heap::LockFreeHeap;
use measured::{Block, allocated, in_use};
use watched::{PATIENCE, part, run};

/// An inner allocator that takes little stack, so that what is measured is the profiler's. Off until it is asked for: the
/// first walk of a process is the most expensive one.
#[global_allocator]
static ALLOC: ProfiledAllocator<LockFreeHeap> =
    ProfiledAllocator::new(LockFreeHeap::new()).sample_every(0);

const TEST: &str = "small_stacks_suffice";

/// A size that nothing else asks for.
const SIZE: usize = 3_061;

/// Bytes of stack that a sampled allocation may take besides what it takes unsampled: what the crate checks for before it
/// walks, until there are tables and by them.
const MOST_BEFORE_TABLES: usize = 12 << 10;
const MOST_BY_TABLES: usize = 5 << 10;

/// Bytes left at which an allocation must still work. Without optimization the test's own frames and the inner allocator
/// take 1.6 KB of them.
const NEAR: usize = 4 << 10;

const PAGE: usize = 4096;

/// A stack with a guard page below it; never unmapped.
fn new_stack(bytes: usize) -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let all = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a mapping at an address of the kernel's choice touches nobody's memory.
    let guard = unsafe { libc::mmap(ptr::null_mut(), PAGE + bytes, all, flags, -1, 0) };
    assert_ne!(guard, libc::MAP_FAILED);
    // SAFETY: the first page of that mapping, which nobody uses.
    assert_eq!(unsafe { libc::mprotect(guard, PAGE, libc::PROT_NONE) }, 0);
    guard.cast::<u8>().wrapping_add(PAGE)
}

/// Runs `work(argument)` on a thread with this stack.
fn on_stack(stack: *mut u8, bytes: usize, work: fn(usize), argument: usize) {
    extern "C" fn start(work: *mut c_void) -> *mut c_void {
        // SAFETY: the pair that `on_stack` waits with.
        let (work, argument) = unsafe { *work.cast::<(fn(usize), usize)>() };
        work(argument);
        ptr::null_mut()
    }
    let mut work = (work, argument);
    // SAFETY: all zeros is what `pthread_attr_init` may be given.
    let mut attributes = unsafe { mem::zeroed() };
    // SAFETY: valid to write to.
    assert_eq!(unsafe { libc::pthread_attr_init(&raw mut attributes) }, 0);
    // SAFETY: the attributes of above; the stack is a mapping of that many bytes.
    let set = unsafe { libc::pthread_attr_setstack(&raw mut attributes, stack.cast(), bytes) };
    assert_eq!(set, 0);
    let mut thread = 0;
    // SAFETY: `work` outlives the thread, which is joined below.
    let made = unsafe {
        libc::pthread_create(
            &raw mut thread,
            &raw const attributes,
            start,
            (&raw mut work).cast(),
        )
    };
    assert_eq!(made, 0, "no thread on {bytes} bytes of stack");
    // SAFETY: the thread of above, joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, ptr::null_mut()) }, 0);
}

fn allocate(times: usize) {
    for _ in 0..times {
        let mut block = Block::new(SIZE, 8);
        block.resize(SIZE + 1);
    }
}

/// Bytes of a stack that a thread has written to.
fn touched(times: usize) -> usize {
    const BYTES: usize = 128 << 10;
    const PAINT: u8 = 0xa5;
    let stack = new_stack(BYTES);
    // SAFETY: a mapping of that many bytes, which nobody uses.
    unsafe { stack.write_bytes(PAINT, BYTES) };
    on_stack(stack, BYTES, allocate, times);
    // SAFETY: as above; the thread has ended.
    let bytes = unsafe { std::slice::from_raw_parts(stack, BYTES) };
    let untouched = bytes.iter().position(|byte| *byte != PAINT);
    BYTES - untouched.expect("a thread that used its stack")
}

/// Waits until stacks are walked by tables.
fn make_tables() {
    drop(HeapProfile::capture());
    while mem_stats().profiler.unwinder != "stack-delta tables" {
        thread::sleep(Duration::from_millis(10));
    }
}

/// `before`, what was allocated and is in use of a size since.
fn counts(before: &HeapProfile) -> (i64, i64) {
    let grown = HeapProfile::capture().expect("installed").since(before);
    (
        allocated(&grown, SIZE).objects,
        in_use(&grown, SIZE).objects,
    )
}

/// A sampled allocation keeps to its budget.
fn budget() {
    let bare = touched(10);
    debug_pprof::set_sample_rate(1);
    let first = touched(1) - bare;
    let before_tables = touched(10) - bare;
    debug_pprof::set_sample_rate(0);
    make_tables();
    debug_pprof::set_sample_rate(1);
    let by_tables = touched(10) - bare;
    debug_pprof::set_sample_rate(0);
    println!(
        "bare {bare}; more before there are tables {first} at first, {before_tables} then; by tables {by_tables}"
    );
    assert!(first.max(before_tables) <= MOST_BEFORE_TABLES);
    assert!(by_tables <= MOST_BY_TABLES);
}

/// Threads with the smallest stacks there are.
fn smallest_threads() {
    let before = HeapProfile::capture().expect("installed");
    debug_pprof::set_sample_rate(1);
    for nth in 1..=100 {
        let bytes = libc::PTHREAD_STACK_MIN;
        on_stack(new_stack(bytes), bytes, allocate, 10);
        if nth == 50 {
            debug_pprof::set_sample_rate(0);
            make_tables();
            debug_pprof::set_sample_rate(1);
        }
    }
    debug_pprof::set_sample_rate(0);
    assert_eq!(counts(&before), (1_000, 0));
}

extern "C" fn on_signal(_signal: libc::c_int) {
    allocate(1);
}

/// A handler on a signal stack with so many bytes more than the kernel writes there.
fn on_a_signal_stack(more: usize) {
    // SAFETY: asks for a number.
    let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let bytes = least.max(libc::MINSIGSTKSZ) + more;
    // So that the guard page is right below.
    let stack = new_stack(bytes.next_multiple_of(PAGE));
    let stack = libc::stack_t {
        ss_sp: stack.cast(),
        ss_flags: 0,
        ss_size: bytes,
    };
    // SAFETY: the range is valid and not used otherwise.
    let set = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    assert_eq!(set, 0);
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: a valid handler.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0);
    for _ in 0..10 {
        // SAFETY: the handler is installed.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
    }
}

/// Calls itself until `left` bytes of the stack are left, and allocates there.
#[inline(never)]
fn descend(low: usize, left: usize) {
    let room = black_box([0_u8; 64]);
    if room.as_ptr().addr() - low > left + 256 {
        descend(low, left);
    } else {
        allocate(1);
    }
    black_box(&room);
}

static LEFT: AtomicUsize = AtomicUsize::new(0);

fn near_a_guard_page(left: usize) {
    const BYTES: usize = 64 << 10;
    let stack = new_stack(BYTES);
    LEFT.store(left, Ordering::Relaxed);
    let work = |low| descend(low, LEFT.load(Ordering::Relaxed));
    on_stack(stack, BYTES, work, stack.addr());
}

/// Runs `work`, which allocates, before there are tables and after. All of it is counted, and where there was too little
/// room for call stacks, that is too.
fn both_ways(work: impl Fn()) {
    let before = HeapProfile::capture().expect("installed");
    debug_pprof::set_sample_rate(1);
    work();
    debug_pprof::set_sample_rate(0);
    let (before_tables, in_use) = counts(&before);
    assert_eq!(in_use, 0);
    let stopped = || mem_stats().profiler.stopped_stacks as i64;
    let stopped_before_tables = stopped();
    make_tables();
    debug_pprof::set_sample_rate(1);
    work();
    debug_pprof::set_sample_rate(0);
    assert_eq!(counts(&before), (2 * before_tables, 0));
    let stopped_by_tables = stopped() - stopped_before_tables;
    println!(
        "{before_tables} each way; without a call stack: {stopped_before_tables} before there are tables, {stopped_by_tables} by tables"
    );
}

#[test]
fn small_stacks_suffice() {
    let Some(part) = part() else {
        for part in ["budget", "threads"] {
            let outcome = run(TEST, part, PATIENCE);
            println!("{}", outcome.output);
            outcome.assert_success();
        }
        for left in [NEAR, 2 * NEAR] {
            for place in ["guard page", "signal stack"] {
                let outcome = run(TEST, &format!("{place}, {left}"), PATIENCE);
                println!("{}", outcome.output);
                outcome.assert_success();
            }
        }
        return;
    };
    match part.split_once(", ") {
        Some((place, left)) => {
            let left: usize = left.parse().expect("a number");
            match place {
                "guard page" => both_ways(|| near_a_guard_page(left)),
                _ => both_ways(|| on_a_signal_stack(left)),
            }
        }
        None if part == "budget" => budget(),
        None => smallest_threads(),
    }
}
