//! `HeapProfile`: the counts of every bucket at one moment, or their growth between two.

#[cfg(feature = "http")]
mod noted;

use std::io::Write;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime};

use super::ages::{AgeClass, Ages, CENSUS_BYTES, Census, Counts};
use super::pieces::Pieces;
use super::rss::Rest;
use super::{pprof, text};
use crate::error::Error;
use crate::pages::{self, PageVec};
use crate::record::{self, Bucket, FoldedTotals, Suspended};
use crate::scale;
use crate::stack::places;

#[cfg(feature = "http")]
pub(crate) use self::noted::weight;
use crate::stats::AllocatorView;

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

    /// Objects and bytes, of `alloc` and of `inuse`.
    fn of(
        (alloc_objects, alloc_space): (i64, i64),
        (inuse_objects, inuse_space): (i64, i64),
    ) -> Self {
        Self {
            alloc_objects,
            alloc_space,
            inuse_objects,
            inuse_space,
        }
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

/// One entry of a heap profile: the samples of one call stack and object size, or of one call stack, and, in a profile by
/// age, of one class of ages.
#[derive(Debug, Clone, Copy)]
pub struct HeapRecord {
    /// None for the entry of samples that a limit has folded.
    bucket: Option<&'static Bucket>,
    /// In a profile by age.
    age: Option<AgeClass>,
    sampled: HeapValues,
    estimate: HeapValues,
}

impl HeapRecord {
    fn of_bucket(bucket: &'static Bucket) -> Self {
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

    fn of_counts(
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
            age: None,
            sampled: values(|totals| totals.samples, |totals| totals.sampled_bytes),
            estimate: values(|totals| totals.objects, |totals| totals.bytes),
        }
    }

    /// All there are now.
    pub(super) fn all() -> impl Iterator<Item = HeapRecord> {
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
    fn by_age(self, counts: Counts, ages: Ages) -> impl Iterator<Item = HeapRecord> {
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
    pub(super) fn sum(records: &[&HeapRecord]) -> Self {
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

    /// What tells entries apart: the bucket, None for what a limit has folded, and the class of ages.
    fn key(&self) -> (Option<*const Bucket>, Option<AgeClass>) {
        (self.bucket.map(std::ptr::from_ref), self.age)
    }

    pub(super) fn bucket(&self) -> Option<&'static Bucket> {
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

/// The sampled counts of a bucket at some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BucketCounts {
    pub(crate) bucket: &'static Bucket,
    pub(crate) allocs: u64,
    /// Allocated and not freed.
    pub(crate) inuse: u64,
}

/// What the four values of a profile's entries are, in the order of `HeapValues::in_order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Go's.
    Heap,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint asks for leaks")
    )]
    /// What has grown and is old: objects, bytes, bytes an hour, and all that is as old. One entry a stack, of objects of
    /// all sizes.
    Leaks,
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
    ages: Ages,
    /// Of a profile of all physical memory.
    rest: Option<Rest>,
    shape: Shape,
    /// What a reader should know of it, for the comments.
    notes: Vec<String>,
}

impl HeapProfile {
    /// Reads the counts of all buckets. Takes about 50 ns a bucket; no thread is stopped and none waits.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if no [`ProfiledAllocator`](crate::ProfiledAllocator) is the global allocator;
    /// [`Error::NoMemory`] if the system has not the memory for a profile and its text.
    pub fn capture() -> Result<HeapProfile, Error> {
        Self::capture_ages(Ages::default())
    }

    /// What is in use and has lived for `min_age` or longer: what a leak is made of, without what comes and goes.
    ///
    /// An object's age counts from its allocation or, if that came later, its last reallocation, in tenths of a second, and
    /// without the time that the machine slept. It is never taken for older than it is by more than the 10 ms of a coarse
    /// clock, so an object may be missing for a tenth of a second after it has come of age. `alloc_*` equal `inuse_*`: a
    /// profile of what was ever allocated, and by now mostly freed, would say nothing about age. Of what a limit has
    /// folded, the share of its objects that are as old is taken of its bytes too.
    ///
    /// Takes 5 to 45 ns for each live record more than [`capture`](Self::capture), with one for each 512 KiB in use at
    /// the default rate, and some 100 bytes a bucket while it is at it; no thread is stopped and none waits. Reallocations that
    /// are under way are missing.
    ///
    /// # Errors
    /// As [`capture`](Self::capture).
    pub fn capture_min_age(min_age: Duration) -> Result<HeapProfile, Error> {
        Self::capture_ages(Ages {
            min_age: Some(min_age),
            by_class: false,
        })
    }

    /// Everything that [`capture`](Self::capture) takes, its entries split by how long their objects have lived: see
    /// [`HeapRecord::age`], and the label `age` in the file. The parts of an entry add up to it, exactly.
    ///
    /// In-use values are split by class; what is freed has a part of its own, [`AgeClass::FREED`]. What it costs, and what an
    /// age is, says [`capture_min_age`](Self::capture_min_age).
    ///
    /// # Errors
    /// As [`capture`](Self::capture).
    pub fn capture_by_age() -> Result<HeapProfile, Error> {
        Self::capture_ages(Ages {
            min_age: None,
            by_class: true,
        })
    }

    pub(crate) fn capture_ages(ages: Ages) -> Result<HeapProfile, Error> {
        super::report_bad_environment();
        let _own = Suspended::new();
        let rate = record::sample_rate().ok_or(Error::NotInstalled)?;
        if !pages::has_room(room_for_a_profile(ages)) {
            return Err(Error::NoMemory);
        }
        super::refresh_unwind_tables();
        let records = if ages.is_all() {
            PageVec::try_collect(HeapRecord::all())
        } else {
            Self::records_by_age(ages)
        };
        let mut records = records.ok_or(Error::NoMemory)?;
        records.as_mut_slice().sort_unstable_by_key(HeapRecord::key);
        Ok(HeapProfile {
            records,
            rate,
            time: SystemTime::now(),
            taken: Instant::now(),
            duration: None,
            ages,
            rest: None,
            shape: Shape::Heap,
            notes: Vec::new(),
        })
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// None if the system has no memory for them.
    fn records_by_age(ages: Ages) -> Option<PageVec<HeapRecord>> {
        // Before the buckets' own counts, which are what is right in the end: see `Counts`.
        let census = Census::take(ages)?;
        let parts = |record: HeapRecord| {
            let inuse = record.sampled.inuse_objects.unsigned_abs();
            record.by_age(census.of(record.bucket, inuse), ages)
        };
        PageVec::try_collect(HeapRecord::all().flat_map(parts))
    }

    /// The growth since `earlier`, as Go's `?seconds=N`: all four values are differences of estimates, entries without
    /// a difference are left out, and the duration is the time between the two. Of profiles by age both are to be taken
    /// alike; what came of age meanwhile has grown there, and shrunk in the class that it left.
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
                age: record.age,
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
            ages: self.ages,
            rest: None,
            shape: self.shape,
            notes: Vec::new(),
        }
    }

    /// The same with pseudo entries, in what is written, for all that is in physical memory besides: the total is the RSS.
    /// `view` is what the allocator says of itself, from [`allocator_view`](crate::stats::allocator_view). None where the
    /// system does not tell. Costs a reading of `/proc/self/smaps`, for which the kernel visits all pages.
    pub fn with_rss(mut self, view: Option<AllocatorView>) -> Option<HeapProfile> {
        self.rest = Some(Rest::read(self.total().inuse_space, view)?);
        Some(self)
    }

    pub(super) fn rest(&self) -> Option<&Rest> {
        self.rest.as_ref()
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

    /// The age that all objects in the profile have at least, if it was asked for.
    pub fn min_age(&self) -> Option<Duration> {
        self.ages.min_age
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
            types: false,
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
        let parts = self.to_text(false);
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

    pub(crate) fn to_text(&self, types: bool) -> Pieces {
        let _own = Suspended::new();
        text::write(self, types)
    }
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

    pub(super) fn of(records: impl Iterator<Item = HeapRecord>, sample_rate: usize) -> Self {
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

/// What taking and writing a profile takes at most, about. Collections end the process when they cannot grow, and a
/// profile must not be what does it, so it is not begun where the system would not give as much.
fn room_for_a_profile(ages: Ages) -> usize {
    let counters = record::counters();
    let records = match ages.by_class {
        // Each part has at least one object, or is what is freed.
        true => counters.buckets * 2 + counters.live_records.min(counters.buckets * 5),
        false => counters.buckets,
    };
    let records = records.saturating_mul(size_of::<HeapRecord>());
    let census = match ages.is_all() {
        true => 0,
        false => counters.buckets.saturating_mul(CENSUS_BYTES),
    };
    // The records of a profile and of what it is compared with, each with room to grow into.
    let records = records.saturating_mul(4);
    // The encoder's tables and its output.
    let written = record::limits().profile_bytes.saturating_mul(2);
    let tables = if record::delta().is_stale() {
        ROOM_FOR_TABLES
    } else {
        0
    };
    [written, tables, census, ROOM_FOR_NAMES]
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
    /// Whether samples are labelled with what is stored in what they allocated (`?label=type`).
    pub(crate) types: bool,
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
    /// `/leaks`.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint has `/leaks`")
    )]
    LeakSpace,
}

#[cfg(test)]
mod tests;
