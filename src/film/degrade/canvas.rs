//! Frames that are written in place, in parallel.

use rayon::prelude::*;

use crate::{quality::frame::Yuv420Clip, texture::hash};

/// The planes of one frame while they are changed.
pub(super) struct Canvas<'a> {
    /// Luma `[height, width]`.
    pub(super) y: &'a mut [u8],
    /// Blue difference `[height / 2, width / 2]`.
    pub(super) u: &'a mut [u8],
    /// Red difference `[height / 2, width / 2]`.
    pub(super) v: &'a mut [u8],
    /// Width of the luma plane.
    pub(super) width: usize,
}

impl Canvas<'_> {
    /// The planes with their widths and how many luma pixels one of theirs is wide.
    pub(super) fn planes(&mut self) -> [(&mut [u8], usize, usize); 3] {
        let half = self.width / 2;
        [(&mut *self.y, self.width, 1), (&mut *self.u, half, 2), (&mut *self.v, half, 2)]
    }
}

/// The clip with every frame changed by `edit`, which gets the frame's index.
pub(super) fn each_frame(clip: &Yuv420Clip, edit: impl Fn(usize, Canvas) + Sync) -> Yuv420Clip {
    let (width, height) = (clip.width(), clip.height());
    let size = Yuv420Clip::frame_bytes(width, height);
    let mut data = clip.as_bytes().to_vec();
    data.par_chunks_exact_mut(size).enumerate().for_each(|(t, frame)| {
        let (y, chroma) = frame.split_at_mut(width * height);
        let (u, v) = chroma.split_at_mut(chroma.len() / 2);
        edit(t, Canvas { y, u, v, width });
    });
    // As many bytes as before: cannot fail.
    Yuv420Clip::from_planes(width, height, clip.len(), data).unwrap_or_else(|_| clip.clone())
}

/// Every frame mixed with frame `t` of another clip by `weight(t)`, 0 none .. 256 only the other.
pub(super) fn mixed(
    clip: &Yuv420Clip,
    other: &Yuv420Clip,
    weight: impl Fn(usize) -> u32 + Sync,
) -> Yuv420Clip {
    each_frame(clip, |t, frame| {
        let source = other.frame(t.min(other.len() - 1));
        let weight = weight(t).min(256);
        for (into, from) in [(frame.y, source.y), (frame.u, source.u), (frame.v, source.v)] {
            into.iter_mut().zip(from).for_each(|(value, other)| *value = mix(*value, *other, weight));
        }
    })
}

/// `one` to `other` by a weight of 0..=256.
pub(super) fn mix(one: u8, other: u8, weight: u32) -> u8 {
    ((u32::from(one) * (256 - weight) + u32::from(other) * weight + 128) >> 8) as u8
}

/// A value scaled about a centre by `numerator / denominator`, rounded.
pub(super) fn about(value: u8, centre: i32, numerator: i32, denominator: i32) -> u8 {
    let scaled = (i32::from(value) - centre) * numerator;
    (centre + (2 * scaled + denominator).div_euclid(2 * denominator)).clamp(0, 255) as u8
}

/// Which of `count` things a share in percent takes: those that come first in a seeded order, rounded up, so that a
/// larger share takes the same ones and more.
pub(super) fn chosen(count: usize, percent: usize, seed: u32) -> Vec<bool> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&k| (hash(k as i32, 41, seed), k));
    let mut taken = vec![false; count];
    order.iter().take((count * percent).div_ceil(100)).for_each(|&k| taken[k] = true);
    taken
}
