//! Twin: `quality::blockiness::grid_sums`.

use super::{Generation, Pending, Planes, Staged, sampled::Sampled, sum};
use crate::{quality::blockiness::GridSums, shader::Kernel};

/// Phases of columns, phases of rows, gradients.
const ROWS: usize = 33;

/// Grid sums of the planes 0, `step`, 2 `step` and so on.
///
/// # Errors
/// What the device reports.
pub fn grid_sums(device: &mut Generation, planes: &Planes, step: u32) -> Staged<Vec<GridSums>> {
    let sampled = Sampled { kernel: Kernel::Blockiness, step, groups: planes.tiles(), values: ROWS };
    let sums = sampled.sums(device, planes)?;
    let (width, height) = (planes.width as usize, planes.height as usize);
    Ok(Pending::new(vec![sums], move |words| {
        let of_sample = |rows: &[sum::RowSum]| GridSums {
            columns: std::array::from_fn(|phase| rows[phase].sum),
            rows: std::array::from_fn(|phase| rows[16 + phase].sum),
            gradient: rows[32].sum,
            ..GridSums::counted(width, height)
        };
        sum::row_sums(&words[0]).chunks_exact(ROWS).map(of_sample).collect()
    }))
}
