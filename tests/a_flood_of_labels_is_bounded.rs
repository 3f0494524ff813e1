//! Ever new labels take no more memory than the limit says, and no stack and no byte is lost by them: a scope with labels that
//! there is no room for has none, and says so. Sets from before the flood are labels as ever.
//!
//! The control is the same flood without limits: the memory grows with it.

mod child_process;
mod labelled;
mod measured;
mod statistics;
mod validator;

use std::thread;

use debug_pprof::labels::scope;
use debug_pprof::{HeapProfile, Limits, ProfiledAllocator, ProfilerStats};
use measured::Block;
use validator::{Kind, assert_valid};

const LIMITS: Limits = Limits {
    buckets: 4_000,
    label_sets: 1_000,
    ..Limits::DEFAULT
};
const WITHOUT: Limits = Limits {
    buckets: 1 << 20,
    label_sets: 1 << 20,
    ..Limits::DEFAULT
};

/// Of the control, which is started with an environment that the allocator cannot read: both are there, and one is asked.
struct Either {
    limited: ProfiledAllocator,
    unlimited: ProfiledAllocator,
}

#[global_allocator]
static ALLOC: Either = Either {
    limited: ProfiledAllocator::system().sample_every(1).limits(LIMITS),
    unlimited: ProfiledAllocator::system().sample_every(1).limits(WITHOUT),
};

/// Whether `DEBUG_PPROF_TEST_CASE` begins with `u`, read as the profiler reads its own.
fn is_control() -> bool {
    // SAFETY: nobody sets variables in this program.
    let value = unsafe { libc::getenv(c"DEBUG_PPROF_TEST_CASE".as_ptr()) };
    // SAFETY: null, or a text that ends in a NUL.
    !value.is_null() && unsafe { *value } as u8 == b'u'
}

// SAFETY: both forward to the system's.
unsafe impl std::alloc::GlobalAlloc for Either {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        // The first allocation's limits are the process's.
        match is_control() {
            // SAFETY: the caller's duties are the same.
            true => unsafe { self.unlimited.alloc(layout) },
            // SAFETY: as above.
            false => unsafe { self.limited.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: as above; which of the two does not matter for a free.
        unsafe { self.limited.dealloc(block, layout) };
    }
}

const TEST: &str = "a_flood_of_labels_is_bounded";
const SIZE: usize = 30_011;
const FLOOD: usize = 10_000;
/// More than this is out of bounds: sets of 256 bytes, buckets of some 400.
const BYTES: usize = 8 << 20;

fn stats() -> ProfilerStats {
    debug_pprof::mem_stats().profiler
}

#[inline(never)]
fn one_line() -> Block {
    Block::new(SIZE, 1)
}

/// Of as many different labels, half of them freed.
fn flood(thread: usize) -> Vec<Block> {
    let mut kept = Vec::new();
    for nth in 0..FLOOD / 2 {
        let request = format!("{thread}-{nth:0>60}");
        let block = scope(&[("request", &request), ("tenant", "a")], one_line);
        if nth % 2 == 0 {
            kept.push(block);
        }
    }
    kept
}

#[test]
fn a_flood_of_labels_is_bounded() {
    if is_control() {
        let (before, held) = (stats(), [flood(0), flood(1)]);
        let now = stats();
        let grown = now.memory_bytes - before.memory_bytes;
        assert!(now.label_sets >= FLOOD && grown > BYTES, "{now:?}");
        drop(held);
        return;
    }
    child_process::succeeds(TEST, "unlimited");

    let early = scope(&[("tenant", "early")], || [one_line(), one_line()]);
    let held: Vec<_> = {
        let threads: Vec<_> = (0..2)
            .map(|nth| thread::spawn(move || flood(nth)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    };
    let late = scope(&[("tenant", "early")], one_line);

    let now = stats();
    assert!(now.label_sets <= LIMITS.label_sets, "{now:?}");
    assert!(now.buckets <= LIMITS.buckets, "{now:?}");
    assert!(now.memory_bytes < BYTES, "{now:?}");
    // Two threads may make a set at one time, whose number is then lost.
    assert!(now.label_sets >= LIMITS.label_sets * 9 / 10, "{now:?}");
    let dropped = now.dropped_labels as usize;
    assert!(dropped >= FLOOD - LIMITS.label_sets, "{now:?}");

    // Everything was counted, with the labels that there was room for.
    let profile = HeapProfile::capture().expect("installed");
    let total = |of: fn(&HeapProfile, usize) -> _| -> (i64, i64) {
        let sums: std::collections::BTreeMap<String, (i64, i64)> = of(&profile, SIZE);
        let both = sums
            .values()
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!(both.1, both.0 * SIZE as i64);
        let early = sums.get("tenant=early");
        assert_eq!(early.map(|early| early.0), Some(3));
        let without = sums.get("").map_or(0, |one| one.0);
        (both.0, without)
    };
    let (in_use, without) = total(labelled::in_use);
    assert_eq!(in_use as usize, FLOOD / 2 + 3);
    assert!(without as usize >= dropped / 2 - 1, "{without}");
    let (allocated, without) = total(labelled::allocated);
    assert_eq!(allocated as usize, FLOOD + 3);
    assert_eq!(without as usize, dropped);

    let mut file = Vec::new();
    profile.write_pprof(&mut file).expect("a vector takes all");
    let file = assert_valid(&file, Kind::Heap);
    let comments = file.comments().join("\n");
    assert!(
        comments.contains("ran without their labels: the limit on sets of labels"),
        "{comments}"
    );
    drop((early, held, late));
}
