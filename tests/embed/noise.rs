//! How far the fast paths lie from the canonical one: the measurement behind the noise floors.
//!
//! `--nocapture` shows the figures of `docs/models.md`.

use burn::tensor::Device;
use leoma_core::quality::frame::Yuv420Clip;
use leoma_embed::{
    Models,
    canonical::CanonicalExecutor,
    image::{embedding_image, perceptual_image},
    models::{Features, cosine, distance, embeddings, features},
    network::Executor,
    quantised::{COSINE_NOISE, DISTANCE_NOISE, NoiseFloor},
    tensors::TensorExecutor,
};

use crate::{
    reordered::Reordered,
    support::{damaged, models, photos, textured},
};

/// Noise must stay below this part of the floor.
const PART: f64 = 0.25;

fn features_by<E: Executor>(models: &Models, executor: &E, clip: &Yuv420Clip) -> Features<E::Maps> {
    let image = perceptual_image(clip.frame(0), clip.width(), clip.height());
    features(executor, &models.perceptual.steps, &models.perceptual_tone, &image)
}

/// Distances of each picture from the next one.
fn distances_by<E: Executor>(models: &Models, executor: &E, clips: &[&Yuv420Clip]) -> Vec<f64> {
    let seen: Vec<_> = clips.iter().map(|clip| features_by(models, executor, clip)).collect();
    seen.windows(2).map(|pair| distance(executor, &pair[0], &pair[1])).collect()
}

fn vector_by<E: Executor>(models: &Models, executor: &E, clip: &Yuv420Clip) -> Vec<f32> {
    let image = embedding_image(clip.frame(0), clip.width(), clip.height());
    embeddings(executor, &models.embedding.steps, &models.embedding_tone, &[&image]).remove(0)
}

/// Largest noise of a path, in parts of the floor.
struct Worst {
    path: &'static str,
    noise: NoiseFloor,
    part: f64,
    at: String,
}

impl Worst {
    fn new(path: &'static str, noise: NoiseFloor) -> Self {
        Self { path, noise, part: 0.0, at: String::new() }
    }

    fn see(&mut self, what: &str, raw: f64, canonical: f64) {
        let part = (raw - canonical).abs() / self.noise.around(canonical);
        if part >= self.part {
            (self.part, self.at) = (part, format!("{what}: {raw} against {canonical}"));
        }
    }

    fn check(&self) {
        let percent = self.part * 100.0;
        eprintln!(
            "noise of {} by {}: {percent:.2} % of its floor at {}",
            self.noise.what, self.path, self.at
        );
        assert!(self.part <= PART, "{} {percent} % {}", self.path, self.at);
    }
}

/// Pictures at the ends: flat, black, white, saturated, one pixel off.
fn extremes(width: usize, height: usize) -> Vec<(&'static str, Yuv420Clip)> {
    let area = width * height;
    let flat = |y: u8, u: u8, v: u8| [vec![y; area], vec![u; area / 4], vec![v; area / 4]].concat();
    let mut spot = flat(128, 128, 128);
    spot[area / 2 + width / 2] = 235;
    [
        ("grey", flat(128, 128, 128)),
        ("black", flat(16, 128, 128)),
        ("white", flat(235, 128, 128)),
        ("red", flat(81, 90, 240)),
        ("spot", spot),
    ]
    .into_iter()
    .map(|(name, planes)| (name, Yuv420Clip::from_planes(width, height, 1, planes).expect("even sides")))
    .collect()
}

#[test]
fn small_pictures_stay_within_a_quarter_of_the_floor_on_every_path() {
    let Some(models) = models() else { return };
    let device = Device::flex();
    let fast = TensorExecutor::new(&models.perceptual, &device);
    let (exact, other_machine) = (CanonicalExecutor::new(&models.perceptual), Reordered(&models.perceptual));
    let mut worst = [Worst::new("flex", DISTANCE_NOISE), Worst::new("another order, fused", DISTANCE_NOISE)];
    let mut pictures = extremes(96, 64);
    pictures.extend((0..12).map(|seed| ("textured", textured(96, 64, seed))));
    let clips: Vec<_> = pictures.iter().map(|(_, clip)| clip).collect();
    let canonical = distances_by(&models, &exact, &clips);
    let paths = [distances_by(&models, &fast, &clips), distances_by(&models, &other_machine, &clips)];
    for (worst, raw) in worst.iter_mut().zip(&paths) {
        for (((name, _), raw), canonical) in pictures.iter().zip(raw).zip(&canonical) {
            worst.see(name, *raw, *canonical);
        }
    }
    worst.iter().for_each(Worst::check);
}

#[test]
fn embeddings_stay_within_a_quarter_of_the_floor_on_every_path() {
    let Some(models) = models() else { return };
    let device = Device::flex();
    let fast = TensorExecutor::new(&models.embedding, &device);
    let (exact, other_machine) = (CanonicalExecutor::new(&models.embedding), Reordered(&models.embedding));
    let mut worst = [Worst::new("flex", COSINE_NOISE), Worst::new("another order, fused", COSINE_NOISE)];
    let mut pictures: Vec<_> = extremes(96, 64);
    pictures.extend((0..3).map(|seed| ("textured", textured(96, 64, seed))));
    pictures.extend(photos().iter().take(2).map(|(photo, clip)| (photo.name.as_str(), clip.clone())));
    let vectors: Vec<_> = pictures
        .iter()
        .map(|(_, clip)| {
            let vector = |fast: Vec<f32>, exact: Vec<f32>, reordered: Vec<f32>| [exact, fast, reordered];
            vector(
                vector_by(&models, &fast, clip),
                vector_by(&models, &exact, clip),
                vector_by(&models, &other_machine, clip),
            )
        })
        .collect();
    for one in 0..vectors.len() {
        for other in 0..one {
            let by = |path: usize| cosine(&vectors[one][path], &vectors[other][path]);
            let what = format!("{} and {}", pictures[one].0, pictures[other].0);
            worst[0].see(&what, by(1), by(0));
            worst[1].see(&what, by(2), by(0));
        }
    }
    worst.iter().for_each(Worst::check);
}

#[test]
fn photos_stay_within_a_quarter_of_the_floor() {
    let Some(models) = models() else { return };
    let device = Device::flex();
    let fast = TensorExecutor::new(&models.perceptual, &device);
    let exact = CanonicalExecutor::new(&models.perceptual);
    let mut worst = Worst::new("flex", DISTANCE_NOISE);
    for (photo, clip) in photos().iter().take(2) {
        let other = damaged(clip, "dark");
        let canonical = distances_by(&models, &exact, &[clip, &other])[0];
        worst.see(&photo.name, distances_by(&models, &fast, &[clip, &other])[0], canonical);
    }
    worst.check();
}
