//! Entries that are kept once and numbered in the order they came, in pages of their own: large tables that pass through the
//! host's allocator make glibc keep as much of what it is given back from then on.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::pages::PageVec;

/// A part of a long text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    start: u32,
    len: u32,
}

impl Text {
    /// Appends a text. None if there is no memory for it.
    pub(super) fn add(to: &mut PageVec<u8>, text: &str) -> Option<Self> {
        let start = u32::try_from(to.as_slice().len()).ok()?;
        let len = u32::try_from(text.len()).ok()?;
        to.extend(text.as_bytes()).then_some(Self { start, len })
    }

    pub(super) fn of(self, all: &[u8]) -> &[u8] {
        let start = self.start as usize;
        let text = start..start + self.len as usize;
        all.get(text).unwrap_or_default()
    }
}

/// Entries that are found by what they hold.
#[derive(Debug, Clone)]
pub(super) struct Interned<T: Copy> {
    entries: PageVec<T>,
    hashes: PageVec<u64>,
    /// Indices of entries plus 1, 0 where there is none; a power of two of them, at most half of them used. The hash of an
    /// entry says where to begin to look for it.
    slots: PageVec<u32>,
}

impl<T: Copy> Interned<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: PageVec::new(),
            hashes: PageVec::new(),
            slots: PageVec::new(),
        }
    }

    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.entries.as_slice())
            + size_of_val(self.hashes.as_slice())
            + size_of_val(self.slots.as_slice())
    }

    pub(super) fn len(&self) -> usize {
        self.entries.as_slice().len()
    }

    /// In the order they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.as_slice().iter()
    }

    pub(super) fn get(&self, nth: u32) -> Option<&T> {
        self.entries.as_slice().get(nth as usize)
    }

    pub(super) fn get_mut(&mut self, nth: u32) -> Option<&mut T> {
        self.entries.as_mut_slice().get_mut(nth as usize)
    }

    pub(super) fn find(&self, hash: u64, is_meant: impl Fn(&T) -> bool) -> Option<u32> {
        let slots = self.slots.as_slice();
        let mask = slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let nth = slots.get(at)?.checked_sub(1)?;
            let is_found =
                self.hashes.as_slice().get(nth as usize) == Some(&hash) && is_meant(self.get(nth)?);
            if is_found {
                return Some(nth);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry that `find` does not find, and numbers it. None if there is no memory for it.
    pub(super) fn add(&mut self, hash: u64, entry: T) -> Option<u32> {
        let nth = u32::try_from(self.entries.as_slice().len()).ok()?;
        if (nth as usize + 1) * 2 > self.slots.as_slice().len() {
            self.spread()?;
        }
        // Room for both first, so that one is never there without the other.
        (self.hashes.reserve(1) && self.entries.push(entry) && self.hashes.push(hash))
            .then_some(())?;
        Self::put(&mut self.slots, hash, nth);
        Some(nth)
    }

    /// Makes twice as many slots.
    #[cold]
    fn spread(&mut self) -> Option<()> {
        let count = (self.slots.as_slice().len() * 2).max(1024);
        let mut slots = PageVec::new();
        slots.reserve(count).then_some(())?;
        (0..count).all(|_| slots.push(0)).then_some(())?;
        for (nth, hash) in (0..).zip(self.hashes.as_slice()) {
            Self::put(&mut slots, *hash, nth);
        }
        self.slots = slots;
        Some(())
    }

    fn put(slots: &mut PageVec<u32>, hash: u64, nth: u32) {
        let slots = slots.as_mut_slice();
        let mask = slots.len().saturating_sub(1);
        let mut at = hash as usize & mask;
        // At most half are used, so there is an empty one.
        while let Some(slot) = slots.get_mut(at) {
            if *slot == 0 {
                *slot = nth + 1;
                return;
            }
            at = (at + 1) & mask;
        }
    }
}

pub(super) fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
