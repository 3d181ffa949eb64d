//! What the journal knows of payment: the decision under way, commits that wait for their reveal,
//! and what was seen on chain last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    event::{PayTarget, WeightsIntent},
    ids::{BlockNumber, BlockRef, RoundId},
    round::ApplyError,
};

/// A commit that the chain holds and has not revealed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingReveal {
    /// The decision that it hides.
    pub intent: WeightsIntent,
    /// Block that holds the commit.
    pub committed_at: BlockNumber,
    /// Epoch in which the chain reveals it.
    pub reveal_epoch: u64,
}

/// Weights that the chain showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paid {
    /// Who was paid.
    pub target: PayTarget,
    /// Newest round that the decision rested on.
    pub round: RoundId,
    /// Where the weights were read.
    pub seen_at: BlockRef,
}

/// Everything about payment that the events add up to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payments {
    open: Option<WeightsIntent>,
    pending: BTreeMap<u64, PendingReveal>,
    last: Option<Paid>,
    known_update: BlockNumber,
}

impl Payments {
    /// The decision whose end is not known.
    pub fn open(&self) -> Option<&WeightsIntent> {
        self.open.as_ref()
    }

    /// Commits that wait for their reveal, by the epoch that holds them. A later commit of the same
    /// epoch stands for the earlier ones, because it is revealed over them.
    pub fn pending(&self) -> &BTreeMap<u64, PendingReveal> {
        &self.pending
    }

    /// What the chain showed last.
    pub fn last(&self) -> Option<&Paid> {
        self.last.as_ref()
    }

    /// The newest decision that is on chain, be it revealed or not: target and round. Of one round the
    /// commit counts, as it is revealed over what stands there; weights that were set in the open while an
    /// older commit waits are newer than that.
    pub fn newest(&self) -> Option<(PayTarget, RoundId)> {
        let committed = self.pending.values().next_back().map(|pending| &pending.intent);
        let committed = committed.map(|intent| (intent.target, intent.round));
        let shown = self.last.as_ref().map(|paid| (paid.target, paid.round));
        match (committed, shown) {
            (Some((_, older)), Some((_, newer))) if newer > older => shown,
            (Some(_), _) => committed,
            (None, _) => shown,
        }
    }

    /// The highest `LastUpdate` of our hotkey that we caused or the operator vouched for; a later one
    /// on chain is another instance's.
    pub fn known_update(&self) -> BlockNumber {
        self.known_update
    }

    /// The highest block that the chain is known to have reached: a view of an earlier one is stale.
    pub fn known_block(&self) -> BlockNumber {
        let pending = self.pending.values().map(|pending| pending.committed_at);
        let open = self.open.iter().map(|intent| intent.decided_at.number);
        let shown = self.last.iter().map(|paid| paid.seen_at.number);
        pending.chain(open).chain(shown).fold(self.known_update, BlockNumber::max)
    }

    /// A decision is about to be submitted.
    pub(super) fn intend(&mut self, intent: &WeightsIntent) -> Result<(), ApplyError> {
        if self.open.is_some() {
            return Err(ApplyError::IntentOpen);
        }
        if let Some((_, newest)) = self.newest().filter(|(_, newest)| intent.round < *newest) {
            return Err(ApplyError::OlderDecision { round: intent.round, newest });
        }
        self.open = Some(intent.clone());
        Ok(())
    }

    /// The open decision's commit was seen on chain.
    pub(super) fn commit(&mut self, place: &CommitPlace) -> Result<(), ApplyError> {
        let intent = self.open.take().ok_or(ApplyError::NoIntent)?;
        self.known(place.committed_at);
        let reveal =
            PendingReveal { intent, committed_at: place.committed_at, reveal_epoch: place.reveal_epoch };
        self.pending.insert(place.epoch, reveal);
        Ok(())
    }

    /// The weights of the open decision, or of a commit's epoch, were read back.
    pub(super) fn land(
        &mut self,
        epoch: Option<u64>,
        seen_at: BlockRef,
        own_update: Option<BlockNumber>,
    ) -> Result<(), ApplyError> {
        let intent = self.end(epoch)?;
        // Journals of before have no block of inclusion: what was seen then was ours until there.
        self.known(own_update.unwrap_or(seen_at.number));
        self.last = Some(Paid { target: intent.target, round: intent.round, seen_at });
        Ok(())
    }

    /// The open decision, or a commit's reveal, came to nothing; the chain may have counted it all the same.
    pub(super) fn fail(
        &mut self,
        epoch: Option<u64>,
        own_update: Option<BlockNumber>,
    ) -> Result<(), ApplyError> {
        self.end(epoch)?;
        self.known(own_update.unwrap_or(BlockNumber(0)));
        Ok(())
    }

    /// The operator vouched that what the chain shows up to here was set by nobody else who still runs.
    pub(super) fn vouch(&mut self, last_update: BlockNumber) {
        self.known(last_update);
    }

    fn known(&mut self, update: BlockNumber) {
        self.known_update = self.known_update.max(update);
    }

    /// Takes the open decision, or a commit; earlier commits than that were revealed before it.
    fn end(&mut self, epoch: Option<u64>) -> Result<WeightsIntent, ApplyError> {
        let Some(epoch) = epoch else {
            return self.open.take().ok_or(ApplyError::NoIntent);
        };
        if !self.pending.contains_key(&epoch) {
            return Err(ApplyError::NoCommit(epoch));
        }
        let later = self.pending.split_off(&(epoch + 1));
        let ended = std::mem::replace(&mut self.pending, later).remove(&epoch);
        ended.map(|pending| pending.intent).ok_or(ApplyError::NoCommit(epoch))
    }
}

/// Where the chain keeps a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommitPlace {
    /// Block that holds it.
    pub committed_at: BlockNumber,
    /// Epoch under which it is kept.
    pub epoch: u64,
    /// Epoch in which it is revealed.
    pub reveal_epoch: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        event::{Event, WeightsForm},
        ids::{BlockHash, Digest, Hotkey, Uid},
        round::Tournament,
        rules::Rules,
    };

    #[test]
    fn the_chain_is_known_to_have_reached_whatever_was_seen_of_it() {
        let mut state = Tournament::new(Rules::embedded().payout);
        let known = |state: &Tournament| state.payments().known_block().0;
        let at = |number: u64| BlockRef { number: BlockNumber(number), hash: BlockHash([0; 32]) };
        assert_eq!(known(&state), 0);
        let intent = WeightsIntent {
            target: PayTarget::Miner { hotkey: Hotkey([3; 32]) },
            uid: Uid(3),
            round: RoundId(1),
            weights: vec![(Uid(3), u16::MAX)],
            decided_at: at(1_000),
            last_update: BlockNumber(900),
            last_epoch: None,
            form: WeightsForm::Timelocked { commit: Digest([7; 32]), reveal_round: 5 },
        };
        state.apply(&Event::WeightsIntended { intent }).expect("follows");
        assert_eq!(known(&state), 1_000, "decided there");
        let place = CommitPlace { committed_at: BlockNumber(1_003), epoch: 7, reveal_epoch: 8 };
        state.apply(&Event::WeightsCommitted { seen_at: at(1_004), place }).expect("follows");
        assert_eq!(known(&state), 1_003, "committed there");
        let seen_at = at(1_030);
        state.apply(&Event::WeightsLanded { seen_at, epoch: Some(7), own_update: None }).expect("follows");
        assert_eq!(known(&state), 1_030, "read back there");
        state.apply(&Event::WeightsVouched { last_update: BlockNumber(1_050) }).expect("follows");
        assert_eq!(known(&state), 1_050);
    }
}
