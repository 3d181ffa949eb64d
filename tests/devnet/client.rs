//! A subxt client of a development chain, and the words that the stories are told in.

use std::sync::Arc;

use leoma::{
    chain::devnet::{DevNeuron, Devnet, DevnetConfig},
    domain::ids::{BlockHash, Hotkey},
};
use subxt::{
    OnlineClient, SubstrateConfig,
    backend::LegacyBackend,
    config::substrate::SubstrateExtrinsicParamsBuilder,
    dynamic,
    error::{BackendError, DispatchError, ExtrinsicError, RpcError, TransactionEventsError},
    events::Events,
    ext::{scale_decode::DecodeAsType, scale_encode::EncodeAsFields},
    rpcs::RpcClient,
    tx::{DynamicPayload, TransactionProgress},
};
use subxt_signer::sr25519::{Keypair, dev};

pub const NETUID: u16 = 99;
pub const TAO: u64 = 1_000_000_000;

pub fn hotkey(pair: &Keypair) -> Hotkey {
    Hotkey(pair.public_key().0)
}

/// //Alice owns the subnet and validates, //Bob validates, //Charlie and //Dave mine.
pub fn config() -> DevnetConfig {
    DevnetConfig {
        neurons: vec![
            DevNeuron::validator(hotkey(&dev::alice()), 1000 * TAO),
            DevNeuron::validator(hotkey(&dev::bob()), 3000 * TAO),
            DevNeuron::miner(hotkey(&dev::charlie()))
                .with_revealed(999_000, b"first")
                .with_revealed(999_500, b"second"),
            DevNeuron::miner(hotkey(&dev::dave())),
        ],
        ..DevnetConfig::default()
    }
}

pub type Progress =
    TransactionProgress<SubstrateConfig, subxt::client::OnlineClientAtBlockImpl<SubstrateConfig>>;

/// A refusal at submission: code, message and data of the JSON-RPC error.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: i32,
    pub message: String,
    pub data: Option<String>,
}

impl Refusal {
    pub fn invalid(data: &str) -> Self {
        Self { code: 1010, message: "Invalid Transaction".into(), data: Some(data.into()) }
    }
}

impl From<subxt::rpcs::Error> for Refusal {
    fn from(error: subxt::rpcs::Error) -> Self {
        let subxt::rpcs::Error::User(error) = error else { panic!("not a refusal: {error}") };
        let data = error.data.map(|data| serde_json::from_str(data.get()).expect("data is text"));
        Self { code: error.code, message: error.message, data }
    }
}

/// How a transaction ended in its block.
pub enum Ended {
    Success { block: BlockHash, events: Vec<String> },
    Failed { pallet: String, error: String },
}

pub struct Client {
    pub devnet: Devnet,
    pub api: OnlineClient<SubstrateConfig>,
    pub rpc: RpcClient,
}

impl Client {
    pub async fn start(config: DevnetConfig) -> Self {
        let devnet = Devnet::start(config).await.expect("the chain starts");
        let rpc = RpcClient::from_insecure_url(devnet.url()).await.expect("connect");
        let backend = Arc::new(LegacyBackend::builder().build(rpc.clone()));
        let api = OnlineClient::from_backend(backend).await.expect("client");
        Self { devnet, api, rpc }
    }

    pub async fn submit<C: EncodeAsFields>(
        &self,
        call: &DynamicPayload<C>,
        signer: &Keypair,
    ) -> Result<Progress, Refusal> {
        self.submit_with(call, signer, SubstrateExtrinsicParamsBuilder::new()).await
    }

    pub async fn submit_with<C: EncodeAsFields>(
        &self,
        call: &DynamicPayload<C>,
        signer: &Keypair,
        params: SubstrateExtrinsicParamsBuilder<SubstrateConfig>,
    ) -> Result<Progress, Refusal> {
        let at = self.api.at_current_block().await.expect("head");
        match at.transactions().sign_and_submit_then_watch(call, signer, params.build()).await {
            Ok(progress) => Ok(progress),
            Err(ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(e)))) => {
                Err(e.into())
            }
            Err(other) => panic!("not a refusal: {other}"),
        }
    }

    /// Submits, makes a block and looks how the transaction ended in it.
    pub async fn run<C: EncodeAsFields>(
        &self,
        call: &DynamicPayload<C>,
        signer: &Keypair,
    ) -> Result<Ended, Refusal> {
        let progress = self.submit(call, signer).await?;
        self.devnet.produce_block().await;
        Ok(ended(progress).await)
    }

    /// Runs a call that must succeed; the names of its events.
    pub async fn succeed<C: EncodeAsFields>(
        &self,
        call: &DynamicPayload<C>,
        signer: &Keypair,
    ) -> Vec<String> {
        match self.run(call, signer).await.expect("accepted") {
            Ended::Success { events, .. } => events,
            Ended::Failed { pallet, error } => panic!("{pallet}.{error}"),
        }
    }

    /// A value at the head, with the metadata's default.
    pub async fn fetch<T: DecodeAsType + 'static>(
        &self,
        pallet: &str,
        entry: &str,
        keys: Vec<dynamic::Value>,
    ) -> T {
        let at = self.api.at_current_block().await.expect("head");
        let address = dynamic::storage::<Vec<dynamic::Value>, T>(pallet, entry);
        at.storage().fetch(address, keys).await.expect("fetch").decode().expect("decode")
    }
}

pub async fn ended(progress: Progress) -> Ended {
    let in_block = progress.wait_for_finalized().await.expect("finalized");
    match in_block.wait_for_success().await {
        Ok(events) => Ended::Success {
            block: BlockHash(in_block.block_hash().0),
            events: events
                .iter()
                .map(|event| event.expect("event"))
                .map(|event| format!("{}.{}", event.pallet_name(), event.event_name()))
                .collect(),
        },
        Err(TransactionEventsError::ExtrinsicFailed(DispatchError::Module(error))) => {
            let details = error.details().expect("known error");
            Ended::Failed { pallet: details.pallet.name().into(), error: details.variant.name.clone() }
        }
        Err(TransactionEventsError::ExtrinsicFailed(other)) => {
            Ended::Failed { pallet: String::new(), error: format!("{other:?}") }
        }
        Err(other) => panic!("{other}"),
    }
}

pub fn event_names(events: &Events<SubstrateConfig>) -> Vec<String> {
    events
        .iter()
        .map(|event| event.expect("event"))
        .map(|event| format!("{}.{}", event.pallet_name(), event.event_name()))
        .collect()
}

pub type WeightsArgs = (u16, Vec<u16>, Vec<u16>, u64);

pub fn set_weights(uids: &[u16], values: &[u16]) -> DynamicPayload<WeightsArgs> {
    dynamic::transaction("SubtensorModule", "set_weights", (NETUID, uids.to_vec(), values.to_vec(), 0))
}
