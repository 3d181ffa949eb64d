//! Having the winner paid: when to send the WeightSetter off, and what its report means.

use actix::Context;
use tracing::{debug, error, info, warn};

use crate::{
    domain::{
        event::Event,
        ids::{BlockNumber, RoundId},
    },
    runtime::post::Hold,
};

use super::{
    super::{
        messages::{SubmitWeights, WeightsDecided, WeightsEnd, WeightsReport},
        weight_setter::Errand,
    },
    RoundClock,
};

/// Blocks between two looks while an earlier submission is unclear.
const LOOK_AGAIN: u64 = 3;

/// What the clock knows of payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WeightsPhase {
    /// Nothing to do until a round closes.
    Idle,
    /// The WeightSetter is at work.
    Away,
    /// To be tried again at a block.
    WaitingFor(BlockNumber),
}

impl RoundClock {
    /// Called at every block: a deferred payment whose time has come, or an open decision of an
    /// earlier run.
    pub(super) fn pay_if_due(&mut self, now: BlockNumber, ctx: &mut Context<Self>) {
        let due = match self.weights {
            WeightsPhase::Idle => self.state.open_intent().is_some() || self.unpaid_round().is_some(),
            WeightsPhase::Away => false,
            WeightsPhase::WaitingFor(block) => now >= block,
        };
        if due {
            self.pay(ctx);
        }
    }

    /// The newest settled round, when no landed weights rest on it yet.
    fn unpaid_round(&self) -> Option<RoundId> {
        let newest = self.state.settled().last()?.round;
        let paid = self.state.last_paid().map(|(_, round, _)| *round);
        (paid != Some(newest)).then_some(newest)
    }

    /// Sends the WeightSetter off, unless it is away or there is nothing to pay for.
    pub(super) fn pay(&mut self, _ctx: &mut Context<Self>) {
        if !self.parts.pays || self.weights == WeightsPhase::Away {
            return;
        }
        let open_intent = self.state.open_intent().cloned();
        let round = match (&open_intent, self.unpaid_round()) {
            (Some(intent), _) => intent.round,
            (None, Some(round)) => round,
            (None, None) => return self.weights = WeightsPhase::Idle,
        };
        let now = *self.parts.head.borrow();
        let reserved =
            self.parts.post.try_reserve().and_then(|back| Ok((back, self.parts.setter.try_reserve()?)));
        let (back, place) = match reserved {
            Ok(places) => places,
            Err(cause) => {
                warn!("weights: {cause}");
                return self.weights = WeightsPhase::WaitingFor(BlockNumber(now.0 + LOOK_AGAIN));
            }
        };
        self.weights = WeightsPhase::Away;
        let message = SubmitWeights {
            settled: self.state.settled().to_vec(),
            round,
            last_paid: self.state.last_paid().map(|(target, _, _)| *target),
            open_intent,
            errand: Errand::new(self.parts.post.clone(), back),
        };
        self.parts.setter.deliver_reserved(place, message);
    }

    pub(super) fn on_weights_decided(
        &mut self,
        decided: WeightsDecided,
        hold: Hold,
        ctx: &mut Context<Self>,
    ) {
        let WeightsDecided { intent, written } = decided;
        debug!(round = %intent.round, uid = %intent.uid, "weights decided: {}", intent.target);
        if self.record(Event::WeightsIntended { intent }, ctx) {
            // The setter may have died meanwhile; the open intent is then looked up on chain.
            written.send(()).ok();
        }
        hold.done();
    }

    pub(super) fn on_weights_report(&mut self, report: WeightsReport, hold: Hold, ctx: &mut Context<Self>) {
        let now = *self.parts.head.borrow();
        match report.0 {
            WeightsEnd::Landed { seen_at, intent } => {
                info!(
                    "weights on chain pay {} (uid {}) for round {}: read back at block {}",
                    intent.target, intent.uid, intent.round, seen_at.number
                );
                self.parts.vitals.weights_landed(seen_at.number);
                self.parts.vitals.weights_due_by(None);
                if self.record(Event::WeightsLanded { seen_at }, ctx) {
                    self.parts.book.set_paid(intent.round, seen_at);
                }
                self.weights = WeightsPhase::Idle;
            }
            WeightsEnd::Failed { seen_at, reason, retry_at } => {
                error!("weights failed: {reason}; next try at block {retry_at}");
                self.record(Event::WeightsFailed { seen_at, reason }, ctx);
                self.weights = WeightsPhase::WaitingFor(retry_at);
            }
            WeightsEnd::Deferred { reason, retry_at } => {
                info!("weights not set now: {reason}");
                self.weights = match retry_at {
                    Some(block) => WeightsPhase::WaitingFor(block),
                    None => WeightsPhase::WaitingFor(BlockNumber(now.0 + self.interval())),
                };
            }
            WeightsEnd::Unclear { reason } => {
                warn!("weights unclear: {reason}; looking again");
                self.weights = WeightsPhase::WaitingFor(BlockNumber(now.0 + LOOK_AGAIN));
            }
        }
        hold.done();
    }

    fn interval(&self) -> u64 {
        self.parts.rules.rules.schedule.round_interval_blocks
    }
}
