//! Twin: `quality::strokes::strokes`.

use super::{DeviceError, Dispatch, Generation, Pending, Planes, Staged, downscale::downscale};
use crate::{
    quality::{
        frame::Yuv420Clip,
        strokes::{BACK, BLOCK, StrokeWindow, WINDOW_STEP, windows},
    },
    shader::Kernel,
};

/// The first frame of a clip at half size, whose edges are known.
pub struct Origin {
    /// One plane.
    pub half: Planes,
}

impl Origin {
    /// Of a clip with a frame or more.
    ///
    /// # Errors
    /// What the device reports.
    pub fn of(device: &mut Generation, clip: &Yuv420Clip) -> Result<Self, DeviceError> {
        let frame = Planes::of_clip(device, clip, 0, 1);
        Ok(Self { half: downscale(device, &frame)? })
    }
}

/// Windows of half-size planes, by the planes at which they end: 4, 8, ...
///
/// # Errors
/// What the device reports.
pub fn strokes(device: &mut Generation, half: &Planes, origin: &Origin) -> Staged<Vec<StrokeWindow>> {
    let count = windows(half.count as usize) as u32;
    if count == 0 {
        return Ok(Pending::new(Vec::new(), |_| Vec::new()));
    }
    let [columns, rows] = [half.width, half.height].map(|side| side.div_ceil(BLOCK as u32));
    let blocks = columns * rows;
    let counts = device.buffer((count * blocks) as usize);
    let [_, middle, start] = BACK.map(|back| back as u32);
    device.dispatch(&Dispatch {
        kernel: Kernel::Strokes,
        params: &[half.width, half.height, half.stride, WINDOW_STEP as u32, middle, start, columns, blocks],
        buffers: &[&half.buffer, &origin.half.buffer, &counts],
        groups: [columns, rows],
        layers: count,
    })?;
    Ok(Pending::new(vec![counts], move |words| {
        let window = |words: &[u32]| {
            // A block counts at most 256.
            let counts: Vec<u16> = words.iter().map(|&count| count as u16).collect();
            StrokeWindow::of_counts(&counts)
        };
        words[0].chunks_exact(blocks as usize).map(window).collect()
    }))
}
