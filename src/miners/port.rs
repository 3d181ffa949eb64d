//! What the registry and the challenger need of the services where miners live.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    domain::{
        commitment::Commitment,
        ids::BlockHash,
        outcome::Fault,
        plan::ClipSpec,
        roster::{Deployment, Lookup},
    },
    store::spool::{Spool, SpooledFile},
};

use super::weights::{WeightFile, WeightSample};

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
    /// For how long the service asked us to stay away.
    pub retry_after: Option<Duration>,
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
    pub file: SpooledFile,
    /// Time from the request to the last byte.
    pub latency: Duration,
    /// `X-Chutes-InvocationID` of the answer.
    pub invocation_id: Option<String>,
}

/// How the validator's own chute fared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Canary {
    /// It answered with a clip.
    Answered,
    /// It was hot, and failed for this reason.
    Failed {
        /// Reason code.
        reason: String,
    },
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
    /// The weight files of a commitment's model, where a look-up found it.
    fn weight_files(&self, _commitment: &Commitment) -> Option<Arc<[WeightFile]>> {
        None
    }
    /// Slices of a model's tensors at places that a seed chooses; `None` where none can be read.
    async fn weight_sample(
        &self,
        _commitment: &Commitment,
        _seed: &BlockHash,
    ) -> Result<Option<WeightSample>, ServiceFault> {
        Ok(None)
    }
    /// Wakes a commitment's chute and waits, within bounds, until it is hot.
    async fn warm_up(&self, _commitment: &Commitment) -> Result<(), ServiceFault> {
        Ok(())
    }
    /// Asks one miner for one clip, which goes to the spool as it comes.
    async fn generate(&self, request: GenerateRequest, spool: &Spool) -> Result<GeneratedClip, ServiceFault>;
    /// Asks the validator's own chute, where it has one that runs, with a miner's request.
    async fn ask_canary(&self, _request: GenerateRequest, _spool: &Spool) -> Option<Canary> {
        None
    }
}
