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
        for (half, sums) in [&mut self.upper, &mut self.lower].into_iter().enumerate() {
            for line in 0..STRIDE {
                let start = line.wrapping_mul(self.stride).wrapping_add(column.wrapping_mul(STRIDE));
                let weights = row_of(&weights, half * STRIDE + line);
                add_products(part(&mut sums.weights, start), weights, 1);
                add_products(part(&mut sums.x, start), weights, x);
                add_products(part(&mut sums.y, start), weights, y);
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
            let field = (&mut self.field.x[start..][..width], &mut self.field.y[start..][..width]);
            let sums = (&self.upper.x[inner..][..width], &self.upper.y[inner..][..width]);
            quotients(field, sums, &self.upper.weights[inner..][..width]);
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

#[inline(always)]
fn row_of(weights: &[i16; AREA], row: usize) -> &[i16; SIDE] {
    let (rows, _) = weights.as_chunks::<SIDE>();
    &rows[row]
}

#[inline(always)]
fn part(sums: &mut [i32], start: usize) -> &mut [i32; SIDE] {
    match sums.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
        Some(part) => part,
        None => outside(),
    }
}

#[cold]
#[inline(never)]
fn outside() -> ! {
    panic!("a patch was spread beyond the sums of its row")
}

/// `sums += weights * factor`, in passes of their own so that they become vector code.
#[inline(always)]
fn add_products(sums: &mut [i32; SIDE], weights: &[i16; SIDE], factor: i16) {
    let mut products = [0i32; SIDE];
    for i in 0..SIDE {
        products[i] = i32::from(weights[i]).wrapping_mul(i32::from(factor));
    }
    for i in 0..SIDE {
        sums[i] = sums[i].wrapping_add(products[i]);
    }
}

/// Both components `sums / weights` of a row of pixels, to nearest, halves away from zero.
#[inline(always)]
fn quotients(out: (&mut [i16], &mut [i16]), sums: (&[i32], &[i32]), weights: &[i32]) {
    let length = weights.len();
    let (out_x, out_y) = (&mut out.0[..length], &mut out.1[..length]);
    let (sums_x, sums_y) = (&sums.0[..length], &sums.1[..length]);
    for i in 0..length {
        let weight = weights[i].max(1);
        let reciprocal = 1.0 / f64::from(weight);
        out_x[i] = rounded(sums_x[i], weight, reciprocal) as i16;
        out_y[i] = rounded(sums_y[i], weight, reciprocal) as i16;
    }
}

/// Added to a f64 below 2^51 in size, it leaves the nearest integer in the low bits.
const TO_INTEGER: f64 = (3u64 << 51) as f64;

/// `numerator / denominator` to nearest, halves away from zero, of sums below 2^26 by weights of 1..=4096.
///
/// Exact although it goes through f64, of which processors divide many at once. With the integer
/// `a = |numerator| + floor(denominator / 2)` the wanted `floor(a / denominator)` is the integer nearest to
/// `(a + 1/2) / denominator - 1/2`, which lies at least 1/8192 away from every half; below 2^27 the roundings, of one
/// part in 2^53 each, move it by less than 2^-24.
#[inline(always)]
fn rounded(numerator: i32, denominator: i32, reciprocal: f64) -> i32 {
    let sign = numerator >> 31;
    let dividend = (numerator ^ sign).wrapping_sub(sign).wrapping_add(denominator >> 1);
    let near = (f64::from(dividend) + 0.5) * reciprocal - 0.5;
    let quotient = (near + TO_INTEGER).to_bits() as i32;
    (quotient ^ sign).wrapping_sub(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(numerator: i32, denominator: i32) -> i32 {
        rounded(numerator, denominator, 1.0 / f64::from(denominator))
    }

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
                        let found = divided(numerator, denominator);
                        assert_eq!(found, exact(numerator, denominator), "{numerator} / {denominator}");
                    }
                }
            }
            for numerator in [(1 << 26) - 1, (1 << 26) - denominator, 1 - (1 << 26)] {
                assert_eq!(divided(numerator, denominator), exact(numerator, denominator));
            }
        }
    }
}
