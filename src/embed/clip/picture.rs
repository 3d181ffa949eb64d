//! Frames as CLIP sees them: integers from planes to pixels, byte for byte what Pillow's bicubic resize gives.

use leoma_core::quality::{
    color::frame_to_rgb,
    frame::FrameView,
    prompt::view::{Square, View},
};

use crate::image::RgbImage;

/// Fractional bits of a resize's weights, as in Pillow's resize of 8-bit pixels.
const WEIGHT_BITS: u32 = 22;
/// Reach of the bicubic kernel in source pixels (or output pixels, when shrinking).
const REACH: f64 = 2.0;

/// The views of one frame, each `side` pixels square.
pub fn pictures(
    frame: FrameView<'_>,
    width: usize,
    height: usize,
    side: usize,
    views: &[View],
) -> Vec<RgbImage> {
    let whole = planes_of(&frame_to_rgb(frame, width, height), width, height);
    let plain = squared(&whole, side);
    let view = |view: &View| match *view {
        View::Frame => plain.clone(),
        View::Mirror => mirrored(&plain),
        View::LowPass => resize(&resize(&plain, side / 2, side / 2), side, side),
        View::Crop(square) => resize(&cut(&whole, square), side, side),
    };
    views.iter().map(view).collect()
}

/// A whole frame, `side` pixels square, aspect ratio ignored.
pub fn whole(frame: FrameView<'_>, width: usize, height: usize, side: usize) -> RgbImage {
    resize(&planes_of(&frame_to_rgb(frame, width, height), width, height), side, side)
}

fn planes_of(rgb: &[u8], width: usize, height: usize) -> RgbImage {
    let channel = |channel: usize| rgb.iter().skip(channel).step_by(3).copied();
    RgbImage::from_planes(width, height, (0..3).flat_map(channel).collect())
}

/// CLIP's own preparation: the shorter side resized to `side`, then the middle square.
pub fn squared(image: &RgbImage, side: usize) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let shorter = width.min(height).max(1);
    let (wide, high) = (side * width / shorter, side * height / shorter);
    let resized = resize(image, wide, high);
    cut(&resized, Square { left: (wide - side) / 2, top: (high - side) / 2, side })
}

/// Part of an image; what lies outside is moved in.
fn cut(image: &RgbImage, square: Square) -> RgbImage {
    let side = square.side.min(image.width()).min(image.height());
    let (left, top) = (square.left.min(image.width() - side), square.top.min(image.height() - side));
    let area = image.width() * image.height();
    let rows = image.planes().chunks_exact(area.max(1)).flat_map(|plane| {
        plane.chunks_exact(image.width()).skip(top).take(side).flat_map(|row| row[left..left + side].to_vec())
    });
    RgbImage::from_planes(side, side, rows.collect())
}

fn mirrored(image: &RgbImage) -> RgbImage {
    let rows = image.planes().chunks_exact(image.width().max(1));
    let planes = rows.flat_map(|row| row.iter().rev().copied()).collect();
    RgbImage::from_planes(image.width(), image.height(), planes)
}

/// One output pixel of a line: its first source pixel and weights in 1/2^22.
struct Tap {
    first: usize,
    weights: Vec<i64>,
}

/// Keys' cubic with a = -1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Weights of a line, in Pillow's order of operations: the kernel in f64, widened when shrinking, normalised, then
/// rounded to integers. Nothing but `+ - * /`, so the same everywhere.
fn taps(source: usize, target: usize) -> Vec<Tap> {
    let scale = source as f64 / target as f64;
    let wide = scale.max(1.0);
    let reach = REACH * wide;
    let step = 1.0 / wide;
    (0..target)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            // `as` cuts towards zero and holds negative numbers at zero.
            let first = (centre - reach + 0.5) as usize;
            let end = ((centre + reach + 0.5) as usize).min(source);
            let raw: Vec<f64> = (first..end).map(|x| cubic((x as f64 - centre + 0.5) * step)).collect();
            let sum = raw.iter().fold(0.0, |sum, weight| sum + weight);
            let one = f64::from(1u32 << WEIGHT_BITS);
            let rounded = |weight: &f64| {
                let weight = weight / sum * one;
                (if weight < 0.0 { weight - 0.5 } else { weight + 0.5 }) as i64
            };
            Tap { first, weights: raw.iter().map(rounded).collect() }
        })
        .collect()
}

