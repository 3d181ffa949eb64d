//! Known answers: every kernel on a fixed pseudo-random clip, digested.
//!
//! The digests enter the rules digest, so that two builds whose kernels differ are seen to differ; a
//! GPU must reproduce them before it scores.

use std::collections::BTreeMap;

use crate::domain::ids::Digest;

use super::{
    blockiness::{GridSums, grid_sums},
    border::bars,
    canonical::canonical_json,
    color_distance::color_distance,
    detail::laplacian_energy,
    difference::{Difference, difference},
    fixed::log2,
    flow::{Pyramid, stages},
    frame::Yuv420Clip,
    layers::{Explanation, explain},
    looks::{FrameLooks, Looks},
    mosaic::{Cell, Mosaic, cells},
    motion::{BlockMotion, LumaPyramid, MotionField, motion_field},
    octaves::{OctaveBlock, octaves},
    opponents,
    plane::{downscale, half_size},
    ssim::ssim,
    strokes::{self, Strokes},
    temporal::FlowMeasures,
    track,
};

/// Size of the test clip: not a multiple of any block, so that edges are exercised.
const WIDTH: usize = 150;
const HEIGHT: usize = 118;
const FRAMES: usize = 3;

/// A fixed clip: smooth value noise that slides, with a disc that slides otherwise, and grain.
pub fn test_clip() -> Yuv420Clip {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(WIDTH, HEIGHT) * FRAMES);
    for t in 0..FRAMES as i64 {
        for y in 0..HEIGHT as i64 {
            for x in 0..WIDTH as i64 {
                let disc = (x - 60 - 3 * t).pow(2) + (y - 50 + 2 * t).pow(2) < 900;
                let (sx, sy) = if disc { (x - 3 * t + 300, y + 2 * t + 300) } else { (x + t, y) };
                let grain = hash(x + 977 * t, y) as i64 % 5 - 2;
                data.push((value_noise(sx, sy) + grain).clamp(16, 235) as u8);
            }
        }
        for plane in 1..=2i64 {
            for y in 0..HEIGHT as i64 / 2 {
                data.extend(
                    (0..WIDTH as i64 / 2).map(|x| value_noise(x + 100 * plane + t, y) as u8 / 2 + 64),
                );
            }
        }
    }
    // The loops above write exactly these planes.
    #[allow(clippy::expect_used)]
    Yuv420Clip::from_planes(WIDTH, HEIGHT, FRAMES, data).expect("sizes agree by construction")
}

/// A 32-bit mix of two coordinates (multiply-xorshift), the same on every machine.
fn hash(x: i64, y: i64) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// Bilinear interpolation of hashed values on an 8-pixel lattice, 0..=255.
fn value_noise(x: i64, y: i64) -> i64 {
    let (cx, cy, fx, fy) = (x.div_euclid(8), y.div_euclid(8), x.rem_euclid(8), y.rem_euclid(8));
    let corner = |dx, dy| i64::from(hash(cx + dx, cy + dy) >> 24);
    let upper = corner(0, 0) * (8 - fx) + corner(1, 0) * fx;
    let lower = corner(0, 1) * (8 - fx) + corner(1, 1) * fx;
    (upper * (8 - fy) + lower * fy) / 64
}

/// A kernel's digest on the test clip.
pub type Answer = fn(&Yuv420Clip) -> Digest;

/// Every kernel by name, in the order of the names.
pub const KERNELS: &[(&str, Answer)] = &[
    ("blockiness", |clip| of(grid_values(&grid_sums(clip.frame(0).y, WIDTH, HEIGHT)))),
    ("border", |clip| {
        let edges = bars(clip.frame(0).y, WIDTH, HEIGHT);
        of([i64::from(edges.letterbox), i64::from(edges.pillarbox)])
    }),
    ("clip", Yuv420Clip::digest),
    ("color_distance", |clip| of(color_distance(&clip.frame(0), &clip.frame(1), WIDTH, HEIGHT))),
    ("detail", |clip| {
        of((0..FRAMES).map(|index| laplacian_energy(clip.frame(index).y, WIDTH, HEIGHT) as i64))
    }),
    ("difference", |clip| {
        of(difference_values(&difference(clip.frame(0).y, clip.frame(1).y, WIDTH, HEIGHT)))
    }),
    ("downscale", |clip| Digest::of(&downscale(clip.frame(0).y, WIDTH, HEIGHT))),
    ("flow", |clip| of(flow_values(&stages::named(&level(clip, 0), &level(clip, 1))))),
    ("layers", |clip| {
        let [a, b] = pyramids(clip);
        of(layer_values(&explain(&a, &b, &motion_field(&a, &b))))
    }),
    ("log2", |_| of((1..=10_000).map(log2))),
    ("looks", |clip| of(look_values(&Looks::of(clip, FRAMES).frames))),
    ("mosaic", |clip| of((0..FRAMES).flat_map(|i| cell_values(&cells(&clip.frame(i), WIDTH, HEIGHT))))),
    ("motion", |clip| {
        let [a, b] = pyramids(clip);
        of(motion_values(&motion_field(&a, &b)))
    }),
    ("octaves", |clip| {
        let plane = |index: usize| clip.frame(index).y;
        let blocks = |index| octaves(plane(index), &downscale(plane(index), WIDTH, HEIGHT), WIDTH, HEIGHT);
        of((0..FRAMES).flat_map(|index| octave_values(&blocks(index))))
    }),
    ("opponents", opponents::film::digest),
    ("ssim", |clip| of(ssim(clip.frame(0).y, clip.frame(1).y, WIDTH, HEIGHT))),
    ("strokes", |clip| {
        let (planes, width, height) = stroke_planes(clip);
        of(stroke_values(&strokes::of_halves(planes.len(), (width, height), |index| planes[index].clone())))
    }),
    ("structure", |clip| of(structure_values(&FlowMeasures::of(clip, FRAMES)))),
    ("temporal", |clip| temporal_digest(&FlowMeasures::of(clip, FRAMES))),
    ("track", |clip| {
        let track = track::of(&Mosaic::of(clip, FRAMES));
        of(track.iter().flat_map(|track| track.values().iter().map(|value| i64::from(*value))))
    }),
];

