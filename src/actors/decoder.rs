//! Decoder: turns a miner's file into frames, in child processes, a bounded number at a time.

use std::sync::Arc;

use actix::Context;
use bytes::Bytes;
use tracing::Instrument;

use crate::{
    decode::{DecodeError, DecodedClip},
    domain::outcome::{Fault, Outcome, Stage},
    receives, routing_actor,
    runtime::post::{Hold, Post},
    store::spool::SpooledFile,
};

use super::{
    gpu_scorer::GpuScorer,
    messages::{DecodeClip, ScoreClip},
};

/// Decodes of one file before our own trouble with it settles the ticket.
const ATTEMPTS: u32 = 2;

/// What the decoder works with.
#[derive(Clone)]
pub struct DecoderParts {
    /// Runs the child processes.
    pub decoder: Arc<crate::decode::Decoder>,
    /// The next stage.
    pub scorer: Post<GpuScorer>,
}

routing_actor!(
    /// Turns miners' files into frames.
    Decoder works with DecoderParts
);

receives!(Decoder, stats: DecodeClip => on_decode_clip);

impl Decoder {
    fn on_decode_clip(&mut self, message: DecodeClip, hold: Hold, _ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        let span = tracing::info_span!(parent: &message.ticket.span, "decode");
        tokio::spawn(
            async move {
                match decode(&parts, message).await {
                    Ok(next) => {
                        // The decode's place stays taken until the scorer has room: when the
                        // scorer is full the decoder waits.
                        if let Ok(place) = parts.scorer.reserve().await {
                            parts.scorer.deliver_reserved(place, next);
                        }
                        hold.done();
                    }
                    Err(None) => hold.done(),
                    Err(Some(cause)) => hold.failed(&cause),
                }
            }
            .instrument(span),
        );
    }
}

/// Only files that are being decoded are in memory.
async fn read(file: SpooledFile) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(tokio::task::spawn_blocking(move || file.read()).await??.into())
}

/// Decodes and hands on; a ticket that ends here is settled. `Err` carries our own failure.
async fn decode(parts: &DecoderParts, message: DecodeClip) -> Result<ScoreClip, Option<DecodeError>> {
    let DecodeClip { mut ticket, file } = message;
    ticket.timings.decode_wait_ms = ticket.waited_ms();
    if *ticket.context.head.borrow() > ticket.context.plan.settle_by {
        ticket.settle(Outcome::Expired { stage: Stage::Decode });
        return Err(None);
    }
    let file = match read(file).await {
        Ok(file) => file,
        Err(cause) => {
            tracing::error!("{cause}");
            let reason = "spool_failed".to_owned();
            ticket.settle(Outcome::Forfeit { stage: Stage::Decode, fault: Fault::Us, reason });
            return Err(None);
        }
    };
    let spec = ticket.context.plan.spec;
    let mut result = parts.decoder.decode_clip(file.clone(), spec).await;
    for _ in 1..ATTEMPTS {
        if !matches!(&result, Err(cause) if cause.fault() == Fault::Us) {
            break;
        }
        result = parts.decoder.decode_clip(file.clone(), spec).await;
    }
    ticket.timings.decode_ms = ticket.waited_ms();
    match result {
        Ok(DecodedClip { frames, .. }) => Ok(ScoreClip { ticket, frames }),
        Err(DecodeError::Gate { gate, reason }) => {
            tracing::debug!(%gate, "{reason}");
            ticket.settle(Outcome::Rejected { gate, reason, pixels: None });
            Err(None)
        }
        Err(cause) => {
            let fault = cause.fault();
            tracing::warn!(?fault, "{cause}");
            ticket.settle(Outcome::Forfeit { stage: Stage::Decode, fault, reason: cause.to_string() });
            Err((fault == Fault::Us).then_some(cause))
        }
    }
}
