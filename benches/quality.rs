//! Cost of the CPU twins on one 832x480 clip of 81 frames, whole and kernel by kernel.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use leoma_core::quality::{
    blockiness::grid_sums,
    detail::laplacian_energy,
    difference::difference,
    frame::Yuv420Clip,
    layers::explain,
    looks::{bands::band_sums, color::color_sums, luma::luma_sums},
    measure::ClipMeasures,
    motion::{LumaPyramid, motion_field},
    octaves::octaves,
    ssim::ssim,
    strokes::{strokes, surroundings},
};

const WIDTH: usize = 832;
const HEIGHT: usize = 480;
const FRAMES: usize = 81;

/// Blocks of pseudo-random level that slide by their row: textured everywhere, moving everywhere.
fn clip() -> Yuv420Clip {
    let data = (0..FRAMES)
        .flat_map(|t| {
            (0..Yuv420Clip::frame_bytes(WIDTH, HEIGHT)).map(move |i| {
                let (x, y) = (i % WIDTH + t * (1 + i / WIDTH / 160 % 3), i / WIDTH);
                let cell =
                    (x as u32 / 5).wrapping_mul(0x9e37_79b1) ^ (y as u32 / 5).wrapping_mul(0x85eb_ca77);
                (cell.wrapping_mul(0x2c1b_3c6d) >> 24) as u8
            })
        })
        .collect();
    Yuv420Clip::from_planes(WIDTH, HEIGHT, FRAMES, data).expect("sizes agree")
}

fn kernels(c: &mut Criterion) {
    let clip = clip();
    let (a, b) = (clip.frame(0).y, clip.frame(1).y);
    let pyramids = [a, b].map(|y| LumaPyramid::new(y, WIDTH, HEIGHT));
    let field = motion_field(&pyramids[0], &pyramids[1]);
    c.bench_function("pyramid of a frame", |bench| {
        bench.iter(|| LumaPyramid::new(black_box(a), WIDTH, HEIGHT))
    });
    c.bench_function("difference of a pair", |bench| {
        bench.iter(|| difference(black_box(a), b, WIDTH, HEIGHT))
    });
    c.bench_function("motion of a pair", |bench| {
        bench.iter(|| motion_field(black_box(&pyramids[0]), &pyramids[1]));
    });
    c.bench_function("layers of a pair", |bench| {
        bench.iter(|| explain(&pyramids[0], &pyramids[1], black_box(&field)));
    });
    c.bench_function("ssim of a frame", |bench| bench.iter(|| ssim(black_box(a), b, WIDTH, HEIGHT)));
    c.bench_function("blockiness of a frame", |bench| bench.iter(|| grid_sums(black_box(a), WIDTH, HEIGHT)));
    c.bench_function("colours of a frame", |bench| {
        bench.iter(|| color_sums(black_box(&clip.frame(0)), WIDTH, HEIGHT));
    });
    c.bench_function("phases and rings of a frame", |bench| {
        bench.iter(|| luma_sums(black_box(a), WIDTH, HEIGHT));
    });
    c.bench_function("bands of a frame", |bench| bench.iter(|| band_sums(black_box(a), WIDTH, HEIGHT)));
    let half = pyramids.each_ref().map(LumaPyramid::half_pixels);
    c.bench_function("octaves of a frame", |bench| {
        bench.iter(|| octaves(black_box(a), &half[0], WIDTH, HEIGHT));
    });
    let known = surroundings(&half[0], WIDTH / 2, HEIGHT / 2);
    c.bench_function("strokes of a window", |bench| {
        bench.iter(|| strokes(black_box([&half[0], &half[1], &half[1]]), &known, WIDTH / 2, HEIGHT / 2));
    });
    c.bench_function("detail of a frame", |bench| {
        bench.iter(|| laplacian_energy(black_box(a), WIDTH, HEIGHT))
    });
}

fn whole_clip(c: &mut Criterion) {
    let clip = clip();
    let mut group = c.benchmark_group("clip of 81 frames");
    group.sample_size(10);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        group.bench_function(format!("{threads} thread(s)"), |bench| {
            bench.iter(|| pool.install(|| ClipMeasures::of(black_box(&clip), FRAMES)));
        });
    }
    group.finish();
}

criterion_group!(benches, kernels, whole_clip);
criterion_main!(benches);
