//! Extrinsics: decoding by the metadata, mortality, signer payload and signature check.

use std::ops::Range;

use parity_scale_codec::{Compact, Decode, Encode};
use sp_crypto_hashing::blake2_256;
use subxt::ext::{
    frame_decode::extrinsics::ExtrinsicTypeInfo,
    scale_decode::{
        DecodeAsType,
        visitor::{IgnoreVisitor, decode_with_visitor},
    },
    scale_value::Value,
};
use subxt_signer::sr25519;

use super::{error::ModelError, pallets::KNOWN_CALLS, runtime::Runtime};
use crate::domain::ids::{BlockHash, Hotkey};

/// Largest extrinsic that the pool takes, in bytes.
pub const MAX_EXTRINSIC_BYTES: usize = 256 * 1024;

/// First byte of a signed extrinsic.
const SIGNED_V4: u8 = 0x84;
/// First byte of an extrinsic without a signature.
const BARE_V4: u8 = 4;
/// The same in its newer form: a real node writes inherents so, though signed extrinsics are v4.
const BARE_V5: u8 = 5;

/// Payloads longer than this are signed by their blake2-256 hash.
const MAX_PLAIN_PAYLOAD: usize = 256;

/// Why bytes are not an extrinsic of this runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtrinsicError {
    /// Too long.
    #[error("extrinsic of {0} bytes: at most {MAX_EXTRINSIC_BYTES}")]
    TooLong(usize),
    /// The metadata does not decode it.
    #[error("{0}")]
    Undecodable(String),
    /// Bytes follow the call.
    #[error("{0} bytes follow the call")]
    Trailing(usize),
}

/// How long a transaction is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Era {
    /// For ever.
    Immortal,
    /// For `period` blocks from the newest block whose number is `phase` modulo `period`.
    Mortal {
        /// Power of two, at least 4.
        period: u64,
        /// Below `period`.
        phase: u64,
    },
}

impl Era {
    fn decode(bytes: &[u8]) -> Option<Self> {
        match *bytes {
            [0] => Some(Era::Immortal),
            [low, high] => {
                let encoded = u64::from(u16::from_le_bytes([low, high]));
                let period = 2u64 << (encoded % 16);
                let quantize = (period >> 12).max(1);
                let phase = (encoded >> 4) * quantize;
                (period >= 4 && phase < period).then_some(Era::Mortal { period, phase })
            }
            _ => None,
        }
    }

    /// Block whose hash the signer signed, seen from block `current`.
    pub fn birth(self, current: u64) -> u64 {
        match self {
            Era::Immortal => 0,
            Era::Mortal { period, phase } => (current.max(phase) - phase) / period * period + phase,
        }
    }
}

/// Kind of signature; the model verifies sr25519 only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signature {
    /// sr25519, as hotkeys sign.
    Sr25519([u8; 64]),
    /// ed25519 or ecdsa: decoded, never accepted.
    Unsupported,
}

/// The signed part of an extrinsic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// Who signed.
    pub account: Hotkey,
    /// Signature over the payload.
    pub signature: Signature,
    /// Mortality.
    pub era: Era,
    /// Nonce.
    pub nonce: u64,
    /// Whether the signer vouches for a metadata hash (mode byte of `CheckMetadataHash`).
    pub metadata_hash_enabled: bool,
    extensions: Vec<(String, Range<usize>)>,
}

/// A decoded extrinsic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extrinsic {
    bytes: Vec<u8>,
    /// Pallet of the call.
    pub pallet: String,
    /// Name of the call.
    pub call: String,
    /// Signed part; `None` for inherents and unsigned transactions.
    pub signed: Option<Signed>,
    call_range: Range<usize>,
    arguments: Vec<(String, u32, Range<usize>)>,
}

/// What the chain adds to the signed payload without the extrinsic carrying it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Implicit {
    /// Runtime version.
    pub spec_version: u32,
    /// Extrinsic format version.
    pub transaction_version: u32,
    /// Genesis hash.
    pub genesis: BlockHash,
    /// Hash of the era's birth block; genesis for immortal transactions.
    pub birth: BlockHash,
}

