//! G3: noise that poses as motion.

use crate::{
    domain::{score::GateId, scoring::ShimmerGate},
    quality::{
        fixed::{div_round, scale},
        measure::ClipMeasures,
        temporal::{FlowMeasures, terms},
    },
};

use super::{GateFinding, finding};

/// How much of what moves goes on over three frames, in 1/1000 of the residual path.
pub fn steady_share(flow: &FlowMeasures) -> i64 {
    let (steady, path) =
        flow.triples.iter().fold((0, 0), |(steady, path), t| (steady + t.steady, path + t.path));
    scale(steady, 1000, path)
}

/// Mean luma difference of neighbouring frames, in 1/256 level.
pub fn change(clip: &ClipMeasures) -> i64 {
    div_round(clip.steps.iter().map(|step| step.mean_q8).sum(), clip.steps.len() as i64)
}

/// G3: pixels change, or blocks seem to move, much as in the reference, but of the motion that flow finds far less than in
/// the reference goes on over three frames while both directions agree on it. Needs a reference whose motion goes on.
pub fn shimmer(clip: &ClipMeasures, reference: &ClipMeasures, gate: &ShimmerGate) -> GateFinding {
    let (steady, budget) = (terms::steady_motion(&clip.flow), terms::steady_motion(&reference.flow));
    let (share, usual) = (steady_share(&clip.flow), steady_share(&reference.flow));
    let (change, their_change) = (change(clip), change(reference));
    let (residual, their_residual) = (clip.layer_residual(), reference.layer_residual());
    let poses =
        change * 1000 >= their_change * gate.change || residual * 1000 >= their_residual * gate.change;
    let fired = usual >= gate.min_reference_share && poses && share * 1000 <= usual * gate.share;
    let numbers = [
        ("steady", steady),
        ("reference_steady", budget),
        ("steady_share", share),
        ("reference_steady_share", usual),
        ("change", change),
        ("reference_change", their_change),
        ("layer_residual", residual),
        ("reference_layer_residual", their_residual),
    ];
    let reason = format!(
        "{share}/1000 of the motion goes on over three frames (reference {usual}), while neighbouring frames differ by \
         {change}/256 level (reference {their_change}) and blocks move by {residual} (reference {their_residual})"
    );
    finding(GateId::G3, numbers, fired, gate.mode, reason)
}