fn level(clip: &Yuv420Clip, index: usize) -> Pyramid {
    let half = half_size(WIDTH, HEIGHT);
    Pyramid::new(&downscale(clip.frame(index).y, WIDTH, HEIGHT), half.0, half.1)
}

/// What the digest of flow stages covers.
pub fn flow_values(all: &[stages::Named]) -> Vec<i64> {
    all.iter().flat_map(|stage| stage.values.iter().map(|&value| i64::from(value))).collect()
}

/// Digest of flow measures.
pub fn temporal_digest(measures: &FlowMeasures) -> Digest {
    // Integers and names only: they always have a canonical form.
    Digest::of(canonical_json(measures).unwrap_or_default().as_bytes())
}

fn pyramids(clip: &Yuv420Clip) -> [LumaPyramid; 2] {
    [0, 1].map(|index| LumaPyramid::new(clip.frame(index).y, WIDTH, HEIGHT))
}

/// Digest of every kernel's outputs on the test clip, by kernel name.
pub fn digests() -> BTreeMap<&'static str, Digest> {
    let clip = test_clip();
    KERNELS.iter().map(|&(name, answer)| (name, answer(&clip))).collect()
}

/// What the digest of a difference covers.
pub fn difference_values(found: &Difference) -> Vec<i64> {
    let histogram = found.histogram.iter().map(|&n| i64::from(n));
    [found.sum as i64, i64::from(found.largest_block)].into_iter().chain(histogram).collect()
}

/// What the digest of a mosaic covers.
pub fn cell_values(cells: &[Cell]) -> Vec<i64> {
    cells.iter().flat_map(|cell| [cell.y, cell.u, cell.v].map(i64::from)).collect()
}

/// What the digest of a motion field covers.
pub fn motion_values(field: &MotionField) -> Vec<i64> {
    let values = |m: &BlockMotion| {
        [i64::from(m.vector.x), i64::from(m.vector.y), i64::from(m.error), i64::from(m.texture)]
    };
    field.blocks.iter().flat_map(values).collect()
}

/// What the digest of an explanation covers.
pub fn layer_values(told: &Explanation) -> Vec<i64> {
    let sums = [
        told.blocks,
        told.affine_explained,
        told.affine_residual,
        told.layer_residual,
        told.motion,
        told.textured,
        told.error,
    ];
    sums.into_iter().chain(told.global.x).chain(told.global.y).collect()
}

/// What the digest of looks covers.
pub fn look_values(frames: &[FrameLooks]) -> Vec<i64> {
    let values = |frame: &FrameLooks| {
        let FrameLooks { color: c, luma: l, bands: b } = frame;
        let sums = [c.samples, c.dark, c.bright, c.luma, c.saturation];
        let unsigned = sums.into_iter().chain(c.bins).chain(c.hues).chain(b.sums).chain(b.tiles);
        let all = unsigned.map(|n| n as i64).chain(l.phases).chain([l.rings, l.sides]);
        all.collect::<Vec<_>>()
    };
    frames.iter().flat_map(values).collect()
}

/// What the digest of octaves covers.
pub fn octave_values(blocks: &[OctaveBlock]) -> Vec<i64> {
    blocks.iter().flat_map(|block| [block.fine, block.coarse].map(i64::from)).collect()
}

/// Nine half-size planes with their width and height: the test clip's frames to and fro, and from the fourth on combs of
/// several steps, in bands, that stay where they are.
pub fn stroke_planes(clip: &Yuv420Clip) -> (Vec<Vec<u8>>, usize, usize) {
    let (width, height) = half_size(WIDTH, HEIGHT);
    let drawn = |t: usize| {
        let mut plane = downscale(clip.frame([0, 1, 2, 1][t % 4]).y, WIDTH, HEIGHT);
        for (i, value) in plane.iter_mut().enumerate() {
            let (x, y) = (i % width, i / width);
            if t > 3 && (20..40).contains(&y) && x % 4 < 2 {
                *value = [0, 90, 150, 200, 255][x * 5 / width];
            }
        }
        plane
    };
    ((0..9).map(drawn).collect(), width, height)
}

/// What the digest of deformations covers.
pub fn structure_values(measures: &FlowMeasures) -> Vec<i64> {
    measures.pairs.iter().flat_map(|pair| [pair.deformation.cells, pair.deformation.sum]).collect()
}

/// What the digest of strokes covers.
pub fn stroke_values(strokes: &Strokes) -> Vec<i64> {
    strokes.windows.iter().flat_map(|window| [window.fresh, window.dense]).collect()
}

/// What the digest of grid sums covers.
pub fn grid_values(grid: &GridSums) -> Vec<i64> {
    grid.columns.into_iter().chain(grid.rows).chain([grid.gradient, grid.blockiness()]).collect()
}

/// SHA-256 over values as little-endian 64-bit integers.
pub fn of(values: impl IntoIterator<Item = i64>) -> Digest {
    Digest::of(&values.into_iter().flat_map(i64::to_le_bytes).collect::<Vec<u8>>())
}
