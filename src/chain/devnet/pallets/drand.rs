//! `Drand`: the beacon's pulses on chain, as an oracle's `write_pulse` would bring them.
//!
//! A real chain stores every round and keeps a week of them. The model writes the newest rounds of
//! a block and those that a commit or commitment waits for, and keeps [`KEPT_ROUNDS`].

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
    let last = last_stored_round(storage)?;
    if !beacon.is_running() || newest == 0 {
        return Ok(());
    }
    let oldest = match oldest_stored_round(storage)? {
        0 => (newest + 1).saturating_sub(NEWEST_ROUNDS).max(1),
        oldest => oldest,
    };
    let first = beacon.first_round().max(oldest);
    let due = |round: &u64| (first..=newest).contains(round);
    let mut rounds: Vec<u64> =
        [weights::commits::awaited_rounds(storage, netuid)?, commitments::awaited_rounds(storage)?]
            .concat()
            .into_iter()
            .filter(due)
            .collect();
    rounds.sort_unstable();
    rounds.dedup();
    rounds.truncate(MOST_AWAITED);
    let newest_ones = (newest + 1).saturating_sub(NEWEST_ROUNDS).max(last + 1).max(first)..=newest;
    rounds.extend(newest_ones.filter(|round| !rounds.contains(round)).collect::<Vec<_>>());
    let mut written = Vec::new();
    for round in rounds {
        if signature(storage, round)?.is_none() {
            write_pulse(storage, round, &beacon.sign(round)?)?;
            written.push(Value::u128(round.into()));
        }
    }
    storage.put(items::LAST_STORED_ROUND, (), newest.max(last))?;
    storage.put(items::OLDEST_STORED_ROUND, (), oldest)?;
    if !written.is_empty() {
        let rounds = Value::unnamed_composite(written);
        storage.emit("Drand", "NewPulse", Composite::named([("rounds", rounds)]));
    }
    forget(storage, oldest, newest)
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
