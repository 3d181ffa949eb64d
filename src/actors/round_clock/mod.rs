//! RoundClock: the one writer of round truth. It opens rounds by finalized blocks, records what
//! happens, closes them, and has the winner paid.

mod disputes;
mod planning;
mod recovery;
mod tickets;
mod weights;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use actix::{Actor, Context};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{
    chain::port::Chain,
    corpus::Corpus,
    domain::{
        event::{Event, VoidReason},
        ids::{BlockNumber, Hotkey, NetUid, RoundId},
        outcome::{Outcome, Stage},
        report::RoundReport,
        round::Tournament,
        rules::ActiveRules,
    },
    receives,
    runtime::{
        board::{ActorState, ActorStats},
        post::{Hold, Post},
        steward::LifeGuard,
    },
    store::{
        book::RoundsBook,
        journal::{Journal, JournalError, JournalIdentity},
        spool::Spool,
    },
    telemetry::{Metrics, Vitals},
};

use super::{
    challenger::Challenger,
    messages::{
        BlockSeen, ClipReady, Drain, FileArrived, MinerSettled, RosterReady, RoundContext, WeightsDecided,
        WeightsReport,
    },
    miner_registry::MinerRegistry,
    weight_setter::WeightSetter,
};

use disputes::SeedAgreed;
use planning::Planning;
use recovery::Resumed;
use weights::WeightsPhase;

/// What the clock works with.
#[derive(Clone)]
pub struct ClockParts {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// Source clips.
    pub corpus: Arc<Corpus>,
    /// Received files.
    pub spool: Spool,
    /// The rules in force.
    pub rules: Arc<ActiveRules>,
    /// The subnet.
    pub netuid: NetUid,
    /// State folder of the journal.
    pub state_dir: PathBuf,
    /// Whose journal it is.
    pub identity: JournalIdentity,
    /// Whether weights are set at all.
    pub pays: bool,
    /// The rounds as the operator's endpoints show them.
    pub book: Arc<RoundsBook>,
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Tells everybody the newest finalized block.
    pub head: watch::Sender<BlockNumber>,
    /// Where rosters come from.
    pub registry: Post<MinerRegistry>,
    /// Who asks the miners.
    pub challenger: Post<Challenger>,
    /// Who pays.
    pub setter: Post<WeightSetter>,
    /// Its own address, for ways back.
    pub post: Post<RoundClock>,
}

/// A round whose tickets are under way in this process.
struct LiveRound {
    context: Arc<RoundContext>,
    /// Tickets made for each miner.
    attempts: BTreeMap<Hotkey, u8>,
    /// Tickets that went down with an actor, by the stage that they were in.
    drops: BTreeMap<(Hotkey, Stage), u8>,
    /// Members of disputes that are being asked.
    asking: BTreeSet<Hotkey>,
    /// Since which block a member of a dispute has been left alone.
    quiet: BTreeMap<Hotkey, BlockNumber>,
}

/// The actor.
pub struct RoundClock {
    parts: ClockParts,
    stats: Arc<ActorStats>,
    journal: Journal,
    state: Tournament,
    live: BTreeMap<RoundId, LiveRound>,
    planning: Option<Planning>,
    /// The newest round of which the log says that it is not opened.
    passed_over: Option<RoundId>,
    weights: WeightsPhase,
    /// Something is to be paid that came up while the WeightSetter was away.
    pay_again: bool,
    draining: bool,
    /// The runtime lacks something that we use: nothing is opened or submitted.
    safe_hold: bool,
    _life: LifeGuard,
}

impl Actor for RoundClock {
    type Context = Context<Self>;

    fn started(&mut self, _ctx: &mut Self::Context) {
        self.resume();
    }
}

