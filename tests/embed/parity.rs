//! Both paths against PyTorch, on photos and on drawn images.

use burn::tensor::Device;
use leoma_core::quality::frame::Yuv420Clip;
use leoma_embed::{
    Models,
    canonical::CanonicalExecutor,
    image::{RgbImage, embedding_image, perceptual_image},
    models::{cosine, embeddings, features, levels},
    network::Executor,
    probe::drawn,
    tensors::TensorExecutor,
};

use sha2::{Digest as _, Sha256};

use crate::support::{Expected, Summary, damaged, golden, models, photos};

/// Largest error of a number relative to PyTorch's.
const RELATIVE: f64 = 1e-3;

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn perceptual(clip: &Yuv420Clip) -> RgbImage {
    perceptual_image(clip.frame(0), clip.width(), clip.height())
}

fn embedding(clip: &Yuv420Clip) -> RgbImage {
    embedding_image(clip.frame(0), clip.width(), clip.height())
}

/// Both networks by one kind of executor.
struct Path<P, E> {
    name: &'static str,
    perceptual: P,
    embedding: E,
}

impl<P: Executor, E: Executor> Path<P, E> {
    fn levels(&self, models: &Models, one: &RgbImage, other: &RgbImage) -> Vec<f64> {
        let of = |image| features(&self.perceptual, &models.perceptual.steps, &models.perceptual_tone, image);
        levels(&self.perceptual, &of(one), &of(other))
    }

    fn vector(&self, models: &Models, image: &RgbImage) -> Vec<f32> {
        embeddings(&self.embedding, &models.embedding.steps, &models.embedding_tone, &[image]).remove(0)
    }

    fn compare(&self, models: &Models, what: &str, images: [&RgbImage; 4], expected: &Expected) {
        let [one, other, one_small, other_small] = images;
        let got = self.levels(models, one, other);
        let close = |name: &str, got: f64, expected: f64| {
            let error = (got - expected).abs() / expected.abs();
            assert!(error <= RELATIVE, "{} {what} {name}: {got}, PyTorch {expected}", self.name);
        };
        close("distance", got.iter().sum(), expected.distance);
        for (level, (&got, &expected)) in got.iter().zip(&expected.levels).enumerate() {
            close(&format!("level {level}"), got, expected);
        }
        let cosine = cosine(&self.vector(models, one_small), &self.vector(models, other_small));
        close("cosine", cosine, expected.cosine);
    }

    fn compare_vector(&self, models: &Models, what: &str, image: &RgbImage, expected: &Summary) {
        let vector = self.vector(models, image);
        let length = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let error = (length - expected.length).abs() / expected.length;
        assert!(error <= RELATIVE, "{} {what}: length {length}, PyTorch {}", self.name, expected.length);
        let step = vector.len() / expected.samples.len();
        let typical = (length / vector.len() as f64).max(length / (vector.len() as f64).sqrt());
        for (got, expected) in vector.iter().step_by(step).zip(&expected.samples) {
            let error = f64::from((got - expected).abs()) / f64::from(expected.abs()).max(typical);
            assert!(error <= RELATIVE, "{} {what}: {got}, PyTorch {expected}", self.name);
        }
    }
}

fn fast(models: &Models) -> Path<TensorExecutor, TensorExecutor> {
    let device = Device::flex();
    Path {
        name: "flex",
        perceptual: TensorExecutor::new(&models.perceptual, &device),
        embedding: TensorExecutor::new(&models.embedding, &device),
    }
}

fn exact(models: &Models) -> Path<CanonicalExecutor<'_>, CanonicalExecutor<'_>> {
    Path {
        name: "canonical",
        perceptual: CanonicalExecutor::new(&models.perceptual),
        embedding: CanonicalExecutor::new(&models.embedding),
    }
}

#[test]
fn preprocessing_is_the_independent_one_to_the_bit() {
    for (photo, clip) in photos() {
        assert_eq!(
            sha(clip.as_bytes()),
            photo.planes_sha256,
            "{}: the decoder gave other planes",
            photo.name
        );
        assert_eq!(sha(perceptual(clip).planes()), photo.perceptual_image_sha256, "{}", photo.name);
        assert_eq!(sha(embedding(clip).planes()), photo.embedding_image_sha256, "{}", photo.name);
        assert!(photo.opencv_resize_largest_difference <= 1, "{}", photo.name);
    }
}

#[test]
fn photos_score_as_in_pytorch() {
    let Some(models) = models() else { return };
    let fast = fast(&models);
    for (photo, clip) in photos() {
        fast.compare_vector(&models, &photo.name, &embedding(clip), &photo.embedding);
        for (variant, expected) in &photo.variants {
            let other = match variant.as_str() {
                "other" => photos()[0].1.clone(),
                damage => damaged(clip, damage),
            };
            let images = [&perceptual(clip), &perceptual(&other), &embedding(clip), &embedding(&other)];
            fast.compare(&models, &format!("{} {variant}", photo.name), images, expected);
        }
    }
}

#[test]
fn drawn_images_score_as_in_pytorch_on_both_paths() {
    let Some(models) = models() else { return };
    let golden = golden().drawn;
    let images = [&drawn(96, 0), &drawn(96, 1), &drawn(224, 0), &drawn(224, 1)];
    let (fast, exact) = (fast(&models), exact(&models));
    fast.compare(&models, "drawn", images, &golden.expected);
    exact.compare(&models, "drawn", images, &golden.expected);
    fast.compare_vector(&models, "drawn", images[2], &golden.embedding);
    exact.compare_vector(&models, "drawn", images[2], &golden.embedding);
}

#[test]
fn a_photo_scores_as_in_pytorch_on_the_canonical_path() {
    let Some(models) = models() else { return };
    let Some((photo, clip)) = photos().first() else { return };
    let exact = exact(&models);
    let other = damaged(clip, "mosaic");
    let images = [&perceptual(clip), &perceptual(&other), &embedding(clip), &embedding(&other)];
    exact.compare(&models, &photo.name, images, &photo.variants["mosaic"]);
}

#[test]
fn equal_images_have_distance_zero_and_cosine_one() {
    let Some(models) = models() else { return };
    let (fast, exact) = (fast(&models), exact(&models));
    let (image, small) = (drawn(96, 0), drawn(224, 0));
    for distance in [fast.levels(&models, &image, &image), exact.levels(&models, &image, &image)] {
        assert_eq!(distance.iter().sum::<f64>(), 0.0);
    }
    for vector in [fast.vector(&models, &small), exact.vector(&models, &small)] {
        assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-12);
    }
}
