//! The JSON-RPC server: substrate's legacy methods over WebSocket and HTTP, bounded.

mod author;
mod chain;
mod dev;
mod server;
mod state;
mod system;

use std::{net::SocketAddr, sync::Arc};

use jsonrpsee::{
    RpcModule, SubscriptionSink,
    core::to_json_raw_value,
    types::{ErrorObjectOwned, Params, error::INVALID_PARAMS_CODE},
};
use serde_json::{Value as Json, json};

pub use self::server::Door;
use super::{error::DevnetError, faults::Faults, node::Node};
use crate::domain::ids::{BlockHash, Hotkey};

type RpcResult = Result<Json, ErrorObjectOwned>;

/// Starts the server.
pub async fn serve(node: Arc<Node>, listen: SocketAddr) -> Result<Door, DevnetError> {
    let (faults, cuts) = (node.faults().clone(), node.cuts());
    Door::open(listen, methods(node)?.into(), faults, cuts).await
}

fn methods(node: Arc<Node>) -> Result<RpcModule<Node>, DevnetError> {
    let admin = node.chain().config().admin;
    let mut module = RpcModule::from_arc(node);
    chain::register(&mut module)?;
    state::register(&mut module)?;
    author::register(&mut module)?;
    system::register(&mut module)?;
    if admin {
        dev::register(&mut module)?;
    }
    let mut names: Vec<&'static str> = module.method_names().chain(["rpc_methods"]).collect();
    names.sort_unstable();
    module.register_method("rpc_methods", move |_, _, _| json!({ "methods": names }))?;
    Ok(module)
}

/// Sends one notification, when faults let it; false when the client is gone.
async fn send(faults: &Faults, sink: &SubscriptionSink, value: &Json) -> bool {
    let Ok(message) = to_json_raw_value(value) else { return false };
    tokio::select! {
        () = sink.closed() => false,
        () = faults.hold_message() => sink.send(message).await.is_ok(),
    }
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
