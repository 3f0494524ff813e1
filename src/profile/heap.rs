//! `HeapProfile`: the counts of every bucket at one moment, or their growth between two.

#[cfg(feature = "http")]
mod noted;
mod records;
mod room;
mod summary;
mod values;
mod view;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use super::ages::{Ages, Census};
use super::format::ProfileFormat;
use super::pieces::Pieces;
use super::rss::Rest;
use super::{pprof, text};
use crate::error::Error;
use crate::pages::{self, PageVec};
use crate::record::{self, Suspended};
use crate::stats::AllocatorView;

#[cfg(feature = "http")]
pub(crate) use self::noted::weight;
#[cfg(feature = "http")]
pub(crate) use self::records::BucketCounts;
pub use self::records::HeapRecord;
use self::room::room_for_a_profile;
pub(crate) use self::summary::Summary;
pub use self::values::HeapValues;
pub(crate) use self::view::{DefaultSampleType, PprofView, Shape};

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
    /// In-use values are split by class; what is freed has a part of its own, [`AgeClass::FREED`](crate::AgeClass::FREED). What it costs, and what an
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
            format: ProfileFormat::Pprof,
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

    /// The names of the four values of its samples, in their order.
    #[cfg(feature = "http")]
    pub(crate) fn sample_types(&self) -> [&'static str; 4] {
        pprof::sample_types(self.shape).map(|(name, _)| name)
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
