//! How a side compares to the bare one.

/// A side against the bare one, divided by the A/A control: the same program against itself in the same rounds.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    /// Of the fastest rounds: interference only ever slows a round down.
    pub(crate) of_minima: f64,
    /// The median over the rounds of the ratio within a round.
    pub(crate) paired_median: f64,
}

impl Ratio {
    pub(crate) fn new(side: &[f64], bare: &[f64], control: &[f64]) -> Self {
        let a_a = minimum(control) / minimum(bare);
        Self {
            of_minima: minimum(side) / minimum(bare) / a_a,
            paired_median: median(quotients(side, bare)) / median(quotients(control, bare)),
        }
    }
}

fn quotients(over: &[f64], under: &[f64]) -> Vec<f64> {
    over.iter()
        .zip(under)
        .map(|(over, under)| over / under)
        .collect()
}

pub(crate) fn minimum(of: &[f64]) -> f64 {
    of.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

pub(crate) fn geometric_mean(of: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = of.fold((0.0, 0_u32), |(sum, count), ratio| {
        (sum + ratio.ln(), count + 1)
    });
    (sum / f64::from(count)).exp()
}
