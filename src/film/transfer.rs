//! Motion transfer: the given first frame, moved the way the real clip moves.
//!
//! Every pixel of every later frame is fetched from where the real clip's motion says that it was in
//! the first frame. What came from behind something is fetched from a plate: the first frame
//! without the things that leave their place.

use std::sync::Arc;

use rayon::prelude::*;

use super::{
    motion::{Motion, Source},
    resample::PlaneView,
};
use crate::quality::frame::{FrameView, Yuv420Clip};

/// What looks different in one of this many frames is taken out of the plate.
const LEAVING: usize = 5;
/// Pixels of the half-size grid by which what leaves is grown before it is taken out.
const GROW: usize = 3;
/// Frames over which softness sets in, so that the first frame stays exact and nothing jumps.
const SOFT_RAMP: f32 = 8.0;

/// How a stand-in renders.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TransferStyle {
    /// Pace against the real clip: at 0.7 or 1.3 everything moves 0.7 or 1.3 times as far.
    pub pace: f32,
    /// Blur of all but the first frame, 0 for none to 1 for a 3x3 binomial filter.
    pub softness: f32,
}

/// A first frame and the motion of the real clip that it comes from.
pub struct Scene {
    first_frame: Arc<Yuv420Clip>,
    plate: Yuv420Clip,
    motion: Motion,
}

impl Scene {
    /// Reads the motion of a real clip of the same size as the first frame.
    pub fn read(first_frame: Arc<Yuv420Clip>, real: &Yuv420Clip) -> Self {
        let motion = Motion::read(real);
        let plate = without(&first_frame, &grown(&motion.leaving(LEAVING), motion.width()), motion.width());
        Self { first_frame, plate, motion }
    }

    /// Number of frames that can be rendered.
    pub fn len(&self) -> usize {
        self.motion.len()
    }

    /// Whether there is nothing to render.
    pub fn is_empty(&self) -> bool {
        self.motion.is_empty()
    }

    /// The first `frames` frames; frame 0 is the given frame, byte for byte.
    pub fn render(&self, style: TransferStyle, frames: usize) -> Yuv420Clip {
        let (w, h) = (self.first_frame.width(), self.first_frame.height());
        let frames = frames.min(self.len());
        let size = Yuv420Clip::frame_bytes(w, h);
        let mut data = vec![0; size * frames];
        data.par_chunks_exact_mut(size).enumerate().for_each(|(t, out)| {
            if t == 0 {
                out.copy_from_slice(self.first_frame.as_bytes());
            } else {
                self.render_frame(style, t, out);
            }
        });
        Yuv420Clip::from_planes(w, h, frames, data).unwrap_or_else(|_| (*self.first_frame).clone())
    }

    fn render_frame(&self, style: TransferStyle, t: usize, out: &mut [u8]) {
        let (w, h) = (self.first_frame.width(), self.first_frame.height());
        let map = full_size(&self.motion.paced(style.pace, t), self.motion.width(), w);
        let (frame, plate) = (self.first_frame.frame(0), self.plate.frame(0));
        let (luma, chroma) = out.split_at_mut(w * h);
        let (blue, red) = chroma.split_at_mut(w * h / 4);
        sample_luma(&map, w, (frame, plate), luma);
        sample_chroma(&map, w, (frame.u, plate.u), blue);
        sample_chroma(&map, w, (frame.v, plate.v), red);
        blend_edges(&map, w, luma);
        let softness = style.softness * (t as f32 / SOFT_RAMP).min(1.0);
        if softness > 0.0 {
            for (plane, width) in [(luma, w), (blue, w / 2), (red, w / 2)] {
                let soft = PlaneView { data: plane, width }.softened(softness);
                plane.copy_from_slice(&soft);
            }
        }
    }
}

/// The source of one full-size pixel, displacement in full-size pixels.
#[derive(Clone, Copy)]
struct FullSource {
    by: [f32; 2],
    plate: bool,
    /// Whether the pixel lies where two things meet.
    edge: bool,
}

