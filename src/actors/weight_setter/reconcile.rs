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
    committed(view, intent).or_else(|| shown(view, intent))
}

/// The chain holds the decision's commit.
fn committed(view: &View, intent: &WeightsIntent) -> Option<WeightsEnd> {
    let WeightsForm::Timelocked { commit, .. } = &intent.form else { return None };
    let (epoch, committed_at) = view.commit(commit)?;
    let reveal_epoch = epoch.saturating_add(view.subnet.reveal_period);
    let place = CommitPlace { committed_at, epoch, reveal_epoch };
    let begins = view.subnet.epochs(view.number()).begins(reveal_epoch);
    let look_at = begins.map_or(view.later(), |begins| BlockNumber(begins.0 + 1));
    Some(WeightsEnd::Committed { seen_at: view.head.block, intent: intent.clone(), place, look_at })
}

/// Our row is the decision's, and newer than before it.
fn shown(view: &View, intent: &WeightsIntent) -> Option<WeightsEnd> {
    let moved = view.last_update() > intent.last_update;
    (moved && view.shows(intent)).then(|| landed(view, intent, None, Some(view.last_update())))
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

fn dead_at(intent: &WeightsIntent) -> BlockNumber {
    BlockNumber(intent.decided_at.number.0 + EXTRINSIC_LIFETIME)
}

/// What became of a decision whose submission's end is not known.
pub(super) async fn open(
    parts: &SetterParts,
    view: &View,
    intent: &WeightsIntent,
) -> Result<WeightsEnd, ChainError> {
    let past = match committed_by(view, intent) {
        Some(block) => view.back_at(parts, block).await?,
        None => None,
    };
    Ok(open_at(view, past.as_ref(), intent))
}

/// The block that may hold a commit that was revealed or dropped before anybody looked: the one that
/// moved our `LastUpdate` while the extrinsic could land.
fn committed_by(view: &View, intent: &WeightsIntent) -> Option<BlockNumber> {
    let WeightsForm::Timelocked { commit, .. } = &intent.form else { return None };
    let moved = view.last_update();
    let may_be_ours = moved > intent.last_update && moved <= dead_at(intent);
    (may_be_ours && view.commit(commit).is_none()).then_some(moved)
}

/// `past` is the view at the block that [`committed_by`] names. What it holds is journalled as committed;
/// what became of it is then told like that of any other commit.
fn open_at(view: &View, past: Option<&View>, intent: &WeightsIntent) -> WeightsEnd {
    let held_then = || past.and_then(|past| committed(past, intent));
    let end = committed(view, intent).or_else(held_then).or_else(|| shown(view, intent));
    if let Some(end) = end {
        return end;
    }
    let (now, dead_at) = (view.number(), dead_at(intent));
    if now > dead_at {
        let reason = "the extrinsic's lifetime passed and the chain does not show it".into();
        return WeightsEnd::Failed { seen_at: now, reason, epoch: None, own_update: None, retry_at: now };
    }
    WeightsEnd::Unclear { reason: format!("an earlier submission can still land until block {dead_at}") }
}

/// What became of the commits that wait for their reveal; `None` while the chain still holds all.
pub(super) async fn reveals(
    parts: &SetterParts,
    view: &View,
    payments: &Payments,
) -> Result<Option<WeightsEnd>, ChainError> {
    let Some((epoch, pending)) = gone(view, payments) else { return Ok(None) };
    let last = match last_block_to_reveal(view, pending) {
        Some(block) => view.back_at(parts, block).await?,
        None => None,
    };
    let mut end = revealed(view, last.as_ref(), (epoch, pending), payments);
    if let WeightsEnd::Landed { own_update: Some(known), .. }
    | WeightsEnd::Failed { own_update: Some(known), .. } = &mut end
    {
        // Our `LastUpdate` moves with a commit, and once more with its reveal where the subnet has
        // switched commit-reveal off meanwhile.
        let moved = view.last_update();
        if moved > *known && opened_at(parts, view, pending, moved).await? {
            *known = moved;
        }
    }
    Ok(Some(end))
}

/// The newest commit that the chain no longer holds. It was revealed or dropped, and decides for the
/// earlier ones: it was revealed over them.
fn gone<'a>(view: &View, payments: &'a Payments) -> Option<(u64, &'a PendingReveal)> {
    let found = payments.pending().iter().rev().find(|(_, pending)| !held(view, pending));
    found.map(|(epoch, pending)| (*epoch, pending))
}

