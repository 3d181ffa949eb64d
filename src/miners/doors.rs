//! What comes from services and miners' repositories, as bytes: the doors of [`crate::fuzz`].

use std::time::SystemTime;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::{
    chutes, huggingface,
    protocol::{ChuteRecord, ModelRecord, is_slug},
    retry::{LONGEST_PAUSE, told},
    weights::{choose_slices, header_length, read_header},
    wire,
};
use crate::domain::{commitment::Commitment, ids::BlockHash};

/// Bytes that a weight file is said to have.
const FILE_BYTES: u64 = 1 << 40;

/// A commitment that the committed corpus's records fit.
fn commitment() -> Commitment {
    Commitment {
        model_name: "someone/leoma".into(),
        model_revision: "0123456789abcdef0123456789abcdef01234567".into(),
        chute_id: "2271d4ef-39bb-8343-9611-a6b2fa294088".into(),
    }
}

fn record<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    wire::from_json(bytes).ok()
}

/// What Chutes says of a chute; taken where it fits the commitment.
pub(crate) fn chute(bytes: &[u8]) -> bool {
    let Some(read) = record::<ChuteRecord>(bytes) else { return false };
    let slug = chutes::judge(&read, &commitment());
    slug.is_ok_and(|slug| {
        assert!(is_slug(&slug), "only a slug makes an address");
        true
    })
}

/// What Hugging Face says of a model; taken where it fits the commitment.
pub(crate) fn model(bytes: &[u8]) -> bool {
    let Some(read) = record::<ModelRecord>(bytes) else { return false };
    huggingface::judge(&read, &commitment()).is_ok()
}

/// Lines of headers; taken where they ask for a pause.
pub(crate) fn headers(bytes: &[u8]) -> bool {
    let lines = bytes.split(|byte| *byte == b'\n').take(100);
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    let headers: HeaderMap = lines.filter_map(header).collect();
    told(&headers, SystemTime::UNIX_EPOCH).is_some_and(|pause| {
        assert!(pause <= LONGEST_PAUSE, "no service keeps us away for longer");
        true
    })
}

/// The beginning of a file of weights.
pub(crate) fn tensors(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first_chunk::<8>() else { return false };
    let Ok(length) = header_length(*first, FILE_BYTES) else { return false };
    let Some(header) = rest.get(..length as usize) else { return false };
    let Ok(tensors) = read_header(header, 0, FILE_BYTES) else { return false };
    let begin = 8 + length;
    for slice in choose_slices(&tensors, &BlockHash([7; 32])) {
        let inside = slice.at.start >= begin && slice.at.end <= FILE_BYTES && !slice.at.is_empty();
        assert!(inside, "only bytes of the file are asked for: {slice:?}");
    }
    true
}
