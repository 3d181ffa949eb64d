//! Integer BT.601 limited-range conversion between RGB pixels and YUV 4:2:0 planes.
//!
//! One matrix for every clip and every first frame, whatever the tags of a file say: BT.601 limited
//! range is what ffmpeg, imageio and diffusers write, untagged, from RGB frames. Coefficients are
//! ITU-R BT.601 (Kr = 0.299, Kb = 0.114, luma 16..=235, chroma 16..=240) in 16-bit fixed point,
//! each rounded to nearest so that grey stays exactly grey in both directions; results are rounded
//! half up (`+ 0x8000 >> 16`, arithmetic shift) and clamped to 0..=255.
//!
//! Chroma is nearest neighbour on the way up (each 2x2 block of pixels shares its chroma sample) and
//! the mean of the 2x2 block on the way down. The pair is chosen because one undoes the other: planes
//! that go to RGB and back come back within two levels where no pixel of the 2x2 block was clipped.

use super::frame::{FrameView, PlaneSizeError, Yuv420Clip};

/// Luma gain from limited to full range, 255/219, times 65536.
const LUMA_TO_RGB: i32 = 76_309;
/// Red from V: 1.402 x 255/224, times 65536.
const V_TO_RED: i32 = 104_597;
/// Green from U: -0.344136 x 255/224, times 65536.
const U_TO_GREEN: i32 = -25_675;
/// Green from V: -0.714136 x 255/224, times 65536.
const V_TO_GREEN: i32 = -53_279;
/// Blue from U: 1.772 x 255/224, times 65536.
const U_TO_BLUE: i32 = 132_201;

/// Luma weights of red, green and blue times 219/255, times 65536.
const RGB_TO_LUMA: [i32; 3] = [16_829, 33_039, 6_416];
/// U weights of red, green and blue times 224/255, times 65536; they sum to zero.
const RGB_TO_U: [i32; 3] = [-9_714, -19_070, 28_784];
/// V weights of red, green and blue times 224/255, times 65536; they sum to zero.
const RGB_TO_V: [i32; 3] = [28_784, -24_103, -4_681];

const HALF: i32 = 1 << 15;

/// Why RGB pixels were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RgbError {
    /// The pixel buffer does not have `width * height * 3` bytes.
    #[error("{width}x{height} RGB pixels need {expected} bytes, got {got}")]
    Size {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes that the size asks for.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
    /// The sides are odd or zero.
    #[error(transparent)]
    Planes(#[from] PlaneSizeError),
}

fn rounded(value: i32) -> u8 {
    ((value + HALF) >> 16).clamp(0, 255) as u8
}

/// One pixel: Y, U, V (limited range) to red, green, blue (0..=255).
pub fn yuv_to_rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = (i32::from(y) - 16) * LUMA_TO_RGB;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [
        rounded(luma + V_TO_RED * v),
        rounded(luma + U_TO_GREEN * u + V_TO_GREEN * v),
        rounded(luma + U_TO_BLUE * u),
    ]
}

fn weigh(weights: &[i32; 3], rgb: [i32; 3]) -> i32 {
    weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2]
}

/// Luma of one pixel: red, green, blue (0..=255) to Y (16..=235).
pub fn rgb_to_luma(rgb: [u8; 3]) -> u8 {
    rounded(weigh(&RGB_TO_LUMA, rgb.map(i32::from)) + (16 << 16))
}

/// U and V of the sum of a 2x2 block of pixels (each sum 0..=1020).
fn block_chroma(sum: [i32; 3]) -> (u8, u8) {
    // The sum is four pixels, hence two more bits of shift; at most 1020 * 57568, inside i32.
    let mean = |weights: &[i32; 3]| {
        let value = weigh(weights, sum) + (128 << 18) + (HALF << 2);
        (value >> 18).clamp(0, 255) as u8
    };
    (mean(&RGB_TO_U), mean(&RGB_TO_V))
}

/// One frame `[height, width]` of planes to RGB pixels `[height, width, 3]`, chroma by nearest neighbour.
pub fn frame_to_rgb(frame: FrameView<'_>, width: usize, height: usize) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(width * height * 3);
    for (row, luma) in frame.y.chunks_exact(width).take(height).enumerate() {
        let chroma = row / 2 * (width / 2);
        for (x, &y) in luma.iter().enumerate() {
            rgb.extend_from_slice(&yuv_to_rgb(y, frame.u[chroma + x / 2], frame.v[chroma + x / 2]));
        }
    }
    rgb
}

