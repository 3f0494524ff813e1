//! `HeapProfile`: the counts of every bucket at one moment, or their growth between two.

use std::io::Write;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime};

use super::pieces::Pieces;
use super::{pprof, text};
use crate::error::Error;
use crate::pages::{self, PageVec};
use crate::record::{self, Bucket, FoldedTotals, Suspended};
use crate::scale;
use crate::stack::places;

/// The four values of a heap profile, in Go's order and with its meaning. In a profile of an interval they are growth
/// and may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeapValues {
    /// Objects allocated since the process started.
    pub alloc_objects: i64,
    /// Bytes allocated since the process started.
    pub alloc_space: i64,
    /// Objects that are allocated now.
    pub inuse_objects: i64,
    /// Bytes that are allocated now.
    pub inuse_space: i64,
}

impl HeapValues {
    pub(super) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// In the order of the profile's sample types.
    pub(super) fn in_order(self) -> [i64; 4] {
        [
            self.alloc_objects,
            self.alloc_space,
            self.inuse_objects,
            self.inuse_space,
        ]
    }

    fn zip(self, other: Self, with: fn(i64, i64) -> i64) -> Self {
        Self {
            alloc_objects: with(self.alloc_objects, other.alloc_objects),
            alloc_space: with(self.alloc_space, other.alloc_space),
            inuse_objects: with(self.inuse_objects, other.inuse_objects),
            inuse_space: with(self.inuse_space, other.inuse_space),
        }
    }
}

impl Add for HeapValues {
    type Output = Self;

    /// Saturates.
    fn add(self, other: Self) -> Self {
        self.zip(other, i64::saturating_add)
    }
}

impl Sub for HeapValues {
    type Output = Self;

    /// Saturates.
    fn sub(self, other: Self) -> Self {
        self.zip(other, i64::saturating_sub)
    }
}

/// One entry of a heap profile: the samples of one call stack and object size, or of one call stack.
#[derive(Debug, Clone, Copy)]
pub struct HeapRecord {
    /// None for the entry of samples that a limit has folded.
    bucket: Option<&'static Bucket>,
    sampled: HeapValues,
    estimate: HeapValues,
}

impl HeapRecord {
    fn of_bucket(bucket: &'static Bucket) -> Self {
        let Some(size) = bucket.size() else {
            let totals = bucket.mixed_totals().unwrap_or_default();
            return Self::of_totals(Some(bucket), totals);
        };
        let (allocs, frees) = bucket.counts();
        // Frees were read first, so this is never negative.
        let inuse = allocs.saturating_sub(frees);
        let values = |of: &dyn Fn(u64) -> (i64, i64)| {
            let ((alloc_objects, alloc_space), (inuse_objects, inuse_space)) =
                (of(allocs), of(inuse));
            HeapValues {
                alloc_objects,
                alloc_space,
                inuse_objects,
                inuse_space,
            }
        };
        Self {
            bucket: Some(bucket),
            sampled: values(&|count| scale::estimate(count, size, 1)),
            estimate: values(&|count| scale::estimate(count, size, bucket.rate())),
        }
    }

