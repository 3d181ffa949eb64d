//! All kernels over one clip: the integer measures that gates and terms read.

use rayon::prelude::*;

use super::{
    blockiness::{GridSums, grid_sums},
    border::{self, Bars},
    detail::laplacian_energy,
    difference::{Difference, block_sums, mean_q8},
    fixed::{div_round, scale},
    frame::Yuv420Clip,
    layers::{Explanation, explain},
    looks::Looks,
    mosaic::Mosaic,
    motion::{LumaPyramid, motion_field},
    octaves::{OctaveBlock, Sharpness, octaves},
    strokes::{self, Strokes},
    temporal::FlowMeasures,
};

/// Every so many frames the grid sums are taken.
pub const GRID_STEP: usize = 4;
/// Every so many frames bars are looked for.
pub const BAR_STEP: usize = 8;
/// Every so many frames octaves are compared.
pub const OCTAVE_STEP: usize = 8;
/// Longest period of a repeated pattern of frames that is looked for.
pub const LONGEST_CYCLE: usize = 8;

/// How much two frames differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PairDifference {
    /// Mean absolute luma difference in 1/256 level.
    pub mean_q8: i64,
    /// Largest sum over a 16x16 block of the compared planes, in levels.
    pub largest_block: i64,
}

impl PairDifference {
    /// Compares two luma planes `[height, width]`.
    fn between(a: &[u8], b: &[u8], width: usize, height: usize) -> Self {
        let (sum, largest_block) = block_sums(a, b, width, height);
        Self { mean_q8: mean_q8(sum, (width * height) as u64), largest_block: i64::from(largest_block) }
    }
}

impl From<&Difference> for PairDifference {
    fn from(found: &Difference) -> Self {
        Self { mean_q8: found.mean_q8(), largest_block: i64::from(found.largest_block) }
    }
}

/// Sums of one frame, as kernels give them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameSums {
    /// Laplacian energy of the plane.
    pub detail: u64,
    /// Laplacian energy of the half-size plane.
    pub half_detail: u64,
    /// Grid sums, every fourth frame.
    pub grid: Option<GridSums>,
    /// Bars, every eighth frame.
    pub bars: Option<Bars>,
    /// Energies of the two highest octaves by block, every eighth frame.
    pub octaves: Option<Vec<OctaveBlock>>,
}

/// Sums of a clip, as kernels give them on any device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClipSums {
    /// Width of the luma plane.
    pub width: usize,
    /// Height of the luma plane.
    pub height: usize,
    /// One entry per frame.
    pub frames: Vec<FrameSums>,
    /// Full-size difference of each frame to the next.
    pub steps: Vec<PairDifference>,
    /// Half-size differences of frames `lag` apart, `lag` = 2..=8, index 0 for lag 2.
    pub lags: Vec<Vec<PairDifference>>,
    /// Motion of each frame to the next.
    pub motion: Vec<Explanation>,
    /// What rests on dense flow.
    pub flow: FlowMeasures,
    /// How every fourth frame looks.
    pub looks: Looks,
    /// Sums of 16x16-pixel blocks of every frame.
    pub mosaic: Mosaic,
    /// New standing edges by windows of frames.
    pub strokes: Strokes,
}

/// Integer measures of one clip; equal planes give equal measures on every machine and thread count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClipMeasures {
    /// Number of frames that were measured.
    pub frames: usize,
    /// Full-size difference of each frame to the next.
    pub steps: Vec<PairDifference>,
    /// Half-size differences of frames `lag` apart, `lag` = 2..=8, index 0 for lag 2.
    pub lags: Vec<Vec<PairDifference>>,
    /// Motion of each frame to the next.
    pub motion: Vec<Explanation>,
    /// Mean Laplacian energy per pixel over all frames, in 1/256 squared level.
    pub detail: i64,
    /// The same on the half-size plane.
    pub half_detail: i64,
    /// What rests on dense flow.
    pub flow: FlowMeasures,
    /// How every fourth frame looks.
    pub looks: Looks,
    /// Sums of 16x16-pixel blocks of every frame.
    pub mosaic: Mosaic,
    /// Blockiness of every fourth frame together.
    pub blockiness: i64,
    /// Bars that stand throughout a half of the clip, over sampled frames.
    pub bars: Bars,
    /// New standing edges by windows of frames.
    pub strokes: Strokes,
    /// How sharp the sharpest edges of sampled frames are.
    pub sharpness: Sharpness,
}

