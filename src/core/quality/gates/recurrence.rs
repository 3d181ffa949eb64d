//! G5: what was shown before, again or backwards.

use rayon::prelude::*;

use crate::{
    domain::{score::GateId, scoring::RecurrenceGate},
    quality::{
        fixed::scale,
        measure::ClipMeasures,
        mosaic::{Cell, Mosaic, cell_distance},
    },
};

use super::{GateFinding, finding};

/// A cell that differs by less than this many levels a pixel (chroma counted as in `cell_distance`) is the same: coding noise.
const SAME_LEVELS: usize = 1;
/// The frames between which the clip's own pace is taken; a loop repeats better than this, life does not.
const PACE_LAG: usize = 6;
/// The part of the clip that must come again, and the part that must come backwards before and after one moment.
const LOOPED_PART: usize = 4;
const MIRRORED_PART: usize = 6;
/// Mean change over a pace, in 1/256 level, below which nothing moves that could come again: G2 sees to that.
const LEAST_PACE: i64 = 16;
/// What is read when nothing moves.
const NOTHING: i64 = 10_000;

/// How well a clip repeats itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recurrence {
    /// Least distance of frames `lag` apart over a quarter of the clip, against the distance of frames six apart
    /// there, in 1/1000.
    pub looped: i64,
    /// The lag of that.
    pub lag: usize,
    /// Least distance of frames as far before as after a moment, over a sixth of the clip, against the same pace.
    pub mirrored: i64,
    /// The moment of that, in half frames.
    pub moment: usize,
}

impl Recurrence {
    /// Reads a mosaic; `shortest` is the least number of frames between a frame and its return.
    pub fn of(mosaic: &Mosaic, shortest: usize) -> Self {
        let count = mosaic.frames.len();
        let distances = Distances::of(mosaic);
        let mut found = Self { looped: NOTHING, lag: 0, mirrored: NOTHING, moment: 0 };
        let run = (count / LOOPED_PART).max(1);
        for lag in shortest.max(1)..count.saturating_sub(run) {
            for start in 0..=count - lag - run {
                let apart = (start..start + run).map(|t| distances.between(t, t + lag)).sum();
                let pace = (start..start + run).map(|t| distances.pace(t)).sum();
                let ratio = against(mosaic, apart, pace, run);
                if ratio < found.looped {
                    (found.looped, found.lag) = (ratio, lag);
                }
            }
        }
        // Pairs (near, far) with near + far = moment, at least `shortest` apart.
        let run = (count / MIRRORED_PART).max(1);
        for moment in 1..(2 * count).saturating_sub(2) {
            let nearest = moment.saturating_sub(shortest) / 2;
            let Some(first) = (nearest + 1).checked_sub(run).filter(|_| moment >= shortest) else { continue };
            if moment - first >= count {
                continue;
            }
            let apart = (first..=nearest).map(|t| distances.between(t, moment - t)).sum();
            let pace = (first..=nearest).map(|t| distances.pace(moment - t)).sum();
            let ratio = against(mosaic, apart, pace, run);
            if ratio < found.mirrored {
                (found.mirrored, found.moment) = (ratio, moment);
            }
        }
        found
    }
}

/// A distance against the pace over `run` frames, in 1/1000.
fn against(mosaic: &Mosaic, apart: i64, pace: i64, run: usize) -> i64 {
    if mosaic.mean(pace) < LEAST_PACE * run as i64 { NOTHING } else { scale(apart, 1000, pace).min(NOTHING) }
}

/// Distances of all pairs of frames beyond coding noise.
struct Distances {
    /// `rows[i][j - i - 1]` of frames `i < j`.
    rows: Vec<Vec<i64>>,
}

impl Distances {
    fn of(mosaic: &Mosaic) -> Self {
        let frames = &mosaic.frames;
        let columns = mosaic.columns().max(1);
        let cells = columns * mosaic.rows();
        let same: Vec<i64> =
            (0..cells).map(|i| (SAME_LEVELS * mosaic.pixels(i % columns, i / columns)) as i64).collect();
        let beyond = |a: &[Cell], b: &[Cell]| -> i64 {
            a.iter().zip(b).zip(&same).map(|((a, b), same)| (cell_distance(a, b) - same).max(0)).sum()
        };
        let row = |i: usize| frames[i + 1..].iter().map(|other| beyond(&frames[i], other)).collect();
        Self { rows: (0..frames.len()).into_par_iter().map(row).collect() }
    }

    fn between(&self, one: usize, other: usize) -> i64 {
        let (low, high) = (one.min(other), one.max(other));
        if low == high { 0 } else { self.rows[low][high - low - 1] }
    }

    /// Distance of a frame to the one six frames on, or at the clip's end to the one six frames before.
    fn pace(&self, frame: usize) -> i64 {
        let last = self.rows.len() - 1;
        let other = if frame + PACE_LAG <= last { frame + PACE_LAG } else { frame.saturating_sub(PACE_LAG) };
        self.between(frame, other)
    }
}

/// G5: a quarter of the clip comes again, or a sixth of it backwards, much nearer than frames six apart are, and much
/// nearer than in the reference.
pub fn recurrence(
    clip: &ClipMeasures,
    reference: Option<&ClipMeasures>,
    gate: &RecurrenceGate,
) -> GateFinding {
    let shortest = gate.shortest_lag as usize;
    let own = Recurrence::of(&clip.mosaic, shortest);
    let theirs = reference.map(|r| Recurrence::of(&r.mosaic, shortest));
    let (their_loop, their_mirror) = theirs.map_or((NOTHING, NOTHING), |r| (r.looped, r.mirrored));
    // A reference that comes again itself (a pendulum, a static scene in rest) cannot tell.
    let again = |own: i64, theirs: i64| {
        own <= gate.ratio && theirs > gate.ratio && own * 1000 <= theirs * gate.of_reference
    };
    let fired = again(own.looped, their_loop) || again(own.mirrored, their_mirror);
    let numbers = [
        ("looped", own.looped),
        ("lag", own.lag as i64),
        ("reference_looped", their_loop),
        ("mirrored", own.mirrored),
        ("moment", own.moment as i64),
        ("reference_mirrored", their_mirror),
    ];
    let reason = format!(
        "frames {} apart differ by {}/1000 of the pace (reference {their_loop}), frames around {}.{} mirrored by \
         {}/1000 (reference {their_mirror})",
        own.lag,
        own.looped,
        own.moment / 2,
        own.moment % 2 * 5,
        own.mirrored
    );
    finding(GateId::G5, numbers, fired, gate.mode, reason)
}
