//! Block motion between two frames: coarse-to-fine matching, then sub-pixel refinement.
//!
//! Blocks of 8x8 pixels of the half-size luma plane (16x16 of the frame), each matched by a 16x16
//! window around it. Full search at eighth size, refinement at quarter and half size by sums of
//! absolute differences, then two inverse-compositional Lucas-Kanade steps (Baker and Matthews, 2004)
//! in 1/16 pixel of the half-size plane.
//!
//! The inner loops add and multiply with `wrapping_*`: no sum can leave its type, as the budgets show, and a check of
//! each would keep the compiler from taking many at once. All arithmetic fits 32 bits, so that a WGSL sibling needs no wide integers; budgets stand beside
//! the lines. One invocation per block; no value depends on the order of blocks.

use super::{
    difference::run_difference,
    instructions::for_every_instruction_set,
    plane::{Plane, downscale, half_size},
};

/// Side of a block in pixels of the half-size plane.
pub const BLOCK: usize = 8;
/// Side of the matching window at half size.
pub const WINDOW: usize = 16;
/// Units per half-size pixel: vectors are in 1/16 half-size pixel, 1/8 pixel of the frame.
pub const UNIT: i32 = 16;
/// Largest component of a vector at which a window may be read, in units.
pub const MAX_VECTOR: i32 = 31 * UNIT;

const MARGIN: usize = 48;
const AREA: usize = WINDOW * WINDOW;
const SMALL_WINDOW: usize = 8;
/// Search range at eighth size: 5 pixels, 40 pixels of the frame.
const RANGE: i32 = 5;
/// How much better than standing still a displacement must match, in levels per pixel divided by four.
const STILL_BONUS: u32 = (AREA / 4) as u32;
/// Least smaller eigenvalue of the window's structure tensor (sum of squared central differences)
/// with which a vector counts as measured: 4 levels per two pixels in the weaker direction.
pub const MIN_TEXTURE: u32 = 16 * AREA as u32;

/// Half-, quarter- and eighth-size luma of one frame, edges replicated.
pub struct LumaPyramid {
    half: Plane,
    quarter: Plane,
    eighth: Plane,
}

impl LumaPyramid {
    /// Builds the pyramid of a luma plane `[height, width]`.
    pub fn new(y: &[u8], width: usize, height: usize) -> Self {
        let half = downscale(y, width, height);
        let half_dim = half_size(width, height);
        let quarter = downscale(&half, half_dim.0, half_dim.1);
        let quarter_dim = half_size(half_dim.0, half_dim.1);
        let eighth = downscale(&quarter, quarter_dim.0, quarter_dim.1);
        let eighth_dim = half_size(quarter_dim.0, quarter_dim.1);
        let plane = |pixels: &[u8], (w, h)| Plane::new(pixels, w, h, MARGIN);
        Self {
            half: plane(&half, half_dim),
            quarter: plane(&quarter, quarter_dim),
            eighth: plane(&eighth, eighth_dim),
        }
    }

    /// The half-size plane.
    pub fn half(&self) -> &Plane {
        &self.half
    }

    /// The half-size pixels without margin, row by row.
    pub fn half_pixels(&self) -> Vec<u8> {
        self.half.rows().flatten().copied().collect()
    }

    /// Number of block columns and rows.
    pub fn grid(&self) -> (usize, usize) {
        (self.half.width().div_ceil(BLOCK), self.half.height().div_ceil(BLOCK))
    }
}

/// A displacement in units of 1/16 half-size pixel: content at `p` in the first frame is found at
/// `p + vector` in the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Vector {
    /// To the right.
    pub x: i32,
    /// Downwards.
    pub y: i32,
}

impl Vector {
    /// Sum of the absolute components of the difference.
    #[inline(always)]
    pub fn distance(self, other: Vector) -> i32 {
        (self.x - other.x).abs() + (self.y - other.y).abs()
    }

    #[inline(always)]
    fn times(self, factor: i32) -> Self {
        Self { x: self.x * factor, y: self.y * factor }
    }

    #[inline(always)]
    fn plus(self, x: i32, y: i32) -> Self {
        Self { x: self.x + x, y: self.y + y }
    }
}

/// Motion of one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockMotion {
    /// Best displacement.
    pub vector: Vector,
    /// Sum over the window of `|second(p + vector) - first(p)|`, in 1/16 level; at most 256 * 4080.
    pub error: u32,
    /// Smaller eigenvalue of the window's structure tensor, a lower bound.
    pub texture: u32,
}

