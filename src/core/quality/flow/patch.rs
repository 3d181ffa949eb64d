//! Patches: sampling, structure tensor, cost and the inverse-compositional Gauss-Newton step.
//!
//! Per-pixel values are i16 so that the loops become 8-lane multiply-adds; sums are i32. A GPU sibling uses
//! i32 throughout (one workgroup of 64 invocations per patch, one per pixel, sums by a tree).

use super::{
    MAX_COMPONENT, UNIT,
    raster::{Luma, MARGIN},
};

/// Side of a patch in pixels.
pub const SIDE: usize = 8;
/// Distance of patches in pixels. Patch `(column, row)` covers `4 column - 2 ..= 4 column + 5` and likewise
/// downwards, so that a pixel lies in two by two patches of the unbounded grid.
pub const STRIDE: usize = 4;
/// Pixels of a patch.
pub const AREA: usize = SIDE * SIDE;
/// Added to both diagonal entries of the structure tensor, in squared (levels per two pixels): where there is nothing
/// but noise of a level or two, steps stay short.
const REGULAR: i32 = 1024;
/// Longest step of one iteration per component, in units.
const LONGEST_STEP: i32 = 2 * UNIT;

/// Patch columns and rows of a level.
pub fn grid(luma: &Luma) -> (usize, usize) {
    (luma.width().div_ceil(STRIDE), luma.height().div_ceil(STRIDE))
}

/// Upper left pixel of a patch.
#[inline]
pub fn origin(column: usize, row: usize) -> (i32, i32) {
    ((column * STRIDE) as i32 - 2, (row * STRIDE) as i32 - 2)
}

/// A component inside the range that every sum is proven for.
#[inline]
pub fn bounded(component: i32) -> i32 {
    component.clamp(-MAX_COMPONENT, MAX_COMPONENT)
}

/// A displacement of a patch and what it costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Match {
    /// To the right, in units.
    pub x: i32,
    /// Downwards, in units.
    pub y: i32,
    /// Sum of squared residuals less their mean, in 1/256 squared level; below 2^30.
    pub cost: u32,
}

// Plain index loops and wrapping arithmetic: the budgets beside each use rule overflow out, and without checks the
// loops become vector code. `inline(always)`: development builds split the crate into many units.

#[inline(always)]
fn dot(a: &[i16; AREA], b: &[i16; AREA]) -> i32 {
    let mut sum = 0i32;
    for i in 0..AREA {
        sum = sum.wrapping_add(i32::from(a[i]).wrapping_mul(i32::from(b[i])));
    }
    sum
}

#[inline(always)]
fn total(a: &[i16; AREA]) -> i32 {
    let mut sum = 0i32;
    for value in a {
        sum = sum.wrapping_add(i32::from(*value));
    }
    sum
}

#[inline(always)]
fn less(mut a: [i16; AREA], b: &[i16; AREA]) -> [i16; AREA] {
    for i in 0..AREA {
        a[i] = a[i].wrapping_sub(b[i]);
    }
    a
}

/// Pixels of a patch in 1/16 level.
#[inline(always)]
fn pixels(luma: &Luma, at: (i32, i32)) -> [i16; AREA] {
    let stride = luma.stride();
    let source = luma.run(at.0, at.1);
    let mut out = [0i16; AREA];
    for row in 0..SIDE {
        let line = &source[row * stride..][..SIDE];
        for i in 0..SIDE {
            out[row * SIDE + i] = i16::from(line[i]) << 4;
        }
    }
    out
}

