//! Live records: which sampled blocks are alive, and the bucket of each. Lock-free, so that a free is always
//! processed, in a signal handler and inside the profiler too.
//!
//! ```text
//! free ─▶ filter ─ perhaps ─▶ owners[region of the address] ─▶ tables[shard] ─▶ slot
//! ```

mod table;

use super::birth::Birth;
use super::busy::Busy;
use super::drops::NoRoom;
use super::filter::{Filter, Level};
use super::len::{Len, SHARDS, Shard};
use super::shared::{AtomicU8, AtomicU64, AtomicUsize, IN_MODEL, Ordering};

pub(crate) use self::table::Shown;
use self::table::{EMPTY, HELD, Slot, Table};

/// Entries of `Live::owners`; 4 KiB.
const OWNERS: usize = if IN_MODEL { 2 } else { 1 << 12 };
/// A region is 1 MiB of addresses. Allocators give a thread memory of its own in larger pieces than that; regions of half
/// the size would use up twice the owners, at twice the size neighbours of different threads would share one more often.
const REGION_BITS: u32 = 20;

/// The live records and the filter in front of them.
///
/// A slot's address:
///
/// ```text
/// address  EMPTY   HELD    block
///            ├─insert─▶┤──────▶┤        insert: claim, write birth and payload, publish
///            │◀────────retire──┤        retire: one compare-exchange
///            │◀─retire─┤◀─hold─┤        hold: the block is inside the inner allocator's realloc
///            │         ├restore▶        restore: that realloc failed
/// ```
///
/// Only the thread that owns a block, by the program's own synchronisation, retires or holds its record.
#[derive(Debug)]
pub(crate) struct Live {
    filter: Filter,
    /// The shard whose table has the records of a region of addresses, plus 1; 0 if nobody has sampled there. Set once, by
    /// the first to sample there, to its own shard: threads whose memory is apart, as most allocators have it, never write
    /// to one line. One table for all made a sample of one thread wait for those of the others (twice the time of each on
    /// two threads that sample everything).
    owners: [AtomicU8; OWNERS],
    tables: [Table; SHARDS],
    len: Len,
    /// Records found at an address that was allocated again: the block was freed past the wrapper, by C's `free` say.
    stale: AtomicU64,
}

/// A record that is kept while its block is inside the inner allocator's `realloc`.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    slot: &'a AtomicUsize,
    address: usize,
    payload: usize,
    /// The filter's level that certainly counts this record: see `Filter::readable_level`.
    counted_in: Level,
}

