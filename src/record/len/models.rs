//! The count in every order of three threads.

use core::sync::atomic::AtomicUsize as Truth;
use std::sync::Arc;

use super::*;
use crate::record::shared::model::{at_once, every_order, random_orders};

/// A count, and how many records there are at least.
#[derive(Debug)]
struct Counted {
    len: Len,
    kept: Truth,
}

const LIMIT: usize = 2;

impl Counted {
    fn full() -> Arc<Self> {
        let counted = Arc::new(Self {
            len: Len::new(),
            kept: Truth::new(0),
        });
        (0..LIMIT as u64).for_each(|thread| assert!(counted.add(thread)));
        counted
    }

    fn add(&self, thread: u64) -> bool {
        let added = self.len.add(Shard::of_thread(thread), LIMIT).is_ok();
        if added {
            let kept = self.kept.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(kept <= LIMIT, "{kept} records, over the limit");
        }
        added
    }

    fn sub(&self, thread: u64) {
        self.kept.fetch_sub(1, Ordering::Relaxed);
        self.len.sub(Shard::of_thread(thread));
    }

    fn settle(&self) {
        let kept = self.kept.load(Ordering::Relaxed);
        assert_eq!(self.len.total(), kept);
        (0..kept).for_each(|_| self.sub(0));
        assert_eq!(self.len.total(), 0);
        assert!(self.len.reserved() <= 2 * BATCH * SHARDS);
        // As many places as ever.
        (0..LIMIT).for_each(|_| assert!(self.add(1)));
    }
}

#[test]
fn loom_threads_that_come_and_go_never_pass_the_limit() {
    every_order(3, || {
        let counted = Counted::full();
        fn go_and_come<const THREAD: u64>(counted: &Counted) {
            counted.sub(0);
            counted.add(THREAD);
            counted.add(0);
        }
        at_once(&counted, &[go_and_come::<0>, go_and_come::<1>]);
        counted.settle();
    });
}

#[test]
fn loom_places_given_back_are_not_given_out_twice() {
    every_order(2, || {
        let counted = Counted::full();
        at_once(
            &counted,
            &[
                |counted| counted.sub(0),
                |counted| {
                    counted.sub(0);
                    counted.add(0);
                },
                |counted| {
                    counted.add(1);
                    counted.add(0);
                },
            ],
        );
        counted.settle();
    });
}

#[test]
fn loom_a_total_is_within_the_limit() {
    every_order(3, || {
        let counted = Counted::full();
        counted.sub(0);
        at_once(
            &counted,
            &[
                |counted| {
                    counted.add(0);
                },
                |counted| {
                    counted.add(0);
                },
                |counted| assert!(counted.len.total() <= LIMIT),
            ],
        );
        counted.settle();
    });
}

#[test]
fn shuttle_threads_that_come_and_go_never_pass_the_limit() {
    random_orders(10_000, || {
        let counted = Counted::full();
        fn come_and_go<const THREAD: u64>(counted: &Counted) {
            let mut mine = 0;
            for step in 0..8 {
                // Counted where another thread does, too.
                if counted.add(THREAD + step % 2) {
                    mine += 1;
                }
                if step % 3 > 0 && mine > 0 {
                    mine -= 1;
                    counted.sub(THREAD);
                }
            }
        }
        at_once(
            &counted,
            &[
                come_and_go::<0>,
                come_and_go::<1>,
                come_and_go::<2>,
                |counted| (0..LIMIT).for_each(|_| counted.sub(1)),
            ],
        );
        counted.settle();
    });
}
