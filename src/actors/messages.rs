//! The typed messages between actors. Small: an `Arc`, a digest or a handle, never raw video.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tracing::Span;

use crate::{
    chain::port::{ChainError, Head},
    corpus::{CorpusError, PreparedClip},
    domain::{
        event::{ReceivedFile, WeightsIntent},
        ids::{BlockNumber, BlockRef, RoundId},
        payments::{CommitPlace, Payments},
        payout::SettledRound,
        plan::RoundPlan,
        roster::RosterEntry,
        rules::Rules,
    },
    quality::frame::Yuv420Clip,
    store::spool::SpooledFile,
};

use super::ticket::{Ticket, TicketEnd};

/// What all tickets of one round share.
pub struct RoundContext {
    /// The plan.
    pub plan: Arc<RoundPlan>,
    /// First frame and reference of the plan's clip.
    pub prepared: Arc<PreparedClip>,
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// The newest finalized block, for deadlines.
    pub head: watch::Receiver<BlockNumber>,
    /// Span of the round, parent of its tickets' spans.
    pub span: Span,
}

impl RoundContext {
    /// Waits until a block is finalized; for ever when the chain's feed is gone.
    pub async fn reached(&self, block: BlockNumber) {
        let mut head = self.head.clone();
        if head.wait_for(|number| *number >= block).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// To RoundClock: a finalized block.
pub struct BlockSeen {
    /// The block.
    pub head: Head,
    /// Whether its runtime lacks something that we use, so that nothing may be opened or submitted.
    pub safe_hold: bool,
}

/// To MinerRegistry: read and check every miner at a block.
pub struct SyncRoster {
    /// For which round.
    pub round: RoundId,
    /// At which block.
    pub anchor: BlockRef,
    /// Where the roster goes; dropped when the registry dies with the message.
    pub reply: oneshot::Sender<Result<Vec<RosterEntry>, ChainError>>,
}

/// To MinerRegistry: a finalized block, so that it can look ahead to the next round.
pub struct LookAhead(pub BlockRef);

/// To RoundClock: the roster of a round.
pub struct RosterReady {
    /// For which round.
    pub round: RoundId,
    /// The roster, or why there is none.
    pub roster: Result<Vec<RosterEntry>, ChainError>,
}

/// Why no source clip could be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The anchor block's hash could not be read.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The corpus has no usable clip.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
}

/// To RoundClock: the source clip of a round.
pub struct ClipReady {
    /// For which round.
    pub round: RoundId,
    /// Anchor block and clip, or why there is none.
    pub clip: Result<(BlockRef, Arc<PreparedClip>), PrepareError>,
}

/// To Challenger: ask these miners.
pub struct OpenRound {
    /// What the tickets share.
    pub context: Arc<RoundContext>,
    /// The miners to ask; a file that arrived before a restart travels along.
    pub tickets: Vec<(Ticket, Option<SpooledFile>)>,
}

/// To Decoder: a miner's file.
pub struct DecodeClip {
    /// Whose file.
    pub ticket: Ticket,
    /// The file.
    pub file: SpooledFile,
}

/// To GpuScorer: a miner's frames.
pub struct ScoreClip {
    /// Whose frames.
    pub ticket: Ticket,
    /// The frames.
    pub frames: Arc<Yuv420Clip>,
}

/// To RoundClock: a miner's file arrived and lies in the spool.
pub struct FileArrived {
    /// Whose file.
    pub ticket: super::ticket::TicketId,
    /// The file.
    pub file: ReceivedFile,
}

/// To RoundClock: a ticket ended, or was dropped. Exactly one per ticket.
pub struct MinerSettled(pub TicketEnd);

/// To WeightSetter: look after our weights on chain.
pub struct SubmitWeights {
    /// The newest finalized block that was seen: an endpoint that is behind it is not believed.
    pub head: BlockNumber,
    /// Closed rounds that are not void.
    pub settled: Vec<SettledRound>,
    /// What the journal knows of payment: an earlier decision whose end is not known is looked up on
    /// chain first, and so are commits that wait for their reveal.
    pub payments: Payments,
    /// Reports the end to RoundClock, also when dropped.
    pub errand: super::weight_setter::Errand,
}

/// To RoundClock: write this decision durably, then say so.
pub struct WeightsDecided {
    /// The decision.
    pub intent: WeightsIntent,
    /// Sent once the journal holds it; dropped when it does not.
    pub written: oneshot::Sender<()>,
}

/// How an attempt to set weights ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsEnd {
    /// The chain shows the weights.
    Landed {
        /// Block at which they were read.
        seen_at: BlockRef,
        /// The decision that they belong to.
        intent: WeightsIntent,
        /// Epoch of the commit that was revealed; `None` for weights that were set in the open.
        epoch: Option<u64>,
        /// Our `LastUpdate` that they caused, where known.
        own_update: Option<BlockNumber>,
    },
    /// The chain holds the commit and will reveal it.
    Committed {
        /// Block at which it was read.
        seen_at: BlockRef,
        /// The decision that it hides.
        intent: WeightsIntent,
        /// Where the chain keeps it.
        place: CommitPlace,
        /// When to look for the reveal.
        look_at: BlockNumber,
    },
    /// The decision came to nothing: the chain shows no trace of it.
    Failed {
        /// Block at which that was seen.
        seen_at: BlockNumber,
        /// Why.
        reason: String,
        /// Epoch of the commit that was not revealed; `None` for the open decision.
        epoch: Option<u64>,
        /// Our `LastUpdate` that it caused all the same.
        own_update: Option<BlockNumber>,
        /// When to try again.
        retry_at: BlockNumber,
    },
    /// A commit's weights are not on chain because later ones were set over them: no loss.
    Overtaken {
        /// Block at which that was seen.
        seen_at: BlockNumber,
        /// Epoch of the commit.
        epoch: u64,
    },
    /// Nothing was decided or submitted.
    Deferred {
        /// Why: a word for metrics, then detail.
        reason: String,
        /// When to try again.
        retry_at: Option<BlockNumber>,
    },
    /// The chain shows what it should; nothing is to be done before a block.
    Resting {
        /// The block.
        until: BlockNumber,
    },
    /// The operator vouches that what the chain shows of us was set by nobody else who still runs.
    Vouched {
        /// Our `LastUpdate` on chain.
        last_update: BlockNumber,
    },
    /// Submitted or intended earlier, and the end is still open: look again later.
    Unclear {
        /// What is known.
        reason: String,
    },
}

/// To RoundClock: an attempt to set weights ended.
pub struct WeightsReport(pub WeightsEnd);

/// To RoundClock: open no more rounds; the process is going down.
pub struct Drain;
