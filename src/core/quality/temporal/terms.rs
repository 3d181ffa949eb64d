//! Raw values of the temporal terms from the sums of [`FlowMeasures`]. Smaller is better but where it is said.
//!
//! Every function says its unit and where it is known to fail; none divides by what can be zero.

use crate::quality::fixed::{div_round, median, scale};

use super::measures::{FlowMeasures, FrameSums, PairMeasures, TripleMeasures};

/// Added to relative errors before a ratio is taken, in 1/1024.
const ERROR_FLOOR: i64 = 8;
/// Added to the middle relative error before one pair's is set against it, in 1/1024.
const CUT_FLOOR: i64 = 32;
/// How much a jump of the histogram counts beside pixels that are lost.
const HISTOGRAM_WEIGHT: i64 = 4;
/// Added to deformations before a ratio is taken: 2/64 pixel a cell, in 1/1000 of 1/64 pixel.
const DEFORMATION_FLOOR: i64 = 2_000;
/// Added to motion before a ratio is taken: 1/8 unit a sample, in 1/1000 unit.
const MOTION_FLOOR: i64 = 125;

fn mean_of<T>(all: &[T], pick: fn(&T) -> i64) -> i64 {
    div_round(all.iter().map(pick).sum(), all.len() as i64)
}

fn total<T>(all: &[T], pick: fn(&T) -> i64) -> i64 {
    all.iter().map(pick).sum()
}

/// Motion-compensated error relative to local contrast: mean over pairs, in 1/1024.
///
/// Known failures: a blurred clip is easily found again; pixels that are uncovered count too, so that fast motion reads
/// higher; evenly changing light reads as error (see [`flicker`]).
pub fn warp_error(clip: &FlowMeasures) -> i64 {
    mean_of(&clip.pairs, |pair| pair.relative_error)
}

/// [`warp_error`] against a reference's, in 1/1000.
pub fn warp(clip: &FlowMeasures, reference: &FlowMeasures) -> i64 {
    scale(warp_error(clip) + ERROR_FLOOR, 1000, warp_error(reference) + ERROR_FLOOR)
}

/// Census bits of a seen pixel that differ after motion compensation, in 1/1000; blind to light.
///
/// Known failure: fine texture that moves by parts of a pixel is smoothed by reading between pixels and loses bits; noise
/// sets bits of its own.
pub fn census(clip: &FlowMeasures) -> i64 {
    scale(total(&clip.pairs, |pair| pair.census), 1000, total(&clip.pairs, |pair| pair.seen))
}

/// How much residual motion deforms what it moves: mean over cells of 8x8 half-size pixels of divergence, curl and shears,
/// in 1/1000 of 1/64 pixel a cell.
///
/// Known failures: noise and local flicker make the flow waver and read as deformation; motion twice as fast deforms twice as
/// much; a warp that stands still is no motion.
pub fn deformation(clip: &FlowMeasures) -> i64 {
    scale(
        total(&clip.pairs, |pair| pair.deformation.sum),
        1000,
        total(&clip.pairs, |pair| pair.deformation.cells),
    )
}

/// [`deformation`] against a reference's, in 1/1000.
pub fn structure(clip: &FlowMeasures, reference: &FlowMeasures) -> i64 {
    scale(deformation(clip) + DEFORMATION_FLOOR, 1000, deformation(reference) + DEFORMATION_FLOOR)
}

/// What flat and still ground changes by from frame to frame along the motion: lower quartile over blocks, mean over
/// pairs, in 1/256 level of smoothed half-size luma (white noise of sigma 6 reads about 250).
///
/// Known failures: noise that moves with the picture; a picture of running water has no still ground.
pub fn temporal_noise(clip: &FlowMeasures) -> i64 {
    mean_of(&clip.pairs, |pair| pair.quiet_error)
}

