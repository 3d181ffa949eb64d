//! The global affine motion of a field, fitted robustly to vectors on a coarse lattice, and what is left of them.
//!
//! Runs on the host: a device hands over the lattice (one sample in 64 pixels), wide integers solve.

use crate::quality::flow::{Fate, Field};

/// Distance of lattice points in pixels; the first lies at (4, 4).
pub const SPACING: usize = 8;
/// Fractional bits of affine coefficients.
const COEFFICIENT_BITS: u32 = 16;
/// After the fit of all samples those count whose vectors lie within this of the last fit (sum of components, units).
const NARROWING: [i32; 4] = [128, 64, 32, 16];
/// Fewer samples than this have no affine motion, only a mean one.
const LEAST_SAMPLES: i64 = 16;

/// A vector of the lattice and its fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sample {
    /// To the right, in units.
    pub x: i32,
    /// Downwards, in units.
    pub y: i32,
    /// Whether the pixel is seen in the other frame.
    pub seen: bool,
}

/// Vectors at pixels `(8 i + 4, 8 j + 4)`, row by row; planes smaller than five pixels give one sample at (0, 0).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lattice {
    /// Samples per row.
    pub columns: usize,
    /// Rows of samples.
    pub rows: usize,
    /// One entry per point.
    pub samples: Vec<Sample>,
}

impl Lattice {
    /// Reads a field and its fates.
    pub fn of(field: &Field, fates: &[u8]) -> Self {
        let points = |side: usize| (side + SPACING / 2 - 1) / SPACING;
        let (columns, rows) = (points(field.width).max(1), points(field.height).max(1));
        let place = |i: usize, side: usize| (SPACING * i + SPACING / 2).min(side - 1);
        let samples = (0..columns * rows)
            .map(|i| {
                let (x, y) = (place(i % columns, field.width), place(i / columns, field.height));
                let index = y * field.width + x;
                let seen = fates[index] == Fate::Seen as u8;
                Sample { x: i32::from(field.x[index]), y: i32::from(field.y[index]), seen }
            })
            .collect();
        Self { columns, rows, samples }
    }

    /// Lattice coordinates from the middle, in half points.
    fn place(&self, index: usize) -> (i64, i64) {
        let middle = |i: usize, side: usize| 2 * i as i64 + 1 - side as i64;
        (middle(index % self.columns, self.columns), middle(index / self.columns, self.rows))
    }
}

/// An affine motion over lattice coordinates: `(c0 + c1 X + c2 Y) / 2^16` units per component.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Global {
    /// Coefficients of the horizontal component.
    pub x: [i64; 3],
    /// Coefficients of the vertical component.
    pub y: [i64; 3],
    /// Samples within half a pixel of the motion.
    pub members: i64,
}

impl Global {
    /// Fits the seen samples of a lattice: least squares over all, then over those that lie near.
    pub fn fit(lattice: &Lattice) -> Self {
        let mut model = Self::default();
        for limit in std::iter::once(i32::MAX).chain(NARROWING) {
            let mut sums = Sums::default();
            for (index, sample) in lattice.samples.iter().enumerate().filter(|(_, s)| s.seen) {
                let (x, y) = model.left(lattice, index);
                if x.abs() + y.abs() <= limit {
                    sums.add(lattice.place(index), sample);
                }
            }
            model = sums.solve();
        }
        model
    }

    /// What a sample has beyond the motion, in units.
    pub fn left(&self, lattice: &Lattice, index: usize) -> (i32, i32) {
        let (x, y) = lattice.place(index);
        let value = |c: &[i64; 3]| {
            ((c[0] + c[1] * x + c[2] * y + (1 << (COEFFICIENT_BITS - 1))) >> COEFFICIENT_BITS)
                .clamp(-65_536, 65_536)
        };
        let sample = lattice.samples[index];
        (sample.x - value(&self.x) as i32, sample.y - value(&self.y) as i32)
    }
}

