//! How a clip looks in sampled frames: colours, rings beside edges, locked grids and bands.
//!
//! Kernels give a [`FrameLooks`] of every fourth frame (`measure::GRID_STEP`); `terms` sets a clip's against those of
//! its given first frame and of the reference.

pub mod bands;
pub mod color;
pub mod luma;
pub mod terms;

use rayon::prelude::*;

use super::{
    frame::{FrameView, Yuv420Clip},
    measure::GRID_STEP,
};
use bands::BandSums;
use color::ColorSums;
use luma::LumaSums;

/// Sums of one frame, as kernels give them on any device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameLooks {
    /// Histograms and sums of colours.
    pub color: ColorSums,
    /// Rings and phases of the luma plane.
    pub luma: LumaSums,
    /// Bands at three sizes.
    pub bands: BandSums,
}

impl FrameLooks {
    /// Sums of one frame of `width` x `height`.
    ///
    /// # Panics
    /// When a plane is shorter than `width * height` (chroma: half of each side), as slices do.
    pub fn of(frame: &FrameView, width: usize, height: usize) -> Self {
        Self {
            color: color::color_sums(frame, width, height),
            luma: luma::luma_sums(frame.y, width, height),
            bands: bands::band_sums(frame.y, width, height),
        }
    }
}

/// Sums of every fourth frame of a clip.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Looks {
    /// One entry per sampled frame, in order.
    pub frames: Vec<FrameLooks>,
}

impl Looks {
    /// Measures every fourth one of the first `frames` frames of a clip (all, when it has fewer).
    pub fn of(clip: &Yuv420Clip, frames: usize) -> Self {
        let sampled: Vec<usize> = (0..frames.min(clip.len())).step_by(GRID_STEP).collect();
        let measure = |&index: &usize| FrameLooks::of(&clip.frame(index), clip.width(), clip.height());
        Self { frames: sampled.par_iter().map(measure).collect() }
    }
}
