//! Every point of a clip's first frame, followed through the clip.

use rayon::prelude::*;

use super::flow::{Effort, FlowField, Plane, Pyramid, estimate};
use crate::quality::frame::Yuv420Clip;

/// Frame pairs whose flow is held in memory at once.
const CHUNK: usize = 8;
/// A point is lost where going forward and back again misses by more than this (half-size pixels)
/// plus `LOST_SHARE` of the way.
const LOST: f32 = 0.75;
/// See [`LOST`].
const LOST_SHARE: f32 = 0.1;
/// A lost point is taken up again when the flow under it agrees with its surroundings this closely.
const FOUND: f32 = 0.3;
/// Movement per frame below which a point stands still: the estimate's own noise.
const STILL: f32 = 0.02;

/// One point of the first frame at one later time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TrackPoint {
    /// Position `(x, y)` in half-size pixels.
    pub at: [f32; 2],
    /// Whether the point was seen there; a lost point moves with its seen neighbours.
    pub seen: bool,
}

/// Positions of all points of the first frame, on the half-size grid `[height, width]`.
pub struct Tracks {
    width: usize,
    height: usize,
    frames: Vec<Vec<TrackPoint>>,
}

impl Tracks {
    /// Follows every half-size pixel of the first frame of a clip.
    pub fn follow(clip: &Yuv420Clip) -> Self {
        let (width, height) = (clip.width() / 2, clip.height() / 2);
        let start = |k: usize| TrackPoint { at: [(k % width) as f32, (k / width) as f32], seen: true };
        let mut tracks = Self { width, height, frames: vec![(0..width * height).map(start).collect()] };
        let pyramid = |t: usize| Pyramid::new(Plane::half_luma(clip.frame(t), clip.width()));
        let pairs: Vec<usize> = (0..clip.len().saturating_sub(1)).collect();
        for chunk in pairs.chunks(CHUNK) {
            let flows: Vec<_> = chunk
                .par_iter()
                .map(|&t| {
                    let (a, b) = (pyramid(t), pyramid(t + 1));
                    (estimate(&a, &b, Effort::Full), estimate(&b, &a, Effort::Coarse))
                })
                .collect();
            flows.iter().for_each(|(forward, backward)| tracks.step(forward, backward));
        }
        tracks
    }

    /// Width of the grid.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height of the grid.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// All points at a frame, row by row.
    ///
    /// # Panics
    /// When `frame >= len()`, as slices do.
    pub fn at(&self, frame: usize) -> &[TrackPoint] {
        &self.frames[frame]
    }

    fn step(&mut self, forward: &FlowField, backward: &FlowField) {
        let last = &self.frames[self.frames.len() - 1];
        let moves: Vec<Move> = last.par_iter().map(|point| Move::measure(point.at, forward, backward)).collect();
        let trusted = |k: usize| (last[k].seen && moves[k].consistent).then_some(moves[k].by);
        let filled = fill(self.width, self.height, trusted);
        let next = (0..last.len())
            .map(|k| {
                let (by, around) = (moves[k].by, filled[k]);
                let agrees = (by[0] - around[0]).hypot(by[1] - around[1]) < FOUND;
                let seen = moves[k].consistent && (last[k].seen || agrees);
                let by = if seen { by } else { around };
                TrackPoint { at: [last[k].at[0] + by[0], last[k].at[1] + by[1]], seen }
            })
            .collect();
        self.frames.push(next);
    }
}

/// Where a point goes in one step, and whether the way back agrees.
struct Move {
    by: [f32; 2],
    consistent: bool,
}

impl Move {
    fn measure(at: [f32; 2], forward: &FlowField, backward: &FlowField) -> Self {
        let mut by = forward.at(at[0], at[1]);
        let there = [at[0] + by[0], at[1] + by[1]];
        let back = backward.at(there[0], there[1]);
        let way = by[0].hypot(by[1]);
        let miss = (by[0] + back[0]).hypot(by[1] + back[1]);
        let (right, bottom) = (forward.width() as f32 - 1.0, forward.height() as f32 - 1.0);
        let inside = (0.0..=right).contains(&there[0]) && (0.0..=bottom).contains(&there[1]);
        if way < STILL {
            by = [0.0; 2];
        }
        Self { by, consistent: inside && miss < LOST + LOST_SHARE * way }
    }
}

