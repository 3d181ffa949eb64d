//! The kernels' host side: one file per twin of `quality`. Each records its dispatches and gives a [`Pending`] value.

pub mod blockiness;
pub mod border;
pub mod color_distance;
pub mod detail;
pub mod difference;
pub mod downscale;
pub mod flow;
pub mod layers;
pub mod looks;
pub mod mosaic;
pub mod motion;
pub mod octaves;
mod sampled;
pub mod ssim;
pub mod strokes;
mod sum;
pub mod temporal;

use super::{
    device::{Dispatch, Generation},
    error::DeviceError,
    pool::Pooled,
    quality::frame::Yuv420Clip,
};

/// 8-bit planes `[count, height, width]` on the device, `stride` bytes from one to the next.
pub struct Planes {
    pub(crate) buffer: Pooled,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of planes.
    pub count: u32,
    /// Bytes from one plane to the next.
    pub stride: u32,
}

impl Planes {
    /// Uploads frames `[first, first + count)` of a clip: the luma planes are the planes, the chroma planes lie
    /// behind each of them.
    ///
    /// # Panics
    /// When the clip has fewer frames, as slices do.
    pub fn of_clip(device: &Generation, clip: &Yuv420Clip, first: usize, count: usize) -> Self {
        let frame = Yuv420Clip::frame_bytes(clip.width(), clip.height());
        Self {
            buffer: device.upload(&clip.as_bytes()[first * frame..(first + count) * frame]),
            width: clip.width() as u32,
            height: clip.height() as u32,
            count: count as u32,
            stride: frame as u32,
        }
    }

    /// Uploads separate planes `[height, width]` of one size.
    ///
    /// # Panics
    /// When a plane has another size.
    pub fn of_planes(device: &Generation, planes: &[&[u8]], width: usize, height: usize) -> Self {
        assert!(planes.iter().all(|plane| plane.len() == width * height), "plane sizes disagree");
        Self {
            buffer: device.upload(&planes.concat()),
            width: width as u32,
            height: height as u32,
            count: planes.len() as u32,
            stride: (width * height) as u32,
        }
    }

    /// Number of 16x16 tiles, columns and rows.
    fn tiles(&self) -> [u32; 2] {
        [self.width.div_ceil(16), self.height.div_ceil(16)]
    }

    /// Words from one plane to the next, where planes start at whole words.
    fn words(&self) -> u32 {
        self.stride / 4
    }
}

/// Reads a value out of the words of a stage's output buffers.
type Parse<T> = Box<dyn FnOnce(&[Vec<u32>]) -> T>;

/// A value that the device computes; reading it waits for all recorded work.
pub struct Pending<T> {
    buffers: Vec<Pooled>,
    parse: Parse<T>,
}

impl<T> Pending<T> {
    fn new(buffers: Vec<Pooled>, parse: impl FnOnce(&[Vec<u32>]) -> T + 'static) -> Self {
        Self { buffers, parse: Box::new(parse) }
    }

    /// Waits for the value.
    ///
    /// # Errors
    /// What the device reports.
    pub fn read(self, device: &mut Generation) -> Result<T, DeviceError> {
        let words = self.buffers.iter().map(|buffer| device.read(buffer)).collect::<Result<Vec<_>, _>>()?;
        Ok((self.parse)(&words))
    }
}

/// The error of a device, as every stage gives it.
pub type Staged<T> = Result<Pending<T>, DeviceError>;
