//! An embedded development chain: a **model** of subtensor behind real metadata and real RPC.
//!
//! What is real, and held against vectors recorded from a node of spec 461: the metadata, storage
//! keys and values, block hashes, the form of extrinsics, signer payloads and sr25519 signatures,
//! mortality, nonces, events, dispatch errors, substrate's legacy JSON-RPC over WebSocket and HTTP.
//! A client like subxt cannot tell the difference.
//!
//! What is a model, and says so in `system_chain`:
//! - one node that makes every block; a block is final a configured distance behind the best one, and
//!   forks are made on request (`forks.rs`); state and extrinsics roots are plain hashes, so there are
//!   no storage proofs;
//! - calls: `SubtensorModule.set_weights`, `commit_timelocked_weights` (and the variants of both for
//!   mechanisms), `Commitments.set_commitment`, `System.remark`; every other call fails with
//!   `System.CallFiltered`;
//! - timelocks really end: a beacon of the chain's own (`beacon.rs`) signs the rounds whose time has
//!   come, and the chain opens commits and commitments with them. It is not drand;
//! - runtimes are metadata of spec 365, of 461, and altered copies (`runtimes.rs`), with the same model
//!   behind all of them, and with epochs by block number under 365;
//! - epochs are stateful as on chain, but emission is **not Yuma consensus** (`pallets/epochs.rs`);
//! - no balances, fees, weights of computation or staking: stake is the alpha that the host gives, and
//!   nothing is added to it.
//!
//! It misbehaves on request (`faults.rs`) and goes on after a restart (`store.rs`).
//!
//! Use it in a test with `block_time: None` and [`Devnet::produce_block`], or as a process by
//! `leoma devnet`.

mod beacon;
mod block;
mod chain;
mod config;
mod error;
mod extrinsic;
mod faults;
mod forks;
mod items;
mod node;
mod pallets;
mod pool;
mod produce;
mod rpc;
mod runtime;
mod runtime_api;
mod runtimes;
mod state;
mod storage;
mod store;
mod validity;

use std::{collections::BTreeMap, sync::Arc};

use parity_scale_codec::{Compact, Encode};
use subxt::ext::scale_decode::DecodeAsType;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval_at},
};

pub use beacon::{BeaconSwitch, Missed};
pub use config::{ChainClock, DevNeuron, DevnetConfig};
pub use error::{DevnetError, ModelError};
pub use faults::Fault;
pub use forks::ReplacedTransactions;
pub use pallets::{
    parameters::{NeuronChange, SubnetParameter},
    weights::commits::PendingCommit,
};
pub use runtimes::{DevRuntime, MetadataChange};

use self::{
    chain::HostAction,
    items::Item,
    node::Node,
    pallets::{drand, epochs, weights::commits},
    rpc::Door,
    storage::Storage,
};
use crate::{
    chain::timelock::Beacon,
    domain::ids::{BlockHash, BlockRef, Hotkey, Uid},
};

/// A running development chain; dropping it stops it.
pub struct Devnet {
    node: Arc<Node>,
    door: Door,
    timer: Option<JoinHandle<()>>,
}

