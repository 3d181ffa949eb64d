//! Stages `search`, `improve` and `densify` of one level: a vector for every patch, then for every pixel.
//!
//! Every stage reads only arrays of earlier stages: no result depends on the order of patches.

use super::{
    UNIT,
    patch::{AREA, Match, SIDE, STRIDE, Template, bounded, grid, origin, residuals},
    raster::{Field, Luma},
};

/// A vector is tried when it differs from those tried by this much (sum of components), in units; nearer ones are
/// reached by iteration.
const NEW: i32 = UNIT;

/// Patches of one level, row by row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Patches {
    /// Patches per row.
    pub columns: usize,
    /// Rows of patches.
    pub rows: usize,
    /// One entry per patch.
    pub found: Vec<Match>,
}

impl Patches {
    /// The vector of the patch at clamped coordinates.
    fn at(&self, column: i32, row: i32) -> (i32, i32) {
        let column = column.clamp(0, self.columns as i32 - 1) as usize;
        let row = row.clamp(0, self.rows as i32 - 1) as usize;
        let found = self.found[row * self.columns + column];
        (found.x, found.y)
    }
}

fn each(first: &Luma, stage: impl Fn(&Template, usize, usize) -> Match) -> Patches {
    let (columns, rows) = grid(first);
    let found = (0..columns * rows)
        .map(|index| {
            let (column, row) = (index % columns, index / columns);
            stage(&Template::new(first, column, row), column, row)
        })
        .collect();
    Patches { columns, rows, found }
}

/// Stage `search`: the cheapest of the coarser field's vectors (doubled) at the patch's centre and four pixels of
/// the coarser level to the left, right, above and below, in this order; then at most `iterations` Gauss-Newton
/// steps from it. Without a coarser field the steps start from standing still.
///
/// The centre is the pixel `(2 column + 1, 2 row + 1)` of the coarser level; coordinates are clamped.
pub fn search(first: &Luma, second: &Luma, coarser: Option<&Field>, iterations: u32) -> Patches {
    let reach = STRIDE as i32;
    each(first, |template, column, row| {
        let start = coarser.map_or((0, 0), |coarser| {
            let centre = (2 * column as i32 + 1, 2 * row as i32 + 1);
            let near = |dx: i32, dy: i32| {
                let (x, y) = coarser.at(centre.0 + dx, centre.1 + dy);
                (bounded(2 * x), bounded(2 * y))
            };
            let beside = [near(-reach, 0), near(reach, 0), near(0, -reach), near(0, reach)];
            cheapest(template, second, near(0, 0), None, beside)
        });
        template.descend(second, start, iterations)
    })
}

/// Stage `improve`: the cheapest of the patch's own vector and those of the patches to the left, right, above and
/// below, in this order; then at most `iterations` Gauss-Newton steps from it.
pub fn improve(first: &Luma, second: &Luma, before: &Patches, iterations: u32) -> Patches {
    each(first, |template, column, row| {
        let own = before.found[row * before.columns + column];
        let (x, y) = (column as i32, row as i32);
        let beside = [before.at(x - 1, y), before.at(x + 1, y), before.at(x, y - 1), before.at(x, y + 1)];
        let start = cheapest(template, second, (own.x, own.y), Some(own.cost), beside);
        template.descend(second, start, iterations)
    })
}

/// The cheapest of `start` and the others, the first among equals. One that lies within `NEW` of `start` or of one
/// before it in the list is passed over.
fn cheapest(
    template: &Template,
    second: &Luma,
    start: (i32, i32),
    mut least: Option<u32>,
    others: [(i32, i32); 4],
) -> (i32, i32) {
    let close = |a: (i32, i32), b: (i32, i32)| (a.0 - b.0).abs() + (a.1 - b.1).abs() < NEW;
    let mut best = start;
    for (index, &other) in others.iter().enumerate() {
        if close(start, other) || others[..index].iter().any(|&tried| close(tried, other)) {
            continue;
        }
        // Where nothing else is tried, the start's own cost is never needed.
        let limit = *least.get_or_insert_with(|| template.cost(second, start));
        let cost = template.cost(second, other);
        if cost < limit {
            (best, least) = (other, Some(cost));
        }
    }
    best
}

/// Stage `densify`: a pixel's vector is the mean of its patches' vectors, weighted by how well each explains it.
///
/// The weight is `max(1, 32 - d)^2` with the absolute residual `d` in whole levels (rounded down), at most 1024;
/// with components below 2^14 the products of four patches sum to less than 2^26. The quotient is rounded to
/// nearest, halves away from zero. Patches beyond the grid have no weight. The sums are scattered here and may be
/// gathered elsewhere: they do not depend on order.
pub fn densify(first: &Luma, second: &Luma, patches: &Patches) -> Field {
    let (width, height) = (first.width(), first.height());
    let stride = patches.columns * STRIDE + SIDE;
    let size = stride * (patches.rows * STRIDE + SIDE);
    let (mut weights, mut sums_x, mut sums_y) = (vec![0i32; size], vec![0i32; size], vec![0i32; size]);
    for (index, found) in patches.found.iter().enumerate() {
        let (column, row) = (index % patches.columns, index / patches.columns);
        let weight = nearness(&residuals(first, second, origin(column, row), (found.x, found.y)));
        let (vector_x, vector_y) = (found.x as i16, found.y as i16);
        for line in 0..SIDE {
            let start = (row * STRIDE + line) * stride + column * STRIDE;
            let weight = &weight[line * SIDE..][..SIDE];
            add_products(&mut weights[start..][..SIDE], weight, 1);
            add_products(&mut sums_x[start..][..SIDE], weight, vector_x);
            add_products(&mut sums_y[start..][..SIDE], weight, vector_y);
        }
    }
    let mut field = Field::still(width, height);
    let lines = field.x.chunks_exact_mut(width).zip(field.y.chunks_exact_mut(width));
    for (y, (line_x, line_y)) in lines.enumerate() {
        // The plane begins two pixels inside the grid of patches.
        let inner = (y + 2) * stride + 2;
        let weight = &weights[inner..][..width];
        let (sum_x, sum_y) = (&sums_x[inner..][..width], &sums_y[inner..][..width]);
        for x in 0..width {
            line_x[x] = rounded(sum_x[x], weight[x]) as i16;
            line_y[x] = rounded(sum_y[x], weight[x]) as i16;
        }
    }
    field
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

/// Division to nearest, halves away from zero; the denominator is positive.
#[inline(always)]
fn rounded(numerator: i32, denominator: i32) -> i32 {
    let denominator = denominator.max(1);
    let half = denominator / 2;
    numerator.wrapping_add(if numerator < 0 { -half } else { half }) / denominator
}
