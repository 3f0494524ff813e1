//! Threads that are new and contend on `parking_lot` locks go on while everything is sampled.
//!
//! A thread that parks for the first time makes `parking_lot` grow its table of parked threads: it locks all of it, and
//! then allocates. An allocator that uses such a lock then waits for itself. (pprof-alloc 0.4.2, dhat before 0.3.) The
//! control is an allocator that does.

mod own_process;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use debug_pprof::{HeapProfile, ProfiledAllocator};
use own_process::{Ended, OwnProcess, is_long, part};
use parking_lot::{Condvar, Mutex, RwLock};

/// The profiler, and in the control's process a lock around it.
struct MayLock(ProfiledAllocator);

static LOCKS: AtomicBool = AtomicBool::new(false);
static LOCK: Mutex<u64> = Mutex::new(0);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// With the guard against recursion that such allocators have. It does not help: what allocates is not the allocator.
fn lock() {
    if !LOCKS.load(Ordering::Relaxed) || INSIDE.replace(true) {
        return;
    }
    let mut calls = LOCK.lock();
    *calls += 1;
    drop(calls);
    INSIDE.set(false);
}

// SAFETY: forwarded as it is.
unsafe impl GlobalAlloc for MayLock {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        lock();
        // SAFETY: the caller's contract.
        unsafe { self.0.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        lock();
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
static ALLOC: MayLock = MayLock(ProfiledAllocator::system().sample_every(1));

/// What the threads contend on.
#[derive(Default)]
struct Shared {
    blocks: Mutex<Vec<Vec<u8>>>,
    map: RwLock<Vec<String>>,
    turn: Mutex<usize>,
    turned: Condvar,
}

impl Shared {
    fn work(&self, thread: usize) {
        for nth in 0..20 {
            let block = black_box(vec![0_u8; 2_000 + nth]);
            let mut blocks = self.blocks.lock();
            blocks.push(block);
            // Held over allocations, and long enough for others to park.
            let taken = (blocks.len() > 64).then(|| std::mem::take(&mut *blocks));
            drop(blocks);
            drop(taken);
            self.map.write().push(format!("thread {thread}, {nth}"));
            black_box(self.map.read().iter().map(String::len).max());
        }
        let mut turn = self.turn.lock();
        *turn += 1;
        self.turned.notify_all();
        // All threads park at once, here, before the first of them goes on.
        while !turn.is_multiple_of(8) {
            let waited = self.turned.wait_for(&mut turn, Duration::from_millis(2));
            if waited.timed_out() {
                break;
            }
        }
    }
}

/// More threads at one time in each round: the table of parked threads grows with each of these.
const ROUNDS: [usize; 8] = [2, 3, 6, 11, 22, 43, 86, 171];

fn contend(rounds: &[usize]) {
    for threads in rounds {
        let shared = Shared::default();
        // Alive all at one time: only living threads count for the size of the table.
        let all = Barrier::new(*threads);
        std::thread::scope(|scope| {
            for thread in 0..*threads {
                let (shared, all) = (&shared, &all);
                scope.spawn(move || {
                    shared.work(thread);
                    all.wait();
                });
            }
        });
    }
}

const NAME: &str = "threads_that_contend_on_parking_lot_go_on";

#[test]
fn threads_that_contend_on_parking_lot_go_on() {
    match part().as_deref() {
        None => {
            for _ in 0..if is_long() { 200 } else { 2 } {
                OwnProcess::of(NAME, "profiled").ends_well();
            }
            // Nineteen in twenty hang.
            let hangs = || {
                let control = OwnProcess::of(NAME, "control").limit(Duration::from_secs(2));
                matches!(control.ended(), Ended::Hung)
            };
            assert!((0..10).any(|_| hangs()), "the load is too light");
        }
        Some("control") => {
            // Another thread is in the allocator nearly always, so that a thread that finds it taken is not rare.
            std::thread::spawn(|| {
                INSIDE.set(true);
                loop {
                    let _calls = LOCK.lock();
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
            LOCKS.store(true, Ordering::Relaxed);
            contend(&ROUNDS);
            LOCKS.store(false, Ordering::Relaxed);
        }
        Some(_) => {
            contend(&ROUNDS);
            let total = HeapProfile::capture().expect("installed").total();
            assert!(total.alloc_objects > 10_000, "{total:?}");
        }
    }
}
