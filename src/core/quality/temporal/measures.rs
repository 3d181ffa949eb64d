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
    warp::{FlickerBlock, MatchBlock, Warped, flicker_blocks, match_blocks, warp},
};

/// Bins of the luma histogram.
const BINS: usize = 32;
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

/// What is made of a pair and needed by the triple that begins with it and the one before.
struct Pair {
    measures: PairMeasures,
    forward: Way,
    backward: Way,
}

/// One direction of a pair, on the grid of the frame that it starts from.
struct Way {
    warped: Warped,
    fates: Vec<u8>,
    lattice: Lattice,
    global: Global,
}

impl FlowMeasures {
    /// Measures the first `frames` frames of a clip (all, when it has fewer) on luma of half size.
    pub fn of(clip: &Yuv420Clip, frames: usize) -> Self {
        let frames = frames.min(clip.len());
        let pyramids: Vec<Pyramid> = (0..frames).into_par_iter().map(|index| pyramid(clip, index)).collect();
        let mut measures = Self {
            frames,
            pixels: (clip.width() * clip.height()) as i64,
            sums: (0..frames).into_par_iter().map(|index| frame_sums(clip, index)).collect(),
            pairs: Vec::with_capacity(frames),
            triples: Vec::with_capacity(frames),
        };
        let mut last: Option<Pair> = None;
        let indices: Vec<usize> = (0..frames.saturating_sub(1)).collect();
        for chunk in indices.chunks(CHUNK) {
            let pairs: Vec<Pair> =
                chunk.par_iter().map(|&i| measure_pair(&pyramids[i], &pyramids[i + 1])).collect();
            let chain: Vec<&Pair> = last.iter().chain(&pairs).collect();
            let first_frame = chunk[0] + 1 - usize::from(last.is_some());
            let triples: Vec<TripleMeasures> = chain
                .par_windows(2)
                .enumerate()
                .map(|(i, two)| measure_triple(&pyramids[first_frame + i], &two[0].backward, &two[1].forward))
                .collect();
            measures.triples.extend(triples);
            measures.pairs.extend(pairs.iter().map(|pair| pair.measures));
            last = pairs.into_iter().next_back();
        }
        measures
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

fn measure_pair(first: &Pyramid, second: &Pyramid) -> Pair {
    let flow = FlowPair::of(first, second);
    let way = |field, other: &Pyramid, fates: Vec<u8>| {
        let lattice = Lattice::of(field, &fates);
        Way { warped: warp(other.base(), field), global: Global::fit(&lattice), lattice, fates }
    };
    let forward = way(&flow.forward, second, flow.forward_fates);
    let backward = way(&flow.backward, first, flow.backward_fates);
    let blocks = match_blocks(first.base(), &forward.warped, &forward.fates);
    let total = |pick: fn(&MatchBlock) -> u32| blocks.iter().map(|block| i64::from(pick(block))).sum::<i64>();
    let lengths =
        |of: &dyn Fn(usize) -> (i32, i32)| seen(&forward.lattice).map(|i| length(of(i))).sum::<i64>();
    let samples = &forward.lattice.samples;
    let measures = PairMeasures {
        pixels: forward.fates.len() as i64,
        seen: total(|block| block.seen),
        hidden: total(|block| block.hidden),
        error: total(|block| block.error),
        relative_error: relative_error(&blocks),
        census: total(|block| block.census),
        histogram: histogram_distance(first, second),
        seen_samples: seen(&forward.lattice).count() as i64,
        samples: samples.len() as i64,
        members: forward.global.members,
        motion: lengths(&|i| (samples[i].x, samples[i].y)),
        residual: lengths(&|i| forward.global.left(&forward.lattice, i)),
    };
    Pair { measures, forward, backward }
}

fn seen(lattice: &Lattice) -> impl Iterator<Item = usize> {
    (0..lattice.samples.len()).filter(|&i| lattice.samples[i].seen)
}

/// Sum of absolute components, cut.
fn length((x, y): (i32, i32)) -> i64 {
    i64::from(x.abs() + y.abs()).min(FARTHEST)
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

fn histogram(pyramid: &Pyramid) -> [i64; BINS] {
    let mut bins = [0; BINS];
    pyramid.base().rows().flatten().for_each(|&v| bins[usize::from(v) * BINS / 256] += 1);
    bins
}

fn histogram_distance(first: &Pyramid, second: &Pyramid) -> i64 {
    let (a, b) = (histogram(first), histogram(second));
    let distance = a.iter().zip(&b).map(|(p, q)| (p - q).abs()).sum::<i64>();
    scale(distance, 500, a.iter().sum())
}

fn measure_triple(frame: &Pyramid, back: &Way, on: &Way) -> TripleMeasures {
    let blocks = flicker_blocks(frame.base(), (&on.warped, &on.fates), (&back.warped, &back.fates));
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
    for i in seen(&on.lattice).filter(|&i| back.lattice.samples[i].seen) {
        let (there, back) = (on.global.left(&on.lattice, i), back.global.left(&back.lattice, i));
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
