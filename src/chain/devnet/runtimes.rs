//! The runtimes that the chain can run: vendored metadata, and altered copies of it.

use std::{borrow::Cow, sync::Arc};

use parity_scale_codec::{Decode, Encode};
use subxt::ext::frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed, v14::StorageEntryType};

use super::{
    error::ModelError,
    runtime::{Runtime, RuntimeVersion},
    state::View,
};

const METADATA_461_V15: &[u8] = include_bytes!("metadata/subtensor-461-v15.scale");
const METADATA_461_V14: &[u8] = include_bytes!("metadata/subtensor-461-v14.scale");
const METADATA_365_V16: &[u8] = include_bytes!("metadata/subtensor-365-v16.scale");

/// Metadata in one format: the format's version, and the bytes.
pub type Format = (u32, Cow<'static, [u8]>);

/// A runtime that the chain can run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub enum DevRuntime {
    /// Spec 365: netuids are plain `u16`, epochs fall by block number modulo tempo, and the
    /// counters of stateful epochs do not exist. Only format V16 of its metadata is known, so
    /// `state_getMetadata` answers that, where a real node answers V14.
    Spec365,
    /// Spec 461: the runtime that the model is written after.
    #[default]
    Spec461,
    /// Spec 461 under another version, with changes in what its metadata says. **Only the metadata
    /// is altered**: the chain goes on to keep its state as spec 461 does, so a client that finds a
    /// renamed entry finds nothing stored under the new name.
    Altered {
        /// Spec version that it calls itself; above 461.
        spec_version: u32,
        /// What is changed; nothing makes a healthy runtime.
        changes: Vec<MetadataChange>,
    },
}

/// The runtimes that this chain has run, each read once.
pub struct Runtimes(Vec<Arc<Runtime>>);

impl Runtimes {
    /// With the runtime that the chain begins with.
    pub fn new(first: DevRuntime) -> Result<Self, ModelError> {
        Ok(Self(vec![Runtime::of(first)?]))
    }

    /// The runtime, read now if it is new.
    ///
    /// # Errors
    /// Refuses a spec version that another runtime has: clients keep metadata by spec version.
    pub fn load(&mut self, which: &DevRuntime) -> Result<Arc<Runtime>, ModelError> {
        let spec_version = which.spec_version();
        if let Some(known) = self.0.iter().find(|known| known.version().spec_version == spec_version) {
            return if known.which() == which {
                Ok(known.clone())
            } else {
                Err(ModelError::SpecVersionTaken(spec_version))
            };
        }
        let runtime = Runtime::of(which.clone())?;
        self.0.push(runtime.clone());
        Ok(runtime)
    }

    /// The runtime in whose code a state stands.
    pub fn at(&self, view: &View<'_>) -> &Arc<Runtime> {
        let spec_version = view.get(CODE_KEY).and_then(|code| <(Vec<u8>, u32)>::decode(&mut &code[..]).ok());
        // Every state has code, and code is stored only of runtimes that were loaded; the runtime of
        // the start stands in for the states before the first one that is kept.
        let known = |runtime: &&Arc<Runtime>| {
            Some(runtime.version().spec_version) == spec_version.as_ref().map(|(_, version)| *version)
        };
        self.0.iter().find(known).unwrap_or(&self.0[0])
    }
}

/// Substrate's key of the runtime's code.
pub const CODE_KEY: &[u8] = b":code";
const CODE_MARK: &[u8] = b"leoma devnet runtime";

/// What the chain stores under `:code`: a mark, the spec version, and which runtime it is.
pub fn code_of(which: &DevRuntime) -> Vec<u8> {
    (CODE_MARK, which.spec_version(), which).encode()
}

/// The runtime in what is stored under `:code`.
pub fn runtime_of_code(code: &[u8]) -> Result<DevRuntime, ModelError> {
    let (_, _, which) = <(Vec<u8>, u32, DevRuntime)>::decode(&mut &code[..])
        .map_err(|error| ModelError::Decode { what: ":code".into(), detail: error.to_string() })?;
    Ok(which)
}

/// One change in the metadata of an altered runtime.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum MetadataChange {
    /// A storage entry has another name.
    RenameStorage {
        /// Pallet.
        pallet: String,
        /// Its name so far.
        entry: String,
        /// Its name from now on.
        to: String,
    },
    /// A storage entry has the value type of another entry.
    RetypeStorage {
        /// Pallet of both entries.
        pallet: String,
        /// The entry that changes.
        entry: String,
        /// The entry whose value type it takes.
        like: String,
    },
}

impl DevRuntime {
    /// A runtime of spec 461 under another version, with storage entries renamed by `(pallet,
    /// entry, new name)`; none makes a healthy one.
    pub fn renamed(spec_version: u32, names: &[(&str, &str, &str)]) -> Self {
        let rename = |(pallet, entry, to): &(&str, &str, &str)| MetadataChange::RenameStorage {
            pallet: pallet.to_string(),
            entry: entry.to_string(),
            to: to.to_string(),
        };
        Self::Altered { spec_version, changes: names.iter().map(rename).collect() }
    }

    /// Its spec version.
    pub fn spec_version(&self) -> u32 {
        match self {
            DevRuntime::Spec365 => 365,
            DevRuntime::Spec461 => 461,
            DevRuntime::Altered { spec_version, .. } => *spec_version,
        }
    }

