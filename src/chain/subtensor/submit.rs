//! Signing, submitting and watching one extrinsic, never twice.

use std::time::Duration;

use subxt::{
    SubstrateConfig,
    client::OnlineClientAtBlockImpl,
    config::{DefaultExtrinsicParams, DefaultExtrinsicParamsBuilder},
    error::{DispatchError, ExtrinsicError, TransactionEventsError},
    rpcs::UserError,
    transactions::{Payload, Signer, SubmittableTransaction, TransactionInBlock, TransactionProgress},
    utils::{AccountId32, H256, MultiSignature},
};

use super::{
    connection::{AtBlock, Connection},
    fault::{detail, node_refusal, read_fault, within},
};
use crate::{
    chain::{
        port::{ChainError, Receipt, UnsignedExtrinsic},
        wallet::HotkeySigner,
    },
    domain::ids::{BlockHash, BlockNumber, BlockRef, Hotkey},
};

/// Blocks for which a signed extrinsic stays valid.
pub(super) const ERA_BLOCKS: u64 = 64;

type Online = OnlineClientAtBlockImpl<SubstrateConfig>;

/// Deadlines of a submission.
#[derive(Clone, Copy)]
pub(super) struct Deadlines {
    /// For every single call.
    pub(super) call: Duration,
    /// From acceptance into the pool to finalization.
    pub(super) finalization: Duration,
}

struct ExtrinsicSigner<'a>(&'a HotkeySigner);

impl Signer<SubstrateConfig> for ExtrinsicSigner<'_> {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.0.hotkey().0)
    }

    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.0.sign(payload))
    }
}

/// A call that is to be signed.
#[derive(Clone, Copy)]
pub(super) struct Unsigned<'a, P> {
    /// Its name in messages.
    pub(super) what: &'static str,
    /// The call.
    pub(super) call: &'a P,
    /// Finalized block at which its life begins; the head at signing where `None`.
    pub(super) born_at: Option<BlockRef>,
}

/// Submits a call once and waits until its end is known.
///
/// # Errors
/// Before submission the errors of a read; `Pool` when the node refused it; `Dispatch` when it
/// failed inside a finalized block; `Unknown` when it may or may not be on chain.
pub(super) async fn run(
    connection: &Connection,
    block: &AtBlock,
    signer: &HotkeySigner,
    unsigned: Unsigned<'_, impl Payload>,
    deadlines: Deadlines,
) -> Result<Receipt, ChainError> {
    let endpoint = &connection.endpoint;
    let what = unsigned.what;
    let signing = sign(connection, block, signer, unsigned);
    let signed = within(deadlines.call, endpoint, "the account nonce", signing).await?;
    let extrinsic = BlockHash(signed.hash().0);
    tracing::debug!(%extrinsic, endpoint, "submitting {what}");
    let progress = submit(&signed, extrinsic, deadlines.call).await?;
    let included = finalized(progress, extrinsic, deadlines.finalization).await?;
    outcome(&included, extrinsic, deadlines.call).await
}

/// What [`run`] would sign now for an account; nothing is signed or sent.
///
/// # Errors
/// The errors of a read.
pub(super) async fn preview(
    connection: &Connection,
    block: &AtBlock,
    account: Hotkey,
    Unsigned { what, call, born_at }: Unsigned<'_, impl Payload>,
) -> Result<UnsignedExtrinsic, ChainError> {
    let building = async {
        let account = AccountId32(account.0);
        let signable = block.transactions().create_signable(call, &account, parameters(born_at)).await?;
        Ok(UnsignedExtrinsic {
            call: block.transactions().call_data(call)?,
            signer_payload: signable.signer_payload()?,
        })
    };
    building
        .await
        .map_err(|error: ExtrinsicError| read_fault(&connection.endpoint, what, block.spec_version(), error))
}

/// Its life begins at a block that the caller decided by, so that whoever journalled that block knows
/// when the extrinsic can no longer land, however long signing and submission took.
fn parameters(born_at: Option<BlockRef>) -> DefaultExtrinsicParams<SubstrateConfig> {
    let parameters = DefaultExtrinsicParamsBuilder::new();
    match born_at {
        Some(block) => {
            parameters.mortal_from_unchecked(ERA_BLOCKS, block.number.0, H256(block.hash.0)).build()
        }
        None => parameters.mortal(ERA_BLOCKS).build(),
    }
}