/// Known vectors where there are some, elsewhere the mean of known ones around, by halving the grid
/// until one is known and interpolating back.
fn fill(width: usize, height: usize, known: impl Fn(usize) -> Option<[f32; 2]>) -> Vec<[f32; 2]> {
    let weighted = |k| known(k).map_or([0.0; 3], |[u, v]| [1.0, u, v]);
    let mut levels = vec![(width, height, (0..width * height).map(weighted).collect::<Vec<[f32; 3]>>())];
    while let Some((w, h, fine)) = levels.last().filter(|(w, h, _)| w * h > 1) {
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let mut coarse = vec![[0.0; 3]; cw * ch];
        for (k, value) in fine.iter().enumerate() {
            let sum: &mut [f32; 3] = &mut coarse[(k / w / 2) * cw + (k % w) / 2];
            (0..3).for_each(|c| sum[c] += value[c]);
        }
        levels.push((cw, ch, coarse));
    }
    let mut result: Vec<[f32; 2]> = vec![[0.0; 2]];
    let mut size = (1usize, 1usize);
    for (w, h, sums) in levels.iter().rev() {
        let (cw, ch) = size;
        let coarse = |x: isize, y: isize| {
            result[y.clamp(0, ch as isize - 1) as usize * cw + x.clamp(0, cw as isize - 1) as usize]
        };
        let value = |k: usize| {
            let [weight, u, v] = sums[k];
            if weight > 0.0 {
                return [u / weight, v / weight];
            }
            // The coarse cell itself weighs 9/16, its neighbours on this pixel's side the rest.
            let (x, y) = ((k % w) as isize, (k / w) as isize);
            let (cx, cy) = (x / 2, y / 2);
            let (sx, sy) = (if x % 2 == 0 { cx - 1 } else { cx + 1 }, if y % 2 == 0 { cy - 1 } else { cy + 1 });
            let corners =
                [(coarse(cx, cy), 9.0), (coarse(sx, cy), 3.0), (coarse(cx, sy), 3.0), (coarse(sx, sy), 1.0)];
            std::array::from_fn(|c| corners.iter().map(|(v, weight)| v[c] * weight).sum::<f32>() / 16.0)
        };
        let next = (0..w * h).map(value).collect();
        result = next;
        size = (*w, *h);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::testing::{Texture, clip};

    #[test]
    fn points_of_a_drifting_texture_are_followed_to_the_end() {
        let texture = Texture::new(5);
        let real = clip((192, 128, 9), |t, x, y| texture.at(x - 1.5 * t as f32, y + 0.8 * t as f32));
        let tracks = Tracks::follow(&real);
        assert_eq!((tracks.width(), tracks.height(), tracks.len()), (96, 64, 9));
        let last = tracks.at(8);
        for (x, y) in [(20, 30), (48, 32), (70, 50)] {
            let point = last[y * 96 + x];
            let wanted = [x as f32 + 0.75 * 8.0, y as f32 - 0.4 * 8.0];
            let error = (point.at[0] - wanted[0]).hypot(point.at[1] - wanted[1]);
            assert!(point.seen && error < 0.4, "{x},{y}: {point:?}, wanted {wanted:?}");
        }
    }

    #[test]
    fn what_a_square_covers_is_lost_and_stays_where_it_was() {
        let (back, square) = (Texture::new(1), Texture::new(2));
        let real = clip((192, 128, 12), |t, x, y| {
            let left = 40.0 + 4.0 * t as f32;
            let inside = (left..left + 48.0).contains(&x) && (40.0..88.0).contains(&y);
            if inside { square.at(x - left, y) } else { back.at(x, y) }
        });
        let tracks = Tracks::follow(&real);
        let at = |x: usize, y: usize| tracks.at(11)[y * 96 + x];
        let covered = at(55, 32);
        assert!(!covered.seen, "{covered:?}");
        assert!((covered.at[0] - 55.0).abs() < 6.0, "background was dragged along: {covered:?}");
        let ridden = at(32, 32);
        assert!((ridden.at[0] - (32.0 + 22.0)).abs() < 1.0, "{ridden:?}");
    }

    #[test]
    fn holes_take_the_mean_of_what_surrounds_them() {
        let filled = fill(8, 8, |k| (k % 8 == 0 || k % 8 == 7).then_some([2.0, -1.0]));
        assert!(filled.iter().all(|v| (v[0] - 2.0).abs() < 1e-5 && (v[1] + 1.0).abs() < 1e-5));
        assert!(fill(5, 3, |_| None).iter().all(|v| *v == [0.0; 2]));
    }
}
