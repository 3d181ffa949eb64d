//! Affine layers of a motion field, and the motion that no layer explains.
//!
//! A pan, a zoom and a still cut into layers that slide over each other are explained, pair by pair,
//! by a few affine motions; living scenes are not. The fit runs on the host from block vectors (fixed
//! point, wide integers), the explanation test compares pixels.

use super::motion::{self, LumaPyramid, MIN_TEXTURE, MotionField, UNIT, Vector};

/// Number of affine layers that are fitted besides standing still.
pub const LAYERS: usize = 3;
/// Fractional bits of affine coefficients.
const COEFFICIENT_BITS: u32 = 16;
/// Distance per component up to which a vector belongs to a model, by iteration, in units: from the
/// commonest vector the model grows without ever reaching a neighbouring layer ...
const GROWING: [i32; 6] = [4, 6, 6, 6, 4, 4];
/// ... from the fit of all samples it narrows.
const NARROWING: [i32; 6] = [32, 16, 8, 6, 4, 4];
/// Distance up to which a block's vector is taken away with a layer, in units.
const MEMBER: i32 = 6;
/// A layer needs at least this share of all blocks, one in so many.
const SUPPORT_DIVISOR: usize = 64;
/// ... and at least this many, so that six coefficients cannot fit a handful of blocks by chance.
const LEAST_SUPPORT: usize = 8;
/// A block is explained when the models' error exceeds its best match by at most a half and 3/4 level a
/// pixel. The half keeps blocks out whose own match is poor too: content that another layer uncovers.
const SLACK: u32 = 12 * (motion::WINDOW * motion::WINDOW) as u32;
/// Largest contribution of one block to residual motion, in units: 8 half-size pixels.
const RESIDUAL_CAP: i32 = 8 * UNIT;

/// An affine motion: `x = (a0 + a1 X + a2 Y) / 2^16` units, where `X`, `Y` count half blocks from the
/// middle of the grid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Affine {
    /// Constant, X and Y coefficient of the horizontal component, Q16 units.
    pub x: [i64; 3],
    /// Constant, X and Y coefficient of the vertical component, Q16 units.
    pub y: [i64; 3],
}

impl Affine {
    /// The motion at a block, clamped to `MAX_VECTOR`.
    pub fn at(&self, column: usize, row: usize, columns: usize, rows: usize) -> Vector {
        let (x, y) = centred(column, row, columns, rows);
        let value = |c: &[i64; 3]| {
            let exact = c[0] + c[1] * x + c[2] * y;
            let limit = i64::from(motion::MAX_VECTOR);
            ((exact + (1 << (COEFFICIENT_BITS - 1))) >> COEFFICIENT_BITS).clamp(-limit, limit) as i32
        };
        Vector { x: value(&self.x), y: value(&self.y) }
    }

    /// Largest displacement over the four corner blocks, sum of absolute components, in units.
    pub fn largest(&self, columns: usize, rows: usize) -> i64 {
        let corners = [(0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1)];
        corners
            .iter()
            .map(|&(column, row)| i64::from(self.at(column, row, columns, rows).distance(Vector::default())))
            .max()
            .unwrap_or(0)
    }
}

/// What layers say about one pair of frames.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Explanation {
    /// The dominant affine motion.
    pub global: Affine,
    /// Blocks of the grid.
    pub blocks: i64,
    /// Blocks whose pixels the dominant affine motion explains.
    pub affine_explained: i64,
    /// Motion of blocks beyond the dominant affine one, summed, in units.
    pub affine_residual: i64,
    /// Motion of blocks beyond standing still and every fitted layer, summed, in units.
    pub layer_residual: i64,
    /// Motion of textured blocks, summed, in units.
    pub motion: i64,
    /// Blocks with texture in both directions.
    pub textured: i64,
    /// Errors of the best match of every block, summed, in 1/16 level and 256 pixels a block.
    pub error: i64,
}

/// Fits up to three affine layers to a field and tests on pixels what they explain.
///
/// Each 4x4 part of a block's window takes the layer that suits it best, so that a block on the line
/// between two layers is explained by the two.
pub fn explain(first: &LumaPyramid, second: &LumaPyramid, field: &MotionField) -> Explanation {
    let layers = fit_layers(field);
    explanation(field, &layers, pixel_evidence(first, second, field, &layers))
}

