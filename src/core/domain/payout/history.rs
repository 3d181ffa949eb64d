//! What the window rules remember: every miner's result in every settled round.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::SettledRound;
use crate::domain::{
    commitment::Commitment,
    ids::{Digest, Hotkey, RoundId},
    outcome::{Fault, Outcome},
    roster::Precedence,
    score::Score,
};

/// How one miner fared in one round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Judgement {
    /// The clip was scored.
    Scored {
        /// Overall score.
        overall: Score,
        /// Whether it reached the thresholds.
        passed: bool,
    },
    /// A gate rejected the clip.
    Gated,
    /// No clip, by the miner's own fault.
    Forfeited,
    /// No clip or no verdict, through no fault of the miner.
    Unjudged,
}

impl Judgement {
    /// The judgement that an outcome amounts to; `None` (a ticket that never ended) is our fault.
    pub fn of(outcome: Option<&Outcome>) -> Self {
        match outcome {
            Some(Outcome::Scored { card }) => Self::Scored { overall: card.overall, passed: card.passed },
            Some(Outcome::Rejected { .. }) => Self::Gated,
            Some(Outcome::Forfeit { fault: Fault::Miner, .. }) => Self::Forfeited,
            Some(Outcome::Forfeit { .. } | Outcome::Expired { .. }) | None => Self::Unjudged,
        }
    }

    /// What the round counts in `window_strict`, 0..=10000: a gate and a forfeit count nothing, a
    /// round in which the miner went unjudged is no result.
    pub fn strict_score(self) -> Option<i64> {
        match self {
            Self::Scored { overall, .. } => Some(i64::from(overall.get())),
            Self::Gated | Self::Forfeited => Some(0),
            Self::Unjudged => None,
        }
    }

    /// Whether the clip passed, as the deployed software recorded it: a miner that sent no clip left
    /// no record at all.
    pub fn compat_pass(self) -> Option<bool> {
        match self {
            Self::Scored { passed, .. } => Some(passed),
            Self::Gated => Some(false),
            Self::Forfeited | Self::Unjudged => None,
        }
    }
}

/// One miner's row of a settled round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MinerResult {
    /// The miner.
    pub hotkey: Hotkey,
    /// What it ran: see [`model_id`].
    pub model: Digest,
    /// Order between miners.
    pub precedence: Precedence,
    /// How it fared.
    pub judgement: Judgement,
}

/// Identity of what a miner ran: revision and chute. History belongs to hotkey and model together, so
/// that a swapped model starts anew.
pub fn model_id(commitment: Option<&Commitment>) -> Digest {
    match commitment {
        Some(commitment) => {
            Digest::of_parts(&[commitment.model_revision.as_bytes(), commitment.chute_id.as_bytes()])
        }
        None => Digest::of_parts(&[]),
    }
}

/// A miner with the results of its present model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The miner.
    pub hotkey: Hotkey,
    /// Its present model.
    pub model: Digest,
    /// Order between miners, as of its newest round.
    pub precedence: Precedence,
    /// Results by round.
    pub results: BTreeMap<RoundId, Judgement>,
}

/// The rounds of a window and the candidates for payment, in order of precedence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// The window's rounds, oldest first.
    pub rounds: Vec<RoundId>,
    /// Registered miners of these rounds, the earliest first.
    pub candidates: Vec<Candidate>,
}

impl History {
    /// Gathers the newest `length` settled rounds but for the newest `skip`; order of `settled` does
    /// not matter. A miner's present model is that of the newest settled round it was in, skipped or
    /// not.
    pub fn of(settled: &[SettledRound], registered: &BTreeSet<Hotkey>, skip: usize, length: usize) -> Self {
        let by_id: BTreeMap<RoundId, &Arc<[MinerResult]>> =
            settled.iter().map(|round| (round.round, &round.results)).collect();
        let mut present: BTreeMap<Hotkey, Candidate> = BTreeMap::new();
        for row in by_id.values().rev().flat_map(|rows| rows.iter()) {
            present.entry(row.hotkey).or_insert_with(|| Candidate {
                hotkey: row.hotkey,
                model: row.model,
                precedence: row.precedence,
                results: BTreeMap::new(),
            });
        }
        let window: BTreeMap<_, _> = by_id.into_iter().rev().skip(skip).take(length).collect();
        for (round, rows) in &window {
            for row in rows.iter() {
                if let Some(candidate) = present.get_mut(&row.hotkey).filter(|known| known.model == row.model)
                {
                    candidate.results.insert(*round, row.judgement);
                }
            }
        }
        let mut candidates: Vec<_> = present
            .into_values()
            .filter(|candidate| registered.contains(&candidate.hotkey) && !candidate.results.is_empty())
            .collect();
        candidates.sort_by_key(|candidate| (candidate.precedence, candidate.hotkey));
        Self { rounds: window.into_keys().collect(), candidates }
    }
}
