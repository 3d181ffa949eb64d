//! Challenger: asks every miner of a round for its clip, concurrently and bounded.
//!
//! A failure that may pass is followed by one more request at a random later block. One that could be all of Chutes' waits
//! until everybody was asked, and is then judged by what happened to the others ([`Ends`]).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix::Context;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tracing::Instrument;

use crate::{
    domain::{
        event::ReceivedFile,
        ids::BlockNumber,
        outcome::{Fault, Outcome, Stage},
    },
    miners::{
        evidence::{CallEnd, Ends, SAME_MINUTES},
        faults::{Again, Widespread, prospects},
        port::{Canary, GenerateRequest, GeneratedClip, MinerServices, ServiceFault},
        retry::{Jitter, later_block},
    },
    receives, routing_actor,
    runtime::post::{Hold, Post},
    store::spool::{Spool, SpooledFile},
};

use super::{
    decoder::Decoder,
    messages::{DecodeClip, FileArrived, OpenRound, RoundContext},
    round_clock::RoundClock,
    ticket::{Ticket, Turn},
};

/// Longest that the validator's own chute may take.
const CANARY_LIMIT: Duration = Duration::from_secs(300);

/// What the challenger works with.
#[derive(Clone)]
pub struct ChallengerParts {
    /// The services where miners answer.
    pub services: Arc<dyn MinerServices>,
    /// Where received files are kept.
    pub spool: Spool,
    /// Requests under way at the same time, over all rounds.
    pub requests: Arc<Semaphore>,
    /// Wall-clock limit of one request; the round's answer block usually ends it earlier.
    pub request_cap: Duration,
    /// What happened to the last calls.
    pub seen: Arc<Seen>,
    /// The next stage.
    pub decoder: Post<Decoder>,
    /// Where arrivals are recorded.
    pub clock: Post<RoundClock>,
}

/// What happened to the last calls, and when somebody is asked again.
pub struct Seen {
    ends: Mutex<Ends>,
    canary: tokio::sync::Mutex<Option<(Instant, Option<Canary>)>>,
    jitter: Jitter,
}