/// Flicker: the larger of the local one (95th percentile over blocks of the second difference of brightness along the
/// motion, mean over frames) and the global ones (mean absolute second difference of mean luma, blue and red
/// difference), in 1/256 level.
///
/// Known failures: fast motion out of focus reads as local flicker; flicker slower than a few frames is not seen.
pub fn flicker(clip: &FlowMeasures) -> i64 {
    let local = mean_of(&clip.triples, |triple| triple.flicker);
    let global = |pick: fn(&FrameSums) -> u64, pixels: i64| {
        let second =
            |w: &[FrameSums]| (pick(&w[0]) as i64 - 2 * pick(&w[1]) as i64 + pick(&w[2]) as i64).abs();
        let sum = clip.sums.windows(3).map(second).sum();
        scale(sum, 256, pixels * (clip.frames as i64 - 2).max(1))
    };
    let chroma = clip.pixels / 4;
    local.max(global(|s| s.luma, clip.pixels)).max(global(|s| s.blue, chroma)).max(global(|s| s.red, chroma))
}

/// Acceleration of residual motion (beyond the global affine one) against the motion itself, in 1/1000: steady motion
/// reads about 300 to 500, frames in the wrong order 800 and more.
///
/// Known failures: a clip whose residual motion is below half a pixel a frame reads 0; motion that turns within two
/// frames (water, leaves) reads high, hence the comparison with a reference; slow wobble is motion.
pub fn jerk(clip: &FlowMeasures) -> i64 {
    let path = total(&clip.triples, |triple| triple.path) + total(&clip.triples, |triple| triple.samples);
    scale(total(&clip.triples, |triple| triple.acceleration), 1000, path)
}

/// Residual motion beyond the global affine one of pixels that are seen, mean per flow sample, in 1/1000 unit.
/// Larger is livelier.
///
/// Known failures: layered parallax of a still is residual motion; noise in weak texture reads as motion, below half a
/// pixel.
pub fn motion(clip: &FlowMeasures) -> i64 {
    scale(total(&clip.pairs, |pair| pair.residual), 1000, total(&clip.pairs, |pair| pair.samples))
}

/// [`motion`] against a reference's, in 1/1000; 1000 is as much.
pub fn dynamics(clip: &FlowMeasures, reference: &FlowMeasures) -> i64 {
    scale(motion(clip) + MOTION_FLOOR, 1000, motion(reference) + MOTION_FLOOR)
}

/// Residual motion that forward and backward flow agree on and that goes on over three frames, mean per flow sample seen
/// in all three, in 1/1000 unit: what noise and shimmer do not have. Larger is livelier.
///
/// Known failures: motion below half a pixel a frame; texture that is noise in itself but moves together counts.
pub fn steady_motion(clip: &FlowMeasures) -> i64 {
    scale(total(&clip.triples, |triple| triple.steady), 1000, total(&clip.triples, |triple| triple.samples))
}

/// The strongest sign of a cut: over pairs, how many times the clip's middle relative error a pair has, times the share
/// of pixels that it loses beyond the clip's middle share, times one and four times the histogram's jump beyond the
/// middle one; in 1/1000. All three must come together: flashes lose few pixels.
///
/// Known failures: a cut between pictures of one place with alike colours; a fade has no pair of its own; frames that
/// were left out of fast motion read like a small cut.
pub fn cut(clip: &FlowMeasures) -> i64 {
    let lost = |pair: &PairMeasures| scale(pair.hidden, 1000, pair.seen + pair.hidden);
    let middle =
        |pick: &dyn Fn(&PairMeasures) -> i64| median(&clip.pairs.iter().map(pick).collect::<Vec<_>>());
    let (error, loss, jump) = (middle(&|p| p.relative_error), middle(&lost), middle(&|p| p.histogram));
    let strength = |pair: &PairMeasures| {
        let times = scale(pair.relative_error, 1000, error + CUT_FLOOR);
        let signs = (lost(pair) - loss).max(0);
        let jumps = 1000 + HISTOGRAM_WEIGHT * (pair.histogram - jump).max(0);
        scale(scale(times, signs, 1000), jumps, 1000)
    };
    clip.pairs.iter().map(strength).max().unwrap_or(0)
}

/// Share of moving samples among those seen in three frames, in 1/1000.
pub fn moving_share(clip: &FlowMeasures) -> i64 {
    let moving = total(&clip.triples, |triple: &TripleMeasures| triple.moving);
    scale(moving, 1000, total(&clip.triples, |triple| triple.samples))
}
