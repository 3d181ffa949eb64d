//! Known answers: every kernel on a fixed pseudo-random clip, digested.
//!
//! The digests enter the rules digest, so that two builds whose kernels differ are seen to differ; a
//! GPU must reproduce them before it scores.

use std::collections::BTreeMap;

use crate::domain::ids::Digest;

use super::{
    blockiness::grid_sums,
    border::bars,
    canonical::canonical_json,
    color_distance::color_distance,
    detail::laplacian_energy,
    difference::difference,
    fixed::log2,
    flow::{Pyramid, stages},
    frame::Yuv420Clip,
    layers::explain,
    motion::{LumaPyramid, motion_field},
    plane::{downscale, half_size},
    ssim::ssim,
    temporal::FlowMeasures,
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

/// Digest of every kernel's outputs on the test clip, by kernel name.
pub fn digests() -> BTreeMap<&'static str, Digest> {
    let clip = test_clip();
    let frames: Vec<_> = (0..FRAMES).map(|index| clip.frame(index)).collect();
    let (a, b) = (&frames[0], &frames[1]);
    let found = difference(a.y, b.y, WIDTH, HEIGHT);
    let pyramids: Vec<_> = frames.iter().map(|f| LumaPyramid::new(f.y, WIDTH, HEIGHT)).collect();
    let field = motion_field(&pyramids[0], &pyramids[1]);
    let vectors = field.blocks.iter().flat_map(|m| {
        [i64::from(m.vector.x), i64::from(m.vector.y), i64::from(m.error), i64::from(m.texture)]
    });
    let told = explain(&pyramids[0], &pyramids[1], &field);
    let layers = [
        told.blocks,
        told.affine_explained,
        told.affine_residual,
        told.layer_residual,
        told.motion,
        told.textured,
        told.error,
    ];
    let grid = grid_sums(a.y, WIDTH, HEIGHT);
    let edges = bars(a.y, WIDTH, HEIGHT);
    let half = half_size(WIDTH, HEIGHT);
    let levels = [a, b].map(|f| Pyramid::new(&downscale(f.y, WIDTH, HEIGHT), half.0, half.1));
    let flow = stages::named(&levels[0], &levels[1]);
    let temporal = canonical_json(&FlowMeasures::of(&clip, FRAMES)).unwrap_or_default();
    let histogram = found.histogram.iter().map(|&n| i64::from(n));
    BTreeMap::from([
        ("clip", clip.digest()),
        ("downscale", Digest::of(&downscale(a.y, WIDTH, HEIGHT))),
        ("difference", of([found.sum as i64, i64::from(found.largest_block)].into_iter().chain(histogram))),
        ("motion", of(vectors)),
        ("layers", of(layers.into_iter().chain(told.global.x).chain(told.global.y))),
        ("ssim", of(ssim(a.y, b.y, WIDTH, HEIGHT))),
        ("color_distance", of(color_distance(a, b, WIDTH, HEIGHT))),
        (
            "blockiness",
            of(grid.columns.into_iter().chain(grid.rows).chain([grid.gradient, grid.blockiness()])),
        ),
        ("detail", of(frames.iter().map(|f| laplacian_energy(f.y, WIDTH, HEIGHT) as i64))),
        ("flow", of(flow.into_iter().flat_map(|stage| stage.values).map(i64::from))),
        ("temporal", Digest::of(temporal.as_bytes())),
        ("border", of([i64::from(edges.letterbox), i64::from(edges.pillarbox)])),
        ("log2", of((1..=10_000).map(log2))),
    ])
}

fn of(values: impl IntoIterator<Item = i64>) -> Digest {
    Digest::of(&values.into_iter().flat_map(i64::to_le_bytes).collect::<Vec<u8>>())
}
