//! Neurons: the subnet at genesis, registration, and a slot that passes to another hotkey.

use sp_crypto_hashing::blake2_256;
use subxt::ext::{
    scale_decode::DecodeAsType,
    scale_encode::EncodeAsType,
    scale_value::{Composite, Value},
};

use super::{commitments, epochs};
use crate::{
    chain::devnet::{
        config::{DevNeuron, DevnetConfig},
        error::ModelError,
        items::{self, Item},
        storage::Storage,
    },
    domain::ids::Hotkey,
};

/// Most neurons of a subnet.
pub const MAX_NEURONS: u16 = 256;

/// Coldkey that owns a hotkey on this chain: derived, nobody holds its secret.
pub fn coldkey_of(hotkey: Hotkey) -> Hotkey {
    Hotkey(blake2_256(&[b"leoma devnet coldkey", &hotkey.0[..]].concat()))
}

/// Where in time the initial state stands.
#[derive(Clone, Copy, Debug)]
pub struct GenesisBlocks {
    /// Block whose state this is.
    pub number: u64,
    /// Block at which the initial neurons registered.
    pub registered_at: u64,
    /// Block of the last epoch.
    pub last_epoch: u64,
}

/// Writes the subnet with its parameters and first neurons.
pub fn write_genesis(
    storage: &mut Storage<'_>,
    config: &DevnetConfig,
    blocks: GenesisBlocks,
) -> Result<(), ModelError> {
    let netuid = config.netuid.0;
    storage.put(items::NETWORKS_ADDED, (0u16,), true)?;
    storage.put(items::NETWORKS_ADDED, (netuid,), true)?;
    storage.put(items::TOTAL_NETWORKS, (), 2u16)?;
    storage.put(items::NETWORK_REGISTERED_AT, (netuid,), blocks.registered_at)?;
    storage.put(items::SUBTOKEN_ENABLED, (netuid,), true)?;
    storage.put(items::MECHANISM_COUNT, (netuid,), 1u8)?;
    storage.put(items::SUBNETWORK_N, (netuid,), 0u16)?;
    storage.put(items::MAX_ALLOWED_UIDS, (netuid,), MAX_NEURONS)?;
    storage.put(items::MAX_ALLOWED_VALIDATORS, (netuid,), 64u16)?;
    storage.put(items::STAKE_THRESHOLD, (), config.stake_threshold)?;
    storage.put(items::WEIGHTS_SET_RATE_LIMIT, (netuid,), config.weights_rate_limit)?;
    storage.put(items::MIN_ALLOWED_WEIGHTS, (netuid,), config.min_allowed_weights)?;
    storage.put(items::MAX_WEIGHTS_LIMIT, (netuid,), u16::MAX)?;
    storage.put(items::WEIGHTS_VERSION_KEY, (netuid,), config.weights_version_key)?;
    storage.put(items::COMMIT_REVEAL_ENABLED, (0u16,), false)?;
    storage.put(items::COMMIT_REVEAL_ENABLED, (netuid,), config.commit_reveal)?;
    storage.put(items::REVEAL_PERIOD_EPOCHS, (netuid,), config.reveal_period)?;
    storage.put(items::COMMIT_REVEAL_VERSION, (), 4u16)?;
    storage.put(items::TEMPO, (netuid,), config.tempo)?;
    if storage.runtime().epochs_are_stateful() {
        let index = blocks.last_epoch / u64::from(config.tempo.max(1));
        epochs::write_counters(storage, netuid, blocks.last_epoch, index)?;
    }
    storage.put(items::BLOCKS_SINCE_LAST_STEP, (netuid,), blocks.number - blocks.last_epoch)?;
    storage.put(items::LAST_MECHANISM_STEP_BLOCK, (netuid,), blocks.last_epoch)?;
    if let Some(owner) = config.neurons.first() {
        storage.put(items::SUBNET_OWNER_HOTKEY, (netuid,), owner.hotkey.0)?;
        storage.put(items::SUBNET_OWNER, (netuid,), coldkey_of(owner.hotkey).0)?;
    }
    for neuron in &config.neurons {
        append(storage, netuid, neuron, blocks.registered_at)?;
    }
    Ok(())
}

/// Gives a neuron the next free slot; `None` when the subnet is full or the hotkey has a slot.
pub fn append(
    storage: &mut Storage<'_>,
    netuid: u16,
    neuron: &DevNeuron,
    number: u64,
) -> Result<Option<u16>, ModelError> {
    let uid: u16 = storage.value(items::SUBNETWORK_N, (netuid,))?;
    if uid >= MAX_NEURONS || storage.get::<u16>(items::UIDS, (netuid, neuron.hotkey.0))?.is_some() {
        return Ok(None);
    }
    storage.put(items::SUBNETWORK_N, (netuid,), uid + 1)?;
    occupy(storage, netuid, uid, neuron, number)?;
    Ok(Some(uid))
}

