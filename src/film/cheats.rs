//! Clips that look like an answer and are none.

use rayon::prelude::*;

use super::resample::shifted;
use crate::quality::frame::Yuv420Clip;

/// Shift of each depth layer in pixels per frame, from the farthest to the nearest.
const LAYER_SPEED: [f32; 3] = [0.25, 0.6, 1.1];
/// Share of the file before which damage starts, and its length.
const DAMAGE_START: (usize, usize) = (3, 5);
const DAMAGE_BYTES: usize = 2048;

/// One frame, again and again.
pub fn freeze(first_frame: &Yuv420Clip, frames: usize) -> Yuv420Clip {
    let data = first_frame.as_bytes().repeat(frames);
    Yuv420Clip::from_planes(first_frame.width(), first_frame.height(), frames, data)
        .unwrap_or_else(|_| first_frame.clone())
}

/// How near a place of the picture is taken to be, as a share of each layer: the ground towards the
/// lower edge is near, an oval in the middle lies half-way, the rest is far.
fn nearness(x: f32, y: f32) -> [f32; 3] {
    let smooth = |edge: f32, width: f32, value: f32| ((value - edge) / width + 0.5).clamp(0.0, 1.0);
    let near = smooth(0.78, 0.06, y);
    let oval = 1.0 - ((x - 0.5) / 0.28).hypot((y - 0.5) / 0.38);
    let middle = smooth(0.0, 0.15, oval) * (1.0 - near);
    [1.0 - near - middle, middle, near]
}

/// The still, cut into three depth layers that slide at different speeds ("2.5D").
pub fn parallax(first_frame: &Yuv420Clip, frames: usize) -> Yuv420Clip {
    let (w, h) = (first_frame.width(), first_frame.height());
    let view = first_frame.frame(0);
    let size = Yuv420Clip::frame_bytes(w, h);
    let (full, half) = (Layers::new(w, h), Layers::new(w / 2, h / 2));
    let mut data = vec![0; size * frames];
    data.par_chunks_exact_mut(size).enumerate().for_each(|(t, out)| {
        let (luma, chroma) = out.split_at_mut(w * h);
        let (blue, red) = chroma.split_at_mut(w * h / 4);
        let shifts = LAYER_SPEED.map(|speed| speed * t as f32);
        full.slide(view.y, shifts, luma);
        let shifts = shifts.map(|shift| shift / 2.0);
        half.slide(view.u, shifts, blue);
        half.slide(view.v, shifts, red);
    });
    Yuv420Clip::from_planes(w, h, frames, data).unwrap_or_else(|_| first_frame.clone())
}

/// The depth layers of a plane's size.
struct Layers {
    width: usize,
    /// Share of each layer in every pixel of the still.
    shares: [Vec<f32>; 3],
}

impl Layers {
    fn new(width: usize, height: usize) -> Self {
        let near = |k: usize| nearness((k % width) as f32 / width as f32, (k / width) as f32 / height as f32);
        let shares = std::array::from_fn(|layer| (0..width * height).map(|k| near(k)[layer]).collect());
        Self { width, shares }
    }

    /// One plane with every layer moved to the right by its shift; a layer's outline moves with it.
    fn slide(&self, source: &[u8], shifts: [f32; 3], out: &mut [u8]) {
        let width = self.width;
        let mut sums = vec![[0.0f32; 2]; width];
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            let row = &source[y * width..(y + 1) * width];
            sums.fill([0.0; 2]);
            for (shares, shift) in self.shares.iter().zip(shifts) {
                let shares = &shares[y * width..(y + 1) * width];
                if shares.iter().all(|share| *share <= 0.0) {
                    continue;
                }
                let whole = shift.round() as usize;
                for (x, (sum, value)) in sums.iter_mut().zip(shifted(row, shift)).enumerate() {
                    let share = shares[x.saturating_sub(whole)];
                    sum[0] += share * value;
                    sum[1] += share;
                }
            }
            for ((value, still), [sum, whole]) in out.iter_mut().zip(row).zip(&sums) {
                // Where one layer left and no other came, the still shows.
                *value = if *whole > 0.0 { (sum / whole + 0.5) as u8 } else { *still };
            }
        }
    }
}

/// The file with a run of its pictures' bytes overwritten. The index must stand in front.
pub fn damage(file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let start = bytes.len() * DAMAGE_START.0 / DAMAGE_START.1;
    let end = (start + DAMAGE_BYTES).min(bytes.len());
    bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0xa5);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Texture, clip};

    fn still() -> Yuv420Clip {
        let texture = Texture::new(9);
        clip((192, 128, 1), |_, x, y| texture.at(x, y))
    }

    #[test]
    fn a_freeze_is_the_same_frame_every_time() {
        let still = still();
        let made = freeze(&still, 5);
        assert_eq!(made.len(), 5);
        assert!((0..5).all(|t| made.frame(t).y == still.frame(0).y && made.frame(t).v == still.frame(0).v));
    }

    #[test]
    fn parallax_starts_at_the_still_and_moves_near_things_farther() {
        let still = still();
        let made = parallax(&still, 21);
        assert_eq!(made.frame(0).y, still.frame(0).y);
        // At frame 20 the far layer has gone 5 pixels and the near one 22.
        for (row, shift) in [(8, 5), (124, 22)] {
            let line = |clip: &Yuv420Clip, t: usize, left: usize| {
                clip.frame(t).y[row * 192 + left..row * 192 + left + 100].to_vec()
            };
            let far =
                line(&made, 20, 60).iter().zip(line(&still, 0, 60 - shift)).all(|(a, b)| a.abs_diff(b) < 2);
            assert!(far, "row {row} did not move by {shift}");
            assert_ne!(line(&made, 20, 60), line(&still, 0, 60));
        }
    }
}
