//! Both paths against PyTorch, on photos and on drawn images.

use std::{cell::RefCell, collections::BTreeMap};

use burn::tensor::Device;
use leoma_core::quality::frame::Yuv420Clip;
use leoma_embed::{
    Models,
    canonical::CanonicalExecutor,
    image::{RgbImage, embedding_image, perceptual_image},
    models::{Features, cosine, embeddings, features, levels},
    network::Executor,
    probe::drawn,
    tensors::TensorExecutor,
};

use sha2::{Digest as _, Sha256};

use crate::support::{Drawn, Expected, Summary, damaged, golden, models, photos};

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
    /// Largest error relative to PyTorch so far, by what was compared.
    worst: RefCell<BTreeMap<&'static str, f64>>,
}

/// What a path makes of one picture.
struct Seen<M> {
    features: Features<M>,
    vector: Vec<f32>,
}

impl<P: Executor, E: Executor> Path<P, E> {
    /// `image` for the perceptual distance, `small` for the embedding.
    fn see(&self, models: &Models, image: &RgbImage, small: &RgbImage) -> Seen<P::Maps> {
        Seen {
            features: features(&self.perceptual, &models.perceptual.steps, &models.perceptual_tone, image),
            vector: embeddings(&self.embedding, &models.embedding.steps, &models.embedding_tone, &[small])
                .remove(0),
        }
    }

    fn levels(&self, one: &Seen<P::Maps>, other: &Seen<P::Maps>) -> Vec<f64> {
        levels(&self.perceptual, &one.features, &other.features)
    }

    /// Notes an error, which must be small.
    fn note(&self, kind: &'static str, error: f64, message: impl FnOnce() -> String) {
        assert!(error <= RELATIVE, "{} {}", self.name, message());
        let mut worst = self.worst.borrow_mut();
        let so_far = worst.entry(kind).or_default();
        *so_far = so_far.max(error);
    }

    /// Prints the largest errors, for scripts/parity.py.
    fn tell(&self, pictures: &str) {
        for (kind, worst) in &*self.worst.borrow() {
            eprintln!("{} {pictures} {kind}: largest error relative to PyTorch {worst:.2e}", self.name);
        }
    }

    fn compare(&self, what: &str, one: &Seen<P::Maps>, other: &Seen<P::Maps>, expected: &Expected) {
        let got = self.levels(one, other);
        let close = |kind: &'static str, name: &str, got: f64, expected: f64| {
            let error = (got - expected).abs() / expected.abs();
            self.note(kind, error, || format!("{what} {name}: {got}, PyTorch {expected}"));
        };
        close("distance", "distance", got.iter().sum(), expected.distance);
        for (level, (&got, &expected)) in got.iter().zip(&expected.levels).enumerate() {
            close("distance", &format!("level {level}"), got, expected);
        }
        close("cosine", "cosine", cosine(&one.vector, &other.vector), expected.cosine);
    }

    fn compare_vector(&self, what: &str, seen: &Seen<P::Maps>, expected: &Summary) {
        let vector = &seen.vector;
        let length = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let error = (length - expected.length).abs() / expected.length;
        self.note("vector", error, || format!("{what}: length {length}, PyTorch {}", expected.length));
        let step = vector.len() / expected.samples.len();
        let typical = (length / vector.len() as f64).max(length / (vector.len() as f64).sqrt());
        for (got, expected) in vector.iter().step_by(step).zip(&expected.samples) {
            let error = f64::from((got - expected).abs()) / f64::from(expected.abs()).max(typical);
            self.note("vector", error, || format!("{what}: {got}, PyTorch {expected}"));
        }
    }
}

fn fast(models: &Models) -> Path<TensorExecutor, TensorExecutor> {
    let device = Device::flex();
    Path {
        name: "flex",
        perceptual: TensorExecutor::new(&models.perceptual, &device),
        embedding: TensorExecutor::new(&models.embedding, &device),
        worst: RefCell::default(),
    }
}

fn exact(models: &Models) -> Path<CanonicalExecutor<'_>, CanonicalExecutor<'_>> {
    Path {
        name: "canonical",
        perceptual: CanonicalExecutor::new(&models.perceptual),
        embedding: CanonicalExecutor::new(&models.embedding),
        worst: RefCell::default(),
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
    let see = |clip: &Yuv420Clip| fast.see(&models, &perceptual(clip), &embedding(clip));
    let mut first = None;
    for (photo, clip) in photos() {
        let seen = see(clip);
        fast.compare_vector(&photo.name, &seen, &photo.embedding);
        for (variant, expected) in &photo.variants {
            let what = format!("{} {variant}", photo.name);
            match (variant.as_str(), &first) {
                ("other", Some(other)) => fast.compare(&what, &seen, other, expected),
                (damage, _) => fast.compare(&what, &seen, &see(&damaged(clip, damage)), expected),
            }
        }
        first.get_or_insert(seen);
    }
    fast.tell("photos");
}

#[test]
fn drawn_images_score_as_in_pytorch_on_both_paths() {
    let Some(models) = models() else { return };
    let golden = golden().drawn;
    let images = [&drawn(96, 0), &drawn(96, 1), &drawn(224, 0), &drawn(224, 1)];
    fn check<P: Executor, E: Executor>(
        path: &Path<P, E>,
        models: &Models,
        images: [&RgbImage; 4],
        golden: &Drawn,
    ) {
        let (one, other) = (path.see(models, images[0], images[2]), path.see(models, images[1], images[3]));
        path.compare("drawn", &one, &other, &golden.expected);
        path.compare_vector("drawn", &one, &golden.embedding);
        // Equal images: no distance at all, and a cosine of one.
        assert_eq!(path.levels(&one, &one).iter().sum::<f64>(), 0.0);
        assert!((cosine(&one.vector, &one.vector) - 1.0).abs() < 1e-12);
        path.tell("drawn");
    }
    check(&fast(&models), &models, images, &golden);
    check(&exact(&models), &models, images, &golden);
}
