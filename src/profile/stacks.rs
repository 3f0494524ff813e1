//! `StackProfile`: stacks with a value or two and labels, of whatever is counted: threads, tasks, ticks of a processor, one's
//! own things. The heap's profile has records of its own.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::all_mappings;
use super::encoder::Encoder;
use super::format::ProfileFormat;
use super::frames::{Frames, Pseudo};
use super::interned::{Interned, Text, hash};
use super::mappings::Mappings;
use super::pieces::Pieces;
use super::pprof::{nanos, nanos_since_epoch};
use super::proto;
use super::sites::Site;
#[cfg(feature = "http")]
use super::stack_names::{NamedFrame, named_frames};
use super::tables::{Form, Tables};
use super::text;
use super::waits;
use crate::pages::PageVec;
use crate::record::{self, Suspended};
#[cfg(feature = "http")]
use crate::stack::ModuleMark;
use crate::stack::ReturnAddress;

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

/// An entry by name.
#[cfg(feature = "http")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedEntry {
    /// The leaf first; what was inlined has frames of its own.
    pub(crate) frames: Vec<NamedFrame>,
    pub(crate) is_truncated: bool,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) values: [i64; 2],
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

    #[cfg(feature = "http")]
    /// Says how long it was counted.
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

    #[cfg(feature = "http")]
    /// The same of the root part of each stack, from the thread's start to the first frame that is not among those that
    /// `is_start` knows; the whole stack if there is no such frame. Of a truncated stack that part is not known.
    pub(super) fn thread_starts(&self, is_start: fn(&Frames, &Mappings, Site) -> bool) -> Self {
        let _own = Suspended::new();
        let entries: Vec<Entry> = self.entries.iter().copied().collect();
        let mappings = all_mappings();
        let frames = self.frames(&entries, &mappings, true);
        let mut starts = self.clone();
        starts.entries = Interned::new();
        starts.frames = PageVec::new();
        for entry in &entries {
            let labels: Vec<_> = self.labels_of(entry).collect();
            let stack = self.frames_of(entry);
            let sites: Vec<Site> = Site::of_stack(stack, &mappings).collect();
            let first = sites
                .iter()
                .rposition(|site| !is_start(&frames, &mappings, *site));
            let root = match entry.is_truncated {
                true => Vec::new(),
                false => without_leaves(stack, first.unwrap_or(0)),
            };
            starts.add(&root, entry.is_truncated, entry.values, &labels);
        }
        starts
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

    #[cfg(feature = "http")]
    /// The names of the values of its samples, in their order.
    pub(crate) fn sample_types(&self) -> Vec<&str> {
        let types = self.sample_types.iter();
        types.map(|(name, _)| name.as_str()).collect()
    }

    /// In whichever form. Without names, which is for pprof alone, unless `symbolize`.
    pub(crate) fn to_form(&self, format: ProfileFormat, symbolize: bool) -> Pieces {
        let _own = Suspended::new();
        let limits = record::limits();
        let mut entries = self.ranked();
        let mut folded = Fold {
            entries: 0,
            values: self.lost,
        };
        if entries.len() > limits.profile_samples {
            folded.fold_from(&mut entries, limits.profile_samples.saturating_sub(1));
        }
        let mut mappings = all_mappings();
        mappings.forget_unused(|mappings| {
            let sites = self.sites(&entries, mappings);
            sites.map(|site| site.mapping).collect()
        });
        let frames = self.frames(&entries, &mappings, symbolize);
        let form = match symbolize {
            true => Form::Symbolized(&frames),
            false => Form::Raw,
        };
        loop {
            // Without entries it is as small as it can be.
            let limit = match entries.len() {
                0 => usize::MAX,
                _ => limits.profile_bytes,
            };
            let tables = Tables::new(&mappings, form, Encoder::new(limit, format));
            match self.build(&mut entries, &mut folded, tables, &frames) {
                Some(gzip) => return gzip,
                // The tenth is for what was written behind the entries. Always fewer, so that trying again ends.
                None => {
                    let fewer = entries.len() * 9 / 10;
                    folded.fold_from(&mut entries, fewer);
                }
            }
        }
    }

    /// Folds the entries that there is no room for. None if what is written behind them went over the limit.
    fn build(
        &self,
        entries: &mut Vec<Entry>,
        folded: &mut Fold,
        mut tables: Tables<'_>,
        frames: &Frames,
    ) -> Option<Pieces> {
        let sample_types = self.sample_types.iter();
        let sample_type = sample_types
            .map(|(name, unit)| tables.value_type((name, unit)))
            .collect();
        let (name, unit) = &self.period_type;
        let period_type = Some(tables.value_type((name, unit)));
        let mut written = 0;
        for entry in entries.iter() {
            if tables.is_nearly_full() {
                break;
            }
            written += 1;
            let mut location_id: Vec<u64> =
                Site::of_stack(self.frames_of(entry), tables.mappings())
                    .map(|site| tables.location(site))
                    .collect();
            if location_id.is_empty() {
                location_id.push(tables.pseudo(Pseudo::NoStack));
            }
            if entry.is_truncated {
                location_id.push(tables.pseudo(Pseudo::StackTruncated));
            }
            let label = self
                .labels_of(entry)
                .map(|(key, value)| proto::Label {
                    key: tables.string(key),
                    str: tables.string(value),
                    num: 0,
                    num_unit: 0,
                })
                .collect();
            tables.add_sample(self.sample(location_id, entry.values, label));
        }
        if written < entries.len() {
            folded.fold_from(entries, written);
        }
        if folded.values != [0; 2] {
            let location = tables.pseudo(Pseudo::Truncated);
            tables.add_sample(self.sample(vec![location], folded.values, Vec::new()));
        }
        let comment = self
            .comments(folded, frames)
            .iter()
            .map(|comment| tables.string(comment))
            .collect();
        let rest = proto::Profile {
            sample_type,
            period_type,
            period: self.period,
            time_nanos: nanos_since_epoch(self.time),
            duration_nanos: self.duration.map_or(0, nanos),
            comment,
            ..Default::default()
        };
        tables.finish(rest)
    }

    fn sample(
        &self,
        location_id: Vec<u64>,
        values: [i64; 2],
        label: Vec<proto::Label>,
    ) -> proto::Sample {
        proto::Sample {
            location_id,
            value: values.into_iter().take(self.sample_types.len()).collect(),
            label,
        }
    }

    fn comments(&self, folded: &Fold, frames: &Frames) -> Vec<String> {
        let mut comments = self.notes.clone();
        if folded.entries > 0 {
            comments.push(format!(
                "{} entries are folded into [truncated]: the profile's size limit; totals are kept",
                folded.entries
            ));
        }
        comments.extend(frames.resolved.loss());
        comments
    }

    /// Go's `debug=1` text.
    pub(crate) fn to_text(&self) -> Pieces {
        let _own = Suspended::new();
        let entries = self.ranked();
        let mappings = all_mappings();
        let frames = self.frames(&entries, &mappings, true);
        let mut pieces = Pieces::default();
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} profile: total {}", self.name, self.total());
        for entry in &entries {
            let _ = write!(out, "{} @", entry.values[0]);
            let stack: Vec<Site> = Site::of_stack(self.frames_of(entry), &mappings).collect();
            let labels: Vec<_> = self.labels_of(entry).collect();
            let hidden = match is_task(&labels) {
                true => waits::waiting(frames.are_waits(&stack)),
                false => 0,
            };
            text::stack_rows_from(
                &mut out,
                &stack,
                hidden,
                entry.is_truncated,
                &labels,
                &frames,
                &mappings,
            );
            pieces.add(out.as_bytes());
            out.clear();
        }
        if self.lost != [0; 2] {
            let _ = write!(out, "{} @", self.lost[0]);
            text::pseudo(&mut out, Pseudo::Truncated, &[]);
        }
        for note in self.notes.iter().cloned().chain(frames.resolved.loss()) {
            let _ = writeln!(out, "# {note}");
        }
        pieces.add(out.as_bytes());
        pieces
    }

    /// The entries by name, in the order of the text form.
    #[cfg(feature = "http")]
    pub(crate) fn named_entries(&self) -> Vec<NamedEntry> {
        let _own = Suspended::new();
        let entries = self.ranked();
        let mappings = all_mappings();
        let frames = self.frames(&entries, &mappings, true);
        let named = |entry: &Entry| NamedEntry {
            frames: Site::of_stack(self.frames_of(entry), &mappings)
                .flat_map(|site| named_frames(&frames, &mappings, site))
                .collect(),
            is_truncated: entry.is_truncated,
            labels: self
                .labels_of(entry)
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            values: entry.values,
        };
        entries.iter().map(named).collect()
    }
}

