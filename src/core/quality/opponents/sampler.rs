//! Sampling of 8-bit planes between pixels in 32-bit integers.
//!
//! Catmull-Rom (bicubic, a = -1/2; Keys, 1981) in phases of 1/64 pixel with weights in Q12, which sum to 4096 exactly: a
//! whole position gives the pixel itself. Outside, a plane is mirrored about its border pixels. Maps are separable: the
//! source column depends on the column alone, the source row on the row alone.

/// Fractional bits of positions in [`Axis::map`].
pub const POSITION_BITS: u32 = 16;
/// One pixel, and the scale that changes nothing.
pub const ONE: i64 = 1 << POSITION_BITS;
/// Phases per pixel.
const PHASES: i32 = 64;
/// Bits of a phase below a pixel.
const PHASE_BITS: u32 = 6;
/// Fractional bits of a weight.
const WEIGHT_BITS: u32 = 12;

/// Four neighbouring samples and their weights in Q12.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tap {
    at: [u32; 4],
    weights: [i32; 4],
}

/// Where the samples of one axis of an output plane come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Axis(Vec<Tap>);

impl Axis {
    /// Output place `i` of a side shows `middle + (i - middle) * scale + shift`, both in Q16 (pixels for `shift`), rounded
    /// to 1/64 pixel. With sides below 2^13, scales below 2^18 and shifts below 2^30 everything stays far within i64.
    pub fn map(side: usize, scale: i64, shift: i64) -> Self {
        let last = side as i64 - 1;
        let tap = |i: i64| {
            let twice = last * ONE + (2 * i - last) * scale + 2 * shift;
            let place = (twice + (1 << (POSITION_BITS - PHASE_BITS))) >> (POSITION_BITS - PHASE_BITS + 1);
            let (whole, phase) = (place >> PHASE_BITS, (place & (i64::from(PHASES) - 1)) as i32);
            Tap { at: [-1, 0, 1, 2].map(|step| mirrored(whole + step, last)), weights: weights(phase) }
        };
        Self((0..=last).map(tap).collect())
    }

    /// The axis that changes nothing.
    pub fn same(side: usize) -> Self {
        Self::map(side, ONE, 0)
    }

    /// One line of samples along this axis in 1/64 level: at most 255 * 4096 * 1.25 before the shift, below 2^21.
    pub fn line(&self, source: &[u8], out: &mut Vec<i32>) {
        out.clear();
        out.extend(self.0.iter().map(|tap| {
            let sum: i32 = tap
                .at
                .iter()
                .zip(tap.weights)
                .map(|(&at, weight)| i32::from(source[at as usize]) * weight)
                .sum();
            (sum + (1 << (PHASE_BITS - 1))) >> (WEIGHT_BITS - PHASE_BITS)
        }));
    }
}

/// Index mirrored about 0 and `last`.
fn mirrored(index: i64, last: i64) -> u32 {
    if last <= 0 {
        return 0;
    }
    let folded = index.rem_euclid(2 * last);
    folded.min(2 * last - folded) as u32
}

/// Catmull-Rom weights at `phase / 64` between the two middle samples; cubes stay below 2^20.
fn weights(phase: i32) -> [i32; 4] {
    let (k, n) = (phase, PHASES);
    let (k2, k3) = (k * k, k * k * k);
    // Numerators over 2 * 64^3 = 2^19: seven bits more than Q12.
    let rounded = |numerator: i32| (numerator + 64) >> 7;
    let before = rounded(-k3 + 2 * n * k2 - n * n * k);
    let after = rounded(-3 * k3 + 4 * n * k2 + n * n * k);
    let beyond = rounded(k3 - n * k2);
    [before, (1 << WEIGHT_BITS) - before - after - beyond, after, beyond]
}

/// A plane `[height, width]` as the two axes show it; intermediate lines are in 1/64 level (below 2^16 in size), their
/// weighted sums below 2^28.
pub fn resample(source: &[u8], width: usize, columns: &Axis, rows: &Axis) -> Vec<u8> {
    let mut line = Vec::with_capacity(width);
    let mut lines: Vec<i32> = Vec::with_capacity(source.len());
    for row in source.chunks_exact(width) {
        columns.line(row, &mut line);
        lines.extend_from_slice(&line);
    }
    let width = columns.0.len();
    let mut out = Vec::with_capacity(width * rows.0.len());
    for tap in &rows.0 {
        let [a, b, c, d] = tap.at.map(|at| &lines[at as usize * width..][..width]);
        let [p, q, r, s] = tap.weights;
        out.extend((0..width).map(|x| {
            let sum = a[x] * p + b[x] * q + c[x] * r + d[x] * s;
            level(sum, PHASE_BITS + WEIGHT_BITS)
        }));
    }
    out
}

/// A sum with so many fractional bits as a level.
pub(super) fn level(sum: i32, bits: u32) -> u8 {
    ((sum + (1 << (bits - 1))) >> bits).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_sum_to_one_and_agree_with_the_real_ones() {
        for phase in 0..PHASES {
            let f = f64::from(phase) / f64::from(PHASES);
            let real = [
                0.5 * (-f.powi(3) + 2.0 * f * f - f),
                0.5 * (3.0 * f.powi(3) - 5.0 * f * f + 2.0),
                0.5 * (-3.0 * f.powi(3) + 4.0 * f * f + f),
                0.5 * (f.powi(3) - f * f),
            ];
            let found = weights(phase);
            assert_eq!(found.iter().sum::<i32>(), 4096);
            for (found, real) in found.iter().zip(real) {
                assert!((f64::from(*found) - real * 4096.0).abs() <= 2.0, "{phase}: {found} for {real}");
            }
        }
    }

    #[test]
    fn whole_places_are_exact_and_outside_is_mirrored() {
        let source: Vec<u8> = (0..7 * 5).map(|i| (i * 37 % 256) as u8).collect();
        assert_eq!(resample(&source, 7, &Axis::same(7), &Axis::same(5)), source);
        let moved = resample(&source, 7, &Axis::map(7, ONE, -2 * ONE), &Axis::same(5));
        assert_eq!(
            &moved[7..14],
            [source[9], source[8], source[7], source[8], source[9], source[10], source[11]]
        );
        assert_eq!([-3, 0, 4, 5, 9].map(|i| mirrored(i, 4)), [3, 0, 4, 3, 1]);
        assert_eq!(mirrored(5, 0), 0);
    }

    proptest! {
        #[test]
        fn a_ramp_is_reproduced_between_pixels(scale in 50_000i64..80_000, shift in -200_000i64..200_000) {
            // Far from the border, where mirrors bend it.
            let source: Vec<u8> = (0..64u8).map(|x| 3 * x).collect();
            let mut line = Vec::new();
            Axis::map(64, scale, shift).line(&source, &mut line);
            for (x, found) in (26..38i64).map(|x| (x, line[x as usize])) {
                let place = (31.5 + (x as f64 - 31.5) * scale as f64 / 65536.0) + shift as f64 / 65536.0;
                prop_assert!((f64::from(found) / 64.0 - 3.0 * place).abs() < 0.06, "{found} at {place}");
            }
        }

        #[test]
        fn no_map_leaves_the_range(pixels in prop::collection::vec(prop::sample::select(vec![0u8, 255]), 63), scale in 1i64..200_000, shift in -(1i64 << 30)..1 << 30) {
            let out = resample(&pixels, 9, &Axis::map(9, scale, shift), &Axis::map(7, scale, -shift));
            prop_assert_eq!(out.len(), 63);
        }
    }
}
