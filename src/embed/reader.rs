//! The embedder as the scorer's port to networks, and how it is opened.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use leoma_core::{
    domain::{
        ids::Digest,
        scoring::{ModelRules, TextModelRules},
    },
    quality::{
        embeddings::{FROM, FrameModels, Likeness, ModelError, ModelHealth, PromptQuestion, asked, pairs},
        frame::Yuv420Clip,
        prompt::likelihood::Likelihoods,
    },
};

use crate::{
    clip::{
        model::CLIP,
        task::PromptTask,
        tokens::{MERGES, Tokenizer},
    },
    embedder::{DeviceChoice, Embedder, FrameOf},
    error::EmbedError,
    loaded::Models,
    manifest::Manifest,
    models::{EMBEDDING, PERCEPTUAL},
    probe::{KNOWN, KNOWN_FIT},
};

/// The networks of this build as rules name them: the pinned weights and the known answers of the canonical path.
///
/// # Errors
/// When `config/models.toml` is not valid, which a test rules out.
pub fn model_rules() -> Result<ModelRules, EmbedError> {
    let bits = [KNOWN.distance, KNOWN.cosine].map(f64::to_bits);
    let answers = Digest::of(&bits.map(u64::to_le_bytes).concat());
    Ok(ModelRules { perceptual: pin(PERCEPTUAL)?, embedding: pin(EMBEDDING)?, answers })
}

/// The text model of this build as rules name it.
///
/// # Errors
/// As [`model_rules`].
pub fn text_model_rules() -> Result<TextModelRules, EmbedError> {
    let answers = Digest::of(&KNOWN_FIT.to_bits().to_le_bytes());
    Ok(TextModelRules { weights: pin(CLIP)?, tokens: pin(MERGES)?, answers })
}

fn pin(name: &str) -> Result<Digest, EmbedError> {
    let manifest = Manifest::embedded()?;
    let text = &manifest.model(name)?.sha256;
    text.parse().map_err(|_| EmbedError::Manifest(format!("the sha256 of {name} is none: {text}")))
}

/// The networks behind the scorer's port: the embedder, and with a text model what turns prompts into its tokens.
#[derive(Debug)]
pub struct Networks {
    embedder: Embedder,
    rules: ModelRules,
    text: Option<TextModel>,
}

/// A text model, and the task that it was asked about last: clips of one round share it.
#[derive(Debug)]
struct TextModel {
    rules: TextModelRules,
    tokenizer: Tokenizer,
    last: Mutex<Option<(AskedQuestion, Arc<PromptTask>)>>,
}

#[derive(Debug, PartialEq, Eq)]
struct AskedQuestion {
    prompt: String,
    others: Vec<String>,
    seed: Digest,
}

impl Networks {
    /// Networks without a text model.
    ///
    /// # Errors
    /// As [`model_rules`].
    pub fn new(embedder: Embedder) -> Result<Self, EmbedError> {
        Ok(Self { embedder, rules: model_rules()?, text: None })
    }

    /// The same with a tokenizer, for an embedder that has a text model; `rules` name that model.
    pub fn with_text(self, tokenizer: Tokenizer, rules: TextModelRules) -> Self {
        Self { text: Some(TextModel { rules, tokenizer, last: Mutex::default() }), ..self }
    }

    /// The embedder.
    pub fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// [`FrameModels::likeness`] of other frames of a clip, which take the places of `embeddings::FRAMES`.
    ///
    /// # Errors
    /// As there, and when the clip lacks one of the frames.
    pub fn likeness_at(
        &self,
        given: &Yuv420Clip,
        clip: &Yuv420Clip,
        at: &[usize],
    ) -> Result<Likeness, ModelError> {
        let images: Vec<FrameOf> = std::iter::once(FrameOf { clip: given, index: 0 })
            .chain(at.iter().map(|&index| FrameOf { clip, index }))
            .collect();
        // Image 0 is the given frame, so that place `p` is image `p + 1`.
        let to_given = (FROM + 1..images.len()).map(|image| (0, image));
        let between = pairs(at.len()).map(|(early, late)| (early + 1, late + 1));
        let pairs: Vec<_> = to_given.chain(between).collect();
        let cosines = self.embedder.cosines(&images, &pairs).map_err(failed)?;
        let mut values: Vec<i64> = cosines.into_iter().map(|cosine| cosine.get().into()).collect();
        let between = values.split_off(at.len().saturating_sub(FROM));
        Ok(Likeness { to_given: values, between })
    }
}

