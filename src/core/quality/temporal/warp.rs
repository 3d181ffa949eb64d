//! Kernels `warp`, `match_blocks` and `flicker_blocks`: what a frame looks like in its neighbour, and by how much the two
//! differ, per 16x16 block.
//!
//! GPU sibling: `warp` one invocation per pixel, the others one workgroup per block with sums by a tree. All sums of a
//! block fit 32 bits, see [`MatchBlock`] and [`FlickerBlock`].

use serde::Serialize;

use crate::quality::flow::{Fate, Field, Luma, UNIT, raster::MARGIN};

/// Side of a block in pixels; blocks at the right and lower edge may be smaller.
pub const BLOCK: usize = 16;
/// A neighbour must exceed the centre by more than this to set its census bit, in 1/16 level.
const CENSUS_STEP: i16 = 32;

/// A luma plane `[height, width]` in 1/16 level, 0..=4080.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warped {
    width: usize,
    height: usize,
    values: Vec<i16>,
}

impl Warped {
    /// Row `y`.
    fn row(&self, y: usize) -> &[i16] {
        &self.values[y * self.width..][..self.width]
    }

    /// All values, row by row.
    pub fn values(&self) -> &[i16] {
        &self.values
    }
}

/// Kernel `warp`: the other frame read where `field` points, `other(p + field(p))`, bilinear as
/// [`crate::quality::flow::patch::sample`] with every tap's coordinates clamped.
#[allow(clippy::needless_range_loop)] // one index into three rows
pub fn warp(other: &Luma, field: &Field) -> Warped {
    let (width, height) = (field.width, field.height);
    let margin = MARGIN as i32;
    let (right, lower) = (width as i32 + margin - 2, height as i32 + margin - 2);
    let (source, stride) = (other.run(-margin, -margin), other.stride());
    let mut values = vec![0i16; width * height];
    let rows =
        values.chunks_exact_mut(width).zip(field.x.chunks_exact(width)).zip(field.y.chunks_exact(width));
    for (y, ((line, line_x), line_y)) in rows.enumerate() {
        for x in 0..width {
            let at_x = (x as i32).wrapping_mul(UNIT).wrapping_add(i32::from(line_x[x]));
            let at_y = (y as i32).wrapping_mul(UNIT).wrapping_add(i32::from(line_y[x]));
            // Two taps that begin a margin outside see the edge pixel only: clamping their origin is enough.
            let (left, top) = ((at_x >> 5).clamp(-margin, right), (at_y >> 5).clamp(-margin, lower));
            let start = (top.wrapping_add(margin) as usize)
                .wrapping_mul(stride)
                .wrapping_add(left.wrapping_add(margin) as usize);
            let (upper, below) = (&source[start..][..2], &source[start.wrapping_add(stride)..][..2]);
            let (fx, fy) = ((at_x & 31) as u32, (at_y & 31) as u32);
            let across = |pair: &[u8]| {
                let sum = (32 - fx)
                    .wrapping_mul(u32::from(pair[0]))
                    .wrapping_add(fx.wrapping_mul(u32::from(pair[1])));
                sum.wrapping_add(2) >> 2
            };
            let sum = (32 - fy).wrapping_mul(across(upper)).wrapping_add(fy.wrapping_mul(across(below)));
            line[x] = (sum.wrapping_add(8) >> 4) as i16;
        }
    }
    Warped { width, height, values }
}

/// How well a block of a frame is found in the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct MatchBlock {
    /// Pixels that are seen in the other frame; at most 256.
    pub seen: u32,
    /// Pixels whose way back leads elsewhere; at most 256.
    pub hidden: u32,
    /// Sum of the absolute smoothed difference over seen and hidden pixels, in 1/16 level; at most 256 * 4080.
    pub error: u32,
    /// Sum of `|gx| + |gy|` over the same pixels, central differences of the frame in levels; at most 256 * 510.
    pub contrast: u32,
    /// Differing bits of the 3x3 census codes of frame and warped frame over seen pixels; at most 256 * 8.
    pub census: u32,
}

