//! Miners' clips anew: decoded in a child process, scored on this machine's device, as the actors do.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Compared, Level, Opened, ReplayError, ReplayParts, compare::Clip};
use crate::{
    bundle::location::MAX_FILE_BYTES,
    corpus::PreparedClip,
    decode::{DecodeError, DecodedClip},
    domain::{
        bundle::{RoundBundle, answer_file, clip_file},
        event::ReceivedFile,
        ids::{Digest, Hotkey},
        inquiry::Question,
        outcome::{Fault, Outcome, RejectedPixels, Stage},
        plan::RoundPlan,
        rules::Rules,
    },
    gpu::port::{ScoreJob, ScorerError, Verdict},
    quality::frame::Yuv420Clip,
};

/// Tries of a stage that fails by our own fault.
const ATTEMPTS: u32 = 2;
/// Clips under way at the same time: one is decoded while another is scored.
const AT_ONCE: usize = 2;

/// Judges the clips of one round.
pub(super) struct Judge<'a> {
    opened: &'a Opened,
    plan: &'a RoundPlan,
    first_frame: Arc<Yuv420Clip>,
    reference: Arc<Yuv420Clip>,
    prompt: Arc<str>,
    others: Arc<[String]>,
    rules: Arc<Rules>,
    parts: &'a ReplayParts,
}

/// One clip to be judged.
struct Task {
    hotkey: Hotkey,
    question: Option<Question>,
    name: String,
    file: ReceivedFile,
    recorded: Outcome,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        opened: &'a Opened,
        plan: &'a RoundPlan,
        prepared: PreparedClip,
        (rules, parts): (Arc<Rules>, &'a ReplayParts),
    ) -> Result<Self, ReplayError> {
        let others: Arc<[String]> = match &parts.corpus {
            Some(corpus) => corpus.clips().iter().map(|clip| clip.caption.clone()).collect(),
            None if rules.scoring.text.is_some() => return Err(ReplayError::NoPrompts),
            None => Arc::from([]),
        };
        Ok(Self {
            opened,
            plan,
            first_frame: prepared.first_frame,
            reference: prepared.reference,
            prompt: plan.clip.prompt.as_str().into(),
            others,
            rules,
            parts,
        })
    }

    /// Judges every clip whose verdict rests on its file, compares, and puts what was found into the document.
    pub(super) async fn all(&self, anew: &mut RoundBundle, work: &mut Compared) -> Result<(), ReplayError> {
        let (tasks, on_record): (Vec<_>, Vec<_>) =
            tasks(anew).into_iter().partition(|task| rests_on_its_file(&task.recorded));
        let found = stream::iter(tasks).map(|task| async move {
            let found = self.outcome(&task).await?;
            Ok::<_, ReplayError>((task, found))
        });
        let mut found = found.buffered(AT_ONCE);
        while let Some((task, found)) = found.try_next().await? {
            let question = task.question.map(Question::name);
            let found = match found {
                Found::OtherFile(digest) => {
                    let digests = [task.file.sha256.to_string(), digest.to_string()];
                    work.differ(Level::Source, Some(task.hotkey), task.name, digests);
                    continue;
                }
                Found::Outcome(found) => found,
            };
            work.clips += 1;
            work.outcomes(&Clip { hotkey: task.hotkey, question }, &task.recorded, &found);
            put(anew, &task, found);
        }
        if !on_record.is_empty() {
            let on_record = on_record.len();
            work.note(format!(
                "{on_record} clips came too late or met a failure of the validator: that stands on record"
            ));
        }
        let asked = anew.questions.iter();
        let without = asked
            .filter(|asked| asked.file.is_none() && asked.outcome.as_ref().is_some_and(rests_on_its_file));
        let without = without.count();
        if without > 0 {
            work.note(format!("{without} answers in disputes were not kept: their verdicts stand on record"));
        }
        let returned = anew.returned.len();
        if returned > 0 {
            work.note(format!(
                "{returned} clips are another miner's of an earlier round: that stands on record"
            ));
        }
        Ok(())
    }

