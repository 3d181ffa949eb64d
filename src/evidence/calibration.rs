//! Constants from calibration clips: where each term is good, where it is bad, and the limits of gates.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    EvidenceError,
    anchor::AnchorCalibration,
    judge::{Judge, Reading, SourceCopies, TermPlace},
    ladder::{Workshop, foreign},
    limits::{
        self,
        settle::{GateCalibration, GateCheck},
    },
    plans::{LEVELS, PLANS},
    stats::median,
    windows::SourceWindow,
};
use crate::domain::scoring::{TermRule, TextRules};

/// Quality of the encode after which a real clip is good, x264's scale.
pub const GOOD_CRF: u8 = 18;
/// How far beyond the strongest damage `bad` lies, in percent of the way from `good`.
const BEYOND_PERCENT: i64 = 10;
/// The damage that a term is for; any other term takes the one that moves it most.
const DAMAGE_OF: [(&str, &str); 18] = [
    ("ssim0", "static_warp"),
    ("color0", "first_frame_colour"),
    ("align0", "first_frame_offset"),
    ("palette", "hue"),
    ("warp", "global_flicker"),
    ("cut", "cut"),
    ("flicker", "global_flicker"),
    ("jerk", "frame_order"),
    ("blockiness", "blocks"),
    ("blur", "blur"),
    ("noise", "noise"),
    ("saturation", "saturation"),
    ("hue", "hue"),
    ("exposure", "exposure_drift"),
    ("ringing", "ringing"),
    ("banding", "banding"),
    ("txt_rel", "wrong_clip"),
    ("delta_txt", "freeze_from"),
];

/// The table of the text model.
const TEXT_TABLE: &str = "text";
/// Its numbers that are no term's ends, and why they are not computed.
const TEXT_NUMBERS: [(&str, &str); 2] = [
    ("slack", "by how much ranks may err is read off real weights, of which none were seen"),
    ("least_gain", "which real clips can judge change is read off real weights, of which none were seen"),
];

/// One term's constants, computed and in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TermCalibration {
    /// The term.
    pub term: String,
    /// Key of its axis.
    pub axis: String,
    /// What is in force.
    pub in_force: TermRule,
    /// Median of clean calibration clips after one encode.
    pub good: i64,
    /// Beyond the median at the strongest level of its damage.
    pub bad: i64,
    /// The damage.
    pub damage: &'static str,
    /// Clean clips that were read.
    pub clean: usize,
    /// Damaged clips that were read.
    pub damaged: usize,
    /// Why the computed values cannot be used, if so; the ones in force stay.
    pub kept: Option<&'static str>,
}

impl TermCalibration {
    /// Farthest that a constant in force lies from the computed one, in percent of the distance between good and bad in
    /// force; 0 where the computed ones cannot be used.
    pub fn drift_percent(&self) -> u64 {
        if self.kept.is_some() {
            return 0;
        }
        let span = (self.in_force.bad - self.in_force.good).unsigned_abs().max(1);
        let off = (self.in_force.good.abs_diff(self.good)).max(self.in_force.bad.abs_diff(self.bad));
        off.saturating_mul(100) / span
    }
}

/// A constant with a good and a bad end that was not computed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Uncalibrated {
    /// Its table under `scoring`, and its name there.
    pub constant: String,
    /// Why.
    pub why: &'static str,
}

/// Everything that calibration computes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Calibration {
    /// Sources that the clips come from.
    pub sources: BTreeSet<String>,
    /// Windows of them.
    pub windows: usize,
    /// Generated clips beside them.
    pub generated: usize,
    /// All terms of the rules that could be read.
    pub terms: Vec<TermCalibration>,
    /// The ends of `anchor`, by rules with networks.
    pub anchor: Option<AnchorCalibration>,
    /// Constants of the rules that no clip could say anything about.
    pub uncalibrated: Vec<Uncalibrated>,
    /// The limits of the gates.
    pub gates: Vec<GateCalibration>,
    /// What the gates do to the clips that their limits lie between.
    pub checks: Vec<GateCheck>,
}

/// Clips that calibration reads.
pub struct Clips<'a> {
    /// Windows of calibration sources.
    pub windows: &'a [SourceWindow],
    /// Generated clips that are taken for good ones, each its own reference.
    pub generated: &'a [SourceWindow],
}

