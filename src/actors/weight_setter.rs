//! WeightSetter: pays the winner on chain and proves it by reading the chain.
//!
//! One errand at a time: look up an open decision, decide, have the decision journalled, submit
//! once, read the weights back. An unknown outcome leads to a look at the chain, never to a second
//! submission.

use std::{collections::BTreeSet, sync::Arc};

use actix::Context;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::{
    chain::port::{Chain, ChainError, Head, Neuron, SubnetState, WeightsCall},
    domain::{
        event::{PayTarget, WeightsIntent},
        ids::{BlockHash, BlockNumber, Digest, Hotkey, NetUid, Uid},
        payout::{Decision, PayoutInput, decide, strict::Duel},
        rules::PayoutRules,
        weights::{Preflight, Refusal, preflight, winner_takes_all},
    },
    receives, routing_actor,
    runtime::post::{Hold, Post, Reservation},
};

use super::{
    messages::{SubmitWeights, WeightsDecided, WeightsEnd, WeightsReport},
    round_clock::RoundClock,
};

/// Blocks after which a submitted extrinsic can no longer be included: its era (64) and a margin.
const EXTRINSIC_LIFETIME: u64 = 72;
/// Blocks to wait before trying again after a passing trouble.
const RETRY_AFTER: u64 = 5;

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
    /// Highest version key that the operator vouches for.
    pub version_key: u64,
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
        let span = tracing::info_span!("set_weights", round = %message.round);
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

/// Everything read at one finalized block.
struct View {
    head: Head,
    subnet: SubnetState,
    neurons: Vec<Neuron>,
    me: Hotkey,
}

impl View {
    fn my_neuron(&self) -> Option<&Neuron> {
        self.neurons.iter().find(|neuron| neuron.hotkey == self.me)
    }

    fn uid_of(&self, hotkey: Hotkey) -> Option<Uid> {
        self.neurons.iter().find(|neuron| neuron.hotkey == hotkey).map(|neuron| neuron.uid)
    }

    fn later(&self) -> BlockNumber {
        BlockNumber(self.head.block.number.0 + RETRY_AFTER)
    }
}

async fn look(parts: &SetterParts, me: Hotkey) -> Result<View, ChainError> {
    let head = parts.chain.head().await?;
    let subnet = parts.chain.subnet(parts.netuid, head.block.hash).await?;
    let neurons = parts.chain.neurons(parts.netuid, head.block.hash).await?;
    Ok(View { head, subnet, neurons, me })
}

async fn run(parts: &SetterParts, message: &SubmitWeights) -> Result<WeightsEnd, ChainError> {
    let Some(me) = parts.chain.signer() else {
        return Ok(WeightsEnd::Deferred { reason: "no hotkey is configured".into(), retry_at: None });
    };
    let view = look(parts, me).await?;
    if let Some(intent) = &message.open_intent {
        return reconcile(parts, &view, intent).await;
    }
    let last_update = match check(parts, &view) {
        Ok(last_update) => last_update,
        Err(end) => return Ok(*end),
    };
    let Some(decision) = elect(parts, message, &view).await else {
        let reason = "the payout rule was interrupted".into();
        return Ok(WeightsEnd::Deferred { reason, retry_at: Some(view.later()) });
    };
    show_challenges(&decision.duels);
    let intent = match intend(message, &view, decision.target, last_update) {
        Ok(intent) => intent,
        Err(end) => return Ok(*end),
    };
    let (written, confirmed) = oneshot::channel();
    let decided = WeightsDecided { intent: intent.clone(), written };
    if parts.clock.deliver(decided).await.is_err() || confirmed.await.is_err() {
        let reason = "the decision could not be journalled, so nothing was submitted".into();
        return Ok(WeightsEnd::Deferred { reason, retry_at: Some(view.later()) });
    }
    submit(parts, &view, intent).await
}

fn deferred(reason: String, retry_at: Option<BlockNumber>) -> Box<WeightsEnd> {
    Box::new(WeightsEnd::Deferred { reason, retry_at })
}

/// Our `LastUpdate` at this block; `Err` says why nothing is submitted now.
fn check(parts: &SetterParts, view: &View) -> Result<BlockNumber, Box<WeightsEnd>> {
    let number = view.head.block.number;
    let check = Preflight {
        now: number,
        me: view.my_neuron().map(|neuron| (neuron.validator_permit, neuron.last_update)),
        weights_rate_limit: view.subnet.weights_rate_limit,
        commit_reveal: view.subnet.commit_reveal_enabled,
        version_key_wanted: view.subnet.weights_version_key,
        version_key_ours: parts.version_key,
    };
    preflight(&check).map_err(|refusal| match refusal {
        Refusal::TooSoon { until } => deferred(refusal.to_string(), Some(until)),
        other => {
            deferred(other.to_string(), Some(BlockNumber(number.0 + view.subnet.weights_rate_limit.max(1))))
        }
    })
}

