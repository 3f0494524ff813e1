//! Every set of labels once, numbered, in a lock-free table that only grows.
//!
//! ```text
//! one mapping, made for the first set:
//! ┌──────┬──────────────────────┬───────────────────────────────────────┐
//! │ Head │ places: u32 per set  │ Set, lengths, text │ Set, … │ not used │
//! └──────┴──────────────────────┴───────────────────────────────────────┘
//!            number − 1 ─▶ place    ▲ of 8 bytes each, from the mapping's begin
//! heads[hash] ───────────────────▶ place ─▶ place ─▶ 0        newest first
//! ```
//!
//! Lock-free, so a fork child and a panicking thread find it whole. One mapping of a fixed size, so that what a flood of
//! labels takes is bounded, and a look-up by number is one load.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::Counters;
use super::merged::{MAX_KEY_BYTES, MAX_LABELS, MAX_VALUE_BYTES, Merged};
use crate::pages;
use crate::record::{self, LabelSet};
use crate::stack::mix;

/// Chain heads, 8 KiB of zeros: two sets a chain at the default limit. A power of two.
const HEADS: usize = 2048;

/// Bytes for each set that may be there: a few labels of some tens of bytes.
const SET_BYTES: usize = 256;

/// What places count in: a mapping of up to 32 GiB, and sets are aligned to it.
const UNIT: usize = 8;

/// The most sets that are counted, whatever the limit says: a mapping of 272 MB.
const MOST_SETS: usize = 1 << 20;

/// All sets.
#[derive(Debug)]
pub(super) struct Interner {
    /// Null until the first set.
    region: AtomicPtr<Region>,
    /// Places of the newest set of each chain, 0 where there is none.
    heads: [AtomicU32; HEADS],
    dropped: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
}

/// What stands at the beginning of the mapping.
#[repr(C)]
struct Region {
    /// Of the mapping.
    bytes: usize,
    /// How many sets it may hold.
    limit: u32,
    /// What is given out, in one word, so that nothing has to be given back that another has counted on:
    ///
    /// ```text
    /// 63        32 31       0
    /// │ sets      │ next place │
    /// ```
    given: AtomicU64,
}

/// A set; its lengths and its text follow.
#[repr(C)]
struct Set {
    /// The place of the next in its chain.
    next: AtomicU32,
    hash: u32,
    number: u32,
    labels: u32,
}

/// Of a key and of its value: two bytes are enough.
type Lengths = [u8; 2];

const _: () = assert!(align_of::<Set>() <= UNIT && align_of::<Region>() == UNIT);
const _: () = assert!(MAX_KEY_BYTES + MAX_VALUE_BYTES <= u8::MAX as usize);

