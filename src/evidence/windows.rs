//! The windows of a corpus's sources as rounds would cut them.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;

use super::{EvidenceError, judge::Judge, split::Split};
use crate::{
    corpus::{ClipEntry, Corpus, PreparedClip},
    domain::{ids::BlockHash, rules::Rules},
    quality::{frame::Yuv420Clip, opponents::PreparedTask, terms::can_judge_motion},
};

/// One window of a source.
#[derive(Clone, Debug)]
pub struct SourceWindow {
    /// Key of the clip in the manifest.
    pub key: String,
    /// File that it was cut from: what is split.
    pub source: String,
    /// Start in microseconds.
    pub start_us: u64,
    /// What it shows.
    pub prompt: String,
    /// The given first frame, as a round's PNG gives it.
    pub first_frame: Arc<Yuv420Clip>,
    /// The real clip `[frames, height, width]`.
    pub reference: Arc<Yuv420Clip>,
    /// The measures of the reference and of the opponents.
    pub task: Arc<PreparedTask>,
}

impl SourceWindow {
    /// A clip that is its own reference, its first frame the given one.
    ///
    /// # Errors
    /// When networks gave no answer.
    pub fn of_clip(name: String, clip: Yuv420Clip, judge: &Judge) -> Result<Self, EvidenceError> {
        let first_frame = first_frame_of(&clip);
        let task = judge.task(&first_frame, &clip, "")?;
        Ok(Self {
            key: name.clone(),
            source: name,
            start_us: 0,
            prompt: String::new(),
            first_frame: Arc::new(first_frame),
            reference: Arc::new(clip),
            task: Arc::new(task),
        })
    }
}

/// The first frame of a clip, as a clip of one frame.
pub fn first_frame_of(clip: &Yuv420Clip) -> Yuv420Clip {
    leoma_film::assemble::first(clip, 1)
}

/// A clip that does not serve, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PassedOver {
    /// Key of the clip.
    pub clip: String,
    /// What it lacks.
    pub why: String,
}

/// What a corpus offers.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    /// Windows that can judge, in the order of the manifest.
    pub serving: Vec<SourceWindow>,
    /// Clips without one.
    pub passed_over: Vec<PassedOver>,
}

impl Windows {
    /// Cuts at most `per_clip` different windows from every clip.
    ///
    /// # Errors
    /// When a file is missing or altered, or the decode worker fails.
    pub async fn of(
        corpus: &Corpus,
        judge: &Judge,
        per_clip: usize,
        mut progress: impl FnMut(&str),
    ) -> Result<Self, EvidenceError> {
        let mut found = Self::default();
        for entry in corpus.clips() {
            progress(&entry.key);
            let before = found.serving.len();
            let mut why =
                "no part of it can serve: too short, too slow, too small, or nothing moves".to_owned();
            let mut starts = BTreeSet::new();
            for draw in 0..per_clip.max(1) as u32 {
                let Some(clip) = cut(corpus, entry, judge.rules(), draw).await? else { break };
                if !starts.insert(clip.choice.window_start_us) {
                    continue;
                }
                match tokio::task::block_in_place(|| window(entry, clip, judge))? {
                    Some(window) => found.serving.push(window),
                    None => why = "moves too little, beyond pans and layers, to judge motion by".to_owned(),
                }
            }
            if found.serving.len() == before {
                found.passed_over.push(PassedOver { clip: entry.key.clone(), why });
            }
        }
        Ok(found)
    }

    /// The sources that serve, split.
    pub fn split(&self) -> Split {
        Split::of(self.serving.iter().map(|window| window.source.clone()))
    }

    /// Windows of some sources.
    pub fn from_sources(&self, sources: &BTreeSet<String>) -> Vec<SourceWindow> {
        self.serving.iter().filter(|window| sources.contains(&window.source)).cloned().collect()
    }
}

/// The `draw`-th window of one clip.
async fn cut(
    corpus: &Corpus,
    entry: &ClipEntry,
    rules: &Rules,
    draw: u32,
) -> Result<Option<PreparedClip>, EvidenceError> {
    let anchor =
        BlockHash(crate::domain::ids::Digest::of_parts(&[b"leoma/evidence/window", &draw.to_le_bytes()]).0);
    let others = corpus.clips().iter().map(|clip| clip.key.clone()).filter(|key| *key != entry.key).collect();
    match corpus.candidates(&anchor, rules.request).without(&others).next().await? {
        Some(candidate) => Ok(Some(candidate.prepare().await?)),
        None => Ok(None),
    }
}

fn window(
    entry: &ClipEntry,
    clip: PreparedClip,
    judge: &Judge,
) -> Result<Option<SourceWindow>, EvidenceError> {
    let task = judge.task(&clip.first_frame, &clip.reference, &entry.caption)?;
    Ok(can_judge_motion(&task.reference, &judge.rules().scoring.dynamics).then(|| SourceWindow {
        key: entry.key.clone(),
        source: if entry.file.is_empty() { entry.key.clone() } else { entry.file.clone() },
        start_us: clip.choice.window_start_us,
        prompt: entry.caption.clone(),
        first_frame: clip.first_frame,
        reference: clip.reference,
        task: Arc::new(task),
    }))
}
