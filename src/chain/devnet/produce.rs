//! One block: its time, what the host asked for, the pool's transactions, its header.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parity_scale_codec::Encode;
use sp_crypto_hashing::blake2_256;

use super::{
    beacon::DevBeacon,
    block::{Block, Header, aura_slot, fork_mark},
    chain::{Chain, HostAction},
    config::ChainClock,
    error::ModelError,
    extrinsic::timestamp_inherent,
    faults::{Fault, Faults},
    forks::Unfinalized,
    pallets::{
        self, DispatchFailure, PaysFee, commitments, drand, epochs, neurons, parameters, system, upgrade,
        weights,
    },
    pool::{Pool, Status, Waiting},
    state::Changes,
    storage::{Phase, Storage},
    validity::{self, ChainContext, ValidityError},
};

/// Time of a slot, in milliseconds.
const SLOT_MS: u64 = 12_000;
/// Time of block zero on the slot clock: 2025-09-01T00:00:00Z.
const SLOT_CLOCK_START_MS: u64 = 1_756_684_800_000;
/// Most transactions of a block; the rest wait for the next one.
const MAX_BLOCK_TRANSACTIONS: u32 = 512;

impl Chain {
    fn block_time(&self, number: u64) -> u64 {
        match self.config.clock {
            ChainClock::Slots => SLOT_CLOCK_START_MS + number * SLOT_MS,
            ChainClock::Wall => {
                let slot = self.config.block_time.map_or(SLOT_MS, |time| time.as_millis() as u64);
                let start = self.config.start_block;
                let before = start.saturating_sub(number) * slot;
                let now = if number > start { unix_ms() } else { self.started_at_ms };
                now.saturating_sub(before).max(self.last_time_ms + 1)
            }
        }
    }

    /// Produces a block on the best one; `fork` marks the blocks of a fork, which is `best` when it
    /// has grown longer than what it replaces. On a fault of the model the chain stays as it was,
    /// except that transactions taken from the pool are gone (their watchers see the end of the
    /// stream).
    pub(super) fn produce_on(&mut self, fork: Option<u64>, best: bool) -> Result<Arc<Block>, ModelError> {
        let parent = self.head_block().clone();
        let context = self.context();
        let number = context.number;
        let time_ms = self.block_time(number);
        let mut digest = vec![aura_slot(time_ms / SLOT_MS)];
        digest.extend(fork.map(fork_mark));
        let runtime = self.runtime().clone();
        let inherent = timestamp_inherent(&runtime, time_ms)?;
        let actions = std::mem::take(&mut self.actions);

        let mut storage = Storage::at(&runtime, &self.state, number - 1);
        system::initialize(&mut storage, number, parent.hash)?;
        let netuid = self.config.netuid.0;
        upgrade::migrate(&mut storage, netuid, number)?;
        weights::commits::reveal_due(&mut storage, netuid, number)?;
        epochs::on_initialize(&mut storage, netuid, number)?;
        commitments::on_initialize(&mut storage, number)?;
        for action in actions.iter().cloned() {
            let moment = Moment { netuid, number, time_ms };
            apply_action(&mut storage, &mut self.beacon, moment, action)?;
        }
        // Before the start block the beacon is silent: nothing could wait for those rounds.
        if number >= self.config.start_block {
            drand::publish(&mut storage, &self.beacon, netuid, time_ms)?;
        }
        storage.set_phase(Phase::ApplyExtrinsic(0));
        system::set_timestamp(&mut storage, time_ms)?;
        system::report_outcome(&mut storage, system::Class::Mandatory, PaysFee::Yes, &Ok(()))?;
        let mut extrinsics = vec![inherent];
        let included = apply_pool(&mut storage, &mut self.pool, &self.faults, &context, &mut extrinsics)?;
        storage.set_phase(Phase::Initialization);
        let mut header = Header {
            parent: parent.hash.0,
            number,
            state_root: [0; 32],
            extrinsics_root: extrinsics_root(&extrinsics),
            digest,
        };
        system::set_digest(&mut storage, &header)?;
        let changes = storage.close()?;
        header.state_root = state_root(&parent.header.state_root, &changes);
        let block = Arc::new(Block::new(header, extrinsics));
        self.import(block.clone(), changes);
        self.imports.push(block.clone(), best);
        self.last_time_ms = time_ms;
        included.iter().for_each(|waiting| waiting.report(Status::InBlock(block.hash)));
        self.unfinalized.insert(number, Unfinalized { included, actions });
        Ok(block)
    }
}

/// The block in which something that the host asked for happens.
struct Moment {
    netuid: u16,
    number: u64,
    time_ms: u64,
}

