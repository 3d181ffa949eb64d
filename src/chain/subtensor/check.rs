//! The start-up check: every name and type shape that we use is in the live metadata.
//!
//! A shape is proved by doing what the reads do: a sample value is encoded in the form that we
//! expect, decoded through the metadata's own type, and must come back whole and equal.

use parity_scale_codec::{Compact, Encode};
use subxt::{
    SubstrateConfig,
    client::{ClientAtBlock, OfflineClientAtBlockT},
    config::DefaultExtrinsicParamsBuilder,
    ext::{
        frame_decode::{runtime_apis::IntoEncodableValues as IntoArguments, storage::IntoEncodableValues},
        scale_decode::DecodeAsType,
        scale_encode::{EncodeAsFields, EncodeAsType},
    },
    runtime_apis,
    storage::Address,
    transactions,
    utils::{AccountId32, H256, MultiSignature},
};

use scale_info::{PortableRegistry, TypeDef};

use super::{
    commitments::{self, Sample},
    names,
};
use crate::{
    chain::port::{ChainError, CommitCall, CommitmentCall, WeightsCall},
    domain::ids::{NetUid, Uid},
};

const NETUID: u16 = 0x0102;
const UID: u16 = 0x0304;
const ACCOUNT: AccountId32 = AccountId32([7; 32]);

/// Refuses a runtime that lacks something that we use; the error lists everything that is missing.
pub(super) fn runtime<C>(at: &ClientAtBlock<SubstrateConfig, C>) -> Result<(), ChainError>
where
    C: OfflineClientAtBlockT<SubstrateConfig>,
{
    let mut check = Check { at, missing: Vec::new() };
    check.subnet_items();
    check.neuron_items();
    check.runtime_calls();
    check.events();
    check.extrinsics();
    check.verdict("what this validator uses of the runtime")
}

/// Refuses a runtime that lacks something that a miner's commands use beside [`runtime`]'s items.
pub(super) fn commitments<C>(at: &ClientAtBlock<SubstrateConfig, C>) -> Result<(), ChainError>
where
    C: OfflineClientAtBlockT<SubstrateConfig>,
{
    let mut check = Check { at, missing: Vec::new() };
    check.commitment_items();
    check.commitment_calls();
    check.verdict("what committing uses of the runtime")
}

struct Check<'a, C> {
    at: &'a ClientAtBlock<SubstrateConfig, C>,
    missing: Vec<String>,
}

