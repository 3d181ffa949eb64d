//! The JSON-RPC server: substrate's legacy methods over WebSocket and HTTP, bounded.

mod author;
mod chain;
mod state;
mod system;

use std::{net::SocketAddr, sync::Arc};

use jsonrpsee::{
    RpcModule,
    server::{BatchRequestConfig, Server, ServerConfig, ServerHandle},
    types::{ErrorObjectOwned, Params, error::INVALID_PARAMS_CODE},
};
use serde_json::{Value as Json, json};

use super::{error::DevnetError, node::Node};
use crate::domain::ids::{BlockHash, Hotkey};

/// Largest request, in bytes.
const MAX_REQUEST_BYTES: u32 = 2 * 1024 * 1024;
/// Largest response, in bytes: the metadata as hexadecimal is under 1 MiB.
const MAX_RESPONSE_BYTES: u32 = 16 * 1024 * 1024;
/// Most connections at once.
const MAX_CONNECTIONS: u32 = 128;
/// Most subscriptions of one connection.
const MAX_SUBSCRIPTIONS: u32 = 64;
/// Most calls in one batch.
const MAX_BATCH: u32 = 64;
/// Messages that wait for a slow client before its subscriptions wait too.
const MESSAGE_BUFFER: u32 = 256;

type RpcResult = Result<Json, ErrorObjectOwned>;

/// Starts the server; returns its handle and the address it listens on.
pub async fn serve(node: Arc<Node>, listen: SocketAddr) -> Result<(ServerHandle, SocketAddr), DevnetError> {
    let config = ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_CONNECTIONS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_message_buffer_capacity(MESSAGE_BUFFER)
        .set_tcp_no_delay(true)
        .build();
    let refused = |source| DevnetError::Listen { address: listen, source };
    let server = Server::builder().set_config(config).build(listen).await.map_err(refused)?;
    let address = server.local_addr().map_err(refused)?;
    Ok((server.start(methods(node)?), address))
}

fn methods(node: Arc<Node>) -> Result<RpcModule<Node>, DevnetError> {
    let mut module = RpcModule::from_arc(node);
    chain::register(&mut module)?;
    state::register(&mut module)?;
    author::register(&mut module)?;
    system::register(&mut module)?;
    let mut names: Vec<&'static str> = module.method_names().chain(["rpc_methods"]).collect();
    names.sort_unstable();
    module.register_method("rpc_methods", move |_, _, _| json!({ "methods": names }))?;
    Ok(module)
}

/// Parameters are wrong.
fn invalid_params(problem: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, problem, None::<()>)
}

/// A failure as substrate's `state_*` and `chain_*` methods word it.
fn client_error(problem: impl std::fmt::Display) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(4003, format!("Client error: {problem}"), None::<()>)
}

fn bytes_of(text: &str) -> Result<Vec<u8>, ErrorObjectOwned> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text))
        .map_err(|error| invalid_params(format!("not hexadecimal bytes: {error}")))
}

fn hash_of(text: &str) -> Result<BlockHash, ErrorObjectOwned> {
    text.parse().map_err(|error| invalid_params(format!("{error}")))
}

/// The next parameter as a block hash, if it is given.
fn optional_hash(
    params: &mut jsonrpsee::types::params::ParamsSequence<'_>,
) -> Result<Option<BlockHash>, ErrorObjectOwned> {
    params.optional_next::<String>()?.map(|text| hash_of(&text)).transpose()
}

/// An account as ss58 or hexadecimal.
fn account_of(text: &str) -> Result<Hotkey, ErrorObjectOwned> {
    if text.starts_with("0x") {
        return Ok(Hotkey(hash_of(text)?.0));
    }
    text.parse().map_err(|error| invalid_params(format!("{error}")))
}

/// The block with this hash, the newest when none is given.
fn located(
    chain: &super::chain::Chain,
    at: Option<BlockHash>,
) -> Result<super::chain::Located<'_>, ErrorObjectOwned> {
    chain.locate(at).ok_or_else(|| {
        let hash = at.map_or_else(|| "the head".to_string(), |hash| hash.to_string());
        client_error(format!("UnknownBlock: Header was not found in the database: {hash}"))
    })
}

fn first_text(params: &Params<'_>) -> Result<String, ErrorObjectOwned> {
    params.sequence().next()
}
