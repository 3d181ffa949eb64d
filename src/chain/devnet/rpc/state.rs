//! `state_*`: storage, metadata, runtime version and runtime calls at any kept block.

use std::sync::Arc;

use jsonrpsee::{
    PendingSubscriptionSink, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value as Json, json};
use sp_crypto_hashing::blake2_256;

use super::{RpcResult, bytes_of, client_error, invalid_params, located, optional_hash, send};
use crate::chain::devnet::{
    block::to_hex, chain::Located, node::Node, runtime::Runtime, runtime_api, state::View,
};

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
        at_block(&params, node, |located| json!(to_hex(runtime_api::legacy_metadata(located.runtime))))
    })?;
    module.register_method("state_getRuntimeVersion", |params, node, _| {
        at_block(&params, node, |located| runtime_version(located.runtime))
    })?;
    module.register_alias("chain_getRuntimeVersion", "state_getRuntimeVersion")?;
    module.register_subscription(
        "state_subscribeRuntimeVersion",
        "state_runtimeVersion",
        "state_unsubscribeRuntimeVersion",
        |_, pending, node, _| stream_versions(pending, node),
    )?;
    Ok(())
}

fn at_block(params: &Params<'_>, node: &Node, show: impl Fn(&Located<'_>) -> Json) -> RpcResult {
    let at = optional_hash(&mut params.sequence())?;
    located(&node.chain(), at).map(|located| show(&located))
}

/// State of a block, which may be known while its state is not kept.
fn readable<'a>(located: &Located<'a>) -> Result<View<'a>, ErrorObjectOwned> {
    located.view.clone().ok_or_else(|| {
        let number = located.block.header.number;
        client_error(format!("UnknownBlock: State already discarded for block {number}"))
    })
}

/// Sends the runtime's version, and again whenever the head's is another.
async fn stream_versions(pending: PendingSubscriptionSink, node: Arc<Node>) {
    let mut heads = node.heads();
    let Ok(sink) = pending.accept().await else { return };
    let mut told = None;
    loop {
        heads.mark_unchanged();
        let runtime = node.chain().locate(None).map(|located| located.runtime.clone());
        let spec_version = runtime.as_ref().map(|runtime| runtime.version().spec_version);
        if let Some(runtime) = runtime
            && spec_version != told
            && !send(node.faults(), &sink, &runtime_version(&runtime)).await
        {
            return;
        }
        told = spec_version;
        tokio::select! {
            () = sink.closed() => return,
            changed = heads.changed() => if changed.is_err() { return },
        }
    }
}

fn storage(params: &Params<'_>, node: &Node, show: impl Fn(&[u8]) -> Json) -> RpcResult {
    let mut params = params.sequence();
    let key = bytes_of(&params.next::<String>()?)?;
    let at = optional_hash(&mut params)?;
    let chain = node.chain();
    let view = readable(&located(&chain, at)?)?;
    Ok(view.get(&key).map_or(Json::Null, show))
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
    let keys = readable(&located(&chain, at)?)?.keys(&prefix, start.as_deref(), count);
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
    let located = located(&chain, at)?;
    let view = readable(&located)?;
    let changes = keys
        .iter()
        .map(|key| Ok(json!([key, view.get(&bytes_of(key)?).map(to_hex)])))
        .collect::<Result<Vec<Json>, ErrorObjectOwned>>()?;
    Ok(json!([{ "block": located.block.hash, "changes": changes }]))
}

fn call(params: &Params<'_>, node: &Node) -> RpcResult {
    let mut params = params.sequence();
    let method: String = params.next()?;
    let arguments = bytes_of(&params.next::<String>()?)?;
    let at = optional_hash(&mut params)?;
    let chain = node.chain();
    runtime_api::call(&located(&chain, at)?, &method, &arguments)
        .map(|answer| json!(to_hex(&answer)))
        .map_err(|error| client_error(format!("Execution failed: {error}")))
}

/// The runtime version as JSON.
fn runtime_version(runtime: &Runtime) -> Json {
    let version = runtime.version();
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
