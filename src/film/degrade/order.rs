//! Damage to the course of time: order, pace, stillness, foreign pictures.

use super::canvas::{chosen, each_frame, mix, mixed};
use crate::{assemble::picked, quality::frame::Yuv420Clip};

/// A share of the pairs of frames (1, 2), (3, 4), ... changes places.
pub(super) fn swap_neighbours(clip: &Yuv420Clip, percent: usize, seed: u32) -> Yuv420Clip {
    let swapped = chosen(clip.len().saturating_sub(1) / 2, percent, seed);
    picked(clip, clip.len(), |t| match t.checked_sub(1).map(|k| (k / 2, k % 2)) {
        Some((pair, place)) if swapped.get(pair) == Some(&true) => t + 1 - 2 * place,
        _ => t,
    })
}

/// A share of the frames after the first is dropped; the last one that was kept stands in their place.
pub(super) fn drop_duplicate(clip: &Yuv420Clip, percent: usize, seed: u32) -> Yuv420Clip {
    let dropped = chosen(clip.len().saturating_sub(1), percent, seed);
    picked(clip, clip.len(), |t| (1..=t).rev().find(|&kept| !dropped[kept - 1]).unwrap_or(0))
}

/// The last part of the clip stands still.
pub(super) fn freeze_last(clip: &Yuv420Clip, percent: usize) -> Yuv420Clip {
    let last = clip.len().saturating_sub(1);
    let from = last - (last * percent).div_ceil(100);
    picked(clip, clip.len(), |t| t.min(from))
}

/// `pace` / 256 of the pace; between two frames both are mixed.
pub(super) fn slow_down(clip: &Yuv420Clip, pace: usize) -> Yuv420Clip {
    each_frame(clip, |t, frame| {
        let (before, weight) = (t * pace / 256, (t * pace % 256) as u32);
        let (one, two) = (clip.frame(before), clip.frame((before + 1).min(clip.len() - 1)));
        for (into, one, two) in [(frame.y, one.y, two.y), (frame.u, one.u, two.u), (frame.v, one.v, two.v)] {
            into.iter_mut().zip(one.iter().zip(two)).for_each(|(v, (a, b))| *v = mix(*a, *b, weight));
        }
    })
}

/// `quarters` / 4 times the pace; at the end of the clip time turns back.
pub(super) fn speed_up(clip: &Yuv420Clip, quarters: usize) -> Yuv420Clip {
    let last = clip.len() - 1;
    picked(clip, clip.len(), |t| {
        let folded = (t * quarters / 4) % (2 * last).max(1);
        if folded > last { 2 * last - folded } else { folded }
    })
}

/// From the middle on mixed with another clip by `weight` / 256.
pub(super) fn cut(clip: &Yuv420Clip, other: &Yuv420Clip, weight: u32) -> Yuv420Clip {
    let from = clip.len() / 2;
    mixed(clip, other, |t| if t < from { 0 } else { weight })
}

/// Faded to another clip: evenly from nothing to `weight` / 256 at the last frame.
pub(super) fn crossfade(clip: &Yuv420Clip, other: &Yuv420Clip, weight: u32) -> Yuv420Clip {
    let last = clip.len().saturating_sub(1).max(1) as u32;
    mixed(clip, other, |t| weight * t as u32 / last)
}

/// Mixed with another clip by `weight` / 256 from the first frame on.
pub(super) fn wrong_clip(clip: &Yuv420Clip, other: &Yuv420Clip, weight: u32) -> Yuv420Clip {
    mixed(clip, other, |_| weight)
}
