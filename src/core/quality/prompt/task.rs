//! A task and a clip before the text model.

use super::{
    axis::{PromptMeasures, PromptScores, score_prompt},
    likelihood::Likelihoods,
    view::samples,
};
use crate::{
    domain::{ids::Digest, scoring::TextRules},
    quality::{
        embeddings::{FrameModels, ModelError, PromptQuestion},
        frame::Yuv420Clip,
        opponents::TaskInput,
    },
};

/// What a text model makes of the parts of a task that all its miners share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskText {
    /// The real clip.
    pub reference: Likelihoods,
    /// The given frame in the views of every sample.
    pub given: Likelihoods,
}

/// What a task asks of a text model. Distractors and parts are drawn from the real clip, which no miner knows before the round
/// closes, while everybody who judges or replays has it.
fn question<'a>(input: &TaskInput<'a>) -> PromptQuestion<'a> {
    let seed = Digest::of_parts(&[b"leoma text task", &input.reference.digest().0]);
    PromptQuestion { prompt: input.prompt, others: input.others, seed }
}

impl TaskText {
    /// Reads the real clip and the given frame.
    ///
    /// # Errors
    /// When the text model gave no answer.
    pub fn read(input: &TaskInput, models: &dyn FrameModels) -> Result<Self, ModelError> {
        let (question, shown) = (question(input), samples(input.rules.request.frames as usize));
        let given = vec![0; shown.len()];
        Ok(Self {
            reference: models.likelihoods(&question, input.reference, &shown)?,
            given: models.likelihoods(&question, input.first_frame, &given)?,
        })
    }
}

/// The text axis of a clip of a task.
///
/// # Errors
/// When the networks gave no answer.
pub fn scores(
    input: &TaskInput,
    task: &TaskText,
    (clip, models): (&Yuv420Clip, &dyn FrameModels),
    rules: &TextRules,
) -> Result<PromptScores, ModelError> {
    let shown = samples(input.rules.request.frames as usize);
    let alike = models.alike(clip, input.reference, input.rules.request.frames as usize)?;
    let clip = models.likelihoods(&question(input), clip, &shown)?;
    let measures =
        PromptMeasures { clip: &clip, reference: &task.reference, given: &task.given, alike: &alike };
    Ok(score_prompt(&measures, rules))
}
