//! The scoring part of `rules.toml`: terms, weights, gates and thresholds. All values are integers.

use serde::{Deserialize, Serialize};

use super::ids::Digest;

/// How measures become a verdict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoringRules {
    /// Least overall score of a clip that passes, 1..=10000.
    pub pass_overall: u16,
    /// Least score of every axis of a clip that passes, 1..=10000.
    pub pass_axis: u16,
    /// Weights of the axes in the overall score.
    pub weights: AxisWeights,
    /// The networks that read clips; without this table the terms that rest on them are `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelRules>,
    /// The text model that reads prompts; without this table only their words about the camera are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextRules>,
    /// Terms of the first-frame axis.
    pub first_frame: FirstFrameTerms,
    /// Terms of the prompt axis.
    pub prompt: PromptTerms,
    /// What a movement of the camera is.
    pub camera: CameraRule,
    /// Terms of the temporal axis.
    pub temporal: TemporalTerms,
    /// Motion amount against the reference, which multiplies the temporal axis.
    pub dynamics: DynamicsRule,
    /// Terms of the artifacts axis.
    pub artifacts: ArtifactTerms,
    /// The cheats that a clip must beat.
    pub opponents: OpponentRule,
    /// Gates that are read from pixels.
    pub gates: GateRules,
}

/// Weights of the axes; an axis that does not exist for a clip leaves its weight to the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisWeights {
    /// First-frame fidelity.
    pub first_frame: u32,
    /// Prompt adherence.
    pub prompt: u32,
    /// Temporal quality.
    pub temporal: u32,
    /// Visual artifacts.
    pub artifacts: u32,
}

/// The networks that read clips, by the SHA-256 of their weights. Another set is another digest of the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRules {
    /// Of the distance of first frames.
    pub perceptual: Digest,
    /// Of the embeddings of frames.
    pub embedding: Digest,
    /// What the canonical path says of drawn pictures with these weights: names the arithmetic.
    pub answers: Digest,
}

/// The text model that reads prompts, by the SHA-256 of its files, and how its readings become the prompt axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRules {
    /// The model.
    pub model: TextModelRules,
    /// Taken off what a frame is ranked among, in 1/1000 nat.
    pub slack: i64,
    /// Least change of the real clip towards a sentence that can judge change, in 1/1000 nat.
    pub least_gain: i64,
    /// Rank among the real clip's frames, in 1/10000.
    pub txt_rel: TermRule,
    /// Change towards the prompt against the real clip's, in 1/1000.
    pub delta_txt: TermRule,
    /// Weight of what camera words gave, where they were read.
    pub camera_weight: u32,
    /// Ceiling for another scene.
    pub anchor: AnchorRule,
}

/// A text model by the SHA-256 of its files. Another one is another digest of the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextModelRules {
    /// Of its weights.
    pub weights: Digest,
    /// Of its list of byte pairs.
    pub tokens: Digest,
    /// What the canonical path says of a drawn picture and text: names the arithmetic.
    pub answers: Digest,
}

/// From the likeness of a clip to the real one to a ceiling of the prompt axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorRule {
    /// Median cosine of frames with the real clip's, in 1/1024, at and below which the ceiling is lowest: another scene's.
    pub bad: i64,
    /// The same, from which there is no ceiling.
    pub good: i64,
    /// The lowest ceiling, 1..=10000.
    pub ceiling: u16,
}

/// How one raw value becomes a score: linear between `bad` (1) and `good` (10000).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermRule {
    /// Raw value that scores 1, in the term's unit.
    pub bad: i64,
    /// Raw value that scores 10000, in the term's unit.
    pub good: i64,
    /// Weight inside the axis; zero records the term without counting it.
    pub weight: u32,
}

/// Terms of the first-frame axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstFrameTerms {
    /// SSIM of luma, in 1/10000.
    pub ssim0: TermRule,
    /// Mean colour distance after an 8x8 box, in 1/64 level.
    pub color0: TermRule,
    /// Largest corner displacement of the affine alignment, in 1/8 pixel.
    pub align0: TermRule,
    /// Drift of the colour histogram from the first frame's beyond the reference's, in 1/10000.
    pub palette: TermRule,
    /// Perceptual distance of the returned first frame from the given one, in 1/1024.
    pub lpips0: TermRule,
    /// Likeness of later frames to the given one, as a part of the reference's, in 1/1000.
    pub id_drift: TermRule,
}