/// Normal equations. With sides below 2^10 points (8192 pixels) and components below 2^14 every sum stays below 2^46,
/// and the doubled, shifted determinants below 2^127.
#[derive(Default)]
struct Sums {
    count: i64,
    x: i64,
    y: i64,
    xx: i64,
    xy: i64,
    yy: i64,
    to_x: [i64; 3],
    to_y: [i64; 3],
}

impl Sums {
    fn add(&mut self, (x, y): (i64, i64), sample: &Sample) {
        self.count += 1;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
        self.yy += y * y;
        for (sums, value) in [(&mut self.to_x, sample.x), (&mut self.to_y, sample.y)] {
            let value = i64::from(value);
            sums[0] += value;
            sums[1] += value * x;
            sums[2] += value * y;
        }
    }

    fn solve(&self) -> Global {
        let matrix = [[self.count, self.x, self.y], [self.x, self.xx, self.xy], [self.y, self.xy, self.yy]];
        let whole = determinant(&matrix);
        let coefficients = |right: &[i64; 3]| -> [i64; 3] {
            if self.count < LEAST_SAMPLES || whole == 0 {
                let mean = i128::from(right[0]) << COEFFICIENT_BITS;
                return [nearest(mean, i128::from(self.count.max(1))), 0, 0];
            }
            std::array::from_fn(|column| {
                let mut replaced = matrix;
                (0..3).for_each(|row| replaced[row][column] = right[row]);
                nearest(determinant(&replaced) << COEFFICIENT_BITS, whole)
            })
        };
        Global { x: coefficients(&self.to_x), y: coefficients(&self.to_y), members: self.count }
    }
}

fn determinant(m: &[[i64; 3]; 3]) -> i128 {
    let at = |row: usize, column: usize| i128::from(m[row][column]);
    at(0, 0) * (at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1))
        - at(0, 1) * (at(1, 0) * at(2, 2) - at(1, 2) * at(2, 0))
        + at(0, 2) * (at(1, 0) * at(2, 1) - at(1, 1) * at(2, 0))
}

/// Division to nearest, halves upwards; the denominator is positive (a Gram determinant or a count).
fn nearest(numerator: i128, denominator: i128) -> i64 {
    (2 * numerator + denominator).div_euclid(2 * denominator).clamp(-(1 << 40), 1 << 40) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lattice(of: impl Fn(i32, i32) -> Option<(i32, i32)>) -> Lattice {
        let samples = (0..52 * 30)
            .map(|i| of(i % 52, i / 52).map_or(Sample::default(), |(x, y)| Sample { x, y, seen: true }))
            .collect();
        Lattice { columns: 52, rows: 30, samples }
    }

    #[test]
    fn an_affine_field_is_fitted_through_a_mover_and_through_holes() {
        let affine = |x: i32, y: i32| (3 * x - y + 40, 2 * y + x - 200);
        let found = lattice(|x, y| match (x, y) {
            (5..15, 5..15) => Some((affine(x, y).0 + 90, affine(x, y).1 - 300)),
            (40.., 20..) => None,
            _ => Some(affine(x, y)),
        });
        let model = Global::fit(&found);
        assert_eq!(model.members, 52 * 30 - 100 - 12 * 10);
        for index in [0, 51, 52 * 29, 400] {
            assert_eq!(model.left(&found, index), (0, 0), "{index}");
        }
        assert_eq!(model.left(&found, 10 * 52 + 10), (90, -300));
    }

    #[test]
    fn few_samples_have_a_mean_and_none_have_nothing() {
        let few = lattice(|x, y| (y == 3 && x < 4).then_some((x * 2, -7)));
        let model = Global::fit(&few);
        assert_eq!((model.x, model.y, model.members), ([3 << 16, 0, 0], [-7 << 16, 0, 0], 4));
        assert_eq!(Global::fit(&lattice(|_, _| None)), Global::default());
    }

    #[test]
    fn points_lie_inside_the_plane() {
        for (width, height, columns, rows) in [(416, 240, 52, 30), (1, 1, 1, 1), (5, 13, 1, 2), (12, 4, 1, 1)]
        {
            let found = Lattice::of(&Field::still(width, height), &vec![0; width * height]);
            assert_eq!((found.columns, found.rows), (columns, rows), "{width}x{height}");
        }
    }
}
