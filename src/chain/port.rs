//! What the validator needs of a chain, independent of the client that speaks to it.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::timelock::Beacon;
use crate::domain::{
    epochs::{BlockTime, EpochState},
    ids::{BlockHash, BlockNumber, BlockRef, Digest, Hotkey, NetUid, Uid},
    weights::OwnNeuron,
};

/// A finalized block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Number and hash.
    pub block: BlockRef,
    /// Hash of the parent block.
    pub parent: BlockHash,
}

/// Subnet parameters and epoch state at one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubnetState {
    /// Blocks between epochs.
    pub tempo: u16,
    /// Block of the next epoch, from the chain's own runtime call; `None` when tempo is zero.
    pub next_epoch: Option<BlockNumber>,
    /// Epochs run so far.
    pub epoch_index: u64,
    /// Block of the last epoch.
    pub last_epoch: BlockNumber,
    /// Least number of blocks between two weight settings of a hotkey.
    pub weights_rate_limit: u64,
    /// Least number of entries in a weights vector.
    pub min_allowed_weights: u16,
    /// Version key that the subnet asks for; zero accepts any.
    pub weights_version_key: u64,
    /// Whether weights are committed first and revealed later.
    pub commit_reveal_enabled: bool,
    /// Hotkey of the subnet's owner.
    pub owner_hotkey: Option<Hotkey>,
    /// Block at which an epoch was asked for; zero when none was.
    pub pending_epoch: BlockNumber,
    /// Blocks without an epoch's step.
    pub blocks_since_step: u64,
    /// Epochs between a commit of weights and its reveal.
    pub reveal_period: u64,
    /// Version that a commit of weights must name.
    pub commit_reveal_version: u16,
    /// Least stake for setting weights on any subnet, in rao.
    pub stake_threshold: u64,
}

impl SubnetState {
    /// What decides when the next epochs run, for a state that was read at this block.
    pub fn epochs(&self, at: BlockNumber) -> EpochState {
        EpochState {
            at,
            tempo: self.tempo,
            index: self.epoch_index,
            last_epoch: self.last_epoch,
            pending_at: self.pending_epoch,
            blocks_since_step: self.blocks_since_step,
        }
    }
}

/// One neuron of the metagraph at one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neuron {
    /// Slot.
    pub uid: Uid,
    /// Key.
    pub hotkey: Hotkey,
    /// Whether the neuron may set weights that count.
    pub validator_permit: bool,
    /// Block of its last weight setting or commit; zero for never.
    pub last_update: BlockNumber,
    /// Total stake in rao, of alpha and of weighted TAO, as the chain holds it against its threshold.
    pub stake: u64,
}

/// A commit of weights that the chain holds and has not revealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldCommit {
    /// Epoch under which it is kept.
    pub epoch: u64,
    /// Block that holds it.
    pub committed_at: BlockNumber,
    /// SHA-256 of the sealed bytes.
    pub commit: Digest,
    /// Round of the beacon that opens it.
    pub reveal_round: u64,
}

/// What the chain holds of one validator's weights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnWeights {
    /// Block at which the slot passed to its hotkey.
    pub registered_at: BlockNumber,
    /// The stored row of weights.
    pub weights: Vec<(Uid, u16)>,
    /// The hotkey's commits that wait for their reveal, in order of their epochs.
    pub commits: Vec<HeldCommit>,
}

/// A commitment's bytes as revealed on chain, framing removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevealedCommitment {
    /// Block of the reveal.
    pub reveal_block: BlockNumber,
    /// The revealed bytes: UTF-8 JSON when the miner did it right.
    pub data: Vec<u8>,
}

/// All revealed commitments of one hotkey, oldest first (the chain keeps the last ten).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MinerCommitments {
    /// Who committed.
    pub hotkey: Hotkey,
    /// Revealed entries, oldest first.
    pub revealed: Vec<RevealedCommitment>,
}

impl OwnWeights {
    /// What the checks before a submission ask of us.
    pub fn of_neuron(&self, neuron: &Neuron, is_owner: bool) -> OwnNeuron {
        OwnNeuron {
            validator_permit: neuron.validator_permit,
            last_update: neuron.last_update,
            registered_at: self.registered_at,
            stake: neuron.stake,
            is_owner,
            has_weights: !self.weights.is_empty() || !self.commits.is_empty(),
        }
    }
}

/// A weights vector to submit: uids and values of equal length, the largest value 65535.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WeightsCall {
    /// Subnet.
    pub netuid: NetUid,
    /// Target slots.
    pub uids: Vec<Uid>,
    /// Values, one per slot.
    pub values: Vec<u16>,
    /// Version key.
    pub version_key: u64,
    /// Finalized block at which the extrinsic's life begins; the head at signing where `None`.
    pub born_at: Option<BlockRef>,
}

