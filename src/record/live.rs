//! Live records: which sampled blocks are alive, and the bucket of each. Lock-free, so that a free is always
//! processed, in a signal handler and inside the profiler too.
//!
//! ```text
//! segment 0:   64 groups ─┐
//! segment 1:  128 groups  ├─ mapped when the ones before have no room; never unmapped, never moved
//! segment n: 64·2ⁿ groups ┘
//!
//! group = 8 slots; an address may be in 2 groups of each segment: no probing, no tombstones, no rehash
//! ```

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use super::busy::Busy;
use super::drops::NoRoom;
use super::filter::{Filter, Level};
use super::len::Len;
use crate::pages;

/// Slots whose addresses share a cache line.
const SLOTS: usize = 8;
/// Groups of the first segment: 512 slots, 8 KiB, which is 256 MiB of live heap at the default rate.
const FIRST_GROUPS: usize = 64;
/// Enough for 2^33 slots.
const SEGMENTS: usize = 24;

/// The address of a slot that holds no record.
const EMPTY: usize = 0;
/// The address of a slot that is being written, or is held by a `realloc`. No block lies in page 0.
const HELD: usize = 1;

/// Slots side by side: addresses in one cache line, what belongs to them in the next.
///
/// ```text
/// address  EMPTY   HELD    block
///            ├─insert─▶┤──────▶┤        insert: claim, write the payload, publish
///            │◀────────retire──┤        retire: one compare-exchange
///            │◀─retire─┤◀─hold─┤        hold: the block is inside the inner allocator's realloc
///            │         ├restore▶        restore: that realloc failed
/// ```
///
/// Only the thread that owns a block, by the program's own synchronisation, retires or holds its record.
#[derive(Debug)]
#[repr(C, align(64))]
struct Group {
    addresses: [AtomicUsize; SLOTS],
    payloads: [AtomicUsize; SLOTS],
}