/// Interpolates a half-size map to full size; across tears the nearest source stands.
fn full_size(map: &[Source], half_width: usize, width: usize) -> Vec<FullSource> {
    let half_height = map.len() / half_width;
    let mut full = Vec::with_capacity(map.len() * 4);
    for y in 0..2 * half_height {
        // Full-size pixel 2k lies a quarter before half-size pixel k, pixel 2k + 1 a quarter behind.
        let near_y = y / 2;
        let other_y = if y % 2 == 0 { near_y.saturating_sub(1) } else { (near_y + 1).min(half_height - 1) };
        for x in 0..width {
            let near_x = x / 2;
            let other_x =
                if x % 2 == 0 { near_x.saturating_sub(1) } else { (near_x + 1).min(half_width - 1) };
            let near = map[near_y * half_width + near_x];
            let others = [
                map[near_y * half_width + other_x],
                map[other_y * half_width + near_x],
                map[other_y * half_width + other_x],
            ];
            let one_piece = others.iter().all(|o| {
                o.uncovered == near.uncovered
                    && (o.by[0] - near.by[0]).abs() < 1.0
                    && (o.by[1] - near.by[1]).abs() < 1.0
            });
            let by = if one_piece {
                std::array::from_fn(|c| {
                    0.125 * (9.0 * near.by[c] + 3.0 * (others[0].by[c] + others[1].by[c]) + others[2].by[c])
                })
            } else {
                near.by.map(|v| 2.0 * v)
            };
            full.push(FullSource { by, plate: near.uncovered, edge: !one_piece });
        }
    }
    full
}

/// Blends the pixels where two things meet, as a camera does: sources are known on half the size, so
/// their outlines would show as steps of two pixels.
fn blend_edges(map: &[FullSource], width: usize, luma: &mut [u8]) {
    let soft = PlaneView { data: luma, width }.softened(1.0);
    let edges = luma.iter_mut().zip(map).zip(soft).filter(|((_, source), _)| source.edge);
    edges.for_each(|((value, _), soft)| *value = soft);
}

fn sample_luma(
    map: &[FullSource],
    width: usize,
    (frame, plate): (FrameView<'_>, FrameView<'_>),
    out: &mut [u8],
) {
    let planes = [PlaneView { data: frame.y, width }, PlaneView { data: plate.y, width }];
    for (k, (value, source)) in out.iter_mut().zip(map).enumerate() {
        let (x, y) = ((k % width) as f32, (k / width) as f32);
        *value = planes[usize::from(source.plate)].bicubic(x + source.by[0], y + source.by[1]);
    }
}

fn sample_chroma(map: &[FullSource], luma_width: usize, (frame, plate): (&[u8], &[u8]), out: &mut [u8]) {
    let width = luma_width / 2;
    let planes = [PlaneView { data: frame, width }, PlaneView { data: plate, width }];
    for (k, value) in out.iter_mut().enumerate() {
        let (x, y) = (k % width, k / width);
        let source = map[2 * y * luma_width + 2 * x];
        // A chroma pixel is two luma pixels wide: half the displacement.
        *value = planes[usize::from(source.plate)]
            .bicubic(x as f32 + 0.5 * source.by[0], y as f32 + 0.5 * source.by[1]);
    }
}

/// The mask with everything within [`GROW`] pixels of it.
fn grown(mask: &[bool], width: usize) -> Vec<bool> {
    let height = mask.len() / width;
    let mut grown = mask.to_vec();
    for k in (0..mask.len()).filter(|k| mask[*k]) {
        let (x, y) = (k % width, k / width);
        for j in y.saturating_sub(GROW)..(y + GROW + 1).min(height) {
            grown[j * width..][x.saturating_sub(GROW)..(x + GROW + 1).min(width)].fill(true);
        }
    }
    grown
}

/// The frame with the masked half-size pixels replaced by what lies beyond the mask's nearest edge,
/// mirrored, so that the texture goes on; unchanged when nearly everything is masked.
fn without(frame: &Yuv420Clip, mask: &[bool], half_width: usize) -> Yuv420Clip {
    if mask.iter().filter(|m| !**m).count() * 10 < mask.len() {
        return frame.clone();
    }
    let nearest = nearest_unmasked(mask, half_width);
    let half_height = mask.len() / half_width;
    // Source of a half-size pixel, itself where it is not masked.
    let source = |k: usize| {
        let (x, y) = ((k % half_width) as i32, (k / half_width) as i32);
        let (nx, ny) = ((nearest[k] % half_width) as i32, (nearest[k] / half_width) as i32);
        let (mx, my) = (2 * nx - x, 2 * ny - y);
        let inside = (0..half_width as i32).contains(&mx) && (0..half_height as i32).contains(&my);
        if inside && !mask[my as usize * half_width + mx as usize] { (mx, my) } else { (nx, ny) }
    };
    let view = frame.frame(0);
    let width = frame.width();
    let mut data = frame.as_bytes().to_vec();
    let (luma, chroma) = data.split_at_mut(width * frame.height());
    let (blue, red) = chroma.split_at_mut(half_width * half_height);
    for k in (0..mask.len()).filter(|k| mask[*k]) {
        let (x, y) = (k % half_width, k / half_width);
        let (sx, sy) = source(k);
        let from = sy as usize * half_width + sx as usize;
        (blue[k], red[k]) = (view.u[from], view.v[from]);
        for (j, i) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let source_pixel = (2 * sy as usize + j) * width + 2 * sx as usize + i;
            luma[(2 * y + j) * width + 2 * x + i] = view.y[source_pixel];
        }
    }
    Yuv420Clip::from_planes(width, frame.height(), 1, data).unwrap_or_else(|_| frame.clone())
}

