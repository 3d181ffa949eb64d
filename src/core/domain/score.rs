//! Scores as integers: terms, axes, the overall number and the card that carries them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{ids::Digest, track::ClipTrack};

/// A score from 0 to 10000 (hundredths of a percent).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(u16);

impl Score {
    /// The largest score.
    pub const MAX: Score = Score(10_000);
    /// The smallest score.
    pub const ZERO: Score = Score(0);

    /// A score from any integer, clamped to 0..=10000.
    pub fn clamped(value: i64) -> Self {
        Self(value.clamp(0, 10_000) as u16)
    }

    /// The integer 0..=10000.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The four axes of the tournament; `None` where no term of the axis exists for this clip.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Axes {
    /// Fidelity of the returned first frame to the given one.
    pub first_frame: Option<Score>,
    /// Adherence to the prompt.
    pub prompt: Option<Score>,
    /// Temporal quality.
    pub temporal: Option<Score>,
    /// Absence of visual artifacts.
    pub artifacts: Option<Score>,
}

/// What of the prompt the scorer could judge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptRead {
    /// A text model judged the prompt.
    Text,
    /// Only camera and motion words were judged.
    Camera,
    /// Nothing of the prompt could be judged; its weight is redistributed.
    #[default]
    None,
}

/// One gate's reading on one clip, kept whether or not it decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GateReading {
    /// The integer statistics that the decision was made from, by name.
    pub numbers: BTreeMap<String, i64>,
    /// Whether the gate's condition held.
    pub fired: bool,
    /// Whether the rules let this gate decide (`false`: advisory, recorded only).
    pub decides: bool,
}

/// Gates of `docs/scoring.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the ids are the names; docs/scoring.md and `catches` describe them
pub enum GateId {
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G7,
    G8,
    G9,
    G10,
    G11,
    G12,
    G13,
}

impl GateId {
    /// What the gate catches, as a reason code.
    pub fn catches(self) -> &'static str {
        match self {
            GateId::G1 => "too_short",
            GateId::G2 => "freeze",
            GateId::G3 => "shimmer",
            GateId::G4 => "pan_zoom",
            GateId::G5 => "loop",
            GateId::G6 => "crossfade",
            GateId::G7 => "source_copy",
            GateId::G8 => "identical_clip",
            GateId::G9 => "overlay",
            GateId::G10 => "timing",
            GateId::G11 => "pixel_format",
            GateId::G12 => "wrong_size",
            GateId::G13 => "undecodable",
        }
    }
}

impl fmt::Display for GateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The cheats that are made from the given first frame of each task (`quality::opponents`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opponent {
    /// The still, again and again.
    Freeze,
    /// The still, panned by a pixel a frame.
    Pan,
    /// The still, zoomed into by 0.3 % a frame.
    Zoom,
    /// The still in three depth layers that slide over each other.
    Parallax,
    /// A pan to and fro.
    Loop,
    /// The still, faded into its mirror image.
    CrossfadeMirrored,
    /// The still, faded into its middle part, enlarged.
    CrossfadeZoomed,
    /// The still, losing its focus.
    BlurredFreeze,
}

impl Opponent {
    /// All opponents.
    pub const ALL: [Opponent; 8] = [
        Opponent::Freeze,
        Opponent::Pan,
        Opponent::Zoom,
        Opponent::Parallax,
        Opponent::Loop,
        Opponent::CrossfadeMirrored,
        Opponent::CrossfadeZoomed,
        Opponent::BlurredFreeze,
    ];
}

/// A clip against the best opponent of its task, on the combination "living quality" (`docs/scoring.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpponentReading {
    /// The best opponent.
    pub best: Opponent,
    /// Its quality: first frame, consistency, artifacts.
    pub best_quality: Score,
    /// Its evidence of life.
    pub best_life: Score,
    /// Its living quality.
    pub best_living: Score,
    /// The clip's quality.
    pub quality: Score,
    /// The clip's evidence of life.
    pub life: Score,
    /// The clip's living quality.
    pub living: Score,
    /// The lead that the rules ask for.
    pub margin: u16,
    /// Whether the clip's living quality leads by the margin.
    pub beaten: bool,
    /// Whether a clip that does not cannot pass (`false`: advisory, recorded only).
    pub decides: bool,
}

/// Everything a scored clip got: integers only, so that equal clips give equal bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScoreCard {
    /// The four axes.
    pub axes: Axes,
    /// Weighted geometric mean of the axes that exist.
    pub overall: Score,
    /// Overall and lowest axis reach the thresholds of the rules.
    pub passed: bool,
    /// Every term by name; `None` where it could not be judged.
    pub terms: BTreeMap<String, Option<Score>>,
    /// Every gate that was read.
    pub gates: BTreeMap<GateId, GateReading>,
    /// How the clip stands against the best opponent; `None` without a reference that can judge motion.
    #[serde(default)]
    pub opponents: Option<OpponentReading>,
    /// What of the prompt was judged.
    pub prompt_read: PromptRead,
    /// SHA-256 over the decoded planes, frame by frame (`Yuv420Clip::digest`).
    pub frame_digest: Digest,
    /// SHA-256 of the canonical JSON of all fields above.
    pub score_digest: Digest,
    /// How the clip is known again (G8). It follows from the frames, whose digest is above, so the score digest leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<ClipTrack>,
}
