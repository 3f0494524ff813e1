//! How many live records there are: counted so that threads that count at the same time do not meet.

use super::drops::NoRoom;
use super::shared::{AtomicIsize, AtomicUsize, IN_MODEL, Ordering};

/// Parts, each on cache lines of its own; 2 KiB. One counter for all made every sample of one core wait for those of the
/// others, and so did parts that were chosen by address. Threads beyond as many share them.
pub(super) const SHARDS: usize = if IN_MODEL { 2 } else { 16 };

/// Places that a shard reserves at a time. At half of it threads meet at the common count twice as often; at twice, the
/// count is known to 1 024 places only.
const BATCH: usize = if IN_MODEL { 1 } else { 32 };

/// Which part of a count a thread counts in: its number among the threads that have sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shard(usize);

impl Shard {
    pub(super) const fn of_thread(number: u64) -> Self {
        Self(number as usize % SHARDS)
    }

    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// A count up to a limit. Places are reserved in batches, and each shard gives out its own:
///
/// ```text
/// reserved ──BATCH──▶ free[shard] ──1──▶ a record ──1──▶ free[shard of whoever retires it] ──BATCH──▶ reserved
/// ```
///
/// Records are what is reserved less what is free.
#[derive(Debug)]
pub(super) struct Len {
    reserved: Line<AtomicUsize>,
    /// Below 0 for the moment in which two threads reach for the last place.
    free: [Line<AtomicIsize>; SHARDS],
}

/// Two lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

impl Len {
    pub(super) const fn new() -> Self {
        Self {
            reserved: Line(AtomicUsize::new(0)),
            free: [const { Line(AtomicIsize::new(0)) }; SHARDS],
        }
    }

    pub(super) fn total(&self) -> usize {
        let free = self.free.iter().map(|free| free.0.load(Ordering::Relaxed));
        let free = free.map(|free| free.max(0)).fold(0, isize::wrapping_add);
        // Below 0 if a batch went back between the readings.
        let total = (self.reserved() as isize).wrapping_sub(free);
        usize::try_from(total).unwrap_or(0)
    }

    /// At least as many as there are records, by at most `2 · BATCH · SHARDS`. One load.
    pub(super) fn reserved(&self) -> usize {
        self.reserved.0.load(Ordering::Relaxed)
    }

    /// Counts a record unless there are `limit` already. Reserved before it is made, so that the limit holds whatever the
    /// threads do; threads that reach for the last places at one time may all be refused.
    pub(super) fn add(&self, shard: Shard, limit: usize) -> Result<(), NoRoom> {
        let Some(free) = self.free.get(shard.0) else {
            return Err(NoRoom::Limit);
        };
        if take(free) || self.reserve(free, limit) {
            return Ok(());
        }
        // Nothing is left to reserve: what other shards have free is all there is.
        if self.free.iter().any(take) {
            return Ok(());
        }
        Err(NoRoom::Limit)
    }

    /// Reserves a batch, or what the limit leaves of one, for a record and for those to come.
    #[cold]
    fn reserve(&self, free: &Line<AtomicIsize>, limit: usize) -> bool {
        let room = |reserved: usize| limit.saturating_sub(reserved).min(BATCH);
        let more = |reserved: usize| (room(reserved) > 0).then(|| reserved + room(reserved));
        let before = self
            .reserved
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let Ok(before) = before else { return false };
        free.0
            .fetch_add(room(before) as isize - 1, Ordering::Relaxed);
        true
    }

    pub(super) fn sub(&self, shard: Shard) {
        let Some(free) = self.free.get(shard.0) else {
            return;
        };
        if free.0.fetch_add(1, Ordering::Relaxed) + 1 >= 2 * BATCH as isize {
            self.give_back(free);
        }
    }

    /// Gives a batch back, unless other threads have taken what was free: a batch that is given back and not taken from
    /// `free` would be there for all to reserve while its places have records.
    #[cold]
    fn give_back(&self, free: &Line<AtomicIsize>) {
        let less = |free: isize| (free >= BATCH as isize).then(|| free - BATCH as isize);
        let taken = free
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if taken.is_ok() {
            self.reserved.0.fetch_sub(BATCH, Ordering::Relaxed);
        }
    }
}

/// Takes a free place, if there is one.
#[inline(always)]
fn take(free: &Line<AtomicIsize>) -> bool {
    if free.0.load(Ordering::Relaxed) <= 0 {
        return false;
    }
    if free.0.fetch_sub(1, Ordering::Relaxed) > 0 {
        return true;
    }
    free.0.fetch_add(1, Ordering::Relaxed);
    false
}

#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
mod tests;
