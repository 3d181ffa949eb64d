//! Clips put together anew from whole frames.

use crate::quality::frame::Yuv420Clip;

/// A clip of `frames` frames, the `t`-th being the given clip's frame `from(t)` (its last one beyond the end).
pub fn picked(clip: &Yuv420Clip, frames: usize, from: impl Fn(usize) -> usize) -> Yuv420Clip {
    let size = Yuv420Clip::frame_bytes(clip.width(), clip.height());
    let bytes = clip.as_bytes();
    let place = |t: usize| from(t).min(clip.len() - 1) * size;
    let data = (0..frames).flat_map(|t| &bytes[place(t)..place(t) + size]).copied().collect();
    Yuv420Clip::from_planes(clip.width(), clip.height(), frames, data).unwrap_or_else(|_| clip.clone())
}

/// The first frames of a clip; its last one again where it is shorter.
pub fn first(clip: &Yuv420Clip, frames: usize) -> Yuv420Clip {
    picked(clip, frames, |t| t)
}

/// Every frame from the `from`-th on mirrored, left to right.
pub fn mirrored(clip: &Yuv420Clip, from: usize) -> Yuv420Clip {
    rebuilt(clip, (clip.width(), clip.height()), |t, plane, width| match t < from {
        true => plane.to_vec(),
        false => plane.chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect(),
    })
}

/// The upper left part of every frame; even sides no larger than the clip's.
pub fn cropped(clip: &Yuv420Clip, width: usize, height: usize) -> Yuv420Clip {
    let full = clip.width();
    rebuilt(clip, (width, height), |_, plane, plane_width| {
        let part = full / plane_width;
        let rows = plane.chunks_exact(plane_width).take(height / part);
        rows.flat_map(|row| &row[..width / part]).copied().collect()
    })
}

/// A clip of another or the same size from every plane, with its frame's number and its width.
fn rebuilt(
    clip: &Yuv420Clip,
    (width, height): (usize, usize),
    plane: impl Fn(usize, &[u8], usize) -> Vec<u8>,
) -> Yuv420Clip {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(width, height) * clip.len());
    for t in 0..clip.len() {
        let frame = clip.frame(t);
        data.extend(plane(t, frame.y, clip.width()));
        data.extend(plane(t, frame.u, clip.width() / 2));
        data.extend(plane(t, frame.v, clip.width() / 2));
    }
    Yuv420Clip::from_planes(width, height, clip.len(), data).unwrap_or_else(|_| clip.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Texture, clip};

    #[test]
    fn clips_are_put_together_as_asked() {
        let texture = Texture::new(4);
        let clip = clip((64, 48, 6), |t, x, y| texture.at(x + 2.0 * t as f32, y));
        let looped = picked(&clip, 9, |t| t % 3);
        assert_eq!((looped.len(), looped.frame(7).y), (9, clip.frame(1).y));
        assert_eq!((first(&clip, 2).len(), first(&clip, 9).frame(8).y), (2, clip.frame(5).y));
        assert_eq!(mirrored(&mirrored(&clip, 0), 0), clip);
        assert_eq!(mirrored(&clip, 2).frame(2).u[0], clip.frame(2).u[31]);
        assert_eq!(mirrored(&clip, 2).frame(1).y, clip.frame(1).y);
        let part = cropped(&clip, 32, 16);
        assert_eq!((part.width(), part.height(), part.len()), (32, 16, 6));
        assert_eq!((part.frame(3).y[33], part.frame(3).v[17]), (clip.frame(3).y[65], clip.frame(3).v[33]));
    }
}
