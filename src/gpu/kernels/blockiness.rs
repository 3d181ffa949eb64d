//! Twin: `quality::blockiness::grid_sums`.

use super::{Dispatch, Generation, Pending, Planes, Staged, sum};
use crate::{quality::blockiness::GridSums, shader::Kernel};

/// Phases of columns, phases of rows, gradients.
const ROWS: u32 = 33;

/// Grid sums of the planes 0, `step`, 2 `step` and so on.
///
/// # Errors
/// What the device reports.
pub fn grid_sums(device: &mut Generation, planes: &Planes, step: u32) -> Staged<Vec<GridSums>> {
    let samples = planes.count.div_ceil(step);
    let [columns, rows] = planes.tiles();
    let tiles = columns * rows;
    let partials = device.buffer((samples * ROWS * tiles) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Blockiness,
        params: &[step, planes.width, planes.height, planes.stride, columns, tiles],
        buffers: &[&planes.buffer, &partials],
        groups: [columns, rows],
        layers: samples,
    })?;
    let sums = sum::sum_rows(device, &partials, samples * ROWS, tiles)?;
    let (width, height) = (planes.width as usize, planes.height as usize);
    Ok(Pending::new(vec![sums], move |words| {
        let of_sample = |rows: &[sum::RowSum]| GridSums {
            columns: std::array::from_fn(|phase| rows[phase].sum),
            rows: std::array::from_fn(|phase| rows[16 + phase].sum),
            gradient: rows[32].sum,
            ..GridSums::counted(width, height)
        };
        sum::row_sums(&words[0]).chunks_exact(ROWS as usize).map(of_sample).collect()
    }))
}
