//! Signal handlers that allocate and free, at 10 kHz on each of several threads, never hang and leave counts exact: what they
//! freed is out of the in-use counts, sampled or not when it was allocated, and what could not be sampled is counted.

mod lock_free_heap;
mod measured;
mod statistics;
mod watched;

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use lock_free_heap::{LockFreeHeap, take_a_lock};
use measured::{allocated, in_use};
use watched::{PATIENCE, SHORT_PATIENCE, is_long, part, run};

#[global_allocator]
static ALLOC: ProfiledAllocator<LockFreeHeap> =
    ProfiledAllocator::new(LockFreeHeap::new()).sample_every(1);

const TEST: &str = "a_profiling_timer_may_interrupt_anything";
const THREADS: usize = 3;
const PERIOD: Duration = Duration::from_micros(100);

/// Sizes that nothing else asks for; the same class of the heap, so that addresses go from one to the other.
type OfThread = [u8; 3_003];
type OfHandler = [u8; 3_011];

/// Blocks that wait for whoever comes next, who frees them: handlers free what threads allocated and the other way round.
static FROM_THREADS: [AtomicPtr<OfThread>; 16] = [const { AtomicPtr::new(ptr::null_mut()) }; 16];
static FROM_HANDLERS: [AtomicPtr<OfHandler>; 16] = [const { AtomicPtr::new(ptr::null_mut()) }; 16];

static BY_THREADS: AtomicU64 = AtomicU64::new(0);
static BY_HANDLERS: AtomicU64 = AtomicU64::new(0);

/// Puts `block` into `place` and frees what was there.
fn exchange<T>(place: &AtomicPtr<T>, block: *mut T) {
    let before = place.swap(block, Ordering::AcqRel);
    if !before.is_null() {
        // SAFETY: only pointers of boxes are put there, and the swap made this one ours.
        drop(unsafe { Box::from_raw(before) });
    }
}

extern "C" fn on_timer(_signal: libc::c_int) {
    // On the heap at once: an array on the stack would be copied.
    let block: Box<OfHandler> = Box::new([1; _]);
    let nth = BY_HANDLERS.fetch_add(1, Ordering::Relaxed) as usize;
    exchange(&FROM_HANDLERS[nth % 16], Box::into_raw(block));
    exchange(&FROM_THREADS[nth % 16], ptr::null_mut());
}

fn work(until: Option<Instant>) {
    while until.is_none_or(|until| Instant::now() < until) {
        for _ in 0..64 {
            let block: Box<OfThread> = Box::new([2; _]);
            let nth = BY_THREADS.fetch_add(1, Ordering::Relaxed) as usize;
            exchange(&FROM_THREADS[nth % 16], Box::into_raw(block));
            exchange(&FROM_HANDLERS[nth * 7 % 16], ptr::null_mut());
        }
    }
}

fn install() {
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_timer as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a valid handler.
    let set = unsafe { libc::sigaction(libc::SIGPROF, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// Sends the calling thread, and no other, a signal every `PERIOD` until it is deleted.
fn start_timer() -> libc::timer_t {
    // SAFETY: all zeros is a valid sigevent.
    let mut event: libc::sigevent = unsafe { mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGPROF;
    // SAFETY: no preconditions.
    event.sigev_notify_thread_id = unsafe { libc::gettid() };
    let mut timer = ptr::null_mut();
    // SAFETY: both are valid for the call.
    let made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
    assert_eq!(made, 0);
    let period = libc::timespec {
        tv_sec: 0,
        tv_nsec: PERIOD.as_nanos() as libc::c_long,
    };
    let times = libc::itimerspec {
        it_interval: period,
        it_value: period,
    };
    // SAFETY: the timer of above.
    let set = unsafe { libc::timer_settime(timer, 0, &raw const times, ptr::null_mut()) };
    assert_eq!(set, 0);
    timer
}

/// Runs the threads, for a while or until they hang.
fn storm(until: Option<Instant>) {
    install();
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let timer = start_timer();
                work(until);
                // SAFETY: the timer of above, deleted once.
                unsafe { libc::timer_delete(timer) };
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        // Without allocating: this thread must be able to say that the others hang.
        let mut before = 0;
        while done.load(Ordering::Relaxed) < THREADS as u64 {
            thread::sleep(Duration::from_millis(100));
            let now = BY_THREADS.load(Ordering::Relaxed);
            if now != before {
                // SAFETY: writes one byte of a constant.
                unsafe { libc::write(2, c".".as_ptr().cast(), 1) };
            }
            before = now;
        }
    });
}

fn profile_and_nested() -> (HeapProfile, u64) {
    let profile = HeapProfile::capture().expect("installed");
    (profile, mem_stats().profiler.nested)
}

fn counts_are_exact() {
    // So that tables are there, or soon will be: both ways of walking are interrupted.
    let (before, nested_before) = profile_and_nested();
    let seconds = if is_long() { 30 } else { 2 };
    storm(Some(Instant::now() + Duration::from_secs(seconds)));
    let (threads, handlers) = (
        BY_THREADS.load(Ordering::Relaxed) as i64,
        BY_HANDLERS.load(Ordering::Relaxed) as i64,
    );
    for (of_threads, of_handlers) in FROM_THREADS.iter().zip(&FROM_HANDLERS) {
        exchange(of_threads, ptr::null_mut());
        exchange(of_handlers, ptr::null_mut());
    }
    let (after, nested) = profile_and_nested();
    let (profile, nested) = (after.since(&before), (nested - nested_before) as i64);
    let (size, handlers_size) = (size_of::<OfThread>(), size_of::<OfHandler>());
    let sampled = allocated(&profile, handlers_size).objects;
    println!("{threads} by threads, {handlers} by handlers, {nested} of them in the profiler");
    assert!(
        handlers > 100 && nested > 0,
        "the handlers met nothing: {handlers}, {nested}"
    );
    assert_eq!(in_use(&profile, size).objects, 0, "of threads, in use");
    assert_eq!(
        in_use(&profile, handlers_size).objects,
        0,
        "of handlers, in use"
    );
    assert_eq!(allocated(&profile, size).objects, threads, "of threads");
    assert_eq!(sampled + nested, handlers, "of handlers");
    assert_eq!(mem_stats().profiler.stale, 0);
}

#[test]
fn a_profiling_timer_may_interrupt_anything() {
    match part().as_deref() {
        Some("storm") => counts_are_exact(),
        Some("storm, with a lock inside") => {
            take_a_lock();
            storm(None);
        }
        _ => {
            let outcome = run(TEST, "storm", PATIENCE);
            outcome.assert_success();
            // The harness sees a hang where there is one.
            let outcome = run(TEST, "storm, with a lock inside", SHORT_PATIENCE);
            assert!(outcome.is_hung(), "{outcome:?}");
        }
    }
}