/// The block before a commit's reveal epoch ended, where that is known. A commit that was still held
/// there was dropped, even where the row looks as if it had been revealed: the same winner as before.
fn last_block_to_reveal(view: &View, pending: &PendingReveal) -> Option<BlockNumber> {
    let just_over = view.subnet.epoch_index == pending.reveal_epoch + 1;
    (just_over && view.shows(&pending.intent))
        .then(|| BlockNumber(view.subnet.last_epoch.0.saturating_sub(1)))
}

/// `last` is the view at the block that [`last_block_to_reveal`] names.
fn revealed(
    view: &View,
    last: Option<&View>,
    (epoch, pending): (u64, &PendingReveal),
    payments: &Payments,
) -> WeightsEnd {
    let own_update = Some(pending.committed_at);
    let dropped = last.is_some_and(|last| held(last, pending));
    if view.shows(&pending.intent) && !dropped {
        return landed(view, &pending.intent, Some(epoch), own_update);
    }
    if payments.last().is_some_and(|paid| paid.round > pending.intent.round) {
        return WeightsEnd::Overtaken { seen_at: view.number(), epoch };
    }
    let reason = format!(
        "the chain dropped the commit of epoch {epoch} without showing its weights: no pulse of the beacon in time, or the \
         vector was refused at the reveal"
    );
    let retry_at = BlockNumber(view.number().0 + 1);
    WeightsEnd::Failed { seen_at: view.number(), reason, epoch: Some(epoch), own_update: None, retry_at }
}

