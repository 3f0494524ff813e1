//! The bucket table against a `HashMap`, alone and with four threads.

use std::collections::HashMap;

use super::*;
use crate::record::random::SplitMix;
use crate::record::thread::Thread;

fn count(
    buckets: &Buckets,
    frames: &[usize],
    size: usize,
    rate: usize,
    limit: usize,
) -> Result<(), NoRoom> {
    count_under(LabelSet::NONE, buckets, frames, size, rate, limit)
}

fn count_under(
    labels: LabelSet,
    buckets: &Buckets,
    frames: &[usize],
    size: usize,
    rate: usize,
    limit: usize,
) -> Result<(), NoRoom> {
    let stack = Stack::of(frames);
    Thread::with(|thread| {
        let key = Key {
            stack: &stack,
            size,
            rate,
            labels,
        };
        let find = |busy: &Busy<'_>| buckets.find_or_insert(busy, key, limit);
        Busy::during(thread, find).map(|bucket| match bucket.mixed() {
            None => bucket.count_alloc(),
            Some(totals) => totals.count_alloc(size, rate),
        })
    })
}

fn contents(buckets: &Buckets) -> HashMap<(Vec<usize>, Option<usize>, usize), u64> {
    let key = |bucket: &Bucket| {
        (
            bucket.frames().iter().map(|f| f.0).collect(),
            bucket.size(),
            bucket.rate(),
        )
    };
    let all: Vec<_> = buckets
        .iter()
        .map(|bucket| (key(bucket), bucket.counts().0))
        .collect();
    let map: HashMap<_, _> = all.iter().cloned().collect();
    assert_eq!(map.len(), all.len(), "a key has two buckets");
    map
}

/// A key out of a few hundred, so that most calls find a bucket and some make one.
fn random_key(random: &mut SplitMix) -> (Vec<usize>, usize, usize) {
    let depth = random.next() as usize % 5;
    let frames = (0..depth)
        .map(|_| 0x1000 + random.next() as usize % 3)
        .collect();
    (
        frames,
        8 << (random.next() % 3),
        1 + random.next() as usize % 2,
    )
}

#[test]
fn counts_are_those_of_a_hash_map() {
    let buckets = Buckets::new();
    let mut model = HashMap::new();
    let mut random = SplitMix::new(1);
    for _ in 0..20_000 {
        let (frames, size, rate) = random_key(&mut random);
        count(&buckets, &frames, size, rate, usize::MAX).unwrap();
        *model.entry((frames, Some(size), rate)).or_insert(0) += 1;
    }
    assert_eq!(contents(&buckets), model);
    assert_eq!(buckets.len(), model.len());
}

#[test]
fn threads_that_insert_the_same_keys_share_their_buckets() {
    for seed in 0..20 {
        let buckets = Buckets::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut random = SplitMix::new(seed);
                    for _ in 0..500 {
                        let (frames, size, rate) = random_key(&mut random);
                        count(&buckets, &frames, size, rate, usize::MAX).unwrap();
                    }
                });
            }
        });
        let contents = contents(&buckets);
        assert_eq!(buckets.len(), contents.len());
        assert!(contents.values().all(|count| count % 4 == 0));
        assert_eq!(contents.values().sum::<u64>(), 2000);
    }
}

#[test]
fn the_limit_holds_and_known_keys_are_still_found() {
    let buckets = Buckets::new();
    for nth in 0..100 {
        let made = count(&buckets, &[nth], 8, 1, 10);
        assert_eq!(made, if nth < 10 { Ok(()) } else { Err(NoRoom::Limit) });
    }
    assert_eq!(count(&buckets, &[3], 8, 1, 10), Ok(()));
    assert_eq!(buckets.len(), 10);
}

#[test]
fn near_the_limit_new_sizes_of_a_stack_and_rate_are_counted_together() {
    let buckets = Buckets::new();
    for size in 1..=100 {
        count(&buckets, &[1], size, 1, 12).unwrap();
        count(&buckets, &[2], 1, 1, 12).unwrap();
    }
    count(&buckets, &[1], 200, 512, 12).unwrap();
    let contents = contents(&buckets);
    // Nine keys have room of their own.
    let own = |size: usize| contents.get(&(vec![1], Some(size), 1)).copied();
    assert_eq!((own(1), own(8), own(9)), (Some(1), Some(1), None));
    assert_eq!(contents.get(&(vec![2], Some(1), 1)), Some(&100));
    assert_eq!(contents.get(&(vec![1], None, 1)), Some(&92));
    assert_eq!(contents.get(&(vec![1], None, 512)), Some(&1));
    assert_eq!(contents.len(), 11);
    let mixed = buckets
        .iter()
        .find(|bucket| bucket.frames().len() == 1 && bucket.size().is_none() && bucket.rate() == 1);
    let (allocs, frees) = mixed.unwrap().mixed_totals().unwrap();
    assert_eq!((allocs.bytes, frees.samples), ((9..=100).sum(), 0));
}

#[test]
fn fewer_buckets_than_four_are_all_for_sizes() {
    for limit in 0..4 {
        let buckets = Buckets::new();
        for size in 1..10 {
            let made = count(&buckets, &[1], size, 1, limit);
            assert_eq!(made.is_ok(), size <= limit, "{size} of {limit}");
        }
    }
}

#[test]
fn labels_tell_buckets_apart() {
    let buckets = Buckets::new();
    for nth in 0..30 {
        let labels = LabelSet::numbered(nth % 3);
        count_under(labels, &buckets, &[1, 2], 8, 1, usize::MAX).unwrap();
    }
    let mut found: Vec<_> = buckets
        .iter()
        .map(|bucket| (bucket.labels().number(), bucket.counts().0))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(0, 10), (1, 10), (2, 10)]);
}

/// Of 80: 60 for sizes, 10 more for stacks with labels, 10 for stacks.
#[test]
fn near_the_limit_new_labels_of_a_stack_are_counted_together() {
    let buckets = Buckets::new();
    for nth in 1..=1_000 {
        count_under(LabelSet::numbered(nth), &buckets, &[1], 8, 1, 80).unwrap();
    }
    for frame in 2..=10 {
        count_under(LabelSet::numbered(7), &buckets, &[frame], 8, 1, 80).unwrap();
    }
    assert_eq!(buckets.len(), 80);
    let of = |frame: usize, labels: bool| {
        let is_it = |bucket: &&Bucket| {
            bucket.frames() == [ReturnAddress(frame)] && bucket.labels().is_none() != labels
        };
        let counts = buckets.iter().filter(is_it).map(|bucket| bucket.counts().0);
        counts.fold((0, 0), |(buckets, sum), count| (buckets + 1, sum + count))
    };
    assert_eq!(of(1, true), (70, 70));
    assert_eq!(of(1, false), (1, 930));
    assert!((2..=10).all(|frame| of(frame, false) == (1, 1)));
}

#[test]
fn a_bucket_costs_no_more_than_8_bytes_a_frame_and_96() {
    assert_eq!(size_of::<Bucket>(), 56);
    assert_eq!(size_of::<ReturnAddress>(), 8);
}
