//! The terms of a verdict with everything that made them: raw reading, limits, weight, score.

use std::collections::BTreeMap;

use crate::{
    domain::{rules::Rules, score::Score, scoring::ScoringRules},
    quality::{
        embeddings::{Likeness, ModelReading},
        frame::Yuv420Clip,
        measure::ClipMeasures,
        terms::{FirstFrameMeasures, RawTerms},
        verdict::camera_reading,
    },
};

/// One term as the page shows it.
pub(super) struct TermRow {
    /// Its name.
    pub(super) name: String,
    /// The axis it belongs to, as the rules group it.
    pub(super) axis: &'static str,
    /// Raw reading in the unit of the rules.
    pub(super) raw: Option<i64>,
    /// `bad`, `good` and weight of the rules; `None` for a term with a curve of its own.
    pub(super) rule: Option<(i64, i64, u64)>,
    /// The score.
    pub(super) score: Option<Score>,
    /// What it reads and in which unit.
    pub(super) meaning: &'static str,
}

/// Axes in the order of the page: key in the rules, name.
const AXES: [(&str, &str); 4] = [
    ("first_frame", "first frame"),
    ("prompt", "prompt"),
    ("temporal", "temporal"),
    ("artifacts", "artifacts"),
];

/// The rows of a scored clip, grouped by axis.
pub(super) fn rows(
    scores: &BTreeMap<String, Option<Score>>,
    raw: &BTreeMap<&'static str, Option<i64>>,
    rules: &ScoringRules,
) -> Vec<TermRow> {
    // By the names of the rules file, so that a new term needs no line here to be shown.
    let rules = serde_json::to_value(rules).unwrap_or_default();
    let row = |(name, score): (&String, &Option<Score>)| {
        let found = AXES.into_iter().find_map(|(key, axis)| Some((axis, rules.get(key)?.get(name)?)));
        let number = |term: &serde_json::Value, key: &str| term.get(key).and_then(serde_json::Value::as_i64);
        TermRow {
            axis: found.map_or(axis_of_curve(name), |(axis, _)| axis),
            raw: raw.get(name.as_str()).copied().flatten(),
            rule: found.and_then(|(_, term)| {
                Some((number(term, "bad")?, number(term, "good")?, term.get("weight")?.as_u64()?))
            }),
            score: *score,
            meaning: meaning(name),
            name: name.clone(),
        }
    };
    let mut rows: Vec<TermRow> = scores.iter().map(row).collect();
    rows.sort_by_key(|row| AXES.iter().position(|(_, axis)| *axis == row.axis).unwrap_or(AXES.len()));
    rows
}

/// The axis of a term that stands outside the axes' tables.
fn axis_of_curve(name: &str) -> &'static str {
    if name == "dyn" { "temporal" } else { "" }
}

/// Raw readings by term name, computed by the CPU twins; what networks read is given.
pub(super) fn raw(
    (first_frame, clip): (&Yuv420Clip, &Yuv420Clip),
    measures: (&ClipMeasures, Option<&ClipMeasures>),
    models: (Option<&ModelReading>, Option<&Likeness>),
    (prompt, rules): (&str, &Rules),
) -> BTreeMap<&'static str, Option<i64>> {
    let first = FirstFrameMeasures::of(first_frame, clip);
    let mut raw = RawTerms::of(&first, measures.0, measures.1, &rules.scoring.dynamics);
    raw.camera = camera_reading(prompt, rules, measures.0, measures.1);
    raw.with_models(models.0, models.1).named().collect()
}

fn meaning(name: &str) -> &'static str {
    match name {
        "ssim0" => "SSIM of the given and the returned first frame, 1/10000",
        "color0" => "colour distance of the first frames, 1/64 level",
        "align0" => "shift of the first frame at its corners, 1/8 pixel",
        "warp" => "error after motion compensation against the reference's, 1/1000",
        "cut" => "pixels that a step loses beyond the reference's, 1/1000",
        "flicker" => "brightness that pumps along the motion beyond the reference's, 1/256 level",
        "jerk" => "acceleration of the motion beyond the reference's, 1/1000 of the motion",
        "dyn" => "motion beyond layers against the reference's, 1/1000",
        "blockiness" => "grid lines beyond first frame and reference, 1/1024 of mean gradient",
        "blur" => "detail at half size against the reference's, 1/1000",
        "noise" => "detail at full size against the reference's, 1/1000",
        "palette" => "drift of the colours from the given frame's beyond the reference's, 1/10000",
        "clipping" => "black and white pixels beyond first frame and reference, 1/10000",
        "saturation" => "drift of the saturation beyond the reference's, 1/1000",
        "hue" => "drift of the hues beyond the reference's, 1/100 degree",
        "exposure" => "drift of the mean brightness beyond the reference's, 1/256 level",
        "ringing" => "oscillation beside edges beyond first frame and reference, 1/64 level",
        "banding" => "steps between flat regions beyond first frame and reference, 1/1000",
        "temporal_noise" => "change of still ground along the motion beyond the reference's, 1/256 level",
        "checker" => "pattern of a locked period beyond first frame and reference, 1/64 level",
        "lpips0" => "perceptual distance of the first frames, 1/1024",
        "id_drift" => "likeness of later frames to the given one, of the reference's, 1/1000",
        "drift" => "least likeness of frames 2 to 80 apart, of the reference's, 1/1000",
        "structure" => "deformation by the motion against the reference's, 1/1000",
        "camera" => "what the camera does of what the prompt asks of it, 1/1000",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::Rules;

    #[test]
    fn terms_are_grouped_by_axis_with_the_limits_of_the_rules() {
        let rules = Rules::embedded().scoring;
        let scores = ["blur", "dyn", "later", "ssim0", "warp"].map(|name| (name.to_owned(), None)).into();
        let rows = rows(&scores, &BTreeMap::from([("warp", Some(900))]), &rules);
        let shown: Vec<_> = rows.iter().map(|row| (row.axis, row.name.as_str(), row.raw)).collect();
        let wanted = [
            ("first frame", "ssim0", None),
            ("temporal", "dyn", None),
            ("temporal", "warp", Some(900)),
            ("artifacts", "blur", None),
            ("", "later", None),
        ];
        assert_eq!(shown, wanted);
        let warp = &rules.temporal.warp;
        assert_eq!(rows[2].rule, Some((warp.bad, warp.good, u64::from(warp.weight))));
        assert_eq!(rows[1].rule, None);
    }

    #[test]
    fn every_term_of_the_embedded_rules_has_a_meaning() {
        let rules = serde_json::to_value(Rules::embedded().scoring).expect("JSON");
        for axis in ["first_frame", "prompt", "temporal", "artifacts"] {
            for name in rules[axis].as_object().expect("a table").keys() {
                assert!(!meaning(name).is_empty(), "{name}");
            }
        }
    }
}
