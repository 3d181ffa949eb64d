//! Cost of the embedding models on the CPU, per image and per clip; `tests/golden/embed/make.py --time` prints
//! PyTorch's for the same work.

use std::{hint::black_box, sync::Arc};

use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use leoma_core::quality::{
    embeddings::{FRAMES, FrameModels as _},
    frame::Yuv420Clip,
};
use leoma_embed::{
    DeviceChoice, Embedder, Models,
    canonical::CanonicalExecutor,
    image::{RgbImage, embedding_image, perceptual_image},
    manifest::default_folder,
    models::{EMBEDDING_SIDE, distance, embeddings, features},
    reader::Networks,
    tensors::TensorExecutor,
};

const WIDTH: usize = 832;
const HEIGHT: usize = 480;

/// A textured clip whose frames all differ.
fn clip(frames: usize, seed: usize) -> Yuv420Clip {
    let size = Yuv420Clip::frame_bytes(WIDTH, HEIGHT);
    let data = (0..frames * size).map(|i| {
        let (frame, at) = (i / size, i % size);
        let cell = (at % WIDTH + frame) / 9 + at / WIDTH / 7 * 131 + seed;
        ((cell as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8
    });
    Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data.collect()).expect("sizes agree")
}

fn image(width: usize, height: usize) -> RgbImage {
    RgbImage::from_pixels(width, height, |x, y| [(x * 3) as u8, (y * 5) as u8, (x * y) as u8])
}

/// Time that all threads of this process were at work so far, in ms, in steps of 10; none off Linux.
fn processor_ms() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in brackets: user and system time are fields 14 and 15 of proc(5), in ticks of 10 ms.
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    Some((fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?) * 10)
}

/// Prints the processor time of one run, the mean of ten: unlike the wall clock's it hardly depends on what else
/// the machine does.
fn processor_time<T>(name: &str, mut work: impl FnMut() -> T) {
    black_box(work());
    let start = processor_ms();
    (0..10).for_each(|_| drop(black_box(work())));
    if let (Some(start), Some(end)) = (start, processor_ms()) {
        println!("{name}: {} ms of processor time", (end - start) / 10);
    }
}

fn networks(c: &mut Criterion, models: &Models) {
    let device = Device::flex();
    let perceptual = TensorExecutor::new(&models.perceptual, &device);
    let embedding = TensorExecutor::new(&models.embedding, &device);
    let half = image(WIDTH / 2, HEIGHT / 2);
    let square = image(EMBEDDING_SIDE, EMBEDDING_SIDE);
    let (steps, tone) = (&models.perceptual.steps, &models.perceptual_tone);
    c.bench_function("flex: perceptual features of one 416x240 image", |bench| {
        bench.iter(|| features(&perceptual, steps, tone, black_box(&half)))
    });
    processor_time("flex: perceptual features of one 416x240 image", || {
        features(&perceptual, steps, tone, &half)
    });
    c.bench_function("flex: perceptual distance of two 416x240 images", |bench| {
        bench.iter(|| {
            let of = || features(&perceptual, steps, tone, black_box(&half));
            distance(&perceptual, &of(), &of())
        })
    });
    for count in [1, 8] {
        let batch = vec![&square; count];
        processor_time(&format!("flex: {count} embeddings"), || {
            embeddings(&embedding, &models.embedding.steps, &models.embedding_tone, &batch)
        });
        c.bench_function(&format!("flex: {count} embeddings"), |bench| {
            bench.iter(|| {
                embeddings(&embedding, &models.embedding.steps, &models.embedding_tone, black_box(&batch))
            })
        });
    }
    let exact = CanonicalExecutor::new(&models.perceptual);
    processor_time("canonical: perceptual features of one 416x240 image", || {
        features(&exact, steps, tone, &half)
    });
    c.bench_function("canonical: perceptual features of one 416x240 image", |bench| {
        bench.iter(|| features(&exact, steps, tone, black_box(&half)))
    });
    let exact = CanonicalExecutor::new(&models.embedding);
    c.bench_function("canonical: 1 embedding", |bench| {
        bench.iter(|| {
            embeddings(&exact, &models.embedding.steps, &models.embedding_tone, black_box(&[&square]))
        })
    });
}

fn whole(c: &mut Criterion, models: &Arc<Models>) {
    let (given, clips) = (clip(1, 1), [clip(81, 1), clip(81, 2)]);
    c.bench_function("both images of a frame", |bench| {
        bench.iter(|| {
            let frame = black_box(&given).frame(0);
            (perceptual_image(frame, WIDTH, HEIGHT), embedding_image(frame, WIDTH, HEIGHT))
        })
    });
    let embedder =
        Embedder::with_models(DeviceChoice::Cpu, Arc::clone(models)).expect("the CPU answers the probe");
    let networks = Networks::new(embedder).expect("pins");
    let mut turn = 0;
    let mut judge = || {
        // Turns, so that no frame but the given one is remembered for long.
        turn += 1;
        let clip = &clips[turn % 2];
        let at = FRAMES.map(|frame| (frame + turn / 2) % clip.len());
        let distance = networks.distance(&given, black_box(clip)).expect("a distance");
        (distance, networks.likeness_at(&given, clip, &at).expect("cosines"))
    };
    let name = "a clip by the networks: distance, eight embeddings, 16 cosines";
    processor_time(name, &mut judge);
    c.bench_function(name, |bench| bench.iter(&mut judge));
    println!("{:?}", networks.health());
}

fn benches(c: &mut Criterion) {
    let folder = default_folder().expect("a cache folder");
    match Models::load(&folder) {
        Ok(models) => {
            let models = Arc::new(models);
            networks(c, &models);
            whole(c, &models);
        }
        Err(error) => eprintln!("!!! SKIPPED: {error}"),
    }
    // Peak resident memory of this process, where the system tells.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
}

criterion_group! { name = all; config = Criterion::default().sample_size(10); targets = benches }
criterion_main!(all);