/// Sealed weights to submit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitCall {
    /// Subnet.
    pub netuid: NetUid,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// Round of the beacon that opens them.
    pub reveal_round: u64,
    /// Version of commit-reveal, as the chain asks for it.
    pub version: u16,
    /// Finalized block at which the extrinsic's life begins; the head at signing where `None`.
    pub born_at: Option<BlockRef>,
}

/// What a commitment holds when it is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommitmentData {
    /// Bytes that everybody reads at once, 1 to 512 of them.
    Plain(Vec<u8>),
    /// Bytes sealed to a round of the chain's beacon, at most 1024 of them; the chain opens them
    /// once it has that round's pulse, and keeps what they held among the revealed commitments.
    Timelocked {
        /// Sealed bytes (`timelock::seal`).
        encrypted: Vec<u8>,
        /// The round that they are sealed to.
        reveal_round: u64,
    },
}

/// A commitment to submit. It replaces the hotkey's live one; what was revealed stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitmentCall {
    /// Subnet.
    pub netuid: NetUid,
    /// Its one field.
    pub data: CommitmentData,
}

/// One field of a live commitment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommitmentField {
    /// Bytes that everybody reads.
    Plain(Vec<u8>),
    /// Sealed bytes that the chain has not opened yet.
    Timelocked {
        /// The round whose pulse opens them.
        reveal_round: u64,
    },
    /// Sealed bytes that the chain could not open: they stay as they are.
    RevealFailed {
        /// The round whose pulse was tried.
        reveal_round: u64,
    },
    /// Something else that a commitment may hold, by the runtime's name for it.
    Other(String),
}

/// A hotkey's live commitment. Its sealed fields leave it when the chain opens them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveCommitment {
    /// Block in which it was made.
    pub block: BlockNumber,
    /// Its fields, at most three.
    pub fields: Vec<CommitmentField>,
}

/// Bytes of commitments that a hotkey has used in an epoch of its subnet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitmentSpace {
    /// Used since the last epoch.
    pub used: u64,
    /// May be used between two epochs.
    pub limit: u64,
}

/// The bytes of an extrinsic that nobody has signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsignedExtrinsic {
    /// The encoded call.
    pub call: Vec<u8>,
    /// What would be signed: call, extensions and implied values, or their blake2-256 where they
    /// have more than 256 bytes.
    pub signer_payload: Vec<u8>,
}

/// Weights in the form in which they are submitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WeightsExtrinsic {
    /// In the open: `set_weights`.
    Set(WeightsCall),
    /// Sealed: `commit_timelocked_weights`.
    Commit(CommitCall),
}

/// Proof that an extrinsic was included in a finalized block and succeeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The finalized block that holds the extrinsic.
    pub block: BlockRef,
    /// Hash of the extrinsic (blake2-256 of its encoded bytes).
    pub extrinsic: BlockHash,
}

/// Everything that can go wrong between us and the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The endpoint did not answer or the connection broke.
    #[error("chain endpoint {endpoint}: {detail}")]
    Transport {
        /// Endpoint.
        endpoint: String,
        /// What happened.
        detail: String,
    },
    /// No answer within the deadline.
    #[error("chain endpoint {endpoint}: no answer to {call} within {seconds} s")]
    Deadline {
        /// Endpoint.
        endpoint: String,
        /// What was asked.
        call: &'static str,
        /// Deadline.
        seconds: u64,
    },
    /// A name or type that we use is not in the live metadata, or did not decode.
    #[error("{what} does not match the chain's metadata (spec {spec}): {detail}")]
    Metadata {
        /// Pallet and item.
        what: String,
        /// Spec version asked.
        spec: u32,
        /// What did not match.
        detail: String,
    },
    /// The transaction pool refused the extrinsic.
    #[error("the pool refused the extrinsic: {reason} (code {code})")]
    Pool {
        /// JSON-RPC error code, e.g. 1010, 1014.
        code: i32,
        /// `Custom error: N` number where there is one.
        custom: Option<u8>,
        /// Our name for it, or the node's text.
        reason: String,
    },
    /// The extrinsic was included and failed.
    #[error("the extrinsic failed in block {block}: {pallet}.{name}")]
    Dispatch {
        /// Block that holds it.
        block: BlockNumber,
        /// Pallet.
        pallet: String,
        /// Error name from live metadata.
        name: String,
    },
    /// Submitted, but its end was not observed: look at the chain before trying again.
    #[error("the end of extrinsic {extrinsic} was not observed: {detail}")]
    Unknown {
        /// Hash of the extrinsic.
        extrinsic: BlockHash,
        /// What was seen last.
        detail: String,
    },
    /// The endpoint serves another chain than before.
    #[error("genesis is {found}, expected {expected}: the endpoint serves another chain")]
    WrongGenesis {
        /// What it serves.
        found: BlockHash,
        /// What we work on.
        expected: BlockHash,
    },
    /// Two endpoints name different hashes for one finalized block.
    #[error(
        "{here} says that block {number} is {hash}, {there} says {other}: one of the two serves another fork or lies, so \
         nothing may be decided by this block; take the wrong one out of chain.endpoints"
    )]
    Disagreement {
        /// The block.
        number: BlockNumber,
        /// The endpoint in use.
        here: String,
        /// Its word.
        hash: BlockHash,
        /// The other endpoint.
        there: String,
        /// Its word.
        other: BlockHash,
    },
    /// The chain has no such subnet.
    #[error("the chain has no subnet {netuid}: check the configured netuid and endpoint")]
    UnknownSubnet {
        /// The subnet asked for.
        netuid: NetUid,
    },
    /// A signature was needed but the client was opened without a hotkey.
    #[error("no hotkey is loaded, so nothing can be signed: this client only reads")]
    NoSigner,
}

