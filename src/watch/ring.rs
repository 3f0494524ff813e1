//! The ring: what the counts were, a period ago and longer, within a bound on memory.
//!
//! The newest snapshot is whole. An older one has only what is different in the next, with the counts as they were:
//!
//! ```text
//! oldest                                        newest
//! [what is other in B] ◀ A   B ▶ [other in C] … N ▶ [all counts]        A = all of N, over it …, over it C's, B's, A's
//! ```
//!
//! So the oldest goes without a trace, a stack that does nothing costs nothing, and one in between is taken out by giving
//! what it has, and the one before it has not, to the one before it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::snapshot::{Counts, Reader, Writer, side_by_side};
use crate::pages::PageVec;
use crate::record::FoldedTotals;

/// Snapshots that are kept each, in periods: as many as there are in the hour, and one more so that one is at least an
/// hour old.
pub(super) const FINE: u64 = 61;
/// Of those that are older, one for so many periods.
pub(super) const COARSE_STEP: u64 = 10;
/// How old the oldest may be, in periods: a day, and again one more.
pub(super) const OLDEST: u64 = 24 * 60 + COARSE_STEP;

/// What is known of a snapshot beside its counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) taken: Instant,
    /// In periods since the ring began, rounded.
    pub(super) tick: u64,
    /// Sampled (allocs, frees) that have no bucket.
    pub(super) folded: (FoldedTotals, FoldedTotals),
    /// Of sampling, in bytes.
    pub(super) rate: usize,
}

#[derive(Debug, Clone, Copy)]
struct Older {
    moment: Moment,
    /// Where its counts are in the log.
    start: usize,
    len: usize,
}

