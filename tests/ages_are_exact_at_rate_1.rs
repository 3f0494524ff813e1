//! At rate 1 every block in use has its age: kept, freed, reallocated in place and by moving, at a `realloc` that fails, and
//! on whichever thread. A profile by minimum age has a block from a tenth of a second after it has come of age at the
//! latest, and not a moment before.
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "one argument covers the life of a block"
)]

mod fake_clock;
mod refusing;

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use debug_pprof::{AgeClass, HeapProfile, HeapRecord, ProfiledAllocator};
use refusing::Refusing;

/// Refuses to grow a block to this size.
const REFUSED: usize = 7_777_777;

#[global_allocator]
static ALLOC: ProfiledAllocator<Refusing<REFUSED>> =
    ProfiledAllocator::new(Refusing).sample_every(1);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A block of a size that nothing else in the process has. Freed by hand, or never.
#[derive(Debug, Clone, Copy)]
struct Block(usize, usize);

impl Block {
    fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        Block(unsafe { alloc(layout) }.addr(), size)
    }

    fn pointer(self) -> (*mut u8, Layout) {
        let layout = Layout::from_size_align(self.1, 8).expect("a layout");
        (std::ptr::with_exposed_provenance_mut(self.0), layout)
    }

    fn grow(self, size: usize) -> Self {
        let (block, layout) = self.pointer();
        let moved = unsafe { realloc(block, layout, size) };
        if moved.is_null() {
            assert_eq!(size, REFUSED);
            return self;
        }
        Block(moved.expose_provenance(), size)
    }

    fn free(self) {
        let (block, layout) = self.pointer();
        unsafe { dealloc(block, layout) };
    }
}

/// Objects of `size`, by what `of` says of their entries.
fn counted<K: Ord>(
    profile: &HeapProfile,
    size: usize,
    of: impl Fn(&HeapRecord) -> K,
) -> BTreeMap<K, i64> {
    let mut counted = BTreeMap::new();
    for record in profile.records() {
        if record.size() == Some(size) {
            let inuse = record.estimate();
            assert_eq!(inuse.inuse_space, inuse.inuse_objects * size as i64);
            *counted.entry(of(record)).or_default() += inuse.inuse_objects;
        }
    }
    counted
}

/// How many blocks of `size` are at least as old.
fn older(size: usize, min_age: Duration) -> i64 {
    let profile = HeapProfile::capture_min_age(min_age).expect("installed");
    assert_eq!(profile.min_age(), Some(min_age));
    for record in profile.records() {
        let values = record.estimate();
        assert_eq!(values.alloc_objects, values.inuse_objects);
        assert_eq!(values.alloc_space, values.inuse_space);
        assert!(values.inuse_objects > 0 && record.age().is_none());
    }
    counted(&profile, size, |_| ())
        .get(&())
        .copied()
        .unwrap_or(0)
}

/// How many blocks of `size` are in use in each class.
fn classes(size: usize) -> Vec<(&'static str, i64)> {
    let profile = HeapProfile::capture_by_age().expect("installed");
    let counted = counted(&profile, size, |record| record.age().expect("by age"));
    let in_use = counted
        .into_iter()
        .filter(|(class, _)| *class != AgeClass::FREED);
    in_use
        .map(|(class, count)| (class.label(), count))
        .collect()
}

fn blocks_come_of_age() {
    const SIZE: usize = 54_323;
    let birth = 90_000 * SECOND + Duration::from_millis(30);
    fake_clock::set(birth);
    let block = Block::new(SIZE);
    let check = |lived: Duration, min_age: Duration, expected: i64| {
        fake_clock::set(birth + lived);
        assert_eq!(older(SIZE, min_age), expected, "{lived:?}, {min_age:?}");
    };
    check(Duration::ZERO, Duration::ZERO, 1);
    check(Duration::ZERO, Duration::from_nanos(1), 0);
    for min_age in [SECOND, 10 * MINUTE, 30 * 24 * HOUR, 3_000 * 24 * HOUR] {
        check(min_age - Duration::from_nanos(1), min_age, 0);
        // 30 ms after the last tenth, so it counts as born 70 ms later.
        check(min_age + Duration::from_millis(69), min_age, 0);
        check(min_age + Duration::from_millis(70), min_age, 1);
        check(min_age * 2, min_age, 1);
    }
    block.free();
    assert_eq!(older(SIZE, Duration::ZERO), 0);
}

