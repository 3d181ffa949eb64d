//! Constants from calibration clips: where each term is good, where it is bad, and what gates read of clean clips.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::{
    EvidenceError,
    judge::{Judge, Reading, SourceCopies},
    ladder::{Workshop, foreign},
    plans::{LEVELS, PLANS},
    stats::median,
    windows::SourceWindow,
};
use crate::domain::{
    rules::{Rules, RulesError},
    score::GateId,
    scoring::TermRule,
};

/// Quality of the encode after which a real clip is good, x264's scale.
pub const GOOD_CRF: u8 = 18;
/// How far beyond the strongest damage `bad` lies, in percent of the way from `good`.
const BEYOND_PERCENT: i64 = 10;
/// The damage that a term is for; any other term takes the one that moves it most.
const DAMAGE_OF: [(&str, &str); 16] = [
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

/// What a gate read of clean clips.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GateRange {
    /// The gate.
    pub gate: GateId,
    /// Its number.
    pub number: String,
    /// Smallest reading.
    pub least: i64,
    /// Largest reading.
    pub most: i64,
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
    /// Readings of gates on clean clips: a limit must lie beyond them.
    pub gates: Vec<GateRange>,
    /// Clean clips on which a gate fired, advisory or not.
    pub fired: BTreeMap<GateId, usize>,
}

/// Clips that calibration reads.
pub struct Clips<'a> {
    /// Windows of calibration sources.
    pub windows: &'a [SourceWindow],
    /// Generated clips that are taken for good ones, each its own reference.
    pub generated: &'a [SourceWindow],
}

impl Calibration {
    /// Number of clips that [`Calibration::of`] judges.
    pub fn steps(clips: &Clips) -> usize {
        clips.windows.len() * (1 + PLANS.len()) + clips.generated.len()
    }

