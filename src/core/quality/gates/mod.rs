//! Gates that are read from pixels: integer conditions with the numbers behind them.

pub mod crossfade;
pub mod overlay;
pub mod recurrence;
pub mod shimmer;
pub mod source_copy;
pub mod spectrum;

use std::collections::BTreeMap;

use crate::domain::{
    score::{GateId, GateReading},
    scoring::{BorderGate, FreezeGate, GateMode, GateRules, PanZoomGate},
};

use crate::quality::{
    border::{self, Bars},
    fixed::scale,
    frame::Yuv420Clip,
    measure::{ClipMeasures, PairDifference},
};

/// A gate's reading and the sentence that explains it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateFinding {
    /// Which gate.
    pub gate: GateId,
    /// Numbers, condition, and whether it decides.
    pub reading: GateReading,
    /// The numbers as one sentence.
    pub reason: String,
}

impl GateFinding {
    /// Whether the condition held and the rules let it decide.
    pub fn decided(&self) -> bool {
        self.reading.fired && self.reading.decides
    }
}

fn finding<const N: usize>(
    gate: GateId,
    numbers: [(&str, i64); N],
    fired: bool,
    mode: GateMode,
    reason: String,
) -> GateFinding {
    let numbers: BTreeMap<String, i64> = numbers.map(|(name, value)| (name.to_owned(), value)).into();
    GateFinding { gate, reading: GateReading { numbers, fired, decides: mode == GateMode::Decides }, reason }
}

/// G1: fewer frames than were asked for.
pub fn too_short(frames: usize, asked: usize) -> GateFinding {
    finding(
        GateId::G1,
        [("asked", asked as i64), ("frames", frames as i64)],
        frames < asked,
        GateMode::Decides,
        format!("{frames} frames, {asked} were asked for"),
    )
}

/// G12 by size: the clip's planes do not have the asked size.
pub fn wrong_size(clip: &Yuv420Clip, width: u32, height: u32) -> GateFinding {
    finding(
        GateId::G12,
        [
            ("height", clip.height() as i64),
            ("asked_height", i64::from(height)),
            ("width", clip.width() as i64),
            ("asked_width", i64::from(width)),
        ],
        (clip.width(), clip.height()) != (width as usize, height as usize),
        GateMode::Decides,
        format!("{}x{} pixels, {width}x{height} were asked for", clip.width(), clip.height()),
    )
}

/// Numbers of pairs that stand still.
struct Stillness {
    pairs: i64,
    still: i64,
    longest_run: i64,
}

fn is_still(pair: &PairDifference, gate: &FreezeGate) -> bool {
    pair.mean_q8 < gate.noise_mean && pair.largest_block < gate.noise_block
}

fn stillness(clip: &ClipMeasures, gate: &FreezeGate) -> Stillness {
    let flags: Vec<bool> = clip.steps.iter().map(|pair| is_still(pair, gate)).collect();
    let longest_run =
        flags.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).max().unwrap_or(0);
    Stillness {
        pairs: flags.len() as i64,
        still: flags.iter().filter(|&&still| still).count() as i64,
        longest_run: longest_run as i64,
    }
}

/// Largest share over lags 2..=8 of frames equal to the one `lag` earlier, in 1/1000.
fn cycle(clip: &ClipMeasures, gate: &FreezeGate) -> i64 {
    let share = |pairs: &Vec<PairDifference>| {
        let equal = pairs.iter().filter(|pair| is_still(pair, gate)).count();
        scale(equal as i64, 1000, pairs.len() as i64)
    };
    clip.lags.iter().filter(|pairs| pairs.len() >= 3).map(share).max().unwrap_or(0)
}

