//! Looking up on chain what became of earlier decisions.

use crate::{
    actors::messages::WeightsEnd,
    chain::port::ChainError,
    domain::{
        event::{WeightsForm, WeightsIntent},
        ids::BlockNumber,
        payments::{CommitPlace, Payments, PendingReveal},
    },
};

use super::{SetterParts, view::View};

/// Blocks after which a submitted extrinsic can no longer be included: its era (64) and a margin.
const EXTRINSIC_LIFETIME: u64 = 72;

/// What the chain shows of a decision at the view's block; `None` when it shows nothing of it.
pub(super) fn seen(view: &View, intent: &WeightsIntent) -> Option<WeightsEnd> {
    if let WeightsForm::Timelocked { commit, .. } = &intent.form
        && let Some((epoch, committed_at)) = view.commit(commit)
    {
        let reveal_epoch = epoch.saturating_add(view.subnet.reveal_period);
        let place = CommitPlace { committed_at, epoch, reveal_epoch };
        let state = view.subnet.epochs(view.number());
        let look_at = state.next().map_or(view.later(), |next| BlockNumber(next.0 + 1));
        return Some(WeightsEnd::Committed {
            seen_at: view.head.block,
            intent: intent.clone(),
            place,
            look_at,
        });
    }
    let moved = view.last_update() > intent.last_update;
    if !moved || !view.shows(intent) {
        return None;
    }
    Some(landed(view, intent, None, Some(view.last_update())))
}

/// The row on chain is the decision's: paid, if its slot still belongs to the target.
fn landed(
    view: &View,
    intent: &WeightsIntent,
    epoch: Option<u64>,
    own_update: Option<BlockNumber>,
) -> WeightsEnd {
    if !view.still_bound(intent) {
        let reason =
            format!("uid {} no longer belongs to {}: to be decided again", intent.uid, intent.target);
        return WeightsEnd::Failed {
            seen_at: view.number(),
            reason,
            epoch,
            own_update,
            retry_at: view.later(),
        };
    }
    WeightsEnd::Landed { seen_at: view.head.block, intent: intent.clone(), epoch, own_update }
}

/// What became of a decision whose submission's end is not known.
pub(super) fn open(view: &View, intent: &WeightsIntent) -> WeightsEnd {
    if let Some(end) = seen(view, intent) {
        return end;
    }
    let now = view.number();
    let dead_at = BlockNumber(intent.decided_at.number.0 + EXTRINSIC_LIFETIME);
    if now > dead_at {
        let reason = "the extrinsic's lifetime passed and the chain does not show it".into();
        return WeightsEnd::Failed { seen_at: now, reason, epoch: None, own_update: None, retry_at: now };
    }
    WeightsEnd::Unclear { reason: format!("an earlier submission can still land until block {dead_at}") }
}

/// What became of the commits that wait for their reveal; `None` while the chain still holds all.
///
/// A commit that the chain no longer holds was revealed or dropped. The newest such one decides: it
/// was revealed over the earlier ones.
pub(super) async fn reveals(
    parts: &SetterParts,
    view: &View,
    payments: &Payments,
) -> Result<Option<WeightsEnd>, ChainError> {
    let gone = payments.pending().iter().rev().find(|(_, pending)| !held(view, pending));
    let Some((epoch, pending)) = gone else { return Ok(None) };
    if view.shows(&pending.intent) {
        let own_update = update_by_reveal(parts, view, pending).await?;
        return Ok(Some(landed(view, &pending.intent, Some(*epoch), Some(own_update))));
    }
    let newer = payments.last().is_some_and(|paid| paid.round > pending.intent.round);
    let reason = if newer {
        format!("the commit of epoch {epoch} was overtaken by later weights")
    } else {
        format!(
            "the chain dropped the commit of epoch {epoch} without showing its weights: no pulse of the beacon in time, or \
             the vector was refused at the reveal"
        )
    };
    Ok(Some(WeightsEnd::Failed {
        seen_at: view.number(),
        reason,
        epoch: Some(*epoch),
        own_update: None,
        retry_at: BlockNumber(view.number().0 + 1),
    }))
}

/// Our `LastUpdate` that a revealed commit stands for. It moves with the commit, and once more with the
/// reveal where the subnet has switched commit-reveal off meanwhile.
async fn update_by_reveal(
    parts: &SetterParts,
    view: &View,
    pending: &PendingReveal,
) -> Result<BlockNumber, ChainError> {
    let moved = view.last_update();
    if moved <= pending.committed_at {
        return Ok(pending.committed_at);
    }
    let before = view.back_at(parts, BlockNumber(moved.0 - 1)).await?;
    let opened = held(&before, pending) && !held(&view.back_at(parts, moved).await?, pending);
    Ok(if opened { moved } else { pending.committed_at })
}

fn held(view: &View, pending: &PendingReveal) -> bool {
    match &pending.intent.form {
        WeightsForm::Timelocked { commit, .. } => view.commit(commit).is_some(),
        WeightsForm::Plain => false,
    }
}
