//! A process may fork at any moment, whatever its other threads do inside the profiler: each child can allocate, free a
//! block that its parent had sampled, and write a profile, whose counts are exact. (A thread that holds the loader's lock
//! for its list, or that finds the allocator's shims, at the moment of the fork once left its lock to the child for good.)

mod fork_child;
mod lock_free_heap;
mod measured;
mod statistics;
mod watched;

use std::ffi::c_void;
use std::io::sink;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use debug_pprof::{HeapProfile, ProfiledAllocator};
use fork_child::{Child, End, ask};
use lock_free_heap::{LockFreeHeap, take_a_lock};
use measured::{Block, allocated, in_use};
use watched::{PATIENCE, SHORT_PATIENCE, is_long, part, run};

#[global_allocator]
static ALLOC: ProfiledAllocator<LockFreeHeap> =
    ProfiledAllocator::new(LockFreeHeap::new()).sample_every(1);

/// Ends a child that hangs; no child is measured by it.
const WATCHDOG_SECONDS: u32 = 120;

/// Sizes that nothing else asks for.
const PARENTS: usize = 77_777;
const CHILDS: usize = 88_888;

fn write_profile() {
    let profile = HeapProfile::capture().expect("installed");
    profile.write_pprof(sink()).expect("a sink takes all");
}

/// In a fork child: what every one must be able to do. `writes` says whether it writes its profile too, which takes ten times
/// as long as the rest.
fn live_on(parents: Block, writes: bool) -> bool {
    drop(parents);
    let own = Block::new(CHILDS, 8);
    let profile = HeapProfile::capture().expect("installed");
    let is_exact = allocated(&profile, PARENTS).objects == 1
        && in_use(&profile, PARENTS).objects == 0
        && in_use(&profile, CHILDS).objects == 1;
    drop(own);
    if writes {
        write_profile();
    }
    is_exact
}

/// Three threads that allocate, and free each other's blocks.
fn churn(exchange: &[Mutex<Vec<u8>>], stop: &AtomicBool, seed: usize) {
    let mut nth = seed;
    while !stop.load(Ordering::Relaxed) {
        nth += 1;
        let block = vec![0_u8; 5_003 + 16 * (nth % 64)];
        let slot = &exchange[nth % exchange.len()];
        drop(std::mem::replace(
            &mut *slot.lock().expect("no panic"),
            block,
        ));
    }
}

/// Forks `forks` children, one at a time, beside threads that allocate and one that writes profiles; stops at the first
/// that does not live on. Returns that one's end.
fn fork_under_load(forks: usize, seconds: u32) -> Option<End> {
    let exchange: Vec<Mutex<Vec<u8>>> = (0..16).map(|_| Mutex::default()).collect();
    let stop = AtomicBool::new(false);
    // What the first profile finds out, children inherit.
    write_profile();
    let mut parents = Some(Block::new(PARENTS, 8));
    thread::scope(|scope| {
        for seed in 0..3 {
            let (exchange, stop) = (&exchange, &stop);
            scope.spawn(move || churn(exchange, stop, seed * 1_000));
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                write_profile();
            }
        });
        let mut ends = (0..forks).map(|nth| {
            eprint!(".");
            let writes = is_long() || nth % 8 == 0;
            let live_on = || live_on(parents.take().expect("the parent's"), writes);
            ask(seconds, live_on).end()
        });
        let first_bad = ends.find(|end| *end != End::Yes);
        stop.store(true, Ordering::Relaxed);
        first_bad
    })
}

/// Forks beside threads that start and end all the time: std keeps a list of them behind a lock.
fn fork_beside_short_lived_threads(forks: usize) {
    write_profile();
    let stop = AtomicBool::new(false);
    let mut parents = Some(Block::new(PARENTS, 8));
    let first_bad = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    thread::spawn(|| {}).join().expect("no panic");
                }
            });
        }
        let mut ends = (0..forks).map(|_| {
            eprint!(".");
            let live_on = || live_on(parents.take().expect("the parent's"), true);
            ask(WATCHDOG_SECONDS, live_on).end()
        });
        let first_bad = ends.find(|end| *end != End::Yes);
        stop.store(true, Ordering::Relaxed);
        first_bad
    });
    assert_eq!(first_bad, None);
}

/// Forks while another thread holds the loader's lock, as one does that prints a backtrace, or takes a profile.
fn fork_beside_the_loader() {
    unsafe extern "C" fn hold(
        _: *mut libc::dl_phdr_info,
        _: usize,
        is_over: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: the flag that was handed in below, which outlives the call.
        let [is_held, is_over] = unsafe { &*is_over.cast::<[AtomicBool; 2]>() };
        is_held.store(true, Ordering::SeqCst);
        while !is_over.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        1
    }
    let flags = [const { AtomicBool::new(false) }; 2];
    let mut parents = Some(Block::new(PARENTS, 8));
    let end = thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: `hold` has the signature that is called for; it only reads and writes the flags.
            unsafe { libc::dl_iterate_phdr(Some(hold), (&raw const flags).cast_mut().cast()) };
        });
        while !flags[0].load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let child = ask(WATCHDOG_SECONDS, || {
            live_on(parents.take().expect("the parent's"), true)
        });
        flags[1].store(true, Ordering::SeqCst);
        child.end()
    });
    assert_eq!(end, End::Yes);
}

/// Forks as fast as it can while another thread writes the first profile of this process.
fn fork_during_the_first_profile() {
    let is_written = AtomicBool::new(false);
    let mut parents = Some(Block::new(PARENTS, 8));
    let children: Vec<Child> = thread::scope(|scope| {
        scope.spawn(|| {
            write_profile();
            is_written.store(true, Ordering::SeqCst);
        });
        let mut children = Vec::new();
        while !is_written.load(Ordering::SeqCst) {
            let child = ask(WATCHDOG_SECONDS, || {
                live_on(parents.take().expect("the parent's"), true)
            });
            children.push(child);
            // So that the profile gets some time.
            thread::sleep(Duration::from_millis(20));
        }
        children
    });
    for child in children {
        eprint!(".");
        assert_eq!(child.end(), End::Yes);
    }
}

#[test]
fn forks_under_load_never_hang() {
    match part().as_deref() {
        Some("load") => {
            let forks = if is_long() { 1_000 } else { 40 };
            assert_eq!(fork_under_load(forks, WATCHDOG_SECONDS), None);
        }
        Some("load, with a lock inside") => {
            take_a_lock();
            let end = fork_under_load(1_000, 2);
            assert_eq!(end, Some(End::Hung), "no child met the lock");
        }
        Some("short-lived threads") => {
            fork_beside_short_lived_threads(if is_long() { 1_000 } else { 10 });
        }
        Some("loader, before the first profile") => fork_beside_the_loader(),
        Some("loader") => {
            write_profile();
            fork_beside_the_loader();
        }
        Some("first profile") => fork_during_the_first_profile(),
        _ => {
            run("forks_under_load_never_hang", "load", PATIENCE).assert_success();
            for part in [
                "short-lived threads",
                "loader",
                "loader, before the first profile",
                "first profile",
            ] {
                run("forks_under_load_never_hang", part, PATIENCE).assert_success();
            }
            // The harness sees a hang where there is one.
            let patience = 10 * SHORT_PATIENCE;
            let part = "load, with a lock inside";
            run("forks_under_load_never_hang", part, patience).assert_success();
        }
    }
}
