//! Raw values of the terms, their normalisation, and the axes they make.

use std::collections::BTreeMap;

use crate::domain::{
    score::{Axes, Score},
    scoring::{AxisWeights, DynamicsRule, ScoringRules, TermRule},
};

use super::{
    blockiness::{GridSums, grid_sums},
    camera::CameraReading,
    color_distance::color_distance,
    detail::laplacian_energy,
    embeddings::{self, Likeness, ModelReading},
    fixed::{self, geometric_mean, normalise, scale},
    frame::Yuv420Clip,
    layers::fit_layers,
    looks::{self, FrameLooks},
    measure::ClipMeasures,
    motion::{LumaPyramid, MotionField, motion_field},
    ssim::{SSIM_BITS, ssim},
    temporal,
};

/// Added to Laplacian energies before a ratio is taken: 8 squared levels a pixel.
const DETAIL_FLOOR: i64 = 8 * 256;
/// Added to residual motion before a ratio is taken: 1/64 of a pixel in one block of ten.
const RESIDUAL_FLOOR: i64 = 10;

/// How the returned first frame compares with the given one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstFrameMeasures {
    /// SSIM of luma in 1/10000, `None` below 11 pixels.
    pub ssim: Option<i64>,
    /// Mean colour distance in 1/64 level, `None` below 8 pixels.
    pub color: Option<i64>,
    /// Largest corner displacement in 1/8 pixel.
    pub shift: i64,
    /// Blockiness of the given frame.
    pub blockiness: i64,
    /// Half-size Laplacian energy of the given frame, in 1/256 squared level a pixel.
    pub half_detail: i64,
    /// Full-size Laplacian energy of the given frame, in 1/256 squared level a pixel.
    pub detail: i64,
    /// How the given frame looks.
    pub looks: FrameLooks,
}

impl FirstFrameMeasures {
    /// Compares frame 0 of `given` with frame 0 of `clip`; both have one size.
    pub fn of(given: &Yuv420Clip, clip: &Yuv420Clip) -> Self {
        let (width, height) = (given.width(), given.height());
        let (c, v) = (given.frame(0), clip.frame(0));
        let (from, to) = (LumaPyramid::new(c.y, width, height), LumaPyramid::new(v.y, width, height));
        let half = from.half_pixels();
        Self::of_sums(FirstFrameSums {
            width,
            height,
            ssim: ssim(c.y, v.y, width, height),
            color: color_distance(&c, &v, width, height),
            field: motion_field(&from, &to),
            grid: grid_sums(c.y, width, height),
            half_detail: laplacian_energy(&half, from.half().width(), from.half().height()),
            detail: laplacian_energy(c.y, width, height),
            looks: FrameLooks::of(&c, width, height),
        })
    }

    /// Puts the sums of two first frames into measures; equal sums give equal measures, whoever took them.
    pub fn of_sums(sums: FirstFrameSums) -> Self {
        let (width, height) = (sums.width, sums.height);
        let energy = |sum: u64, pixels: usize| scale(sum as i64, 256, pixels as i64);
        let global = fit_layers(&sums.field).first().copied().unwrap_or_default();
        Self {
            ssim: sums.ssim.map(|q| scale(q, 10_000, 1 << SSIM_BITS)),
            color: sums.color,
            shift: global.largest(sums.field.columns, sums.field.rows),
            blockiness: sums.grid.blockiness(),
            half_detail: energy(sums.half_detail, width.div_ceil(2) * height.div_ceil(2)),
            detail: energy(sums.detail, width * height),
            looks: sums.looks,
        }
    }
}

/// Sums of the given first frame and the returned one, as kernels give them on any device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstFrameSums {
    /// Width of the luma planes.
    pub width: usize,
    /// Height of the luma planes.
    pub height: usize,
    /// SSIM in Q20, `None` below 11 pixels.
    pub ssim: Option<i64>,
    /// Mean colour distance in 1/64 level, `None` below 8 pixels.
    pub color: Option<i64>,
    /// Motion of the given frame to the returned one.
    pub field: MotionField,
    /// Grid sums of the given frame.
    pub grid: GridSums,
    /// Laplacian energy of the given frame's half-size plane.
    pub half_detail: u64,
    /// Laplacian energy of the given frame.
    pub detail: u64,
    /// How the given frame looks.
    pub looks: FrameLooks,
}

