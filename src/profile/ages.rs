//! How old what is in use is: live records, counted by bucket and age.
//!
//! ```text
//! live records ─▶ Census: of each bucket, how many are in which class ─▶ the bucket's in-use values, split
//! ```

use std::time::Duration;

use super::interned::Interned;
use crate::record::{self, Bucket};

/// A class of ages: the value of the label `age` in [`HeapProfile::capture_by_age`](crate::HeapProfile::capture_by_age).
///
/// | label | objects that have lived |
/// |---|---|
/// | `<1m` | less than a minute |
/// | `1m-10m` | one minute or more, less than ten |
/// | `10m-1h` | |
/// | `1h-6h` | |
/// | `6h-24h` | |
/// | `>=24h` | a day or longer |
/// | `freed` | none: what was allocated and is freed |
///
/// They are in the order of this table. No label is a part of another, because `go tool pprof -tagfocus` takes what it is
/// given for a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgeClass(u8);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The label of each class, and the age in seconds that it begins at. Six of them, a few times as long each: more would
/// split a bucket of few samples into classes of none, and the classes of a service that has just started must not all be
/// one.
const CLASSES: [(&str, u64); 6] = [
    ("<1m", 0),
    ("1m-10m", MINUTE),
    ("10m-1h", 10 * MINUTE),
    ("1h-6h", HOUR),
    ("6h-24h", 6 * HOUR),
    (">=24h", 24 * HOUR),
];

impl AgeClass {
    /// What is not alive.
    pub const FREED: AgeClass = AgeClass(CLASSES.len() as u8);

    /// The class of what has lived so long.
    pub fn of(age: Duration) -> AgeClass {
        let begun = CLASSES
            .iter()
            .filter(|(_, begin)| *begin <= age.as_secs())
            .count();
        // The first begins at 0.
        AgeClass(begun.saturating_sub(1) as u8)
    }

    /// As it stands in a profile.
    pub fn label(self) -> &'static str {
        CLASSES
            .get(usize::from(self.0))
            .map_or("freed", |(label, _)| label)
    }
}

/// What is asked of a profile that looks at ages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ages {
    /// Only objects that have lived as long.
    pub(crate) min_age: Option<Duration>,
    /// In-use values are split by class.
    pub(crate) by_class: bool,
}

impl Ages {
    /// Whether a profile need not look at ages.
    pub(crate) fn is_all(self) -> bool {
        self == Ages::default()
    }
}

