//! A clip's motion, told from every later frame back to the first one.

use rayon::prelude::*;

use super::{
    affine::Affine,
    flow::{Effort, FlowField, Plane, Pyramid, estimate},
};
use crate::quality::frame::Yuv420Clip;

/// Frame pairs whose flow is held in memory at once.
const CHUNK: usize = 8;
/// A place is newly uncovered where going back and forth again misses by more than this (half-size
/// pixels) plus `UNCOVERED_SHARE` of the way.
const UNCOVERED: f32 = 0.5;
/// See [`UNCOVERED`].
const UNCOVERED_SHARE: f32 = 0.05;
/// What is uncovered moves like the background, to this much (half-size pixels); whatever else the
/// estimate lost moves on as its flow says.
const BEHIND: f32 = 0.3;
/// Movement per frame below which a place stands still: the estimate's own noise.
const STILL: f32 = 0.02;
/// Distance from the dominant motion (half-size pixels) below which a place is drawn towards it,
/// each frame by `PULL` of the distance, so that the noise of many small steps does not add up.
const NEAR: f32 = 0.3;
/// See [`NEAR`].
const PULL: f32 = 0.05;
/// Distance from the dominant motion above which a place that looks like the background again and
/// moves like it is background again.
const FAR: f32 = 1.5;
/// A place moves like the background when its flow differs from it by less than this.
const CARRIED: f32 = 0.15;
/// Neighbours whose ways differ by less than this (half-size pixels) belong to one thing.
const TOGETHER: f32 = 1.0;
/// A place that shares its way with at most so many of the nine around it (itself included) is a
/// splinter.
const ALONE: usize = 4;
/// Half the side of the window in which an uncovered place must be in the majority to stay so.
const ISLAND: usize = 5;
/// Two places look alike when the grey values around them differ by less than this on average, plus
/// `ALIKE_CONTRAST` of the contrast there.
const ALIKE: f32 = 8.0;
/// See [`ALIKE`].
const ALIKE_CONTRAST: f32 = 0.35;
/// Places around a point that are compared, half-size pixels.
const TAPS: [[f32; 2]; 9] = [
    [0.0, 0.0],
    [2.0, 0.0],
    [-2.0, 0.0],
    [0.0, 2.0],
    [0.0, -2.0],
    [2.0, 2.0],
    [-2.0, 2.0],
    [2.0, -2.0],
    [-2.0, -2.0],
];

/// Where the content of one half-size pixel of a later frame was in the first frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Source {
    /// Way from the pixel to its source, half-size pixels.
    pub by: [f32; 2],
    /// Whether the first frame does not show it: it came from behind something.
    pub uncovered: bool,
}

/// The motion of a clip on its half-size grid `[height, width]`.
pub struct Motion {
    width: usize,
    height: usize,
    maps: Vec<Vec<Source>>,
    /// Per pixel of the first frame: in how many later frames its place looked different.
    changed: Vec<u16>,
}

impl Motion {
    /// Reads the motion of a clip.
    pub fn read(clip: &Yuv420Clip) -> Self {
        let (width, height) = (clip.width() / 2, clip.height() / 2);
        let origin = vec![Source { by: [0.0; 2], uncovered: false }; width * height];
        let mut motion = Self { width, height, maps: vec![origin], changed: vec![0; width * height] };
        if clip.is_empty() {
            return Self { maps: Vec::new(), ..motion };
        }
        let half = |t: usize| Plane::half_luma(clip.frame(t), clip.width());
        let first = half(0).smoothed();
        let mut dominant = Affine::IDENTITY;
        let pairs: Vec<usize> = (1..clip.len()).collect();
        for chunk in pairs.chunks(CHUNK) {
            let read = |&t: &usize| {
                let (before, now) = (Pyramid::new(half(t - 1)), Pyramid::new(half(t)));
                let backward = estimate(&now, &before, Effort::Full);
                let forward = estimate(&before, &now, Effort::Coarse);
                let step = Affine::fit(backward.vectors(), width);
                (backward, forward, step, now.base().smoothed())
            };
            for (backward, forward, step, now) in chunk.par_iter().map(read).collect::<Vec<_>>() {
                let step = if step.is_still(width, height) { Affine::IDENTITY } else { step };
                dominant = dominant.after(&step);
                let sight = Sight {
                    backward: &backward,
                    forward: &forward,
                    first: &first,
                    now: &now,
                    step,
                    dominant,
                };
                motion.step(&sight);
            }
        }
        motion
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
        self.maps.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.maps.is_empty()
    }

