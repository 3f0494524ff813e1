//! The live records in every order of two or three threads, and in `program` in many of four: no free is missed, no slot has two
//! records, the count comes back to 0.

mod program;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32 as Ticks;
use std::sync::{Arc, Mutex};

use super::*;
use crate::record::shared::model::{Hand, at_once, every_order};
use crate::record::thread::Thread;

/// In one region, and on one counter in every level of the filter.
const A: usize = 0x10_0000;
const B: usize = 0x10_0010;
const C: usize = 0x10_0020;
/// In a region that has another owner, on counters of its own.
const X: usize = 0x20_0000;
/// In the region of A, on its counter in the first level and on others in the levels after it.
const Y: usize = 0x50_0000;

const NO_LIMIT: usize = usize::MAX;

#[derive(Debug)]
struct World {
    live: Live,
    hand: Hand,
    /// The clock: no two records are of one moment. The system's, so no word of the model.
    ticks: Ticks,
    /// All records there were, as a reader may see them.
    ever: Mutex<Vec<Shown>>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            live: Live::new(),
            hand: Hand::empty(),
            ticks: Ticks::new(1),
            ever: Mutex::default(),
        })
    }

    /// One whose filter is at its last level and whose region of A has an owner: it grows no more.
    fn grown() -> Arc<Self> {
        let world = Self::new();
        [A, B, C]
            .into_iter()
            .for_each(|address| world.alloc(0, address));
        [A, B, C]
            .into_iter()
            .for_each(|address| world.free(1, address));
        world
    }

    fn insert(&self, thread: u64, address: usize, payload: usize, limit: usize) -> bool {
        let thread = Thread::numbered(thread);
        let clock = || {
            let birth = Birth(self.ticks.fetch_add(1, Ordering::Relaxed));
            self.ever.lock().unwrap().push(Shown { payload, birth });
            birth
        };
        let insert = |busy: &Busy<'_>| self.live.insert(busy, address, payload, clock, limit);
        Busy::during(&thread, insert).is_ok()
    }

    fn alloc(&self, thread: u64, address: usize) {
        assert!(self.insert(thread, address, payload(address), NO_LIMIT));
    }

    fn free(&self, thread: u64, address: usize) {
        assert!(self.live.may_contain(address), "a free is missed");
        let retired = self.live.retire(Shard::of_thread(thread), address);
        assert_eq!(retired, Some(payload(address)));
    }

    fn failed_realloc(&self, address: usize) {
        assert!(self.live.may_contain(address), "a realloc is missed");
        let held = self.live.hold(address).expect("a record");
        self.live.restore(held);
    }

    fn realloc(&self, thread: u64, address: usize, meanwhile: impl FnOnce()) {
        assert!(self.live.may_contain(address), "a realloc is missed");
        let held = self.live.hold(address).expect("a record");
        meanwhile();
        let released = self.live.release(Shard::of_thread(thread), held);
        assert_eq!(released, payload(address));
    }

    fn shown(&self) -> Vec<usize> {
        self.live.tables.iter().flat_map(Table::addresses).collect()
    }

    /// Reads as a profile does: whatever it sees is a record there was.
    fn read(&self) -> Vec<Shown> {
        let shown: Vec<Shown> = self.live.records().collect();
        let ever = self.ever.lock().unwrap();
        for shown in &shown {
            assert!(ever.contains(shown), "a mixture: {shown:?} of {ever:?}");
        }
        shown
    }

    /// When all threads are done: only `left` are alive; they are freed, and nothing is.
    fn settle(&self, left: &[usize]) {
        assert_eq!(self.live.len(), left.len());
        let shown: BTreeSet<_> = self.shown().into_iter().collect();
        assert_eq!(shown, left.iter().copied().collect());
        left.iter().for_each(|address| self.free(0, *address));
        assert_eq!((self.live.len(), self.shown().len()), (0, 0));
    }

    /// That the filter has forgotten all; not so if it grew while records went.
    fn is_forgotten(&self) -> bool {
        ![A, X, Y]
            .iter()
            .any(|address| self.live.may_contain(*address))
    }
}

