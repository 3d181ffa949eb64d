//! Everything that one run of the evidence found.

use serde::Serialize;

use super::{
    attacks::{AttackFigures, StandIns},
    clean::CleanFigures,
    ladder::LadderFigures,
    split::Split,
    stats::PairCount,
    windows::PassedOver,
};
use crate::domain::{ids::Digest, plan::ClipSpec};

/// What every report says.
pub const NO_GENERATED_CLIP: &str =
    "No AI-generated clip was seen: everything here is real or drawn clips, damaged by known amounts.";

/// Tau from which a generator counts as followed.
pub const GOOD_TAU: f64 = 0.95;

/// The evidence. Its keys are an interface; figures are defined in `docs/evidence.md`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Evidence {
    /// Version of these keys.
    pub version: u32,
    /// [`NO_GENERATED_CLIP`].
    pub note: &'static str,
    /// Whether only a part was run.
    pub quick: bool,
    /// Digest of the rules that judged.
    pub rules_digest: Digest,
    /// Digest of the corpus.
    pub corpus_digest: Digest,
    /// Shape of the clips.
    pub shape: ClipSpec,
    /// The sources on either side.
    pub split: Split,
    /// Held-out windows that were judged: key of the clip and start in microseconds.
    pub windows: Vec<(String, u64)>,
    /// Clips without a window that serves.
    pub passed_over: Vec<PassedOver>,
    /// Totals over all ladders.
    pub summary: Summary,
    /// One entry per kind of damage.
    pub ladders: Vec<LadderFigures>,
    /// Clean held-out clips.
    pub clean: CleanFigures,
    /// Honest stand-ins.
    pub stand_ins: StandIns,
    /// One entry per attack.
    pub attacks: Vec<AttackFigures>,
}

/// How one kind of reading follows all ladders.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct FollowingSummary {
    /// Pairs of neighbouring levels, all ladders together.
    pub adjacent: PairCount,
    /// Their accuracy, ties counting half.
    pub adjacent_accuracy: Option<f64>,
    /// Pairs two or more levels apart.
    pub distant: PairCount,
    /// Their accuracy.
    pub distant_accuracy: Option<f64>,
    /// Generators whose mean tau reaches [`GOOD_TAU`].
    pub good_tau: usize,
    /// Generators with a tau.
    pub with_tau: usize,
}

/// Totals over all ladders and attacks.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    /// Raw terms, gates off.
    pub raw: FollowingSummary,
    /// The final score.
    pub overall: FollowingSummary,
    /// Most points of 100 lost on an axis that should not be touched, and by which generator.
    pub cross_talk: Option<(f64, &'static str)>,
    /// Generators whose cross-talk exceeds 5 points.
    pub cross_talk_above_5: usize,
    /// Attacks that were left open on some window.
    pub open_attacks: usize,
    /// All attacks.
    pub attacks: usize,
}

impl Summary {
    /// Adds up figures.
    pub fn of(ladders: &[LadderFigures], attacks: &[AttackFigures]) -> Self {
        let talk = |figures: &LadderFigures| Some((figures.cross_talk()?, figures.generator));
        let talks: Vec<(f64, &'static str)> = ladders.iter().filter_map(talk).collect();
        Self {
            raw: following(ladders.iter().map(|figures| &figures.raw)),
            overall: following(ladders.iter().map(|figures| &figures.overall)),
            cross_talk: talks.iter().copied().reduce(|a, b| if b.0 > a.0 { b } else { a }),
            cross_talk_above_5: talks.iter().filter(|(points, _)| *points > 5.0).count(),
            open_attacks: attacks.iter().filter(|attack| !attack.caught()).count(),
            attacks: attacks.len(),
        }
    }
}

fn following<'a>(all: impl Iterator<Item = &'a super::ladder::Following>) -> FollowingSummary {
    let mut sum = FollowingSummary::default();
    for one in all {
        sum.adjacent += one.adjacent;
        sum.distant += one.distant;
        sum.with_tau += usize::from(one.tau.is_some());
        sum.good_tau += usize::from(one.tau.is_some_and(|tau| tau >= GOOD_TAU));
    }
    sum.adjacent_accuracy = sum.adjacent.accuracy();
    sum.distant_accuracy = sum.distant.accuracy();
    sum
}
