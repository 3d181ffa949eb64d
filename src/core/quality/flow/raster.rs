//! Stage `pyramid`: luma levels with replicated edges, and dense vector fields.

use crate::quality::plane::{downscale, half_size};

/// Pixels that are replicated beyond every edge. A window of nine pixels that begins `MARGIN` outside sees
/// the edge pixel only, so clamping its origin equals clamping every coordinate.
pub const MARGIN: usize = 16;
/// Levels are added while the smaller side of the next one keeps this many pixels.
pub const LEAST_SIDE: usize = 12;
/// Most levels below the given plane.
pub const MOST_LEVELS: usize = 7;

/// A luma level `[height, width]` in levels 0..=255, edges replicated `MARGIN` pixels outwards.
#[derive(Clone, PartialEq, Eq)]
pub struct Luma {
    width: usize,
    height: usize,
    stride: usize,
    data: Vec<u8>,
}

impl Luma {
    /// Copies `pixels` `[height, width]`.
    ///
    /// # Panics
    /// When `pixels` is empty or its length is not `width * height`: planes come from checked clips.
    pub fn new(pixels: &[u8], width: usize, height: usize) -> Self {
        assert!(width > 0 && height > 0 && pixels.len() == width * height, "plane sizes disagree");
        let stride = width + 2 * MARGIN;
        let mut data = Vec::with_capacity(stride * (height + 2 * MARGIN));
        for row in 0..height + 2 * MARGIN {
            let source = row.saturating_sub(MARGIN).min(height - 1);
            let line = &pixels[source * width..][..width];
            data.resize(data.len() + MARGIN, line[0]);
            data.extend_from_slice(line);
            data.resize(data.len() + MARGIN, line[width - 1]);
        }
        Self { width, height, stride, data }
    }

    /// Width in pixels.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[inline(always)]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes from one row to the next of [`Self::run`].
    #[inline(always)]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The stored pixels from `(x, y)` on, rows `stride` apart; coordinates from `-MARGIN` on.
    #[inline(always)]
    pub fn run(&self, x: i32, y: i32) -> &[u8] {
        let margin = MARGIN as i32;
        &self.data[(y + margin) as usize * self.stride + (x + margin) as usize..]
    }

    /// The pixel at clamped coordinates.
    #[inline]
    pub fn at(&self, x: i32, y: i32) -> i32 {
        let (x, y) = (x.clamp(0, self.width as i32 - 1), y.clamp(0, self.height as i32 - 1));
        i32::from(self.run(x, y)[0])
    }

    /// The pixels without margin, row by row.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.height as i32).map(|y| &self.run(0, y)[..self.width])
    }
}

/// Luma levels of one frame, the given plane first, each half of the one before (rounded up).
#[derive(Clone, PartialEq, Eq)]
pub struct Pyramid {
    levels: Vec<Luma>,
}

impl Pyramid {
    /// Builds the levels of a luma plane `[height, width]` with 2x2 boxes, `(a + b + c + d + 2) >> 2`, an
    /// odd last row or column counted twice.
    ///
    /// # Panics
    /// When `pixels` is empty or its length is not `width * height`.
    pub fn new(pixels: &[u8], width: usize, height: usize) -> Self {
        let mut levels = vec![Luma::new(pixels, width, height)];
        let (mut above, mut size) = (pixels.to_vec(), (width, height));
        while levels.len() <= MOST_LEVELS {
            let next = half_size(size.0, size.1);
            if next.0.min(next.1) < LEAST_SIDE {
                break;
            }
            above = downscale(&above, size.0, size.1);
            size = next;
            levels.push(Luma::new(&above, size.0, size.1));
        }
        Self { levels }
    }

    /// All levels, the largest first.
    pub fn levels(&self) -> &[Luma] {
        &self.levels
    }

    /// The given plane.
    pub fn base(&self) -> &Luma {
        &self.levels[0]
    }
}

/// A dense field of displacements `[height, width]`, components in [`super::UNIT`]ths of a pixel of its
/// level: content at `p` in the first frame is found at `p + (x, y) / UNIT` in the second.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Components to the right, row by row.
    pub x: Vec<i16>,
    /// Components downwards, row by row.
    pub y: Vec<i16>,
}

impl Field {
    /// A field that stands still.
    pub fn still(width: usize, height: usize) -> Self {
        Self { width, height, x: vec![0; width * height], y: vec![0; width * height] }
    }

    /// The displacement at clamped coordinates.
    #[inline(always)]
    pub fn at(&self, x: i32, y: i32) -> (i32, i32) {
        let (x, y) = (x.clamp(0, self.width as i32 - 1), y.clamp(0, self.height as i32 - 1));
        let index = y as usize * self.width + x as usize;
        (i32::from(self.x[index]), i32::from(self.y[index]))
    }
}
