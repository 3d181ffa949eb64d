//! Both networks with their weights, read from a folder of models.

use std::path::Path;

use crate::{
    error::EmbedError,
    image::Tone,
    import::import,
    manifest::Manifest,
    models::{EMBEDDING, PERCEPTUAL, embedding_source, embedding_tone, perceptual_source, perceptual_tone},
    network::Network,
};

/// The two networks and what their inputs are made of.
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
        Ok(Self { perceptual, perceptual_tone, embedding, embedding_tone: embedding_tone() })
    }
}