    /// Of samples of many sizes.
    fn of_totals(
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
            sampled: values(|totals| totals.samples, |totals| totals.sampled_bytes),
            estimate: values(|totals| totals.objects, |totals| totals.bytes),
        }
    }

    /// All there are now.
    fn all() -> impl Iterator<Item = HeapRecord> {
        let folded = HeapRecord::of_totals(None, record::folded());
        let folded = (!folded.sampled.is_zero()).then_some(folded);
        folded
            .into_iter()
            .chain(record::buckets().map(HeapRecord::of_bucket))
    }

    /// All of `records` as one, without a stack.
    pub(super) fn sum(records: &[&HeapRecord]) -> Self {
        let add = |of: fn(&HeapRecord) -> HeapValues| {
            records
                .iter()
                .fold(HeapValues::default(), |sum, record| sum + of(record))
        };
        Self {
            bucket: None,
            sampled: add(HeapRecord::sampled),
            estimate: add(HeapRecord::estimate),
        }
    }

    /// What tells entries apart: the bucket, None for what a limit has folded.
    fn key(&self) -> Option<*const Bucket> {
        self.bucket.map(std::ptr::from_ref)
    }

    pub(super) fn bucket(&self) -> Option<&'static Bucket> {
        self.bucket
    }

    /// The call stack as return addresses, leaf first; empty if a limit has folded it away. Of what a signal handler
    /// interrupted, one past the address of the instruction, so that the code is at each of them less one.
    pub fn stack(&self) -> impl Iterator<Item = usize> {
        self.bucket
            .into_iter()
            .flat_map(|bucket| places(bucket.frames()).map(|(frame, _)| frame.0))
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
    fn inuse_space_variance(&self) -> f64 {
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

/// A heap profile: what was allocated and what is in use, by call stack and object size.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();
/// # fn main() -> Result<(), debug_pprof::Error> {
/// use debug_pprof::HeapProfile;
///
/// let before = HeapProfile::capture()?;
/// let kept = vec![0_u8; 64 << 20];
/// let grown = HeapProfile::capture()?.since(&before);
///
/// // 64 MiB is 128 times the default rate: an allocation that large is sampled as good as always.
/// assert!(grown.total().inuse_space >= 64 << 20);
/// grown.write_pprof(std::io::sink())?;
/// # drop(kept);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HeapProfile {
    /// Sorted by `HeapRecord::key`. In pages of their own: ten thousand are 0.7 MB, and freeing that much at once makes glibc
    /// keep as much of what it is given back from then on.
    records: PageVec<HeapRecord>,
    /// Bytes, when the profile was taken.
    rate: usize,
    time: SystemTime,
    taken: Instant,
    /// Of a profile of an interval.
    duration: Option<Duration>,
}

impl HeapProfile {
    /// Reads the counts of all buckets. Takes about 50 ns a bucket; no thread is stopped and none waits.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if no [`ProfiledAllocator`](crate::ProfiledAllocator) is the global allocator;
    /// [`Error::NoMemory`] if the system has not the memory for a profile and its text.
    pub fn capture() -> Result<HeapProfile, Error> {
        super::report_bad_environment();
        let _own = Suspended::new();
        let rate = record::sample_rate().ok_or(Error::NotInstalled)?;
        if !pages::has_room(room_for_a_profile()) {
            return Err(Error::NoMemory);
        }
        super::refresh_unwind_tables();
        let mut records = PageVec::try_collect(HeapRecord::all()).ok_or(Error::NoMemory)?;
        records.as_mut_slice().sort_unstable_by_key(HeapRecord::key);
        Ok(HeapProfile {
            records,
            rate,
            time: SystemTime::now(),
            taken: Instant::now(),
            duration: None,
        })
    }

    /// The growth since `earlier`, as Go's `?seconds=N`: all four values are differences of estimates, entries without
    /// a difference are left out, and the duration is the time between the two.
    pub fn since(&self, earlier: &HeapProfile) -> HeapProfile {
        let _own = Suspended::new();
        let before = |record: &HeapRecord| {
            let found = earlier
                .records()
                .binary_search_by_key(&record.key(), HeapRecord::key);
            found.ok().and_then(|at| earlier.records().get(at))
        };
        let grown = |record: &HeapRecord| match before(record) {
            Some(before) => HeapRecord {
                bucket: record.bucket,
                sampled: record.sampled - before.sampled,
                estimate: record.estimate - before.estimate,
            },
            None => *record,
        };
        HeapProfile {
            records: PageVec::collect(
                self.records()
                    .iter()
                    .map(grown)
                    .filter(|record| !record.estimate.is_zero()),
            ),
            rate: self.rate,
            time: self.time,
            taken: self.taken,
            duration: Some(self.taken.saturating_duration_since(earlier.taken)),
        }
    }

    /// The entries, in no particular order.
    pub fn records(&self) -> &[HeapRecord] {
        self.records.as_slice()
    }

    /// The sum of all estimates.
    pub fn total(&self) -> HeapValues {
        self.summary().total
    }

    /// What the entries come to.
    pub(super) fn summary(&self) -> Summary {
        Summary::of(self.records().iter().copied(), self.rate)
    }

    /// One standard error of the in-use bytes in `total`, in bytes; 0 at rate 1.
    pub fn inuse_space_error(&self) -> f64 {
        self.summary().inuse_space_error
    }

    /// The sampling rate when the profile was taken, in bytes.
    pub fn sample_rate(&self) -> usize {
        self.rate
    }

    /// When the profile was taken.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// The interval's length, if this is a profile of one.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Writes the profile as gzipped pprof protobuf, which `go tool pprof` and every pprof service read.
    ///
    /// Names are resolved on a thread of the profiler's. The first profile reads the binary's debug information, later
    /// ones look up only what is new; `benches/scrape` has the figures. The profile is compressed as it is built, and
    /// whole before the first byte is written.
    ///
    /// # Errors
    /// [`Error::Write`] if `out` fails.
    pub fn write_pprof(&self, mut out: impl Write) -> Result<(), Error> {
        let view = PprofView {
            default_sample_type: DefaultSampleType::Unset,
            symbolize: true,
        };
        let _own = Suspended::new();
        let parts = pprof::write(self, view);
        parts
            .iter()
            .try_for_each(|part| out.write_all(part))
            .map_err(Error::Write)
    }

    /// Writes the profile as Go's `debug=1` text: sampled counts, not scaled, and the names of each stack.
    ///
    /// # Errors
    /// [`Error::Write`] if `out` fails.
    pub fn write_text(&self, mut out: impl Write) -> Result<(), Error> {
        let parts = self.to_text();
        parts
            .iter()
            .try_for_each(|part| out.write_all(part))
            .map_err(Error::Write)
    }

    #[cfg(feature = "http")]
    pub(crate) fn to_pprof(&self, view: PprofView) -> Pieces {
        let _own = Suspended::new();
        pprof::write(self, view)
    }

    pub(crate) fn to_text(&self) -> Pieces {
        let _own = Suspended::new();
        text::write(self)
    }
}

/// What the entries of a profile come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Summary {
    pub(super) total: HeapValues,
    pub(super) inuse_space_error: f64,
    pub(super) sample_rate: usize,
}