/// Terms of the prompt axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTerms {
    /// What the camera does of what the prompt asks of it, in 1/1000.
    pub camera: TermRule,
}

/// What a movement of the camera is, over a whole clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraRule {
    /// Way that a prompt without a word of pace asks for, in 1/1000 of the picture's side, or of its size for zooms.
    pub movement: i64,
    /// Least part of it that the reference must go for the words to be judged, in 1/1000.
    pub least: i64,
}

/// Terms of the temporal axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemporalTerms {
    /// Mean motion-compensated error relative to local contrast, against the reference's, in 1/1000.
    pub warp: TermRule,
    /// Strongest sign of a cut beyond the reference's, in 1/1000.
    pub cut: TermRule,
    /// Second difference of brightness along the motion or of whole planes beyond the reference's, in 1/256 level.
    pub flicker: TermRule,
    /// Acceleration of residual motion against the motion itself beyond the reference's, in 1/1000.
    pub jerk: TermRule,
    /// Likeness of frames 2 to 80 apart, the least as a part of the reference's, in 1/1000.
    pub drift: TermRule,
}

/// Terms of the artifacts axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactTerms {
    /// Grid-aligned gradient beyond the first frame's and the reference's, in 1/1024 of the mean gradient.
    pub blockiness: TermRule,
    /// Half-size Laplacian energy against the budget's, in 1/1000.
    pub blur: TermRule,
    /// Full-size Laplacian energy against the budget's, in 1/1000.
    pub noise: TermRule,
    /// Black and white pixels beyond the first frame's and the reference's, in 1/10000.
    pub clipping: TermRule,
    /// Drift of the mean saturation beyond the reference's, in 1/1000 of the first frame's.
    pub saturation: TermRule,
    /// Drift of the hues beyond the reference's, in 1/100 degree.
    pub hue: TermRule,
    /// Farthest that mean luma goes from the first frame's beyond the reference's, in 1/256 level.
    pub exposure: TermRule,
    /// Oscillation beside strong edges beyond the first frame's and the reference's, in 1/64 level.
    pub ringing: TermRule,
    /// Steps between flat regions beyond the first frame's and the reference's, in 1/1000.
    pub banding: TermRule,
    /// What repeats at a locked period of 2 to 16 pixels beyond the first frame's and the reference's, in 1/64 level.
    pub checker: TermRule,
    /// Change of flat and still ground along the motion beyond the reference's, in 1/256 level.
    pub temporal_noise: TermRule,
    /// What residual motion deforms, against the reference's, in 1/1000.
    pub structure: TermRule,
}

/// Motion amount against the reference, ratios in 1/1000, linear in the logarithm between the points.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsRule {
    /// At and below this ratio the motion counts nothing.
    pub zero_below: u32,
    /// From this ratio on the motion counts in full ...
    pub full_from: u32,
    /// ... up to this one.
    pub full_to: u32,
    /// At and above this ratio the motion counts nothing.
    pub zero_above: u32,
    /// Least residual motion of a reference that can judge motion, per pair and 1000 blocks, in 1/8 pixel.
    pub min_reference_residual: i64,
}

/// The cheats that a clip must beat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpponentRule {
    /// Whether a clip that does not beat them cannot pass.
    pub mode: GateMode,
    /// Lead in living quality over the best of them.
    pub margin: u16,
    /// Share of its quality that a clip without life keeps, in 1/1000.
    pub still_share: i64,
    /// Length of an opponent, in frames (at most those that were asked for): it does the same in every pair.
    pub frames: u32,
}

/// Whether a gate's condition decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateMode {
    /// The condition rejects (G4: caps).
    Decides,
    /// The condition is recorded only.
    Advisory,
}

/// Gates that are read from pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRules {
    /// G2.
    pub freeze: FreezeGate,
    /// G4.
    pub pan_zoom: PanZoomGate,
    /// G12, the part that is read from pixels.
    pub border: BorderGate,
    /// G3.
    pub shimmer: ShimmerGate,
    /// G5.
    pub recurrence: RecurrenceGate,
    /// G6.
    pub crossfade: CrossfadeGate,
    /// G7.
    pub source_copy: SourceCopyGate,
    /// G8, the part that is read from pixels.
    pub copy: CopyGate,
    /// G9.
    pub overlay: OverlayGate,
    /// G12, the part that reads the spectrum.
    pub spectrum: SpectrumGate,
}

