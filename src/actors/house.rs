//! The house: builds the six actors, keeps them alive, feeds them blocks, and takes them down.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Context};
use actix_rt::System;
use futures::StreamExt;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    chain::port::{Chain, ChainError},
    corpus::Corpus,
    domain::{
        ids::{BlockNumber, NetUid},
        rules::ActiveRules,
    },
    gpu::port::Scorer,
    miners::{blacklist::Blacklist, port::MinerServices, retry::Jitter},
    quality::embeddings::FrameModels,
    runtime::{
        board::{ActorState, ActorStats, Board},
        post::Post,
        steward::{GivenUp, LifeGuard, Steward, install_panic_hook},
    },
    store::{
        book::RoundsBook,
        journal::JournalIdentity,
        spool::{Spool, SpoolError},
    },
    telemetry::{ChainLink, Metrics, Vitals},
};

use super::{
    challenger::{Challenger, ChallengerParts, Seen},
    decoder::{Decoder, DecoderParts},
    gpu_scorer::{GpuScorer, ScorerParts},
    messages::{BlockSeen, Drain, LookAhead},
    miner_registry::{Memory, MinerRegistry, RegistryParts},
    round_clock::{ClockParts, RoundClock},
    weight_setter::{SetterParts, WeightSetter},
};

/// Names of the six actors on the board, in pipeline order.
pub const ACTORS: [&str; 6] =
    ["RoundClock", "MinerRegistry", "Challenger", "Decoder", "GpuScorer", "WeightSetter"];

/// Tickets (up to two rounds of 256) hold their way back into this mailbox while they are under
/// way; the rest is for everything else.
const CLOCK_BOUND: usize = 1024;
const REGISTRY_BOUND: usize = 64;
/// One round, a recovered one, and tickets that are sent out again one by one.
const CHALLENGER_BOUND: usize = 64;
const SETTER_BOUND: usize = 1;

/// How long a shutdown waits for work under way.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// How much is done at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    /// Requests to miners.
    pub requests: usize,
    /// Decode children.
    pub decoders: usize,
    /// Clips at the scorer.
    pub scorers: usize,
}

/// Everything that the house is built from.
#[derive(Clone)]
pub struct HouseParts {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The services where miners live.
    pub services: Arc<dyn MinerServices>,
    /// Source clips.
    pub corpus: Arc<Corpus>,
    /// Decode children.
    pub decoder: Arc<crate::decode::Decoder>,
    /// The scoring device.
    pub scorer: Arc<dyn Scorer>,
    /// The networks that the rules name, if any.
    pub models: Option<Arc<dyn FrameModels>>,
    /// The rules in force.
    pub rules: Arc<ActiveRules>,
    /// The subnet.
    pub netuid: NetUid,
    /// The state folder, locked by the caller.
    pub state_dir: PathBuf,
    /// Whose journal it is.
    pub identity: JournalIdentity,
    /// Whether weights are set.
    pub pays: bool,
    /// Highest version key that the operator vouches for.
    pub version_key: u64,
    /// Whether weights are only shown, never signed.
    pub dry_run: bool,
    /// Whether the operator vouches that no other instance runs with our hotkey.
    pub vouched: Arc<AtomicBool>,
    /// Hotkeys that the operator keeps out.
    pub blacklist: Arc<Blacklist>,
    /// How much is done at the same time.
    pub concurrency: Concurrency,
    /// Wall-clock limit of one request to a miner.
    pub request_cap: Duration,
    /// Stats of the actors.
    pub board: Arc<Board>,
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Rounds as operators see them.
    pub book: Arc<RoundsBook>,
}

/// The addresses of the six.
#[derive(Clone)]
struct Posts {
    clock: Post<RoundClock>,
    registry: Post<MinerRegistry>,
    challenger: Post<Challenger>,
    decoder: Post<Decoder>,
    scorer: Post<GpuScorer>,
    setter: Post<WeightSetter>,
}

impl Posts {
    fn new(board: &Board, concurrency: Concurrency) -> Self {
        Self {
            clock: Post::new(board.register(ACTORS[0], CLOCK_BOUND)),
            registry: Post::new(board.register(ACTORS[1], REGISTRY_BOUND)),
            challenger: Post::new(board.register(ACTORS[2], CHALLENGER_BOUND)),
            decoder: Post::new(board.register(ACTORS[3], concurrency.decoders)),
            scorer: Post::new(board.register(ACTORS[4], concurrency.scorers)),
            setter: Post::new(board.register(ACTORS[5], SETTER_BOUND)),
        }
    }
}

