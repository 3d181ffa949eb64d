//! What the owner of a subnet or root would change by their own calls: here the host asks for it.

use serde::Deserialize;

use super::neurons;
use crate::{
    chain::devnet::{error::ModelError, items, storage::Storage},
    domain::ids::Hotkey,
};

/// A parameter of the subnet with its new value. In JSON an object of one field, such as
/// `{"tempo": 50}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubnetParameter {
    /// Whether weights are committed first and revealed later.
    CommitReveal(bool),
    /// Epochs between a commit and its reveal.
    RevealPeriod(u64),
    /// Version that commits must name, of all subnets.
    CommitRevealVersion(u16),
    /// Blocks between epochs; where epochs are counted, the current one begins anew at this block.
    Tempo(u16),
    /// Least number of blocks between two weight settings of a hotkey.
    WeightsRateLimit(u64),
    /// Least number of entries in a weights vector.
    MinAllowedWeights(u16),
    /// Version key that weights must reach; zero accepts any.
    WeightsVersionKey(u64),
    /// Stake below which a hotkey may not set weights, in rao, of all subnets.
    StakeThreshold(u64),
    /// Bytes of commitments that a hotkey may write in an epoch, of all subnets.
    CommitmentSpace(u32),
}

/// Sets a parameter.
pub fn set(
    storage: &mut Storage<'_>,
    netuid: u16,
    parameter: SubnetParameter,
    number: u64,
) -> Result<(), ModelError> {
    match parameter {
        SubnetParameter::CommitReveal(on) => storage.put(items::COMMIT_REVEAL_ENABLED, (netuid,), on),
        SubnetParameter::RevealPeriod(epochs) => storage.put(items::REVEAL_PERIOD_EPOCHS, (netuid,), epochs),
        SubnetParameter::CommitRevealVersion(version) => {
            storage.put(items::COMMIT_REVEAL_VERSION, (), version)
        }
        SubnetParameter::Tempo(blocks) => {
            storage.put(items::TEMPO, (netuid,), blocks)?;
            if !storage.runtime().epochs_are_stateful() {
                return Ok(());
            }
            storage.put(items::LAST_EPOCH_BLOCK, (netuid,), number)
        }
        SubnetParameter::WeightsRateLimit(blocks) => {
            storage.put(items::WEIGHTS_SET_RATE_LIMIT, (netuid,), blocks)
        }
        SubnetParameter::MinAllowedWeights(count) => {
            storage.put(items::MIN_ALLOWED_WEIGHTS, (netuid,), count)
        }
        SubnetParameter::WeightsVersionKey(key) => storage.put(items::WEIGHTS_VERSION_KEY, (netuid,), key),
        SubnetParameter::StakeThreshold(rao) => storage.put(items::STAKE_THRESHOLD, (), rao),
        SubnetParameter::CommitmentSpace(bytes) => storage.put(items::MAX_SPACE, (), bytes),
    }
}

/// A change of a neuron's standing. In JSON an object of one field, such as `{"permit": false}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeuronChange {
    /// Whether it may set weights for others.
    Permit(bool),
    /// Its stake in rao.
    Stake(u64),
}

/// Changes a neuron; false when the hotkey has no slot.
pub fn change_neuron(
    storage: &mut Storage<'_>,
    netuid: u16,
    hotkey: Hotkey,
    change: NeuronChange,
) -> Result<bool, ModelError> {
    let Some(uid) = storage.get::<u16>(items::UIDS, (netuid, hotkey.0))? else { return Ok(false) };
    match change {
        NeuronChange::Permit(permit) => neurons::set_permit(storage, netuid, uid, permit)?,
        NeuronChange::Stake(rao) => neurons::set_stake(storage, netuid, hotkey, rao)?,
    }
    Ok(true)
}
