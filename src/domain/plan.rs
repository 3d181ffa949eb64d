//! What a round asks of its miners, fixed before any of them is asked.

use serde::{Deserialize, Serialize};

use super::{
    ids::{BlockHash, BlockNumber, BlockRef, Digest, Hotkey, RoundId},
    roster::RosterEntry,
};

/// Shape of the clip that every miner is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSpec {
    /// Number of frames.
    pub frames: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

/// Where a round's clips come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlanSource {
    /// This validator asks the miners itself.
    Sample,
    /// This validator scores the artifacts that another validator published.
    Follow {
        /// Address of the published round bundle.
        bundle: String,
    },
}

/// The source clip chosen for a round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClipChoice {
    /// Key in the corpus manifest.
    pub key: String,
    /// SHA-256 of the source file.
    pub sha256: Digest,
    /// Start of the window in the source, in microseconds of presentation time.
    pub window_start_us: u64,
    /// SHA-256 of the first frame's PNG file.
    pub first_frame_png: Digest,
    /// Digest of the prepared reference planes (`Yuv420Clip::digest`).
    pub reference_frames: Digest,
    /// The prompt: the clip's caption.
    pub prompt: String,
}

/// Everything that is fixed when a round opens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoundPlan {
    /// The round.
    pub round: RoundId,
    /// The round's first block; its hash seeds every choice.
    pub anchor: BlockRef,
    /// Miners must have answered by this block.
    pub answer_by: BlockNumber,
    /// Whatever is unsettled after this block expires.
    pub settle_by: BlockNumber,
    /// Who asks the miners.
    pub source: PlanSource,
    /// Shape of the requested clips.
    pub spec: ClipSpec,
    /// The chosen source clip.
    pub clip: ClipChoice,
    /// Every miner of the subnet at the anchor block, valid or not.
    pub roster: Vec<RosterEntry>,
    /// Digest of the rules in force.
    pub rules_digest: Digest,
    /// Digest of the corpus manifest.
    pub corpus_digest: Digest,
}

/// Seed sent to one miner: distinct per miner, because an equal seed would make independent
/// fine-tunes of one base model look like copies. A non-negative 31-bit integer, which every
/// miner template accepts.
pub fn request_seed(anchor: &BlockHash, hotkey: &Hotkey) -> u32 {
    (Digest::of_parts(&[b"leoma/request-seed", &anchor.0, &hotkey.0]).seed() & 0x7fff_ffff) as u32
}
