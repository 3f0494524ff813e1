//! What leaks: the stacks whose old memory grows steadily.

mod table;

use std::time::{Duration, Instant};

use super::history::{HISTORY, address, all_buckets, period};
use super::ring::Moment;
use super::trend::{PARTS, Seen, Trend, comes_and_goes, trend};
use crate::error::Error;
use crate::pages::PageVec;
use crate::profile::{HeapProfile, weight};
use crate::record::{self, Bucket, Suspended};

/// Windows that are looked at, in periods. The longest in which a stack leaks is the one that is reported.
const WINDOWS: [u32; 6] = [1440, 360, 60, 30, 20, 10];
/// The shortest.
const SHORTEST: u32 = 10;
/// Young are objects up to an eighth of the window, within these bounds in periods.
const YOUNG: (u32, u32) = (2, 10);

/// The stacks that leak, those that grew most first.
#[derive(Debug)]
pub(crate) struct Leaks {
    /// Since the oldest snapshot.
    watched: Duration,
    period: Duration,
    /// Of sampling, in bytes.
    rate: usize,
    is_cut: bool,
    stacks: usize,
    leaks: Vec<Leak>,
    /// Grew, and stopped, or come and go.
    stopped: Vec<(&'static Bucket, f64, &'static str)>,
}

#[derive(Debug, Clone, Copy)]
struct Leak {
    /// One of the stack's.
    bucket: &'static Bucket,
    objects: f64,
    bytes: f64,
    window: Duration,
    young: Duration,
    /// Bytes that are not young.
    old: f64,
    inuse: f64,
    oldest: Duration,
}

impl Leak {
    fn per_hour(&self) -> f64 {
        // What is young has not been counted.
        let hours = (self.window - self.young).as_secs_f64() / 3600.0;
        self.bytes / hours.max(1e-9)
    }
}

struct Window {
    length: Duration,
    young: Duration,
    /// When it began, and its middle: which of the snapshots.
    begin: usize,
    middle: usize,
}

/// What was in use some time ago.
struct Snapshot {
    age: Duration,
    /// By bucket.
    inuse: PageVec<u64>,
}

