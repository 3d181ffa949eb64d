//! What a model's weights are, as far as two models can be told apart by them: files by digest and size, tensors by
//! seeded slices. Pure; [`super::files`] fetches.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use bytes::Bytes;
use half::{bf16, f16};
use serde::Deserialize;

use crate::domain::{
    commitment::json_nesting,
    ids::{BlockHash, Digest},
};

/// Longest header of a safetensors file that is read; those of the models in question have some 100 kB.
pub const MOST_HEADER_BYTES: u64 = 4 << 20;
/// Most tensors of a model.
pub const MOST_TENSORS: usize = 1 << 16;
/// Longest name of a tensor, and most sides of its shape.
const MOST_NAME_BYTES: usize = 512;
const MOST_SIDES: usize = 16;
/// Slices of a model that are compared.
pub const SLICES: usize = 16;
/// Bytes of one slice.
pub const SLICE_BYTES: u64 = 4 << 10;
/// One minus the cosine of two slices that nobody trained apart, in parts per 10^9. In bf16 it is about 15 000 times the
/// share of numbers that moved by one step: 100 is less than one in a hundred. Training moves most of them; what only
/// evades a digest moves as few as it can.
pub const ALIKE_WITHIN_PPB: u64 = 100;
/// Percent of bytes or slices from which a model is a copy of an earlier one.
pub const COPY_PERCENT: u64 = 90;
/// Fewer slices in common say nothing.
const FEWEST_SLICES: usize = 4;

/// One weight file in large-file storage.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WeightFile {
    /// Path inside the repository.
    pub name: String,
    /// SHA-256 of its content, hexadecimal in lower case.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

/// Percent of the smaller model's bytes that lie in files which both models hold, rounded down; names do not matter,
/// and a file that comes twice counts once.
pub fn shared_percent(one: &[WeightFile], other: &[WeightFile]) -> u64 {
    let sizes = |files: &[WeightFile]| -> BTreeMap<String, u64> {
        files.iter().map(|file| (file.sha256.clone(), file.size)).collect()
    };
    let (one, other) = (sizes(one), sizes(other));
    let total = |sizes: &BTreeMap<String, u64>| sizes.values().map(|size| u128::from(*size)).sum::<u128>();
    let shared = one.iter().filter(|(sha256, _)| other.contains_key(*sha256));
    let shared: u128 = shared.map(|(_, size)| u128::from(*size)).sum();
    let smaller = total(&one).min(total(&other));
    u64::try_from((shared * 100).checked_div(smaller).unwrap_or(0)).unwrap_or(100).min(100)
}

/// A safetensors header that is not as documented.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Longer than [`MOST_HEADER_BYTES`], or than the file.
    #[error("a header of {0} bytes")]
    Length(u64),
    /// Not a JSON object of tensors.
    #[error("no table of tensors: {0}")]
    Json(String),
    /// A tensor that does not lie in the file, or whose length is not that of its shape.
    #[error("tensor `{0}` does not fit its place")]
    Place(String),
    /// More than [`MOST_TENSORS`].
    #[error("more than {MOST_TENSORS} tensors")]
    Tensors,
}

/// A tensor and where its bytes lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tensor {
    /// What must be equal for two tensors to be compared: name, type of numbers, shape.
    pub kind: TensorKind,
    /// Position of its file in the list of weight files.
    pub file: usize,
    /// Its bytes in that file.
    pub at: Range<u64>,
}

/// Name, type of numbers and shape of a tensor.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TensorKind {
    /// Name.
    pub name: String,
    /// Type of its numbers as safetensors names it, e.g. `BF16`.
    pub dtype: String,
    /// Shape.
    pub shape: Vec<u64>,
}

/// Bytes of the header that follows the first eight, by these.
///
/// # Errors
/// When that is more than is read, or than the file has.
pub fn header_length(first: [u8; 8], file_size: u64) -> Result<u64, HeaderError> {
    let length = u64::from_le_bytes(first);
    let fits = length <= MOST_HEADER_BYTES && length.checked_add(8).is_some_and(|end| end <= file_size);
    fits.then_some(length).ok_or(HeaderError::Length(length))
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The tensors of a safetensors file (<https://github.com/huggingface/safetensors#format>), from its header without the first
/// eight bytes.
///
/// # Errors
/// When the header is not as documented.
pub fn read_header(header: &[u8], file: usize, file_size: u64) -> Result<Vec<Tensor>, HeaderError> {
    if json_nesting(header) > 8 {
        return Err(HeaderError::Json("nested too deeply".to_owned()));
    }
    let table: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|cause| HeaderError::Json(cause.to_string()))?;
    if table.len() > MOST_TENSORS {
        return Err(HeaderError::Tensors);
    }
    let begin = 8 + header.len() as u64;
    let tensors = table.into_iter().filter(|(name, _)| name != "__metadata__").map(|(name, value)| {
        let entry: Entry =
            serde_json::from_value(value).map_err(|cause| HeaderError::Json(cause.to_string()))?;
        if name.len() > MOST_NAME_BYTES || entry.shape.len() > MOST_SIDES || entry.dtype.len() > MOST_SIDES {
            return Err(HeaderError::Json("a name or shape longer than any model's".to_owned()));
        }
        let (from, to) = entry.data_offsets;
        let at = begin.checked_add(from).zip(begin.checked_add(to)).map(|(from, to)| from..to);
        let numbers = entry.shape.iter().try_fold(1_u64, |product, side| product.checked_mul(*side));
        let right = |at: &Range<u64>| {
            let expected = numbers.and_then(|numbers| numbers.checked_mul(width(&entry.dtype)?));
            from <= to && at.end <= file_size && expected.is_none_or(|bytes| bytes == to - from)
        };
        let at = at.filter(right).ok_or_else(|| HeaderError::Place(name.clone()))?;
        Ok(Tensor { kind: TensorKind { name, dtype: entry.dtype, shape: entry.shape }, file, at })
    });
    tensors.collect()
}

/// Bytes of one number of the types whose numbers are compared.
fn width(dtype: &str) -> Option<u64> {
    match dtype {
        "F64" => Some(8),
        "F32" => Some(4),
        "BF16" | "F16" => Some(2),
        "I8" | "U8" | "F8_E4M3" | "F8_E5M2" => Some(1),
        _ => None,
    }
}

/// A slice to fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlicePlan {
    /// Of which tensor.
    pub kind: TensorKind,
    /// Position of its file in the list of weight files.
    pub file: usize,
    /// Which bytes of that file.
    pub at: Range<u64>,
}

