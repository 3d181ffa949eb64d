//! `anchor`: a ceiling for clips that show another scene than the real one. It is a floor of decency and no reward:
//! within it, being closer to the real clip earns nothing, so that copying pays nothing.

use crate::{
    domain::{score::Score, scoring::AnchorRule},
    quality::fixed::{median, scale},
};

/// Cosines of a clip's frames, in 1/1024.
#[derive(Clone, Copy, Debug)]
pub struct Trajectory<'a> {
    /// With the real clip's frames at the same times.
    pub own: &'a [i32],
    /// With the frames of other tasks' clips at the same times, clip by clip.
    pub others: &'a [Vec<i32>],
}

/// Median cosine with the real clip beyond the largest of other tasks' medians, in 1/1024; `None` without either.
pub fn margin(trajectory: &Trajectory<'_>) -> Option<i64> {
    let middle = |cosines: &[i32]| {
        let values: Vec<i64> = cosines.iter().map(|&cosine| cosine.into()).collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let others = trajectory.others.iter().filter_map(|cosines| middle(cosines)).max()?;
    Some(middle(trajectory.own)? - others)
}

/// The ceiling of the prompt axis for a margin: linear between `bad` and `good`, none (10000) from there on.
pub fn ceiling(margin: i64, rule: &AnchorRule) -> Score {
    let low = i64::from(rule.ceiling).clamp(1, 10_000);
    let span = (rule.good - rule.bad).max(1);
    let inside = (margin - rule.bad).clamp(0, span);
    Score::clamped(low + scale(10_000 - low, inside, span))
}
