//! A sampler in real numbers, right or with a fault.
#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use crate::statistics::{Estimate, Random};

/// Draws a gap of this mean.
pub(crate) type Law = fn(&mut Random, f64) -> f64;

pub(crate) fn exponential(random: &mut Random, mean: f64) -> f64 {
    random.exponential(mean)
}

#[derive(Debug)]
pub(crate) struct Model {
    law: Law,
    rate: f64,
    /// Bytes until the next sample.
    left: f64,
    random: Random,
}

impl Model {
    pub(crate) fn with_law(law: Law, rate: usize, seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let rate = rate as f64;
        Self {
            left: law(&mut random, rate),
            law,
            rate,
            random,
        }
    }

    /// With a first gap of one's own.
    pub(crate) fn started_with(left: f64, rate: usize, seed: u64) -> Self {
        let mut model = Self::with_law(exponential, rate, seed);
        model.left = left;
        model
    }

    /// Allocates; whether it is a sample.
    pub(crate) fn samples(&mut self, size: usize) -> bool {
        self.left -= size as f64;
        let sampled = self.left < 0.0;
        if sampled {
            self.left = (self.law)(&mut self.random, self.rate);
        }
        sampled
    }

    pub(crate) fn left(&self) -> f64 {
        self.left
    }

    pub(crate) fn set_left(&mut self, left: f64) {
        self.left = left;
    }

    pub(crate) fn set_rate(&mut self, rate: usize, redraws: bool) {
        self.rate = rate as f64;
        if redraws {
            self.left = (self.law)(&mut self.random, self.rate);
        }
    }
}

/// The estimate of one bucket, as a profile gives it.
pub(crate) fn scaled(samples: u64, size: usize, rate: usize) -> Estimate {
    let stands_for = -1.0 / (-(size as f64) / rate as f64).exp_m1();
    let objects = samples as f64 * stands_for;
    Estimate {
        objects: objects as i64,
        bytes: (objects * size as f64) as i64,
        buckets: 1,
    }
}
