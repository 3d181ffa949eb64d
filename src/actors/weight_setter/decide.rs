//! Who is paid, as a vector for the chain.

use std::collections::BTreeSet;

use crate::{
    actors::messages::{SubmitWeights, WeightsEnd},
    domain::{
        event::{PayTarget, WeightsForm, WeightsIntent},
        ids::{BlockNumber, Hotkey, Uid},
        payout::{Decision, PayoutInput, decide, strict::Duel},
        weights::winner_takes_all,
    },
};

use super::{SetterParts, view::View};

/// Applies the payout rule off the async threads; `None` when it panicked or the process shuts down.
pub(super) async fn elect(parts: &SetterParts, message: &SubmitWeights, view: &View) -> Option<Decision> {
    let (rules, rules_digest) = (parts.rules, parts.rules_digest);
    let settled = message.settled.clone();
    let last_paid = message.payments.newest();
    let registered: BTreeSet<Hotkey> = view.neurons.iter().map(|neuron| neuron.hotkey).collect();
    let last_epoch = view.subnet.last_epoch;
    let elected = tokio::task::spawn_blocking(move || {
        let (settled, registered) = (&settled[..], &registered);
        decide(&rules, &PayoutInput { settled, last_epoch, last_paid, registered, rules_digest })
    });
    elected.await.ok()
}

/// The decision as it is journalled and submitted; `Err` says why nothing is submitted now.
pub(super) fn intend(
    message: &SubmitWeights,
    view: &View,
    target: Option<PayTarget>,
    last_update: BlockNumber,
) -> Result<WeightsIntent, Box<WeightsEnd>> {
    let decided = message.payments.newest().map(|(_, round)| round);
    let round = message.settled.last().map(|settled| settled.round).max(decided);
    let (Some(target), Some(round)) = (target, round) else {
        let reason = "no round has settled yet".into();
        return Err(Box::new(WeightsEnd::Deferred { reason, retry_at: None }));
    };
    let Some(uid) = view.uid_of(&target) else {
        return Err(Box::new(view.deferred(format!("{target} has no slot in the metagraph"))));
    };
    let all: Vec<Uid> = view.neurons.iter().map(|neuron| neuron.uid).collect();
    Ok(WeightsIntent {
        target,
        uid,
        round,
        weights: winner_takes_all(uid, &all, view.subnet.min_allowed_weights),
        decided_at: view.head.block,
        last_update,
        last_epoch: Some(view.subnet.last_epoch),
        form: WeightsForm::Plain,
    })
}

/// Says how the champion came about, and which lead would have been seen.
pub(super) fn show_challenges(duels: &[Duel]) {
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
