//! The embedders that rules can name.

use leoma_core::domain::{ids::Digest, scoring::ModelRules};

use crate::{
    dino::model::DINO,
    error::EmbedError,
    models::{EMBEDDING, PERCEPTUAL},
    probe::{KNOWN, KNOWN_LIKENESS},
    reader::pin,
};

/// The network whose vectors of frames are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmbedderModel {
    /// MobileNetV2, 1280 values, the default.
    #[default]
    MobileNetV2,
    /// DINOv2 ViT-S/14, 384 values.
    Dinov2Small,
}

impl EmbedderModel {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::MobileNetV2, Self::Dinov2Small];

    /// Its name in `config/models.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MobileNetV2 => EMBEDDING,
            Self::Dinov2Small => DINO,
        }
    }

    /// The networks of this build with this embedder, as rules name them: the pinned weights, and the known answers of the
    /// canonical path: the distance's and this embedder's.
    ///
    /// # Errors
    /// When `config/models.toml` is not valid, which a test rules out.
    pub fn rules(self) -> Result<ModelRules, EmbedError> {
        let cosine = match self {
            Self::MobileNetV2 => KNOWN.cosine,
            Self::Dinov2Small => KNOWN_LIKENESS,
        };
        let bits = [KNOWN.distance, cosine].map(f64::to_bits);
        let answers = Digest::of(&bits.map(u64::to_le_bytes).concat());
        Ok(ModelRules { perceptual: pin(PERCEPTUAL)?, embedding: pin(self.name())?, answers })
    }

    /// The embedder with the weights that rules name; the default where there is none, which is then told apart by its
    /// digest.
    ///
    /// # Errors
    /// As [`EmbedderModel::rules`].
    pub fn named_by(rules: &ModelRules) -> Result<Self, EmbedError> {
        for model in Self::ALL {
            if pin(model.name())? == rules.embedding {
                return Ok(model);
            }
        }
        Ok(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedder_is_found_by_its_digest_and_differs_in_what_it_must() {
        let all = EmbedderModel::ALL.map(|model| (model, model.rules().expect("pins")));
        for (model, rules) in all {
            assert_eq!(EmbedderModel::named_by(&rules), Ok(model));
        }
        let [(_, one), (_, other)] = all;
        assert!(one.perceptual == other.perceptual && one.embedding != other.embedding);
        assert_ne!(one.answers, other.answers);
        let unknown = ModelRules { embedding: Digest([7; 32]), ..other };
        assert_eq!(EmbedderModel::named_by(&unknown), Ok(EmbedderModel::MobileNetV2));
    }
}