    /// Sources of all pixels at a time between two frames, row by row; times after the end take it.
    ///
    /// # Panics
    /// When there is no frame.
    pub fn at(&self, time: f32) -> Vec<Source> {
        let last = self.maps.len() - 1;
        let before = (time.max(0.0) as usize).min(last);
        let share = (time - before as f32).clamp(0.0, 1.0);
        let (a, b) = (&self.maps[before], &self.maps[(before + 1).min(last)]);
        if share == 0.0 {
            return a.clone();
        }
        let between = |(a, b): (&Source, &Source)| {
            let (dx, dy) = (b.by[0] - a.by[0], b.by[1] - a.by[1]);
            // Inside of one thing the ways change smoothly; across an edge the nearer time stands.
            if a.uncovered == b.uncovered && dx.hypot(dy) < 8.0 {
                Source { by: [a.by[0] + share * dx, a.by[1] + share * dy], ..*a }
            } else {
                *if share < 0.5 { a } else { b }
            }
        };
        a.iter().zip(b).map(between).collect()
    }

    /// Sources at frame `t` when everything moves `pace` times as far. Up to 1 the clip is slowed
    /// down, so that what is uncovered stays exact; beyond 1 there is no later frame to take, and the
    /// ways are stretched.
    pub fn paced(&self, pace: f32, t: usize) -> Vec<Source> {
        let mut sources = self.at(pace.min(1.0) * t as f32);
        if pace > 1.0 {
            sources.iter_mut().for_each(|source| source.by = source.by.map(|way| way * pace));
        }
        sources
    }

    /// Pixels of the first frame whose place looks different in at least one of `part` frames:
    /// something that left, or will.
    pub fn leaving(&self, part: usize) -> Vec<bool> {
        self.changed.iter().map(|count| usize::from(*count) * part >= self.maps.len()).collect()
    }

    fn step(&mut self, sight: &Sight<'_>) {
        let (width, height) = (self.width, self.height);
        let last = &self.maps[self.maps.len() - 1];
        let exposure = sight.exposure();
        let look = |k: usize| sight.look([(k % width) as f32, (k / width) as f32], last, exposure);
        let (next, unlike): (Vec<Source>, Vec<Option<[f32; 2]>>) =
            (0..width * height).into_par_iter().map(look).unzip();
        for [x, y] in unlike.into_iter().flatten() {
            if (0.0..width as f32 - 0.5).contains(&x) && (0.0..height as f32 - 0.5).contains(&y) {
                self.changed[(y + 0.5) as usize * width + (x + 0.5) as usize] += 1;
            }
        }
        self.maps.push(cleaned(&next, width));
    }
}

/// Whether two sources belong to one thing.
fn together(a: &Source, b: &Source) -> bool {
    a.uncovered == b.uncovered && (a.by[0] - b.by[0]).abs() < TOGETHER && (a.by[1] - b.by[1]).abs() < TOGETHER
}

/// The map without splinters: a source that hardly any neighbour shares gives way to the one that
/// most neighbours share. Left alone, splinters add up to noise in fast motion.
fn cleaned(map: &[Source], width: usize) -> Vec<Source> {
    let height = map.len() / width;
    let clean = |k: usize| {
        let (x, y) = (k % width, k / width);
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        let around = rows.flat_map(|j| (x.saturating_sub(1)..(x + 2).min(width)).map(move |i| j * width + i));
        let support = |s: &Source| around.clone().filter(|at| together(&map[*at], s)).count();
        let own = support(&map[k]);
        if own > ALONE {
            return map[k];
        }
        let best =
            around.clone().map(|at| (support(&map[at]), at)).max_by_key(|(count, at)| (*count, *at == k));
        best.map_or(map[k], |(_, at)| map[at])
    };
    without_islands(&(0..map.len()).into_par_iter().map(clean).collect::<Vec<_>>(), width)
}

