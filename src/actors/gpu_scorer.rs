//! GpuScorer: turns frames into verdicts on the scoring device, a bounded number of clips at a time.

use std::sync::Arc;

use actix::Context;
use tracing::Instrument;

use crate::{
    domain::outcome::{Fault, Outcome, RejectedPixels, Stage},
    gpu::port::{ScoreJob, Scorer, ScorerError, Verdict},
    quality::embeddings::FrameModels,
    receives, routing_actor,
    runtime::post::Hold,
};

use super::messages::ScoreClip;

/// What the scorer actor works with.
#[derive(Clone)]
pub struct ScorerParts {
    /// The device.
    pub scorer: Arc<dyn Scorer>,
    /// The networks that the rules name, if any.
    pub models: Option<Arc<dyn FrameModels>>,
    /// Prompts of the corpus's clips, which a text model sets beside a round's.
    pub prompts: Arc<[String]>,
}

routing_actor!(
    /// Turns frames into verdicts.
    GpuScorer works with ScorerParts
);

receives!(GpuScorer, stats: ScoreClip => on_score_clip);

impl GpuScorer {
    fn on_score_clip(&mut self, message: ScoreClip, hold: Hold, _ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        let span = tracing::info_span!(parent: &message.ticket.span, "score");
        tokio::spawn(
            async move {
                match score(&parts, message).await {
                    Ok(()) => hold.done(),
                    Err(cause) => hold.failed(&cause),
                }
            }
            .instrument(span),
        );
    }
}

async fn score(parts: &ScorerParts, message: ScoreClip) -> Result<(), ScorerError> {
    let ScoreClip { mut ticket, frames } = message;
    ticket.timings.score_wait_ms = ticket.waited_ms();
    let context = Arc::clone(&ticket.context);
    if *context.head.borrow() > context.plan.settle_by {
        ticket.settle(Outcome::Expired { stage: Stage::Score });
        return Ok(());
    }
    let clip = Arc::clone(&frames);
    let job = ScoreJob {
        clip: frames,
        first_frame: Arc::clone(&context.prepared.first_frame),
        reference: Some(Arc::clone(&context.prepared.reference)),
        prompt: context.plan.clip.prompt.as_str().into(),
        others: Arc::clone(&parts.prompts),
        rules: Arc::clone(&context.rules),
        models: parts.models.clone(),
    };
    let mut verdict = parts.scorer.score(job.clone()).await;
    if matches!(verdict, Err(ScorerError::Device(_) | ScorerError::Models(_))) {
        // What was lost is rebuilt by its owner; the clip gets one more try.
        verdict = parts.scorer.score(job).await;
    }
    ticket.timings.score_ms = ticket.waited_ms();
    match verdict {
        Ok(Verdict::Scored(card)) => {
            tracing::debug!(overall = %card.overall, passed = card.passed, digest = %card.score_digest.short(), "scored");
            ticket.settle(Outcome::Scored { card });
            Ok(())
        }
        Ok(Verdict::Gated { gate, reading, reason }) => {
            tracing::debug!(%gate, "{reason}");
            let pixels = RejectedPixels { frame_digest: clip.digest(), reading };
            ticket.settle(Outcome::Rejected { gate, reason, pixels: Some(Box::new(pixels)) });
            Ok(())
        }
        Err(cause) => {
            let reason = match &cause {
                ScorerError::Models(_) => "embedding_models_failed",
                ScorerError::Device(_) | ScorerError::Shape(_) => "scoring_device_failed",
            };
            let reason = reason.to_string();
            ticket.settle(Outcome::Forfeit { stage: Stage::Score, fault: Fault::Us, reason });
            Err(cause)
        }
    }
}