/// As one writes an age in a request: `1h30m`. What is not whole seconds is written as Rust does.
pub(super) fn shown(age: Duration) -> String {
    let seconds = age.as_secs();
    if age.subsec_nanos() > 0 || seconds == 0 {
        return format!("{age:?}");
    }
    let parts = [
        (seconds / HOUR, "h"),
        (seconds / MINUTE % 60, "m"),
        (seconds % 60, "s"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    parts
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect()
}

/// How many of a bucket's live records are how old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Not as old as was asked for.
    too_young: u64,
    /// By class; all in the first if classes do not matter.
    classes: [u64; CLASSES.len()],
}

/// The live records of every bucket by age, in pages of its own: some 100 bytes a bucket.
#[derive(Debug)]
pub(super) struct Census {
    ages: Ages,
    /// By the bucket's address, 0 for what a limit has folded.
    buckets: Interned<(usize, Counts)>,
}

/// Bytes of a census for each bucket: the entry, its hash, and slots while they are doubled.
pub(super) const CENSUS_BYTES: usize = size_of::<(usize, Counts)>() + 48;

impl Census {
    /// None if the system has no memory for it.
    pub(super) fn take(ages: Ages) -> Option<Self> {
        let mut census = Census {
            ages,
            buckets: Interned::new(),
        };
        for record in record::live_records() {
            census.count(key(record.bucket), record.age)?;
        }
        Some(census)
    }

    fn count(&mut self, bucket: usize, age: Duration) -> Option<()> {
        let nth = match self.find(bucket) {
            Some(nth) => nth,
            None => self
                .buckets
                .add(hash(bucket), (bucket, Counts::default()))?,
        };
        let (_, counts) = self.buckets.get_mut(nth)?;
        let class = if self.ages.by_class {
            AgeClass::of(age)
        } else {
            AgeClass(0)
        };
        let count = match counts.classes.get_mut(usize::from(class.0)) {
            Some(count) if age >= self.ages.min_age.unwrap_or_default() => count,
            _ => &mut counts.too_young,
        };
        *count += 1;
        Some(())
    }

    /// The ages of a bucket's objects, `inuse` of them.
    pub(super) fn of(&self, bucket: Option<&'static Bucket>, inuse: u64) -> Counts {
        let counts = self.find(key(bucket));
        let counts = counts.and_then(|nth| self.buckets.get(nth));
        let counts = counts.map_or_else(Counts::default, |(_, counts)| *counts);
        counts.settled(inuse, self.ages)
    }

    fn find(&self, bucket: usize) -> Option<u32> {
        self.buckets
            .find(hash(bucket), |(known, _)| *known == bucket)
    }
}

/// 2⁶⁴ divided by the golden ratio, as for sites: buckets are multiples of 8 and near one another.
fn hash(bucket: usize) -> u64 {
    (bucket as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

fn key(bucket: Option<&'static Bucket>) -> usize {
    bucket.map_or(0, |bucket| std::ptr::from_ref(bucket).addr())
}

impl Counts {
    /// Made to add up to what the bucket's own counts say, which were read later. What came meanwhile is young, and of what
    /// went the youngest is taken for gone: most objects die young. A block that is inside `realloc` has a record that
    /// nobody sees; it is about to be new.
    fn settled(mut self, inuse: u64, ages: Ages) -> Self {
        let seen = self.classes.iter().fold(self.too_young, |sum, of| sum + of);
        let is_any_old_enough = ages.min_age.unwrap_or_default().is_zero();
        match &mut self.classes {
            [youngest, ..] if is_any_old_enough => *youngest += inuse.saturating_sub(seen),
            _ => self.too_young += inuse.saturating_sub(seen),
        }
        let mut gone = seen.saturating_sub(inuse);
        let too_young = std::iter::once(&mut self.too_young);
        for count in too_young.chain(&mut self.classes) {
            let less = gone.min(*count);
            *count -= less;
            gone -= less;
        }
        self
    }

    /// How many are in which class, the oldest first, without classes that have none.
    pub(super) fn oldest_first(self) -> impl Iterator<Item = (AgeClass, u64)> {
        (0..CLASSES.len() as u8)
            .rev()
            .filter_map(move |nth| Some((AgeClass(nth), *self.classes.get(usize::from(nth))?)))
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SplitMix;

    #[test]
    fn each_age_has_one_class_whose_label_is_no_part_of_another() {
        let labels: Vec<&str> = CLASSES.iter().map(|(label, _)| *label).collect();
        for (nth, (label, begin)) in CLASSES.into_iter().enumerate() {
            assert_eq!(AgeClass::of(Duration::from_secs(begin)).label(), label);
            if let Some(before) = nth.checked_sub(1) {
                let just_before = Duration::from_secs(begin) - Duration::from_nanos(1);
                assert_eq!(AgeClass::of(just_before).label(), labels[before]);
            }
            let others = labels.iter().chain(&["freed"]);
            assert_eq!(others.filter(|other| other.contains(label)).count(), 1);
        }
        assert_eq!(AgeClass::of(Duration::MAX).label(), ">=24h");
        assert_eq!(AgeClass::FREED.label(), "freed");
        assert!(AgeClass::of(Duration::MAX) < AgeClass::FREED);
    }

    #[test]
    fn ages_are_shown_as_they_are_asked_for() {
        for (millis, expected) in [
            (0, "0ns"),
            (90_000, "1m30s"),
            (600_000, "10m"),
            (3_601_000, "1h1s"),
            (86_400_000, "24h"),
            (1_500, "1.5s"),
        ] {
            assert_eq!(shown(Duration::from_millis(millis)), expected);
        }
    }

    /// Whatever came and went between the reading of the records and that of the bucket's own counts.
    #[test]
    fn counts_settle_on_what_the_bucket_says() {
        let mut random = SplitMix::new(11);
        let mut next = |below: u64| random.next() % below;
        for _ in 0..20_000 {
            let counts = Counts {
                too_young: next(3),
                classes: std::array::from_fn(|_| next(3)),
            };
            let inuse = next(24);
            let min_age =
                [None, Some(Duration::ZERO), Some(Duration::from_secs(1))][next(3) as usize];
            let by_class = true;
            let settled = counts.settled(inuse, Ages { min_age, by_class });
            let sum = |counts: Counts| counts.classes.iter().sum::<u64>();
            assert_eq!(sum(settled) + settled.too_young, inuse, "{counts:?}");
            let older = |counts: Counts| counts.classes[1..].to_vec();
            if sum(counts) + counts.too_young <= inuse {
                // What came is young.
                assert_eq!(older(settled), older(counts));
                let expects_all = min_age.unwrap_or_default().is_zero();
                assert!(expects_all || sum(settled) == sum(counts));
            } else {
                // What went: of a class something is missing only if nothing younger is left.
                let classes = settled.classes.iter().zip(&counts.classes);
                let missing = classes.map(|(settled, counts)| counts - settled);
                let last = missing
                    .collect::<Vec<_>>()
                    .iter()
                    .rposition(|missing| *missing > 0);
                let last = last.unwrap_or(0);
                assert_eq!(
                    settled.classes[..last].iter().sum::<u64>(),
                    0,
                    "{counts:?}, {settled:?}"
                );
            }
            let shown: Vec<_> = settled.oldest_first().collect();
            assert!(shown.is_sorted_by(|one, next| one.0 > next.0));
            assert_eq!(
                shown.iter().map(|(_, count)| count).sum::<u64>(),
                sum(settled)
            );
        }
    }

    #[test]
    fn a_census_counts_by_bucket_class_and_age() {
        let minute = Duration::from_secs(60);
        let mut census = Census {
            ages: Ages {
                min_age: Some(minute),
                by_class: true,
            },
            buckets: Interned::new(),
        };
        for nth in 0..30_000_usize {
            let age = minute * (nth % 3) as u32 * 15;
            census.count(nth % 10_000 * 8, age).expect("memory");
        }
        assert_eq!(census.buckets.len(), 10_000);
        for nth in 0..10_000 {
            let (bucket, counts) = census.buckets.get(nth).expect("one of them");
            let sum = counts.classes.iter().sum::<u64>();
            assert_eq!((counts.too_young, sum), (1, 2), "{bucket}: {counts:?}");
            assert_eq!(
                counts.classes[2], 2,
                "ten minutes or more, less than an hour"
            );
        }
    }
}
