//! The buckets in every order of two or three threads: one for each key, and no reader sees more frees than allocs.

use std::sync::Arc;

use super::*;
use crate::record::shared::model::{Hand, at_once, every_order, random_orders};
use crate::record::thread::Thread;

#[derive(Debug)]
struct World {
    buckets: Buckets,
    hand: Hand,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            buckets: Buckets::new(),
            hand: Hand::empty(),
        })
    }

    fn bucket(&self, frame: usize, limit: usize) -> Option<&Bucket> {
        self.bucket_under(LabelSet::NONE, frame, limit)
    }

    fn bucket_under(&self, labels: LabelSet, frame: usize, limit: usize) -> Option<&Bucket> {
        let thread = Thread::numbered(0);
        let stack = Stack::of(&[frame]);
        let key = Key {
            stack: &stack,
            size: 8,
            rate: 1,
            labels,
        };
        let find = |busy: &Busy<'_>| self.buckets.find_or_insert(busy, key, limit);
        let found = Busy::during(&thread, find).ok();
        assert!(found.is_none_or(|bucket| bucket.frames() == [ReturnAddress(frame)]));
        found
    }

    fn alloc(&self, frame: usize) -> &Bucket {
        let bucket = self.bucket(frame, usize::MAX).expect("room");
        bucket.count_alloc();
        bucket
    }

    /// What a profile reads: (frame, allocs, frees), by frame.
    fn read(&self) -> Vec<(usize, u64, u64)> {
        let one = |bucket: &Bucket| {
            let (allocs, frees) = bucket.counts();
            assert!(frees <= allocs, "{frees} frees of {allocs}");
            (bucket.frames()[0].0, allocs, frees)
        };
        let mut read: Vec<_> = self.buckets.iter().map(one).collect();
        read.sort_unstable();
        assert!(read.is_sorted_by(|a, b| a.0 < b.0), "a key has two buckets");
        read
    }
}

#[test]
fn loom_a_key_has_one_bucket() {
    every_order(3, || {
        let world = World::new();
        at_once(
            &world,
            &[
                |world| {
                    world.alloc(1);
                    world.alloc(2);
                },
                |world| {
                    world.alloc(2);
                    world.alloc(1);
                },
            ],
        );
        assert_eq!(world.read(), [(1, 2, 0), (2, 2, 0)]);
        assert_eq!(world.buckets.len(), 2);
    });
}

#[test]
fn loom_three_threads_share_a_chain() {
    every_order(2, || {
        let world = World::new();
        at_once(
            &world,
            &[
                |world| {
                    world.alloc(1);
                },
                |world| {
                    world.alloc(2);
                },
                |world| {
                    world.alloc(1).count_free();
                },
            ],
        );
        assert_eq!(world.read(), [(1, 2, 1), (2, 1, 0)]);
        assert_eq!(world.buckets.len(), 2);
    });
}

#[test]
fn loom_a_profile_never_has_more_frees_than_allocs() {
    every_order(3, || {
        let world = World::new();
        at_once(
            &world,
            &[
                |world| {
                    world.alloc(1);
                    world.hand.give(1);
                    world.alloc(1);
                },
                |world| {
                    if let Some(frame) = world.hand.take() {
                        let freed = world.bucket(frame, 1).expect("it is there");
                        freed.count_free();
                    }
                },
                |world| {
                    world.read();
                },
            ],
        );
        assert!(matches!(world.read()[..], [(1, 2, 0 | 1)]));
    });
}

#[test]
fn loom_the_limit_on_buckets_holds() {
    every_order(3, || {
        let world = World::new();
        at_once(
            &world,
            &[
                |world| {
                    world.bucket(1, 1);
                },
                |world| {
                    world.bucket(2, 1);
                },
                |world| assert!(world.read().len() <= 1),
            ],
        );
        assert!(world.read().len() <= 1);
        assert_eq!(world.buckets.len(), world.read().len());
    });
}

#[test]
fn loom_mixed_sizes_of_a_stack_have_one_bucket_and_frees_are_never_ahead() {
    const LIMIT: usize = 8;
    every_order(3, || {
        let world = World::new();
        // Six of eight, so no other size has room.
        for frame in 1..=6 {
            world.bucket(frame, LIMIT);
        }
        let alloc_mixed = |world: &World| {
            let bucket = world.bucket(7, LIMIT).expect("room for its stack");
            assert_eq!(bucket.size(), None);
            bucket.mixed().expect("mixed").count_alloc(8, 1);
            world.hand.give(7);
        };
        at_once(
            &world,
            &[
                alloc_mixed,
                |world| {
                    if let Some(frame) = world.hand.take() {
                        let freed = world.bucket(frame, LIMIT).and_then(Bucket::mixed);
                        freed.expect("it is there").count_free(8, 1);
                    } else {
                        world.bucket(7, LIMIT).expect("room for its stack");
                    }
                },
                |world| {
                    world.read();
                },
            ],
        );
        let read = world.read();
        assert!(matches!(read[6..], [(7, 1, 0 | 1)]), "{read:?}");
        assert_eq!(world.buckets.len(), 7);
    });
}

/// Of eight, six are for sizes and one more is for a stack with labels.
#[test]
fn loom_labels_near_the_limit_have_a_bucket_or_share_that_of_their_stack() {
    const LIMIT: usize = 8;
    every_order(3, || {
        let world = World::new();
        for frame in 1..=6 {
            world.bucket(frame, LIMIT);
        }
        fn alloc<const NUMBER: u32>(world: &World) {
            let labels = LabelSet::numbered(NUMBER);
            let bucket = world
                .bucket_under(labels, 7, LIMIT)
                .expect("room for its stack");
            assert!(bucket.labels() == labels || bucket.labels().is_none());
            bucket.mixed().expect("mixed").count_alloc(8, 1);
        }
        at_once(&world, &[alloc::<1>, alloc::<2>]);
        let of_stack = world
            .buckets
            .iter()
            .filter(|bucket| bucket.size().is_none());
        let mut found: Vec<_> = of_stack
            .map(|bucket| (bucket.labels().number(), bucket.counts().0))
            .collect();
        found.sort_unstable();
        // Where both reach for the last place at one time, both may be refused it.
        assert!(
            matches!(found[..], [(0, 1), (1 | 2, 1)] | [(0, 2)]),
            "{found:?}"
        );
        assert_eq!(world.buckets.len(), 6 + found.len());
    });
}

#[test]
fn shuttle_many_threads_share_their_buckets() {
    random_orders(10_000, || {
        let world = World::new();
        fn come_and_go<const THREAD: usize>(world: &World) {
            for step in 0..6 {
                let bucket = world.alloc(1 + (THREAD * step) % 4);
                if step % 2 == 0 {
                    bucket.count_free();
                }
                if step % 3 == 0 {
                    world.read();
                }
            }
        }
        at_once(
            &world,
            &[
                come_and_go::<1>,
                come_and_go::<2>,
                come_and_go::<3>,
                come_and_go::<5>,
            ],
        );
        let read = world.read();
        let sums = read
            .iter()
            .fold((0, 0), |sum, one| (sum.0 + one.1, sum.1 + one.2));
        assert_eq!(sums, (24, 12));
        assert_eq!(world.buckets.len(), read.len());
    });
}
