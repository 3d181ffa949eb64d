//! Decoded pixels as they enter every kernel: 8-bit YUV 4:2:0 planes.

use crate::domain::ids::Digest;

/// A clip of 8-bit YUV 4:2:0 frames, BT.601 limited range whatever its tags said.
///
/// Layout: for every frame the luma plane `[height, width]`, then U and V, each
/// `[height / 2, width / 2]`, without row padding. Width and height are even.
#[derive(Clone, PartialEq, Eq)]
pub struct Yuv420Clip {
    width: usize,
    height: usize,
    frames: usize,
    data: Vec<u8>,
}

/// Why planes were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{width}x{height} with {frames} frames needs {expected} bytes of planes (even sides, no padding), got {got}"
)]
pub struct PlaneSizeError {
    width: usize,
    height: usize,
    frames: usize,
    expected: usize,
    got: usize,
}

/// The three planes of one frame.
#[derive(Clone, Copy)]
pub struct FrameView<'a> {
    /// Luma `[height, width]`.
    pub y: &'a [u8],
    /// Blue difference `[height / 2, width / 2]`.
    pub u: &'a [u8],
    /// Red difference `[height / 2, width / 2]`.
    pub v: &'a [u8],
}

impl Yuv420Clip {
    /// Bytes of one frame.
    pub const fn frame_bytes(width: usize, height: usize) -> usize {
        width * height * 3 / 2
    }

    /// Takes planes in the layout of this type.
    pub fn from_planes(
        width: usize,
        height: usize,
        frames: usize,
        data: Vec<u8>,
    ) -> Result<Self, PlaneSizeError> {
        let expected = Self::frame_bytes(width, height) * frames;
        let even = width.is_multiple_of(2) && height.is_multiple_of(2) && width > 0 && height > 0;
        if !even || data.len() != expected {
            return Err(PlaneSizeError { width, height, frames, expected, got: data.len() });
        }
        Ok(Self { width, height, frames, data })
    }

    /// Width of the luma plane in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height of the luma plane in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// All planes, frame by frame.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// One frame's planes.
    ///
    /// # Panics
    /// When `index >= len()`, as slices do.
    pub fn frame(&self, index: usize) -> FrameView<'_> {
        let size = Self::frame_bytes(self.width, self.height);
        let bytes = &self.data[index * size..(index + 1) * size];
        let (y, chroma) = bytes.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        FrameView { y, u, v }
    }

    /// SHA-256 over width, height, frame count (u32 little endian each) and all planes.
    pub fn digest(&self) -> Digest {
        let mut head = Vec::with_capacity(12);
        for value in [self.width, self.height, self.frames] {
            head.extend_from_slice(&(value as u32).to_le_bytes());
        }
        Digest::of_parts(&[&head, &self.data])
    }
}

impl std::fmt::Debug for Yuv420Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Yuv420Clip({}x{}, {} frames)", self.width, self.height, self.frames)
    }
}
