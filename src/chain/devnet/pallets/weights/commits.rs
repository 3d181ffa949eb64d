//! Commit-reveal of weights, version 4: sealed weights now, revealed by the chain an epoch later.

use parity_scale_codec::Decode;
use sp_crypto_hashing::blake2_256;
use subxt::ext::scale_value::{Composite, Value};

use super::{WeightsCall, fail, has_mechanism, storage_index, store, touch, uid_of, within_rate_limit};
use crate::{
    chain::{
        devnet::{
            error::ModelError,
            extrinsic::Extrinsic,
            items,
            pallets::{DispatchFailure, drand, epochs},
            runtime::Runtime,
            storage::Storage,
        },
        timelock,
    },
    domain::ids::Hotkey,
};

/// Longest sealed weights, in bytes.
const MAX_COMMIT_BYTES: usize = 5000;
/// Most open commits of a hotkey in one epoch.
const MAX_OPEN_COMMITS: usize = 10;

/// A commit as the chain stores it: committer, block, sealed bytes, reveal round.
type Stored = ([u8; 32], u64, Vec<u8>, u64);

/// A `commit_timelocked_weights` or `commit_timelocked_mechanism_weights` call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitCall {
    netuid: u16,
    mechanism: u8,
    sealed: Vec<u8>,
    reveal_round: u64,
    version: u16,
}

impl CommitCall {
    /// The call of an extrinsic, if it is one of these.
    pub fn of(runtime: &Runtime, extrinsic: &Extrinsic) -> Result<Option<Self>, ModelError> {
        let mechanism = match (extrinsic.pallet.as_str(), extrinsic.call.as_str()) {
            ("SubtensorModule", "commit_timelocked_weights") => 0,
            ("SubtensorModule", "commit_timelocked_mechanism_weights") => {
                extrinsic.argument(runtime, "mecid")?
            }
            _ => return Ok(None),
        };
        Ok(Some(Self {
            netuid: extrinsic.argument(runtime, "netuid")?,
            mechanism,
            sealed: extrinsic.argument(runtime, "commit")?,
            reveal_round: extrinsic.argument(runtime, "reveal_round")?,
            version: extrinsic.argument(runtime, "commit_reveal_version")?,
        }))
    }

    /// Subnet of the call.
    pub fn netuid(&self) -> u16 {
        self.netuid
    }

    /// Round that the commit is sealed to.
    pub fn reveal_round(&self) -> u64 {
        self.reveal_round
    }
}

/// Whether an extrinsic carries a commit that is longer than the runtime takes.
pub fn is_too_long(runtime: &Runtime, extrinsic: &Extrinsic) -> Result<bool, ModelError> {
    Ok(CommitCall::of(runtime, extrinsic)?.is_some_and(|call| call.sealed.len() > MAX_COMMIT_BYTES))
}

/// Runs the call of an extrinsic.
pub fn dispatch(
    storage: &mut Storage<'_>,
    who: Hotkey,
    extrinsic: &Extrinsic,
    number: u64,
) -> Result<(), DispatchFailure> {
    let call = CommitCall::of(storage.runtime(), extrinsic)?
        .ok_or_else(|| ModelError::Missing("a commit call".into()))?;
    commit(storage, who, call, number)
}

fn commit(
    storage: &mut Storage<'_>,
    who: Hotkey,
    call: CommitCall,
    number: u64,
) -> Result<(), DispatchFailure> {
    let netuid = call.netuid;
    if !has_mechanism(storage, netuid, call.mechanism)? {
        return fail("MechanismDoesNotExist");
    }
    if !storage.value::<bool>(items::COMMIT_REVEAL_ENABLED, (netuid,))? {
        return fail("CommitRevealDisabled");
    }
    if call.version != storage.value::<u16>(items::COMMIT_REVEAL_VERSION, ())? {
        return fail("IncorrectCommitRevealVersion");
    }
    let Some(uid) = uid_of(storage, netuid, who)? else {
        return fail("HotKeyNotRegisteredInSubNet");
    };
    let index = storage_index(netuid, call.mechanism);
    if !within_rate_limit(storage, netuid, index, uid, number)? {
        return fail("CommittingWeightsTooFast");
    }
    let epoch = epochs::epoch_with_lookahead(storage, netuid, number)?;
    let mut commits: Vec<Stored> = storage.value(items::TIMELOCKED_WEIGHT_COMMITS, (index, epoch))?;
    if commits.iter().filter(|(committer, ..)| *committer == who.0).count() >= MAX_OPEN_COMMITS {
        return fail("TooManyUnrevealedCommits");
    }
    let hash = blake2_256(&call.sealed);
    commits.push((who.0, number, call.sealed, call.reveal_round));
    storage.put(items::TIMELOCKED_WEIGHT_COMMITS, (index, epoch), commits)?;
    touch(storage, index, uid, number)?;
    storage.emit(
        "SubtensorModule",
        "TimelockedWeightsCommitted",
        Composite::unnamed([
            Value::from_bytes(who.0),
            Value::u128(index.into()),
            Value::from_bytes(hash),
            Value::u128(call.reveal_round.into()),
        ]),
    );
    Ok(())
}

