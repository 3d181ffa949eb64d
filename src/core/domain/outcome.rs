//! How a miner's ticket ended: exactly one outcome for every miner of a round's roster.

use serde::{Deserialize, Serialize};

use super::{
    ids::Digest,
    score::{GateId, GateReading, ScoreCard},
};

/// Who is to blame when something failed. Only `Miner` counts against a miner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The miner's own endpoint, file or commitment.
    Miner,
    /// Chutes, Hugging Face or storage, shown by evidence that a miner cannot make.
    Platform,
    /// The chain or its endpoint.
    Chain,
    /// This validator.
    Us,
}

/// The pipeline stage where a ticket ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Commitment, naming and deployment checks.
    Register,
    /// Asking the miner for its clip.
    Challenge,
    /// Decoding the returned file.
    Decode,
    /// Scoring the frames.
    Score,
}

/// The pixels of a refused clip, so that the refusal can be replayed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RejectedPixels {
    /// SHA-256 over the decoded planes, frame by frame (`Yuv420Clip::digest`).
    pub frame_digest: Digest,
    /// The integers that the gate decided by.
    pub reading: GateReading,
}

/// The end of one ticket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The clip was scored.
    Scored {
        /// The scores.
        card: Box<ScoreCard>,
    },
    /// A gate refused the clip: it counts as zero.
    Rejected {
        /// Which gate.
        gate: GateId,
        /// Human-readable numbers behind the decision.
        reason: String,
        /// What the gate read, where it read pixels; absent in rounds before this was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pixels: Option<Box<RejectedPixels>>,
    },
    /// No clip to judge.
    Forfeit {
        /// Where the ticket ended.
        stage: Stage,
        /// Who is to blame.
        fault: Fault,
        /// Reason code in the community's spelling where one exists.
        reason: String,
    },
    /// The round's deadline passed while the ticket was on our side of the pipeline.
    Expired {
        /// Where the ticket was.
        stage: Stage,
    },
}

impl Outcome {
    /// Who is to blame, `None` for a scored clip.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Outcome::Scored { .. } => None,
            Outcome::Rejected { .. } => Some(Fault::Miner),
            Outcome::Forfeit { fault, .. } => Some(*fault),
            Outcome::Expired { .. } => Some(Fault::Us),
        }
    }

    /// One word for tables and metrics: `scored`, `rejected`, `forfeit` or `expired`.
    pub fn kind(&self) -> &'static str {
        match self {
            Outcome::Scored { .. } => "scored",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Forfeit { .. } => "forfeit",
            Outcome::Expired { .. } => "expired",
        }
    }

    /// The reason code or sentence, empty for a scored clip.
    pub fn reason(&self) -> String {
        match self {
            Outcome::Scored { .. } => String::new(),
            Outcome::Rejected { gate, reason, .. } => format!("{gate} {}: {reason}", gate.catches()),
            Outcome::Forfeit { reason, .. } => reason.clone(),
            Outcome::Expired { stage } => format!("deadline passed in stage {stage:?}").to_lowercase(),
        }
    }

    /// The score card of a scored clip.
    pub fn card(&self) -> Option<&ScoreCard> {
        match self {
            Outcome::Scored { card } => Some(card),
            _ => None,
        }
    }
}
