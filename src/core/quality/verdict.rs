//! The verdict on one clip: a pure function of planes, prompt and rules.

use std::{collections::BTreeMap, convert::Infallible};

use crate::domain::{
    ids::Digest,
    rules::Rules,
    score::{Axes, GateId, GateReading, OpponentReading, PromptRead, Score, ScoreCard},
    scoring::ScoringRules,
};

use super::{
    camera::{self, CameraPath, CameraReading},
    canonical,
    embeddings::{self, FrameModels, Likeness, ModelError, ModelReading},
    frame::Yuv420Clip,
    gates::{self, GateFinding},
    measure::ClipMeasures,
    opponents::{self, Known, Opponents, PreparedTask, TaskInput},
    prompt::{self, task::TaskText},
    terms::{self, FirstFrameMeasures, RawTerms, TermScores},
    track,
};

/// A clip's verdict by pixels alone (gates that need other miners' clips are read elsewhere).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Scored.
    Scored(Box<ScoreCard>),
    /// A gate decided; its reading holds the numbers.
    Gated {
        /// Which gate.
        gate: GateId,
        /// The numbers behind it.
        reading: GateReading,
        /// The numbers as one sentence.
        reason: String,
    },
}

/// Everything that a verdict depends on.
#[derive(Clone, Copy)]
pub struct JudgeInput<'a> {
    /// The miner's decoded clip.
    pub clip: &'a Yuv420Clip,
    /// The given first frame, one frame of the asked size.
    pub first_frame: &'a Yuv420Clip,
    /// The real clip; `None` makes the terms that need it `null`, and then nothing passes.
    pub reference: Option<&'a Yuv420Clip>,
    /// The prompt: read by a text model where the rules name one, and for its words about the camera.
    pub prompt: &'a str,
    /// Prompts of other tasks, which a text model sets beside it.
    pub others: &'a [String],
    /// The rules in force.
    pub rules: &'a Rules,
    /// The networks that are loaded; the rules say whether they are asked.
    pub models: Option<&'a dyn FrameModels>,
}

/// Our own planes do not fit the rules: never the miner's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} has {frames} frames of {width}x{height}, the rules ask for {asked}: prepare it anew")]
pub struct ShapeError {
    what: &'static str,
    frames: usize,
    width: usize,
    height: usize,
    asked: String,
}

/// Judges one clip.
///
/// # Errors
/// When our own planes do not fit the rules, or networks that the rules name are not there.
pub fn judge(input: &JudgeInput) -> Result<Verdict, JudgeError<Infallible>> {
    check_shapes(input)?;
    let task = input.task().map(|task| PreparedTask::of(&task)).transpose()?;
    judge_measured(input, Known::task(task.as_ref()))
}

impl<'a> JudgeInput<'a> {
    /// The planes of the task, where there is a reference.
    pub fn task(&self) -> Option<TaskInput<'a>> {
        let Self { first_frame, rules, models, prompt, others, .. } = *self;
        self.reference.map(|reference| TaskInput { first_frame, reference, rules, models, prompt, others })
    }
}

/// Who measures planes: the twins here, or a device that gives the same integers.
pub trait Measure {
    /// Why planes could not be measured; never the miner's fault.
    type Error;
    /// The measures of a clip's first `frames` frames.
    fn clip(&mut self, clip: &Yuv420Clip, frames: usize) -> Result<ClipMeasures, Self::Error>;
    /// How frame 0 of `clip` compares with frame 0 of `given`; both have one size.
    fn first_frame(
        &mut self,
        given: &Yuv420Clip,
        clip: &Yuv420Clip,
    ) -> Result<FirstFrameMeasures, Self::Error>;
}

/// The twins, which define every measure.
pub struct Twins;

impl Measure for Twins {
    type Error = Infallible;

