//! `author_*`: transactions into the pool, and their progress.

use std::sync::Arc;

use jsonrpsee::{
    PendingSubscriptionSink, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value as Json, json};

use super::{RpcResult, bytes_of, first_text, send};
use crate::{
    chain::devnet::{
        block::to_hex,
        chain::SubmitError,
        node::Node,
        pool::{Status, Watch},
    },
    domain::ids::BlockHash,
};

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("author_submitExtrinsic", |params, node, _| -> RpcResult {
        submit(&params, node).map(|(hash, _)| json!(hash))
    })?;
    module.register_method("author_pendingExtrinsics", |_, node, _| {
        let chain = node.chain();
        let pending = chain.pool().iter().map(|waiting| to_hex(waiting.extrinsic.bytes()));
        json!(pending.collect::<Vec<_>>())
    })?;
    module.register_subscription(
        "author_submitAndWatchExtrinsic",
        "author_extrinsicUpdate",
        "author_unwatchExtrinsic",
        |params, pending, node, _| watch(params, pending, node),
    )?;
    Ok(())
}

fn submit(params: &Params<'_>, node: &Node) -> Result<(BlockHash, Watch), ErrorObjectOwned> {
    let bytes = bytes_of(&first_text(params)?)?;
    node.chain().submit(bytes).map_err(refusal)
}

fn refusal(error: SubmitError) -> ErrorObjectOwned {
    let (code, message, data) = error.rpc_parts();
    ErrorObjectOwned::owned(code, message, data)
}

async fn watch(params: Params<'static>, pending: PendingSubscriptionSink, node: Arc<Node>) {
    let mut progress = match submit(&params, &node) {
        Ok((_, progress)) => progress,
        Err(error) => return pending.reject(error).await,
    };
    let Ok(sink) = pending.accept().await else { return };
    loop {
        tokio::select! {
            () = sink.closed() => return,
            status = progress.recv() => match status {
                // The chain dropped the transaction without an outcome: a fault of the model.
                None => return,
                Some(status) => {
                    if !send(node.faults(), &sink, &status_json(status)).await {
                        return;
                    }
                    if status.is_last() {
                        return;
                    }
                }
            },
        }
    }
}

fn status_json(status: Status) -> Json {
    match status {
        Status::Future => json!("future"),
        Status::Ready => json!("ready"),
        Status::InBlock(hash) => json!({ "inBlock": hash }),
        Status::Retracted(hash) => json!({ "retracted": hash }),
        Status::Dropped => json!("dropped"),
        Status::Finalized(hash) => json!({ "finalized": hash }),
        Status::Invalid => json!("invalid"),
    }
}