/// Entries that are not written one by one.
#[derive(Debug)]
struct Fold {
    entries: usize,
    values: [i64; 2],
}

impl Fold {
    /// Leaves the first `count`.
    fn fold_from(&mut self, entries: &mut Vec<Entry>, count: usize) {
        for entry in entries.drain(count.min(entries.len())..) {
            self.entries += 1;
            for (sum, value) in self.values.iter_mut().zip(entry.values) {
                *sum = sum.saturating_add(value);
            }
        }
    }
}

#[cfg(feature = "http")]
/// A stack without so many frames on the leaf side, and with the mark that is in force behind them.
pub(super) fn without_leaves(stack: &[ReturnAddress], leaves: usize) -> Vec<ReturnAddress> {
    let (mut mark, mut passed) = (None, 0);
    for (nth, word) in stack.iter().enumerate() {
        if ModuleMark::of_word(*word).is_some() {
            mark = Some(*word);
        } else if passed == leaves {
            let rest = stack.get(nth..).unwrap_or_default();
            return mark.into_iter().chain(rest.iter().copied()).collect();
        } else {
            passed += 1;
        }
    }
    Vec::new()
}

/// Whether an entry counts tasks: of how they wait its text says nothing.
fn is_task(labels: &[(&str, &str)]) -> bool {
    labels.iter().any(|(key, _)| *key == "task")
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

    #[cfg(feature = "http")]
    #[test]
    fn a_mark_stays_in_force_when_leaves_are_cut() {
        let (mark, other) = (1 << 63 | 5, 1 << 63 | 6);
        let all = stack(&[1, mark, 2, 3, other, 4]);
        for (leaves, expected) in [
            (0, &[1, mark, 2, 3, other, 4][..]),
            (1, &[mark, 2, 3, other, 4]),
            (2, &[mark, 3, other, 4]),
            (3, &[other, 4]),
            (4, &[]),
        ] {
            assert_eq!(without_leaves(&all, leaves), stack(expected), "{leaves}");
        }
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

    #[test]
    fn what_is_beyond_the_limit_is_folded_and_totals_are_kept() {
        let entry = |value| Entry {
            first_frame: 0,
            depth: 0,
            is_truncated: false,
            labels: Text::add(&mut PageVec::new(), "").unwrap(),
            values: [value, 2 * value],
        };
        let mut entries: Vec<Entry> = (1..=10).map(entry).collect();
        let mut folded = Fold {
            entries: 0,
            values: [100, 200],
        };
        folded.fold_from(&mut entries, 8);
        folded.fold_from(&mut entries, 7);
        assert_eq!(
            (entries.len(), folded.entries, folded.values),
            (7, 3, [127, 254])
        );
    }
}