impl Devnet {
    /// Starts the chain and its server. Needs a tokio runtime.
    pub async fn start(config: DevnetConfig) -> Result<Devnet, DevnetError> {
        config.check()?;
        let (listen, block_time) = (config.listen, config.block_time);
        let node = Node::new(config)?;
        let door = rpc::serve(node.clone(), listen).await?;
        let timer = block_time.map(|time| {
            let node = node.clone();
            tokio::spawn(async move {
                let mut ticks = interval_at(tokio::time::Instant::now() + time, time);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    if let Err(error) = node.tick() {
                        tracing::error!(%error, "development chain: no block: the model failed");
                    }
                }
            })
        });
        Ok(Devnet { node, door, timer })
    }

    /// WebSocket URL; the same address answers HTTP.
    pub fn url(&self) -> String {
        format!("ws://{}", self.door.address())
    }

    /// Produces a block now and returns it. With a block time it comes on top of the timed ones.
    pub async fn produce_block(&self) -> BlockRef {
        produce(&self.node)
    }

    /// The best block; final when there is no finality lag.
    pub fn head(&self) -> BlockRef {
        self.node.chain().head()
    }

    /// The newest final block.
    pub fn finalized_head(&self) -> BlockRef {
        self.node.chain().finalized()
    }

    /// Replaces the last `depth` blocks by a fork that is one block longer and returns its head. The
    /// replaced blocks stay readable by their hashes (the last 256 of them).
    ///
    /// # Errors
    /// When one of them is final, or `depth` is zero.
    pub fn reorg(&self, depth: u64, transactions: ReplacedTransactions) -> Result<BlockRef, DevnetError> {
        self.node.reorg(depth, transactions)
    }

    /// Puts a fault into force; one of the same kind is replaced. It holds when this returns, except
    /// that a port that opens again by itself may be closed a moment later.
    ///
    /// # Errors
    /// When it names an error that the runtime has not.
    pub async fn inject(&self, fault: Fault) -> Result<(), DevnetError> {
        let closes = matches!(fault, Fault::NotListening { for_ms: None });
        self.node.inject(fault)?;
        if closes {
            self.door.until_listening(false).await;
        }
        Ok(())
    }

    /// The faults in force.
    pub fn faults(&self) -> Vec<Fault> {
        self.node.faults().list()
    }

    /// Ends all faults; when this returns, the port is open.
    pub async fn heal(&self) {
        self.node.faults().heal(None);
        self.door.until_listening(true).await;
    }

    /// Cuts every connection; new ones are accepted.
    pub fn drop_connections(&self) {
        self.node.cut_connections();
    }

    /// Hash of a block by number: block zero, the last few hundred blocks before the start, and
    /// all since (up to 8192 back).
    pub fn block_hash(&self, number: u64) -> Option<BlockHash> {
        self.node.chain().block(number).map(|block| block.hash)
    }

    /// Hash of block zero.
    pub fn genesis_hash(&self) -> BlockHash {
        self.node.chain().genesis_hash()
    }

    /// The best block, with notice of every new one.
    pub fn subscribe_heads(&self) -> watch::Receiver<BlockRef> {
        self.node.heads()
    }

    /// Makes a commitment readable in the next block, as a timelock that ended does. `bytes` are
    /// stored as they are: use [`frame_revealed`] for what `set_reveal_commitment` would store.
    pub fn reveal_commitment(&self, hotkey: Hotkey, bytes: Vec<u8>) {
        self.node.chain().ask(HostAction::Reveal(hotkey, bytes));
    }

    /// Registers a neuron in the next block, in the next free slot (at most 256).
    pub fn register(&self, neuron: DevNeuron) {
        self.node.chain().ask(HostAction::Register(neuron));
    }

    /// Passes a slot to another hotkey in the next block, which is how a neuron leaves a subnet.
    pub fn replace(&self, uid: Uid, neuron: DevNeuron) {
        self.node.chain().ask(HostAction::Replace(uid, neuron));
    }

    /// Changes a parameter of the subnet in the next block.
    pub fn set_parameter(&self, parameter: SubnetParameter) {
        self.node.chain().ask(HostAction::SetParameter(parameter));
    }

    /// Changes a neuron's permit or stake in the next block.
    pub fn change_neuron(&self, hotkey: Hotkey, change: NeuronChange) {
        self.node.chain().ask(HostAction::ChangeNeuron(hotkey, change));
    }

    /// Stops or starts the beacon with the next block.
    pub fn switch_beacon(&self, switch: BeaconSwitch) {
        self.node.chain().ask(HostAction::SwitchBeacon(switch));
    }

    /// Stores a pulse in the next block that the development beacon did not sign: with a published
    /// signature of drand's, what was sealed to drand opens here too.
    pub fn publish_pulse(&self, round: u64, signature: Vec<u8>) {
        self.node.chain().ask(HostAction::PublishPulse(round, signature));
    }

    /// The development beacon as clients see it in `Drand.BeaconConfig`.
    pub fn beacon(&self) -> Beacon {
        *self.node.chain().beacon().public()
    }

    /// Newest round of the beacon that the chain stores at the head.
    pub fn last_pulse_round(&self) -> u64 {
        self.at_head(drand::last_stored_round).unwrap_or(0)
    }

    /// Time of the head, in Unix milliseconds.
    pub fn time_ms(&self) -> u64 {
        self.at_head(|storage| storage.value(items::TIMESTAMP_NOW, ())).unwrap_or(0)
    }

    /// Commits of weights that the chain holds of a hotkey at the head, oldest first.
    pub fn pending_commits(&self, hotkey: Hotkey) -> Vec<PendingCommit> {
        let netuid = self.node.chain().config().netuid.0;
        self.at_head(|storage| commits::pending_of(storage, netuid, hotkey)).unwrap_or_default()
    }

    /// Switches to another runtime: the next block stores its code, and from the block after that
    /// one everything runs by it.
    ///
    /// # Errors
    /// When its changes name what the metadata has not, or its spec version is another runtime's.
    pub fn upgrade(&self, runtime: DevRuntime) -> Result<(), DevnetError> {
        Ok(self.node.chain().ask_upgrade(runtime)?)
    }

    /// Spec version of the runtime that the next block runs by.
    pub fn spec_version(&self) -> u32 {
        self.node.chain().runtime().version().spec_version
    }

    /// Weight rows at the head by validator; validators without a row are left out.
    pub fn weights(&self) -> BTreeMap<Uid, Vec<(Uid, u16)>> {
        let count: u16 = self.read(items::SUBNETWORK_N).unwrap_or(0);
        let chain = self.node.chain();
        let netuid = chain.config().netuid.0;
        let Some(storage) = chain.storage_at(chain.head().number.0) else { return BTreeMap::new() };
        (0..count)
            .filter_map(|uid| {
                let row: Vec<(u16, u16)> = storage.get(items::WEIGHTS, (netuid, uid)).ok()??;
                Some((Uid(uid), row.into_iter().map(|(target, value)| (Uid(target), value)).collect()))
            })
            .collect()
    }

    /// Emission of the last epoch by uid, in rao; uids that got nothing are left out.
    pub fn emission(&self) -> BTreeMap<Uid, u64> {
        let emission: Vec<u64> = self.read(items::EMISSION).unwrap_or_default();
        let by_uid = emission.into_iter().enumerate();
        by_uid.filter(|(_, rao)| *rao > 0).map(|(uid, rao)| (Uid(uid as u16), rao)).collect()
    }

    /// Share of the miners' emission of the last epoch by uid, of 65535; zeros are left out.
    pub fn incentive(&self) -> BTreeMap<Uid, u16> {
        let incentive: Vec<u16> = self.read(items::INCENTIVE).unwrap_or_default();
        let by_uid = incentive.into_iter().enumerate();
        by_uid.filter(|(_, share)| *share > 0).map(|(uid, share)| (Uid(uid as u16), share)).collect()
    }

    /// Epochs that ran since the initial state's count.
    pub fn epoch_index(&self) -> u64 {
        let netuid = self.node.chain().config().netuid.0;
        let head = self.head().number.0;
        self.at_head(|storage| epochs::index(storage, netuid, head)).unwrap_or(0)
    }

    /// A value that the subnet keeps under its number, at the head.
    fn read<T: DecodeAsType>(&self, item: Item) -> Option<T> {
        let netuid = self.node.chain().config().netuid.0;
        self.at_head(|storage| storage.value(item, (netuid,)))
    }

    /// Reads the state at the head; a fault of the model is logged.
    fn at_head<T>(&self, read: impl FnOnce(&Storage<'_>) -> Result<T, ModelError>) -> Option<T> {
        let chain = self.node.chain();
        let storage = chain.storage_at(chain.head().number.0)?;
        match read(&storage) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(%error, "development chain: a read failed");
                None
            }
        }
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
        // Connections that are being cut still hold the node; the file is free at once.
        self.node.chain().close_store();
    }
}

/// Produces a block; on a fault of the model the head stays and the fault is logged.
fn produce(node: &Node) -> BlockRef {
    match node.produce() {
        Ok(block) => block,
        Err(error) => {
            tracing::error!(%error, "development chain: no block: the model failed");
            node.chain().head()
        }
    }
}

/// Bytes as `set_reveal_commitment` stores them after the reveal: the SCALE string framing
/// (compact length) before the text.
pub fn frame_revealed(data: &[u8]) -> Vec<u8> {
    let mut framed = Compact(data.len() as u32).encode();
    framed.extend_from_slice(data);
    framed
}

#[cfg(test)]
pub(crate) mod golden {
    //! Vectors recorded from a real node of spec 461 (`tests/golden/chain-461/NOTICE`).

    use std::sync::LazyLock;

    static VECTORS: LazyLock<serde_json::Value> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../../tests/golden/chain-461/vectors.json"))
            .expect("recorded vectors")
    });

    /// The vectors.
    pub fn vectors() -> &'static serde_json::Value {
        &VECTORS
    }
}
