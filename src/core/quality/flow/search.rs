//! Stages `search` and `improve` of one level: a vector for every patch. The last of them goes on to `densify` while a
//! patch is at hand, which spares reading it once more.
//!
//! Every stage reads only arrays of earlier stages: no result depends on the order of patches.

use super::{
    UNIT,
    densify::Spread,
    patch::{Descent, Match, STRIDE, Template, Tried, bounded, grid},
    raster::{Field, Luma},
};
use crate::quality::instructions::for_every_instruction_set;

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
    /// Per patch whether a descent from its vector ends there at once.
    settled: Vec<bool>,
}

impl Patches {
    fn none(first: &Luma) -> Self {
        let (columns, rows) = grid(first);
        let count = columns * rows;
        Self { columns, rows, found: Vec::with_capacity(count), settled: Vec::with_capacity(count) }
    }

    #[inline(always)]
    fn push(&mut self, descent: &Descent) {
        self.found.push(descent.best.found());
        self.settled.push(descent.settled);
    }

    /// The vector of the patch at clamped coordinates.
    #[inline(always)]
    fn at(&self, column: i32, row: i32) -> (i32, i32) {
        let column = column.clamp(0, self.columns as i32 - 1) as usize;
        let row = row.clamp(0, self.rows as i32 - 1) as usize;
        let found = self.found[row * self.columns + column];
        (found.x, found.y)
    }
}

/// Patches from a descent for each, and the field that they spread. A macro, so that the loop is part of every instruction
/// set's copy of a stage.
macro_rules! densified {
    ($first:ident, |$template:ident, $place:ident| $descent:expr) => {{
        let mut patches = Patches::none($first);
        let mut spread = Spread::new($first, patches.columns);
        for row in 0..patches.rows {
            for column in 0..patches.columns {
                let ($template, $place) = (Template::new($first, column, row), (column, row));
                let descent = $descent;
                spread.add(column, &descent.best);
                patches.push(&descent);
            }
            spread.end_row();
        }
        (patches, spread.finish())
    }};
}

for_every_instruction_set! {
    /// Stage `search`: the cheapest of the coarser field's vectors (doubled) at the patch's centre and four pixels of
    /// the coarser level to the left, right, above and below, in this order; then at most `iterations` Gauss-Newton
    /// steps from it. Without a coarser field the steps start from standing still.
    ///
    /// The centre is the pixel `(2 column + 1, 2 row + 1)` of the coarser level; coordinates are clamped.
    pub fn search(first: &Luma, second: &Luma, coarser: Option<&Field>, iterations: u32) -> Patches {
        let mut patches = Patches::none(first);
        for row in 0..patches.rows {
            for column in 0..patches.columns {
                let template = Template::new(first, column, row);
                let start = from_coarser(&template, second, coarser, (column, row));
                patches.push(&template.descend(second, start, iterations));
            }
        }
        patches
    }

    /// Stages `search` and `densify`.
    pub fn search_and_densify(
        first: &Luma, second: &Luma, coarser: Option<&Field>, iterations: u32,
    ) -> (Patches, Field) {
        densified!(first, |template, place| {
            template.descend(second, from_coarser(&template, second, coarser, place), iterations)
        })
    }

    /// Stages `improve` and `densify`. Improving takes the cheapest of the patch's own vector and those of the patches
    /// to the left, right, above and below, in this order; then at most `iterations` Gauss-Newton steps from it.
    pub fn improve_and_densify(
        first: &Luma, second: &Luma, before: &Patches, iterations: u32,
    ) -> (Patches, Field) {
        densified!(first, |template, place| improved(&template, second, before, place, iterations))
    }
}

/// Where the search of a patch starts.
#[inline(always)]
fn from_coarser(
    template: &Template,
    second: &Luma,
    coarser: Option<&Field>,
    (column, row): (usize, usize),
) -> Tried {
    let Some(coarser) = coarser else { return template.compare(second, (0, 0)) };
    let reach = STRIDE as i32;
    let (x, y) = (2 * column as i32 + 1, 2 * row as i32 + 1);
    let beside = [
        doubled(coarser, x - reach, y),
        doubled(coarser, x + reach, y),
        doubled(coarser, x, y - reach),
        doubled(coarser, x, y + reach),
    ];
    let own = template.compare(second, doubled(coarser, x, y));
    let Match { x, y, cost } = own.found();
    cheaper(template, second, (x, y), cost, beside).unwrap_or(own)
}

/// The vector of a coarser field at clamped coordinates, in units of the finer level.
#[inline(always)]
fn doubled(coarser: &Field, x: i32, y: i32) -> (i32, i32) {
    let (x, y) = coarser.at(x, y);
    (bounded(2 * x), bounded(2 * y))
}

#[inline(always)]
fn improved(
    template: &Template,
    second: &Luma,
    before: &Patches,
    (column, row): (usize, usize),
    iterations: u32,
) -> Descent {
    let index = row * before.columns + column;
    let own = before.found[index];
    let (x, y) = (column as i32, row as i32);
    let beside = [before.at(x - 1, y), before.at(x + 1, y), before.at(x, y - 1), before.at(x, y + 1)];
    match cheaper(template, second, (own.x, own.y), own.cost, beside) {
        Some(start) => template.descend(second, start, iterations),
        None => {
            let start = template.compare(second, (own.x, own.y));
            if before.settled[index] {
                return Descent { best: start, settled: true };
            }
            template.descend(second, start, iterations)
        }
    }
}

/// The cheapest of the others, the first among equals, if it is cheaper than `start` at `limit`. One that lies within
/// [`NEW`] of `start` or of one before it in the list is passed over.
#[inline(always)]
fn cheaper(
    template: &Template,
    second: &Luma,
    start: (i32, i32),
    mut limit: u32,
    others: [(i32, i32); 4],
) -> Option<Tried> {
    let close = |a: (i32, i32), b: (i32, i32)| (a.0 - b.0).abs() + (a.1 - b.1).abs() < NEW;
    let mut best = None;
    for (index, &other) in others.iter().enumerate() {
        if close(start, other) || others[..index].iter().any(|&tried| close(tried, other)) {
            continue;
        }
        let tried = template.compare(second, other);
        if tried.found().cost < limit {
            limit = tried.found().cost;
            best = Some(tried);
        }
    }
    best
}
