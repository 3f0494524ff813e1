//! Logarithm and exponential without the C library's `libm`: a program that needs nothing else of it would map half a
//! MiB of it for the sampler's sake. Good to a few units in the last place, tested against `std`'s.

use core::f64::consts::{LN_2, SQRT_2};

/// The natural logarithm of a positive, normal number.
pub(crate) fn ln(x: f64) -> f64 {
    const MANTISSA_BITS: u32 = 52;
    const BIAS: i64 = 1023;
    let exponent = (x.to_bits() >> MANTISSA_BITS) as i64 - BIAS;
    let mantissa =
        f64::from_bits(x.to_bits() & ((1 << MANTISSA_BITS) - 1) | (BIAS as u64) << MANTISSA_BITS);
    // Around 1, from √½ to √2, so that z below is at most 0.172.
    let (exponent, mantissa) = if mantissa > SQRT_2 {
        (exponent + 1, mantissa / 2.0)
    } else {
        (exponent, mantissa)
    };
    // ln m = 2 artanh z = 2 (z + z³/3 + z⁵/5 + …); the first term left out is below 3·10⁻¹⁷ of the sum.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = (0..10)
        .rev()
        .fold(0.0, |sum, nth| sum * square + 1.0 / f64::from(2 * nth + 1));
    exponent as f64 * LN_2 + 2.0 * z * series
}

/// e^x − 1 for x ≤ 0, with all digits where x is small. Of its own, because samples that a limit folds are all that takes it
/// inside malloc.
#[inline(never)]
pub(crate) fn exp_m1(x: f64) -> f64 {
    // Below this the result is −1.
    let mut x = x.max(-64.0);
    let mut halvings = 0;
    while x < -0.5 {
        x /= 2.0;
        halvings += 1;
    }
    // x (1 + x/2 (1 + x/3 (1 + …))); the first term left out is below 10⁻¹⁷ of the sum.
    let small = x
        * (2..=16)
            .rev()
            .fold(1.0, |sum, nth| 1.0 + x / f64::from(nth) * sum);
    // (1 + y)² − 1 = y (y + 2)
    (0..halvings).fold(small, |y, _| y * (y + 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(ours: f64, std: f64) {
        let error = (ours - std).abs() / std.abs().max(f64::MIN_POSITIVE);
        assert!(error < 4.0 * f64::EPSILON, "{ours} for {std}: {error}");
    }

    #[test]
    fn logarithms_are_those_of_std() {
        let mut random = crate::record::SplitMix::new(5);
        for _ in 0..100_000 {
            let x = random.uniform();
            agree(ln(x), x.ln());
        }
        for power in -53..=0 {
            let x = f64::powi(2.0, power);
            agree(ln(x), x.ln());
            agree(ln(x * 0.75), (x * 0.75).ln());
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(
            ln(1.0 - f64::EPSILON / 2.0),
            (1.0 - f64::EPSILON / 2.0).ln()
        );
    }

    #[test]
    fn exponentials_are_those_of_std() {
        let mut random = crate::record::SplitMix::new(6);
        for _ in 0..100_000 {
            let x = -random.uniform() * 50.0;
            agree(exp_m1(x), x.exp_m1());
            agree(exp_m1(x / 1e9), (x / 1e9).exp_m1());
        }
        for x in [-0.5, -0.500_000_1, -1.0, -36.0, -64.0, -1e300, -1e-300] {
            agree(exp_m1(x), x.exp_m1());
        }
        assert_eq!(exp_m1(0.0), 0.0);
        assert_eq!(exp_m1(f64::NEG_INFINITY), -1.0);
    }
}
