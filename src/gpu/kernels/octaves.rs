//! Twin: `quality::octaves::octaves`.

use super::{Dispatch, Generation, Pending, Planes, Staged};
use crate::{quality::octaves::OctaveBlock, shader::Kernel};

/// Blocks of the planes 0, `step`, 2 `step` and so on. `half` are the planes at half size.
///
/// # Errors
/// What the device reports.
pub fn octaves(
    device: &mut Generation,
    planes: &Planes,
    half: &Planes,
    step: u32,
) -> Staged<Vec<Vec<OctaveBlock>>> {
    let samples = planes.count.div_ceil(step);
    let [columns, rows] = planes.tiles();
    let blocks = columns * rows;
    let sums = device.buffer((samples * blocks * 2) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Octaves,
        params: &[
            step,
            planes.width,
            planes.height,
            planes.stride,
            half.width,
            half.height,
            half.stride,
            columns,
            blocks,
        ],
        buffers: &[&planes.buffer, &half.buffer, &sums],
        groups: [columns, rows],
        layers: samples,
    })?;
    Ok(Pending::new(vec![sums], move |words| {
        let block = |&[fine, coarse]: &[u32; 2]| OctaveBlock { fine, coarse };
        let all: Vec<OctaveBlock> = words[0].as_chunks::<2>().0.iter().map(block).collect();
        all.chunks_exact(blocks as usize).map(<[OctaveBlock]>::to_vec).collect()
    }))
}
