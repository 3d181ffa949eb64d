//! Whether a transaction may enter a block: signature, mortality, nonce, the pallets' own guards.

use super::{
    error::ModelError,
    extrinsic::{Era, Extrinsic, Implicit, Signed},
    items,
    pallets::{guard, system},
    storage::Storage,
};
use crate::domain::ids::BlockHash;

/// Why a transaction is not valid, as a substrate node says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The signature does not hold for this chain, signer and payload.
    #[error("Transaction has a bad signature")]
    BadProof,
    /// The nonce was used before.
    #[error("Transaction is outdated")]
    Stale,
    /// The chain no longer knows the era's birth block.
    #[error("Transaction has an ancient birth block")]
    AncientBirthBlock,
    /// A guard of subtensor's own transaction extension.
    #[error("Custom error: {0}")]
    Custom(u8),
    /// Nobody signed and no pallet takes this call unsigned.
    #[error("Could not find an unsigned validator for the unsigned transaction")]
    NoUnsignedValidator,
    /// The signer vouches for a metadata hash, which this runtime cannot check.
    #[error("Could not lookup information required to validate the transaction")]
    CannotLookup,
}

/// Outcome of a check that can also fail by a fault of the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// The transaction is refused.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The model does not fit its metadata.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// What of the chain a check needs beside the state.
#[derive(Clone, Copy, Debug)]
pub struct ChainContext {
    /// Genesis hash.
    pub genesis: BlockHash,
    /// Number of the block that the transaction would enter.
    pub number: u64,
    /// Whether the weights rate limit is left to the block (fault switch).
    pub rate_limit_in_block: bool,
}

/// Checks a transaction against a state that `system::initialize` has prepared for
/// `context.number`. The nonce may be ahead of the account's: the pool keeps such transactions.
pub fn check<'e>(
    storage: &Storage<'_>,
    extrinsic: &'e Extrinsic,
    context: &ChainContext,
) -> Result<&'e Signed, ValidityError> {
    let signed = extrinsic.signed.as_ref().ok_or(Invalid::NoUnsignedValidator)?;
    if signed.metadata_hash_enabled {
        return Err(Invalid::CannotLookup.into());
    }
    let birth = match signed.era {
        Era::Immortal => context.genesis,
        Era::Mortal { .. } => {
            let birth = signed.era.birth(context.number) as u32;
            let hash: Option<[u8; 32]> = storage.get(items::BLOCK_HASH, (birth,))?;
            BlockHash(hash.ok_or(Invalid::AncientBirthBlock)?)
        }
    };
    let version = storage.runtime().version();
    let implicit = Implicit {
        spec_version: version.spec_version,
        transaction_version: version.transaction_version,
        genesis: context.genesis,
        birth,
    };
    if !extrinsic.signature_holds(signed, &implicit) {
        return Err(Invalid::BadProof.into());
    }
    if signed.nonce < system::nonce(storage, signed.account)? {
        return Err(Invalid::Stale.into());
    }
    if let Some(refusal) = guard::check(storage, signed.account, extrinsic, context)? {
        return Err(Invalid::Custom(refusal.code()).into());
    }
    Ok(signed)
}
