//! Having the winner paid: when to send the WeightSetter off, and what its report means.

use actix::Context;
use tracing::{debug, error, info, warn};

use crate::{
    domain::{event::Event, ids::BlockNumber},
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

/// Most blocks between two looks while a commit waits for its reveal.
const REVEAL_LOOKS: u64 = 10;

/// Most blocks between two looks while the weights on chain stand: a slot may change hands.
const RESTING_LOOKS: u64 = 25;

/// What the clock knows of payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WeightsPhase {
    /// Not looked at yet.
    Idle,
    /// The WeightSetter is at work.
    Away,
    /// To be tried again at a block.
    WaitingFor(BlockNumber),
}

impl RoundClock {
    /// Called at every block: at the start, and whenever a time that was set has come. There is always
    /// something to look after: an earlier decision, a commit, or how we stand with the chain.
    pub(super) fn pay_if_due(&mut self, now: BlockNumber, ctx: &mut Context<Self>) {
        let due = match self.weights {
            WeightsPhase::Idle => true,
            WeightsPhase::Away => false,
            WeightsPhase::WaitingFor(block) => now >= block,
        };
        if due {
            self.pay(ctx);
        }
    }

    /// Sends the WeightSetter off, unless it is away.
    pub(super) fn pay(&mut self, _ctx: &mut Context<Self>) {
        if !self.parts.pays || self.safe_hold {
            return;
        }
        if self.weights == WeightsPhase::Away {
            self.pay_again = true;
            return;
        }
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
        self.pay_again = false;
        let message = SubmitWeights {
            head: now,
            settled: self.state.settled().to_vec(),
            payments: self.state.payments().clone(),
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
        let wait = match report.0 {
            WeightsEnd::Landed { seen_at, intent, epoch, own_update } => {
                info!(
                    "weights on chain pay {} (uid {}) for round {}: read back at block {}",
                    intent.target, intent.uid, intent.round, seen_at.number
                );
                self.parts.vitals.weights_landed(seen_at.number);
                if self.record(Event::WeightsLanded { seen_at, epoch, own_update }, ctx) {
                    self.parts.book.set_paid(intent.round, seen_at);
                }
                now.0 + 1
            }
            WeightsEnd::Committed { seen_at, intent, place, look_at } => {
                info!(
                    "weights for {} (uid {}), round {}, are committed at block {}: revealed in epoch {}",
                    intent.target, intent.uid, intent.round, place.committed_at, place.reveal_epoch
                );
                self.parts.vitals.weights_due_by(Some(BlockNumber(look_at.0 + self.interval())));
                self.record(Event::WeightsCommitted { seen_at, place }, ctx);
                look_at.0
            }
            WeightsEnd::Failed { seen_at, reason, epoch, own_update, retry_at } => {
                error!("weights failed: {reason}; next try at block {retry_at}");
                if epoch.is_some() {
                    self.parts.vitals.reveal_failed();
                }
                self.record(Event::WeightsFailed { seen_at, reason, epoch, own_update }, ctx);
                retry_at.0
            }
            WeightsEnd::Overtaken { seen_at, epoch } => {
                let reason = format!("the commit of epoch {epoch} was overtaken by later weights");
                info!("{reason}");
                self.record(
                    Event::WeightsFailed { seen_at, reason, epoch: Some(epoch), own_update: None },
                    ctx,
                );
                now.0 + 1
            }
            WeightsEnd::Deferred { reason, retry_at } => {
                info!("weights not set now: {reason}");
                retry_at.map_or(now.0 + self.interval(), |block| block.0)
            }
            WeightsEnd::Resting { until } => {
                debug!("the weights on chain stand until block {until}");
                until.0.min(now.0 + RESTING_LOOKS)
            }
            WeightsEnd::Vouched { last_update } => {
                warn!(
                    "the operator says that no other instance runs: weights up to block {last_update} are taken over"
                );
                self.record(Event::WeightsVouched { last_update }, ctx);
                now.0 + 1
            }
            WeightsEnd::Unclear { reason } => {
                warn!("weights unclear: {reason}; looking again");
                now.0 + LOOK_AGAIN
            }
        };
        // A round closed meanwhile: what was decided may have missed it.
        let wait = if self.pay_again { now.0 + 1 } else { wait };
        self.weights = WeightsPhase::WaitingFor(BlockNumber(self.look_for_reveals(now, wait)));
        hold.done();
    }

    /// A waiting commit is looked after at least this often once its epoch may have come.
    fn look_for_reveals(&self, now: BlockNumber, wait: u64) -> u64 {
        match self.state.payments().pending().is_empty() {
            true => wait,
            false => wait.min(now.0 + REVEAL_LOOKS),
        }
    }

    fn interval(&self) -> u64 {
        self.parts.rules.rules.schedule.round_interval_blocks
    }
}
