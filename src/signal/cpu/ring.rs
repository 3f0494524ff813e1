//! The ring: from handlers on any thread to the one that takes the profile, without a lock.

use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::Tick;
use crate::pages;
use crate::record::{self, LabelSet};
use crate::stack::Stack;

/// Ticks between two emptyings: 20 ms of 500 processors at 100 Hz, 1.1 MiB. At half of it a machine with many processors loses
/// ticks at 1000 Hz sooner.
const PLACES: u64 = 1024;

/// A bounded queue with many writers and one reader. Place `n % PLACES` takes the `n`th tick, whose lap is `n / PLACES`; `turn`
/// says whose turn it is:
///
/// ```text
/// 2 · lap        the writer's      (all zeros: a fresh ring)
/// 2 · lap + 1    the reader's
/// 2 · lap + 2    the next lap's writer's
/// ```
#[derive(Debug)]
pub(super) struct Ring {
    /// Null until the first profile. Never unmapped: a handler may be late.
    places: AtomicPtr<Place>,
    /// Ticks that writers have taken places for.
    tail: AtomicU64,
    /// Ticks that the reader has read. It alone changes it.
    head: AtomicU64,
    dropped: AtomicU64,
}

struct Place {
    turn: AtomicU64,
    written: UnsafeCell<Written>,
}

