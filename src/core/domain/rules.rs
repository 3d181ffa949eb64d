//! `rules.toml`: everything that can be set and can change a verdict, in one digested file.

use serde::{Deserialize, Serialize};

use super::{ids::Digest, plan::ClipSpec, scoring::*};

/// The rules as read from `rules.toml`; unknown keys are refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Version of this file's schema.
    pub version: u32,
    /// When rounds start and end.
    pub schedule: ScheduleRules,
    /// What miners are asked for.
    pub request: ClipSpec,
    /// What is read of an answer and spent on it.
    pub limits: LimitRules,
    /// Who is paid.
    pub payout: PayoutRules,
    /// How a clip is judged.
    pub scoring: ScoringRules,
}

/// The schema version that this build reads.
pub const RULES_VERSION: u32 = 1;

/// Largest magnitude of a raw value in a term or gate rule.
const LARGEST_RAW: i64 = 1 << 40;
/// Largest weight.
const LARGEST_WEIGHT: u32 = 10_000;

impl Rules {
    /// Reads and checks a rules file.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let rules: Rules = toml::from_str(text)?;
        rules.check()?;
        Ok(rules)
    }

    /// The rules that this build carries (`config/rules.toml`).
    ///
    /// # Panics
    /// Never: the file is compiled in, and a test reads it.
    pub fn embedded() -> Self {
        #[allow(clippy::expect_used)]
        Self::parse(EMBEDDED_RULES).expect("config/rules.toml is checked by a test")
    }

    /// The same rules without embedding models and text model: the terms that rest on them are `null`, the digest is another one.
    pub fn without_models(mut self) -> Self {
        (self.scoring.models, self.scoring.text) = (None, None);
        self
    }

    /// Checks every value's range and the values against each other; reports the first that is wrong.
    pub fn check(&self) -> Result<(), RulesError> {
        ensure(self.version == RULES_VERSION, "version", || {
            format!("{} is not {RULES_VERSION}, the schema that this build reads", self.version)
        })?;
        self.schedule.check()?;
        check_request(&self.request)?;
        self.limits.check()?;
        check_payout(&self.payout)?;
        check_scoring(&self.scoring)
    }
}

/// Text of the embedded rules file.
pub const EMBEDDED_RULES: &str = include_str!("../../../config/rules.toml");

fn ensure(holds: bool, field: &'static str, problem: impl FnOnce() -> String) -> Result<(), RulesError> {
    if holds { Ok(()) } else { Err(RulesError::Invalid { field, problem: problem() }) }
}

fn at_most(field: &'static str, value: i64, low: i64, high: i64) -> Result<(), RulesError> {
    ensure((low..=high).contains(&value), field, || format!("{value} lies outside {low}..={high}"))
}

impl ScheduleRules {
    fn check(&self) -> Result<(), RulesError> {
        let (answer, settle, interval) =
            (self.answer_within_blocks, self.settle_within_blocks, self.round_interval_blocks);
        ensure((2..=1_000_000).contains(&interval), "schedule.round_interval_blocks", || {
            format!("{interval} lies outside 2..=1000000")
        })?;
        ensure(answer >= 1 && answer < settle, "schedule.answer_within_blocks", || {
            format!("{answer} must be at least 1 and less than settle_within_blocks ({settle})")
        })?;
        ensure(settle <= interval, "schedule.settle_within_blocks", || {
            format!("{settle} must not exceed round_interval_blocks ({interval}): rounds would overlap")
        })
    }
}

impl LimitRules {
    fn check(&self) -> Result<(), RulesError> {
        at_most("limits.answer_bytes", self.answer_bytes.into(), 1 << 16, 1 << 30)?;
        at_most("limits.answer_seconds", self.answer_seconds.into(), 1, 3_600)?;
        at_most("limits.decode_seconds", self.decode_seconds.into(), 1, 600)?;
        at_most("limits.decode_memory_mib", self.decode_memory_mib.into(), 128, 16_384)
    }
}