/// Bicubic resize with antialiasing: lines first, then columns, each rounded to bytes; a side that stays is not touched.
pub fn resize(image: &RgbImage, width: usize, height: usize) -> RgbImage {
    let half = 1i64 << (WEIGHT_BITS - 1);
    let byte = |sum: i64| (sum >> WEIGHT_BITS).clamp(0, 255) as u8;
    let mut planes = image.planes().to_vec();
    if width != image.width() {
        let taps = taps(image.width(), width);
        let rows = planes.chunks_exact(image.width().max(1)).flat_map(|row| {
            taps.iter().map(|tap| {
                let pixels = tap.weights.iter().zip(&row[tap.first..]);
                byte(half + pixels.map(|(weight, &pixel)| weight * i64::from(pixel)).sum::<i64>())
            })
        });
        planes = rows.collect();
    }
    if height != image.height() {
        let taps = taps(image.height(), height);
        let mut resized = Vec::with_capacity(3 * width * height);
        for plane in planes.chunks_exact((width * image.height()).max(1)) {
            for tap in &taps {
                let mut sums = vec![half; width];
                for (weight, row) in tap.weights.iter().zip(plane[tap.first * width..].chunks_exact(width)) {
                    for (sum, &pixel) in sums.iter_mut().zip(row) {
                        *sum += weight * i64::from(pixel);
                    }
                }
                resized.extend(sums.into_iter().map(byte));
            }
        }
        planes = resized;
    }
    RgbImage::from_planes(width, height, planes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leoma_core::quality::color::rgb_to_clip;
    use proptest::prelude::*;

    fn stripes(width: usize, height: usize) -> RgbImage {
        RgbImage::from_pixels(width, height, |x, y| {
            [(x * 7 % 256) as u8, (y * 11 % 256) as u8, (x * y % 256) as u8]
        })
    }

    #[test]
    fn views_differ_as_they_should() {
        let (width, height) = (96, 64);
        let rgb: Vec<u8> = (0..width * height).flat_map(|i| [(i % width) as u8 * 2, 90, 200]).collect();
        let clip = rgb_to_clip(&rgb, width, height).expect("even");
        let square = Square { left: 32, top: 0, side: 64 };
        let views = [View::Frame, View::Mirror, View::LowPass, View::Crop(square)];
        let seen = pictures(clip.frame(0), width, height, 64, &views);
        assert!(seen.iter().all(|image| (image.width(), image.height()) == (64, 64)));
        assert_eq!(mirrored(&seen[1]), seen[0]);
        assert_ne!(seen[2], seen[0]);
        // The crop of unscaled pixels is a part of the frame, further right than its middle.
        assert!(seen[3].planes()[0] > seen[0].planes()[0]);
    }

    #[test]
    fn a_crop_outside_is_moved_in() {
        let image = stripes(20, 10);
        let inside = cut(&image, Square { left: 10, top: 0, side: 10 });
        assert_eq!(cut(&image, Square { left: 900, top: 900, side: 900 }), inside);
    }

    proptest! {
        #[test]
        fn a_flat_image_stays_flat(level: u8, width in 8usize..90, height in 8usize..90, side in 4usize..60) {
            let image = RgbImage::from_pixels(width, height, |_, _| [level; 3]);
            prop_assert!(resize(&image, side, side + 3).planes().iter().all(|&pixel| pixel == level));
        }
    }
}
