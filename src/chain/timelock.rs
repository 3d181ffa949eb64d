//! Timelock encryption to a round of a drand beacon, in the byte form that subtensor's runtime reads.
//!
//! Identity-based encryption after Boneh and Franklin on BLS12-381 (drand's `quicknet` scheme: keys in
//! G2, signatures in G1): a message is sealed to a round's number, and the beacon's signature of that
//! round, which exists only afterwards, opens it. The mathematics is the `timelock` crate's. The
//! runtime frames the ciphertext a little differently, with two lengths more:
//!
//! | bytes | what |
//! |---|---|
//! | 96 | `u`, a compressed point of G2 |
//! | 8 + 32 | length of `v`, little endian, and `v` |
//! | 8 + 32 | length of `w` and `w` |
//! | 8 + n | length of the body and the body: AES-256-GCM ciphertext with tag, and nonce, each after its length |
//! | 8 + 8 | length of the cipher's name and `AES_GCM_` |

use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use ark_std::rand::{RngCore, rngs::OsRng};
use sha2::{Digest, Sha256};
use timelock::{
    block_ciphers::{AESGCMBlockCipherProvider, BlockCipherProvider},
    engines::{EngineBLS, drand::TinyBLS381},
    ibe::fullident::Identity,
    tlock::{TLECiphertext, tld, tle},
};

/// Keys live here.
pub type PublicKeyGroup = <TinyBLS381 as EngineBLS>::PublicKeyGroup;
/// Signatures live here.
pub type SignatureGroup = <TinyBLS381 as EngineBLS>::SignatureGroup;

/// Bytes of `u`.
const POINT: usize = 96;
/// Bytes of `v`, and of `w`.
const HALF: usize = 32;
/// Bytes of a length.
const LENGTH: usize = 8;
/// Bytes of an AES-GCM nonce.
const NONCE: usize = 12;
/// Public key of drand's `quicknet` (chain 52db9ba7…c84e971), in hexadecimal.
const QUICKNET_KEY: &str = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a";
/// Time of round 1 of `quicknet`, in Unix seconds.
const QUICKNET_GENESIS: u64 = 1_692_803_367;
/// Seconds between rounds of `quicknet`.
const QUICKNET_PERIOD: u64 = 3;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimelockError {
    /// The beacon's key is not a point of its group.
    #[error("the beacon's public key is not a compressed point of BLS12-381's G2")]
    PublicKey,
    /// The signature is not a point of its group.
    #[error("the pulse's signature is not a compressed point of BLS12-381's G1")]
    Signature,
    /// The sealed bytes do not have the runtime's form.
    #[error("the sealed bytes do not have the form that the chain reads")]
    Framing,
    /// The signature does not open these bytes: of another round or beacon, or they were damaged.
    #[error("this round's signature does not open the sealed bytes")]
    NotOpened,
    /// The message is too long for the cipher.
    #[error("the message can not be sealed")]
    NotSealed,
}

/// A drand beacon: who signs, since when and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beacon {
    /// Compressed public key in G2.
    pub public_key: [u8; POINT],
    /// Time of round 1, in Unix seconds.
    pub genesis_time: u64,
    /// Seconds between rounds, at least one.
    pub period: u64,
}

impl Beacon {
    /// The beacon that subtensor follows: drand's `quicknet`.
    pub fn quicknet() -> Self {
        let mut public_key = [0; POINT];
        // A constant with as many digits: it can not fail.
        let _ = hex::decode_to_slice(QUICKNET_KEY, &mut public_key);
        Self { public_key, genesis_time: QUICKNET_GENESIS, period: QUICKNET_PERIOD }
    }

    /// The round that subtensor's clients name for a time in Unix seconds, rounded down:
    /// `(time - genesis) / period`.
    ///
    /// Round 1 is signed at the genesis, so this round's signature is published one period before
    /// the time itself.
    pub fn round_at(&self, unix_seconds: u64) -> u64 {
        unix_seconds.saturating_sub(self.genesis_time) / self.period.max(1)
    }

    /// When a round's signature is published, in Unix seconds.
    pub fn published_at(&self, round: u64) -> u64 {
        self.genesis_time.saturating_add(round.saturating_sub(1).saturating_mul(self.period))
    }

    /// The first round of which it is certain that it is published at or after a time in Unix
    /// seconds, also when the time is a part of a second later.
    pub fn round_after(&self, unix_seconds: u64) -> u64 {
        self.round_at(unix_seconds) + 2
    }
}

/// What a beacon signs for a round: the SHA-256 of its number, big endian.
pub fn identity(round: u64) -> Identity {
    Identity::new(b"", &Sha256::digest(round.to_be_bytes()))
}

/// Seals a message to a round of the beacon with this key.
///
/// # Errors
/// `PublicKey` when the key is not a point, `NotSealed` when the cipher refuses the message.
pub fn seal(public_key: &[u8; POINT], round: u64, message: &[u8]) -> Result<Vec<u8>, TimelockError> {
    let key =
        PublicKeyGroup::deserialize_compressed(&public_key[..]).map_err(|_| TimelockError::PublicKey)?;
    let mut secret = [0; 32];
    OsRng.fill_bytes(&mut secret);
    let sealed =
        tle::<TinyBLS381, AESGCMBlockCipherProvider, OsRng>(key, secret, message, identity(round), OsRng)
            .map_err(|_| TimelockError::NotSealed)?;
    let mut point = Vec::with_capacity(POINT);
    sealed.header.u.serialize_compressed(&mut point).map_err(|_| TimelockError::NotSealed)?;
    let mut framed = point;
    for part in [&sealed.header.v[..], &sealed.header.w, &sealed.body, &sealed.cipher_suite] {
        framed.extend_from_slice(&(part.len() as u64).to_le_bytes());
        framed.extend_from_slice(part);
    }
    Ok(framed)
}

