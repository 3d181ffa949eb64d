//! Known answers: what the canonical path must give to the bit, and a device within a part of its noise floor.

use crate::{
    canonical::CanonicalExecutor,
    clip::{
        model::{Clip, ClipShape, Layers},
        tower::{image_vectors, text_vector},
    },
    dino::{self, Dino, DinoShape},
    error::EmbedError,
    image::RgbImage,
    loaded::Models,
    models::{EMBEDDING_SIDE, cosine, distance, embeddings, features},
    network::Executor,
    quantised::{COSINE_NOISE, DISTANCE_NOISE, LIKENESS_NOISE, NoiseFloor, PROMPT_NOISE, check},
    transformer::{canonical::CanonicalTowers, parts::ImageTower, tower::Arithmetic},
};

/// A device must meet the known answers within this part of the noise floor: other images are noisier.
const PART: f64 = 0.25;
/// Side of the images whose perceptual distance is known.
const PERCEPTUAL_SIDE: usize = 96;

/// The two quantities of the known answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answers {
    /// Distance of the two drawn images.
    pub distance: f64,
    /// Cosine of their embeddings.
    pub cosine: f64,
}

/// What the canonical path gives on every machine, as bits of f64: depends on the weights and on nothing else.
pub const KNOWN: Answers = Answers {
    distance: f64::from_bits(0x3fd1_dd64_b53e_f910),
    cosine: f64::from_bits(0x3feb_2aa6_e089_c663),
};

/// A drawn image of integers: discs and stripes in colour, the second with other phases.
pub fn drawn(side: usize, phase: usize) -> RgbImage {
    RgbImage::from_pixels(side, side, |x, y| {
        // In 1/256 of the side, so that every size shows the same picture.
        let (x, y) = (x * 256 / side, y * 256 / side);
        let centre = 96 + 48 * phase;
        let radius = x.abs_diff(centre).pow(2) + y.abs_diff(128).pow(2);
        let inside = radius < 64 * 64;
        let stripe = (x + y * (1 + phase)) / 16 % 2 * 80;
        let red = if inside { 220 - radius / 32 } else { 40 + stripe };
        let green = if inside { 60 + stripe } else { 90 + y / 2 };
        let blue = if inside { 40 } else { 200 - x / 2 };
        [red as u8, green as u8, blue as u8]
    })
}

/// The quantities by an executor of each network.
pub fn answers<P: Executor, E: Executor>(models: &Models, perceptual: &P, embedding: &E) -> Answers {
    let of = |phase| {
        features(
            perceptual,
            &models.perceptual.steps,
            &models.perceptual_tone,
            &drawn(PERCEPTUAL_SIDE, phase),
        )
    };
    let (one, other) = (drawn(EMBEDDING_SIDE, 0), drawn(EMBEDDING_SIDE, 1));
    let vectors = embeddings(embedding, &models.embedding.steps, &models.embedding_tone, &[&one, &other]);
    Answers {
        distance: distance(perceptual, &of(0), &of(1)),
        // A device that returns fewer vectors has failed; its answer is no number.
        cosine: if let [one, other] = &vectors[..] { cosine(one, other) } else { f64::NAN },
    }
}

/// Checks that this machine's canonical path gives the known bits.
///
/// # Errors
/// When it does not: a build or a processor that breaks IEEE 754.
pub fn check_canonical(models: &Models) -> Result<(), EmbedError> {
    let canonical = |network| CanonicalExecutor::new(network);
    let got = answers(models, &canonical(&models.perceptual), &canonical(&models.embedding));
    to_the_bit(DISTANCE_NOISE.what, got.distance, KNOWN.distance)?;
    to_the_bit(COSINE_NOISE.what, got.cosine, KNOWN.cosine)
}

fn to_the_bit(what: &'static str, got: f64, expected: f64) -> Result<(), EmbedError> {
    if got.to_bits() == expected.to_bits() {
        return Ok(());
    }
    let show = |value: f64| format!("{value} ({:#018x})", value.to_bits());
    Err(EmbedError::Canonical { what, got: show(got), expected: show(expected) })
}

/// Cosine of the first drawn picture with [`text`] by the drawn small architecture on the canonical path, as bits of f64:
/// depends on nothing but arithmetic, so that it is known without any checkpoint.
pub const KNOWN_FIT: f64 = f64::from_bits(0xbfbc_de3e_e1c5_e2ff);

/// Tokens of the known answers: some that every vocabulary has, between its last two.
pub fn text(shape: &ClipShape) -> Vec<u16> {
    let last = (shape.vocabulary - 1) as u16;
    [last - 1, 3, 77, 401, 12, last].to_vec()
}

