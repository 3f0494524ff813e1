//! A profile by age is the plain profile, split: all four values of each stack and size add up to it exactly, with scaled
//! estimates, with what limits have folded and in the file too. What has lived for so long or longer is the sum of the
//! classes from there on. Under load nothing is negative, and no class has more than there is.

mod fake_clock;
mod idle_harness;
mod validator;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use debug_pprof::{AgeClass, HeapProfile, HeapRecord, HeapValues, Limits, ProfiledAllocator};
use validator::{Expect, Kind, Profile, assert_valid};

/// So few buckets that most sizes are folded.
const LIMITS: Limits = Limits {
    buckets: 300,
    live_records: 60_000,
    ..Limits::DEFAULT
};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system()
    .sample_every(4_096)
    .limits(LIMITS);

type ByEntry = BTreeMap<(Vec<usize>, Option<usize>), HeapValues>;

fn by_entry<'a>(records: impl Iterator<Item = &'a HeapRecord>) -> ByEntry {
    let mut sums = ByEntry::new();
    for record in records {
        let key = (record.stack().collect(), record.size());
        let sum = sums.entry(key).or_default();
        *sum = *sum + record.estimate();
    }
    sums.retain(|_, values| *values != HeapValues::default());
    sums
}

/// Shows the first that differs, of hundreds.
#[track_caller]
fn same(found: &ByEntry, expected: &ByEntry, what: &str) {
    for (key, values) in expected {
        assert_eq!(found.get(key), Some(values), "{what}: {key:?}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

fn capture() -> HeapProfile {
    HeapProfile::capture().expect("installed")
}

fn by_age() -> HeapProfile {
    HeapProfile::capture_by_age().expect("installed")
}

fn file(profile: &HeapProfile) -> Profile {
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes it");
    assert_valid(&body, Expect::new(Kind::Heap))
}

/// Allocates and frees over three days. Returns what is left.
fn live_a_life() -> Vec<Vec<u8>> {
    let mut left: Vec<Vec<u8>> = Vec::new();
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for step in 0..60_000_u64 {
        fake_clock::advance(Duration::from_millis(next(8_000)));
        // Few sizes at first, which get the buckets.
        let sizes = if step < 20_000 { 20 } else { 4_000 };
        left.push(black_box(vec![1; 16 + 8 * next(sizes) as usize]));
        if next(10) < 8 {
            let gone = next(left.len() as u64) as usize;
            left.swap_remove(gone);
        }
    }
    left
}

fn parts_add_up() {
    let whole = capture();
    let parts = by_age();
    let classes: std::collections::BTreeSet<_> =
        parts.records().iter().filter_map(HeapRecord::age).collect();
    assert_eq!(classes.len(), 7, "all there are: {classes:?}");
    assert!(
        whole.records().iter().any(|record| record.size().is_none()),
        "some are folded"
    );
    let (expected, found) = (
        by_entry(whole.records().iter()),
        by_entry(parts.records().iter()),
    );
    same(&found, &expected, "all");
    assert_eq!(whole.total(), parts.total());
    for record in parts.records() {
        let values = record.estimate();
        if record.age() == Some(AgeClass::FREED) {
            assert_eq!((values.inuse_objects, values.inuse_space), (0, 0));
        } else {
            assert_eq!(values.alloc_objects, values.inuse_objects);
            assert_eq!(values.alloc_space, values.inuse_space);
        }
    }
}

fn a_minimum_is_the_classes_from_there_on() {
    let parts = by_age();
    for (label, minutes) in [
        ("<1m", 0),
        ("1m-10m", 1),
        ("10m-1h", 10),
        ("1h-6h", 60),
        ("6h-24h", 360),
        (">=24h", 1_440),
    ] {
        let min_age = Duration::from_secs(60 * minutes);
        let class = AgeClass::of(min_age);
        assert_eq!(class.label(), label);
        let older = |record: &&HeapRecord| {
            record
                .age()
                .is_some_and(|age| (class..AgeClass::FREED).contains(&age))
        };
        let expected = by_entry(parts.records().iter().filter(older));
        let old = HeapProfile::capture_min_age(min_age).expect("installed");
        same(&by_entry(old.records().iter()), &expected, label);
        assert!(!expected.is_empty(), "{label}");
    }
    let none = HeapProfile::capture_min_age(Duration::MAX).expect("installed");
    assert_eq!(none.total(), HeapValues::default());
}

fn so_does_the_file() {
    let (whole, parts) = (file(&capture()), file(&by_age()));
    for value in [
        "alloc_objects",
        "alloc_space",
        "inuse_objects",
        "inuse_space",
    ] {
        assert_eq!(whole.total(value), parts.total(value), "{value}");
        // Of each stack, whatever its ages.
        assert_eq!(
            whole.by_leaf_function(value),
            parts.by_leaf_function(value),
            "{value}"
        );
    }
    let labels = |profile: &Profile| -> usize {
        profile
            .proto
            .sample
            .iter()
            .map(|sample| sample.label.len())
            .sum()
    };
    assert!(labels(&parts) > 2 * labels(&whole));
}

/// Profiles of a heap that changes under them.
fn nothing_is_negative_under_load() {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut left = Vec::new();
                for nth in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    left.push(black_box(vec![1_u8; 64 + 8 * (nth % 100)]));
                    if nth % 3 == 0 {
                        left.swap_remove(nth % left.len());
                    }
                    if left.len() > 5_000 {
                        left.clear();
                    }
                    fake_clock::advance(Duration::from_millis(100));
                }
            });
        }
        for _ in 0..60 {
            let before = capture().total();
            let parts = by_age();
            let after = capture().total();
            let total = parts.total();
            assert!((before.alloc_objects..=after.alloc_objects).contains(&total.alloc_objects));
            for record in parts.records() {
                let [values, sampled] = [record.estimate(), record.sampled()];
                for value in [
                    values.alloc_objects,
                    values.alloc_space,
                    values.inuse_objects,
                    values.inuse_space,
                ] {
                    assert!(value >= 0, "{record:?}");
                }
                assert!(sampled.alloc_objects > 0, "{record:?}");
                assert!(values.inuse_space <= values.alloc_space, "{record:?}");
            }
            let old = HeapProfile::capture_min_age(Duration::from_secs(5)).expect("installed");
            assert!(
                old.records()
                    .iter()
                    .all(|record| record.estimate().inuse_objects > 0)
            );
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

// One test: the clock and the heap are the process's.
#[test]
fn ages_add_up_to_the_profile() {
    idle_harness::wait();
    let left = live_a_life();
    // From here on the test itself must change nothing.
    debug_pprof::set_sample_rate(0);
    parts_add_up();
    a_minimum_is_the_classes_from_there_on();
    so_does_the_file();
    debug_pprof::set_sample_rate(4_096);
    nothing_is_negative_under_load();
    drop(left);
}
