//! MinerRegistry: who takes part in a round, and where each of them answers.
//!
//! It looks ahead: some blocks before a round it looks everybody up and wakes chutes that sleep, so that the roster of the
//! round's first block finds what is known already and looks up only what has changed since.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix::Context;
use futures::{StreamExt, stream};
use tracing::{Instrument, debug, warn};

use crate::{
    chain::port::{Chain, ChainError},
    domain::{
        commitment::Commitment,
        ids::{BlockRef, Hotkey, NetUid},
        roster::{Claim, Lookup, RosterEntry, build_roster_with, read_claims, wanted_lookups},
    },
    miners::{
        blacklist::Blacklist,
        cache::{Cache, CacheLimits},
        intake::candidates,
        kinship::{Kinship, shared_copy},
        port::MinerServices,
        validity::Validity,
        weights::WeightFile,
    },
    receives, routing_actor,
    runtime::post::Hold,
};

use super::messages::{LookAhead, SyncRoster};

/// Deployments that are looked up at the same time; each host has its own, lower bound.
const CONCURRENT_LOOKUPS: usize = 64;
/// Chutes that are woken at the same time.
const CONCURRENT_WARMUPS: usize = 32;
/// A chute is woken once in this time: before the round, or in its first blocks where nobody looked ahead.
const WOKEN_FOR: Duration = Duration::from_secs(600);
/// Chutes of which that is remembered.
const WOKEN_KEPT: CacheLimits = CacheLimits { entries: NonZeroUsize::new(4096).unwrap(), bytes: 1 << 20 };
/// Blocks before a round at which everybody is looked up. Their time is shorter than what look-ups are remembered for.
const BLOCKS_AHEAD: u64 = 10;
const CHUTE_SLEEPS: &str = "chute_not_running";

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
    pub blacklist: Arc<Blacklist>,
    /// Blocks between the first blocks of rounds.
    pub round_interval: u64,
    /// What it remembers.
    pub memory: Arc<Memory>,
}

impl RegistryParts {
    /// For one look from the command line: nobody is kept out and nothing is remembered, unless the caller says so.
    pub fn for_one_look(chain: Arc<dyn Chain>, services: Arc<dyn MinerServices>, netuid: NetUid) -> Self {
        let memory = Arc::new(Memory::with(Validity::new(netuid)));
        Self { chain, services, netuid, blacklist: Arc::default(), round_interval: 1, memory }
    }
}

/// What the registry remembers, also when its actor dies.
pub struct Memory {
    kinship: Kinship,
    validity: Mutex<Validity>,
    folder: Option<PathBuf>,
    woken: Cache<String, ()>,
    /// The round that was last looked ahead to.
    ahead: AtomicU64,
}

impl Memory {
    /// For a validator: goes on with what its state folder holds, and keeps it there.
    pub fn of_folder(netuid: NetUid, folder: PathBuf) -> Self {
        let read = Validity::read(&folder).unwrap_or_else(|cause| {
            warn!("{cause}; the history of miners begins anew");
            None
        });
        let validity = read.filter(|read| read.netuid == netuid).unwrap_or_else(|| Validity::new(netuid));
        Self { folder: Some(folder), ..Self::with(validity) }
    }

    /// For one look, which leaves nothing behind: copies that a validator found are known, where its record is given.
    pub fn with(validity: Validity) -> Self {
        Self {
            kinship: Kinship::restored(validity.kin.clone()),
            validity: Mutex::new(validity),
            folder: None,
            woken: Cache::new(WOKEN_KEPT),
            ahead: AtomicU64::new(0),
        }
    }

    fn validity(&self) -> MutexGuard<'_, Validity> {
        self.validity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a roster and writes it down.
    async fn keep(self: Arc<Self>, at: BlockRef, roster: Vec<RosterEntry>) {
        let written = tokio::task::spawn_blocking(move || {
            let mut validity = self.validity();
            validity.take(at.number, &roster);
            validity.kin = self.kinship.record();
            self.folder.as_ref().map_or(Ok(()), |folder| validity.write(folder))
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => warn!("the history of miners was not kept: {cause}"),
            Err(cause) => warn!("the history of miners was not kept: {cause}"),
        }
    }
}

routing_actor!(
    /// Knows who takes part in a round.
    MinerRegistry works with RegistryParts
);

receives!(MinerRegistry, stats: SyncRoster => on_sync_roster, LookAhead => on_look_ahead);

impl MinerRegistry {
    fn on_sync_roster(&mut self, sync: SyncRoster, hold: Hold, _ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        let span = tracing::info_span!("sync_roster", round = %sync.round);
        tokio::spawn(
            async move {
                let read = validated(&parts, sync.anchor).await;
                let (roster, lookups) = match read {
                    Ok(read) => read,
                    Err(cause) => {
                        sync.reply.send(Err(cause.clone())).ok();
                        return hold.failed(&cause);
                    }
                };
                // Nobody listens any more when RoundClock was rebuilt meanwhile: it asks again.
                sync.reply.send(Ok(roster.clone())).ok();
                hold.done();
                Arc::clone(&parts.memory).keep(sync.anchor, roster.clone()).await;
                compare_weights(&parts, &roster, &lookups, sync.anchor).await;
            }
            .instrument(span),
        );
    }

