//! Which entries of a profile are written when it would be too large: the largest, and the sum of the rest.

use super::heap::HeapRecord;

/// What is written of a profile.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) records: Vec<&'a HeapRecord>,
    /// The sum of the others, if there are any.
    pub(super) folded: Option<HeapRecord>,
    /// How many those are.
    pub(super) folded_records: usize,
}

/// Keeps at most `samples` entries, the sum of the others counted as one.
///
/// An entry's weight is its share of in-use bytes plus its share of allocated bytes, so that both a small leak among
/// much churn and the churn itself stay.
pub(super) fn keep(records: &[HeapRecord], samples: usize) -> Kept<'_> {
    let mut records: Vec<&HeapRecord> = records.iter().collect();
    if records.len() <= samples {
        return Kept {
            records,
            folded: None,
            folded_records: 0,
        };
    }
    let total = |of: fn(&HeapRecord) -> i64| {
        records
            .iter()
            .map(|record| of(record).unsigned_abs() as f64)
            .sum::<f64>()
    };
    let inuse = |record: &HeapRecord| record.estimate().inuse_space;
    let alloc = |record: &HeapRecord| record.estimate().alloc_space;
    let (all_inuse, all_alloc) = (total(inuse).max(1.0), total(alloc).max(1.0));
    let weight = |record: &HeapRecord| {
        inuse(record).unsigned_abs() as f64 / all_inuse
            + alloc(record).unsigned_abs() as f64 / all_alloc
    };
    records.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let rest = records.split_off(samples.saturating_sub(1));
    Kept {
        folded: Some(HeapRecord::sum(&rest)),
        folded_records: rest.len(),
        records,
    }
}

/// How many entries to keep next, after as many as `written` went over the limit. Always fewer, so that trying again
/// ends.
pub(super) fn fewer(written: usize) -> usize {
    // The tenth is for what is written behind the entries, and for entries that are larger than those before them; more
    // would leave out more than it must, less would make a third round common.
    written * 9 / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_again_ends() {
        let mut kept = 1_000_000;
        while kept > 0 {
            let next = fewer(kept);
            assert!(next < kept);
            kept = next;
        }
    }
}
