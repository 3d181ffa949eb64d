//! CLIP's checkpoint of PyTorch, by burn's reader.

use std::{collections::BTreeSet, path::Path};

use burn::{
    store::{ModuleStore as _, PytorchStore},
    tensor::DType,
};

use crate::{
    clip::model::{CLIP, Clip, ClipShape, TensorSource},
    error::EmbedError,
};

/// What a checkpoint holds beside parameters: indices of positions (`0, 1, 2 ...`), and the temperature, whose
/// published value (100) is part of the rules' unit and not of a cosine.
const WITHOUT_PART: [&str; 3] =
    ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids", "logit_scale"];

/// Reads a checkpoint of an architecture. The caller has checked the file's digest.
///
/// # Errors
/// When a tensor is missing, left over, of another shape or type, or not finite.
pub fn load(shape: ClipShape, path: &Path) -> Result<Clip, EmbedError> {
    let refuse = |reason: String| EmbedError::Checkpoint { model: CLIP, reason };
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
    let tensors = store.get_all_tensors().map_err(|error| refuse(error.to_string()))?;
    let mut left: BTreeSet<&str> = tensors.keys().map(String::as_str).collect();
    for name in WITHOUT_PART {
        left.remove(name);
    }
    let clip = Clip::read(shape, |TensorSource { key, sides, .. }| {
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
    if left.is_empty() { Ok(clip) } else { Err(refuse(format!("left over {left:?}"))) }
}
