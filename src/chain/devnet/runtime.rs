//! One runtime: its metadata, and everything that is encoded or decoded by it.

use std::sync::Arc;

use parity_scale_codec::{Decode, Encode};
use subxt::{
    Metadata,
    ext::{
        frame_decode::storage::{IntoEncodableValues, encode_storage_key},
        scale_decode::DecodeAsType,
        scale_encode::EncodeAsType,
        scale_value::{self, Composite, Value},
    },
};

use super::{
    error::ModelError,
    items::{self, Item},
    runtimes::{DevRuntime, Format},
};

/// `System.Version` of the metadata, which is also the answer to `Core_version`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct RuntimeVersion {
    /// Name of the runtime.
    pub spec_name: String,
    /// Name of the implementation.
    pub impl_name: String,
    /// Version of block authoring.
    pub authoring_version: u32,
    /// Version of the runtime.
    pub spec_version: u32,
    /// Version of the implementation.
    pub impl_version: u32,
    /// Runtime APIs by the hash of their name, with their versions.
    pub apis: Vec<([u8; 8], u32)>,
    /// Version of the extrinsic format.
    pub transaction_version: u32,
    /// Version of the state trie.
    pub system_version: u8,
}

/// The runtime as far as the model needs it: types, names and numbers of the metadata.
pub struct Runtime {
    which: DevRuntime,
    metadata: Metadata,
    version: RuntimeVersion,
    version_bytes: Vec<u8>,
    served: Vec<Format>,
}

impl Runtime {
    /// Reads the vendored metadata of a runtime.
    pub fn of(which: DevRuntime) -> Result<Arc<Self>, ModelError> {
        let metadata =
            Metadata::decode_from(which.own_metadata()).map_err(|e| ModelError::Metadata(e.to_string()))?;
        let constant = metadata
            .pallet_by_name("System")
            .and_then(|pallet| pallet.constant_by_name("Version"))
            .ok_or_else(|| ModelError::Missing("System.Version".into()))?;
        let mut version = RuntimeVersion::decode(&mut constant.value())
            .map_err(|e| ModelError::Decode { what: "System.Version".into(), detail: e.to_string() })?;
        version.spec_version = which.spec_version();
        let (version_bytes, served) = (version.encode(), which.served_metadata()?);
        Ok(Arc::new(Self { which, metadata, version, version_bytes, served }))
    }

    /// The runtime of spec 461.
    #[cfg(test)]
    pub fn load() -> Result<Arc<Self>, ModelError> {
        Self::of(DevRuntime::Spec461)
    }

    /// Which runtime this is.
    pub fn which(&self) -> &DevRuntime {
        &self.which
    }

    /// The metadata that clients get, in every known format, oldest first.
    pub fn served(&self) -> &[Format] {
        &self.served
    }

    /// Whether the metadata has a storage entry.
    pub fn has(&self, item: Item) -> bool {
        self.value_type(item).is_ok()
    }

    /// Whether epochs are due by counters in the state; by block number modulo tempo otherwise.
    pub fn epochs_are_stateful(&self) -> bool {
        self.has(items::LAST_EPOCH_BLOCK)
    }

