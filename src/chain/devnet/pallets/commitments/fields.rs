//! The fields of a `CommitmentInfo` as dynamic values.

use subxt::ext::scale_value::{Composite, Value, ValueDef};

use crate::chain::devnet::error::ModelError;

/// Variant of a field that could not be opened; only the runtime writes it.
const REVEAL_FAILED: &str = "TimelockRevealFailed";

/// A field, as far as the pallet treats fields differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field {
    /// Sealed bytes and the round that opens them.
    Timelocked {
        /// Sealed bytes.
        sealed: Vec<u8>,
        /// Round that they are sealed to.
        round: u64,
    },
    /// Sealed bytes that did not open.
    RevealFailed,
    /// Asks for the committer's bonds to be reset.
    ResetBonds,
    /// Data of this many bytes, or a hash.
    Plain(usize),
}

impl Field {
    /// Reads a field.
    pub fn of(value: &Value) -> Result<Self, ModelError> {
        let ValueDef::Variant(data) = &value.value else { return Err(malformed("a field is not a variant")) };
        Ok(match data.name.as_str() {
            "TimelockEncrypted" => {
                let (Some(sealed), Some(round)) = (field(&data.values, 0), field(&data.values, 1)) else {
                    return Err(malformed("a timelocked field lacks its parts"));
                };
                let round = round.as_u128().and_then(|round| u64::try_from(round).ok());
                Field::Timelocked {
                    sealed: bytes_in(sealed),
                    round: round.ok_or_else(|| malformed("a reveal round is not a number"))?,
                }
            }
            REVEAL_FAILED => Field::RevealFailed,
            "ResetBondsFlag" => Field::ResetBonds,
            _ => Field::Plain(data.values.values().map(|value| bytes_in(value).len()).sum()),
        })
    }

    /// Bytes that count as space.
    pub fn space(&self) -> u64 {
        match self {
            Field::Timelocked { sealed, .. } => sealed.len() as u64,
            Field::Plain(bytes) => *bytes as u64,
            Field::RevealFailed | Field::ResetBonds => 0,
        }
    }
}

/// Makes a timelocked field one whose reveal failed, with the same contents.
pub fn mark_failed(value: &mut Value) {
    if let ValueDef::Variant(data) = &mut value.value {
        data.name = REVEAL_FAILED.into();
    }
}

/// The list of fields in a `CommitmentInfo`.
pub fn list(info: &mut Value) -> Result<&mut Vec<Value>, ModelError> {
    // `CommitmentInfo { fields: BoundedVec(Vec<Data>) }`: unwrap the two wrappers.
    unwrap(info, 2)
}

fn unwrap(value: &mut Value, wrappers: usize) -> Result<&mut Vec<Value>, ModelError> {
    let ValueDef::Composite(composite) = &mut value.value else {
        return Err(malformed("not a list of fields"));
    };
    let holds_one = composite.len() == 1
        && composite.values().next().is_some_and(|inner| matches!(inner.value, ValueDef::Composite(_)));
    match (composite, wrappers > 0 && holds_one) {
        (Composite::Named(named), true) => unwrap(&mut named[0].1, wrappers - 1),
        (Composite::Unnamed(list), true) => unwrap(&mut list[0], wrappers - 1),
        (Composite::Unnamed(list), false) => Ok(list),
        (Composite::Named(_), false) => Err(malformed("not a list of fields")),
    }
}

fn field(values: &Composite<()>, index: usize) -> Option<&Value> {
    values.values().nth(index)
}

fn bytes_in(value: &Value) -> Vec<u8> {
    match &value.value {
        ValueDef::Composite(inner) => inner.values().flat_map(bytes_in).collect(),
        _ => value.as_u128().and_then(|byte| u8::try_from(byte).ok()).into_iter().collect(),
    }
}

fn malformed(detail: &str) -> ModelError {
    ModelError::Decode { what: "CommitmentInfo".into(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use parity_scale_codec::Encode;

    use super::*;
    use crate::chain::devnet::{extrinsic::Extrinsic, runtime::Runtime};

    /// The bytes that the official client composes (`tests/golden/calls-11.1.0/make.py`).
    #[test]
    fn a_sealed_field_of_the_official_client_is_understood_and_marked() {
        let golden = include_str!("../../../../../tests/golden/calls-11.1.0/golden.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("golden file");
        let bytes = |name: &str| hex::decode(golden[name].as_str().expect(name)).expect("hexadecimal");
        let runtime = Runtime::load().expect("vendored metadata");
        let unsigned = [vec![4], bytes("set_commitment")].concat().encode();
        let extrinsic = Extrinsic::decode(&runtime, unsigned).expect("decodes");
        let mut info = extrinsic.argument_value(&runtime, "info").expect("info");
        let fields = list(&mut info).expect("fields");
        assert_eq!(fields.len(), 1);
        let expected = Field::Timelocked { sealed: bytes("commit"), round: 1 << 33 };
        assert_eq!(Field::of(&fields[0]), Ok(expected));
        mark_failed(&mut fields[0]);
        assert_eq!(Field::of(&fields[0]), Ok(Field::RevealFailed));
    }

    #[test]
    fn what_is_no_list_of_fields_is_told() {
        assert!(list(&mut Value::u128(1)).is_err());
        assert!(list(&mut Value::named_composite([("fields", Value::u128(1))])).is_err());
        assert!(Field::of(&Value::u128(1)).is_err());
        assert!(Field::of(&Value::unnamed_variant("TimelockEncrypted", [Value::from_bytes([1])])).is_err());
    }
}
