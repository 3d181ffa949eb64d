//! `dev_*`: the admin calls, by which a test or an operator makes the chain misbehave.

use std::{sync::Arc, time::Duration};

use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value as Json, json};

use super::{RpcResult, account_of, client_error, invalid_params};
use crate::chain::devnet::{
    DevRuntime, chain::HostAction, faults::Fault, forks::ReplacedTransactions, node::Node,
};

/// Most blocks that one call produces.
const MAX_BLOCKS: u32 = 10_000;
/// Connections are cut so long after the answer to the call that asked for it.
const CUT_AFTER: Duration = Duration::from_millis(100);

pub(super) fn register(module: &mut RpcModule<Node>) -> Result<(), RegisterMethodError> {
    module.register_method("dev_faults", |_, node, _| json!(node.faults().list()))?;
    module.register_method("dev_heal", |params, node, _| -> RpcResult {
        let name: Option<String> = params.sequence().optional_next()?;
        Ok(json!(node.faults().heal(name.as_deref())))
    })?;
    module.register_async_method("dev_inject", |params, node, _| async move { inject(&params, node) })?;
    module.register_async_method("dev_dropConnections", |_, node, _| async move {
        tokio::spawn(async move {
            tokio::time::sleep(CUT_AFTER).await;
            node.cut_connections();
        });
    })?;
    module.register_method("dev_produce", |params, node, _| produce(&params, node))?;
    module.register_method("dev_reorg", |params, node, _| reorg(&params, node))?;
    module.register_method("dev_setParameter", |params, node, _| -> RpcResult {
        ask(node, HostAction::SetParameter(params.sequence().next()?))
    })?;
    module.register_method("dev_changeNeuron", |params, node, _| -> RpcResult {
        let mut params = params.sequence();
        let hotkey = account_of(&params.next::<String>()?)?;
        ask(node, HostAction::ChangeNeuron(hotkey, params.next()?))
    })?;
    module.register_method("dev_switchBeacon", |params, node, _| -> RpcResult {
        ask(node, HostAction::SwitchBeacon(params.sequence().next()?))
    })?;
    module.register_method("dev_upgrade", |params, node, _| upgrade(&params, node))?;
    Ok(())
}

/// Asks for something that happens in the next block.
fn ask(node: &Node, action: HostAction) -> RpcResult {
    node.chain().ask(action);
    Ok(Json::Null)
}

fn inject(params: &Params<'_>, node: Arc<Node>) -> RpcResult {
    let fault: Fault = params.sequence().next()?;
    match fault {
        Fault::NotListening { for_ms: None } => {
            return Err(invalid_params("not_listening needs for_ms by RPC: nobody could call to heal it"));
        }
        Fault::NotListening { .. } => {
            tokio::spawn(async move {
                tokio::time::sleep(CUT_AFTER).await;
                node.faults().inject(fault);
            });
        }
        fault => node.inject(fault).map_err(|error| invalid_params(error.to_string()))?,
    }
    Ok(Json::Null)
}

fn produce(params: &Params<'_>, node: &Node) -> RpcResult {
    let count: u32 = params.sequence().optional_next()?.unwrap_or(1);
    if count > MAX_BLOCKS {
        return Err(invalid_params(format!("at most {MAX_BLOCKS} blocks")));
    }
    for _ in 0..count {
        node.produce().map_err(client_error)?;
    }
    Ok(json!(node.chain().head()))
}

fn reorg(params: &Params<'_>, node: &Node) -> RpcResult {
    let mut params = params.sequence();
    let depth: u64 = params.next()?;
    let transactions = match params.optional_next::<String>()?.as_deref() {
        None | Some("return") => ReplacedTransactions::Return,
        Some("drop") => ReplacedTransactions::Drop,
        Some(_) => return Err(invalid_params("transactions of replaced blocks: `return` or `drop`")),
    };
    node.reorg(depth, transactions).map(|head| json!(head)).map_err(|error| invalid_params(error.to_string()))
}

/// `dev_upgrade(365)`, `dev_upgrade(461)`, or a higher version with names to break:
/// `dev_upgrade(462, [["SubtensorModule", "Weights", "WeightRows"]])`.
fn upgrade(params: &Params<'_>, node: &Node) -> Result<(), ErrorObjectOwned> {
    let mut params = params.sequence();
    let spec_version: u32 = params.next()?;
    let names: Vec<(String, String, String)> = params.optional_next()?.unwrap_or_default();
    let runtime = match (spec_version, names.is_empty()) {
        (365, true) => DevRuntime::Spec365,
        (461, true) => DevRuntime::Spec461,
        _ => {
            let names: Vec<_> = names
                .iter()
                .map(|(pallet, entry, to)| (pallet.as_str(), entry.as_str(), to.as_str()))
                .collect();
            DevRuntime::renamed(spec_version, &names)
        }
    };
    node.chain().ask_upgrade(runtime).map_err(|error| invalid_params(error.to_string()))
}