/// Reveals the commits whose epoch has come; runs before the block's own epoch. A commit without a
/// pulse stays for the next block; one that does not open, or whose weights fail a check, is
/// dropped without a word, and so is what is older than the epoch to reveal.
pub fn reveal_due(storage: &mut Storage<'_>, netuid: u16, number: u64) -> Result<(), ModelError> {
    let period: u64 = storage.value(items::REVEAL_PERIOD_EPOCHS, (netuid,))?;
    let now = epochs::epoch_with_lookahead(storage, netuid, number)?;
    let due = now.saturating_sub(period);
    for mechanism in 0..storage.value::<u8>(items::MECHANISM_COUNT, (netuid,))? {
        let index = storage_index(netuid, mechanism);
        for expired in epochs_with_commits(storage, index)?.into_iter().filter(|epoch| *epoch < due) {
            storage.remove(items::TIMELOCKED_WEIGHT_COMMITS, (index, expired))?;
        }
        if now < period {
            continue;
        }
        let commits: Vec<Stored> = storage.value(items::TIMELOCKED_WEIGHT_COMMITS, (index, due))?;
        if commits.is_empty() {
            continue;
        }
        let mut waiting = Vec::new();
        for commit in commits {
            match drand::signature(storage, commit.3)? {
                None => waiting.push(commit),
                Some(signature) => reveal(storage, (netuid, mechanism), &commit, &signature, number)?,
            }
        }
        if waiting.is_empty() {
            storage.remove(items::TIMELOCKED_WEIGHT_COMMITS, (index, due))?;
        } else {
            storage.put(items::TIMELOCKED_WEIGHT_COMMITS, (index, due), waiting)?;
        }
    }
    Ok(())
}

/// What a commit seals.
#[derive(Decode)]
struct Payload {
    hotkey: Vec<u8>,
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

fn reveal(
    storage: &mut Storage<'_>,
    (netuid, mechanism): (u16, u8),
    (committer, committed_at, sealed, round): &Stored,
    signature: &[u8],
    number: u64,
) -> Result<(), ModelError> {
    let who = Hotkey(*committer);
    let drop = |reason: String| {
        tracing::debug!(hotkey = %who, committed_at, round, %reason, "development chain: a commit of weights is dropped");
    };
    let payload = match timelock::open(sealed, signature) {
        Ok(opened) => Payload::decode(&mut &opened[..]),
        Err(error) => {
            drop(error.to_string());
            return Ok(());
        }
    };
    let payload = match payload {
        Ok(payload) if payload.hotkey == committer => payload,
        Ok(_) => {
            drop("the payload names another hotkey".into());
            return Ok(());
        }
        Err(error) => {
            drop(format!("the payload does not decode: {error}"));
            return Ok(());
        }
    };
    let Payload { uids, values, version_key, .. } = payload;
    let call = WeightsCall { netuid, mechanism, uids, values, version_key };
    match store(storage, who, &call, number) {
        Ok(()) => storage.emit(
            "SubtensorModule",
            "TimelockedWeightsRevealed",
            Composite::unnamed([Value::u128(call.index().into()), Value::from_bytes(who.0)]),
        ),
        Err(DispatchFailure::Model(error)) => return Err(error),
        Err(failure) => drop(format!("{failure:?}")),
    }
    Ok(())
}

/// Epochs under which commits are stored.
fn epochs_with_commits(storage: &Storage<'_>, index: u16) -> Result<Vec<u64>, ModelError> {
    let prefix = storage.runtime().key(items::TIMELOCKED_WEIGHT_COMMITS, (index,))?;
    // `Twox64Concat` ends with the key itself.
    let epoch = |key: Vec<u8>| key.last_chunk().copied().map(u64::from_le_bytes);
    Ok(storage.keys_below(&prefix).into_iter().filter_map(epoch).collect())
}

/// Open commits of a subnet with their epoch.
fn open_commits(storage: &Storage<'_>, netuid: u16) -> Result<Vec<(u64, Stored)>, ModelError> {
    let mut all = Vec::new();
    for mechanism in 0..storage.value::<u8>(items::MECHANISM_COUNT, (netuid,))? {
        let index = storage_index(netuid, mechanism);
        for epoch in epochs_with_commits(storage, index)? {
            let commits: Vec<Stored> = storage.value(items::TIMELOCKED_WEIGHT_COMMITS, (index, epoch))?;
            all.extend(commits.into_iter().map(|commit| (epoch, commit)));
        }
    }
    all.sort_by_key(|(epoch, _)| *epoch);
    Ok(all)
}

/// Rounds that open commits of weights wait for.
pub fn awaited_rounds(storage: &Storage<'_>, netuid: u16) -> Result<Vec<u64>, ModelError> {
    Ok(open_commits(storage, netuid)?.into_iter().map(|(_, (_, _, _, round))| round).collect())
}

/// A commit of weights that the chain holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingCommit {
    /// Epoch that it belongs to; it is revealed in this epoch plus the reveal period.
    pub epoch: u64,
    /// Block that it came with.
    pub committed_at: u64,
    /// Round whose signature opens it.
    pub reveal_round: u64,
    /// Sealed bytes.
    pub sealed: Vec<u8>,
}

