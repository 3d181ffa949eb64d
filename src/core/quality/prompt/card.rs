//! Puts the text axis into a score card.

use super::axis::PromptScores;
use crate::{
    domain::{
        score::{GateId, PromptRead, Score, ScoreCard},
        scoring::{ScoringRules, TextRules},
    },
    quality::{canonical, fixed::geometric_mean, terms, verdict::passes},
};

/// The card of a clip whose prompt was read by a text model: the axis joins what camera words gave, gate G4 caps it as any
/// prompt axis, and overall score, pass and digest are made anew. Without a text axis the card stays as it is, but for
/// the terms that say so.
pub fn join(card: ScoreCard, scores: &PromptScores, prompt: &TextRules, rules: &ScoringRules) -> ScoreCard {
    let mut card = card;
    card.terms.extend(scores.terms.clone());
    if let Some(text) = scores.axis {
        let text_weight = prompt.txt_rel.weight + prompt.delta_txt.weight;
        let mut parts = vec![(text, text_weight)];
        parts.extend(card.axes.prompt.map(|camera| (camera, prompt.camera_weight)));
        let capped = card.gates.get(&GateId::G4).is_some_and(|gate| gate.fired && gate.decides);
        let ceiling = if capped { Score::clamped(rules.gates.pan_zoom.cap.into()) } else { Score::MAX };
        card.axes.prompt = geometric_mean(&parts).map(|axis| axis.min(ceiling));
        card.prompt_read = PromptRead::Text;
    }
    card.overall = terms::overall(&card.axes, &rules.weights);
    card.passed = passes(&card.axes, card.overall, card.opponents.as_ref(), rules);
    card.score_digest = canonical::score_digest(&card);
    card
}
