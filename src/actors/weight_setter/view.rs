//! What the setter sees of the chain at one finalized block.

use crate::{
    actors::messages::{SubmitWeights, WeightsEnd},
    chain::{
        commit_reveal,
        port::{ChainError, Head, Neuron, OwnWeights, SubnetState},
    },
    domain::{
        event::{PayTarget, WeightsIntent},
        ids::{BlockHash, BlockNumber, BlockRef, Digest, Hotkey, Uid},
        payments::Payments,
        weights::{Preflight, Refusal, preflight},
    },
    telemetry::ChainStanding,
};

use super::SetterParts;

/// Blocks to wait before trying again after a passing trouble.
const RETRY_AFTER: u64 = 5;

/// Most blocks to wait after a refusal: what stood against it may change earlier than it says.
const REFUSAL_LOOKS: u64 = 360;

/// Blocks whose state is asked for: public nodes keep that of 256.
const STATE_KEPT: u64 = 240;

/// Everything read at one finalized block.
pub(super) struct View {
    pub(super) head: Head,
    pub(super) subnet: SubnetState,
    pub(super) neurons: Vec<Neuron>,
    pub(super) me: Hotkey,
    /// What the chain holds of our weights; `None` when we are not registered.
    own: Option<OwnWeights>,
}

impl View {
    /// The chain at its finalized head.
    pub(super) async fn look(parts: &SetterParts, me: Hotkey) -> Result<Self, ChainError> {
        let head = parts.chain.head().await?;
        Self::at(parts, me, head).await
    }

    /// The chain at a finalized block.
    pub(super) async fn at(parts: &SetterParts, me: Hotkey, head: Head) -> Result<Self, ChainError> {
        let at: BlockHash = head.block.hash;
        let subnet = parts.chain.subnet(parts.netuid, at).await?;
        let neurons = parts.chain.neurons(parts.netuid, at).await?;
        let own = match neurons.iter().find(|neuron| neuron.hotkey == me) {
            Some(neuron) => Some(parts.chain.own_weights(parts.netuid, neuron.uid, me, at).await?),
            None => None,
        };
        Ok(Self { head, subnet, neurons, me, own })
    }

    /// The chain at an earlier final block; `None` where public nodes hold its state no longer.
    pub(super) async fn back_at(
        &self,
        parts: &SetterParts,
        number: BlockNumber,
    ) -> Result<Option<Self>, ChainError> {
        if number.0 + STATE_KEPT < self.number().0 {
            return Ok(None);
        }
        let hash = parts.chain.block_hash(number).await?;
        // The parent is not read: only the block's own state is.
        let head = Head { block: BlockRef { number, hash }, parent: hash };
        Self::at(parts, self.me, head).await.map(Some)
    }

    /// The block.
    pub(super) fn number(&self) -> BlockNumber {
        self.head.block.number
    }

    fn my_neuron(&self) -> Option<&Neuron> {
        self.neurons.iter().find(|neuron| neuron.hotkey == self.me)
    }

    /// Block of our last weights or commit.
    pub(super) fn last_update(&self) -> BlockNumber {
        self.my_neuron().map_or(BlockNumber(0), |neuron| neuron.last_update)
    }

    /// Slot of a target at this block.
    pub(super) fn uid_of(&self, target: &PayTarget) -> Option<Uid> {
        let hotkey = match target {
            PayTarget::Miner { hotkey } => *hotkey,
            PayTarget::Owner => self.subnet.owner_hotkey?,
        };
        self.neurons.iter().find(|neuron| neuron.hotkey == hotkey).map(|neuron| neuron.uid)
    }

    /// Whether our stored row is the decision's.
    pub(super) fn shows(&self, intent: &WeightsIntent) -> bool {
        self.pays(intent.uid)
    }

