//! `Commitments`: plain and timelocked commitments by call, and reveals (`timelocked`).

mod fields;
mod timelocked;

use subxt::ext::scale_value::{Composite, Value};

use self::fields::Field;
pub use self::timelocked::{awaited_rounds, on_initialize};
use super::{DispatchFailure, epochs, weights};
use crate::{
    chain::devnet::{error::ModelError, extrinsic::Extrinsic, items, runtime::Runtime, storage::Storage},
    domain::ids::Hotkey,
};

/// Most fields of a commitment (`MaxFields`).
const MAX_FIELDS: usize = 3;
/// Longest sealed field, in bytes.
const MAX_SEALED_BYTES: usize = 1024;
/// Longest plain field (`BigRaw`), in bytes.
const MAX_PLAIN_BYTES: usize = 512;
/// Space that the smallest commitment takes, in bytes.
const LEAST_SPACE: u64 = 100;
/// Revealed entries that the chain keeps per hotkey.
const KEPT_REVEALS: usize = 10;

#[derive(subxt::ext::scale_decode::DecodeAsType, subxt::ext::scale_encode::EncodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
struct UsedSpace {
    last_epoch: u64,
    used_space: u64,
}

/// Whether an extrinsic carries a commitment with a longer field than the runtime takes.
pub fn is_too_long(runtime: &Runtime, extrinsic: &Extrinsic) -> Result<bool, ModelError> {
    if (extrinsic.pallet.as_str(), extrinsic.call.as_str()) != ("Commitments", "set_commitment") {
        return Ok(false);
    }
    let mut info = extrinsic.argument_value(runtime, "info")?;
    let fields = fields::list(&mut info)?.iter().map(Field::of).collect::<Result<Vec<_>, _>>()?;
    Ok(fields.iter().any(|field| match field {
        Field::Timelocked { sealed, .. } => sealed.len() > MAX_SEALED_BYTES,
        Field::Plain(bytes) => *bytes > MAX_PLAIN_BYTES,
        Field::RevealFailed | Field::ResetBonds => false,
    }))
}

/// Runs `Commitments.set_commitment`.
pub fn set_commitment(
    storage: &mut Storage<'_>,
    who: Hotkey,
    extrinsic: &Extrinsic,
    number: u64,
) -> Result<(), DispatchFailure> {
    let fail = |error: &'static str| Err(DispatchFailure::Module { pallet: "Commitments", error });
    let runtime = storage.runtime();
    let netuid: u16 = extrinsic.argument(runtime, "netuid")?;
    let mut info = extrinsic.argument_value(runtime, "info")?;
    let values = fields::list(&mut info)?;
    let fields = values.iter().map(Field::of).collect::<Result<Vec<_>, _>>()?;
    if fields.len() > MAX_FIELDS {
        return fail("TooManyFieldsInCommitmentInfo");
    }
    if fields.contains(&Field::RevealFailed) {
        return fail("TimelockRevealFailedNotAllowed");
    }
    if weights::uid_of(storage, netuid, who)?.is_none() {
        return fail("AccountNotAllowedCommit");
    }
    let size: u64 = fields.iter().map(Field::space).sum();
    if !take_space(storage, netuid, who, number, size.max(LEAST_SPACE))? {
        return fail("SpaceLimitExceeded");
    }
    if fields.contains(&Field::ResetBonds) {
        // The model has no bonds: only the note of the request is kept.
        storage.put(items::LAST_BONDS_RESET, (netuid, who.0), number as u32)?;
    }
    let registration = Value::named_composite([
        ("deposit", Value::u128(0)),
        ("block", Value::u128(number.into())),
        ("info", info),
    ]);
    storage.put(items::COMMITMENT_OF, (netuid, who.0), registration)?;
    storage.put(items::LAST_COMMITMENT, (netuid, who.0), number as u32)?;
    let sealed_to = fields.iter().find_map(|field| match field {
        Field::Timelocked { round, .. } => Some(*round),
        _ => None,
    });
    timelocked::set_indexed(storage, netuid, who, sealed_to.is_some())?;
    match sealed_to {
        None => storage.emit("Commitments", "Commitment", netuid_and_who(netuid, who)),
        Some(round) => storage.emit(
            "Commitments",
            "TimelockCommitment",
            Composite::named([
                ("netuid", Value::u128(netuid.into())),
                ("who", Value::from_bytes(who.0)),
                ("reveal_round", Value::u128(round.into())),
            ]),
        ),
    }
    Ok(())
}