impl<C: OfflineClientAtBlockT<SubstrateConfig>> Check<'_, C> {
    fn verdict(self, what: &str) -> Result<(), ChainError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(ChainError::Metadata {
            what: what.to_owned(),
            spec: self.at.spec_version(),
            detail: self.missing.join("; "),
        })
    }

    fn commitment_items(&mut self) {
        let owner = (NETUID, ACCOUNT);
        self.storage(commitments::incentive(), (NETUID,), vec![65_535, 0]);
        self.storage(commitments::max_space(), (), 3100);
        let samples = commitments::samples();
        self.storage_reads(commitments::used_space_of(), owner, &samples.space);
        for registration in &samples.registrations {
            self.storage_reads(commitments::commitment_of(), owner, registration);
        }
    }

    fn commitment_calls(&mut self) {
        for (data, arguments) in commitments::sample_calls() {
            let call = commitments::set_commitment(&CommitmentCall { netuid: NetUid(NETUID), data });
            // Pallet, call, netuid, one field, its kind: the kind's number may move, the rest not.
            let start = [NETUID.encode(), vec![1 << 2]].concat();
            let same = |bytes: &[u8]| bytes.get(2..5) == Some(&start) && bytes.get(6..) == Some(&arguments);
            match self.at.transactions().call_data(&call) {
                Ok(bytes) if same(&bytes) => {}
                Ok(_) => self.missing.push("call Commitments.set_commitment: has other arguments".to_owned()),
                Err(error) => self.missing.push(format!("call Commitments.set_commitment: {error}")),
            }
        }
    }

    /// Like [`Check::storage`] for an item of which we read a part: a sample of the whole is encoded
    /// through the metadata's own type, and must be read as the part that it holds.
    fn storage_reads<A>(&mut self, address: A, keys: A::KeyParts, sample: &Sample<A::Value>)
    where
        A: Address,
        A::KeyParts: IntoEncodableValues,
        A::Value: PartialEq,
    {
        let (pallet, item) = (address.pallet_name().to_owned(), address.entry_name().to_owned());
        let name = format!("storage {pallet}.{item}");
        if let Err(error) = self.at.storage().entry(address).and_then(|entry| entry.fetch_key(keys)) {
            return self.missing.push(format!("{name}: {error}"));
        }
        let metadata = self.at.metadata_ref();
        let entry = metadata.pallet_by_name(&pallet).and_then(|pallet| pallet.storage());
        let Some(entry) = entry.and_then(|all| all.entry_by_name(&item)) else { return };
        match sample.whole.encode_as_type(entry.value_ty(), metadata.types()) {
            Ok(bytes) => self.same_reading(&name, entry.value_ty(), &bytes, &sample.part),
            Err(error) => self.missing.push(format!("{name}: has another type ({error})")),
        }
    }

    fn subnet_items(&mut self) {
        let subnet = (NETUID,);
        self.storage(names::networks_added(), subnet, true);
        self.storage(names::tempo(), subnet, 360);
        self.storage(names::subnet_epoch_index(), subnet, 1 << 40);
        self.storage(names::last_epoch_block(), subnet, 1 << 40);
        self.storage(names::weights_set_rate_limit(), subnet, 1 << 40);
        self.storage(names::min_allowed_weights(), subnet, 1024);
        self.storage(names::weights_version_key(), subnet, 1 << 40);
        self.storage(names::commit_reveal_weights_enabled(), subnet, true);
        self.storage(names::subnet_owner_hotkey(), subnet, ACCOUNT);
        self.storage(names::pending_epoch_at(), subnet, 1 << 40);
        self.storage(names::blocks_since_last_step(), subnet, 1 << 40);
        self.storage(names::reveal_period_epochs(), subnet, 1 << 40);
        self.storage(names::commit_reveal_weights_version(), (), 4);
        self.storage(names::stake_threshold(), (), 1 << 40);
        self.storage(commitments::now(), (), 1 << 40);
        self.storage(names::last_stored_round(), (), 1 << 40);
        self.storage_reads(commitments::beacon_config(), (), &commitments::samples().beacon);
        let commits = vec![(ACCOUNT, 1 << 40, vec![1, 2, 3], 1 << 41)];
        self.storage(names::timelocked_weight_commits(), (NETUID, 1 << 40), commits);
        self.storage(names::revealed_commitments(), (NETUID, ACCOUNT), vec![(vec![1, 2, 3], 1 << 40)]);
    }

    fn neuron_items(&mut self) {
        self.storage(names::keys(), (NETUID, UID), ACCOUNT);
        self.storage(names::validator_permit(), (NETUID,), vec![true, false]);
        self.storage(names::last_update(), (NETUID,), vec![1 << 40, 5]);
        self.storage(names::block_at_registration(), (NETUID, UID), 1 << 40);
        self.storage(names::weights(), (NETUID, UID), vec![(UID, 65_535)]);
    }

    fn runtime_calls(&mut self) {
        self.runtime_call(names::next_epoch_start_block(NETUID), NETUID.encode(), Some(1 << 40));
        self.runtime_call(names::account_nonce(ACCOUNT), ACCOUNT.encode(), 1 << 20);
        self.metagraph();
    }

    /// The runtime's metagraph has many more fields than we read: each of ours is tried by itself.
    fn metagraph(&mut self) {
        let call = names::metagraph(NETUID);
        let name = format!("runtime call {}.{}", call.trait_name(), call.method_name());
        let Some(output) = self.arguments(&call, &name, &NETUID.encode()) else { return };
        let accounts = vec![ACCOUNT];
        match field_of_some(self.at.metadata_ref().types(), output, "hotkeys") {
            Some(field) => {
                self.same_reading(&format!("{name}: hotkeys"), field, &accounts.encode(), &accounts)
            }
            None => self.missing.push(format!("{name}: no field hotkeys")),
        }
        let stakes = vec![1_u64 << 40];
        let packed = vec![Compact(stakes[0])].encode();
        match field_of_some(self.at.metadata_ref().types(), output, "total_stake") {
            Some(field) => self.same_reading(&format!("{name}: total_stake"), field, &packed, &stakes),
            None => self.missing.push(format!("{name}: no field total_stake")),
        }
    }

    fn events(&mut self) {
        let metadata = self.at.metadata_ref();
        for event in ["ExtrinsicSuccess", "ExtrinsicFailed"] {
            let variants = metadata.pallet_by_name("System").and_then(|pallet| pallet.event_variants());
            if !variants.is_some_and(|variants| variants.iter().any(|variant| variant.name == event)) {
                self.missing.push(format!("event System.{event}"));
            }
        }
        if metadata.dispatch_error_ty().is_none() {
            self.missing.push("type DispatchError".to_owned());
        }
    }

    fn extrinsics(&mut self) {
        let weights = names::set_weights(&WeightsCall {
            netuid: NetUid(NETUID),
            uids: vec![Uid(UID), Uid(1)],
            values: vec![65_535, 0],
            version_key: 9,
            born_at: None,
        });
        self.call(&weights, &(NETUID, vec![UID, 1], vec![65_535_u16, 0], 9_u64).encode());
        let commit = names::commit_timelocked_weights(&CommitCall {
            netuid: NetUid(NETUID),
            sealed: vec![1, 2, 3],
            reveal_round: 1 << 40,
            version: 4,
            born_at: None,
        });
        self.call(&commit, &(NETUID, vec![1_u8, 2, 3], 1_u64 << 40, 4_u16).encode());
        self.signed(&weights);
    }

    /// The call encodes as the runtime's source says.
    fn call<A: EncodeAsFields>(&mut self, call: &transactions::DynamicPayload<A>, arguments: &[u8]) {
        let name = format!("call {}.{}", call.pallet_name(), call.call_name());
        match self.at.transactions().call_data(call) {
            Ok(bytes) if bytes.get(2..) == Some(arguments) => {}
            Ok(_) => self.missing.push(format!("{name}: has other arguments")),
            Err(error) => self.missing.push(format!("{name}: {error}")),
        }
    }

    /// The runtime asks for no signed extension that we could not fill.
    fn signed<A: EncodeAsFields>(&mut self, call: &transactions::DynamicPayload<A>) {
        let parameters =
            DefaultExtrinsicParamsBuilder::new().mortal_from_unchecked(64, 1, H256::zero()).nonce(0).build();
        let signed =
            self.at.transactions().create_signable_offline(call, parameters).and_then(|mut signable| {
                signable.signer_payload()?;
                signable.sign_with_account_and_signature(&ACCOUNT, &MultiSignature::Sr25519([0; 64]))
            });
        if let Err(error) = signed {
            self.missing.push(format!("signed extensions: {error}"));
        }
    }

    fn storage<A>(&mut self, address: A, keys: A::KeyParts, sample: A::Value)
    where
        A: Address,
        A::KeyParts: IntoEncodableValues,
        A::Value: Encode + PartialEq,
    {
        let (pallet, item) = (address.pallet_name().to_owned(), address.entry_name().to_owned());
        let name = format!("storage {pallet}.{item}");
        match self.at.storage().entry(address).and_then(|entry| entry.fetch_key(keys)) {
            Ok(_) => {
                let value = self.at.metadata_ref().pallet_by_name(&pallet);
                let value =
                    value.and_then(|pallet| pallet.storage()).and_then(|all| all.entry_by_name(&item));
                if let Some(entry) = value {
                    self.same_shape(&name, entry.value_ty(), &sample);
                }
            }
            Err(error) => self.missing.push(format!("{name}: {error}")),
        }
    }

    fn runtime_call<A, R>(&mut self, call: runtime_apis::DynamicPayload<A, R>, arguments: Vec<u8>, sample: R)
    where
        A: IntoArguments,
        R: DecodeAsType + Encode + PartialEq,
    {
        let name = format!("runtime call {}.{}", call.trait_name(), call.method_name());
        if let Some(output) = self.arguments(&call, &name, &arguments) {
            self.same_shape(&name, output, &sample);
        }
    }

    /// Type of a runtime call's answer, when the call takes these arguments.
    fn arguments<A: IntoArguments, R: DecodeAsType>(
        &mut self,
        call: &runtime_apis::DynamicPayload<A, R>,
        name: &str,
        arguments: &[u8],
    ) -> Option<u32> {
        match self.at.runtime_apis().encode_args(call) {
            Ok(bytes) if bytes == arguments => {}
            Ok(_) => {
                self.missing.push(format!("{name}: has other arguments"));
                return None;
            }
            Err(error) => {
                self.missing.push(format!("{name}: {error}"));
                return None;
            }
        }
        let method = self.at.metadata_ref().runtime_api_trait_by_name(call.trait_name())?;
        Some(method.method_by_name(call.method_name())?.output_ty())
    }

    fn same_shape<V: DecodeAsType + Encode + PartialEq>(&mut self, name: &str, type_id: u32, sample: &V) {
        self.same_reading(name, type_id, &sample.encode(), sample);
    }

    fn same_reading<V>(&mut self, name: &str, type_id: u32, bytes: &[u8], expected: &V)
    where
        V: DecodeAsType + PartialEq,
    {
        let mut rest = bytes;
        match V::decode_as_type(&mut rest, type_id, self.at.metadata_ref().types()) {
            Ok(value) if value == *expected && rest.is_empty() => {}
            Ok(_) => self.missing.push(format!("{name}: has another type")),
            Err(error) => self.missing.push(format!("{name}: has another type ({error})")),
        }
    }
}

