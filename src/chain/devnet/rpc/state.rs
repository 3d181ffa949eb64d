//! `state_*`: storage, metadata, runtime version and runtime calls at any kept block.

use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value as Json, json};
use sp_crypto_hashing::blake2_256;

use super::{RpcResult, bytes_of, chain::send, client_error, invalid_params, number_at, optional_hash};
use crate::chain::devnet::{block::to_hex, chain::Chain, node::Node, runtime_api};

/// Most keys of one page.
const MAX_PAGE: usize = 1000;
/// Most keys of one query.
const MAX_QUERY: usize = 10_000;

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("state_getStorage", |params, node, _| {
        storage(&params, node, |v| json!(to_hex(v)))
    })?;
    module.register_alias("state_getStorageAt", "state_getStorage")?;
    module.register_method("state_getStorageHash", |params, node, _| {
        storage(&params, node, |value| json!(to_hex(&blake2_256(value))))
    })?;
    module.register_method("state_getStorageSize", |params, node, _| {
        storage(&params, node, |value| json!(value.len()))
    })?;
    module.register_method("state_getKeysPaged", |params, node, _| keys_paged(&params, node))?;
    module.register_alias("state_getKeysPagedAt", "state_getKeysPaged")?;
    module.register_method("state_queryStorageAt", |params, node, _| query_storage(&params, node))?;
    module.register_method("state_call", |params, node, _| call(&params, node))?;
    module.register_method("state_getMetadata", |params, node, _| {
        known_block(&params, node).map(|()| json!(node.metadata_hex()))
    })?;
    module.register_method("state_getRuntimeVersion", |params, node, _| {
        known_block(&params, node).map(|()| runtime_version(node))
    })?;
    module.register_alias("chain_getRuntimeVersion", "state_getRuntimeVersion")?;
    module.register_subscription(
        "state_subscribeRuntimeVersion",
        "state_runtimeVersion",
        "state_unsubscribeRuntimeVersion",
        |_, pending, node, _| async move {
            let Ok(sink) = pending.accept().await else { return };
            if send(&sink, &runtime_version(&node)).await {
                sink.closed().await;
            }
        },
    )?;
    Ok(())
}

fn known_block(params: &Params<'_>, node: &Node) -> Result<(), ErrorObjectOwned> {
    let at = optional_hash(&mut params.sequence())?;
    number_at(&node.chain(), at).map(|_| ())
}

/// Number of a block whose state can be read.
fn readable(chain: &Chain, number: u64) -> Result<u64, ErrorObjectOwned> {
    match chain.storage_at(number) {
        Some(_) => Ok(number),
        None => Err(client_error(format!("UnknownBlock: State already discarded for block {number}"))),
    }
}

fn storage(params: &Params<'_>, node: &Node, show: impl Fn(&[u8]) -> Json) -> RpcResult {
    let mut params = params.sequence();
    let key = bytes_of(&params.next::<String>()?)?;
    let at = optional_hash(&mut params)?;
    let chain = node.chain();
    let number = readable(&chain, number_at(&chain, at)?)?;
    Ok(chain.state().get(&key, number).map_or(Json::Null, show))
}

fn keys_paged(params: &Params<'_>, node: &Node) -> RpcResult {
    let mut params = params.sequence();
    let prefix = bytes_of(&params.next::<String>()?)?;
    let count: usize = params.next()?;
    if count > MAX_PAGE {
        let problem = format!("count exceeds maximum value. value: {count}, max: {MAX_PAGE}");
        return Err(ErrorObjectOwned::owned(4002, problem, None::<()>));
    }
    let start = params.optional_next::<String>()?.map(|text| bytes_of(&text)).transpose()?;
    let at = optional_hash(&mut params)?;
    let chain = node.chain();
    let number = readable(&chain, number_at(&chain, at)?)?;
    let keys = chain.state().keys(&prefix, start.as_deref(), count, number);
    Ok(json!(keys.iter().map(|key| to_hex(key)).collect::<Vec<_>>()))
}

fn query_storage(params: &Params<'_>, node: &Node) -> RpcResult {
    let mut params = params.sequence();
    let keys: Vec<String> = params.next()?;
    if keys.len() > MAX_QUERY {
        return Err(invalid_params(format!("{} keys: at most {MAX_QUERY}", keys.len())));
    }
    let at = optional_hash(&mut params)?;
    let chain = node.chain();
    let number = readable(&chain, number_at(&chain, at)?)?;
    let hash = chain.block(number).map(|block| block.hash);
    let changes = keys
        .iter()
        .map(|key| Ok(json!([key, chain.state().get(&bytes_of(key)?, number).map(to_hex)])))
        .collect::<Result<Vec<Json>, ErrorObjectOwned>>()?;
    Ok(json!([{ "block": hash, "changes": changes }]))
}

fn call(params: &Params<'_>, node: &Node) -> RpcResult {
    let mut params = params.sequence();
    let method: String = params.next()?;
    let arguments = bytes_of(&params.next::<String>()?)?;
    let at = optional_hash(&mut params)?;
    let chain = node.chain();
    let number = number_at(&chain, at)?;
    runtime_api::call(node.runtime(), &chain, &method, &arguments, number)
        .map(|answer| json!(to_hex(&answer)))
        .map_err(|error| client_error(format!("Execution failed: {error}")))
}

/// The runtime version as JSON.
pub(super) fn runtime_version(node: &Node) -> Json {
    let version = node.runtime().version();
    let apis: Vec<Json> = version.apis.iter().map(|(api, number)| json!([to_hex(api), number])).collect();
    json!({
        "specName": version.spec_name,
        "implName": version.impl_name,
        "authoringVersion": version.authoring_version,
        "specVersion": version.spec_version,
        "implVersion": version.impl_version,
        "apis": apis,
        "transactionVersion": version.transaction_version,
        "systemVersion": version.system_version,
        "stateVersion": version.system_version,
    })
}
