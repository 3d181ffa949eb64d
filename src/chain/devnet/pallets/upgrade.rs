//! Runtime upgrades: the code in the state, and the migration at the first block of a new runtime.

use subxt::ext::{
    scale_decode::DecodeAsType,
    scale_value::{Composite, Value},
};

use super::epochs;
use crate::chain::devnet::{
    error::ModelError,
    items,
    runtimes::{CODE_KEY, DevRuntime, code_of},
    storage::Storage,
};

/// The last spec version whose epochs fall by block number modulo tempo.
const LAST_MODULO_SPEC: u32 = 365;

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct LastUpgrade {
    spec_version: u32,
}

/// Stores new code, as `System.set_code` does: the block that does it still runs by the old
/// runtime, but its state is already read by the new one.
pub fn set_code(storage: &mut Storage<'_>, runtime: &DevRuntime) {
    storage.put_raw(CODE_KEY, code_of(runtime));
    storage.emit("System", "CodeUpdated", Composite::unnamed([]));
}

/// Notes the runtime that runs in `System.LastRuntimeUpgrade`.
pub fn note_runtime(storage: &mut Storage<'_>) -> Result<(), ModelError> {
    let version = storage.runtime().version();
    let note = Value::named_composite([
        ("spec_version", Value::u128(version.spec_version.into())),
        ("spec_name", Value::string(version.spec_name.clone())),
    ]);
    storage.put(items::LAST_RUNTIME_UPGRADE, (), note)
}

/// Migrates the state when this is the first block of a runtime.
pub fn migrate(storage: &mut Storage<'_>, netuid: u16, number: u64) -> Result<(), ModelError> {
    let last: Option<LastUpgrade> = storage.get(items::LAST_RUNTIME_UPGRADE, ())?;
    let last = last.map_or(0, |last| last.spec_version);
    if last == storage.runtime().version().spec_version {
        return Ok(());
    }
    if last <= LAST_MODULO_SPEC && storage.runtime().epochs_are_stateful() {
        epochs::begin_counting(storage, netuid, number)?;
    }
    note_runtime(storage)
}