/// Motion of all blocks between two frames, row by row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MotionField {
    /// Blocks per row.
    pub columns: usize,
    /// Rows of blocks.
    pub rows: usize,
    /// One entry per block.
    pub blocks: Vec<BlockMotion>,
}

for_every_instruction_set! {
    /// Matches every block of `first` in `second`.
    pub fn motion_field(first: &LumaPyramid, second: &LumaPyramid) -> MotionField {
        let (columns, rows) = first.grid();
        let coarse = Coarse::of(first, second, (columns.div_ceil(2), rows.div_ceil(2)));
        let mut blocks = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let quarter = refine_quarter(first, second, column, row, &coarse.seeds(column, row));
                blocks.push(refine_half(first, second, column, row, quarter));
            }
        }
        MotionField { columns, rows, blocks }
    }
}

/// Displacements of groups of 2x2 blocks in eighth-size pixels.
struct Coarse {
    columns: usize,
    rows: usize,
    vectors: Vec<Vector>,
}

impl Coarse {
    #[inline(always)]
    fn of(first: &LumaPyramid, second: &LumaPyramid, (columns, rows): (usize, usize)) -> Self {
        let mut vectors = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                vectors.push(search_eighth(first, second, column, row));
            }
        }
        Self { columns, rows, vectors }
    }

    /// The displacements of a block's group and of the groups beside it.
    #[inline(always)]
    fn seeds(&self, column: usize, row: usize) -> [Vector; 5] {
        [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)].map(|(dx, dy)| {
            let x = (column / 2).saturating_add_signed(dx).min(self.columns - 1);
            let y = (row / 2).saturating_add_signed(dy).min(self.rows - 1);
            self.vectors[y * self.columns + x]
        })
    }
}

/// An `N`x`N` window of the first frame and the plane of the second that it is looked for in.
struct Matcher<'a, const N: usize> {
    window: [[u8; N]; N],
    at: (i32, i32),
    second: &'a Plane,
}

impl<'a, const N: usize> Matcher<'a, N> {
    #[inline(always)]
    fn new(first: &Plane, second: &'a Plane, at: (i32, i32)) -> Self {
        let mut window = [[0; N]; N];
        for (row, line) in window.iter_mut().enumerate() {
            *line = *first.array(at.0, at.1 + row as i32);
        }
        Self { window, at, second }
    }

    /// Sum of absolute differences between the window and the second frame displaced by whole pixels; at most 256 * 255.
    #[inline(always)]
    fn cost(&self, shift: Vector) -> u32 {
        let mut sum = 0;
        for (row, line) in self.window.iter().enumerate() {
            let other: &[u8; N] = self.second.array(self.at.0 + shift.x, self.at.1 + row as i32 + shift.y);
            sum = run_difference(line, other).wrapping_add(sum);
        }
        sum
    }

    /// The best of the eight neighbours of `centre`, which costs `least`, and itself; the first in reading order
    /// among equals. The best and its cost.
    #[inline(always)]
    fn around(&self, centre: Vector, mut least: u32) -> (Vector, u32) {
        let mut best = centre;
        for y in -1..=1 {
            for x in -1..=1 {
                let candidate = centre.plus(x, y);
                if candidate == centre {
                    continue;
                }
                let price = self.cost(candidate);
                if price < least {
                    (best, least) = (candidate, price);
                }
            }
        }
        (best, least)
    }
}

/// Full search for a group of 2x2 blocks, in eighth-size pixels. Longer vectors pay 1/32 level a pixel.
#[inline(always)]
fn search_eighth(first: &LumaPyramid, second: &LumaPyramid, column: usize, row: usize) -> Vector {
    let at = (4 * column as i32 - 2, 4 * row as i32 - 2);
    let matcher = Matcher::<SMALL_WINDOW>::new(&first.eighth, &second.eighth, at);
    let mut best = Vector::default();
    let mut least = matcher.cost(best);
    for y in -RANGE..=RANGE {
        for x in -RANGE..=RANGE {
            let candidate = Vector { x, y };
            let price = matcher.cost(candidate) + 2 * candidate.distance(Vector::default()) as u32;
            if price < least {
                (best, least) = (candidate, price);
            }
        }
    }
    best
}

