//! What is remembered: the ring, and the peak. And the tasks that keep them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::options::WatchOptions;
use super::ring::{Moment, Ring};
use super::snapshot::{Counts, Writer};
use crate::error::Error;
use crate::fork_lock::ForkLock;
use crate::pages::PageVec;
use crate::profile::{BucketCounts, HeapProfile, Summary};
use crate::record::{self, Bucket};

/// How much more than the last peak a new one must be, as a divisor: a tenth. Every new peak within it would be a snapshot,
/// and a service that grows has one all the time.
const PEAK_STEP: i64 = 10;
/// And in bytes: below it is sampling noise, two samples at the default rate.
const PEAK_MIN_STEP: i64 = 1 << 20;

/// Looks for a new peak so many times a period: once a second.
const PEAK_CHECKS: u32 = 60;

pub(super) static HISTORY: ForkLock<History> = ForkLock::new(History::new(), History::new);

/// Not in the history, which is locked for as long as a snapshot is added: a child that is forked meanwhile begins a new one.
static PEAK: ForkLock<Option<Peak>> = ForkLock::new(None, || None);

/// The options, under no lock: a fork child keeps them whatever the parent was about.
static PERIOD: AtomicU64 = AtomicU64::new(nanos(WatchOptions::DEFAULT.period));
static HISTORY_BYTES: AtomicUsize = AtomicUsize::new(WatchOptions::DEFAULT.history_bytes);

/// At most five hundred years.
const fn nanos(period: Duration) -> u64 {
    let nanos = period.as_nanos();
    if nanos < u64::MAX as u128 {
        nanos as u64
    } else {
        u64::MAX
    }
}

/// Time between two snapshots.
pub(super) fn period() -> Duration {
    Duration::from_nanos(PERIOD.load(Ordering::Relaxed))
}

#[derive(Debug)]
pub(super) struct History {
    pub(super) ring: Ring,
    /// When the ring's first tick was.
    began: Option<Instant>,
}

#[derive(Debug)]
struct Peak {
    moment: Moment,
    counts: PageVec<u8>,
    /// Estimated bytes.
    inuse: i64,
}

impl History {
    const fn new() -> Self {
        Self {
            ring: Ring::new(),
            began: None,
        }
    }
}

/// Another period begins a new history.
pub(super) fn set(options: WatchOptions) {
    // Under the lock: a snapshot's tick is of one period.
    let mut history = HISTORY.lock();
    let period = nanos(options.period);
    if PERIOD.swap(period, Ordering::Relaxed) != period {
        *history = History::new();
    }
    HISTORY_BYTES.store(options.history_bytes, Ordering::Relaxed);
}

/// All buckets, in the order of their addresses.
pub(super) fn all_buckets() -> Option<PageVec<&'static Bucket>> {
    let mut all = PageVec::try_collect(record::buckets())?;
    all.as_mut_slice()
        .sort_unstable_by_key(|bucket| address(bucket));
    Some(all)
}

pub(super) fn address(bucket: &'static Bucket) -> usize {
    std::ptr::from_ref(bucket).addr()
}

fn counts_of(bucket: &'static Bucket) -> BucketCounts {
    let (allocs, frees) = bucket.counts();
    BucketCounts {
        bucket,
        allocs,
        inuse: allocs.saturating_sub(frees),
    }
}

/// The counts of all buckets now. None without memory for them.
fn take() -> Option<PageVec<u8>> {
    let buckets = all_buckets()?;
    let mut counts = PageVec::new();
    let mut writer = Writer::new(&mut counts);
    let is_written = buckets.as_slice().iter().all(|bucket| {
        let now = counts_of(bucket);
        writer.add(Counts {
            bucket: address(bucket),
            allocs: now.allocs,
            inuse: now.inuse,
        })
    });
    is_written.then_some(counts)
}

fn moment(taken: Instant, tick: u64, rate: usize) -> Moment {
    Moment {
        taken,
        tick,
        folded: record::folded(),
        rate,
    }
}

/// Task: a snapshot for the ring, each period.
pub(super) fn snapshot() -> Option<Instant> {
    // Nothing to watch without an allocator.
    let rate = record::sample_rate()?;
    let counts = take();
    let taken = Instant::now();
    let mut history = HISTORY.lock();
    let period = period();
    let began = *history.began.get_or_insert(taken);
    let ticks = (taken - began).as_secs_f64() / period.as_secs_f64();
    let max_bytes = HISTORY_BYTES.load(Ordering::Relaxed);
    if let Some(counts) = counts {
        let moment = moment(taken, ticks.round() as u64, rate);
        // Without memory it is tried again a period later.
        let _ = history.ring.push(moment, counts, max_bytes);
    }
    taken.checked_add(period)
}

