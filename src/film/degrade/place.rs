//! Damage to shape and place: warps, foreign or exchanged parts, offset, text.

use super::canvas::{each_frame, mix};
use crate::{
    quality::frame::Yuv420Clip,
    resample::PlaneView,
    texture::{hash, sine},
};

/// Waves of a warp across the width of the picture.
const WAVES: i32 = 3;
/// How far a moving warp travels per frame, in 1/1024 of a wave.
const TRAVEL: i32 = 180;
/// Frames over which a moving warp and an overlay set in, so that the first frame stays exact.
const SET_IN: usize = 8;
/// Frames for which exchanged patches keep their places.
const PATCH_FRAMES: usize = 4;
/// Difference to the first frame from which a pixel counts as moved, in levels.
const MOVED: u8 = 12;
/// Frames on either side over which the place of what moves is averaged.
const STEADY: usize = 4;
/// The word of the overlay: five columns of seven rows a letter, the highest row in the lowest bit.
const LETTERS: [[u8; 5]; 5] = [
    [0x7f, 0x40, 0x40, 0x40, 0x40], // L
    [0x7f, 0x49, 0x49, 0x49, 0x41], // E
    [0x3e, 0x41, 0x41, 0x41, 0x3e], // O
    [0x7f, 0x02, 0x0c, 0x02, 0x7f], // M
    [0x7e, 0x11, 0x11, 0x11, 0x7e], // A
];

/// One wavy displacement of `amplitude` / 16 pixels in every frame.
pub(super) fn static_warp(clip: &Yuv420Clip, amplitude: i32) -> Yuv420Clip {
    warped(clip, |_| (amplitude, 0))
}

/// A travelling wavy displacement of `amplitude` / 16 pixels.
pub(super) fn moving_warp(clip: &Yuv420Clip, amplitude: i32) -> Yuv420Clip {
    warped(clip, |t| (amplitude * t.min(SET_IN) as i32 / SET_IN as i32, TRAVEL * t as i32))
}

/// Displaces by waves of `wave(t)`: amplitude in 1/16 luma pixel and phase in 1/1024 of a wave.
fn warped(clip: &Yuv420Clip, wave: impl Fn(usize) -> (i32, i32) + Sync) -> Yuv420Clip {
    let luma_width = clip.width() as i32;
    each_frame(clip, |t, mut frame| {
        let (amplitude, phase) = wave(t);
        for (plane, width, size) in frame.planes() {
            let source = plane.to_vec();
            let view = PlaneView { data: &source, width };
            let shift = |across: usize| {
                let angle = (across * size) as i32 * WAVES * 1024 / luma_width + phase;
                (amplitude * sine(angle)) as f32 / (16 * 256 * size) as f32
            };
            let down: Vec<f32> = (0..width).map(shift).collect();
            for (y, row) in plane.chunks_exact_mut(width).enumerate() {
                let right = shift(y);
                for (x, value) in row.iter_mut().enumerate() {
                    *value = view.bicubic(x as f32 + right, y as f32 + down[x]);
                }
            }
        }
    })
}

/// Pairs of square patches of an eighth of the height change places, drawn anew every few frames.
pub(super) fn patch_swap(clip: &Yuv420Clip, pairs: usize, seed: u32) -> Yuv420Clip {
    let side = (clip.height() / 8 / 2 * 2).max(2);
    let (columns, rows) = (clip.width() / side, clip.height() / side);
    each_frame(clip, |t, mut frame| {
        let Some(group) = t.checked_sub(1).map(|t| t / PATCH_FRAMES) else { return };
        let mut order: Vec<usize> = (0..columns * rows).collect();
        order.sort_by_key(|&k| (hash(k as i32, group as i32, seed), k));
        for pair in order.chunks_exact(2).take(pairs) {
            let corner = |k: usize| (k % columns * side, k / columns * side);
            for (plane, width, size) in frame.planes() {
                exchange(
                    plane,
                    width,
                    [corner(pair[0]), corner(pair[1])].map(|(x, y)| (x / size, y / size)),
                    side / size,
                );
            }
        }
    })
}

fn exchange(plane: &mut [u8], width: usize, corners: [(usize, usize); 2], side: usize) {
    for row in 0..side {
        for column in 0..side {
            let [one, two] = corners.map(|(x, y)| (y + row) * width + x + column);
            plane.swap(one, two);
        }
    }
}

