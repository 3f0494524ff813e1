//! From sampled counts to estimates: how many allocations one sample stands for.

use crate::elementary;

/// What one sampled object of `size` bytes stands for at a sampling rate of `rate` bytes: 1 / (1 − e^(−size/rate)),
/// the inverse of its chance to be sampled. 1 at rates 0 and 1.
///
/// Pure arithmetic: it is called inside malloc for folded samples, and when a profile is written.
pub(crate) fn factor(size: usize, rate: usize) -> f64 {
    if rate <= 1 || size == 0 {
        return 1.0;
    }
    // exp_m1 keeps the digits that 1 − exp(x) loses where size is far below rate.
    -1.0 / elementary::exp_m1(-(size as f64) / rate as f64)
}

/// Objects and bytes that `count` samples of `size` bytes at `rate` stand for, each cut to a whole number as Go's
/// `scaleHeapSample` does. Saturates at `i64::MAX`.
pub(crate) fn estimate(count: u64, size: usize, rate: usize) -> (i64, i64) {
    let whole = |value: f64| value as i64;
    if count == 0 || size == 0 {
        return (0, 0);
    }
    if rate <= 1 {
        let bytes = u128::from(count) * size as u128;
        return (
            i64::try_from(count).unwrap_or(i64::MAX),
            i64::try_from(bytes).unwrap_or(i64::MAX),
        );
    }
    let scale = factor(size, rate);
    (
        whole(count as f64 * scale),
        whole(count as f64 * size as f64 * scale),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that Go 1.27's own `scaleHeapSample` gives at its default rate.
    #[test]
    fn estimates_are_gos_golden_values() {
        let golden = [
            ((4, 1024), (2050, 2_099_200)),
            ((3, 1024), (1537, 1_574_400)),
            ((1, 524_288), (1, 829_411)),
            ((5, 1_048_576), (5, 6_063_483)),
            ((1, 1_048_576), (1, 1_212_696)),
            ((1, 2_400_256), (1, 2_425_172)),
            ((17, 65_536), (144, 9_481_554)),
            ((1, 8), (65_536, 524_292)),
            ((1, 16), (32_768, 524_296)),
            ((3, 16), (98_305, 1_572_888)),
            ((10, 131_072), (45, 5_925_518)),
        ];
        for ((count, size), expected) in golden {
            assert_eq!(
                estimate(count, size, 524_288),
                expected,
                "{count} of {size} B"
            );
        }
    }

    #[test]
    fn nothing_is_scaled_at_rates_0_and_1_and_nothing_wraps() {
        assert_eq!(estimate(3, 100, 1), (3, 300));
        assert_eq!(estimate(3, 100, 0), (3, 300));
        assert_eq!(estimate(0, 100, 524_288), (0, 0));
        assert_eq!(estimate(3, 0, 524_288), (0, 0));
        assert_eq!(estimate(u64::MAX, usize::MAX, 1), (i64::MAX, i64::MAX));
        assert_eq!(estimate(u64::MAX, 8, 524_288), (i64::MAX, i64::MAX));
    }
}