    /// Computes all constants. `progress` hears every clip that was judged.
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
        Ok(Self {
            sources: clips.windows.iter().map(|window| window.source.clone()).collect(),
            windows: clips.windows.len(),
            generated: clips.generated.len(),
            terms: terms(judge, &clean, &damaged),
            gates: gate_ranges(&clean),
            fired: fired(&clean),
        })
    }

    /// The terms whose constants lie farther than `percent` from the computed ones.
    pub fn drifted(&self, percent: u64) -> Vec<&TermCalibration> {
        self.terms.iter().filter(|term| term.drift_percent() > percent).collect()
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

/// Whether a gate's number tells of the clip, not of what it was given, asked or compared with.
fn is_of_the_clip(number: &str) -> bool {
    !["reference_", "given_", "asked"].iter().any(|other| number.starts_with(other)) && number != "pairs"
}

fn gate_ranges(clean: &[Reading]) -> Vec<GateRange> {
    let mut ranges: BTreeMap<(GateId, &str), (i64, i64)> = BTreeMap::new();
    for (gate, reading) in clean.iter().flat_map(|reading| &reading.gates) {
        for (number, value) in reading.numbers.iter().filter(|(number, _)| is_of_the_clip(number)) {
            let range = ranges.entry((*gate, number)).or_insert((*value, *value));
            *range = (range.0.min(*value), range.1.max(*value));
        }
    }
    let range = |((gate, number), (least, most)): ((GateId, &str), (i64, i64))| GateRange {
        gate,
        number: number.to_owned(),
        least,
        most,
    };
    ranges.into_iter().map(range).collect()
}

fn fired(clean: &[Reading]) -> BTreeMap<GateId, usize> {
    let mut fired = BTreeMap::new();
    clean.iter().flat_map(|reading| &reading.fired).for_each(|gate| *fired.entry(*gate).or_insert(0) += 1);
    fired
}

/// Why a rules file could not be written anew.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Not TOML.
    #[error("the rules file is not TOML: {0}")]
    Parse(#[from] toml::de::Error),
    /// A term that the rules have and their file does not spell out.
    #[error("the rules file has no [scoring.{axis}] {term} with good and bad")]
    Missing {
        /// Key of the axis.
        axis: String,
        /// The term.
        term: String,
    },
    /// The new values are no rules.
    #[error("the computed constants are no rules: {0}")]
    Rules(#[from] RulesError),
}

/// First words of the comments that this writes; older ones of a file are replaced.
const MARK: &str = "# calibrated: ";

/// The rules file with computed constants in place of its own, everything else as it was, comments included. Above each
/// changed term a comment says where its numbers come from; `provenance` stands at the head.
///
/// # Errors
/// See [`RewriteError`].
pub fn rewritten(text: &str, calibration: &Calibration, provenance: &str) -> Result<String, RewriteError> {
    let text: String =
        text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with(MARK)).collect();
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    {
        let parsed = DeTable::parse(&text)?;
        for term in &calibration.terms {
            let missing = || RewriteError::Missing { axis: term.axis.clone(), term: term.term.clone() };
            let entry = entry(parsed.get_ref(), &["scoring", &term.axis, &term.term]).ok_or_else(missing)?;
            let place = |key: &str| entry.get(key).map(toml::Spanned::span);
            let (good, bad) = place("good").zip(place("bad")).ok_or_else(missing)?;
            let line = text[..good.start.min(bad.start)].rfind('\n').map_or(0, |end| end + 1);
            edits.push((line..line, format!("{MARK}{}\n", origin(term))));
            if term.kept.is_none() {
                edits.push((good, term.good.to_string()));
                edits.push((bad, term.bad.to_string()));
            }
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    let mut text = text;
    edits.into_iter().for_each(|(range, new)| text.replace_range(range, &new));
    let mut head: String = provenance.lines().map(|line| format!("{MARK}{line}\n")).collect();
    for range in &calibration.gates {
        head += &format!(
            "{MARK}{} {}: {}..{} on clean clips\n",
            range.gate, range.number, range.least, range.most
        );
    }
    let text = head + &text;
    Rules::parse(&text)?;
    Ok(text)
}

fn origin(term: &TermCalibration) -> String {
    match term.kept {
        Some(why) => format!("{} kept, {why} ({})", term.term, term.damage),
        None => format!(
            "{}: good the median of {} clean clips, bad beyond the median of {} at the strongest {}",
            term.term, term.clean, term.damaged, term.damage
        ),
    }
}

fn entry<'a, 'i>(table: &'a DeTable<'i>, path: &[&str]) -> Option<&'a DeTable<'i>> {
    path.iter().try_fold(table, |table, key| match table.get(*key)?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::EMBEDDED_RULES;

    fn calibration(term: &str, good: i64, bad: i64, kept: Option<&'static str>) -> Calibration {
        let judge = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        let place = judge.terms()[term].clone();
        let term = TermCalibration {
            term: term.to_owned(),
            axis: place.axis,
            in_force: place.rule,
            good,
            bad,
            damage: "blur",
            clean: 3,
            damaged: 3,
            kept,
        };
        let gates = vec![GateRange { gate: GateId::G2, number: "longest_run".to_owned(), least: 0, most: 3 }];
        Calibration {
            sources: ["a.mp4".to_owned()].into(),
            windows: 1,
            generated: 0,
            terms: vec![term],
            gates,
            fired: BTreeMap::new(),
        }
    }

    #[test]
    fn a_rules_file_keeps_its_comments_and_gets_the_new_numbers() {
        let computed = calibration("blur", 971, 123, None);
        let text = rewritten(EMBEDDED_RULES, &computed, "corpus abc\nby leoma").expect("rules");
        let rules = Rules::parse(&text).expect("rules");
        let mut wanted = Rules::embedded();
        (wanted.scoring.artifacts.blur.good, wanted.scoring.artifacts.blur.bad) = (971, 123);
        assert_eq!(rules, wanted);
        assert!(text.starts_with(
            "# calibrated: corpus abc\n# calibrated: by leoma\n# calibrated: G2 longest_run: 0..3"
        ));
        for line in EMBEDDED_RULES.lines().filter(|line| !line.starts_with("blur = ")) {
            assert!(text.contains(line), "{line}");
        }
        let blur = text.lines().find(|line| line.starts_with("blur = ")).expect("the term");
        assert!(blur.contains("bad = 123, good = 971") && blur.contains("# 1/1000"), "{blur}");
        // Once more over its own result: comments of the run before are replaced.
        let again =
            rewritten(&text, &calibration("blur", 971, 123, None), "corpus abc\nby leoma").expect("rules");
        assert_eq!(again, text);
    }

    #[test]
    fn constants_that_cannot_be_used_stay_and_drift_is_told_in_percent_of_the_span() {
        let kept = calibration("blur", 5, 6, Some("the damage does not move the term"));
        let rules = Rules::parse(&rewritten(EMBEDDED_RULES, &kept, "x").expect("rules")).expect("rules");
        assert_eq!(rules, Rules::embedded());
        assert!(kept.drifted(0).is_empty());
        let rule = Rules::embedded().scoring.temporal.warp;
        let span = rule.bad - rule.good;
        let moved = calibration("warp", rule.good, rule.bad + span * 3 / 10, None);
        assert_eq!(moved.terms[0].drift_percent(), 30);
        assert_eq!((moved.drifted(29).len(), moved.drifted(30).len()), (1, 0));
    }

    #[test]
    fn terms_take_the_median_of_clean_clips_and_lie_beyond_their_damage() {
        let reading = |blur: i64| Reading {
            raw: [("blur", blur)].into(),
            scores: BTreeMap::new(),
            axes: crate::domain::score::Axes::default(),
            gate: None,
            fired: vec![GateId::G2],
            gates: BTreeMap::new(),
            overall: 0,
            passed: false,
        };
        let judge = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        let clean = [990, 1000, 980].map(reading);
        let damaged = [("blur", vec![reading(190), reading(90)]), ("noise", vec![reading(2000)])].into();
        let found = terms(&judge, &clean, &damaged);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].good, found[0].bad, found[0].kept), (990, 0, None));
        // Damage that makes the term better is no damage to it.
        let better = [("blur", vec![reading(2000)])].into();
        assert!(terms(&judge, &clean, &better)[0].kept.is_some());
        assert_eq!(fired(&clean), [(GateId::G2, 3)].into());
    }
}
