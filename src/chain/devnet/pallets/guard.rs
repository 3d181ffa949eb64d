//! The guards of `SubtensorTransactionExtension`: what is refused at submission, with a number.

use super::{
    drand,
    weights::{WeightsCall, commits::CommitCall, has_stake, uid_of, within_rate_limit},
};
use crate::{
    chain::devnet::{
        error::ModelError, extrinsic::Extrinsic, items, storage::Storage, validity::ChainContext,
    },
    domain::ids::Hotkey,
};

/// A guard of subtensor's transaction extension that refuses before the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuardRefusal {
    /// The hotkey's stake is below the threshold.
    StakeAmountTooLow,
    /// The hotkey's last weights are too recent.
    RateLimitExceeded,
    /// There is no such subnet.
    SubnetNotExists,
    /// A commit is sealed to a round that was published already.
    InvalidRevealRound,
    /// The hotkey has no slot.
    UidNotFound,
}

impl GuardRefusal {
    /// Number in `Custom error: N`.
    pub fn code(self) -> u8 {
        match self {
            GuardRefusal::StakeAmountTooLow => 1,
            GuardRefusal::SubnetNotExists => 3,
            GuardRefusal::RateLimitExceeded => 6,
            GuardRefusal::InvalidRevealRound => 15,
            GuardRefusal::UidNotFound => 19,
        }
    }
}

/// The checks that refuse at submission. Weights of an unregistered hotkey pass and fail in the block.
/// The rate limit of commits is left to the block, as is that of `set_weights` where commit-reveal
/// is on, or by the fault switch.
pub fn check(
    storage: &Storage<'_>,
    who: Hotkey,
    extrinsic: &Extrinsic,
    context: &ChainContext,
) -> Result<Option<GuardRefusal>, ModelError> {
    if let Some(call) = WeightsCall::of(storage.runtime(), extrinsic)? {
        check_weights(storage, who, &call, context)
    } else if let Some(call) = CommitCall::of(storage.runtime(), extrinsic)? {
        check_commit(storage, who, &call)
    } else if (extrinsic.pallet.as_str(), extrinsic.call.as_str()) == ("Commitments", "set_commitment") {
        check_commitment(storage, who, extrinsic.argument(storage.runtime(), "netuid")?)
    } else {
        Ok(None)
    }
}

fn check_weights(
    storage: &Storage<'_>,
    who: Hotkey,
    call: &WeightsCall,
    context: &ChainContext,
) -> Result<Option<GuardRefusal>, ModelError> {
    if !has_stake(storage, call.netuid(), who)? {
        return Ok(Some(GuardRefusal::StakeAmountTooLow));
    }
    if context.rate_limit_in_block || storage.value(items::COMMIT_REVEAL_ENABLED, (call.netuid(),))? {
        return Ok(None);
    }
    match uid_of(storage, call.netuid(), who)? {
        Some(uid) if !within_rate_limit(storage, call.netuid(), call.index(), uid, context.number)? => {
            Ok(Some(GuardRefusal::RateLimitExceeded))
        }
        _ => Ok(None),
    }
}

fn check_commit(
    storage: &Storage<'_>,
    who: Hotkey,
    call: &CommitCall,
) -> Result<Option<GuardRefusal>, ModelError> {
    if !has_stake(storage, call.netuid(), who)? {
        return Ok(Some(GuardRefusal::StakeAmountTooLow));
    }
    let stale = call.reveal_round() < drand::last_stored_round(storage)?;
    Ok(stale.then_some(GuardRefusal::InvalidRevealRound))
}

fn check_commitment(
    storage: &Storage<'_>,
    who: Hotkey,
    netuid: u16,
) -> Result<Option<GuardRefusal>, ModelError> {
    if !storage.value::<bool>(items::NETWORKS_ADDED, (netuid,))? {
        return Ok(Some(GuardRefusal::SubnetNotExists));
    }
    Ok(uid_of(storage, netuid, who)?.is_none().then_some(GuardRefusal::UidNotFound))
}