/// All zeros are valid.
struct Written {
    profile: usize,
    weight: u32,
    labels: LabelSet,
    stack: Stack,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self {
            places: AtomicPtr::new(ptr::null_mut()),
            tail: AtomicU64::new(0),
            head: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Sees to it that there is a ring. False if there is no memory for it. For the reader.
    pub(super) fn make(&self) -> bool {
        if !self.places.load(Ordering::Relaxed).is_null() {
            return true;
        }
        let Some(places) = pages::map(PLACES as usize * size_of::<Place>()) else {
            return false;
        };
        // Release pairs with the Acquire in `place`: handlers see zeros. (The kernel has written them before.)
        self.places.store(places.cast().as_ptr(), Ordering::Release);
        true
    }

    /// Begins anew, in a process that has the ring of its parent and none of its handlers.
    pub(super) fn reset(&self) {
        self.places.store(ptr::null_mut(), Ordering::Relaxed);
        self.tail.store(0, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
    }

    fn place(&self, nth: u64) -> Option<&Place> {
        let places = NonNull::new(self.places.load(Ordering::Acquire))?;
        // SAFETY: below `PLACES`, so within the mapping of `make`.
        let place = unsafe { places.add((nth % PLACES) as usize) };
        // SAFETY: zeros are a valid place, and the mapping stays for good; what is not atomic is in a cell.
        Some(unsafe { place.as_ref() })
    }

    /// In a handler: has `write` put a stack into the next place. False if there is none.
    pub(super) fn put(&self, profile: usize, weight: u32, write: impl FnOnce(&mut Stack)) -> bool {
        loop {
            let nth = self.tail.load(Ordering::Relaxed);
            let Some(place) = self.place(nth) else {
                return false;
            };
            let writers = nth / PLACES * 2;
            // Acquire pairs with the Release in `drain`: what was read there has been read.
            let turn = place.turn.load(Ordering::Acquire);
            if turn < writers {
                self.dropped.fetch_add(u64::from(weight), Ordering::Relaxed);
                return false;
            }
            // Otherwise another writer was faster.
            let is_own = turn == writers
                && self
                    .tail
                    .compare_exchange(
                        nth,
                        nth.wrapping_add(1),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    )
                    .is_ok();
            if is_own {
                // SAFETY: it is this writer's turn, and `tail` gives each number out once.
                let written = unsafe { &mut *place.written.get() };
                written.profile = profile;
                written.weight = weight;
                written.labels = record::labels();
                written.stack.clear();
                write(&mut written.stack);
                // Pairs with the Acquire in `drain`.
                place.turn.store(writers + 1, Ordering::Release);
                return true;
            }
        }
    }

    /// Hands out what has been written for `profile`, and throws away what came late for another. False if a writer is at it. For
    /// the reader.
    pub(super) fn drain(&self, profile: usize, each: &mut dyn FnMut(Tick<'_>)) -> bool {
        loop {
            let nth = self.head.load(Ordering::Relaxed);
            if nth == self.tail.load(Ordering::Relaxed) {
                return true;
            }
            let Some(place) = self.place(nth) else {
                return true;
            };
            let readers = nth / PLACES * 2 + 1;
            // Pairs with the Release in `put`.
            if place.turn.load(Ordering::Acquire) != readers {
                return false;
            }
            // SAFETY: it is the reader's turn, and there is one.
            let written = unsafe { &*place.written.get() };
            if written.profile == profile {
                each(Tick {
                    frames: written.stack.frames(),
                    is_truncated: written.stack.is_truncated(),
                    weight: written.weight,
                    labels: written.labels,
                });
            }
            // Pairs with the Acquire in `put`.
            place.turn.store(readers + 1, Ordering::Release);
            self.head.store(nth.wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Ticks that there was no place for, ever.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(ring: &Ring, profile: usize) -> Vec<(usize, u32)> {
        let mut all = Vec::new();
        ring.drain(profile, &mut |tick| {
            all.push((tick.frames[0].0, tick.weight))
        });
        all
    }

    fn put(ring: &Ring, profile: usize, address: usize, weight: u32) -> bool {
        ring.put(profile, weight, |stack| *stack = Stack::of(&[address]))
    }

    #[test]
    fn ticks_come_out_in_order_and_those_of_another_profile_do_not() {
        let ring = Ring::new();
        put(&ring, 1, 0x1000, 1);
        assert_eq!(drained(&ring, 1), [], "before there is a ring");
        assert!(ring.make() && ring.make());
        for lap in 0..3 * PLACES as usize {
            put(&ring, 1, 0x1000 + lap, 1);
            put(&ring, 2, 0x1000 + lap, 7);
            assert_eq!(drained(&ring, 2), [(0x1000 + lap, 7)]);
        }
        assert_eq!(ring.dropped(), 0);
    }

    #[test]
    fn a_full_ring_counts_what_it_drops_and_keeps_the_rest() {
        let ring = Ring::new();
        assert!(ring.make());
        for nth in 0..PLACES as usize + 5 {
            put(&ring, 1, 0x1000 + nth, 2);
        }
        assert_eq!(ring.dropped(), 10);
        let all = drained(&ring, 1);
        assert_eq!(all.len() as u64, PLACES);
        assert_eq!(all.last(), Some(&(0x1000 + PLACES as usize - 1, 2)));
        put(&ring, 1, 0x1000, 1);
        assert_eq!(drained(&ring, 1), [(0x1000, 1)]);
    }

    #[test]
    fn a_writer_in_the_middle_is_waited_for() {
        let ring = Ring::new();
        assert!(ring.make());
        ring.put(1, 1, |stack| {
            put(&ring, 1, 0x2000, 1);
            assert!(!ring.drain(1, &mut |_| panic!("not before the first")));
            *stack = Stack::of(&[0x1000]);
        });
        assert_eq!(drained(&ring, 1), [(0x1000, 1), (0x2000, 1)]);
    }

    #[test]
    fn each_tick_of_many_threads_comes_out_once_and_in_its_threads_order() {
        static RING: Ring = Ring::new();
        const THREADS: usize = 3;
        const EACH: usize = 5_000;
        assert!(RING.make());
        let refused: u64 = std::thread::scope(|scope| {
            let write = |thread: usize| {
                let mut refused = 0;
                for nth in 0..EACH {
                    while !put(&RING, 1, 0x1000 + nth * THREADS + thread, 1) {
                        refused += 1;
                        // Of a reader that has failed; some minutes of waiting.
                        assert!(refused < 100_000_000);
                        std::thread::yield_now();
                    }
                }
                refused
            };
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(move || write(thread)))
                .collect();
            let mut next = [0; THREADS];
            while next != [EACH; THREADS] {
                RING.drain(1, &mut |tick| {
                    let number = tick.frames[0].0 - 0x1000;
                    assert_eq!(number / THREADS, next[number % THREADS]);
                    next[number % THREADS] += 1;
                });
                std::thread::yield_now();
            }
            let writers = writers.into_iter();
            writers.map(|writer| writer.join().unwrap()).sum()
        });
        assert_eq!(RING.dropped(), refused);
        assert_eq!(drained(&RING, 1), []);
    }
}
