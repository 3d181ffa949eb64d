//! Tickets: made when a round opens or goes on after a restart, settled exactly once.

use std::{sync::Arc, time::Duration};

use actix::Context;
use tracing::warn;

use crate::{
    domain::{
        event::{Event, Timings},
        ids::{Hotkey, RoundId},
        outcome::{Fault, Outcome, Stage},
        roster::Standing,
        round::outcome_at_opening,
    },
    runtime::post::Hold,
};

use super::{
    super::{
        messages::{FileArrived, MinerSettled, OpenRound},
        ticket::{Ask, NewTicket, Ticket},
    },
    RoundClock,
};

/// Times that a ticket may go down with an actor in one stage: what does it twice may be what kills them.
pub(super) const MAX_DROPS: u8 = 2;

impl RoundClock {
    /// Settles the miners that cannot be asked.
    pub(super) fn settle_those_out(&mut self, id: RoundId, ctx: &mut Context<Self>) {
        let Some(plan) = self.state.round(id).and_then(|round| round.plan.clone()) else { return };
        for entry in &plan.roster {
            if let Some(outcome) = outcome_at_opening(entry) {
                self.settle(id, entry.hotkey, outcome, Timings::default(), ctx);
            }
        }
    }

    /// Sends every open ticket of a live round on its way.
    pub(super) fn dispatch(&mut self, id: RoundId, ctx: &mut Context<Self>) {
        let open = self.state.round(id).map(|round| round.open_tickets().collect());
        self.send_out(id, open.unwrap_or_default(), ctx);
    }

    /// Sends these miners' tickets to the Challenger; a file that arrived before travels along.
    fn send_out(&mut self, id: RoundId, miners: Vec<Hotkey>, ctx: &mut Context<Self>) {
        let tickets: Vec<_> =
            miners.into_iter().filter_map(|hotkey| self.make_ticket(id, hotkey, None, ctx)).collect();
        let Some(live) = self.live.get(&id).filter(|_| !tickets.is_empty()) else { return };
        let context = Arc::clone(&live.context);
        let files: Vec<_> =
            tickets.iter().map(|ticket| self.state.received_file(id, &ticket.id().hotkey)).collect();
        let (spool, challenger) = (self.parts.spool.clone(), self.parts.challenger.clone());
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(move || {
                files.into_iter().map(|digest| spool.find(&digest?)).collect::<Vec<_>>()
            });
            let Ok(files) = read.await else { return };
            let tickets = tickets.into_iter().zip(files).collect();
            // When the process is ending the tickets drop and settle themselves.
            challenger.deliver(OpenRound { context, tickets }).await.ok();
        });
    }

    /// A ticket for the round's clip, or for another question. Where there is no place for its way back, the former
    /// is our failure at once, and the latter is asked at a later block.
    pub(super) fn make_ticket(
        &mut self,
        id: RoundId,
        hotkey: Hotkey,
        question: Option<Ask>,
        ctx: &mut Context<Self>,
    ) -> Option<Ticket> {
        let live = self.live.get_mut(&id)?;
        let context = Arc::clone(&live.context);
        let entry = context.plan.roster.iter().find(|entry| entry.hotkey == hotkey)?;
        let Standing::Valid { deployment } = &entry.standing else { return None };
        let attempt = live.attempts.entry(hotkey).or_insert(0);
        *attempt += 1;
        let attempt = *attempt;
        match self.parts.post.try_reserve() {
            Ok(place) => Some(Ticket::new(NewTicket {
                context: Arc::clone(&context),
                entry,
                deployment: deployment.clone(),
                ask: question.unwrap_or_else(|| Ask::first(&context.plan, &hotkey)),
                attempt,
                way_back: (self.parts.post.clone(), place),
            })),
            Err(cause) => {
                warn!(%hotkey, "no ticket: {cause}");
                if question.is_none() {
                    self.settle(id, hotkey, forfeit(Stage::Challenge, "overload"), Timings::default(), ctx);
                }
                None
            }
        }
    }

    pub(super) fn on_file_arrived(&mut self, arrived: FileArrived, hold: Hold, ctx: &mut Context<Self>) {
        let FileArrived { ticket, file } = arrived;
        self.parts.metrics.challenge_took(Duration::from_millis(file.latency_ms));
        self.record(Event::ClipReceived { round: ticket.round, hotkey: ticket.hotkey, file }, ctx);
        hold.done();
    }

    pub(super) fn on_miner_settled(&mut self, settled: MinerSettled, hold: Hold, ctx: &mut Context<Self>) {
        let end = settled.0;
        let (round, hotkey) = (end.ticket.round, end.ticket.hotkey);
        if let Some(question) = end.ticket.question {
            self.on_answered(end, question, ctx);
            self.close_if_settled(round, ctx);
            return hold.done();
        }
        match end.outcome {
            Some(outcome) => {
                self.settle(round, hotkey, outcome, end.timings, ctx);
                hold.done();
            }
            None if self.draining => hold.done(), // the journal has it open: the next start goes on
            None if self.drops_of(round, hotkey) < MAX_DROPS => {
                warn!(%round, miner = %hotkey, "a ticket was dropped on its way, sending another");
                self.send_out(round, vec![hotkey], ctx);
                hold.failed(&"a ticket was dropped on its way");
            }
            None => {
                let stage = self.stage_of(round, hotkey);
                self.settle(round, hotkey, forfeit(stage, "dropped"), end.timings, ctx);
                hold.failed(&"a ticket was dropped twice");
            }
        }
        self.close_if_settled(round, ctx);
    }

    /// Counts one more ticket of this miner that an actor took down in the stage that it is in.
    pub(super) fn drops_of(&mut self, round: RoundId, hotkey: Hotkey) -> u8 {
        let stage = self.stage_of(round, hotkey);
        let Some(live) = self.live.get_mut(&round) else { return MAX_DROPS };
        let drops = live.drops.entry((hotkey, stage)).or_insert(0);
        *drops += 1;
        *drops
    }

    /// Records one ticket's end. The first end stands; later ones are noted and ignored.
    pub(super) fn settle(
        &mut self,
        round: RoundId,
        hotkey: Hotkey,
        outcome: Outcome,
        timings: Timings,
        ctx: &mut Context<Self>,
    ) {
        let event = Event::TicketSettled { round, hotkey, outcome: outcome.clone(), timings };
        if !self.record(event, ctx) {
            return;
        }
        self.note_if_returned(round, hotkey, ctx);
        let metrics = &self.parts.metrics;
        metrics.outcome(&outcome);
        if timings.decode_ms > 0 {
            metrics.decode_took(Duration::from_millis(timings.decode_ms));
        }
        if timings.score_ms > 0 {
            metrics.score_took(Duration::from_millis(timings.score_ms));
        }
        let open = self.state.open_rounds().into_iter().filter_map(|id| self.state.round(id));
        metrics.tickets_in_flight(open.map(|round| round.open_tickets().count()).sum());
    }

    /// Where an open ticket is, as far as the journal knows.
    pub(super) fn stage_of(&self, id: RoundId, hotkey: Hotkey) -> Stage {
        match self.state.received_file(id, &hotkey) {
            Some(_) => Stage::Decode,
            None => Stage::Challenge,
        }
    }
}

pub(super) fn forfeit(stage: Stage, reason: &str) -> Outcome {
    Outcome::Forfeit { stage, fault: Fault::Us, reason: reason.into() }
}
