//! Whether numbers follow the law that they are claimed to follow, tails included: the Anderson–Darling test.
//!
//! Source: Anderson & Darling, "A test of goodness of fit", 1954. For a law without fitted parameters A² has, whatever
//! the law, the limit Σ χ²ⱼ / (j(j+1)) over independent χ² of one degree of freedom. The first term rules the upper
//! tail, the others multiply it (Zolotarev, "Concerning a certain probability problem", 1961):
//!
//! ```text
//! P(A² > z) → Π (1 − 2/(j(j+1)))^(−1/2) · P(χ²/2 > z) = √3 · erfc(√z),    j = 2, 3, …; the product telescopes
//! ```
//!
//! That is 15 % low at p = 0.1, 5 % at 0.01, and better beyond, which is where the checks are.

use super::Random;

unsafe extern "C" {
    /// libm's complementary error function.
    safe fn erfc(x: f64) -> f64;
}

/// The place in (0, 1) that an exponential number has in its law if all that is known is that it lies between two
/// bounds: a random one of those that it may have. Uniform, exactly, if the law is right, so a gap in whole bytes
/// needs no excuse for its rounding.
pub(crate) fn place(from: f64, to: f64, mean: f64, random: &mut Random) -> f64 {
    let below = |gap: f64| -(-gap / mean).exp_m1();
    below(from) + (below(to) - below(from)) * random.uniform()
}

/// Fails if numbers that should be uniform in (0, 1) would be so uneven with less than this chance.
pub(crate) fn assert_uniform(what: &str, numbers: &[f64], least_p: f64) {
    let statistic = statistic(numbers);
    let p = p_value(statistic);
    println!(
        "| {what} | n = {} | A² = {statistic:.2} | p = {p:.1e} |",
        numbers.len()
    );
    assert!(p > least_p, "{what}: A² = {statistic}, p = {p:e}");
}

/// A² of numbers that should be uniform in (0, 1).
pub(crate) fn statistic(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    // At the very ends the logarithm has no value; no number lies there but by rounding.
    let log = |x: f64| x.max(f64::MIN_POSITIVE).ln();
    let weighted = sorted.iter().zip(sorted.iter().rev()).enumerate();
    let sum: f64 = weighted
        .map(|(i, (low, high))| (2 * i + 1) as f64 * (log(*low) + log(1.0 - high)))
        .sum();
    -n - sum / n
}

/// The chance of a larger A², from its upper tail; not above 1.
pub(crate) fn p_value(statistic: f64) -> f64 {
    (3.0_f64.sqrt() * erfc(statistic.max(0.0).sqrt())).min(1.0)
}
