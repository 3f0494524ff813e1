//! Whether each number of a sequence says something about a later one.

use super::sigmas;

/// Fails if numbers that should be independent and uniform in (0, 1) go with those `lag` places later.
pub(crate) fn assert_none(what: &str, numbers: &[f64], lag: usize) {
    let (covariance, error) = covariance(numbers, lag);
    sigmas::assert_within(what, covariance, 0.0, error);
}

/// The mean product of the deviations from 1/2, and its standard error. A uniform has variance 1/12 and products of
/// neighbours are uncorrelated with each other, so the mean of n of them has the error 1/(12√n).
pub(crate) fn covariance(numbers: &[f64], lag: usize) -> (f64, f64) {
    let pairs = numbers.iter().zip(&numbers[lag..]);
    let n = pairs.len() as f64;
    let sum: f64 = pairs.map(|(one, other)| (one - 0.5) * (other - 0.5)).sum();
    (sum / n, 1.0 / (12.0 * n.sqrt()))
}
