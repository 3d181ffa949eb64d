//! What the embedding thread owns: the device, both networks on it, and what it remembers of recent images.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use burn::tensor::Device;

use crate::{
    canonical::{CanonicalExecutor, Maps},
    clip::lane::TextLane,
    dino::{self, Dino},
    embedder::{DeviceChoice, reason_of},
    error::EmbedError,
    image::RgbImage,
    loaded::Models,
    models::{Features, cosine, distance, embeddings, features},
    probe,
    quantised::{COSINE_NOISE, DISTANCE_NOISE, LIKENESS_NOISE, NoiseFloor, Settled, settle},
    tensors::TensorExecutor,
    transformer::{
        canonical::CanonicalTowers,
        parts::ImageTower,
        tensors::{DeviceLinear, DeviceNorm, TensorTowers},
    },
};

/// Given frames whose features are kept: miners of one round share one. Features of an 832x480 frame take 17 MB.
const KEPT_FEATURES: usize = 2;
/// Images whose embeddings are kept: a given frame and the reference's frames, 150 KB each.
const KEPT_EMBEDDINGS: usize = 64;
/// Images that go through the embedder at once.
const BATCH: usize = 8;

/// The newest few results by image or text.
pub(crate) struct Recent<V, K = RgbImage> {
    most: usize,
    entries: VecDeque<(K, V)>,
}

impl<V, K: PartialEq> Recent<V, K> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, entries: VecDeque::with_capacity(most) }
    }

    pub(crate) fn find(&self, image: &K) -> Option<&V> {
        self.entries.iter().find(|(known, _)| known == image).map(|(_, value)| value)
    }

    pub(crate) fn keep(&mut self, image: K, value: V) {
        if self.entries.len() == self.most {
            self.entries.pop_front();
        }
        self.entries.push_back((image, value));
    }
}

type TensorFeatures = Features<burn::tensor::Tensor<4>>;

/// The embedder on the device.
enum Embedding {
    MobileNet(TensorExecutor),
    Dino(TensorTowers, Box<ImageTower<DeviceLinear, DeviceNorm>>, Arc<Dino>),
}

impl Embedding {
    fn dino(dino: &Arc<Dino>, handle: &Device, device: &str) -> Result<Self, EmbedError> {
        let towers = TensorTowers::new(handle);
        let tower = Box::new(dino.on(&towers));
        probe::check_dino(device, &towers, &tower, dino)?;
        Ok(Self::Dino(towers, tower, Arc::clone(dino)))
    }

    fn vectors(&self, models: &Models, images: &[&RgbImage]) -> Vec<Vec<f32>> {
        match self {
            Self::MobileNet(executor) => {
                embeddings(executor, &models.embedding.steps, &models.embedding_tone, images)
            }
            Self::Dino(towers, tower, dino) => dino::vectors(towers, tower, dino, images),
        }
    }

    fn noise(&self) -> &'static NoiseFloor {
        match self {
            Self::MobileNet(_) => &COSINE_NOISE,
            Self::Dino(..) => &LIKENESS_NOISE,
        }
    }
}

pub(crate) struct Lane {
    models: Arc<Models>,
    device: String,
    perceptual: TensorExecutor,
    embedding: Embedding,
    given: Recent<Arc<TensorFeatures>>,
    given_canonical: Recent<Arc<Features<Maps>>>,
    vectors: Recent<Arc<[f32]>>,
    vectors_canonical: Recent<Arc<[f32]>>,
    text: Option<TextLane>,
}

impl Lane {
    /// Opens the device, uploads the weights and asks for the known answers.
    pub(crate) fn open(choice: DeviceChoice, models: Arc<Models>) -> Result<Self, EmbedError> {
        let (handle, device) = open_device(choice)?;
        let perceptual = TensorExecutor::new(&models.perceptual, &handle);
        let embedding = TensorExecutor::new(&models.embedding, &handle);
        probe::check_device(&device, probe::answers(&models, &perceptual, &embedding))?;
        let embedding = match &models.dino {
            Some(dino) => Embedding::dino(dino, &handle, &device)?,
            None => Embedding::MobileNet(embedding),
        };
        let text = models.clip.as_ref().map(|clip| TextLane::open(clip, &handle, &device)).transpose()?;
        Ok(Self {
            text,
            models,
            device,
            perceptual,
            embedding,
            given: Recent::new(KEPT_FEATURES),
            given_canonical: Recent::new(KEPT_FEATURES),
            vectors: Recent::new(KEPT_EMBEDDINGS),
            vectors_canonical: Recent::new(KEPT_EMBEDDINGS),
        })
    }

    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Perceptual distance of a returned image from the given one.
    pub(crate) fn distance(&mut self, given: &RgbImage, returned: &RgbImage) -> Result<Settled, EmbedError> {
        let models = Arc::clone(&self.models);
        let (steps, tone) = (&models.perceptual.steps, &models.perceptual_tone);
        let known = self.given.find(given).cloned().unwrap_or_else(|| {
            let fresh = Arc::new(features(&self.perceptual, steps, tone, given));
            self.given.keep(given.clone(), Arc::clone(&fresh));
            fresh
        });
        let raw = distance(&self.perceptual, &known, &features(&self.perceptual, steps, tone, returned));
        settle(&self.device, &DISTANCE_NOISE, raw, || {
            let canonical = CanonicalExecutor::new(&models.perceptual);
            let known = self.given_canonical.find(given).cloned().unwrap_or_else(|| {
                let fresh = Arc::new(features(&canonical, steps, tone, given));
                self.given_canonical.keep(given.clone(), Arc::clone(&fresh));
                fresh
            });
            distance(&canonical, &known, &features(&canonical, steps, tone, returned))
        })
    }

