//! `system_*`: who this node is, and nonces.

use jsonrpsee::{RpcModule, core::RegisterMethodError, types::Params};
use serde_json::json;

use super::{RpcResult, account_of, client_error, first_text};
use crate::chain::devnet::node::Node;

/// Name of the chain; says that it is a model, wherever a client shows it.
pub(super) const CHAIN_NAME: &str = "Leoma development chain (a model of subtensor, not subtensor)";

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("system_chain", |_, _, _| CHAIN_NAME)?;
    module.register_method("system_name", |_, _, _| "leoma-devnet")?;
    module.register_method("system_version", |_, _, _| env!("CARGO_PKG_VERSION"))?;
    module.register_method("system_chainType", |_, _, _| "Development")?;
    module.register_method(
        "system_health",
        |_, _, _| json!({ "peers": 0, "isSyncing": false, "shouldHavePeers": false }),
    )?;
    module.register_method(
        "system_properties",
        |_, _, _| json!({ "ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "TAO" }),
    )?;
    module.register_method("system_syncState", |_, node, _| {
        let chain = node.chain();
        let head = chain.head().number;
        json!({ "startingBlock": chain.config().start_block, "currentBlock": head, "highestBlock": head })
    })?;
    module.register_method("system_accountNextIndex", |params, node, _| next_index(&params, node))?;
    module.register_alias("account_nextIndex", "system_accountNextIndex")?;
    Ok(())
}

fn next_index(params: &Params<'_>, node: &Node) -> RpcResult {
    let account = account_of(&first_text(params)?)?;
    node.chain().next_nonce(account).map(|nonce| json!(nonce)).map_err(client_error)
}