    /// Whether our stored row pays this slot alone.
    fn pays(&self, uid: Uid) -> bool {
        let Some(own) = &self.own else { return false };
        let paid: Vec<_> = own.weights.iter().filter(|(_, weight)| *weight > 0).collect();
        paid == [&(uid, u16::MAX)]
    }

    /// Whether the decision's slot still belongs to its target: else the weights pay a stranger.
    pub(super) fn still_bound(&self, intent: &WeightsIntent) -> bool {
        self.uid_of(&intent.target) == Some(intent.uid)
    }

    /// Where the chain keeps a commit of ours: epoch and block.
    pub(super) fn commit(&self, commit: &Digest) -> Option<(u64, BlockNumber)> {
        let held = self.own.as_ref()?.commits.iter().find(|held| held.commit == *commit)?;
        Some((held.epoch, held.committed_at))
    }

    /// A block some blocks later.
    pub(super) fn later(&self) -> BlockNumber {
        BlockNumber(self.number().0 + RETRY_AFTER)
    }

    /// Nothing is submitted now, because of something that passes.
    pub(super) fn deferred(&self, reason: String) -> WeightsEnd {
        WeightsEnd::Deferred { reason, retry_at: Some(self.later()) }
    }

    /// Nothing is submitted now, because the chain or the operator would not want it.
    pub(super) fn refused(&self, refusal: &Refusal) -> WeightsEnd {
        let retry_at = match refusal {
            Refusal::TooSoon { until } => *until,
            Refusal::RulesNotActive { from } => *from,
            _ => BlockNumber(self.number().0 + self.subnet.weights_rate_limit.max(10)),
        };
        let retry_at = retry_at.min(BlockNumber(self.number().0 + REFUSAL_LOOKS));
        WeightsEnd::Deferred { reason: refusal.to_string(), retry_at: Some(retry_at) }
    }

    /// Our `LastUpdate`; `Err` says why nothing is submitted now.
    pub(super) fn preflight(&self, parts: &SetterParts, payments: &Payments) -> Result<BlockNumber, Refusal> {
        let is_owner = self.subnet.owner_hotkey == Some(self.me);
        let me = self.my_neuron().zip(self.own.as_ref()).map(|(neuron, own)| own.of_neuron(neuron, is_owner));
        preflight(&Preflight {
            now: self.number(),
            me,
            known_update: payments.known_update(),
            rules_active_from: parts.rules_active_from,
            stake_threshold: self.subnet.stake_threshold,
            weights_rate_limit: self.subnet.weights_rate_limit,
            commit_reveal: self
                .subnet
                .commit_reveal_enabled
                .then_some((self.subnet.commit_reveal_version, commit_reveal::VERSION)),
            version_key_wanted: self.subnet.weights_version_key,
            version_key_ours: parts.version_key,
        })
    }

    /// When the newest settled round is on chain already: until when nothing is to be done. After a
    /// tempo the last decision is set again, so that we stay active while no round settles. A decision
    /// whose slot has changed hands is to be made again at once.
    pub(super) fn nothing_new(
        &self,
        message: &SubmitWeights,
        last_update: BlockNumber,
    ) -> Option<BlockNumber> {
        let newest = message.settled.last().map(|settled| settled.round);
        let (_, decided) = message.payments.newest()?;
        if newest.is_some_and(|newest| newest > decided) || !self.stands(&message.payments) {
            return None;
        }
        let again = u64::from(self.subnet.tempo).max(self.subnet.weights_rate_limit);
        let again_at = BlockNumber(last_update.0.saturating_add(again));
        (self.number() < again_at).then_some(again_at)
    }

    /// Whether the newest decision on chain, be it revealed or not, pays a slot of its target.
    fn stands(&self, payments: &Payments) -> bool {
        let Some((target, round)) = payments.newest() else { return false };
        match payments.pending().values().next_back().filter(|pending| pending.intent.round == round) {
            Some(pending) => self.still_bound(&pending.intent),
            None => self.uid_of(&target).is_some_and(|uid| self.pays(uid)),
        }
    }

