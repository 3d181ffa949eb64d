//! `chain_*`: blocks, hashes and head subscriptions.

use std::sync::Arc;

use jsonrpsee::{
    PendingSubscriptionSink, RpcModule, SubscriptionSink,
    core::{RegisterMethodError, to_json_raw_value},
    types::Params,
};
use serde_json::{Value as Json, json};

use super::{RpcResult, invalid_params, optional_hash};
use crate::chain::devnet::{block::to_hex, node::Node};

/// Most numbers that one `chain_getBlockHash` may ask for.
const MAX_HASHES: usize = 1024;

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("chain_getBlockHash", |params, node, _| block_hash(&params, node))?;
    module.register_method("chain_getFinalizedHead", |_, node, _| node.chain().head().hash.to_string())?;
    module.register_method("chain_getHeader", |params, node, _| header(&params, node))?;
    module.register_method("chain_getBlock", |params, node, _| block(&params, node))?;
    module.register_alias("chain_getHead", "chain_getBlockHash")?;
    module.register_alias("chain_getFinalisedHead", "chain_getFinalizedHead")?;
    // What is produced is final, so the three streams carry the same headers.
    for (subscribe, notification, unsubscribe) in [
        ("chain_subscribeFinalizedHeads", "chain_finalizedHead", "chain_unsubscribeFinalizedHeads"),
        ("chain_subscribeNewHeads", "chain_newHead", "chain_unsubscribeNewHeads"),
        ("chain_subscribeAllHeads", "chain_allHead", "chain_unsubscribeAllHeads"),
    ] {
        module.register_subscription(subscribe, notification, unsubscribe, |_, pending, node, _| {
            stream_heads(pending, node)
        })?;
    }
    Ok(())
}

fn block_hash(params: &Params<'_>, node: &Node) -> RpcResult {
    let chain = node.chain();
    let hash_of_number = |number: &Json| -> RpcResult {
        let number = match number {
            Json::Null => return Ok(json!(chain.head().hash)),
            Json::Number(number) => number.as_u64(),
            Json::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| invalid_params("a block number is a number or 0x-hexadecimal"))?;
        Ok(json!(chain.block(number).map(|block| block.hash)))
    };
    match params.sequence().optional_next::<Json>()? {
        None => Ok(json!(chain.head().hash)),
        Some(Json::Array(list)) if list.len() <= MAX_HASHES => {
            list.iter().map(hash_of_number).collect::<Result<Vec<Json>, _>>().map(Json::from)
        }
        Some(Json::Array(_)) => Err(invalid_params(format!("at most {MAX_HASHES} block numbers"))),
        Some(number) => hash_of_number(&number),
    }
}

fn header(params: &Params<'_>, node: &Node) -> RpcResult {
    let hash = optional_hash(&mut params.sequence())?;
    Ok(node.chain().locate(hash).map_or(Json::Null, |located| located.block.header.to_json()))
}

fn block(params: &Params<'_>, node: &Node) -> RpcResult {
    let hash = optional_hash(&mut params.sequence())?;
    let chain = node.chain();
    let Some(located) = chain.locate(hash) else { return Ok(Json::Null) };
    let block = located.block;
    let extrinsics: Vec<String> = block.extrinsics.iter().map(|bytes| to_hex(bytes)).collect();
    Ok(json!({
        "block": { "header": block.header.to_json(), "extrinsics": extrinsics },
        "justifications": null,
    }))
}

/// Sends the head, then every later block without a gap.
async fn stream_heads(pending: PendingSubscriptionSink, node: Arc<Node>) {
    let mut heads = node.heads();
    // Before the client hears of its subscription, so that no block after that can be missed.
    let mut next = heads.borrow_and_update().number.0;
    let Ok(sink) = pending.accept().await else { return };
    loop {
        let head = heads.borrow_and_update().number.0;
        while next <= head {
            let header = node.chain().block(next).map(|block| block.header.to_json());
            // A block that is no longer kept is skipped: the client was thousands of blocks slow.
            if let Some(header) = header
                && !send(&sink, &header).await
            {
                return;
            }
            next += 1;
        }
        tokio::select! {
            () = sink.closed() => return,
            changed = heads.changed() => if changed.is_err() { return },
        }
    }
}

/// Sends one notification; false when the client is gone.
pub(super) async fn send(sink: &SubscriptionSink, value: &Json) -> bool {
    match to_json_raw_value(value) {
        Ok(message) => sink.send(message).await.is_ok(),
        Err(_) => false,
    }
}