impl Calibration {
    /// Number of clips that [`Calibration::of`] reads.
    pub fn steps(clips: &Clips) -> usize {
        clips.windows.len() * (1 + PLANS.len()) + clips.generated.len() + limits::clips::count(clips)
    }

    /// Computes all constants. `progress` hears every clip that was read.
    ///
    /// # Errors
    /// When we fail.
    pub async fn of(
        clips: &Clips<'_>,
        judge: &Judge,
        workshop: &Workshop,
        mut progress: impl FnMut(),
    ) -> Result<Self, EvidenceError> {
        let mut clean = Vec::new();
        for window in clips.windows.iter().chain(clips.generated) {
            let clip = workshop.encoded(&window.reference, GOOD_CRF).await?;
            clean.push(tokio::task::block_in_place(|| judge.read(window, &clip, SourceCopies::Allowed))?);
            progress();
        }
        let mut damaged: BTreeMap<&'static str, Vec<Reading>> = BTreeMap::new();
        for (place, window) in clips.windows.iter().enumerate() {
            let other = foreign(clips.windows, place);
            for plan in &PLANS {
                let clip = workshop.damaged(plan.damage, window, &other, LEVELS).await?;
                let read = tokio::task::block_in_place(|| judge.read(window, &clip, SourceCopies::Allowed))?;
                damaged.entry(plan.damage.name()).or_default().push(read);
                progress();
            }
        }
        let frames = judge.rules().request.frames as usize;
        let measured = limits::clips::measured(clips, workshop, frames, progress).await?;
        let (gates, checks) =
            tokio::task::block_in_place(|| limits::settle::settle(&measured, judge.rules()));
        let terms = terms(judge, &clean, &damaged);
        let anchor = tokio::task::block_in_place(|| AnchorCalibration::of(clips.windows, judge))?;
        Ok(Self {
            sources: clips.windows.iter().map(|window| window.source.clone()).collect(),
            windows: clips.windows.len(),
            generated: clips.generated.len(),
            uncalibrated: uncalibrated(judge.terms(), judge.rules().scoring.text.as_ref(), &terms),
            terms,
            anchor,
            gates,
            checks,
        })
    }

    /// The names of what lies farther than `percent` from what was computed: terms, and limits with their table.
    pub fn drifted(&self, percent: u64) -> Vec<String> {
        let terms = self.terms.iter().filter(|term| term.drift_percent() > percent);
        let anchor = self.anchor.iter().filter(|anchor| anchor.drift_percent() > percent);
        let gates = self.gates.iter().filter(|limit| limit.drift_percent() > percent);
        let scored = terms.map(|term| term.term.clone()).chain(anchor.map(|_| "anchor".to_owned()));
        scored.chain(gates.map(GateCalibration::name)).collect()
    }
}

fn values(readings: &[Reading], term: &str) -> Vec<i64> {
    readings.iter().filter_map(|reading| reading.raw.get(term).copied()).collect()
}

fn terms(
    judge: &Judge,
    clean: &[Reading],
    damaged: &BTreeMap<&'static str, Vec<Reading>>,
) -> Vec<TermCalibration> {
    let worst = |term: &str, damage: &str| median(&values(damaged.get(damage)?, term));
    let of = |term: &str| {
        let place = judge.terms().get(term)?;
        let good = values(clean, term);
        let middle = median(&good)?;
        let direction = (place.rule.bad - place.rule.good).signum();
        let named = DAMAGE_OF.iter().find(|(name, _)| *name == term).map(|(_, damage)| *damage);
        let most = || {
            damaged.keys().copied().max_by_key(|damage| worst(term, damage).map(|w| (w - middle) * direction))
        };
        let damage = damaged.keys().copied().find(|damage| Some(*damage) == named).or_else(most)?;
        let strongest = worst(term, damage)?;
        let reach = strongest - middle;
        // No raw value lies below zero.
        let bad = (strongest + reach * BEYOND_PERCENT / 100).max(0);
        let kept = match reach * direction {
            ..=0 => Some("the damage does not move the term"),
            _ => None,
        };
        Some(TermCalibration {
            term: term.to_owned(),
            axis: place.axis.clone(),
            in_force: place.rule,
            good: middle,
            bad,
            damage,
            clean: good.len(),
            damaged: values(&damaged[damage], term).len(),
            kept,
        })
    };
    judge.terms().keys().filter_map(|term| of(term)).collect()
}

