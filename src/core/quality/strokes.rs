//! Kernel `strokes`: edges that stand where the first frame has none, counted per 16x16 block of half-size luma.
//!
//! Writing that is laid over a clip later than its first frame has what hardly anything filmed has: many sharp edges close
//! together that appear and then do not move by a part of a pixel, whatever goes on around them.
//!
//! GPU sibling: one workgroup per block and window. Overflow: a gradient lies within -255..=255, three times the largest
//! is 765 (i16); a block counts at most 256 pixels (u16), a plane of 2^24 pixels stays below 2^24 (i64).

use rayon::prelude::*;
use serde::Serialize;

/// Side of a block in half-size pixels.
pub const BLOCK: usize = 16;
/// A window ends at every so many frames, the first at this one; it is as long.
pub const WINDOW_STEP: usize = 4;
/// Frames of a window that are looked at, counted back from its end.
pub const BACK: [usize; 3] = [0, 2, 4];
/// Least gradient of an edge, in levels between neighbouring half-size pixels.
const EDGE: i16 = 20;
/// An edge is new where it is this many times the largest gradient of the first frame ...
const TIMES: i16 = 3;
/// ... within this many pixels to every side.
const REACH: usize = 2;
/// Edges that a block may have new without counting as written: what comes into the picture and rests there has fewer.
const DENSE: i64 = 40;

/// New standing edges over the frames of one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct StrokeWindow {
    /// Pixels with one.
    pub fresh: i64,
    /// Pixels beyond 40 in every block, summed.
    pub dense: i64,
}

impl StrokeWindow {
    /// Sums the counts of all blocks.
    pub fn of_counts(counts: &[u16]) -> Self {
        let counts = || counts.iter().map(|&count| i64::from(count));
        Self { fresh: counts().sum(), dense: counts().map(|count| (count - DENSE).max(0)).sum() }
    }
}

/// What a clip's windows are set against, and the windows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Strokes {
    /// Pixels of the first frame with an edge.
    pub first_edges: i64,
    /// By the frames at which they end: 4, 8, ...
    pub windows: Vec<StrokeWindow>,
}

/// Number of windows of a clip of so many frames.
pub fn windows(frames: usize) -> usize {
    frames.saturating_sub(1) / WINDOW_STEP
}

/// Pixels of a plane `[height, width]` whose gradient is that of an edge.
pub fn edges(plane: &[u8], width: usize, height: usize) -> i64 {
    gradients(plane, width, height).iter().filter(|&&gradient| i16::from(gradient) >= EDGE).count() as i64
}

/// The strokes of `frames` frames. `half` gives a frame's half-size luma
/// `[height, width]`.
pub fn of_halves(
    frames: usize,
    (width, height): (usize, usize),
    half: impl Fn(usize) -> Vec<u8> + Sync,
) -> Strokes {
    if frames == 0 {
        return Strokes::default();
    }
    let first = half(0);
    let known = surroundings(&first, width, height);
    let window = |index: usize| {
        let planes = BACK.map(|back| half((index + 1) * WINDOW_STEP - back));
        StrokeWindow::of_counts(&strokes(planes.each_ref().map(Vec::as_slice), &known, width, height))
    };
    Strokes {
        first_edges: edges(&first, width, height),
        windows: (0..windows(frames)).into_par_iter().map(window).collect(),
    }
}

/// Larger absolute difference to the right and to the lower neighbour, in levels.
fn gradients(plane: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut largest = vec![0u8; width * height];
    for (y, line) in largest.chunks_exact_mut(width.max(1)).enumerate() {
        let (here, below) = (row(plane, width, y), row(plane, width, (y + 1).min(height - 1)));
        for x in 0..width {
            let right = here[(x + 1).min(width - 1)];
            line[x] = right.abs_diff(here[x]).max(below[x].abs_diff(here[x]));
        }
    }
    largest
}

/// Largest absolute gradient of a plane `[height, width]` within [`REACH`] pixels of every pixel, in levels.
pub fn surroundings(plane: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut largest = gradients(plane, width, height);
    let mut across = vec![0u8; width * height];
    for (line, from) in across.chunks_exact_mut(width.max(1)).zip(largest.chunks_exact(width.max(1))) {
        for (x, value) in line.iter_mut().enumerate() {
            let around = &from[x.saturating_sub(REACH)..(x + REACH + 1).min(width)];
            *value = around.iter().copied().max().unwrap_or(0);
        }
    }
    for (y, line) in largest.chunks_exact_mut(width.max(1)).enumerate() {
        line.fill(0);
        for from in y.saturating_sub(REACH)..(y + REACH + 1).min(height) {
            let from = row(&across, width, from);
            line.iter_mut().zip(from).for_each(|(value, &other)| *value = (*value).max(other));
        }
    }
    largest
}

/// The kernel: per block of the planes `[height, width]`, row by row, the pixels at which an edge stands in all three and not
/// in the first frame, whose [`surroundings`] are `known`.
///
/// A gradient is the difference to the right or lower neighbour (none at the last column or row). An edge stands where it
/// is 20 levels or more with one sign in all planes, and the least of the three is three times what is known or more.
///
/// # Panics
/// When a plane is shorter than its sides say, as slices do.
pub fn strokes(planes: [&[u8]; 3], known: &[u8], width: usize, height: usize) -> Vec<u16> {
    let columns = width.div_ceil(BLOCK);
    let mut counts = vec![0u16; columns * height.div_ceil(BLOCK)];
    let mut fresh = vec![0u16; width];
    for y in 0..height {
        let rows = planes.map(|plane| row(plane, width, y));
        let below = planes.map(|plane| row(plane, width, (y + 1).min(height - 1)));
        mark_row(rows, below, row(known, width, y), &mut fresh);
        let line = &mut counts[y / BLOCK * columns..][..columns];
        for (count, marks) in line.iter_mut().zip(fresh.chunks(BLOCK)) {
            *count += marks.iter().sum::<u16>();
        }
    }
    counts
}

