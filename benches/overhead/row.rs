//! One kind of work on one allocator.

use crate::ratio::{Ratio, minimum};
use crate::verdict::verdict;

/// What any one kind may cost: a tenth more, or this many nanoseconds per operation, whichever is larger.
const RATIO_BAR: f64 = 1.10;
const PAIR_BAR_NS: f64 = 1.5;
/// What a pair may cost whose every block is sampled; those of smaller blocks may cost their share of it.
const SAMPLE_BAR_NS: f64 = 1_000.0;
/// Bytes from sample to sample, the default.
const RATE: f64 = 524_288.0;

pub(crate) struct Row {
    name: String,
    /// Nanoseconds per operation.
    bare: f64,
    pub(crate) a_a: f64,
    pub(crate) profiled: Ratio,
    pub(crate) rate_1: Ratio,
    pub(crate) off: Ratio,
}

impl Row {
    /// From the rounds of bare, control, profiled, rate 1 and off.
    pub(crate) fn new(name: String, rounds: &[Vec<f64>]) -> Self {
        let [bare, control, profiled, rate_1, off] = rounds else {
            panic!("five sides");
        };
        let against_bare = |side| Ratio::new(side, bare, control);
        Self {
            name,
            bare: minimum(bare),
            a_a: minimum(control) / minimum(bare),
            profiled: against_bare(profiled),
            rate_1: against_bare(rate_1),
            off: against_bare(off),
        }
    }

    fn added(&self) -> f64 {
        (self.profiled.of_minima - 1.0) * self.bare
    }

    pub(crate) fn print_against_ratio(&self) {
        let is_within = self.profiled.of_minima <= RATIO_BAR || self.added() <= PAIR_BAR_NS;
        self.print(&format!("≤ {RATIO_BAR:.2} or {PAIR_BAR_NS} ns"), is_within);
    }

    /// A pair of `bytes` that nobody touches.
    pub(crate) fn print_against_price(&self, bytes: f64) {
        let sampled = 1.0 - (-bytes / RATE).exp();
        let bar = PAIR_BAR_NS + sampled * SAMPLE_BAR_NS;
        let is_within = self.profiled.of_minima <= RATIO_BAR || self.added() <= bar;
        self.print(&format!("≤ {RATIO_BAR:.2} or {bar:.1} ns"), is_within);
    }

    fn print(&self, bar: &str, is_within: bool) {
        println!(
            "| {} | {:.2} | {:.3} | {:.3} | {:.3} | {:.2} | {bar} | {} | {:.2} | {:.3} |",
            self.name,
            self.bare,
            self.a_a,
            self.profiled.of_minima,
            self.profiled.paired_median,
            self.added(),
            verdict(is_within),
            self.rate_1.of_minima,
            self.off.of_minima,
        );
    }
}

/// The columns that `print` fills.
pub(crate) fn print_header() {
    println!(
        "| work | bare ns | A/A | profiled | paired median | added ns | bar | | rate 1 | off |"
    );
    println!("|---|--:|--:|--:|--:|--:|---|---|--:|--:|");
}