/// Raw values of all terms in the units of `ScoringRules`; `None` where nothing can be judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)] // the names are the terms'; docs/scoring.md and `ScoringRules` describe them
pub struct RawTerms {
    pub ssim0: Option<i64>,
    pub color0: Option<i64>,
    pub align0: Option<i64>,
    pub warp: Option<i64>,
    pub cut: Option<i64>,
    pub flicker: Option<i64>,
    pub jerk: Option<i64>,
    /// Residual motion against the reference's, in 1/1000.
    pub dynamics: Option<i64>,
    pub blockiness: Option<i64>,
    pub blur: Option<i64>,
    pub noise: Option<i64>,
    pub palette: Option<i64>,
    /// With the next two filled in by who has networks.
    pub lpips0: Option<i64>,
    pub id_drift: Option<i64>,
    pub drift: Option<i64>,
    pub clipping: Option<i64>,
    pub saturation: Option<i64>,
    pub hue: Option<i64>,
    pub exposure: Option<i64>,
    pub ringing: Option<i64>,
    pub banding: Option<i64>,
    pub checker: Option<i64>,
    pub temporal_noise: Option<i64>,
    pub structure: Option<i64>,
    /// What the camera does of what the prompt asks; filled in by who knows the prompt.
    pub camera: Option<CameraReading>,
}

impl RawTerms {
    /// Every raw value by its term's name on a score card.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, Option<i64>)> {
        [
            ("ssim0", self.ssim0),
            ("color0", self.color0),
            ("align0", self.align0),
            ("warp", self.warp),
            ("cut", self.cut),
            ("flicker", self.flicker),
            ("jerk", self.jerk),
            ("dyn", self.dynamics),
            ("blockiness", self.blockiness),
            ("blur", self.blur),
            ("noise", self.noise),
            ("palette", self.palette),
            ("lpips0", self.lpips0),
            ("id_drift", self.id_drift),
            ("drift", self.drift),
            ("clipping", self.clipping),
            ("saturation", self.saturation),
            ("hue", self.hue),
            ("exposure", self.exposure),
            ("ringing", self.ringing),
            ("banding", self.banding),
            ("checker", self.checker),
            ("temporal_noise", self.temporal_noise),
            ("structure", self.structure),
            ("camera", self.camera.map(|camera| camera.agreement)),
        ]
        .into_iter()
    }

    /// Sets a clip's measures against its first frame and, where there is one, the reference.
    pub fn of(
        first: &FirstFrameMeasures,
        clip: &ClipMeasures,
        reference: Option<&ClipMeasures>,
        rule: &DynamicsRule,
    ) -> Self {
        let budget =
            |given: i64, of_reference: fn(&ClipMeasures) -> i64| reference.map_or(given, of_reference);
        let ratio = |value: i64, budget: i64, floor: i64| scale(value + floor, 1000, budget + floor);
        let beyond = |term: fn(&temporal::FlowMeasures) -> i64| {
            reference.map(|r| (term(&clip.flow) - term(&r.flow)).max(0))
        };
        let drifts = |term: fn(&looks::Looks, &FrameLooks, &looks::Looks) -> i64| {
            reference.map(|r| term(&clip.looks, &first.looks, &r.looks))
        };
        let exceeds = |term: fn(&looks::Looks, &FrameLooks, Option<&looks::Looks>) -> i64| {
            Some(term(&clip.looks, &first.looks, reference.map(|r| &r.looks)))
        };
        let grid = first.blockiness.max(reference.map_or(0, |r| r.blockiness));
        Self {
            ssim0: first.ssim,
            color0: first.color,
            align0: Some(first.shift),
            warp: reference.map(|r| temporal::terms::warp(&clip.flow, &r.flow)),
            cut: beyond(temporal::terms::cut),
            flicker: beyond(temporal::terms::flicker),
            jerk: beyond(temporal::terms::jerk),
            dynamics: reference.and_then(|r| residual_ratio(clip, r, rule)),
            blockiness: Some((clip.blockiness - grid).max(0)),
            blur: Some(ratio(clip.half_detail, budget(first.half_detail, |r| r.half_detail), DETAIL_FLOOR)),
            noise: Some(ratio(clip.detail, budget(first.detail, |r| r.detail), DETAIL_FLOOR)),
            palette: drifts(looks::terms::palette),
            clipping: exceeds(looks::terms::clipping),
            saturation: drifts(looks::terms::saturation),
            hue: drifts(looks::terms::hue),
            exposure: drifts(looks::terms::exposure),
            ringing: exceeds(looks::terms::ringing),
            banding: exceeds(looks::terms::banding),
            checker: exceeds(looks::terms::checker),
            temporal_noise: beyond(temporal::terms::temporal_noise),
            structure: reference.map(|r| temporal::terms::structure(&clip.flow, &r.flow)),
            ..Self::default()
        }
    }

    /// With the terms that rest on what networks read of the clip and, where there is one, of the reference.
    pub fn with_models(self, clip: Option<&ModelReading>, reference: Option<&Likeness>) -> Self {
        let Some(clip) = clip else { return self };
        let beside = |term: fn(&Likeness, &Likeness) -> Option<i64>| term(&clip.likeness, reference?);
        Self {
            lpips0: Some(clip.distance),
            id_drift: beside(embeddings::id_drift),
            drift: beside(embeddings::drift),
            ..self
        }
    }
}

