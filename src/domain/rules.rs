//! `rules.toml`: everything that can be set and can change a verdict, in one digested file.

use serde::{Deserialize, Serialize};

use super::{ids::Digest, plan::ClipSpec};

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
    /// Who is paid.
    pub payout: PayoutRules,
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
}

/// The payout rules of the tournament.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutRule {
    /// The miner that won most of the rounds settled since the last epoch.
    Round,
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
    /// SHA-256 of the rules' canonical JSON.
    pub digest: Digest,
}