    fn clip(&mut self, clip: &Yuv420Clip, frames: usize) -> Result<ClipMeasures, Self::Error> {
        Ok(ClipMeasures::of(clip, frames))
    }
    fn first_frame(
        &mut self,
        given: &Yuv420Clip,
        clip: &Yuv420Clip,
    ) -> Result<FirstFrameMeasures, Self::Error> {
        Ok(FirstFrameMeasures::of(given, clip))
    }
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError<E> {
    /// Our own planes do not fit the rules.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The planes could not be measured.
    #[error("measuring: {0}")]
    Measure(E),
    /// The networks that the rules name gave no answer.
    #[error(transparent)]
    Models(#[from] ModelError),
}

/// Judges one clip of a task that was measured before (`PreparedTask::of`): the same verdict as `judge`, at a quarter of
/// the cost where many clips share it.
///
/// # Errors
/// As [`judge`].
pub fn judge_measured<'a>(
    input: &JudgeInput,
    task: impl Into<Known<'a>>,
) -> Result<Verdict, JudgeError<Infallible>> {
    judge_by(input, task, &mut Twins)
}

/// Judges one clip by the measures of any device: equal measures give equal verdicts.
pub fn judge_by<'a, M: Measure>(
    input: &JudgeInput,
    task: impl Into<Known<'a>>,
    measure: &mut M,
) -> Result<Verdict, JudgeError<M::Error>> {
    Ok(read_by(input, task.into(), measure)?.verdict)
}

/// A verdict and the raw values behind it.
struct Read {
    verdict: Verdict,
    /// Of the terms, unless a gate decided before they were read.
    raw: Option<RawTerms>,
    /// Of the text model's.
    text: TextReading,
}

/// Raw values of a text model's terms by name; empty where none was asked.
type TextReading = BTreeMap<&'static str, i64>;

impl Read {
    /// What a gate leaves.
    fn gated(finding: GateFinding) -> Self {
        Self { verdict: gated(finding), raw: None, text: TextReading::new() }
    }
}

fn read_by<M: Measure>(
    input: &JudgeInput,
    task: Known,
    measure: &mut M,
) -> Result<Read, JudgeError<M::Error>> {
    check_shapes(input)?;
    let reference = task.reference;
    let request = &input.rules.request;
    let frames = request.frames as usize;
    let scoring = &input.rules.scoring;
    let by_shape = [
        gates::wrong_size(input.clip, request.width, request.height),
        gates::too_short(input.clip.len(), frames),
    ];
    if let Some(decided) = by_shape.into_iter().find(GateFinding::decided) {
        return Ok(Read::gated(decided));
    }
    let clip = measure.clip(input.clip, frames).map_err(JudgeError::Measure)?;
    let mut findings = vec![
        gates::spectrum::beside(
            gates::letterbox(&clip, (input.first_frame, reference), &scoring.gates.border),
            gates::spectrum::upscaled(&clip, input.first_frame, reference, &scoring.gates.spectrum),
        ),
        gates::freeze(&clip, reference, &scoring.gates.freeze),
    ];
    findings.extend(gates::of_whole_clips(&clip, reference, &scoring.gates));
    if let Some(decided) = findings.iter().position(GateFinding::decided) {
        return Ok(Read::gated(findings.swap_remove(decided)));
    }
    findings.extend(reference.map(|r| gates::pan_zoom(&clip, r, &scoring.gates.pan_zoom)));
    let first = measure.first_frame(input.first_frame, input.clip).map_err(JudgeError::Measure)?;
    let models = embeddings::named(scoring, input.models)?;
    let raw = raw_terms(input, &task, (&first, &clip), models)?;
    let mut scores = terms::score_terms(&raw, scoring);
    cap_pan_zoom(&mut scores, &findings, scoring);
    let gates = findings.into_iter().map(|f| (f.gate, f.reading)).collect();
    let opponents = against_opponents(input, (&first, &clip), task, measure).map_err(JudgeError::Measure)?;
    let mut card = card(scores, gates, opponents, (input.clip.digest(), scoring));
    card.track = track::of(&clip.mosaic);
    let (card, text) = with_text(card, input, &task, models)?;
    Ok(Read { verdict: Verdict::Scored(Box::new(card)), raw: Some(raw), text })
}

