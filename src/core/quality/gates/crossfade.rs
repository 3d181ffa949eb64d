//! G6: one picture that fades into another one.

use rayon::prelude::*;

use crate::{
    domain::{score::GateId, scoring::CrossfadeGate},
    quality::{
        fixed::{isqrt, scale},
        measure::ClipMeasures,
        mosaic::Cell,
    },
};

use super::{GateFinding, finding};

/// Windows begin at multiples of this.
const START_STEP: usize = 2;
/// A window's frames, beside the whole clip.
const WINDOWS: [usize; 4] = [12, 20, 32, 48];
/// Share that one frame may add: more is a cut.
pub const LARGEST_STEP: i64 = 400;
/// What is read where no window changes enough.
const NOTHING: i64 = 1_000;

/// The window that is best told as a mixture of its first and its last frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mixture {
    /// First frame of the window.
    pub from: usize,
    /// Frames of the window.
    pub length: usize,
    /// What the mixture leaves of the frames between, root mean square, in 1/1000 of the difference of the ends.
    pub residual: i64,
    /// How far the share of the last frame falls back, all falls together, in 1/1000.
    pub reversal: i64,
    /// The most that the share rises from a frame to the next, in 1/1000.
    pub step: i64,
    /// Mean distance of the ends, in 1/256 level.
    pub change: i64,
    /// What following the flow leaves of the difference of neighbouring frames, in 1/1000.
    pub unexplained: i64,
}

impl Mixture {
    /// The window of least residual whose ends differ enough and whose shares rise, `None` where no ends differ
    /// so far.
    pub fn of(clip: &ClipMeasures, gate: &CrossfadeGate) -> Option<Self> {
        let count = clip.mosaic.frames.len();
        let lengths = WINDOWS.into_iter().filter(|&length| length < count).chain([count]);
        let windows: Vec<(usize, usize)> = lengths
            .filter(|&length| length >= 3)
            .flat_map(|length| (0..=count - length).step_by(START_STEP).map(move |from| (from, length)))
            .collect();
        windows
            .into_par_iter()
            .filter_map(|(from, length)| {
                let change = clip.mosaic.distance(from, from + length - 1);
                (change >= gate.change).then(|| fit(clip, from, length, change))
            })
            .min_by_key(|m| (!m.is_gradual(gate), m.residual, m.length, m.from))
    }

    /// Whether the share of the last frame rises, and in more than a few steps.
    fn is_gradual(&self, gate: &CrossfadeGate) -> bool {
        self.reversal <= gate.reversal && self.step <= LARGEST_STEP
    }
}

fn fit(clip: &ClipMeasures, from: usize, length: usize, change: i64) -> Mixture {
    let frames = &clip.mosaic.frames[from..from + length];
    let (first, last) = (&frames[0], &frames[length - 1]);
    let whole = product(first, last, last).max(1);
    let (mut squares, mut before, mut reversal, mut step) = (0i128, 0, 0, 0);
    for frame in frames {
        let (along, all) = (product(first, last, frame), product(first, frame, frame));
        // Pythagoras: what is left is orthogonal to the difference of the ends.
        squares += i128::from(all) - i128::from(along) * i128::from(along) / i128::from(whole);
        let share = scale(along, 1000, whole);
        reversal += (before - share).max(0);
        step = step.max(share - before);
        before = share;
    }
    let mean = squares.max(0) * 1_000_000 / (i128::from(whole) * (length as i128 - 2).max(1));
    Mixture {
        from,
        length,
        residual: isqrt(mean.min(1_000_000) as u64) as i64,
        reversal,
        step,
        change,
        unexplained: unexplained(clip, from, length),
    }
}

/// Scalar product of the differences of two frames to a first one, over Y, and U and V counted twice (a sample
/// stands for four pixels). Below 2^37 a cell, 2^53 for a plane of 4096x4096.
fn product(first: &[Cell], one: &[Cell], other: &[Cell]) -> i64 {
    let less = |a: u32, b: u32| i64::from(a) - i64::from(b);
    first
        .iter()
        .zip(one)
        .zip(other)
        .map(|((a, b), c)| {
            let (u, v) = (less(b.u, a.u) * less(c.u, a.u), less(b.v, a.v) * less(c.v, a.v));
            less(b.y, a.y) * less(c.y, a.y) + 4 * (u + v)
        })
        .sum()
}

/// Motion-compensated difference over plain difference of the pairs of a window, in 1/1000.
fn unexplained(clip: &ClipMeasures, from: usize, length: usize) -> i64 {
    let pairs = from..from + length - 1;
    let flow = clip.flow.pairs.get(pairs.clone()).unwrap_or_default();
    let pixels: i64 = flow.iter().map(|pair| pair.seen + pair.hidden).sum();
    let error: i64 = flow.iter().map(|pair| pair.error).sum();
    let steps = clip.steps.get(pairs).unwrap_or_default();
    let plain: i64 = steps.iter().map(|step| step.mean_q8).sum();
    // Error is in 1/16, the plain difference in 1/256 level.
    scale(scale(error, 16, pixels), 1000 * steps.len() as i64, plain)
}

/// G6: the frames of a window are mixtures of its first and its last one, which differ much, better than those of any
/// window of the reference are, and flow does not explain the change.
pub fn crossfade(clip: &ClipMeasures, reference: Option<&ClipMeasures>, gate: &CrossfadeGate) -> GateFinding {
    let found = Mixture::of(clip, gate);
    let usual = reference.and_then(|r| Mixture::of(r, gate)).map_or(NOTHING, |m| m.residual);
    let fired = found.is_some_and(|m| {
        m.residual <= gate.residual
            && m.residual * 1000 <= usual * gate.of_reference
            && m.is_gradual(gate)
            && m.unexplained >= gate.unexplained
    });
    let none =
        Mixture { from: 0, length: 0, residual: NOTHING, reversal: 0, step: 0, change: 0, unexplained: 0 };
    let mixture = found.unwrap_or(none);
    let numbers = [
        ("from", mixture.from as i64),
        ("length", mixture.length as i64),
        ("residual", mixture.residual),
        ("reference_residual", usual),
        ("reversal", mixture.reversal),
        ("step", mixture.step),
        ("change", mixture.change),
        ("unexplained", mixture.unexplained),
    ];
    let reason = match found {
        None => format!("no two frames differ by {}/256 level, so none fades into another", gate.change),
        Some(m) => format!(
            "{} frames from frame {} on are mixtures of the first and the last but for {}/1000 (reference {usual}), which \
             differ by {}/256 level; flow leaves {}/1000 of the change",
            m.length, m.from, m.residual, m.change, m.unexplained
        ),
    };
    finding(GateId::G6, numbers, fired, gate.mode, reason)
}
