//! The real clients behind [`MinerServices`].

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::Client;
use tokio::sync::Semaphore;

use crate::{
    domain::{
        commitment::Commitment,
        ids::BlockHash,
        outcome::Fault,
        roster::{Deployment, Lookup},
    },
    store::spool::Spool,
};

use super::{
    cache::{Cache, CacheLimits},
    chutes::{self, Chutes},
    faults::Call,
    files::Files,
    host::{Host, HostOptions},
    huggingface::{self, Model},
    options::{Checked, ServicesError, ServicesOptions},
    port::{Canary, GenerateRequest, GeneratedClip, MinerServices, ServiceFault},
    protocol::ChuteRecord,
    weights::{WeightFile, WeightSample},
    wire::{self, Limit, Reuse},
};

/// Where Chutes' API is down, what it said of a chute that ran counts for this long.
const STALE_FOR: Duration = Duration::from_secs(3600);
/// What a miner can mend is looked at again after this.
const FAILED_FOR: Duration = Duration::from_secs(20);
/// Warm-ups that are followed at the same time.
const WARMUPS_AT_ONCE: usize = 32;

const CHUTES_KEPT: CacheLimits = CacheLimits { entries: NonZeroUsize::new(4096).unwrap(), bytes: 4 << 20 };
const MODELS_KEPT: CacheLimits = CacheLimits { entries: NonZeroUsize::new(4096).unwrap(), bytes: 32 << 20 };

/// What Chutes said of a chute.
#[derive(Clone)]
struct SeenChute {
    said: Result<ChuteRecord, ServiceFault>,
    /// Until when it is not asked again.
    fresh_until: Instant,
}

/// Repository and revision.
type ModelKey = (String, String);

/// Chutes and Hugging Face over HTTP: no redirects, no proxy from the environment, bounded in bytes, in time and
/// in number; look-ups are remembered and tried again, a call for a clip is made once.
pub struct HttpServices {
    /// For look-ups, whose connections are kept.
    lookups: Client,
    /// For clips.
    clips: Client,
    checked: Checked,
    chutes_host: Host,
    models_host: Host,
    files_host: Host,
    warmups: Semaphore,
    chutes: Cache<String, SeenChute>,
    models: Cache<ModelKey, Result<Arc<Model>, ServiceFault>>,
}

impl HttpServices {
    /// Checks the options and builds the clients; connects nowhere.
    pub fn new(options: ServicesOptions) -> Result<Self, ServicesError> {
        let checked = Checked::new(options)?;
        let options = &checked.options;
        let host = |call, salt: u64| {
            let (at_once, whole) = (options.lookups_at_once, options.lookup_timeout);
            let (backoff, seed) = (options.backoff, options.jitter_seed ^ salt);
            Host::new(HostOptions { call, at_once, whole, backoff, seed })
        };
        Ok(Self {
            lookups: wire::client(&checked, Reuse::Kept { idle: options.lookups_at_once })?,
            clips: wire::client(&checked, Reuse::Fresh)?,
            chutes_host: host(Call::ChuteLookup, 1),
            models_host: host(Call::ModelLookup, 2),
            files_host: host(Call::ModelLookup, 3),
            warmups: Semaphore::new(WARMUPS_AT_ONCE),
            chutes: Cache::new(CHUTES_KEPT),
            models: Cache::new(MODELS_KEPT),
            checked,
        })
    }

    fn lookups(&self) -> Chutes<'_> {
        Chutes { client: &self.lookups, checked: &self.checked }
    }

    /// Both look-ups side by side; beside a failure the model's hash where it is known.
    async fn find(&self, commitment: &Commitment) -> Result<Deployment, (ServiceFault, Option<String>)> {
        if let Err(fault) = commitment.check_form() {
            let detail = "the commitment's fields do not fit into an address".to_owned();
            let fault =
                ServiceFault { fault: Fault::Miner, reason: fault.to_string(), detail, retry_after: None };
            return Err((fault, None));
        }
        let both = tokio::join!(self.find_chute(commitment), self.find_model(commitment));
        match both {
            (Ok(slug), Ok(model)) => {
                Ok(Deployment { chute_id: commitment.chute_id.clone(), slug, model_hash: model.hash.clone() })
            }
            (Err(chute), Err(model)) => Err((first_to_name(chute, model), None)),
            (Err(chute), Ok(model)) => Err((chute, Some(model.hash.clone()))),
            (Ok(_), Err(model)) => Err((model, None)),
        }
    }

    /// The host part of a commitment's chute, where it can be asked.
    async fn find_chute(&self, commitment: &Commitment) -> Result<String, ServiceFault> {
        let (key, now) = (&commitment.chute_id, Instant::now());
        let known = self.chutes.get(key, now);
        let record = match known {
            Some(known) if now < known.fresh_until => known.said,
            stale => match self.lookups().record(&self.chutes_host, key).await {
                Err(fault) if fault.fault != Fault::Miner => {
                    // Only what ran is remembered for longer than it is fresh.
                    stale.map_or(Err(fault), |stale| stale.said)
                }
                said => {
                    self.remember(commitment, said.clone());
                    said
                }
            },
        };
        chutes::judge(&record?, commitment)
    }

    fn remember(&self, commitment: &Commitment, said: Result<ChuteRecord, ServiceFault>) {
        let (now, key) = (Instant::now(), commitment.chute_id.clone());
        let running = said.as_ref().is_ok_and(|record| chutes::judge(record, commitment).is_ok());
        let fresh = if running { self.checked.options.chutes_fresh_for } else { FAILED_FOR };
        let until = now + if running { STALE_FOR } else { FAILED_FOR };
        let bytes = key.len() + said.as_ref().map_or(512, ChuteRecord::bytes);
        let seen = SeenChute { said, fresh_until: now + fresh };
        self.chutes.put(key, seen, bytes, Some(until));
    }

    async fn find_model(&self, commitment: &Commitment) -> Result<Arc<Model>, ServiceFault> {
        let key = (commitment.model_name.clone(), commitment.model_revision.clone());
        if let Some(known) = self.models.get(&key, Instant::now()) {
            return known;
        }
        let found = huggingface::look_up(&self.lookups, &self.checked, &self.models_host, commitment).await;
        let found = found.map(Arc::new);
        let bytes = key.0.len() + key.1.len() + found.as_ref().map_or(512, |model| model.bytes());
        match &found {
            Ok(_) => self.models.put(key, found.clone(), bytes, None), // a revision's files never change
            Err(fault) if fault.fault == Fault::Miner => {
                self.models.put(key, found.clone(), bytes, Some(Instant::now() + FAILED_FOR));
            }
            Err(_) => {}
        }
        found
    }
}

