//! Every kernel at 832x480: the twin on all cores beside the adapter that the system offers, milliseconds per frame or
//! pair, best of three. Times of the adapter run from the first dispatch to the value on the host, upload excluded.
//!
//! `cargo bench --profile dev --bench gpu` prints a Markdown table; lavapipe is chosen where there is no GPU.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use leoma_core::quality::{
    blockiness, border, color_distance as color_twin, detail as detail_twin, difference as difference_twin,
    flow as flow_twin, frame::Yuv420Clip, layers as layers_twin, measure::ClipMeasures,
    motion as motion_twin, ssim as ssim_twin, verdict::Measure,
};
use leoma_gpu::{
    adapters::AdapterWish,
    device::{DeviceOptions, Generation},
    kernels::{
        Planes,
        blockiness::grid_sums,
        border::bars,
        color_distance::color_distance,
        detail::detail,
        difference::pair_differences,
        flow::{self, Direction},
        layers::explain,
        motion::{Pyramid, motion_fields},
        ssim::ssim,
    },
};
use rayon::prelude::*;

const WIDTH: usize = 832;
const HEIGHT: usize = 480;
const FRAMES: usize = 9;
const PAIRS: usize = FRAMES - 1;

/// Blocks of pseudo-random level that slide by their row: textured everywhere, moving everywhere.
fn clip(frames: usize) -> Yuv420Clip {
    let data = (0..frames)
        .flat_map(|t| {
            (0..Yuv420Clip::frame_bytes(WIDTH, HEIGHT)).map(move |i| {
                let (x, y) = (i % WIDTH + t * (1 + i / WIDTH / 160 % 3), i / WIDTH);
                let cell =
                    (x as u32 / 5).wrapping_mul(0x9e37_79b1) ^ (y as u32 / 5).wrapping_mul(0x85eb_ca77);
                (cell.wrapping_mul(0x2c1b_3c6d) >> 24) as u8
            })
        })
        .collect();
    Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data).expect("sizes agree")
}

fn best(mut run: impl FnMut()) -> Duration {
    // The first run teaches the pacer and fills the pools.
    run();
    (0..3)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .expect("three runs")
}

struct Bench {
    device: Generation,
    clip: Yuv420Clip,
}

impl Bench {
    /// Prints one row: `parts` frames or pairs are in both runs.
    fn row(
        &mut self,
        name: &str,
        parts: usize,
        twin: impl Fn(&Yuv420Clip, usize) + Sync,
        mut stage: impl FnMut(&mut Generation),
    ) {
        let clip = &self.clip;
        let host = best(|| (0..parts).into_par_iter().for_each(|index| twin(clip, index)));
        let device = best(|| stage(&mut self.device));
        let each = |time: Duration| time.as_secs_f64() * 1e3 / parts as f64;
        println!("| {name} | {:.2} | {:.2} |", each(host), each(device));
    }
}

fn main() {
    let device = Generation::open(&DeviceOptions::of(AdapterWish::Any)).expect("an adapter");
    println!(
        "| kernel | twin, {} threads (ms) | {} (ms) |",
        rayon::current_num_threads(),
        device.info().name
    );
    println!("|---|---|---|");
    let mut bench = Bench { clip: clip(FRAMES), device };
    let frames = Planes::of_clip(&bench.device, &bench.clip, 0, FRAMES);
    single_kernels(&mut bench, &frames);
    motion_kernels(&mut bench, &frames);
    drop(frames);
    whole_clip(&mut bench.device);
}

/// Everything that a clip of 81 frames is measured by, upload included, once: milliseconds per clip.
fn whole_clip(device: &mut Generation) {
    let clip = clip(81);
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e3
    };
    let host = time(&mut || drop(ClipMeasures::of(&clip, 81)));
    let gpu = time(&mut || drop(device.clip(&clip, 81).expect("runs")));
    println!("| clip of 81 frames | {host:.0} | {gpu:.0} |");
    println!("\ndevice buffers: {} MiB", device.buffer_bytes() >> 20);
}

