//! `Drand`: the beacon's pulses on chain, as an oracle's `write_pulse` would bring them.
//!
//! A real chain stores every round and keeps a week of them. The model writes the newest rounds of
//! a block and those that a commit or commitment waits for, and keeps [`KEPT_ROUNDS`].

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use subxt::ext::scale_value::{Composite, Value};

use super::{commitments, weights};
use crate::chain::{
    devnet::{beacon::DevBeacon, error::ModelError, items, storage::Storage},
    timelock::Beacon,
};

/// Newest rounds that a block writes whether or not anything waits for them: a slot of twelve
/// seconds has four rounds of three.
const NEWEST_ROUNDS: u64 = 4;
/// Most rounds that a block writes because something waits for them; the rest come with the next.
const MOST_AWAITED: usize = 64;
/// Rounds behind the newest one that stay stored.
pub const KEPT_ROUNDS: u64 = 4096;
/// Most rounds that a block forgets.
const MOST_FORGOTTEN: u64 = 256;

/// Stores who the beacon is.
pub fn write_genesis(storage: &mut Storage<'_>, beacon: &Beacon) -> Result<(), ModelError> {
    let config = Value::named_composite([
        ("public_key", Value::from_bytes(beacon.public_key)),
        ("period", Value::u128(beacon.period.into())),
        ("genesis_time", Value::u128(beacon.genesis_time.into())),
        ("hash", Value::from_bytes(Sha256::digest(beacon.public_key))),
        ("group_hash", Value::from_bytes([0; 32])),
        ("scheme_id", Value::from_bytes(b"bls-unchained-g1-rfc9380")),
        ("metadata", Value::named_composite([("beacon_id", Value::from_bytes(b"leoma-devnet"))])),
    ]);
    storage.put(items::BEACON_CONFIG, (), config)
}

/// Newest stored round.
pub fn last_stored_round(storage: &Storage<'_>) -> Result<u64, ModelError> {
    storage.value(items::LAST_STORED_ROUND, ())
}

/// Oldest round that can still be stored; zero while none is.
pub fn oldest_stored_round(storage: &Storage<'_>) -> Result<u64, ModelError> {
    storage.value(items::OLDEST_STORED_ROUND, ())
}

#[derive(subxt::ext::scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct StoredPulse {
    signature: Vec<u8>,
}

/// Signature of a round, if its pulse is stored.
pub fn signature(storage: &Storage<'_>, round: u64) -> Result<Option<Vec<u8>>, ModelError> {
    Ok(storage.get::<StoredPulse>(items::PULSES, (round,))?.map(|pulse| pulse.signature))
}

/// Stores a round's pulse.
pub fn write_pulse(storage: &mut Storage<'_>, round: u64, signature: &[u8]) -> Result<(), ModelError> {
    let pulse = Value::named_composite([
        ("round", Value::u128(round.into())),
        ("randomness", Value::from_bytes(Sha256::digest(signature))),
        ("signature", Value::from_bytes(signature)),
    ]);
    storage.put(items::PULSES, (round,), pulse)
}

/// Writes the rounds whose time has come at the block's time, and forgets old ones.
pub fn publish(
    storage: &mut Storage<'_>,
    beacon: &DevBeacon,
    netuid: u16,
    now_ms: u64,
) -> Result<(), ModelError> {
    let newest = beacon.newest_round(now_ms);
    if !beacon.is_running() || newest == 0 {
        return Ok(());
    }
    let oldest = match oldest_stored_round(storage)? {
        0 => (newest + 1).saturating_sub(NEWEST_ROUNDS).max(1),
        oldest => oldest,
    };
    let first = beacon.first_round().max(oldest);
    let mut written = Vec::new();
    for round in rounds_to_write(storage, netuid, first, newest)? {
        write_pulse(storage, round, &beacon.sign(round)?)?;
        written.push(Value::u128(round.into()));
    }
    storage.put(items::LAST_STORED_ROUND, (), newest.max(last_stored_round(storage)?))?;
    storage.put(items::OLDEST_STORED_ROUND, (), oldest)?;
    if !written.is_empty() {
        let rounds = Value::unnamed_composite(written);
        storage.emit("Drand", "NewPulse", Composite::named([("rounds", rounds)]));
    }
    forget(storage, oldest, newest)
}

