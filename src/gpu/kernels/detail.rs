//! Twins: `quality::detail::{laplacian_energy, luma_sum}`.

use super::{DeviceError, Dispatch, Generation, Pending, Planes, Staged, sum};
use crate::shader::Kernel;

/// Sums of one plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DetailSums {
    /// Laplacian energy in squared levels.
    pub energy: u64,
    /// Sum of all values.
    pub luma: u64,
}

/// Sums of every plane.
///
/// # Errors
/// What the device reports.
pub fn detail(device: &mut Generation, planes: &Planes) -> Staged<Vec<DetailSums>> {
    sums_of(device, planes, [planes.width, planes.height], 0)
}

/// Sums of the chroma planes behind every luma plane: the blue differences, then the red ones.
///
/// # Errors
/// What the device reports.
pub fn chroma_detail(
    device: &mut Generation,
    frames: &Planes,
) -> Result<[Pending<Vec<DetailSums>>; 2], DeviceError> {
    let size = [frames.width / 2, frames.height / 2];
    let area = frames.width * frames.height;
    Ok([sums_of(device, frames, size, area)?, sums_of(device, frames, size, area + area / 4)?])
}

fn sums_of(device: &mut Generation, planes: &Planes, size: [u32; 2], offset: u32) -> Staged<Vec<DetailSums>> {
    let [columns, rows] = size.map(|side| side.div_ceil(16));
    let tiles = columns * rows;
    let partials = device.buffer((2 * planes.count * tiles) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Detail,
        params: &[size[0], size[1], planes.stride, columns, tiles, offset],
        buffers: &[&planes.buffer, &partials],
        groups: [columns, rows],
        layers: planes.count,
    })?;
    let sums = sum::sum_rows(device, &partials, 2 * planes.count, tiles)?;
    Ok(Pending::new(vec![sums], |words| {
        let of_plane = |[energy, luma]: &[sum::RowSum; 2]| DetailSums {
            energy: energy.sum as u64,
            luma: luma.sum as u64,
        };
        sum::row_sums(&words[0]).as_chunks::<2>().0.iter().map(of_plane).collect()
    }))
}