/// The slices of a model that a seed chooses: at most [`SLICES`], of tensors drawn with a chance that grows with their
/// length (priority sampling, Duffield, Lund and Thorup 2007), so that tensors which were only added hardly drive others out.
/// Two models choose the same places of the tensors that they have in common.
pub fn choose_slices(tensors: &[Tensor], seed: &BlockHash) -> Vec<SlicePlan> {
    let mut drawn: Vec<_> = tensors
        .iter()
        .filter(|tensor| tensor.at.end - tensor.at.start >= SLICE_BYTES)
        .map(|tensor| {
            let TensorKind { name, dtype, shape } = &tensor.kind;
            let shape: Vec<u8> = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
            let parts: [&[u8]; 5] =
                [b"leoma weight slice", &seed.0, name.as_bytes(), dtype.as_bytes(), &shape];
            let digest = Digest::of_parts(&parts).0;
            let number = |from: usize| {
                let bytes = digest[from..from + 8].iter();
                bytes.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
            };
            let length = tensor.at.end - tensor.at.start;
            let priority = (u128::from(length) << 64) / (u128::from(number(0)) + 1);
            (priority, number(8), tensor)
        })
        .collect();
    drawn.sort_by(|a, b| (Reverse(a.0), &a.2.kind).cmp(&(Reverse(b.0), &b.2.kind)));
    drawn.dedup_by(|a, b| a.2.kind == b.2.kind);
    let place = |(_, draw, tensor): (u128, u64, &Tensor)| {
        let room = (tensor.at.end - tensor.at.start - SLICE_BYTES) / 8;
        let from = tensor.at.start + draw % (room + 1) * 8;
        SlicePlan { kind: tensor.kind.clone(), file: tensor.file, at: from..from + SLICE_BYTES }
    };
    drawn.into_iter().take(SLICES).map(place).collect()
}

/// Slices of one model.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WeightSample {
    /// The bytes at each place.
    pub slices: BTreeMap<TensorKind, Bytes>,
}

/// How two samples of one seed compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// Slices of the model with fewer.
    pub slices: usize,
    /// Slices of tensors that both models have.
    pub common: usize,
    /// Of these, how many differ by no more than [`ALIKE_WITHIN_PPB`].
    pub alike: usize,
}

impl Comparison {
    /// Whether one of the two is a copy: nine of ten common slices are alike, and most slices are common.
    pub fn is_copy(&self) -> bool {
        self.common >= FEWEST_SLICES
            && self.common * 2 >= self.slices
            && self.alike as u64 * 100 >= self.common as u64 * COPY_PERCENT
    }
}

impl WeightSample {
    /// Compares two samples that were chosen by the same seed.
    pub fn compare(&self, other: &Self) -> Comparison {
        let common =
            self.slices.iter().filter_map(|(kind, mine)| Some((kind, mine, other.slices.get(kind)?)));
        let unlike = common.map(|(kind, mine, theirs)| unlike_ppb(&kind.dtype, mine, theirs));
        let (mut common, mut alike) = (0, 0);
        for unlike in unlike {
            common += 1;
            alike += usize::from(unlike.is_some_and(|unlike| unlike <= ALIKE_WITHIN_PPB));
        }
        Comparison { slices: self.slices.len().min(other.slices.len()), common, alike }
    }
}

/// One minus the cosine of the numbers in two slices, in parts per 10^9, rounded to the nearest; equal bytes are 0 whatever they
/// hold. `None` where it has no value: a slice without length, or with numbers that are none.
pub fn unlike_ppb(dtype: &str, one: &[u8], other: &[u8]) -> Option<u64> {
    if one == other {
        return Some(0);
    }
    let (one, other) = (numbers(dtype, one), numbers(dtype, other));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mine, theirs) = (product(&one, &one).sqrt(), product(&other, &other).sqrt());
    if one.len() != other.len() || !(mine > 0.0 && theirs > 0.0) {
        return None;
    }
    // Half the squared distance of the two unit vectors: exact for small angles, where 1 - cosine cancels.
    let apart: f64 = one.iter().zip(&other).map(|(a, b)| (a / mine - b / theirs).powi(2)).sum();
    let ppb = apart / 2.0 * 1e9;
    ppb.is_finite().then(|| ppb.round() as u64)
}

fn numbers(dtype: &str, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        "F64" => bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
        "F32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect(),
        "BF16" => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f64()).collect(),
        "F16" => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f64()).collect(),
        _ => bytes.iter().map(|byte| f64::from(*byte as i8)).collect(),
    }
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