/// What pixels say about layers, summed over the blocks of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PixelEvidence {
    /// Blocks whose pixels the dominant affine motion explains.
    pub affine_explained: i64,
    /// Motion of the other blocks beyond the dominant one, in units.
    pub affine_residual: i64,
    /// Motion of blocks beyond standing still and every layer, in units.
    pub layer_residual: i64,
}

/// Joins what vectors and pixels say about a pair.
pub fn explanation(field: &MotionField, layers: &[Affine], evidence: PixelEvidence) -> Explanation {
    let textured = || field.blocks.iter().filter(|block| block.texture >= MIN_TEXTURE);
    Explanation {
        global: layers.first().copied().unwrap_or_default(),
        blocks: field.blocks.len() as i64,
        affine_explained: evidence.affine_explained,
        affine_residual: evidence.affine_residual,
        layer_residual: evidence.layer_residual,
        motion: textured().map(|block| i64::from(block.vector.distance(Vector::default()))).sum(),
        textured: textured().count() as i64,
        error: field.blocks.iter().map(|block| i64::from(block.error)).sum(),
    }
}

/// Tests on pixels what layers (the dominant one first) explain.
pub fn pixel_evidence(
    first: &LumaPyramid,
    second: &LumaPyramid,
    field: &MotionField,
    layers: &[Affine],
) -> PixelEvidence {
    let mut out = PixelEvidence::default();
    let dominant = layers.first().copied().unwrap_or_default();
    for (index, block) in field.blocks.iter().enumerate() {
        let (column, row) = (index % field.columns, index / field.columns);
        let allowed = block.error + block.error / 2 + SLACK;
        let errors = |vector: Vector| motion::displaced_errors(first, second, column, row, vector);
        let beyond = |vector: Vector| block.vector.distance(vector).min(RESIDUAL_CAP);
        let global = dominant.at(column, row, field.columns, field.rows);
        let mut parts = errors(global);
        let mut least = beyond(global);
        if parts.iter().sum::<u32>() <= allowed {
            out.affine_explained += 1;
            continue;
        }
        out.affine_residual += i64::from(least);
        for layer in layers.iter().skip(1).chain([&Affine::default()]) {
            let vector = layer.at(column, row, field.columns, field.rows);
            least = least.min(beyond(vector));
            for (part, other) in parts.iter_mut().zip(errors(vector)) {
                *part = (*part).min(other);
            }
        }
        if parts.iter().sum::<u32>() <= allowed {
            least = 0;
        }
        out.layer_residual += i64::from(least);
    }
    out
}

/// A block's place and vector as the fit sees it.
#[derive(Clone, Copy)]
struct Sample {
    column: usize,
    row: usize,
    vector: Vector,
}

/// Coordinates in half blocks from the middle of the grid: integers on both odd and even grids.
fn centred(column: usize, row: usize, columns: usize, rows: usize) -> (i64, i64) {
    (2 * column as i64 - (columns as i64 - 1), 2 * row as i64 - (rows as i64 - 1))
}

/// Fits up to three affine layers to the textured blocks of a field, the dominant one first.
pub fn fit_layers(field: &MotionField) -> Vec<Affine> {
    let support = (field.blocks.len() / SUPPORT_DIVISOR).max(LEAST_SUPPORT);
    let mut pool: Vec<Sample> = field
        .blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| block.texture >= MIN_TEXTURE)
        .map(|(i, block)| Sample { column: i % field.columns, row: i / field.columns, vector: block.vector })
        .collect();
    let mut layers = Vec::new();
    while layers.len() < LAYERS && pool.len() >= support {
        let layer = dominant(&pool, field);
        let before = pool.len();
        pool.retain(|sample| distance(&layer, sample, field) > MEMBER);
        if before - pool.len() < support {
            break;
        }
        layers.push(layer);
    }
    layers
}