    /// Whether the metadata has a runtime call, named as `state_call` names it: `Api_method`.
    pub fn has_call(&self, name: &str) -> bool {
        name.split_once('_').is_some_and(|(api, method)| self.api_output(api, method).is_ok())
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Spec and transaction version.
    pub fn version(&self) -> &RuntimeVersion {
        &self.version
    }

    /// `Core_version` as SCALE bytes.
    pub fn version_bytes(&self) -> &[u8] {
        &self.version_bytes
    }

    /// Storage key of an entry; fewer keys than the map has give a prefix.
    pub fn key<K: IntoEncodableValues>(&self, item: Item, keys: K) -> Result<Vec<u8>, ModelError> {
        encode_storage_key(item.pallet, item.entry, keys, &self.metadata, self.metadata.types())
            .map_err(|e| ModelError::Encode { what: format!("key of {item}"), detail: e.to_string() })
    }

    fn value_type(&self, item: Item) -> Result<u32, ModelError> {
        self.metadata
            .pallet_by_name(item.pallet)
            .and_then(|pallet| pallet.storage())
            .and_then(|storage| storage.entry_by_name(item.entry))
            .map(|entry| entry.value_ty())
            .ok_or_else(|| ModelError::Missing(item.to_string()))
    }

    /// Type of an entry's value.
    #[cfg(test)]
    pub fn value_type_for_tests(&self, item: Item) -> u32 {
        self.value_type(item).expect("entry of the metadata")
    }

    /// Default value of an entry, where the metadata gives one.
    pub fn default_value(&self, item: Item) -> Option<&[u8]> {
        self.metadata.pallet_by_name(item.pallet)?.storage()?.entry_by_name(item.entry)?.default_value()
    }

    /// A value of an entry as SCALE bytes.
    pub fn encode<V: EncodeAsType>(&self, item: Item, value: &V) -> Result<Vec<u8>, ModelError> {
        self.encode_type(self.value_type(item)?, value, || item.to_string())
    }

    /// A value of an entry from SCALE bytes.
    pub fn decode<T: DecodeAsType>(&self, item: Item, bytes: &[u8]) -> Result<T, ModelError> {
        self.decode_type(self.value_type(item)?, bytes, || item.to_string())
    }

    fn encode_type<V: EncodeAsType>(
        &self,
        type_id: u32,
        value: &V,
        what: impl Fn() -> String,
    ) -> Result<Vec<u8>, ModelError> {
        value
            .encode_as_type(type_id, self.metadata.types())
            .map_err(|e| ModelError::Encode { what: what(), detail: e.to_string() })
    }

    /// A value of any type of the metadata; `what` names it in errors.
    pub fn decode_type<T: DecodeAsType>(
        &self,
        type_id: u32,
        mut bytes: &[u8],
        what: impl Fn() -> String,
    ) -> Result<T, ModelError> {
        T::decode_as_type(&mut bytes, type_id, self.metadata.types())
            .map_err(|e| ModelError::Decode { what: what(), detail: e.to_string() })
    }

    /// A dynamic value of any type of the metadata.
    pub fn decode_value(
        &self,
        type_id: u32,
        mut bytes: &[u8],
        what: impl Fn() -> String,
    ) -> Result<Value, ModelError> {
        scale_value::scale::decode_as_type(&mut bytes, type_id, self.metadata.types())
            .map(Value::remove_context)
            .map_err(|e| ModelError::Decode { what: what(), detail: e.to_string() })
    }

    /// Index of an error of a pallet as `ModuleError` carries it: pallet index and error index.
    pub fn module_error(&self, pallet: &str, error: &str) -> Result<(u8, u8), ModelError> {
        let missing = || ModelError::Missing(format!("error {pallet}.{error}"));
        let pallet = self.metadata.pallet_by_name(pallet).ok_or_else(missing)?;
        let variant = pallet
            .error_variants()
            .and_then(|variants| variants.iter().find(|variant| variant.name == error))
            .ok_or_else(missing)?;
        Ok((pallet.error_index(), variant.index))
    }

    /// Whether a pallet has an event of this name.
    pub fn has_event(&self, pallet: &str, event: &str) -> bool {
        let variants = self.metadata.pallet_by_name(pallet).and_then(|pallet| pallet.event_variants());
        variants.is_some_and(|variants| variants.iter().any(|variant| variant.name == event))
    }

    /// A constant of a pallet as an unsigned 32-bit number.
    pub fn constant_u32(&self, pallet: &str, name: &str) -> Result<u32, ModelError> {
        self.metadata
            .pallet_by_name(pallet)
            .and_then(|pallet| pallet.constant_by_name(name))
            .and_then(|constant| u32::decode(&mut constant.value()).ok())
            .ok_or_else(|| ModelError::Missing(format!("constant {pallet}.{name}")))
    }

    fn api_output(&self, api: &str, method: &str) -> Result<u32, ModelError> {
        self.metadata
            .runtime_api_trait_by_name(api)
            .and_then(|api| api.method_by_name(method).map(|method| method.output_ty()))
            .ok_or_else(|| ModelError::Missing(format!("runtime call {api}_{method}")))
    }

    /// Answer of a runtime call as SCALE bytes.
    pub fn encode_output<V: EncodeAsType>(
        &self,
        api: &str,
        method: &str,
        value: &V,
    ) -> Result<Vec<u8>, ModelError> {
        self.encode_type(self.api_output(api, method)?, value, || format!("answer of {api}_{method}"))
    }

    /// `Some(struct with every field zero or empty)` of the type that a runtime call answers with:
    /// the start for filling in the fields that the model knows.
    ///
    /// Works because SCALE decodes zero bytes as zero, empty or the first variant of any type.
    pub fn blank_some(&self, api: &str, method: &str) -> Result<Composite<()>, ModelError> {
        let what = || format!("blank answer of {api}_{method}");
        let mut bytes = vec![0u8; 4096];
        bytes[0] = 1;
        let value = self.decode_value(self.api_output(api, method)?, &bytes, what)?;
        match value.value {
            scale_value::ValueDef::Variant(option) => match option.values.into_values().next() {
                Some(Value { value: scale_value::ValueDef::Composite(fields), .. }) => Ok(fields),
                _ => Err(ModelError::Decode { what: what(), detail: "not an optional struct".into() }),
            },
            _ => Err(ModelError::Decode { what: what(), detail: "not an option".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;
    use subxt::ext::scale_value::ValueDef;

    use super::{super::items, *};
    use crate::{chain::devnet::golden::vectors, domain::ids::Hotkey};

    fn bytes(text: &Json) -> Vec<u8> {
        hex::decode(text.as_str().expect("text").trim_start_matches("0x")).expect("hex")
    }

    /// A recorded key or argument: a number, an ss58 address or hexadecimal bytes.
    fn dynamic(parameter: &Json) -> Value {
        match parameter {
            Json::Number(number) => Value::u128(number.as_u64().expect("number").into()),
            Json::String(text) if text.starts_with("0x") => Value::from_bytes(bytes(parameter)),
            Json::String(text) => Value::from_bytes(text.parse::<Hotkey>().expect("ss58").0),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn storage_keys_equal_the_recorded_ones() {
        let runtime = Runtime::load().expect("vendored metadata");
        let recorded = vectors()["storage_keys"].as_array().expect("list");
        assert_eq!(recorded.len(), 10);
        for recorded in recorded {
            let item = Item {
                pallet: recorded["pallet"].as_str().expect("pallet"),
                entry: recorded["storage_function"].as_str().expect("entry"),
            };
            let keys: Vec<Value> = recorded["params"].as_array().expect("list").iter().map(dynamic).collect();
            let key = runtime.key(item, keys).expect("key");
            assert_eq!(hex::encode(key), hex::encode(bytes(&recorded["key_hex"])), "{item}");
        }
    }

    #[test]
    fn recorded_values_survive_decoding_and_encoding() {
        let runtime = Runtime::load().expect("vendored metadata");
        for recorded in vectors()["storage_values"].as_array().expect("list") {
            if recorded["raw_hex"].is_null() {
                continue;
            }
            let item = Item {
                pallet: recorded["pallet"].as_str().expect("pallet"),
                entry: recorded["storage_function"].as_str().expect("entry"),
            };
            let raw = bytes(&recorded["raw_hex"]);
            let value = runtime
                .decode_value(runtime.value_type_for_tests(item), &raw, || item.to_string())
                .expect("decode");
            assert_eq!(runtime.encode(item, &value), Ok(raw), "{item}");
        }
        for recorded in vectors()["runtime_calls"].as_array().expect("list") {
            let (api, method) =
                (recorded["api"].as_str().expect("api"), recorded["method"].as_str().expect("method"));
            let raw = bytes(&recorded["raw_hex"]);
            let output = runtime.api_output(api, method).expect("output");
            let value = runtime.decode_value(output, &raw, || method.to_string()).expect("decode");
            assert_eq!(runtime.encode_output(api, method, &value), Ok(raw), "{method}");
        }
    }

    /// A blank struct with the recorded node's fields filled in encodes as the recorded node did:
    /// no field is lost, misnamed or in another place.
    #[test]
    fn filling_a_blank_struct_gives_the_recorded_bytes() {
        let runtime = Runtime::load().expect("vendored metadata");
        let (api, method) = ("SubnetInfoRuntimeApi", "get_subnet_hyperparams");
        let recorded = vectors()["runtime_calls"]
            .as_array()
            .expect("list")
            .iter()
            .find(|call| call["method"] == method)
            .expect("recorded");
        let raw = bytes(&recorded["raw_hex"]);
        let output = runtime.api_output(api, method).expect("output");
        let ValueDef::Variant(some) = runtime.decode_value(output, &raw, String::new).expect("decode").value
        else {
            panic!("an option")
        };
        let Some(Value { value: ValueDef::Composite(Composite::Named(fields)), .. }) =
            some.values.into_values().next()
        else {
            panic!("a struct")
        };
        let Composite::Named(mut blank) = runtime.blank_some(api, method).expect("blank") else {
            panic!("a struct")
        };
        assert_eq!(blank.len(), 27);
        for (name, value) in fields {
            blank.iter_mut().find(|(field, _)| *field == name).expect("field").1 = value;
        }
        let filled = Value::unnamed_variant("Some", [Composite::Named(blank).into()]);
        assert_eq!(runtime.encode_output(api, method, &filled), Ok(raw));
    }

    #[test]
    fn every_name_of_the_model_is_in_the_metadata() {
        let runtime = Runtime::load().expect("vendored metadata");
        for item in items::ALL {
            assert!(runtime.has(*item), "{item}");
        }
        assert!(runtime.epochs_are_stateful());
        // Of spec 365 exactly the counters of stateful epochs are missing.
        let old = Runtime::of(DevRuntime::Spec365).expect("vendored metadata");
        let missing: Vec<&str> = items::ALL.iter().filter(|item| !old.has(**item)).map(|i| i.entry).collect();
        assert_eq!(missing, ["LastEpochBlock", "PendingEpochAt", "SubnetEpochIndex"]);
        assert!(!old.epochs_are_stateful());
        let call = "SubnetInfoRuntimeApi_get_next_epoch_start_block";
        assert!(runtime.has_call(call) && !old.has_call(call));
    }

    #[test]
    fn the_version_is_that_of_the_recorded_node() {
        let runtime = Runtime::load().expect("vendored metadata");
        let version = runtime.version();
        assert_eq!((version.spec_version, version.transaction_version), (461, 1));
        assert_eq!(version.spec_name, "node-subtensor");
        assert_eq!(version.encode(), runtime.version_bytes());
        for runtime in [DevRuntime::Spec365, DevRuntime::Spec461].map(Runtime::of) {
            let runtime = runtime.expect("vendored metadata");
            assert_eq!(runtime.version().spec_version, runtime.which().spec_version());
            for (format, bytes) in runtime.served() {
                assert_eq!(u32::from(bytes[4]), *format, "the byte after the magic");
                Metadata::decode_from(bytes).expect("every format decodes");
            }
        }
    }

    #[test]
    fn unknown_names_are_named_in_the_error() {
        let runtime = Runtime::load().expect("vendored metadata");
        let error = runtime.module_error("SubtensorModule", "NoSuchError").unwrap_err();
        assert!(error.to_string().contains("SubtensorModule.NoSuchError"), "{error}");
        assert_eq!(runtime.module_error("SubtensorModule", "SettingWeightsTooFast"), Ok((7, 29)));
    }
}
