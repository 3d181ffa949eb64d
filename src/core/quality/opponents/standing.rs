//! How a clip stands against the opponents of its task.
//!
//! *Quality* is what a cheat is good at: the weighted geometric mean of first frame, temporal consistency (without the
//! motion multiplier) and artifacts, with the weights of the axes. A still, panned or frozen, has nearly all of it.
//! *Life* is what a still lacks: residual motion that three affine layers do not explain **and** that goes on steadily
//! over frames (this counts twice), the smaller of the two against the reference's. A pan, a zoom and layers have no residual motion; a
//! crossfade and shimmer have residual motion that leads nowhere.
//! *Living quality* is quality times `still_share + (1 - still_share) * life`: without life a share of it is left, so that
//! opponents are worth beating and a poor or barely moving clip does lose against them.

use crate::domain::{
    score::{Opponent, OpponentReading, Score},
    scoring::{GateMode, ScoringRules},
};

use super::{
    super::fixed::{geometric_mean, scale},
    Opponents,
};
use crate::quality::{
    measure::ClipMeasures,
    temporal::terms::steady_motion,
    terms::{self, FirstFrameMeasures, RawTerms, dynamics_score, residual_ratio, score_terms},
};

/// Added to steady motion before a ratio is taken: a quarter of a unit a sample, in 1/1000 unit.
const STEADY_FLOOR: i64 = 250;
/// How much the ratio of steady motion counts: only motion above half a pixel a frame is steady, so that a slower clip has
/// less of it than of motion; cheats have nearly none.
const STEADY_GAIN: i64 = 2;

/// A clip's standing in its task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// First frame, consistency and artifacts.
    pub quality: Score,
    /// Evidence of motion that no still has.
    pub life: Score,
    /// The combination of the two that clips and opponents are compared by.
    pub living: Score,
}

/// The standing of a clip, opponent or not; no gate, cap or multiplier enters. `None` when the reference cannot judge
/// motion or an axis does not exist.
pub fn standing(
    first: &FirstFrameMeasures,
    clip: &ClipMeasures,
    reference: &ClipMeasures,
    rules: &ScoringRules,
) -> Option<Standing> {
    let raw = RawTerms::of(first, clip, Some(reference), &rules.dynamics);
    let scores = score_terms(&raw, rules);
    let weights = &rules.weights;
    let parts = [
        (scores.axes.first_frame?, weights.first_frame),
        (scores.consistency?, weights.temporal),
        (scores.axes.artifacts?, weights.artifacts),
    ];
    let quality = geometric_mean(&parts)?;
    let life = life(clip, reference, rules)?;
    let share = rules.opponents.still_share;
    // Below 10^4 * 10^7.
    let counted = share * 10_000 + (1_000 - share) * i64::from(life.get());
    let living = Score::clamped(scale(i64::from(quality.get()), counted, 10_000_000));
    Some(Standing { quality, life, living })
}

/// Score of the smaller of two ratios to the reference's: motion beyond layers, and steady motion. More than the reference
/// has is not less life: `dyn` answers for that.
fn life(clip: &ClipMeasures, reference: &ClipMeasures, rules: &ScoringRules) -> Option<Score> {
    let beyond_layers = residual_ratio(clip, reference, &rules.dynamics)?;
    let of = |measures: &ClipMeasures| steady_motion(&measures.flow) + STEADY_FLOOR;
    let steady = scale(of(clip), STEADY_GAIN * 1000, of(reference));
    let ratio = beyond_layers.min(steady).min(i64::from(rules.dynamics.full_to));
    Some(dynamics_score(ratio, &rules.dynamics))
}

/// Sets a clip against the best opponent of its task; `None` when motion cannot be judged. The earlier of two equally good
/// opponents is named.
pub fn compare(
    own: &Standing,
    opponents: &Opponents,
    reference: &ClipMeasures,
    rules: &ScoringRules,
) -> Option<OpponentReading> {
    let mut best: Option<(Opponent, Standing)> = None;
    for (opponent, measures) in &opponents.clips {
        let theirs = standing(&opponents.first, measures, reference, rules)?;
        if best.is_none_or(|(_, other)| theirs.living > other.living) {
            best = Some((*opponent, theirs));
        }
    }
    let (opponent, theirs) = best?;
    let margin = rules.opponents.margin;
    Some(OpponentReading {
        best: opponent,
        best_quality: theirs.quality,
        best_life: theirs.life,
        best_living: theirs.living,
        quality: own.quality,
        life: own.life,
        living: own.living,
        margin,
        beaten: u32::from(own.living.get()) >= u32::from(theirs.living.get()) + u32::from(margin),
        decides: rules.opponents.mode == GateMode::Decides,
    })
}

/// Whether life can be judged against a reference at all.
pub fn can_compare(reference: &ClipMeasures, rules: &ScoringRules) -> bool {
    terms::can_judge_motion(reference, &rules.dynamics)
}
