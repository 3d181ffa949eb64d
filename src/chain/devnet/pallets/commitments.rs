//! `Commitments`: plain commitments by call, revealed ones as if their timelock had ended.

use subxt::ext::scale_value::{Composite, Value, ValueDef};

use super::{DispatchFailure, weights};
use crate::{
    chain::devnet::{error::ModelError, extrinsic::Extrinsic, items, storage::Storage},
    domain::ids::Hotkey,
};

/// Most fields of a commitment (`MaxFields`).
const MAX_FIELDS: usize = 3;
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

/// Runs `Commitments.set_commitment` for plain data. Timelock-encrypted fields are refused
/// (`System.CallFiltered`), since the model has no beacon that could ever reveal them.
pub fn set_commitment(
    storage: &mut Storage<'_>,
    who: Hotkey,
    extrinsic: &Extrinsic,
    number: u64,
) -> Result<(), DispatchFailure> {
    let fail = |error: &'static str| Err(DispatchFailure::Module { pallet: "Commitments", error });
    let runtime = storage.runtime();
    let netuid: u16 = extrinsic.argument(runtime, "netuid")?;
    let info = extrinsic.argument_value(runtime, "info")?;
    let fields = fields_of(&info)?;
    if fields.len() > MAX_FIELDS {
        return fail("TooManyFieldsInCommitmentInfo");
    }
    if weights::uid_of(storage, netuid, who)?.is_none() {
        return fail("AccountNotAllowedCommit");
    }
    let mut size = 0;
    for (kind, bytes) in &fields {
        if !(kind == "None" || kind == "BigRaw" || kind.starts_with("Raw")) {
            return Err(DispatchFailure::Module { pallet: "System", error: "CallFiltered" });
        }
        size += *bytes as u64;
    }
    if !take_space(storage, netuid, who, size.max(LEAST_SPACE))? {
        return fail("SpaceLimitExceeded");
    }
    let registration = Value::named_composite([
        ("deposit", Value::u128(0)),
        ("block", Value::u128(number.into())),
        ("info", info),
    ]);
    storage.put(items::COMMITMENT_OF, (netuid, who.0), registration)?;
    storage.put(items::LAST_COMMITMENT, (netuid, who.0), number as u32)?;
    storage.emit("Commitments", "Commitment", netuid_and_who(netuid, who));
    Ok(())
}

/// Books space in this epoch's budget; false when it would exceed the limit.
fn take_space(storage: &mut Storage<'_>, netuid: u16, who: Hotkey, size: u64) -> Result<bool, ModelError> {
    let epoch: u64 = storage.value(items::SUBNET_EPOCH_INDEX, (netuid,))?;
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

/// Variant name and payload length of every field of a `CommitmentInfo`.
fn fields_of(info: &Value) -> Result<Vec<(String, usize)>, ModelError> {
    let mut fields = info;
    // `CommitmentInfo { fields: BoundedVec(Vec<Data>) }`: unwrap the two wrappers.
    for _ in 0..2 {
        fields = match &fields.value {
            ValueDef::Composite(wrapper) if wrapper.len() == 1 => match wrapper.values().next() {
                Some(inner) if matches!(inner.value, ValueDef::Composite(_)) => inner,
                _ => break,
            },
            _ => break,
        };
    }
    let ValueDef::Composite(list) = &fields.value else {
        return Err(ModelError::Decode {
            what: "CommitmentInfo".into(),
            detail: "not a list of fields".into(),
        });
    };
    list.values()
        .map(|field| match &field.value {
            ValueDef::Variant(data) => Ok((data.name.clone(), bytes_in(&data.values))),
            other => Err(ModelError::Decode {
                what: "CommitmentInfo".into(),
                detail: format!("a field is not a variant: {other:?}"),
            }),
        })
        .collect()
}

fn bytes_in(values: &Composite<()>) -> usize {
    values
        .values()
        .map(|value| match &value.value {
            ValueDef::Composite(inner) => bytes_in(inner),
            _ => 1,
        })
        .sum()
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
    for item in
        [items::COMMITMENT_OF, items::REVEALED_COMMITMENTS, items::LAST_COMMITMENT, items::USED_SPACE_OF]
    {
        storage.remove(item, (netuid, who.0))?;
    }
    Ok(())
}