impl Seen {
    /// Nothing yet; second attempts fall where this jitter says.
    pub fn new(jitter: Jitter) -> Self {
        Self { ends: Mutex::default(), canary: tokio::sync::Mutex::default(), jitter }
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

routing_actor!(
    /// Asks miners for their clips.
    Challenger works with ChallengerParts
);

receives!(Challenger, stats: OpenRound => on_open_round);

impl Challenger {
    fn on_open_round(&mut self, open: OpenRound, hold: Hold, _ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        let span = tracing::info_span!("ask_miners", tickets = open.tickets.len());
        let ask_all = async move {
            let mut tasks = tokio::task::JoinSet::new();
            for (ticket, file) in open.tickets {
                let span = ticket.span.clone();
                tasks.spawn(serve(parts.clone(), ticket, file).instrument(span));
            }
            let mut undecided = Vec::new();
            // A ticket whose task panics settles itself by its drop.
            while let Some(end) = tasks.join_next().await {
                undecided.extend(end.ok().flatten());
            }
            undecided.into_iter().for_each(|one| one.settle(&parts.seen.ends()));
            hold.done();
        };
        tokio::spawn(ask_all.instrument(span));
    }
}

/// A ticket whose failure could be everybody's.
struct Undecided {
    ticket: Ticket,
    failed: Failed,
    canary: Option<Canary>,
}

impl Undecided {
    fn settle(self, ends: &Ends) {
        let Self { ticket, failed: Failed { failure, at }, canary } = self;
        let outcome = match ends.lift(&failure.reason, &at, canary.as_ref()) {
            Some(lifted) => {
                let reason = format!("{}:{}", failure.reason, lifted.evidence);
                tracing::warn!(parent: &ticket.span, fault = ?lifted.fault, "not the miner's failure: {reason}");
                Outcome::Forfeit { stage: Stage::Challenge, fault: lifted.fault, reason }
            }
            None => forfeit(failure),
        };
        ticket.settle(outcome);
    }
}

fn forfeit(failure: ServiceFault) -> Outcome {
    Outcome::Forfeit { stage: Stage::Challenge, fault: failure.fault, reason: failure.reason }
}

/// Takes one ticket from the request to the decoder's mailbox, unless its end waits for those of others.
async fn serve(
    parts: ChallengerParts,
    mut ticket: Ticket,
    before_restart: Option<SpooledFile>,
) -> Option<Undecided> {
    let file = match before_restart {
        Some(file) => file,
        None => match ask_and_again(&parts, &mut ticket).instrument(tracing::info_span!("challenge")).await {
            Ok(file) => file,
            Err(NoFile::Ours(reason)) => {
                ticket.settle(ours(reason));
                return None;
            }
            Err(NoFile::Failed(failed)) if prospects(&failed.failure.reason).1 == Widespread::Never => {
                ticket.settle(forfeit(failed.failure));
                return None;
            }
            Err(NoFile::Failed(failed)) => {
                let canary = ask_canary(&parts, &ticket).await;
                return Some(Undecided { ticket, failed, canary });
            }
        },
    };
    ticket.waited_ms();
    // While the decoder is full the file waits in the spool, and so does its ticket here.
    if parts.decoder.deliver(DecodeClip { ticket, file }).await.is_err() {
        tracing::debug!("the decoder is closed: the process is ending");
    }
    None
}

/// Why there is no file.
enum NoFile {
    /// It was not asked for, or could not be kept.
    Ours(&'static str),
    /// The call for it failed.
    Failed(Failed),
}

/// A call that failed, and when it did so, its earlier attempts of this kind included.
struct Failed {
    failure: ServiceFault,
    at: Vec<Instant>,
}

impl Failed {
    fn after(mut self, before: Option<Self>) -> Self {
        let kind = prospects(&self.failure.reason).1;
        let alike = before.filter(|before| prospects(&before.failure.reason).1 == kind);
        self.at.splice(0..0, alike.map_or_else(Vec::new, |before| before.at));
        self
    }
}

/// Asks, and where a failure may pass again at a random later block: until an answer, a miner's second failure, or the end of
/// its time. Each wait takes at most half of what is left of that.
async fn ask_and_again(parts: &ChallengerParts, ticket: &mut Ticket) -> Result<SpooledFile, NoFile> {
    let (context, answer_by) = (Arc::clone(&ticket.context), ticket.ask.answer_by);
    let (mut last, mut chances) = (None, 2);
    loop {
        let failed: Failed = match (ask(parts, ticket).await, last.take()) {
            (Ok(file), _) => return Ok(file),
            // Where a further attempt came to nothing by our doing or for want of time, what was before it stands.
            (Err(NoFile::Ours(_)), Some(before)) => return Err(NoFile::Failed(before)),
            (Err(NoFile::Failed(Failed { failure, .. })), Some(before))
                if failure.reason == LATE || failure.reason == TIMEOUT =>
            {
                return Err(NoFile::Failed(before));
            }
            (Err(NoFile::Failed(failed)), before) => failed.after(before),
            (Err(ours), None) => return Err(ours),
        };
        chances -= i32::from(failed.failure.fault == Fault::Miner);
        let may_pass = prospects(&failed.failure.reason).0 == Again::Later && ticket.ask.question.is_none();
        let now = *context.head.borrow();
        let again = later_block(now, answer_by, parts.seen.jitter.draw());
        let Some(block) = again.filter(|_| may_pass && chances > 0) else {
            return Err(NoFile::Failed(failed));
        };
        tracing::debug!(%block, "{}: asking once more", failed.failure);
        let told = failed.failure.retry_after.unwrap_or_default();
        let wait = async { tokio::join!(context.reached(block), sleep(told)) };
        tokio::select! {
            biased;
            () = context.reached(answer_by) => return Err(NoFile::Failed(failed)),
            _ = wait => {}
        }
        last = Some(failed);
    }
}

async fn ask(parts: &ChallengerParts, ticket: &mut Ticket) -> Result<SpooledFile, NoFile> {
    let context = Arc::clone(&ticket.context);
    let answer_by = ticket.ask.answer_by;
    // A miner is blamed for its own time only: waiting for a place in our own queue is ours.
    let place = tokio::select! {
        biased;
        () = context.reached(answer_by) => return Err(NoFile::Ours("not_asked_in_time")),
        place = parts.requests.acquire() => place,
    };
    let asked_in_time = context.plan.leaves_fair_time(*context.head.borrow());
    let asked = Instant::now();
    let turn = ticket.ask.turn;
    let fair = || turn.map_or(asked_in_time, |turn| asked.elapsed() >= turn.at_least);
    let request = request(parts, ticket, parts.request_cap);
    let answer = tokio::select! {
        answer = parts.services.generate(request, &parts.spool) => answer,
        () = context.reached(answer_by) => Err(too_late(fair(), answer_by)),
        () = turn_ends(&context, turn) => Err(too_late(fair(), answer_by)),
    };
    drop(place);
    let at = Instant::now();
    note(parts, ticket, (asked, at), answer.as_ref().err());
    match answer {
        Ok(clip) => Ok(keep(parts, ticket, clip).await),
        Err(failure) => {
            tracing::debug!(fault = ?failure.fault, "{failure}");
            Err(NoFile::Failed(Failed { failure, at: vec![at] }))
        }
    }
}

fn request(parts: &ChallengerParts, ticket: &Ticket, cap: Duration) -> GenerateRequest {
    let context = &ticket.context;
    GenerateRequest {
        slug: ticket.deployment.slug.clone(),
        prompt: context.plan.clip.prompt.clone(),
        first_frame_png: context.prepared.first_frame_png.clone(),
        spec: context.plan.spec,
        seed: ticket.ask.seed,
        timeout: parts.request_cap.min(cap),
    }
}

/// Remembers how a call ended, as evidence for the calls of the same minutes.
fn note(
    parts: &ChallengerParts,
    ticket: &Ticket,
    (began, at): (Instant, Instant),
    failure: Option<&ServiceFault>,
) {
    let entry = ticket.context.plan.roster.iter().find(|entry| entry.hotkey == ticket.id().hotkey);
    let owner = entry.and_then(|entry| entry.commitment.as_ref()).map(|commitment| {
        let (owner, _) = commitment.model_name.split_once('/').unwrap_or_default();
        owner.to_ascii_lowercase()
    });
    let Some(owner) = owner else { return };
    let reason = failure.map(|failure| failure.reason.clone());
    parts.seen.ends().note(CallEnd { owner, began, at, reason });
}

/// Asks the validator's own chute, once for all failures of the same minutes.
async fn ask_canary(parts: &ChallengerParts, ticket: &Ticket) -> Option<Canary> {
    let mut newest = parts.seen.canary.lock().await;
    if let Some((_, canary)) = newest.as_ref().filter(|(at, _)| at.elapsed() <= SAME_MINUTES) {
        return canary.clone();
    }
    let (began, context) = (Instant::now(), &ticket.context);
    let canary = tokio::select! {
        canary = parts.services.ask_canary(request(parts, ticket, CANARY_LIMIT), &parts.spool) => canary,
        () = context.reached(context.plan.settle_by) => None,
    };
    *newest = Some((began, canary.clone()));
    canary
}

/// Waits until a turn in a dispute is over; for ever where there is none.
async fn turn_ends(context: &RoundContext, turn: Option<Turn>) {
    let Some(turn) = turn else { return std::future::pending().await };
    tokio::join!(context.reached(turn.until), tokio::time::sleep(turn.at_least));
}

/// The miner had its time.
const TIMEOUT: &str = "answer_timeout";
/// It had not.
const LATE: &str = "asked_too_late";

/// No complete answer in time, which is the miner's failure where it had a fair time for it.
fn too_late(fair: bool, answer_by: BlockNumber) -> ServiceFault {
    ServiceFault {
        fault: if fair { Fault::Miner } else { Fault::Us },
        reason: if fair { TIMEOUT } else { LATE }.into(),
        detail: format!("no complete answer by block {answer_by}"),
        retry_after: None,
    }
}

/// The end of a ticket that we are to blame for.
fn ours(reason: &str) -> Outcome {
    Outcome::Forfeit { stage: Stage::Challenge, fault: Fault::Us, reason: reason.into() }
}

/// Tells RoundClock of the file, so that a restart need not ask again.
async fn keep(parts: &ChallengerParts, ticket: &mut Ticket, clip: GeneratedClip) -> SpooledFile {
    ticket.timings.challenge_ms = clip.latency.as_millis() as u64;
    let file = ReceivedFile {
        sha256: clip.file.digest(),
        bytes: clip.file.bytes(),
        latency_ms: ticket.timings.challenge_ms,
        invocation_id: clip.invocation_id,
    };
    if ticket.ask.question.is_some() {
        ticket.answer = Some(file); // what is lost in a restart is asked again with the same seed
        return clip.file;
    }
    parts.clock.deliver(FileArrived { ticket: ticket.id(), file }).await.ok();
    clip.file
}
