//! Every pallet item, runtime call and extrinsic that we use, with the types that we read them as.
//!
//! Addresses are dynamic: names and types are matched against the live metadata (`check`), so a
//! runtime upgrade that keeps these shapes needs no new build. `u16` reads subtensor's newtypes
//! `NetUid` and `NetUidStorageIndex`; mechanism 0 of a subnet has the subnet's own index.

use subxt::{
    ext::{scale_decode::DecodeAsType, scale_encode::EncodeAsType},
    runtime_apis,
    storage::{DynamicAddress, dynamic},
    transactions,
    utils::AccountId32,
};

use crate::chain::port::{CommitCall, WeightsCall};

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

/// Weights (target uid, value) by mechanism index and uid.
pub(super) fn weights() -> Item<(u16, u16), Vec<(u16, u16)>> {
    item("Weights")
}

/// Block at which an epoch was asked for; zero when none was.
pub(super) fn pending_epoch_at() -> Item<BySubnet, u64> {
    item("PendingEpochAt")
}

/// Blocks without an epoch's step.
pub(super) fn blocks_since_last_step() -> Item<BySubnet, u64> {
    item("BlocksSinceLastStep")
}

/// Epochs between a commit of weights and its reveal.
pub(super) fn reveal_period_epochs() -> Item<BySubnet, u64> {
    item("RevealPeriodEpochs")
}

/// Version that a commit of weights must name.
pub(super) fn commit_reveal_weights_version() -> Item<(), u16> {
    item("CommitRevealWeightsVersion")
}

/// Least stake for setting weights, in rao.
pub(super) fn stake_threshold() -> Item<(), u64> {
    item("StakeThreshold")
}

/// Block of registration by subnet and uid.
pub(super) fn block_at_registration() -> Item<(u16, u16), u64> {
    item("BlockAtRegistration")
}

/// Open commits of weights of one epoch: who, in which block, the sealed bytes, the beacon's round.
pub(super) type Commits = Vec<(AccountId32, u64, Vec<u8>, u64)>;

/// Open commits of weights by mechanism index and epoch.
pub(super) fn timelocked_weight_commits() -> Item<(u16, u64), Commits> {
    item("TimelockedWeightCommits")
}

/// Newest round of the beacon that the chain holds.
pub(super) fn last_stored_round() -> Item<(), u64> {
    dynamic("Drand", "LastStoredRound")
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

/// What we read of a subnet's metagraph; the runtime's struct has many more fields.
#[derive(Clone, PartialEq, Eq, Debug, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(super) struct Metagraph {
    /// Hotkeys by uid.
    pub(super) hotkeys: Vec<AccountId32>,
    /// Stake by uid, in rao: alpha and weighted TAO.
    pub(super) total_stake: Vec<u64>,
}

/// Runtime call: the metagraph of a subnet.
pub(super) fn metagraph(netuid: u16) -> runtime_apis::DynamicPayload<BySubnet, Option<Metagraph>> {
    runtime_apis::dynamic("SubnetInfoRuntimeApi", "get_metagraph", (netuid,))
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

/// Arguments of `commit_timelocked_weights`, matched to the live call by name.
#[derive(EncodeAsType)]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
pub(super) struct CommitTimelockedWeights {
    netuid: u16,
    commit: Vec<u8>,
    reveal_round: u64,
    commit_reveal_version: u16,
}

/// Extrinsic: commit the signer's sealed weights.
pub(super) fn commit_timelocked_weights(
    call: &CommitCall,
) -> transactions::DynamicPayload<CommitTimelockedWeights> {
    let arguments = CommitTimelockedWeights {
        netuid: call.netuid.0,
        commit: call.sealed.clone(),
        reveal_round: call.reveal_round,
        commit_reveal_version: call.version,
    };
    transactions::dynamic(SUBTENSOR, "commit_timelocked_weights", arguments)
}
