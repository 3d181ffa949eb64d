//! G7: the real clip itself, sent back.

use rayon::prelude::*;

use crate::{
    domain::{score::GateId, scoring::SourceCopyGate},
    quality::{
        fixed::{div_round, scale},
        measure::ClipMeasures,
        mosaic::{Cell, Mosaic, cell_distance},
        perceptual,
    },
};

use super::{GateFinding, finding};

/// A cell has changed since the first frame when it differs by this many levels a pixel.
const CHANGED_LEVELS: i64 = 4;
/// Fewer changed cells than this part of all, in 1/1000 and on average per frame, say nothing.
const LEAST_CHANGED: i64 = 10;
/// Least part of the compared frames of a clip that an alignment must hold.
const LEAST_PART: usize = 8;
/// Paces at which the source may be shown: frames of the source over frames of the clip.
const SPEEDS: [(usize, usize); 3] = [(1, 1), (2, 1), (1, 2)];
/// What is read where nothing can be compared.
const NOTHING: i64 = 10_000;

/// How the source's frames may lie in a clip: frame `t` shows frame `t * speed + offset` of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alignment {
    /// Frames of the source over frames of the clip.
    pub speed: (usize, usize),
    /// Frames by which the source is ahead.
    pub offset: i64,
    /// Whether left and right change places.
    pub flipped: bool,
}

impl Alignment {
    /// The source's frame that frame `t` of the clip shows.
    fn source(&self, t: usize, frames: usize) -> Option<usize> {
        let place = (t * self.speed.0 / self.speed.1) as i64 + self.offset;
        usize::try_from(place).ok().filter(|&place| place < frames)
    }
}

/// The alignment under which a clip is nearest to the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Likeness {
    /// Distance to the source over the source's own distance from the first frame, both over the cells that have
    /// changed since it, in 1/1000: 0 is the source, 1000 a freeze.
    pub unlike: i64,
    /// The same distance as a mean per pixel of these cells, in 1/256 level: what coding does to a copy.
    pub distance: i64,
    /// Mean number of differing bits of the perceptual hashes, in 1/1000.
    pub hash: i64,
    /// Frames that were compared.
    pub frames: usize,
    /// Under this alignment.
    pub at: Alignment,
}

impl Likeness {
    /// Compares the frames from `from` on with the source's, under all alignments up to `reach` frames away;
    /// `None` when the source changes too little for it.
    pub fn of(clip: &Mosaic, source: &Mosaic, from: usize, reach: u32) -> Option<Self> {
        if clip.frames.first().map(Vec::len) != source.frames.first().map(Vec::len) || clip.frames.is_empty()
        {
            return None;
        }
        let mirrored = source.mirrored();
        let reach = i64::from(reach);
        let alignments: Vec<Alignment> = [false, true]
            .into_iter()
            .flat_map(|flipped| SPEEDS.map(|speed| (flipped, speed)))
            .flat_map(|(flipped, speed)| {
                (-reach..=reach).map(move |offset| Alignment { speed, offset, flipped })
            })
            .collect();
        let best = alignments
            .into_par_iter()
            .filter_map(|at| {
                let shown = if at.flipped { &mirrored } else { source };
                compare(clip, shown, &source.frames[0], from, at)
            })
            .min_by_key(|like| {
                let at = like.at;
                (like.unlike, at.flipped, at.offset.abs(), at.offset, at.speed)
            })?;
        let shown = if best.at.flipped { &mirrored } else { source };
        Some(Self { hash: hash_distance(clip, shown, from, best.at), ..best })
    }
}

/// By how much a whole frame is brighter or more coloured than another one: a copy with another brightness is one.
struct Shift {
    /// Mean luma, blue and red difference, in 1/16 level.
    levels: [i64; 3],
}

impl Shift {
    fn of(cells: &[Cell], others: &[Cell], area: i64) -> Self {
        let total = |pick: fn(&Cell) -> u32| {
            let sum = |cells: &[Cell]| cells.iter().map(|cell| i64::from(pick(cell))).sum::<i64>();
            sum(cells) - sum(others)
        };
        let mean = |sum: i64, samples: i64| scale(sum, 16, samples);
        let chroma = (area / 4).max(1);
        Self {
            levels: [mean(total(|c| c.y), area), mean(total(|c| c.u), chroma), mean(total(|c| c.v), chroma)],
        }
    }