/// Whether the chain opened a commit in this very block: else somebody moved our `LastUpdate` in it.
async fn opened_at(
    parts: &SetterParts,
    view: &View,
    pending: &PendingReveal,
    block: BlockNumber,
) -> Result<bool, ChainError> {
    let Some(before) = view.back_at(parts, BlockNumber(block.0 - 1)).await? else { return Ok(false) };
    let Some(after) = view.back_at(parts, block).await? else { return Ok(false) };
    Ok(held(&before, pending) && !held(&after, pending))
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
    fn waiting_for(commits: &BTreeMap<u64, Digest>) -> Payments {
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

    /// What a look finds of an open decision where no earlier block is asked.
    fn open(view: &View, intent: &WeightsIntent) -> WeightsEnd {
        open_at(view, None, intent)
    }

    /// What a look finds of the commits, given the view at the end of the reveal epoch.
    fn reveals(view: &View, last: Option<&View>, payments: &Payments) -> Option<WeightsEnd> {
        gone(view, payments).map(|gone| revealed(view, last, gone, payments))
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
        let pending = waiting_for(&BTreeMap::from([(7, COMMIT)]));
        let held = Chain { last_update: 1_007, held: vec![(7, COMMIT)], ..Chain::default() };
        assert_eq!(reveals(&view(1_010, held), None, &pending), None, "it waits");
        let revealed = Chain { last_update: 1_007, row: Some(3), ..Chain::default() };
        let end = reveals(&view(1_010, revealed), None, &pending);
        let Some(WeightsEnd::Landed { epoch: Some(7), own_update, .. }) = end else { panic!("{end:?}") };
        assert_eq!(own_update, Some(BlockNumber(1_007)), "its commit moved LastUpdate");
        let dropped = Chain { last_update: 1_007, row: Some(4), ..Chain::default() };
        let end = reveals(&view(1_010, dropped), None, &pending);
        let Some(WeightsEnd::Failed { epoch: Some(7), reason, .. }) = end else { panic!("{end:?}") };
        assert!(reason.contains("without showing its weights"), "{reason}");
    }

    #[test]
    fn the_newest_commit_that_is_gone_decides_for_the_earlier_ones() {
        let pending = waiting_for(&BTreeMap::from([(7, Digest([1; 32])), (8, Digest([2; 32])), (9, COMMIT)]));
        let chain = Chain { last_update: 1_009, row: Some(3), held: vec![(9, COMMIT)], ..Chain::default() };
        let end = reveals(&view(1_020, chain), None, &pending);
        assert!(matches!(end, Some(WeightsEnd::Landed { epoch: Some(8), .. })), "{end:?}");
    }

    #[test]
    fn a_commit_that_nobody_saw_is_found_at_the_block_that_moved_our_last_update() {
        let hidden = intent(7, sealed(COMMIT));
        // The process was killed at once and started again when the reveal was over.
        let now = view(1_200, Chain { last_update: 1_004, row: Some(4), ..Chain::default() });
        assert_eq!(committed_by(&now, &hidden), Some(BlockNumber(1_004)));
        let held = Chain { last_update: 1_004, held: vec![(7, COMMIT)], ..Chain::default() };
        let then = view(1_004, held.clone());
        let end = open_at(&now, Some(&then), &hidden);
        let WeightsEnd::Committed { place, .. } = end else { panic!("{end:?}") };
        assert_eq!((place.epoch, place.reveal_epoch), (7, 8));
        let nothing = view(1_004, Chain { last_update: 1_004, ..Chain::default() });
        assert!(matches!(open_at(&now, Some(&nothing), &hidden), WeightsEnd::Failed { .. }), "another's");

        // No other block is asked for what the chain still holds, nor for one that cannot be ours.
        assert_eq!(committed_by(&view(1_010, held), &hidden), None);
        let late = Chain { last_update: 1_073, ..Chain::default() };
        assert_eq!(committed_by(&view(1_200, late), &hidden), None, "the extrinsic was dead by then");
        let unmoved = Chain { last_update: 900, ..Chain::default() };
        assert_eq!(committed_by(&view(1_200, unmoved), &hidden), None);
        let plain = view(1_010, Chain { last_update: 1_004, ..Chain::default() });
        assert_eq!(committed_by(&plain, &intent(7, WeightsForm::Plain)), None);
    }

    #[test]
    fn the_same_winner_as_before_does_not_hide_that_a_commit_was_dropped() {
        let pending = waiting_for(&BTreeMap::from([(6, COMMIT)]));
        let waiting = &pending.pending()[&6];
        // The chain is in epoch 7, which reveals it: nothing is over yet.
        let row = Chain { last_update: 1_006, row: Some(3), ..Chain::default() };
        let mut over = view(1_010, row);
        assert_eq!(last_block_to_reveal(&over, waiting), None);
        over.subnet.epoch_index = 8;
        over.subnet.last_epoch = BlockNumber(1_005);
        assert_eq!(last_block_to_reveal(&over, waiting), Some(BlockNumber(1_004)));

        let still = view(1_004, Chain { held: vec![(6, COMMIT)], row: Some(3), ..Chain::default() });
        let end = reveals(&over, Some(&still), &pending);
        assert!(matches!(end, Some(WeightsEnd::Failed { epoch: Some(6), .. })), "{end:?}");
        let opened = view(1_004, Chain { row: Some(3), ..Chain::default() });
        let end = reveals(&over, Some(&opened), &pending);
        assert!(matches!(end, Some(WeightsEnd::Landed { epoch: Some(6), .. })), "{end:?}");
    }

    #[test]
    fn a_commit_under_later_weights_is_no_alarm() {
        let mut state = Tournament::new(Rules::embedded().payout);
        let place = CommitPlace { committed_at: BlockNumber(1_007), epoch: 7, reveal_epoch: 8 };
        let [hidden, later] = [intent(7, sealed(COMMIT)), intent(8, WeightsForm::Plain)];
        let seen_at = hidden.decided_at;
        for event in [
            Event::WeightsIntended { intent: hidden },
            Event::WeightsCommitted { seen_at, place },
            Event::WeightsIntended { intent: later },
            Event::WeightsLanded { seen_at, epoch: None, own_update: None },
        ] {
            state.apply(&event).expect("follows");
        }
        let end = reveals(&view(1_020, Chain { row: Some(4), ..Chain::default() }), None, state.payments());
        assert_eq!(end, Some(WeightsEnd::Overtaken { seen_at: BlockNumber(1_020), epoch: 7 }));
    }
}