/// The 8x8 pixels whose upper left one lies at `(x, y)` units from the level's origin, bilinear, in 1/16 level;
/// coordinates of taps are clamped to the plane.
///
/// With `fx = x & 31`, `fy = y & 31`: each row of taps gives `h = ((32 - fx) a + fx b + 2) >> 2` (1/8 level, at
/// most 2040), two rows give `((32 - fy) upper + fy lower + 8) >> 4` (at most 4080; the sum, at most 65,288, fits
/// 16 bits).
#[inline(always)]
pub fn sample(luma: &Luma, x: i32, y: i32) -> [i16; AREA] {
    let margin = MARGIN as i32;
    let inside = |at: i32, side: usize| at.clamp(-margin, side as i32 + margin - SIDE as i32 - 1);
    let (left, top) = (inside(x >> 5, luma.width()), inside(y >> 5, luma.height()));
    let (fx, fy) = ((x & 31) as u16, (y & 31) as u16);
    let (gx, gy) = (32 - fx, 32 - fy);
    let source = luma.run(left, top);
    let stride = luma.stride();
    let mut upper = horizontal(source, gx, fx);
    let mut out = [0i16; AREA];
    for row in 0..SIDE {
        let lower = horizontal(&source[(row + 1) * stride..], gx, fx);
        for i in 0..SIDE {
            let sum = gy.wrapping_mul(upper[i]).wrapping_add(fy.wrapping_mul(lower[i])).wrapping_add(8);
            out[row * SIDE + i] = (sum >> 4) as i16;
        }
        upper = lower;
    }
    out
}

#[inline(always)]
fn horizontal(line: &[u8], left: u16, right: u16) -> [u16; SIDE] {
    let line = &line[..=SIDE];
    let mut out = [0u16; SIDE];
    for i in 0..SIDE {
        let sum =
            left.wrapping_mul(u16::from(line[i])).wrapping_add(right.wrapping_mul(u16::from(line[i + 1])));
        out[i] = sum.wrapping_add(2) >> 2;
    }
    out
}

/// Residuals `second(p + vector) - first(p)` of the patch with upper left pixel `at`, in 1/16 level,
/// -4080..=4080.
#[inline(always)]
pub fn residuals(first: &Luma, second: &Luma, at: (i32, i32), vector: (i32, i32)) -> [i16; AREA] {
    less(sample(second, at.0 * UNIT + vector.0, at.1 * UNIT + vector.1), &pixels(first, at))
}

/// What is known of a patch of the first frame before it is searched.
pub struct Template {
    at: (i32, i32),
    /// Pixels in 1/16 level.
    pixels: [i16; AREA],
    /// Central differences, twice the gradient, in levels.
    gradient_x: [i16; AREA],
    gradient_y: [i16; AREA],
    /// Sums of the central differences; at most 64 * 255.
    sum_x: i32,
    sum_y: i32,
    /// Structure tensor of the differences less their mean, shifted right until below 2^12.
    xx: i32,
    xy: i32,
    yy: i32,
    shift: u32,
}

/// Sums of one comparison of a patch.
#[derive(Clone, Copy)]
struct Compared {
    /// Mean residual in 1/16 level, rounded down.
    mean: i32,
    /// As in [`Match`].
    cost: u32,
    /// `sum(gradient * residual)` by component; at most 64 * 255 * 4080 < 2^26.
    product_x: i32,
    product_y: i32,
}

impl Template {
    /// Reads patch `(column, row)` of the first frame; coordinates are clamped to the plane.
    ///
    /// Tensor sums are at most 64 * 255^2 < 2^22; the mean's part, `sum * sum / 64`, at most 2^28 before the
    /// division, which rounds towards zero.
    pub fn new(first: &Luma, column: usize, row: usize) -> Self {
        let at = origin(column, row);
        let (mut gradient_x, mut gradient_y) = ([0i16; AREA], [0i16; AREA]);
        let stride = first.stride();
        let source = first.run(at.0 - 1, at.1 - 1);
        for row in 0..SIDE {
            let above = &source[row * stride + 1..][..SIDE];
            let here = &source[(row + 1) * stride..][..SIDE + 2];
            let below = &source[(row + 2) * stride + 1..][..SIDE];
            for i in 0..SIDE {
                gradient_x[row * SIDE + i] = i16::from(here[i + 2]).wrapping_sub(i16::from(here[i]));
                gradient_y[row * SIDE + i] = i16::from(below[i]).wrapping_sub(i16::from(above[i]));
            }
        }
        let (sum_x, sum_y) = (total(&gradient_x), total(&gradient_y));
        let area = AREA as i32;
        let xx = dot(&gradient_x, &gradient_x) - sum_x * sum_x / area + REGULAR;
        let yy = dot(&gradient_y, &gradient_y) - sum_y * sum_y / area + REGULAR;
        let xy = dot(&gradient_x, &gradient_y) - sum_x * sum_y / area;
        let shift = (32 - xx.max(yy).leading_zeros()).saturating_sub(12);
        let (xx, xy, yy) = (xx >> shift, xy >> shift, yy >> shift);
        Self { at, pixels: pixels(first, at), gradient_x, gradient_y, sum_x, sum_y, xx, xy, yy, shift }
    }