async fn sign(
    connection: &Connection,
    block: &AtBlock,
    signer: &HotkeySigner,
    Unsigned { what, call, born_at }: Unsigned<'_, impl Payload>,
) -> Result<SubmittableTransaction<SubstrateConfig, Online>, ChainError> {
    let signer = ExtrinsicSigner(signer);
    // The nonce comes from this finalized block: one extrinsic of a hotkey is in flight at a time.
    let signed = block.transactions().create_signed(call, &signer, parameters(born_at)).await;
    signed.map_err(|error| read_fault(&connection.endpoint, what, block.spec_version(), error))
}

async fn submit(
    signed: &SubmittableTransaction<SubstrateConfig, Online>,
    extrinsic: BlockHash,
    deadline: Duration,
) -> Result<TransactionProgress<SubstrateConfig, Online>, ChainError> {
    match tokio::time::timeout(deadline, signed.submit_and_watch()).await {
        Ok(Ok(progress)) => Ok(progress),
        Ok(Err(error)) => Err(match node_refusal(&error).and_then(pool_error) {
            Some(refused) => refused,
            None => unknown(extrinsic, format_args!("submission: {error}")),
        }),
        Err(_) => Err(unknown(
            extrinsic,
            format_args!("no answer to the submission within {} s", deadline.as_secs()),
        )),
    }
}

async fn finalized(
    progress: TransactionProgress<SubstrateConfig, Online>,
    extrinsic: BlockHash,
    deadline: Duration,
) -> Result<TransactionInBlock<SubstrateConfig, Online>, ChainError> {
    match tokio::time::timeout(deadline, progress.wait_for_finalized()).await {
        Ok(Ok(included)) => Ok(included),
        Ok(Err(error)) => Err(unknown(extrinsic, error)),
        Err(_) => Err(unknown(extrinsic, format_args!("not finalized within {} s", deadline.as_secs()))),
    }
}

/// Reads the events of the block to tell success from failure.
async fn outcome(
    included: &TransactionInBlock<SubstrateConfig, Online>,
    extrinsic: BlockHash,
    deadline: Duration,
) -> Result<Receipt, ChainError> {
    let hash = included.block_hash();
    let unread = |error: &dyn std::fmt::Display| {
        unknown(
            extrinsic,
            format_args!("finalized in block {hash:?}, but its events could not be read: {error}"),
        )
    };
    let reading = async {
        let at = included.at().await.map_err(|error| unread(&error))?;
        Ok((at.block_number(), included.wait_for_success().await))
    };
    let (number, events) =
        tokio::time::timeout(deadline, reading).await.unwrap_or_else(|_| Err(unread(&"no answer")))?;
    let block = BlockRef { number: BlockNumber(number), hash: BlockHash(hash.0) };
    match events {
        Ok(events) => {
            let succeeded = events
                .iter()
                .filter_map(Result::ok)
                .any(|event| event.pallet_name() == "System" && event.event_name() == "ExtrinsicSuccess");
            if succeeded {
                Ok(Receipt { block, extrinsic })
            } else {
                Err(unread(&"no System.ExtrinsicSuccess"))
            }
        }
        Err(TransactionEventsError::ExtrinsicFailed(error)) => Err(dispatch_error(block.number, &error)),
        Err(error) => Err(unread(&error)),
    }
}

/// Names come from the metadata of the block, as indices move between runtimes.
fn dispatch_error(block: BlockNumber, error: &DispatchError) -> ChainError {
    let (pallet, name) = match error {
        DispatchError::Module(module) => match module.details() {
            Ok(details) => (details.pallet.name().to_owned(), details.variant.name.clone()),
            Err(_) => {
                (format!("pallet {}", module.pallet_index()), format!("error {}", module.error_index()))
            }
        },
        other => ("System".to_owned(), format!("{other:?}")),
    };
    ChainError::Dispatch { block, pallet, name }
}

fn unknown(extrinsic: BlockHash, what: impl std::fmt::Display) -> ChainError {
    ChainError::Unknown { extrinsic, detail: detail(what) }
}