/// G8: another miner's clip, encoded anew. Equal files and equal frames decide in every mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// How unlike two tracks may be that show one clip, in 1/1000 of their changes, where ...
    pub unlike: i64,
    /// ... both change by this much or more on average, in 1/256 level; in proportion less, down to half, where
    /// one changes less.
    pub change: i64,
    /// Earlier rounds whose clips are compared too.
    pub rounds: u32,
}

/// G3: noise that poses as motion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShimmerGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// The share of motion that goes on over three frames stays below this part of the reference's, in 1/1000, while ...
    pub share: i64,
    /// ... pixels change, or blocks seem to move, by this part of the reference's or more, in 1/1000.
    pub change: i64,
    /// Least such share of a reference that can judge it, in 1/1000.
    pub min_reference_share: i64,
}

/// G5: what was shown before, again or backwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecurrenceGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// Least number of frames between a frame and its return; G2 reads shorter cycles.
    pub shortest_lag: u32,
    /// Distance of a frame to its return, against that of frames six apart, in 1/1000, and ...
    pub ratio: i64,
    /// ... against the reference's own least such ratio, in 1/1000.
    pub of_reference: i64,
}

/// G6: a picture that fades into another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossfadeGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// Least mean distance of a window's ends, in 1/256 level (chroma counts half).
    pub change: i64,
    /// What the best mixture of the ends leaves of the frames between, in 1/1000 of the ends' difference, and ...
    pub residual: i64,
    /// ... against the least of the reference's windows, in 1/1000.
    pub of_reference: i64,
    /// How far the share of the last frame may fall back, in 1/1000.
    pub reversal: i64,
    /// What following the flow leaves of the difference of neighbouring frames, at least, in 1/1000.
    pub unexplained: i64,
}

/// G7: the real clip itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCopyGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// First frame that is compared: nearer to the given first frame every honest clip is near the reference.
    pub from_frame: u32,
    /// Offsets in time that are tried, in frames both ways.
    pub reach: u32,
    /// Distance to the reference over the reference's own change since its first frame, in 1/1000, and ...
    pub unlike: i64,
    /// ... that distance itself, mean over what has changed, in 1/256 level, and ...
    pub distance: i64,
    /// ... differing bits of the perceptual hashes, mean in 1/1000, up to which the clip is a copy.
    pub hash: i64,
}

/// G9: writing that is laid over the clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlayGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// New standing edges in dense blocks beyond the reference's, in half-size pixels beyond 40 a block.
    pub strokes: i64,
}

/// G12: a clip that was made smaller and enlarged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpectrumGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// What the sharpest blocks have in the highest octave against the one below, in 1/1000, and ...
    pub share: i64,
    /// ... that share against the lesser one of the given first frame and the reference, in 1/1000; or ...
    pub of_given: i64,
    /// ... that alone, in 1/1000.
    pub of_given_alone: i64,
    /// Least number of textured blocks that are judged.
    pub blocks: i64,
}

/// G2: a clip that stands still, or repeats a few frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// A pair stands still when its mean absolute luma difference stays below this, in 1/256 level, ...
    pub noise_mean: i64,
    /// ... and its largest 16x16 block difference below this, in levels summed.
    pub noise_block: i64,
    /// Longest run of still pairs, or ...
    pub longest_run: u32,
    /// ... number of still pairs from which the clip may be a freeze, when in addition ...
    pub still_pairs: u32,
    /// ... residual motion is below this part of the reference's, in 1/1000.
    pub residual: i64,
    /// Still pairs beyond the reference's, in 1/1000 of all pairs, that make a freeze by themselves.
    pub excess_still: i64,
    /// Frames equal to the one 2..=8 earlier, in 1/1000, from which the clip is a repeated pattern.
    pub cycle: i64,
}

/// G4: the still, panned or zoomed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanZoomGate {
    /// Whether it caps.
    pub mode: GateMode,
    /// Blocks explained by one affine motion, in 1/1000, and ...
    pub explained: i64,
    /// ... residual motion below this part of the reference's, in 1/1000.
    pub residual: i64,
    /// Cap of the temporal and prompt axes.
    pub cap: u16,
}

/// G12: bars that the given first frame does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BorderGate {
    /// Whether it decides.
    pub mode: GateMode,
    /// Thickness beyond the first frame's bars, in pixels.
    pub thickness: u32,
}
