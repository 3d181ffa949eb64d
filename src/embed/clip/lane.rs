//! What the embedding thread keeps of the text model: the towers on the device, and recent vectors.

use std::sync::Arc;

use burn::tensor::Device;

use crate::{
    clip::{
        model::{Clip, Layers},
        tower::{image_vectors, text_vector},
    },
    error::EmbedError,
    image::RgbImage,
    lane::Recent,
    models::cosine,
    probe,
    quantised::{PROMPT_NOISE, Settled, settle},
    transformer::{
        canonical::CanonicalTowers,
        tensors::{DeviceLinear, DeviceNorm, TensorTowers},
    },
};

/// Pictures whose vectors are kept, 150 KB each: all views of the real clip and the given frame of a round.
const KEPT_PICTURES: usize = 128;
/// Texts whose vectors are kept: prompts and distractors of a few rounds.
const KEPT_TEXTS: usize = 256;
/// Pictures that go through the image tower at once.
const BATCH: usize = 8;

type Vector = Arc<[f32]>;

pub(crate) struct TextLane {
    clip: Arc<Clip>,
    device: String,
    towers: TensorTowers,
    layers: Layers<DeviceLinear, DeviceNorm>,
    pictures: Recent<Vector>,
    pictures_canonical: Recent<Vector>,
    texts: Recent<Vector, Vec<u16>>,
    texts_canonical: Recent<Vector, Vec<u16>>,
}

impl TextLane {
    /// Uploads the weights and compares the device with the canonical path on them.
    pub(crate) fn open(clip: &Arc<Clip>, handle: &Device, device: &str) -> Result<Self, EmbedError> {
        let towers = TensorTowers::new(handle);
        let layers = clip.on(&towers);
        probe::check_towers(device, &towers, &layers, clip)?;
        Ok(Self {
            clip: Arc::clone(clip),
            device: device.to_owned(),
            towers,
            layers,
            pictures: Recent::new(KEPT_PICTURES),
            pictures_canonical: Recent::new(KEPT_PICTURES),
            texts: Recent::new(KEPT_TEXTS),
            texts_canonical: Recent::new(KEPT_TEXTS),
        })
    }

    /// Cosines of images with texts, image by image.
    pub(crate) fn fits(
        &mut self,
        images: &[RgbImage],
        texts: &[Vec<u16>],
    ) -> Result<Vec<Settled>, EmbedError> {
        let pictures = self.picture_vectors(images)?;
        let words: Vec<Vector> = texts.iter().map(|text| self.text(text)).collect();
        let mut settled = Vec::with_capacity(images.len() * texts.len());
        for (image, picture) in images.iter().zip(&pictures) {
            for (text, word) in texts.iter().zip(&words) {
                let raw = cosine(picture, word);
                let (clip, pictures) = (&self.clip, &mut self.pictures_canonical);
                let known = &mut self.texts_canonical;
                settled.push(settle(&self.device, &PROMPT_NOISE, raw, || {
                    let picture = remembered(pictures, image, || canonical_picture(clip, image));
                    let word =
                        remembered(known, text, || text_vector(&CanonicalTowers, &clip.layers, clip, text));
                    cosine(&picture, &word)
                })?);
            }
        }
        Ok(settled)
    }

    fn picture_vectors(&mut self, images: &[RgbImage]) -> Result<Vec<Vector>, EmbedError> {
        let mut vectors: Vec<_> = images.iter().map(|image| self.pictures.find(image).cloned()).collect();
        let missing: Vec<usize> = (0..images.len()).filter(|&index| vectors[index].is_none()).collect();
        for indices in missing.chunks(BATCH) {
            let batch: Vec<_> = indices.iter().map(|&index| &images[index]).collect();
            let fresh = image_vectors(&self.towers, &self.layers, &self.clip, &batch);
            for (&index, vector) in indices.iter().zip(fresh) {
                let vector: Vector = vector.into();
                self.pictures.keep(images[index].clone(), Arc::clone(&vector));
                vectors[index] = Some(vector);
            }
        }
        let all: Option<Vec<_>> = vectors.into_iter().collect();
        all.ok_or_else(|| EmbedError::Device("it returned fewer vectors than pictures".into()))
    }

    fn text(&mut self, text: &Vec<u16>) -> Vector {
        let (towers, layers, clip) = (&self.towers, &self.layers, &self.clip);
        remembered(&mut self.texts, text, || text_vector(towers, layers, clip, text))
    }
}

fn canonical_picture(clip: &Clip, image: &RgbImage) -> Vec<f32> {
    image_vectors(&CanonicalTowers, &clip.layers, clip, &[image]).pop().unwrap_or_default()
}

fn remembered<K: PartialEq + Clone>(
    recent: &mut Recent<Vector, K>,
    key: &K,
    fresh: impl FnOnce() -> Vec<f32>,
) -> Vector {
    if let Some(known) = recent.find(key) {
        return Arc::clone(known);
    }
    let vector: Vector = fresh().into();
    recent.keep(key.clone(), Arc::clone(&vector));
    vector
}
