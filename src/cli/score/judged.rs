//! One clip from its path to its verdict.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;

use super::Scene;
use crate::{
    cli::{
        exit::{Exit, Failure},
        files::{Content, read},
    },
    decode::{DecodeError, DecodeJob, Decoder},
    domain::{
        ids::Digest,
        outcome::Fault,
        score::{GateId, GateReading, ScoreCard},
    },
    gpu::port::{ScoreJob, Scorer, ScorerError, Verdict},
    quality::frame::Yuv420Clip,
};

/// Tries of a stage that fails by our own fault.
const ATTEMPTS: u32 = 2;

/// How one clip fared.
pub(super) enum ClipVerdict {
    /// Scored.
    Scored(Box<ScoreCard>),
    /// Rejected by a gate; in a round it counts as zero.
    Rejected {
        /// Which gate.
        gate: GateId,
        /// What it catches and the numbers, as one sentence.
        reason: String,
        /// The gate's numbers, when it is read from pixels.
        reading: Option<GateReading>,
    },
}

/// A clip with its verdict.
pub(super) struct Judged {
    /// The path as it was given.
    pub(super) name: String,
    /// The verdict.
    pub(super) verdict: ClipVerdict,
    /// The decoded planes, when the file could be decoded.
    pub(super) planes: Option<Arc<Yuv420Clip>>,
    /// Digest of the planes.
    pub(super) frame_digest: Option<Digest>,
}

impl Judged {
    /// Reads, decodes and scores one clip.
    ///
    /// # Errors
    /// When the file cannot be read, or we fail: never for a file that breaks a rule.
    pub(super) async fn of(
        path: &Path,
        decoder: &Decoder,
        scorer: &dyn Scorer,
        scene: &Scene,
    ) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let planes = match decode(path, decoder, scene).await? {
            Ok(planes) => planes,
            Err(verdict) => return Ok(Self { name, verdict, planes: None, frame_digest: None }),
        };
        let verdict = score(scorer, scene, &planes)
            .await
            .map_err(|cause| Failure::new(Exit::Internal, anyhow!(cause).context(name.clone())))?;
        let (verdict, frame_digest) = match verdict {
            Verdict::Scored(card) => {
                let digest = card.frame_digest;
                (ClipVerdict::Scored(card), digest)
            }
            Verdict::Gated { gate, reading, reason } => {
                (rejected(gate, &reason, Some(reading)), planes.digest())
            }
        };
        Ok(Self { name, verdict, planes: Some(planes), frame_digest: Some(frame_digest) })
    }
}

fn rejected(gate: GateId, reason: &str, reading: Option<GateReading>) -> ClipVerdict {
    ClipVerdict::Rejected { gate, reason: format!("{}: {reason}", gate.catches()), reading }
}

/// The clip's planes, or the verdict of the gate that refused the file.
async fn decode(
    path: &Path,
    decoder: &Decoder,
    scene: &Scene,
) -> Result<Result<Arc<Yuv420Clip>, ClipVerdict>, Failure> {
    let spec = scene.rules.rules.request;
    let most = u64::from(scene.rules.rules.limits.answer_bytes);
    let mut result = match read(path, most)? {
        Content::TooLarge { bytes } => {
            Err(DecodeError::TooLarge { job: DecodeJob::Clip, bytes, limit: most })
        }
        Content::Whole(file) => {
            let mut result = decoder.decode_clip(file.clone(), spec).await;
            for _ in 1..ATTEMPTS {
                if matches!(&result, Err(cause) if cause.fault() == Fault::Us) {
                    result = decoder.decode_clip(file.clone(), spec).await;
                }
            }
            result
        }
    };
    match &mut result {
        Ok(clip) => Ok(Ok(Arc::clone(&clip.frames))),
        Err(cause) => match cause.gate() {
            Some((gate, reason)) => Ok(Err(rejected(gate, &reason, None))),
            None => Err(Failure::new(Exit::Internal, anyhow!("{}: {cause}", path.display()))),
        },
    }
}

async fn score(scorer: &dyn Scorer, scene: &Scene, planes: &Arc<Yuv420Clip>) -> Result<Verdict, ScorerError> {
    let job = ScoreJob {
        clip: Arc::clone(planes),
        first_frame: Arc::clone(&scene.first_frame),
        reference: scene.reference.clone(),
        prompt: Arc::clone(&scene.prompt),
        others: Arc::new([]),
        rules: Arc::new(scene.rules.rules.clone()),
        models: scene.models.clone(),
    };
    let mut verdict = scorer.score(job.clone()).await;
    for _ in 1..ATTEMPTS {
        if matches!(verdict, Err(ScorerError::Device(_) | ScorerError::Models(_))) {
            // A lost device is rebuilt by its owner; the clip gets one more try.
            verdict = scorer.score(job.clone()).await;
        }
    }
    verdict
}
