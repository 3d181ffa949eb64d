//! The pallets of the model: each reads and writes real storage entries of the metadata.

pub mod commitments;
pub mod drand;
pub mod epochs;
pub mod guard;
pub mod neurons;
pub mod parameters;
pub mod system;
pub mod upgrade;
pub mod weights;

use super::{
    error::ModelError,
    extrinsic::{Extrinsic, ExtrinsicError},
    runtime::Runtime,
    storage::Storage,
};
use crate::domain::ids::Hotkey;

/// Why a call failed inside a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DispatchFailure {
    /// An error of a pallet, by its name in the metadata.
    Module {
        /// Pallet.
        pallet: &'static str,
        /// Error.
        error: &'static str,
    },
    /// An error that a fault asked for, as `ModuleError` numbers it.
    Injected {
        /// Pallet index.
        pallet: u8,
        /// Error index.
        error: u8,
    },
    /// The origin may not make this call.
    BadOrigin,
    /// The model does not fit its metadata: reported on chain as `Corruption`, and logged.
    Model(ModelError),
}

impl From<ModelError> for DispatchFailure {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

/// Whether the sender of a call pays a fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaysFee {
    /// A real node would take a fee (the model has no balances and takes none).
    Yes,
    /// Free, as weights and commitments are.
    No,
}

/// Calls whose arguments the model decodes and which it can run.
pub const KNOWN_CALLS: &[(&str, &str)] = &[
    ("SubtensorModule", "set_weights"),
    ("SubtensorModule", "set_mechanism_weights"),
    ("SubtensorModule", "commit_timelocked_weights"),
    ("SubtensorModule", "commit_timelocked_mechanism_weights"),
    ("Commitments", "set_commitment"),
    ("System", "remark"),
    ("Timestamp", "set"),
];

/// Refuses arguments that are longer than the runtime's types hold: the metadata does not tell
/// these bounds, and a real node cannot decode such a call.
pub fn check_bounds(runtime: &Runtime, extrinsic: &Extrinsic) -> Result<(), ExtrinsicError> {
    let undecodable = |error: ModelError| ExtrinsicError::Undecodable(error.to_string());
    let too_long = weights::commits::is_too_long(runtime, extrinsic).map_err(undecodable)?
        || commitments::is_too_long(runtime, extrinsic).map_err(undecodable)?;
    if too_long {
        let what = "an argument is longer than the runtime's type holds";
        return Err(ExtrinsicError::Undecodable(what.into()));
    }
    Ok(())
}

/// Runs a signed call. Calls that the model does not know fail with `System.CallFiltered`.
pub fn dispatch(
    storage: &mut Storage<'_>,
    who: Hotkey,
    extrinsic: &Extrinsic,
    number: u64,
) -> (PaysFee, Result<(), DispatchFailure>) {
    match (extrinsic.pallet.as_str(), extrinsic.call.as_str()) {
        ("SubtensorModule", "set_weights" | "set_mechanism_weights") => {
            (PaysFee::No, weights::dispatch(storage, who, extrinsic, number))
        }
        ("SubtensorModule", "commit_timelocked_weights" | "commit_timelocked_mechanism_weights") => {
            (PaysFee::No, weights::commits::dispatch(storage, who, extrinsic, number))
        }
        ("Commitments", "set_commitment") => {
            (PaysFee::No, commitments::set_commitment(storage, who, extrinsic, number))
        }
        ("System", "remark") => (PaysFee::Yes, Ok(())),
        ("Timestamp", "set") => (PaysFee::Yes, Err(DispatchFailure::BadOrigin)),
        _ => (PaysFee::Yes, Err(DispatchFailure::Module { pallet: "System", error: "CallFiltered" })),
    }
}
