//! A profile by age reads every live record and takes no memory for any: what it takes goes by the number of stacks. A
//! quarter of a million records here, four million with `DEBUG_PPROF_LONG=1`.
#![cfg(target_os = "linux")]

mod fake_clock;
#[allow(dead_code, reason = "the bench asks for more")]
#[path = "../benches/scrape/memory.rs"]
mod memory;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::time::{Duration, Instant};

use debug_pprof::{AgeClass, HeapProfile, Limits, ProfiledAllocator};

static WRAPPER: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(Limits {
    live_records: 8 << 20,
    ..Limits::DEFAULT
});

/// The wrapper for blocks of `SIZE`, which are all that is sampled.
struct OfOneSize;

const SIZE: usize = 24;

#[global_allocator]
static ALLOC: OfOneSize = OfOneSize;

// SAFETY: the wrapper, or what it wraps: both take back what either gave.
unsafe impl GlobalAlloc for OfOneSize {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == SIZE {
            // SAFETY: the caller's contract.
            return unsafe { WRAPPER.alloc(layout) };
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { WRAPPER.dealloc(block, layout) }
    }
}

/// Kilobytes more than before that `work` has at its peak, and how long it takes.
fn cost<R>(what: &str, work: impl FnOnce() -> R) -> (R, u64) {
    let before = memory::anonymous();
    let started = Instant::now();
    let (result, peak) = memory::peak(work);
    let kilobytes = peak.saturating_sub(before);
    println!("{what}: {kilobytes} kB, {:?}", started.elapsed());
    (result, kilobytes)
}

#[test]
fn ages_of_many_live_records_take_little() {
    let records = match std::env::var_os("DEBUG_PPROF_LONG") {
        Some(_) => 4_000_000,
        None => 250_000,
    };
    let mut blocks = Vec::with_capacity(records);
    for nth in 0..records {
        if nth == records / 2 {
            fake_clock::advance(Duration::from_secs(1_800));
        }
        blocks.push(black_box(Box::new([nth as u8; SIZE])));
    }
    // Names are looked up, unwind tables made, once.
    HeapProfile::capture().expect("installed");
    let (_, plain) = cost("capture", HeapProfile::capture);
    let (profile, by_age) = cost("capture_by_age", HeapProfile::capture_by_age);
    let min_age = Duration::from_secs(600);
    let (old, by_min_age) = cost("capture_min_age", || HeapProfile::capture_min_age(min_age));

    let half = records as i64 / 2;
    let count = |age: AgeClass| -> i64 {
        let profile = profile.as_ref().expect("installed");
        let parts = profile.records().iter();
        let parts = parts.filter(|part| part.age() == Some(age) && part.size() == Some(SIZE));
        parts.map(|part| part.estimate().inuse_objects).sum()
    };
    assert!((half..half + 100).contains(&count(AgeClass::of(min_age))));
    assert!((half..half + 100).contains(&count(AgeClass::of(Duration::ZERO))));
    let old = old.expect("installed").total().inuse_objects;
    assert!((half..half + 100).contains(&old));

    for kilobytes in [plain, by_age, by_min_age] {
        // Less than a byte a record, of which each has 20 to 60.
        assert!(kilobytes < 512, "{kilobytes} kB");
    }
    drop(blocks);
}