/// Looks for leaks in all windows, or in the one that began so long ago.
pub(super) fn find(since: Option<Duration>) -> Result<Leaks, Error> {
    let _own = Suspended::new();
    let rate = record::sample_rate().ok_or(Error::NotInstalled)?;
    let now = Instant::now();
    let buckets = all_buckets().ok_or(Error::NoMemory)?;
    let buckets = buckets.as_slice();
    let addresses = PageVec::try_collect(buckets.iter().map(|bucket| address(bucket)));
    let addresses = addresses.ok_or(Error::NoMemory)?;
    let live = live(addresses.as_slice()).ok_or(Error::NoMemory)?;
    let stacks = stacks(buckets).ok_or(Error::NoMemory)?;
    let history = HISTORY.lock();
    let period = period();
    let age = |moment: Moment| now.saturating_duration_since(moment.taken);
    let watched = history.ring.moments().next().map_or(Duration::ZERO, age);
    let mut found = Leaks {
        watched,
        period,
        rate,
        is_cut: history.ring.is_cut(),
        stacks: 0,
        leaks: Vec::new(),
        stopped: Vec::new(),
    };
    if found.is_too_early() {
        return Ok(found);
    }
    // Windows, the longest first, each once.
    let lengths: Vec<Duration> = match since {
        Some(since) => vec![since.max(period * SHORTEST)],
        None => WINDOWS.iter().map(|periods| period * *periods).collect(),
    };
    let mut begins: Vec<Moment> = lengths
        .iter()
        .filter_map(|length| history.ring.at_least(*length, now))
        .collect();
    begins.dedup_by_key(|moment| moment.taken);
    let middle = |begin: &Moment| history.ring.at_least(age(*begin) / 2, now);
    let mut wanted: Vec<Moment> = begins.iter().filter_map(middle).collect();
    wanted.extend(&begins);
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let is_read = history
        .ring
        .for_each(addresses.as_slice(), |moment, counts| {
            if wanted.iter().any(|wanted| wanted.taken == moment.taken)
                && let Some(inuse) = PageVec::try_collect(counts.iter().map(|counts| counts.inuse))
            {
                let age = age(moment);
                snapshots.push(Snapshot { age, inuse });
            }
            true
        });
    if !is_read {
        return Err(Error::NoMemory);
    }
    let snapshot = |moment: Moment| snapshots.iter().position(|one| one.age == age(moment));
    let (least, most) = (period * YOUNG.0, period * YOUNG.1);
    let window = |begin: &Moment| {
        let length = age(*begin);
        Some(Window {
            length,
            young: (length / 8).clamp(least, most),
            begin: snapshot(*begin)?,
            middle: snapshot(middle(begin)?)?,
        })
    };
    let mut windows: Vec<Window> = begins.iter().filter_map(window).collect();
    windows.sort_by_key(|window| std::cmp::Reverse(window.length));
    let mut rest = stacks.as_slice();
    // Where the leaks' buckets are, for a look at what they were earlier.
    let mut leaking: Vec<(Leak, Vec<u32>)> = Vec::new();
    while let Some((first, _)) = rest.first() {
        let count = rest.iter().take_while(|(hash, _)| hash == first).count();
        let (stack, others) = rest.split_at(count);
        rest = others;
        found.stacks += 1;
        match judge(stack, (&windows, &snapshots), buckets, live.as_slice()) {
            Judged::Leaks(leak) => {
                leaking.push((leak, stack.iter().map(|(_, nth)| *nth).collect()));
            }
            Judged::Stopped(bucket, bytes) => {
                found
                    .stopped
                    .push((bucket, bytes, "it has stopped, or came at once"));
            }
            Judged::Balance => {}
        }
    }
    let mut earlier: Vec<Vec<(f64, f64)>> = leaking.iter().map(|_| Vec::new()).collect();
    let is_read = leaking.is_empty()
        || history
            .ring
            .for_each(addresses.as_slice(), |moment, counts| {
                for ((leak, stack), earlier) in leaking.iter().zip(&mut earlier) {
                    if age(moment) <= leak.window {
                        continue;
                    }
                    let bytes = |nth: &u32| {
                        let (counts, bucket) =
                            (counts.get(*nth as usize)?, buckets.get(*nth as usize)?);
                        Some(counts.inuse as f64 * weight(bucket).1)
                    };
                    let inuse: f64 = stack.iter().filter_map(bytes).sum();
                    let since = age(moment).saturating_sub(leak.window).as_secs_f64();
                    earlier.push((since / leak.window.as_secs_f64(), inuse));
                }
                true
            });
    if !is_read {
        return Err(Error::NoMemory);
    }
    drop(history);
    for ((leak, _), earlier) in leaking.into_iter().zip(earlier) {
        if comes_and_goes(earlier.into_iter().rev(), leak.inuse) {
            found.stopped.push((
                leak.bucket,
                leak.bytes,
                "it has been as high before, and came down",
            ));
        } else {
            found.leaks.push(leak);
        }
    }
    found
        .leaks
        .sort_by(|one, other| other.bytes.total_cmp(&one.bytes));
    found
        .stopped
        .sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(found)
}

/// Live records, by bucket: which one, and the age.
fn live(addresses: &[usize]) -> Option<PageVec<(u32, Duration)>> {
    let live = record::live_records().filter_map(|record| {
        let nth = addresses.binary_search(&address(record.bucket?)).ok()?;
        Some((nth as u32, record.age))
    });
    let mut live = PageVec::try_collect(live)?;
    live.as_mut_slice().sort_unstable();
    Some(live)
}

/// Buckets by stack: a hash of it, and which one.
fn stacks(buckets: &[&'static Bucket]) -> Option<PageVec<(u64, u32)>> {
    let hash = |bucket: &Bucket| {
        let frames = bucket.frames().iter().map(|frame| frame.0 as u64);
        // FNV-1a, a word at a time, and mixed: stacks that differ meet in one of 10¹¹ processes of ten thousand stacks.
        frames.fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| {
            let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^ hash >> 29
        })
    };
    let all = buckets.iter().enumerate();
    let mut stacks = PageVec::try_collect(all.map(|(nth, bucket)| (hash(bucket), nth as u32)))?;
    stacks.as_mut_slice().sort_unstable();
    Some(stacks)
}

