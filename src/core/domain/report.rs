//! A round as operators and reports see it: the whole outcome table in plain data.

use serde::{Deserialize, Serialize};

use super::{
    event::{Timings, VoidReason},
    ids::{BlockNumber, BlockRef, Digest, Hotkey, RoundId, Uid},
    outcome::Fault,
    round::{Phase, QuestionReport, Round},
    score::Axes,
};

/// One miner's row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MinerRow {
    /// Slot at the anchor block.
    pub uid: Uid,
    /// The miner.
    pub hotkey: Hotkey,
    /// `open`, `scored`, `rejected`, `forfeit` or `expired`.
    pub outcome: String,
    /// Who is to blame; absent for a scored or open ticket.
    pub fault: Option<Fault>,
    /// Why; empty for a scored or open ticket.
    pub reason: String,
    /// The axes of a scored clip.
    pub axes: Axes,
    /// Overall score of a scored clip.
    pub overall: Option<u16>,
    /// Whether a scored clip reached the thresholds.
    pub passed: Option<bool>,
    /// Digest of the score card.
    pub score_digest: Option<Digest>,
    /// SHA-256 of the file that the miner sent.
    pub file: Option<Digest>,
    /// Where the time went.
    pub timings: Timings,
}

/// One round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoundReport {
    /// The round.
    pub round: RoundId,
    /// `open`, `closed` or `void`.
    pub phase: String,
    /// First block, where the round was planned.
    pub anchor: Option<BlockRef>,
    /// Block at which it ended.
    pub ended_at: Option<BlockNumber>,
    /// Who won.
    pub winner: Option<Hotkey>,
    /// Why it counts for nobody.
    pub void: Option<VoidReason>,
    /// Corpus key of the source clip.
    pub clip: Option<String>,
    /// The prompt.
    pub prompt: Option<String>,
    /// Digest of the rules in force.
    pub rules_digest: Option<Digest>,
    /// Digest of the corpus manifest.
    pub corpus_digest: Option<Digest>,
    /// One row for every miner of the roster, by uid.
    pub miners: Vec<MinerRow>,
    /// Miners with the same clip (G8), group by group in the order of precedence.
    #[serde(default)]
    pub copies: Vec<Vec<Hotkey>>,
    /// What they were asked again.
    #[serde(default)]
    pub questions: Vec<QuestionReport>,
}

impl RoundReport {
    /// The report of a round as it stands.
    pub fn of(id: RoundId, round: &Round) -> Self {
        let (phase, ended_at, winner, void) = match &round.phase {
            Phase::Open => ("open", None, None, None),
            Phase::Closed { at, winner } => ("closed", Some(*at), *winner, None),
            Phase::Void { at, reason } => ("void", Some(*at), None, Some(reason.clone())),
        };
        let plan = round.plan.as_deref();
        Self {
            round: id,
            phase: phase.into(),
            anchor: plan.map(|plan| plan.anchor),
            ended_at,
            winner,
            void,
            clip: plan.map(|plan| plan.clip.key.clone()),
            prompt: plan.map(|plan| plan.clip.prompt.clone()),
            rules_digest: plan.map(|plan| plan.rules_digest),
            corpus_digest: plan.map(|plan| plan.corpus_digest),
            miners: rows(round),
            copies: round.copy_groups(),
            questions: round.questions(),
        }
    }
}

fn rows(round: &Round) -> Vec<MinerRow> {
    let outcomes = round.final_outcomes();
    let roster = round.plan.as_ref().map_or(&[][..], |plan| &plan.roster);
    let mut rows: Vec<_> = roster
        .iter()
        .map(|entry| {
            let outcome = outcomes.get(&entry.hotkey);
            let card = outcome.and_then(|outcome| outcome.card());
            let ticket = round.tickets.get(&entry.hotkey);
            MinerRow {
                uid: entry.uid,
                hotkey: entry.hotkey,
                outcome: outcome.map_or("open", |outcome| outcome.kind()).into(),
                fault: outcome.and_then(|outcome| outcome.fault()),
                reason: outcome.map(|outcome| outcome.reason()).unwrap_or_default(),
                axes: card.map(|card| card.axes.clone()).unwrap_or_default(),
                overall: card.map(|card| card.overall.get()),
                passed: card.map(|card| card.passed),
                score_digest: card.map(|card| card.score_digest),
                file: ticket.and_then(|ticket| Some(ticket.file.as_ref()?.sha256)),
                timings: ticket.map(|ticket| ticket.timings).unwrap_or_default(),
            }
        })
        .collect();
    rows.sort_by_key(|row| row.uid);
    rows
}
