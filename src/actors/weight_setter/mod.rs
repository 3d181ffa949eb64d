//! WeightSetter: pays the winner on chain and proves it by reading the chain.
//!
//! One errand at a time: look up an open decision and commits that wait for their reveal, decide,
//! have the decision journalled, submit once, read back. An unknown outcome leads to a look at the
//! chain, never to a second submission.

mod decide;
mod reconcile;
mod submit;
mod view;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix::Context;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::{
    chain::port::{Chain, ChainError},
    domain::{
        ids::{BlockNumber, Digest, NetUid},
        payments::Payments,
        rules::PayoutRules,
        weights::Refusal,
    },
    receives, routing_actor,
    runtime::post::{Hold, Post, Reservation},
    telemetry::Vitals,
};

use self::view::View;
use super::{
    messages::{SubmitWeights, WeightsDecided, WeightsEnd, WeightsReport},
    round_clock::RoundClock,
};

/// What the setter works with.
#[derive(Clone)]
pub struct SetterParts {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The subnet.
    pub netuid: NetUid,
    /// Who is paid.
    pub rules: PayoutRules,
    /// Digest of the rules in force.
    pub rules_digest: Digest,
    /// First block at which the rules are in force.
    pub rules_active_from: BlockNumber,
    /// Highest version key that the operator vouches for.
    pub version_key: u64,
    /// Whether the extrinsic is only shown.
    pub dry_run: bool,
    /// Whether the operator vouches, for what the chain shows at the first look, that no other
    /// instance runs. Taken back by that look: what appears later was set by somebody.
    pub vouched: Arc<AtomicBool>,
    /// Where our standing on chain is shown.
    pub vitals: Arc<Vitals>,
    /// Where decisions are journalled.
    pub clock: Post<RoundClock>,
}

/// Carries the report back to RoundClock; dropped unreported, it says so.
pub struct Errand {
    way_back: Option<(Post<RoundClock>, Reservation)>,
}

impl Errand {
    /// An errand with its way back reserved.
    pub fn new(clock: Post<RoundClock>, place: Reservation) -> Self {
        Self { way_back: Some((clock, place)) }
    }

    fn report(mut self, end: WeightsEnd) {
        self.send(end);
    }

    fn send(&mut self, end: WeightsEnd) {
        if let Some((clock, place)) = self.way_back.take() {
            clock.deliver_reserved(place, WeightsReport(end));
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.send(WeightsEnd::Unclear { reason: "the errand was dropped before it ended".into() });
    }
}

routing_actor!(
    /// Pays the winner on chain.
    WeightSetter works with SetterParts
);

receives!(WeightSetter, stats: SubmitWeights => on_submit_weights);

impl WeightSetter {
    fn on_submit_weights(&mut self, message: SubmitWeights, hold: Hold, _ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        let span = match message.settled.last() {
            Some(settled) => tracing::info_span!("set_weights", round = %settled.round),
            // Before the first round there is nothing to pay, but a commit or our standing to look at.
            None => tracing::info_span!("look_at_weights"),
        };
        tokio::spawn(
            async move {
                match run(&parts, &message).await {
                    Ok(end) => {
                        message.errand.report(end);
                        hold.done();
                    }
                    Err(cause) => {
                        let reason = cause.to_string();
                        message.errand.report(WeightsEnd::Unclear { reason });
                        hold.failed(&cause);
                    }
                }
            }
            .instrument(span),
        );
    }
}

async fn run(parts: &SetterParts, message: &SubmitWeights) -> Result<WeightsEnd, ChainError> {
    let Some(me) = parts.chain.signer() else {
        return Ok(WeightsEnd::Deferred { reason: "no hotkey is configured".into(), retry_at: None });
    };
    let view = View::look(parts, me).await?;
    let known = message.payments.known_block().max(message.head);
    if view.number() < known {
        let reason =
            format!("the endpoint's newest block {} is behind block {known}, seen before", view.number());
        return Ok(WeightsEnd::Unclear { reason });
    }
    parts.vitals.standing_seen(view.standing(&message.payments));
    if let Some(end) = reconcile::reveals(parts, &view, &message.payments).await? {
        return Ok(end);
    }
    if let Some(intent) = message.payments.open() {
        return reconcile::open(parts, &view, intent).await;
    }
    let last_update = match allowed(parts, &view, &message.payments) {
        Ok(last_update) => last_update,
        Err(end) => return Ok(*end),
    };
    if let Some(until) = view.nothing_new(message, last_update) {
        return Ok(WeightsEnd::Resting { until });
    }
    let Some(decision) = decide::elect(parts, message, &view).await else {
        return Ok(view.deferred("the payout rule was interrupted".into()));
    };
    decide::show_challenges(&decision.duels);
    let plan = match decide::intend(message, &view, decision.target, last_update) {
        Ok(intent) => submit::seal(parts, &view, intent).await?,
        Err(end) => return Ok(*end),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(end) => return Ok(*end),
    };
    if parts.dry_run {
        return submit::show(parts, &view, plan).await;
    }
    let (written, confirmed) = oneshot::channel();
    let decided = WeightsDecided { intent: plan.intent.clone(), written };
    if parts.clock.deliver(decided).await.is_err() || confirmed.await.is_err() {
        return Ok(view.deferred("the decision could not be journalled, so nothing was submitted".into()));
    }
    submit::submit(parts, &view, plan).await
}

/// Our `LastUpdate`, when nothing stands against new weights; `Err` says what to report else.
fn allowed(parts: &SetterParts, view: &View, payments: &Payments) -> Result<BlockNumber, Box<WeightsEnd>> {
    let checked = view.preflight(parts, payments);
    // The operator's word is taken back by the first look that showed our neuron.
    let looked = checked != Err(Refusal::NotRegistered);
    let vouched = looked && parts.vouched.swap(false, Ordering::Relaxed);
    match checked {
        Err(Refusal::OtherInstance { last_update }) if vouched => {
            Err(Box::new(WeightsEnd::Vouched { last_update }))
        }
        Err(refusal) => {
            parts.vitals.weights_refused(Some(refusal));
            Err(Box::new(view.refused(&refusal)))
        }
        Ok(last_update) => {
            parts.vitals.weights_refused(None);
            Ok(last_update)
        }
    }
}
