//! What one block holds of a validator, for whoever watches it without its own client.

use super::{
    Devnet, PendingCommit,
    error::ModelError,
    items,
    pallets::{epochs, neurons, system, weights, weights::commits},
    storage::Storage,
};
use crate::domain::ids::{BlockNumber, BlockRef, Hotkey, Uid};

/// A validator as the state after one block of the best chain shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidatorSight {
    /// The block.
    pub block: BlockRef,
    /// Epochs that ran up to this block, itself included.
    pub epoch: u64,
    /// Block of the last epoch.
    pub last_epoch: BlockNumber,
    /// Whether weights are committed first and revealed later.
    pub commit_reveal: bool,
    /// Extrinsics of its hotkey that blocks hold, failed ones included.
    pub nonce: u64,
    /// Block of its last weights or commit.
    pub last_update: BlockNumber,
    /// Its row of weights.
    pub weights: Vec<(Uid, u16)>,
    /// Its commits that wait for their reveal.
    pub commits: Vec<PendingCommit>,
    /// Hotkey of every slot.
    pub hotkeys: Vec<Hotkey>,
}

impl Devnet {
    /// A validator at a block of the best chain; `None` when it has no slot there or the state of the
    /// block is not kept. No fault touches it.
    pub fn validator_at(&self, number: u64, hotkey: Hotkey) -> Option<ValidatorSight> {
        let chain = self.node.chain();
        let block = chain.block(number)?.reference();
        let storage = chain.storage_at(number)?;
        let seen = look(&storage, chain.config().netuid.0, block, hotkey);
        seen.unwrap_or_else(|error| {
            tracing::error!(%error, "development chain: a read failed");
            None
        })
    }
}

fn look(
    storage: &Storage<'_>,
    netuid: u16,
    block: BlockRef,
    hotkey: Hotkey,
) -> Result<Option<ValidatorSight>, ModelError> {
    let Some(uid) = weights::uid_of(storage, netuid, hotkey)? else { return Ok(None) };
    let row: Vec<(u16, u16)> = storage.get(items::WEIGHTS, (netuid, uid))?.unwrap_or_default();
    let updates: Vec<u64> = storage.value(items::LAST_UPDATE, (netuid,))?;
    Ok(Some(ValidatorSight {
        block,
        epoch: epochs::index(storage, netuid, block.number.0)?,
        last_epoch: BlockNumber(storage.value(items::LAST_EPOCH_BLOCK, (netuid,))?),
        commit_reveal: storage.value(items::COMMIT_REVEAL_ENABLED, (netuid,))?,
        nonce: system::nonce(storage, hotkey)?,
        last_update: BlockNumber(updates.get(usize::from(uid)).copied().unwrap_or(0)),
        weights: row.into_iter().map(|(target, value)| (Uid(target), value)).collect(),
        commits: commits::pending_of(storage, netuid, hotkey)?,
        hotkeys: neurons::hotkeys(storage, netuid)?,
    }))
}
