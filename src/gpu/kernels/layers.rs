//! Twin: `quality::layers`. The affine fit runs on the host, from block vectors in wide integers; what it explains is
//! tested on pixels by the device.

use rayon::prelude::*;

use super::{DeviceError, Dispatch, Generation, Planes, motion::Fields, sum};
use crate::{
    quality::{
        layers::{Affine, Explanation, LAYERS, PixelEvidence, explanation, fit_layers},
        motion::{MotionField, Vector},
    },
    shader::Kernel,
};

/// What affine layers explain of every pair of frames.
///
/// # Errors
/// What the device reports.
pub fn explain(
    device: &mut Generation,
    half: &Planes,
    fields: &Fields,
) -> Result<Vec<Explanation>, DeviceError> {
    let found = fields.read(device)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let fitted: Vec<Vec<Affine>> = found.par_iter().map(fit_layers).collect();
    let vectors: Vec<u32> =
        found.par_iter().zip(&fitted).flat_map_iter(|(field, layers)| block_vectors(field, layers)).collect();
    let layers = device.upload(bytemuck::cast_slice(&vectors));
    let blocks = fields.columns * fields.rows;
    let groups = blocks.div_ceil(64);
    let partials = device.buffer((3 * fields.pairs * groups) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Layers,
        params: &[fields.columns, blocks, groups, half.width, half.height, half.words()],
        buffers: &[&half.buffer, &fields.blocks, &layers, &partials],
        groups: [groups, 1],
        layers: fields.pairs,
    })?;
    let sums = sum::sum_rows(device, &partials, 3 * fields.pairs, groups)?;
    let rows = sum::row_sums(&device.read(&sums)?);
    let evidence = rows.as_chunks::<3>().0.iter().map(|[explained, affine, layer]| PixelEvidence {
        affine_explained: explained.sum,
        affine_residual: affine.sum,
        layer_residual: layer.sum,
    });
    Ok(found.iter().zip(&fitted).zip(evidence).map(|((f, l), e)| explanation(f, l, e)).collect())
}

/// The vectors of three layers at every block; a missing layer stands still, which the device tries anyway.
fn block_vectors(field: &MotionField, layers: &[Affine]) -> Vec<u32> {
    let (columns, rows) = (field.columns, field.rows);
    // Components are at most `MAX_VECTOR`: they fit half words.
    let pack = |vector: Vector| u32::from(vector.x as u16) | u32::from(vector.y as u16) << 16;
    (0..field.blocks.len())
        .flat_map(|index| {
            (0..LAYERS).map(move |layer| {
                layers.get(layer).map_or(0, |l| pack(l.at(index % columns, index / columns, columns, rows)))
            })
        })
        .collect()
}