/// Raw values of a measured clip's terms, with what networks read of the clip, and of the reference if nobody read it before.
fn raw_terms(
    input: &JudgeInput,
    task: &Known,
    (first, clip): (&FirstFrameMeasures, &ClipMeasures),
    models: Option<&dyn FrameModels>,
) -> Result<RawTerms, ModelError> {
    let rules = input.rules;
    let mut raw = RawTerms::of(first, clip, task.reference, &rules.scoring.dynamics);
    raw.camera = camera_reading(input.prompt, rules, clip, task.reference);
    let Some(models) = models else { return Ok(raw) };
    let (given, frames) = (input.first_frame, rules.request.frames as usize);
    let ours = ModelReading::of(models, given, input.clip, frames)?;
    let measured;
    let reference: Option<&Likeness> = match (task.likeness, input.reference) {
        (Some(known), _) => Some(known),
        (None, Some(reference)) => {
            measured = models.likeness(given, reference, frames)?;
            Some(&measured)
        }
        (None, None) => None,
    };
    Ok(raw.with_models(Some(&ours), reference))
}

/// The card with the axis of the text model that the rules name, where there is a reference, and what it rests on.
fn with_text(
    card: ScoreCard,
    input: &JudgeInput,
    task: &Known,
    models: Option<&dyn FrameModels>,
) -> Result<(ScoreCard, TextReading), ModelError> {
    let scoring = &input.rules.scoring;
    let (Some(rules), Some(models), Some(asked)) = (&scoring.text, models, input.task()) else {
        return Ok((card, TextReading::new()));
    };
    let read;
    let text = match task.text {
        Some(known) => known,
        None => {
            read = TaskText::read(&asked, models)?;
            &read
        }
    };
    let scores = prompt::task::scores(&asked, text, (input.clip, models), rules)?;
    Ok((prompt::card::join(card, &scores, rules, scoring), scores.raw))
}

/// What the camera does of what the prompt asks; `None` where the words are not judged.
pub fn camera_reading(
    prompt: &str,
    rules: &Rules,
    clip: &ClipMeasures,
    reference: Option<&ClipMeasures>,
) -> Option<CameraReading> {
    let (request, rule) = (&rules.request, &rules.scoring.camera);
    let path = |measures| CameraPath::of(measures, request.width, request.height);
    let reference = reference.map(path);
    camera::read(&camera::words::read(prompt), &path(clip), reference.as_ref(), rule)
}

/// Sets the clip against the opponents of its task, which are measured now if nobody did before.
fn against_opponents<M: Measure>(
    input: &JudgeInput,
    (first, clip): (&FirstFrameMeasures, &ClipMeasures),
    task: Known,
    measure: &mut M,
) -> Result<Option<OpponentReading>, M::Error> {
    let scoring = &input.rules.scoring;
    let Some(reference) = task.reference else { return Ok(None) };
    let Some(own) = opponents::standing(first, clip, reference, scoring) else { return Ok(None) };
    let measured;
    let them = match task.opponents {
        Some(known) => known,
        None => {
            measured = Opponents::measure(input.first_frame, input.rules, measure)?;
            &measured
        }
    };
    Ok(opponents::compare(&own, them, reference, scoring))
}

/// A verdict beside what the terms read whether or not a gate decided: for evidence and calibration, never for a round.
#[derive(Clone, Debug)]
pub struct Readings {
    /// The verdict that a round would give.
    pub verdict: Verdict,
    /// Raw values and scores with gates, caps and the text model off; `None` where the clip does not have the asked size.
    pub terms: Option<(RawTerms, TermScores)>,
    /// Raw values of the text model's terms by name; empty where a gate decided or the rules name none.
    pub text: BTreeMap<&'static str, i64>,
}

/// Judges one clip as [`judge_measured`] does and reads its terms as if there were no gates; measures it once.
///
/// # Errors
/// As [`judge`].
pub fn read_measured<'a>(
    input: &JudgeInput,
    task: impl Into<Known<'a>>,
) -> Result<Readings, JudgeError<Infallible>> {
    let task = task.into();
    let mut kept = Kept::default();
    let Read { verdict, raw, text } = read_by(input, task, &mut kept)?;
    let (given, scoring) = (input.first_frame, &input.rules.scoring);
    let same_size = (input.clip.width(), input.clip.height()) == (given.width(), given.height());
    let raw = match raw {
        Some(raw) => Some(raw),
        None if same_size && !input.clip.is_empty() => {
            let frames = input.rules.request.frames as usize;
            let clip = kept.0.unwrap_or_else(|| ClipMeasures::of(input.clip, frames));
            let first = FirstFrameMeasures::of(given, input.clip);
            let models = embeddings::named(scoring, input.models)?;
            Some(raw_terms(input, &task, (&first, &clip), models)?)
        }
        None => None,
    };
    Ok(Readings { verdict, terms: raw.map(|raw| (raw, terms::score_terms(&raw, scoring))), text })
}

