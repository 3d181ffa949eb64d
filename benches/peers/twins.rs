//! The CPU twins kernel by kernel, as often as a clip needs each, frames and pairs side by side.

use std::{cell::LazyCell, hint::black_box, rc::Rc};

use leoma::quality::{
    blockiness::grid_sums,
    border::bars,
    color_distance::color_distance,
    detail::{laplacian_energy, luma_sum},
    difference::block_sums,
    flow::{Field, FlowPair, Pyramid, consistency::fates, flow},
    layers::explain,
    looks::Looks,
    measure::{BAR_STEP, GRID_STEP, LONGEST_CYCLE, OCTAVE_STEP},
    mosaic::Mosaic,
    motion::{LumaPyramid, MotionField, motion_field},
    octaves::octaves,
    ssim::{SSIM_BITS, ssim},
    strokes,
    temporal::{
        affine::{Global, Lattice},
        warp::{Warped, flicker_blocks, match_blocks, warp},
    },
};
use rayon::prelude::*;

use crate::{Run, Work, inputs::Inputs};

/// What the kernels read.
struct Stages {
    luma: Vec<LumaPyramid>,
    motion: Vec<MotionField>,
    /// Luma at half size.
    half: Vec<Vec<u8>>,
    pyramids: Vec<Pyramid>,
    flow: Vec<FlowPair>,
    /// Every pair's second frame warped to the first, and the other way round.
    warped: Vec<(Warped, Warped)>,
}

impl Stages {
    fn of(inputs: &Inputs) -> Self {
        let (width, height) = inputs.size();
        let frames = inputs.clip.len();
        let luma: Vec<_> = all(frames, |t| LumaPyramid::new(inputs.luma(t), width, height));
        let half: Vec<Vec<u8>> = luma.iter().map(LumaPyramid::half_pixels).collect();
        let size = (luma[0].half().width(), luma[0].half().height());
        let pyramids: Vec<_> = all(frames, |t| Pyramid::new(&half[t], size.0, size.1));
        let flow: Vec<_> = all(frames - 1, |t| FlowPair::of(&pyramids[t], &pyramids[t + 1]));
        Self {
            motion: all(frames - 1, |t| motion_field(&luma[t], &luma[t + 1])),
            warped: all(frames - 1, |t| {
                let pair = &flow[t];
                (warp(pyramids[t + 1].base(), &pair.forward), warp(pyramids[t].base(), &pair.backward))
            }),
            luma,
            half,
            pyramids,
            flow,
        }
    }

    fn half_size(&self) -> (usize, usize) {
        (self.luma[0].half().width(), self.luma[0].half().height())
    }
}

/// Results of frames or pairs `0..count`, in order.
fn all<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    (0..count).into_par_iter().map(&work).collect()
}

/// Does something for frames or pairs `0..count` and forgets what comes out.
fn each<T>(count: usize, work: impl Fn(usize) -> T + Sync) {
    (0..count).into_par_iter().for_each(|index| {
        black_box(work(index));
    });
}

type Late = LazyCell<Stages, Box<dyn FnOnce() -> Stages>>;

/// The kernels' works; names are those of `device::works` after `device-`.
pub fn works(inputs: &Rc<Inputs>) -> Vec<Work> {
    let late = {
        let inputs = Rc::clone(inputs);
        Rc::new(Late::new(Box::new(move || Stages::of(&inputs))))
    };
    let work = |name, kernel: fn(&Inputs, &Stages)| {
        let (inputs, late) = (Rc::clone(inputs), Rc::clone(&late));
        let run: Run = Box::new(move |_| {
            kernel(&inputs, &late);
            Ok(Vec::new())
        });
        Work { name, run }
    };
    let mut works: Vec<Work> = planes().into_iter().map(|(name, kernel)| work(name, kernel)).collect();
    works.extend(moving().into_iter().map(|(name, kernel)| work(name, kernel)));
    let inputs = Rc::clone(inputs);
    works.push(Work { name: "ssim-frames", run: Box::new(move |frames| Ok(ssim_of(&inputs, frames))) });
    works
}

/// SSIM of some frames with the source's, 1 for equal ones.
fn ssim_of(inputs: &Inputs, frames: &[usize]) -> Vec<f64> {
    let (width, height) = inputs.size();
    let of = |&t: &usize| ssim(inputs.luma(t), inputs.reference.frame(t).y, width, height);
    let found: Vec<Option<i64>> = frames.par_iter().map(of).collect();
    found.into_iter().map(|value| value.unwrap_or_default() as f64 / f64::from(1 << SSIM_BITS)).collect()
}

