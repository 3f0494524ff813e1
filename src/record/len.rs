//! How many live records there are: counted so that threads that count at the same time seldom meet.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::drops::NoRoom;

/// Counters, each on cache lines of its own; 2 KiB. One counter for all made every sample of one core wait for those
/// of the others. With as many as cores, two threads meet at every other sample when all of them sample everything.
const SHARDS: usize = 16;

/// A count in parts: an address always counts in the same one.
#[derive(Debug)]
pub(super) struct Len([Shard; SHARDS]);

/// Two lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard(AtomicUsize);

impl Len {
    pub(super) const fn new() -> Self {
        Self([const { Shard(AtomicUsize::new(0)) }; SHARDS])
    }

    pub(super) fn total(&self) -> usize {
        let counts = self.0.iter().map(|shard| shard.0.load(Ordering::Relaxed));
        counts.fold(0, usize::wrapping_add)
    }

    /// Counts a record at `address`, unless there are `limit` already; returns about how many there are now. Reserved
    /// before it is made, so that the limit holds whatever the threads do; threads that reach for the last place at one
    /// time may all be refused.
    pub(super) fn add(&self, address: usize, limit: usize) -> Result<usize, NoRoom> {
        let Some(shard) = self.shard(address) else {
            return Err(NoRoom::Limit);
        };
        let here = shard.fetch_add(1, Ordering::Relaxed) + 1;
        // Below its share of the limit, the others are not asked: addresses are spread evenly.
        let is_certain = here <= limit / SHARDS / 2;
        let about = if is_certain {
            here * SHARDS
        } else {
            self.total()
        };
        if !is_certain && about > limit {
            shard.fetch_sub(1, Ordering::Relaxed);
            return Err(NoRoom::Limit);
        }
        Ok(about)
    }

    pub(super) fn sub(&self, address: usize) {
        if let Some(shard) = self.shard(address) {
            shard.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, address: usize) -> Option<&AtomicUsize> {
        let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        self.0.get(hash as usize % SHARDS).map(|shard| &shard.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_exact_for_one_thread_and_never_passed_by_many() {
        for limit in [0, 1, 10, 1000, 5000] {
            let len = Len::new();
            let address = |nth: usize| (nth + 1) * 48;
            let added = (0..2 * limit + 5)
                .filter(|nth| len.add(address(*nth), limit).is_ok())
                .count();
            assert_eq!((added, len.total()), (limit, limit));
            let many = Len::new();
            let in_all: usize = std::thread::scope(|scope| {
                let add = |thread: usize| {
                    let many = &many;
                    scope.spawn(move || {
                        (0..limit + 5)
                            .filter(|nth| many.add(address(*nth * 4 + thread), limit).is_ok())
                            .count()
                    })
                };
                let threads: Vec<_> = (0..4).map(add).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .sum()
            });
            assert!(in_all <= limit && many.total() == in_all);
        }
    }
}