#[derive(Debug)]
pub(super) struct Ring {
    /// The oldest first.
    older: VecDeque<Older>,
    /// Counts of the older ones, in no order, and what is no longer any's.
    log: PageVec<u8>,
    newest: Option<(Moment, PageVec<u8>)>,
    /// Whether the bound on memory has cost a snapshot.
    is_cut: bool,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self {
            older: VecDeque::new(),
            log: PageVec::new(),
            newest: None,
            is_cut: false,
        }
    }

    /// Adds a snapshot, as a [`Writer`] wrote it, and lets go of what is too old, or over `max_bytes`. False if the system
    /// has no memory: then the ring is as it was, or empty.
    pub(super) fn push(&mut self, moment: Moment, counts: PageVec<u8>, max_bytes: usize) -> bool {
        let replaced = self.newest.replace((moment, counts));
        if let (Some((earlier, was)), Some((_, now))) = (replaced, &self.newest) {
            let differ = side_by_side(Reader::new(was.as_slice()), Reader::new(now.as_slice()));
            let differ = differ.filter_map(|(was, now)| {
                let was = was.or(now.map(not_there_yet))?;
                (now != Some(was)).then_some(was)
            });
            let Some((start, len)) = write(&mut self.log, differ) else {
                self.clear();
                return false;
            };
            self.older.push_back(Older {
                moment: earlier,
                start,
                len,
            });
        }
        self.thin(moment.tick);
        while self.bytes() > max_bytes && self.pop_oldest() {
            self.is_cut = true;
        }
        self.compact()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Bytes of counts.
    pub(super) fn bytes(&self) -> usize {
        let older: usize = self.older.iter().map(|older| older.len).sum();
        older
            + self
                .newest
                .as_ref()
                .map_or(0, |(_, counts)| counts.as_slice().len())
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn resident(&self) -> usize {
        let newest = self
            .newest
            .as_ref()
            .map_or(0, |(_, counts)| counts.as_slice().len());
        self.log.as_slice().len() + newest + self.older.capacity() * size_of::<Older>()
    }

    /// Whether the bound on memory has cost it what time alone would not have.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The oldest first.
    pub(super) fn moments(&self) -> impl DoubleEndedIterator<Item = Moment> {
        let newest = self.newest.as_ref().map(|(moment, _)| *moment);
        self.older.iter().map(|older| older.moment).chain(newest)
    }

    /// The youngest that is at least `age` old; the oldest if none is.
    pub(super) fn at_least(&self, age: Duration, now: Instant) -> Option<Moment> {
        let is_old = |moment: &Moment| now.saturating_duration_since(moment.taken) >= age;
        self.moments().rev().find(is_old).or(self.moments().next())
    }

    /// Hands `visit` the counts at each moment, the newest first, until it says false: those of `buckets`, addresses in
    /// order, one for one. False if the system has no memory for them.
    pub(super) fn for_each(
        &self,
        buckets: &[usize],
        mut visit: impl FnMut(Moment, &[Counts]) -> bool,
    ) -> bool {
        let none = |bucket: &usize| Counts {
            bucket: *bucket,
            ..Counts::default()
        };
        let Some(mut counts) = PageVec::try_collect(buckets.iter().map(none)) else {
            return false;
        };
        let Some((moment, newest)) = &self.newest else {
            return true;
        };
        overlay(counts.as_mut_slice(), Reader::new(newest.as_slice()));
        if !visit(*moment, counts.as_slice()) {
            return true;
        }
        for older in self.older.iter().rev() {
            overlay(counts.as_mut_slice(), self.read(older));
            if !visit(older.moment, counts.as_slice()) {
                break;
            }
        }
        true
    }

    fn read(&self, older: &Older) -> Reader<'_> {
        let end = older.start + older.len;
        Reader::new(
            self.log
                .as_slice()
                .get(older.start..end)
                .unwrap_or_default(),
        )
    }

    /// Takes out what is too old, and of what is older than the fine ones all but the first of each coarse step.
    fn thin(&mut self, tick: u64) {
        let age = |older: &Older| tick.saturating_sub(older.moment.tick);
        while self
            .older
            .front()
            .is_some_and(|oldest| age(oldest) > OLDEST)
        {
            self.pop_oldest();
        }
        let step = |older: &Older| older.moment.tick / COARSE_STEP;
        let mut nth = 1;
        while let (Some(before), Some(this)) = (self.older.get(nth - 1), self.older.get(nth)) {
            if age(this) <= FINE {
                break;
            }
            // Without memory for it it stays, and is tried again.
            if step(before) != step(this) || !self.take_out(nth) {
                nth += 1;
            }
        }
    }

    /// Takes out one that has one before it.
    fn take_out(&mut self, nth: usize) -> bool {
        let (Some(before), Some(this)) = (self.older.get(nth - 1), self.older.get(nth)) else {
            return false;
        };
        let mut merged = PageVec::new();
        let both = side_by_side(self.read(before), self.read(this));
        let Some((_, len)) = write(
            &mut merged,
            both.filter_map(|(before, this)| before.or(this)),
        ) else {
            return false;
        };
        let start = self.log.as_slice().len();
        if !self.log.extend(merged.as_slice()) {
            return false;
        }
        if let Some(before) = self.older.get_mut(nth - 1) {
            (before.start, before.len) = (start, len);
        }
        self.older.remove(nth);
        true
    }

    fn pop_oldest(&mut self) -> bool {
        // The newest alone is over the bound: then nothing is kept.
        self.older.pop_front().is_some() || self.newest.take().is_some()
    }

    /// Writes the log anew when a quarter of it is nobody's.
    fn compact(&mut self) -> bool {
        let used: usize = self.older.iter().map(|older| older.len).sum();
        if self.log.as_slice().len() <= used + used / 4 + 64 * 1024 {
            return true;
        }
        let mut log = PageVec::new();
        if !log.reserve(used) {
            // It can wait.
            return true;
        }
        for older in &mut self.older {
            let old = self
                .log
                .as_slice()
                .get(older.start..older.start + older.len);
            older.start = log.as_slice().len();
            if !log.extend(old.unwrap_or_default()) {
                self.clear();
                return false;
            }
        }
        self.log = log;
        true
    }
}

fn not_there_yet(counts: Counts) -> Counts {
    Counts {
        bucket: counts.bucket,
        ..Counts::default()
    }
}

/// Appends counts; where, and how many bytes. None if the system has no memory for them.
fn write(
    log: &mut PageVec<u8>,
    mut counts: impl Iterator<Item = Counts>,
) -> Option<(usize, usize)> {
    let start = log.as_slice().len();
    let mut writer = Writer::new(log);
    if counts.all(|counts| writer.add(counts)) {
        return Some((start, log.as_slice().len() - start));
    }
    log.truncate(start);
    None
}

/// Puts counts in their buckets' places; those of buckets that have none are left out.
fn overlay(all: &mut [Counts], counts: impl Iterator<Item = Counts>) {
    let mut places = all.iter_mut();
    let mut place = places.next();
    for counts in counts {
        while place
            .as_ref()
            .is_some_and(|place| place.bucket < counts.bucket)
        {
            place = places.next();
        }
        match &mut place {
            Some(place) if place.bucket == counts.bucket => **place = counts,
            Some(_) => {}
            None => return,
        }
    }
}

#[cfg(test)]
mod tests;
