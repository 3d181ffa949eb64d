//! Which clip, which part of it: the deterministic choice of a round's source window. Pure.
//!
//! The walk starts at `block hash mod n` (the hash as a big-endian integer) in the sorted list of keys
//! and goes forward. In a source the window is found so:
//! 1. shots lie between cuts ([`Timeline::cuts`]); the file's start and end are no cuts, nor are the
//!    ends of a manifest range;
//! 2. a window may start on any source frame that is at least 2.0 s after the cut that begins its shot
//!    and whose last frame's display ends at least 0.15 s before the cut that ends it. At a file's or range's end the last
//!    target time must not lie after the last frame;
//! 3. it needs a true rate of at least 16 frames per second: at every target time a source frame of
//!    its own, and that many frames per second which do not repeat their predecessor;
//! 4. it needs motion: mean change per target frame of at least [`MIN_MOTION_MILLI`];
//! 5. of the shots that hold such a start, those of at least 80 % of the longest one's duration are
//!    kept; one is drawn, then one of its starts, both by SHA-256 over block hash and key.
//!
//! Times are integer microseconds. Target frame `k` is at `start + k * 1_000_000 / fps` (rounded down)
//! and shows the source frame nearest in presentation time, the earlier of two equally near.

use super::timeline::Timeline;
pub use crate::domain::corpus_commitment::walk_start;
use crate::domain::{
    ids::{BlockHash, Digest},
    plan::ClipSpec,
};

/// Distance that a window's end keeps from a cut, in microseconds.
pub const CUT_MARGIN_US: u64 = 150_000;
/// Distance that a window's start keeps from the cut before it, in microseconds.
pub const SHOT_START_MARGIN_US: u64 = 2_000_000;
/// Share of the longest shot's duration that a shot must have to be drawn from, in percent.
pub const LONGEST_SHOT_PERCENT: u64 = 80;
/// Lowest true frame rate of a source.
pub const MIN_FRAMES_PER_SECOND: u64 = 16;
/// Lowest mean change per target frame, in thousandths of a luma level. The quietest clip of the
/// default corpus (a breaking wave in slow motion) has about 330. It refuses stills; strong film grain
/// on a still can pass, so a corpus is looked at before it is used.
pub const MIN_MOTION_MILLI: u64 = 100;
/// A source may be enlarged at most by this factor (its crop has at least half the target's sides).
pub const MAX_ENLARGEMENT: u64 = 2;

const MICROSECONDS: u64 = 1_000_000;

/// The part of a source that a round uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Presentation time of the first frame in microseconds.
    pub start_us: u64,
    /// Source frame shown at each target time: strictly increasing indices.
    pub frames: Vec<u32>,
}

/// Centred even rectangle of the source, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crop {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Why a source has no window for a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoWindow {
    /// The crop would have to be enlarged too much.
    #[error("a centre crop of {width}x{height} is less than half of the asked size")]
    Small {
        /// Width of the crop.
        width: u32,
        /// Height of the crop.
        height: u32,
    },
    /// No shot is long enough, margins included.
    #[error("no shot is long enough: {shots} shot(s), the longest {longest_ms} ms")]
    Short {
        /// Number of shots.
        shots: usize,
        /// Duration of the longest in milliseconds.
        longest_ms: u64,
    },
    /// Shots are long enough, but their frame rate is too low or has holes.
    #[error("no long shot has {MIN_FRAMES_PER_SECOND} different frames per second without a hole")]
    Slow,
    /// Shots are long enough and fast enough, but nothing moves.
    #[error("too little moves: {milli} thousandths of a luma level per frame, {MIN_MOTION_MILLI} are needed")]
    Still {
        /// The most that any window has.
        milli: u64,
    },
}

/// The order in which `count` sorted keys are visited: every index once.
pub fn walk(anchor: &BlockHash, count: usize) -> impl Iterator<Item = usize> + use<> {
    let start = walk_start(anchor, count);
    (0..count).map(move |step| (start + step) % count)
}

