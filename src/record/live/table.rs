//! Slots for records, found by address: what a shard of the live records is.
//!
//! ```text
//! segment 0:   64 groups, 64 × 8 births ─┐
//! segment 1:  128 groups, …              ├─ mapped when the ones before have no room; never unmapped, never moved
//! segment n: 64·2ⁿ groups, …             ┘
//!
//! group = 8 slots; an address may be in 2 groups of each segment: no probing, no tombstones, no rehash
//! ```
//!
//! Births lie behind all groups of their segment: 20 bytes a slot. Within the group, which is whole cache lines, they would
//! make it 24.
//!
//! The newest segment has more room than all others together, so both `claim` and `find` begin there: as records come and
//! go, nearly all are in it.

use core::marker::PhantomData;
use core::ptr;

use crate::record::birth::Birth;
use crate::record::drops::NoRoom;
use crate::record::shared::{AtomicPtr, AtomicU32, AtomicUsize, IN_MODEL, Ordering, map, unmap};

/// Slots whose addresses share a cache line.
const SLOTS: usize = if IN_MODEL { 2 } else { 8 };
/// Groups of the first segment: 512 slots, two pages, which is 256 MiB of live heap at the default rate. A table of half the
/// size is nearly full, and searched in several places, when a small program samples everything; one of twice the size
/// takes more pages of those whose threads sample little.
const FIRST_GROUPS: usize = if IN_MODEL { 1 } else { 64 };
/// Enough for 2^33 slots.
const SEGMENTS: usize = if IN_MODEL { 3 } else { 24 };

/// The address of a slot that holds no record.
pub(super) const EMPTY: usize = 0;
/// The address of a slot that is being written, or is held by a `realloc`. No block lies in page 0.
pub(super) const HELD: usize = 1;

/// Slots side by side: addresses in one cache line, what belongs to them in the next.
#[derive(Debug)]
#[repr(C, align(64))]
struct Group {
    addresses: [AtomicUsize; SLOTS],
    payloads: [AtomicUsize; SLOTS],
}

/// When the records in a group's slots were made.
#[derive(Debug)]
#[repr(transparent)]
struct Births([AtomicU32; SLOTS]);

/// A slot: the address of the block whose record is in it, the record's payload, and when it was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) address: &'a AtomicUsize,
    pub(super) payload: &'a AtomicUsize,
    pub(super) birth: &'a AtomicU32,
}

/// What a slot showed of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) payload: usize,
    pub(crate) birth: Birth,
}

/// A mapped segment.
#[derive(Clone, Copy)]
struct Segment<'a> {
    first: *mut Group,
    groups: usize,
    table: PhantomData<&'a Table>,
}

/// A table that grows by segments. On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Table {
    segments: [AtomicPtr<Group>; SEGMENTS],
    /// How many segments are mapped.
    mapped: AtomicUsize,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            segments: [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS],
            mapped: AtomicUsize::new(0),
        }
    }

    /// Bytes mapped.
    pub(super) fn mapped(&self) -> usize {
        let segments = 0..self.mapped.load(Ordering::Relaxed);
        segments.map(segment_bytes).sum()
    }

    /// Claims an empty slot for `address`: HELD from now on.
    pub(super) fn claim(&self, address: usize) -> Result<Slot<'_>, NoRoom> {
        loop {
            let mapped = self.mapped.load(Ordering::Acquire);
            for segment in self.newest_first(mapped) {
                for group in segment.groups_of(address) {
                    if let Some(slot) = group.claim() {
                        return Ok(slot);
                    }
                }
            }
            self.map(mapped)?;
        }
    }

    /// The slot that shows `address`.
    pub(super) fn find(&self, address: usize) -> Option<Slot<'_>> {
        // Acquire pairs with the Release in `map`. Whoever frees a block has synchronised with the thread that allocated
        // it, and that one has seen the segment that it put the record in.
        let mapped = self.mapped.load(Ordering::Acquire);
        for segment in self.newest_first(mapped) {
            for group in segment.groups_of(address) {
                if let Some(slot) = group.find(address) {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// The addresses that slots show. A record that is inserted meanwhile may or may not be among them.
    pub(super) fn addresses(&self) -> impl Iterator<Item = usize> {
        self.slots()
            .map(|slot| slot.address.load(Ordering::SeqCst))
            .filter(|address| is_block(*address))
    }

    /// The records that slots show. One that comes or goes meanwhile may or may not be among them, and so may one whose
    /// block is in `realloc`.
    pub(super) fn records(&self) -> impl Iterator<Item = Shown> {
        self.slots().filter_map(Slot::read)
    }

    fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        let segments = self
            .segments
            .iter()
            .enumerate()
            .map_while(|(nth, segment)| {
                // SeqCst with the exchange in `map`, as `Filter::add` demands of the slots.
                let first = ptr::NonNull::new(segment.load(Ordering::SeqCst))?;
                Some(Segment {
                    first: first.as_ptr(),
                    groups: FIRST_GROUPS << nth,
                    table: PhantomData,
                })
            });
        let groups = segments.flat_map(|segment| {
            let groups = 0..segment.groups;
            groups.map(move |index| segment.group(index))
        });
        groups.flat_map(Both::slots)
    }

    #[inline(always)]
    fn newest_first(&self, mapped: usize) -> impl Iterator<Item = Segment<'_>> {
        let segments = self.segments.iter().enumerate().take(mapped).rev();
        segments.map(|(nth, first)| Segment {
            // Acquire pairs with the Release half of the exchange in `map`; never null below `mapped`.
            first: first.load(Ordering::Acquire),
            groups: FIRST_GROUPS << nth,
            table: PhantomData,
        })
    }

    /// Maps segment `nth`, the first that is not, unless another thread has.
    #[cold]
    #[inline(never)]
    fn map(&self, nth: usize) -> Result<(), NoRoom> {
        let segment = self.segments.get(nth).ok_or(NoRoom::Limit)?;
        if segment.load(Ordering::Acquire).is_null() {
            let fresh = map(segment_bytes(nth)).ok_or(NoRoom::Memory)?;
            // SeqCst with `addresses`.
            let published = segment.compare_exchange(
                ptr::null_mut(),
                fresh.as_ptr().cast(),
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            if published.is_err() {
                unmap(fresh, segment_bytes(nth));
            }
        }
        // Whoever mapped it may have been interrupted before this, so everyone says it.
        self.mapped.fetch_max(nth + 1, Ordering::AcqRel);
        Ok(())
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for (nth, segment) in self.segments.iter_mut().enumerate() {
            if let Some(first) = ptr::NonNull::new(*segment.get_mut()) {
                unmap(first.cast(), segment_bytes(nth));
            }
        }
    }
}

impl<'a> Segment<'a> {
    /// The two groups that `address` may be in.
    #[inline(always)]
    fn groups_of(self, address: usize) -> [Both<'a>; 2] {
        let hash = (address as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        [hash >> 32, (hash >> 8).wrapping_mul(0x2545_f491) >> 8]
            .map(|choice| self.group(choice as usize))
    }

    /// Group `index`, modulo how many there are.
    #[inline(always)]
    fn group(self, index: usize) -> Both<'a> {
        let index = index & (self.groups - 1);
        // SAFETY: `first` is a mapping of `groups` groups, a power of two that `index` is masked to, and as many births.
        let group = unsafe { self.first.add(index) };
        // SAFETY: as above: the births begin where the groups end.
        let births = unsafe { self.first.add(self.groups) }.cast::<Births>();
        // SAFETY: as above.
        let births = unsafe { births.add(index) };
        Both {
            // SAFETY: in that mapping, which is never unmapped while the table lives; zeroed pages are groups of EMPTY
            // slots, and all access is atomic.
            group: unsafe { &*group },
            // SAFETY: as above.
            births: unsafe { &*births },
        }
    }
}

/// A group and its births.
#[derive(Debug, Clone, Copy)]
struct Both<'a> {
    group: &'a Group,
    births: &'a Births,
}

