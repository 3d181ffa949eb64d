//! Patches: sampling, structure tensor, cost and the inverse-compositional Gauss-Newton step.
//!
//! Per-pixel values are i16 so that the loops become multiply-adds of many lanes; sums are i32. A GPU sibling uses
//! i32 throughout (one workgroup of 64 invocations per patch, one per pixel, sums by a tree). Everything here is
//! inlined into the stages, which are compiled for several instruction sets.

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
#[inline(always)]
fn origin(column: usize, row: usize) -> (i32, i32) {
    ((column * STRIDE) as i32 - 2, (row * STRIDE) as i32 - 2)
}

/// A component inside the range that every sum is proven for.
#[inline(always)]
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

/// Sum of values of -4095..=4095: eight of them fit 16 bits, so columns are summed first.
#[inline(always)]
fn total(a: &[i16; AREA]) -> i32 {
    let mut columns = [0i16; SIDE];
    for row in 0..SIDE {
        for i in 0..SIDE {
            columns[i] = columns[i].wrapping_add(a[row * SIDE + i]);
        }
    }
    let mut sum = 0i32;
    for column in columns {
        sum = sum.wrapping_add(i32::from(column));
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

/// `N` pixels from `start` on.
#[inline(always)]
fn line<const N: usize>(source: &[u8], start: usize) -> &[u8; N] {
    match source.get(start..).and_then(|rest| rest.first_chunk()) {
        Some(line) => line,
        None => outside(),
    }
}

#[cold]
#[inline(never)]
fn outside() -> ! {
    panic!("a patch was read beyond the margin of its plane")
}

#[inline(always)]
fn widened(line: &[u8; SIDE]) -> [i16; SIDE] {
    let mut out = [0i16; SIDE];
    for i in 0..SIDE {
        out[i] = i16::from(line[i]);
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
    let mut upper = horizontal(line(source, 0), gx, fx);
    let mut out = [0i16; AREA];
    for row in 0..SIDE {
        let lower = horizontal(line(source, (row + 1).wrapping_mul(stride)), gx, fx);
        for i in 0..SIDE {
            let sum = gy.wrapping_mul(upper[i]).wrapping_add(fy.wrapping_mul(lower[i])).wrapping_add(8);
            out[row * SIDE + i] = (sum >> 4) as i16;
        }
        upper = lower;
    }
    out
}

#[inline(always)]
fn horizontal(line: &[u8; SIDE + 1], left: u16, right: u16) -> [u16; SIDE] {
    let mut out = [0u16; SIDE];
    for i in 0..SIDE {
        let sum =
            left.wrapping_mul(u16::from(line[i])).wrapping_add(right.wrapping_mul(u16::from(line[i + 1])));
        out[i] = sum.wrapping_add(2) >> 2;
    }
    out
}

/// A vector that was tried, and what came of it.
#[derive(Clone, Copy)]
pub struct Tried {
    /// The vector, in units.
    vector: (i32, i32),
    /// `second(p + vector) - first(p)` in 1/16 level, -4080..=4080.
    residuals: [i16; AREA],
    /// Mean residual in 1/16 level, rounded down.
    mean: i32,
    /// As in [`Match`].
    cost: u32,
}

impl Tried {
    /// The vector and its cost.
    #[inline(always)]
    pub fn found(&self) -> Match {
        Match { x: self.vector.0, y: self.vector.1, cost: self.cost }
    }

    /// Residuals `second(p + vector) - first(p)`, row by row, in 1/16 level.
    #[inline(always)]
    pub fn residuals(&self) -> &[i16; AREA] {
        &self.residuals
    }
}

/// Where a descent ended.
pub struct Descent {
    /// The cheapest place met.
    pub best: Tried,
    /// Whether it ended because no step led further down: another descent from there would end there at once.
    pub settled: bool,
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

impl Template {
    /// Reads patch `(column, row)` of the first frame; coordinates are clamped to the plane.
    ///
    /// Tensor sums are at most 64 * 255^2 < 2^22; the mean's part, `sum * sum / 64`, at most 2^28 before the
    /// division, which rounds towards zero.
    #[inline(always)]
    pub fn new(first: &Luma, column: usize, row: usize) -> Self {
        let at = origin(column, row);
        let (mut gradient_x, mut gradient_y) = ([0i16; AREA], [0i16; AREA]);
        let mut pixels = [0i16; AREA];
        let stride = first.stride();
        let source = first.run(at.0 - 1, at.1 - 1);
        for row in 0..SIDE {
            let start = row.wrapping_mul(stride);
            let above = widened(line(source, start.wrapping_add(1)));
            let here = start.wrapping_add(stride);
            let left = widened(line(source, here));
            let right = widened(line(source, here.wrapping_add(2)));
            let below = widened(line(source, here.wrapping_add(stride).wrapping_add(1)));
            for i in 0..SIDE {
                gradient_x[row * SIDE + i] = right[i].wrapping_sub(left[i]);
            }
            for i in 0..SIDE {
                gradient_y[row * SIDE + i] = below[i].wrapping_sub(above[i]);
            }
        }
        // On its own: together with the differences the compiler shares single pixels between the three and gathers.
        let source = first.run(at.0, at.1);
        for row in 0..SIDE {
            let here = widened(line(source, row.wrapping_mul(stride)));
            for i in 0..SIDE {
                pixels[row * SIDE + i] = here[i] << 4;
            }
        }
        let (sum_x, sum_y) = (total(&gradient_x), total(&gradient_y));
        let area = AREA as i32;
        let xx = dot(&gradient_x, &gradient_x) - sum_x * sum_x / area + REGULAR;
        let yy = dot(&gradient_y, &gradient_y) - sum_y * sum_y / area + REGULAR;
        let xy = dot(&gradient_x, &gradient_y) - sum_x * sum_y / area;
        let shift = (32 - xx.max(yy).leading_zeros()).saturating_sub(12);
        let (xx, xy, yy) = (xx >> shift, xy >> shift, yy >> shift);
        Self { at, pixels, gradient_x, gradient_y, sum_x, sum_y, xx, xy, yy, shift }
    }

    /// Compares the patch with the second frame under a vector.
    #[inline(always)]
    pub fn compare(&self, second: &Luma, vector: (i32, i32)) -> Tried {
        let there = sample(second, self.at.0 * UNIT + vector.0, self.at.1 * UNIT + vector.1);
        let residuals = less(there, &self.pixels);
        let (mean, cost) = centred_squares(&residuals);
        Tried { vector, residuals, mean, cost }
    }

    /// The Gauss-Newton step from a tried vector, in units.
    ///
    /// Differences hold the gradient twice and residuals are in 1/16 level, which leaves `-4 H^-1 b` units.
    /// `sum(gradient * residual)` is at most 64 * 255 * 4080 < 2^26, so `|b| < 2^27`; it is cut to 2^15 after the
    /// shift (more is a step beyond the longest), so that products stay below 2^27, their difference below 2^28 and
    /// four times that below 2^30. Division rounds towards zero.
    #[inline(always)]
    fn step(&self, tried: &Tried) -> (i32, i32) {
        let right = |gradient: &[i16; AREA], sum: i32| {
            ((dot(gradient, &tried.residuals) - sum * tried.mean) >> self.shift).clamp(-(1 << 15), 1 << 15)
        };
        let (bx, by) = (right(&self.gradient_x, self.sum_x), right(&self.gradient_y, self.sum_y));
        let determinant = (self.xx * self.yy - self.xy * self.xy).max(1);
        let solve = |numerator: i32| (-4 * numerator / determinant).clamp(-LONGEST_STEP, LONGEST_STEP);
        (solve(self.yy * bx - self.xy * by), solve(self.xx * by - self.xy * bx))
    }

    /// Iterates from `start` while the cost falls, at most `iterations` times; the cheapest place met.
    #[inline(always)]
    pub fn descend(&self, second: &Luma, start: Tried, iterations: u32) -> Descent {
        let mut best = start;
        for _ in 0..iterations {
            let step = self.step(&best);
            if step == (0, 0) {
                return Descent { best, settled: true };
            }
            let vector = (bounded(best.vector.0 + step.0), bounded(best.vector.1 + step.1));
            let next = self.compare(second, vector);
            if next.cost >= best.cost {
                return Descent { best, settled: true };
            }
            best = next;
        }
        Descent { best, settled: false }
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