impl Interner {
    pub(super) const fn new() -> Self {
        Self {
            region: AtomicPtr::new(core::ptr::null_mut()),
            heads: [const { AtomicU32::new(0) }; HEADS],
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }

    /// The set of these labels; none, and counted, if there is no room for one more.
    pub(super) fn find_or_insert(&self, labels: &mut Merged<'_>) -> LabelSet {
        let found = self.find(labels.as_slice());
        let found = found.unwrap_or_else(|| self.insert(labels));
        if labels.refused > 0 {
            self.refused.fetch_add(labels.refused, Ordering::Relaxed);
        }
        if labels.cut > 0 {
            self.cut.fetch_add(labels.cut, Ordering::Relaxed);
        }
        found
    }

    fn find(&self, labels: &[(&str, &str)]) -> Option<LabelSet> {
        if labels.is_empty() {
            return Some(LabelSet::NONE);
        }
        let hash = hash(labels);
        let head = self.heads.get(hash as usize & (HEADS - 1))?;
        // As in `find_or_insert_sorted`.
        let newest = head.load(Ordering::Acquire);
        Region::at(self.region.load(Ordering::Acquire))?.find(newest, 0, hash, labels)
    }

    #[cold]
    #[inline(never)]
    fn insert(&self, labels: &mut Merged<'_>) -> LabelSet {
        labels.cut_at_nuls();
        let labels = labels.as_slice();
        if labels.is_empty() {
            return LabelSet::NONE;
        }
        let limit = || record::limits().label_sets;
        self.find_or_insert_sorted(labels, limit)
            .unwrap_or_else(|| {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                LabelSet::NONE
            })
    }

    /// `limit` is asked for the first set only: what there may be is mapped with it.
    fn find_or_insert_sorted(
        &self,
        labels: &[(&str, &str)],
        limit: impl FnOnce() -> usize,
    ) -> Option<LabelSet> {
        let region = self.region(limit)?;
        let hash = hash(labels);
        let head = self.heads.get(hash as usize & (HEADS - 1))?;
        // Acquire pairs with the Release of the push below: who sees a place sees the set.
        let mut newest = head.load(Ordering::Acquire);
        if let Some(found) = region.find(newest, 0, hash, labels) {
            return Some(found);
        }
        let fresh = region.create(hash, labels)?;
        loop {
            fresh.set.next.store(newest, Ordering::Relaxed);
            match head.compare_exchange(newest, fresh.place, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return Some(LabelSet::numbered(fresh.set.number)),
                Err(now) => {
                    // Others pushed meanwhile: only what they pushed needs a look.
                    if let Some(found) = region.find(now, newest, hash, labels) {
                        region.give_back(fresh.given);
                        return Some(found);
                    }
                    newest = now;
                }
            }
        }
    }

    /// The labels of a set, in the order of their keys. Of a number that none has: nothing.
    pub(super) fn get(&self, set: LabelSet) -> Labels<'_> {
        let number = set.number() as usize;
        let found = number.checked_sub(1).and_then(|nth| {
            let region = Region::at(self.region.load(Ordering::Acquire))?;
            region.set(region.places().get(nth)?.load(Ordering::Acquire))
        });
        match found {
            Some(set) => set.labels(),
            None => Labels {
                lengths: &[],
                text: &[],
            },
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let region = Region::at(self.region.load(Ordering::Acquire));
        let sets = |region: &Region| (region.given.load(Ordering::Relaxed) >> 32) as usize;
        Counters {
            sets: region.map_or(0, sets),
            memory: region.map_or(0, |region| region.bytes),
            dropped: self.dropped.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            cut: self.cut.load(Ordering::Relaxed),
        }
    }

    /// The mapping, made if there is none; None if there is to be none, or no memory for it.
    fn region(&self, limit: impl FnOnce() -> usize) -> Option<&Region> {
        // Acquire pairs with the AcqRel in `map`: who sees the mapping sees its head.
        let known = Region::at(self.region.load(Ordering::Acquire));
        known.or_else(|| self.map(limit()))
    }

    #[cold]
    #[inline(never)]
    fn map(&self, limit: usize) -> Option<&Region> {
        let limit = limit.min(MOST_SETS);
        if limit == 0 {
            return None;
        }
        // Whatever the limit, the largest set has room.
        let sets = limit * SET_BYTES + MAX_LABELS * (MAX_KEY_BYTES + MAX_VALUE_BYTES + 4);
        let bytes = (Region::first_place(limit) * UNIT + sets).next_multiple_of(pages::PAGE);
        let start = pages::map(bytes)?;
        let region = start.cast::<Region>();
        let head = Region {
            bytes,
            limit: limit as u32,
            given: AtomicU64::new(Region::first_place(limit) as u64),
        };
        // SAFETY: the mapping is larger, page-aligned, and nobody else has seen it.
        unsafe { region.write(head) };
        match self.region.compare_exchange(
            core::ptr::null_mut(),
            region.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => Region::at(region.as_ptr()),
            Err(first) => {
                // Another thread was first: use that one.
                pages::unmap(start, bytes);
                Region::at(first)
            }
        }
    }
}

/// A set that no chain has yet.
struct Fresh<'a> {
    set: &'a Set,
    place: u32,
    /// `Region::given` before and after.
    given: (u64, u64),
}

impl Region {
    /// What is at `region`, for as long as the process runs; None for null.
    fn at<'a>(region: *mut Region) -> Option<&'a Region> {
        // SAFETY: null, or what `Interner::map` has mapped and initialised; it is never unmapped once it is shared.
        NonNull::new(region).map(|region| unsafe { region.as_ref() })
    }

    /// Where sets begin, in units.
    const fn first_place(limit: usize) -> usize {
        (size_of::<Region>() + limit * size_of::<AtomicU32>()).div_ceil(UNIT)
    }

    /// A pointer into the mapping, of which it is the first byte that is not for the head alone.
    fn start(&self) -> *const u8 {
        // A pointer made from `&self` may reach no further than the head.
        let _ = core::ptr::from_ref(self).expose_provenance();
        core::ptr::with_exposed_provenance(core::ptr::from_ref(self).addr())
    }

    /// By number − 1.
    fn places(&self) -> &[AtomicU32] {
        // SAFETY: the mapping has room for the head and, behind it, as many places as its limit: see `first_place`.
        let first = unsafe { self.start().add(size_of::<Region>()) }.cast::<AtomicU32>();
        // SAFETY: as above; they are zeros at first, which places may be, and aligned since the head's size is a multiple of 8.
        unsafe { core::slice::from_raw_parts(first, self.limit as usize) }
    }

    /// The set at a place; None at 0.
    fn set(&self, place: u32) -> Option<&Set> {
        if place == 0 {
            return None;
        }
        // SAFETY: places other than 0 are those that `create` gave out, within the mapping.
        let set = unsafe { self.start().add(place as usize * UNIT) }.cast::<Set>();
        // SAFETY: `create` has written a set there before it showed the place to anybody, and nobody writes to it but
        // through its atomics.
        Some(unsafe { &*set })
    }

