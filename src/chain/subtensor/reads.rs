//! Reads of chain state, all at one block.

use std::{collections::HashMap, sync::Arc};

use subxt::{
    error::Error,
    runtime_apis,
    storage::{Address, PrefixOf},
    utils::AccountId32,
};

use super::{
    connection::{AtBlock, Connection},
    fault::{read_fault, transport},
    framing::strip_scale_string,
    names,
};
use crate::{
    chain::port::{
        ChainError, HeldCommit, MinerCommitments, Neuron, OwnWeights, RevealedCommitment, SubnetState,
    },
    domain::ids::{BlockNumber, Digest, Hotkey, NetUid, Uid},
};

/// Most entries that one map of a subnet may have; subtensor allows 256 neurons today.
const MAX_ENTRIES: usize = 4096;
/// Revealed entries kept per hotkey, the newest ones; the chain itself keeps ten.
const MAX_REVEALED: usize = 32;
/// Bytes kept of one revealed entry; the chain takes 1024. A longer one is cut, and then no longer
/// parses, which is its author's fault.
const MAX_REVEALED_BYTES: usize = 4096;

/// The chain at one block over one connection.
pub(super) struct Pinned {
    pub(super) connection: Arc<Connection>,
    pub(super) block: AtBlock,
}

impl Pinned {
    /// Subnet parameters and epoch state.
    pub(super) async fn subnet(&self, netuid: NetUid) -> Result<SubnetState, ChainError> {
        self.require_subnet(netuid).await?;
        let key = (netuid.0,);
        let (tempo, epoch_index, last_epoch, next_epoch) = tokio::try_join!(
            self.value(names::tempo(), key),
            self.value(names::subnet_epoch_index(), key),
            self.value(names::last_epoch_block(), key),
            self.runtime_call(names::next_epoch_start_block(netuid.0)),
        )?;
        let (weights_rate_limit, min_allowed_weights, weights_version_key, commit_reveal_enabled, owner) = tokio::try_join!(
            self.value(names::weights_set_rate_limit(), key),
            self.value(names::min_allowed_weights(), key),
            self.value(names::weights_version_key(), key),
            self.value(names::commit_reveal_weights_enabled(), key),
            self.optional(names::subnet_owner_hotkey(), key),
        )?;
        let (pending_epoch, blocks_since_step, reveal_period, commit_reveal_version, stake_threshold) = tokio::try_join!(
            self.value(names::pending_epoch_at(), key),
            self.value(names::blocks_since_last_step(), key),
            self.value(names::reveal_period_epochs(), key),
            self.value(names::commit_reveal_weights_version(), ()),
            self.value(names::stake_threshold(), ()),
        )?;
        Ok(SubnetState {
            tempo,
            next_epoch: next_epoch.filter(|_| tempo > 0).map(BlockNumber),
            epoch_index,
            last_epoch: BlockNumber(last_epoch),
            weights_rate_limit,
            min_allowed_weights,
            weights_version_key,
            commit_reveal_enabled,
            owner_hotkey: owner.map(|account| Hotkey(account.0)).filter(|hotkey| hotkey.0 != [0; 32]),
            pending_epoch: BlockNumber(pending_epoch),
            blocks_since_step,
            reveal_period,
            commit_reveal_version,
            stake_threshold,
        })
    }

    /// All neurons, by uid.
    pub(super) async fn neurons(&self, netuid: NetUid) -> Result<Vec<Neuron>, ChainError> {
        self.require_subnet(netuid).await?;
        let key = (netuid.0,);
        let (mut slots, permits, updates, metagraph) = tokio::try_join!(
            self.entries(names::keys(), key),
            self.value(names::validator_permit(), key),
            self.value(names::last_update(), key),
            self.runtime_call(names::metagraph(netuid.0)),
        )?;
        slots.sort_unstable_by_key(|((_, uid), _)| *uid);
        let metagraph = metagraph.ok_or(ChainError::UnknownSubnet { netuid })?;
        let stakes: HashMap<_, _> =
            metagraph.hotkeys.iter().map(|hotkey| hotkey.0).zip(metagraph.total_stake).collect();
        let neuron = |((_, uid), account): ((u16, u16), AccountId32)| Neuron {
            uid: Uid(uid),
            hotkey: Hotkey(account.0),
            validator_permit: permits.get(usize::from(uid)).copied().unwrap_or(false),
            last_update: BlockNumber(updates.get(usize::from(uid)).copied().unwrap_or(0)),
            stake: stakes.get(&account.0).copied().unwrap_or(0),
        };
        Ok(slots.into_iter().map(neuron).collect())
    }

    /// All revealed commitments, in storage order of the hotkeys.
    pub(super) async fn commitments(&self, netuid: NetUid) -> Result<Vec<MinerCommitments>, ChainError> {
        let entries = self.entries(names::revealed_commitments(), (netuid.0,)).await?;
        Ok(entries
            .into_iter()
            .map(|((_, account), revealed)| MinerCommitments {
                hotkey: Hotkey(account.0),
                revealed: newest_revealed(revealed),
            })
            .collect())
    }

    /// The weights that a neuron has set.
    pub(super) async fn weights_of(&self, netuid: NetUid, uid: Uid) -> Result<Vec<(Uid, u16)>, ChainError> {
        let weights = self.value(names::weights(), (netuid.0, uid.0)).await?;
        Ok(weights.into_iter().map(|(target, value)| (Uid(target), value)).collect())
    }

