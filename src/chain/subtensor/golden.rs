//! Bytes against vectors recorded from a subtensor node (`tests/golden/chain-461`, see its NOTICE).

use std::sync::Arc;

use parity_scale_codec::Decode;
use serde_json::Value;
use subxt::{
    Metadata, OfflineClient, OfflineClientAtBlock, SubstrateConfig,
    config::{DefaultExtrinsicParams, DefaultExtrinsicParamsBuilder, substrate::SpecVersionForRange},
    storage::Address,
    utils::{AccountId32, H256, MultiSignature},
};

use super::{connection::head_of, names};
use crate::{
    chain::port::WeightsCall,
    domain::ids::{Hotkey, NetUid, Uid},
};

/// Metadata of the recorded runtime.
pub(super) const METADATA_V15: &[u8] = include_bytes!("../devnet/metadata/subtensor-461-v15.scale");

fn vectors() -> Value {
    let text = include_str!("../../../tests/golden/chain-461/vectors.json");
    serde_json::from_str(text).expect("vectors")
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a string");
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).expect("hexadecimal")
}

fn hash(value: &Value) -> H256 {
    H256::from_slice(&bytes(value))
}

/// A client of the recorded chain with some metadata, at block 66.
pub(super) fn client(metadata: &[u8]) -> OfflineClientAtBlock<SubstrateConfig> {
    let metadata = Metadata::decode(&mut &*metadata).expect("metadata");
    let versions =
        SpecVersionForRange { block_range: 0..u64::MAX, spec_version: 461, transaction_version: 1 };
    let config = SubstrateConfig::builder()
        .set_metadata_for_spec_versions([(461, Arc::new(metadata))])
        .set_spec_version_for_block_ranges([versions])
        .set_genesis_hash(hash(&vectors()["network"]["genesis_hash"]))
        .build();
    OfflineClient::new_with_config(config).at_block(66_u64).expect("a client")
}

fn parameters(vector: &Value, birth: H256) -> DefaultExtrinsicParams<SubstrateConfig> {
    let nonce = vector["nonce"].as_u64().expect("a nonce");
    let builder = DefaultExtrinsicParamsBuilder::new().nonce(nonce);
    match vector["era"].as_object() {
        Some(era) => {
            let number = |field: &str| era[field].as_u64().expect("a number");
            builder.mortal_from_unchecked(number("period"), number("current"), birth).build()
        }
        None => builder.immortal().build(),
    }
}

#[test]
fn set_weights_encodes_as_recorded() {
    let vectors = vectors();
    let calls = vectors["calls"].as_array().expect("calls");
    let recorded = calls.iter().find(|call| call["function"] == "set_weights").expect("set_weights");
    let call = WeightsCall {
        netuid: NetUid(1),
        uids: vec![Uid(0), Uid(1)],
        values: vec![100, 200],
        version_key: 0,
        born_at: None,
    };
    let encoded =
        client(METADATA_V15).transactions().call_data(&names::set_weights(&call)).expect("call data");
    assert_eq!(encoded, bytes(&recorded["data_hex"]));

    // The shape of a winner's payment on subnet 99.
    let winner = WeightsCall {
        netuid: NetUid(99),
        uids: vec![Uid(0)],
        values: vec![65_535],
        version_key: 0,
        born_at: None,
    };
    let encoded =
        client(METADATA_V15).transactions().call_data(&names::set_weights(&winner)).expect("call data");
    assert_eq!(hex::encode(encoded), "07006300040000 04ffff 0000000000000000".replace(' ', ""));
}

#[test]
fn signed_bytes_are_as_recorded_for_immortal_and_mortal_eras() {
    let client = client(METADATA_V15);
    let transactions = client.transactions();
    let vectors = vectors();
    let recorded = vectors["signature_payloads"].as_array().expect("payloads");
    assert!(!recorded.is_empty());
    for vector in recorded {
        let call = transactions.from_call_data_bytes(&bytes(&vector["call_data_hex"])).expect("a call");
        let birth = vector.get("era_birth_block_hash").map(hash).unwrap_or_default();
        let signable =
            transactions.create_signable_offline(&call, parameters(vector, birth)).expect("signable");
        assert_eq!(
            hex::encode(signable.signer_payload().expect("payload")),
            hex::encode(bytes(&vector["payload_hex"]))
        );
    }
}

#[test]
fn whole_extrinsics_and_their_hashes_are_as_recorded() {
    let client = client(METADATA_V15);
    let transactions = client.transactions();
    let vectors = vectors();
    let recorded = vectors["extrinsics"].as_array().expect("extrinsics");
    assert!(!recorded.is_empty());
    for vector in recorded {
        let call = transactions.from_call_data_bytes(&bytes(&vector["call_data_hex"])).expect("a call");
        let parameters = parameters(vector, H256::zero());
        let mut signable = transactions.create_signable_offline(&call, parameters).expect("signable");
        let account: Hotkey = vector["address"].as_str().expect("an address").parse().expect("ss58");
        let signature = bytes(&vector["signature_hex"]).try_into().expect("64 bytes");
        let signature = MultiSignature::Sr25519(signature);
        let signed =
            signable.sign_with_account_and_signature(&AccountId32(account.0), &signature).expect("signed");
        assert_eq!(hex::encode(signed.encoded()), hex::encode(bytes(&vector["extrinsic_hex"])));
        assert_eq!(signed.hash(), hash(&vector["extrinsic_hash"]));
    }
}

#[test]
fn storage_keys_are_as_recorded() {
    fn key<A: Address>(address: A, parts: A::KeyParts) -> (String, Vec<u8>) {
        let name = address.entry_name().to_owned();
        let client = client(METADATA_V15);
        (name, client.storage().entry(address).expect("an entry").fetch_key(parts).expect("a key"))
    }
    let vectors = vectors();
    let recorded = vectors["storage_keys"].as_array().expect("keys");
    for (name, ours) in
        [key(names::tempo(), (1,)), key(names::networks_added(), (3,)), key(names::keys(), (1, 0))]
    {
        let vector = recorded.iter().find(|vector| vector["storage_function"] == name).expect("a vector");
        assert_eq!(ours, bytes(&vector["key_hex"]), "{name}");
    }
}

#[test]
fn a_header_hashes_to_the_recorded_block_hash() {
    let block = &vectors()["block"];
    let head = head_of(&serde_json::from_value(block["header"].clone()).expect("a header"));
    assert_eq!(head.block.hash.0, hash(&block["block_hash"]).0);
    assert_eq!(head.block.number.0, 67);
    assert_eq!(head.parent.0, hash(&block["header"]["parentHash"]).0);
}