fn check_payout(payout: &PayoutRules) -> Result<(), RulesError> {
    at_most("payout.tie_band", payout.tie_band.into(), 0, 10_000)?;
    let strict = &payout.strict;
    // Rounds in memory, two of which the deployed ranking leaves out.
    at_most("payout.strict.window", strict.window.into(), 1, 198)?;
    at_most("payout.strict.min_pairs", strict.min_pairs.into(), 2, strict.window.into())?;
    at_most("payout.strict.coverage_percent", strict.coverage_percent.into(), 1, 100)?;
    at_most("payout.strict.margin", strict.margin.into(), 0, 10_000)?;
    at_most("payout.strict.level_ppm", strict.level_ppm.into(), 1, 500_000)?;
    at_most("payout.strict.challengers", strict.challengers.into(), 1, 4_096)?;
    at_most("payout.strict.resamples", strict.resamples.into(), 100, 100_000)?;
    ensure(super::payout::strict::bound_rank(strict) >= 1, "payout.strict.resamples", || {
        format!(
            "{} resamples cannot tell a level of {} ppm over {} challengers: resamples * level_ppm must reach \
             1000000 * challengers",
            strict.resamples, strict.level_ppm, strict.challengers
        )
    })
}

fn check_request(spec: &ClipSpec) -> Result<(), RulesError> {
    at_most("request.frames", spec.frames.into(), 3, 1_000)?;
    at_most("request.fps", spec.fps.into(), 1, 120)?;
    for (field, side) in [("request.width", spec.width), ("request.height", spec.height)] {
        at_most(field, side.into(), 32, 4_096)?;
        ensure(side % 2 == 0, field, || format!("{side} is odd: 4:2:0 chroma needs an even side"))?;
    }
    Ok(())
}

fn check_scoring(scoring: &ScoringRules) -> Result<(), RulesError> {
    at_most("scoring.pass_overall", scoring.pass_overall.into(), 1, 10_000)?;
    at_most("scoring.pass_axis", scoring.pass_axis.into(), 1, 10_000)?;
    let w = &scoring.weights;
    let axes = [w.first_frame, w.prompt, w.temporal, w.artifacts];
    check_weights("scoring.weights", &axes)?;
    ensure(w.temporal > 0, "scoring.weights.temporal", || "must not be zero: stillness would win".into())?;
    let (f, t, a) = (&scoring.first_frame, &scoring.temporal, &scoring.artifacts);
    check_terms("scoring.first_frame", &[f.ssim0, f.color0, f.align0, f.palette, f.lpips0, f.id_drift])?;
    check_terms("scoring.temporal", &[t.warp, t.cut, t.flicker, t.jerk, t.drift])?;
    let looks = [
        a.clipping,
        a.saturation,
        a.hue,
        a.exposure,
        a.ringing,
        a.banding,
        a.checker,
        a.temporal_noise,
        a.structure,
    ];
    check_terms("scoring.artifacts", &[&[a.blockiness, a.blur, a.noise], &looks[..]].concat())?;
    check_terms("scoring.prompt", &[scoring.prompt.camera])?;
    at_most("scoring.camera.movement", scoring.camera.movement, 2, 10_000)?;
    at_most("scoring.camera.least", scoring.camera.least, 1, 1_000)?;
    check_dynamics(&scoring.dynamics)?;
    let o = &scoring.opponents;
    at_most("scoring.opponents.margin", o.margin.into(), 0, 10_000)?;
    at_most("scoring.opponents.still_share", o.still_share, 0, 1_000)?;
    at_most("scoring.opponents.frames", o.frames.into(), 3, 1_000)?;
    scoring.text.as_ref().map_or(Ok(()), |text| check_text(text, scoring.models.is_some()))?;
    check_gates(&scoring.gates)
}

fn check_text(text: &TextRules, with_models: bool) -> Result<(), RulesError> {
    ensure(with_models, "scoring.text", || "needs [scoring.models] beside it".into())?;
    check_terms("scoring.text", &[text.txt_rel, text.delta_txt])?;
    at_most("scoring.text.slack", text.slack, 0, 10_000)?;
    at_most("scoring.text.least_gain", text.least_gain, 1, 10_000)?;
    at_most("scoring.text.camera_weight", text.camera_weight.into(), 0, LARGEST_WEIGHT.into())?;
    let AnchorRule { bad, good, ceiling } = text.anchor;
    at_most("scoring.text.anchor.bad", bad, -1_024, 1_023)?;
    at_most("scoring.text.anchor.good", good, bad + 1, 1_024)?;
    at_most("scoring.text.anchor.ceiling", ceiling.into(), 1, 10_000)
}