fn single_kernels(bench: &mut Bench, frames: &Planes) {
    let y = |clip: &Yuv420Clip, index: usize| clip.frame(index).y.to_vec();
    bench.row(
        "downscale to eighth size",
        FRAMES,
        |clip, i| drop(motion_twin::LumaPyramid::new(&y(clip, i), WIDTH, HEIGHT)),
        |device| {
            let pyramid = Pyramid::of(device, frames).expect("runs");
            detail(device, &pyramid.eighth).expect("runs").read(device).expect("runs");
        },
    );
    bench.row(
        "difference",
        PAIRS,
        |clip, i| {
            black_box(difference_twin::difference(&y(clip, i), &y(clip, i + 1), WIDTH, HEIGHT));
        },
        |device| drop(pair_differences(device, frames, 1).expect("runs").read(device).expect("runs")),
    );
    bench.row(
        "detail",
        FRAMES,
        |clip, i| {
            let plane = y(clip, i);
            black_box(detail_twin::laplacian_energy(&plane, WIDTH, HEIGHT) + detail_twin::luma_sum(&plane));
        },
        |device| drop(detail(device, frames).expect("runs").read(device).expect("runs")),
    );
    bench.row(
        "blockiness",
        FRAMES,
        |clip, i| {
            black_box(blockiness::grid_sums(&y(clip, i), WIDTH, HEIGHT));
        },
        |device| drop(grid_sums(device, frames, 1).expect("runs").read(device).expect("runs")),
    );
    bench.row(
        "border",
        FRAMES,
        |clip, i| {
            black_box(border::bars(&y(clip, i), WIDTH, HEIGHT));
        },
        |device| drop(bars(device, frames, 1).expect("runs").read(device).expect("runs")),
    );
    bench.row(
        "color_distance",
        1,
        |clip, i| {
            black_box(color_twin::color_distance(&clip.frame(i), &clip.frame(i + 1), WIDTH, HEIGHT));
        },
        |device| {
            color_distance(device, frames).expect("runs").read(device).expect("runs");
        },
    );
    bench.row(
        "ssim",
        PAIRS,
        |clip, i| {
            black_box(ssim_twin::ssim(&y(clip, i), &y(clip, i + 1), WIDTH, HEIGHT));
        },
        |device| drop(ssim(device, frames).expect("runs").read(device).expect("runs")),
    );
}

fn motion_kernels(bench: &mut Bench, frames: &Planes) {
    let pyramids: Vec<_> =
        (0..FRAMES).map(|i| motion_twin::LumaPyramid::new(bench.clip.frame(i).y, WIDTH, HEIGHT)).collect();
    let pyramid = Pyramid::of(&mut bench.device, frames).expect("runs");
    bench.row(
        "motion",
        PAIRS,
        |_, i| drop(motion_twin::motion_field(&pyramids[i], &pyramids[i + 1])),
        |device| {
            let fields = motion_fields(device, &pyramid).expect("runs");
            fields.read(device).expect("runs");
        },
    );
    let twins: Vec<_> =
        (0..PAIRS).map(|i| motion_twin::motion_field(&pyramids[i], &pyramids[i + 1])).collect();
    let fields = motion_fields(&mut bench.device, &pyramid).expect("runs");
    bench.row(
        "layers, fit included",
        PAIRS,
        |_, i| {
            black_box(layers_twin::explain(&pyramids[i], &pyramids[i + 1], &twins[i]));
        },
        |device| drop(explain(device, &pyramid.half, &fields).expect("runs")),
    );
    let bases: Vec<_> = pyramids
        .iter()
        .map(|p| flow_twin::Pyramid::new(&p.half_pixels(), p.half().width(), p.half().height()))
        .collect();
    bench.row(
        "flow there and back with fates, 416x240",
        PAIRS,
        |_, i| drop(flow_twin::FlowPair::of(&bases[i], &bases[i + 1])),
        |device| {
            let levels = flow::Pyramid::of(device, &pyramid.half).expect("runs");
            let field = |device: &mut Generation, direction| {
                flow::flow(device, &levels, direction).expect("runs").pop().expect("a base level").field
            };
            let there = field(device, Direction::Forward);
            let back = field(device, Direction::Backward);
            for (a, b) in [(&there, &back), (&back, &there)] {
                flow::fates(device, a, b).expect("runs");
            }
            // Reading any small value waits for all of it.
            detail(device, &pyramid.eighth).expect("runs").read(device).expect("runs");
        },
    );
}
