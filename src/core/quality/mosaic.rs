//! Mosaic: a clip seen from afar, as sums of Y, U and V over blocks of 16x16 pixels.
//!
//! What gates ask about whole pictures (has this been shown before, is it a mixture of two others, whose is it)
//! rests on it: coding noise averages out, and a frame of 832x480 becomes 52x30 cells.
//!
//! GPU sibling: one workgroup per block. Overflow: a luma sum is at most 256 * 255 = 65,280, a chroma sum
//! 64 * 255 = 16,320 (u32); a [`distance`] at most 130,560 a cell, 2^33 for a plane of 4096x4096 (i64).

use rayon::prelude::*;

use super::{
    fixed::scale,
    frame::{FrameView, Yuv420Clip},
};

/// Side of a block in luma pixels; a block of a chroma plane has half of it.
pub const BLOCK: usize = 16;

/// Sums of one block; blocks at the right and lower edge may have fewer pixels and are not scaled up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cell {
    /// Sum of luma over at most 16x16 pixels, in levels.
    pub y: u32,
    /// Sum of the blue difference over at most 8x8 samples, in levels.
    pub u: u32,
    /// Sum of the red difference over at most 8x8 samples, in levels.
    pub v: u32,
}

/// Cells of the frames of a clip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mosaic {
    /// Width of the luma plane in pixels.
    pub width: usize,
    /// Height of the luma plane in pixels.
    pub height: usize,
    /// Per frame `[rows, columns]` cells.
    pub frames: Vec<Vec<Cell>>,
}

impl Mosaic {
    /// A mosaic without frames for planes of this size.
    pub fn empty(width: usize, height: usize) -> Self {
        Self { width, height, frames: Vec::new() }
    }

    /// The mosaic of the first `frames` frames of a clip (all, when it has fewer).
    pub fn of(clip: &Yuv420Clip, frames: usize) -> Self {
        let (width, height) = (clip.width(), clip.height());
        let cells = |index: usize| cells(&clip.frame(index), width, height);
        Self { width, height, frames: (0..frames.min(clip.len())).into_par_iter().map(cells).collect() }
    }

    /// Cells per row.
    pub fn columns(&self) -> usize {
        self.width.div_ceil(BLOCK)
    }

    /// Rows of cells.
    pub fn rows(&self) -> usize {
        self.height.div_ceil(BLOCK)
    }

    /// Luma pixels of the cell in this column and row.
    pub fn pixels(&self, column: usize, row: usize) -> usize {
        let side = |cell: usize, length: usize| length.saturating_sub(cell * BLOCK).min(BLOCK);
        side(column, self.width) * side(row, self.height)
    }

    /// Mean distance of two frames in 1/256 level.
    ///
    /// # Panics
    /// When there is no such frame, as slices do.
    pub fn distance(&self, one: usize, other: usize) -> i64 {
        self.mean(distance(&self.frames[one], &self.frames[other]))
    }

    /// A sum over all cells as a mean per pixel, in 1/256 level.
    pub fn mean(&self, sum: i64) -> i64 {
        scale(sum, 256, (self.width * self.height) as i64)
    }

    /// The mosaic of the clip seen in a mirror (left and right change places). Where the width is no multiple of
    /// 16 the narrow column stands on the other side then.
    pub fn mirrored(&self) -> Self {
        let columns = self.columns();
        let mirror = |frame: &Vec<Cell>| {
            frame.chunks_exact(columns.max(1)).flat_map(|row| row.iter().rev().copied()).collect()
        };
        Self { width: self.width, height: self.height, frames: self.frames.iter().map(mirror).collect() }
    }
}

/// Kernel `mosaic`: sums of one frame, `[ceil(height / 16), ceil(width / 16)]`.
///
/// # Panics
/// When a plane is shorter than its sides say, as slices do.
pub fn cells(frame: &FrameView<'_>, width: usize, height: usize) -> Vec<Cell> {
    let y = plane_sums(frame.y, width, height, BLOCK);
    let [u, v] = [frame.u, frame.v].map(|plane| plane_sums(plane, width / 2, height / 2, BLOCK / 2));
    y.into_iter().zip(u).zip(v).map(|((y, u), v)| Cell { y, u, v }).collect()
}