/// For every pixel the index of a nearest unmasked one (two-pass vector distance transform).
fn nearest_unmasked(mask: &[bool], width: usize) -> Vec<usize> {
    let height = mask.len() / width;
    let mut nearest: Vec<usize> = (0..mask.len()).map(|k| if mask[k] { usize::MAX } else { k }).collect();
    let distance = |k: usize, to: usize| {
        let (dx, dy) = ((k % width) as i64 - (to % width) as i64, (k / width) as i64 - (to / width) as i64);
        dx * dx + dy * dy
    };
    let mut look = |k: usize, from: usize| {
        let candidate = nearest[from];
        if candidate != usize::MAX
            && (nearest[k] == usize::MAX || distance(k, candidate) < distance(k, nearest[k]))
        {
            nearest[k] = candidate;
        }
    };
    for y in 0..height {
        for x in 0..width {
            let k = y * width + x;
            if y > 0 {
                (x.saturating_sub(1)..(x + 2).min(width)).for_each(|i| look(k, (y - 1) * width + i));
            }
            if x > 0 {
                look(k, k - 1);
            }
        }
        for x in (0..width - 1).rev() {
            look(y * width + x, y * width + x + 1);
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let k = y * width + x;
            if y + 1 < height {
                (x.saturating_sub(1)..(x + 2).min(width)).for_each(|i| look(k, (y + 1) * width + i));
            }
            if x + 1 < width {
                look(k, k + 1);
            }
        }
        for x in 1..width {
            look(y * width + x, y * width + x - 1);
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Texture, clip, psnr};

    const FULL: TransferStyle = TransferStyle { pace: 1.0, softness: 0.0 };

    fn first(real: &Yuv420Clip) -> Arc<Yuv420Clip> {
        let bytes = Yuv420Clip::frame_bytes(real.width(), real.height());
        let data = real.as_bytes()[..bytes].to_vec();
        Arc::new(Yuv420Clip::from_planes(real.width(), real.height(), 1, data).expect("one frame"))
    }

    /// A texture that breathes and sways: no affine map describes it.
    fn swaying() -> Yuv420Clip {
        let texture = Texture::new(21);
        clip((192, 128, 10), |t, x, y| {
            let s = t as f32;
            texture.at(x - 0.9 * s * (y / 20.0).sin() - 0.5 * s, y - 0.6 * s * (x / 25.0).cos())
        })
    }

    /// A square of another texture that crosses a still background.
    fn crossing() -> Yuv420Clip {
        let (back, square) = (Texture::new(1), Texture::new(2));
        clip((192, 128, 16), |t, x, y| {
            let left = 30.0 + 4.0 * t as f32;
            let inside = (left..left + 44.0).contains(&x) && (40.0..88.0).contains(&y);
            if inside { square.at(x - left, y) } else { back.at(x, y) }
        })
    }

    #[test]
    fn frame_0_is_the_given_frame_and_the_motion_follows_the_real_clip() {
        let real = swaying();
        let scene = Scene::read(first(&real), &real);
        let made = scene.render(FULL, real.len());
        assert_eq!(made.len(), real.len());
        assert_eq!(made.frame(0).y, real.frame(0).y);
        assert_eq!(made.frame(0).u, real.frame(0).u);
        for t in [4, 9] {
            let moved = psnr(made.frame(t).y, real.frame(t).y);
            let frozen = psnr(real.frame(0).y, real.frame(t).y);
            assert!(moved > frozen + 5.0, "frame {t}: {moved:.1} dB against {frozen:.1} dB of a freeze");
        }
    }

    #[test]
    fn a_square_arrives_where_the_real_one_does() {
        let real = crossing();
        let made = Scene::read(first(&real), &real).render(FULL, real.len());
        for t in [4, 15] {
            let area = |clip: &Yuv420Clip, t: usize, left: usize| -> Vec<u8> {
                (48..80)
                    .flat_map(|y| clip.frame(t).y[y * 192 + left + 8..y * 192 + left + 36].to_vec())
                    .collect()
            };
            let truth = area(&real, t, 30 + 4 * t);
            let (moved, frozen) =
                (psnr(&area(&made, t, 30 + 4 * t), &truth), psnr(&area(&real, 0, 30 + 4 * t), &truth));
            assert!(moved > frozen + 6.0, "frame {t}: {moved:.1} dB against {frozen:.1} dB of a freeze");
        }
    }

    #[test]
    fn colour_moves_with_luma() {
        let real = swaying();
        let made = Scene::read(first(&real), &real).render(FULL, real.len());
        let (moved, frozen) =
            (psnr(made.frame(9).u, real.frame(9).u), psnr(real.frame(0).u, real.frame(9).u));
        assert!(moved > frozen + 5.0, "{moved:.1} dB against {frozen:.1} dB of a freeze");
    }

    #[test]
    fn the_place_that_a_square_leaves_shows_background_and_no_ghost() {
        let real = crossing();
        let made = Scene::read(first(&real), &real).render(FULL, real.len());
        // At frame 15 the square stands at 90..134; it left 36..80 behind.
        let area = |clip: &Yuv420Clip, t: usize| -> Vec<u8> {
            (48..80).flat_map(|y| clip.frame(t).y[y * 192 + 36..y * 192 + 80].to_vec()).collect()
        };
        let square = area(&real, 0);
        let left = area(&made, 15);
        let ghost = psnr(&left, &square);
        assert!(ghost < 18.0, "the square still stands where it was: {ghost:.1} dB alike");
    }

    #[test]
    fn half_the_pace_moves_half_as_far() {
        let texture = Texture::new(8);
        let real = clip((192, 128, 9), |t, x, y| texture.at(x - 2.0 * t as f32, y));
        let scene = Scene::read(first(&real), &real);
        let made = scene.render(TransferStyle { pace: 0.5, softness: 0.0 }, 9);
        // Half of the way at frame 8 is the whole way at frame 4, away from the border.
        let inner = |clip: &Yuv420Clip, t: usize| -> Vec<u8> {
            (8..120).flat_map(|y| clip.frame(t).y[y * 192 + 24..y * 192 + 180].to_vec()).collect()
        };
        let (half, whole) =
            (psnr(&inner(&made, 8), &inner(&real, 4)), psnr(&inner(&made, 8), &inner(&real, 8)));
        assert!(half > 30.0 && half > whole + 8.0, "{half:.1} dB against {whole:.1} dB");
    }

    #[test]
    fn a_pace_above_one_moves_farther_than_the_real_clip() {
        let texture = Texture::new(8);
        let real = clip((192, 128, 9), |t, x, y| texture.at(x - 2.0 * t as f32, y));
        let made = Scene::read(first(&real), &real).render(TransferStyle { pace: 1.5, softness: 0.0 }, 5);
        // One and a half times the way at frame 4 is the whole way at frame 6, away from the border.
        let inner = |clip: &Yuv420Clip, t: usize| -> Vec<u8> {
            (8..120).flat_map(|y| clip.frame(t).y[y * 192 + 24..y * 192 + 168].to_vec()).collect()
        };
        let (farther, same) =
            (psnr(&inner(&made, 4), &inner(&real, 6)), psnr(&inner(&made, 4), &inner(&real, 4)));
        assert!(farther > 30.0 && farther > same + 8.0, "{farther:.1} dB against {same:.1} dB");
    }

    #[test]
    fn softness_leaves_the_first_frame_and_smooths_the_rest() {
        let real = swaying();
        let scene = Scene::read(first(&real), &real);
        let (sharp, soft) =
            (scene.render(FULL, 10), scene.render(TransferStyle { softness: 0.8, ..FULL }, 10));
        assert_eq!(sharp.frame(0).y, soft.frame(0).y);
        let roughness = |y: &[u8]| -> u64 { y.windows(2).map(|p| u64::from(p[0].abs_diff(p[1]))).sum() };
        assert!(roughness(soft.frame(9).y) < roughness(sharp.frame(9).y));
    }
}
