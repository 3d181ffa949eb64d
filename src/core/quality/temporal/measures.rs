//! All flow kernels over one clip: the sums that the temporal terms read.

use rayon::prelude::*;
use serde::Serialize;

use crate::quality::{
    detail::luma_sum,
    fixed::{div_round, percentile, scale},
    flow::{FlowPair, Pyramid},
    frame::Yuv420Clip,
    plane::{downscale, half_size},
};

use super::{
    affine::{Global, Lattice},
    structure::Deformation,
    warp::{FlickerBlock, MatchBlock, Warped, flicker_blocks, match_blocks, warp},
};

/// Bins of the luma histogram.
pub const BINS: usize = 32;
/// Pairs whose fields are held at a time; a pair of 416x240 takes 1.4 MB.
const CHUNK: usize = 8;
/// Blocks with fewer pixels to judge by than this say nothing.
const LEAST_PIXELS: u32 = 64;
/// Added to a block's mean contrast before a ratio is taken: 2 levels a pixel, in 1/16 level.
const CONTRAST_FLOOR: i64 = 32;
/// Largest relative error of a block, in 1/1024.
const WORST_BLOCK: i64 = 8 * 1024;
/// Largest contribution of one sample to motion, residual motion and acceleration, in units: 16 pixels.
const FARTHEST: i64 = 16 * 32;
/// Least residual motion of both ways of a sample that moves, in units: less may be noise.
const MOVING: i64 = 32;

/// How a frame is found in the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PairMeasures {
    /// Pixels of the plane on which flow is measured.
    pub pixels: i64,
    /// Pixels of the frame that are seen in the next.
    pub seen: i64,
    /// Pixels whose way back leads elsewhere.
    pub hidden: i64,
    /// Sum over seen and hidden pixels of the absolute motion-compensated difference, in 1/16 level.
    pub error: i64,
    /// Mean over blocks of that error against the block's contrast, in 1/1024.
    pub relative_error: i64,
    /// Differing bits of 3x3 census codes over seen pixels.
    pub census: i64,
    /// Lower quartile over blocks of the mean absolute motion-compensated difference, in 1/256 level: what flat and still
    /// ground changes by. Not in the digest, which is older; the blocks that it is made of are.
    #[serde(skip)]
    pub quiet_error: i64,
    /// Half the absolute difference of the luma histograms, in 1/1000 of all pixels.
    pub histogram: i64,
    /// Flow samples that are seen, of `samples`.
    pub seen_samples: i64,
    /// Flow samples.
    pub samples: i64,
    /// Samples within half a pixel of the global affine motion.
    pub members: i64,
    /// Sum over seen samples of the length (sum of components) of the vector, in units.
    pub motion: i64,
    /// The same beyond the global affine motion.
    pub residual: i64,
    /// What that motion deforms. Not in the digest, which is older; it has its own.
    #[serde(skip)]
    pub deformation: Deformation,
}

/// What happens to a frame between its neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TripleMeasures {
    /// 95th percentile over blocks of the absolute mean second difference of brightness along the motion, in 1/256
    /// level.
    pub flicker: i64,
    /// Its mean over blocks.
    pub mean_flicker: i64,
    /// Samples seen in both neighbours.
    pub samples: i64,
    /// Those of them whose residual motion of both ways is a pixel or more.
    pub moving: i64,
    /// Sum over moving samples of the residual motion of both ways, in units.
    pub path: i64,
    /// Sum over moving samples of the acceleration beyond the global one (`forward + backward` residuals), in units.
    pub acceleration: i64,
    /// The part of `path` of samples whose acceleration is at most half of it: motion that goes on.
    pub steady: i64,
}

/// Sums of one frame's planes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct FrameSums {
    /// Sum of luma.
    pub luma: u64,
    /// Sum of the blue difference.
    pub blue: u64,
    /// Sum of the red difference.
    pub red: u64,
}

/// Flow measures of one clip; equal planes give equal measures on every machine and thread count.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FlowMeasures {
    /// Number of frames that were measured.
    pub frames: usize,
    /// Pixels of a luma plane; a chroma plane has a quarter.
    pub pixels: i64,
    /// Plane sums per frame.
    pub sums: Vec<FrameSums>,
    /// Each frame against the next.
    pub pairs: Vec<PairMeasures>,
    /// Each frame but the first and last between its neighbours.
    pub triples: Vec<TripleMeasures>,
}

/// Sums of one pair of frames, as kernels give them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PairSums {
    /// Blocks of the frame against the next one.
    pub blocks: Vec<MatchBlock>,
    /// Samples of the flow to the next frame.
    pub forward: Lattice,
    /// Samples of the flow from the next frame, on its grid.
    pub backward: Lattice,
}

