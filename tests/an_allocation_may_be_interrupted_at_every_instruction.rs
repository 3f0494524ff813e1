//! Whatever instruction of `alloc`, `realloc` or `dealloc` of a sampled block a thread is at: a signal handler may allocate
//! and free there, and another thread may fork, whose child allocates, frees and takes a profile. Counts stay exact in both.
//! The processor stops after each instruction, so that none is left out.
#![cfg(target_arch = "x86_64")]

mod fork_child;
mod lock_free_heap;
mod measured;
mod statistics;
mod watched;

use std::arch::asm;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use debug_pprof::{HeapProfile, Limits, ProfiledAllocator, mem_stats};
use fork_child::{End, ask};
use lock_free_heap::{LockFreeHeap, take_a_lock};
use measured::{Block, allocated, in_use};
use watched::{PATIENCE, SHORT_PATIENCE, is_long, part, run};

#[global_allocator]
static ALLOC: ProfiledAllocator<LockFreeHeap> = ProfiledAllocator::new(LockFreeHeap::new())
    .sample_every(1)
    .limits(SHALLOW);

/// The walk is most of the instructions, and much the same at each frame.
const SHALLOW: Limits = Limits {
    depth: 6,
    ..Limits::DEFAULT
};

const TEST: &str = "an_allocation_may_be_interrupted_at_every_instruction";

/// Sizes that nothing else asks for.
const STEPPED: usize = 3_019;
const STEPPED_GROWN: usize = 3_023;
const OF_HANDLER: usize = 1_019;
const OF_CHILD: usize = 3_041;
type Prepared = [u8; 1_021];

/// Sampled blocks for handlers to free, one for every forty instructions.
const PREPARED_BLOCKS: usize = 1_000;
const STEPS_FOR_EACH: usize = 40;
static PREPARED: [AtomicPtr<Prepared>; PREPARED_BLOCKS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; PREPARED_BLOCKS];
static STEPS: AtomicUsize = AtomicUsize::new(0);

/// What the handler does at each instruction.
static AT_EACH: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

extern "C" fn on_step(_signal: libc::c_int) {
    let nth = STEPS.fetch_add(1, Ordering::Relaxed);
    let at_each = AT_EACH.load(Ordering::Relaxed);
    // SAFETY: `step_through` has put a function of this type there.
    let at_each = unsafe { mem::transmute::<*mut (), fn(usize)>(at_each) };
    at_each(nth);
}

