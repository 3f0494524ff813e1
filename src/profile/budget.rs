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

/// How many entries to keep next, after `kept` of them made `bytes` where `limit` are allowed. Always fewer, so that
/// trying again ends.
pub(super) fn fewer(kept: usize, bytes: usize, limit: usize) -> usize {
    // Size goes with the number of entries, roughly; the tenth taken off beyond it makes a third round rare.
    let share = limit as f64 / bytes.max(1) as f64 * 0.9;
    ((kept as f64 * share) as usize).min(kept.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_again_ends() {
        for (mut kept, limit) in [(16_000, 4 << 20), (1, 1), (2, 0), (65_536, usize::MAX)] {
            let mut rounds = 0;
            while kept > 0 {
                kept = fewer(kept, 1_000 + 300 * kept, limit);
                rounds += 1;
                assert!(rounds <= 65_536);
            }
        }
        assert_eq!(fewer(10_000, 8 << 20, 4 << 20), 4_500);
    }
}
