//! However profiles are timed against eight threads that allocate and free at rate 1, no entry has a free without its
//! allocation, no allocation is taken back, and when the threads are gone nothing is in use.
//!
//! A count below zero is shown as zero. So each entry has blocks that stay, and a reader that counted a free whose
//! allocation it did not count would show fewer.

mod distinct_stacks;
mod measured;
mod own_process;
mod statistics;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use debug_pprof::{HeapProfile, HeapRecord, HeapValues, Limits, ProfiledAllocator};
use distinct_stacks::allocate_under;
use own_process::is_long;

/// Few buckets, so that sizes are mixed and samples folded as well: those have counts of their own.
const LIMITS: Limits = Limits {
    buckets: 600,
    ..Limits::DEFAULT
};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);

const WRITERS: usize = 8;
/// Sizes that nothing else asks for.
const SMALLEST: usize = 40_009;
const SIZES: usize = 6;
/// Sizes for the entry of mixed sizes, and for that of folded samples, more than there are buckets.
const FOLDED: usize = 100_000;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Sized(usize),
    Mixed,
    Folded,
}

impl Entry {
    fn of(record: &HeapRecord) -> Option<Self> {
        match (record.size(), record.stack().count()) {
            (Some(size), _) => {
                let ours = SMALLEST..SMALLEST + SIZES;
                ours.contains(&size).then_some(Entry::Sized(size))
            }
            (None, 0) => Some(Entry::Folded),
            // The others are of those stacks that used up the buckets.
            (None, frames) => (frames < distinct_stacks::DEPTH as usize).then_some(Entry::Mixed),
        }
    }
}

/// The one place that allocates, so that all threads have the same entries.
#[inline(never)]
fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

fn write(all: &Barrier, writing: &AtomicUsize, times: usize) {
    let mut kept = Vec::with_capacity(2 * SIZES);
    let mut kept_folded = None;
    // One loop for both rounds, because a call from elsewhere is another stack.
    for nth in 0..2 * times {
        let sized = block(SMALLEST + nth % SIZES);
        if nth < SIZES {
            kept.push(sized);
        }
        if nth < times || nth % 2 == 1 {
            continue;
        }
        if nth == times {
            // There are entries for these now, and the rest of the buckets can be used up: first by sizes.
            all.wait();
        }
        let last = if nth == times { LIMITS.buckets } else { 0 };
        for one in 0..=last {
            let mixed = block(FOLDED + nth + one);
            if one == last && nth == times {
                kept.push(mixed);
            }
        }
        // And then by stacks.
        for one in 0..=last {
            let folded = allocate_under(nth + one, FOLDED + nth);
            if one == last && nth == times {
                kept_folded = Some(folded);
            }
        }
        if nth == times {
            all.wait();
        }
    }
    writing.fetch_sub(1, Ordering::Relaxed);
    // What is kept is kept until the last profile is read.
    all.wait();
    drop(kept_folded);
}

/// Checks a profile; `allocated` has what the last one said.
fn read(allocated: &mut BTreeMap<Entry, i64>) {
    let profile = HeapProfile::capture().expect("installed");
    let mut seen = 0;
    for record in profile.records() {
        let Some(entry) = Entry::of(record) else {
            continue;
        };
        seen += 1;
        let values = record.sampled();
        // Each thread keeps one.
        assert!(
            WRITERS as i64 <= values.inuse_objects && values.inuse_objects <= values.alloc_objects,
            "{values:?}"
        );
        assert!(
            0 < values.inuse_space && values.inuse_space <= values.alloc_space,
            "{values:?}"
        );
        let before = allocated.insert(entry, values.alloc_objects);
        assert!(before.unwrap_or(0) <= values.alloc_objects, "{values:?}");
    }
    assert_eq!(
        seen,
        SIZES + 2,
        "one for each size, the mixed and the folded one"
    );
}

#[test]
fn inuse_is_never_negative() {
    let times = if is_long() { 1_000_000 } else { 8_000 };
    let (all, writing) = (Barrier::new(WRITERS + 1), AtomicUsize::new(WRITERS));
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (all, writing) = (&all, &writing);
            scope.spawn(move || write(all, writing, times));
        }
        all.wait();
        all.wait();
        let read = std::panic::catch_unwind(|| {
            let mut allocated = BTreeMap::new();
            let mut reads = 0;
            while writing.load(Ordering::Relaxed) > 0 {
                read(&mut allocated);
                reads += 1;
            }
            println!("{reads} profiles");
        });
        // A check that fails must not leave them waiting.
        all.wait();
        read.unwrap_or_else(|failure| std::panic::resume_unwind(failure));
    });
    let profile = HeapProfile::capture().expect("installed");
    let ours = profile
        .records()
        .iter()
        .filter(|record| matches!(Entry::of(record), Some(Entry::Sized(_))));
    let total = ours.fold(HeapValues::default(), |sum, record| sum + record.estimate());
    assert_eq!((total.inuse_objects, total.inuse_space), (0, 0));
    assert_eq!(total.alloc_objects, 2 * (WRITERS * times) as i64);
    let stats = debug_pprof::mem_stats().profiler;
    assert_eq!((stats.stale, stats.nested), (0, 0));
}
