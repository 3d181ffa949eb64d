//! `state_call`: the runtime calls that clients of this subnet make.

use parity_scale_codec::{Decode, Encode};
use subxt::ext::scale_value::{Composite, Primitive, Value, ValueDef};

use super::{
    chain::Located,
    error::ModelError,
    items::{self, Item},
    pallets::{
        epochs,
        neurons::{self, coldkey_of},
        system,
    },
    runtime::Runtime,
    storage::Storage,
};
use crate::domain::ids::Hotkey;

/// The runtime API of most calls.
const API: &str = "SubnetInfoRuntimeApi";

/// Why a runtime call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The model does not have it.
    #[error("Exported method {0} is not found in the development chain's model")]
    Unknown(String),
    /// Its argument bytes do not decode.
    #[error("arguments of {0} do not decode")]
    Arguments(String),
    /// No state is kept at this block.
    #[error("State already discarded")]
    Discarded,
    /// The model does not fit its metadata.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Answers a runtime call at a block, by the runtime in that block's state.
pub fn call(located: &Located<'_>, method: &str, mut arguments: &[u8]) -> Result<Vec<u8>, CallError> {
    let runtime: &Runtime = located.runtime;
    let served = runtime.served();
    // Metadata and version are told of blocks without state too (block zero).
    match method {
        "Core_version" => return Ok(runtime.version_bytes().to_vec()),
        "Metadata_metadata" => return Ok(legacy_metadata(runtime).encode()),
        "Metadata_metadata_versions" => {
            return Ok(served.iter().map(|(format, _)| *format).collect::<Vec<u32>>().encode());
        }
        "Metadata_metadata_at_version" => {
            let asked: u32 = argument(method, &mut arguments)?;
            return Ok(served.iter().find(|(format, _)| *format == asked).map(|(_, bytes)| bytes).encode());
        }
        _ if !runtime.has_call(method) => return Err(unknown(method)),
        _ => {}
    }
    let storage = located.storage().ok_or(CallError::Discarded)?;
    let at = located.block.header.number;
    let netuid = |arguments: &mut &[u8]| argument::<u16>(method, arguments);
    Ok(match method {
        "AccountNonceApi_account_nonce" => {
            let account = Hotkey(argument(method, &mut arguments)?);
            (system::nonce(&storage, account)? as u32).encode()
        }
        "SubnetInfoRuntimeApi_get_next_epoch_start_block" => {
            epochs::next_epoch_start(&storage, netuid(&mut arguments)?, at)?.encode()
        }
        "SubnetInfoRuntimeApi_get_subnet_hyperparams" | "SubnetInfoRuntimeApi_get_subnet_hyperparams_v2" => {
            let name = method.trim_start_matches("SubnetInfoRuntimeApi_");
            optional(runtime, &storage, name, netuid(&mut arguments)?, hyperparameters)?
        }
        "SubnetInfoRuntimeApi_get_subnet_hyperparams_v3" => {
            hyperparameter_entries(runtime, &storage, netuid(&mut arguments)?)?
        }
        "SubnetInfoRuntimeApi_get_metagraph" | "SubnetInfoRuntimeApi_get_subnet_state" => {
            let name = method.trim_start_matches("SubnetInfoRuntimeApi_");
            optional(runtime, &storage, name, netuid(&mut arguments)?, |storage, netuid| {
                subnet(storage, netuid, at)
            })?
        }
        "SubnetInfoRuntimeApi_get_mechagraph" => {
            let (netuid, mechanism): (u16, u8) = argument(method, &mut arguments)?;
            let netuid = mechanism_of(&storage, netuid, mechanism)?;
            optional(runtime, &storage, "get_mechagraph", netuid, |storage, netuid| {
                subnet(storage, netuid, at)
            })?
        }
        "SubnetInfoRuntimeApi_get_selective_metagraph" => {
            let (netuid, indexes): (u16, Vec<u16>) = argument(method, &mut arguments)?;
            selective(runtime, &storage, "get_selective_metagraph", (netuid, &indexes), at)?
        }
        "SubnetInfoRuntimeApi_get_selective_mechagraph" => {
            let (netuid, mechanism, indexes): (u16, u8, Vec<u16>) = argument(method, &mut arguments)?;
            let netuid = mechanism_of(&storage, netuid, mechanism)?;
            selective(runtime, &storage, "get_selective_mechagraph", (netuid, &indexes), at)?
        }
        // The arguments, an extrinsic and its length, do not matter: nothing costs anything here.
        "TransactionPaymentApi_query_info" => {
            let info = Value::named_composite([
                ("weight", system::nominal_weight()),
                ("class", Value::unnamed_variant("Normal", [])),
                ("partial_fee", number(0u8)),
            ]);
            runtime.encode_output("TransactionPaymentApi", "query_info", &info)?
        }
        "NeuronInfoRuntimeApi_get_neurons_lite" => neurons_lite(runtime, &storage, netuid(&mut arguments)?)?,
        _ => return Err(unknown(method)),
    })
}