impl ClipMeasures {
    /// Measures the first `frames` frames of a clip (all, when it has fewer).
    pub fn of(clip: &Yuv420Clip, frames: usize) -> Self {
        let frames = frames.min(clip.len());
        let (width, height) = (clip.width(), clip.height());
        let pyramids: Vec<LumaPyramid> = (0..frames)
            .into_par_iter()
            .map(|index| LumaPyramid::new(clip.frame(index).y, width, height))
            .collect();
        let single =
            pyramids.par_iter().enumerate().map(|(i, pyramid)| sum_frame(clip, i, pyramid)).collect();
        let pair = |index: usize| (&pyramids[index], &pyramids[index + 1]);
        let motion = (0..frames.saturating_sub(1))
            .into_par_iter()
            .map(|index| {
                let (first, second) = pair(index);
                explain(first, second, &motion_field(first, second))
            })
            .collect();
        let steps = (0..frames.saturating_sub(1))
            .into_par_iter()
            .map(|i| PairDifference::between(clip.frame(i).y, clip.frame(i + 1).y, width, height))
            .collect();
        let lags = (2..=LONGEST_CYCLE).map(|lag| lagged(&pyramids, lag)).collect();
        let flow = FlowMeasures::of(clip, frames);
        let looks = Looks::of(clip, frames);
        let mosaic = Mosaic::of(clip, frames);
        let size = (width.div_ceil(2), height.div_ceil(2));
        let strokes = strokes::of_halves(frames, size, |index| pyramids[index].half_pixels());
        Self::of_sums(ClipSums {
            width,
            height,
            frames: single,
            steps,
            lags,
            motion,
            flow,
            looks,
            mosaic,
            strokes,
        })
    }

    /// Puts the sums of a clip into measures; equal sums give equal measures, whoever took them.
    pub fn of_sums(sums: ClipSums) -> Self {
        let ClipSums { width, height, frames: single, steps, lags, motion, flow, looks, mosaic, strokes } =
            sums;
        let frames = single.len();
        let mut grid = GridSums::default();
        single.iter().filter_map(|f| f.grid.as_ref()).for_each(|sums| grid.add(sums));
        let half = width.div_ceil(2) * height.div_ceil(2);
        let per_pixel = |sum: u64, pixels: usize| scale(sum as i64, 256, (pixels * frames.max(1)) as i64);
        Self {
            frames,
            steps,
            lags,
            motion,
            detail: per_pixel(single.iter().map(|f| f.detail).sum(), width * height),
            half_detail: per_pixel(single.iter().map(|f| f.half_detail).sum(), half),
            flow,
            looks,
            mosaic,
            blockiness: grid.blockiness(),
            bars: standing(&single.iter().filter_map(|f| f.bars).collect::<Vec<_>>()),
            strokes,
            sharpness: Sharpness::of(single.iter().filter_map(|f| f.octaves.as_ref()).flatten()),
        }
    }

    /// Motion beyond standing still and three affine layers: mean per pair and 1000 blocks, in units.
    pub fn layer_residual(&self) -> i64 {
        self.per_pair(|pair| scale(pair.layer_residual, 1000, pair.blocks))
    }

    /// Motion beyond the dominant affine one: mean per pair and 1000 blocks, in units.
    pub fn affine_residual(&self) -> i64 {
        self.per_pair(|pair| scale(pair.affine_residual, 1000, pair.blocks))
    }

    /// Blocks that the dominant affine motion explains, in 1/1000.
    pub fn affine_explained(&self) -> i64 {
        let total = |pick: fn(&Explanation) -> i64| self.motion.iter().map(pick).sum::<i64>();
        scale(total(|pair| pair.affine_explained), 1000, total(|pair| pair.blocks))
    }

    /// Motion of textured blocks, mean per block, in 1/16 unit.
    pub fn motion_amount(&self) -> i64 {
        self.per_pair(|pair| scale(pair.motion, 16, pair.textured))
    }

    fn per_pair(&self, value: impl Fn(&Explanation) -> i64) -> i64 {
        div_round(self.motion.iter().map(value).sum(), self.motion.len() as i64)
    }
}

fn sum_frame(clip: &Yuv420Clip, index: usize, pyramid: &LumaPyramid) -> FrameSums {
    let (width, height) = (clip.width(), clip.height());
    let y = clip.frame(index).y;
    let half = pyramid.half_pixels();
    FrameSums {
        detail: laplacian_energy(y, width, height),
        half_detail: laplacian_energy(&half, pyramid.half().width(), pyramid.half().height()),
        grid: index.is_multiple_of(GRID_STEP).then(|| grid_sums(y, width, height)),
        bars: index.is_multiple_of(BAR_STEP).then(|| border::bars(y, width, height)),
        octaves: index.is_multiple_of(OCTAVE_STEP).then(|| octaves(y, &half, width, height)),
    }
}

fn lagged(frames: &[LumaPyramid], lag: usize) -> Vec<PairDifference> {
    (lag..frames.len())
        .into_par_iter()
        .map(|index| {
            let (now, before) = (frames[index].half_pixels(), frames[index - lag].half_pixels());
            let half = frames[index].half();
            PairDifference::between(&before, &now, half.width(), half.height())
        })
        .collect()
}

/// The thicker of what stands throughout the first half of the sampled frames and throughout the second: bars that grow in
/// count, a single dark frame does not.
fn standing(sampled: &[Bars]) -> Bars {
    let both = |pick: fn(u32, u32) -> u32, a: Bars, b: Bars| Bars {
        letterbox: pick(a.letterbox, b.letterbox),
        pillarbox: pick(a.pillarbox, b.pillarbox),
    };
    let (first, second) = sampled.split_at(sampled.len() / 2);
    let throughout =
        |half: &[Bars]| half.iter().copied().reduce(|a, b| both(u32::min, a, b)).unwrap_or_default();
    both(u32::max, throughout(first), throughout(second))
}
