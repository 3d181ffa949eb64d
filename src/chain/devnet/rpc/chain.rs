//! `chain_*`: blocks, hashes and head subscriptions.

use std::sync::Arc;

use jsonrpsee::{PendingSubscriptionSink, RpcModule, core::RegisterMethodError, types::Params};
use serde_json::{Value as Json, json};
use sp_crypto_hashing::blake2_256;

use super::{RpcResult, invalid_params, optional_hash, send};
use crate::{
    chain::devnet::{block::to_hex, chain::Chain, faults::Fault, node::Node},
    domain::ids::BlockHash,
};

/// Most numbers that one `chain_getBlockHash` may ask for.
const MAX_HASHES: usize = 1024;

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("chain_getBlockHash", |params, node, _| block_hash(&params, node))?;
    module
        .register_method("chain_getFinalizedHead", |_, node, _| node.chain().finalized().hash.to_string())?;
    module.register_method("chain_getHeader", |params, node, _| header(&params, node))?;
    module.register_method("chain_getBlock", |params, node, _| block(&params, node))?;
    module.register_alias("chain_getHead", "chain_getBlockHash")?;
    module.register_alias("chain_getFinalisedHead", "chain_getFinalizedHead")?;
    for (subscribe, notification, unsubscribe, heads) in [
        (
            "chain_subscribeFinalizedHeads",
            "chain_finalizedHead",
            "chain_unsubscribeFinalizedHeads",
            Heads::Finalized,
        ),
        ("chain_subscribeNewHeads", "chain_newHead", "chain_unsubscribeNewHeads", Heads::Best),
        ("chain_subscribeAllHeads", "chain_allHead", "chain_unsubscribeAllHeads", Heads::All),
    ] {
        module.register_subscription(subscribe, notification, unsubscribe, move |_, pending, node, _| {
            stream_heads(pending, node, heads)
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
        if number == 0 && node.faults().any(|fault| matches!(fault, Fault::WrongGenesis {})) {
            return Ok(json!(BlockHash(blake2_256(&chain.genesis_hash().0))));
        }
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

/// What a subscription is told of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    /// Every block that becomes final.
    Finalized,
    /// Every block that becomes the best one; of a fork only the last.
    Best,
    /// Every block that is imported.
    All,
}

impl Heads {
    /// Where a subscription begins: before the newest block.
    fn begin(self, chain: &Chain) -> u64 {
        match self {
            Heads::Finalized => chain.finalized().number.0,
            Heads::Best | Heads::All => chain.imports().next(),
        }
    }

    /// The next header at or after `position`, and the position after it. What is no longer kept is
    /// passed over: the client was thousands of blocks slow.
    fn next(self, chain: &Chain, position: u64) -> Option<(Json, u64)> {
        if self == Heads::Finalized {
            let last = chain.finalized().number.0;
            let number = (position..=last).find(|number| chain.block(*number).is_some())?;
            return Some((chain.block(number)?.header.to_json(), number + 1));
        }
        let mut position = position;
        loop {
            let (number, block, best) = chain.imports().from(position)?;
            if best || self == Heads::All {
                return Some((block.header.to_json(), number + 1));
            }
            position = number + 1;
        }
    }
}

/// Sends the newest head, then every later one without a gap.
async fn stream_heads(pending: PendingSubscriptionSink, node: Arc<Node>, kind: Heads) {
    let mut heads = node.heads();
    // Before the client hears of its subscription, so that no block after that can be missed.
    let (mut position, first) = {
        let chain = node.chain();
        let best = || chain.locate(None).map(|located| located.block.header.to_json());
        (kind.begin(&chain), if kind == Heads::Finalized { None } else { best() })
    };
    let Ok(sink) = pending.accept().await else { return };
    if let Some(header) = first
        && !send(node.faults(), &sink, &header).await
    {
        return;
    }
    loop {
        heads.mark_unchanged();
        loop {
            let next = kind.next(&node.chain(), position);
            let Some((header, after)) = next else { break };
            if !send(node.faults(), &sink, &header).await {
                return;
            }
            position = after;
        }
        tokio::select! {
            () = sink.closed() => return,
            changed = heads.changed() => if changed.is_err() { return },
        }
    }
}
