//! Structural similarity (SSIM) of two luma planes with an 11x11 Gaussian window.
//!
//! Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
//! similarity", 2004; sigma 1.5, K1 = 0.01, K2 = 0.03, range 255, population covariance, windows that
//! lie wholly inside the plane: what scikit-image computes with `gaussian_weights=True`,
//! `sigma=1.5`, `use_sample_covariance=False`, `data_range=255`, to 1e-4.
//!
//! Overflow: horizontal sums are at most 255 * 255 * 2^14 < 2^30 (u32); window sums at most
//! 2^16 * 2^28 = 2^44, shifted left by 12 for the variances 2^56 (i64); the quotients stay below
//! 2^30 * 2^20 = 2^50.

use super::fixed::div_round;

/// Side of the window in pixels.
pub const WINDOW: usize = 11;

/// `round(2^14 * exp(-d^2 / 4.5) / sum)` for d = -5..=5; they sum to exactly 2^14.
const WEIGHTS: [u32; WINDOW] = [17, 124, 590, 1792, 3490, 4358, 3490, 1792, 590, 124, 17];

/// Fractional bits of the result.
pub const SSIM_BITS: u32 = 20;

/// C1 = (0.01 * 255)^2 = 6.5025 and C2 = (0.03 * 255)^2 = 58.5225 with 12 fractional bits.
const C1: i64 = 26_634;
const C2: i64 = 239_708;

/// Horizontal window sums of the five products of one row.
struct RowSums {
    a: Vec<u32>,
    b: Vec<u32>,
    aa: Vec<u32>,
    bb: Vec<u32>,
    ab: Vec<u32>,
}

/// Mean SSIM with 20 fractional bits (2^20 for equal planes), `None` when a side is below 11 pixels.
///
/// # Panics
/// When a plane is shorter than `width * height`, as slices do.
pub fn ssim(a: &[u8], b: &[u8], width: usize, height: usize) -> Option<i64> {
    if width < WINDOW || height < WINDOW {
        return None;
    }
    let mut rows: std::collections::VecDeque<RowSums> = std::collections::VecDeque::with_capacity(WINDOW);
    let mut total = 0i64;
    for y in 0..height {
        if rows.len() == WINDOW {
            rows.pop_front();
        }
        rows.push_back(row_sums(&a[y * width..][..width], &b[y * width..][..width]));
        if rows.len() == WINDOW {
            total += window_row(&rows);
        }
    }
    Some(div_round(total, ((width - WINDOW + 1) * (height - WINDOW + 1)) as i64))
}

fn row_sums(a: &[u8], b: &[u8]) -> RowSums {
    let wide = |x: &[u8]| x.iter().map(|&v| u32::from(v)).collect::<Vec<_>>();
    let times = |x: &[u32], y: &[u32]| x.iter().zip(y).map(|(&p, &q)| p * q).collect::<Vec<_>>();
    let (a, b) = (wide(a), wide(b));
    let (aa, bb, ab) = (times(&a, &a), times(&b, &b), times(&a, &b));
    RowSums { a: blur(&a), b: blur(&b), aa: blur(&aa), bb: blur(&bb), ab: blur(&ab) }
}

fn blur(line: &[u32]) -> Vec<u32> {
    let mut out = vec![0u32; line.len() + 1 - WINDOW];
    for (offset, weight) in WEIGHTS.iter().enumerate() {
        for (sum, value) in out.iter_mut().zip(&line[offset..]) {
            *sum += weight * value;
        }
    }
    out
}

fn window_row(rows: &std::collections::VecDeque<RowSums>) -> i64 {
    let column = |pick: fn(&RowSums) -> &Vec<u32>| {
        let mut out = vec![0i64; pick(&rows[0]).len()];
        for (row, weight) in rows.iter().zip(WEIGHTS) {
            for (sum, &value) in out.iter_mut().zip(pick(row)) {
                *sum += i64::from(value) * i64::from(weight);
            }
        }
        out
    };
    let (a, b) = (column(|r| &r.a), column(|r| &r.b));
    let (aa, bb, ab) = (column(|r| &r.aa), column(|r| &r.bb), column(|r| &r.ab));
    (0..a.len()).map(|x| pixel(a[x], b[x], aa[x], bb[x], ab[x])).sum()
}

/// SSIM of one window from its five Q28 moments, Q20.
fn pixel(a: i64, b: i64, aa: i64, bb: i64, ab: i64) -> i64 {
    let (mean_a, mean_b) = (a >> 8, b >> 8); // Q20
    let q40_to_q12 = |value: i64| (value + (1 << 27)) >> 28;
    let (square_a, square_b, cross) = (mean_a * mean_a, mean_b * mean_b, mean_a * mean_b); // Q40
    let variance_a = q40_to_q12((aa << 12) - square_a).max(0);
    let variance_b = q40_to_q12((bb << 12) - square_b).max(0);
    let covariance = q40_to_q12((ab << 12) - cross);
    let luminance = quotient(2 * q40_to_q12(cross) + C1, q40_to_q12(square_a) + q40_to_q12(square_b) + C1);
    let structure = quotient(2 * covariance + C2, variance_a + variance_b + C2);
    (luminance * structure + (1 << (SSIM_BITS - 1))) >> SSIM_BITS
}

fn quotient(numerator: i64, denominator: i64) -> i64 {
    div_round(numerator << SSIM_BITS, denominator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_are_the_gaussian_and_sum_to_one() {
        assert_eq!(WEIGHTS.iter().sum::<u32>(), 1 << 14);
        let raw: Vec<f64> = (-5..=5).map(|d: i32| (-f64::from(d * d) / 4.5).exp()).collect();
        let sum: f64 = raw.iter().sum();
        for (weight, real) in WEIGHTS.iter().zip(raw) {
            assert!((f64::from(*weight) - real / sum * 16_384.0).abs() <= 1.0);
        }
    }

    #[test]
    fn equal_planes_score_one_and_extremes_do_not_overflow() {
        let (width, height) = (23, 17);
        let black = vec![0u8; width * height];
        let white = vec![255u8; width * height];
        assert_eq!(ssim(&black, &black, width, height), Some(1 << SSIM_BITS));
        assert_eq!(ssim(&white, &white, width, height), Some(1 << SSIM_BITS));
        let apart = ssim(&black, &white, width, height).expect("large enough");
        assert!((apart as f64 / 1_048_576.0 - 6.5025 / (65_025.0 + 6.5025)).abs() < 1e-5);
        assert_eq!(ssim(&black, &black, 10, height), None);
    }

    proptest! {
        #[test]
        fn symmetric_and_at_most_one(
            (width, height, a, b) in (11usize..24, 11usize..24).prop_flat_map(|(w, h)| {
                let plane = || prop::collection::vec(any::<u8>(), w * h);
                (Just(w), Just(h), plane(), plane())
            })
        ) {
            let one = ssim(&a, &b, width, height);
            prop_assert_eq!(one, ssim(&b, &a, width, height));
            prop_assert!(one <= Some((1 << SSIM_BITS) + 1) && one >= Some(-(1 << SSIM_BITS) - 1));
            prop_assert_eq!(ssim(&a, &a, width, height), Some(1 << SSIM_BITS));
        }
    }
}
