//! Both networks with their weights, read from a folder of models.

use std::{path::Path, sync::Arc};

use crate::{
    clip::{
        self, ClipShape,
        model::{CLIP, Clip},
    },
    dino::{
        self, DinoShape,
        model::{DINO, Dino},
    },
    error::EmbedError,
    image::Tone,
    import::import,
    manifest::Manifest,
    models::{EMBEDDING, PERCEPTUAL, embedding_source, embedding_tone, perceptual_source, perceptual_tone},
    network::Network,
};

/// The networks and what their inputs are made of.
#[derive(Debug, Clone)]
pub struct Models {
    /// ST-LPIPS AlexNet.
    pub perceptual: Network,
    /// Its input.
    pub perceptual_tone: Tone,
    /// MobileNetV2.
    pub embedding: Network,
    /// Its input.
    pub embedding_tone: Tone,
    /// The text model, where the rules want one.
    pub clip: Option<Arc<Clip>>,
    /// The embedder in MobileNetV2's place, where the rules name it.
    pub dino: Option<Arc<Dino>>,
}

impl Models {
    /// Reads both checkpoints, each only after its digest was found right.
    ///
    /// # Errors
    /// When a file is missing or changed, or does not fit its network.
    pub fn load(folder: &Path) -> Result<Self, EmbedError> {
        let manifest = Manifest::embedded()?;
        let file = |name: &str| manifest.model(name)?.verify(folder);
        let perceptual = import(&perceptual_source(), &file(PERCEPTUAL)?)?;
        let embedding = import(&embedding_source(), &file(EMBEDDING)?)?;
        let perceptual_tone = perceptual_tone(&perceptual)?;
        let embedding_tone = embedding_tone();
        Ok(Self { perceptual, perceptual_tone, embedding, embedding_tone, clip: None, dino: None })
    }

    /// As [`Models::load`], with the text model.
    ///
    /// # Errors
    /// As [`Models::load`].
    pub fn load_with_text(folder: &Path) -> Result<Self, EmbedError> {
        let path = Manifest::embedded()?.model(CLIP)?.verify(folder)?;
        Ok(Self::load(folder)?.with_text(clip::load(ClipShape::VIT_B_32, &path)?))
    }

    /// The same with DINOv2 of a folder as embedder.
    ///
    /// # Errors
    /// As [`Models::load`].
    pub fn and_dino(self, folder: &Path) -> Result<Self, EmbedError> {
        let path = Manifest::embedded()?.model(DINO)?.verify(folder)?;
        Ok(self.with_dino(dino::load(DinoShape::VIT_S_14, &path)?))
    }

    /// The same with a DINOv2 that is loaded as embedder.
    pub fn with_dino(self, dino: Dino) -> Self {
        Self { dino: Some(Arc::new(dino)), ..self }
    }

    /// The same with a text model that is loaded.
    pub fn with_text(self, clip: Clip) -> Self {
        Self { clip: Some(Arc::new(clip)), ..self }
    }
}