impl TextModel {
    fn task(&self, question: &PromptQuestion, context: usize) -> Arc<PromptTask> {
        let PromptQuestion { prompt, others, seed } = *question;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last
            .as_ref()
            .filter(|(asked, _)| asked.prompt == prompt && asked.others == others && asked.seed == seed);
        if let Some((_, task)) = known {
            return Arc::clone(task);
        }
        let texts = others.iter().map(String::as_str);
        let task = Arc::new(PromptTask::new(&self.tokenizer, prompt, texts, &seed, context));
        let asked = AskedQuestion { prompt: prompt.to_owned(), others: others.to_vec(), seed };
        *last = Some((asked, Arc::clone(&task)));
        task
    }
}

impl FrameModels for Networks {
    fn rules(&self) -> ModelRules {
        self.rules
    }

    fn distance(&self, given: &Yuv420Clip, clip: &Yuv420Clip) -> Result<i64, ModelError> {
        let distance = self.embedder.first_frame_distance(given, clip).map_err(failed)?;
        Ok(distance.get().into())
    }

    fn likeness(&self, given: &Yuv420Clip, clip: &Yuv420Clip, frames: usize) -> Result<Likeness, ModelError> {
        self.likeness_at(given, clip, &asked(frames.min(clip.len())))
    }

    fn alike(&self, clip: &Yuv420Clip, other: &Yuv420Clip, frames: usize) -> Result<Vec<i64>, ModelError> {
        let at = asked(frames.min(clip.len()).min(other.len()));
        let at = at.get(FROM..).unwrap_or_default();
        let images: Vec<FrameOf> =
            at.iter().flat_map(|&index| [clip, other].map(|clip| FrameOf { clip, index })).collect();
        let pairs: Vec<_> = (0..at.len()).map(|place| (2 * place, 2 * place + 1)).collect();
        let cosines = self.embedder.cosines(&images, &pairs).map_err(failed)?;
        Ok(cosines.into_iter().map(|cosine| cosine.get().into()).collect())
    }

    fn text_rules(&self) -> Option<TextModelRules> {
        self.text.as_ref().map(|text| text.rules)
    }

    fn likelihoods(
        &self,
        question: &PromptQuestion,
        clip: &Yuv420Clip,
        shown: &[usize],
    ) -> Result<Likelihoods, ModelError> {
        let text = self.text.as_ref().ok_or(ModelError::MissingText)?;
        let shape = self.embedder.text_shape().ok_or(ModelError::MissingText)?;
        let task = text.task(question, shape.context);
        self.embedder.likelihoods(&task, clip, shown).map_err(failed)
    }

    fn health(&self) -> ModelHealth {
        let counts = self.embedder.counts();
        ModelHealth {
            device: self.embedder.device(),
            by_device: counts.by_device,
            by_canonical: counts.by_canonical,
            noise_permille: counts.noise_permille,
        }
    }
}

fn failed(cause: EmbedError) -> ModelError {
    ModelError::Failed(cause.to_string())
}

/// Opened networks.
pub struct OpenNetworks {
    /// The networks, probed and ready.
    pub networks: Networks,
    /// Why they run where they do, where that is not where they were wanted.
    pub note: Option<String>,
}

/// Loads the models of a folder, with the text model or without, and opens them on the wanted device; on the processor where a GPU
/// cannot be opened or computes otherwise, because both report the same integers. Blocks for a second or so.
///
/// # Errors
/// When a model is missing or changed, or the processor does not give the known answers either.
pub fn open(wanted: DeviceChoice, folder: &Path, with_text: bool) -> Result<OpenNetworks, EmbedError> {
    let load = if with_text { Models::load_with_text } else { Models::load };
    let tokenizer = with_text.then(|| Tokenizer::load(folder)).transpose()?;
    let models = Arc::new(load(folder)?);
    let (embedder, note) = match Embedder::with_models(wanted, Arc::clone(&models)) {
        Ok(embedder) => (embedder, None),
        Err(cause) if wanted == DeviceChoice::Gpu => {
            (Embedder::with_models(DeviceChoice::Cpu, models)?, Some(cause.to_string()))
        }
        Err(cause) => return Err(cause),
    };
    let networks = Networks::new(embedder)?;
    Ok(OpenNetworks {
        networks: match tokenizer {
            Some(tokenizer) => networks.with_text(tokenizer, text_model_rules()?),
            None => networks,
        },
        note,
    })
}

#[cfg(test)]
mod tests {
    use leoma_core::domain::rules::Rules;

    use super::*;

    #[test]
    fn the_embedded_rules_name_the_models_of_this_build() {
        let named = Rules::embedded().scoring.models;
        assert_eq!(named, Some(model_rules().expect("pins")), "config/rules.toml, [scoring.models]");
    }
}
