//! Challenger: asks every miner of a round for its clip, concurrently and bounded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Context;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::{
    domain::{
        event::ReceivedFile,
        ids::BlockNumber,
        outcome::{Fault, Outcome, Stage},
    },
    miners::port::{GenerateRequest, GeneratedClip, MinerServices, ServiceFault},
    receives, routing_actor,
    runtime::post::{Hold, Post},
    store::spool::Spool,
};

use super::{
    decoder::Decoder,
    messages::{DecodeClip, FileArrived, OpenRound, RoundContext},
    round_clock::RoundClock,
    ticket::{Ticket, Turn},
};

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
    /// The next stage.
    pub decoder: Post<Decoder>,
    /// Where arrivals are recorded.
    pub clock: Post<RoundClock>,
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
            // A ticket whose task panics settles itself by its drop.
            while tasks.join_next().await.is_some() {}
            hold.done();
        };
        tokio::spawn(ask_all.instrument(span));
    }
}

/// Takes one ticket from the request to the decoder's mailbox.
async fn serve(parts: ChallengerParts, mut ticket: Ticket, before_restart: Option<Bytes>) {
    let file = match before_restart {
        Some(file) => file,
        None => match ask(&parts, &mut ticket).instrument(tracing::info_span!("challenge")).await {
            Ok(file) => file,
            Err(outcome) => return ticket.settle(outcome),
        },
    };
    ticket.waited_ms();
    // While the decoder is full the file waits here, and the request's place stays taken by the
    // bound on OpenRound, so that no more bodies pile up than miners in the roster.
    if parts.decoder.deliver(DecodeClip { ticket, file }).await.is_err() {
        tracing::debug!("the decoder is closed: the process is ending");
    }
}

async fn ask(parts: &ChallengerParts, ticket: &mut Ticket) -> Result<Bytes, Outcome> {
    let context = Arc::clone(&ticket.context);
    let answer_by = ticket.ask.answer_by;
    // A miner is blamed for its own time only: waiting for a place in our own queue is ours.
    let place = tokio::select! {
        biased;
        () = context.reached(answer_by) => return Err(ours("not_asked_in_time")),
        place = parts.requests.acquire() => place,
    };
    let asked_in_time = context.plan.leaves_fair_time(*context.head.borrow());
    let asked = Instant::now();
    let turn = ticket.ask.turn;
    let fair = || turn.map_or(asked_in_time, |turn| asked.elapsed() >= turn.at_least);
    let request = GenerateRequest {
        slug: ticket.deployment.slug.clone(),
        prompt: context.plan.clip.prompt.clone(),
        first_frame_png: context.prepared.first_frame_png.clone(),
        spec: context.plan.spec,
        seed: ticket.ask.seed,
        timeout: parts.request_cap,
    };
    let answer = tokio::select! {
        answer = parts.services.generate(request) => answer,
        () = context.reached(answer_by) => Err(too_late(fair(), answer_by)),
        () = turn_ends(&context, turn) => Err(too_late(fair(), answer_by)),
    };
    drop(place);
    match answer {
        Ok(clip) => keep(parts, ticket, clip).await,
        Err(fault) => {
            tracing::debug!(fault = ?fault.fault, "{fault}");
            Err(Outcome::Forfeit { stage: Stage::Challenge, fault: fault.fault, reason: fault.reason })
        }
    }
}

/// Waits until a turn in a dispute is over; for ever where there is none.
async fn turn_ends(context: &RoundContext, turn: Option<Turn>) {
    let Some(turn) = turn else { return std::future::pending().await };
    tokio::join!(context.reached(turn.until), tokio::time::sleep(turn.at_least));
}

/// No complete answer in time, which is the miner's failure where it had a fair time for it.
fn too_late(fair: bool, answer_by: BlockNumber) -> ServiceFault {
    ServiceFault {
        fault: if fair { Fault::Miner } else { Fault::Us },
        reason: if fair { "answer_timeout" } else { "asked_too_late" }.into(),
        detail: format!("no complete answer by block {answer_by}"),
    }
}

/// The end of a ticket that we are to blame for.
fn ours(reason: &str) -> Outcome {
    Outcome::Forfeit { stage: Stage::Challenge, fault: Fault::Us, reason: reason.into() }
}

/// Writes the file to the spool and tells RoundClock, so that a restart need not ask again.
async fn keep(parts: &ChallengerParts, ticket: &mut Ticket, clip: GeneratedClip) -> Result<Bytes, Outcome> {
    ticket.timings.challenge_ms = clip.latency.as_millis() as u64;
    let (spool, bytes) = (parts.spool.clone(), clip.bytes.clone());
    let written = tokio::task::spawn_blocking(move || spool.put(&bytes)).await;
    let sha256 = match written {
        Ok(Ok(sha256)) => sha256,
        Ok(Err(cause)) => return Err(spool_failed(&cause)),
        Err(cause) => return Err(spool_failed(&cause)),
    };
    let file = ReceivedFile {
        sha256,
        bytes: clip.bytes.len() as u64,
        latency_ms: ticket.timings.challenge_ms,
        invocation_id: clip.invocation_id,
    };
    if ticket.ask.question.is_some() {
        ticket.answer = Some(file); // what is lost in a restart is asked again with the same seed
        return Ok(clip.bytes);
    }
    parts.clock.deliver(FileArrived { ticket: ticket.id(), file }).await.ok();
    Ok(clip.bytes)
}

fn spool_failed(cause: &dyn std::error::Error) -> Outcome {
    tracing::error!("{cause}");
    ours("spool_failed")
}
