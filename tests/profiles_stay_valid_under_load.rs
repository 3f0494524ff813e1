//! Profiles taken while eight threads allocate, reallocate and free each other's blocks at rate 1 obey every rule, and
//! in-use comes back to exactly the baseline when they stop.

mod validator;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use debug_pprof::{HeapProfile, HeapValues, ProfiledAllocator};
use validator::{Expect, Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const THREADS: u64 = 8;

/// Well above the profiles that this test keeps, so that their sizes are not taken for these.
const SMALLEST: usize = 60_013;
const SIZES: u64 = 64;

/// Sizes over 1 032 bytes, which glibc does not keep in a thread's own cache: addresses go from thread to thread at
/// once, which is when a record that outlives its block does harm.
fn size(random: u64) -> usize {
    SMALLEST + 16 * (random % SIZES) as usize
}

fn churn(seed: u64, exchange: &[Mutex<Vec<u8>>], stop: &AtomicBool) {
    let mut random = seed;
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    while !stop.load(Ordering::Relaxed) {
        let mut block = vec![0_u8; size(next())];
        if next() % 4 == 0 {
            block.reserve_exact(size(next()));
        }
        let slot = &exchange[next() as usize % exchange.len()];
        // Whoever left a block here allocated it; this thread frees it.
        let taken = std::mem::replace(&mut *slot.lock().expect("no panic"), block);
        drop(taken);
    }
}

/// Stops the threads however the test ends: a failed check must not leave them running.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn inuse() -> HeapValues {
    let profile = HeapProfile::capture().expect("installed");
    let ours = profile.records().iter().filter(|record| {
        record
            .size()
            .is_some_and(|size| (SMALLEST..SMALLEST + 16 * SIZES as usize).contains(&size))
    });
    let total = ours.fold(HeapValues::default(), |sum, record| sum + record.estimate());
    HeapValues {
        alloc_objects: 0,
        alloc_space: 0,
        ..total
    }
}

fn written(profile: &HeapProfile) -> Vec<u8> {
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes all");
    body
}

#[test]
fn profiles_stay_valid_under_load() {
    let exchange: Vec<Mutex<Vec<u8>>> = (0..64).map(|_| Mutex::default()).collect();
    let stop = AtomicBool::new(false);
    // The first profile loads what later ones keep: the cache of names.
    let first = written(&HeapProfile::capture().expect("installed"));
    let (mut snapshots, mut deltas) = (vec![first], Vec::new());
    let baseline = inuse();
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for seed in 0..THREADS {
            let (exchange, stop) = (&exchange, &stop);
            scope.spawn(move || churn(seed, exchange, stop));
        }
        let mut earlier = HeapProfile::capture().expect("installed");
        for _ in 0..30 {
            let profile = HeapProfile::capture().expect("installed");
            for record in profile.records() {
                let values = record.estimate();
                assert!(
                    values.inuse_objects >= 0 && values.inuse_objects <= values.alloc_objects,
                    "{values:?}"
                );
            }
            let grown = profile.since(&earlier);
            assert!(
                grown
                    .records()
                    .iter()
                    .all(|record| record.estimate().alloc_objects >= 0)
            );
            snapshots.push(written(&profile));
            deltas.push(written(&grown));
            earlier = profile;
        }
    });
    for slot in &exchange {
        drop(std::mem::take(&mut *slot.lock().expect("no panic")));
    }
    assert_eq!(inuse(), baseline);
    let stats = debug_pprof::mem_stats().profiler;
    assert_eq!(
        (stats.stale, stats.folded_live_limit, stats.nested),
        (0, 0, 0)
    );

    // The validator allocates a lot: not at rate 1.
    debug_pprof::set_sample_rate(0);
    let expected = Expect::new(Kind::Heap).period(1);
    snapshots
        .iter()
        .for_each(|body| drop(assert_valid(body, expected)));
    deltas
        .iter()
        .for_each(|body| drop(assert_valid(body, expected.delta())));
}
