//! Weights: the checks inside the block in subtensor's order, and commits (`commits`).

pub mod commits;

use std::collections::BTreeSet;

use subxt::ext::scale_value::{Composite, Value};

use super::DispatchFailure;
use crate::{
    chain::devnet::{error::ModelError, extrinsic::Extrinsic, items, runtime::Runtime, storage::Storage},
    domain::ids::Hotkey,
};

/// Storage index of a subnet's mechanism: `mechanism * 4096 + netuid`.
const MECHANISM_STRIDE: u16 = 4096;

fn storage_index(netuid: u16, mechanism: u8) -> u16 {
    u16::from(mechanism).saturating_mul(MECHANISM_STRIDE).saturating_add(netuid)
}

/// A `set_weights` or `set_mechanism_weights` call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WeightsCall {
    netuid: u16,
    mechanism: u8,
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

impl WeightsCall {
    /// The call of an extrinsic, if it is one of these.
    pub fn of(runtime: &Runtime, extrinsic: &Extrinsic) -> Result<Option<Self>, ModelError> {
        let mechanism = match (extrinsic.pallet.as_str(), extrinsic.call.as_str()) {
            ("SubtensorModule", "set_weights") => 0,
            ("SubtensorModule", "set_mechanism_weights") => extrinsic.argument(runtime, "mecid")?,
            _ => return Ok(None),
        };
        Ok(Some(Self {
            netuid: extrinsic.argument(runtime, "netuid")?,
            mechanism,
            uids: extrinsic.argument(runtime, "dests")?,
            values: extrinsic.argument(runtime, "weights")?,
            version_key: extrinsic.argument(runtime, "version_key")?,
        }))
    }

    /// Subnet of the call.
    pub fn netuid(&self) -> u16 {
        self.netuid
    }

    /// Storage index of its mechanism.
    pub fn index(&self) -> u16 {
        storage_index(self.netuid, self.mechanism)
    }

    fn is_single_self_weight(&self, uid: u16) -> bool {
        self.uids == [uid]
    }
}

/// Slot of a hotkey on a subnet.
pub fn uid_of(storage: &Storage<'_>, netuid: u16, who: Hotkey) -> Result<Option<u16>, ModelError> {
    storage.get(items::UIDS, (netuid, who.0))
}

fn is_subnet_owner(storage: &Storage<'_>, netuid: u16, who: Hotkey) -> Result<bool, ModelError> {
    Ok(storage.get::<[u8; 32]>(items::SUBNET_OWNER_HOTKEY, (netuid,))? == Some(who.0))
}

/// Whether a hotkey has the stake that weights need; the owner's hotkey needs none.
pub fn has_stake(storage: &Storage<'_>, netuid: u16, who: Hotkey) -> Result<bool, ModelError> {
    if is_subnet_owner(storage, netuid, who)? && uid_of(storage, netuid, who)?.is_some() {
        return Ok(true);
    }
    let stake: u64 = storage.value(items::TOTAL_HOTKEY_ALPHA, (who.0, netuid))?;
    Ok(stake >= storage.value::<u64>(items::STAKE_THRESHOLD, ())?)
}

/// Whether a neuron's last weights or commit are long enough ago.
pub fn within_rate_limit(
    storage: &Storage<'_>,
    netuid: u16,
    index: u16,
    uid: u16,
    number: u64,
) -> Result<bool, ModelError> {
    let last_update: Vec<u64> = storage.value(items::LAST_UPDATE, (index,))?;
    let last = last_update.get(usize::from(uid)).copied().unwrap_or(0);
    let limit: u64 = storage.value(items::WEIGHTS_SET_RATE_LIMIT, (netuid,))?;
    Ok(last == 0 || number.saturating_sub(last) >= limit)
}