    #[inline(always)]
    fn residuals(&self, second: &Luma, vector: (i32, i32)) -> [i16; AREA] {
        less(sample(second, self.at.0 * UNIT + vector.0, self.at.1 * UNIT + vector.1), &self.pixels)
    }

    /// What a vector costs, as in [`Match`].
    pub fn cost(&self, second: &Luma, vector: (i32, i32)) -> u32 {
        centred_squares(&self.residuals(second, vector)).1
    }

    #[inline(always)]
    fn compare(&self, second: &Luma, vector: (i32, i32)) -> Compared {
        let residuals = self.residuals(second, vector);
        let (mean, cost) = centred_squares(&residuals);
        Compared {
            mean,
            cost,
            product_x: dot(&self.gradient_x, &residuals),
            product_y: dot(&self.gradient_y, &residuals),
        }
    }

    /// The Gauss-Newton step after a comparison, in units.
    ///
    /// Differences hold the gradient twice and residuals are in 1/16 level, which leaves `-4 H^-1 b` units.
    /// `|b| < 2^27`, cut to 2^15 after the shift (more is a step beyond the longest), so that products stay
    /// below 2^27, their difference below 2^28 and four times that below 2^30. Division rounds towards zero.
    #[inline]
    fn step(&self, compared: &Compared) -> (i32, i32) {
        let right = |product: i32, sum: i32| {
            ((product - sum * compared.mean) >> self.shift).clamp(-(1 << 15), 1 << 15)
        };
        let (bx, by) = (right(compared.product_x, self.sum_x), right(compared.product_y, self.sum_y));
        let determinant = (self.xx * self.yy - self.xy * self.xy).max(1);
        let solve = |numerator: i32| (-4 * numerator / determinant).clamp(-LONGEST_STEP, LONGEST_STEP);
        (solve(self.yy * bx - self.xy * by), solve(self.xx * by - self.xy * bx))
    }

    /// Iterates from `start` while the cost falls, at most `iterations` times; the cheapest place met.
    pub fn descend(&self, second: &Luma, start: (i32, i32), iterations: u32) -> Match {
        let mut compared = self.compare(second, start);
        let mut best = Match { x: start.0, y: start.1, cost: compared.cost };
        for _ in 0..iterations {
            let step = self.step(&compared);
            if step == (0, 0) {
                break;
            }
            let (x, y) = (bounded(best.x + step.0), bounded(best.y + step.1));
            compared = self.compare(second, (x, y));
            if compared.cost >= best.cost {
                break;
            }
            best = Match { x, y, cost: compared.cost };
        }
        best
    }
}

/// Mean (rounded down) of residuals and `sum (r - mean)^2`.
///
/// `sum r^2 <= 64 * 4080^2 < 2^30`; with `s = sum r`, `m = floor(s / 64)` the result is
/// `sum r^2 - m s - m (s - 64 m)`, each part below 2^30 in size.
#[inline(always)]
fn centred_squares(residuals: &[i16; AREA]) -> (i32, u32) {
    let sum = total(residuals);
    let mean = sum >> 6;
    let squares = dot(residuals, residuals) - mean * sum - mean * (sum - mean * AREA as i32);
    (mean, squares as u32)
}