/// Books space in this epoch's budget; false when it would exceed the limit.
fn take_space(
    storage: &mut Storage<'_>,
    netuid: u16,
    who: Hotkey,
    number: u64,
    size: u64,
) -> Result<bool, ModelError> {
    let epoch = epochs::index(storage, netuid, number)?;
    let mut space = storage
        .get::<UsedSpace>(items::USED_SPACE_OF, (netuid, who.0))?
        .filter(|space| space.last_epoch == epoch)
        .unwrap_or(UsedSpace { last_epoch: epoch, used_space: 0 });
    let limit: u32 = storage.value(items::MAX_SPACE, ())?;
    space.used_space += size;
    if space.used_space > limit.into() {
        return Ok(false);
    }
    storage.put(items::USED_SPACE_OF, (netuid, who.0), space)?;
    Ok(true)
}

fn netuid_and_who(netuid: u16, who: Hotkey) -> Composite<()> {
    Composite::named([("netuid", Value::u128(netuid.into())), ("who", Value::from_bytes(who.0))])
}

/// Appends a revealed commitment, as the pallet does when a timelock ends: the last ten stay.
/// `bytes` are stored as they are, so the caller adds the SCALE string framing of
/// `set_reveal_commitment`. A hotkey that is not registered reveals nothing.
pub fn reveal(
    storage: &mut Storage<'_>,
    netuid: u16,
    who: Hotkey,
    bytes: Vec<u8>,
    number: u64,
) -> Result<(), ModelError> {
    if weights::uid_of(storage, netuid, who)?.is_none() {
        tracing::warn!(hotkey = %who, "development chain: a reveal of an unregistered hotkey is dropped");
        return Ok(());
    }
    append_revealed(storage, netuid, who, [(number, bytes)])?;
    storage.emit("Commitments", "CommitmentRevealed", netuid_and_who(netuid, who));
    Ok(())
}

/// Appends entries `(reveal block, bytes)` without an event; used for the initial state too.
pub fn append_revealed(
    storage: &mut Storage<'_>,
    netuid: u16,
    who: Hotkey,
    entries: impl IntoIterator<Item = (u64, Vec<u8>)>,
) -> Result<(), ModelError> {
    let mut revealed: Vec<(Vec<u8>, u64)> =
        storage.get(items::REVEALED_COMMITMENTS, (netuid, who.0))?.unwrap_or_default();
    revealed.extend(entries.into_iter().map(|(block, bytes)| (bytes, block)));
    if revealed.is_empty() {
        return Ok(());
    }
    let dropped = revealed.len().saturating_sub(KEPT_REVEALS);
    revealed.drain(..dropped);
    storage.put(items::REVEALED_COMMITMENTS, (netuid, who.0), revealed)
}

/// Forgets everything that a hotkey committed: it left the subnet.
pub fn purge(storage: &mut Storage<'_>, netuid: u16, who: Hotkey) -> Result<(), ModelError> {
    for item in [
        items::COMMITMENT_OF,
        items::REVEALED_COMMITMENTS,
        items::LAST_COMMITMENT,
        items::LAST_BONDS_RESET,
        items::USED_SPACE_OF,
    ] {
        storage.remove(item, (netuid, who.0))?;
    }
    timelocked::set_indexed(storage, netuid, who, false)
}
