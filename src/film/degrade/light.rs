//! Damage to light and colour.

use super::canvas::{about, each_frame};
use crate::{
    quality::frame::Yuv420Clip,
    texture::{Point, hash, noise, sine},
};

/// Black in limited range.
const BLACK: i32 = 16;
/// Cells of local flicker are `1 << CELL` pixels wide.
const CELL: u32 = 5;

/// Chroma kept by `kept` / 256.
pub(super) fn saturation(clip: &Yuv420Clip, kept: i32) -> Yuv420Clip {
    each_frame(clip, |_, frame| {
        let chroma = frame.u.iter_mut().chain(frame.v.iter_mut());
        chroma.for_each(|value| *value = about(*value, 128, kept, 256));
    })
}

/// Chroma turned by an angle in 1/1024 turn.
pub(super) fn hue(clip: &Yuv420Clip, angle: i32) -> Yuv420Clip {
    let (sine, cosine) = (sine(angle), sine(angle + 256));
    let level = |sum: i32| (128 + (sum + 128).div_euclid(256)).clamp(0, 255) as u8;
    each_frame(clip, |_, frame| {
        for (u, v) in frame.u.iter_mut().zip(frame.v) {
            let (blue, red) = (i32::from(*u) - 128, i32::from(*v) - 128);
            *u = level(blue * cosine - red * sine);
            *v = level(blue * sine + red * cosine);
        }
    })
}

/// Light lost evenly over time, `lost` / 1000 at the last frame.
pub(super) fn exposure_drift(clip: &Yuv420Clip, lost: i32) -> Yuv420Clip {
    let last = (clip.len() as i32 - 1).max(1);
    each_frame(clip, |t, frame| {
        let kept = 1000 - lost * t as i32 / last;
        frame.y.iter_mut().for_each(|value| *value = about(*value, BLACK, kept, 1000));
    })
}

/// All light of each frame but the first up or down by `part` / 1000, drawn per frame.
pub(super) fn global_flicker(clip: &Yuv420Clip, part: i32, seed: u32) -> Yuv420Clip {
    each_frame(clip, |t, frame| {
        let sign = if t == 0 { 0 } else { 1 - 2 * (hash(t as i32, 5, seed) & 1) as i32 };
        frame.y.iter_mut().for_each(|value| *value = about(*value, BLACK, 1000 + sign * part, 1000));
    })
}

/// As [`global_flicker`] by smooth cells, each drawn in every frame, by at most `part` / 1000.
pub(super) fn local_flicker(clip: &Yuv420Clip, part: i32, seed: u32) -> Yuv420Clip {
    each_frame(clip, |t, frame| {
        if t == 0 {
            return;
        }
        let seed = hash(t as i32, 7, seed);
        for (k, value) in frame.y.iter_mut().enumerate() {
            let at = Point { x: (k % frame.width) as i32, y: (k / frame.width) as i32 };
            let change = (noise(at, CELL, seed) - 128) * part;
            *value = about(*value, BLACK, 128_000 + change, 128_000);
        }
    })
}

/// A cast: blue difference up by `levels`, red difference down by half of it.
pub(super) fn cast(clip: &Yuv420Clip, levels: u8) -> Yuv420Clip {
    each_frame(clip, |_, frame| {
        frame.u.iter_mut().for_each(|value| *value = value.saturating_add(levels));
        frame.v.iter_mut().for_each(|value| *value = value.saturating_sub(levels / 2));
    })
}