/// Larger component of the distance between a sample's vector and a model, in units.
fn distance(model: &Affine, sample: &Sample, field: &MotionField) -> i32 {
    let predicted = model.at(sample.column, sample.row, field.columns, field.rows);
    (sample.vector.x - predicted.x).abs().max((sample.vector.y - predicted.y).abs())
}

/// How well a model holds a pool: near members count by the square of their nearness, so that a slope
/// which passes through two layers loses against either of them.
fn agreement(model: &Affine, pool: &[Sample], field: &MotionField) -> i64 {
    let nearness = |sample: &Sample| i64::from((MEMBER + 1 - distance(model, sample, field)).max(0));
    pool.iter().map(|sample| nearness(sample).pow(2)).sum()
}

/// The affine motion with the best agreement from two starts: the commonest vector, and all samples.
fn dominant(pool: &[Sample], field: &MotionField) -> Affine {
    let mode = commonest(pool);
    let shift = |value: i32| [i64::from(value) << COEFFICIENT_BITS, 0, 0];
    let refine = |start: Affine, limits: [i32; 6]| {
        limits.iter().fold(start, |model, &limit| {
            let near = |sample: &&Sample| distance(&model, sample, field) <= limit;
            let inliers: Vec<Sample> = pool.iter().filter(near).copied().collect();
            if inliers.len() < 3 { model } else { least_squares(&inliers, field) }
        })
    };
    let shifted = Affine { x: shift(mode.x), y: shift(mode.y) };
    let a = refine(shifted, GROWING);
    let b = refine(least_squares(pool, field), NARROWING);
    if agreement(&b, pool, field) > agreement(&a, pool, field) { b } else { a }
}

/// Middle of the fullest cell of 4x4 units; the lowest among equals.
fn commonest(pool: &[Sample]) -> Vector {
    let mut cells: Vec<(i32, i32)> =
        pool.iter().map(|s| ((s.vector.x + 2) >> 2, (s.vector.y + 2) >> 2)).collect();
    cells.sort_unstable();
    let mut best = ((0, 0), 0);
    for run in cells.chunk_by(|a, b| a == b) {
        if run.len() > best.1 {
            best = (run[0], run.len());
        }
    }
    Vector { x: best.0.0 * 4, y: best.0.1 * 4 }
}

/// Least-squares affine motion by Cramer's rule; a shift when the places do not span the plane.
///
/// With n < 2^16 samples and coordinates below 2^10 the determinant stays below 2^88 (i128) and a
/// numerator in Q16 below 2^120.
fn least_squares(samples: &[Sample], field: &MotionField) -> Affine {
    let mut m = [0i128; 5]; // X, Y, XX, XY, YY
    let (mut u, mut v) = ([0i128; 3], [0i128; 3]);
    for sample in samples {
        let (x, y) = centred(sample.column, sample.row, field.columns, field.rows);
        for (sum, value) in m.iter_mut().zip([x, y, x * x, x * y, y * y]) {
            *sum += i128::from(value);
        }
        for (sums, value) in [(&mut u, sample.vector.x), (&mut v, sample.vector.y)] {
            for (sum, factor) in sums.iter_mut().zip([1, x, y]) {
                *sum += i128::from(factor) * i128::from(value);
            }
        }
    }
    let n = samples.len() as i128;
    let rows = [[n, m[0], m[1]], [m[0], m[2], m[3]], [m[1], m[3], m[4]]];
    let determinant = determinant(&rows);
    let solve = |right: &[i128; 3]| -> [i64; 3] {
        if determinant <= 0 {
            return [quotient(right[0], n.max(1)), 0, 0];
        }
        std::array::from_fn(|column| {
            let mut replaced = rows;
            for (row, value) in replaced.iter_mut().zip(right) {
                row[column] = *value;
            }
            quotient(self::determinant(&replaced), determinant)
        })
    };
    Affine { x: solve(&u), y: solve(&v) }
}

fn determinant(m: &[[i128; 3]; 3]) -> i128 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

/// `numerator / denominator` in Q16, floored, within i64 by far for vectors in range.
fn quotient(numerator: i128, denominator: i128) -> i64 {
    let limit = 1i128 << 40;
    (numerator << COEFFICIENT_BITS).div_euclid(denominator).clamp(-limit, limit) as i64
}
