//! Waiting until a commitment is visible: in the open at once, or sealed and then revealed.

use std::fmt;

use futures::StreamExt as _;
use serde::Serialize;

use super::{chain_failure, commit::Plan, utc};
use crate::{
    chain::{
        port::{
            Chain as _, ChainError, CommitmentData, CommitmentField, Head, LiveCommitment, Receipt,
            RevealedCommitment,
        },
        subtensor::SubtensorChain,
    },
    cli::exit::{Exit, Failure},
    domain::ids::BlockNumber,
};

/// Blocks after its round's time for which a sealed commitment is still waited for.
const PATIENCE: u32 = 50;

/// What is seen of a commitment.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Visible {
    /// In a finalized block; nobody waited for more.
    NotAwaited,
    /// Everybody reads it, but it was not revealed.
    Plain,
    /// The chain has opened it, and validators read it.
    Revealed {
        /// Block of the reveal.
        reveal_block: BlockNumber,
    },
}

impl fmt::Display for Visible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAwaited => f.write_str("committed; see `leoma miner status`"),
            Self::Plain => f.write_str("visible, not revealed: validators do not read it"),
            Self::Revealed { reveal_block } => write!(f, "revealed in block {reveal_block}"),
        }
    }
}

/// Where a commitment stands at one block.
enum Step {
    /// Still sealed.
    Sealed,
    Done(Visible),
    /// It will not be seen any more: why, and what to do.
    Lost(String),
}

/// Follows finalized blocks until the commitment is visible; tells of progress on standard error.
///
/// # Errors
/// When the chain could not open it, lost it, or does not open it though its time has come.
pub(super) async fn watch(
    chain: &SubtensorChain,
    plan: &Plan,
    receipt: &Receipt,
) -> Result<Visible, Failure> {
    let lost = |text: String| Failure::new(Exit::Internal, anyhow::anyhow!(text));
    let mut heads = chain.finalized_heads().await.map_err(chain_failure)?;
    let (mut said_sealed, mut overdue) = (false, 0);
    while let Some(head) = heads.next().await {
        let head = match head {
            Ok(head) if head.block.number >= receipt.block.number => head,
            Ok(_) => continue,
            Err(error @ ChainError::WrongGenesis { .. }) => return Err(chain_failure(error)),
            Err(error) => {
                eprintln!("waiting on: {error}");
                continue;
            }
        };
        // One failed look is no end: the next block brings another.
        let step = match look(chain, plan, receipt, head).await {
            Ok(step) => step,
            Err(error) => {
                eprintln!("block {}: {error}; looking again", head.block.number);
                continue;
            }
        };
        match step {
            Step::Done(visible) => return Ok(visible),
            Step::Lost(why) => return Err(lost(why)),
            Step::Sealed => {}
        }
        let opens_at = plan.opens_at.unwrap_or_default();
        if !said_sealed {
            said_sealed = true;
            eprintln!("block {}: sealed; waiting for about {}", head.block.number, utc(opens_at));
        }
        if chain.time_of(head.block.hash).await.is_ok_and(|millis| millis / 1000 > opens_at) {
            overdue += 1;
        }
        if overdue > PATIENCE {
            return Err(lost(format!(
                "still sealed {PATIENCE} blocks after its time: the chain has no pulse of its round yet; it opens when that comes: \
                 look with `leoma miner status`"
            )));
        }
    }
    Err(lost("the chain's blocks ended: look with `leoma miner status`".to_owned()))
}

async fn look(
    chain: &SubtensorChain,
    plan: &Plan,
    receipt: &Receipt,
    head: Head,
) -> Result<Step, ChainError> {
    let live = chain.commitment_of(plan.netuid, plan.hotkey, head.block.hash).await?;
    if let Some(live) = &live {
        if live.block > receipt.block.number {
            return Ok(Step::Lost(format!(
                "another commitment of {} replaced it in block {}",
                plan.hotkey, live.block
            )));
        }
        if let Some(step) = of_field(plan, live) {
            return Ok(step);
        }
    }
    let all = chain.commitments(plan.netuid, head.block.hash).await?;
    let mut ours = all.iter().filter(|of| of.hotkey == plan.hotkey).flat_map(|of| &of.revealed);
    let is_it = |entry: &&RevealedCommitment| {
        entry.reveal_block >= receipt.block.number && entry.data == plan.text.as_bytes()
    };
    let found = ours.rfind(is_it);
    Ok(match found {
        Some(entry) => Step::Done(Visible::Revealed { reveal_block: entry.reveal_block }),
        None => Step::Lost(
            "it is neither sealed nor revealed any more: commit again (was the hotkey deregistered?)"
                .to_owned(),
        ),
    })
}

fn of_field(plan: &Plan, live: &LiveCommitment) -> Option<Step> {
    live.fields.iter().find_map(|field| match (field, &plan.data) {
        (CommitmentField::Plain(bytes), CommitmentData::Plain(ours)) if bytes == ours => {
            Some(Step::Done(Visible::Plain))
        }
        (
            CommitmentField::Timelocked { reveal_round },
            CommitmentData::Timelocked { reveal_round: ours, .. },
        ) if reveal_round == ours => Some(Step::Sealed),
        (
            CommitmentField::RevealFailed { reveal_round },
            CommitmentData::Timelocked { reveal_round: ours, .. },
        ) if reveal_round == ours => Some(Step::Lost(format!(
            "the chain could not open it with the pulse of round {ours}: it does not count; commit again"
        ))),
        _ => None,
    })
}
