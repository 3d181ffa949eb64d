//! Sealing where the subnet wants it, submitting once, and reading back.

use crate::{
    actors::messages::WeightsEnd,
    chain::{
        commit_reveal::{SealedWeights, seal_weights},
        port::{ChainError, Head, Receipt, WeightsCall, WeightsExtrinsic},
    },
    domain::{
        event::{WeightsForm, WeightsIntent},
        ids::BlockNumber,
    },
};

use super::{SetterParts, reconcile, view::View};

/// A decision that is ready to be submitted.
pub(super) struct Plan {
    pub(super) intent: WeightsIntent,
    extrinsic: WeightsExtrinsic,
}

/// Seals the vector when the subnet has commit-reveal on. The inner `Err` says why nothing is
/// submitted now.
pub(super) async fn seal(
    parts: &SetterParts,
    view: &View,
    mut intent: WeightsIntent,
) -> Result<Result<Plan, Box<WeightsEnd>>, ChainError> {
    let (uids, values) = intent.weights.iter().copied().unzip();
    let version_key = view.subnet.weights_version_key;
    let call =
        WeightsCall { netuid: parts.netuid, uids, values, version_key, born_at: Some(view.head.block) };
    if !view.subnet.commit_reveal_enabled {
        return Ok(Ok(Plan { intent, extrinsic: WeightsExtrinsic::Set(call) }));
    }
    let deferred = |reason: String| Ok(Err(Box::new(view.deferred(reason))));
    let Some(forecast) = view.subnet.epochs(view.number()).forecast(view.subnet.reveal_period) else {
        return deferred("the subnet's tempo is zero: a commit would never be revealed".into());
    };
    let beacon = parts.chain.beacon(view.head.block.hash).await?;
    let now = parts.chain.block_time(view.head.block).await?;
    let reveal_round = beacon.round_at(forecast.seal_until(&now));
    let SealedWeights { call, commit } = match seal_weights(&beacon, reveal_round, view.me, &call) {
        Ok(sealed) => sealed,
        Err(cause) => return deferred(format!("the weights could not be sealed: {cause}")),
    };
    tracing::debug!(
        reveal_round,
        epoch = forecast.reveal_epoch,
        begins_at = %forecast.begins_at,
        "weights are sealed"
    );
    intent.form = WeightsForm::Timelocked { commit, reveal_round };
    Ok(Ok(Plan { intent, extrinsic: WeightsExtrinsic::Commit(call) }))
}

/// Shows what would be signed, in place of signing it.
pub(super) async fn show(parts: &SetterParts, view: &View, plan: Plan) -> Result<WeightsEnd, ChainError> {
    let bytes = parts.chain.preview_weights(&plan.extrinsic).await?;
    let call = match &plan.extrinsic {
        WeightsExtrinsic::Set(call) => {
            format!(
                "set_weights netuid {} weights {:?} version key {}",
                call.netuid, plan.intent.weights, call.version_key
            )
        }
        WeightsExtrinsic::Commit(call) => format!(
            "commit_timelocked_weights netuid {} of {} bytes that hide {:?}, reveal round {}, version {}",
            call.netuid,
            call.sealed.len(),
            plan.intent.weights,
            call.reveal_round,
            call.version
        ),
    };
    tracing::info!(
        call = %hex::encode(&bytes.call),
        signer_payload = %hex::encode(&bytes.signer_payload),
        "dry run: would sign for {}, round {}: {call}",
        plan.intent.target,
        plan.intent.round
    );
    let retry_at = Some(BlockNumber(view.number().0 + u64::from(view.subnet.tempo).max(1)));
    Ok(WeightsEnd::Deferred { reason: "this is a dry run".into(), retry_at })
}

/// Submits once and reads back at the block that holds the extrinsic.
pub(super) async fn submit(parts: &SetterParts, view: &View, plan: Plan) -> Result<WeightsEnd, ChainError> {
    let submitted = match &plan.extrinsic {
        WeightsExtrinsic::Set(call) => parts.chain.set_weights(call).await,
        WeightsExtrinsic::Commit(call) => parts.chain.commit_weights(call).await,
    };
    match submitted {
        Ok(receipt) => read_back(parts, view, receipt, &plan.intent).await,
        Err(cause @ ChainError::Unknown { .. }) => Ok(WeightsEnd::Unclear { reason: cause.to_string() }),
        // Not sent, refused by the pool, or failed in a block: nothing was stored, nothing can land.
        Err(cause) => Ok(WeightsEnd::Failed {
            seen_at: view.number(),
            reason: cause.to_string(),
            epoch: None,
            own_update: None,
            retry_at: view.later(),
        }),
    }
}

/// Success means seen on chain.
async fn read_back(
    parts: &SetterParts,
    view: &View,
    receipt: Receipt,
    intent: &WeightsIntent,
) -> Result<WeightsEnd, ChainError> {
    let block = receipt.block;
    tracing::debug!(block = %block.number, extrinsic = %receipt.extrinsic, "weights are in a finalized block");
    // The parent is not read: only the block's own state is.
    let head = Head { block, parent: block.hash };
    let after = View::at(parts, view.me, head).await?;
    Ok(reconcile::seen(&after, intent).unwrap_or_else(|| WeightsEnd::Failed {
        seen_at: block.number,
        reason: format!("block {} holds the extrinsic but not what it should have stored", block.number),
        epoch: None,
        // Whatever it did, it was ours.
        own_update: Some(after.last_update()),
        retry_at: after.later(),
    }))
}
