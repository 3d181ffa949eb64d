//! Twin: `quality::mosaic::cells`.

use super::{Dispatch, Generation, Pending, Planes, Staged};
use crate::{quality::mosaic::Cell, shader::Kernel};

/// Cells of every frame. The planes are a clip's frames: chroma lies behind each luma plane.
///
/// # Errors
/// What the device reports.
pub fn mosaic(device: &mut Generation, frames: &Planes) -> Staged<Vec<Vec<Cell>>> {
    let [columns, rows] = frames.tiles();
    let blocks = columns * rows;
    let sums = device.buffer((frames.count * blocks * 3) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Mosaic,
        params: &[frames.width, frames.height, frames.stride, columns, blocks],
        buffers: &[&frames.buffer, &sums],
        groups: [columns, rows],
        layers: frames.count,
    })?;
    Ok(Pending::new(vec![sums], move |words| {
        let cell = |&[y, u, v]: &[u32; 3]| Cell { y, u, v };
        let all: Vec<Cell> = words[0].as_chunks::<3>().0.iter().map(cell).collect();
        all.chunks_exact(blocks as usize).map(<[Cell]>::to_vec).collect()
    }))
}
