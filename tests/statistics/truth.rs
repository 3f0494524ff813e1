//! An estimate of a heap profile against the number of objects that there were.

use super::SIGMAS;

/// Objects of one size, each sampled with chance p = 1 − e^(−size/rate), whatever the others do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truth<'a> {
    pub(crate) what: &'a str,
    pub(crate) objects: u64,
    /// Bytes of one object.
    pub(crate) size: usize,
    /// Mean bytes between samples.
    pub(crate) rate: usize,
}

/// What a profile says of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Estimate {
    pub(crate) objects: i64,
    pub(crate) bytes: i64,
    /// Buckets that the two are sums over. Each is cut to a whole number at the beginning and at the end of the
    /// interval, so a sum is off by as much, up or down.
    pub(crate) buckets: usize,
}

impl Truth<'_> {
    /// Fails if objects or bytes are further from the truth than chance explains.
    pub(crate) fn assert_unbiased(&self, estimate: Estimate) {
        let (objects, bytes) = self.sigmas(estimate);
        let Self {
            what,
            objects: truth,
            size,
            rate,
        } = self;
        let found = estimate.objects;
        println!("| {what}, {size} B at rate {rate} | {truth} | {found} | {bytes:+.2} |");
        assert!(
            objects.abs() < SIGMAS && bytes.abs() < SIGMAS,
            "{self:?}: {estimate:?}, {objects:+.1} sigmas in objects, {bytes:+.1} in bytes"
        );
    }

    /// How far objects and bytes are off, in standard errors.
    pub(crate) fn sigmas(&self, estimate: Estimate) -> (f64, f64) {
        let whole = estimate.buckets as f64;
        let sigmas = |found: f64, unit: f64| {
            let samples = |found: f64| (found / unit * self.chance()).max(0.0);
            self.sigmas_of_samples(samples(found - whole), samples(found + whole))
        };
        (
            sigmas(estimate.objects as f64, 1.0),
            sigmas(estimate.bytes as f64, self.size as f64),
        )
    }

    fn chance(&self) -> f64 {
        -(-(self.size as f64) / self.rate as f64).exp_m1()
    }

    /// The samples behind an estimate are binomial. Their signed root of the deviance is as good as normal from a
    /// handful of samples on, where (n − Np)/σ is skewed (6 of its sigmas come by chance 90 times as often if 15
    /// samples are expected); and P(it is above x) ≤ e^(−x²/2) for any number (Chernoff).
    fn sigmas_of_samples(&self, at_least: f64, at_most: f64) -> f64 {
        let all = self.objects as f64;
        let mean = all * self.chance();
        // Not `all - mean`, which is 0 long before the chance of missing one is.
        let missed = all * (-(self.size as f64) / self.rate as f64).exp();
        let part = |found: f64, expected: f64| match found {
            0.0 => 0.0,
            _ => found * (found / expected).ln(),
        };
        let root = |samples: f64| {
            (2.0 * (part(samples, mean) + part(all - samples, missed)))
                .max(0.0)
                .sqrt()
        };
        if at_least > all {
            f64::INFINITY
        } else if at_least > mean {
            root(at_least)
        } else if at_most < mean {
            -root(at_most)
        } else {
            0.0
        }
    }
}