/// Passes a slot to another hotkey, as a registration on a full subnet does: the old hotkey's
/// commitments, weights and standing go. False when there is no such slot or the hotkey has one.
pub fn replace(
    storage: &mut Storage<'_>,
    netuid: u16,
    uid: u16,
    neuron: &DevNeuron,
    number: u64,
) -> Result<bool, ModelError> {
    let count: u16 = storage.value(items::SUBNETWORK_N, (netuid,))?;
    if uid >= count || storage.get::<u16>(items::UIDS, (netuid, neuron.hotkey.0))?.is_some() {
        return Ok(false);
    }
    let old = Hotkey(storage.value(items::KEYS, (netuid, uid))?);
    storage.remove(items::UIDS, (netuid, old.0))?;
    storage.remove(items::WEIGHTS, (netuid, uid))?;
    storage.remove(items::TOTAL_HOTKEY_ALPHA, (old.0, netuid))?;
    commitments::purge(storage, netuid, old)?;
    occupy(storage, netuid, uid, neuron, number)?;
    Ok(true)
}

fn occupy(
    storage: &mut Storage<'_>,
    netuid: u16,
    uid: u16,
    neuron: &DevNeuron,
    number: u64,
) -> Result<(), ModelError> {
    let hotkey = neuron.hotkey;
    storage.put(items::UIDS, (netuid, hotkey.0), uid)?;
    storage.put(items::KEYS, (netuid, uid), hotkey.0)?;
    storage.put(items::OWNER, (hotkey.0,), coldkey_of(hotkey).0)?;
    storage.put(items::TOTAL_HOTKEY_ALPHA, (hotkey.0, netuid), neuron.stake)?;
    storage.put(items::BLOCK_AT_REGISTRATION, (netuid, uid), number)?;
    set_slot(storage, items::ACTIVE, netuid, uid, true)?;
    set_slot(storage, items::VALIDATOR_PERMIT, netuid, uid, neuron.validator_permit)?;
    set_slot(storage, items::LAST_UPDATE, netuid, uid, number)?;
    set_slot(storage, items::EMISSION, netuid, uid, 0u64)?;
    for ratio in [items::INCENTIVE, items::DIVIDENDS, items::CONSENSUS, items::VALIDATOR_TRUST] {
        set_slot(storage, ratio, netuid, uid, 0u16)?;
    }
    write_stake_weights(storage, netuid)?;
    commitments::append_revealed(storage, netuid, hotkey, neuron.revealed.iter().cloned())?;
    storage.emit(
        "SubtensorModule",
        "NeuronRegistered",
        Composite::unnamed([
            Value::u128(netuid.into()),
            Value::u128(uid.into()),
            Value::from_bytes(hotkey.0),
        ]),
    );
    Ok(())
}

/// Gives or takes a neuron's validator permit.
pub fn set_permit(storage: &mut Storage<'_>, netuid: u16, uid: u16, permit: bool) -> Result<(), ModelError> {
    set_slot(storage, items::VALIDATOR_PERMIT, netuid, uid, permit)
}

/// Sets the stake of a hotkey, in rao.
pub fn set_stake(storage: &mut Storage<'_>, netuid: u16, hotkey: Hotkey, rao: u64) -> Result<(), ModelError> {
    storage.put(items::TOTAL_HOTKEY_ALPHA, (hotkey.0, netuid), rao)?;
    write_stake_weights(storage, netuid)
}

/// Sets one element of a per-uid vector, growing it with defaults.
fn set_slot<T>(
    storage: &mut Storage<'_>,
    item: Item,
    netuid: u16,
    uid: u16,
    value: T,
) -> Result<(), ModelError>
where
    T: Clone + Default + DecodeAsType + EncodeAsType,
{
    let mut values: Vec<T> = storage.value(item, (netuid,))?;
    let slot = usize::from(uid);
    if values.len() <= slot {
        values.resize(slot + 1, T::default());
    }
    values[slot] = value;
    storage.put(item, (netuid,), values)
}

/// Stake of every uid, in rao.
pub fn stakes(storage: &Storage<'_>, netuid: u16) -> Result<Vec<u64>, ModelError> {
    hotkeys(storage, netuid)?
        .into_iter()
        .map(|hotkey| storage.value(items::TOTAL_HOTKEY_ALPHA, (hotkey.0, netuid)))
        .collect()
}

/// Hotkey of every uid.
pub fn hotkeys(storage: &Storage<'_>, netuid: u16) -> Result<Vec<Hotkey>, ModelError> {
    let count: u16 = storage.value(items::SUBNETWORK_N, (netuid,))?;
    (0..count).map(|uid| storage.value(items::KEYS, (netuid, uid)).map(Hotkey)).collect()
}

/// `StakeWeight`: stakes scaled so that the largest is 65535.
fn write_stake_weights(storage: &mut Storage<'_>, netuid: u16) -> Result<(), ModelError> {
    let stakes = stakes(storage, netuid)?;
    let largest = u128::from(stakes.iter().copied().max().unwrap_or(0).max(1));
    let weights: Vec<u16> =
        stakes.iter().map(|stake| (u128::from(*stake) * u128::from(u16::MAX) / largest) as u16).collect();
    storage.put(items::STAKE_WEIGHT, (netuid,), weights)
}