/// Largest centred even rectangle with the target's aspect: the longer direction is cut, its size
/// rounded down to even, its offset too.
///
/// # Errors
/// [`NoWindow::Small`] when the rectangle is less than half as wide or high as the target.
pub fn centre_crop((width, height): (u32, u32), spec: &ClipSpec) -> Result<Crop, NoWindow> {
    let even = |value: u64| (value & !1) as u32;
    let (from, to) = ((u64::from(width), u64::from(height)), (u64::from(spec.width), u64::from(spec.height)));
    let (wide, high) = match from.0 * to.1 > from.1 * to.0 {
        true => (even(from.1 * to.0 / to.1.max(1)), even(from.1)),
        false => (even(from.0), even(from.0 * to.1 / to.0.max(1))),
    };
    let large_enough = |side: u32, target: u64| u64::from(side) * MAX_ENLARGEMENT >= target;
    if !large_enough(wide, to.0) || !large_enough(high, to.1) || wide == 0 || high == 0 {
        return Err(NoWindow::Small { width: wide, height: high });
    }
    Ok(Crop {
        x: even(u64::from((width - wide) / 2)),
        y: even(u64::from((height - high) / 2)),
        width: wide,
        height: high,
    })
}

/// Where the window of a clip is looked for.
#[derive(Clone, Debug)]
pub struct WindowRequest<'a> {
    /// The clip's key; seeds the draw together with the block hash.
    pub key: &'a str,
    /// The usable part of the source in microseconds.
    pub range_us: std::ops::Range<u64>,
    /// Hash of the round's first block.
    pub anchor: &'a BlockHash,
    /// Shape of the clip.
    pub spec: ClipSpec,
}

/// Finds the round's window in one source.
///
/// # Errors
/// Says why the source has none; the walk then goes on.
pub fn find_window(timeline: &Timeline, request: &WindowRequest<'_>) -> Result<Window, NoWindow> {
    centre_crop(timeline.size(), &request.spec)?;
    let search = Search::new(timeline, request.spec);
    let shots = shots(timeline, &request.range_us);
    let mut found = Found::default();
    let mut usable: Vec<(u64, Vec<usize>)> = Vec::new();
    for shot in &shots {
        let starts: Vec<usize> =
            shot.frames.clone().filter(|&first| search.accepts(shot, first, &mut found)).collect();
        if !starts.is_empty() {
            usable.push((shot.duration_us, starts));
        }
    }
    let Some(longest) = usable.iter().map(|(duration, _)| *duration).max() else {
        return Err(found.reason(&shots));
    };
    usable.retain(|(duration, _)| duration * 100 >= longest * LONGEST_SHOT_PERCENT);
    let (shot_draw, start_draw) = draws(request.anchor, request.key);
    let starts = &usable[(shot_draw % usable.len() as u64) as usize].1;
    let first = starts[(start_draw % starts.len() as u64) as usize];
    let frames = search.resample(timeline.pts_us()[first], timeline.pts_us().len());
    Ok(Window { start_us: timeline.pts_us()[first], frames })
}

/// Frames of the window that starts at a given time, for replaying a choice; `None` when it is not a
/// source frame's time or the source ends too early.
pub fn window_at(timeline: &Timeline, start_us: u64, spec: ClipSpec) -> Option<Window> {
    let pts = timeline.pts_us();
    pts.binary_search(&start_us).ok()?;
    let search = Search::new(timeline, spec);
    (start_us.checked_add(search.reach_us())? <= *pts.last()?)
        .then(|| Window { start_us, frames: search.resample(start_us, pts.len()) })
}

/// Two independent numbers from block hash and key.
fn draws(anchor: &BlockHash, key: &str) -> (u64, u64) {
    let of = |purpose: &[u8]| Digest::of_parts(&[purpose, &anchor.0, key.as_bytes()]).seed();
    (of(b"leoma/window/shot"), of(b"leoma/window/start"))
}

/// One shot inside the usable range.
struct Shot {
    /// Indices of its frames inside the range.
    frames: std::ops::Range<usize>,
    /// Earliest allowed start of a window.
    earliest_us: u64,
    /// Presentation time of the cut that ends the shot, if one does.
    cut_us: Option<u64>,
    /// Last presentation time inside the shot and the range.
    last_us: u64,
    duration_us: u64,
}

