//! The live table against a `HashMap`, and with threads that hand blocks to each other.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc;

use super::*;
use crate::record::random::SplitMix;
use crate::record::thread::Thread;

fn insert(live: &Live, address: usize, payload: usize, limit: usize) -> Result<(), NoRoom> {
    insert_at(live, address, payload, Birth(0), limit)
}

fn insert_at(
    live: &Live,
    address: usize,
    payload: usize,
    birth: Birth,
    limit: usize,
) -> Result<(), NoRoom> {
    let insert = |busy: &Busy<'_>| live.insert(busy, address, payload, || birth, limit);
    Thread::with(|thread| Busy::during(thread, insert))
}

#[test]
fn random_operations_give_what_a_hash_map_gives() {
    let live = Live::new();
    let mut model = HashMap::new();
    let mut random = SplitMix::new(7);
    for step in 0..200_000 {
        // Few enough addresses that most are hit again, enough that several segments are used.
        let address = 0x10_0000 + 16 * (random.next() as usize % 20_000);
        match random.next() % 4 {
            0 | 1 => {
                let stale = live.retire_stale(Shard::default(), address);
                let birth = Birth(step as u32);
                insert_at(&live, address, step << 3, birth, usize::MAX).unwrap();
                assert_eq!(stale, model.insert(address, step << 3));
            }
            2 => assert_eq!(
                live.retire(Shard::default(), address),
                model.remove(&address)
            ),
            _ => {
                let held = live.hold(address);
                assert_eq!(
                    held.as_ref().map(|held| held.payload),
                    model.get(&address).copied()
                );
                let Some(held) = held else { continue };
                assert_eq!(
                    live.retire(Shard::default(), address),
                    None,
                    "a held record is out of sight"
                );
                if random.next().is_multiple_of(2) {
                    live.restore(held);
                } else {
                    assert_eq!(
                        Some(live.release(Shard::default(), held)),
                        model.remove(&address)
                    );
                }
            }
        }
        assert_eq!(live.len(), model.len());
        if step % 10_000 == 0 {
            let born = |payload: usize| Birth((payload >> 3) as u32);
            let shown = live.records().map(|shown| (shown.payload, shown.birth));
            let expected = model.values().map(|payload| (*payload, born(*payload)));
            let (shown, expected): (BTreeSet<_>, BTreeSet<_>) =
                (shown.collect(), expected.collect());
            assert_eq!(shown, expected);
        }
    }
    assert!(model.keys().all(|address| live.may_contain(*address)));
    for (address, payload) in model {
        assert_eq!(live.retire(Shard::default(), address), Some(payload));
    }
    assert_eq!(live.len(), 0);
}

#[test]
fn blocks_freed_by_another_thread_are_always_found() {
    let live = Live::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (send, receive) = mpsc::sync_channel(64);
            let live = &live;
            scope.spawn(move || {
                for nth in 0..50_000_usize {
                    // The same addresses over and over, as an allocator hands them out.
                    let address = 0x10_0000 + thread * 0x10_0000 + 16 * (nth % 97);
                    assert_eq!(live.retire_stale(Shard::default(), address), None);
                    insert(live, address, nth << 1, usize::MAX).unwrap();
                    if send.send((address, nth << 1)).is_err() {
                        return;
                    }
                    // The receiver must have freed it before the address can come again: wait by capacity.
                }
            });
            scope.spawn(move || {
                for (address, payload) in receive {
                    assert_eq!(live.retire(Shard::default(), address), Some(payload));
                }
            });
        }
    });
    assert_eq!((live.len(), live.stale()), (0, 0));
}

#[test]
fn a_failed_realloc_leaves_the_birth_as_it_was() {
    let live = Live::new();
    insert_at(&live, 0x10_0000, 8, Birth(7), usize::MAX).unwrap();
    let held = live.hold(0x10_0000).unwrap();
    assert_eq!(live.records().count(), 0, "a held record is out of sight");
    // Another block, which must not get the slot of the held one.
    insert_at(&live, 0x10_0000, 16, Birth(9), usize::MAX).unwrap();
    live.retire(Shard::default(), 0x10_0000);
    live.restore(held);
    let shown: Vec<_> = live.records().collect();
    let (payload, birth) = (8, Birth(7));
    assert_eq!(shown, [Shown { payload, birth }]);
}