/// The map with small uncovered islands given the source of the nearest covered place in their row or
/// column: background is uncovered along the edge of something, not in the middle of it.
fn without_islands(map: &[Source], width: usize) -> Vec<Source> {
    let height = map.len() / width;
    // Uncovered places above and left of each corner: a window's count is four look-ups.
    let mut sums = vec![0u32; (width + 1) * (height + 1)];
    for y in 0..height {
        let mut row = 0;
        for x in 0..width {
            row += u32::from(map[y * width + x].uncovered);
            sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
        }
    }
    let fill = |k: usize| {
        let source = map[k];
        if !source.uncovered {
            return source;
        }
        let (x, y) = (k % width, k / width);
        let (left, right) = (x.saturating_sub(ISLAND), (x + ISLAND + 1).min(width));
        let (top, bottom) = (y.saturating_sub(ISLAND), (y + ISLAND + 1).min(height));
        let at = |x: usize, y: usize| sums[y * (width + 1) + x];
        let uncovered = at(right, bottom) + at(left, top) - at(left, bottom) - at(right, top);
        if 2 * uncovered as usize >= (right - left) * (bottom - top) {
            return source;
        }
        let ring = (1..=ISLAND).flat_map(|d| {
            let mut places = Vec::with_capacity(4);
            if x >= d {
                places.push(k - d)
            }
            if x + d < width {
                places.push(k + d)
            }
            if y >= d {
                places.push(k - d * width)
            }
            if y + d < height {
                places.push(k + d * width)
            }
            places
        });
        ring.map(|at| map[at]).find(|near| !near.uncovered).unwrap_or(source)
    };
    (0..map.len()).into_par_iter().map(fill).collect()
}

/// What one step may look at.
struct Sight<'a> {
    /// Flow from the frame after the step to the one before, and back.
    backward: &'a FlowField,
    forward: &'a FlowField,
    /// The first frame and the frame after the step, both smoothed.
    first: &'a Plane,
    now: &'a Plane,
    /// Dominant motion from the frame after the step to the one before, and to the first frame.
    step: Affine,
    dominant: Affine,
}

impl Sight<'_> {
    /// The source of a place, and its place by the dominant motion where the first frame looks
    /// different.
    fn look(&self, at: [f32; 2], last: &[Source], exposure: f32) -> (Source, Option<[f32; 2]>) {
        let mut by = self.backward.at(at[0], at[1]);
        let way = by[0].hypot(by[1]);
        if way < STILL {
            by = [0.0; 2];
        }
        let before = [at[0] + by[0], at[1] + by[1]];
        let back = self.forward.at(before[0], before[1]);
        let miss = (by[0] + back[0]).hypot(by[1] + back[1]);
        let carried = self.step.apply(at);
        let own = (carried[0] - before[0]).hypot(carried[1] - before[1]);
        let carried = own < CARRIED;
        let origin = self.dominant.apply(at);
        let background = [origin[0] - at[0], origin[1] - at[1]];
        let alike = self.alike(origin, at, exposure);
        let source = if own < BEHIND && miss > UNCOVERED + UNCOVERED_SHARE * way {
            Source { by: background, uncovered: !alike }
        } else {
            let old = take(last, self.now.width(), before);
            let by = [by[0] + old.by[0], by[1] + old.by[1]];
            let off = [by[0] - background[0], by[1] - background[1]];
            match off[0].hypot(off[1]) {
                d if d > FAR && carried && alike => Source { by: background, uncovered: false },
                d if d < NEAR => Source {
                    by: [by[0] - PULL * off[0], by[1] - PULL * off[1]],
                    uncovered: old.uncovered && !alike,
                },
                _ => Source { by, ..old },
            }
        };
        (source, (!alike).then_some(origin))
    }

    fn alike(&self, origin: [f32; 2], at: [f32; 2], exposure: f32) -> bool {
        let there = TAPS.map(|tap| self.first.sample(origin[0] + tap[0], origin[1] + tap[1]));
        let here = TAPS.map(|tap| self.now.sample(at[0] + tap[0], at[1] + tap[1]));
        let count = TAPS.len() as f32;
        let mean = there.iter().sum::<f32>() / count;
        let contrast: f32 = there.iter().map(|g| (g - mean).abs()).sum();
        let difference: f32 = here.iter().zip(there).map(|(a, b)| (a - exposure - b).abs()).sum();
        difference / count < ALIKE + ALIKE_CONTRAST * contrast / count
    }

    /// Change of brightness since the first frame: the median over the grid.
    fn exposure(&self) -> f32 {
        let (width, height) = (self.now.width(), self.now.height());
        let change = |k: usize| {
            let at = [(k % width) as f32, (k / width) as f32];
            let origin = self.dominant.apply(at);
            self.now.sample(at[0], at[1]) - self.first.sample(origin[0], origin[1])
        };
        let mut changes: Vec<f32> = (0..width * height).step_by(37).map(change).collect();
        let middle = changes.len() / 2;
        *changes.select_nth_unstable_by(middle, f32::total_cmp).1
    }
}