    /// The metadata by which the model itself encodes and decodes.
    pub(super) fn own_metadata(&self) -> &'static [u8] {
        match self {
            DevRuntime::Spec365 => METADATA_365_V16,
            DevRuntime::Spec461 | DevRuntime::Altered { .. } => METADATA_461_V15,
        }
    }

    /// The metadata that clients get, in every format that is known, oldest first.
    pub(super) fn served_metadata(&self) -> Result<Vec<Format>, ModelError> {
        match self {
            DevRuntime::Spec365 => Ok(vec![(16, METADATA_365_V16.into())]),
            DevRuntime::Spec461 => Ok(vec![(14, METADATA_461_V14.into()), (15, METADATA_461_V15.into())]),
            DevRuntime::Altered { spec_version, changes } => {
                if *spec_version <= 461 {
                    return Err(ModelError::Missing(format!(
                        "a free number: an altered runtime is above 461, {spec_version}"
                    )));
                }
                [(14, METADATA_461_V14), (15, METADATA_461_V15)]
                    .into_iter()
                    .map(|(format, bytes)| Ok((format, altered(bytes, *spec_version, changes)?.into())))
                    .collect()
            }
        }
    }
}

fn undecodable(error: impl std::fmt::Display) -> ModelError {
    ModelError::Metadata(error.to_string())
}

/// A storage entry by name. A macro, since the types of both formats are alike but not the same.
macro_rules! entry {
    ($metadata:expr, $pallet:expr, $entry:expr) => {
        $metadata
            .pallets
            .iter_mut()
            .find(|pallet| pallet.name == *$pallet)
            .and_then(|pallet| pallet.storage.as_mut())
            .and_then(|storage| storage.entries.iter_mut().find(|entry| entry.name == *$entry))
            .ok_or_else(|| ModelError::Missing(format!("{}.{}", $pallet, $entry)))
    };
}

/// Where a storage entry holds the type of its value.
macro_rules! value_type {
    ($entry:expr) => {
        match &mut $entry.ty {
            StorageEntryType::Plain(value) | StorageEntryType::Map { value, .. } => value,
        }
    };
}

/// Writes the spec version and the changes into decoded metadata.
macro_rules! alter {
    ($metadata:expr, $spec_version:expr, $changes:expr) => {{
        for pallet in $metadata.pallets.iter_mut().filter(|pallet| pallet.name == "System") {
            for constant in pallet.constants.iter_mut().filter(|constant| constant.name == "Version") {
                let version = RuntimeVersion::decode(&mut &constant.value[..]).map_err(undecodable)?;
                constant.value = RuntimeVersion { spec_version: $spec_version, ..version }.encode();
            }
        }
        for change in $changes {
            match change {
                MetadataChange::RenameStorage { pallet, entry, to } => {
                    entry!($metadata, pallet, entry)?.name = to.clone();
                }
                MetadataChange::RetypeStorage { pallet, entry, like } => {
                    let wanted = *value_type!(entry!($metadata, pallet, like)?);
                    *value_type!(entry!($metadata, pallet, entry)?) = wanted;
                }
            }
        }
    }};
}

fn altered(bytes: &[u8], spec_version: u32, changes: &[MetadataChange]) -> Result<Vec<u8>, ModelError> {
    let mut prefixed = RuntimeMetadataPrefixed::decode(&mut &bytes[..]).map_err(undecodable)?;
    match &mut prefixed.1 {
        RuntimeMetadata::V14(metadata) => alter!(metadata, spec_version, changes),
        RuntimeMetadata::V15(metadata) => alter!(metadata, spec_version, changes),
        _ => return Err(undecodable("only formats V14 and V15 can be altered")),
    }
    Ok(prefixed.encode())
}

#[cfg(test)]
mod tests {
    use subxt::Metadata;

    use super::*;

    fn served(runtime: &DevRuntime) -> Vec<Metadata> {
        let formats = runtime.served_metadata().expect("metadata");
        formats.iter().map(|(_, bytes)| Metadata::decode_from(bytes).expect("decodes")).collect()
    }

    #[test]
    fn an_altered_runtime_says_so_in_every_format() {
        let mut changes = vec![MetadataChange::RetypeStorage {
            pallet: "SubtensorModule".into(),
            entry: "Tempo".into(),
            like: "LastEpochBlock".into(),
        }];
        let DevRuntime::Altered { changes: renamed, .. } =
            DevRuntime::renamed(462, &[("SubtensorModule", "Weights", "Weight")])
        else {
            panic!("altered")
        };
        changes.extend(renamed);
        let all = served(&DevRuntime::Altered { spec_version: 462, changes });
        assert_eq!(all.len(), 2);
        for metadata in all {
            let pallet = metadata.pallet_by_name("SubtensorModule").expect("pallet");
            let storage = pallet.storage().expect("storage");
            assert!(storage.entry_by_name("Weights").is_none() && storage.entry_by_name("Weight").is_some());
            let type_of = |entry| storage.entry_by_name(entry).expect("entry").value_ty();
            assert_eq!(type_of("Tempo"), type_of("LastEpochBlock"));
            let system = metadata.pallet_by_name("System").expect("pallet");
            let version = system.constant_by_name("Version").expect("constant").value();
            assert_eq!(RuntimeVersion::decode(&mut &version[..]).expect("version").spec_version, 462);
        }
    }

    #[test]
    fn changes_that_do_not_fit_are_refused() {
        let unknown = DevRuntime::renamed(462, &[("SubtensorModule", "NoSuch", "x")]);
        let error = unknown.served_metadata().expect_err("refused").to_string();
        assert!(error.contains("SubtensorModule.NoSuch"), "{error}");
        assert!(DevRuntime::renamed(461, &[]).served_metadata().is_err(), "461 is taken");
    }
}
