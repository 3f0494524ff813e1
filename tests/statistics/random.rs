//! Random numbers for the tests' own use: a generator other than the one under test.

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
#[derive(Debug)]
pub(crate) struct Random(u64);

/// Repeats a run: the seed that it printed.
const SEED_VARIABLE: &str = "STATISTICS_SEED";

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        // The state must not be 0; the multiply spreads small seeds.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A seed that differs between runs, for what is drawn with it.
    pub(crate) fn seed_of_this_run() -> u64 {
        let given = std::env::var(SEED_VARIABLE).ok();
        let given = given.and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            use std::hash::{BuildHasher, Hasher};
            std::collections::hash_map::RandomState::new()
                .build_hasher()
                .finish()
        });
        println!("{SEED_VARIABLE}={seed}");
        seed
    }

    pub(crate) fn of_this_run() -> Self {
        Self::seeded(Self::seed_of_this_run())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in (0, 1), both ends left out.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Uniform below `bound`, up to a bias of `bound`/2^64.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Exponential with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -self.uniform().ln() * mean
    }
}
