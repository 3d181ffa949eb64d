//! Events of the journal: what happened, once, in order. State is their fold.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    ids::{BlockNumber, BlockRef, Digest, Hotkey, RoundId, Uid},
    inquiry::Question,
    outcome::Outcome,
    payments::CommitPlace,
    plan::RoundPlan,
};

/// Where one ticket's time went, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Timings {
    /// From the request to the last byte of the answer.
    pub challenge_ms: u64,
    /// Waiting for a decode worker.
    pub decode_wait_ms: u64,
    /// Decoding.
    pub decode_ms: u64,
    /// Waiting for the scorer.
    pub score_wait_ms: u64,
    /// Scoring.
    pub score_ms: u64,
}

/// A miner's file as it arrived; the bytes lie in the spool under their digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReceivedFile {
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Length in bytes.
    pub bytes: u64,
    /// From the request to the last byte, in milliseconds.
    pub latency_ms: u64,
    /// Invocation id that Chutes gave.
    pub invocation_id: Option<String>,
}

/// Who a weights vector pays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PayTarget {
    /// A miner that won.
    Miner {
        /// Its key; the uid is looked up at the block of submission.
        hotkey: Hotkey,
    },
    /// Nobody won: the subnet owner's slot, resolved on chain.
    Owner,
}

impl fmt::Display for PayTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayTarget::Miner { hotkey } => write!(f, "miner {hotkey}"),
            PayTarget::Owner => f.write_str("the subnet's owner"),
        }
    }
}

/// In which form a decision goes to the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WeightsForm {
    /// In the open, by `set_weights`.
    #[default]
    Plain,
    /// Sealed to a round of the drand beacon; the chain reveals it by itself.
    Timelocked {
        /// SHA-256 of the sealed bytes, by which the commit is found on chain.
        commit: Digest,
        /// Round of the beacon that opens it.
        reveal_round: u64,
    },
}

impl WeightsForm {
    fn is_plain(&self) -> bool {
        *self == WeightsForm::Plain
    }
}

/// One decision to set weights.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WeightsIntent {
    /// Who is paid.
    pub target: PayTarget,
    /// Slot of the target at the block of the decision.
    pub uid: Uid,
    /// Newest settled round that the decision rests on.
    pub round: RoundId,
    /// The vector.
    pub weights: Vec<(Uid, u16)>,
    /// Finalized block of the decision.
    pub decided_at: BlockRef,
    /// Our own `LastUpdate` at that block: a later value means that something landed.
    pub last_update: BlockNumber,
    /// Block of the subnet's last epoch at that block; `None` in older journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_epoch: Option<BlockNumber>,
    /// In the open or sealed.
    #[serde(default, skip_serializing_if = "WeightsForm::is_plain")]
    pub form: WeightsForm,
}

/// Why a round was voided: it counts for nobody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum VoidReason {
    /// The round could not be planned: chain, corpus or our own state stood in the way.
    NotPlanned {
        /// What stood in the way.
        detail: String,
    },
    /// Too many miners could not be judged through no fault of their own.
    Unjudged {
        /// Miners whose ticket ended by a fault of the platform, the chain or us.
        unjudged: u32,
        /// Miners that were asked.
        asked: u32,
    },
}