/// Best of standing still and the seeds, then one pixel around it, in quarter-size pixels.
#[inline(always)]
fn refine_quarter(
    first: &LumaPyramid,
    second: &LumaPyramid,
    column: usize,
    row: usize,
    seeds: &[Vector; 5],
) -> Vector {
    let at = (4 * column as i32 - 2, 4 * row as i32 - 2);
    let matcher = Matcher::<SMALL_WINDOW>::new(&first.quarter, &second.quarter, at);
    let mut best = Vector::default();
    let mut least = matcher.cost(best);
    for (index, seed) in seeds.iter().enumerate() {
        if seeds[..index].contains(seed) {
            continue;
        }
        let candidate = seed.times(2);
        let price = matcher.cost(candidate);
        if price < least {
            (best, least) = (candidate, price);
        }
    }
    matcher.around(best, least).0
}

#[inline(always)]
fn refine_half(
    first: &LumaPyramid,
    second: &LumaPyramid,
    column: usize,
    row: usize,
    seed: Vector,
) -> BlockMotion {
    let at = window_origin(column, row);
    let matcher = Matcher::<WINDOW>::new(&first.half, &second.half, at);
    let centre = seed.times(2);
    let (mut whole, least) = matcher.around(centre, matcher.cost(centre));
    if matcher.cost(Vector::default()) <= least + STILL_BONUS {
        whole = Vector::default();
    }
    refine_subpixel(&first.half, &second.half, at, whole.times(UNIT))
}

/// Upper left pixel of a block's window at half size.
#[inline(always)]
fn window_origin(column: usize, row: usize) -> (i32, i32) {
    let lead = ((WINDOW - BLOCK) / 2) as i32;
    ((column * BLOCK) as i32 - lead, (row * BLOCK) as i32 - lead)
}

/// `second(p + vector) - first(p)` over the window in 1/16 level, bilinear: four taps whose weights sum
/// to 256, rounded to 1/16 level. Taps: 256 * 255 + 8 < 2^16 (u16).
#[inline(always)]
fn residuals(first: &Plane, second: &Plane, at: (i32, i32), vector: Vector) -> [i16; AREA] {
    let (whole_x, whole_y) = (vector.x.div_euclid(UNIT), vector.y.div_euclid(UNIT));
    let (x, y) = (vector.x.rem_euclid(UNIT) as u16, vector.y.rem_euclid(UNIT) as u16);
    let unit = UNIT as u16;
    let weights = [(unit - x) * (unit - y), x * (unit - y), (unit - x) * y, x * y];
    let mut out = [0i16; AREA];
    for (row, line) in out.chunks_exact_mut(WINDOW).enumerate() {
        let row = row as i32;
        let here: &[u8; WINDOW] = first.array(at.0, at.1 + row);
        let upper: &[u8; WINDOW + 1] = second.array(at.0 + whole_x, at.1 + row + whole_y);
        let lower: &[u8; WINDOW + 1] = second.array(at.0 + whole_x, at.1 + row + whole_y + 1);
        for i in 0..WINDOW {
            let tap = |weight: usize, level: u8| weights[weight].wrapping_mul(level.into());
            let upper = tap(0, upper[i]).wrapping_add(tap(1, upper[i + 1]));
            let lower = tap(2, lower[i]).wrapping_add(tap(3, lower[i + 1]));
            let level = upper.wrapping_add(lower).wrapping_add(8) >> 4;
            line[i] = (level as i16).wrapping_sub(i16::from(here[i]) << 4);
        }
    }
    out
}

#[inline(always)]
fn error_of(residuals: &[i16; AREA]) -> u32 {
    residuals.iter().fold(0, |sum, r| u32::wrapping_add(sum, r.unsigned_abs().into()))
}

/// Number of 4x4 parts of a window.
pub const PARTS: usize = AREA / 16;

for_every_instruction_set! {
    /// Absolute difference between a block's window and the second frame displaced by `vector` (clamped to
    /// `MAX_VECTOR`), summed over each 4x4 part of the window, in 1/16 level; a part is at most 16 * 4080.
    pub fn displaced_errors(
        first: &LumaPyramid,
        second: &LumaPyramid,
        column: usize,
        row: usize,
        vector: Vector,
    ) -> [u32; PARTS] {
        let vector =
            Vector { x: vector.x.clamp(-MAX_VECTOR, MAX_VECTOR), y: vector.y.clamp(-MAX_VECTOR, MAX_VECTOR) };
        let residuals = residuals(&first.half, &second.half, window_origin(column, row), vector);
        let mut parts = [0u32; PARTS];
        for (row, line) in residuals.chunks_exact(WINDOW).enumerate() {
            for (column, value) in line.iter().enumerate() {
                let part = &mut parts[row / 4 * 4 + column / 4];
                *part = part.wrapping_add(value.unsigned_abs().into());
            }
        }
        parts
    }
}