/// Opens sealed bytes with the compressed signature of their round.
///
/// # Errors
/// `Framing` for bytes of another form, `Signature` for a signature that is none, `NotOpened` when
/// they do not belong together.
pub fn open(sealed: &[u8], signature: &[u8]) -> Result<Vec<u8>, TimelockError> {
    let signature =
        SignatureGroup::deserialize_compressed(signature).map_err(|_| TimelockError::Signature)?;
    let sealed = unframe(sealed)?;
    tld::<TinyBLS381, AESGCMBlockCipherProvider>(sealed, signature).map_err(|_| TimelockError::NotOpened)
}

/// Takes the runtime's form apart. Every length is checked against the bytes that are there, since
/// the decoders below reserve memory by them.
fn unframe(sealed: &[u8]) -> Result<TLECiphertext<TinyBLS381>, TimelockError> {
    let (point, mut rest) = sealed.split_at_checked(POINT).ok_or(TimelockError::Framing)?;
    let v = part(&mut rest)?;
    let w = part(&mut rest)?;
    let body = part(&mut rest)?;
    let cipher_suite = part(&mut rest)?;
    let mut inner = body;
    let (_ciphertext, nonce) = (part(&mut inner)?, part(&mut inner)?);
    let named = cipher_suite == AESGCMBlockCipherProvider::CIPHER_SUITE;
    if !rest.is_empty() || !inner.is_empty() || nonce.len() != NONCE || !named {
        return Err(TimelockError::Framing);
    }
    let header = [point, half(v)?, half(w)?].concat();
    let header = CanonicalDeserialize::deserialize_compressed(&header[..]);
    let header = header.map_err(|_| TimelockError::Framing)?;
    Ok(TLECiphertext { header, body: body.to_vec(), cipher_suite: cipher_suite.to_vec() })
}

/// The next part after its length.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TimelockError> {
    let (length, after) = rest.split_first_chunk::<LENGTH>().ok_or(TimelockError::Framing)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| TimelockError::Framing)?;
    let (part, after) = after.split_at_checked(length).ok_or(TimelockError::Framing)?;
    *rest = after;
    Ok(part)
}

fn half(bytes: &[u8]) -> Result<&[u8], TimelockError> {
    if bytes.len() == HALF { Ok(bytes) } else { Err(TimelockError::Framing) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Quicknet's published signature of round 1000.
    const ROUND_1000: &str =
        "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39";

    fn round_1000() -> Vec<u8> {
        hex::decode(ROUND_1000).expect("hexadecimal")
    }

    #[test]
    fn the_published_signature_opens_what_was_sealed_to_its_round() {
        let key = Beacon::quicknet().public_key;
        let sealed = seal(&key, 1000, b"a message").expect("sealed");
        assert_eq!(sealed.len(), 96 + 40 + 40 + 8 + (8 + 9 + 16) + (8 + 12) + 16);
        assert_eq!(open(&sealed, &round_1000()).as_deref(), Ok(&b"a message"[..]));
        let other = seal(&key, 1001, b"a message").expect("sealed");
        assert_eq!(open(&other, &round_1000()), Err(TimelockError::NotOpened));
        assert_ne!(sealed, seal(&key, 1000, b"a message").expect("sealed"), "a new secret every time");
    }

    #[test]
    fn what_is_not_a_point_is_refused() {
        assert_eq!(seal(&[0; 96], 1, b"x"), Err(TimelockError::PublicKey));
        let sealed = seal(&Beacon::quicknet().public_key, 1000, b"x").expect("sealed");
        assert_eq!(open(&sealed, &[7; 48]), Err(TimelockError::Signature));
        assert_eq!(open(&sealed, &[]), Err(TimelockError::Signature));
    }

    #[test]
    fn rounds_are_counted_as_the_chain_s_clients_count_them() {
        let quicknet = Beacon::quicknet();
        assert_eq!(quicknet.round_at(QUICKNET_GENESIS + 2999), 999);
        assert_eq!(quicknet.round_at(QUICKNET_GENESIS + 3000), 1000);
        assert_eq!(quicknet.round_at(0), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Lengths that lie, cuts and appended bytes end in an error, and none reserves by the lie.
        #[test]
        fn damaged_bytes_end_in_an_error(at in 0usize..250, with: u8, cut in 0usize..250, more in 0usize..3) {
            let good = seal(&Beacon::quicknet().public_key, 1000, b"message").expect("sealed");
            let mut bad = good.clone();
            let at = at % bad.len();
            bad[at] = with;
            bad.truncate(bad.len() - cut % bad.len());
            bad.extend(std::iter::repeat_n(0, more));
            prop_assume!(bad != good);
            prop_assert!(open(&bad, &round_1000()).is_err());
        }
    }
}
