//! Sums of sampled planes: what the kernels that import `shaders/shared/sampled.wgsl` have in common.

use super::{Dispatch, Generation, Planes, Pooled, sum};
use crate::{error::DeviceError, shader::Kernel};

/// A kernel over the planes 0, `step`, 2 `step` and so on.
pub(super) struct Sampled {
    /// Which.
    pub(super) kernel: Kernel,
    /// Every so many planes one is sampled.
    pub(super) step: u32,
    /// Workgroups across and down a plane.
    pub(super) groups: [u32; 2],
    /// Sums that it makes of each.
    pub(super) values: usize,
}

impl Sampled {
    /// Records the kernel and the sums of its workgroups: `values` row sums per sampled plane.
    ///
    /// # Errors
    /// What the device reports.
    pub(super) fn sums(&self, device: &mut Generation, planes: &Planes) -> Result<Pooled, DeviceError> {
        let samples = planes.count.div_ceil(self.step);
        let [columns, rows] = self.groups;
        let (tiles, values) = (columns * rows, samples * self.values as u32);
        let partials = device.buffer((values * tiles) as usize);
        device.dispatch(&Dispatch {
            kernel: self.kernel,
            params: &[self.step, planes.width, planes.height, planes.stride, columns, tiles],
            buffers: &[&planes.buffer, &partials],
            groups: self.groups,
            layers: samples,
        })?;
        sum::sum_rows(device, &partials, values, tiles)
    }
}