/// Runs `work` one instruction at a time, with a call of `at_each` after each. Returns how many there were.
fn step_through(work: impl FnOnce(), at_each: fn(usize)) -> usize {
    AT_EACH.store(at_each as *mut (), Ordering::Relaxed);
    STEPS.store(0, Ordering::Relaxed);
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_step as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a valid handler.
    let set = unsafe { libc::sigaction(libc::SIGTRAP, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0);
    // SAFETY: sets the trap flag of this thread: from the next instruction on, each ends in a SIGTRAP, whose handler the
    // kernel calls with the flag clear.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    work();
    // SAFETY: clears it.
    unsafe { asm!("pushfq", "and qword ptr [rsp], -0x101", "popfq") };
    STEPS.load(Ordering::Relaxed)
}

/// One life of a sampled block.
fn live_and_die() {
    let mut block = Block::new(STEPPED, 8);
    block.resize(STEPPED_GROWN);
    drop(block);
}

fn prepare(count: usize) {
    for place in &PREPARED[..count] {
        let block: Box<Prepared> = Box::new([3; _]);
        place.store(Box::into_raw(block), Ordering::Relaxed);
    }
}

fn free_prepared(nth: usize) {
    let Some(place) = PREPARED.get(nth) else {
        return;
    };
    let block = place.swap(ptr::null_mut(), Ordering::Relaxed);
    if !block.is_null() {
        // SAFETY: `prepare` put a box's pointer there, and the swap made it ours.
        drop(unsafe { Box::from_raw(block) });
    }
}

fn allocate_and_free(nth: usize) {
    let own = Block::new(OF_HANDLER, 8);
    if nth.is_multiple_of(STEPS_FOR_EACH) {
        free_prepared(nth / STEPS_FOR_EACH);
    }
    drop(own);
}

fn nested() -> i64 {
    mem_stats().profiler.nested as i64
}

fn handlers_may_allocate_and_free() {
    let before = HeapProfile::capture().expect("installed");
    let nested_before = nested();
    prepare(PREPARED_BLOCKS);
    let steps = step_through(live_and_die, allocate_and_free);
    let nested = nested() - nested_before;
    for nth in 0..PREPARED_BLOCKS {
        free_prepared(nth);
    }
    let profile = HeapProfile::capture().expect("installed").since(&before);
    println!("{steps} instructions, {nested} of them in the profiler");
    assert!(steps > 1_000 && nested > 100 && (nested as usize) < steps);
    let in_use_objects = |size| in_use(&profile, size).objects;
    assert_eq!(
        in_use_objects(size_of::<Prepared>()),
        0,
        "freed by handlers"
    );
    assert_eq!(in_use_objects(OF_HANDLER), 0, "of handlers");
    assert_eq!(in_use_objects(STEPPED) + in_use_objects(STEPPED_GROWN), 0);
    let objects = |size| allocated(&profile, size).objects;
    assert_eq!(objects(STEPPED), 1, "allocated step by step");
    assert_eq!(objects(STEPPED_GROWN), 1, "reallocated step by step");
    assert_eq!(
        objects(OF_HANDLER) + nested,
        steps as i64,
        "allocated by handlers"
    );
    assert_eq!(mem_stats().profiler.stale, 0);
}

/// The step that is to be forked at, one up; 0 while the thread is on its way there.
static REACHED: AtomicUsize = AtomicUsize::new(0);
/// Forks are made at every so many steps.
static STRIDE: AtomicUsize = AtomicUsize::new(1);
static OFFSET: AtomicUsize = AtomicUsize::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

fn wait_for_a_fork(nth: usize) {
    let from_offset = nth + OFFSET.load(Ordering::Relaxed);
    if from_offset.is_multiple_of(STRIDE.load(Ordering::Relaxed)) {
        REACHED.store(nth + 1, Ordering::SeqCst);
        while REACHED.load(Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
    }
}

/// In a fork child: allocates, frees what its parent had sampled, and takes a profile that says so.
fn live_on(nth: usize) -> bool {
    free_prepared(nth % 16);
    let own = Block::new(OF_CHILD, 8);
    let profile = HeapProfile::capture().expect("installed");
    let is_exact = in_use(&profile, size_of::<Prepared>()).objects == 15
        && in_use(&profile, OF_CHILD).objects == 1;
    drop(own);
    let profile = HeapProfile::capture().expect("installed");
    is_exact && in_use(&profile, OF_CHILD).objects == 0
}

/// Returns the first end of a child that is not as it should be. The forking thread does not allocate: the other one may be
/// inside the inner allocator.
fn other_threads_may_fork(seconds: u32, stride: usize) -> Option<End> {
    prepare(16);
    STRIDE.store(stride, Ordering::Relaxed);
    // Another set in each run.
    OFFSET.store(std::process::id() as usize % stride, Ordering::Relaxed);
    let mut bad = None;
    thread::scope(|scope| {
        scope.spawn(|| {
            step_through(live_and_die, wait_for_a_fork);
            IS_OVER.store(true, Ordering::SeqCst);
        });
        while !IS_OVER.load(Ordering::SeqCst) {
            let reached = REACHED.load(Ordering::SeqCst);
            if reached > 0 {
                let end = ask(seconds, || live_on(reached)).end();
                if end != End::Yes {
                    bad = Some(end);
                    STRIDE.store(usize::MAX, Ordering::Relaxed);
                }
                REACHED.store(0, Ordering::SeqCst);
                // SAFETY: writes one byte of a constant.
                unsafe { libc::write(2, c".".as_ptr().cast(), 1) };
            }
            thread::yield_now();
        }
    });
    bad
}

/// Waits until stacks are walked by tables.
fn make_tables() {
    drop(HeapProfile::capture());
    while mem_stats().profiler.unwinder != "stack-delta tables" {
        thread::sleep(Duration::from_millis(10));
    }
}

/// All instructions take minutes.
fn stride() -> usize {
    if is_long() { 1 } else { 503 }
}

#[test]
fn an_allocation_may_be_interrupted_at_every_instruction() {
    match part().as_deref() {
        Some("handler, backtrace") => handlers_may_allocate_and_free(),
        Some("handler, tables") => {
            make_tables();
            handlers_may_allocate_and_free();
        }
        Some("handler, with a lock inside") => {
            take_a_lock();
            handlers_may_allocate_and_free();
        }
        Some("fork, backtrace") => assert_eq!(other_threads_may_fork(120, stride()), None),
        Some("fork, tables") => {
            make_tables();
            assert_eq!(other_threads_may_fork(120, stride()), None);
        }
        Some("fork, with a lock inside") => {
            take_a_lock();
            assert_eq!(other_threads_may_fork(1, 41), Some(End::Hung));
        }
        _ => {
            for part in ["handler, backtrace", "handler, tables", "fork, tables"] {
                let outcome = run(TEST, part, PATIENCE);
                outcome.assert_success();
                println!("{part}: {}", outcome.output);
            }
            if is_long() {
                run(TEST, "fork, backtrace", PATIENCE).assert_success();
            }
            // The harness sees a hang where there is one.
            let outcome = run(TEST, "handler, with a lock inside", SHORT_PATIENCE);
            assert!(outcome.is_hung(), "{outcome:?}");
            run(TEST, "fork, with a lock inside", PATIENCE).assert_success();
        }
    }
}