enum Judged {
    Leaks(Leak),
    Stopped(&'static Bucket, f64),
    Balance,
}

fn judge(
    stack: &[(u64, u32)],
    (windows, snapshots): (&[Window], &[Snapshot]),
    buckets: &[&'static Bucket],
    live: &[(u32, Duration)],
) -> Judged {
    let of_bucket = |nth: u32| {
        let start = live.partition_point(|(other, _)| *other < nth);
        let end = live.partition_point(|(other, _)| *other <= nth);
        live.get(start..end).unwrap_or_default()
    };
    let mut judged = Judged::Balance;
    for window in windows {
        let (Some(begin), Some(middle)) =
            (snapshots.get(window.begin), snapshots.get(window.middle))
        else {
            continue;
        };
        let (mut seen, mut largest) = (Vec::new(), (0.0, None));
        let (mut old, mut inuse, mut objects) = (0.0, 0.0, 0.0);
        let mut oldest = Duration::ZERO;
        for (_, nth) in stack {
            let Some(bucket) = buckets.get(*nth as usize) else {
                continue;
            };
            let was = |then: &Snapshot| then.inuse.as_slice().get(*nth as usize).copied();
            let (of_objects, of_bytes) = weight(bucket);
            let mut one = Seen {
                weight: of_bytes,
                before: was(begin).unwrap_or(0),
                middle: was(middle).unwrap_or(0),
                ..Seen::default()
            };
            let span = (window.length - window.young).as_secs_f64();
            for (_, age) in of_bucket(*nth) {
                inuse += one.weight;
                oldest = oldest.max(*age);
                if *age < window.young {
                    continue;
                }
                old += one.weight;
                if *age >= middle.age {
                    one.stayed_since_middle += 1;
                } else {
                    one.late += 1;
                }
                if *age >= window.length {
                    one.stayed += 1;
                    continue;
                }
                let born = (window.length - *age).as_secs_f64() / span;
                let part = ((born * PARTS as f64) as usize).min(PARTS - 1);
                if let Some(part) = one.survivors.get_mut(part) {
                    *part += 1;
                }
            }
            let survivors = one.survivors.iter().sum::<u64>() as f64;
            let gone = one.before.saturating_sub(one.stayed) as f64;
            objects += (survivors - gone) * of_objects;
            if largest.1.is_none() || survivors * one.weight > largest.0 {
                largest = (survivors * one.weight, Some(*bucket));
            }
            seen.push(one);
        }
        let Some(bucket) = largest.1 else { continue };
        match trend(&seen) {
            Trend::Leaks { bytes } => {
                return Judged::Leaks(Leak {
                    bucket,
                    objects: objects.max(1.0),
                    bytes,
                    window: window.length,
                    young: window.young,
                    old,
                    inuse,
                    oldest,
                });
            }
            Trend::Stopped { bytes } => judged = Judged::Stopped(bucket, bytes),
            Trend::Balance => {}
        }
    }
    judged
}

impl Leaks {
    fn is_too_early(&self) -> bool {
        // A snapshot may be taken a moment late.
        self.watched < self.period * SHORTEST * 19 / 20
    }

    /// How many stacks.
    pub(super) fn count(&self) -> usize {
        self.leaks.len()
    }

    /// As a profile: growth in objects and bytes, bytes an hour, and all old bytes. None without memory for it.
    pub(crate) fn profile(&self) -> Option<HeapProfile> {
        let whole = |value: f64| value as i64;
        let entries = self.leaks.iter().map(|leak| {
            let values = [leak.objects, leak.bytes, leak.per_hour(), leak.old];
            (leak.bucket, values.map(whole))
        });
        let longest = self.leaks.iter().map(|leak| leak.window).max();
        let duration = longest.unwrap_or(self.watched).max(Duration::from_nanos(1));
        let profile = HeapProfile::of_leaks(entries, self.rate, duration)?;
        Some(profile.with_note(self.headline()))
    }
}
