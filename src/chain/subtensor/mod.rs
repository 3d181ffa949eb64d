//! The chain through subxt: finalized heads, reads at one block, and one signed extrinsic at a time.
//!
//! Nothing of the runtime is compiled in. Names and types are looked up in the metadata that the
//! node serves (`names`), proved at start and after every runtime upgrade (`check`), and read into
//! narrow types, so that fields we do not use may come and go.

mod agreement;
mod check;
mod commitments;
mod connection;
mod fault;
mod framing;
#[cfg(test)]
mod golden;
mod heads;
mod names;
mod reads;
mod submit;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use subxt::SubstrateConfig;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

pub(crate) use framing::strip_scale_string;

use self::{
    agreement::{Witness, Word},
    connection::{Connection, Link, Settings},
    fault::{is_connection_trouble, transport, within},
    reads::Pinned,
    submit::{Deadlines, Unsigned},
};
use super::{
    port::{
        Chain, ChainError, CommitCall, CommitmentCall, CommitmentSpace, Head, LiveCommitment,
        MinerCommitments, Neuron, OwnWeights, Receipt, SubnetState, UnsignedExtrinsic, WeightsCall,
        WeightsExtrinsic,
    },
    timelock::Beacon,
    wallet::HotkeySigner,
};
use crate::domain::{
    epochs::BlockTime,
    ids::{BlockHash, BlockNumber, BlockRef, Hotkey, NetUid, Uid},
};

/// Blocks for which an extrinsic stays valid after it was signed: one that is in none of them never will be.
pub const ERA_BLOCKS: u64 = submit::ERA_BLOCKS;

/// How to reach and use a chain.
#[derive(Clone, Debug)]
pub struct SubtensorOptions {
    /// WebSocket endpoints, tried in order.
    pub endpoints: Vec<Url>,
    /// Longest time for any single question to a node.
    pub call_deadline: Duration,
    /// Without a new finalized block for this long, the connection is replaced.
    pub block_watchdog: Duration,
    /// From a node's acceptance of an extrinsic to its finalization; after that its end is unknown.
    pub finalization_deadline: Duration,
    /// The chain that must be served; `None` takes the chain of the first endpoint that answers.
    pub expected_genesis: Option<BlockHash>,
    /// The hotkey that signs; without one the client only reads.
    pub signer: Option<HotkeySigner>,
}

impl SubtensorOptions {
    /// Options for a reading client: 30 s per call, 60 s without a block, 240 s to finalization.
    pub fn new(endpoints: Vec<Url>) -> Self {
        Self {
            endpoints,
            call_deadline: Duration::from_secs(30),
            block_watchdog: Duration::from_secs(60),
            finalization_deadline: Duration::from_secs(240),
            expected_genesis: None,
            signer: None,
        }
    }
}

/// A subtensor node behind the chain port.
pub struct SubtensorChain {
    link: Arc<Link>,
    witness: Witness,
    signer: Option<HotkeySigner>,
    block_watchdog: Duration,
    finalization_deadline: Duration,
    /// Held from nonce to finalization: two extrinsics of one hotkey in flight would share a nonce.
    submission: Mutex<()>,
    closed: CancellationToken,
    _close_streams: DropGuard,
}

impl SubtensorChain {
    /// Connects to the first endpoint that serves the expected chain and checks its runtime. One that
    /// lacks something is no failure here: [`Chain::runtime`] says so, and so does every read.
    ///
    /// # Errors
    /// `Transport` or `Deadline` when no endpoint answers, `WrongGenesis` when all serve another chain.
    pub async fn connect(options: SubtensorOptions) -> Result<Self, ChainError> {
        let settings = Settings {
            endpoints: options.endpoints,
            call_deadline: options.call_deadline,
            config: SubstrateConfig::new(),
        };
        let link = Arc::new(Link::open(settings, options.expected_genesis).await?);
        let closed = CancellationToken::new();
        let chain = Self {
            link,
            witness: Witness::default(),
            signer: options.signer,
            block_watchdog: options.block_watchdog,
            finalization_deadline: options.finalization_deadline,
            submission: Mutex::new(()),
            _close_streams: closed.clone().drop_guard(),
            closed,
        };
        let head = chain.head().await?;
        match chain.runtime(head.block.hash).await {
            // Whoever asks later is told; a runtime that fits may come while we run.
            Err(ChainError::Metadata { spec, detail, .. }) => {
                tracing::error!(spec, "the runtime lacks what we use of it: {detail}");
            }
            other => drop(other?),
        }
        Ok(chain)
    }

    /// Hash of block 0, which names the chain.
    pub fn genesis(&self) -> BlockHash {
        self.link.genesis
    }

    /// Refuses a runtime that lacks something that committing needs. What a validator needs is
    /// checked by itself; this is more, and a validator can do without.
    ///
    /// # Errors
    /// `Metadata` listing every name or type that the runtime lacks, else as the reads of the port.
    pub async fn check_commitments(&self) -> Result<(), ChainError> {
        let head = self.head().await?;
        let checked = |pinned: Pinned| async move { check::commitments(&pinned.block) };
        self.pinned("the runtime's metadata", head.block.hash, checked).await
    }

