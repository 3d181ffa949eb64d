//! What the registry and the challenger need of the services where miners live.

use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

use crate::domain::{
    commitment::Commitment,
    outcome::Fault,
    plan::ClipSpec,
    roster::{Deployment, Lookup},
};

/// A failed check or call, with who is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({detail})")]
pub struct ServiceFault {
    /// Who is to blame.
    pub fault: Fault,
    /// Reason code, e.g. `chute_not_running`, `answer_timeout`.
    pub reason: String,
    /// What was seen: host, status, bytes.
    pub detail: String,
}

/// A request for one clip.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// Host part of the chute; matches `[a-z0-9-]+`.
    pub slug: String,
    /// The prompt.
    pub prompt: String,
    /// The given first frame as a PNG file.
    pub first_frame_png: Bytes,
    /// Shape of the clip.
    pub spec: ClipSpec,
    /// Seed, distinct per miner.
    pub seed: u32,
    /// Wall-clock limit of the whole call, body included.
    pub timeout: Duration,
}

/// A miner's answer.
#[derive(Clone, Debug)]
pub struct GeneratedClip {
    /// The file as received.
    pub bytes: Bytes,
    /// Time from the request to the last byte.
    pub latency: Duration,
    /// `X-Chutes-InvocationID` of the answer.
    pub invocation_id: Option<String>,
}

/// The services where miners live.
#[async_trait]
pub trait MinerServices: Send + Sync {
    /// Checks that the commitment's model and chute exist, run and agree with it.
    async fn resolve(&self, commitment: &Commitment) -> Result<Deployment, ServiceFault>;
    /// The same checks as a row for [`crate::domain::roster::build_roster`]; a client that can also
    /// tells the model's hash when only the chute failed.
    async fn look_up(&self, commitment: &Commitment) -> Lookup {
        match self.resolve(commitment).await {
            Ok(deployment) => Lookup::Found { deployment },
            Err(ServiceFault { fault, reason, .. }) => Lookup::Failed { fault, reason, model_hash: None },
        }
    }
    /// Asks one miner for one clip.
    async fn generate(&self, request: GenerateRequest) -> Result<GeneratedClip, ServiceFault>;
}