fn payload(address: usize) -> usize {
    address << 1
}

fn come_and_go<const NUMBER: u64, const ADDRESS: usize>(world: &World) {
    world.alloc(NUMBER, ADDRESS);
    world.free(NUMBER, ADDRESS);
}

#[test]
fn loom_first_records_share_nothing_but_their_tables() {
    every_order(2, || {
        let world = World::new();
        at_once(&world, &[come_and_go::<0, A>, come_and_go::<1, B>]);
        world.settle(&[]);
    });
}

#[test]
fn loom_three_threads_never_get_one_slot() {
    every_order(2, || {
        let world = World::grown();
        at_once(
            &world,
            &[
                |world| world.alloc(0, A),
                |world| world.alloc(1, B),
                |world| world.alloc(0, C),
            ],
        );
        world.settle(&[A, B, C]);
        assert!(world.is_forgotten());
    });
}

#[test]
fn loom_segments_are_mapped_once() {
    every_order(2, || {
        let world = World::new();
        [A, B]
            .into_iter()
            .for_each(|address| world.alloc(0, address));
        at_once(
            &world,
            &[
                |world| world.alloc(0, C),
                |world| world.alloc(1, Y),
                |world| world.free(0, A),
            ],
        );
        world.settle(&[B, C, Y]);
    });
}

#[test]
fn loom_a_free_is_found_while_the_filter_grows() {
    every_order(3, || {
        let world = World::new();
        world.alloc(0, A);
        // Two records crowd the first level.
        at_once(
            &world,
            &[|world| world.alloc(1, X), |world| world.free(0, A)],
        );
        world.settle(&[X]);
    });
}

#[test]
fn loom_a_record_that_comes_while_the_filter_grows_is_in_the_new_level() {
    every_order(2, || {
        let world = World::new();
        world.alloc(0, A);
        at_once(
            &world,
            &[|world| world.alloc(1, X), |world| world.alloc(0, Y)],
        );
        world.settle(&[A, X, Y]);
    });
}

#[test]
fn loom_a_record_that_goes_while_the_filter_grows_takes_no_others_count() {
    every_order(3, || {
        let world = World::new();
        world.alloc(0, A);
        at_once(
            &world,
            &[|world| world.alloc(1, B), |world| world.free(0, A)],
        );
        world.settle(&[B]);
    });
}

#[test]
fn loom_a_record_that_comes_while_the_filter_grows_is_found_by_whoever_gets_the_block() {
    every_order(2, || {
        let world = World::new();
        world.alloc(0, A);
        at_once(
            &world,
            &[
                |world| world.alloc(0, Y),
                |world| {
                    world.alloc(1, X);
                    world.hand.give(X);
                },
                |world| {
                    if let Some(block) = world.hand.take() {
                        world.free(2, block);
                        world.hand.give(block);
                    }
                },
            ],
        );
        let left = if world.live.len() == 3 {
            &[A, X, Y][..]
        } else {
            &[A, Y]
        };
        world.settle(left);
    });
}

#[test]
fn loom_a_failed_realloc_is_as_if_it_had_not_been_while_the_filter_grows() {
    every_order(3, || {
        let world = World::new();
        world.alloc(0, A);
        at_once(
            &world,
            &[
                |world| world.alloc(1, Y),
                |world| {
                    world.failed_realloc(A);
                    assert!(world.live.may_contain(A));
                },
            ],
        );
        world.settle(&[A, Y]);
    });
}

#[test]
fn loom_a_realloc_lets_its_address_go_to_another_thread() {
    every_order(3, || {
        let world = World::grown();
        world.alloc(0, A);
        at_once(
            &world,
            &[
                |world| {
                    // The inner allocator has moved the block and gives its address away.
                    world.realloc(0, A, || world.hand.give(A));
                    world.alloc(0, B);
                },
                |world| {
                    if let Some(block) = world.hand.take() {
                        assert!(world.insert(1, block, 7 << 1, NO_LIMIT));
                        assert!(world.live.may_contain(A));
                        assert_eq!(world.live.retire(Shard::of_thread(1), A), Some(7 << 1));
                    }
                },
            ],
        );
        world.settle(&[B]);
        assert!(world.is_forgotten());
    });
}

