//! Tensors out of a checkpoint, by burn's readers.

use std::collections::BTreeSet;

use burn::{store::ModuleStore, tensor::DType};

use crate::{error::EmbedError, transformer::parts::TensorSource};

/// Gives the values of one tensor.
pub(crate) type Read<'a> = dyn FnMut(TensorSource) -> Result<Vec<f32>, EmbedError> + 'a;

/// Builds something from a checkpoint that holds exactly what is asked for, and what has no part in it.
///
/// # Errors
/// When a tensor is missing, left over, of another shape or type, or not finite.
pub(crate) fn read<S: ModuleStore, T>(
    model: &'static str,
    mut store: S,
    without_part: &[&str],
    build: impl FnOnce(&mut Read<'_>) -> Result<T, EmbedError>,
) -> Result<T, EmbedError> {
    let refuse = |reason: String| EmbedError::Checkpoint { model, reason };
    let tensors = store.get_all_tensors().map_err(|error| refuse(error.to_string()))?;
    let mut left: BTreeSet<&str> = tensors.keys().map(String::as_str).collect();
    for name in without_part {
        left.remove(name);
    }
    let built = build(&mut |TensorSource { key, sides, .. }| {
        let tensor = tensors.get(&key).ok_or_else(|| refuse(format!("{key} is missing")))?;
        left.remove(key.as_str());
        let found = tensor.shape.to_vec();
        if found != sides || tensor.dtype != DType::F32 {
            let dtype = tensor.dtype;
            return Err(refuse(format!("{key} is {found:?} of {dtype:?}, not {sides:?} of f32")));
        }
        let bytes = tensor.to_bytes().map_err(|error| refuse(format!("{key}: {error:?}")))?;
        let values: Vec<f32> =
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if values.len() != sides.iter().product::<usize>() || values.iter().any(|value| !value.is_finite()) {
            return Err(refuse(format!("{key} is cut short or not finite")));
        }
        Ok(values)
    })?;
    if left.is_empty() { Ok(built) } else { Err(refuse(format!("left over {left:?}"))) }
}
