//! The framing of revealed commitments.
//!
//! The official clients seal the SCALE encoding of a string, so the revealed bytes begin with a
//! compact length. Other clients seal the bytes as they are; both must read the same.

use parity_scale_codec::{Compact, Decode};

/// The bytes inside a SCALE string, or the input itself where it is not exactly one SCALE string.
///
/// Only a canonical compact length (modes 0, 1 and 2) that covers the whole rest counts as framing.
/// JSON text can not be taken for framing: `{` and `[` are both in mode 3, whose lengths begin at
/// 2^30.
pub(crate) fn strip_scale_string(revealed: &[u8]) -> &[u8] {
    let mut rest = revealed;
    match Compact::<u32>::decode(&mut rest) {
        Ok(Compact(length)) if length as usize == rest.len() => rest,
        _ => revealed,
    }
}

#[cfg(test)]
mod tests {
    use parity_scale_codec::Encode;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_length_modes_are_stripped() {
        for length in [0, 1, 63, 64, 300, 16_383, 16_384, 70_000] {
            let text = "x".repeat(length);
            assert_eq!(strip_scale_string(&text.encode()), text.as_bytes(), "length {length}");
        }
    }

    #[test]
    fn text_without_framing_stays_as_it_is() {
        for raw in ["{\"model_name\":\"a\"}", "[1]", "{}", "hello", " {}", "{"] {
            assert_eq!(strip_scale_string(raw.as_bytes()), raw.as_bytes());
        }
    }

    #[test]
    fn a_length_that_is_wrong_or_not_canonical_is_not_framing() {
        let longer = [4 << 2, b'a', b'b', b'c'];
        let shorter = [2 << 2, b'a', b'b', b'c'];
        let two_byte_mode_for_three = [(3 << 2) | 1, 0, b'a', b'b', b'c'];
        for bytes in [&longer[..], &shorter[..], &two_byte_mode_for_three[..]] {
            assert_eq!(strip_scale_string(bytes), bytes);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_framing_round_trips(
            bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let stripped = strip_scale_string(&bytes);
            prop_assert!(bytes.ends_with(stripped));
            let framed = bytes.encode();
            prop_assert_eq!(strip_scale_string(&framed), &bytes[..]);
        }
    }
}
