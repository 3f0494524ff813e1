//! What a profile comes to, with the error of its estimate.

use super::{HeapRecord, HeapValues};
use crate::record;

/// What the entries of a profile come to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    pub(crate) total: HeapValues,
    pub(crate) inuse_space_error: f64,
    pub(crate) sample_rate: usize,
    /// How many there have been.
    pub(crate) samples: u64,
}

impl Summary {
    /// Read now, without memory for a profile; all 0 if no allocator is installed.
    pub(crate) fn now() -> Self {
        let summary = |rate| Self::of(HeapRecord::all(), rate);
        record::sample_rate().map(summary).unwrap_or_default()
    }

    pub(in crate::profile) fn of(
        records: impl Iterator<Item = HeapRecord>,
        sample_rate: usize,
    ) -> Self {
        let mut samples = 0;
        // Folded from 0: the sum of no floats is −0, which prints its sign.
        let (total, variance) = records.fold((HeapValues::default(), 0.0), |sum, record| {
            samples += u64::try_from(record.sampled().alloc_objects).unwrap_or(0);
            (
                sum.0 + record.estimate,
                sum.1 + record.inuse_space_variance(),
            )
        });
        Self {
            total,
            inuse_space_error: f64::max(variance, 0.0).sqrt(),
            sample_rate,
            samples,
        }
    }
}
