//! The still under a moving camera, and clips put together anew: what cheats are made of.

use rayon::prelude::*;

use super::resample::PlaneView;
use crate::quality::frame::Yuv420Clip;

/// The still moved to the left by `sixteenths` / 16 pixels a frame; what enters is mirrored.
pub fn pan(still: &Yuv420Clip, frames: usize, sixteenths: usize) -> Yuv420Clip {
    seen(still, frames, |t, [x, y], _, part| [x + (sixteenths * t) as f32 / 16.0 * part, y])
}

/// The still enlarged about its centre by `per_mille` / 1000 a frame.
pub fn zoom(still: &Yuv420Clip, frames: usize, per_mille: usize) -> Yuv420Clip {
    seen(still, frames, |t, at, centre, _| {
        let scale = 1000.0 / (1000 + per_mille * t) as f32;
        std::array::from_fn(|c| centre[c] + (at[c] - centre[c]) * scale)
    })
}

/// Frames of a still: `source(t, place, centre, part)` says where in the still's plane a place of frame `t` is read;
/// `part` is the plane's size against luma.
fn seen(
    still: &Yuv420Clip,
    frames: usize,
    source: impl Fn(usize, [f32; 2], [f32; 2], f32) -> [f32; 2] + Sync,
) -> Yuv420Clip {
    let (width, height) = (still.width(), still.height());
    let size = Yuv420Clip::frame_bytes(width, height);
    let mut data = vec![0; size * frames];
    data.par_chunks_exact_mut(size).enumerate().for_each(|(t, frame)| {
        let given = still.frame(0);
        let (luma, chroma) = frame.split_at_mut(width * height);
        let (blue, red) = chroma.split_at_mut(chroma.len() / 2);
        let (all, half) = ((width, 1.0), (width / 2, 0.5));
        for (out, data, (width, part)) in [(luma, given.y, all), (blue, given.u, half), (red, given.v, half)]
        {
            let plane = PlaneView { data, width };
            let centre = [(width / 2) as f32, (data.len() / width / 2) as f32];
            for (k, pixel) in out.iter_mut().enumerate() {
                let [x, y] = source(t, [(k % width) as f32, (k / width) as f32], centre, part);
                *pixel = plane.bicubic(x, y);
            }
        }
    });
    Yuv420Clip::from_planes(width, height, frames, data).unwrap_or_else(|_| still.clone())
}

/// A clip of `frames` frames, the `t`-th being the given clip's frame `from(t)` (its last one beyond the end).
pub fn picked(clip: &Yuv420Clip, frames: usize, from: impl Fn(usize) -> usize) -> Yuv420Clip {
    let size = Yuv420Clip::frame_bytes(clip.width(), clip.height());
    let bytes = clip.as_bytes();
    let place = |t: usize| from(t).min(clip.len() - 1) * size;
    let data = (0..frames).flat_map(|t| &bytes[place(t)..place(t) + size]).copied().collect();
    Yuv420Clip::from_planes(clip.width(), clip.height(), frames, data).unwrap_or_else(|_| clip.clone())
}

/// Every frame mirrored, left to right.
pub fn mirrored(clip: &Yuv420Clip) -> Yuv420Clip {
    let turned = |plane: &[u8], width: usize| {
        plane.chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect::<Vec<u8>>()
    };
    rebuilt(clip, (clip.width(), clip.height()), turned)
}

/// Black bars of `rows` luma rows above and below and `columns` luma columns on both sides; both even.
pub fn barred(clip: &Yuv420Clip, rows: usize, columns: usize) -> Yuv420Clip {
    let full = clip.width();
    rebuilt(clip, (clip.width(), clip.height()), |plane, width| {
        let (height, part) = (plane.len() / width, full / width);
        let black = if part == 1 { 16 } else { 128 };
        let (rows, columns) = (rows / part, columns / part);
        let inside = |k: usize| {
            let (x, y) = (k % width, k / width);
            x >= columns && x + columns < width && y >= rows && y + rows < height
        };
        plane.iter().enumerate().map(|(k, value)| if inside(k) { *value } else { black }).collect()
    })
}

/// The upper left part of every frame; even sides no larger than the clip's.
pub fn cropped(clip: &Yuv420Clip, width: usize, height: usize) -> Yuv420Clip {
    let full = clip.width();
    rebuilt(clip, (width, height), |plane, plane_width| {
        let part = full / plane_width;
        let rows = plane.chunks_exact(plane_width).take(height / part);
        rows.flat_map(|row| &row[..width / part]).copied().collect()
    })
}

/// A clip of another or the same size from every plane and its width.
fn rebuilt(
    clip: &Yuv420Clip,
    (width, height): (usize, usize),
    plane: impl Fn(&[u8], usize) -> Vec<u8>,
) -> Yuv420Clip {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(width, height) * clip.len());
    for t in 0..clip.len() {
        let frame = clip.frame(t);
        data.extend(plane(frame.y, clip.width()));
        data.extend(plane(frame.u, clip.width() / 2));
        data.extend(plane(frame.v, clip.width() / 2));
    }
    Yuv420Clip::from_planes(width, height, clip.len(), data).unwrap_or_else(|_| clip.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Texture, clip};

    fn still() -> Yuv420Clip {
        let texture = Texture::new(2);
        clip((64, 48, 1), |_, x, y| texture.at(x, y))
    }

    #[test]
    fn a_pan_and_a_zoom_begin_at_the_still() {
        let still = still();
        let (pan, zoom) = (pan(&still, 5, 16), zoom(&still, 5, 20));
        assert_eq!((pan.frame(0).y, zoom.frame(0).y), (still.frame(0).y, still.frame(0).y));
        assert_eq!(pan.frame(4).y[..60], still.frame(0).y[4..64], "one pixel a frame");
        let centre = 24 * 64 + 32;
        assert_eq!(zoom.frame(4).y[centre], still.frame(0).y[centre]);
        assert_ne!(zoom.frame(4).y, still.frame(0).y);
    }

    #[test]
    fn clips_are_put_together_as_asked() {
        let texture = Texture::new(4);
        let clip = clip((64, 48, 6), |t, x, y| texture.at(x + 2.0 * t as f32, y));
        let looped = picked(&clip, 9, |t| t % 3);
        assert_eq!((looped.len(), looped.frame(7).y), (9, clip.frame(1).y));
        assert_eq!(mirrored(&mirrored(&clip)), clip);
        assert_eq!(mirrored(&clip).frame(2).u[0], clip.frame(2).u[31]);
        let bars = barred(&clip, 8, 4);
        assert_eq!((bars.frame(1).y[7 * 64 + 30], bars.frame(1).u[20 * 32 + 1]), (16, 128));
        assert_eq!(bars.frame(1).y[8 * 64 + 4], clip.frame(1).y[8 * 64 + 4]);
        let part = cropped(&clip, 32, 16);
        assert_eq!((part.width(), part.height(), part.len()), (32, 16, 6));
        assert_eq!((part.frame(3).y[33], part.frame(3).v[17]), (clip.frame(3).y[65], clip.frame(3).v[33]));
    }
}
