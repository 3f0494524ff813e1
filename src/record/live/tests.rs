//! The live table against a `HashMap`, and with threads that hand blocks to each other.

use std::collections::HashMap;
use std::sync::mpsc;

use super::*;
use crate::record::random::SplitMix;
use crate::record::thread::Thread;

fn insert(live: &Live, address: usize, payload: usize, limit: usize) -> Result<(), NoRoom> {
    Thread::with(|thread| {
        let busy = Busy::enter(thread).unwrap();
        live.insert(&busy, address, payload, limit)
    })
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
                let stale = live.retire_stale(address);
                insert(&live, address, step << 3, usize::MAX).unwrap();
                assert_eq!(stale, model.insert(address, step << 3));
            }
            2 => assert_eq!(live.retire(address), model.remove(&address)),
            _ => {
                let held = live.hold(address);
                assert_eq!(
                    held.as_ref().map(|held| held.payload),
                    model.get(&address).copied()
                );
                let Some(held) = held else { continue };
                assert_eq!(live.retire(address), None, "a held record is out of sight");
                if random.next().is_multiple_of(2) {
                    live.restore(held);
                } else {
                    assert_eq!(Some(live.release(held)), model.remove(&address));
                }
            }
        }
        assert_eq!(live.len(), model.len());
    }
    assert!(model.keys().all(|address| live.may_contain(*address)));
    for (address, payload) in model {
        assert_eq!(live.retire(address), Some(payload));
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
                    assert_eq!(live.retire_stale(address), None);
                    insert(live, address, nth << 1, usize::MAX).unwrap();
                    if send.send((address, nth << 1)).is_err() {
                        return;
                    }
                    // The receiver must have freed it before the address can come again: wait by capacity.
                }
            });
            scope.spawn(move || {
                for (address, payload) in receive {
                    assert_eq!(live.retire(address), Some(payload));
                }
            });
        }
    });
    assert_eq!((live.len(), live.stale()), (0, 0));
}

#[test]
fn the_limit_holds() {
    let live = Live::new();
    for nth in 0..20 {
        let made = insert(&live, 0x1000 + 16 * nth, 0, 10);
        assert_eq!(made, if nth < 10 { Ok(()) } else { Err(NoRoom::Limit) });
    }
    live.retire(0x1000);
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