fn apply_action(
    storage: &mut Storage<'_>,
    beacon: &mut DevBeacon,
    Moment { netuid, number, time_ms }: Moment,
    action: HostAction,
) -> Result<(), ModelError> {
    match action {
        HostAction::Reveal(hotkey, bytes) => commitments::reveal(storage, netuid, hotkey, bytes, number),
        HostAction::Register(neuron) => {
            if neurons::append(storage, netuid, &neuron, number)?.is_none() {
                tracing::warn!(hotkey = %neuron.hotkey, "development chain: registration refused: no free slot, or registered already");
            }
            Ok(())
        }
        HostAction::Replace(uid, neuron) => {
            if !neurons::replace(storage, netuid, uid.0, &neuron, number)? {
                tracing::warn!(hotkey = %neuron.hotkey, %uid, "development chain: replacement refused: no such slot, or registered already");
            }
            Ok(())
        }
        HostAction::SetParameter(parameter) => parameters::set(storage, netuid, parameter, number),
        HostAction::ChangeNeuron(hotkey, change) => {
            if !parameters::change_neuron(storage, netuid, hotkey, change)? {
                tracing::warn!(%hotkey, "development chain: change refused: the hotkey has no slot");
            }
            Ok(())
        }
        HostAction::PublishPulse(round, signature) => drand::write_pulse(storage, round, &signature),
        HostAction::SwitchBeacon(switch) => {
            beacon.switch(switch, time_ms);
            Ok(())
        }
        HostAction::Upgrade(runtime) => {
            upgrade::set_code(storage, &runtime);
            Ok(())
        }
    }
}

/// Applies waiting transactions in order of arrival and nonce; returns those that are in the block.
fn apply_pool(
    storage: &mut Storage<'_>,
    pool: &mut Pool,
    faults: &Faults,
    context: &ChainContext,
    extrinsics: &mut Vec<Vec<u8>>,
) -> Result<Vec<Waiting>, ModelError> {
    let mut included = Vec::new();
    for _ in 0..MAX_BLOCK_TRANSACTIONS {
        let ready = |account, nonce| system::nonce(storage, account).map(|current| nonce <= current);
        let Some(waiting) = pool.take(ready)? else { break };
        match validity::check(storage, &waiting.extrinsic, context) {
            Ok(_) => {}
            Err(ValidityError::Invalid(reason)) => {
                tracing::debug!(hash = %waiting.hash, %reason, "development chain: a waiting transaction became invalid");
                waiting.report(Status::Invalid);
                continue;
            }
            Err(ValidityError::Model(error)) => return Err(error),
        }
        storage.set_phase(Phase::ApplyExtrinsic(extrinsics.len() as u32));
        system::count_nonce(storage, waiting.account)?;
        let checkpoint = storage.checkpoint();
        let (pays, outcome) = match injected_failure(storage, faults)? {
            Some(failure) => (PaysFee::No, Err(failure)),
            None => pallets::dispatch(storage, waiting.account, &waiting.extrinsic, context.number),
        };
        if let Err(failure) = &outcome {
            storage.roll_back(checkpoint);
            if let DispatchFailure::Model(error) = failure {
                tracing::error!(%error, hash = %waiting.hash, "development chain: the model failed on a call");
            }
        }
        system::report_outcome(storage, system::Class::Normal, pays, &outcome)?;
        extrinsics.push(waiting.extrinsic.bytes().to_vec());
        included.push(waiting);
    }
    Ok(included)
}

/// The failure that a fault has in store for the next transaction.
fn injected_failure(storage: &Storage<'_>, faults: &Faults) -> Result<Option<DispatchFailure>, ModelError> {
    let failure = |fault: &Fault| match fault {
        Fault::FailInBlock { pallet, error, .. } => Some((pallet.clone(), error.clone())),
        _ => None,
    };
    let Some((pallet, error)) = faults.take(failure) else { return Ok(None) };
    let (pallet, error) = storage.runtime().module_error(&pallet, &error)?;
    Ok(Some(DispatchFailure::Injected { pallet, error }))
}

/// The model's stand-in for the extrinsics trie root.
pub(super) fn extrinsics_root(extrinsics: &[Vec<u8>]) -> [u8; 32] {
    blake2_256(&extrinsics.encode())
}

/// The model's stand-in for the state trie root: the parent's root and this block's changes.
pub(super) fn state_root(parent: &[u8; 32], changes: &Changes) -> [u8; 32] {
    blake2_256(&(parent, changes).encode())
}

/// Now, in Unix milliseconds.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
}