/// Open commits of a hotkey, by epoch and then in order of arrival.
pub fn pending_of(storage: &Storage<'_>, netuid: u16, who: Hotkey) -> Result<Vec<PendingCommit>, ModelError> {
    let of_hotkey = open_commits(storage, netuid)?.into_iter().filter(|(_, commit)| commit.0 == who.0);
    Ok(of_hotkey
        .map(|(epoch, (_, committed_at, sealed, reveal_round))| PendingCommit {
            epoch,
            committed_at,
            reveal_round,
            sealed,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use parity_scale_codec::Encode;
    use proptest::prelude::*;

    use super::*;
    use crate::chain::devnet::{
        beacon::DevBeacon,
        config::{DevNeuron, DevnetConfig},
        pallets::neurons::{GenesisBlocks, write_genesis},
        state::VersionedState,
    };

    const NETUID: u16 = 99;
    const LAST_EPOCH: u64 = 1_000;
    const ROUND: u64 = 500;

    /// First block at which the weights of a commit stand on chain, by running every block.
    fn revealed_at(tempo: u16, period: u64, committed_at: u64, pulse_at: u64, until: u64) -> Option<u64> {
        let runtime = Runtime::load().expect("vendored metadata");
        let state = VersionedState::default();
        let mut storage = Storage::at(&runtime, &state, 0);
        let (owner, who) = (Hotkey([1; 32]), Hotkey([2; 32]));
        let config = DevnetConfig {
            tempo,
            commit_reveal: true,
            reveal_period: period,
            weights_rate_limit: 0,
            neurons: vec![DevNeuron::validator(owner, 1), DevNeuron::validator(who, 1)],
            ..DevnetConfig::default()
        };
        let blocks = GenesisBlocks { number: LAST_EPOCH, registered_at: 1, last_epoch: LAST_EPOCH };
        write_genesis(&mut storage, &config, blocks).expect("genesis");
        let beacon = DevBeacon::new([3; 32], 3).expect("a key");
        let payload = (who.0.to_vec(), vec![0u16], vec![7u16], 0u64).encode();
        let sealed = timelock::seal(&beacon.public().public_key, ROUND, &payload).expect("sealed");
        for number in LAST_EPOCH + 1..until {
            reveal_due(&mut storage, NETUID, number).expect("reveal");
            epochs::on_initialize(&mut storage, NETUID, number).expect("epoch");
            let row: Vec<(u16, u16)> = storage.value(items::WEIGHTS, (NETUID, 1u16)).expect("row");
            if !row.is_empty() {
                return Some(number);
            }
            if number == pulse_at {
                let signature = beacon.sign(ROUND).expect("signature");
                drand::write_pulse(&mut storage, ROUND, &signature).expect("pulse");
            }
            if number == committed_at {
                let call = CommitCall {
                    netuid: NETUID,
                    mechanism: 0,
                    sealed: sealed.clone(),
                    reveal_round: ROUND,
                    version: 4,
                };
                commit(&mut storage, who, call, number).expect("commit");
            }
        }
        None
    }

    /// The official client's own commit, sealed to quicknet's published round 1000, is opened,
    /// checked and stored (`tests/golden/timelock/make.py`).
    #[test]
    fn a_commit_of_the_official_client_is_revealed() {
        let golden = include_str!("../../../../../tests/golden/timelock/golden.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("golden file");
        let bytes =
            |text: &serde_json::Value| hex::decode(text.as_str().expect("text")).expect("hexadecimal");
        let recorded = &golden["sealed"]["weights"];
        let who = Hotkey(bytes(&recorded["hotkey"]).try_into().expect("32 bytes"));
        let runtime = Runtime::load().expect("vendored metadata");
        let state = VersionedState::default();
        let mut storage = Storage::at(&runtime, &state, 0);
        let config = DevnetConfig {
            commit_reveal: true,
            tempo: 10,
            neurons: vec![DevNeuron::miner(Hotkey([1; 32])), DevNeuron::validator(who, 1)],
            ..DevnetConfig::default()
        };
        let blocks = GenesisBlocks { number: LAST_EPOCH, registered_at: 1, last_epoch: LAST_EPOCH };
        write_genesis(&mut storage, &config, blocks).expect("genesis");
        // The recorded weights name uid 300, which is more neurons than the model lets register.
        storage.put(items::SUBNETWORK_N, (NETUID,), 301u16).expect("put");
        drand::write_pulse(&mut storage, 1000, &bytes(&golden["signature"])).expect("pulse");
        let sealed = bytes(&recorded["sealed"]);
        let call = CommitCall { netuid: NETUID, mechanism: 0, sealed, reveal_round: 1000, version: 4 };
        commit(&mut storage, who, call, LAST_EPOCH + 1).expect("commit");
        reveal_due(&mut storage, NETUID, LAST_EPOCH + 10).expect("reveal");
        let row: Vec<(u16, u16)> = storage.value(items::WEIGHTS, (NETUID, 1u16)).expect("row");
        assert_eq!(row, [(7, 65535), (0, 0), (300, 1)]);
    }

    /// The bytes that the official client composes are these calls (`tests/golden/calls-11.1.0/make.py`).
    #[test]
    fn calls_of_the_official_client_are_understood() {
        let golden = include_str!("../../../../../tests/golden/calls-11.1.0/golden.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("golden file");
        let bytes = |name: &str| hex::decode(golden[name].as_str().expect(name)).expect("hexadecimal");
        let runtime = Runtime::load().expect("vendored metadata");
        for (name, mechanism) in
            [("commit_timelocked_weights", 0), ("commit_timelocked_mechanism_weights", 1)]
        {
            // An extrinsic without a signature: length, version, call.
            let unsigned = [vec![4], bytes(name)].concat().encode();
            let extrinsic = Extrinsic::decode(&runtime, unsigned).expect(name);
            let expected = CommitCall {
                netuid: NETUID,
                mechanism,
                sealed: bytes("commit"),
                reveal_round: 1 << 33,
                version: 4,
            };
            assert_eq!(CommitCall::of(&runtime, &extrinsic), Ok(Some(expected)), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Epoch k begins at block `LAST_EPOCH + k * tempo`; a commit of epoch e is revealed with
        /// the first block of epoch e + period that has its pulse, or not at all.
        #[test]
        fn a_commit_is_revealed_in_its_epoch_or_never(
            tempo in 2u16..12, period in 1u64..4, after in 1u64..40, pulse_after in 1u64..80,
        ) {
            let tempo_blocks = u64::from(tempo);
            let (committed_at, pulse_at) = (LAST_EPOCH + after, LAST_EPOCH + pulse_after);
            let epoch = after / tempo_blocks + period;
            let begins = LAST_EPOCH + epoch * tempo_blocks;
            // A pulse is readable from the block after the one that brings it.
            let first = begins.max(pulse_at + 1);
            let expected = (first < begins + tempo_blocks).then_some(first);
            let until = begins + 2 * tempo_blocks;
            prop_assert_eq!(revealed_at(tempo, period, committed_at, pulse_at, until), expected);
        }
    }
}
