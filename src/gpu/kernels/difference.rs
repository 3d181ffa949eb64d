//! Twin: `quality::difference`.

use super::{Dispatch, Generation, Pending, Planes, Staged, sum};
use crate::{
    quality::{difference::Difference, measure::PairDifference},
    shader::Kernel,
};

/// Differences of every plane to the one `lag` behind it, in the planes' order.
///
/// # Errors
/// What the device reports.
pub fn pair_differences(device: &mut Generation, planes: &Planes, lag: u32) -> Staged<Vec<PairDifference>> {
    let whole = differences(device, planes, lag, false)?;
    Ok(Pending::new(whole.buffers, move |words| (whole.parse)(words).iter().map(Into::into).collect()))
}

/// The same with histograms.
///
/// # Errors
/// What the device reports.
pub fn full_differences(device: &mut Generation, planes: &Planes, lag: u32) -> Staged<Vec<Difference>> {
    differences(device, planes, lag, true)
}

fn differences(
    device: &mut Generation,
    planes: &Planes,
    lag: u32,
    with_histogram: bool,
) -> Staged<Vec<Difference>> {
    let pairs = planes.count.saturating_sub(lag);
    if pairs == 0 {
        return Ok(Pending::new(Vec::new(), |_| Vec::new()));
    }
    let [columns, rows] = planes.tiles();
    let blocks = columns * rows;
    let block_sums = device.buffer((pairs * blocks) as usize);
    let histogram = device.buffer(if with_histogram { pairs as usize * 256 } else { 1 });
    device.clear(&histogram);
    device.dispatch(&Dispatch {
        kernel: Kernel::Difference,
        params: &[
            lag,
            planes.width,
            planes.height,
            planes.stride,
            columns,
            blocks,
            u32::from(with_histogram),
        ],
        buffers: &[&planes.buffer, &block_sums, &histogram],
        groups: [columns, rows],
        layers: pairs,
    })?;
    let sums = sum::sum_rows(device, &block_sums, pairs, blocks)?;
    let pixels = u64::from(planes.width) * u64::from(planes.height);
    let buffers = if with_histogram { vec![sums, histogram] } else { vec![sums] };
    Ok(Pending::new(buffers, move |words| {
        let bins = |pair: usize, value: usize| words.get(1).map_or(0, |bins| bins[pair * 256 + value]);
        sum::row_sums(&words[0])
            .iter()
            .enumerate()
            .map(|(pair, row)| Difference {
                sum: row.sum as u64,
                largest_block: row.largest as u32,
                histogram: std::array::from_fn(|value| bins(pair, value)),
                pixels,
            })
            .collect()
    }))
}