/// The source at a place between pixels: interpolated inside of one thing, the nearest at an edge.
fn take(map: &[Source], width: usize, at: [f32; 2]) -> Source {
    let height = map.len() / width;
    let x = at[0].clamp(0.0, width as f32 - 1.001);
    let y = at[1].clamp(0.0, height as f32 - 1.001);
    let (ix, iy) = (x as usize, y as usize);
    let (fx, fy) = (x - ix as f32, y - iy as f32);
    let k = iy * width + ix;
    let corners = [map[k], map[k + 1], map[k + width], map[k + width + 1]];
    let nearest = corners[usize::from(fx >= 0.5) + 2 * usize::from(fy >= 0.5)];
    let one_piece = corners.iter().all(|c| {
        c.uncovered == nearest.uncovered
            && (c.by[0] - nearest.by[0]).abs() < 1.0
            && (c.by[1] - nearest.by[1]).abs() < 1.0
    });
    if !one_piece {
        return nearest;
    }
    let by = std::array::from_fn(|c| {
        let top = corners[0].by[c] + (corners[1].by[c] - corners[0].by[c]) * fx;
        let bottom = corners[2].by[c] + (corners[3].by[c] - corners[2].by[c]) * fx;
        top + (bottom - top) * fy
    });
    Source { by, ..nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Texture, clip};

    #[test]
    fn a_drifting_texture_is_followed_to_the_end() {
        let texture = Texture::new(5);
        let real = clip((192, 128, 9), |t, x, y| texture.at(x - 1.5 * t as f32, y + 0.8 * t as f32));
        let motion = Motion::read(&real);
        assert_eq!((motion.width(), motion.height(), motion.len()), (96, 64, 9));
        for (time, share) in [(8.0, 1.0), (4.0, 0.5), (6.5, 6.5 / 8.0)] {
            let map = motion.at(time);
            for (x, y) in [(30, 30), (48, 32), (70, 50)] {
                let source = map[y * 96 + x];
                let wanted = [-0.75 * 8.0 * share, 0.4 * 8.0 * share];
                let error = (source.by[0] - wanted[0]).hypot(source.by[1] - wanted[1]);
                assert!(error < 0.4 && !source.uncovered, "{time}: {x},{y}: {source:?}, wanted {wanted:?}");
            }
        }
    }

    #[test]
    fn a_square_rides_and_the_background_comes_back_behind_it() {
        let (back, square) = (Texture::new(1), Texture::new(2));
        let real = clip((192, 128, 24), |t, x, y| {
            let left = 20.0 + 4.0 * t as f32;
            let inside = (left..left + 48.0).contains(&x) && (40.0..88.0).contains(&y);
            if inside { square.at(x - left, y) } else { back.at(x, y) }
        });
        let motion = Motion::read(&real);
        // At frame 23 the square stands at 112..160, half-size 56..80; it began at 10..34.
        let last = motion.at(23.0);
        let ridden = last[32 * 96 + 68];
        assert!((ridden.by[0] + 46.0).abs() < 2.0 && ridden.by[1].abs() < 1.0, "{ridden:?}");
        // It crossed 44 on its way: the first frame shows that background.
        let crossed = last[32 * 96 + 44];
        assert!(crossed.by[0].hypot(crossed.by[1]) < 0.5 && !crossed.uncovered, "{crossed:?}");
        // Where it stood at first, hardly a place still shows it.
        let left = (24..40).flat_map(|y| (12..32).map(move |x| y * 96 + x));
        let ghosts = left.filter(|k| last[*k].by[0].hypot(last[*k].by[1]) < 1.0 && !last[*k].uncovered);
        assert!(ghosts.count() < 16 * 20 / 10);
        let leaving = motion.leaving(5);
        assert!(leaving[32 * 96 + 14] && !leaving[10 * 96 + 50]);
    }
}