#[test]
fn the_limit_holds() {
    let live = Live::new();
    for nth in 0..20 {
        let made = insert(&live, 0x1000 + 16 * nth, 0, 10);
        assert_eq!(made, if nth < 10 { Ok(()) } else { Err(NoRoom::Limit) });
    }
    live.retire(Shard::default(), 0x1000);
    assert_eq!(insert(&live, 0x9000, 0, 10), Ok(()));
    assert_eq!(live.len(), 10);
}

#[test]
fn a_record_costs_no_more_than_64_bytes() {
    let live = Live::new();
    let mut random = SplitMix::new(3);
    for n in [1_000, 20_480, 200_000] {
        while live.len() < n {
            insert(&live, (random.next() >> 17) as usize & !15, 0, usize::MAX).unwrap();
        }
        let bytes = live.mapped() / n;
        assert!(bytes <= 64, "{bytes} bytes a record at {n} records");
    }
}

/// Threads that come and go with records while the filter grows under them, level after level, again and again.
#[test]
fn no_free_is_missed_while_the_filter_grows() {
    for round in 0..40 {
        let live = Live::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let live = &live;
                scope.spawn(move || {
                    let mut random = SplitMix::new(round << 8 | thread);
                    let mut held = Vec::new();
                    for nth in 0..6_000 {
                        let address = (thread as usize + 1) << 40 | (nth + 1) << 4;
                        insert(live, address, nth << 1, usize::MAX).unwrap();
                        held.push((address, nth << 1));
                        // Mostly grows; each that goes must be found, as a free would find it.
                        let other = random.next() as usize % held.len();
                        let (address, payload) = held[other];
                        assert!(live.may_contain(address));
                        match random.next() % 8 {
                            0 => {
                                held.swap_remove(other);
                                assert_eq!(live.retire(Shard::default(), address), Some(payload));
                            }
                            1 => live.restore(live.hold(address).unwrap()),
                            2 => {
                                held.swap_remove(other);
                                let record = live.hold(address).unwrap();
                                assert_eq!(live.release(Shard::default(), record), payload);
                            }
                            _ => {}
                        }
                    }
                    for (address, payload) in held {
                        assert!(live.may_contain(address));
                        assert_eq!(live.retire(Shard::default(), address), Some(payload));
                    }
                });
            }
        });
        assert_eq!(live.len(), 0);
    }
}

#[test]
fn a_record_that_was_held_while_the_filter_grew_is_found_when_it_comes_back() {
    let live = Live::new();
    let all = || (1..4_000_usize).map(|nth| nth << 20);
    let (grows_under, rest): (Vec<usize>, Vec<usize>) =
        all().partition(|address| address >> 20 <= 1_000);
    for address in &grows_under {
        insert(&live, *address, 0, usize::MAX).unwrap();
    }
    let level = live.filter.readable_level();
    let mut held: Vec<Held<'_>> = grows_under
        .iter()
        .filter_map(|address| live.hold(*address))
        .collect();
    for address in &rest {
        insert(&live, *address, 0, usize::MAX).unwrap();
    }
    assert_ne!(live.filter.readable_level(), level, "it grew");
    let gone: Vec<Held<'_>> = held.drain(500..).collect();
    held.into_iter().for_each(|record| live.restore(record));
    // What is settled as gone takes no other record's count along.
    for record in gone {
        live.release(Shard::default(), record);
    }
    for address in all().filter(|address| !(501..=1_000).contains(&(address >> 20))) {
        assert!(live.may_contain(address));
        assert!(live.retire(Shard::default(), address).is_some());
    }
    assert_eq!(live.len(), 0);
}
