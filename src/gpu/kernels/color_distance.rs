//! Twin: `quality::color_distance::color_distance`.

use super::{Dispatch, Generation, Pending, Planes, Staged, sum};
use crate::{
    quality::{color_distance::CELL, fixed::div_round},
    shader::Kernel,
};

/// Colour distance of the first frame to the second, `None` when no whole cell fits.
///
/// # Panics
/// When there are fewer than two frames.
///
/// # Errors
/// What the device reports.
pub fn color_distance(device: &mut Generation, frames: &Planes) -> Staged<Option<i64>> {
    assert!(frames.count >= 2, "a distance takes two frames");
    let (columns, rows) = (frames.width / CELL as u32, frames.height / CELL as u32);
    let cells = columns * rows;
    if cells == 0 {
        return Ok(Pending::new(Vec::new(), |_| None));
    }
    let groups = cells.div_ceil(64);
    let partials = device.buffer(groups as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::ColorDistance,
        params: &[frames.width, frames.height, frames.stride, columns, cells, groups],
        buffers: &[&frames.buffer, &partials],
        groups: [groups, 1],
        layers: 1,
    })?;
    let sums = sum::sum_rows(device, &partials, 1, groups)?;
    Ok(Pending::new(vec![sums], move |words| {
        Some(div_round(sum::row_sums(&words[0])[0].sum, i64::from(cells)))
    }))
}