impl<'a> Both<'a> {
    #[inline(always)]
    fn slots(self) -> impl Iterator<Item = Slot<'a>> {
        let pairs = self.group.addresses.iter().zip(&self.group.payloads);
        pairs
            .zip(&self.births.0)
            .map(|((address, payload), birth)| Slot {
                address,
                payload,
                birth,
            })
    }

    #[inline(always)]
    fn claim(self) -> Option<Slot<'a>> {
        self.slots().find(|slot| {
            slot.address.load(Ordering::Relaxed) == EMPTY
                // Acquire pairs with the Release of whoever emptied it, who read the payload before.
                && slot
                    .address
                    .compare_exchange(EMPTY, HELD, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        })
    }

    #[inline(always)]
    fn find(self, address: usize) -> Option<Slot<'a>> {
        // Acquire pairs with the Release of whoever showed it: who sees the address sees its payload.
        self.slots()
            .find(|slot| slot.address.load(Ordering::Acquire) == address)
    }
}

impl Slot<'_> {
    /// Writes a record into a slot that the caller has claimed, which is not to be seen before its address is.
    ///
    /// Release, and the birth first, as `read` needs it. Births in one slot never decrease: each is read from the clock
    /// after its slot was claimed, which was after the record before it had gone.
    #[inline(always)]
    pub(super) fn write(self, payload: usize, birth: Birth) {
        self.birth.store(birth.0, Ordering::Release);
        self.payload.store(payload, Ordering::Release);
    }

    /// The record in the slot, for who does not own its block; None if there is none or if it changes under the reader's
    /// eyes.
    ///
    /// Payload and birth are of one record. Number the records that the slot has had. Each read is an Acquire of a Release,
    /// and a record writes birth, payload and address in this order after its claim, which saw the record before it go. So
    /// of the six reads, in their order, each is of the same record as the read before it or of a later one: payload p
    /// of record j, birth b of k ≥ j, then the address, shown again by l ≥ k, p again of m ≥ l and b again of n ≥ m. Births
    /// do not decrease, so m's lies between k's and n's, which are equal: m has p and b. An address that comes back to its
    /// slot thus does no harm.
    fn read(self) -> Option<Shown> {
        let read = || {
            let address = self.address.load(Ordering::Acquire);
            let payload = self.payload.load(Ordering::Acquire);
            let birth = Birth(self.birth.load(Ordering::Acquire));
            is_block(address).then_some((address, Shown { payload, birth }))
        };
        let first = read()?;
        (read()? == first).then_some(first.1)
    }
}

/// Whether a slot that has it shows a record.
fn is_block(address: usize) -> bool {
    !matches!(address, EMPTY | HELD)
}

fn segment_bytes(nth: usize) -> usize {
    (FIRST_GROUPS << nth) * (size_of::<Group>() + size_of::<Births>())
}