/// G2: the clip stands still, holds its frames, or repeats a few of them.
///
/// Fires when many pairs stand still while residual motion is a small part of the reference's; when
/// far more pairs stand still than in the reference; or when nearly every frame equals an earlier one
/// while the reference's do not. Without a reference, residual motion is not asked and its still pairs
/// count as none.
pub fn freeze(clip: &ClipMeasures, reference: Option<&ClipMeasures>, gate: &FreezeGate) -> GateFinding {
    let own = stillness(clip, gate);
    let theirs = reference.map_or(Stillness { pairs: 0, still: 0, longest_run: 0 }, |r| stillness(r, gate));
    let residual = clip.affine_residual();
    let budget = reference.map_or(-1, ClipMeasures::affine_residual);
    let many = own.longest_run >= i64::from(gate.longest_run) || own.still >= i64::from(gate.still_pairs);
    let unmoved = budget < 0 || residual * 1000 <= budget * gate.residual;
    let excess = scale(own.still, 1000, own.pairs) - scale(theirs.still, 1000, theirs.pairs);
    let (own_cycle, their_cycle) = (cycle(clip, gate), reference.map_or(0, |r| cycle(r, gate)));
    let repeats = own_cycle >= gate.cycle && their_cycle < gate.cycle;
    let fired = (many && unmoved) || excess >= gate.excess_still || repeats;
    let reason = format!(
        "{} of {} pairs stand still (longest run {}, reference {}), residual motion {residual} of {budget}, \
         repeated frames {own_cycle}/1000",
        own.still, own.pairs, own.longest_run, theirs.still
    );
    let numbers = [
        ("pairs", own.pairs),
        ("still_pairs", own.still),
        ("longest_run", own.longest_run),
        ("reference_still_pairs", theirs.still),
        ("residual", residual),
        ("reference_residual", budget),
        ("cycle", own_cycle),
    ];
    finding(GateId::G2, numbers, fired, gate.mode, reason)
}

/// G4: one affine motion explains nearly every block, and residual motion is a small part of the
/// reference's. Needs a reference.
pub fn pan_zoom(clip: &ClipMeasures, reference: &ClipMeasures, gate: &PanZoomGate) -> GateFinding {
    let explained = clip.affine_explained();
    let (residual, budget) = (clip.affine_residual(), reference.affine_residual());
    let fired = explained >= gate.explained && residual * 1000 <= budget * gate.residual;
    let numbers = [
        ("affine_explained", explained),
        ("residual", residual),
        ("reference_residual", budget),
        ("layer_residual", clip.layer_residual()),
        ("reference_layer_residual", reference.layer_residual()),
        ("motion", clip.motion_amount()),
        ("reference_motion", reference.motion_amount()),
    ];
    let reason = format!(
        "one affine motion explains {explained}/1000 of the blocks, residual motion {residual} of {budget}"
    );
    finding(GateId::G4, numbers, fired, gate.mode, reason)
}

/// G12 by content: bars at opposite edges throughout a half of the clip that neither the given first frame nor the reference
/// has.
pub fn letterbox(
    clip: &ClipMeasures,
    (first_frame, reference): (&Yuv420Clip, Option<&ClipMeasures>),
    gate: &BorderGate,
) -> GateFinding {
    let own = border::bars(first_frame.frame(0).y, first_frame.width(), first_frame.height());
    let real = reference.map_or(own, |reference| reference.bars);
    let given =
        Bars { letterbox: own.letterbox.max(real.letterbox), pillarbox: own.pillarbox.max(real.pillarbox) };
    let found: Bars = clip.bars;
    let limit = gate.thickness;
    let fired = found.letterbox >= given.letterbox.saturating_add(limit)
        || found.pillarbox >= given.pillarbox.saturating_add(limit);
    let numbers = [
        ("letterbox", i64::from(found.letterbox)),
        ("given_letterbox", i64::from(given.letterbox)),
        ("pillarbox", i64::from(found.pillarbox)),
        ("given_pillarbox", i64::from(given.pillarbox)),
    ];
    let reason = format!(
        "bars of {} rows and {} columns, given first frame and reference have {} and {}",
        found.letterbox, found.pillarbox, given.letterbox, given.pillarbox
    );
    finding(GateId::G12, numbers, fired, gate.mode, reason)
}

/// G3, G5, G6, G7 and G9: what rests on the mosaic, on flow and on standing edges. G3 and G7 need a reference.
pub fn of_whole_clips(
    clip: &ClipMeasures,
    reference: Option<&ClipMeasures>,
    gates: &GateRules,
) -> Vec<GateFinding> {
    let alone = [
        recurrence::recurrence(clip, reference, &gates.recurrence),
        crossfade::crossfade(clip, reference, &gates.crossfade),
        overlay::overlay(clip, reference, &gates.overlay),
    ];
    let against = reference.map(|r| {
        [source_copy::source_copy(clip, r, &gates.source_copy), shimmer::shimmer(clip, r, &gates.shimmer)]
    });
    against.into_iter().flatten().chain(alone).collect()
}