/// Sums of a clip's flow, as kernels give them on any device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowSums {
    /// Pixels of a luma plane.
    pub pixels: i64,
    /// Pixels of the plane on which flow is measured.
    pub flow_pixels: i64,
    /// Plane sums per frame.
    pub frames: Vec<FrameSums>,
    /// Luma histogram of that plane per frame.
    pub histograms: Vec<[u32; BINS]>,
    /// Each frame against the next.
    pub pairs: Vec<PairSums>,
    /// Blocks of each frame but the first and last between its neighbours.
    pub flicker: Vec<Vec<FlickerBlock>>,
}

/// What a pair gives, and what the flicker of the frames beside it needs.
struct Pair {
    sums: PairSums,
    forward: Way,
    backward: Way,
}

/// One direction of a pair, on the grid of the frame that it starts from.
struct Way {
    warped: Warped,
    fates: Vec<u8>,
}

impl FlowMeasures {
    /// Measures the first `frames` frames of a clip (all, when it has fewer) on luma of half size.
    pub fn of(clip: &Yuv420Clip, frames: usize) -> Self {
        Self::of_sums(&FlowSums::of(clip, frames))
    }

    /// Puts the sums of a clip into measures; equal sums give equal measures, whoever took them.
    pub fn of_sums(sums: &FlowSums) -> Self {
        let fit = |pair: &PairSums| [&pair.forward, &pair.backward].map(Global::fit);
        let globals: Vec<[Global; 2]> = sums.pairs.par_iter().map(fit).collect();
        let fitted: Vec<_> = sums.pairs.iter().zip(&globals).collect();
        let triples = fitted.windows(2).zip(&sums.flicker).map(|(two, blocks)| {
            let [(before, [_, back]), (after, [on, _])] = two else { unreachable!("windows of two") };
            measure_triple(blocks, (&before.backward, back), (&after.forward, on))
        });
        let pairs = fitted.iter().zip(sums.histograms.windows(2));
        Self {
            frames: sums.frames.len(),
            pixels: sums.pixels,
            sums: sums.frames.clone(),
            pairs: pairs
                .map(|((pair, [forward, _]), two)| PairMeasures {
                    pixels: sums.flow_pixels,
                    histogram: histogram_distance(&two[0], &two[1]),
                    ..measure_pair(pair, forward)
                })
                .collect(),
            triples: triples.collect(),
        }
    }
}

impl FlowSums {
    /// Sums of the first `frames` frames of a clip (all, when it has fewer).
    pub fn of(clip: &Yuv420Clip, frames: usize) -> Self {
        let frames = frames.min(clip.len());
        let pyramids: Vec<Pyramid> = (0..frames).into_par_iter().map(|index| pyramid(clip, index)).collect();
        let half = half_size(clip.width(), clip.height());
        let mut sums = Self {
            pixels: (clip.width() * clip.height()) as i64,
            flow_pixels: (half.0 * half.1) as i64,
            frames: (0..frames).into_par_iter().map(|index| frame_sums(clip, index)).collect(),
            histograms: pyramids.par_iter().map(histogram).collect(),
            pairs: Vec::with_capacity(frames),
            flicker: Vec::with_capacity(frames),
        };
        let mut last: Option<Pair> = None;
        let indices: Vec<usize> = (0..frames.saturating_sub(1)).collect();
        for chunk in indices.chunks(CHUNK) {
            let pairs: Vec<Pair> =
                chunk.par_iter().map(|&i| sum_pair(&pyramids[i], &pyramids[i + 1])).collect();
            let chain: Vec<&Pair> = last.iter().chain(&pairs).collect();
            let first_frame = chunk[0] + 1 - usize::from(last.is_some());
            let flicker: Vec<Vec<FlickerBlock>> = chain
                .par_windows(2)
                .enumerate()
                .map(|(i, two)| {
                    let (on, back) = (&two[1].forward, &two[0].backward);
                    let (after, before) = ((&on.warped, &on.fates[..]), (&back.warped, &back.fates[..]));
                    flicker_blocks(pyramids[first_frame + i].base(), after, before)
                })
                .collect();
            sums.flicker.extend(flicker);
            sums.pairs.extend(pairs.iter().map(|pair| pair.sums.clone()));
            last = pairs.into_iter().next_back();
        }
        sums
    }
}

fn pyramid(clip: &Yuv420Clip, index: usize) -> Pyramid {
    let (width, height) = (clip.width(), clip.height());
    let half = half_size(width, height);
    Pyramid::new(&downscale(clip.frame(index).y, width, height), half.0, half.1)
}

fn frame_sums(clip: &Yuv420Clip, index: usize) -> FrameSums {
    let frame = clip.frame(index);
    FrameSums { luma: luma_sum(frame.y), blue: luma_sum(frame.u), red: luma_sum(frame.v) }
}

