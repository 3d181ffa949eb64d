//! Fixed-point arithmetic with defined rounding: division, square root, logarithm, weighted means.
//!
//! Everything that turns raw kernel sums into a score goes through here, so that equal sums give
//! equal scores on every machine. No floating point.

use crate::domain::score::Score;

/// Fractional bits of [`log2`].
pub const LOG_BITS: u32 = 24;

/// `numerator / denominator` rounded to the nearest integer, halves away from zero.
///
/// Defined for every `denominator > 0` and `|numerator| <= 2^62`; a denominator below one is read as one.
pub fn div_round(numerator: i64, denominator: i64) -> i64 {
    let denominator = denominator.max(1);
    let half = denominator / 2;
    if numerator >= 0 { (numerator + half) / denominator } else { (numerator - half) / denominator }
}

/// `value * multiplier / divisor` rounded to nearest (halves away from zero) without overflow in between.
pub fn scale(value: i64, multiplier: i64, divisor: i64) -> i64 {
    let divisor = i128::from(divisor.max(1));
    let product = i128::from(value) * i128::from(multiplier);
    let half = if product >= 0 { divisor / 2 } else { -(divisor / 2) };
    ((product + half) / divisor).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Largest `r` with `r * r <= value`.
pub fn isqrt(value: u64) -> u64 {
    value.isqrt()
}

/// Base-2 logarithm of `value >= 1` with 24 fractional bits, truncated; zero is read as one.
///
/// The mantissa is held in Q31 and squared once per fractional bit, each square truncated. The
/// truncations cost less than 2^-22 in all, while scores 9999 and 10000 lie 2^-12.7 apart.
pub fn log2(value: u32) -> i64 {
    let value = u64::from(value.max(1));
    let whole = 63 - value.leading_zeros();
    let mut mantissa = (value << 31) >> whole;
    let mut result = i64::from(whole);
    for _ in 0..LOG_BITS {
        mantissa = (mantissa * mantissa) >> 31;
        result <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            result |= 1;
        }
    }
    result
}

/// The score whose [`log2`] lies nearest to `target` (the lower one of two equally near), 1..=10000.
///
/// Defined as the inverse of `log2`, so `exp2_score(log2(s)) == s` for every score.
pub fn exp2_score(target: i64) -> Score {
    let (mut low, mut high) = (1u32, 10_000u32);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if log2(middle) <= target { low = middle } else { high = middle - 1 }
    }
    let above = (low + 1).min(10_000);
    let nearest = if log2(above) - target < target - log2(low) { above } else { low };
    Score::clamped(i64::from(nearest))
}

/// Weighted geometric mean of scores, each clamped to 1..=10000; `None` when no weight is left.
pub fn geometric_mean(parts: &[(Score, u32)]) -> Option<Score> {
    let weight: i64 = parts.iter().map(|&(_, weight)| i64::from(weight)).sum();
    if weight == 0 {
        return None;
    }
    let sum: i64 = parts.iter().map(|&(score, w)| log2(u32::from(score.get())) * i64::from(w)).sum();
    Some(exp2_score(div_round(sum, weight)))
}

/// Linear score of a raw value between `bad` (1) and `good` (10000), rounded, clamped to 1..=10000.
/// `good` may lie above or below `bad`; equal ends make a step at `good`, reached counts as good when
/// smaller is better.
pub fn normalise(raw: i64, bad: i64, good: i64) -> Score {
    let (distance, span) = if good >= bad { (raw - bad, good - bad) } else { (bad - raw, bad - good) };
    if span == 0 {
        return Score::clamped(if raw <= good { 10_000 } else { 1 });
    }
    Score::clamped(scale(distance.clamp(0, span), 10_000, span).max(1))
}

/// The middle value (lower one of two) of a list; zero for an empty list.
pub fn median(values: &[i64]) -> i64 {
    percentile(values, 50)
}

/// The value at rank `floor((n - 1) * percent / 100)` of the sorted list; zero for an empty list.
pub fn percentile(values: &[i64], percent: usize) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = sorted.len().saturating_sub(1) * percent.min(100) / 100;
    sorted.get(rank).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logarithm_agrees_with_the_real_one_and_its_inverse_is_exact() {
        for value in 1..=10_000u32 {
            let real = f64::from(value).log2() * f64::from(1u32 << LOG_BITS);
            assert!((log2(value) as f64 - real).abs() <= 8.0, "log2({value})");
            assert_eq!(u32::from(exp2_score(log2(value)).get()), value);
        }
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        for (n, d, want) in [(5, 2, 3), (-5, 2, -3), (4, 3, 1), (-4, 3, -1), (7, 0, 7), (0, 9, 0)] {
            assert_eq!(div_round(n, d), want);
            assert_eq!(scale(n, 1, d), want);
        }
        assert_eq!(scale(i64::MAX, 3, 3), i64::MAX);
    }

    #[test]
    fn normalisation_hits_both_ends_and_its_middle() {
        for (raw, bad, good, want) in [
            (0, 0, 100, 1),
            (100, 0, 100, 10_000),
            (50, 0, 100, 5_000),
            (25, 100, 0, 7_500),
            (500, 100, 0, 1),
        ] {
            assert_eq!(i64::from(normalise(raw, bad, good).get()), want, "{raw} in {bad}..{good}");
        }
        assert_eq!(normalise(3, 3, 3), Score::MAX);
        assert_eq!(normalise(4, 3, 3).get(), 1);
    }

    #[test]
    fn ranks_of_short_lists() {
        assert_eq!(
            (median(&[]), median(&[7]), median(&[4, 1]), percentile(&[1, 2, 3, 4, 5], 95)),
            (0, 7, 1, 4)
        );
    }

    proptest! {
        #[test]
        fn geometric_mean_is_within_one_unit_of_the_real_one(
            parts in prop::collection::vec((1u16..=10_000, 1u32..1_000), 1..6)
        ) {
            let scored: Vec<_> = parts.iter().map(|&(s, w)| (Score::clamped(i64::from(s)), w)).collect();
            let weight: f64 = parts.iter().map(|&(_, w)| f64::from(w)).sum();
            let real = parts.iter().map(|&(s, w)| f64::from(s).ln() * f64::from(w) / weight).sum::<f64>().exp();
            let got = geometric_mean(&scored).expect("weights are positive");
            prop_assert!((f64::from(got.get()) - real).abs() <= 1.0, "{} against {real}", got.get());
        }

        #[test]
        fn geometric_mean_rises_with_every_part(a in 0u16..=9_999, b in 0u16..=10_000, w in 1u32..100) {
            let mean = |s: u16| geometric_mean(&[(Score::clamped(s.into()), w), (Score::clamped(b.into()), 7)]);
            prop_assert!(mean(a) <= mean(a + 1));
        }

        #[test]
        fn normalisation_is_monotone(raw in -1_000i64..1_000, bad in -500i64..500, good in -500i64..500) {
            let (here, next) = (normalise(raw, bad, good), normalise(raw + 1, bad, good));
            let rises = if good > bad { here <= next } else { here >= next };
            prop_assert!(rises);
        }
    }

    #[test]
    fn no_weight_means_no_mean() {
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[(Score::MAX, 0)]), None);
    }
}