fn check_weights(field: &'static str, weights: &[u32]) -> Result<(), RulesError> {
    ensure(weights.iter().all(|&w| w <= LARGEST_WEIGHT), field, || {
        format!("a weight exceeds {LARGEST_WEIGHT}")
    })?;
    ensure(weights.iter().any(|&w| w > 0), field, || "all weights are zero".into())
}

fn check_terms(field: &'static str, terms: &[TermRule]) -> Result<(), RulesError> {
    for term in terms {
        at_most(field, term.bad, -LARGEST_RAW, LARGEST_RAW)?;
        at_most(field, term.good, -LARGEST_RAW, LARGEST_RAW)?;
        ensure(term.bad != term.good, field, || format!("bad and good are both {}", term.bad))?;
    }
    check_weights(field, &terms.iter().map(|term| term.weight).collect::<Vec<_>>())
}

fn check_dynamics(d: &DynamicsRule) -> Result<(), RulesError> {
    let ordered = 1 <= d.zero_below
        && d.zero_below < d.full_from
        && d.full_from <= d.full_to
        && d.full_to < d.zero_above
        && d.zero_above <= 1_000_000;
    ensure(ordered, "scoring.dynamics", || {
        "needs 1 <= zero_below < full_from <= full_to < zero_above <= 1000000".into()
    })?;
    at_most("scoring.dynamics.min_reference_residual", d.min_reference_residual, 1, LARGEST_RAW)
}

fn check_gates(gates: &GateRules) -> Result<(), RulesError> {
    let g = &gates.freeze;
    at_most("scoring.gates.freeze.noise_mean", g.noise_mean, 1, 255 * 256)?;
    at_most("scoring.gates.freeze.noise_block", g.noise_block, 1, 255 * 256)?;
    at_most("scoring.gates.freeze.longest_run", g.longest_run.into(), 1, 1_000)?;
    at_most("scoring.gates.freeze.still_pairs", g.still_pairs.into(), 1, 1_000)?;
    at_most("scoring.gates.freeze.residual", g.residual, 0, 1_000)?;
    at_most("scoring.gates.freeze.excess_still", g.excess_still, 1, 1_000)?;
    at_most("scoring.gates.freeze.cycle", g.cycle, 1, 1_000)?;
    at_most("scoring.gates.pan_zoom.explained", gates.pan_zoom.explained, 1, 1_000)?;
    at_most("scoring.gates.pan_zoom.residual", gates.pan_zoom.residual, 0, 1_000)?;
    at_most("scoring.gates.pan_zoom.cap", gates.pan_zoom.cap.into(), 1, 10_000)?;
    at_most("scoring.gates.border.thickness", gates.border.thickness.into(), 1, 4_096)?;
    at_most("scoring.gates.overlay.strokes", gates.overlay.strokes, 1, LARGEST_RAW)?;
    at_most("scoring.gates.spectrum.share", gates.spectrum.share, 1, 10_000)?;
    at_most("scoring.gates.spectrum.of_given", gates.spectrum.of_given, 1, 1_000)?;
    at_most("scoring.gates.spectrum.of_given_alone", gates.spectrum.of_given_alone, 0, 1_000)?;
    at_most("scoring.gates.spectrum.blocks", gates.spectrum.blocks, 1, LARGEST_RAW)?;
    check_clip_gates(gates)
}