fn sum_pair(first: &Pyramid, second: &Pyramid) -> Pair {
    let flow = FlowPair::of(first, second);
    let forward = Way { warped: warp(second.base(), &flow.forward), fates: flow.forward_fates };
    let backward = Way { warped: warp(first.base(), &flow.backward), fates: flow.backward_fates };
    let sums = PairSums {
        blocks: match_blocks(first.base(), &forward.warped, &forward.fates),
        forward: Lattice::of(&flow.forward, &forward.fates),
        backward: Lattice::of(&flow.backward, &backward.fates),
    };
    Pair { sums, forward, backward }
}

/// Everything but the histogram and the size of the plane.
fn measure_pair(sums: &PairSums, global: &Global) -> PairMeasures {
    let PairSums { blocks, forward: lattice, .. } = sums;
    let total = |pick: fn(&MatchBlock) -> u32| blocks.iter().map(|block| i64::from(pick(block))).sum::<i64>();
    let lengths = |of: &dyn Fn(usize) -> (i32, i32)| seen(lattice).map(|i| length(of(i))).sum::<i64>();
    let samples = &lattice.samples;
    PairMeasures {
        seen: total(|block| block.seen),
        hidden: total(|block| block.hidden),
        error: total(|block| block.error),
        relative_error: relative_error(blocks),
        census: total(|block| block.census),
        quiet_error: quiet_error(blocks),
        seen_samples: seen(lattice).count() as i64,
        samples: samples.len() as i64,
        members: global.members,
        motion: lengths(&|i| (samples[i].x, samples[i].y)),
        residual: lengths(&|i| global.left(lattice, i)),
        deformation: Deformation::of(lattice, global),
        ..PairMeasures::default()
    }
}

fn seen(lattice: &Lattice) -> impl Iterator<Item = usize> {
    (0..lattice.samples.len()).filter(|&i| lattice.samples[i].seen)
}

/// Sum of absolute components, cut.
fn length((x, y): (i32, i32)) -> i64 {
    i64::from(x.abs() + y.abs()).min(FARTHEST)
}

fn quiet_error(blocks: &[MatchBlock]) -> i64 {
    let pixels = |block: &MatchBlock| block.seen + block.hidden;
    let judged = blocks.iter().filter(|block| pixels(block) >= LEAST_PIXELS);
    let means: Vec<i64> =
        judged.map(|block| scale(i64::from(block.error), 16, i64::from(pixels(block)))).collect();
    percentile(&means, 25)
}

fn relative_error(blocks: &[MatchBlock]) -> i64 {
    let judged: Vec<i64> = blocks
        .iter()
        .filter(|block| block.seen + block.hidden >= LEAST_PIXELS)
        .map(|block| {
            // Contrast sums twice the gradient in levels: eight times that is the gradient in 1/16 level.
            let floor = CONTRAST_FLOOR * i64::from(block.seen + block.hidden);
            scale(i64::from(block.error), 1024, 8 * i64::from(block.contrast) + floor).min(WORST_BLOCK)
        })
        .collect();
    div_round(judged.iter().sum(), judged.len() as i64)
}

fn histogram(pyramid: &Pyramid) -> [u32; BINS] {
    let mut bins = [0; BINS];
    pyramid.base().rows().flatten().for_each(|&v| bins[usize::from(v) * BINS / 256] += 1);
    bins
}

fn histogram_distance(a: &[u32; BINS], b: &[u32; BINS]) -> i64 {
    let distance = a.iter().zip(b).map(|(&p, &q)| i64::from(p.abs_diff(q))).sum::<i64>();
    scale(distance, 500, a.iter().map(|&n| i64::from(n)).sum())
}

fn measure_triple(
    blocks: &[FlickerBlock],
    (back, back_global): (&Lattice, &Global),
    (on, on_global): (&Lattice, &Global),
) -> TripleMeasures {
    let seconds: Vec<i64> = blocks
        .iter()
        .filter(|block| block.seen >= LEAST_PIXELS)
        .map(|block: &FlickerBlock| scale(i64::from(block.second.abs()), 16, i64::from(block.seen)))
        .collect();
    let mut triple = TripleMeasures {
        flicker: percentile(&seconds, 95),
        mean_flicker: div_round(seconds.iter().sum(), seconds.len() as i64),
        ..TripleMeasures::default()
    };
    for i in seen(on).filter(|&i| back.samples[i].seen) {
        let (there, back) = (on_global.left(on, i), back_global.left(back, i));
        triple.samples += 1;
        let path = length(there) + length(back);
        if path < MOVING {
            continue;
        }
        let acceleration = length((there.0 + back.0, there.1 + back.1));
        triple.moving += 1;
        triple.path += path;
        triple.acceleration += acceleration;
        triple.steady += if 2 * acceleration <= path { path } else { 0 };
    }
    triple
}
