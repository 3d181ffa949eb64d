//! Waiting until a commitment is visible: in the open at once, or sealed and then revealed.

use std::{fmt, time::Duration};

use futures::{StreamExt as _, stream::BoxStream};
use serde::Serialize;

use super::{chain_failure, commit::Plan, utc};
use crate::{
    chain::{
        port::{Chain as _, ChainError, CommitmentData, CommitmentField, Head, LiveCommitment},
        subtensor::{ERA_BLOCKS, SubtensorChain},
    },
    cli::exit::{Exit, Failure},
    domain::ids::{BlockNumber, BlockRef},
};

/// Blocks after its round's time for which a sealed commitment is still waited for.
const PATIENCE: u32 = 50;
/// Blocks that may pass between a look at the head and the signature, which names a head of its own.
const SIGNING_BLOCKS: u64 = 4;
const ENDED: &str = "the chain's blocks ended: look with `leoma miner status`";

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

/// Follows finalized blocks from the one that the commitment was made in until it is visible; tells of progress on standard error.
///
/// # Errors
/// When the chain could not open it, lost it, or does not open it though its time has come.
pub(super) async fn watch(
    chain: &SubtensorChain,
    plan: &Plan,
    made: BlockNumber,
) -> Result<Visible, Failure> {
    let lost = |text: String| Failure::new(Exit::Internal, anyhow::anyhow!(text));
    let mut heads = follow(chain).await?;
    let (mut said_sealed, mut overdue) = (false, 0);
    while let Some(head) = heads.next().await {
        let head = match head {
            Ok(head) if head.block.number >= made => head,
            Ok(_) => continue,
            Err(error @ ChainError::WrongGenesis { .. }) => return Err(chain_failure(error)),
            Err(error) => {
                eprintln!("waiting on: {error}");
                continue;
            }
        };
        // One failed look is no end: the next block brings another.
        let step = match look(chain, plan, made, head).await {
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
    Err(lost(ENDED.to_owned()))
}

/// Finalized heads from now on. What passes is waited out: a commitment may be on its way.
async fn follow(chain: &SubtensorChain) -> Result<BoxStream<'static, Result<Head, ChainError>>, Failure> {
    const PAUSE: Duration = Duration::from_secs(1);
    let mut attempts_left = 20;
    loop {
        match chain.finalized_heads().await {
            Err(error @ (ChainError::Transport { .. } | ChainError::Deadline { .. })) if attempts_left > 0 => {
                attempts_left -= 1;
                eprintln!("waiting on: {error}");
                tokio::time::sleep(PAUSE).await;
            }
            other => return other.map_err(chain_failure),
        }
    }
}

/// Looks for a commitment whose submission had no known end, in the blocks after `before`, until
/// its extrinsic can come into none any more.
///
/// # Errors
/// When it is in none of them.
pub(super) async fn find(
    chain: &SubtensorChain,
    plan: &Plan,
    before: BlockNumber,
) -> Result<BlockRef, Failure> {
    let mut heads = follow(chain).await?;
    while let Some(head) = heads.next().await {
        let head = match head {
            Ok(head) => head,
            Err(error @ ChainError::WrongGenesis { .. }) => return Err(chain_failure(error)),
            Err(error) => {
                eprintln!("waiting on: {error}");
                continue;
            }
        };
        match made_in(chain, plan, before, head).await {
            Ok(Some(block)) => return Ok(block),
            Ok(None) if head.block.number.0 > before.0 + ERA_BLOCKS + SIGNING_BLOCKS => {
                let text = "it is in no block, and its time is over: nothing was committed; try again";
                return Err(Failure::new(Exit::Internal, anyhow::anyhow!(text)));
            }
            Ok(None) => {}
            Err(error) => eprintln!("block {}: {error}; looking again", head.block.number),
        }
    }
    Err(Failure::new(Exit::Internal, anyhow::anyhow!("{ENDED}")))
}

/// The block after `before` in which the commitment was made, as seen from a head; the block of its
/// reveal where only that is left.
async fn made_in(
    chain: &SubtensorChain,
    plan: &Plan,
    before: BlockNumber,
    head: Head,
) -> Result<Option<BlockRef>, ChainError> {
    let live = chain.commitment_of(plan.netuid, plan.hotkey, head.block.hash).await?;
    let live = live.filter(|live| live.block > before && of_field(plan, live).is_some());
    let number = match live {
        Some(live) => Some(live.block),
        None => revealed(chain, plan, head).await?.filter(|block| *block > before),
    };
    match number {
        Some(number) => Ok(Some(BlockRef { number, hash: chain.block_hash(number).await? })),
        None => Ok(None),
    }
}

/// Block of the newest reveal of these bytes.
async fn revealed(
    chain: &SubtensorChain,
    plan: &Plan,
    head: Head,
) -> Result<Option<BlockNumber>, ChainError> {
    let all = chain.commitments(plan.netuid, head.block.hash).await?;
    let mut ours = all.iter().filter(|of| of.hotkey == plan.hotkey).flat_map(|of| &of.revealed);
    let newest = ours.rfind(|entry| entry.data == plan.text.as_bytes());
    Ok(newest.map(|entry| entry.reveal_block))
}

async fn look(
    chain: &SubtensorChain,
    plan: &Plan,
    made: BlockNumber,
    head: Head,
) -> Result<Step, ChainError> {
    let live = chain.commitment_of(plan.netuid, plan.hotkey, head.block.hash).await?;
    if let Some(live) = &live {
        if live.block > made {
            return Ok(Step::Lost(format!(
                "another commitment of {} replaced it in block {}",
                plan.hotkey, live.block
            )));
        }
        if let Some(step) = of_field(plan, live) {
            return Ok(step);
        }
    }
    Ok(match revealed(chain, plan, head).await?.filter(|block| *block >= made) {
        Some(reveal_block) => Step::Done(Visible::Revealed { reveal_block }),
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