/// Kernel `match_blocks`: blocks of a frame, row by row, against the other frame warped to it.
///
/// The difference `warped - frame` is smoothed by (1, 2, 1) / 4 along rows, then along columns, coordinates clamped,
/// each pass `(sum + 2) >> 2`: reading between pixels costs fine texture, which is no error of the clip.
///
/// A census bit is set where one of the eight neighbours (coordinates clamped) exceeds the centre by more than two
/// levels.
///
/// # Panics
/// When frame, warped frame and fates differ in size: they come from one pair.
#[allow(clippy::needless_range_loop)] // one index into five rows
pub fn match_blocks(frame: &Luma, warped: &Warped, fates: &[u8]) -> Vec<MatchBlock> {
    let (width, height) = (frame.width(), frame.height());
    assert_eq!(
        (warped.width, warped.height, fates.len()),
        (width, height, width * height),
        "one pair of frames"
    );
    let columns = width.div_ceil(BLOCK);
    let mut blocks = vec![MatchBlock::default(); columns * height.div_ceil(BLOCK)];
    let mut rows = Rows::new(width);
    for y in 0..height {
        rows.read(frame, warped, y);
        let fates = &fates[y * width..][..width];
        let line = &mut blocks[y / BLOCK * columns..][..columns];
        for (index, block) in line.iter_mut().enumerate() {
            let (from, to) = (index * BLOCK, (index * BLOCK + BLOCK).min(width));
            for x in from..to {
                // Masks of all ones or none keep the loop free of branches.
                let seen = u32::from(fates[x] == Fate::Seen as u8);
                let hidden = u32::from(fates[x] == Fate::Hidden as u8);
                let inside = 0u32.wrapping_sub(seen | hidden);
                block.seen = block.seen.wrapping_add(seen);
                block.hidden = block.hidden.wrapping_add(hidden);
                block.error = block.error.wrapping_add(u32::from(rows.error[x]) & inside);
                block.contrast = block.contrast.wrapping_add(u32::from(rows.contrast[x]) & inside);
                block.census = block.census.wrapping_add(u32::from(rows.census[x]) & 0u32.wrapping_sub(seen));
            }
        }
    }
    blocks
}

/// Per-pixel values of one row, computed by whole rows so that they become vector code.
struct Rows {
    /// Three rows of the frame in 1/16 level, one pixel of edge to each side.
    frame: [Vec<i16>; 3],
    /// The same of the warped frame.
    warped: [Vec<i16>; 3],
    /// Horizontally smoothed differences of the three rows, in 1/16 level; sums of four stay within +-16,322.
    smooth: [Vec<i16>; 3],
    error: Vec<u16>,
    contrast: Vec<u16>,
    census: Vec<u16>,
}

impl Rows {
    fn new(width: usize) -> Self {
        let three = || std::array::from_fn(|_| vec![0i16; width + 2]);
        let zero = || vec![0u16; width];
        Self {
            frame: three(),
            warped: three(),
            smooth: three(),
            error: zero(),
            contrast: zero(),
            census: zero(),
        }
    }

    fn read(&mut self, frame: &Luma, warped: &Warped, y: usize) {
        let (width, last) = (warped.width, warped.height - 1);
        for (i, at) in [y.saturating_sub(1), y, (y + 1).min(last)].into_iter().enumerate() {
            let (ours, theirs) = (&mut self.frame[i][..width + 2], &mut self.warped[i][..width + 2]);
            let source = &frame.run(-1, at as i32)[..width + 2];
            for x in 0..width + 2 {
                ours[x] = i16::from(source[x]) << 4;
            }
            let row = warped.row(at);
            theirs[1..=width].copy_from_slice(row);
            (theirs[0], theirs[width + 1]) = (row[0], row[width - 1]);
        }
        let (a, b) = (&self.frame, &self.warped);
        let (error, contrast) = (&mut self.error[..width], &mut self.contrast[..width]);
        let (above, here, below) = (&a[0][..width + 2], &a[1][..width + 2], &a[2][..width + 2]);
        let there = &b[1][..width + 2];
        let smooth = &mut self.smooth;
        for (i, line) in smooth.iter_mut().enumerate() {
            let (ours, theirs) = (&a[i][..width + 2], &b[i][..width + 2]);
            let line = &mut line[..width];
            for (x, value) in line.iter_mut().enumerate() {
                let at = |x: usize| theirs[x].wrapping_sub(ours[x]);
                let middle = at(x + 1);
                *value =
                    at(x).wrapping_add(at(x + 2)).wrapping_add(middle).wrapping_add(middle).wrapping_add(2)
                        >> 2;
            }
        }
        let (upper, level, lower) = (&smooth[0][..width], &smooth[1][..width], &smooth[2][..width]);
        for x in 0..width {
            let twice = level[x].wrapping_add(level[x]);
            let sum = upper[x].wrapping_add(twice).wrapping_add(lower[x]).wrapping_add(2);
            error[x] = (sum >> 2).unsigned_abs();
            let gx = here[x + 2].wrapping_sub(here[x]).unsigned_abs();
            let gy = below[x + 1].wrapping_sub(above[x + 1]).unsigned_abs();
            contrast[x] = gx.wrapping_add(gy) >> 4;
        }
        let census = &mut self.census[..width];
        census.fill(0);
        for (row, column) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)] {
            let (ours, theirs) = (&a[row][column..][..width], &b[row][column..][..width]);
            let (centre, middle) = (&here[1..][..width], &there[1..][..width]);
            for x in 0..width {
                let one = ours[x].wrapping_sub(centre[x]) > CENSUS_STEP;
                let other = theirs[x].wrapping_sub(middle[x]) > CENSUS_STEP;
                census[x] = census[x].wrapping_add(u16::from(one != other));
            }
        }
    }
}

/// Brightness of a block along its path through three frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct FlickerBlock {
    /// Pixels that are seen in both neighbours; at most 256.
    pub seen: u32,
    /// Sum of `after - 2 frame + before` over them, in 1/16 level; within +-256 * 8160.
    pub second: i32,
}

