//! Which entries of a profile are written when it would be too large: the largest, and the sum of the rest.

use super::heap::HeapRecord;
use crate::pages::PageVec;

/// What is written of a profile.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    /// In pages of their own: a profile by age has several entries for each of tens of thousands of buckets.
    pub(super) records: PageVec<&'a HeapRecord>,
    /// The sum of the others, if there are any.
    pub(super) folded: Option<HeapRecord>,
    /// How many those are.
    pub(super) folded_records: usize,
}

/// Keeps at most `samples` entries, the largest, in that order.
///
/// An entry's weight is its share of in-use bytes plus its share of allocated bytes, so that both a small leak among
/// much churn and the churn itself stay.
pub(super) fn keep(records: &[HeapRecord], samples: usize) -> Kept<'_> {
    let mut kept = Kept {
        records: PageVec::collect(records.iter()),
        folded: None,
        folded_records: 0,
    };
    let total = |of: fn(&HeapRecord) -> i64| {
        let values = records.iter().map(of);
        let sum: f64 = values.map(|value| value.unsigned_abs() as f64).sum();
        sum.max(1.0)
    };
    let inuse = |record: &HeapRecord| record.estimate().inuse_space;
    let alloc = |record: &HeapRecord| record.estimate().alloc_space;
    let (all_inuse, all_alloc) = (total(inuse), total(alloc));
    let weight = |record: &HeapRecord| {
        inuse(record).unsigned_abs() as f64 / all_inuse
            + alloc(record).unsigned_abs() as f64 / all_alloc
    };
    kept.records
        .as_mut_slice()
        .sort_unstable_by(|a, b| weight(b).total_cmp(&weight(a)));
    if kept.records.as_slice().len() > samples {
        kept.fold_from(samples.saturating_sub(1));
    }
    kept
}

impl Kept<'_> {
    /// Keeps the first `count` entries.
    pub(super) fn fold_from(&mut self, count: usize) {
        let rest = self.records.as_slice().get(count..).unwrap_or_default();
        self.folded_records += rest.len();
        let rest = HeapRecord::sum(rest);
        self.folded = Some(match &self.folded {
            None => rest,
            Some(folded) => HeapRecord::sum(&[&rest, folded]),
        });
        self.records.truncate(count);
    }

    /// Fewer entries, after these were too large. Always fewer, so that trying again ends.
    pub(super) fn fold_more(&mut self) {
        // The tenth is for what was written behind the entries.
        self.fold_from(self.records.as_slice().len() * 9 / 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_again_ends_with_all_of_it_in_one_entry() {
        let entry = HeapRecord::sum(&[]);
        let entries = vec![entry; 100_000];
        let mut kept = keep(&entries, 70_000);
        assert_eq!(
            (kept.records.as_slice().len(), kept.folded_records),
            (69_999, 30_001)
        );
        let mut tries = 0;
        while !kept.records.as_slice().is_empty() {
            kept.fold_more();
            tries += 1;
            assert_eq!(
                kept.records.as_slice().len() + kept.folded_records,
                entries.len()
            );
        }
        assert!(kept.folded.is_some() && tries < 200);
    }
}