/// Notes the block of a neuron's last weights or commit.
fn touch(storage: &mut Storage<'_>, index: u16, uid: u16, number: u64) -> Result<(), ModelError> {
    let mut last_update: Vec<u64> = storage.value(items::LAST_UPDATE, (index,))?;
    if let Some(slot) = last_update.get_mut(usize::from(uid)) {
        *slot = number;
    }
    storage.put(items::LAST_UPDATE, (index,), last_update)
}

fn has_mechanism(storage: &Storage<'_>, netuid: u16, mechanism: u8) -> Result<bool, ModelError> {
    Ok(storage.value::<bool>(items::NETWORKS_ADDED, (netuid,))?
        && mechanism < storage.value::<u8>(items::MECHANISM_COUNT, (netuid,))?)
}

/// Runs the call of an extrinsic.
pub fn dispatch(
    storage: &mut Storage<'_>,
    who: Hotkey,
    extrinsic: &Extrinsic,
    number: u64,
) -> Result<(), DispatchFailure> {
    let call = WeightsCall::of(storage.runtime(), extrinsic)?
        .ok_or_else(|| ModelError::Missing("a weights call".into()))?;
    if storage.value(items::COMMIT_REVEAL_ENABLED, (call.netuid,))? {
        return fail("CommitRevealEnabled");
    }
    store(storage, who, &call, number)
}

/// Checks weights and stores them: those of a call, and those that a commit revealed.
fn store(
    storage: &mut Storage<'_>,
    who: Hotkey,
    call: &WeightsCall,
    number: u64,
) -> Result<(), DispatchFailure> {
    let uid = check(storage, who, call, number)?;
    let row: Vec<(u16, u16)> = call.uids.iter().copied().zip(max_upscaled(&call.values)).collect();
    let index = call.index();
    storage.put(items::WEIGHTS, (index, uid), row)?;
    // With commit-reveal the commit moved it already.
    if !storage.value::<bool>(items::COMMIT_REVEAL_ENABLED, (call.netuid,))? {
        touch(storage, index, uid, number)?;
    }
    storage.emit(
        "SubtensorModule",
        "WeightsSet",
        Composite::unnamed([Value::u128(index.into()), Value::u128(uid.into())]),
    );
    Ok(())
}

fn fail<T>(error: &'static str) -> Result<T, DispatchFailure> {
    Err(DispatchFailure::Module { pallet: "SubtensorModule", error })
}

/// Every check of the weights themselves, in order; the uid of the hotkey when all hold.
fn check(
    storage: &Storage<'_>,
    who: Hotkey,
    call: &WeightsCall,
    number: u64,
) -> Result<u16, DispatchFailure> {
    let netuid = call.netuid;
    if netuid == 0 {
        return fail("CanNotSetRootNetworkWeights");
    }
    if call.uids.len() != call.values.len() {
        return fail("WeightVecNotEqualSize");
    }
    if !has_mechanism(storage, netuid, call.mechanism)? {
        return fail("MechanismDoesNotExist");
    }
    let count: u16 = storage.value(items::SUBNETWORK_N, (netuid,))?;
    if call.uids.len() > usize::from(count) {
        return fail("UidsLengthExceedUidsInSubNet");
    }
    let Some(uid) = uid_of(storage, netuid, who)? else {
        return fail("HotKeyNotRegisteredInSubNet");
    };
    if !has_stake(storage, netuid, who)? {
        return fail("NotEnoughStakeToSetWeights");
    }
    let version: u64 = storage.value(items::WEIGHTS_VERSION_KEY, (netuid,))?;
    if version != 0 && call.version_key < version {
        return fail("IncorrectWeightVersionKey");
    }
    let committed = storage.value::<bool>(items::COMMIT_REVEAL_ENABLED, (netuid,))?;
    if !committed && !within_rate_limit(storage, netuid, call.index(), uid, number)? {
        return fail("SettingWeightsTooFast");
    }
    let permits: Vec<bool> = storage.value(items::VALIDATOR_PERMIT, (netuid,))?;
    let permitted = permits.get(usize::from(uid)).copied().unwrap_or(false);
    if !permitted && !call.is_single_self_weight(uid) && !is_subnet_owner(storage, netuid, who)? {
        return fail("NeuronNoValidatorPermit");
    }
    if call.uids.iter().collect::<BTreeSet<_>>().len() != call.uids.len() {
        return fail("DuplicateUids");
    }
    if call.uids.iter().any(|target| *target >= count) {
        return fail("UidVecContainInvalidOne");
    }
    let least: u16 = storage.value(items::MIN_ALLOWED_WEIGHTS, (netuid,))?;
    if call.uids.len() < usize::from(least.min(count)) && !call.is_single_self_weight(uid) {
        return fail("WeightVecLengthIsLow");
    }
    Ok(uid)
}