/// Central differences of the window and their structure tensor, brought below 2^12 by `shift`.
struct Gradients {
    x: [i16; AREA],
    y: [i16; AREA],
    xx: i32,
    xy: i32,
    yy: i32,
    shift: u32,
}

impl Gradients {
    /// Sums are at most 256 * 255^2 < 2^24.
    #[inline(always)]
    fn of(plane: &Plane, at: (i32, i32)) -> Self {
        let (mut gx, mut gy) = ([0i16; AREA], [0i16; AREA]);
        for (row, (line_x, line_y)) in
            gx.chunks_exact_mut(WINDOW).zip(gy.chunks_exact_mut(WINDOW)).enumerate()
        {
            let y = at.1 + row as i32;
            let here: &[u8; WINDOW + 2] = plane.array(at.0 - 1, y);
            let (above, below): (&[u8; WINDOW], &[u8; WINDOW]) =
                (plane.array(at.0, y - 1), plane.array(at.0, y + 1));
            for i in 0..WINDOW {
                line_x[i] = i16::from(here[i + 2]).wrapping_sub(here[i].into());
                line_y[i] = i16::from(below[i]).wrapping_sub(above[i].into());
            }
        }
        let (xx, xy, yy) = (product(&gx, &gx), product(&gx, &gy), product(&gy, &gy));
        let shift = (32 - xx.max(yy).leading_zeros()).saturating_sub(12);
        Self { x: gx, y: gy, xx: xx >> shift, xy: xy >> shift, yy: yy >> shift, shift }
    }

    /// Determinant of the shifted tensor, below 2^24; negative only by truncation.
    #[inline(always)]
    fn determinant(&self) -> i32 {
        self.xx * self.yy - self.xy * self.xy
    }

    /// `determinant / trace`, a lower bound of the smaller eigenvalue, shifted back.
    #[inline(always)]
    fn texture(&self) -> u32 {
        let trace = self.xx + self.yy;
        if trace == 0 { 0 } else { ((self.determinant().max(0) / trace) as u32) << self.shift }
    }

    /// Newton step in units. Central differences hold the gradient twice and residuals are in 1/16
    /// level, which leaves `-2 G^-1 b` units; `|b| <= 256 * 255 * 4080 < 2^29`, cut to 2^16 after the
    /// shift, so that each product stays below 2^28 and the doubled difference of two below 2^30.
    #[inline(always)]
    fn step(&self, residuals: &[i16; AREA]) -> Vector {
        let determinant = self.determinant().max(1);
        let right =
            |gradient: &[i16; AREA]| (product(gradient, residuals) >> self.shift).clamp(-(1 << 16), 1 << 16);
        let (bx, by) = (right(&self.x), right(&self.y));
        let solve = |numerator: i32| rounded(-2 * numerator, determinant).clamp(-UNIT, UNIT);
        Vector { x: solve(self.yy * bx - self.xy * by), y: solve(self.xx * by - self.xy * bx) }
    }
}

#[inline(always)]
fn product(a: &[i16; AREA], b: &[i16; AREA]) -> i32 {
    let mut sum = 0i32;
    for i in 0..AREA {
        sum = sum.wrapping_add(i32::from(a[i]).wrapping_mul(i32::from(b[i])));
    }
    sum
}

/// Division to nearest, halves away from zero.
#[inline(always)]
fn rounded(numerator: i32, denominator: i32) -> i32 {
    let half = denominator / 2;
    if numerator >= 0 { (numerator + half) / denominator } else { (numerator - half) / denominator }
}

#[inline(always)]
fn refine_subpixel(first: &Plane, second: &Plane, at: (i32, i32), start: Vector) -> BlockMotion {
    let mut now = residuals(first, second, at, start);
    let mut best = BlockMotion { vector: start, error: error_of(&now), texture: 0 };
    let gradients = Gradients::of(first, at);
    best.texture = gradients.texture();
    if best.texture < MIN_TEXTURE {
        return best;
    }
    let mut vector = start;
    for _ in 0..2 {
        let step = gradients.step(&now);
        if step == Vector::default() {
            break;
        }
        // At most one pixel from the whole-pixel match: further is divergence.
        vector = Vector {
            x: (vector.x + step.x).clamp(start.x - UNIT, start.x + UNIT),
            y: (vector.y + step.y).clamp(start.y - UNIT, start.y + UNIT),
        };
        now = residuals(first, second, at, vector);
        let error = error_of(&now);
        if error < best.error {
            (best.vector, best.error) = (vector, error);
        }
    }
    best
}