/// RGB pixels `[height, width, 3]` to a clip of one frame, chroma from the mean of each 2x2 block.
///
/// # Errors
/// When the buffer does not fit the size, or a side is odd or zero.
pub fn rgb_to_clip(rgb: &[u8], width: usize, height: usize) -> Result<Yuv420Clip, RgbError> {
    let expected = width * height * 3;
    if rgb.len() != expected {
        return Err(RgbError::Size { width, height, expected, got: rgb.len() });
    }
    let mut planes = Vec::with_capacity(Yuv420Clip::frame_bytes(width, height));
    push_planes(&mut planes, rgb, width, height);
    Ok(Yuv420Clip::from_planes(width, height, 1, planes)?)
}

fn push_planes(planes: &mut Vec<u8>, rgb: &[u8], width: usize, height: usize) {
    planes.extend(rgb.chunks_exact(3).map(|pixel| rgb_to_luma([pixel[0], pixel[1], pixel[2]])));
    let mut red_difference = Vec::with_capacity(width * height / 4);
    for rows in rgb.chunks_exact(width.max(1) * 6) {
        let (upper, lower) = rows.split_at(width * 3);
        for (above, below) in upper.chunks_exact(6).zip(lower.chunks_exact(6)) {
            let sum = |channel: usize| {
                [above[channel], above[channel + 3], below[channel], below[channel + 3]]
                    .into_iter()
                    .map(i32::from)
                    .sum()
            };
            let (u, v) = block_chroma([sum(0), sum(1), sum(2)]);
            planes.push(u);
            red_difference.push(v);
        }
    }
    planes.extend_from_slice(&red_difference);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn primaries_have_the_published_bt601_values() {
        let planes = |rgb: [u8; 3]| {
            let clip = rgb_to_clip(&rgb.repeat(4), 2, 2).expect("even size");
            let frame = clip.frame(0);
            [frame.y[0], frame.u[0], frame.v[0]]
        };
        assert_eq!(planes([255, 0, 0]), [81, 90, 240]);
        assert_eq!(planes([0, 255, 0]), [145, 54, 34]);
        assert_eq!(planes([0, 0, 255]), [41, 240, 110]);
        assert_eq!(planes([255, 255, 255]), [235, 128, 128]);
        assert_eq!(planes([0, 0, 0]), [16, 128, 128]);
    }

    #[test]
    fn grey_stays_grey_and_comes_back_within_one_level() {
        for y in 16..=235u8 {
            let [red, green, blue] = yuv_to_rgb(y, 128, 128);
            assert_eq!((red, red), (green, blue), "Y {y}");
            assert!(rgb_to_luma([red, green, blue]).abs_diff(y) <= 1, "Y {y}");
        }
        for grey in 0..=255u8 {
            let clip = rgb_to_clip(&[grey; 12], 2, 2).expect("even size");
            assert_eq!((clip.frame(0).u[0], clip.frame(0).v[0]), (128, 128), "grey {grey}");
            let [back, ..] = yuv_to_rgb(clip.frame(0).y[0], 128, 128);
            assert!(back.abs_diff(grey) <= 1, "grey {grey} came back as {back}");
        }
    }

    #[test]
    fn outside_the_limited_range_is_clamped() {
        assert_eq!(yuv_to_rgb(0, 128, 128), [0, 0, 0]);
        assert_eq!(yuv_to_rgb(255, 128, 128), [255, 255, 255]);
        assert_eq!(yuv_to_rgb(128, 255, 255), [255, 0, 255]);
    }

    #[test]
    fn a_buffer_of_the_wrong_size_and_odd_sides_are_refused() {
        assert!(matches!(rgb_to_clip(&[0; 11], 2, 2), Err(RgbError::Size { .. })));
        assert!(matches!(rgb_to_clip(&[0; 9], 3, 1), Err(RgbError::Planes(_))));
        assert!(matches!(rgb_to_clip(&[], 0, 0), Err(RgbError::Planes(_))));
    }

    proptest! {
        #[test]
        fn planes_survive_rgb_and_back_where_nothing_clips(
            luma in prop::array::uniform4(60u8..=190),
            u in 118u8..=138,
            v in 118u8..=138,
        ) {
            let mut data = luma.to_vec();
            data.extend([u, v]);
            let clip = Yuv420Clip::from_planes(2, 2, 1, data).expect("even size");
            let back = rgb_to_clip(&frame_to_rgb(clip.frame(0), 2, 2), 2, 2).expect("even size");
            for (one, other) in clip.as_bytes().iter().zip(back.as_bytes()) {
                prop_assert!(one.abs_diff(*other) <= 2, "{:?} {:?}", clip.as_bytes(), back.as_bytes());
            }
        }
    }
}