/// Scales the largest value to 65535 and the others with it, rounding to nearest.
fn max_upscaled(values: &[u16]) -> Vec<u16> {
    let largest = u64::from(values.iter().copied().max().unwrap_or(0));
    if largest == 0 {
        return values.to_vec();
    }
    // At most 65535, as every value is at most the largest.
    values
        .iter()
        .map(|value| ((u64::from(*value) * u64::from(u16::MAX) + largest / 2) / largest) as u16)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chain::devnet::{
        config::{DevNeuron, DevnetConfig},
        pallets::neurons::{GenesisBlocks, write_genesis},
        state::VersionedState,
    };

    /// Reasons that the pool's guards or the metadata's defaults hide from a client.
    #[test]
    fn hidden_reasons_are_checked_too() {
        let runtime = Runtime::load().expect("vendored metadata");
        let state = VersionedState::default();
        let mut storage = Storage::at(&runtime, &state, 0);
        let who = Hotkey([1; 32]);
        let config = DevnetConfig {
            stake_threshold: 10,
            neurons: vec![DevNeuron::miner(Hotkey([0; 32])), DevNeuron::validator(who, 9)],
            ..DevnetConfig::default()
        };
        let blocks = GenesisBlocks { number: 1000, registered_at: 1, last_epoch: 990 };
        write_genesis(&mut storage, &config, blocks).expect("genesis");
        let call = WeightsCall { netuid: 99, mechanism: 0, uids: vec![0], values: vec![1], version_key: 0 };
        let reason = |storage: &Storage<'_>, call: &WeightsCall| match check(storage, who, call, 1000) {
            Err(DispatchFailure::Module { error, .. }) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(&storage, &call), "NotEnoughStakeToSetWeights");
        storage.put(items::COMMIT_REVEAL_ENABLED, (7u16,), false).expect("put");
        assert_eq!(reason(&storage, &WeightsCall { netuid: 7, ..call.clone() }), "MechanismDoesNotExist");
        storage.put(items::STAKE_THRESHOLD, (), 9u64).expect("put");
        assert_eq!(check(&storage, who, &call, 1000), Ok(1));
    }

    #[test]
    fn scaling_keeps_a_full_vector_and_zeros() {
        assert_eq!(max_upscaled(&[]), Vec::<u16>::new());
        assert_eq!(max_upscaled(&[0, 0]), [0, 0]);
        assert_eq!(max_upscaled(&[65535, 0, 1]), [65535, 0, 1]);
        assert_eq!(max_upscaled(&[1]), [65535]);
        assert_eq!(max_upscaled(&[100, 200]), [32768, 65535]);
    }

    proptest! {
        #[test]
        fn scaling_keeps_order_and_reaches_the_top(values in prop::collection::vec(any::<u16>(), 1..40)) {
            let scaled = max_upscaled(&values);
            if values.iter().any(|value| *value > 0) {
                prop_assert_eq!(scaled.iter().max(), Some(&u16::MAX));
            }
            for (a, b) in values.iter().zip(&scaled) {
                prop_assert!(b >= a);
                for (c, d) in values.iter().zip(&scaled) {
                    prop_assert!(a > c || b <= d);
                }
            }
        }
    }
}
