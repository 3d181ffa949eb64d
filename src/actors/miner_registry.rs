//! MinerRegistry: who takes part in a round, and where each of them answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use actix::Context;
use futures::{StreamExt, stream};
use tracing::Instrument;

use crate::{
    chain::port::{Chain, ChainError},
    domain::{
        commitment::Commitment,
        ids::{BlockRef, Hotkey, NetUid},
        roster::{Lookup, RosterEntry, build_roster, read_claims, wanted_lookups},
    },
    miners::{intake::candidates, port::MinerServices},
    receives, routing_actor,
    runtime::post::Hold,
};

use super::messages::SyncRoster;

/// Deployments that are looked up at the same time.
const CONCURRENT_LOOKUPS: usize = 16;

/// What the registry works with.
#[derive(Clone)]
pub struct RegistryParts {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The services where miners live.
    pub services: Arc<dyn MinerServices>,
    /// The subnet.
    pub netuid: NetUid,
    /// Hotkeys that the operator keeps out.
    pub blacklist: Arc<BTreeSet<Hotkey>>,
}

routing_actor!(
    /// Knows who takes part in a round.
    MinerRegistry works with RegistryParts
);

receives!(MinerRegistry, stats: SyncRoster => on_sync_roster);

impl MinerRegistry {
    fn on_sync_roster(&mut self, sync: SyncRoster, hold: Hold, _ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        let span = tracing::info_span!("sync_roster", round = %sync.round);
        tokio::spawn(
            async move {
                let roster = read_roster(&parts, sync.anchor).await;
                let cause = roster.as_ref().err().cloned();
                // Nobody listens any more when RoundClock was rebuilt meanwhile: it asks again.
                sync.reply.send(roster).ok();
                match cause {
                    None => hold.done(),
                    Some(cause) => hold.failed(&cause),
                }
            }
            .instrument(span),
        );
    }
}

/// The roster as of a block, by one reading of chain and services.
///
/// # Errors
/// When the chain does not answer; a service that does not is a row of the roster.
pub async fn read_roster(parts: &RegistryParts, anchor: BlockRef) -> Result<Vec<RosterEntry>, ChainError> {
    let neurons = parts.chain.neurons(parts.netuid, anchor.hash).await?;
    let commitments = parts.chain.commitments(parts.netuid, anchor.hash).await?;
    let claims = read_claims(&candidates(&neurons, &commitments), &parts.blacklist);
    let wanted: Vec<Commitment> = wanted_lookups(&claims).into_iter().cloned().collect();
    let lookups: BTreeMap<Commitment, Lookup> = stream::iter(wanted)
        .map(|commitment| async move {
            let lookup = parts.services.look_up(&commitment).await;
            if let Lookup::Failed { fault, reason, .. } = &lookup {
                tracing::debug!(model = %commitment.model_name, ?fault, "deployment check failed: {reason}");
            }
            (commitment, lookup)
        })
        .buffer_unordered(CONCURRENT_LOOKUPS)
        .collect()
        .await;
    Ok(build_roster(claims, &lookups))
}
