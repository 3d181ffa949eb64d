//! What happens to sealed fields when their round is published.

use parity_scale_codec::DecodeAll;
use subxt::ext::scale_value::{Composite, Value, ValueDef};

use super::{
    append_revealed,
    fields::{self, Field},
    netuid_and_who,
};
use crate::{
    chain::{
        devnet::{error::ModelError, items, pallets::drand, storage::Storage},
        timelock::{self, TimelockError},
    },
    domain::ids::Hotkey,
};

/// Commitments with a sealed field: subnet and hotkey, in order.
pub(super) fn index(storage: &Storage<'_>) -> Result<Vec<(u16, [u8; 32])>, ModelError> {
    storage.value(items::TIMELOCKED_INDEX, ())
}

/// Notes whether a commitment has a sealed field.
pub(super) fn set_indexed(
    storage: &mut Storage<'_>,
    netuid: u16,
    who: Hotkey,
    sealed: bool,
) -> Result<(), ModelError> {
    let mut index = index(storage)?;
    match (index.binary_search(&(netuid, who.0)), sealed) {
        (Err(place), true) => index.insert(place, (netuid, who.0)),
        (Ok(place), false) => drop(index.remove(place)),
        _ => return Ok(()),
    }
    storage.put(items::TIMELOCKED_INDEX, (), index)
}

/// Rounds that sealed fields wait for.
pub fn awaited_rounds(storage: &Storage<'_>) -> Result<Vec<u64>, ModelError> {
    let mut rounds = Vec::new();
    for (netuid, who) in index(storage)? {
        let Some(mut registration) = registration(storage, netuid, Hotkey(who))? else { continue };
        for value in fields::list(info(&mut registration)?)? {
            if let Field::Timelocked { round, .. } = Field::of(value)? {
                rounds.push(round);
            }
        }
    }
    Ok(rounds)
}

fn registration(storage: &Storage<'_>, netuid: u16, who: Hotkey) -> Result<Option<Value>, ModelError> {
    storage.get(items::COMMITMENT_OF, (netuid, who.0))
}

fn info(registration: &mut Value) -> Result<&mut Value, ModelError> {
    let named = match &mut registration.value {
        ValueDef::Composite(Composite::Named(named)) => named.iter_mut().find(|(name, _)| name == "info"),
        _ => None,
    };
    named.map(|(_, info)| info).ok_or_else(|| ModelError::Missing("info of a commitment".into()))
}

/// Opens the fields whose round is stored. What opens goes to the revealed list; what does not
/// stays as a failed field, and so does what waits for a round that the chain has forgotten.
pub fn on_initialize(storage: &mut Storage<'_>, number: u64) -> Result<(), ModelError> {
    for (netuid, who) in index(storage)? {
        open_fields(storage, netuid, Hotkey(who), number)?;
    }
    Ok(())
}

fn open_fields(storage: &mut Storage<'_>, netuid: u16, who: Hotkey, number: u64) -> Result<(), ModelError> {
    let Some(mut registration) = registration(storage, netuid, who)? else {
        return set_indexed(storage, netuid, who, false);
    };
    let list = fields::list(info(&mut registration)?)?;
    let (mut kept, mut revealed) = (Vec::new(), Vec::new());
    let (mut waits, mut changed) = (false, false);
    for mut value in std::mem::take(list) {
        let Field::Timelocked { sealed, round } = Field::of(&value)? else {
            kept.push(value);
            continue;
        };
        match attempt(storage, &sealed, round)? {
            Attempt::Waits => {
                waits = true;
                kept.push(value);
            }
            Attempt::Opened(bytes) => revealed.push(bytes),
            Attempt::Failed(failure) => {
                changed = true;
                // Runtimes before 461 have no name for this: there the field vanishes.
                if storage.runtime().has_event("Commitments", "CommitmentRevealFailed") {
                    fields::mark_failed(&mut value);
                    kept.push(value);
                    report_failure(storage, netuid, who, round, failure);
                }
            }
        }
    }
    changed |= !revealed.is_empty();
    if !changed {
        return Ok(());
    }
    let gone = kept.is_empty();
    *list = kept;
    for bytes in revealed {
        append_revealed(storage, netuid, who, [(number, bytes)])?;
        storage.emit("Commitments", "CommitmentRevealed", netuid_and_who(netuid, who));
    }
    if gone {
        storage.remove(items::COMMITMENT_OF, (netuid, who.0))?;
    } else {
        storage.put(items::COMMITMENT_OF, (netuid, who.0), registration)?;
    }
    set_indexed(storage, netuid, who, waits)
}