    /// `cell_distance` of two cells of `pixels` luma pixels without the shift.
    fn distance(&self, one: &Cell, other: &Cell, pixels: i64) -> i64 {
        let [y, u, v] = self.levels;
        let apart = |a: u32, b: u32, shift: i64, samples: i64| {
            (16 * (i64::from(a) - i64::from(b)) - shift * samples).abs() / 16
        };
        apart(one.y, other.y, y, pixels)
            + 2 * (apart(one.u, other.u, u, pixels / 4) + apart(one.v, other.v, v, pixels / 4))
    }
}

/// Likeness under one alignment, but for the hashes.
fn compare(clip: &Mosaic, source: &Mosaic, start: &[Cell], from: usize, at: Alignment) -> Option<Likeness> {
    let columns = clip.columns().max(1);
    let pixels = |i: usize| clip.pixels(i % columns, i / columns) as i64;
    let whole = (clip.width * clip.height) as i64;
    let (mut apart, mut moved, mut area, mut frames) = (0, 0, 0, 0);
    for (t, cells) in clip.frames.iter().enumerate().skip(from) {
        let Some(place) = at.source(t, source.frames.len()) else { continue };
        frames += 1;
        let shift = Shift::of(cells, &source.frames[place], whole);
        for (i, (mine, theirs)) in cells.iter().zip(&source.frames[place]).enumerate() {
            let own = cell_distance(&start[i], theirs);
            if own >= CHANGED_LEVELS * pixels(i) {
                area += pixels(i);
                moved += own;
                apart += shift.distance(mine, theirs, pixels(i));
            }
        }
    }
    let compared = clip.frames.len().saturating_sub(from);
    let enough = frames > 0
        && frames * LEAST_PART >= compared
        && moved > 0
        && area * 1000 >= LEAST_CHANGED * frames as i64 * whole;
    enough.then(|| Likeness {
        unlike: scale(apart, 1000, moved).min(NOTHING),
        distance: scale(apart, 256, area),
        hash: 0,
        frames,
        at,
    })
}

fn hash_distance(clip: &Mosaic, source: &Mosaic, from: usize, at: Alignment) -> i64 {
    let pairs: Vec<(usize, usize)> =
        (from..clip.frames.len()).filter_map(|t| Some((t, at.source(t, source.frames.len())?))).collect();
    let bits = |&(t, place): &(usize, usize)| {
        i64::from(perceptual::apart(perceptual::hash(clip, t), perceptual::hash(source, place)))
    };
    div_round(1000 * pairs.iter().map(bits).sum::<i64>(), pairs.len() as i64)
}

/// G7: where the reference has changed since its first frame, the clip shows the reference's pixels, at some offset,
/// pace or mirrored, as only a copy does.
pub fn source_copy(clip: &ClipMeasures, reference: &ClipMeasures, gate: &SourceCopyGate) -> GateFinding {
    let found = Likeness::of(&clip.mosaic, &reference.mosaic, gate.from_frame as usize, gate.reach);
    let fired = found.is_some_and(|like| {
        like.unlike <= gate.unlike && like.distance <= gate.distance && like.hash <= gate.hash
    });
    let at = found.map_or(Alignment { speed: (1, 1), offset: 0, flipped: false }, |like| like.at);
    let numbers = [
        ("unlike", found.map_or(NOTHING, |like| like.unlike)),
        ("distance", found.map_or(NOTHING, |like| like.distance)),
        ("hash", found.map_or(64_000, |like| like.hash)),
        ("frames", found.map_or(0, |like| like.frames as i64)),
        ("offset", at.offset),
        ("speed", scale(at.speed.0 as i64, 1000, at.speed.1 as i64)),
        ("flipped", i64::from(at.flipped)),
    ];
    let reason = match found {
        None => "the reference changes too little to know a copy".to_owned(),
        Some(like) => format!(
            "{} frames differ from the reference's (offset {}, speed {}/{}{}) by {}/1000 of what changes there, {}/256 \
             level, their hashes by {}/1000 bits",
            like.frames,
            at.offset,
            at.speed.0,
            at.speed.1,
            if at.flipped { ", mirrored" } else { "" },
            like.unlike,
            like.distance,
            like.hash
        ),
    };
    finding(GateId::G7, numbers, fired, gate.mode, reason)
}