impl Extrinsic {
    /// Decodes an extrinsic with its length prefix.
    ///
    /// Arguments are decoded for the calls that the model knows. Others (among them those that hold
    /// further calls, nested as deep as their sender likes) are kept as bytes: they fail anyway.
    pub fn decode(runtime: &Runtime, bytes: Vec<u8>) -> Result<Self, ExtrinsicError> {
        if bytes.len() > MAX_EXTRINSIC_BYTES {
            return Err(ExtrinsicError::TooLong(bytes.len()));
        }
        let mut reader = Reader { runtime, bytes: &bytes, at: 0 };
        let length = reader.length()?;
        if length != bytes.len() - reader.at {
            return Err(ExtrinsicError::Undecodable(format!(
                "length prefix {length}, but {} bytes follow",
                bytes.len() - reader.at
            )));
        }
        let signed = match reader.byte()? {
            SIGNED_V4 => Some(reader.signed()?),
            BARE_V4 | BARE_V5 => None,
            version => {
                return Err(ExtrinsicError::Undecodable(format!("version byte {version:#04x} is not known")));
            }
        };
        let start = reader.at;
        let (pallet, call, arguments) = reader.call()?;
        let call_range = start..bytes.len();
        Ok(Self { pallet, call, signed, call_range, arguments, bytes })
    }

    /// The encoded extrinsic with its length prefix.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hash of the encoded extrinsic: the transaction's name.
    pub fn hash(&self) -> BlockHash {
        BlockHash(blake2_256(&self.bytes))
    }

    /// The encoded call.
    pub fn call_bytes(&self) -> &[u8] {
        &self.bytes[self.call_range.clone()]
    }

    fn argument_bytes(&self, name: &str) -> Result<(u32, &[u8]), ModelError> {
        self.arguments
            .iter()
            .find(|(argument, _, _)| argument == name)
            .map(|(_, type_id, range)| (*type_id, &self.bytes[range.clone()]))
            .ok_or_else(|| ModelError::Missing(format!("argument {name} of {}.{}", self.pallet, self.call)))
    }

    /// An argument of the call.
    pub fn argument<T: DecodeAsType>(&self, runtime: &Runtime, name: &str) -> Result<T, ModelError> {
        let (type_id, bytes) = self.argument_bytes(name)?;
        runtime.decode_type(type_id, bytes, || format!("argument {name}"))
    }

    /// An argument of the call as a dynamic value.
    pub fn argument_value(&self, runtime: &Runtime, name: &str) -> Result<Value, ModelError> {
        let (type_id, bytes) = self.argument_bytes(name)?;
        runtime.decode_value(type_id, bytes, || format!("argument {name}"))
    }
}

/// Walks over the bytes by the types of the metadata.
struct Reader<'a> {
    runtime: &'a Runtime,
    bytes: &'a [u8],
    at: usize,
}

