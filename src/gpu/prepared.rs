//! The task that was measured last: clips of one round share reference and opponents.

use std::sync::Arc;

use crate::domain::scoring::{ModelRules, TextModelRules};

use super::{
    port::ScoreJob,
    quality::{
        frame::Yuv420Clip,
        opponents::PreparedTask,
        verdict::{JudgeError, JudgeInput, Measure, check_shapes},
    },
};

/// What the planes of a job are judged as.
pub fn judge_input(job: &ScoreJob) -> JudgeInput<'_> {
    JudgeInput {
        clip: &job.clip,
        first_frame: &job.first_frame,
        reference: job.reference.as_deref(),
        prompt: &job.prompt,
        rules: &job.rules,
        others: &job.others,
        models: job.models.as_deref(),
    }
}

/// What a task's measures depend on; holding the `Arc`s keeps their addresses from being reused.
struct Key {
    first_frame: Arc<Yuv420Clip>,
    reference: Arc<Yuv420Clip>,
    frames: u32,
    opponent_frames: u32,
    least_motion: i64,
    models: (Option<ModelRules>, Option<TextModelRules>),
    prompt: Arc<str>,
    others: Arc<[String]>,
}

impl Key {
    fn of(job: &ScoreJob) -> Option<Self> {
        let scoring = &job.rules.scoring;
        Some(Self {
            first_frame: Arc::clone(&job.first_frame),
            reference: Arc::clone(job.reference.as_ref()?),
            frames: job.rules.request.frames,
            opponent_frames: scoring.opponents.frames,
            least_motion: scoring.dynamics.min_reference_residual,
            models: (scoring.models, scoring.text.map(|text| text.model)),
            prompt: Arc::clone(&job.prompt),
            others: Arc::clone(&job.others),
        })
    }

    fn is_for(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.first_frame, &other.first_frame)
            && Arc::ptr_eq(&self.reference, &other.reference)
            && (self.frames, self.opponent_frames, self.least_motion, self.models)
                == (other.frames, other.opponent_frames, other.least_motion, other.models)
            && (&self.prompt, &self.others) == (&other.prompt, &other.others)
    }
}

/// Holds one task.
#[derive(Default)]
pub(crate) struct LastTask(Option<(Key, PreparedTask)>);

impl LastTask {
    /// The measures of a job's task, taken now if it is another than the last one's; `None` without a reference.
    pub(crate) fn of<M: Measure>(
        &mut self,
        job: &ScoreJob,
        measure: &mut M,
    ) -> Result<Option<&PreparedTask>, JudgeError<M::Error>> {
        let input = judge_input(job);
        check_shapes(&input)?;
        let (Some(key), Some(task)) = (Key::of(job), input.task()) else { return Ok(None) };
        if !self.0.as_ref().is_some_and(|(known, _)| known.is_for(&key)) {
            let task = PreparedTask::measure(&task, measure)?;
            self.0 = Some((key, task));
        }
        Ok(self.0.as_ref().map(|(_, task)| task))
    }
}