/// Rounds from `first` to `newest` that are not stored: a bounded number of awaited ones, oldest
/// first, and the newest ones.
fn rounds_to_write(
    storage: &Storage<'_>,
    netuid: u16,
    first: u64,
    newest: u64,
) -> Result<BTreeSet<u64>, ModelError> {
    let awaited =
        [weights::commits::awaited_rounds(storage, netuid)?, commitments::awaited_rounds(storage)?].concat();
    let awaited: BTreeSet<u64> =
        awaited.into_iter().filter(|round| (first..=newest).contains(round)).collect();
    let mut rounds = BTreeSet::new();
    for round in awaited {
        if rounds.len() < MOST_AWAITED && signature(storage, round)?.is_none() {
            rounds.insert(round);
        }
    }
    for round in (newest + 1).saturating_sub(NEWEST_ROUNDS).max(first)..=newest {
        if signature(storage, round)?.is_none() {
            rounds.insert(round);
        }
    }
    Ok(rounds)
}

/// Forgets the rounds that are too far behind the newest, a bounded number of them.
fn forget(storage: &mut Storage<'_>, oldest: u64, newest: u64) -> Result<(), ModelError> {
    let floor = (newest + 1).saturating_sub(KEPT_ROUNDS).min(oldest + MOST_FORGOTTEN);
    if floor <= oldest {
        return Ok(());
    }
    for round in oldest..floor {
        storage.remove(items::PULSES, (round,))?;
    }
    storage.put(items::OLDEST_STORED_ROUND, (), floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::devnet::{
        beacon::{BeaconSwitch, Missed},
        runtime::Runtime,
        state::VersionedState,
    };

    const NETUID: u16 = 99;

    #[test]
    fn old_rounds_are_forgotten_and_a_long_pause_costs_no_more_than_a_short_one() {
        let runtime = Runtime::load().expect("vendored metadata");
        let state = VersionedState::default();
        let mut storage = Storage::at(&runtime, &state, 0);
        let mut beacon = DevBeacon::new([1; 32], 3).expect("a key");
        let start = beacon.public().genesis_time * 1000 + 3_000_000;
        let prefix = runtime.key(items::PULSES, ()).expect("prefix");
        let stored = |storage: &Storage<'_>| storage.keys_below(&prefix).len() as u64;
        let at = |round: u64| start + (round - 1001) * 3000;

        publish(&mut storage, &beacon, NETUID, start).expect("published");
        assert_eq!(last_stored_round(&storage), Ok(1001));
        assert_eq!(oldest_stored_round(&storage), Ok(998));
        assert_eq!(stored(&storage), NEWEST_ROUNDS);

        beacon.switch(BeaconSwitch::Stop, at(1001));
        publish(&mut storage, &beacon, NETUID, at(9_000)).expect("silent");
        assert_eq!(last_stored_round(&storage), Ok(1001));

        beacon.switch(BeaconSwitch::Start(Missed::Published), at(9_000));
        let mut blocks = 0;
        while oldest_stored_round(&storage) != Ok(9_000 - KEPT_ROUNDS + 1) {
            publish(&mut storage, &beacon, NETUID, at(9_000)).expect("published");
            blocks += 1;
            assert!(stored(&storage) <= 2 * NEWEST_ROUNDS);
        }
        assert_eq!(blocks, (9_000 - KEPT_ROUNDS + 1 - 998).div_ceil(MOST_FORGOTTEN));
        assert_eq!(stored(&storage), NEWEST_ROUNDS, "the first ones are gone");
        assert_eq!(signature(&storage, 1001), Ok(None));
    }
}
