//! Canonical JSON: one byte string per value, so that equal verdicts and rules have equal digests.
//!
//! Object keys are sorted by their bytes, there is no white space, numbers are integers, strings are
//! escaped as `serde_json` does.

use serde::Serialize;
use serde_json::Value;

use crate::domain::{ids::Digest, score::ScoreCard};

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The value does not serialise.
    #[error("canonical JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A floating-point number.
    #[error("canonical JSON: {0} is not an integer: digested values must not hold floats")]
    Float(serde_json::Number),
}

/// Canonical JSON text of a value.
pub fn canonical_json(value: &impl Serialize) -> Result<String, CanonicalError> {
    let mut out = String::new();
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) if number.is_f64() => return Err(CanonicalError::Float(number.clone())),
        Value::Array(items) => {
            write_items('[', items.iter().map(|item| (None, item)), ']', out)?;
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| key.as_bytes());
            write_items('{', sorted.into_iter().map(|(key, item)| (Some(key), item)), '}', out)?;
        }
        scalar => out.push_str(&scalar.to_string()),
    }
    Ok(())
}

fn write_items<'a>(
    open: char,
    items: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    close: char,
    out: &mut String,
) -> Result<(), CanonicalError> {
    out.push(open);
    for (index, (key, item)) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if let Some(key) = key {
            out.push_str(&Value::String(key.clone()).to_string());
            out.push(':');
        }
        write(item, out)?;
    }
    out.push(close);
    Ok(())
}

/// SHA-256 of the canonical JSON of all fields of a card but `score_digest` and `track`, which follows from the frames.
pub fn score_digest(card: &ScoreCard) -> Digest {
    let mut value = serde_json::to_value(card).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.remove("score_digest");
        members.remove("track");
    }
    // A card holds integers, strings and maps with string keys: it always has a canonical form.
    Digest::of(canonical_json(&value).unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth_and_white_space_is_gone() {
        let value = json!({"b": [1, {"z": null, "a": "x\"y"}], "a": -3, "B": true});
        let text = canonical_json(&value).expect("integers only");
        assert_eq!(text, r#"{"B":true,"a":-3,"b":[1,{"a":"x\"y","z":null}]}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("is JSON"), value);
    }

    #[test]
    fn floats_are_refused() {
        assert!(matches!(canonical_json(&json!({"a": [0.5]})), Err(CanonicalError::Float(_))));
    }
}
