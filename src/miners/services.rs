//! The real clients behind [`MinerServices`].

use async_trait::async_trait;
use reqwest::Client;

use crate::domain::{
    commitment::Commitment,
    outcome::Fault,
    roster::{Deployment, Lookup},
};

use super::{
    chutes,
    huggingface::{self, KnownModels},
    options::{Checked, ServicesError, ServicesOptions},
    port::{GenerateRequest, GeneratedClip, MinerServices, ServiceFault},
    wire,
};

/// Chutes and Hugging Face over HTTP. Every call is one exchange: no redirects, no proxy from the
/// environment, no retries, bounded in bytes and time.
pub struct HttpServices {
    client: Client,
    checked: Checked,
    models: KnownModels,
}

impl HttpServices {
    /// Checks the options and builds the client; connects nowhere.
    pub fn new(options: ServicesOptions) -> Result<Self, ServicesError> {
        let checked = Checked::new(options)?;
        Ok(Self { client: wire::client(&checked)?, checked, models: KnownModels::default() })
    }

    /// Both look-ups side by side; beside a failure the model's hash where it is known.
    async fn find(&self, commitment: &Commitment) -> Result<Deployment, (ServiceFault, Option<String>)> {
        if let Err(fault) = commitment.check_form() {
            let detail = "the commitment's fields do not fit into an address".to_owned();
            return Err((ServiceFault { fault: Fault::Miner, reason: fault.to_string(), detail }, None));
        }
        let both = tokio::join!(
            chutes::look_up(&self.client, &self.checked, commitment),
            huggingface::look_up(&self.client, &self.checked, &self.models, commitment),
        );
        match both {
            (Ok(slug), Ok(model_hash)) => {
                Ok(Deployment { chute_id: commitment.chute_id.clone(), slug, model_hash })
            }
            (Err(chute), Err(model)) => Err((first_to_name(chute, model), None)),
            (Err(chute), Ok(model_hash)) => Err((chute, Some(model_hash))),
            (Ok(_), Err(model)) => Err((model, None)),
        }
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

    async fn generate(&self, request: GenerateRequest) -> Result<GeneratedClip, ServiceFault> {
        chutes::generate(&self.client, &self.checked, request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certain_is_named_before_what_may_pass() {
        let fault =
            |fault, reason: &str| ServiceFault { fault, reason: reason.into(), detail: String::new() };
        let pick = |chute, model| first_to_name(fault(chute, "chute"), fault(model, "model")).reason;
        assert_eq!(pick(Fault::Miner, Fault::Miner), "chute");
        assert_eq!(pick(Fault::Us, Fault::Miner), "model");
        assert_eq!(pick(Fault::Miner, Fault::Us), "chute");
        assert_eq!(pick(Fault::Platform, Fault::Us), "chute");
    }
}
