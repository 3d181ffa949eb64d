//! Twins: `quality::detail::{laplacian_energy, luma_sum}`.

use super::{Dispatch, Generation, Pending, Planes, Staged, sum};
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
    let [columns, rows] = planes.tiles();
    let tiles = columns * rows;
    let partials = device.buffer((2 * planes.count * tiles) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Detail,
        params: &[planes.width, planes.height, planes.stride, columns, tiles],
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