/// Something that happened. The journal holds these and nothing else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A round opened; its clip is published from here on.
    RoundPlanned {
        /// The plan.
        plan: Box<RoundPlan>,
    },
    /// A miner's file arrived.
    ClipReceived {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
        /// The file.
        file: ReceivedFile,
    },
    /// A ticket ended.
    TicketSettled {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
        /// How it ended.
        outcome: Outcome,
        /// Where the time went.
        timings: Timings,
    },
    /// A scored clip is another miner's of an earlier round (G8).
    ClipReturned {
        /// Round.
        round: RoundId,
        /// Whose clip now.
        hotkey: Hotkey,
        /// The round in which it was first sent.
        earlier: RoundId,
        /// Whose it was then.
        owner: Hotkey,
    },
    /// A miner whose clip is disputed (G8) is asked again.
    QuestionAsked {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
        /// What.
        question: Question,
        /// Block whose hash the seed is drawn from.
        seed: BlockRef,
    },
    /// A question ended.
    QuestionSettled {
        /// Round.
        round: RoundId,
        /// Miner.
        hotkey: Hotkey,
        /// What.
        question: Question,
        /// How it ended.
        outcome: Outcome,
        /// Where the time went.
        timings: Timings,
        /// The answer's file, where one came; absent in rounds before these files were kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<ReceivedFile>,
    },
    /// Every ticket has ended and the round has its result.
    RoundClosed {
        /// Round.
        round: RoundId,
        /// Finalized block at which it closed.
        at: BlockNumber,
        /// The best passing clip's miner.
        winner: Option<Hotkey>,
    },
    /// The round counts for nobody.
    RoundVoided {
        /// Round.
        round: RoundId,
        /// Finalized block at which it was voided.
        at: BlockNumber,
        /// Why.
        reason: VoidReason,
    },
    /// Weights are about to be submitted; written durably before the submission.
    WeightsIntended {
        /// The decision.
        intent: WeightsIntent,
    },
    /// The last intent's commit was seen on chain, which will reveal it.
    WeightsCommitted {
        /// Finalized block at which it was seen.
        seen_at: BlockRef,
        /// Where the chain keeps it.
        place: CommitPlace,
    },
    /// The weights of the last intent, or of a commit, were read back from the chain.
    WeightsLanded {
        /// Finalized block at which they were read.
        seen_at: BlockRef,
        /// Epoch of the commit that was revealed; without one it is the last intent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
        /// Our `LastUpdate` that they caused, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        own_update: Option<BlockNumber>,
    },
    /// The last intent, or a commit's reveal, came to nothing; the chain shows no trace of it.
    WeightsFailed {
        /// Finalized block at which that was seen.
        seen_at: BlockNumber,
        /// Why.
        reason: String,
        /// Epoch of the commit that was not revealed; without one it is the last intent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
        /// Our `LastUpdate` that they caused all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        own_update: Option<BlockNumber>,
    },
    /// The operator said that no other instance runs with our hotkey, whatever the chain shows.
    WeightsVouched {
        /// Our `LastUpdate` on chain, up to which that holds.
        last_update: BlockNumber,
    },
}

impl Event {
    /// The round that the event belongs to.
    pub fn round(&self) -> Option<RoundId> {
        match self {
            Event::RoundPlanned { plan } => Some(plan.round),
            Event::ClipReceived { round, .. }
            | Event::TicketSettled { round, .. }
            | Event::ClipReturned { round, .. }
            | Event::QuestionAsked { round, .. }
            | Event::QuestionSettled { round, .. }
            | Event::RoundClosed { round, .. }
            | Event::RoundVoided { round, .. } => Some(*round),
            Event::WeightsIntended { intent } => Some(intent.round),
            Event::WeightsCommitted { .. }
            | Event::WeightsLanded { .. }
            | Event::WeightsFailed { .. }
            | Event::WeightsVouched { .. } => None,
        }
    }

    /// Name of the kind, as in the serialized form.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::RoundPlanned { .. } => "round_planned",
            Event::ClipReceived { .. } => "clip_received",
            Event::TicketSettled { .. } => "ticket_settled",
            Event::ClipReturned { .. } => "clip_returned",
            Event::QuestionAsked { .. } => "question_asked",
            Event::QuestionSettled { .. } => "question_settled",
            Event::RoundClosed { .. } => "round_closed",
            Event::RoundVoided { .. } => "round_voided",
            Event::WeightsIntended { .. } => "weights_intended",
            Event::WeightsCommitted { .. } => "weights_committed",
            Event::WeightsLanded { .. } => "weights_landed",
            Event::WeightsFailed { .. } => "weights_failed",
            Event::WeightsVouched { .. } => "weights_vouched",
        }
    }

    /// Whether the event must be on the disk itself before anything follows from it.
    pub fn must_be_durable(&self) -> bool {
        matches!(self, Event::WeightsIntended { .. } | Event::RoundPlanned { .. })
    }
}