/// The running validator, without its surfaces.
pub struct House {
    parts: HouseParts,
    posts: Posts,
    steward: Steward,
}

impl House {
    /// Builds and starts the six actors on the current actix system.
    pub fn build(parts: HouseParts) -> Result<Self, SpoolError> {
        install_panic_hook();
        let spool = Spool::open(&parts.state_dir.join("spool"))?;
        spool.clear_drafts()?;
        parts.metrics.scores_on(Arc::clone(&parts.scorer), parts.models.clone());
        let posts = Posts::new(&parts.board, parts.concurrency);
        let mut house = Self { parts, posts, steward: Steward::default() };
        // Receivers before senders, so that nobody writes to an empty post.
        let posts = house.posts.clone();
        house.adopt(&posts.setter, house.setter_parts(), WeightSetter::new);
        house.adopt(&posts.scorer, house.scorer_parts(), GpuScorer::new);
        house.adopt(&posts.decoder, house.decoder_parts(), Decoder::new);
        house.adopt(&posts.challenger, house.challenger_parts(spool.clone()), Challenger::new);
        house.adopt(&posts.registry, house.registry_parts(), MinerRegistry::new);
        house.adopt_clock(spool);
        Ok(house)
    }

    fn adopt<A, P>(&mut self, post: &Post<A>, parts: P, build: fn(P, Arc<ActorStats>, LifeGuard) -> A)
    where
        A: Actor<Context = Context<A>>,
        P: Clone + Send + 'static,
    {
        let (post, arbiter) = (post.clone(), System::current().arbiter().clone());
        let stats = Arc::clone(post.stats());
        let factory = move |life| {
            let (parts, stats) = (parts.clone(), Arc::clone(post.stats()));
            post.install(&arbiter, move || build(parts, stats, life));
        };
        self.steward.adopt(stats, Box::new(factory));
    }

    fn setter_parts(&self) -> SetterParts {
        SetterParts {
            chain: Arc::clone(&self.parts.chain),
            netuid: self.parts.netuid,
            rules: self.parts.rules.rules.payout,
            rules_digest: self.parts.rules.digest,
            rules_active_from: BlockNumber(self.parts.rules.rules.schedule.active_from_block),
            version_key: self.parts.version_key,
            dry_run: self.parts.dry_run,
            vouched: Arc::clone(&self.parts.vouched),
            vitals: Arc::clone(&self.parts.vitals),
            clock: self.posts.clock.clone(),
        }
    }

    fn scorer_parts(&self) -> ScorerParts {
        ScorerParts {
            scorer: Arc::clone(&self.parts.scorer),
            models: self.parts.models.clone(),
            prompts: self.parts.corpus.clips().iter().map(|clip| clip.caption.clone()).collect(),
        }
    }

    fn decoder_parts(&self) -> DecoderParts {
        DecoderParts { decoder: Arc::clone(&self.parts.decoder), scorer: self.posts.scorer.clone() }
    }

    fn challenger_parts(&self, spool: Spool) -> ChallengerParts {
        ChallengerParts {
            services: Arc::clone(&self.parts.services),
            spool,
            requests: Arc::new(Semaphore::new(self.parts.concurrency.requests)),
            request_cap: self.parts.request_cap,
            seen: Arc::new(Seen::new(Jitter::random())),
            decoder: self.posts.decoder.clone(),
            clock: self.posts.clock.clone(),
        }
    }

    fn registry_parts(&self) -> RegistryParts {
        RegistryParts {
            chain: Arc::clone(&self.parts.chain),
            services: Arc::clone(&self.parts.services),
            netuid: self.parts.netuid,
            blacklist: Arc::clone(&self.parts.blacklist),
            round_interval: self.parts.rules.rules.schedule.round_interval_blocks,
            memory: Arc::new(Memory::of_folder(self.parts.netuid, self.parts.state_dir.clone())),
        }
    }

