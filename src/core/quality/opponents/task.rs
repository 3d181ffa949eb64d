//! What of a task is measured once, whatever the number of its miners.

use std::convert::Infallible;

use crate::{
    domain::{rules::Rules, score::Opponent},
    quality::{
        embeddings::{self, FrameModels, Likeness},
        frame::Yuv420Clip,
        measure::ClipMeasures,
        prompt::task::TaskText,
        terms::FirstFrameMeasures,
        verdict::{JudgeError, Measure, Twins},
    },
};

use super::{film, standing};

/// Measures of a task's opponents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opponents {
    /// The given first frame against itself: all opponents begin with it.
    pub first: FirstFrameMeasures,
    /// Every opponent's clip, in the order of [`Opponent::ALL`].
    pub clips: Vec<(Opponent, ClipMeasures)>,
}

/// The planes of a task.
#[derive(Clone, Copy)]
pub struct TaskInput<'a> {
    /// The given first frame, one frame of the asked size.
    pub first_frame: &'a Yuv420Clip,
    /// The real clip.
    pub reference: &'a Yuv420Clip,
    /// The rules in force.
    pub rules: &'a Rules,
    /// The prompt.
    pub prompt: &'a str,
    /// Prompts of other tasks.
    pub others: &'a [String],
    /// The networks that are loaded; the rules say whether they are asked.
    pub models: Option<&'a dyn FrameModels>,
}

/// A task's measures: equal planes and rules give equal measures on every device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreparedTask {
    /// The real clip.
    pub reference: ClipMeasures,
    /// The opponents; none when the reference cannot judge motion, and so nothing can be compared.
    pub opponents: Option<Opponents>,
    /// What networks read of the real clip; none under rules that name none.
    pub likeness: Option<Likeness>,
    /// What a text model makes of the real clip and the given frame; none under rules that name none.
    pub text: Option<TaskText>,
}

impl PreparedTask {
    /// Measures a task with the twins.
    ///
    /// # Errors
    /// When networks that the rules name are not there or gave no answer.
    pub fn of(input: &TaskInput) -> Result<Self, JudgeError<Infallible>> {
        Self::measure(input, &mut Twins)
    }

    /// Measures a task on any device.
    ///
    /// # Errors
    /// When the device cannot measure, or networks that the rules name are not there or gave no answer.
    pub fn measure<M: Measure>(input: &TaskInput, measure: &mut M) -> Result<Self, JudgeError<M::Error>> {
        let (given, rules) = (input.first_frame, input.rules);
        let frames = rules.request.frames as usize;
        let models = embeddings::named(&rules.scoring, input.models)?;
        let reference = measure.clip(input.reference, frames).map_err(JudgeError::Measure)?;
        let comparable = standing::can_compare(&reference, &rules.scoring);
        let opponents = comparable.then(|| Opponents::measure(given, rules, measure)).transpose();
        let opponents = opponents.map_err(JudgeError::Measure)?;
        let likeness = models.map(|models| models.likeness(given, input.reference, frames)).transpose()?;
        let text = models.filter(|_| rules.scoring.text.is_some());
        let text = text.map(|models| TaskText::read(input, models)).transpose()?;
        Ok(Self { reference, opponents, likeness, text })
    }
}

impl Opponents {
    /// Makes and measures every opponent of a given first frame, one after the other.
    ///
    /// # Errors
    /// When the device cannot measure.
    pub fn measure<M: Measure>(given: &Yuv420Clip, rules: &Rules, measure: &mut M) -> Result<Self, M::Error> {
        let (asked, made) = (rules.request.frames as usize, rules.scoring.opponents.frames as usize);
        let first = measure.first_frame(given, given)?;
        let mut clips = Vec::with_capacity(Opponent::ALL.len());
        for opponent in Opponent::ALL {
            let film = film(opponent, given, asked, made);
            clips.push((opponent, measure.clip(&film, film.len())?));
        }
        Ok(Self { first, clips })
    }
}

/// What is known of a task before a clip is judged; what is missing is measured when it is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Measures of the real clip; `None` when there is none.
    pub reference: Option<&'a ClipMeasures>,
    /// Measures of the opponents.
    pub opponents: Option<&'a Opponents>,
    /// What networks read of the real clip.
    pub likeness: Option<&'a Likeness>,
    /// What a text model makes of the task.
    pub text: Option<&'a TaskText>,
}

impl<'a> Known<'a> {
    /// Everything about a task, or that there is no reference.
    pub fn task(task: Option<&'a PreparedTask>) -> Self {
        task.map_or(Self::default(), Self::from)
    }
}

impl<'a> From<&'a PreparedTask> for Known<'a> {
    fn from(task: &'a PreparedTask) -> Self {
        Self {
            reference: Some(&task.reference),
            opponents: task.opponents.as_ref(),
            likeness: task.likeness.as_ref(),
            text: task.text.as_ref(),
        }
    }
}

/// Only the real clip was measured: the opponents are measured for every clip that is judged, which costs twice a clip.
impl<'a> From<Option<&'a ClipMeasures>> for Known<'a> {
    fn from(reference: Option<&'a ClipMeasures>) -> Self {
        Self { reference, ..Self::default() }
    }
}
