//! Counts durations without allocating: 16 classes for each power of two, so a quantile is at most 6 % too high.

use crate::ProcessorWait;

/// Log2 of the classes per power of two.
const FINE: u32 = 4;
const CLASSES: usize = 64 << FINE;
/// A pause that a service's users can notice, in nanoseconds.
const STALL: u64 = 1_000_000;

/// A distribution of nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    maximum: u64,
    stalls: u64,
    own_stalls: u64,
}

impl Histogram {
    /// Without values.
    #[expect(
        clippy::new_without_default,
        reason = "nobody asks for a default of it"
    )]
    pub fn new() -> Self {
        Self {
            counts: vec![0; CLASSES],
            maximum: 0,
            stalls: 0,
            own_stalls: 0,
        }
    }

    /// Counts one duration. `wait` is asked how much of a stall the thread waited for a processor.
    #[inline]
    pub fn add(&mut self, nanoseconds: u64, wait: &mut ProcessorWait) {
        self.counts[class(nanoseconds)] += 1;
        self.maximum = self.maximum.max(nanoseconds);
        if nanoseconds > STALL {
            self.stalls += 1;
            self.own_stalls += u64::from(nanoseconds.saturating_sub(wait.since_last()) > STALL);
        }
    }

    /// The upper end of the class that a share of `quantile` of all durations is in or below.
    fn quantile(&self, quantile: f64) -> u64 {
        let all: u64 = self.counts.iter().sum();
        let wanted = (all as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        upper_end(found.unwrap_or(CLASSES - 1)).min(self.maximum)
    }

    /// Count, p50, p99, p99.9, maximum, stalls, and stalls that a wait for a processor does not explain, separated by
    /// semicolons.
    pub fn line(&self) -> String {
        let count: u64 = self.counts.iter().sum();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| self.quantile(quantile));
        format!(
            "{count};{p50};{p99};{p999};{};{};{}",
            self.maximum, self.stalls, self.own_stalls
        )
    }
}

fn class(value: u64) -> usize {
    if value < 1 << FINE {
        return value as usize;
    }
    let shift = value.ilog2() - FINE;
    // The top bits below the first one choose within the power of two.
    let within = (value >> shift) as usize & ((1 << FINE) - 1);
    ((shift as usize + 1) << FINE) + within
}

fn upper_end(class: usize) -> u64 {
    if class < 1 << FINE {
        return class as u64;
    }
    let shift = (class >> FINE) - 1;
    let within = (class & ((1 << FINE) - 1)) as u64;
    (((1 << FINE) + within + 1) << shift) - 1
}