    fn adopt_clock(&mut self, spool: Spool) {
        let clock = ClockParts {
            chain: Arc::clone(&self.parts.chain),
            corpus: Arc::clone(&self.parts.corpus),
            spool,
            rules: Arc::clone(&self.parts.rules),
            netuid: self.parts.netuid,
            state_dir: self.parts.state_dir.clone(),
            identity: self.parts.identity.clone(),
            pays: self.parts.pays,
            book: Arc::clone(&self.parts.book),
            vitals: Arc::clone(&self.parts.vitals),
            metrics: Arc::clone(&self.parts.metrics),
            head: watch::Sender::new(BlockNumber(0)),
            registry: self.posts.registry.clone(),
            challenger: self.posts.challenger.clone(),
            setter: self.posts.setter.clone(),
            post: self.posts.clock.clone(),
        };
        let (post, arbiter) = (self.posts.clock.clone(), System::current().arbiter().clone());
        let stats = Arc::clone(post.stats());
        self.steward.adopt(
            Arc::clone(&stats),
            Box::new(move |life| match RoundClock::recover(clock.clone(), Arc::clone(&stats), life) {
                Ok(actor) => post.install(&arbiter, move || actor),
                // The life-guard went down with the attempt, so this counts as a death.
                Err(cause) => tracing::error!("{cause}"),
            }),
        );
    }

    /// Runs until asked to stop, or until the steward gives up.
    pub async fn run(self, stop: CancellationToken) -> Result<(), GivenUp> {
        let feed = tokio::spawn(feed_blocks(
            Arc::clone(&self.parts.chain),
            self.posts.clone(),
            Arc::clone(&self.parts.vitals),
        ));
        let draining = self.steward.draining();
        let end = tokio::select! {
            given_up = self.steward.watch() => Err(given_up),
            () = stop.cancelled() => Ok(()),
        };
        draining.store(true, Ordering::Relaxed);
        self.parts.vitals.stopping();
        if end.is_ok() {
            drain(&self.posts, &self.parts.board).await;
        }
        feed.abort();
        end
    }
}

/// Passes finalized heads on, for ever: the client mends its connection, this mends the rest.
async fn feed_blocks(chain: Arc<dyn Chain>, posts: Posts, vitals: Arc<Vitals>) {
    const WAIT: Duration = Duration::from_secs(2);
    loop {
        match chain.finalized_heads().await {
            Ok(mut heads) => {
                while let Some(head) = heads.next().await {
                    match head {
                        Ok(head) => {
                            let safe_hold = look_at_runtime(chain.as_ref(), &vitals).await;
                            if posts.clock.deliver(BlockSeen { head, safe_hold }).await.is_err() {
                                return;
                            }
                            // A registry that is too busy to look ahead, or dead, looks everybody up when the round begins.
                            posts.registry.try_deliver(LookAhead(head.block)).ok();
                        }
                        Err(cause) => warn!("{cause}"),
                    }
                }
                warn!("the stream of finalized heads ended, opening another");
            }
            Err(cause) => warn!("{cause}"),
        }
        tokio::time::sleep(WAIT).await;
    }
}

/// Whether the runtime lacks something that we use. Where that could not be learned, what was known before
/// stands. The latest block is asked: while a gap is filled the one at hand may be too old for its state to
/// be kept.
async fn look_at_runtime(chain: &dyn Chain, vitals: &Vitals) -> bool {
    let before = vitals.link();
    let held = before.as_ref().is_some_and(|link| link.safe_hold.is_some());
    let runtime = async { chain.runtime(chain.head().await?.block.hash).await };
    let (spec_version, safe_hold) = match runtime.await {
        Ok(spec) => (spec, None),
        Err(ChainError::Metadata { spec, detail, .. }) => (spec, Some(detail)),
        Err(cause) => {
            warn!("the runtime was not looked at: {cause}");
            return held;
        }
    };
    match &safe_hold {
        Some(missing) if !held => {
            error!(
                "SAFE HOLD: the runtime (spec {spec_version}) lacks what this validator uses; no round opens and no weights are set until it fits: {missing}"
            );
        }
        None if held => {
            info!("the safe hold ends: the runtime (spec {spec_version}) has all that this validator uses")
        }
        _ => {}
    }
    let holds = safe_hold.is_some();
    vitals.link_seen(ChainLink { endpoint: chain.endpoint(), spec_version, safe_hold });
    holds
}

/// Stops opening rounds and waits for what is under way; what does not end in time stays open in
/// the journal and goes on at the next start.
async fn drain(posts: &Posts, board: &Board) {
    if posts.clock.deliver(Drain).await.is_err() {
        return;
    }
    let idle = async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            let busy = board
                .snapshot()
                .into_iter()
                .any(|actor| actor.state != ActorState::Dead && actor.in_flight + actor.mailbox.depth > 0);
            if !busy {
                return;
            }
        }
    };
    match tokio::time::timeout(DRAIN_LIMIT, idle).await {
        Ok(()) => info!("drained"),
        Err(_) => warn!("work was still under way after {DRAIN_LIMIT:?}: the next start goes on with it"),
    }
}