/// Cosine of the first drawn picture with [`text`] by an executor of the towers.
pub fn fit<A: Arithmetic>(executor: &A, layers: &Layers<A::Linear, A::Norm>, clip: &Clip) -> f64 {
    let picture = drawn(layers.shape.image_side, 0);
    let vectors = image_vectors(executor, layers, clip, &[&picture]);
    let vector = text_vector(executor, layers, clip, &text(&layers.shape));
    vectors.first().map_or(f64::NAN, |picture| cosine(picture, &vector))
}

/// Checks that this machine's canonical towers give the known bits.
///
/// # Errors
/// When they do not: a build or a processor that breaks IEEE 754.
pub fn check_canonical_towers() -> Result<(), EmbedError> {
    let clip = Clip::drawn(ClipShape::SMALL)?;
    to_the_bit(PROMPT_NOISE.what, fit(&CanonicalTowers, &clip.layers, &clip), KNOWN_FIT)
}

/// Checks a device against the canonical towers with the weights that it will use.
///
/// # Errors
/// When it lies further away than a quarter of the noise floor.
pub fn check_towers<A: Arithmetic>(
    device: &str,
    executor: &A,
    layers: &Layers<A::Linear, A::Norm>,
    clip: &Clip,
) -> Result<(), EmbedError> {
    check(device, &part(PROMPT_NOISE), fit(executor, layers, clip), fit(&CanonicalTowers, &clip.layers, clip))
}

/// Cosine of the two drawn pictures by the drawn small DINOv2 on the canonical path, as bits of f64: depends on nothing but
/// arithmetic, so that it is known without any checkpoint.
pub const KNOWN_LIKENESS: f64 = f64::from_bits(0x3fe9_63b1_77d8_2bde);

/// Cosine of the two drawn pictures by an executor of DINOv2.
pub fn likeness<A: Arithmetic>(executor: &A, tower: &ImageTower<A::Linear, A::Norm>, dino: &Dino) -> f64 {
    let [one, other] = [0, 1].map(|phase| drawn(tower.grid.image_side, phase));
    // A device that returns fewer vectors has failed; its answer is no number.
    match &dino::vectors(executor, tower, dino, &[&one, &other])[..] {
        [one, other] => cosine(one, other),
        _ => f64::NAN,
    }
}

/// Checks that this machine's canonical path gives DINOv2's known bits.
///
/// # Errors
/// When it does not: a build or a processor that breaks IEEE 754.
pub fn check_canonical_dino() -> Result<(), EmbedError> {
    let dino = Dino::drawn(DinoShape::SMALL)?;
    to_the_bit(LIKENESS_NOISE.what, likeness(&CanonicalTowers, &dino.tower, &dino), KNOWN_LIKENESS)
}

/// Checks a device against the canonical path with the DINOv2 that it will use.
///
/// # Errors
/// When it lies further away than a quarter of the noise floor.
pub fn check_dino<A: Arithmetic>(
    device: &str,
    executor: &A,
    tower: &ImageTower<A::Linear, A::Norm>,
    dino: &Dino,
) -> Result<(), EmbedError> {
    let canonical = likeness(&CanonicalTowers, &dino.tower, dino);
    check(device, &part(LIKENESS_NOISE), likeness(executor, tower, dino), canonical)
}

/// The part of a noise floor that known answers may use.
fn part(noise: NoiseFloor) -> NoiseFloor {
    NoiseFloor { relative: noise.relative * PART, absolute: noise.absolute * PART, ..noise }
}

/// Checks a device's answers against the known ones.
///
/// # Errors
/// When one lies further away than a quarter of its noise floor.
pub fn check_device(device: &str, got: Answers) -> Result<(), EmbedError> {
    check(device, &part(DISTANCE_NOISE), got.distance, KNOWN.distance)?;
    check(device, &part(COSINE_NOISE), got.cosine, KNOWN.cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_off_by_more_than_a_part_of_the_floor_is_refused() {
        assert_eq!(check_device("d", KNOWN), Ok(()));
        let off = Answers { cosine: KNOWN.cosine + 0.3 * COSINE_NOISE.absolute, ..KNOWN };
        assert!(matches!(check_device("d", off), Err(EmbedError::Disagrees { .. })));
        let far = Answers { distance: KNOWN.distance * 1.01, ..KNOWN };
        assert!(matches!(check_device("d", far), Err(EmbedError::Disagrees { .. })));
        let nothing = Answers { cosine: f64::NAN, ..KNOWN };
        assert!(matches!(check_device("d", nothing), Err(EmbedError::Disagrees { .. })));
    }

    #[test]
    fn the_drawn_images_differ_and_use_the_range() {
        let (one, other) = (drawn(96, 0), drawn(96, 1));
        assert_ne!(one, other);
        let (low, high) = (one.planes().iter().min(), one.planes().iter().max());
        assert!(low < Some(&50) && high > Some(&200), "{low:?} {high:?}");
    }
}