/// The table of live records and the filter in front of it.
#[derive(Debug)]
pub(crate) struct Live {
    filter: Filter,
    segments: [AtomicPtr<Group>; SEGMENTS],
    len: Len,
    /// Records found at an address that was allocated again: the block was freed past the wrapper, by C's `free` say.
    stale: AtomicU64,
    mapped: AtomicUsize,
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
            segments: [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS],
            len: Len::new(),
            stale: AtomicU64::new(0),
            mapped: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.total()
    }

    pub(crate) fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    pub(crate) fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed) + self.filter.mapped()
    }

    #[inline(always)]
    pub(crate) fn may_contain(&self, address: usize) -> bool {
        self.filter.may_contain(address)
    }

    /// Publishes a record of the block at `address`, which has none: see `retire_stale`.
    pub(crate) fn insert(
        &self,
        _busy: &Busy<'_>,
        address: usize,
        payload: usize,
        limit: usize,
    ) -> Result<(), NoRoom> {
        // Reserved first, so that the limit holds whatever the threads do.
        let about = self.len.add(address, limit)?;
        let placed = self.place(address, payload);
        if placed.is_err() {
            self.len.sub(address);
        } else if self.filter.is_crowded(about) {
            self.filter.grow(self.addresses());
        }
        placed
    }

    /// The addresses that slots show. A record that is inserted meanwhile may or may not be among them.
    fn addresses(&self) -> impl Iterator<Item = usize> {
        let groups = self
            .segments
            .iter()
            .enumerate()
            .map_while(|(nth, segment)| {
                // SeqCst with the exchange in `segment_or_map`, as `Filter::add` demands of the slots.
                let first = ptr::NonNull::new(segment.load(Ordering::SeqCst))?;
                // SAFETY: segment `nth` is a mapping of that many groups, never unmapped while the table lives; zeroed
                // pages are groups of EMPTY slots, and all access is atomic.
                Some(unsafe { core::slice::from_raw_parts(first.as_ptr(), FIRST_GROUPS << nth) })
            });
        let slots = groups.flatten().flat_map(|group| &group.addresses);
        slots
            .map(|slot| slot.load(Ordering::SeqCst))
            .filter(|address| !matches!(*address, EMPTY | HELD))
    }

    /// Retires the record of a block that was freed without a word, if the address that was just allocated has one.
    /// Returns its payload.
    pub(crate) fn retire_stale(&self, address: usize) -> Option<usize> {
        let stale = if self.may_contain(address) {
            self.retire(address)?
        } else {
            return None;
        };
        self.stale.fetch_add(1, Ordering::Relaxed);
        Some(stale)
    }

    fn place(&self, address: usize, payload: usize) -> Result<(), NoRoom> {
        self.filter.prepare()?;
        for (nth, segment) in self.segments.iter().enumerate() {
            let first = self.segment_or_map(nth, segment).ok_or(NoRoom::Memory)?;
            for group in groups_of(first, nth, address) {
                for (slot, held) in group.addresses.iter().zip(&group.payloads) {
                    let is_free = slot.load(Ordering::Relaxed) == EMPTY
                        && slot
                            .compare_exchange(EMPTY, HELD, Ordering::Acquire, Ordering::Relaxed)
                            .is_ok();
                    if is_free {
                        held.store(payload, Ordering::Relaxed);
                        self.show(slot, address);
                        return Ok(());
                    }
                }
            }
        }
        Err(NoRoom::Limit)
    }

    /// Shows a record in its slot and in the filter.
    fn show(&self, slot: &AtomicUsize, address: usize) {
        // Release pairs with the Acquire in `find`: who sees the address sees its payload. SeqCst as `Filter::add`
        // demands.
        slot.store(address, Ordering::SeqCst);
        self.filter.add(address);
    }

    /// Forgets the block at `address`, before its memory goes back to the inner allocator. Returns its payload, or
    /// None if it has no record.
    pub(crate) fn retire(&self, address: usize) -> Option<usize> {
        let (slot, payload) = self.find(address)?;
        let counted_in = self.filter.readable_level();
        // Release pairs with the Acquire of the claim in `place`: the next owner of the slot writes its payload after
        // this one was read. Fails only if two threads free one block, which is the program's error: one wins.
        slot.compare_exchange(address, EMPTY, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        self.forget(counted_in, address);
        Some(payload)
    }

    /// Takes the record of `address` out of sight while its block is inside the inner `realloc`, which may hand the
    /// address to another thread. The slot stays reserved, so `restore` cannot fail for lack of room.
    pub(crate) fn hold(&self, address: usize) -> Option<Held<'_>> {
        let (slot, payload) = self.find(address)?;
        let counted_in = self.filter.readable_level();
        slot.compare_exchange(address, HELD, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        Some(Held {
            slot,
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
    pub(crate) fn release(&self, held: Held<'_>) -> usize {
        // Release as in `retire`.
        held.slot.store(EMPTY, Ordering::Release);
        self.forget(held.counted_in, held.address);
        held.payload
    }

    fn forget(&self, counted_in: Level, address: usize) {
        self.filter.remove(counted_in, address);
        self.len.sub(address);
    }

    fn find(&self, address: usize) -> Option<(&AtomicUsize, usize)> {
        for (nth, segment) in self.segments.iter().enumerate() {
            // Acquire pairs with the Release in `segment_or_map`. Segments are mapped in order.
            let first = segment.load(Ordering::Acquire);
            if first.is_null() {
                return None;
            }
            for group in groups_of(first, nth, address) {
                for (slot, payload) in group.addresses.iter().zip(&group.payloads) {
                    if slot.load(Ordering::Acquire) == address {
                        return Some((slot, payload.load(Ordering::Relaxed)));
                    }
                }
            }
        }
        None
    }

    fn segment_or_map(&self, nth: usize, segment: &AtomicPtr<Group>) -> Option<*mut Group> {
        let first = segment.load(Ordering::Acquire);
        if !first.is_null() {
            return Some(first);
        }
        let bytes = segment_bytes(nth);
        let fresh = pages::map(bytes)?;
        match segment.compare_exchange(
            ptr::null_mut(),
            fresh.as_ptr().cast(),
            // SeqCst with `addresses`.
            Ordering::SeqCst,
            Ordering::Acquire,
        ) {
            Ok(_) => {
                self.mapped.fetch_add(bytes, Ordering::Relaxed);
                Some(fresh.as_ptr().cast())
            }
            Err(first) => {
                pages::unmap(fresh, bytes);
                Some(first)
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        for (nth, segment) in self.segments.iter_mut().enumerate() {
            if let Some(first) = ptr::NonNull::new(*segment.get_mut()) {
                pages::unmap(first.cast(), segment_bytes(nth));
            }
        }
    }
}

fn segment_bytes(nth: usize) -> usize {
    (FIRST_GROUPS << nth) * size_of::<Group>()
}

/// The two groups of a segment that `address` may be in.
fn groups_of<'a>(first: *mut Group, nth: usize, address: usize) -> impl Iterator<Item = &'a Group> {
    let hash = (address as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mask = (FIRST_GROUPS << nth) - 1;
    let choices = [
        (hash >> 32) as usize & mask,
        (hash >> 8).wrapping_mul(0x2545_f491) as usize >> 8 & mask,
    ];
    choices.into_iter().map(move |index| {
        // SAFETY: `first` is segment `nth`'s mapping of `FIRST_GROUPS << nth` groups; `index` is masked to that count.
        let group = unsafe { first.add(index) };
        // SAFETY: in that mapping, which is never unmapped while the table lives; zeroed pages are groups of EMPTY
        // slots, and all access is atomic.
        unsafe { &*group }
    })
}

#[cfg(test)]
mod tests;
