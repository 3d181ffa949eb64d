//! Damage to detail: blur, noise, banding, blocks, ringing.

use super::canvas::{each_frame, mix};
use crate::{quality::frame::Yuv420Clip, texture::hash};

/// Echoes of an edge: distance in pixels and strength in quarters.
const ECHOES: [(isize, i32); 4] = [(0, 4), (2, -3), (4, 2), (6, -1)];

/// Binomial blur of `order` (1..=16), sigma = sqrt(order / 2) pixels; chroma, half as wide, by a quarter of the order.
pub(super) fn blur(clip: &Yuv420Clip, order: u32) -> Yuv420Clip {
    let (luma, chroma) = (binomial(order), binomial(order.div_ceil(4)));
    each_frame(clip, |_, mut frame| {
        for (plane, width, size) in frame.planes() {
            let blurred = convolved(plane, width, if size == 1 { &luma } else { &chroma });
            plane.copy_from_slice(&blurred);
        }
    })
}

/// Row `2 * order` of Pascal's triangle; its sum is `4^order`, at most 2^32.
fn binomial(order: u32) -> Vec<u64> {
    let mut row = vec![1];
    for _ in 0..2 * order {
        let next = |k: usize| row.get(k).unwrap_or(&0) + k.checked_sub(1).map_or(0, |before| row[before]);
        row = (0..=row.len()).map(next).collect();
    }
    row
}

/// Separable convolution with weights whose sum is a power of two, edge pixels repeated. Sums stay below 2^49: weights
/// 2^32 times 16-bit values between the passes.
fn convolved(plane: &[u8], width: usize, weights: &[u64]) -> Vec<u8> {
    let (height, reach) = (plane.len() / width, weights.len() / 2);
    let bits = weights.len() as u32 - 1;
    let near = |at: usize, k: usize, last: usize| (at + k).saturating_sub(reach).min(last);
    let mut across = vec![0u64; plane.len()];
    let mut padded = vec![0u64; width + 2 * reach];
    for (row, out) in plane.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        padded.iter_mut().enumerate().for_each(|(k, value)| *value = row[near(0, k, width - 1)].into());
        for (k, weight) in weights.iter().enumerate() {
            out.iter_mut().zip(&padded[k..]).for_each(|(sum, value)| *sum += weight * value);
        }
        out.iter_mut().for_each(|sum| *sum = ((*sum << 8) + (1 << bits >> 1)) >> bits);
    }
    let mut out = vec![0; plane.len()];
    let mut sums = vec![0u64; width];
    for (y, out) in out.chunks_exact_mut(width).enumerate() {
        sums.fill(0);
        for (k, weight) in weights.iter().enumerate() {
            let row = &across[near(y, k, height - 1) * width..][..width];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
        let round = |sum: &u64| ((sum + (1 << (bits + 8) >> 1)) >> (bits + 8)) as u8;
        out.iter_mut().zip(&sums).for_each(|(value, sum)| *value = round(sum));
    }
    out
}

/// Luma noise, nearly Gaussian (the sum of four bytes of a hash), of standard deviation `sigma`.
pub(super) fn noise(clip: &Yuv420Clip, sigma: i32, seed: u32) -> Yuv420Clip {
    each_frame(clip, |t, frame| {
        let seed = hash(t as i32, 3, seed);
        for (k, value) in frame.y.iter_mut().enumerate() {
            let drawn = hash((k % frame.width) as i32, (k / frame.width) as i32, seed).to_le_bytes();
            // Mean 510, standard deviation 147.8.
            let sum: i32 = drawn.into_iter().map(i32::from).sum::<i32>() - 510;
            let added = (2 * sum * sigma + 148).div_euclid(296);
            *value = (i32::from(*value) + added).clamp(0, 255) as u8;
        }
    })
}

/// All planes quantised to the middles of steps.
pub(super) fn banding(clip: &Yuv420Clip, step: u8) -> Yuv420Clip {
    each_frame(clip, |_, mut frame| {
        for (plane, ..) in frame.planes() {
            plane.iter_mut().for_each(|value| *value = (*value / step * step).saturating_add(step / 2));
        }
    })
}

/// Blocks of 8x8 luma (4x4 chroma) pixels drawn towards their mean by `weight` / 256.
pub(super) fn blocks(clip: &Yuv420Clip, weight: u32) -> Yuv420Clip {
    each_frame(clip, |_, mut frame| {
        for (plane, width, size) in frame.planes() {
            let (side, height) = (8 / size, plane.len() / width);
            for top in (0..height).step_by(side) {
                for left in (0..width).step_by(side) {
                    let columns = left..(left + side).min(width);
                    let rows = top..(top + side).min(height);
                    let pixels = || rows.clone().flat_map(|y| columns.clone().map(move |x| y * width + x));
                    let count = pixels().count() as u32;
                    let sum: u32 = pixels().map(|k| u32::from(plane[k])).sum();
                    let mean = ((sum + count / 2) / count) as u8;
                    pixels().for_each(|k| plane[k] = mix(plane[k], mean, weight));
                }
            }
        }
    })
}

/// Luma with echoes beside its edges, along rows and columns; the nearest has `weight` / 256 of the edge.
pub(super) fn ringing(clip: &Yuv420Clip, weight: i32) -> Yuv420Clip {
    each_frame(clip, |_, frame| {
        let source = frame.y.to_vec();
        let width = frame.width as isize;
        let height = source.len() as isize / width;
        let at = |x: isize, y: isize| {
            i32::from(source[(y.clamp(0, height - 1) * width + x.clamp(0, width - 1)) as usize])
        };
        for (k, value) in frame.y.iter_mut().enumerate() {
            let (x, y) = (k as isize % width, k as isize / width);
            let echo = |(far, strength): (isize, i32)| {
                let across = at(x - far, y) - at(x - far - 1, y) + at(x + far, y) - at(x + far + 1, y);
                let down = at(x, y - far) - at(x, y - far - 1) + at(x, y + far) - at(x, y + far + 1);
                strength * (across + down)
            };
            let sum: i32 = ECHOES.into_iter().map(echo).sum();
            *value = (i32::from(*value) + (sum * weight + 512).div_euclid(1024)).clamp(0, 255) as u8;
        }
    })
}