impl Summary {
    /// Read now, without memory for a profile; all 0 if no allocator is installed.
    pub(super) fn now() -> Self {
        let summary = |rate| Self::of(HeapRecord::all(), rate);
        record::sample_rate().map(summary).unwrap_or_default()
    }

    fn of(records: impl Iterator<Item = HeapRecord>, sample_rate: usize) -> Self {
        // Folded from 0: the sum of no floats is −0, which prints its sign.
        let (total, variance) = records.fold((HeapValues::default(), 0.0), |sum, record| {
            (
                sum.0 + record.estimate,
                sum.1 + record.inuse_space_variance(),
            )
        });
        Self {
            total,
            inuse_space_error: f64::max(variance, 0.0).sqrt(),
            sample_rate,
        }
    }
}

/// What taking and writing a profile takes at most, about. Collections end the process when they cannot grow, and a
/// profile must not be what does it, so it is not begun where the system would not give as much.
fn room_for_a_profile() -> usize {
    let records = record::counters().buckets * size_of::<HeapRecord>();
    // The records of a profile and of what it is compared with, each with room to grow into.
    let records = records.saturating_mul(4);
    // The encoder's tables and its output.
    let written = record::limits().profile_bytes.saturating_mul(2);
    let tables = if record::delta().is_stale() {
        ROOM_FOR_TABLES
    } else {
        0
    };
    [written, tables, ROOM_FOR_NAMES]
        .into_iter()
        .fold(records, usize::saturating_add)
}

/// Bytes for one unit's tables of the debug information, of common sizes, and for the stack of the thread that reads
/// them. More would refuse profiles to small processes under a limit.
const ROOM_FOR_NAMES: usize = 8 << 20;

/// Bytes for a copy of the unwind data and for the tables that another thread makes of it meanwhile: the program's and
/// its libraries', of common sizes.
const ROOM_FOR_TABLES: usize = 16 << 20;

/// How a profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PprofView {
    /// What `go tool pprof` opens on: the profile's `default_sample_type`.
    pub(crate) default_sample_type: DefaultSampleType,
    /// Whether names are resolved in this process (`?symbolize=0` says no).
    pub(crate) symbolize: bool,
}

/// What a profile's `default_sample_type` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultSampleType {
    /// `/heap`: none, and the tool takes the last, inuse_space.
    Unset,
    /// `/allocs`.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint has `/allocs`")
    )]
    AllocSpace,
}

#[cfg(test)]
mod tests;