receives!(
    RoundClock, stats:
    BlockSeen => on_block_seen,
    RosterReady => on_roster_ready,
    ClipReady => on_clip_ready,
    Resumed => on_resumed,
    FileArrived => on_file_arrived,
    MinerSettled => on_miner_settled,
    WeightsDecided => on_weights_decided,
    WeightsReport => on_weights_report,
    SeedAgreed => on_seed_agreed,
    Drain => on_drain,
);

impl RoundClock {
    /// Opens the journal and folds it into the state that the actor goes on from.
    pub fn recover(parts: ClockParts, stats: Arc<ActorStats>, life: LifeGuard) -> Result<Self, JournalError> {
        let journal = Journal::open(&parts.state_dir, &parts.identity)?;
        let state = journal.replay(Tournament::under(parts.rules.rules.payout, parts.rules.digest))?;
        for (id, round) in state.rounds() {
            parts.book.put(RoundReport::of(id, round));
        }
        if let Some(paid) = state.payments().last() {
            parts.book.set_paid(paid.round, paid.seen_at);
            parts.vitals.weights_seen(paid.seen_at.number);
        }
        parts.vitals.journal_wrote(journal.len());
        let clips = parts.corpus.len().saturating_sub(state.published().len());
        parts.vitals.corpus_left(clips as u64);
        Ok(Self {
            parts,
            stats,
            journal,
            state,
            live: BTreeMap::new(),
            planning: None,
            passed_over: None,
            weights: WeightsPhase::Idle,
            pay_again: false,
            draining: false,
            safe_hold: false,
            _life: life,
        })
    }

    /// Applies an event and writes it down. `false`: it does not follow (a late or double report),
    /// and nothing changed. A journal that cannot be written ends the actor: what follows from an
    /// unwritten event would be lost in a crash.
    fn record(&mut self, event: Event, ctx: &mut Context<Self>) -> bool {
        if let Err(cause) = self.state.apply(&event) {
            info!(event = event.kind(), "not recorded: {cause}");
            return false;
        }
        if let Err(cause) = self.journal.append(&event) {
            error!("{cause}");
            self.parts.vitals.journal_failed(&cause);
            actix::ActorContext::stop(ctx);
            return false;
        }
        self.parts.vitals.journal_wrote(self.journal.len());
        if let Some(id) = event.round()
            && let Some(round) = self.state.round(id)
        {
            self.parts.book.put(RoundReport::of(id, round));
        }
        true
    }

    fn on_block_seen(&mut self, seen: BlockSeen, hold: Hold, ctx: &mut Context<Self>) {
        let BlockSeen { head, safe_hold } = seen;
        self.safe_hold = safe_hold;
        let number = head.block.number;
        self.parts.vitals.head_seen(number);
        self.parts.head.send_replace(number);
        self.expire_late(number, ctx);
        if !self.draining && !safe_hold {
            self.ask_again_if_due(head.block, ctx);
            self.plan_if_due(head, ctx);
        }
        self.pay_if_due(number, ctx);
        hold.done();
    }

    /// Ends every round whose time is over: what is still open was on our side of the pipeline.
    fn expire_late(&mut self, now: BlockNumber, ctx: &mut Context<Self>) {
        for id in self.state.open_rounds() {
            let Some(round) = self.state.round(id) else { continue };
            let Some(plan) = round.plan.clone() else { continue };
            if now <= plan.settle_by {
                continue;
            }
            let late: Vec<_> = round.open_tickets().collect();
            for hotkey in late {
                let stage = self.stage_of(id, hotkey);
                let outcome = Outcome::Expired { stage };
                warn!(round = %id, miner = %hotkey, "{}", outcome.reason());
                self.settle(id, hotkey, outcome, Default::default(), ctx);
            }
            self.close_if_settled(id, ctx);
        }
    }

