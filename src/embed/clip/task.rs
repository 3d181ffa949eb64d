//! From a task's prompt and clips to what the text axis judges.

use leoma_core::{
    domain::ids::Digest,
    quality::{
        frame::Yuv420Clip,
        prompt::{
            distractors::choose,
            likelihood::{Cosines, Likelihoods, TableShape},
            sentences::split,
            view::{VIEWS, views},
        },
    },
};

use crate::{
    clip::{picture::pictures, tokens::Tokenizer},
    embedder::Embedder,
    error::EmbedError,
    image::frame_of,
};

/// The texts of one task: the same for every clip and every validator of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTask {
    /// Sentences of the prompt, then distractors, as tokens.
    texts: Vec<Vec<u16>>,
    sentences: usize,
    seed: Digest,
}

impl PromptTask {
    /// Splits a prompt, chooses its distractors among `others` (prompts of other tasks, in any order), and turns all into
    /// tokens. `seed` is the round's; it must not be known to miners before they have answered.
    pub fn new<'a>(
        tokenizer: &Tokenizer,
        prompt: &str,
        others: impl IntoIterator<Item = &'a str>,
        seed: &Digest,
        context: usize,
    ) -> Self {
        let sentences = split(prompt, context.saturating_sub(2), |text| tokenizer.tokens(text).len());
        let distractors = choose(prompt, others, seed);
        let texts =
            sentences.iter().chain(&distractors).map(|text| tokenizer.encode(text, context)).collect();
        Self { texts, sentences: sentences.len(), seed: *seed }
    }

    /// Sentences of the prompt that are judged.
    pub fn sentences(&self) -> usize {
        self.sentences
    }
}

impl Embedder {
    /// How likely a task's prompt is for frames of a clip, each shown in its sample's views.
    ///
    /// `shown`: the frame of each sample, `view::samples` for a clip and as many zeros for the given frame. The real clip
    /// and the given frame are the same for all miners of a round: keep their likelihoods.
    ///
    /// # Errors
    /// When a frame does not exist or has a size out of range, there is no text model, or the lane failed.
    pub fn likelihoods(
        &self,
        task: &PromptTask,
        clip: &Yuv420Clip,
        shown: &[usize],
    ) -> Result<Likelihoods, EmbedError> {
        let side = self.text_shape().ok_or(EmbedError::NoTextModel)?.image_side;
        let (width, height) = (clip.width(), clip.height());
        let mut by_view = vec![Vec::new(); VIEWS];
        for (sample, &index) in shown.iter().enumerate() {
            let views = views(&task.seed, sample, width, height);
            let seen = pictures(frame_of(clip, index)?, width, height, side, &views);
            by_view.iter_mut().zip(seen).for_each(|(view, picture)| view.push(picture));
        }
        let pictures = by_view.concat();
        let cosines = self.fits(&pictures, &task.texts)?;
        let shape = TableShape {
            views: VIEWS,
            frames: shown.len(),
            sentences: task.sentences,
            distractors: task.texts.len().saturating_sub(task.sentences),
        };
        let table = Cosines::new(shape, cosines.into_iter().map(|cosine| cosine.get()).collect());
        Ok(Likelihoods::of(&table.map_err(|error| EmbedError::Table(error.to_string()))?))
    }
}
