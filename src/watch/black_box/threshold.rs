//! When a value that passes a threshold is worth a dump, and when it is worth the next one.

use std::time::{Duration, Instant};

/// Of the threshold: below it a value that had passed is taken to have been down.
const DOWN: f64 = 0.9;

/// Between two dumps of a value that has been down between them. A service that breathes around its threshold writes one in
/// so long, each of some hundred kilobytes.
const PAUSE: Duration = Duration::from_secs(600);

/// A level, and what has happened at it.
#[derive(Debug)]
pub(super) struct Threshold {
    pub(super) level: f64,
    /// The next dump before a pause is at so many times the last.
    growth: f64,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    value: f64,
    at: Instant,
    was_down: bool,
}

impl Threshold {
    pub(super) fn new(level: f64, growth: f64) -> Self {
        Self {
            level,
            growth,
            last: None,
        }
    }

    /// Whether `value`, as it is now, is worth a dump. One that hovers at the level has one; one that grows has one at each
    /// step; one that goes down and comes up again has one in a while.
    pub(super) fn is_due(&mut self, value: f64, now: Instant) -> bool {
        if let Some(last) = &mut self.last {
            last.was_down |= value < self.level * DOWN;
        }
        // A level of no number is never passed.
        value >= self.level
            && self.last.is_none_or(|last| {
                value / last.value >= self.growth
                    || (last.was_down && now.saturating_duration_since(last.at) >= PAUSE)
            })
    }

    /// There is a dump of it.
    pub(super) fn is_done(&mut self, value: f64, now: Instant) {
        self.last = Some(Last {
            value,
            at: now,
            was_down: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a value, one a second, is dumped.
    fn dumps(values: impl Iterator<Item = f64>) -> Vec<usize> {
        let mut threshold = Threshold::new(100.0, 1.1);
        let start = Instant::now();
        let mut dumps = Vec::new();
        for (second, value) in values.enumerate() {
            let now = start + Duration::from_secs(second as u64);
            if threshold.is_due(value, now) {
                threshold.is_done(value, now);
                dumps.push(second);
            }
        }
        dumps
    }

    #[test]
    fn a_value_that_hovers_is_dumped_once() {
        let hovers = (0..100_000).map(|second| 99.0 + f64::from(second % 3));
        assert_eq!(dumps(hovers), [1]);
    }

    #[test]
    fn a_value_that_grows_is_dumped_at_each_step() {
        let grows = (0..200).map(f64::from);
        assert_eq!(dumps(grows), [100, 110, 121, 134, 148, 163, 180, 198]);
    }

    #[test]
    fn a_value_that_comes_again_is_dumped_once_in_a_while() {
        let breathes = (0..3600).map(|second| if second % 60 < 30 { 50.0 } else { 105.0 });
        assert_eq!(dumps(breathes), [30, 630, 1230, 1830, 2430, 3030]);
        assert_eq!(dumps((0..100).map(|_| f64::NAN)), []);
    }
}
