//! The word against every countdown that it has to tell apart, and the gaps against the law that they claim to follow.

use super::*;
use crate::statistics::anderson_darling::{assert_uniform, place};
use crate::statistics::sigmas::assert_within;
use crate::statistics::{CHANCE, Random, correlation};

fn started() -> Rate {
    let rate = Rate::new();
    rate.set(5);
    assert_eq!(
        rate.word().rate(),
        None,
        "a rate was set with no wrapper installed"
    );
    rate.set_first(5);
    rate
}

#[test]
fn a_change_of_rate_is_above_every_countdown_of_an_older_rate() {
    let rate = started();
    for bytes in [0, 1, 2, 524_288, MAX_RATE, usize::MAX] {
        rate.set(bytes);
        let longest = rate.word().draw(f64::powi(2.0, -53));
        assert!(!rate.word().is_above(longest));
        rate.set(bytes);
        assert!(!rate.word().is_above(longest), "the same rate is no change");
        rate.set(7);
        rate.set(bytes);
        assert!(rate.word().is_above(longest), "rate {bytes}");
    }
}

#[test]
fn the_rate_can_be_set_more_often_than_there_are_generations() {
    let rate = started();
    for i in 0..(MAX_GENERATION as usize + 10) {
        rate.set(i % 7);
    }
    assert_eq!(rate.word().rate(), Some((MAX_GENERATION as usize + 9) % 7));
    // A suspended thread's countdown stays above the last word.
    assert!(!rate.word().is_above(i64::MAX - (1 << 61)));
}

#[test]
fn the_first_setting_wins_only_once() {
    let rate = Rate::new();
    assert_eq!(rate.word().rate(), None);
    rate.set_first(7);
    rate.set_first(9);
    assert_eq!(rate.word().rate(), Some(7));
}

/// Rates where the rounding to whole bytes is all there is, and the largest.
const RATES: [usize; 8] = [2, 3, 16, 512, 4_093, 524_288, 1 << 30, MAX_RATE];

/// Gaps as they are drawn at `rate`, in bytes.
fn gaps(rate: usize, n: usize, seed: u64) -> Vec<i64> {
    let started = started();
    started.set(rate);
    let word = started.word();
    let mut random = super::super::random::SplitMix::new(seed);
    (0..n)
        .map(|_| word.draw(random.uniform()) - word.0)
        .collect()
}

/// Their places in the exponential law of mean `rate`. A gap of g bytes ends in the byte behind it: it stands for all
/// real gaps from g up to g + 1.
fn places(rate: usize, n: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::seeded(seed);
    let place = |gap: i64| place(gap as f64, (gap + 1) as f64, rate as f64, &mut random);
    gaps(rate, n, seed).into_iter().map(place).collect()
}

#[test]
fn gaps_are_exponential_at_any_rate() {
    for (nth, rate) in (0..).zip(RATES) {
        for n in [10, 100, 1_000, 10_000] {
            let places = places(rate, n, 42 + nth);
            assert_uniform(&format!("gaps at rate {rate}"), &places, 1e-4);
        }
    }
    for rate in [2, 512, 524_288, MAX_RATE] {
        let places = places(rate, 1_000_000, 42);
        assert_uniform(&format!("gaps at rate {rate}"), &places, 1e-4);
    }
    let seed = Random::seed_of_this_run();
    for rate in [16, 524_288] {
        let places = places(rate, 1_000_000, seed);
        assert_uniform(&format!("gaps at rate {rate}"), &places, CHANCE);
    }
}

#[test]
fn the_mean_gap_is_what_whole_bytes_leave_of_the_rate() {
    for (nth, rate) in (0..).zip(RATES) {
        let n = 300_000;
        let sum: i64 = gaps(rate, n, 7 + nth).iter().sum();
        // A geometric number of whole bytes: mean 1/(e^(1/R) − 1), variance mean · (mean + 1).
        let mean = 1.0 / (1.0 / rate as f64).exp_m1();
        let error = (mean * (mean + 1.0) / n as f64).sqrt();
        assert_within(
            &format!("mean gap at rate {rate}"),
            sum as f64 / n as f64,
            mean,
            error,
        );
    }
}

#[test]
fn a_gap_says_nothing_about_those_that_follow() {
    for seed in [42, Random::seed_of_this_run()] {
        let places = places(524_288, 1_000_000, seed);
        for lag in [1, 2, 7] {
            correlation::assert_none(&format!("gaps {lag} apart"), &places, lag);
        }
    }
}