/// What the rules have and no clip could tell: terms that were not read, and the text model's other numbers.
fn uncalibrated(
    all: &BTreeMap<String, TermPlace>,
    text: Option<&TextRules>,
    found: &[TermCalibration],
) -> Vec<Uncalibrated> {
    let unread = |(name, place): (&String, &TermPlace)| {
        let read = found.iter().any(|term| term.term == *name);
        let why = "no calibration clip has a reading of it";
        (!read).then(|| Uncalibrated { constant: format!("{}.{name}", place.axis), why })
    };
    let text = text
        .into_iter()
        .flat_map(|_| TEXT_NUMBERS)
        .map(|(name, why)| Uncalibrated { constant: format!("{TEXT_TABLE}.{name}"), why });
    all.iter().filter_map(unread).chain(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::Rules;

    fn reading(blur: i64) -> Reading {
        Reading {
            raw: [("blur", blur)].into(),
            scores: BTreeMap::new(),
            axes: crate::domain::score::Axes::default(),
            gate: None,
            fired: Vec::new(),
            gates: BTreeMap::new(),
            overall: 0,
            passed: false,
        }
    }

    #[test]
    fn terms_take_the_median_of_clean_clips_and_lie_beyond_their_damage() {
        let judge = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        let clean = [990, 1000, 980].map(reading);
        let damaged = [("blur", vec![reading(190), reading(90)]), ("noise", vec![reading(2000)])].into();
        let found = terms(&judge, &clean, &damaged);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].good, found[0].bad, found[0].kept), (990, 0, None));
        // Damage that makes the term better is no damage to it.
        let better = [("blur", vec![reading(2000)])].into();
        assert!(terms(&judge, &clean, &better)[0].kept.is_some());
    }

    #[test]
    fn what_was_not_read_is_said() {
        let judge = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        let found = terms(&judge, &[reading(990)], &[("blur", vec![reading(190)])].into());
        let names = |all: Vec<Uncalibrated>| all.into_iter().map(|one| one.constant).collect::<Vec<_>>();
        let rest = names(uncalibrated(judge.terms(), None, &found));
        assert_eq!(rest.len(), judge.terms().len() - 1);
        assert!(rest.iter().any(|one| one == "temporal.warp"), "{rest:?}");
        assert!(!rest.iter().any(|one| one == "artifacts.blur" || one.starts_with("text.")), "{rest:?}");
        let (digest, ends) = ("0".repeat(64), "{ bad = 0, good = 600, weight = 50 }");
        let table = format!(
            "model = {{ weights = '{digest}', tokens = '{digest}', answers = '{digest}' }}\nslack = 250\nleast_gain = 400\n\
             txt_rel = {ends}\ndelta_txt = {ends}\ncamera_weight = 50\nanchor = {{ bad = 620, good = 760, ceiling = 3000 }}"
        );
        let text: TextRules = toml::from_str(&table).expect("a table");
        let place = |rule: TermRule| TermPlace { axis: "text".to_owned(), rule };
        let places =
            [("txt_rel", text.txt_rel), ("delta_txt", text.delta_txt)].map(|(n, r)| (n.to_owned(), place(r)));
        let rest = names(uncalibrated(&places.into(), Some(&text), &found));
        assert_eq!(
            rest,
            ["text.delta_txt", "text.txt_rel", "text.slack", "text.least_gain"],
            "every number of the text model is accounted for"
        );
    }

    #[test]
    fn drift_is_told_in_percent_of_the_span() {
        let place = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        let place = place.terms()["warp"].clone();
        let span = place.rule.bad - place.rule.good;
        let term = TermCalibration {
            term: "warp".to_owned(),
            axis: place.axis,
            in_force: place.rule,
            good: place.rule.good,
            bad: place.rule.bad + span * 3 / 10,
            damage: "global_flicker",
            clean: 3,
            damaged: 3,
            kept: None,
        };
        assert_eq!(term.drift_percent(), 30);
        let kept = TermCalibration { kept: Some("the damage does not move the term"), ..term };
        assert_eq!(kept.drift_percent(), 0);
    }
}
