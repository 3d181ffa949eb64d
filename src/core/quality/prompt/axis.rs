//! The prompt axis from its terms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    anchor::{self, AnchorRule, Trajectory},
    change::change,
    likelihood::Likelihoods,
    relevance::{Relevance, relevance},
};
use crate::{
    domain::{score::Score, scoring::TermRule},
    quality::fixed::{geometric_mean, normalise},
};

/// Rules of the text axis: `[scoring.prompt]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptRules {
    /// The text model by its name in the manifest of models ...
    pub model: String,
    /// ... and the SHA-256 of its weights: another model is another rules digest.
    pub sha256: String,
    /// Taken off what a frame is ranked among, in 1/1000 nat.
    pub slack: i64,
    /// Least change of the real clip towards a sentence that can judge change, in 1/1000 nat.
    pub least_gain: i64,
    /// Rank among the real clip's frames, in 1/10000.
    pub txt_rel: TermRule,
    /// Change towards the prompt against the real clip's, in 1/1000.
    pub delta_txt: TermRule,
    /// Weight of what camera words gave, where they were read.
    pub camera_weight: u32,
    /// Ceiling for another scene.
    pub anchor: AnchorRule,
}

/// A rule of the text axis that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scoring.prompt.{field}: {problem}")]
pub struct PromptRulesError {
    /// The field.
    pub field: &'static str,
    /// What is wrong, and what it must be.
    pub problem: String,
}

impl PromptRules {
    /// Checks every value's range and the values against each other; reports the first that is wrong.
    ///
    /// # Errors
    /// When a value is out of range.
    pub fn check(&self) -> Result<(), PromptRulesError> {
        let hexadecimal =
            self.sha256.len() == 64 && self.sha256.bytes().all(|digit| digit.is_ascii_hexdigit());
        let term = |rule: &TermRule| rule.bad != rule.good && rule.weight <= MOST;
        let (anchor, most) = (&self.anchor, i64::from(MOST));
        let weights = u64::from(self.txt_rel.weight) + u64::from(self.delta_txt.weight);
        let checks = [
            ("model", !self.model.is_empty(), "names no model of the manifest"),
            ("sha256", hexadecimal, "is not 64 hexadecimal digits"),
            ("slack", (0..=most).contains(&self.slack), "lies outside 0..=10000"),
            ("least_gain", (1..=most).contains(&self.least_gain), "lies outside 1..=10000"),
            ("txt_rel", term(&self.txt_rel), "needs bad other than good and a weight up to 10000"),
            ("delta_txt", term(&self.delta_txt), "needs bad other than good and a weight up to 10000"),
            ("txt_rel", weights > 0, "and delta_txt have no weight"),
            ("camera_weight", self.camera_weight <= MOST, "exceeds 10000"),
            (
                "anchor",
                anchor.bad < anchor.good && (1..=10_000).contains(&anchor.ceiling),
                "needs bad < good and a \
              ceiling in 1..=10000",
            ),
        ];
        let wrong = checks.into_iter().find(|(_, holds, _)| !holds);
        wrong.map_or(Ok(()), |(field, _, problem)| Err(PromptRulesError { field, problem: problem.into() }))
    }
}

/// Largest weight, slack and gain.
const MOST: u32 = 10_000;

/// Likelihoods of the three clips that belong to a verdict.
#[derive(Clone, Copy, Debug)]
pub struct PromptMeasures<'a> {
    /// The miner's clip at the sampled frames.
    pub clip: &'a Likelihoods,
    /// The real clip at the same frames.
    pub reference: &'a Likelihoods,
    /// The given frame in the views of every sample: parts lie elsewhere in each.
    pub given: &'a Likelihoods,
    /// Where other tasks' clips are at hand.
    pub trajectory: Option<Trajectory<'a>>,
}

/// What the text model makes of a clip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptScores {
    /// The axis; `None` when nothing of it could be judged.
    pub axis: Option<Score>,
    /// Its terms by name; `anchor` is the ceiling.
    pub terms: BTreeMap<String, Option<Score>>,
    /// Raw ranks and the gap of G9.
    pub relevance: Option<Relevance>,
}

/// Scores the prompt axis: weighted geometric mean of `txt_rel` and `delta_txt`, under the ceiling of `anchor`.
///
/// Without `txt_rel` there is no axis. Without `delta_txt` (the real clip does not change towards the prompt) its weight
/// goes to the other.
pub fn score_prompt(measures: &PromptMeasures<'_>, rules: &PromptRules) -> PromptScores {
    let PromptMeasures { clip, reference, given, trajectory } = *measures;
    let relevance = relevance(clip, reference, given, rules.slack);
    let score = |raw: i64, rule: TermRule| normalise(raw, rule.bad, rule.good);
    let txt_rel = relevance.as_ref().map(|relevance| score(relevance.rank, rules.txt_rel));
    let delta_txt = change(clip, reference, given, rules.least_gain).map(|raw| score(raw, rules.delta_txt));
    let ceiling = trajectory
        .and_then(|trajectory| anchor::margin(&trajectory))
        .map(|margin| anchor::ceiling(margin, &rules.anchor));
    let axis = txt_rel.and_then(|txt_rel| {
        let mut parts = vec![(txt_rel, rules.txt_rel.weight)];
        parts.extend(delta_txt.map(|score| (score, rules.delta_txt.weight)));
        geometric_mean(&parts).map(|mean| ceiling.map_or(mean, |ceiling| mean.min(ceiling)))
    });
    let terms = [("txt_rel", txt_rel), ("delta_txt", delta_txt), ("anchor", ceiling)];
    let terms = terms.into_iter().map(|(name, score)| (name.to_owned(), score)).collect();
    PromptScores { axis, terms, relevance }
}
