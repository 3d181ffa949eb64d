//! Newtypes for everything that has an identity: keys, blocks, rounds, digests.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// Network prefix of Substrate's generic ss58 addresses, used by Bittensor.
const SS58_PREFIX: u8 = 42;

/// Why a textual identifier was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The ss58 text is not base58, has the wrong length, prefix or checksum.
    #[error("`{0}` is not an ss58 address with prefix 42: check it for a typing error")]
    Ss58(String),
    /// The hexadecimal text is not 32 bytes.
    #[error("`{0}` is not 32 bytes of hexadecimal: expected 64 digits, with or without 0x")]
    Hex32(String),
}

/// Public key (sr25519, 32 bytes) by which a miner or validator is known on chain; shown as ss58.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hotkey(pub [u8; 32]);

impl Hotkey {
    /// Short form for console lines: the first six characters of the ss58 address.
    pub fn short(&self) -> String {
        self.to_string().chars().take(6).collect()
    }
}

fn ss58_checksum(payload: &[u8]) -> [u8; 2] {
    let mut preimage = b"SS58PRE".to_vec();
    preimage.extend_from_slice(payload);
    let hash = sp_crypto_hashing::blake2_512(&preimage);
    [hash[0], hash[1]]
}

impl fmt::Display for Hotkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut raw = vec![SS58_PREFIX];
        raw.extend_from_slice(&self.0);
        let checksum = ss58_checksum(&raw);
        raw.extend_from_slice(&checksum);
        f.write_str(&bs58::encode(raw).into_string())
    }
}

impl fmt::Debug for Hotkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hotkey({self})")
    }
}

impl FromStr for Hotkey {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseIdError::Ss58(text.chars().take(64).collect());
        if text.len() > 64 {
            return Err(refuse());
        }
        let raw = bs58::decode(text).into_vec().map_err(|_| refuse())?;
        if raw.len() != 35 || raw[0] != SS58_PREFIX || ss58_checksum(&raw[..33]) != raw[33..] {
            return Err(refuse());
        }
        let mut key = [0; 32];
        key.copy_from_slice(&raw[1..33]);
        Ok(Self(key))
    }
}

fn parse_hex32(text: &str) -> Result<[u8; 32], ParseIdError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut out = [0; 32];
    hex::decode_to_slice(digits, &mut out)
        .map_err(|_| ParseIdError::Hex32(text.chars().take(80).collect()))?;
    Ok(out)
}

/// Hash of a block (blake2-256 of its header); shown as `0x` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub [u8; 32]);

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

impl FromStr for BlockHash {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex32(text).map(Self)
    }
}

/// SHA-256 digest of some canonical bytes; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Digest of one byte string.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digest of several byte strings, each preceded by its length (u64 little endian), so that
    /// moving a byte from one part to the next changes the digest.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The first eight bytes as a little-endian integer: a seed drawn from the digest.
    pub fn seed(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(first)
    }

    /// Short form for console lines: the first twelve hexadecimal digits.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex32(text).map(Self)
    }
}

macro_rules! serde_as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )+};
}
serde_as_text!(Hotkey, BlockHash, Digest);

macro_rules! number_newtype {
    ($($(#[$meta:meta])* $name:ident($inner:ty)),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

number_newtype! {
    /// A neuron's slot in the metagraph; a slot can pass to another hotkey.
    Uid(u16),
    /// A subnet's number.
    NetUid(u16),
    /// Height of a block.
    BlockNumber(u64),
    /// Number of a round: first block divided by the round interval.
    RoundId(u64),
}

/// A block named by number and hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockRef {
    /// Height.
    pub number: BlockNumber,
    /// Hash of the header.
    pub hash: BlockHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alice_reads_and_prints_as_the_published_address() {
        let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
        let key: Hotkey = alice.parse().expect("published address");
        assert_eq!(hex::encode(key.0), "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d");
        assert_eq!(key.to_string(), alice);
    }

    #[test]
    fn a_wrong_checksum_prefix_or_length_is_refused() {
        for text in ["", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ", "0OIl", &"5".repeat(500)] {
            assert!(text.parse::<Hotkey>().is_err(), "{text}");
        }
    }

    #[test]
    fn parts_are_framed() {
        assert_ne!(Digest::of_parts(&[b"ab", b"c"]), Digest::of_parts(&[b"a", b"bc"]));
        assert_eq!(
            Digest::of(b"").to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
