//! One WebSocket connection to one endpoint, and the link that replaces it when it fails.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use subxt::{
    OnlineClient, OnlineClientAtBlock, SubstrateConfig,
    backend::LegacyBackend,
    config::{RpcConfigFor, substrate::SubstrateHeader},
    rpcs::{
        LegacyRpcMethods, RpcClient,
        client::{ReconnectingRpcClient, reconnecting_rpc_client::ExponentialBackoff},
    },
    utils::H256,
};
use tokio::sync::RwLock;
use url::Url;

use super::{
    check,
    fault::{self, transport, within},
};
use crate::{
    chain::port::{ChainError, Head},
    domain::ids::{BlockHash, BlockNumber, BlockRef},
};

/// Most bytes of one answer; the largest that we ask for is the metadata (about 1 MiB of text).
const MAX_RESPONSE_BYTES: u32 = 32 << 20;
/// Entries per page when a map is iterated.
const PAGE_ENTRIES: u32 = 256;
/// Reconnection attempts (about 13 s) before the client gives up and the link opens a new one. A
/// bound is needed: a client that never gives up also never notices that it was dropped.
const RECONNECT_ATTEMPTS: usize = 10;

/// A client at one block.
pub(super) type AtBlock = OnlineClientAtBlock<SubstrateConfig>;
/// A block header as the node sends it.
pub(super) type Header = SubstrateHeader<H256>;
/// The node's legacy RPC calls.
pub(super) type Methods = LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>;

fn reconnect_delays() -> impl Iterator<Item = Duration> + Clone + Send + Sync + 'static {
    ExponentialBackoff::from_millis(2).factor(50).max_delay(Duration::from_secs(2)).take(RECONNECT_ATTEMPTS)
}

/// Scheme, host and port: paths and queries of hosted endpoints carry access keys.
fn label(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

/// A head from its header; the hash is computed, not believed.
pub(super) fn head_of(header: &Header) -> Head {
    use parity_scale_codec::Encode;
    let hash = BlockHash(sp_crypto_hashing::blake2_256(&header.encode()));
    Head {
        block: BlockRef { number: BlockNumber(header.number), hash },
        parent: BlockHash(header.parent_hash.0),
    }
}

/// One open connection. It reconnects by itself for some seconds when the socket breaks.
pub(super) struct Connection {
    /// The endpoint without its secrets, for messages.
    pub(super) endpoint: String,
    /// Raw calls.
    pub(super) methods: Methods,
    /// Hash of block 0.
    pub(super) genesis: BlockHash,
    /// Its place among the endpoints.
    pub(super) index: usize,
    client: OnlineClient<SubstrateConfig>,
    stale: AtomicBool,
    recent: Mutex<Option<AtBlock>>,
}

impl Connection {
    /// Connects to one endpoint.
    pub(super) async fn open(index: usize, url: &Url, settings: &Settings) -> Result<Self, ChainError> {
        let endpoint = label(url);
        let opening = async {
            let socket = ReconnectingRpcClient::builder()
                .retry_policy(reconnect_delays())
                .max_response_size(MAX_RESPONSE_BYTES)
                .request_timeout(settings.call_deadline)
                .connection_timeout(settings.call_deadline)
                .build(url.as_str())
                .await
                .map_err(|error| transport(&endpoint, error))?;
            let rpc = RpcClient::new(socket);
            // The default backend probes newer RPC families first, which not every node serves well.
            let backend = LegacyBackend::<SubstrateConfig>::builder()
                .storage_page_size(PAGE_ENTRIES)
                .build(rpc.clone());
            let client = OnlineClient::from_backend_with_config(settings.config.clone(), Arc::new(backend))
                .await
                .map_err(|error| transport(&endpoint, error))?;
            Ok(Self {
                genesis: BlockHash(client.genesis_hash().0),
                methods: Methods::new(rpc),
                client,
                endpoint: endpoint.clone(),
                index,
                stale: AtomicBool::new(false),
                recent: Mutex::new(None),
            })
        };
        within(settings.call_deadline, &endpoint, "the connection request", opening).await
    }

    /// Asks for a new connection: this one failed a call.
    pub(super) fn mark_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// The genesis that the endpoint serves now; it can change over a reconnection.
    pub(super) async fn genesis_now(&self) -> Result<BlockHash, ChainError> {
        let hash = self.methods.genesis_hash().await.map_err(|error| transport(&self.endpoint, error))?;
        Ok(BlockHash(hash.0))
    }

    /// The latest finalized head.
    pub(super) async fn finalized_head(&self) -> Result<Head, ChainError> {
        let hash = self.methods.chain_get_finalized_head().await;
        let hash = hash.map_err(|error| transport(&self.endpoint, error))?;
        self.header(BlockHash(hash.0)).await
    }

    /// Hash of the block that the node holds at a height.
    pub(super) async fn hash_at(&self, number: u64) -> Result<BlockHash, ChainError> {
        let hash = self.methods.chain_get_block_hash(Some(number.into())).await;
        match hash.map_err(|error| transport(&self.endpoint, error))? {
            Some(hash) => Ok(BlockHash(hash.0)),
            None => Err(transport(&self.endpoint, format_args!("block {number} is not known there"))),
        }
    }

    /// The head with this hash.
    pub(super) async fn header(&self, hash: BlockHash) -> Result<Head, ChainError> {
        let header = self.methods.chain_get_header(Some(H256(hash.0))).await;
        let header = header.map_err(|error| transport(&self.endpoint, error))?;
        let header = header.ok_or_else(|| {
            transport(&self.endpoint, format_args!("block {hash} is not known there (pruned?)"))
        })?;
        let head = head_of(&header);
        if head.block.hash != hash {
            return Err(transport(
                &self.endpoint,
                format_args!("the header of {hash} hashes to {}", head.block.hash),
            ));
        }
        Ok(head)
    }

    /// A client at a block; the last one is kept, as all reads of one decision name one block.
    pub(super) async fn at(&self, hash: BlockHash) -> Result<AtBlock, ChainError> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(block) = recent.filter(|block| block.block_hash().0 == hash.0) {
            return Ok(block);
        }
        let block = self.client.at_block(H256(hash.0)).await;
        let block =
            block.map_err(|error| fault::read_fault(&self.endpoint, "the runtime's version", 0, error))?;
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = Some(block.clone());
        Ok(block)
    }
}

