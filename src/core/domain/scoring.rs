//! The scoring part of `rules.toml`: terms, weights, gates and thresholds. All values are integers.

use serde::{Deserialize, Serialize};

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
    /// Terms of the first-frame axis.
    pub first_frame: FirstFrameTerms,
    /// Terms of the temporal axis.
    pub temporal: TemporalTerms,
    /// Motion amount against the reference, which multiplies the temporal axis.
    pub dynamics: DynamicsRule,
    /// Terms of the artifacts axis.
    pub artifacts: ArtifactTerms,
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
