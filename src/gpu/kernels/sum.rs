//! The second stage of every reduction.

use super::{DeviceError, Dispatch, Generation, Pooled};
use crate::shader::Kernel;

/// Sum and largest value of one row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RowSum {
    pub sum: i64,
    pub largest: i32,
}

/// Reduces `rows` rows of `count` signed values; the result has four words per row.
pub(super) fn sum_rows(
    device: &mut Generation,
    values: &Pooled,
    rows: u32,
    count: u32,
) -> Result<Pooled, DeviceError> {
    let results = device.buffer(rows as usize * 4);
    device.dispatch(&Dispatch {
        kernel: Kernel::Sum,
        params: &[count],
        buffers: &[values, &results],
        groups: [1, 1],
        layers: rows,
    })?;
    Ok(results)
}

/// Reads the result of [`sum_rows`].
pub(super) fn row_sums(words: &[u32]) -> Vec<RowSum> {
    let row = |row: &[u32; 4]| RowSum {
        sum: (u64::from(row[1]) << 32 | u64::from(row[0])) as i64,
        largest: row[2] as i32,
    };
    words.as_chunks::<4>().0.iter().map(row).collect()
}
