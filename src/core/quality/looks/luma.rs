//! Kernel `looks_luma`: phases of a locked grid and rings beside strong edges, of one luma plane.
//!
//! *Phases*: the Laplacian of every inner pixel, cut to +-32 levels, is summed by the pixel's place in a 16x16 grid.
//! What a picture shows falls on all places alike and cancels; what a decoder adds at a fixed period of 2, 4, 8 or 16
//! pixels adds up (synchronous averaging). Cutting keeps single strong edges from filling a place.
//!
//! *Rings*: along rows and along columns, an edge is a local maximum of `|l(x + 1) - l(x - 1)|` of at least 48 levels.
//! On each side of it the absolute second differences 3 to 6 pixels away are set against those 13 to 16 pixels away,
//! where those 9 to 12 pixels away stay below 24 levels in sum (no texture). Texture and noise have as much in both, rings
//! decay. Quiet and ground are different pixels, else noise would read as rings: chance alone would pick a low ground.
//! After Marziliano, Dufaux, Winkler, Ebrahimi, *Perceptual blur and ringing metrics*, 2004, who look beside edges too.
//!
//! GPU sibling: one workgroup per 16 columns, each invocation owns a place of the grid. Overflow: a pixel adds at most
//! 32 to its place, and 4 * 4 * 1020 = 16,320 to the rings (four sides); with 256 tiles above one another (4096 rows, the
//! largest of `request`) a workgroup of 256 stays below 2^30.

/// Period of the grid that phases are kept of.
pub const PERIOD: usize = 16;
/// Largest response that a pixel adds to its phase, in levels.
const CUT: i32 = 32;
/// Least gradient over two pixels of a strong edge, in levels.
const EDGE: i32 = 48;
/// Where rings are looked for, in pixels from the edge: from here, four pixels on.
const NEAR: usize = 3;
/// Where it must be quiet, likewise.
const FAR: usize = 9;
/// Where the ground is taken, likewise.
const GROUND: usize = 13;
/// Pixels of either.
const SPAN: usize = 4;
/// Most second differences where it is quiet, in levels summed.
const QUIET: i32 = 24;
/// Pixels that must lie on either side of an edge.
const REACH: usize = GROUND + SPAN;

/// Sums of one luma plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LumaSums {
    /// Size of the plane: width and height.
    pub size: [u32; 2],
    /// Sum of the cut Laplacian by `16 * (y mod 16) + x mod 16`, in levels.
    pub phases: [i64; PERIOD * PERIOD],
    /// Second differences beside edges beyond those further off, in levels.
    pub rings: i64,
    /// Sides of edges that were judged.
    pub sides: i64,
}

/// Sums of a plane `[height, width]`.
///
/// # Panics
/// When the plane is shorter than `width * height`, as slices do.
pub fn luma_sums(y: &[u8], width: usize, height: usize) -> LumaSums {
    let mut sums =
        LumaSums { size: [width as u32, height as u32], phases: [0; PERIOD * PERIOD], rings: 0, sides: 0 };
    for row in 1..height.saturating_sub(1) {
        let line = |row: usize| &y[row * width..][..width];
        let (above, here, below) = (line(row - 1), line(row), line(row + 1));
        let phases = &mut sums.phases[row % PERIOD * PERIOD..][..PERIOD];
        for (x, ((three, &up), &down)) in (1..).zip(here.windows(3).zip(&above[1..]).zip(&below[1..])) {
            let around = i32::from(three[0]) + i32::from(three[2]) + i32::from(up) + i32::from(down);
            phases[x % PERIOD] += i64::from((4 * i32::from(three[1]) - around).clamp(-CUT, CUT));
        }
    }
    for row in 0..height {
        let (from, to) = (row * width + REACH, row * width + width.saturating_sub(REACH));
        sums.add_edges(y, from..to, 1);
    }
    for row in REACH..height.saturating_sub(REACH) {
        sums.add_edges(y, row * width..(row + 1) * width, width);
    }
    sums
}

