//! Twin: `quality::ssim::ssim`.

use super::{Dispatch, Generation, Pending, Planes, Staged, sum};
use crate::{
    quality::{fixed::div_round, ssim::WINDOW},
    shader::Kernel,
};

/// SSIM in Q20 of every plane and the next one; `None` when a side is below 11 pixels.
///
/// # Errors
/// What the device reports.
pub fn ssim(device: &mut Generation, planes: &Planes) -> Staged<Vec<Option<i64>>> {
    let pairs = planes.count.saturating_sub(1);
    let beyond = WINDOW as u32 - 1;
    if pairs == 0 || planes.width <= beyond || planes.height <= beyond {
        return Ok(Pending::new(Vec::new(), move |_| vec![None; pairs as usize]));
    }
    let (wide, high) = (planes.width - beyond, planes.height - beyond);
    let (columns, rows) = (wide.div_ceil(16), high.div_ceil(16));
    let tiles = columns * rows;
    let partials = device.buffer((pairs * tiles) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Ssim,
        params: &[1, planes.width, planes.height, planes.stride, columns, tiles],
        buffers: &[&planes.buffer, &partials],
        groups: [columns, rows],
        layers: pairs,
    })?;
    let sums = sum::sum_rows(device, &partials, pairs, tiles)?;
    let windows = i64::from(wide) * i64::from(high);
    Ok(Pending::new(vec![sums], move |words| {
        sum::row_sums(&words[0]).iter().map(|row| Some(div_round(row.sum, windows))).collect()
    }))
}