    /// Looks everybody up before the next round, once for each. Nothing waits for it.
    fn on_look_ahead(&mut self, head: LookAhead, hold: Hold, _ctx: &mut Context<Self>) {
        let at = head.0;
        let next = at.number.0 / self.parts.round_interval + 1;
        let first = next * self.parts.round_interval;
        if first - at.number.0 <= BLOCKS_AHEAD
            && self.parts.memory.ahead.fetch_max(next, Ordering::Relaxed) < next
        {
            let parts = self.parts.clone();
            let look = async move {
                if let Err(cause) = validated(&parts, at).await {
                    debug!("nobody was looked up before the round: {cause}");
                }
            };
            tokio::spawn(look.instrument(tracing::info_span!("look_ahead", round = next)));
        }
        hold.done();
    }
}

type Lookups = BTreeMap<Commitment, Lookup>;

/// The roster as of a block, by one reading of chain and services. Nobody is woken.
///
/// # Errors
/// When the chain does not answer; a service that does not is a row of the roster.
pub async fn read_roster(parts: &RegistryParts, anchor: BlockRef) -> Result<Vec<RosterEntry>, ChainError> {
    let claims = claims(parts, anchor).await?;
    let wanted: BTreeSet<Commitment> = wanted_lookups(&claims).into_iter().cloned().collect();
    let lookups = look_up(parts, wanted).await;
    Ok(judge(parts, claims, &lookups))
}

/// The roster as of a block, after chutes that sleep were woken and looked up once more.
async fn validated(
    parts: &RegistryParts,
    anchor: BlockRef,
) -> Result<(Vec<RosterEntry>, Lookups), ChainError> {
    let claims = claims(parts, anchor).await?;
    let wanted: BTreeSet<Commitment> = wanted_lookups(&claims).into_iter().cloned().collect();
    let mut lookups = look_up(parts, wanted).await;
    let awake = wake(parts, &lookups).await;
    lookups.extend(look_up(parts, awake).await);
    Ok((judge(parts, claims, &lookups), lookups))
}

async fn claims(parts: &RegistryParts, anchor: BlockRef) -> Result<Vec<Claim>, ChainError> {
    let neurons = parts.chain.neurons(parts.netuid, anchor.hash).await?;
    let commitments = parts.chain.commitments(parts.netuid, anchor.hash).await?;
    let blacklist = Arc::clone(&parts.blacklist);
    let read = tokio::task::spawn_blocking(move || blacklist.current());
    let blacklist: Arc<BTreeSet<Hotkey>> = read.await.unwrap_or_default();
    Ok(read_claims(&candidates(&neurons, &commitments), &blacklist))
}

async fn look_up(parts: &RegistryParts, wanted: BTreeSet<Commitment>) -> Lookups {
    stream::iter(wanted)
        .map(|commitment| async move {
            let lookup = parts.services.look_up(&commitment).await;
            if let Lookup::Failed { fault, reason, .. } = &lookup {
                debug!(model = %commitment.model_name, ?fault, "deployment check failed: {reason}");
            }
            (commitment, lookup)
        })
        .buffer_unordered(CONCURRENT_LOOKUPS)
        .collect()
        .await
}

/// Wakes the chutes that sleep and were not woken lately; gives back whose came to run.
async fn wake(parts: &RegistryParts, lookups: &Lookups) -> BTreeSet<Commitment> {
    let (mut asleep, now) = (Vec::new(), Instant::now());
    for (commitment, lookup) in lookups {
        let sleeps = matches!(lookup, Lookup::Failed { reason, .. } if reason == CHUTE_SLEEPS);
        if sleeps && parts.memory.woken.get(&commitment.chute_id, now).is_none() {
            asleep.push(commitment.clone());
        }
    }
    stream::iter(asleep)
        .map(|commitment: Commitment| async move {
            let id = commitment.chute_id.clone();
            let bytes = id.len();
            parts.memory.woken.put(id, (), bytes, Some(now + WOKEN_FOR));
            match parts.services.warm_up(&commitment).await {
                Ok(()) => Some(commitment),
                Err(cause) => {
                    debug!(chute = %commitment.chute_id, "warm-up: {cause}");
                    None
                }
            }
        })
        .buffer_unordered(CONCURRENT_WARMUPS)
        .filter_map(std::future::ready)
        .collect()
        .await
}

fn judge(parts: &RegistryParts, claims: Vec<Claim>, lookups: &Lookups) -> Vec<RosterEntry> {
    let files: BTreeMap<&Commitment, Arc<[WeightFile]>> = lookups
        .keys()
        .filter_map(|commitment| Some((commitment, parts.services.weight_files(commitment)?)))
        .collect();
    build_roster_with(claims, lookups, |earlier, later| {
        let shared =
            files.get(earlier).zip(files.get(later)).and_then(|(one, other)| shared_copy(one, other));
        shared.is_some() || parts.memory.kinship.slice_copy(earlier, later).is_some()
    })
}

/// Compares slices of the weights of newcomers, a few models at a time, after the round's roster is out.
async fn compare_weights(parts: &RegistryParts, roster: &[RosterEntry], lookups: &Lookups, anchor: BlockRef) {
    let mut found: Vec<_> = roster
        .iter()
        .filter_map(|entry| Some((entry.precedence, entry.commitment.as_ref()?)))
        .filter(|(_, commitment)| lookups.get(commitment).is_some_and(|lookup| lookup.model_hash().is_some()))
        .collect();
    found.sort_unstable();
    let models: Vec<Commitment> = found.into_iter().map(|(_, commitment)| commitment.clone()).collect();
    parts.memory.kinship.pursue(parts.services.as_ref(), &models, &anchor.hash).await;
}