    /// The bytes that [`Chain::set_commitment`] would sign now for a hotkey; nothing is signed or sent.
    ///
    /// # Errors
    /// As the reads of the port.
    pub async fn preview_commitment(
        &self,
        hotkey: Hotkey,
        call: &CommitmentCall,
    ) -> Result<UnsignedExtrinsic, ChainError> {
        let call = &commitments::set_commitment(call);
        self.preview(hotkey, Unsigned { what: "set_commitment", call, born_at: None }).await
    }

    /// What [`Self::submit`] would sign now for an account.
    async fn preview(
        &self,
        account: Hotkey,
        unsigned: Unsigned<'_, impl subxt::transactions::Payload>,
    ) -> Result<UnsignedExtrinsic, ChainError> {
        let head = self.head().await?;
        self.pinned("the extrinsic's parts", head.block.hash, |pinned| async move {
            submit::preview(&pinned.connection, &pinned.block, account, unsigned).await
        })
        .await
    }

    /// Signs and submits a call once.
    async fn submit(
        &self,
        unsigned: Unsigned<'_, impl subxt::transactions::Payload>,
    ) -> Result<Receipt, ChainError> {
        let signer = self.signer.as_ref().ok_or(ChainError::NoSigner)?;
        let _only_one = self.submission.lock().await;
        let head = self.head().await?;
        let pinned = self.pinned("the runtime", head.block.hash, |pinned| async move { Ok(pinned) }).await?;
        let deadlines =
            Deadlines { call: self.link.settings.call_deadline, finalization: self.finalization_deadline };
        submit::run(&pinned.connection, &pinned.block, signer, unsigned, deadlines).await
    }

    /// Asks the current connection under the call deadline. A connection that fails is replaced
    /// before the next question; this question is not repeated.
    async fn ask<T, Fut>(
        &self,
        call: &'static str,
        question: impl FnOnce(Arc<Connection>) -> Fut,
    ) -> Result<T, ChainError>
    where
        Fut: Future<Output = Result<T, ChainError>>,
    {
        let connection = self.link.connection().await?;
        let asking = question(connection.clone());
        let answer = within(self.link.settings.call_deadline, &connection.endpoint, call, asking).await;
        answer.inspect_err(|error| {
            if is_connection_trouble(error) {
                connection.mark_stale();
            }
        })
    }

    /// Hash of a finalized block, as the endpoint in use names it.
    async fn final_hash(&self, number: BlockNumber) -> Result<Word, ChainError> {
        // A node also answers for blocks that are not final yet, and may answer differently later.
        if !self.link.known_final(number) {
            let head = self.head().await?;
            if head.block.number < number {
                let latest =
                    format_args!("block {number} is not final yet, {} is the latest", head.block.number);
                return Err(transport("the finalized chain", latest));
            }
        }
        let ask = |node: Arc<Connection>| async move {
            let hash = node.hash_at(number.0).await?;
            Ok(Word { hash, index: node.index, endpoint: node.endpoint.clone() })
        };
        self.ask("a block hash", ask).await
    }

    async fn pinned<T, Fut>(
        &self,
        call: &'static str,
        at: BlockHash,
        read: impl FnOnce(Pinned) -> Fut,
    ) -> Result<T, ChainError>
    where
        Fut: Future<Output = Result<T, ChainError>>,
    {
        let link = self.link.clone();
        self.ask(call, |connection| async move {
            let block = link.at(&connection, at).await?;
            read(Pinned { connection, block }).await
        })
        .await
    }
}

