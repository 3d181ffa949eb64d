//! Headers and blocks: SCALE, JSON and the block hash.

use parity_scale_codec::{Compact, Encode};
use serde_json::{Value as Json, json};
use sp_crypto_hashing::blake2_256;

use crate::domain::ids::{BlockHash, BlockNumber, BlockRef};

/// A block header; its hash is blake2-256 of its SCALE bytes, as on subtensor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Hash of the parent header.
    pub parent: [u8; 32],
    /// Height.
    pub number: u64,
    /// Commitment to the state. A real node puts a trie root here; the model a hash chain over
    /// the changes of each block, which nobody can prove storage against.
    pub state_root: [u8; 32],
    /// Commitment to the body: here blake2-256 of the SCALE vector of extrinsics, not a trie root.
    pub extrinsics_root: [u8; 32],
    /// Digest items, each as SCALE bytes.
    pub digest: Vec<Vec<u8>>,
}

impl Header {
    /// SCALE bytes: parent, compact number, roots, digest.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend(self.parent);
        Compact(self.number).encode_to(&mut bytes);
        bytes.extend(self.state_root);
        bytes.extend(self.extrinsics_root);
        bytes.extend(self.encode_digest());
        bytes
    }

    /// SCALE bytes of the digest: compact count, then the items.
    pub fn encode_digest(&self) -> Vec<u8> {
        let mut bytes = Compact(self.digest.len() as u32).encode();
        for item in &self.digest {
            bytes.extend(item);
        }
        bytes
    }

    /// The block hash.
    pub fn hash(&self) -> BlockHash {
        BlockHash(blake2_256(&self.encode()))
    }

    /// JSON as a node's RPC gives it.
    pub fn to_json(&self) -> Json {
        let logs: Vec<String> = self.digest.iter().map(|item| to_hex(item)).collect();
        json!({
            "parentHash": to_hex(&self.parent),
            "number": format!("{:#x}", self.number),
            "stateRoot": to_hex(&self.state_root),
            "extrinsicsRoot": to_hex(&self.extrinsics_root),
            "digest": { "logs": logs },
        })
    }
}

/// A produced block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Header.
    pub header: Header,
    /// Hash of the header.
    pub hash: BlockHash,
    /// Body: extrinsics with their length prefix.
    pub extrinsics: Vec<Vec<u8>>,
}

impl Block {
    /// A block from its parts.
    pub fn new(header: Header, extrinsics: Vec<Vec<u8>>) -> Self {
        let hash = header.hash();
        Self { header, hash, extrinsics }
    }

    /// Number and hash.
    pub fn reference(&self) -> BlockRef {
        BlockRef { number: BlockNumber(self.header.number), hash: self.hash }
    }
}

/// Digest item of the slot in which a block was authored (`PreRuntime(aura, slot)`).
pub fn aura_slot(slot: u64) -> Vec<u8> {
    pre_runtime(b"aura", slot)
}

/// Digest item of a fork's blocks, so that they differ from those that they replace.
pub fn fork_mark(fork: u64) -> Vec<u8> {
    pre_runtime(b"fork", fork)
}

fn pre_runtime(engine: &[u8; 4], number: u64) -> Vec<u8> {
    const PRE_RUNTIME: u8 = 6;
    let mut item = vec![PRE_RUNTIME];
    item.extend(engine);
    number.to_le_bytes().to_vec().encode_to(&mut item);
    item
}

/// `0x` and hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &Json) -> Vec<u8> {
        hex::decode(text.as_str().expect("text").trim_start_matches("0x")).expect("hex")
    }

    #[test]
    fn the_recorded_header_hashes_to_the_recorded_block_hash() {
        let block = &crate::chain::devnet::golden::vectors()["block"];
        let recorded = &block["header"];
        let header = Header {
            parent: bytes(&recorded["parentHash"]).try_into().expect("32"),
            number: 67,
            state_root: bytes(&recorded["stateRoot"]).try_into().expect("32"),
            extrinsics_root: bytes(&recorded["extrinsicsRoot"]).try_into().expect("32"),
            digest: recorded["digest"]["logs"].as_array().expect("logs").iter().map(bytes).collect(),
        };
        assert_eq!(header.hash().to_string(), block["block_hash"].as_str().expect("hash"));
        assert_eq!(&header.to_json(), recorded);
    }

    #[test]
    fn the_slot_digest_has_the_recorded_form() {
        let recorded = &crate::chain::devnet::golden::vectors()["block"]["header"]["digest"]["logs"][0];
        assert_eq!(to_hex(&aura_slot(0x0001_aaa7_66eb)), recorded.as_str().expect("log"));
    }
}
