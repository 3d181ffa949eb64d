//! Cost of dense flow and what rests on it: per pair at 416x240, and per 832x480 clip of 81 frames.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use leoma_core::quality::{
    flow::{FlowPair, Pyramid, consistency::fates, flow},
    frame::Yuv420Clip,
    instructions::InstructionSet,
    temporal::{
        FlowMeasures,
        affine::{Global, Lattice},
        warp::{flicker_blocks, match_blocks, warp},
    },
};

const WIDTH: usize = 832;
const HEIGHT: usize = 480;
const FRAMES: usize = 81;

/// Value noise of three octaves that slides by its row band and breathes: textured, moving, not affine.
fn pixel(x: f64, y: f64) -> f64 {
    let octave = |scale: f64, salt: u32| {
        let (x, y) = (x / scale + 500.0, y / scale + 500.0);
        let at = |dx: u32, dy: u32| {
            let h =
                (x as u32 + dx).wrapping_mul(0x9e37_79b1) ^ (y as u32 + dy).wrapping_mul(0x85eb_ca77) ^ salt;
            f64::from((h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d) >> 24)
        };
        let (fx, fy) = (x.fract(), y.fract());
        let upper = at(0, 0) * (1.0 - fx) + at(1, 0) * fx;
        upper * (1.0 - fy) + (at(0, 1) * (1.0 - fx) + at(1, 1) * fx) * fy
    };
    octave(40.0, 1) * 0.5 + octave(13.0, 2) * 0.3 + octave(5.0, 3) * 0.2
}

fn luma(width: usize, height: usize, t: usize) -> Vec<u8> {
    let t = t as f64;
    (0..width * height)
        .map(|i| {
            let (x, y) = ((i % width) as f64, (i / width) as f64);
            let (dx, dy) = (3.0 * (y / 37.0 + t * 0.2).sin() + t * 1.5, 2.0 * (x / 53.0 - t * 0.15).cos());
            pixel(x + dx, y + dy) as u8
        })
        .collect()
}

fn kernels(c: &mut Criterion) {
    let (width, height) = (WIDTH / 2, HEIGHT / 2);
    let planes = [0, 1].map(|t| luma(width, height, t));
    let [first, second] = [0, 1].map(|t: usize| Pyramid::new(&planes[t], width, height));
    let pair = FlowPair::of(&first, &second);
    let mut group = c.benchmark_group("pair at 416x240");
    group.bench_function("pyramid of a frame", |b| {
        b.iter(|| Pyramid::new(black_box(&planes[0]), width, height))
    });
    for set in InstructionSet::ALL.into_iter().filter(|&set| set <= InstructionSet::widest()) {
        group.bench_function(format!("flow, one direction, {set:?}"), |b| {
            set.limit(|| b.iter(|| flow(black_box(&first), &second)));
        });
    }
    group.bench_function("fates, one direction", |b| {
        b.iter(|| fates(black_box(&pair.forward), &pair.backward))
    });
    group.bench_function("flow, both directions and fates", |b| {
        b.iter(|| FlowPair::of(black_box(&first), &second))
    });
    group.bench_function("warp, one direction", |b| b.iter(|| warp(black_box(second.base()), &pair.forward)));
    let warped = warp(second.base(), &pair.forward);
    group.bench_function("match_blocks", |b| {
        b.iter(|| match_blocks(black_box(first.base()), &warped, &pair.forward_fates));
    });
    group.bench_function("flicker_blocks", |b| {
        let way = (&warped, pair.forward_fates.as_slice());
        b.iter(|| flicker_blocks(black_box(first.base()), way, way));
    });
    group.bench_function("global affine fit", |b| {
        b.iter(|| Global::fit(&Lattice::of(black_box(&pair.forward), &pair.forward_fates)));
    });
    group.finish();
}

fn whole_clip(c: &mut Criterion) {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(WIDTH, HEIGHT) * FRAMES);
    for t in 0..FRAMES {
        data.extend(luma(WIDTH, HEIGHT, t));
        data.resize(data.len() + WIDTH * HEIGHT / 2, 128);
    }
    let clip = Yuv420Clip::from_planes(WIDTH, HEIGHT, FRAMES, data).expect("sizes agree");
    let mut group = c.benchmark_group("flow measures of 81 frames");
    group.sample_size(10);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        group.bench_function(format!("{threads} thread(s)"), |bench| {
            bench.iter(|| pool.install(|| FlowMeasures::of(black_box(&clip), FRAMES)));
        });
    }
    group.finish();
}

criterion_group!(benches, kernels, whole_clip);
criterion_main!(benches);