/// The metadata in the oldest known format, which is what calls without a choice answer.
pub fn legacy_metadata(runtime: &Runtime) -> &[u8] {
    runtime.served().first().map_or(&[], |(_, bytes)| bytes)
}

fn unknown(method: &str) -> CallError {
    CallError::Unknown(method.chars().take(100).collect())
}

fn argument<T: Decode>(method: &str, arguments: &mut &[u8]) -> Result<T, CallError> {
    T::decode(arguments).map_err(|_| CallError::Arguments(method.to_string()))
}

type Fields = Vec<(&'static str, Value)>;

fn number(value: impl Into<u128>) -> Value {
    Value::u128(value.into())
}

fn numbers<N: Into<u128>>(values: impl IntoIterator<Item = N>) -> Value {
    Value::unnamed_composite(values.into_iter().map(number))
}

fn key(key: Hotkey) -> Value {
    Value::from_bytes(key.0)
}

fn repeated(count: usize, value: impl Fn() -> Value) -> Value {
    Value::unnamed_composite((0..count).map(|_| value()))
}

/// Whether there is a subnet of this number, root aside.
fn exists(storage: &Storage<'_>, netuid: u16) -> Result<bool, ModelError> {
    Ok(netuid != 0 && storage.value::<bool>(items::NETWORKS_ADDED, (netuid,))?)
}

/// The subnet of a mechanism, or root (which answers nothing) where there is no such mechanism.
fn mechanism_of(storage: &Storage<'_>, netuid: u16, mechanism: u8) -> Result<u16, ModelError> {
    let count: u8 = storage.value(items::MECHANISM_COUNT, (netuid,))?;
    Ok(if mechanism < count { netuid } else { 0 })
}

/// A struct of the answer's type with every field zero or empty, but for those that are given.
fn filled(runtime: &Runtime, method: &str, fields: Fields) -> Result<Vec<(String, Value)>, ModelError> {
    let Composite::Named(mut named) = runtime.blank_some(API, method)? else {
        return Err(ModelError::Missing(format!("names of the fields of {method}'s answer")));
    };
    for (name, value) in fields {
        if let Some(slot) = named.iter_mut().find(|(field, _)| field == name) {
            slot.1 = value;
        }
    }
    Ok(named)
}

/// A metagraph of chosen fields, each by its place in the answer; `netuid` always.
fn selective(
    runtime: &Runtime,
    storage: &Storage<'_>,
    method: &str,
    (netuid, indexes): (u16, &[u16]),
    at: u64,
) -> Result<Vec<u8>, ModelError> {
    if !exists(storage, netuid)? {
        return runtime.encode_output(API, method, &Value::unnamed_variant("None", []));
    }
    let known = filled(runtime, "get_metagraph", subnet(storage, netuid, at)?)?;
    let mut chosen = filled(runtime, method, vec![("netuid", number(netuid))])?;
    for index in indexes.iter().filter(|index| **index > 0) {
        let Some((name, slot)) = chosen.get_mut(usize::from(*index)) else { continue };
        if let Some((_, value)) = known.iter().find(|(field, _)| field == name) {
            *slot = Value::unnamed_variant("Some", [value.clone()]);
        }
    }
    runtime.encode_output(API, method, &Value::unnamed_variant("Some", [Composite::Named(chosen).into()]))
}

/// Parameters as a list of names with typed values, which is how the newest call gives them.
fn hyperparameter_entries(
    runtime: &Runtime,
    storage: &Storage<'_>,
    netuid: u16,
) -> Result<Vec<u8>, ModelError> {
    const METHOD: &str = "get_subnet_hyperparams_v3";
    if !exists(storage, netuid)? {
        return runtime.encode_output(API, METHOD, &Value::unnamed_variant("None", []));
    }
    let entries = hyperparameters(storage, netuid)?.into_iter().map(|(name, value)| {
        let kind = match (&value.value, name) {
            (ValueDef::Primitive(Primitive::Bool(_)), _) => "Bool",
            (_, "weights_version" | "weights_rate_limit" | "activity_cutoff" | "commit_reveal_period") => {
                "U64"
            }
            _ => "U16",
        };
        let value = Value::unnamed_variant(kind, [value]);
        Value::named_composite([("name", Value::from_bytes(name)), ("value", value)])
    });
    let list = Value::unnamed_composite(entries);
    runtime.encode_output(API, METHOD, &Value::unnamed_variant("Some", [list]))
}

/// `None` for an unknown subnet, else a blank struct with the given fields filled in.
fn optional(
    runtime: &Runtime,
    storage: &Storage<'_>,
    method: &str,
    netuid: u16,
    fields: impl Fn(&Storage<'_>, u16) -> Result<Fields, ModelError>,
) -> Result<Vec<u8>, ModelError> {
    if !exists(storage, netuid)? {
        return runtime.encode_output(API, method, &Value::unnamed_variant("None", []));
    }
    let filled = Composite::Named(filled(runtime, method, fields(storage, netuid)?)?);
    runtime.encode_output(API, method, &Value::unnamed_variant("Some", [filled.into()]))
}

/// Everything that the model knows of a subnet, under the names of `Metagraph`.
fn subnet(storage: &Storage<'_>, netuid: u16, at: u64) -> Result<Fields, ModelError> {
    let mut fields = hyperparameters(storage, netuid)?;
    fields.extend(metagraph(storage, netuid, at)?);
    Ok(fields)
}

/// Subnet parameters that the model keeps, under the names of `SubnetHyperparams` and `Metagraph`.
fn hyperparameters(storage: &Storage<'_>, netuid: u16) -> Result<Fields, ModelError> {
    let small = |item: Item| storage.value::<u16>(item, (netuid,)).map(number);
    let large = |item: Item| storage.value::<u64>(item, (netuid,)).map(number);
    Ok(vec![
        ("immunity_period", small(items::IMMUNITY_PERIOD)?),
        ("min_allowed_weights", small(items::MIN_ALLOWED_WEIGHTS)?),
        ("max_weights_limit", small(items::MAX_WEIGHTS_LIMIT)?),
        ("tempo", small(items::TEMPO)?),
        ("weights_version", large(items::WEIGHTS_VERSION_KEY)?),
        ("weights_rate_limit", large(items::WEIGHTS_SET_RATE_LIMIT)?),
        ("activity_cutoff", number(5000u64)),
        ("registration_allowed", Value::bool(true)),
        ("max_validators", small(items::MAX_ALLOWED_VALIDATORS)?),
        ("commit_reveal_period", large(items::REVEAL_PERIOD_EPOCHS)?),
        (
            "commit_reveal_weights_enabled",
            Value::bool(storage.value(items::COMMIT_REVEAL_ENABLED, (netuid,))?),
        ),
        ("subnet_is_active", Value::bool(true)),
    ])
}

fn metagraph(storage: &Storage<'_>, netuid: u16, at: u64) -> Result<Fields, ModelError> {
    let hotkeys = neurons::hotkeys(storage, netuid)?;
    let count = hotkeys.len();
    let stakes = neurons::stakes(storage, netuid)?;
    let ratio = |item: Item| storage.value::<Vec<u16>>(item, (netuid,)).map(numbers);
    let large = |item: Item| storage.value::<Vec<u64>>(item, (netuid,)).map(numbers);
    let flags = |item: Item| -> Result<Value, ModelError> {
        let flags: Vec<bool> = storage.value(item, (netuid,))?;
        Ok(Value::unnamed_composite(flags.into_iter().map(Value::bool)))
    };
    let registered: Vec<u64> = (0..count as u16)
        .map(|uid| storage.value(items::BLOCK_AT_REGISTRATION, (netuid, uid)))
        .collect::<Result<_, _>>()?;
    let per_hotkey = || {
        Value::unnamed_composite(
            hotkeys.iter().map(|hotkey| Value::unnamed_composite([key(*hotkey), number(0u8)])),
        )
    };
    let owner_hotkey: [u8; 32] = storage.value(items::SUBNET_OWNER_HOTKEY, (netuid,))?;
    let owner_coldkey: [u8; 32] = storage.value(items::SUBNET_OWNER, (netuid,))?;
    let symbol: Vec<u8> = storage.value(items::TOKEN_SYMBOL, (netuid,))?;
    Ok(vec![
        ("netuid", number(netuid)),
        ("name", Value::from_bytes(b"leoma development chain")),
        ("symbol", Value::from_bytes(symbol)),
        ("network_registered_at", number(storage.value::<u64>(items::NETWORK_REGISTERED_AT, (netuid,))?)),
        ("owner_hotkey", Value::from_bytes(owner_hotkey)),
        ("owner_coldkey", Value::from_bytes(owner_coldkey)),
        ("block", number(at)),
        ("last_step", number(storage.value::<u64>(items::LAST_MECHANISM_STEP_BLOCK, (netuid,))?)),
        ("blocks_since_last_step", number(storage.value::<u64>(items::BLOCKS_SINCE_LAST_STEP, (netuid,))?)),
        ("num_uids", number(count as u64)),
        ("max_uids", number(storage.value::<u16>(items::MAX_ALLOWED_UIDS, (netuid,))?)),
        ("hotkeys", Value::unnamed_composite(hotkeys.iter().map(|hotkey| key(*hotkey)))),
        ("coldkeys", Value::unnamed_composite(hotkeys.iter().map(|hotkey| key(coldkey_of(*hotkey))))),
        ("identities", repeated(count, || Value::unnamed_variant("None", []))),
        ("axons", repeated(count, blank_axon)),
        ("active", flags(items::ACTIVE)?),
        ("validator_permit", flags(items::VALIDATOR_PERMIT)?),
        ("pruning_score", repeated(count, || number(0u8))),
        ("last_update", large(items::LAST_UPDATE)?),
        ("emission", large(items::EMISSION)?),
        ("dividends", ratio(items::DIVIDENDS)?),
        ("incentives", ratio(items::INCENTIVE)?),
        ("consensus", ratio(items::CONSENSUS)?),
        ("trust", repeated(count, || number(0u8))),
        ("rank", repeated(count, || number(0u8))),
        ("block_at_registration", numbers(registered)),
        ("alpha_stake", numbers(stakes.iter().copied())),
        ("tao_stake", repeated(count, || number(0u8))),
        ("total_stake", numbers(stakes.iter().copied())),
        ("tao_dividends_per_hotkey", per_hotkey()),
        ("alpha_dividends_per_hotkey", per_hotkey()),
        ("collateral_locked", repeated(count, || number(0u8))),
        ("collateral_min", repeated(count, || number(0u8))),
        ("collateral_earned", repeated(count, || number(0u8))),
    ])
}

fn zeros(names: &[&'static str]) -> Value {
    Value::named_composite(names.iter().map(|name| (*name, number(0u8))))
}

fn blank_axon() -> Value {
    zeros(&["block", "version", "ip", "port", "ip_type", "protocol", "placeholder1", "placeholder2"])
}

fn neurons_lite(runtime: &Runtime, storage: &Storage<'_>, netuid: u16) -> Result<Vec<u8>, ModelError> {
    let hotkeys = neurons::hotkeys(storage, netuid)?;
    let stakes = neurons::stakes(storage, netuid)?;
    let active: Vec<bool> = storage.value(items::ACTIVE, (netuid,))?;
    let permits: Vec<bool> = storage.value(items::VALIDATOR_PERMIT, (netuid,))?;
    let last_update: Vec<u64> = storage.value(items::LAST_UPDATE, (netuid,))?;
    let emission: Vec<u64> = storage.value(items::EMISSION, (netuid,))?;
    let ratio = |item: Item| storage.value::<Vec<u16>>(item, (netuid,));
    let (incentive, consensus) = (ratio(items::INCENTIVE)?, ratio(items::CONSENSUS)?);
    let (dividends, trust) = (ratio(items::DIVIDENDS)?, ratio(items::VALIDATOR_TRUST)?);
    let of = |values: &[u16], uid: usize| number(values.get(uid).copied().unwrap_or(0));
    let neuron = |uid: usize, hotkey: Hotkey| {
        let coldkey = coldkey_of(hotkey);
        let stake = Value::unnamed_composite([key(coldkey), number(stakes[uid])]);
        Value::named_composite([
            ("hotkey", key(hotkey)),
            ("coldkey", key(coldkey)),
            ("uid", number(uid as u64)),
            ("netuid", number(netuid)),
            ("active", Value::bool(active.get(uid).copied().unwrap_or(false))),
            ("axon_info", blank_axon()),
            ("prometheus_info", zeros(&["block", "version", "ip", "port", "ip_type"])),
            ("stake", Value::unnamed_composite([stake])),
            ("rank", number(0u8)),
            ("emission", number(emission.get(uid).copied().unwrap_or(0))),
            ("incentive", of(&incentive, uid)),
            ("consensus", of(&consensus, uid)),
            ("trust", number(0u8)),
            ("validator_trust", of(&trust, uid)),
            ("dividends", of(&dividends, uid)),
            ("last_update", number(last_update.get(uid).copied().unwrap_or(0))),
            ("validator_permit", Value::bool(permits.get(uid).copied().unwrap_or(false))),
            ("pruning_score", number(0u8)),
        ])
    };
    let list: Vec<Value> = hotkeys.iter().enumerate().map(|(uid, hotkey)| neuron(uid, *hotkey)).collect();
    runtime.encode_output("NeuronInfoRuntimeApi", "get_neurons_lite", &list)
}
