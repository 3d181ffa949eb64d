//! Reading a document that a stranger wrote: bounded, canonical, of a known version, signed. Anything else is an error.

use serde::Deserialize;
use serde_json::Value;

use super::sealed::{ROUND_DOMAIN, SignedBundle, canonical, is_signed};
use crate::{
    domain::{
        bundle::{RoundBundle, SCHEMA},
        ids::{Digest, Hotkey},
    },
    quality::canonical::canonical_json,
};

/// Largest document that is read, in bytes: 256 miners take about 3 MB.
pub const MAX_DOCUMENT_BYTES: u64 = 32 << 20;
/// Deepest nesting of JSON that is read.
pub const MAX_DEPTH: usize = 24;

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More bytes than are read.
    #[error("round.json has {bytes} bytes, at most {MAX_DOCUMENT_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Nested too deep.
    #[error("round.json is nested deeper than {MAX_DEPTH} levels: this is no round's document")]
    TooDeep,
    /// Not JSON.
    #[error("round.json is not JSON: {0}")]
    Json(serde_json::Error),
    /// JSON in another form than the one that is signed.
    #[error(
        "round.json is not in canonical form ({0}): keys sorted, no white space, integers only; it was changed or written \
         by something else"
    )]
    NotCanonical(String),
    /// No envelope.
    #[error("round.json must hold `data`, `digest` and `signature` and nothing else: {0}")]
    Envelope(String),
    /// A version that this program does not know.
    #[error("round.json has schema {found}, this program reads up to {SCHEMA}: upgrade it")]
    Schema {
        /// As written.
        found: String,
    },
    /// The document lacks something.
    #[error("round.json (schema {schema}) does not read: {cause}")]
    Document {
        /// Version of the document.
        schema: u64,
        /// What is missing or wrong.
        cause: serde_json::Error,
    },
    /// The digest is not the document's.
    #[error("round.json says digest {stated}, its data has {found}: it was changed after it was signed")]
    Digest {
        /// As written.
        stated: String,
        /// Of the data.
        found: Digest,
    },
    /// The signature is missing or not the validator's.
    #[error("round.json is not signed by its validator {validator}: {cause}")]
    Signature {
        /// Who should have signed.
        validator: Hotkey,
        /// What is wrong.
        cause: &'static str,
    },
}

impl ReadError {
    /// Whether the document reads but is not its validator's word.
    pub fn is_about_the_signature(&self) -> bool {
        matches!(self, ReadError::Digest { .. } | ReadError::Signature { .. })
    }
}

/// Whether JSON text nests deeper than this, by its brackets outside strings.
fn is_deeper_than(text: &[u8], most: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

/// Reads and checks the bytes of a `round.json`.
///
/// # Errors
/// When anything of it is not as it must be; a document without its validator's signature is an error as any other.
pub fn parse(bytes: &[u8]) -> Result<SignedBundle, ReadError> {
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(ReadError::TooLarge { bytes: bytes.len() as u64 });
    }
    if is_deeper_than(bytes, MAX_DEPTH) {
        return Err(ReadError::TooDeep);
    }
    let envelope: Value = serde_json::from_slice(bytes).map_err(ReadError::Json)?;
    let text = canonical_json(&envelope).map_err(|cause| ReadError::NotCanonical(cause.to_string()))?;
    if text.as_bytes() != bytes {
        return Err(ReadError::NotCanonical("its canonical form has other bytes".into()));
    }
    let Value::Object(mut members) = envelope else {
        return Err(ReadError::Envelope("it is no object".into()));
    };
    let mut take =
        |name: &str| members.remove(name).ok_or_else(|| ReadError::Envelope(format!("`{name}` is missing")));
    let (data, digest, signature) = (take("data")?, take("digest")?, take("signature")?);
    if let Some(other) = members.keys().next() {
        let name: String = other.chars().take(40).collect();
        return Err(ReadError::Envelope(format!("it holds `{name}` too")));
    }
    let (_, found) = canonical(&data).map_err(|cause| ReadError::NotCanonical(cause.to_string()))?;
    let bundle = document(data)?;
    if digest.as_str() != Some(found.to_string().as_str()) {
        let stated = digest.to_string().chars().take(80).collect();
        return Err(ReadError::Digest { stated, found });
    }
    let signature = signed(&signature, &bundle.validator, &found)?;
    Ok(SignedBundle { bundle, digest: found, signature })
}

/// The document by the version that it names. Later versions read the older ones into the same type.
fn document(data: Value) -> Result<RoundBundle, ReadError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u64,
    }
    let version = Version::deserialize(&data).map_err(|_| ReadError::Schema { found: "nothing".into() })?;
    match version.schema {
        1 => serde_json::from_value(data).map_err(|cause| ReadError::Document { schema: 1, cause }),
        other => Err(ReadError::Schema { found: other.to_string() }),
    }
}

fn signed(signature: &Value, validator: &Hotkey, digest: &Digest) -> Result<[u8; 64], ReadError> {
    let refuse = |cause| ReadError::Signature { validator: *validator, cause };
    let mut bytes = [0; 64];
    let text = signature.as_str().ok_or_else(|| refuse("the signature is no text"))?;
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| refuse("the signature is not 128 hexadecimal digits"))?;
    match is_signed(validator, ROUND_DOMAIN, digest, &bytes) {
        true => Ok(bytes),
        false => Err(refuse("the signature is another key's, or for other data")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert!(!is_deeper_than(br#"{"a":"[[[[\"[[","b":[{}]}"#, 3));
        assert!(is_deeper_than(br#"{"a":[{}]}"#, 2));
        assert!(matches!(parse("[".repeat(100).as_bytes()), Err(ReadError::TooDeep)));
    }

    #[test]
    fn what_is_no_envelope_says_so() {
        for (text, wanted) in [
            ("", "not JSON"),
            ("[]", "no object"),
            (r#"{"data":{}}"#, "`digest` is missing"),
            (r#"{"data":{},"digest":"","other":1,"signature":""}"#, "`other`"),
            (r#"{"data":{},"digest":"","signature":""}"#, "schema nothing"),
            (r#"{"data":{"schema":9},"digest":"","signature":""}"#, "schema 9"),
            (r#"{"data":{"schema":1},"digest":"","signature":""}"#, "schema 1"),
            (r#"{"data": {},"digest":"","signature":""}"#, "canonical"),
            (r#"{"data":{"a":0.5},"digest":"","signature":""}"#, "canonical"),
            (r#"{"data":{"a":1,"a":1},"digest":"","signature":""}"#, "canonical"),
        ] {
            let refused = parse(text.as_bytes()).expect_err(text).to_string();
            assert!(refused.contains(wanted), "{text}: {refused}");
        }
    }
}