    /// Our standing on chain, for metrics and readiness.
    pub(super) fn standing(&self, payments: &Payments) -> ChainStanding {
        let neuron = self.my_neuron();
        let due = payments.pending().values().any(|pending| self.subnet.epoch_index >= pending.reveal_epoch);
        ChainStanding {
            registered: neuron.is_some(),
            validator_permit: neuron.is_some_and(|neuron| neuron.validator_permit),
            stake: neuron.map_or(0, |neuron| neuron.stake),
            stake_threshold: self.subnet.stake_threshold,
            is_owner: self.subnet.owner_hotkey == Some(self.me),
            last_update: self.last_update(),
            tempo: self.subnet.tempo,
            commit_reveal: self.subnet.commit_reveal_enabled,
            commits_pending: payments.pending().len() as u64,
            reveal_due: due,
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Views of a chain as tests want it.

    use super::*;
    use crate::{
        chain::port::HeldCommit,
        domain::{
            event::WeightsForm,
            ids::{BlockRef, RoundId},
        },
    };

    const ME: Hotkey = Hotkey([1; 32]);

    fn hotkey(uid: u16) -> Hotkey {
        Hotkey([uid as u8; 32])
    }

    /// What the chain shows of us; we are uid 1 of eight.
    #[derive(Clone, Default)]
    pub struct Chain {
        /// Our `LastUpdate`.
        pub last_update: u64,
        /// The uid that our row pays.
        pub row: Option<u16>,
        /// Our commits: epoch and digest, each committed in block 1000 + epoch.
        pub held: Vec<(u64, Digest)>,
        /// A uid that belongs to another hotkey now.
        pub replaced: Option<u16>,
    }

    /// A decision that pays a uid's hotkey.
    pub fn paying(uid: u16) -> WeightsIntent {
        WeightsIntent {
            target: PayTarget::Miner { hotkey: hotkey(uid) },
            uid: Uid(uid),
            round: RoundId(0),
            weights: vec![(Uid(uid), u16::MAX)],
            decided_at: BlockRef { number: BlockNumber(0), hash: BlockHash([0; 32]) },
            last_update: BlockNumber(0),
            last_epoch: None,
            form: WeightsForm::Plain,
        }
    }

    /// The chain at a block.
    pub fn view(number: u64, chain: Chain) -> View {
        let neuron = |uid: u16| Neuron {
            uid: Uid(uid),
            hotkey: if chain.replaced == Some(uid) { Hotkey([99; 32]) } else { hotkey(uid) },
            validator_permit: true,
            last_update: BlockNumber(if uid == 1 { chain.last_update } else { 0 }),
            stake: 0,
        };
        let held = |(epoch, commit): &(u64, Digest)| HeldCommit {
            epoch: *epoch,
            committed_at: BlockNumber(1_000 + epoch),
            commit: *commit,
            reveal_round: 5,
        };
        let block = BlockRef { number: BlockNumber(number), hash: BlockHash([0; 32]) };
        View {
            head: Head { block, parent: BlockHash([0; 32]) },
            subnet: SubnetState {
                tempo: 100,
                next_epoch: Some(BlockNumber(number + 10)),
                epoch_index: 7,
                last_epoch: BlockNumber(number - 90),
                weights_rate_limit: 10,
                min_allowed_weights: 1,
                weights_version_key: 0,
                commit_reveal_enabled: true,
                owner_hotkey: None,
                pending_epoch: BlockNumber(0),
                blocks_since_step: 90,
                reveal_period: 1,
                commit_reveal_version: 4,
                stake_threshold: 0,
            },
            neurons: (0..8).map(neuron).collect(),
            me: ME,
            own: Some(OwnWeights {
                registered_at: BlockNumber(1),
                weights: chain.row.iter().map(|uid| (Uid(*uid), u16::MAX)).collect(),
                commits: chain.held.iter().map(held).collect(),
            }),
        }
    }
}
