//! Threads that panic and print their stack, threads that capture one, and threads that allocate go on together while
//! everything is sampled and profiles are taken.
//!
//! A thread that prints a panic's stack allocates, and holds the standard library's lock for that. An allocator that
//! asks for a stack of its own under such a lock waits for itself. (dhat #38, rust #130187, near-memory-tracker #102.)
//! The control is an allocator that does. The test harness captures the output, as in the second of these.

mod own_process;

use std::alloc::{GlobalAlloc, Layout};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::hint::black_box;
use std::panic::{catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use debug_pprof::{HeapProfile, ProfiledAllocator};
use own_process::{Ended, OwnProcess, is_long, part};

/// The profiler, and in the control's process a walk under the standard library's lock.
struct MayWalk(ProfiledAllocator);

static WALKS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn walk() {
    if WALKS.load(Ordering::Relaxed) && !INSIDE.replace(true) {
        drop(black_box(Backtrace::force_capture()));
        INSIDE.set(false);
    }
}

// SAFETY: forwarded as it is.
unsafe impl GlobalAlloc for MayWalk {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        walk();
        // SAFETY: the caller's contract.
        unsafe { self.0.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { self.0.dealloc(block, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { self.0.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { self.0.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOC: MayWalk = MayWalk(ProfiledAllocator::system().sample_every(1));

/// Panics with a stack that is printed, with one whose message is formatted, and without a word.
fn panics(nth: usize) {
    let caught = catch_unwind(|| match nth % 3 {
        0 => drop(black_box(Vec::<u8>::new())[nth]),
        1 => panic!("{}", vec!["storm"; 50].join(" ")),
        _ => panic_any(vec![0_u8; 3_000]),
    });
    assert!(caught.is_err());
}

fn captures(_: usize) {
    black_box(Backtrace::force_capture().to_string());
}

fn allocates(nth: usize) {
    for size in 0..200 {
        black_box(vec![0_u8; 1 + (nth * 31 + size * 17) % 5_000]);
    }
}

fn profiles(_: usize) {
    let profile = HeapProfile::capture().expect("installed");
    profile
        .write_text(std::io::sink())
        .expect("a sink takes all");
    profile
        .write_pprof(std::io::sink())
        .expect("a sink takes all");
}

/// Threads of every kind, until each of the first two kinds has done its work `times` times.
fn storm(times: usize) {
    let left = AtomicUsize::new(4);
    std::thread::scope(|scope| {
        for work in [panics, panics, captures, captures] {
            let left = &left;
            scope.spawn(move || {
                (0..times).for_each(work);
                left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        for work in [allocates, allocates, profiles] {
            let left = &left;
            scope.spawn(move || {
                let others = |_: &usize| left.load(Ordering::Relaxed) > 0;
                (0..).take_while(others).for_each(work);
            });
        }
    });
}

const NAME: &str = "panics_and_backtraces_go_on";

#[test]
fn panics_and_backtraces_go_on() {
    let run = |part| OwnProcess::of(NAME, part).env("RUST_BACKTRACE", "full");
    match part().as_deref() {
        None => {
            for _ in 0..if is_long() { 30 } else { 1 } {
                run("profiled").ends_well();
            }
            let control = run("control").limit(Duration::from_secs(2)).ended();
            assert!(matches!(control, Ended::Hung), "{control:?}");
        }
        Some("control") => {
            WALKS.store(true, Ordering::Relaxed);
            // One is enough.
            panics(1);
        }
        Some(_) => {
            storm(8);
            let stats = debug_pprof::mem_stats();
            assert!(stats.heap.alloc_objects > 10_000, "{stats:?}");
            assert_eq!(stats.profiler.stale, 0);
        }
    }
}