/// Task: the counts at the highest in-use so far.
pub(super) fn look_for_peak() -> Option<Instant> {
    let rate = record::sample_rate()?;
    let now = Instant::now();
    let inuse = Summary::now().total.inuse_space;
    let is_higher = |peak: &Option<Peak>| {
        let last = peak.as_ref().map(|peak| peak.inuse);
        last.is_none_or(|last| inuse > last + (last / PEAK_STEP).max(PEAK_MIN_STEP))
    };
    let is_new = is_higher(&PEAK.lock());
    if is_new && let Some(counts) = take() {
        let mut peak = PEAK.lock();
        // Who asks first looks too: another may have been faster.
        if is_higher(&peak) {
            *peak = Some(Peak {
                moment: moment(Instant::now(), 0, rate),
                counts,
                inuse,
            });
        }
    }
    now.checked_add((period() / PEAK_CHECKS).max(Duration::from_millis(1)))
}

/// The growth since the youngest snapshot that is at least `age` old, or since the oldest; `None` if there is none yet.
pub(super) fn since(age: Duration) -> Result<Option<HeapProfile>, Error> {
    let rate = record::sample_rate().ok_or(Error::NotInstalled)?;
    // Before anything is read: a snapshot that came between would be younger than that.
    let history = HISTORY.lock();
    let buckets = all_buckets().ok_or(Error::NoMemory)?;
    // By counts, as what it is compared with: of sizes that are mixed the bytes are known by their mean only.
    let counts = buckets.as_slice().iter().map(|bucket| counts_of(bucket));
    let now = HeapProfile::of_counts(counts, record::folded(), rate, Instant::now());
    let now = now.ok_or(Error::NoMemory)?;
    let addresses = PageVec::try_collect(buckets.as_slice().iter().map(|bucket| address(bucket)));
    let addresses = addresses.ok_or(Error::NoMemory)?;
    let Some(wanted) = history.ring.at_least(age, now.taken()) else {
        return Ok(None);
    };
    let mut earlier = None;
    let is_read = history
        .ring
        .for_each(addresses.as_slice(), |moment, counts| {
            if moment.taken > wanted.taken {
                return true;
            }
            let counts = buckets.as_slice().iter().zip(counts);
            let counts = counts.map(|(bucket, counts)| BucketCounts {
                bucket,
                allocs: counts.allocs,
                inuse: counts.inuse,
            });
            earlier = HeapProfile::of_counts(counts, moment.folded, moment.rate, moment.taken);
            false
        });
    drop(history);
    let earlier = earlier.filter(|_| is_read).ok_or(Error::NoMemory)?;
    Ok(Some(now.since(&earlier)))
}

/// How many entries the profile at the peak has. 0 before the first look.
pub(super) fn peak_entries() -> usize {
    let peak = PEAK.lock();
    let counts = peak.as_ref().map(|peak| peak.counts.as_slice());
    counts.map_or(0, |counts| super::snapshot::Reader::new(counts).count())
}

/// The profile at the peak. Before the first look that is now.
pub(super) fn peak() -> Result<HeapProfile, Error> {
    record::sample_rate().ok_or(Error::NotInstalled)?;
    let is_known = PEAK.lock().is_some();
    if !is_known {
        look_for_peak();
    }
    let buckets = all_buckets().ok_or(Error::NoMemory)?;
    let peak = PEAK.lock();
    // Not there for want of memory.
    let peak = peak.as_ref().ok_or(Error::NoMemory)?;
    let mut buckets = buckets.as_slice().iter().peekable();
    // Both in the order of addresses, and there is no bucket in it that there is not now.
    let counts = super::snapshot::Reader::new(peak.counts.as_slice()).filter_map(|counts| {
        while buckets
            .next_if(|bucket| address(bucket) < counts.bucket)
            .is_some()
        {}
        let bucket = buckets.next_if(|bucket| address(bucket) == counts.bucket)?;
        Some(BucketCounts {
            bucket,
            allocs: counts.allocs,
            inuse: counts.inuse,
        })
    });
    let moment = peak.moment;
    HeapProfile::of_counts(counts, moment.folded, moment.rate, moment.taken).ok_or(Error::NoMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_forked_while_the_history_is_locked_keeps_the_options() {
        let period = Duration::from_secs(7);
        set(WatchOptions {
            period,
            ..WatchOptions::DEFAULT
        });
        let held = HISTORY.lock();
        // SAFETY: the child takes a lock that knows of forks, reads a number, and ends with `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: no preconditions.
            unsafe { libc::alarm(60) };
            let is_new = HISTORY.lock().began.is_none();
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(!(is_new && self::period() == period))) }
        }
        drop(held);
        let mut status = -1;
        // SAFETY: waits for our child; `status` is valid to write to.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        set(WatchOptions::DEFAULT);
    }
}