/// Kernel `flicker_blocks`: second difference of brightness in time, following the motion, per block.
///
/// `after` is the next frame warped to `frame` with the fates of that field, `before` the previous one with its.
///
/// # Panics
/// When the planes differ in size: they come from three frames of one clip.
pub fn flicker_blocks(frame: &Luma, after: (&Warped, &[u8]), before: (&Warped, &[u8])) -> Vec<FlickerBlock> {
    let (width, height) = (frame.width(), frame.height());
    let size = |(plane, fates): (&Warped, &[u8])| (plane.width, plane.height, fates.len());
    assert_eq!(size(after), (width, height, width * height), "frames of one clip");
    assert_eq!(size(before), size(after), "frames of one clip");
    let columns = width.div_ceil(BLOCK);
    let mut blocks = vec![FlickerBlock::default(); columns * height.div_ceil(BLOCK)];
    for (y, here) in frame.rows().enumerate() {
        let line = &mut blocks[y / BLOCK * columns..][..columns];
        let (next, fates_next) = (after.0.row(y), &after.1[y * width..][..width]);
        let (last, fates_last) = (before.0.row(y), &before.1[y * width..][..width]);
        for (index, block) in line.iter_mut().enumerate() {
            for x in index * BLOCK..(index * BLOCK + BLOCK).min(width) {
                let seen = u32::from(fates_next[x] | fates_last[x] == Fate::Seen as u8);
                let second =
                    i32::from(next[x]).wrapping_add(i32::from(last[x])).wrapping_sub(i32::from(here[x]) << 5);
                block.seen = block.seen.wrapping_add(seen);
                block.second = block.second.wrapping_add(second & 0i32.wrapping_sub(seen as i32));
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: usize, height: usize, of: impl Fn(usize, usize) -> u8) -> Luma {
        let pixels: Vec<u8> = (0..width * height).map(|i| of(i % width, i / width)).collect();
        Luma::new(&pixels, width, height)
    }

    #[test]
    fn warping_reads_between_pixels_and_clamps_outside() {
        let luma = ramp(5, 3, |x, y| (10 * x + 50 * y) as u8);
        let mut field = Field::still(5, 3);
        assert_eq!(warp(&luma, &field).row(1), [800, 960, 1120, 1280, 1440]);
        field.x.fill(16);
        field.y.fill(-8);
        // Half a pixel right, a quarter up: 5 levels more, 12.5 less.
        assert_eq!(warp(&luma, &field).row(1), [680, 840, 1000, 1160, 1240]);
        field.x.fill(i16::MAX / 2);
        field.y.fill(-i16::MAX / 2);
        assert_eq!(warp(&luma, &field).row(2), [640; 5]);
    }

    #[test]
    fn block_sums_count_what_they_should() {
        let luma = ramp(20, 17, |x, _| if x % 2 == 0 { 100 } else { 110 });
        let warped = warp(&luma, &Field::still(20, 17));
        let mut fates = vec![Fate::Seen as u8; 340];
        fates[0] = Fate::Left as u8;
        fates[1] = Fate::Hidden as u8;
        let blocks = match_blocks(&luma, &warped, &fates);
        assert_eq!(blocks.len(), 4);
        assert_eq!((blocks[0].seen, blocks[0].hidden, blocks[0].error, blocks[0].census), (254, 1, 0, 0));
        assert_eq!((blocks[3].seen, blocks[3].contrast), (4, 10));
        let brighter = ramp(20, 17, |x, _| if x % 2 == 0 { 103 } else { 113 });
        let warped = warp(&brighter, &Field::still(20, 17));
        let blocks = match_blocks(&luma, &warped, &fates);
        assert_eq!((blocks[0].error, blocks[0].census), (255 * 48, 0), "census does not see brightness");
        let flat = ramp(20, 17, |_, _| 105);
        let blocks = match_blocks(&luma, &warp(&flat, &Field::still(20, 17)), &fates);
        // Every even pixel has six brighter neighbours, those at the edges three.
        assert_eq!(blocks[3].census, 2 * 6);
        let steady = flicker_blocks(&luma, (&warped, &fates), (&warp(&flat, &Field::still(20, 17)), &fates));
        assert_eq!((steady[3].seen, steady[3].second), (4, 2 * (48 + 80) + 2 * (48 - 80)));
    }

    #[test]
    fn extreme_planes_stay_in_range() {
        let (black, white) = (ramp(32, 32, |_, _| 0), ramp(32, 32, |_, _| 255));
        let still = Field::still(32, 32);
        let fates = vec![0u8; 1024];
        let found = match_blocks(&black, &warp(&white, &still), &fates);
        assert_eq!((found[0].error, found[0].contrast), (256 * 4080, 0));
        let bright = warp(&white, &still);
        assert_eq!(flicker_blocks(&black, (&bright, &fates), (&bright, &fates))[3].second, 256 * 8160);
        let coins = ramp(32, 32, |x, y| if (x / 2 + y / 2) % 2 == 0 { 255 } else { 0 });
        let found = match_blocks(&coins, &warp(&white, &still), &fates);
        assert!(found.iter().all(|block| block.contrast <= 256 * 510 && block.contrast > 0));
    }
}