fn check_clip_gates(gates: &GateRules) -> Result<(), RulesError> {
    let GateRules { shimmer: s, recurrence: r, crossfade: c, source_copy: p, .. } = gates;
    at_most("scoring.gates.shimmer.share", s.share, 1, 1_000)?;
    at_most("scoring.gates.shimmer.change", s.change, 1, 1_000)?;
    at_most("scoring.gates.shimmer.min_reference_share", s.min_reference_share, 1, 1_000)?;
    at_most("scoring.gates.recurrence.shortest_lag", r.shortest_lag.into(), 8, 1_000)?;
    at_most("scoring.gates.recurrence.ratio", r.ratio, 1, 1_000)?;
    at_most("scoring.gates.recurrence.of_reference", r.of_reference, 1, 1_000)?;
    at_most("scoring.gates.crossfade.change", c.change, 1, 510 * 256)?;
    at_most("scoring.gates.crossfade.of_reference", c.of_reference, 0, 10_000)?;
    at_most("scoring.gates.crossfade.residual", c.residual, 1, 1_000)?;
    at_most("scoring.gates.crossfade.reversal", c.reversal, 0, 1_000)?;
    at_most("scoring.gates.crossfade.unexplained", c.unexplained, 0, 1_000)?;
    at_most("scoring.gates.source_copy.from_frame", p.from_frame.into(), 1, 1_000)?;
    at_most("scoring.gates.source_copy.reach", p.reach.into(), 0, 64)?;
    at_most("scoring.gates.source_copy.unlike", p.unlike, 1, 1_000)?;
    at_most("scoring.gates.source_copy.distance", p.distance, 1, 510 * 256)?;
    at_most("scoring.gates.source_copy.hash", p.hash, 0, 64_000)?;
    at_most("scoring.gates.copy.unlike", gates.copy.unlike, 1, 1_000)?;
    at_most("scoring.gates.copy.unlike_long", gates.copy.unlike_long, 1, 1_000)?;
    at_most("scoring.gates.copy.change", gates.copy.change, 1, 255 * 256)?;
    // Their changes stay in memory: 6 KB a clip.
    at_most("scoring.gates.copy.rounds", gates.copy.rounds.into(), 0, 64)
}

/// When rounds start and end, in blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRules {
    /// `round = block / round_interval_blocks`.
    pub round_interval_blocks: u64,
    /// Blocks after the anchor by which a miner must have answered.
    pub answer_within_blocks: u64,
    /// Blocks after the anchor by which every ticket settles.
    pub settle_within_blocks: u64,
    /// First block at which these rules are in force: before it no round is opened and no weights are
    /// set under them, so that all validators change over together. Zero for from the beginning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub active_from_block: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is read of an answer and spent on it. These are rules, not settings of an operator: with other
/// values another validator would reject what this one scores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRules {
    /// Largest answer that is read from a miner, in bytes.
    pub answer_bytes: u32,
    /// Longest time that one request may take; the answer block usually ends it earlier.
    pub answer_seconds: u32,
    /// Longest time that decoding one file may take before its child process is killed.
    pub decode_seconds: u32,
    /// Address space of a child process that decodes one file, in MiB.
    pub decode_memory_mib: u32,
}

/// Who is paid at an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayoutRules {
    /// Which payout rule.
    pub rule: PayoutRule,
    /// Overall scores at most this far apart are a tie, which goes to the earlier miner.
    pub tie_band: u16,
    /// A round is void when more than this share of the miners that were asked went unjudged
    /// through no fault of their own.
    pub void_above_unjudged_percent: u8,
    /// Settings of the rule `window_strict`.
    pub strict: StrictRules,
}

/// The rule `window_strict`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrictRules {
    /// Settled rounds of the window.
    pub window: u16,
    /// Least number of rounds in which challenger and champion both have results.
    pub min_pairs: u16,
    /// Share of the window's rounds in which a miner must have results, in percent.
    pub coverage_percent: u8,
    /// Mean lead that a challenger must be shown to exceed, in 1/10000.
    pub margin: u16,
    /// Chance over all challenges of a window that a challenger which leads by no more than the margin is let
    /// through, in millionths.
    pub level_ppm: u32,
    /// Challenges among which that chance is divided: a constant, not a count, so that nobody's presence
    /// changes the level at which another is tested.
    pub challengers: u16,
    /// Resamples of the bootstrap.
    pub resamples: u32,
}

/// The payout rules of the tournament.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutRule {
    /// The miner that won most of the rounds settled since the last epoch.
    Round,
    /// The champion of a chain of paired challenges over a window of rounds.
    WindowStrict,
    /// The ranking of the deployed software over a window of rounds, flaws included.
    WindowCompat,
}

/// Why a rules file was refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not TOML, an unknown key or a wrong type.
    #[error("rules file: {0}")]
    Parse(#[from] toml::de::Error),
    /// Values that contradict each other.
    #[error("rules file: {field}: {problem}")]
    Invalid {
        /// Dotted name of the value.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Rules together with the digest that names them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActiveRules {
    /// The rules.
    pub rules: Rules,
    /// SHA-256 of the rules' canonical JSON and the kernels' self-test digests; made by
    /// `ActiveRules::parse`, which stands beside the kernels (`quality::active`).
    pub digest: Digest,
}
