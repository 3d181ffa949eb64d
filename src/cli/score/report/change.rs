//! Why a scored clip passes or does not, and which term would have changed that.

use std::collections::BTreeMap;

use super::{
    page::percent,
    terms::{TermRow, rows},
};
use crate::{
    domain::{
        score::{Axes, GateId, Score, ScoreCard},
        scoring::ScoringRules,
    },
    quality::{fixed::geometric_mean, terms::overall},
};

/// Terms that are named, those that would have raised the overall score the most first.
const NAMED: usize = 3;

/// The axes by the names of the page.
pub(in crate::cli) fn axes(axes: &mut Axes) -> [(&'static str, &mut Option<Score>); 4] {
    [
        ("first frame", &mut axes.first_frame),
        ("prompt", &mut axes.prompt),
        ("temporal", &mut axes.temporal),
        ("artifacts", &mut axes.artifacts),
    ]
}

/// What decided about a card, each in a sentence of plain text, for who has no raw readings.
pub(in crate::cli) fn of_card(card: &ScoreCard, rules: &ScoringRules) -> Vec<String> {
    sentences(card, &rows(&card.terms, &BTreeMap::new(), rules), rules)
}

/// The scored terms of an axis, by the names that [`axes`] gives them.
pub(in crate::cli) fn terms_of(
    axis: &str,
    card: &ScoreCard,
    rules: &ScoringRules,
) -> BTreeMap<String, Score> {
    let rows = rows(&card.terms, &BTreeMap::new(), rules).into_iter();
    rows.filter(|row| row.axis == axis).filter_map(|row| Some((row.name, row.score?))).collect()
}

/// What decided, each in a sentence of plain text.
pub(super) fn sentences(card: &ScoreCard, rows: &[TermRow], rules: &ScoringRules) -> Vec<String> {
    let mut said = Vec::new();
    let mut read = card.axes.clone();
    let lowest = axes(&mut read).into_iter().filter_map(|(name, score)| Some(((*score)?, name))).min();
    let (least, least_axis) =
        (Score::clamped(rules.pass_overall.into()), Score::clamped(rules.pass_axis.into()));
    let above =
        |score: Score, least: Score| percent(Score::clamped(i64::from(score.get()) - i64::from(least.get())));
    match (card.passed, lowest) {
        (true, Some((score, name))) => said.push(format!(
            "It passes: overall is {} above the least, its lowest axis ({name}) {}.",
            above(card.overall, least),
            above(score, least_axis)
        )),
        _ => {
            if card.overall < least {
                said.push(format!("Overall {} is below {}.", percent(card.overall), percent(least)));
            }
            let mut read = card.axes.clone();
            for (name, score) in axes(&mut read) {
                if let Some(score) = score.filter(|score| *score < least_axis) {
                    said.push(format!(
                        "The {name} axis {} is below {}.",
                        percent(score),
                        percent(least_axis)
                    ));
                }
            }
            if card.axes.temporal.is_none() {
                said.push("Motion could not be judged, and without it nothing passes.".to_owned());
            }
        }
    }
    if let Some(reading) = card.opponents.as_ref().filter(|reading| reading.decides && !reading.beaten) {
        said.push(format!(
            "Its living quality {} does not lead the best cheat's ({:?}, {}) by {}.",
            percent(reading.living),
            reading.best,
            percent(reading.best_living),
            percent(Score::clamped(reading.margin.into()))
        ));
    }
    if card.gates.get(&GateId::G4).is_some_and(|gate| gate.fired && gate.decides) {
        let cap = Score::clamped(rules.gates.pan_zoom.cap.into());
        said.push(format!("G4 caps the temporal and prompt axes at {}.", percent(cap)));
    }
    let mut raised: Vec<(Score, &TermRow)> =
        rows.iter().filter_map(|row| Some((with_full(row, card, rows, rules)?, row))).collect();
    raised.retain(|(score, _)| *score > card.overall);
    raised.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let would = |(score, row): &(Score, &TermRow)| format!("{} {}", row.name, percent(*score));
    let named: Vec<String> = raised.iter().take(NAMED).map(would).collect();
    if !named.is_empty() {
        said.push(format!("Overall with one term alone at its good end: {}.", named.join(", ")));
    }
    said
}

/// The overall score with one term at its best; `None` where its axis is not the mean of its terms (capped, absent).
fn with_full(row: &TermRow, card: &ScoreCard, rows: &[TermRow], rules: &ScoringRules) -> Option<Score> {
    row.score?;
    let mut raised = card.axes.clone();
    let (_, axis) = axes(&mut raised).into_iter().find(|(name, _)| *name == row.axis)?;
    let before = (*axis)?;
    let near = |a: Score, b: Score| a.get().abs_diff(b.get()) <= 1;
    if !near(axis_of(rows, row.axis, None)?, before) {
        return None;
    }
    *axis = axis_of(rows, row.axis, Some(&row.name));
    Some(overall(&raised, &rules.weights))
}

/// An axis from its terms, one of them at its best; the motion amount multiplies the temporal one.
fn axis_of(rows: &[TermRow], axis: &str, best: Option<&str>) -> Option<Score> {
    let score = |row: &TermRow| if best == Some(row.name.as_str()) { Some(Score::MAX) } else { row.score };
    let of_axis = || rows.iter().filter(|row| row.axis == axis);
    let weighted = |row: &TermRow| Some((score(row)?, u32::try_from(row.rule?.2).ok()?));
    let mean = geometric_mean(&of_axis().filter_map(weighted).collect::<Vec<_>>())?;
    match of_axis().find(|row| row.name == "dyn") {
        None => Some(mean),
        Some(motion) => {
            let factor = (2 * i64::from(score(motion)?.get())).min(10_000);
            Some(Score::clamped((i64::from(mean.get()) * factor + 5_000) / 10_000))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::score::report::terms::rows,
        domain::{
            ids::Digest,
            rules::Rules,
            score::{Opponent, OpponentReading, PromptRead},
        },
        quality::terms::{RawTerms, score_terms},
    };

    fn judged(raw: &RawTerms) -> (ScoreCard, Vec<TermRow>, ScoringRules) {
        let rules = Rules::embedded().scoring;
        let scores = score_terms(raw, &rules);
        let overall = overall(&scores.axes, &rules.weights);
        let passed = scores.axes.temporal.is_some() && overall.get() >= rules.pass_overall;
        let rows = rows(&scores.terms, &raw.named().collect(), &rules);
        let card = ScoreCard {
            axes: scores.axes,
            overall,
            passed,
            terms: scores.terms,
            gates: BTreeMap::new(),
            opponents: None,
            prompt_read: PromptRead::None,
            frame_digest: Digest([0; 32]),
            score_digest: Digest([0; 32]),
            track: None,
        };
        (card, rows, rules)
    }

    /// Raw values of a clip that is good in everything.
    fn good() -> RawTerms {
        RawTerms {
            ssim0: Some(10_000),
            color0: Some(0),
            align0: Some(0),
            warp: Some(1_000),
            cut: Some(0),
            flicker: Some(0),
            jerk: Some(0),
            dynamics: Some(1_000),
            blockiness: Some(0),
            blur: Some(1_000),
            noise: Some(1_000),
            ..RawTerms::default()
        }
    }

    #[test]
    fn the_term_that_decided_is_named_with_what_it_would_have_given() {
        let (card, rows, rules) = judged(&RawTerms { blur: Some(0), ..good() });
        let said = sentences(&card, &rows, &rules);
        assert!(said[0].starts_with("Overall ") && said[0].ends_with("is below 75.00."), "{said:?}");
        assert!(
            said[1].starts_with("The artifacts axis ") && said[1].ends_with("is below 50.00."),
            "{said:?}"
        );
        assert_eq!(said[2], "Overall with one term alone at its good end: blur 100.00.");
        assert_eq!(said.len(), 3);
    }

    #[test]
    fn a_clip_that_is_no_better_than_a_cheat_is_told_which() {
        let (card, rows, rules) = judged(&good());
        let score = |value| Score::clamped(value);
        let reading = OpponentReading {
            best: Opponent::Pan,
            best_quality: score(9_900),
            best_life: score(1),
            best_living: score(4_950),
            quality: score(9_000),
            life: score(1_500),
            living: score(5_200),
            margin: 1_000,
            beaten: false,
            decides: true,
        };
        let card = ScoreCard { opponents: Some(reading), passed: false, ..card };
        let said = sentences(&card, &rows, &rules);
        assert_eq!(said, ["Its living quality 52.00 does not lead the best cheat's (Pan, 49.50) by 10.00."]);
    }

    #[test]
    fn stillness_is_told_as_motion_and_a_good_clip_by_how_far_it_passes() {
        let (card, rows, rules) = judged(&RawTerms { dynamics: Some(100), ..good() });
        let said = sentences(&card, &rows, &rules);
        assert_eq!(
            said.last().map(String::as_str),
            Some("Overall with one term alone at its good end: dyn 100.00.")
        );
        let (card, rows, rules) = judged(&good());
        assert_eq!(
            sentences(&card, &rows, &rules),
            ["It passes: overall is 25.00 above the least, its lowest axis (artifacts) 50.00."]
        );
        let (card, rows, rules) = judged(&RawTerms { dynamics: None, ..good() });
        let said = sentences(&card, &rows, &rules);
        assert!(said.iter().any(|text| text.starts_with("Motion could not be judged")), "{said:?}");
    }
}