/// Why a sealed field can not be opened, under the metadata's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    SignatureDeserialize,
    CiphertextDeserialize,
    Decrypt,
    EmptyPlaintext,
    PulseExpired,
    RoundMismatch,
}

enum Attempt {
    Waits,
    Opened(Vec<u8>),
    Failed(Failure),
}

fn attempt(storage: &Storage<'_>, sealed: &[u8], round: u64) -> Result<Attempt, ModelError> {
    let Some(signature) = drand::signature(storage, round)? else {
        let forgotten = round < drand::oldest_stored_round(storage)?;
        return Ok(if forgotten { Attempt::Failed(Failure::PulseExpired) } else { Attempt::Waits });
    };
    Ok(match open(sealed, round, &signature) {
        Ok(bytes) => Attempt::Opened(bytes),
        Err(failure) => Attempt::Failed(failure),
    })
}

/// Opens sealed bytes as they are, or in the envelope (bytes, round) of the official client.
fn open(sealed: &[u8], round: u64, signature: &[u8]) -> Result<Vec<u8>, Failure> {
    let opened = match timelock::open(sealed, signature) {
        Err(TimelockError::Framing) => {
            let envelope = <(Vec<u8>, u64)>::decode_all(&mut &sealed[..]);
            let (inner, named_round) = envelope.map_err(|_| Failure::CiphertextDeserialize)?;
            if named_round != round {
                return Err(Failure::RoundMismatch);
            }
            timelock::open(&inner, signature)
        }
        other => other,
    };
    match opened {
        Ok(bytes) if bytes.is_empty() => Err(Failure::EmptyPlaintext),
        Ok(bytes) => Ok(bytes),
        Err(TimelockError::Signature) => Err(Failure::SignatureDeserialize),
        Err(TimelockError::Framing) => Err(Failure::CiphertextDeserialize),
        Err(TimelockError::NotOpened | TimelockError::PublicKey | TimelockError::NotSealed) => {
            Err(Failure::Decrypt)
        }
    }
}

fn report_failure(storage: &mut Storage<'_>, netuid: u16, who: Hotkey, round: u64, failure: Failure) {
    tracing::debug!(hotkey = %who, round, ?failure, "development chain: a timelocked commitment does not open");
    storage.emit(
        "Commitments",
        "CommitmentRevealFailed",
        Composite::named([
            ("netuid", Value::u128(netuid.into())),
            ("who", Value::from_bytes(who.0)),
            ("reveal_round", Value::u128(round.into())),
            ("error", Value::unnamed_variant(format!("{failure:?}"), [])),
        ]),
    );
}

#[cfg(test)]
mod tests {
    use parity_scale_codec::Encode;

    use super::*;
    use crate::chain::{devnet::beacon::DevBeacon, timelock::seal};

    #[test]
    fn each_failure_has_its_name() {
        let beacon = DevBeacon::new([1; 32], 3).expect("a key");
        let key = beacon.public().public_key;
        let sign = |round| beacon.sign(round).expect("signature");
        let sealed = seal(&key, 9, b"plain").expect("sealed");
        assert_eq!(open(&sealed, 9, &sign(9)), Ok(b"plain".to_vec()));
        assert_eq!(open(&(&sealed, 9u64).encode(), 9, &sign(9)), Ok(b"plain".to_vec()), "in its envelope");
        assert_eq!(open(&(&sealed, 8u64).encode(), 9, &sign(9)), Err(Failure::RoundMismatch));
        assert_eq!(open(&sealed, 9, &sign(8)), Err(Failure::Decrypt));
        assert_eq!(open(&sealed, 9, &[1; 48]), Err(Failure::SignatureDeserialize));
        assert_eq!(open(b"no ciphertext", 9, &sign(9)), Err(Failure::CiphertextDeserialize));
        let nothing = seal(&key, 9, b"").expect("sealed");
        assert_eq!(open(&nothing, 9, &sign(9)), Err(Failure::EmptyPlaintext));
    }
}