/// Of two failures the miner's own decides, since it is certain; of two of the miner's the chute's
/// comes first, as in the community's tools.
fn first_to_name(chute: ServiceFault, model: ServiceFault) -> ServiceFault {
    if chute.fault != Fault::Miner && model.fault == Fault::Miner { model } else { chute }
}

#[async_trait]
impl MinerServices for HttpServices {
    async fn resolve(&self, commitment: &Commitment) -> Result<Deployment, ServiceFault> {
        self.find(commitment).await.map_err(|(fault, _)| fault)
    }

    async fn look_up(&self, commitment: &Commitment) -> Lookup {
        match self.find(commitment).await {
            Ok(deployment) => Lookup::Found { deployment },
            Err((fault, model_hash)) => {
                tracing::debug!(chute = %commitment.chute_id, %fault, "look-up failed");
                Lookup::Failed { fault: fault.fault, reason: fault.reason, model_hash }
            }
        }
    }

    fn weight_files(&self, commitment: &Commitment) -> Option<Arc<[WeightFile]>> {
        let key = (commitment.model_name.clone(), commitment.model_revision.clone());
        Some(Arc::clone(&self.models.get(&key, Instant::now())?.ok()?.files))
    }

    async fn weight_sample(
        &self,
        commitment: &Commitment,
        seed: &BlockHash,
    ) -> Result<Option<WeightSample>, ServiceFault> {
        let model = self.find_model(commitment).await?;
        let (client, checked, host) = (&self.lookups, &self.checked, &self.files_host);
        let mut files = Files { client, checked, host, commitment, moved: Default::default() };
        files.sample(&model.files, seed).await
    }

    async fn warm_up(&self, commitment: &Commitment) -> Result<(), ServiceFault> {
        // The semaphore is never closed; without a place the chute is woken all the same.
        let _place = self.warmups.acquire().await;
        let limit = Limit::starting_now(self.checked.options.warmup_timeout, Duration::ZERO);
        let woken = self.lookups().warm_up(&commitment.chute_id, limit).await;
        if woken.is_ok() {
            self.chutes.forget(&commitment.chute_id);
        }
        woken
    }

    async fn generate(&self, request: GenerateRequest, spool: &Spool) -> Result<GeneratedClip, ServiceFault> {
        Chutes { client: &self.clips, checked: &self.checked }.generate(request, spool).await
    }

    async fn ask_canary(&self, request: GenerateRequest, spool: &Spool) -> Option<Canary> {
        let id = self.checked.options.canary_chute.as_ref()?;
        // Asked anew: a canary that nobody keeps awake is no evidence.
        let record = self.lookups().record(&self.chutes_host, id).await;
        let slug = record.ok().filter(|record| record.hot)?.slug?;
        match self.generate(GenerateRequest { slug, ..request }, spool).await {
            Ok(_) => Some(Canary::Answered),
            Err(fault) => {
                tracing::warn!(canary = %id, "the canary chute failed: {fault}");
                Some(Canary::Failed { reason: fault.reason })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certain_is_named_before_what_may_pass() {
        let fault = |fault, reason: &str| ServiceFault {
            fault,
            reason: reason.into(),
            detail: String::new(),
            retry_after: None,
        };
        let pick = |chute, model| first_to_name(fault(chute, "chute"), fault(model, "model")).reason;
        assert_eq!(pick(Fault::Miner, Fault::Miner), "chute");
        assert_eq!(pick(Fault::Us, Fault::Miner), "model");
        assert_eq!(pick(Fault::Miner, Fault::Us), "chute");
        assert_eq!(pick(Fault::Platform, Fault::Us), "chute");
    }
}