#[async_trait]
impl Chain for SubtensorChain {
    async fn finalized_heads(&self) -> Result<BoxStream<'static, Result<Head, ChainError>>, ChainError> {
        let heads = heads::follow(self.link.clone(), self.block_watchdog).await?;
        Ok(heads.take_until(self.closed.clone().cancelled_owned()).boxed())
    }

    async fn head(&self) -> Result<Head, ChainError> {
        let head = self.ask("the finalized head", |node| async move { node.finalized_head().await }).await?;
        self.link.note_finalized(head.block.number);
        Ok(head)
    }

    async fn block_hash(&self, number: BlockNumber) -> Result<BlockHash, ChainError> {
        let word = self.final_hash(number).await?;
        self.witness.confirm(&self.link, number, &word).await?;
        Ok(word.hash)
    }

    async fn subnet(&self, netuid: NetUid, at: BlockHash) -> Result<SubnetState, ChainError> {
        self.pinned("the subnet's state", at, |chain| async move { chain.subnet(netuid).await }).await
    }

    async fn neurons(&self, netuid: NetUid, at: BlockHash) -> Result<Vec<Neuron>, ChainError> {
        self.pinned("the neurons", at, |chain| async move { chain.neurons(netuid).await }).await
    }

    async fn commitments(&self, netuid: NetUid, at: BlockHash) -> Result<Vec<MinerCommitments>, ChainError> {
        self.pinned("the commitments", at, |chain| async move { chain.commitments(netuid).await }).await
    }

    async fn weights_of(
        &self,
        netuid: NetUid,
        uid: Uid,
        at: BlockHash,
    ) -> Result<Vec<(Uid, u16)>, ChainError> {
        self.pinned("the weights", at, |chain| async move { chain.weights_of(netuid, uid).await }).await
    }

    async fn own_weights(
        &self,
        netuid: NetUid,
        uid: Uid,
        hotkey: Hotkey,
        at: BlockHash,
    ) -> Result<OwnWeights, ChainError> {
        let read = |chain: Pinned| async move { chain.own_weights(netuid, uid, hotkey).await };
        self.pinned("our weights", at, read).await
    }

    async fn block_time(&self, at: BlockRef) -> Result<BlockTime, ChainError> {
        const PACE_SPAN: u64 = 8;
        const PACE_SPANS: u64 = 4;
        // Public nodes keep the state of 256 blocks; block 0 has no time.
        let blocks = PACE_SPAN.min(at.number.0.saturating_sub(1) / PACE_SPANS).max(1);
        let mut times = vec![self.time_of(at.hash).await?];
        for back in (1..=PACE_SPANS).map(|span| span * blocks).take_while(|back| *back < at.number.0) {
            let earlier = self.final_hash(BlockNumber(at.number.0 - back)).await?;
            times.push(self.time_of(earlier.hash).await?);
        }
        Ok(BlockTime::paced(at.number, &times, blocks))
    }

    async fn commit_weights(&self, call: &CommitCall) -> Result<Receipt, ChainError> {
        let (what, born_at) = ("commit_timelocked_weights", call.born_at);
        let call = &names::commit_timelocked_weights(call);
        self.submit(Unsigned { what, call, born_at }).await
    }

    async fn set_weights(&self, call: &WeightsCall) -> Result<Receipt, ChainError> {
        let (what, born_at) = ("set_weights", call.born_at);
        let call = &names::set_weights(call);
        self.submit(Unsigned { what, call, born_at }).await
    }

    async fn preview_weights(&self, weights: &WeightsExtrinsic) -> Result<UnsignedExtrinsic, ChainError> {
        let hotkey = self.signer().ok_or(ChainError::NoSigner)?;
        match weights {
            WeightsExtrinsic::Set(weights) => {
                let (what, born_at) = ("set_weights", weights.born_at);
                let call = &names::set_weights(weights);
                self.preview(hotkey, Unsigned { what, call, born_at }).await
            }
            WeightsExtrinsic::Commit(commit) => {
                let (what, born_at) = ("commit_timelocked_weights", commit.born_at);
                let call = &names::commit_timelocked_weights(commit);
                self.preview(hotkey, Unsigned { what, call, born_at }).await
            }
        }
    }

    async fn last_pulse(&self, at: BlockHash) -> Result<u64, ChainError> {
        let read = |chain: Pinned| async move { chain.value(names::last_stored_round(), ()).await };
        self.pinned("the last pulse", at, read).await
    }

    async fn time_of(&self, at: BlockHash) -> Result<u64, ChainError> {
        self.pinned("the block's time", at, |chain| async move { chain.time().await }).await
    }

    async fn beacon(&self, at: BlockHash) -> Result<Beacon, ChainError> {
        self.pinned("the beacon", at, |chain| async move { chain.beacon().await }).await
    }

    async fn set_commitment(&self, call: &CommitmentCall) -> Result<Receipt, ChainError> {
        let call = &commitments::set_commitment(call);
        self.submit(Unsigned { what: "set_commitment", call, born_at: None }).await
    }

    async fn commitment_of(
        &self,
        netuid: NetUid,
        hotkey: Hotkey,
        at: BlockHash,
    ) -> Result<Option<LiveCommitment>, ChainError> {
        let read = |chain: Pinned| async move { chain.commitment_of(netuid, hotkey).await };
        self.pinned("the commitment", at, read).await
    }

    async fn commitment_space(
        &self,
        netuid: NetUid,
        hotkey: Hotkey,
        at: BlockHash,
    ) -> Result<CommitmentSpace, ChainError> {
        let read = |chain: Pinned| async move { chain.commitment_space(netuid, hotkey).await };
        self.pinned("the commitment's space", at, read).await
    }

    async fn incentive(&self, netuid: NetUid, uid: Uid, at: BlockHash) -> Result<u16, ChainError> {
        self.pinned("the incentive", at, |chain| async move { chain.incentive(netuid, uid).await }).await
    }

    async fn runtime(&self, at: BlockHash) -> Result<u32, ChainError> {
        self.pinned("the runtime", at, |pinned| async move { Ok(pinned.block.spec_version()) }).await
    }

    fn endpoint(&self) -> String {
        self.link.endpoint()
    }

    fn signer(&self) -> Option<Hotkey> {
        self.signer.as_ref().map(HotkeySigner::hotkey)
    }
}
