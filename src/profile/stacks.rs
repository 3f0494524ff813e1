//! `StackProfile`: stacks with a value or two and labels, of whatever is counted: threads, tasks, ticks of a processor, one's
//! own things. The heap's profile has records of its own.

mod form;
#[cfg(feature = "http")]
mod starts;
mod text;

use std::time::{Duration, SystemTime};

use super::frames::Frames;
use super::interned::{Interned, Text, hash};
use super::mappings::Mappings;
use super::sites::Site;
use crate::pages::PageVec;
use crate::stack::ReturnAddress;

#[cfg(feature = "http")]
pub(super) use self::starts::without_leaves;

/// Counts by stack and labels.
#[derive(Debug, Clone)]
pub(crate) struct StackProfile {
    /// In its text form.
    name: String,
    /// `(type, unit)` of each value, one or two.
    sample_types: Vec<(String, &'static str)>,
    period_type: (String, &'static str),
    period: i64,
    entries: Interned<Entry>,
    /// Of all entries, one after the other.
    frames: PageVec<ReturnAddress>,
    /// Of all entries: keys and values, each ended by a NUL.
    labels: PageVec<u8>,
    /// Samples that there was no memory for.
    lost: [i64; 2],
    time: SystemTime,
    duration: Option<Duration>,
    notes: Vec<String>,
}

/// What stacks and labels have in common, and what was counted there.
#[derive(Debug, Clone, Copy)]
struct Entry {
    first_frame: u32,
    depth: u32,
    is_truncated: bool,
    labels: Text,
    values: [i64; 2],
}

impl StackProfile {
    pub(crate) fn new(
        sample_types: &[(&str, &'static str)],
        period_type: (&str, &'static str),
        period: i64,
    ) -> Self {
        let name = sample_types.first().map_or("", |(name, _)| *name);
        let sample_types = sample_types.iter().take(2);
        Self {
            name: name.to_owned(),
            sample_types: sample_types
                .map(|(name, unit)| ((*name).to_owned(), *unit))
                .collect(),
            period_type: (period_type.0.to_owned(), period_type.1),
            period,
            entries: Interned::new(),
            frames: PageVec::new(),
            labels: PageVec::new(),
            lost: [0; 2],
            time: SystemTime::now(),
            duration: None,
            notes: Vec::new(),
        }
    }

    /// A profile that counts things of this name, as most of Go's do. In the file the name is an identifier: Parca and
    /// Pyroscope refuse others, which Go writes.
    pub(crate) fn count(name: &str) -> Self {
        let is_allowed = |(nth, letter): (usize, char)| {
            letter == '_' || letter.is_ascii_alphabetic() || nth > 0 && letter.is_ascii_digit()
        };
        let letters = name.chars().enumerate();
        let identifier: String = letters
            .map(|(nth, letter)| {
                if is_allowed((nth, letter)) {
                    letter
                } else {
                    '_'
                }
            })
            .collect();
        Self {
            name: name.to_owned(),
            ..Self::new(&[(&identifier, "count")], (&identifier, "count"), 1)
        }
    }

    /// Adds to the values of a stack, leaf first, with these labels, in any order.
    pub(crate) fn add(
        &mut self,
        frames: &[ReturnAddress],
        is_truncated: bool,
        values: [i64; 2],
        labels: &[(&str, &str)],
    ) {
        let labels = joined(labels);
        if self
            .try_add(frames, is_truncated, values, &labels)
            .is_none()
        {
            for (lost, value) in self.lost.iter_mut().zip(values) {
                *lost = lost.saturating_add(value);
            }
        }
    }

    fn try_add(
        &mut self,
        frames: &[ReturnAddress],
        is_truncated: bool,
        values: [i64; 2],
        labels: &str,
    ) -> Option<()> {
        let hash = hash(&(ReturnAddress::words(frames), is_truncated, labels));
        let found = self.entries.find(hash, |entry| {
            entry.is_truncated == is_truncated
                && self.frames_of(entry) == frames
                && entry.labels.of(self.labels.as_slice()) == labels.as_bytes()
        });
        if let Some(entry) = found.and_then(|nth| self.entries.get_mut(nth)) {
            for (sum, value) in entry.values.iter_mut().zip(values) {
                *sum = sum.saturating_add(value);
            }
            return Some(());
        }
        let first_frame = u32::try_from(self.frames.as_slice().len()).ok()?;
        let depth = u32::try_from(frames.len()).ok()?;
        self.frames.extend(frames).then_some(())?;
        let labels = Text::add(&mut self.labels, labels)?;
        let entry = Entry {
            first_frame,
            depth,
            is_truncated,
            labels,
            values,
        };
        self.entries.add(hash, entry)?;
        Some(())
    }

    fn frames_of(&self, entry: &Entry) -> &[ReturnAddress] {
        let first = entry.first_frame as usize;
        let range = first..first + entry.depth as usize;
        self.frames.as_slice().get(range).unwrap_or_default()
    }

    fn labels_of(&self, entry: &Entry) -> impl Iterator<Item = (&str, &str)> {
        let text = entry.labels.of(self.labels.as_slice());
        split(std::str::from_utf8(text).unwrap_or_default())
    }

    /// A word for the reader of the file.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Says how long it was counted.
    #[cfg(feature = "http")]
    pub(crate) fn set_duration(&mut self, duration: Duration) {
        self.duration = Some(duration);
    }

    /// The sum of the first value.
    pub(crate) fn total(&self) -> i64 {
        let first = |values: [i64; 2]| values[0];
        let entries = self.entries.iter().map(|entry| first(entry.values));
        entries.fold(first(self.lost), i64::saturating_add)
    }

    /// The growth since `earlier`, of the same types; what has not changed is left out.
    #[cfg(any(feature = "http", test))]
    pub(crate) fn since(&self, earlier: &Self, duration: Duration) -> Self {
        let mut grown = self.clone();
        for before in earlier.entries.iter() {
            let labels: Vec<_> = earlier.labels_of(before).collect();
            let values = before.values.map(i64::saturating_neg);
            grown.add(
                earlier.frames_of(before),
                before.is_truncated,
                values,
                &labels,
            );
        }
        for (lost, before) in grown.lost.iter_mut().zip(earlier.lost) {
            *lost = lost.saturating_sub(before);
        }
        grown.duration = Some(duration);
        grown
    }

    /// The names of the values of its samples, in their order.
    #[cfg(feature = "http")]
    pub(crate) fn sample_types(&self) -> Vec<&str> {
        let types = self.sample_types.iter();
        types.map(|(name, _)| name.as_str()).collect()
    }

    /// The entries that count something, those with the largest first values first, as Go has them; equals in the order of
    /// their stacks.
    fn ranked(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries.iter().copied().collect();
        entries.retain(|entry| entry.values != [0; 2]);
        entries.sort_by(|one, other| {
            let size = |entry: &Entry| std::cmp::Reverse(entry.values[0].unsigned_abs());
            let stack = |entry: &Entry| ReturnAddress::words(self.frames_of(entry)).to_vec();
            size(one)
                .cmp(&size(other))
                .then_with(|| stack(one).cmp(&stack(other)))
        });
        entries
    }

    fn sites<'a>(
        &'a self,
        entries: &'a [Entry],
        mappings: &'a Mappings,
    ) -> impl Iterator<Item = Site> + 'a {
        let stacks = entries.iter().map(|entry| self.frames_of(entry));
        stacks.flat_map(|stack| Site::of_stack(stack, mappings))
    }

    fn frames(&self, entries: &[Entry], mappings: &Mappings, symbolize: bool) -> Frames {
        Frames {
            shows_runtime: true,
            ..Frames::resolve(self.sites(entries, mappings), mappings, symbolize)
        }
    }
}

/// Labels in one text, by key, as they are compared and kept.
fn joined(labels: &[(&str, &str)]) -> String {
    let mut labels = labels.to_vec();
    // A sample with two labels of one key is broken for some readers: the first is the profiler's own.
    labels.sort_by_key(|(key, _)| *key);
    labels.dedup_by_key(|(key, _)| *key);
    let parts = labels.iter().flat_map(|(key, value)| [key, value]);
    parts.fold(String::new(), |mut text, part| {
        // What ends a part is in none.
        text.extend(part.chars().filter(|letter| *letter != '\0'));
        text.push('\0');
        text
    })
}

fn split(labels: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = labels.split_terminator('\0');
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(frames: &[usize]) -> Vec<ReturnAddress> {
        frames.iter().copied().map(ReturnAddress).collect()
    }

    fn text(profile: &StackProfile) -> String {
        let bytes: Vec<u8> = profile.to_text().iter().flatten().copied().collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn equal_stacks_with_equal_labels_are_one_entry_and_the_largest_comes_first() {
        let mut profile = StackProfile::count("things");
        let one = stack(&[0x10_0001, 0x10_0002]);
        let other = stack(&[0x10_0003]);
        profile.add(&one, false, [1, 0], &[("b", "2"), ("a", "1")]);
        profile.add(&other, false, [1, 0], &[]);
        profile.add(&other, true, [1, 0], &[]);
        profile.add(&one, false, [2, 0], &[("a", "1"), ("b", "2")]);
        profile.add(&[], false, [1, 0], &[]);
        assert_eq!(profile.total(), 6);
        let text = text(&profile);
        let counts: Vec<&str> = text.lines().filter(|line| line.contains(" @")).collect();
        assert_eq!(
            counts,
            [
                "3 @ 0x100001 0x100002",
                "1 @ 0xffffffffffff0004",
                "1 @ 0x100003",
                "1 @ 0x100003",
            ]
        );
        assert!(text.starts_with("things profile: total 6\n"), "{text}");
        assert!(
            text.contains("\n# labels: {\"a\":\"1\", \"b\":\"2\"}\n"),
            "{text}"
        );
    }

    #[test]
    fn growth_leaves_out_what_has_not_changed() {
        let mut before = StackProfile::count("things");
        let (same, gone, new) = (
            stack(&[0x20_0001]),
            stack(&[0x20_0002]),
            stack(&[0x20_0003]),
        );
        before.add(&same, false, [5, 0], &[]);
        before.add(&gone, false, [2, 0], &[("k", "v")]);
        let mut after = StackProfile::count("things");
        after.add(&same, false, [5, 0], &[]);
        after.add(&new, false, [7, 0], &[]);
        let grown = after.since(&before, Duration::from_secs(1));
        let values: Vec<i64> = grown.ranked().iter().map(|entry| entry.values[0]).collect();
        assert_eq!((values, grown.total()), (vec![7, -2], 5));
    }
}