/// Sums over `side` x `side` blocks of one plane.
fn plane_sums(plane: &[u8], width: usize, height: usize, side: usize) -> Vec<u32> {
    let columns = width.div_ceil(side);
    let mut sums = vec![0u32; columns * height.div_ceil(side)];
    for (row, line) in plane[..width * height].chunks_exact(width.max(1)).enumerate() {
        for (sum, run) in sums[row / side * columns..].iter_mut().zip(line.chunks(side)) {
            *sum += run.iter().map(|&value| u32::from(value)).sum::<u32>();
        }
    }
    sums
}

/// Distance of two cells: `|y - y'| + 2 |u - u'| + 2 |v - v'|`, so that a chroma level counts half a luma level.
pub fn cell_distance(a: &Cell, b: &Cell) -> i64 {
    i64::from(a.y.abs_diff(b.y)) + 2 * i64::from(a.u.abs_diff(b.u) + a.v.abs_diff(b.v))
}

/// Sum of [`cell_distance`] over two frames of one size.
pub fn distance(a: &[Cell], b: &[Cell]) -> i64 {
    a.iter().zip(b).map(|(a, b)| cell_distance(a, b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clip(width: usize, height: usize, data: Vec<u8>) -> Yuv420Clip {
        Yuv420Clip::from_planes(width, height, 1, data).expect("one frame")
    }

    #[test]
    fn partial_blocks_are_summed_exactly_and_chroma_covers_the_same_area() {
        let (width, height) = (34, 18);
        let mut data = vec![1u8; Yuv420Clip::frame_bytes(width, height)];
        let area = width * height;
        data[17 * width + 33] = 200; // last luma pixel
        data[area + 17 * 9 - 1] = 50; // last blue sample
        let mosaic = Mosaic::of(&clip(width, height, data), 5);
        assert_eq!((mosaic.columns(), mosaic.rows(), mosaic.frames.len()), (3, 2, 1));
        let at = |column: usize, row: usize| mosaic.frames[0][row * 3 + column];
        assert_eq!(at(0, 0), Cell { y: 256, u: 64, v: 64 });
        assert_eq!(at(2, 0), Cell { y: 32, u: 8, v: 8 });
        assert_eq!(at(2, 1), Cell { y: 3 + 200, u: 50, v: 1 });
        let pixels: Vec<_> = (0..6).map(|i| mosaic.pixels(i % 3, i / 3)).collect();
        assert_eq!(pixels, [256, 256, 32, 32, 32, 4]);
    }

    #[test]
    fn saturated_frames_reach_the_stated_limits() {
        let size = Yuv420Clip::frame_bytes(64, 32);
        let [black, white] = [0u8, 255].map(|level| Mosaic::of(&clip(64, 32, vec![level; size]), 1));
        assert_eq!(white.frames[0][0], Cell { y: 65_280, u: 16_320, v: 16_320 });
        let apart = distance(&black.frames[0], &white.frames[0]);
        assert_eq!((apart, black.mean(apart)), (8 * 130_560, 2 * 255 * 256));
    }

    proptest! {
        #[test]
        fn cells_add_up_to_the_planes_and_a_mirror_of_a_mirror_is_the_picture(
            (width, height, data) in (1usize..30, 1usize..30).prop_flat_map(|(w, h)| {
                let (w, h) = (2 * w, 2 * h);
                (Just(w), Just(h), prop::collection::vec(any::<u8>(), Yuv420Clip::frame_bytes(w, h)))
            })
        ) {
            let clip = clip(width, height, data);
            let mosaic = Mosaic::of(&clip, 1);
            let total = |plane: &[u8]| plane.iter().map(|&v| u32::from(v)).sum::<u32>();
            let sum = |pick: fn(&Cell) -> u32| mosaic.frames[0].iter().map(pick).sum::<u32>();
            let view = clip.frame(0);
            prop_assert_eq!(sum(|c| c.y), total(view.y));
            prop_assert_eq!(sum(|c| c.u), total(view.u));
            prop_assert_eq!(sum(|c| c.v), total(view.v));
            prop_assert_eq!(mosaic.mirrored().mirrored(), mosaic);
        }
    }
}
