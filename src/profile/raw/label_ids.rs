//! Where the strings of label sets are in the string table, in memory of a fixed size.

use crate::pages::PageVec;
use crate::record::{self, LabelSet};

/// Sets that are remembered, whatever the limit says: 512 KiB. The strings of others are written with each sample.
const MOST: usize = 1 << 16;

/// The index of the first string of each set that has been written.
#[derive(Debug)]
pub(super) struct LabelIds {
    /// By the set's number; 0 where there is none, which is the empty string's.
    first: PageVec<u64>,
}

impl LabelIds {
    /// None if the system has no memory for it.
    pub(super) fn reserve() -> Option<Self> {
        let sets = record::limits().label_sets.min(MOST) + 1;
        let first = PageVec::try_collect(std::iter::repeat_n(0, sets))?;
        Some(Self { first })
    }

    pub(super) fn clear(&mut self) {
        self.first.as_mut_slice().fill(0);
    }

    pub(super) fn get(&self, set: LabelSet) -> Option<u64> {
        if set.is_none() {
            return Some(0);
        }
        let first = self.first.as_slice().get(set.number() as usize);
        first.copied().filter(|first| *first > 0)
    }

    pub(super) fn set(&mut self, set: LabelSet, first: u64) {
        let slot = self.first.as_mut_slice().get_mut(set.number() as usize);
        if let Some(slot) = slot {
            *slot = first;
        }
    }
}
