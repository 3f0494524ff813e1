//! The sampling rate, packed so that one compare tells both "the countdown ran out" and "the rate has changed".

use core::sync::atomic::{AtomicI64, Ordering};

use crate::elementary;

/// The rate in force and its generation, in one word. Every thread compares its countdown with it.
///
/// ```text
///  63 62        42 41 40          35 34           0
/// ┌──┬────────────┬─────────────────┬──────────────┐
/// │ 0│ generation │ room for a gap  │ rate, bytes  │    countdown = word + gap − bytes allocated since
/// └──┴────────────┴─────────────────┴──────────────┘
/// ```
///
/// A countdown that has been used up lies below the word by less than one allocation; one that was drawn under an
/// older rate lies below it by at least a generation. Either way `countdown < word` leads to the slow path, which
/// tells them apart by looking at the countdown before this allocation. So a change of rate reaches every thread at
/// its next allocation for the price of a compare with memory, where Go compares twice.
///
/// Generations go up to 2^20; after as many changes of rate a thread notices the next only when its countdown runs
/// out.
#[derive(Debug)]
pub(crate) struct Rate(AtomicI64);

/// A value of the rate word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateWord(i64);

const GENERATION_SHIFT: u32 = 42;
const MAX_GENERATION: i64 = 1 << 20;
const RATE_MASK: i64 = (1 << 35) - 1;
/// The rate field of the word until the first allocation sets it.
const UNSET: i64 = RATE_MASK;

/// The largest rate, 16 GiB. Its longest gap, 36.7 times itself, still fits below the generation.
pub(crate) const MAX_RATE: usize = 1 << 34;

/// The gap of a thread when the rate is 0: it visits the slow path once in 128 MiB. A longer one would save nothing that
/// can be measured; it is as late as a thread can notice, after the last generation, that sampling is on again.
const NEVER: i64 = 1 << 27;

impl Rate {
    pub(crate) const fn new() -> Self {
        Self(AtomicI64::new(1 << GENERATION_SHIFT | UNSET))
    }

    #[inline(always)]
    pub(crate) fn word(&self) -> RateWord {
        RateWord(self.0.load(Ordering::Relaxed))
    }

    /// Sets the rate and starts a new generation. Does nothing before the first allocation: a word without a rate says
    /// that no wrapper is installed.
    pub(crate) fn set(&self, bytes: usize) {
        let rate = bytes.min(MAX_RATE) as i64;
        let next = |word: i64| {
            // The same rate needs no new generation.
            RateWord(word).rate().filter(|now| *now as i64 != rate)?;
            let generation = ((word >> GENERATION_SHIFT) + 1).min(MAX_GENERATION);
            Some(generation << GENERATION_SHIFT | rate)
        };
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Sets the rate if nobody has.
    pub(crate) fn set_first(&self, bytes: usize) {
        let first = RateWord(1 << GENERATION_SHIFT | UNSET);
        let next = 2 << GENERATION_SHIFT | bytes.min(MAX_RATE) as i64;
        let _ = self
            .0
            .compare_exchange(first.0, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl RateWord {
    /// Whether a countdown has run out or belongs to an older rate.
    #[inline(always)]
    pub(crate) fn is_above(self, countdown: i64) -> bool {
        countdown < self.0
    }

    /// The rate in bytes; none before the first allocation.
    pub(crate) fn rate(self) -> Option<usize> {
        let rate = self.0 & RATE_MASK;
        if rate == UNSET {
            None
        } else {
            Some(rate as usize)
        }
    }

    /// A countdown that an allocation's bytes were given back to, without what was added to a gap drawn since they were
    /// taken: by a signal handler that allocated between the two. Known at rate 1 only, where no gap is above 0; there it
    /// would be a missing sample. At other rates such an allocation is tested against too long a gap, one in as many as
    /// signals hit those few instructions.
    pub(super) fn cut(self, countdown: i64) -> i64 {
        if self.rate() == Some(1) {
            countdown.min(self.0)
        } else {
            countdown
        }
    }

    /// The countdown of a thread that draws a gap now. `uniform` lies in (0, 1].
    ///
    /// The gap is exponential with the rate as its mean, cut to a whole number of bytes; an allocation is sampled when
    /// it takes the countdown below zero. As sizes are whole numbers that is the same event as reaching the real-valued
    /// gap, so P(sampled | size S) is 1 − e^(−S/R) with no rounding bias. At rate 1 the gap is 0: every allocation.
    pub(crate) fn draw(self, uniform: f64) -> i64 {
        let gap = match self.rate() {
            None | Some(0) => NEVER,
            Some(1) => 0,
            // At most 36.7 · 2^34 for the smallest `uniform`, 2^−53.
            Some(rate) => (-elementary::ln(uniform) * rate as f64) as i64,
        };
        self.0.saturating_add(gap)
    }
}

#[cfg(test)]
mod tests;
