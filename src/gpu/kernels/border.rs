//! Twin: `quality::border`.

use super::{Dispatch, Generation, Pending, Planes, Staged};
use crate::{
    quality::border::{Bars, bars_of},
    shader::Kernel,
};

/// Bars of the planes 0, `step`, 2 `step` and so on: the device reduces lines to their ranges, the host compares them.
///
/// # Errors
/// What the device reports.
pub fn bars(device: &mut Generation, planes: &Planes, step: u32) -> Staged<Vec<Bars>> {
    let samples = planes.count.div_ceil(step);
    let lines = planes.width + planes.height;
    let ranges = device.buffer((samples * lines) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Border,
        params: &[step, planes.width, planes.height, planes.stride],
        buffers: &[&planes.buffer, &ranges],
        groups: [lines, 1],
        layers: samples,
    })?;
    let height = planes.height as usize;
    Ok(Pending::new(vec![ranges], move |words| {
        let range = |word: &u32| ((word & 255) as u8, (word >> 8 & 255) as u8);
        let of_sample = |lines: &[u32]| {
            let (rows, columns) = lines.split_at(height);
            let ranges = |lines: &[u32]| lines.iter().map(range).collect::<Vec<_>>();
            bars_of(&ranges(rows), &ranges(columns))
        };
        words[0].chunks_exact(lines as usize).map(of_sample).collect()
    }))
}