/// A chain as the validator sees it. All reads of one decision name one block.
#[async_trait]
pub trait Chain: Send + Sync {
    /// Finalized heads without gaps or repeats, oldest first, from now on; the stream ends only
    /// when the client is dropped, or after `WrongGenesis`. Any other `Err` item is a passing
    /// trouble, not the end. The first head is the finalized block of the moment of the call.
    async fn finalized_heads(&self) -> Result<BoxStream<'static, Result<Head, ChainError>>, ChainError>;
    /// The latest finalized block.
    async fn head(&self) -> Result<Head, ChainError>;
    /// Hash of a finalized block by number; where several endpoints are configured two of them agree on it.
    async fn block_hash(&self, number: BlockNumber) -> Result<BlockHash, ChainError>;
    /// Subnet parameters and epoch state at a block.
    async fn subnet(&self, netuid: NetUid, at: BlockHash) -> Result<SubnetState, ChainError>;
    /// All neurons at a block, by uid.
    async fn neurons(&self, netuid: NetUid, at: BlockHash) -> Result<Vec<Neuron>, ChainError>;
    /// All revealed commitments at a block.
    async fn commitments(&self, netuid: NetUid, at: BlockHash) -> Result<Vec<MinerCommitments>, ChainError>;
    /// The weights that one neuron has set, as stored at a block.
    async fn weights_of(
        &self,
        netuid: NetUid,
        uid: Uid,
        at: BlockHash,
    ) -> Result<Vec<(Uid, u16)>, ChainError>;
    /// What a block holds of one validator's weights: its row and its open commits.
    async fn own_weights(
        &self,
        netuid: NetUid,
        uid: Uid,
        hotkey: Hotkey,
        at: BlockHash,
    ) -> Result<OwnWeights, ChainError>;
    /// The chain's clock at a finalized block, and its pace over the blocks before it.
    async fn block_time(&self, at: BlockRef) -> Result<BlockTime, ChainError>;
    /// Signs and submits `commit_timelocked_weights` once, and waits for finalization. Never resubmits.
    async fn commit_weights(&self, call: &CommitCall) -> Result<Receipt, ChainError>;
    /// Signs and submits `set_weights` once, and waits for finalization. Never resubmits.
    async fn set_weights(&self, call: &WeightsCall) -> Result<Receipt, ChainError>;
    /// The bytes that would be signed now for these weights; nothing is signed or sent.
    async fn preview_weights(&self, weights: &WeightsExtrinsic) -> Result<UnsignedExtrinsic, ChainError>;
    /// Newest round of the beacon whose pulse the chain holds, at a block.
    async fn last_pulse(&self, at: BlockHash) -> Result<u64, ChainError>;
    /// Spec version of the runtime at a block.
    ///
    /// # Errors
    /// `Metadata` listing everything that we use and the runtime lacks.
    async fn runtime(&self, at: BlockHash) -> Result<u32, ChainError>;
    /// The endpoint in use, without its secrets.
    fn endpoint(&self) -> String;
    /// Time of a block in Unix milliseconds, as its author set it.
    async fn time_of(&self, at: BlockHash) -> Result<u64, ChainError>;
    /// The beacon whose pulses open what is sealed for this chain, at a block.
    async fn beacon(&self, at: BlockHash) -> Result<Beacon, ChainError>;
    /// Signs and submits `set_commitment` once, and waits for finalization. Never resubmits.
    async fn set_commitment(&self, call: &CommitmentCall) -> Result<Receipt, ChainError>;
    /// A hotkey's live commitment at a block; `None` when it has none, or all of it was revealed.
    async fn commitment_of(
        &self,
        netuid: NetUid,
        hotkey: Hotkey,
        at: BlockHash,
    ) -> Result<Option<LiveCommitment>, ChainError>;
    /// Bytes of commitments that a hotkey has used since the subnet's last epoch, at a block.
    async fn commitment_space(
        &self,
        netuid: NetUid,
        hotkey: Hotkey,
        at: BlockHash,
    ) -> Result<CommitmentSpace, ChainError>;
    /// A neuron's share of the miners' emission in the last epoch, of 65535, at a block.
    async fn incentive(&self, netuid: NetUid, uid: Uid, at: BlockHash) -> Result<u16, ChainError>;
    /// The hotkey that signs, `None` when the client only reads.
    fn signer(&self) -> Option<Hotkey>;
}