    /// Closes a round whose tickets have all ended, or voids it by rule.
    fn close_if_settled(&mut self, id: RoundId, ctx: &mut Context<Self>) {
        let Some(round) = self.state.round(id) else { return };
        if round.phase != crate::domain::round::Phase::Open || round.open_tickets().next().is_some() {
            return;
        }
        let at = *self.parts.head.borrow();
        if self.is_disputed(id, at) {
            return; // until its members have answered, or the round must settle
        }
        let rules = self.parts.rules.rules.payout;
        let winner = round.winner(&rules);
        let event = match round.void_reason(&rules) {
            Some(reason) => Event::RoundVoided { round: id, at, reason },
            None => Event::RoundClosed { round: id, at, winner: winner.map(|winner| winner.hotkey) },
        };
        if !self.record(event, ctx) {
            return;
        }
        self.live.remove(&id);
        self.announce(id);
        self.sweep_spool();
        if self.parts.pays {
            let interval = self.parts.rules.rules.schedule.round_interval_blocks;
            self.parts.vitals.weights_due_by(Some(BlockNumber(at.0 + 2 * interval)));
        }
        self.pay(ctx);
    }

    /// The one plain line per round.
    fn announce(&self, id: RoundId) {
        let Some(round) = self.state.round(id) else { return };
        let report = RoundReport::of(id, round);
        let count = |kind: &str| report.miners.iter().filter(|row| row.outcome == kind).count();
        let (scored, rejected) = (count("scored"), count("rejected"));
        let (forfeit, expired) = (count("forfeit"), count("expired"));
        if let Some(reason) = &report.void {
            self.parts.metrics.round_void();
            warn!("round {id} void: {}", describe(reason));
            return;
        }
        self.parts.metrics.round_settled();
        self.parts.metrics.copy_groups(report.copies.len());
        let best = report.winner.and_then(|winner| report.miners.iter().find(|row| row.hotkey == winner));
        let winner = best.map_or("nobody passed".to_string(), |row| {
            format!("winner uid {} {} with {}", row.uid, row.hotkey.short(), row.overall.unwrap_or_default())
        });
        info!(
            "round {id} closed: {winner}; {} miners: {scored} scored, {rejected} rejected, {forfeit} forfeit, {expired} expired",
            report.miners.len()
        );
    }

    fn sweep_spool(&self) {
        let rounds = || self.state.rounds().take(3).map(|(_, round)| round);
        let answers = rounds().flat_map(|round| round.questions()).filter_map(|asked| asked.file);
        let keep: Vec<_> = rounds()
            .flat_map(|round| round.tickets.values())
            .filter_map(|ticket| Some(ticket.file.as_ref()?.sha256))
            .chain(answers)
            .collect();
        let spool = self.parts.spool.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(cause) = spool.keep_only(&keep) {
                warn!("{cause}");
            }
        });
    }

    fn on_drain(&mut self, _: Drain, hold: Hold, _ctx: &mut Context<Self>) {
        info!("draining: no more rounds are opened");
        self.draining = true;
        self.stats.set_state(ActorState::Stopping);
        hold.done();
    }

    fn void(&mut self, round: RoundId, detail: String, ctx: &mut Context<Self>) {
        let at = *self.parts.head.borrow();
        if self.record(Event::RoundVoided { round, at, reason: VoidReason::NotPlanned { detail } }, ctx) {
            self.live.remove(&round);
            self.announce(round);
        }
    }

    /// Spawns work whose result comes back as a message to this actor.
    fn spawn_then<M>(&self, work: impl Future<Output = M> + Send + 'static)
    where
        M: Send + 'static,
        Self: actix::Handler<crate::runtime::post::Letter<M>>,
    {
        let post = self.parts.post.clone();
        tokio::spawn(async move {
            let message = work.await;
            // Closed only when the process is ending.
            post.deliver(message).await.ok();
        });
    }
}

fn describe(reason: &VoidReason) -> String {
    match reason {
        VoidReason::NotPlanned { detail } => format!("not planned: {detail}"),
        VoidReason::Unjudged { unjudged, asked } => {
            format!("{unjudged} of {asked} miners could not be judged through no fault of their own")
        }
    }
}