/// The twins, with the clip that they measured first kept: opponents come later.
#[derive(Default)]
struct Kept(Option<ClipMeasures>);

impl Measure for Kept {
    type Error = Infallible;

    fn clip(&mut self, clip: &Yuv420Clip, frames: usize) -> Result<ClipMeasures, Self::Error> {
        let found = ClipMeasures::of(clip, frames);
        self.0.get_or_insert_with(|| found.clone());
        Ok(found)
    }
    fn first_frame(
        &mut self,
        given: &Yuv420Clip,
        clip: &Yuv420Clip,
    ) -> Result<FirstFrameMeasures, Self::Error> {
        Twins.first_frame(given, clip)
    }
}

fn gated(finding: GateFinding) -> Verdict {
    Verdict::Gated { gate: finding.gate, reading: finding.reading, reason: finding.reason }
}

/// A pan or zoom of the still keeps its score, but neither motion nor prompt adherence beyond a cap.
fn cap_pan_zoom(scores: &mut TermScores, findings: &[GateFinding], scoring: &ScoringRules) {
    if findings.iter().any(|f| f.gate == GateId::G4 && f.decided()) {
        let cap = crate::domain::score::Score::clamped(scoring.gates.pan_zoom.cap.into());
        for axis in [&mut scores.axes.temporal, &mut scores.axes.prompt] {
            *axis = axis.map(|score| score.min(cap));
        }
    }
}

fn card(
    scores: TermScores,
    gates: BTreeMap<GateId, GateReading>,
    opponents: Option<OpponentReading>,
    (frame_digest, scoring): (Digest, &ScoringRules),
) -> ScoreCard {
    let axes = scores.axes;
    let overall = terms::overall(&axes, &scoring.weights);
    let passed = passes(&axes, overall, opponents.as_ref(), scoring);
    let prompt_read = if axes.prompt.is_some() { PromptRead::Camera } else { PromptRead::None };
    let mut card = ScoreCard {
        axes,
        overall,
        passed,
        terms: scores.terms,
        gates,
        opponents,
        prompt_read,
        frame_digest,
        score_digest: Digest([0; 32]),
        track: None,
    };
    card.score_digest = canonical::score_digest(&card);
    card
}

/// Whether a clip passes: its overall score and every axis that exists reach their thresholds, motion was judged, and it
/// beats its opponents where that decides.
pub fn passes(
    axes: &Axes,
    overall: Score,
    opponents: Option<&OpponentReading>,
    scoring: &ScoringRules,
) -> bool {
    let lowest = [axes.first_frame, axes.prompt, axes.temporal, axes.artifacts].into_iter().flatten().min();
    // Motion that cannot be judged cannot pass: a panned still would.
    axes.temporal.is_some()
        && overall.get() >= scoring.pass_overall
        && lowest.is_some_and(|score| score.get() >= scoring.pass_axis)
        && opponents.is_none_or(|reading| reading.beaten || !reading.decides)
}

/// Whether our own planes fit the rules, as every judging function asks first.
///
/// # Errors
/// When the given first frame or the reference has not the size and length of the rules.
pub fn check_shapes(input: &JudgeInput) -> Result<(), ShapeError> {
    let request = &input.rules.request;
    let size = (request.width as usize, request.height as usize);
    let check = |what: &'static str, planes: &Yuv420Clip, frames: usize| {
        if (planes.width(), planes.height()) == size && planes.len() >= frames {
            return Ok(());
        }
        let asked = format!("{frames} or more of {}x{}", size.0, size.1);
        let (width, height) = (planes.width(), planes.height());
        Err(ShapeError { what, frames: planes.len(), width, height, asked })
    };
    check("given first frame", input.first_frame, 1)?;
    input.reference.map_or(Ok(()), |r| check("reference clip", r, request.frames as usize))
}