type Kernel = (&'static str, fn(&Inputs, &Stages));

/// Kernels on single frames and on differences of frames.
fn planes() -> Vec<Kernel> {
    vec![
        ("pyramid", |inputs, _| {
            let (width, height) = inputs.size();
            each(inputs.clip.len(), |t| LumaPyramid::new(inputs.luma(t), width, height));
        }),
        ("difference", |inputs, _| {
            let (width, height) = inputs.size();
            each(inputs.clip.len() - 1, |t| block_sums(inputs.luma(t), inputs.luma(t + 1), width, height));
        }),
        ("lags", |_, stages| {
            let (width, height) = stages.half_size();
            for lag in 2..=LONGEST_CYCLE {
                let half = &stages.half;
                each(half.len() - lag, |t| block_sums(&half[t], &half[t + lag], width, height));
            }
        }),
        ("detail", |inputs, stages| {
            let ((width, height), half) = (inputs.size(), stages.half_size());
            each(inputs.clip.len(), |t| {
                laplacian_energy(inputs.luma(t), width, height)
                    + laplacian_energy(&stages.half[t], half.0, half.1)
            });
        }),
        ("sums", |inputs, _| {
            each(inputs.clip.len(), |t| {
                let frame = inputs.clip.frame(t);
                luma_sum(frame.y) + luma_sum(frame.u) + luma_sum(frame.v)
            });
        }),
        ("blockiness", |inputs, _| {
            let (width, height) = inputs.size();
            each(inputs.clip.len().div_ceil(GRID_STEP), |i| {
                grid_sums(inputs.luma(i * GRID_STEP), width, height)
            });
        }),
        ("border", |inputs, _| {
            let (width, height) = inputs.size();
            each(inputs.clip.len().div_ceil(BAR_STEP), |i| bars(inputs.luma(i * BAR_STEP), width, height));
        }),
        ("looks", |inputs, _| drop(black_box(Looks::of(&inputs.clip, inputs.clip.len())))),
        ("mosaic", |inputs, _| drop(black_box(Mosaic::of(&inputs.clip, inputs.clip.len())))),
        ("octaves", |inputs, stages| {
            let (width, height) = inputs.size();
            each(inputs.clip.len().div_ceil(OCTAVE_STEP), |i| {
                let t = i * OCTAVE_STEP;
                octaves(inputs.luma(t), &stages.half[t], width, height)
            });
        }),
        ("strokes", |inputs, stages| {
            let half = |t: usize| stages.half[t].clone();
            drop(black_box(strokes::of_halves(inputs.clip.len(), stages.half_size(), half)));
        }),
        ("color_distance", |inputs, _| {
            let ((width, height), given) = (inputs.size(), inputs.first_frame.frame(0));
            black_box(color_distance(&given, &inputs.clip.frame(0), width, height));
        }),
        ("ssim", |inputs, _| {
            let ((width, height), given) = (inputs.size(), inputs.first_frame.frame(0));
            black_box(ssim(given.y, inputs.luma(0), width, height));
        }),
    ]
}

/// Kernels on motion.
fn moving() -> Vec<Kernel> {
    fn there_and_back(stages: &Stages, index: usize) -> (&Pyramid, &Pyramid) {
        let (first, second) = (&stages.pyramids[index / 2], &stages.pyramids[index / 2 + 1]);
        if index.is_multiple_of(2) { (first, second) } else { (second, first) }
    }
    fn fields(stages: &Stages, index: usize) -> (&Field, &Field) {
        let FlowPair { forward, backward, .. } = &stages.flow[index / 2];
        if index.is_multiple_of(2) { (forward, backward) } else { (backward, forward) }
    }
    vec![
        ("motion", |_, stages| {
            each(stages.motion.len(), |t| motion_field(&stages.luma[t], &stages.luma[t + 1]));
        }),
        ("layers", |_, stages| {
            each(stages.motion.len(), |t| explain(&stages.luma[t], &stages.luma[t + 1], &stages.motion[t]));
        }),
        ("flow", |_, stages| {
            let (width, height) = stages.half_size();
            let pyramids = all(stages.half.len(), |t| Pyramid::new(&stages.half[t], width, height));
            each(2 * stages.flow.len(), |i| {
                let (first, second) = (&pyramids[i / 2], &pyramids[i / 2 + 1]);
                if i.is_multiple_of(2) { flow(first, second) } else { flow(second, first) }
            });
        }),
        ("fates", |_, stages| {
            each(2 * stages.flow.len(), |i| {
                let (there, back) = fields(stages, i);
                fates(there, back)
            });
        }),
        ("warp", |_, stages| {
            each(2 * stages.flow.len(), |i| warp(there_and_back(stages, i).1.base(), fields(stages, i).0));
        }),
        ("match_blocks", |_, stages| {
            each(stages.flow.len(), |t| {
                match_blocks(stages.pyramids[t].base(), &stages.warped[t].0, &stages.flow[t].forward_fates)
            });
        }),
        ("flicker_blocks", |_, stages| {
            each(stages.flow.len() - 1, |t| {
                let (before, after) = (&stages.flow[t], &stages.flow[t + 1]);
                let after = (&stages.warped[t + 1].0, &after.forward_fates[..]);
                let before = (&stages.warped[t].1, &before.backward_fates[..]);
                flicker_blocks(stages.pyramids[t + 1].base(), after, before)
            });
        }),
        ("lattice", |_, stages| {
            each(2 * stages.flow.len(), |i| {
                let pair = &stages.flow[i / 2];
                let fates = if i.is_multiple_of(2) { &pair.forward_fates } else { &pair.backward_fates };
                Global::fit(&Lattice::of(fields(stages, i).0, fates))
            });
        }),
    ]
}
