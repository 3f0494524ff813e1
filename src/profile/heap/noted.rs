//! Heap profiles of what was noted earlier: counts of another moment, and what has grown since.

use std::time::{Duration, Instant, SystemTime};

use super::{Ages, BucketCounts, HeapProfile, HeapRecord, HeapValues, Shape, room_for_a_profile};
use crate::pages::{self, PageVec};
use crate::record::{Bucket, FoldedTotals, Suspended};
use crate::scale;

impl HeapProfile {
    /// The profile as it was at an earlier moment, of the counts that were noted then. None if the system has no memory
    /// for it.
    pub(crate) fn of_counts(
        counts: impl Iterator<Item = BucketCounts>,
        folded: (FoldedTotals, FoldedTotals),
        rate: usize,
        taken: Instant,
    ) -> Option<HeapProfile> {
        let folded = HeapRecord::of_totals(None, folded);
        let records = counts.map(HeapRecord::of_counts).chain([folded]);
        let records = records.filter(|record| !record.sampled.is_zero());
        Self::of_records(records, Shape::Heap, rate, taken)
    }

    /// What grows, an entry for each stack: the bucket that stands for it, and its values in their order.
    pub(crate) fn of_leaks(
        leaks: impl Iterator<Item = (&'static Bucket, [i64; 4])>,
        rate: usize,
        duration: Duration,
    ) -> Option<HeapProfile> {
        let records = leaks.map(
            |(bucket, [alloc_objects, alloc_space, inuse_objects, inuse_space])| {
                let values = HeapValues {
                    alloc_objects,
                    alloc_space,
                    inuse_objects,
                    inuse_space,
                };
                HeapRecord {
                    bucket: Some(bucket),
                    age: None,
                    sampled: values,
                    estimate: values,
                }
            },
        );
        let profile = Self::of_records(records, Shape::Leaks, rate, Instant::now())?;
        Some(HeapProfile {
            duration: Some(duration),
            ..profile
        })
    }

    fn of_records(
        records: impl Iterator<Item = HeapRecord>,
        shape: Shape,
        rate: usize,
        taken: Instant,
    ) -> Option<HeapProfile> {
        let _own = Suspended::new();
        if !pages::has_room(room_for_a_profile(Ages::default())) {
            return None;
        }
        let mut records = PageVec::try_collect(records)?;
        records.as_mut_slice().sort_unstable_by_key(HeapRecord::key);
        Some(HeapProfile {
            records,
            rate,
            // By the clock as it is now, in case that it was set meanwhile.
            time: SystemTime::now()
                .checked_sub(taken.elapsed())
                .unwrap_or(SystemTime::UNIX_EPOCH),
            taken,
            duration: None,
            ages: Ages::default(),
            rest: None,
            shape,
            notes: Vec::new(),
        })
    }

    /// With something that its reader should know.
    pub(crate) fn with_note(mut self, note: String) -> HeapProfile {
        self.notes.push(note);
        self
    }

    /// When it was taken, by the clock that is never set.
    pub(crate) fn taken(&self) -> Instant {
        self.taken
    }
}

/// Objects and bytes that each sample of a bucket stands for; the mean, where sizes are mixed.
pub(crate) fn weight(bucket: &Bucket) -> (f64, f64) {
    match bucket.size() {
        Some(size) => {
            let objects = scale::factor(size, bucket.rate());
            (objects, size as f64 * objects)
        }
        None => {
            let (allocs, _) = bucket.mixed_totals().unwrap_or_default();
            let samples = allocs.samples.max(1) as f64;
            (
                allocs.objects as f64 / samples,
                allocs.bytes as f64 / samples,
            )
        }
    }
}