impl Live {
    pub(crate) const fn new() -> Self {
        Self {
            filter: Filter::new(),
            owners: [const { AtomicU8::new(0) }; OWNERS],
            tables: [const { Table::new() }; SHARDS],
            len: Len::new(),
            stale: AtomicU64::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.total()
    }

    pub(crate) fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    pub(crate) fn mapped(&self) -> usize {
        self.tables.iter().map(Table::mapped).sum::<usize>() + self.filter.mapped()
    }

    /// What is alive, read while records come and go: those that do meanwhile may or may not be among it.
    pub(crate) fn records(&self) -> impl Iterator<Item = Shown> {
        self.tables.iter().flat_map(Table::records)
    }

    #[inline(always)]
    pub(crate) fn may_contain(&self, address: usize) -> bool {
        self.filter.may_contain(address)
    }

    /// 0 if `may_contain` is false.
    #[inline(always)]
    pub(crate) fn hits(&self, address: usize) -> u8 {
        self.filter.hits(address)
    }

    /// Publishes a record of the block at `address`, which has none: see `retire_stale`. `clock` says when that is.
    pub(crate) fn insert(
        &self,
        busy: &Busy<'_>,
        address: usize,
        payload: usize,
        clock: impl FnOnce() -> Birth,
        limit: usize,
    ) -> Result<(), NoRoom> {
        // Reserved first, so that the limit holds whatever the threads do.
        self.len.add(busy.shard(), limit)?;
        let placed = self.place(busy.shard(), address, payload, clock);
        if placed.is_err() {
            self.len.sub(busy.shard());
        } else if self.filter.is_crowded(self.len.reserved()) {
            self.grow_filter();
        }
        placed
    }

    /// Apart from `insert`, whose stack frame would be 1 KB larger without optimization.
    #[cold]
    #[inline(never)]
    fn grow_filter(&self) {
        let shown = self.tables.iter().flat_map(Table::addresses);
        self.filter.grow(shown);
    }

    /// Retires the record of a block that was freed without a word, if the address that was just allocated has one.
    /// Returns its payload.
    pub(crate) fn retire_stale(&self, shard: Shard, address: usize) -> Option<usize> {
        let stale = if self.may_contain(address) {
            self.retire(shard, address)?
        } else {
            return None;
        };
        self.stale.fetch_add(1, Ordering::Relaxed);
        Some(stale)
    }

    fn place(
        &self,
        shard: Shard,
        address: usize,
        payload: usize,
        clock: impl FnOnce() -> Birth,
    ) -> Result<(), NoRoom> {
        self.filter.prepare()?;
        let slot = self.own(shard, address)?.claim(address)?;
        slot.write(payload, clock());
        self.show(slot.address, address);
        Ok(())
    }

    /// Shows a record in its slot and in the filter.
    fn show(&self, slot: &AtomicUsize, address: usize) {
        // Release pairs with the Acquire in `Table::find`. SeqCst as `Filter::add` demands.
        slot.store(address, Ordering::SeqCst);
        self.filter.add(address);
    }

    /// Forgets the block at `address`, before its memory goes back to the inner allocator. Returns its payload, or
    /// None if it has no record.
    pub(crate) fn retire(&self, shard: Shard, address: usize) -> Option<usize> {
        let slot = self.find(address)?;
        let payload = slot.payload.load(Ordering::Relaxed);
        let counted_in = self.filter.readable_level();
        // Release pairs with the Acquire of the claim: the next owner of the slot writes its payload after this one was
        // read. Fails only if two threads free one block, which is the program's error: one wins.
        slot.address
            .compare_exchange(address, EMPTY, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        self.forget(shard, counted_in, address);
        Some(payload)
    }

    /// Takes the record of `address` out of sight while its block is inside the inner `realloc`, which may hand the
    /// address to another thread. The slot stays reserved, so `restore` cannot fail for lack of room.
    pub(crate) fn hold(&self, address: usize) -> Option<Held<'_>> {
        let slot = self.find(address)?;
        let payload = slot.payload.load(Ordering::Relaxed);
        let counted_in = self.filter.readable_level();
        slot.address
            .compare_exchange(address, HELD, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        Some(Held {
            slot: slot.address,
            address,
            payload,
            counted_in,
        })
    }

    /// The realloc failed and the block is as it was: so is its record.
    pub(crate) fn restore(&self, held: Held<'_>) {
        // Counted once more: a level that was filled meanwhile did not see it. That leaves a count too many in the old
        // one, so it is taken back where it is certain.
        self.show(held.slot, held.address);
        self.filter.remove(held.counted_in, held.address);
    }

    /// The realloc succeeded: the old block is gone. Returns its payload.
    pub(crate) fn release(&self, shard: Shard, held: Held<'_>) -> usize {
        // Release as in `retire`.
        held.slot.store(EMPTY, Ordering::Release);
        self.forget(shard, held.counted_in, held.address);
        held.payload
    }

    fn forget(&self, shard: Shard, counted_in: Level, address: usize) {
        self.filter.remove(counted_in, address);
        self.len.sub(shard);
    }

    fn find(&self, address: usize) -> Option<Slot<'_>> {
        // Relaxed: whoever frees a block has synchronised with the thread that allocated it, which has seen the owner,
        // and an owner never changes. Whoever looks for a stale record may not have: on weakly ordered processors it can
        // be missed, and stays until its address is freed.
        let owner = self.owner(address)?.load(Ordering::Relaxed);
        let table = self.tables.get(usize::from(owner).checked_sub(1)?)?;
        table.find(address)
    }

    /// The table for records of the region around `address`: that of `shard` if there is none yet.
    fn own(&self, shard: Shard, address: usize) -> Result<&Table, NoRoom> {
        let owner = self.owner(address).ok_or(NoRoom::Limit)?;
        let mut now = owner.load(Ordering::Relaxed);
        if now == 0 {
            let own = shard.index() as u8 + 1;
            now = match owner.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => own,
                Err(first) => first,
            };
        }
        let nth = usize::from(now).checked_sub(1);
        nth.and_then(|nth| self.tables.get(nth))
            .ok_or(NoRoom::Limit)
    }

    fn owner(&self, address: usize) -> Option<&AtomicU8> {
        let region = (address >> REGION_BITS) as u64;
        let hash = region.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.owners.get(hash as usize % OWNERS)
    }
}

#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
mod tests;
