//! `HeapRecord`: what a bucket, or what a limit has folded, comes to, all of it or by age.

use super::HeapValues;
use crate::labels;
use crate::profile::ages::{AgeClass, Ages, Counts};
use crate::record::{self, Bucket, FoldedTotals};
use crate::scale;
use crate::stack::places;

/// One entry of a heap profile: the samples of one call stack, object size and set of labels, or of one call stack, and, in a
/// profile by age, of one class of ages.
#[derive(Debug, Clone, Copy)]
pub struct HeapRecord {
    /// None for the entry of samples that a limit has folded.
    pub(super) bucket: Option<&'static Bucket>,
    /// In a profile by age.
    pub(super) age: Option<AgeClass>,
    pub(super) sampled: HeapValues,
    pub(super) estimate: HeapValues,
}

impl HeapRecord {
    pub(super) fn of_bucket(bucket: &'static Bucket) -> Self {
        if let Some(totals) = bucket.mixed_totals() {
            return Self::of_totals(Some(bucket), totals);
        }
        let (allocs, frees) = bucket.counts();
        // Frees were read first, so this is never negative.
        let inuse = allocs.saturating_sub(frees);
        Self::of_counts(BucketCounts {
            bucket,
            allocs,
            inuse,
        })
    }

    pub(super) fn of_counts(
        BucketCounts {
            bucket,
            allocs,
            inuse,
        }: BucketCounts,
    ) -> Self {
        let values = |of: &dyn Fn(u64) -> (i64, i64)| HeapValues::of(of(allocs), of(inuse));
        Self {
            bucket: Some(bucket),
            age: None,
            sampled: values(&|count| stands_for(bucket, count, 1)),
            estimate: values(&|count| stands_for(bucket, count, bucket.rate())),
        }
    }

    /// Of samples of many sizes.
    pub(super) fn of_totals(
        bucket: Option<&'static Bucket>,
        (allocs, frees): (FoldedTotals, FoldedTotals),
    ) -> Self {
        let values = |objects: fn(&FoldedTotals) -> u64, bytes: fn(&FoldedTotals) -> u64| {
            let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            HeapValues {
                alloc_objects: whole(objects(&allocs)),
                alloc_space: whole(bytes(&allocs)),
                inuse_objects: whole(objects(&allocs).saturating_sub(objects(&frees))),
                inuse_space: whole(bytes(&allocs).saturating_sub(bytes(&frees))),
            }
        };
        Self {
            bucket,
            age: None,
            sampled: values(|totals| totals.samples, |totals| totals.sampled_bytes),
            estimate: values(|totals| totals.objects, |totals| totals.bytes),
        }
    }

    /// All there are now.
    pub(in crate::profile) fn all() -> impl Iterator<Item = HeapRecord> {
        let folded = HeapRecord::of_totals(None, record::folded());
        let folded = (!folded.sampled.is_zero()).then_some(folded);
        folded
            .into_iter()
            .chain(record::buckets().map(HeapRecord::of_bucket))
    }

    /// This entry as far as it is as old as was asked for, split by class if it was. In each part `alloc_*` equal
    /// `inuse_*`: what is allocated and not freed. What is freed is a part of its own, unless only what is old counts.
    ///
    /// Parts add up to the whole, value by value. Each is the difference of two estimates, for all objects that are as old or
    /// older: scaled one by one, the parts would lose up to one object each.
    pub(super) fn by_age(self, counts: Counts, ages: Ages) -> impl Iterator<Item = HeapRecord> {
        let mut older = 0;
        let alive = counts.oldest_first().map(move |(class, count)| {
            let before = self.inuse(older);
            older += count;
            let with = self.inuse(older);
            HeapRecord {
                bucket: self.bucket,
                age: ages.by_class.then_some(class),
                sampled: with.sampled - before.sampled,
                estimate: with.estimate - before.estimate,
            }
        });
        let freed = ages.min_age.is_none().then(|| {
            let inuse = self.inuse(self.sampled.inuse_objects.unsigned_abs());
            HeapRecord {
                bucket: self.bucket,
                age: Some(AgeClass::FREED),
                sampled: self.sampled - inuse.sampled,
                estimate: self.estimate - inuse.estimate,
            }
        });
        let parts = alive.chain(freed);
        parts.filter(|part| !part.sampled.is_zero())
    }