/// Type of a field of the struct inside an `Option`.
fn field_of_some(types: &PortableRegistry, option: u32, name: &str) -> Option<u32> {
    let TypeDef::Variant(option) = &types.resolve(option)?.type_def else { return None };
    let some = option.variants.iter().find(|variant| variant.name == "Some")?.fields.first()?;
    let TypeDef::Composite(fields) = &types.resolve(some.ty.id)?.type_def else { return None };
    fields.fields.iter().find(|field| field.name.as_deref() == Some(name)).map(|field| field.ty.id)
}

#[cfg(test)]
mod tests {
    use subxt::ext::{
        codec::Decode,
        frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed, v14::StorageEntryType, v15},
    };

    use super::*;
    use crate::chain::subtensor::golden;

    fn recorded() -> RuntimeMetadataPrefixed {
        RuntimeMetadataPrefixed::decode(&mut &golden::METADATA_V15[..]).expect("recorded metadata")
    }

    /// The recorded runtime, changed.
    fn changed(change: impl FnOnce(&mut v15::RuntimeMetadataV15)) -> Result<(), ChainError> {
        let mut prefixed = recorded();
        let RuntimeMetadata::V15(metadata) = &mut prefixed.1 else { panic!("not V15") };
        change(metadata);
        runtime(&golden::client(&prefixed.encode()))
    }

    /// A storage entry of the subtensor pallet, mutable.
    macro_rules! entry {
        ($metadata:expr, $entry:expr) => {{
            let pallet = $metadata.pallets.iter_mut().find(|pallet| pallet.name == "SubtensorModule");
            let entries = &mut pallet.expect("a pallet").storage.as_mut().expect("storage").entries;
            entries.iter_mut().find(|found| found.name == $entry).expect("an entry")
        }};
    }

    fn complaint(result: Result<(), ChainError>) -> String {
        match result.expect_err("a complaint") {
            ChainError::Metadata { spec: 461, detail, .. } => detail,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_recorded_runtime_has_everything() {
        assert_eq!(changed(|_| {}), Ok(()));
    }

    #[test]
    fn all_that_is_missing_is_listed_at_once() {
        let detail = complaint(changed(|metadata| {
            entry!(metadata, "Weights").name = "Weight".to_owned();
            entry!(metadata, "LastEpochBlock").name = "LastStep".to_owned();
            metadata.apis.retain(|api| api.name != "SubnetInfoRuntimeApi");
        }));
        for name in
            ["SubtensorModule.Weights", "SubtensorModule.LastEpochBlock", "get_next_epoch_start_block"]
        {
            assert!(detail.contains(name), "{name} not in: {detail}");
        }
        assert!(!detail.contains("Tempo"), "{detail}");
    }

    #[test]
    fn what_committing_needs_is_checked_apart() {
        let mut prefixed = recorded();
        assert_eq!(commitments(&golden::client(&prefixed.encode())), Ok(()));
        let RuntimeMetadata::V15(metadata) = &mut prefixed.1 else { panic!("not V15") };
        for pallet in &mut metadata.pallets {
            let entries = pallet.storage.iter_mut().flat_map(|storage| &mut storage.entries);
            for entry in entries.filter(|entry| ["UsedSpaceOf", "MaxSpace"].contains(&&*entry.name)) {
                entry.name.push_str("Two");
            }
            if pallet.name == "Commitments" {
                pallet.calls = None;
            }
        }
        let changed = golden::client(&prefixed.encode());
        assert_eq!(runtime(&changed), Ok(()));
        let detail = complaint(commitments(&changed));
        for name in ["Commitments.UsedSpaceOf", "Commitments.MaxSpace", "Commitments.set_commitment"] {
            assert!(detail.contains(name), "{name} not in: {detail}");
        }
        assert!(!detail.contains("CommitmentOf"), "{detail}");
    }

    #[test]
    fn a_changed_value_type_or_key_is_noticed() {
        let detail = complaint(changed(|metadata| {
            let StorageEntryType::Map { value: wide, .. } = entry!(metadata, "LastEpochBlock").ty else {
                panic!("a map")
            };
            match &mut entry!(metadata, "Tempo").ty {
                StorageEntryType::Map { value, .. } => *value = wide,
                StorageEntryType::Plain(_) => panic!("a map"),
            }
            entry!(metadata, "MinAllowedWeights").ty = StorageEntryType::Plain(wide);
        }));
        assert!(detail.contains("SubtensorModule.Tempo: has another type"), "{detail}");
        assert!(detail.contains("SubtensorModule.MinAllowedWeights"), "{detail}");
    }

    #[test]
    fn a_signed_extension_that_we_can_not_fill_is_noticed() {
        let detail = complaint(changed(|metadata| {
            let nonce = metadata
                .extrinsic
                .signed_extensions
                .iter_mut()
                .find(|found| found.identifier == "CheckNonce");
            nonce.expect("CheckNonce").identifier = "CheckSomethingNew".to_owned();
        }));
        assert!(detail.contains("signed extensions") && detail.contains("CheckSomethingNew"), "{detail}");
    }
}