    /// One validator's row of weights and open commits.
    pub(super) async fn own_weights(
        &self,
        netuid: NetUid,
        uid: Uid,
        hotkey: Hotkey,
    ) -> Result<OwnWeights, ChainError> {
        let (registered_at, weights, held) = tokio::try_join!(
            self.value(names::block_at_registration(), (netuid.0, uid.0)),
            self.weights_of(netuid, uid),
            self.entries(names::timelocked_weight_commits(), (netuid.0,)),
        )?;
        let mut commits: Vec<HeldCommit> = held
            .into_iter()
            .flat_map(|((_, epoch), commits)| commits.into_iter().map(move |commit| (epoch, commit)))
            .filter(|(_, (account, ..))| account.0 == hotkey.0)
            .map(|(epoch, (_, block, sealed, reveal_round))| HeldCommit {
                epoch,
                committed_at: BlockNumber(block),
                commit: Digest::of(&sealed),
                reveal_round,
            })
            .collect();
        commits.sort_by_key(|held| (held.epoch, held.committed_at));
        Ok(OwnWeights { registered_at: BlockNumber(registered_at), weights, commits })
    }

    async fn require_subnet(&self, netuid: NetUid) -> Result<(), ChainError> {
        match self.value(names::networks_added(), (netuid.0,)).await? {
            true => Ok(()),
            false => Err(ChainError::UnknownSubnet { netuid }),
        }
    }

    /// A value, or the runtime's default for it.
    pub(super) async fn value<A: Address>(
        &self,
        address: A,
        keys: A::KeyParts,
    ) -> Result<A::Value, ChainError> {
        let what = item_name(&address);
        let value =
            self.block.storage().fetch(address, keys).await.map_err(|error| self.fault(&what, error))?;
        value.decode().map_err(|error| self.fault(&what, error))
    }

    /// A value, or the runtime's default for it, or `None` where there is neither.
    pub(super) async fn optional<A: Address>(
        &self,
        address: A,
        keys: A::KeyParts,
    ) -> Result<Option<A::Value>, ChainError> {
        let what = item_name(&address);
        let value = self.block.storage().try_fetch(address, keys).await;
        let value = value.map_err(|error| self.fault(&what, error))?;
        value.map(|value| value.decode()).transpose().map_err(|error| self.fault(&what, error))
    }

    /// All entries under a key prefix.
    async fn entries<A: Address, P: PrefixOf<A::KeyParts>>(
        &self,
        address: A,
        prefix: P,
    ) -> Result<Vec<(A::KeyParts, A::Value)>, ChainError> {
        let what = item_name(&address);
        let mut found = Vec::new();
        let entries = self.block.storage().iter(address, prefix).await;
        let mut entries = entries.map_err(|error| self.fault(&what, error))?;
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(|error| self.fault(&what, error))?;
            let key = entry.key().and_then(|key| key.decode()).map_err(|error| self.fault(&what, error))?;
            let value = entry.value().decode().map_err(|error| self.fault(&what, error))?;
            if found.len() == MAX_ENTRIES {
                let detail = format_args!("{what}: more than {MAX_ENTRIES} entries");
                return Err(transport(&self.connection.endpoint, detail));
            }
            found.push((key, value));
        }
        Ok(found)
    }

    async fn runtime_call<P: runtime_apis::Payload>(&self, call: P) -> Result<P::ReturnType, ChainError> {
        let what = format!("{}.{}", call.trait_name(), call.method_name());
        self.block.runtime_apis().call(call).await.map_err(|error| self.fault(&what, error))
    }

    pub(super) fn fault(&self, what: &str, error: impl Into<Error>) -> ChainError {
        read_fault(&self.connection.endpoint, what, self.block.spec_version(), error)
    }
}

fn item_name<A: Address>(address: &A) -> String {
    format!("{}.{}", address.pallet_name(), address.entry_name())
}

/// The newest entries, oldest first, framing removed and cut to size.
fn newest_revealed(mut entries: Vec<(Vec<u8>, u64)>) -> Vec<RevealedCommitment> {
    entries.sort_by_key(|(_, block)| *block);
    let surplus = entries.len().saturating_sub(MAX_REVEALED);
    entries
        .drain(surplus..)
        .map(|(bytes, block)| {
            let data = strip_scale_string(&bytes);
            RevealedCommitment {
                reveal_block: BlockNumber(block),
                data: data[..data.len().min(MAX_REVEALED_BYTES)].to_vec(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revealed_entries_are_ordered_unframed_and_bounded() {
        let framed = |text: &str| parity_scale_codec::Encode::encode(&text.to_owned());
        let mut entries = vec![(framed("newer"), 9), (b"{\"raw\":1}".to_vec(), 3), (vec![b'z'; 5_000], 4)];
        let read = newest_revealed(entries.clone());
        assert_eq!(read.iter().map(|entry| entry.reveal_block.0).collect::<Vec<_>>(), [3, 4, 9]);
        assert_eq!(read[0].data, b"{\"raw\":1}");
        assert_eq!(read[1].data.len(), MAX_REVEALED_BYTES);
        assert_eq!(read[2].data, b"newer");

        entries.extend((10..90).map(|block| (framed("x"), block)));
        let read = newest_revealed(entries);
        assert_eq!(read.len(), MAX_REVEALED);
        assert_eq!(read.last().map(|entry| entry.reveal_block.0), Some(89));
    }
}