fn row(plane: &[u8], width: usize, y: usize) -> &[u8] {
    &plane[y * width..][..width]
}

/// One where an edge is new, by whole rows so that it becomes vector code.
fn mark_row(rows: [&[u8]; 3], below: [&[u8]; 3], known: &[u8], fresh: &mut [u16]) {
    let width = fresh.len();
    let [a, b, c] = rows.map(|line| &line[..width]);
    let [d, e, f] = below.map(|line| &line[..width]);
    let known = &known[..width];
    let mark = |across: [i16; 3], along: [i16; 3], known: u8| {
        let standing = |[p, q, r]: [i16; 3]| p.min(q).min(r).max(-(p.max(q).max(r)));
        let edge = standing(across).max(standing(along));
        u16::from(edge >= EDGE && edge >= TIMES * i16::from(known))
    };
    let to = |from: u8, other: u8| i16::from(other) - i16::from(from);
    for x in 0..width.saturating_sub(1) {
        let across = [to(a[x], a[x + 1]), to(b[x], b[x + 1]), to(c[x], c[x + 1])];
        fresh[x] = mark(across, [to(a[x], d[x]), to(b[x], e[x]), to(c[x], f[x])], known[x]);
    }
    if let Some(last) = width.checked_sub(1) {
        let along = [to(a[last], d[last]), to(b[last], e[last]), to(c[last], f[last])];
        fresh[last] = mark([0; 3], along, known[last]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, pixel by pixel.
    fn plainly(planes: [&[u8]; 3], first: &[u8], width: usize, height: usize) -> Vec<u16> {
        let at =
            |plane: &[u8], x: usize, y: usize| i32::from(plane[y.min(height - 1) * width + x.min(width - 1)]);
        let gradients = |plane: &[u8], x: usize, y: usize| {
            [at(plane, x + 1, y) - at(plane, x, y), at(plane, x, y + 1) - at(plane, x, y)]
        };
        let columns = width.div_ceil(BLOCK);
        let mut counts = vec![0u16; columns * height.div_ceil(BLOCK)];
        for (x, y) in (0..width * height).map(|i| (i % width, i / width)) {
            let all = planes.map(|plane| gradients(plane, x, y));
            let edge = (0..2)
                .flat_map(|axis| {
                    let values = all.map(|pair| pair[axis]);
                    [values.into_iter().min(), values.into_iter().map(|v| -v).min()]
                })
                .flatten()
                .max()
                .expect("two axes");
            let near = |side: usize, length: usize| side.saturating_sub(2)..(side + 3).min(length);
            let known = near(y, height)
                .flat_map(|v| near(x, width).map(move |u| (u, v)))
                .flat_map(|(u, v)| gradients(first, u, v))
                .map(i32::abs)
                .max()
                .expect("itself");
            counts[y / BLOCK * columns + x / BLOCK] += u16::from(edge >= 20 && edge >= 3 * known);
        }
        counts
    }

    proptest! {
        #[test]
        fn counts_are_what_the_definition_says(
            (width, height, planes) in (1usize..40, 1usize..40).prop_flat_map(|(w, h)| {
                let plane = || prop::collection::vec(prop::sample::select(vec![0u8, 18, 20, 40, 60, 90, 255]), w * h);
                (Just(w), Just(h), prop::array::uniform4(plane()))
            })
        ) {
            let [a, b, c, first] = planes.each_ref().map(Vec::as_slice);
            // Mostly the same plane: noise has no standing edges.
            for three in [[a, a, a], [a, b, c]] {
                let known = surroundings(first, width, height);
                prop_assert_eq!(strokes(three, &known, width, height), plainly(three, first, width, height));
                let own = surroundings(a, width, height);
                prop_assert_eq!(strokes(three, &own, width, height).iter().sum::<u16>(), 0, "known edges are not new");
            }
        }
    }

    #[test]
    fn saturated_planes_stay_within_the_stated_limits() {
        let comb: Vec<u8> = (0..64 * 32).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
        let flat = vec![0u8; 64 * 32];
        let counts = strokes([&comb; 3], &surroundings(&flat, 64, 32), 64, 32);
        assert_eq!(
            counts,
            [256, 256, 256, 240, 256, 256, 256, 240],
            "the last column has no right neighbour"
        );
        let window = StrokeWindow::of_counts(&counts);
        assert_eq!((window.fresh, window.dense), (2016, 2016 - 8 * 40));
        assert_eq!((edges(&comb, 64, 32), edges(&flat, 64, 32)), (63 * 32, 0));
        assert_eq!(strokes([&comb, &comb, &flat], &surroundings(&flat, 64, 32), 64, 32), [0; 8]);
    }

    #[test]
    fn windows_end_at_every_fourth_frame() {
        assert_eq!([0, 1, 4, 5, 8, 9, 81].map(windows), [0, 0, 0, 1, 1, 2, 20]);
    }
}