/// Applies the payout rule off the async threads; `None` when it panicked or the process shuts down.
async fn elect(parts: &SetterParts, message: &SubmitWeights, view: &View) -> Option<Decision> {
    let (rules, rules_digest) = (parts.rules, parts.rules_digest);
    let (settled, last_paid) = (message.settled.clone(), message.last_paid);
    let registered: BTreeSet<Hotkey> = view.neurons.iter().map(|neuron| neuron.hotkey).collect();
    let last_epoch = view.subnet.last_epoch;
    let elected = tokio::task::spawn_blocking(move || {
        let (settled, registered) = (&settled[..], &registered);
        decide(&rules, &PayoutInput { settled, last_epoch, last_paid, registered, rules_digest })
    });
    elected.await.ok()
}

/// The decision as it is journalled and submitted; `Err` says why nothing is submitted now.
fn intend(
    message: &SubmitWeights,
    view: &View,
    target: Option<PayTarget>,
    last_update: BlockNumber,
) -> Result<WeightsIntent, Box<WeightsEnd>> {
    let Some(target) = target else {
        return Err(deferred("no round has settled yet".into(), None));
    };
    let hotkey = match target {
        PayTarget::Miner { hotkey } => Some(hotkey),
        PayTarget::Owner => view.subnet.owner_hotkey,
    };
    let Some(uid) = hotkey.and_then(|hotkey| view.uid_of(hotkey)) else {
        return Err(deferred(format!("{target} has no slot in the metagraph"), Some(view.later())));
    };
    let all: Vec<Uid> = view.neurons.iter().map(|neuron| neuron.uid).collect();
    Ok(WeightsIntent {
        target,
        uid,
        round: message.round,
        weights: winner_takes_all(uid, &all, view.subnet.min_allowed_weights),
        decided_at: view.head.block,
        last_update,
    })
}

/// Says how the champion came about, and which lead would have been seen.
fn show_challenges(duels: &[Duel]) {
    for duel in duels {
        tracing::info!(
            champion = %duel.champion.short(),
            challenger = %duel.challenger.short(),
            pairs = duel.pairs,
            lead = duel.sum / i64::from(duel.pairs.max(1)),
            minimum_detectable = ?duel.minimum_detectable,
            won = duel.won,
            "window_strict challenge"
        );
    }
}

async fn submit(parts: &SetterParts, view: &View, intent: WeightsIntent) -> Result<WeightsEnd, ChainError> {
    let (uids, values) = intent.weights.iter().copied().unzip();
    let version_key = view.subnet.weights_version_key;
    let call = WeightsCall { netuid: parts.netuid, uids, values, version_key };
    let failed =
        |reason: String, retry_at| WeightsEnd::Failed { seen_at: view.head.block.number, reason, retry_at };
    match parts.chain.set_weights(&call).await {
        Ok(receipt) => {
            tracing::debug!(block = %receipt.block.number, extrinsic = %receipt.extrinsic, "weights are in a finalized block");
            match shows(parts, view, &intent, receipt.block.hash).await? {
                true => Ok(WeightsEnd::Landed { seen_at: receipt.block, intent }),
                false => {
                    let reason =
                        format!("block {} holds the extrinsic but not our weights", receipt.block.number);
                    Ok(failed(reason, view.later()))
                }
            }
        }
        // Refused before or inside a block: the chain says that nothing was stored.
        Err(
            cause @ (ChainError::Pool { .. } | ChainError::Dispatch { .. } | ChainError::Metadata { .. }),
        ) => Ok(failed(cause.to_string(), view.later())),
        Err(cause) => Ok(WeightsEnd::Unclear { reason: cause.to_string() }),
    }
}

/// Whether our stored weights are the decision's, at a block.
async fn shows(
    parts: &SetterParts,
    view: &View,
    intent: &WeightsIntent,
    at: BlockHash,
) -> Result<bool, ChainError> {
    let Some(me) = view.my_neuron() else { return Ok(false) };
    let stored = parts.chain.weights_of(parts.netuid, me.uid, at).await?;
    let paid: Vec<_> = stored.iter().filter(|(_, weight)| *weight > 0).collect();
    Ok(paid == [&(intent.uid, u16::MAX)])
}

/// Looks up on chain what became of an earlier decision.
async fn reconcile(
    parts: &SetterParts,
    view: &View,
    intent: &WeightsIntent,
) -> Result<WeightsEnd, ChainError> {
    let now = view.head.block.number;
    let moved = view.my_neuron().is_some_and(|neuron| neuron.last_update > intent.last_update);
    if moved && shows(parts, view, intent, view.head.block.hash).await? {
        return Ok(WeightsEnd::Landed { seen_at: view.head.block, intent: intent.clone() });
    }
    let dead_at = BlockNumber(intent.decided_at.number.0 + EXTRINSIC_LIFETIME);
    if now > dead_at {
        let reason = "the extrinsic's lifetime passed and the chain does not show it".into();
        return Ok(WeightsEnd::Failed { seen_at: now, reason, retry_at: now });
    }
    Ok(WeightsEnd::Unclear { reason: format!("an earlier submission can still land until block {dead_at}") })
}