    /// Looks along a chain from `first` up to, not including, `end`.
    fn find(&self, first: u32, end: u32, hash: u32, labels: &[(&str, &str)]) -> Option<LabelSet> {
        let mut place = first;
        while place != end {
            let set = self.set(place)?;
            if set.hash == hash && set.labels().eq(labels.iter().copied()) {
                return Some(LabelSet::numbered(set.number));
            }
            place = set.next.load(Ordering::Acquire);
        }
        None
    }

    /// Writes a set behind the last, and numbers it. None if there is no room for it.
    #[cold]
    #[inline(never)]
    fn create(&self, hash: u32, labels: &[(&str, &str)]) -> Option<Fresh<'_>> {
        let text: usize = labels
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        let bytes = size_of::<Set>() + size_of::<Lengths>() * labels.len() + text;
        let units = bytes.div_ceil(UNIT) as u64;
        let more = |given: u64| {
            let (sets, next) = (given >> 32, given & u64::from(u32::MAX));
            let has_room =
                sets < self.limit.into() && (next + units) * UNIT as u64 <= self.bytes as u64;
            has_room.then_some((sets + 1) << 32 | (next + units))
        };
        let before = self
            .given
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        let place = (before & u64::from(u32::MAX)) as u32;
        let number = (before >> 32) as u32 + 1;
        let set = Set {
            next: AtomicU32::new(0),
            hash,
            number,
            labels: labels.len() as u32,
        };
        // SAFETY: within the mapping, see `more`; these bytes were given to this call alone.
        let start = unsafe { self.start().cast_mut().add(place as usize * UNIT) };
        // SAFETY: as above, and aligned to `UNIT`.
        unsafe { start.cast::<Set>().write(set) };
        // SAFETY: as above.
        let mut end = unsafe { start.add(size_of::<Set>()) };
        let mut put = |bytes: &[u8]| {
            // SAFETY: what is put is as much as was counted in `bytes`; text of the program's does not overlap the mapping's
            // unused part.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len()) };
            // SAFETY: as above: at most one past what was given.
            end = unsafe { end.add(bytes.len()) };
        };
        for (key, value) in labels {
            put(&[key.len() as u8, value.len() as u8]);
        }
        for (key, value) in labels {
            put(key.as_bytes());
            put(value.as_bytes());
        }
        // Release pairs with the Acquire in `Interner::get`.
        self.places()
            .get(number as usize - 1)?
            .store(place, Ordering::Release);
        Some(Fresh {
            set: self.set(place)?,
            place,
            given: (before, more(before)?),
        })
    }

    /// Takes back what was given out last, if it is still the last. Else a set that another thread has made too stays there,
    /// and has a number.
    fn give_back(&self, (before, after): (u64, u64)) {
        let _ = self
            .given
            .compare_exchange(after, before, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl Set {
    fn labels(&self) -> Labels<'_> {
        let count = self.labels as usize;
        let behind = core::ptr::from_ref(self).addr() + size_of::<Self>();
        // A pointer made from `&self` may reach no further than the set; `Region::start` has exposed one to the mapping.
        let lengths = core::ptr::with_exposed_provenance::<Lengths>(behind);
        // SAFETY: `Region::create` has written as many lengths right behind the set before anybody could see it.
        let lengths = unsafe { core::slice::from_raw_parts(lengths, count) };
        let text = lengths.iter().flatten().map(|len| usize::from(*len)).sum();
        let start = core::ptr::with_exposed_provenance::<u8>(behind + size_of_val(lengths));
        // SAFETY: and behind them a text as long as they say together.
        let text = unsafe { core::slice::from_raw_parts(start, text) };
        Labels { lengths, text }
    }
}

/// The labels of a set.
#[derive(Debug, Clone)]
pub(super) struct Labels<'a> {
    lengths: &'a [Lengths],
    text: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let ([key, value], lengths) = self.lengths.split_first()?;
        let (key, rest) = self.text.split_at_checked((*key).into())?;
        let (value, text) = rest.split_at_checked((*value).into())?;
        (self.lengths, self.text) = (lengths, text);
        // SAFETY: `Region::create` has copied whole `str`s, of these lengths, one behind the other.
        let [key, value] = [key, value].map(|text| unsafe { core::str::from_utf8_unchecked(text) });
        Some((key, value))
    }
}

/// Mixes all of the labels. No hash that withstands an attacker: chains are of all sets at most, whose number is bounded.
fn hash(labels: &[(&str, &str)]) -> u32 {
    let mut hash = labels.len() as u64;
    for (key, value) in labels {
        hash = mix(hash, (key.len() << 8 | value.len()) as u64);
        for text in [key, value] {
            let (words, rest) = text.as_bytes().as_chunks::<8>();
            for word in words {
                hash = mix(hash, u64::from_le_bytes(*word));
            }
            let last = rest
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            hash = mix(hash, last);
        }
    }
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests;