fn classes_begin_where_they_say() {
    const SIZE: usize = 54_325;
    let birth = 90_000 * SECOND;
    fake_clock::set(birth);
    let block = Block::new(SIZE);
    for (from, before, label) in [
        (Duration::ZERO, MINUTE, "<1m"),
        (MINUTE, 10 * MINUTE, "1m-10m"),
        (10 * MINUTE, HOUR, "10m-1h"),
        (HOUR, 6 * HOUR, "1h-6h"),
        (6 * HOUR, 24 * HOUR, "6h-24h"),
        (24 * HOUR, 4_000 * 24 * HOUR, ">=24h"),
    ] {
        for lived in [from, before - Duration::from_millis(1)] {
            fake_clock::set(birth + lived);
            assert_eq!(classes(SIZE), [(label, 1)], "{lived:?}");
        }
    }
    block.free();
    assert_eq!(classes(SIZE), []);
}

fn a_realloc_begins_anew_unless_it_fails() {
    const SIZES: [usize; 3] = [54_327, 54_329, 1_054_331];
    let [size, in_place, moved] = SIZES;
    fake_clock::set(90_000 * SECOND);
    let block = Block::new(size);
    fake_clock::advance(2 * HOUR);
    let block = block.grow(REFUSED);
    assert_eq!(classes(size), [("1h-6h", 1)], "as it was");
    let block = block.grow(in_place);
    assert_eq!(
        (classes(size), classes(in_place)),
        (vec![], vec![("<1m", 1)])
    );
    fake_clock::advance(5 * MINUTE);
    let block = block.grow(moved);
    fake_clock::advance(MINUTE);
    assert_eq!(classes(in_place), []);
    assert_eq!(classes(moved), [("1m-10m", 1)]);
    assert_eq!(older(moved, 2 * MINUTE), 0);
    block.free();
}

fn blocks_keep_their_age_on_other_threads() {
    const SIZE: usize = 54_333;
    fake_clock::set(90_000 * SECOND);
    let blocks: Vec<Block> = thread::spawn(|| {
        let mut blocks = Vec::new();
        for _ in 0..100 {
            blocks.push(Block::new(SIZE));
            fake_clock::advance(MINUTE);
        }
        blocks
    })
    .join()
    .expect("no panic");
    // 99 have lived two minutes or more, 91 ten, 41 an hour.
    let expected = |of: [(&'static str, i64); 3]| of.to_vec();
    assert_eq!(
        classes(SIZE),
        expected([("1m-10m", 9), ("10m-1h", 50), ("1h-6h", 41)])
    );
    assert_eq!(
        [2, 50, 100, 101].map(|age| older(SIZE, age * MINUTE)),
        [99, 51, 1, 0]
    );
    let (gone, left) = blocks.split_at(60);
    let gone = gone.to_vec();
    thread::spawn(move || gone.into_iter().for_each(Block::free))
        .join()
        .expect("no panic");
    assert_eq!(classes(SIZE), [("1m-10m", 9), ("10m-1h", 31)]);
    // What is freed comes back at the same addresses, young.
    left.iter().for_each(|block| block.free());
    let again: Vec<Block> = (0..100).map(|_| Block::new(SIZE)).collect();
    assert_eq!(classes(SIZE), [("<1m", 100)]);
    again.into_iter().for_each(Block::free);
}

fn a_clock_that_fails_or_jumps_loses_no_block() {
    const SIZE: usize = 54_335;
    fake_clock::set(90_000 * SECOND);
    fake_clock::set_broken(true);
    let ageless = Block::new(SIZE);
    assert_eq!(classes(SIZE), [("<1m", 1)]);
    fake_clock::set_broken(false);
    fake_clock::advance(48 * HOUR);
    assert_eq!(classes(SIZE), [("<1m", 1)], "of no known age");
    let block = Block::new(SIZE);
    fake_clock::set(SECOND);
    assert_eq!(classes(SIZE), [("<1m", 2)], "born in times to come");
    assert_eq!(older(SIZE, Duration::ZERO), 2);
    assert_eq!(older(SIZE, Duration::from_nanos(1)), 0);
    // A machine that has run for longer than births can say.
    fake_clock::set(20 * 365 * 24 * HOUR);
    let late = Block::new(SIZE);
    fake_clock::advance(365 * 24 * HOUR);
    assert_eq!(classes(SIZE), [("<1m", 2), (">=24h", 1)]);
    [ageless, block, late].into_iter().for_each(Block::free);
}

// One test: the clock is the process's.
#[test]
fn ages_are_exact_at_rate_1() {
    blocks_come_of_age();
    classes_begin_where_they_say();
    a_realloc_begins_anew_unless_it_fails();
    blocks_keep_their_age_on_other_threads();
    a_clock_that_fails_or_jumps_loses_no_block();
}
