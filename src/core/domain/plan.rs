//! What a round asks of its miners, fixed before any of them is asked.

use serde::{Deserialize, Serialize};

use super::{
    ids::{BlockHash, BlockNumber, BlockRef, Digest, Hotkey, RoundId},
    roster::RosterEntry,
    scoring::CopyGate,
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
    /// When clips are the same (G8), so that the round replays under rules that say otherwise; `None` in rounds before
    /// tracks were kept: equal files and frames alone.
    #[serde(default)]
    pub copies: Option<CopyGate>,
}

/// The part of a source file that a round showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedClip {
    /// The clip's key when it was shown.
    pub key: String,
    /// SHA-256 of the source file.
    pub sha256: Digest,
    /// From the first frame's time to the last frame's, which is the last microsecond inside. (Not to the end of its
    /// display: that may reach into the next part of the file, of which nothing was shown.)
    pub shown_us: std::ops::Range<u64>,
}

impl PublishedClip {
    /// What a plan shows.
    pub fn of(plan: &RoundPlan) -> Self {
        let start = plan.clip.window_start_us;
        let frames = u64::from(plan.spec.frames).saturating_sub(1);
        let length = frames * 1_000_000 / u64::from(plan.spec.fps.max(1));
        let shown_us = start..start.saturating_add(length).saturating_add(1);
        Self { key: plan.clip.key.clone(), sha256: plan.clip.sha256, shown_us }
    }

    /// Whether a part of a file shows something of this again.
    pub fn overlaps(&self, sha256: Digest, range_us: &std::ops::Range<u64>) -> bool {
        self.sha256 == sha256 && self.shown_us.start < range_us.end && range_us.start < self.shown_us.end
    }
}

impl RoundPlan {
    /// Whether a miner that is asked at this block has at least half of the answer time left. A miner
    /// that was asked later, because planning took long or this validator was restarted, is not to
    /// blame for an answer that does not come in time.
    pub fn leaves_fair_time(&self, asked_at: BlockNumber) -> bool {
        let window = self.answer_by.0.saturating_sub(self.anchor.number.0);
        asked_at.0.saturating_sub(self.anchor.number.0) * 2 <= window
    }
}

/// Seed sent to one miner: distinct per miner, because an equal seed would make independent
/// fine-tunes of one base model look like copies. A non-negative 31-bit integer, which every
/// miner template accepts.
pub fn request_seed(anchor: &BlockHash, hotkey: &Hotkey) -> u32 {
    (Digest::of_parts(&[b"leoma/request-seed", &anchor.0, &hotkey.0]).seed() & 0x7fff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{hotkey, plan};

    #[test]
    fn half_of_the_answer_time_is_fair() {
        let plan = plan(7, 1); // blocks 700 to 760
        for (block, fair) in [(690, true), (700, true), (730, true), (731, false), (760, false), (900, false)]
        {
            assert_eq!(plan.leaves_fair_time(BlockNumber(block)), fair, "asked at block {block}");
        }
    }

    #[test]
    fn seeds_differ_by_miner_and_round_and_stay_below_2_to_the_31() {
        let seed = |block: u8, miner: u8| request_seed(&BlockHash([block; 32]), &hotkey(miner));
        assert_eq!(seed(1, 1), seed(1, 1));
        assert!(seed(1, 1) != seed(1, 2) && seed(1, 1) != seed(2, 1));
        assert!((0..200).all(|n| seed(n, n) <= i32::MAX as u32));
    }
}
