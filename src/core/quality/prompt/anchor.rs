//! `anchor`: a ceiling for clips that show another scene than the real one. It is a floor of decency and no reward:
//! within it, being closer to the real clip earns nothing, so that copying pays nothing.
//!
//! What another scene looks like to the image embedder is a constant of the rules, calibrated on clips of other tasks, and
//! not read from them in a round: whoever replays a verdict has the task's own clip, but no other's (ADR 0015).

use crate::{
    domain::{score::Score, scoring::AnchorRule},
    quality::fixed::{median, scale},
};

/// Median of the cosines of a clip's frames with the real clip's at the same times (`FrameModels::alike`), in 1/1024; `None`
/// without any.
pub fn nearness(alike: &[i64]) -> Option<i64> {
    (!alike.is_empty()).then(|| median(alike))
}

/// The ceiling of the prompt axis: linear from the rule's ceiling, at `bad` and below, to none (10000) from `good` on.
pub fn ceiling(nearness: i64, rule: &AnchorRule) -> Score {
    let low = i64::from(rule.ceiling).clamp(1, 10_000);
    let span = (rule.good - rule.bad).max(1);
    let inside = (nearness - rule.bad).clamp(0, span);
    Score::clamped(low + scale(10_000 - low, inside, span))
}
