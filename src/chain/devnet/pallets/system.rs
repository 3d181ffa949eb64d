//! `System` and `Timestamp`: block numbers and hashes, nonces, outcomes of extrinsics.

use subxt::ext::scale_value::{Composite, Value};

use super::{DispatchFailure, PaysFee};
use crate::{
    chain::devnet::{block::Header, error::ModelError, items, runtime::Runtime, storage::Storage},
    domain::ids::{BlockHash, Hotkey},
};

/// Opens a block: its number, its parent's hash, no events yet.
pub fn initialize(storage: &mut Storage<'_>, number: u64, parent: BlockHash) -> Result<(), ModelError> {
    let number = number as u32;
    storage.put(items::NUMBER, (), number)?;
    storage.put(items::PARENT_HASH, (), parent.0)?;
    storage.put(items::BLOCK_HASH, (number - 1,), parent.0)?;
    let kept = storage.runtime().constant_u32("System", "BlockHashCount")?;
    // Block zero stays readable for ever, as on a real chain.
    if let Some(old) = number.checked_sub(kept + 1).filter(|old| *old > 0) {
        storage.remove(items::BLOCK_HASH, (old,))?;
    }
    Ok(())
}

/// Stores the digest of the block's header.
pub fn set_digest(storage: &mut Storage<'_>, header: &Header) -> Result<(), ModelError> {
    let logs = header.digest.iter().map(|item| digest_value(item));
    storage.put(items::DIGEST, (), Value::named_composite([("logs", Value::unnamed_composite(logs))]))
}

fn digest_value(item: &[u8]) -> Value {
    // The model writes `PreRuntime(engine, compact-prefixed bytes)` items only; the payload is short.
    let engine = item.get(1..5).unwrap_or_default();
    let payload = item.get(6..).unwrap_or_default();
    Value::unnamed_variant("PreRuntime", [Value::from_bytes(engine), Value::from_bytes(payload)])
}

/// Sets the time of the block (the inherent's effect).
pub fn set_timestamp(storage: &mut Storage<'_>, now_ms: u64) -> Result<(), ModelError> {
    storage.put(items::TIMESTAMP_NOW, (), now_ms)
}

#[derive(subxt::ext::scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct AccountNonce {
    nonce: u32,
}

/// Nonce that the account's next transaction carries.
pub fn nonce(storage: &Storage<'_>, who: Hotkey) -> Result<u64, ModelError> {
    Ok(storage.value::<AccountNonce>(items::ACCOUNT, (who.0,))?.nonce.into())
}

/// Counts the account's nonce up by one.
pub fn count_nonce(storage: &mut Storage<'_>, who: Hotkey) -> Result<(), ModelError> {
    const NEW_LOGIC_FLAG: u128 = 1 << 127;
    let nonce = nonce(storage, who)? + 1;
    let zero = || Value::u128(0);
    let account = Value::named_composite([
        ("nonce", Value::u128(nonce.into())),
        ("consumers", zero()),
        ("providers", Value::u128(1)),
        ("sufficients", zero()),
        (
            "data",
            Value::named_composite([
                ("free", zero()),
                ("reserved", zero()),
                ("frozen", zero()),
                ("flags", Value::u128(NEW_LOGIC_FLAG)),
            ]),
        ),
    ]);
    storage.put(items::ACCOUNT, (who.0,), account)
}

/// Class of a dispatched extrinsic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A transaction.
    Normal,
    /// An inherent.
    Mandatory,
}

/// Weight of every extrinsic: the model does not meter, and a plausible constant keeps the shape.
pub fn nominal_weight() -> Value {
    Value::named_composite([("ref_time", Value::u128(321_973_000)), ("proof_size", Value::u128(5_691))])
}

/// Emits `ExtrinsicSuccess` or `ExtrinsicFailed` for the current extrinsic.
pub fn report_outcome(
    storage: &mut Storage<'_>,
    class: Class,
    pays: PaysFee,
    outcome: &Result<(), DispatchFailure>,
) -> Result<(), ModelError> {
    let info = Value::named_composite([
        ("weight", nominal_weight()),
        (
            "class",
            unit(match class {
                Class::Normal => "Normal",
                Class::Mandatory => "Mandatory",
            }),
        ),
        (
            "pays_fee",
            unit(match pays {
                PaysFee::Yes => "Yes",
                PaysFee::No => "No",
            }),
        ),
    ]);
    match outcome {
        Ok(()) => storage.emit("System", "ExtrinsicSuccess", Composite::named([("dispatch_info", info)])),
        Err(failure) => {
            let error = dispatch_error(storage.runtime(), failure)?;
            storage.emit(
                "System",
                "ExtrinsicFailed",
                Composite::named([("dispatch_error", error), ("dispatch_info", info)]),
            );
        }
    }
    Ok(())
}

fn unit(name: &str) -> Value {
    Value::unnamed_variant(name, [])
}

fn module_error(pallet: u8, error: u8) -> Value {
    let module = Value::named_composite([
        ("index", Value::u128(pallet.into())),
        ("error", Value::from_bytes([error, 0, 0, 0])),
    ]);
    Value::unnamed_variant("Module", [module])
}

fn dispatch_error(runtime: &Runtime, failure: &DispatchFailure) -> Result<Value, ModelError> {
    Ok(match failure {
        DispatchFailure::Module { pallet, error } => {
            let (pallet, error) = runtime.module_error(pallet, error)?;
            module_error(pallet, error)
        }
        DispatchFailure::Injected { pallet, error } => module_error(*pallet, *error),
        DispatchFailure::BadOrigin => unit("BadOrigin"),
        DispatchFailure::Model(_) => unit("Corruption"),
    })
}