impl LumaSums {
    /// Adds the edges at these places, whose neighbours along the direction lie `step` apart.
    fn add_edges(&mut self, y: &[u8], places: std::ops::Range<usize>, step: usize) {
        if places.is_empty() {
            return;
        }
        let (before, after) = (&y[places.start - step..places.end - step], &y[places.start + step..]);
        for ((at, &p), &q) in places.zip(before).zip(after) {
            // Most places end here.
            if i32::from(p.abs_diff(q)) >= EDGE {
                let (rings, sides) = rings(y, at, step);
                self.rings += i64::from(rings);
                self.sides += i64::from(sides);
            }
        }
    }

    /// Number of inner pixels of every phase: columns by `x mod 16`, rows by `y mod 16`.
    pub fn counts(&self) -> [[i64; PERIOD]; 2] {
        self.size.map(|side| {
            let mut counts = [0; PERIOD];
            (1..(side as usize).saturating_sub(1)).for_each(|at| counts[at % PERIOD] += 1);
            counts
        })
    }
}

/// Rings on both sides of an edge at `at`, whose neighbours along the direction lie `step` apart, and the sides judged.
#[inline]
fn rings(y: &[u8], at: usize, step: usize) -> (i32, i32) {
    let level = |at: usize| i32::from(y[at]);
    let gradient = |at: usize| (level(at + step) - level(at - step)).abs();
    let here = gradient(at);
    if here <= gradient(at - step) || here < gradient(at + step) {
        return (0, 0);
    }
    let second = |at: usize| (level(at - step) + level(at + step) - 2 * level(at)).abs();
    let mut found = (0, 0);
    for ahead in [false, true] {
        let sum = |from: usize| {
            let place = |away: usize| if ahead { at + away * step } else { at - away * step };
            (from..from + SPAN).map(|away| second(place(away))).sum::<i32>()
        };
        if sum(FAR) <= QUIET {
            found = (found.0 + sum(NEAR) - sum(GROUND), found.1 + 1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 96;

    fn plane(level: impl Fn(usize, usize) -> i32) -> Vec<u8> {
        (0..SIDE * SIDE).map(|i| level(i % SIDE, i / SIDE).clamp(0, 255) as u8).collect()
    }

    #[test]
    fn a_checkerboard_fills_its_phases_with_alternating_signs() {
        let sums = luma_sums(&plane(|x, y| if (x + y) % 2 == 0 { 104 } else { 96 }), SIDE, SIDE);
        let [columns, rows] = sums.counts();
        for phase in 0..256 {
            let (x, y) = (phase % 16, phase / 16);
            let sign = if (x + y) % 2 == 0 { 32 } else { -32 };
            assert_eq!(sums.phases[phase], sign * columns[x] * rows[y], "{x} {y}");
        }
        assert_eq!(columns.iter().sum::<i64>(), SIDE as i64 - 2);
        assert_eq!((sums.rings, sums.sides), (0, 0));
    }

    #[test]
    fn rings_count_beside_edges_and_a_clean_edge_or_texture_has_none() {
        let edge = |x: usize| if x < SIDE / 2 { 60 } else { 180 };
        let clean = luma_sums(&plane(|x, _| edge(x)), SIDE, SIDE);
        assert_eq!((clean.rings, clean.sides), (0, 2 * SIDE as i64));
        // Three decaying waves on the bright side.
        let ringing = luma_sums(
            &plane(|x, _| {
                let away = x as i32 - SIDE as i32 / 2;
                let wave =
                    if (0..9).contains(&away) { (9 - away) * [1, 0, -1, 0][away as usize % 4] } else { 0 };
                edge(x) + wave
            }),
            SIDE,
            SIDE,
        );
        assert!(ringing.rings > 10 * ringing.sides, "{} of {}", ringing.rings, ringing.sides);
        // A busy ground is not judged.
        let busy = luma_sums(&plane(|x, y| edge(x) + ((x * 37 + y * 11) % 8) as i32 * 6), SIDE, SIDE);
        assert_eq!(busy.rings, 0);
        let columns = luma_sums(&plane(|_, y| edge(y)), SIDE, SIDE);
        assert_eq!((columns.rings, columns.sides), (clean.rings, clean.sides));
    }

    #[test]
    fn tiny_and_extreme_planes_are_defined() {
        for (width, height) in [(1, 1), (2, 2), (3, 1), (27, 2), (2, 27), (34, 34), (35, 36)] {
            let checker: Vec<u8> = (0..width * height).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
            let sums = luma_sums(&checker, width, height);
            assert_eq!(sums.size, [width as u32, height as u32]);
        }
    }
}
