//! What the `GpuScorer` actor needs of a scoring device.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::{
    domain::rules::Rules,
    quality::{
        embeddings::{FrameModels, ModelError},
        frame::Yuv420Clip,
    },
};

pub use crate::quality::verdict::Verdict;

/// One clip to judge. The planes are shared, never copied.
#[derive(Clone, Debug)]
pub struct ScoreJob {
    /// The miner's decoded clip `[frames, height, width]`, YUV 4:2:0.
    pub clip: Arc<Yuv420Clip>,
    /// The given first frame, one frame of the same size.
    pub first_frame: Arc<Yuv420Clip>,
    /// The real clip that the first frame came from; `None` makes the terms that need it `null`.
    pub reference: Option<Arc<Yuv420Clip>>,
    /// The prompt.
    pub prompt: Arc<str>,
    /// Prompts of other tasks, which a text model sets beside it.
    pub others: Arc<[String]>,
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// The networks that are loaded; the rules say whether they are asked. They have a device of their own.
    pub models: Option<Arc<dyn FrameModels>>,
}

/// Name of the device that computes, for logs and reports; never part of a digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AdapterInfo {
    /// Device name.
    pub name: String,
    /// `cpu`, `vulkan`, `metal` or `dx12`.
    pub backend: String,
}

/// How a device has fared since the start. All zero on the CPU, which cannot be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ScorerHealth {
    /// Times the device failed while scoring or was lost.
    pub device_failures: u64,
    /// Times it was opened anew and passed its self-test.
    pub rebuilds: u64,
    /// Clips that were scored a second time because the device failed under them.
    pub retried_clips: u64,
    /// Submissions of work.
    pub submissions: u64,
    /// Longest submission in microseconds, waiting included.
    pub longest_submission_us: u64,
    /// Bytes of device buffers, in use or kept for the next clip.
    pub buffer_bytes: u64,
}

/// Failures of the device; never the miner's fault.
#[derive(Debug, thiserror::Error)]
pub enum ScorerError {
    /// The given first frame or the reference does not have the size and length of the rules.
    #[error("scorer was given planes that do not fit together: {0}")]
    Shape(String),
    /// The device or its worker died while scoring.
    #[error("scoring device failed: {0}")]
    Device(String),
    /// The embedding models that the rules name are not there or gave no answer.
    #[error(transparent)]
    Models(#[from] ModelError),
}

/// A device that turns planes into verdicts. Equal jobs give equal verdicts on every device.
#[async_trait]
pub trait Scorer: Send + Sync {
    /// Judges one clip off the caller's thread.
    async fn score(&self, job: ScoreJob) -> Result<Verdict, ScorerError>;
    /// The device in use.
    fn adapter(&self) -> AdapterInfo;
    /// How the device has fared.
    fn health(&self) -> ScorerHealth {
        ScorerHealth::default()
    }
}
