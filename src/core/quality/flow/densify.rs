//! Stage `densify`: a pixel's vector is the mean of its patches' vectors, weighted by how well each explains it.
//!
//! The weight is `max(1, 32 - d)^2` with the absolute residual `d` in whole levels (rounded down), at most 1024;
//! with components below 2^14 the products of four patches sum to less than 2^26. The quotient is rounded to
//! nearest, halves away from zero. Patches beyond the grid have no weight. The sums are scattered here and may be
//! gathered elsewhere: they do not depend on order.

use super::{
    patch::{AREA, SIDE, STRIDE, Tried},
    raster::{Field, Luma},
};

/// Pixels that the grid of patches begins before the plane, to the left and above.
const LEAD: usize = 2;

/// Sums over the patches so far, of the eight pixel rows that the current row of patches covers.
pub(super) struct Spread {
    field: Field,
    /// Sums from one row to the next.
    stride: usize,
    /// The upper four pixel rows of the current row of patches, which no later row of patches reaches.
    upper: Sums,
    /// The lower four, which become the next row's upper ones.
    lower: Sums,
    /// Rows of patches that have ended.
    rows: usize,
}

/// Sums of [`STRIDE`] rows of pixels.
struct Sums {
    weights: Vec<i32>,
    x: Vec<i32>,
    y: Vec<i32>,
}

impl Sums {
    fn new(size: usize) -> Self {
        Self { weights: vec![0; size], x: vec![0; size], y: vec![0; size] }
    }

    fn clear(&mut self) {
        [&mut self.weights, &mut self.x, &mut self.y].into_iter().for_each(|sums| sums.fill(0));
    }
}

impl Spread {
    /// Nothing yet, for the patches of `first`.
    pub(super) fn new(first: &Luma, columns: usize) -> Self {
        let stride = columns * STRIDE + SIDE;
        let (upper, lower) = (Sums::new(stride * STRIDE), Sums::new(stride * STRIDE));
        Self { field: Field::still(first.width(), first.height()), stride, upper, lower, rows: 0 }
    }

    /// Adds the patch of a column of the current row.
    #[inline(always)]
    pub(super) fn add(&mut self, column: usize, tried: &Tried) {
        let found = tried.found();
        let (x, y) = (found.x as i16, found.y as i16);
        let weights = nearness(tried.residuals());
        let (above, below) = weights.split_at(AREA / 2);
        for (sums, weights) in [(&mut self.upper, above), (&mut self.lower, below)] {
            for (line, weights) in weights.chunks_exact(SIDE).enumerate() {
                let start = line.wrapping_mul(self.stride).wrapping_add(column.wrapping_mul(STRIDE));
                add_products(&mut sums.weights[start..][..SIDE], weights, 1);
                add_products(&mut sums.x[start..][..SIDE], weights, x);
                add_products(&mut sums.y[start..][..SIDE], weights, y);
            }
        }
    }

    /// Ends a row of patches: four more rows of sums are whole.
    #[inline(always)]
    pub(super) fn end_row(&mut self) {
        let width = self.field.width;
        for line in 0..STRIDE {
            let grid_row = self.rows * STRIDE + line;
            if grid_row < LEAD || grid_row - LEAD >= self.field.height {
                continue;
            }
            let (inner, start) = (line * self.stride + LEAD, (grid_row - LEAD) * width);
            let weights = &self.upper.weights[inner..][..width];
            quotients(&mut self.field.x[start..][..width], &self.upper.x[inner..][..width], weights);
            quotients(&mut self.field.y[start..][..width], &self.upper.y[inner..][..width], weights);
        }
        self.upper.clear();
        std::mem::swap(&mut self.upper, &mut self.lower);
        self.rows += 1;
    }

    /// The field, after the last row of patches.
    #[inline(always)]
    pub(super) fn finish(mut self) -> Field {
        self.end_row();
        self.field
    }
}

/// `max(1, 32 - |r| in whole levels)^2` for every residual.
#[inline(always)]
fn nearness(residuals: &[i16; AREA]) -> [i16; AREA] {
    let mut out = [0i16; AREA];
    for i in 0..AREA {
        let near = 32i16.wrapping_sub(residuals[i].wrapping_abs() >> 4).max(1);
        out[i] = near.wrapping_mul(near);
    }
    out
}

/// `sums += weights * factor`, in passes of their own so that they become vector code.
#[inline(always)]
fn add_products(sums: &mut [i32], weights: &[i16], factor: i16) {
    let mut products = [0i32; SIDE];
    for i in 0..SIDE {
        products[i] = i32::from(weights[i]).wrapping_mul(i32::from(factor));
    }
    for i in 0..SIDE {
        sums[i] = sums[i].wrapping_add(products[i]);
    }
}

/// `out = sums / weights`, to nearest, halves away from zero.
#[inline(always)]
fn quotients(out: &mut [i16], sums: &[i32], weights: &[i32]) {
    for ((out, &sum), &weight) in out.iter_mut().zip(sums).zip(weights) {
        *out = rounded(sum, weight) as i16;
    }
}

/// Division to nearest, halves away from zero, of sums below 2^26 by weights of 1..=4096.
///
/// Exact although it goes through f64, of which processors can divide many at once: with the integer
/// `a = |numerator| + floor(denominator / 2)` the quotient `(a + 1/2) / denominator` lies at least `1 / 8192` away from
/// every integer, and below 2^27 the two roundings, of one part in 2^53 each, move it by less than 2^-24.
#[inline(always)]
fn rounded(numerator: i32, denominator: i32) -> i32 {
    let denominator = denominator.max(1);
    let sign = numerator >> 31;
    let dividend = (numerator ^ sign).wrapping_sub(sign).wrapping_add(denominator >> 1);
    let quotient = ((f64::from(dividend) + 0.5) * (1.0 / f64::from(denominator))) as i32;
    (quotient ^ sign).wrapping_sub(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(numerator: i32, denominator: i32) -> i32 {
        (numerator.abs() + denominator / 2) / denominator * numerator.signum()
    }

    #[test]
    fn quotients_are_exact_where_they_are_nearest_to_wrong() {
        for denominator in 1..=4096 {
            // Beside every kind of boundary: the largest sums, the smallest, and halves.
            for quotient in [0, 1, 2, 77, 16_351, 16_352] {
                let middle = quotient * denominator + denominator / 2;
                let whole = quotient * denominator;
                for numerator in (middle - 2..=middle + 2).chain(whole - 1..=whole + 1) {
                    for numerator in [numerator, -numerator] {
                        let found = rounded(numerator, denominator);
                        assert_eq!(found, exact(numerator, denominator), "{numerator} / {denominator}");
                    }
                }
            }
            for numerator in [(1 << 26) - 1, (1 << 26) - denominator, 1 - (1 << 26)] {
                assert_eq!(rounded(numerator, denominator), exact(numerator, denominator));
            }
        }
    }
}
