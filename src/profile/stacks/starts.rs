//! What is left of stacks when their leaves are cut off: how threads begin.
#![cfg(feature = "http")]

use super::{Entry, StackProfile};
use crate::pages::PageVec;
use crate::profile::all_mappings;
use crate::profile::frames::Frames;
use crate::profile::interned::Interned;
use crate::profile::mappings::Mappings;
use crate::profile::sites::Site;
use crate::record::Suspended;
use crate::stack::{ModuleMark, ReturnAddress};

impl StackProfile {
    /// The same of the root part of each stack, from the thread's start to the first frame that is not among those that
    /// `is_start` knows; the whole stack if there is no such frame. Of a truncated stack that part is not known.
    pub(in crate::profile) fn thread_starts(
        &self,
        is_start: fn(&Frames, &Mappings, Site) -> bool,
    ) -> Self {
        let _own = Suspended::new();
        let entries: Vec<Entry> = self.entries.iter().copied().collect();
        let mappings = all_mappings();
        let frames = self.frames(&entries, &mappings, true);
        let mut starts = self.clone();
        starts.entries = Interned::new();
        starts.frames = PageVec::new();
        for entry in &entries {
            let labels: Vec<_> = self.labels_of(entry).collect();
            let stack = self.frames_of(entry);
            let sites: Vec<Site> = Site::of_stack(stack, &mappings).collect();
            let first = sites
                .iter()
                .rposition(|site| !is_start(&frames, &mappings, *site));
            let root = match entry.is_truncated {
                true => Vec::new(),
                false => without_leaves(stack, first.unwrap_or(0)),
            };
            starts.add(&root, entry.is_truncated, entry.values, &labels);
        }
        starts
    }
}

/// A stack without so many frames on the leaf side, and with the mark that is in force behind them.
pub(in crate::profile) fn without_leaves(
    stack: &[ReturnAddress],
    leaves: usize,
) -> Vec<ReturnAddress> {
    let (mut mark, mut passed) = (None, 0);
    for (nth, word) in stack.iter().enumerate() {
        if ModuleMark::of_word(*word).is_some() {
            mark = Some(*word);
        } else if passed == leaves {
            let rest = stack.get(nth..).unwrap_or_default();
            return mark.into_iter().chain(rest.iter().copied()).collect();
        } else {
            passed += 1;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(frames: &[usize]) -> Vec<ReturnAddress> {
        frames.iter().copied().map(ReturnAddress).collect()
    }

    #[test]
    fn a_mark_stays_in_force_when_leaves_are_cut() {
        let (mark, other) = (1 << 63 | 5, 1 << 63 | 6);
        let all = stack(&[1, mark, 2, 3, other, 4]);
        for (leaves, expected) in [
            (0, &[1, mark, 2, 3, other, 4][..]),
            (1, &[mark, 2, 3, other, 4]),
            (2, &[mark, 3, other, 4]),
            (3, &[other, 4]),
            (4, &[]),
        ] {
            assert_eq!(without_leaves(&all, leaves), stack(expected), "{leaves}");
        }
    }
}
