//! The rounds as operators see them: the newest reports, readable without asking an actor.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::domain::{
    ids::{BlockRef, RoundId},
    report::RoundReport,
    round::ROUNDS_IN_MEMORY,
};

/// The newest rounds' reports.
#[derive(Default)]
pub struct RoundsBook {
    rounds: RwLock<BTreeMap<RoundId, Arc<RoundReport>>>,
    paid: RwLock<Option<(RoundId, BlockRef)>>,
}

impl RoundsBook {
    /// Adds or replaces a round; the oldest leaves when there are too many.
    pub fn put(&self, report: RoundReport) {
        let mut rounds = self.rounds.write().unwrap_or_else(PoisonError::into_inner);
        rounds.insert(report.round, Arc::new(report));
        while rounds.len() > ROUNDS_IN_MEMORY {
            rounds.pop_first();
        }
    }

    /// Notes the newest round that landed weights rest on, and where they were read back.
    pub fn set_paid(&self, round: RoundId, seen_at: BlockRef) {
        *self.paid.write().unwrap_or_else(PoisonError::into_inner) = Some((round, seen_at));
    }

    /// The newest round that landed weights rest on, and where they were read back.
    pub fn paid(&self) -> Option<(RoundId, BlockRef)> {
        *self.paid.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// One round.
    pub fn get(&self, round: RoundId) -> Option<Arc<RoundReport>> {
        self.rounds.read().unwrap_or_else(PoisonError::into_inner).get(&round).cloned()
    }

    /// The newest rounds, newest first.
    pub fn newest(&self, limit: usize) -> Vec<Arc<RoundReport>> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        rounds.values().rev().take(limit).cloned().collect()
    }
}
