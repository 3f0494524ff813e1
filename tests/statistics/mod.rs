//! The checks that every statistical test of this crate shares, and how often they fail by chance.
//!
//! | check | what it compares | fails by chance |
//! |---|---|---|
//! | `Truth::assert_unbiased` | an estimate with a known number of objects, by the binomial law of the samples behind it, objects and bytes | 2·10⁻⁹ (6 sigmas, two-sided); never above 3·10⁻⁸, by Chernoff's bound |
//! | `sigmas::assert_within` | a number with a truth whose standard error is known | 2·10⁻⁹ (6 sigmas, two-sided) |
//! | `anderson_darling::assert_uniform` | a sample with the law it is claimed to have | what the caller asks: 2·10⁻⁹ where the seed is new in each run |
//! | `correlation::assert_none` | neighbours in a sequence | 2·10⁻⁹ (6 sigmas, two-sided) |
//!
//! Seeds. The profiler's streams are seeded from the kernel and the clock, differently in each run, and no test can
//! choose them. What the tests themselves draw comes from `Random`: a seed in the source, or one of the run, which is
//! printed and can be given again as `STATISTICS_SEED`. A check whose seeds are all in the source cannot fail by
//! chance at all: it passed once and always will.
//!
//! | file | checks with the run's own seeds |
//! |---|---|
//! | `tests/estimates_are_unbiased.rs` | 55 |
//! | `tests/short_lived_threads_are_counted.rs` | 2 |
//! | `tests/rate_changes_do_not_bias.rs` | 10 |
//! | `tests/failed_allocations_do_not_bias.rs` | 1 |
//! | `tests/gaps_are_exponential_from_outside.rs` | 15 |
//! | `tests/fork_children_draw_their_own_gaps.rs` | 3 |
//! | unit tests of `record/rate` and `record/random` | 12 |
//!
//! Together 98 checks of 2·10⁻⁹: one run in five million fails without a cause. That the chances are as stated is the
//! claim of `tests/false_alarms_are_as_rare_as_stated.rs`; that the checks fail when there is a cause is the claim of
//! `tests/biased_samplers_are_caught.rs`.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses the checks that it needs"
)]

pub(crate) mod anderson_darling;
pub(crate) mod correlation;
mod random;
pub(crate) mod sigmas;
mod truth;

pub(crate) use random::Random;
pub(crate) use truth::{Estimate, Truth};

/// How far from the truth is too far, in standard errors: 2·10⁻⁹ of a normal law, both sides together.
pub(crate) const SIGMAS: f64 = 6.0;

/// The same as a p-value, for checks that have one.
pub(crate) const CHANCE: f64 = 2e-9;