/// Whether a reference moves enough, beyond pans and layers, to judge the motion of a clip against it.
pub fn can_judge_motion(reference: &ClipMeasures, rule: &DynamicsRule) -> bool {
    reference.layer_residual() >= rule.min_reference_residual
}

/// Residual motion of `clip` against `reference` in 1/1000, `None` when the reference has too little.
pub fn residual_ratio(clip: &ClipMeasures, reference: &ClipMeasures, rule: &DynamicsRule) -> Option<i64> {
    can_judge_motion(reference, rule).then(|| {
        scale(clip.layer_residual() + RESIDUAL_FLOOR, 1000, reference.layer_residual() + RESIDUAL_FLOOR)
    })
}

/// Score of a motion ratio: 10000 inside the full range, 0 outside the zero points, linear in the
/// logarithm of the ratio between.
pub fn dynamics_score(ratio: i64, rule: &DynamicsRule) -> Score {
    let ratio = ratio.clamp(0, 1_000_000) as u32;
    let ramp = |zero: u32, full: u32| {
        let (low, high) = (fixed::log2(zero), fixed::log2(full));
        Score::clamped(
            scale(fixed::log2(ratio) - low, 10_000, 1).div_euclid((high - low).signum())
                / (high - low).abs().max(1),
        )
    };
    match ratio {
        r if r <= rule.zero_below || r >= rule.zero_above => Score::ZERO,
        r if r < rule.full_from => ramp(rule.zero_below, rule.full_from),
        r if r <= rule.full_to => Score::MAX,
        _ => ramp(rule.zero_above, rule.full_to),
    }
}

/// Scores of all terms by name and the axes they make, before any cap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TermScores {
    /// Every term; `None` where it could not be judged.
    pub terms: BTreeMap<String, Option<Score>>,
    /// The axes.
    pub axes: Axes,
    /// Temporal consistency: the temporal axis without its multiplier.
    pub consistency: Option<Score>,
}

/// Normalises raw values and combines them: each axis is the weighted geometric mean of its terms; the
/// temporal one is multiplied by twice the motion amount, at most one, and does not exist without it.
pub fn score_terms(raw: &RawTerms, rules: &ScoringRules) -> TermScores {
    let (f, t, a) = (&rules.first_frame, &rules.temporal, &rules.artifacts);
    let mut terms = BTreeMap::new();
    let first_frame = axis(
        &mut terms,
        &[
            ("ssim0", raw.ssim0, f.ssim0),
            ("color0", raw.color0, f.color0),
            ("align0", raw.align0, f.align0),
            ("palette", raw.palette, f.palette),
            ("lpips0", raw.lpips0, f.lpips0),
            ("id_drift", raw.id_drift, f.id_drift),
        ],
    );
    let consistency = axis(
        &mut terms,
        &[
            ("warp", raw.warp, t.warp),
            ("cut", raw.cut, t.cut),
            ("flicker", raw.flicker, t.flicker),
            ("jerk", raw.jerk, t.jerk),
            ("drift", raw.drift, t.drift),
        ],
    );
    let artifacts = axis(
        &mut terms,
        &[
            ("blockiness", raw.blockiness, a.blockiness),
            ("blur", raw.blur, a.blur),
            ("noise", raw.noise, a.noise),
            ("clipping", raw.clipping, a.clipping),
            ("saturation", raw.saturation, a.saturation),
            ("hue", raw.hue, a.hue),
            ("exposure", raw.exposure, a.exposure),
            ("ringing", raw.ringing, a.ringing),
            ("banding", raw.banding, a.banding),
            ("checker", raw.checker, a.checker),
            ("temporal_noise", raw.temporal_noise, a.temporal_noise),
            ("structure", raw.structure, a.structure),
        ],
    );
    let motion = raw.dynamics.map(|ratio| dynamics_score(ratio, &rules.dynamics));
    terms.insert("dyn".to_owned(), motion);
    let alive = |score: Score, motion: Score| {
        let factor = (2 * i64::from(motion.get())).min(10_000);
        Score::clamped(scale(i64::from(score.get()), factor, 10_000))
    };
    let temporal = consistency.zip(motion).map(|(mean, motion)| alive(mean, motion));
    let camera = raw.camera.and_then(|reading| {
        let score = normalise(reading.agreement, rules.prompt.camera.bad, rules.prompt.camera.good);
        if reading.still { motion.map(|motion| alive(score, motion)) } else { Some(score) }
    });
    terms.insert("camera".to_owned(), camera);
    let prompt = camera.filter(|_| rules.prompt.camera.weight > 0);
    TermScores { terms, axes: Axes { first_frame, prompt, temporal, artifacts }, consistency }
}