/// Name, type and place of a call's argument.
type Argument = (String, u32, Range<usize>);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, ExtrinsicError> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte.ok_or_else(|| ExtrinsicError::Undecodable("the bytes end early".into()))
    }

    fn length(&mut self) -> Result<usize, ExtrinsicError> {
        let mut rest = self.bytes;
        let length = Compact::<u32>::decode(&mut rest)
            .map_err(|_| ExtrinsicError::Undecodable("the length prefix does not decode".into()))?;
        self.at = self.bytes.len() - rest.len();
        Ok(length.0 as usize)
    }

    /// Steps over a value and returns its place.
    fn skip(&mut self, type_id: u32, what: &str) -> Result<Range<usize>, ExtrinsicError> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        decode_with_visitor(&mut rest, type_id, self.runtime.metadata().types(), IgnoreVisitor::new())
            .map_err(|error| ExtrinsicError::Undecodable(format!("{what}: {error}")))?;
        let range = self.at..self.bytes.len() - rest.len();
        self.at = range.end;
        Ok(range)
    }

    fn signed(&mut self) -> Result<Signed, ExtrinsicError> {
        const ADDRESS_ID: u8 = 0;
        const SIGNATURE_SR25519: u8 = 1;
        let undecodable = |detail: &str| ExtrinsicError::Undecodable(detail.to_string());
        let metadata = self.runtime.metadata();
        let types = metadata
            .extrinsic_signature_info()
            .map_err(|error| ExtrinsicError::Undecodable(error.to_string()))?;
        let address = self.skip(types.address_id, "address")?;
        let account = match self.bytes[address].split_first() {
            Some((&ADDRESS_ID, key)) => {
                key.try_into().map_err(|_| undecodable("the address is not 32 bytes"))?
            }
            _ => return Err(undecodable("the address is not an account id: only MultiAddress::Id is known")),
        };
        let signature = self.skip(types.signature_id, "signature")?;
        let signature = match self.bytes[signature].split_first() {
            Some((&SIGNATURE_SR25519, raw)) => {
                Signature::Sr25519(raw.try_into().map_err(|_| undecodable("the signature is not 64 bytes"))?)
            }
            _ => Signature::Unsupported,
        };
        let extensions = metadata
            .extrinsic()
            .transaction_extensions_by_version(0)
            .ok_or_else(|| undecodable("the metadata has no extensions of version 0"))?
            .map(|extension| {
                let range = self.skip(extension.extra_ty(), extension.identifier())?;
                Ok((extension.identifier().to_string(), range))
            })
            .collect::<Result<Vec<_>, ExtrinsicError>>()?;
        let extra = |name: &str| {
            let found = extensions.iter().find(|(extension, _)| extension == name);
            found.map(|(_, range)| &self.bytes[range.clone()])
        };
        let era = extra("CheckMortality")
            .and_then(Era::decode)
            .ok_or_else(|| undecodable("the era is not valid"))?;
        let nonce = extra("CheckNonce")
            .and_then(|mut raw| Compact::<u64>::decode(&mut raw).ok())
            .ok_or_else(|| undecodable("the nonce is not a compact number"))?
            .0;
        let metadata_hash_enabled = extra("CheckMetadataHash").is_some_and(|mode| mode != [0]);
        Ok(Signed { account: Hotkey(account), signature, era, nonce, metadata_hash_enabled, extensions })
    }

    /// Names of the call and, where the model knows it, its arguments.
    fn call(&mut self) -> Result<(String, String, Vec<Argument>), ExtrinsicError> {
        let (pallet_index, call_index) = (self.byte()?, self.byte()?);
        let unknown =
            || ExtrinsicError::Undecodable(format!("there is no call {call_index} of pallet {pallet_index}"));
        let metadata = self.runtime.metadata();
        let pallet = metadata.pallet_by_call_index(pallet_index).ok_or_else(unknown)?;
        let call = pallet.call_variant_by_index(call_index).ok_or_else(unknown)?;
        let mut arguments = Vec::new();
        if KNOWN_CALLS.contains(&(pallet.name(), call.name.as_str())) {
            for field in &call.fields {
                let name = field.name.clone().unwrap_or_default();
                let range = self.skip(field.ty.id, &name)?;
                arguments.push((name, field.ty.id, range));
            }
            if self.at < self.bytes.len() {
                return Err(ExtrinsicError::Trailing(self.bytes.len() - self.at));
            }
        }
        Ok((pallet.name().to_string(), call.name.clone(), arguments))
    }
}

impl Extrinsic {
    /// The bytes that the signer signed (before hashing): call, extensions, implicit parts.
    pub fn signer_payload(&self, signed: &Signed, implicit: &Implicit) -> Vec<u8> {
        let mut payload = self.call_bytes().to_vec();
        for (_, range) in &signed.extensions {
            payload.extend(&self.bytes[range.clone()]);
        }
        for (name, _) in &signed.extensions {
            match name.as_str() {
                "CheckSpecVersion" => implicit.spec_version.encode_to(&mut payload),
                "CheckTxVersion" => implicit.transaction_version.encode_to(&mut payload),
                "CheckGenesis" => payload.extend(implicit.genesis.0),
                "CheckMortality" => payload.extend(implicit.birth.0),
                // Mode 0 adds `None`; mode 1 is refused before the signature is looked at.
                "CheckMetadataHash" => payload.push(0),
                _ => {}
            }
        }
        payload
    }

    /// Whether the signature holds for this chain.
    pub fn signature_holds(&self, signed: &Signed, implicit: &Implicit) -> bool {
        let Signature::Sr25519(signature) = signed.signature else { return false };
        let mut payload = self.signer_payload(signed, implicit);
        if payload.len() > MAX_PLAIN_PAYLOAD {
            payload = blake2_256(&payload).to_vec();
        }
        sr25519::verify(&sr25519::Signature(signature), payload, &sr25519::PublicKey(signed.account.0))
    }
}

