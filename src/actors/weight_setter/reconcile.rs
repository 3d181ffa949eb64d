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
pub(super) fn reveals(view: &View, payments: &Payments) -> Option<WeightsEnd> {
    let (epoch, pending) = payments.pending().iter().rev().find(|(_, pending)| !held(view, pending))?;
    if view.shows(&pending.intent) {
        return Some(landed(view, &pending.intent, Some(*epoch), Some(pending.committed_at)));
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
    Some(WeightsEnd::Failed {
        seen_at: view.number(),
        reason,
        epoch: Some(*epoch),
        own_update: None,
        retry_at: BlockNumber(view.number().0 + 1),
    })
}

/// Completes what [`reveals`] found: our `LastUpdate` moves with a commit, and once more with its reveal
/// where the subnet has switched commit-reveal off meanwhile.
pub(super) async fn with_last_update(
    parts: &SetterParts,
    view: &View,
    payments: &Payments,
    mut end: WeightsEnd,
) -> Result<WeightsEnd, ChainError> {
    if let WeightsEnd::Landed { epoch: Some(epoch), own_update, .. }
    | WeightsEnd::Failed { epoch: Some(epoch), own_update, .. } = &mut end
        && let Some(pending) = payments.pending().get(epoch)
        && let Some(known) = own_update
    {
        let moved = view.last_update();
        if moved > *known && opened_at(parts, view, pending, moved).await? {
            *known = moved;
        }
    }
    Ok(end)
}

/// Whether the chain opened a commit in this very block: else somebody moved our `LastUpdate` in it.
async fn opened_at(
    parts: &SetterParts,
    view: &View,
    pending: &PendingReveal,
    block: BlockNumber,
) -> Result<bool, ChainError> {
    let before = view.back_at(parts, BlockNumber(block.0 - 1)).await?;
    Ok(held(&before, pending) && !held(&view.back_at(parts, block).await?, pending))
}

fn held(view: &View, pending: &PendingReveal) -> bool {
    match &pending.intent.form {
        WeightsForm::Timelocked { commit, .. } => view.commit(commit).is_some(),
        WeightsForm::Plain => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::view::testing::*, *};
    use crate::domain::{
        event::Event,
        ids::{BlockHash, BlockRef, Digest, RoundId},
        round::Tournament,
        rules::Rules,
    };

    const COMMIT: Digest = Digest([7; 32]);

    fn intent(round: u64, form: WeightsForm) -> WeightsIntent {
        let decided_at = BlockRef { number: BlockNumber(1_000), hash: BlockHash([0; 32]) };
        let round = RoundId(round);
        WeightsIntent { round, form, decided_at, last_update: BlockNumber(900), ..paying(3) }
    }

    fn sealed(commit: Digest) -> WeightsForm {
        WeightsForm::Timelocked { commit, reveal_round: 5 }
    }

    /// Payments with commits by epoch, each of a round of the same number.
    fn committed(commits: &BTreeMap<u64, Digest>) -> Payments {
        let mut state = Tournament::new(Rules::embedded().payout);
        for (epoch, commit) in commits {
            let intent = intent(*epoch, sealed(*commit));
            let seen_at = intent.decided_at;
            let committed_at = BlockNumber(1_000 + epoch);
            let place = CommitPlace { committed_at, epoch: *epoch, reveal_epoch: epoch + 1 };
            state.apply(&Event::WeightsIntended { intent }).expect("follows");
            state.apply(&Event::WeightsCommitted { seen_at, place }).expect("follows");
        }
        state.payments().clone()
    }

    #[test]
    fn plain_weights_have_landed_when_the_row_is_ours_and_newer_than_before() {
        let plain = intent(7, WeightsForm::Plain);
        let landed = view(1_010, Chain { last_update: 1_005, row: Some(3), ..Chain::default() });
        let WeightsEnd::Landed { own_update, epoch: None, .. } = open(&landed, &plain) else {
            panic!("landed")
        };
        assert_eq!(own_update, Some(BlockNumber(1_005)));

        let old = view(1_010, Chain { last_update: 900, row: Some(3), ..Chain::default() });
        assert!(matches!(open(&old, &plain), WeightsEnd::Unclear { .. }), "the same row of before");
        let other = view(1_010, Chain { last_update: 1_005, row: Some(4), ..Chain::default() });
        assert!(matches!(open(&other, &plain), WeightsEnd::Unclear { .. }), "it can still land");
    }

    #[test]
    fn what_is_not_seen_until_its_lifetime_ends_has_failed() {
        let plain = intent(7, WeightsForm::Plain);
        let chain = Chain { last_update: 900, ..Chain::default() };
        assert!(matches!(open(&view(1_072, chain.clone()), &plain), WeightsEnd::Unclear { .. }));
        assert!(matches!(open(&view(1_073, chain), &plain), WeightsEnd::Failed { epoch: None, .. }));
    }

    #[test]
    fn a_slot_that_passed_to_another_hotkey_is_not_paid() {
        let plain = intent(7, WeightsForm::Plain);
        let gone = Chain { last_update: 1_005, row: Some(3), replaced: Some(3), ..Chain::default() };
        let WeightsEnd::Failed { reason, .. } = open(&view(1_010, gone), &plain) else { panic!("failed") };
        assert!(reason.contains("no longer belongs"), "{reason}");
    }

    #[test]
    fn a_commit_is_found_by_its_digest() {
        let hidden = intent(7, sealed(COMMIT));
        let held =
            Chain { last_update: 1_004, held: vec![(6, Digest([1; 32])), (7, COMMIT)], ..Chain::default() };
        let WeightsEnd::Committed { place, .. } = open(&view(1_010, held), &hidden) else {
            panic!("committed")
        };
        assert_eq!((place.epoch, place.reveal_epoch), (7, 8));
        // Revealed before anybody looked: the row tells.
        let revealed = Chain { last_update: 1_004, row: Some(3), ..Chain::default() };
        assert!(matches!(open(&view(1_010, revealed), &hidden), WeightsEnd::Landed { .. }));
    }

    #[test]
    fn a_commit_that_the_chain_no_longer_holds_was_revealed_or_dropped() {
        let pending = committed(&BTreeMap::from([(7, COMMIT)]));
        let held = Chain { last_update: 1_007, held: vec![(7, COMMIT)], ..Chain::default() };
        assert_eq!(reveals(&view(1_010, held), &pending), None, "it waits");
        let revealed = Chain { last_update: 1_007, row: Some(3), ..Chain::default() };
        let end = reveals(&view(1_010, revealed), &pending);
        let Some(WeightsEnd::Landed { epoch: Some(7), own_update, .. }) = end else { panic!("{end:?}") };
        assert_eq!(own_update, Some(BlockNumber(1_007)), "its commit moved LastUpdate");
        let dropped = Chain { last_update: 1_007, row: Some(4), ..Chain::default() };
        let end = reveals(&view(1_010, dropped), &pending);
        let Some(WeightsEnd::Failed { epoch: Some(7), reason, .. }) = end else { panic!("{end:?}") };
        assert!(reason.contains("without showing its weights"), "{reason}");
    }

    #[test]
    fn the_newest_commit_that_is_gone_decides_for_the_earlier_ones() {
        let pending = committed(&BTreeMap::from([(7, Digest([1; 32])), (8, Digest([2; 32])), (9, COMMIT)]));
        let chain = Chain { last_update: 1_009, row: Some(3), held: vec![(9, COMMIT)], ..Chain::default() };
        let end = reveals(&view(1_020, chain), &pending);
        assert!(matches!(end, Some(WeightsEnd::Landed { epoch: Some(8), .. })), "{end:?}");
    }
}
