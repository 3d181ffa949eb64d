//! The prompt axis from its terms.

use std::collections::BTreeMap;

use super::{
    anchor,
    change::change,
    likelihood::Likelihoods,
    relevance::{Relevance, relevance},
};
use crate::{
    domain::{
        score::Score,
        scoring::{TermRule, TextRules},
    },
    quality::fixed::{geometric_mean, normalise},
};

/// Likelihoods of the three clips that belong to a verdict.
#[derive(Clone, Copy, Debug)]
pub struct PromptMeasures<'a> {
    /// The miner's clip at the sampled frames.
    pub clip: &'a Likelihoods,
    /// The real clip at the same frames.
    pub reference: &'a Likelihoods,
    /// The given frame in the views of every sample: parts lie elsewhere in each.
    pub given: &'a Likelihoods,
    /// Cosines of the clip's frames with the real clip's at the same times, in 1/1024.
    pub alike: &'a [i64],
}

/// What the text model makes of a clip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptScores {
    /// The axis; `None` when nothing of it could be judged.
    pub axis: Option<Score>,
    /// Its terms by name; `anchor` is the ceiling.
    pub terms: BTreeMap<String, Option<Score>>,
    /// Raw values of the terms that could be read, by name.
    pub raw: BTreeMap<&'static str, i64>,
    /// Raw ranks and the gap of G9.
    pub relevance: Option<Relevance>,
}

/// Scores the prompt axis: weighted geometric mean of `txt_rel` and `delta_txt`, under the ceiling of `anchor`.
///
/// Without `txt_rel` there is no axis. Without `delta_txt` (the real clip does not change towards the prompt) its weight
/// goes to the other.
pub fn score_prompt(measures: &PromptMeasures<'_>, rules: &TextRules) -> PromptScores {
    let PromptMeasures { clip, reference, given, alike } = *measures;
    let relevance = relevance(clip, reference, given, rules.slack);
    let score = |raw: i64, rule: TermRule| normalise(raw, rule.bad, rule.good);
    let rank = relevance.as_ref().map(|relevance| relevance.rank);
    let credit = change(clip, reference, given, rules.least_gain);
    let nearness = anchor::nearness(alike);
    let txt_rel = rank.map(|rank| score(rank, rules.txt_rel));
    let delta_txt = credit.map(|credit| score(credit, rules.delta_txt));
    let ceiling = nearness.map(|nearness| anchor::ceiling(nearness, &rules.anchor));
    let axis = txt_rel.and_then(|txt_rel| {
        let mut parts = vec![(txt_rel, rules.txt_rel.weight)];
        parts.extend(delta_txt.map(|score| (score, rules.delta_txt.weight)));
        geometric_mean(&parts).map(|mean| ceiling.map_or(mean, |ceiling| mean.min(ceiling)))
    });
    let terms = [("txt_rel", txt_rel), ("delta_txt", delta_txt), ("anchor", ceiling)];
    let terms = terms.into_iter().map(|(name, score)| (name.to_owned(), score)).collect();
    let raw = [("txt_rel", rank), ("delta_txt", credit), ("anchor", nearness)];
    let raw = raw.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    PromptScores { axis, terms, raw, relevance }
}