/// The timestamp inherent: a bare extrinsic `Timestamp.set(now)`.
pub fn timestamp_inherent(runtime: &Runtime, now_ms: u64) -> Result<Vec<u8>, ModelError> {
    let missing = || ModelError::Missing("call Timestamp.set".into());
    let pallet = runtime.metadata().pallet_by_name("Timestamp").ok_or_else(missing)?;
    let call = pallet.call_variant_by_name("set").ok_or_else(missing)?;
    let mut body = vec![BARE_V5, pallet.call_index(), call.index];
    Compact(now_ms).encode_to(&mut body);
    Ok(body.encode())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::chain::devnet::golden::vectors;

    fn bytes(text: &Json) -> Vec<u8> {
        hex::decode(text.as_str().expect("text").trim_start_matches("0x")).expect("hex")
    }

    fn hash(text: &Json) -> BlockHash {
        text.as_str().expect("text").parse().expect("hash")
    }

    fn runtime() -> std::sync::Arc<Runtime> {
        Runtime::load().expect("vendored metadata")
    }

    #[test]
    fn recorded_extrinsics_decode_to_what_they_were_made_of() {
        let runtime = runtime();
        for recorded in vectors()["extrinsics"].as_array().expect("list") {
            let extrinsic = Extrinsic::decode(&runtime, bytes(&recorded["extrinsic_hex"])).expect("decode");
            assert_eq!(extrinsic.hash(), hash(&recorded["extrinsic_hash"]));
            assert_eq!((&*extrinsic.pallet, &*extrinsic.call), ("Balances", "transfer_keep_alive"));
            assert_eq!(extrinsic.call_bytes(), bytes(&recorded["call_data_hex"]));
            let signed = extrinsic.signed.as_ref().expect("signed");
            assert_eq!(signed.account.0.to_vec(), bytes(&recorded["public_key_hex"]));
            assert_eq!(signed.nonce, recorded["nonce"].as_u64().expect("nonce"));
            let signature: [u8; 64] = bytes(&recorded["signature_hex"]).try_into().expect("64");
            assert_eq!(signed.signature, Signature::Sr25519(signature));
            match &recorded["era"] {
                Json::String(_) => assert_eq!(signed.era, Era::Immortal),
                era => {
                    let current = era["current"].as_u64().expect("current");
                    assert_eq!(signed.era, Era::Mortal { period: 64, phase: current % 64 });
                    assert_eq!(signed.era.birth(current + 63), current);
                    assert_eq!(signed.era.birth(current + 64), current + 64);
                }
            }
        }
    }

    #[test]
    fn signer_payloads_equal_the_recorded_ones() {
        let runtime = runtime();
        let vectors = vectors();
        let genesis = hash(&vectors["network"]["genesis_hash"]);
        let template = &vectors["extrinsics"];
        for (index, recorded) in vectors["signature_payloads"].as_array().expect("list").iter().enumerate() {
            // The recorded extrinsic of the same call and era, with the payload's own nonce put in.
            let mut raw = bytes(&template[index]["extrinsic_hex"]);
            let nonce_at = raw.len() - bytes(&recorded["call_data_hex"]).len() - 3;
            raw[nonce_at] = (recorded["nonce"].as_u64().expect("nonce") as u8) << 2;
            let extrinsic = Extrinsic::decode(&runtime, raw).expect("decode");
            let birth = recorded.get("era_birth_block_hash").map_or(genesis, hash);
            let implicit = Implicit { spec_version: 461, transaction_version: 1, genesis, birth };
            let signed = extrinsic.signed.as_ref().expect("signed");
            assert_eq!(
                hex::encode(extrinsic.signer_payload(signed, &implicit)),
                hex::encode(bytes(&recorded["payload_hex"]))
            );
        }
    }

    /// The recorded block holds a transfer by //Alice; its signature holds for that chain only.
    #[test]
    fn a_recorded_signature_holds_for_its_own_chain_only() {
        let runtime = runtime();
        let vectors = vectors();
        let genesis = hash(&vectors["network"]["genesis_hash"]);
        let raw = bytes(&vectors["block"]["signed_extrinsic"]);
        let extrinsic = Extrinsic::decode(&runtime, raw.clone()).expect("decode");
        let signed = extrinsic.signed.clone().expect("signed");
        let implicit = Implicit { spec_version: 461, transaction_version: 1, genesis, birth: genesis };
        assert!(extrinsic.signature_holds(&signed, &implicit));
        for wrong in [
            Implicit { spec_version: 462, ..implicit },
            Implicit { transaction_version: 2, ..implicit },
            Implicit { genesis: BlockHash([0; 32]), ..implicit },
            Implicit { birth: BlockHash([0; 32]), ..implicit },
        ] {
            assert!(!extrinsic.signature_holds(&signed, &wrong), "{wrong:?}");
        }
        let mut tampered = raw;
        let last = tampered.len() - 1;
        tampered[last] ^= 1;
        let tampered = Extrinsic::decode(&runtime, tampered).expect("decode");
        assert!(!tampered.signature_holds(tampered.signed.as_ref().expect("signed"), &implicit));
    }

    #[test]
    fn the_timestamp_inherent_equals_the_recorded_one() {
        let runtime = runtime();
        let recorded = bytes(&vectors()["block"]["timestamp_extrinsic"]);
        assert_eq!(timestamp_inherent(&runtime, 1_789_516_218_750), Ok(recorded.clone()));
        let extrinsic = Extrinsic::decode(&runtime, recorded).expect("decode");
        assert_eq!((&*extrinsic.pallet, &*extrinsic.call), ("Timestamp", "set"));
        assert!(extrinsic.signed.is_none());
    }

    #[test]
    fn recorded_calls_decode_to_their_names_and_arguments() {
        let runtime = runtime();
        for recorded in vectors()["calls"].as_array().expect("list") {
            let call = bytes(&recorded["data_hex"]);
            let bare = [&[5u8][..], &call].concat().encode();
            let extrinsic = Extrinsic::decode(&runtime, bare).expect("decode");
            assert_eq!(extrinsic.pallet, recorded["module"].as_str().expect("module"));
            assert_eq!(extrinsic.call, recorded["function"].as_str().expect("function"));
            assert_eq!(extrinsic.call_bytes(), call);
            if extrinsic.call == "set_weights" {
                assert_eq!(extrinsic.argument::<u16>(&runtime, "netuid"), Ok(1));
                assert_eq!(extrinsic.argument::<Vec<u16>>(&runtime, "dests"), Ok(vec![0, 1]));
                assert_eq!(extrinsic.argument::<Vec<u16>>(&runtime, "weights"), Ok(vec![100, 200]));
                assert_eq!(extrinsic.argument::<u64>(&runtime, "version_key"), Ok(0));
                assert!(extrinsic.argument::<u64>(&runtime, "no_such").is_err());
            }
        }
    }

    #[test]
    fn trailing_and_oversized_bytes_are_refused() {
        let runtime = runtime();
        let mut body = bytes(&vectors()["block"]["timestamp_extrinsic"])[1..].to_vec();
        body.push(0);
        assert_eq!(Extrinsic::decode(&runtime, body.encode()), Err(ExtrinsicError::Trailing(1)));
        let long = vec![0; MAX_EXTRINSIC_BYTES + 1];
        assert_eq!(Extrinsic::decode(&runtime, long), Err(ExtrinsicError::TooLong(MAX_EXTRINSIC_BYTES + 1)));
    }

    /// `Sudo.sudo(Sudo.sudo(...))`: a recursive decoder would run out of stack.
    #[test]
    fn calls_nested_without_end_are_kept_as_bytes() {
        let runtime = runtime();
        let nested = [&[BARE_V5][..], &[12, 0].repeat(100_000)].concat().encode();
        let extrinsic = Extrinsic::decode(&runtime, nested).expect("decode");
        assert_eq!((&*extrinsic.pallet, &*extrinsic.call), ("Sudo", "sudo"));
    }

    proptest! {
        /// Bytes from outside never bring the node down.
        #[test]
        fn any_bytes_decode_or_are_refused(raw in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Extrinsic::decode(&RUNTIME, raw.clone());
            let _ = Extrinsic::decode(&RUNTIME, raw.encode());
        }

        /// Damage of a real extrinsic never brings the node down.
        #[test]
        fn damaged_extrinsics_decode_or_are_refused(at in 0usize..140, value in any::<u8>()) {
            let mut raw = bytes(&vectors()["extrinsics"][1]["extrinsic_hex"]);
            let at = at % raw.len();
            raw[at] = value;
            let _ = Extrinsic::decode(&RUNTIME, raw);
        }
    }

    static RUNTIME: std::sync::LazyLock<std::sync::Arc<Runtime>> = std::sync::LazyLock::new(runtime);
}