    async fn outcome(&self, task: &Task) -> Result<Found, ReplayError> {
        let file = self.opened.read(&task.name, task.file.bytes.min(MAX_FILE_BYTES)).await?;
        let digest = Digest::of(&file);
        if digest != task.file.sha256 {
            return Ok(Found::OtherFile(digest));
        }
        let frames = match self.decode(file).await {
            Ok(clip) => clip.frames,
            Err(DecodeError::Gate { gate, reason }) => {
                return Ok(Found::Outcome(Outcome::Rejected { gate, reason, pixels: None }));
            }
            Err(cause) if cause.fault() == Fault::Miner => {
                let (stage, reason) = (Stage::Decode, cause.to_string());
                return Ok(Found::Outcome(Outcome::Forfeit { stage, fault: Fault::Miner, reason }));
            }
            Err(cause) => return Err(ReplayError::Decode(cause)),
        };
        Ok(Found::Outcome(match self.score(Arc::clone(&frames)).await? {
            Verdict::Scored(card) => Outcome::Scored { card },
            Verdict::Gated { gate, reading, reason } => {
                let pixels = RejectedPixels { frame_digest: frames.digest(), reading };
                Outcome::Rejected { gate, reason, pixels: Some(Box::new(pixels)) }
            }
        }))
    }

    async fn decode(&self, file: Bytes) -> Result<DecodedClip, DecodeError> {
        let mut result = self.parts.decoder.decode_clip(file.clone(), self.plan.spec).await;
        for _ in 1..ATTEMPTS {
            if matches!(&result, Err(cause) if cause.fault() == Fault::Us) {
                result = self.parts.decoder.decode_clip(file.clone(), self.plan.spec).await;
            }
        }
        result
    }

    async fn score(&self, clip: Arc<Yuv420Clip>) -> Result<Verdict, ScorerError> {
        let job = ScoreJob {
            clip,
            first_frame: Arc::clone(&self.first_frame),
            reference: Some(Arc::clone(&self.reference)),
            prompt: Arc::clone(&self.prompt),
            others: Arc::clone(&self.others),
            rules: Arc::clone(&self.rules),
            models: self.parts.models.clone(),
        };
        let mut verdict = self.parts.scorer.score(job.clone()).await;
        for _ in 1..ATTEMPTS {
            if matches!(verdict, Err(ScorerError::Device(_) | ScorerError::Models(_))) {
                verdict = self.parts.scorer.score(job.clone()).await;
            }
        }
        verdict
    }
}

/// What became of one file.
enum Found {
    /// It was judged.
    Outcome(Outcome),
    /// It is not the recorded file.
    OtherFile(Digest),
}

/// Whether an outcome follows from the file alone, and not from when it came or what failed.
fn rests_on_its_file(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Scored { .. } | Outcome::Rejected { .. } => true,
        Outcome::Forfeit { stage, fault, .. } => (*stage, *fault) == (Stage::Decode, Fault::Miner),
        Outcome::Expired { .. } => false,
    }
}

fn tasks(bundle: &RoundBundle) -> Vec<Task> {
    let first = bundle.miners.iter().filter_map(|miner| {
        Some(Task {
            hotkey: miner.hotkey,
            question: None,
            name: clip_file(&miner.hotkey),
            file: miner.file.clone()?,
            recorded: miner.ticket.clone()?,
        })
    });
    let again = bundle.questions.iter().filter_map(|asked| {
        Some(Task {
            hotkey: asked.hotkey,
            question: Some(asked.question),
            name: answer_file(&asked.hotkey, asked.question),
            file: asked.file.clone()?,
            recorded: asked.outcome.clone()?,
        })
    });
    first.chain(again).collect()
}

fn put(anew: &mut RoundBundle, task: &Task, found: Outcome) {
    match task.question {
        None => {
            let miners = anew.miners.iter_mut().filter(|miner| miner.hotkey == task.hotkey);
            miners.for_each(|miner| miner.ticket = Some(found.clone()));
        }
        Some(question) => {
            let of = (task.hotkey, question);
            let asked = anew.questions.iter_mut().filter(|asked| (asked.hotkey, asked.question) == of);
            asked.for_each(|asked| asked.outcome = Some(found.clone()));
        }
    }
}