    /// Cosines of the embeddings of pairs of images, by their indices. The caller has checked the indices.
    pub(crate) fn cosines(
        &mut self,
        images: &[RgbImage],
        pairs: &[(usize, usize)],
    ) -> Result<Vec<Settled>, EmbedError> {
        let vectors = self.vectors(images)?;
        let noise = self.embedding.noise();
        let mut settled = Vec::with_capacity(pairs.len());
        for &(one, other) in pairs {
            let raw = cosine(&vectors[one], &vectors[other]);
            settled.push(settle(&self.device, noise, raw, || {
                let (one, other) = (&images[one], &images[other]);
                let models = &self.models;
                let cache = &mut self.vectors_canonical;
                cosine(&canonical_vector(models, cache, one), &canonical_vector(models, cache, other))
            })?);
        }
        Ok(settled)
    }

    /// Cosines of images with texts, image by image. The caller has checked the texts' lengths.
    pub(crate) fn fits(
        &mut self,
        images: &[RgbImage],
        texts: &[Vec<u16>],
    ) -> Result<Vec<Settled>, EmbedError> {
        self.text.as_mut().ok_or(EmbedError::NoTextModel)?.fits(images, texts)
    }

    fn vectors(&mut self, images: &[RgbImage]) -> Result<Vec<Arc<[f32]>>, EmbedError> {
        let mut vectors: Vec<_> = images.iter().map(|image| self.vectors.find(image).cloned()).collect();
        let missing: Vec<usize> = (0..images.len()).filter(|&index| vectors[index].is_none()).collect();
        for indices in missing.chunks(BATCH) {
            let batch: Vec<_> = indices.iter().map(|&index| &images[index]).collect();
            let fresh = self.embedding.vectors(&self.models, &batch);
            for (&index, vector) in indices.iter().zip(fresh) {
                let vector: Arc<[f32]> = vector.into();
                self.vectors.keep(images[index].clone(), Arc::clone(&vector));
                vectors[index] = Some(vector);
            }
        }
        let all: Option<Vec<_>> = vectors.into_iter().collect();
        all.ok_or_else(|| EmbedError::Device("it returned fewer embeddings than images".into()))
    }
}

fn canonical_vector(models: &Models, cache: &mut Recent<Arc<[f32]>>, image: &RgbImage) -> Arc<[f32]> {
    if let Some(known) = cache.find(image) {
        return Arc::clone(known);
    }
    let mut vectors = match &models.dino {
        Some(dino) => dino::vectors(&CanonicalTowers, &dino.tower, dino, &[image]),
        None => {
            let executor = CanonicalExecutor::new(&models.embedding);
            embeddings(&executor, &models.embedding.steps, &models.embedding_tone, &[image])
        }
    };
    let vector: Arc<[f32]> = vectors.pop().unwrap_or_default().into();
    cache.keep(image.clone(), Arc::clone(&vector));
    vector
}

fn open_device(choice: DeviceChoice) -> Result<(Device, String), EmbedError> {
    // The runtime behind a wgpu device is set up once per process and never goes away.
    static GPU: OnceLock<Result<(Device, String), EmbedError>> = OnceLock::new();
    match choice {
        DeviceChoice::Cpu => Ok((Device::flex(), "cpu-flex".into())),
        DeviceChoice::Gpu => GPU.get_or_init(open_gpu).clone(),
    }
}

fn open_gpu() -> Result<(Device, String), EmbedError> {
    // cubecl panics where no adapter fits.
    let opened = catch_unwind(AssertUnwindSafe(|| Device::wgpu_options().init_with_setup()));
    let (device, setup) = opened
        .map_err(|panic| EmbedError::Device(reason_of(&*panic)))?
        .map_err(|error| EmbedError::Device(format!("{error:?}")))?;
    let name = setup.adapter.get_info().name;
    Ok((device, format!("wgpu-{} {name}", format!("{:?}", setup.backend).to_lowercase())))
}