/// The pool's refusal. `None` for an answer after which this extrinsic, or one before it with the same
/// nonce, may still be in the pool or on chain: then the chain has to be looked at.
fn pool_error(refusal: &UserError) -> Option<ChainError> {
    /// "Temporarily banned" (also said of what is in a block), "Transaction already imported", "Priority is
    /// too low": its nonce waits in the pool already, or was used.
    const NONCE_WAITS: [i32; 3] = [1012, 1013, 1014];
    /// Its nonce was used, by whatever we did not see the end of.
    const NONCE_USED: [&str; 2] = ["outdated", "stale"];
    /// Codes of substrate's `author` calls, and JSON-RPC's own for a call that was not run.
    const NOT_TAKEN: [std::ops::RangeInclusive<i32>; 2] = [1000..=1099, -32602..=-32600];
    if NONCE_WAITS.contains(&refusal.code) || !NOT_TAKEN.iter().any(|codes| codes.contains(&refusal.code)) {
        return None;
    }
    let data = refusal
        .data
        .as_ref()
        .map(|data| serde_json::from_str::<String>(data.get()).unwrap_or_else(|_| data.get().to_owned()));
    let text = data.unwrap_or_else(|| refusal.message.clone());
    let lower = text.to_lowercase();
    if NONCE_USED.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let custom = custom_error(&text);
    let reason = custom.and_then(custom_name).map_or_else(|| detail(&text), str::to_owned);
    Some(ChainError::Pool { code: refusal.code, custom, reason })
}

/// The number in `Custom error: N`.
fn custom_error(text: &str) -> Option<u8> {
    let (_, rest) = text.split_once("Custom error: ")?;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Names of subtensor's own pool errors (`SubtensorTransactionExtension`).
fn custom_name(code: u8) -> Option<&'static str> {
    match code {
        1 => Some("StakeAmountTooLow"),
        6 => Some("RateLimitExceeded"),
        15 => Some("InvalidRevealRound"),
        19 => Some("UidNotFound"),
        255 => Some("BadRequest"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> Option<ChainError> {
        pool_error(&serde_json::from_str(json).expect("a JSON-RPC error"))
    }

    #[test]
    fn pool_errors_carry_code_custom_number_and_name() {
        let rate_limit = r#"{"code":1010,"message":"Invalid Transaction","data":"Custom error: 6"}"#;
        let reason = "RateLimitExceeded".to_owned();
        assert_eq!(refusal(rate_limit), Some(ChainError::Pool { code: 1010, custom: Some(6), reason }));

        let unnamed = r#"{"code":1010,"message":"Invalid Transaction","data":"Custom error: 77"}"#;
        let reason = "Custom error: 77".to_owned();
        assert_eq!(refusal(unnamed), Some(ChainError::Pool { code: 1010, custom: Some(77), reason }));

        let structured = r#"{"code":1010,"message":"Invalid Transaction","data":{"a":1}}"#;
        let reason = "{\"a\":1}".to_owned();
        assert_eq!(refusal(structured), Some(ChainError::Pool { code: 1010, custom: None, reason }));
    }

    #[test]
    fn answers_that_leave_the_extrinsic_s_fate_open_are_not_refusals() {
        for json in [
            r#"{"code":1013,"message":"Transaction Already Imported"}"#,
            r#"{"code":1014,"message":"Priority is too low: (1 vs 1)"}"#,
            r#"{"code":1010,"message":"Invalid Transaction","data":"Transaction is outdated"}"#,
            r#"{"code":-32603,"message":"Internal error"}"#,
            r#"{"code":-32000,"message":"Client error"}"#,
        ] {
            assert_eq!(refusal(json), None, "{json}");
        }
    }

    #[test]
    fn custom_numbers_outside_a_byte_are_left_as_text() {
        for (text, number) in [
            ("Custom error: 255", Some(255)),
            ("Custom error: 256", None),
            ("Custom error: ", None),
            ("Invalid Transaction: Custom error: 19 (x)", Some(19)),
            ("Inability to pay some fees", None),
        ] {
            assert_eq!(custom_error(text), number, "{text}");
        }
    }
}