/// What every connection of a link is opened with.
pub(super) struct Settings {
    /// Endpoints, tried in order.
    pub(super) endpoints: Vec<Url>,
    /// Longest time for any single call.
    pub(super) call_deadline: Duration,
    /// Holds the metadata by spec version, so that a new connection does not fetch it again.
    pub(super) config: SubstrateConfig,
}

/// The current connection and the way to the next one.
pub(super) struct Link {
    pub(super) settings: Settings,
    /// Hash of block 0 of the chain that we work on.
    pub(super) genesis: BlockHash,
    current: RwLock<Arc<Connection>>,
    endpoint: Mutex<String>,
    finalized: AtomicU64,
    checked: Mutex<BTreeSet<u32>>,
}

impl Link {
    /// Opens the first endpoint that answers and serves the expected chain.
    pub(super) async fn open(settings: Settings, expected: Option<BlockHash>) -> Result<Self, ChainError> {
        let connection = open_any(&settings, 0, expected).await?;
        Ok(Self {
            settings,
            genesis: connection.genesis,
            endpoint: Mutex::new(connection.endpoint.clone()),
            current: RwLock::new(Arc::new(connection)),
            finalized: AtomicU64::new(0),
            checked: Mutex::new(BTreeSet::new()),
        })
    }

    /// A connection that has not failed; opens a new one, at the next endpoint first, if needed.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, ChainError> {
        let current = self.current.read().await.clone();
        if !current.stale.load(Ordering::Relaxed) {
            return Ok(current);
        }
        let mut slot = self.current.write().await;
        if slot.stale.load(Ordering::Relaxed) {
            let next = open_any(&self.settings, slot.index + 1, Some(self.genesis)).await?;
            tracing::info!(endpoint = next.endpoint, "chain connection replaced");
            *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = next.endpoint.clone();
            *slot = Arc::new(next);
        }
        Ok(slot.clone())
    }

    /// The endpoint in use, without its secrets; the last one while it is being replaced.
    pub(super) fn endpoint(&self) -> String {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A client at a block whose runtime has passed the check.
    pub(super) async fn at(&self, connection: &Connection, hash: BlockHash) -> Result<AtBlock, ChainError> {
        let block = connection.at(hash).await?;
        let spec = block.spec_version();
        if !self.checked.lock().unwrap_or_else(PoisonError::into_inner).contains(&spec) {
            check::runtime(&block)?;
            tracing::info!(spec, "the runtime has every name and type that we use");
            self.checked.lock().unwrap_or_else(PoisonError::into_inner).insert(spec);
        }
        Ok(block)
    }

    /// Remembers the highest block known to be final.
    pub(super) fn note_finalized(&self, number: BlockNumber) {
        self.finalized.fetch_max(number.0, Ordering::Relaxed);
    }

    /// Whether a block is known to be final without asking.
    pub(super) fn known_final(&self, number: BlockNumber) -> bool {
        number.0 <= self.finalized.load(Ordering::Relaxed)
    }
}

/// Tries every endpoint once, beginning with `first`.
///
/// # Errors
/// `WrongGenesis` only when every endpoint answered and serves another chain; as long as one is
/// merely unreachable there is hope, and the error is a passing one.
async fn open_any(
    settings: &Settings,
    first: usize,
    expected: Option<BlockHash>,
) -> Result<Connection, ChainError> {
    let count = settings.endpoints.len();
    let mut wrong_chain = None;
    let mut unreachable = Vec::new();
    for index in (0..count).map(|offset| (first + offset) % count) {
        match Connection::open(index, &settings.endpoints[index], settings).await {
            Ok(connection) => match expected {
                Some(expected) if expected != connection.genesis => {
                    tracing::error!(endpoint = connection.endpoint, found = %connection.genesis, "wrong genesis");
                    wrong_chain = Some(ChainError::WrongGenesis { found: connection.genesis, expected });
                }
                _ => return Ok(connection),
            },
            Err(error) => unreachable.push(error),
        }
    }
    Err(match (unreachable.len(), wrong_chain) {
        (0, Some(wrong)) => wrong,
        (0, None) => transport("(none)", "no endpoint is configured"),
        (1, _) => unreachable.remove(0),
        _ => {
            let all: Vec<String> = unreachable.iter().map(ToString::to_string).collect();
            transport(&format!("(all {count})"), all.join("; "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hide_paths_queries_and_credentials() {
        for (url, shown) in [
            ("wss://user:secret@node.example/v1/KEY?apikey=KEY", "wss://node.example"),
            ("ws://127.0.0.1:9944/", "ws://127.0.0.1:9944"),
            ("ws://[::1]:9944", "ws://[::1]:9944"),
        ] {
            assert_eq!(label(&url.parse().expect("a URL")), shown);
        }
    }

    #[test]
    fn reconnection_is_attempted_for_some_seconds_and_then_given_up() {
        let total: Duration = reconnect_delays().sum();
        assert!((5..30).contains(&total.as_secs()), "{total:?}");
    }
}