#[test]
fn loom_reallocs_and_a_free_while_the_filter_grows() {
    every_order(2, || {
        let world = World::new();
        world.alloc(0, A);
        world.alloc(1, X);
        world.alloc(0, B);
        at_once(
            &world,
            &[
                |world| world.alloc(1, Y),
                |world| world.realloc(0, A, || {}),
                |world| {
                    world.failed_realloc(B);
                    world.free(2, X);
                },
            ],
        );
        world.settle(&[B, Y]);
    });
}

#[test]
fn loom_a_snapshot_shows_what_stays_and_nothing_that_never_was() {
    every_order(2, || {
        let world = World::grown();
        world.alloc(0, A);
        at_once(
            &world,
            &[come_and_go::<0, B>, come_and_go::<1, X>, |world| {
                let shown = world.shown();
                assert_eq!(shown.iter().filter(|address| **address == A).count(), 1);
                assert!(shown.iter().all(|address| [A, B, X].contains(address)));
                assert!(world.live.len() <= 3);
            }],
        );
        world.settle(&[A]);
    });
}

/// One slot, and a reader beside it that owns no block.
fn read_while(churn: fn(&World)) {
    let world = World::new();
    world.alloc(0, A);
    let read = |world: &World| {
        world.read();
    };
    at_once(&world, &[churn, read]);
}

#[test]
fn loom_a_reader_never_sees_the_birth_of_another_record() {
    every_order(3, || {
        read_while(|world| {
            world.free(0, A);
            world.alloc(0, B);
        });
    });
}

/// The address comes back to its slot, for another bucket and then for the first one.
#[test]
fn loom_an_address_that_comes_back_to_its_slot_has_its_own_birth() {
    every_order(3, || {
        read_while(|world| {
            world.free(0, A);
            assert!(world.insert(0, A, 7 << 1, NO_LIMIT));
            assert_eq!(world.live.retire(Shard::of_thread(0), A), Some(7 << 1));
            world.alloc(0, A);
        });
    });
}

#[test]
fn loom_a_reader_sees_what_stays_with_its_birth() {
    every_order(2, || {
        let world = World::grown();
        world.alloc(0, A);
        let a = world.read();
        world.hand.give(a[0].birth.0 as usize);
        at_once(
            &world,
            &[come_and_go::<0, B>, come_and_go::<1, X>, |world| {
                let birth = Birth(world.hand.take().unwrap() as u32);
                let a = Shown {
                    payload: payload(A),
                    birth,
                };
                assert_eq!(world.read().iter().filter(|shown| **shown == a).count(), 1);
            }],
        );
        world.settle(&[A]);
    });
}

#[test]
fn loom_the_limit_holds() {
    every_order(2, || {
        let world = World::grown();
        world.alloc(0, A);
        fn come_if_there_is_room<const NUMBER: u64, const ADDRESS: usize>(world: &World) {
            if world.insert(NUMBER, ADDRESS, payload(ADDRESS), 2) {
                assert!(world.shown().len() <= 2);
                world.free(NUMBER, ADDRESS);
            }
        }
        at_once(
            &world,
            &[
                come_if_there_is_room::<0, B>,
                come_if_there_is_room::<1, X>,
                |world| world.free(0, A),
            ],
        );
        world.settle(&[]);
    });
}

/// Whoever frees a block has its address by way of the program's synchronisation; whoever is handed the address of one
/// that was freed past the wrapper has it from the inner allocator, whose is not ours to know.
#[test]
fn loom_who_sees_a_record_sees_its_payload() {
    every_order(3, || {
        let world = World::grown();
        at_once(
            &world,
            &[
                |world| world.alloc(0, A),
                |world| {
                    let stale = world.live.retire_stale(Shard::of_thread(1), A);
                    assert!(stale.is_none_or(|stale| stale == payload(A)));
                    world.hand.give(stale.map_or(0, |_| A));
                },
            ],
        );
        let gone = world.hand.take().is_some();
        world.settle(if gone { &[] } else { &[A] });
    });
}
