//! A program for the thread sanitizer: blocks, all of them samples, that are resized, handed to other threads and freed
//! there, while another thread takes profiles and another changes the rate.
//!
//! std is not instrumented, so nothing here waits for a lock of std's: threads meet at atomics of this file, which the
//! sanitizer sees, and are joined. `exchange --race` has a race on purpose, which must be found.

use std::cell::UnsafeCell;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::{Duration, Instant};
use std::{env, ptr, thread};

use debug_pprof::HeapProfile;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator =
    debug_pprof::ProfiledAllocator::system().sample_every(1);

const THREADS: u64 = 4;
const SLOTS: usize = 64;
const DURATION: Duration = Duration::from_secs(3);

/// Sizes from what malloc keeps in a thread's cache to what goes from thread to thread at once.
const SIZES: [usize; 4] = [48, 517, 2_053, 9_001];

type Block = Vec<u8>;

static EXCHANGE: [AtomicPtr<Block>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static STOP: AtomicBool = AtomicBool::new(false);

/// The race on purpose: a count that nothing protects.
struct Unprotected(UnsafeCell<u64>);

// SAFETY: it is not; that is what it is for.
unsafe impl Sync for Unprotected {}

static RACE: Unprotected = Unprotected(UnsafeCell::new(0));

fn work(seed: u64, race: bool) {
    let mut random = seed;
    let mut next = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    while !STOP.load(Ordering::Relaxed) {
        let mut block = vec![1; SIZES[next() % SIZES.len()]];
        if next() % 3 == 0 {
            block.reserve_exact(SIZES[next() % SIZES.len()]);
        }
        let given = Box::into_raw(Box::new(block));
        drop_block(EXCHANGE[next() % SLOTS].swap(given, Ordering::AcqRel));
        if race {
            // SAFETY: none, see `Unprotected`.
            unsafe { *RACE.0.get() += 1 };
        }
    }
}

fn drop_block(block: *mut Block) {
    if !block.is_null() {
        // SAFETY: from `Box::into_raw`, and taken out of its slot by nobody else.
        drop(unsafe { Box::from_raw(block) });
    }
}

fn inuse(size: usize) -> i64 {
    let profile = HeapProfile::capture().expect("the allocator is installed");
    let ours = profile
        .records()
        .iter()
        .filter(|record| record.size() == Some(size));
    ours.map(|record| record.sampled().inuse_objects).sum()
}

fn main() -> ExitCode {
    let race = env::args().any(|argument| argument == "--race");
    // Nothing else here asks for 9 001 bytes.
    let [.., own_size] = SIZES;
    let workers: Vec<_> = (0..THREADS)
        .map(|seed| thread::spawn(move || work(seed, race)))
        .collect();
    let rates = thread::spawn(|| {
        for rate in [1, 4_096, 0, 1].into_iter().cycle() {
            if STOP.load(Ordering::Relaxed) {
                break;
            }
            debug_pprof::set_sample_rate(rate);
            thread::sleep(Duration::from_millis(50));
        }
    });
    let started = Instant::now();
    let mut profiles = 0;
    while started.elapsed() < DURATION {
        let profile = HeapProfile::capture().expect("the allocator is installed");
        let records = profile.records().iter();
        let least = records.map(|record| record.sampled().inuse_objects).min();
        assert!(least.is_none_or(|least| least >= 0));
        profiles += 1;
    }
    STOP.store(true, Ordering::Relaxed);
    for thread in workers.into_iter().chain([rates]) {
        thread.join().expect("no panic");
    }
    for slot in &EXCHANGE {
        drop_block(slot.swap(ptr::null_mut(), Ordering::AcqRel));
    }
    let left = inuse(own_size);
    println!("exchange: {profiles} profiles, {left} blocks in use at the end");
    ExitCode::from(u8::from(left != 0))
}