fn shots(timeline: &Timeline, range: &std::ops::Range<u64>) -> Vec<Shot> {
    let pts = timeline.pts_us();
    let cuts = timeline.cuts();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(pts.len()));
    let inside = |start: usize, end: usize| {
        let clip = |index: usize, bound: u64| start + pts[start..index].partition_point(|&at| at < bound);
        let frames = clip(end, range.start)..clip(end, range.end);
        let first_us = *pts.get(frames.start).filter(|_| !frames.is_empty())?;
        let last_us = pts[frames.end - 1];
        let begins_with_cut = start > 0;
        let margin_end = if begins_with_cut { pts[start] + SHOT_START_MARGIN_US } else { 0 };
        Some(Shot {
            earliest_us: first_us.max(margin_end),
            cut_us: pts.get(end).copied(),
            duration_us: last_us - first_us,
            frames,
            last_us,
        })
    };
    starts.zip(ends).filter_map(|(start, end)| inside(start, end)).collect()
}

/// What was seen while looking, to say why nothing was found.
#[derive(Default)]
struct Found {
    long_enough: bool,
    fast_enough: bool,
    most_motion: u64,
}

impl Found {
    fn reason(&self, shots: &[Shot]) -> NoWindow {
        match self {
            Found { fast_enough: true, most_motion, .. } => NoWindow::Still { milli: *most_motion },
            Found { long_enough: true, .. } => NoWindow::Slow,
            _ => NoWindow::Short {
                shots: shots.len(),
                longest_ms: shots.iter().map(|shot| shot.duration_us).max().unwrap_or(0) / 1_000,
            },
        }
    }
}

/// Running totals over a timeline, so that each start is judged without a pass over its window.
struct Search<'a> {
    timeline: &'a Timeline,
    spec: ClipSpec,
    /// `[i]`: sum of changes of the frames before `i`, in thousandths of a level.
    change_before: Vec<u64>,
    /// `[i]`: number of frames before `i` that do not repeat their predecessor.
    distinct_before: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(timeline: &'a Timeline, spec: ClipSpec) -> Self {
        let count = timeline.pts_us().len();
        let running = |value: &dyn Fn(usize) -> u64| {
            let mut total = 0;
            let mut sums = vec![0];
            sums.extend((0..count).map(|index| {
                total += value(index);
                total
            }));
            sums
        };
        Self {
            change_before: running(&|index| timeline.change_milli(index)),
            distinct_before: running(&|index| u64::from(!timeline.repeats(index))),
            timeline,
            spec,
        }
    }

    fn target_us(&self, frame: u64) -> u64 {
        frame * MICROSECONDS / u64::from(self.spec.fps.max(1))
    }

    /// From the first target time to the last.
    fn reach_us(&self) -> u64 {
        self.target_us(u64::from(self.spec.frames).saturating_sub(1))
    }

    fn accepts(&self, shot: &Shot, first: usize, found: &mut Found) -> bool {
        let pts = self.timeline.pts_us();
        let start = pts[first];
        let end_of_display = start + self.target_us(u64::from(self.spec.frames));
        let ends_before_cut = shot.cut_us.is_none_or(|cut| end_of_display + CUT_MARGIN_US <= cut);
        if start < shot.earliest_us || start + self.reach_us() > shot.last_us || !ends_before_cut {
            return false;
        }
        found.long_enough = true;
        let frames = self.resample(start, shot.frames.end);
        let last = *frames.last().unwrap_or(&0) as usize;
        // Frames after the first up to the last one shown, over the time between them.
        let distinct = self.distinct_before[last + 1] - self.distinct_before[first + 1];
        let true_rate = distinct * MICROSECONDS >= MIN_FRAMES_PER_SECOND * (pts[last] - start);
        let own_frame_each = frames.windows(2).all(|pair| pair[0] < pair[1]);
        if !true_rate || !own_frame_each {
            return false;
        }
        found.fast_enough = true;
        let change = self.change_before[last + 1] - self.change_before[first + 1];
        let motion = change / u64::from(self.spec.frames).saturating_sub(1).max(1);
        found.most_motion = found.most_motion.max(motion);
        motion >= MIN_MOTION_MILLI
    }

    /// Nearest source frame for every target time, among the frames before `end`.
    fn resample(&self, start_us: u64, end: usize) -> Vec<u32> {
        let pts = &self.timeline.pts_us()[..end];
        let nearest = |frame: u32| {
            let target = start_us + self.target_us(u64::from(frame));
            let after = pts.partition_point(|&at| at < target).min(pts.len() - 1);
            let before = after.saturating_sub(1);
            let earlier_is_near = target.abs_diff(pts[before]) <= target.abs_diff(pts[after]);
            if earlier_is_near { before as u32 } else { after as u32 }
        };
        (0..self.spec.frames).map(nearest).collect()
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
