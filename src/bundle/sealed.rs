//! A document under its signature: canonical bytes, digest, and the message that is signed.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    domain::{
        bundle::RoundBundle,
        ids::{Digest, Hotkey},
    },
    quality::canonical::{CanonicalError, canonical_json},
};

/// What a signature of a round's document begins with, so that it is valid for nothing else.
pub const ROUND_DOMAIN: &[u8] = b"leoma/round-bundle/v1";
/// The same for the evaluation results in the old layout.
pub const RESULTS_DOMAIN: &[u8] = b"leoma/evaluation-results/v1";
/// The context that Substrate binds every sr25519 signature to.
const SIGNING_CONTEXT: &[u8] = b"substrate";

/// A document whose signature was checked, or that was just signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedBundle {
    /// The document.
    pub bundle: RoundBundle,
    /// SHA-256 of its canonical JSON.
    pub digest: Digest,
    /// The validator's signature over the domain and the digest.
    pub signature: [u8; 64],
}

/// The bytes that are signed: the domain, then the 32 bytes of the digest.
pub fn message(domain: &[u8], digest: &Digest) -> Vec<u8> {
    [domain, &digest.0].concat()
}

/// Canonical JSON of a value and its SHA-256.
///
/// # Errors
/// For a number that is no integer.
pub fn canonical(value: &impl Serialize) -> Result<(String, Digest), CanonicalError> {
    let text = canonical_json(value)?;
    let digest = Digest::of(text.as_bytes());
    Ok((text, digest))
}

/// Whether a signature over a domain and a digest is this key's. A key that is none has no valid signature.
pub fn is_signed(hotkey: &Hotkey, domain: &[u8], digest: &Digest, signature: &[u8; 64]) -> bool {
    let key = schnorrkel::PublicKey::from_bytes(&hotkey.0);
    let signature = schnorrkel::Signature::from_bytes(signature);
    match (key, signature) {
        (Ok(key), Ok(signature)) => {
            key.verify_simple(SIGNING_CONTEXT, &message(domain, digest), &signature).is_ok()
        }
        _ => false,
    }
}

impl SignedBundle {
    /// The bytes of `round.json`: `data`, `digest` and `signature` in canonical JSON.
    ///
    /// # Errors
    /// For a number that is no integer.
    pub fn to_json(&self) -> Result<String, CanonicalError> {
        let data = serde_json::to_value(&self.bundle)?;
        let envelope: Value =
            json!({ "data": data, "digest": self.digest, "signature": hex::encode(self.signature) });
        canonical_json(&envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::wallet::HotkeySigner;

    #[test]
    fn a_signature_is_for_one_key_one_domain_and_one_digest() {
        let (signer, other) = (HotkeySigner::from_seed([1; 32]), HotkeySigner::from_seed([2; 32]));
        let digest = Digest::of(b"document");
        let signature = signer.sign(&message(ROUND_DOMAIN, &digest));
        assert!(is_signed(&signer.hotkey(), ROUND_DOMAIN, &digest, &signature));
        assert!(!is_signed(&other.hotkey(), ROUND_DOMAIN, &digest, &signature));
        assert!(!is_signed(&signer.hotkey(), RESULTS_DOMAIN, &digest, &signature));
        assert!(!is_signed(&signer.hotkey(), ROUND_DOMAIN, &Digest::of(b"other"), &signature));
        assert!(!is_signed(&Hotkey([255; 32]), ROUND_DOMAIN, &digest, &signature));
        let mut bent = signature;
        bent[5] ^= 1;
        assert!(!is_signed(&signer.hotkey(), ROUND_DOMAIN, &digest, &bent));
        assert!(!is_signed(&signer.hotkey(), ROUND_DOMAIN, &digest, &[0; 64]));
    }
}