/// After a third of the time a disc of a share of the picture, around what moves, shows another clip.
pub(super) fn identity_swap(clip: &Yuv420Clip, other: &Yuv420Clip, percent: usize) -> Yuv420Clip {
    let centres: Vec<(usize, usize)> = (0..clip.len()).map(|t| moving_place(clip, t)).collect();
    // Area of the disc over pi, in squared pixels.
    let radius_squared = (percent * clip.width() * clip.height() * 100 / 31_416) as isize;
    each_frame(clip, |t, mut frame| {
        if t < clip.len() / 3 {
            return;
        }
        let around = &centres[t.saturating_sub(STEADY)..(t + STEADY + 1).min(centres.len())];
        let mean = |pick: fn(&(usize, usize)) -> usize| around.iter().map(pick).sum::<usize>() / around.len();
        let (cx, cy) = (mean(|c| c.0) as isize, mean(|c| c.1) as isize);
        let source = other.frame(t.min(other.len() - 1));
        for ((plane, width, size), source) in frame.planes().into_iter().zip([source.y, source.u, source.v]) {
            for (k, value) in plane.iter_mut().enumerate() {
                let (x, y) = ((k % width * size) as isize - cx, (k / width * size) as isize - cy);
                if x * x + y * y <= radius_squared {
                    *value = source[k];
                }
            }
        }
    })
}

/// Centre of the pixels of frame `t` that differ from the first frame; the picture's centre where none does.
fn moving_place(clip: &Yuv420Clip, t: usize) -> (usize, usize) {
    let (first, now, width) = (clip.frame(0).y, clip.frame(t).y, clip.width());
    let (mut count, mut sums) = (0, (0, 0));
    for (k, _) in first.iter().zip(now).enumerate().filter(|(_, (a, b))| a.abs_diff(**b) >= MOVED) {
        count += 1;
        sums = (sums.0 + k % width, sums.1 + k / width);
    }
    match count {
        0 => (width / 2, clip.height() / 2),
        _ => (sums.0 / count, sums.1 / count),
    }
}

/// The whole clip moved to the right, edge pixels repeated; chroma by half of it.
pub(super) fn offset(clip: &Yuv420Clip, pixels: usize) -> Yuv420Clip {
    each_frame(clip, |_, mut frame| {
        for (plane, width, size) in frame.planes() {
            for row in plane.chunks_exact_mut(width) {
                let source = row.to_vec();
                let at = |x: usize, shift: usize| source[x.saturating_sub(shift)];
                for (x, value) in row.iter_mut().enumerate() {
                    // An odd shift is half a chroma pixel.
                    let (near, far) = (pixels / size, pixels.div_ceil(size));
                    *value = mix(at(x, near), at(x, far), 128);
                }
            }
        }
    })
}

/// A word in white with a dark edge, `percent` of the height, low in the middle, faded in.
pub(super) fn text_overlay(clip: &Yuv420Clip, percent: usize) -> Yuv420Clip {
    let letter = (clip.height() * percent / 100).max(2);
    let width = 6 * LETTERS.len() * letter / 7;
    let (left, top) = (clip.width().saturating_sub(width) / 2, clip.height() * 70 / 100);
    // Ink at a place of the picture, by the nearest cell of the font.
    let ink = |x: isize, y: isize| {
        let (x, y) = (x - left as isize, y - top as isize);
        let inside = x >= 0 && (x as usize) < width && y >= 0 && (y as usize) < letter;
        inside && {
            let (column, row) = (x as usize * 7 / letter, y as usize * 7 / letter);
            let columns = LETTERS.get(column / 6);
            columns.and_then(|c| c.get(column % 6)).is_some_and(|bits| bits >> row & 1 == 1)
        }
    };
    let edge = (letter / 14).max(1) as isize;
    each_frame(clip, |t, mut frame| {
        let weight = 256 * t.min(SET_IN) as u32 / SET_IN as u32;
        for ((plane, width, size), neutral) in frame.planes().into_iter().zip([false, true, true]) {
            for (k, value) in plane.iter_mut().enumerate() {
                let (x, y) = ((k % width * size) as isize, (k / width * size) as isize);
                let shadow = || {
                    [(-edge, 0), (edge, 0), (0, -edge), (0, edge)]
                        .into_iter()
                        .any(|(dx, dy)| ink(x + dx, y + dy))
                };
                let colour = match (ink(x, y), neutral) {
                    (true, false) => 235,
                    (true, true) => 128,
                    (false, false) if shadow() => 16,
                    (false, true) if shadow() => 128,
                    _ => continue,
                };
                *value = mix(*value, colour, weight);
            }
        }
    })
}