fn axis(
    terms: &mut BTreeMap<String, Option<Score>>,
    parts: &[(&str, Option<i64>, TermRule)],
) -> Option<Score> {
    let mut scores = Vec::with_capacity(parts.len());
    for &(name, raw, rule) in parts {
        let score = raw.map(|raw| normalise(raw, rule.bad, rule.good));
        terms.insert(name.to_owned(), score);
        scores.extend(score.map(|score| (score, rule.weight)));
    }
    geometric_mean(&scores)
}

/// Weighted geometric mean of the axes that exist; zero when none does.
pub fn overall(axes: &Axes, weights: &AxisWeights) -> Score {
    let parts: Vec<(Score, u32)> = [
        (axes.first_frame, weights.first_frame),
        (axes.prompt, weights.prompt),
        (axes.temporal, weights.temporal),
        (axes.artifacts, weights.artifacts),
    ]
    .into_iter()
    .filter_map(|(score, weight)| Some((score?, weight)))
    .collect();
    geometric_mean(&parts).unwrap_or(Score::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::Rules;
    use proptest::prelude::*;

    #[test]
    fn motion_amount_is_full_within_a_factor_of_two_and_nothing_at_eight() {
        let rule = Rules::embedded().scoring.dynamics;
        for (ratio, want) in [
            (0, 0),
            (125, 0),
            (250, 5_000),
            (500, 10_000),
            (1_000, 10_000),
            (2_000, 10_000),
            (4_000, 5_000),
            (8_000, 0),
            (i64::MAX, 0),
        ] {
            let got = i64::from(dynamics_score(ratio, &rule).get());
            assert!((got - want).abs() <= 1, "{ratio}: {got} instead of {want}");
        }
    }

    #[test]
    fn stillness_takes_the_temporal_axis_whatever_the_other_terms_say() {
        let rules = Rules::embedded().scoring;
        let perfect = RawTerms {
            warp: Some(0),
            cut: Some(0),
            flicker: Some(0),
            jerk: Some(0),
            dynamics: Some(1_000),
            ..RawTerms::default()
        };
        assert_eq!(score_terms(&perfect, &rules).axes.temporal, Some(Score::MAX));
        let still = RawTerms { dynamics: Some(10), ..perfect };
        assert_eq!(score_terms(&still, &rules).axes.temporal, Some(Score::ZERO));
        let unknown = RawTerms { dynamics: None, ..perfect };
        assert_eq!(score_terms(&unknown, &rules).axes.temporal, None);
    }

    #[test]
    fn every_term_of_a_card_has_its_raw_value_by_name() {
        let scores = score_terms(&RawTerms::default(), &Rules::embedded().scoring);
        let mut named: Vec<&str> = RawTerms::default().named().map(|(name, _)| name).collect();
        named.sort_unstable();
        assert!(scores.terms.keys().map(String::as_str).eq(named), "{:?}", scores.terms.keys());
    }

    #[test]
    fn an_absent_axis_leaves_its_weight_to_the_others() {
        let weights = Rules::embedded().scoring.weights;
        let score = |v| Some(Score::clamped(v));
        let axes =
            Axes { first_frame: score(6_000), prompt: None, temporal: score(6_000), artifacts: score(6_000) };
        assert_eq!(overall(&axes, &weights), Score::clamped(6_000));
        assert_eq!(overall(&Axes::default(), &weights), Score::ZERO);
    }

    proptest! {
        #[test]
        fn motion_amount_rises_then_falls(a in 0i64..20_000, b in 0i64..20_000) {
            let rule = Rules::embedded().scoring.dynamics;
            let (low, high) = (a.min(b), a.max(b));
            let (at_low, at_high) = (dynamics_score(low, &rule), dynamics_score(high, &rule));
            if high <= i64::from(rule.full_to) {
                prop_assert!(at_low <= at_high);
            }
            if low >= i64::from(rule.full_from) {
                prop_assert!(at_low >= at_high);
            }
        }
    }
}
