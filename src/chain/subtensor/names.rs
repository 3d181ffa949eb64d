//! Every pallet item, runtime call and extrinsic that we use, with the types that we read them as.
//!
//! Addresses are dynamic: names and types are matched against the live metadata (`check`), so a
//! runtime upgrade that keeps these shapes needs no new build. `u16` reads subtensor's newtypes
//! `NetUid` and `NetUidStorageIndex`; mechanism 0 of a subnet has the subnet's own index.

use subxt::{
    ext::scale_encode::EncodeAsType,
    runtime_apis,
    storage::{DynamicAddress, dynamic},
    transactions,
    utils::AccountId32,
};

use crate::chain::port::WeightsCall;

/// The pallet of subnets, neurons and weights.
const SUBTENSOR: &str = "SubtensorModule";

/// A storage item with key parts `K` and value `V`.
pub(super) type Item<K, V> = DynamicAddress<K, V>;
/// Key parts of a map by subnet.
pub(super) type BySubnet = (u16,);

fn item<K, V>(name: &str) -> Item<K, V> {
    Item::new(SUBTENSOR, name)
}

/// Whether the subnet exists.
pub(super) fn networks_added() -> Item<BySubnet, bool> {
    item("NetworksAdded")
}

/// Blocks between epochs.
pub(super) fn tempo() -> Item<BySubnet, u16> {
    item("Tempo")
}

/// Epochs run so far.
pub(super) fn subnet_epoch_index() -> Item<BySubnet, u64> {
    item("SubnetEpochIndex")
}

/// Block of the last epoch.
pub(super) fn last_epoch_block() -> Item<BySubnet, u64> {
    item("LastEpochBlock")
}

/// Least number of blocks between two weight settings.
pub(super) fn weights_set_rate_limit() -> Item<BySubnet, u64> {
    item("WeightsSetRateLimit")
}

/// Least number of entries of a weights vector.
pub(super) fn min_allowed_weights() -> Item<BySubnet, u16> {
    item("MinAllowedWeights")
}

/// Version key that weights must carry; zero accepts any.
pub(super) fn weights_version_key() -> Item<BySubnet, u64> {
    item("WeightsVersionKey")
}

/// Whether weights are committed first and revealed later.
pub(super) fn commit_reveal_weights_enabled() -> Item<BySubnet, bool> {
    item("CommitRevealWeightsEnabled")
}

/// Hotkey of the subnet's owner; all zeros when there is none.
pub(super) fn subnet_owner_hotkey() -> Item<BySubnet, AccountId32> {
    item("SubnetOwnerHotkey")
}

/// Hotkey by subnet and uid.
pub(super) fn keys() -> Item<(u16, u16), AccountId32> {
    item("Keys")
}

/// Permit by uid.
pub(super) fn validator_permit() -> Item<BySubnet, Vec<bool>> {
    item("ValidatorPermit")
}

/// Block of the last weight setting by uid, under the subnet's mechanism index.
pub(super) fn last_update() -> Item<BySubnet, Vec<u64>> {
    item("LastUpdate")
}

/// Alpha in rao by hotkey and subnet.
pub(super) fn total_hotkey_alpha() -> Item<(AccountId32, u16), u64> {
    item("TotalHotkeyAlpha")
}

/// Weights (target uid, value) by mechanism index and uid.
pub(super) fn weights() -> Item<(u16, u16), Vec<(u16, u16)>> {
    item("Weights")
}

/// What one hotkey revealed: bytes and block of each reveal.
pub(super) type Revealed = Vec<(Vec<u8>, u64)>;

/// Revealed bytes with the block of their reveal, oldest first, by subnet and hotkey.
pub(super) fn revealed_commitments() -> Item<(u16, AccountId32), Revealed> {
    dynamic("Commitments", "RevealedCommitments")
}

/// Runtime call: block in which the subnet's next epoch starts.
pub(super) fn next_epoch_start_block(netuid: u16) -> runtime_apis::DynamicPayload<BySubnet, Option<u64>> {
    runtime_apis::dynamic("SubnetInfoRuntimeApi", "get_next_epoch_start_block", (netuid,))
}

/// Runtime call: next nonce of an account. Used through subxt; named here so that `check` sees it.
pub(super) fn account_nonce(account: AccountId32) -> runtime_apis::DynamicPayload<(AccountId32,), u32> {
    runtime_apis::dynamic("AccountNonceApi", "account_nonce", (account,))
}

/// Arguments of `set_weights`, matched to the live call by name.
#[derive(EncodeAsType)]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
pub(super) struct SetWeights {
    netuid: u16,
    dests: Vec<u16>,
    weights: Vec<u16>,
    version_key: u64,
}

/// Extrinsic: set the signer's weights.
pub(super) fn set_weights(call: &WeightsCall) -> transactions::DynamicPayload<SetWeights> {
    let arguments = SetWeights {
        netuid: call.netuid.0,
        dests: call.uids.iter().map(|uid| uid.0).collect(),
        weights: call.values.clone(),
        version_key: call.version_key,
    };
    transactions::dynamic(SUBTENSOR, "set_weights", arguments)
}