    /// `count` of its sampled objects that are in use, as if they were all that was ever allocated.
    fn inuse(&self, count: u64) -> Self {
        let values = |of: HeapValues, rate: fn(&Bucket) -> usize| {
            let one_size = self
                .bucket
                .and_then(|bucket| Some((bucket, bucket.size()?)));
            let inuse = match one_size {
                Some((bucket, size)) => scale::estimate(count, size, rate(bucket)),
                // Sizes and rates differ, and of no object is known which it has: its share of all.
                None => {
                    let all = i128::from(self.sampled.inuse_objects.max(1));
                    let share = |of: i64| (i128::from(of) * i128::from(count) / all) as i64;
                    (share(of.inuse_objects), share(of.inuse_space))
                }
            };
            HeapValues::of(inuse, inuse)
        };
        Self {
            bucket: self.bucket,
            age: None,
            sampled: values(self.sampled, |_| 1),
            estimate: values(self.estimate, Bucket::rate),
        }
    }

    /// All of `records` as one, without a stack.
    pub(in crate::profile) fn sum(records: &[&HeapRecord]) -> Self {
        let add = |of: fn(&HeapRecord) -> HeapValues| {
            records
                .iter()
                .fold(HeapValues::default(), |sum, record| sum + of(record))
        };
        Self {
            bucket: None,
            age: None,
            sampled: add(HeapRecord::sampled),
            estimate: add(HeapRecord::estimate),
        }
    }

    /// What tells entries apart: the bucket, which has its labels, None for what a limit has folded, and the class of ages.
    pub(super) fn key(&self) -> (Option<*const Bucket>, Option<AgeClass>) {
        (self.bucket.map(std::ptr::from_ref), self.age)
    }

    pub(in crate::profile) fn bucket(&self) -> Option<&'static Bucket> {
        self.bucket
    }

    /// How long these objects have lived, in a profile by age.
    pub fn age(&self) -> Option<AgeClass> {
        self.age
    }

    /// The call stack as return addresses, leaf first; empty if a limit has folded it away. Of what a signal handler
    /// interrupted, one past the address of the instruction, so that the code is at each of them less one.
    pub fn stack(&self) -> impl Iterator<Item = usize> {
        self.bucket
            .into_iter()
            .flat_map(|bucket| places(bucket.frames()).map(|(frame, _)| frame.0))
    }

    /// The [`labels`](crate::labels) that these objects were allocated under, in the order of their keys.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.bucket
            .into_iter()
            .flat_map(|bucket| labels::of(bucket.labels()))
    }

    /// Bytes of one object, as requested. None where sizes differ: for the entry of folded samples, and for those of a stack
    /// that came near the limit on buckets, see [`ProfilerStats::mixed_sizes`](crate::ProfilerStats::mixed_sizes).
    pub fn size(&self) -> Option<usize> {
        self.bucket.and_then(Bucket::size)
    }

    /// The variance of the estimate of in-use bytes. Of N objects in use each is sampled with probability p = 1/k, so
    /// the count has variance N·p·(1−p); with N estimated by n·k and each sample worth size·k, that is n·k·(k−1)·size².
    ///
    /// Of sizes that are mixed it is the most that it can be, n·R² at a rate of R: k·(k−1)·size² comes near R² for small
    /// sizes, and is less for all others.
    pub(super) fn inuse_space_variance(&self) -> f64 {
        let Some(bucket) = self.bucket else {
            return 0.0;
        };
        let rate = bucket.rate();
        let of_a_sample = match bucket.size() {
            Some(size) => {
                let factor = scale::factor(size, rate);
                factor * (factor - 1.0) * size as f64 * size as f64
            }
            // Nothing is estimated.
            None if rate <= 1 => 0.0,
            None => rate as f64 * rate as f64,
        };
        self.sampled.inuse_objects.unsigned_abs() as f64 * of_a_sample
    }

    /// What was sampled, as counted.
    pub fn sampled(&self) -> HeapValues {
        self.sampled
    }

    /// What the samples stand for: each count divided by the chance of being sampled, cut to whole numbers.
    pub fn estimate(&self) -> HeapValues {
        self.estimate
    }
}

/// The sampled counts of a bucket at some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BucketCounts {
    pub(crate) bucket: &'static Bucket,
    pub(crate) allocs: u64,
    /// Allocated and not freed.
    pub(crate) inuse: u64,
}

/// What `count` samples of a bucket stand for at a rate, which is its own, or 1 for as they were counted: (objects, bytes).
/// Where sizes are mixed, as many of its mean.
fn stands_for(bucket: &Bucket, count: u64, rate: usize) -> (i64, i64) {
    match (bucket.size(), bucket.mixed_totals()) {
        (Some(size), _) => scale::estimate(count, size, rate),
        (None, totals) => {
            let (allocs, _) = totals.unwrap_or_default();
            let share = |of: u64| {
                let share = u128::from(of) * u128::from(count) / u128::from(allocs.samples.max(1));
                i64::try_from(share).unwrap_or(i64::MAX)
            };
            match rate {
                1 => (share(allocs.samples), share(allocs.sampled_bytes)),
                _ => (share(allocs.objects), share(allocs.bytes)),
            }
        }
    }
}
