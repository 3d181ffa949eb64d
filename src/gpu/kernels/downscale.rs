//! Twin: `quality::plane::downscale`.

use super::{DeviceError, Dispatch, Generation, Pending, Planes};
use crate::{quality::plane::half_size, shader::Kernel};

/// The next pyramid level of every plane; its planes start at whole words.
///
/// # Errors
/// What the device reports.
pub fn downscale(device: &mut Generation, planes: &Planes) -> Result<Planes, DeviceError> {
    let (width, height) = half_size(planes.width as usize, planes.height as usize);
    let (width, height) = (width as u32, height as u32);
    let words = (width * height).div_ceil(4);
    let buffer = device.buffer((words * planes.count) as usize);
    device.dispatch(&Dispatch {
        kernel: Kernel::Downscale,
        params: &[planes.width, planes.height, planes.stride, width, width * height, words],
        buffers: &[&planes.buffer, &buffer],
        groups: [words.div_ceil(256), 1],
        layers: planes.count,
    })?;
    Ok(Planes { buffer, width, height, count: planes.count, stride: words * 4 })
}

/// The pixels of planes that start at whole words, plane by plane. For tests and the self-test: scoring reads sums.
///
/// # Errors
/// What the device reports.
pub fn pixels(device: &mut Generation, planes: Planes) -> Result<Vec<Vec<u8>>, DeviceError> {
    let (area, stride) = ((planes.width * planes.height) as usize, planes.stride as usize);
    let pending = Pending::new(vec![planes.buffer], move |words| {
        let bytes: Vec<u8> = words[0].iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.chunks_exact(stride).map(|plane| plane[..area].to_vec()).collect()
    });
    pending.read(device)
}
