//! A ticket: one miner's way through one round. It settles exactly once, even when it is lost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::Span;

use crate::{
    domain::{
        event::{ReceivedFile, Timings},
        ids::{BlockNumber, Hotkey, RoundId},
        inquiry::Question,
        outcome::Outcome,
        plan::{RoundPlan, request_seed},
        roster::{Deployment, RosterEntry},
    },
    runtime::post::{Post, Reservation},
};

use super::{
    messages::{MinerSettled, RoundContext},
    round_clock::RoundClock,
};

/// Names a ticket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TicketId {
    /// Round.
    pub round: RoundId,
    /// Miner.
    pub hotkey: Hotkey,
    /// What a miner whose clip is disputed is asked; `None` for the round's clip.
    pub question: Option<Question>,
    /// First attempt is 1.
    pub attempt: u8,
}

/// What a ticket asks of its miner.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// In a dispute about its clip; `None` for the round's clip.
    pub question: Option<Question>,
    /// Seed of the request.
    pub seed: u32,
    /// Block by which the answer must be complete.
    pub answer_by: BlockNumber,
    /// How long a question may take while others wait for their turn; `None` for the round's clip.
    pub turn: Option<Turn>,
}

/// A turn in a dispute: it ends when both have passed, and before that only with the round.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The miner's share of what is left of the round.
    pub until: BlockNumber,
    /// Time that every answer is given. A miner that is cut off sooner did not fail.
    pub at_least: Duration,
}

impl Ask {
    /// For the round's clip.
    pub fn first(plan: &RoundPlan, hotkey: &Hotkey) -> Self {
        let seed = request_seed(&plan.anchor.hash, hotkey);
        Self { question: None, seed, answer_by: plan.answer_by, turn: None }
    }
}

/// How a ticket ended.
#[derive(Debug)]
pub struct TicketEnd {
    /// Which ticket.
    pub ticket: TicketId,
    /// The outcome; `None` when the ticket was dropped on the way (an actor died with it).
    pub outcome: Option<Outcome>,
    /// Where the time went.
    pub timings: Timings,
    /// The file of an answer in a dispute; the round's clips are recorded when they arrive.
    pub answer: Option<ReceivedFile>,
}

/// A way back to RoundClock that was reserved when the ticket was made, so that settling never
/// waits.
struct WayBack {
    clock: Post<RoundClock>,
    place: Reservation,
}

/// One miner's way through one round.
pub struct Ticket {
    id: TicketId,
    /// What the round's tickets share.
    pub context: Arc<RoundContext>,
    /// Where the miner answers.
    pub deployment: Deployment,
    /// What it is asked.
    pub ask: Ask,
    /// Where the time went so far.
    pub timings: Timings,
    /// The file of an answer in a dispute, once it is in the spool.
    pub answer: Option<ReceivedFile>,
    /// Since when the ticket waits for the stage that it is queued at.
    pub queued_at: Instant,
    /// Span of the ticket, child of the round's.
    pub span: Span,
    way_back: Option<WayBack>,
}

/// What a ticket is made of.
pub struct NewTicket<'a> {
    /// The round.
    pub context: Arc<RoundContext>,
    /// The miner.
    pub entry: &'a RosterEntry,
    /// Where it answers.
    pub deployment: Deployment,
    /// What it is asked.
    pub ask: Ask,
    /// First attempt is 1.
    pub attempt: u8,
    /// RoundClock's post, with a place taken in it.
    pub way_back: (Post<RoundClock>, Reservation),
}

impl Ticket {
    /// Makes a ticket; from here on exactly one [`MinerSettled`] will arrive for it.
    pub fn new(new: NewTicket<'_>) -> Self {
        let (round, hotkey) = (new.context.plan.round, new.entry.hotkey);
        let id = TicketId { round, hotkey, question: new.ask.question, attempt: new.attempt };
        let span = tracing::info_span!(
            parent: &new.context.span, "ticket", miner = %id.hotkey, uid = %new.entry.uid, attempt = id.attempt,
            question = id.question.map(Question::name)
        );
        let (clock, place) = new.way_back;
        Self {
            id,
            context: new.context,
            deployment: new.deployment,
            ask: new.ask,
            timings: Timings::default(),
            answer: None,
            queued_at: Instant::now(),
            span,
            way_back: Some(WayBack { clock, place }),
        }
    }

    /// The ticket's name.
    pub fn id(&self) -> TicketId {
        self.id
    }

    /// Milliseconds since the ticket was queued at its present stage; starts the next wait.
    pub fn waited_ms(&mut self) -> u64 {
        let waited = self.queued_at.elapsed().as_millis() as u64;
        self.queued_at = Instant::now();
        waited
    }

    /// Ends the ticket.
    pub fn settle(mut self, outcome: Outcome) {
        self.send(Some(outcome));
    }

    fn send(&mut self, outcome: Option<Outcome>) {
        if let Some(WayBack { clock, place }) = self.way_back.take() {
            let (ticket, timings, answer) = (self.id, self.timings, self.answer.take());
            let end = TicketEnd { ticket, outcome, timings, answer };
            clock.deliver_reserved(place, MinerSettled(end));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.send(None);
    }
}
