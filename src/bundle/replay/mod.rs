//! A round judged anew from its bundle: clip choice, first frame, decoding, gates, scores, G8, winner and weights, each
//! compared with what was recorded.

mod clips;
mod compare;
mod sequence;
mod source;

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use serde_json::json;

use super::{
    location::{FetchError, Opened},
    sealed::canonical,
    verify::{rules_of, told},
};
use crate::{
    corpus::{Corpus, CorpusError},
    decode::{DecodeError, Decoder},
    domain::{
        bundle::{Judged, RoundBundle, RoundResult},
        event::VoidReason,
        ids::{Digest, Hotkey, RoundId},
        outcome::Outcome,
        rules::Rules,
    },
    gpu::port::{Scorer, ScorerError},
    quality::{canonical::CanonicalError, embeddings::FrameModels, selftest},
};

use compare::{Compared, kind_of};
pub use sequence::Sequence;

/// The step at which a replay comes to something else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// What everything rests on: clip choice, first frame, real clip, a miner's file.
    Source,
    /// The frames of a miner's file.
    Decode,
    /// Integers that are read of frames: terms, statistics of gates, tracks.
    Kernel,
    /// What the rules make of them: axes, thresholds, gates, G8.
    Verdict,
    /// Who wins, and the weights.
    Rank,
}

/// One thing that came to something else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// At which step.
    pub level: Level,
    /// Whose clip; `None` for the round itself.
    pub miner: Option<Hotkey>,
    /// What.
    pub what: String,
    /// As recorded.
    pub recorded: String,
    /// As found.
    pub found: String,
}

/// What a replay found.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// The round.
    pub round: RoundId,
    /// Digest of its document.
    pub document: Digest,
    /// Device that scored.
    pub scorer: String,
    /// Clips that were decoded and judged anew, answers in disputes among them.
    pub clips: usize,
    /// Everything that differs, by level.
    pub differences: Vec<Difference>,
    /// What was not judged anew, and why.
    pub notes: Vec<String>,
    /// SHA-256 over every outcome, its digests, and the result, as recorded.
    pub recorded: Digest,
    /// The same, as found.
    pub found: Digest,
    /// What the rules make of what was found.
    #[serde(skip)]
    pub judged: Option<Judged>,
    /// What they make of what was recorded.
    #[serde(skip)]
    pub stated: Option<Judged>,
    /// The rules.
    #[serde(skip)]
    pub rules: Arc<Rules>,
}

impl Replay {
    /// Whether it came to the same.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty() && self.recorded == self.found
    }

    /// The first step at which something differs.
    pub fn level(&self) -> Option<Level> {
        self.differences.iter().map(|difference| difference.level).min()
    }
}

/// Why a bundle could not be judged anew; nothing of it is a difference.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The source clip was not published, and no corpus is at hand.
    #[error("the bundle does not hold its source clip: name the corpus that it was chosen from (--corpus)")]
    NoSource,
    /// The rules have a text model, which sets other prompts beside the round's.
    #[error("the rules read prompts beside those of the whole corpus: name it (--corpus)")]
    NoPrompts,
    /// The corpus failed.
    #[error(transparent)]
    Corpus(CorpusError),
    /// Our decoder failed.
    #[error(transparent)]
    Decode(DecodeError),
    /// Our scorer failed.
    #[error(transparent)]
    Scorer(#[from] ScorerError),
    /// A number is no integer.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// What a replay works with.
pub struct ReplayParts {
    /// Decodes in child processes.
    pub decoder: Arc<Decoder>,
    /// Scores.
    pub scorer: Arc<dyn Scorer>,
    /// The networks that the rules name, if any.
    pub models: Option<Arc<dyn FrameModels>>,
    /// The corpus, where it is at hand.
    pub corpus: Option<Corpus>,
}

/// The rules of a bundle, from the file beside its document.
///
/// # Errors
/// When it is missing, or not the rules of the document.
pub async fn rules(opened: &Opened) -> Result<Arc<Rules>, FetchError> {
    rules_of(opened).await.map(Arc::new)
}

/// Judges a bundle anew. Files are taken by their digests; the rest of [`super::verify`] is not repeated.
///
/// # Errors
/// When a file is missing, or our own corpus, decoder or scorer fails.
pub async fn replay(opened: &Opened, rules: Arc<Rules>, parts: &ReplayParts) -> Result<Replay, ReplayError> {
    let bundle = &opened.signed.bundle;
    let adapter = parts.scorer.adapter();
    let mut work = Compared::default();
    other_kernels(bundle, &mut work);
    let mut anew = bundle.clone();
    if let Some(plan) = &bundle.plan {
        let source = source::prepare(opened, plan, &rules, parts, &mut work).await?;
        match source {
            Some(prepared) => {
                let judge = clips::Judge::new(opened, plan, prepared, (Arc::clone(&rules), parts))?;
                judge.all(&mut anew, &mut work).await?;
            }
            None => work.note("the source clip is another one, so no miner's clip was judged by it"),
        }
    }
    let (stated, judged) = (judge(bundle, &rules), judge(&anew, &rules));
    if let (Some(stated), Some(judged)) = (&stated, &judged) {
        compare_results(bundle, stated, judged, &mut work);
    }
    let result = match (&bundle.result, &judged) {
        (RoundResult::Void { reason: VoidReason::NotPlanned { .. } }, _) | (_, None) => bundle.result.clone(),
        (_, Some(judged)) => judged.result(),
    };
    let outcomes = judged.as_ref().map(|judged| judged.outcomes.clone()).unwrap_or_default();
    let recorded = bundle.miners.iter().filter_map(|miner| Some((miner.hotkey, miner.outcome()?.clone())));
    let mut differences = work.differences;
    differences.sort_by_key(|difference| (difference.level, difference.miner));
    Ok(Replay {
        round: bundle.round,
        document: opened.signed.digest,
        scorer: format!("{} ({})", adapter.name, adapter.backend),
        clips: work.clips,
        differences,
        notes: work.notes,
        recorded: essence(&recorded.collect(), &bundle.result)?,
        found: essence(&outcomes, &result)?,
        judged,
        stated,
        rules,
    })
}

/// What the rules make of a document's outcomes; one that contradicts itself has none, which verifying tells.
fn judge(bundle: &RoundBundle, rules: &Rules) -> Option<Judged> {
    bundle.judge(&rules.payout).ok().flatten()
}

/// Says when this build's kernels are not those that judged.
fn other_kernels(bundle: &RoundBundle, work: &mut Compared) {
    let ours = selftest::digests();
    let differing = ours.iter().filter(|(name, digest)| bundle.code.kernels.get(**name) != Some(digest));
    let names: Vec<&str> = differing.map(|(name, _)| *name).collect();
    if !names.is_empty() {
        work.note(format!(
            "this build computes otherwise than the one that judged ({}): {}",
            bundle.code.version,
            names.join(", ")
        ));
    }
}

/// G8, winner and weights.
fn compare_results(bundle: &RoundBundle, stated: &Judged, judged: &Judged, work: &mut Compared) {
    for miner in &bundle.miners {
        let (recorded, found) = (miner.outcome(), judged.outcomes.get(&miner.hotkey));
        let (recorded, found) = (recorded.map(kind_of), found.map(kind_of));
        let of_its_ticket = work.has(&miner.hotkey);
        if recorded != found && !of_its_ticket {
            let words = [recorded, found].map(|kind| kind.unwrap_or_else(|| "open".into()));
            work.differ(Level::Verdict, Some(miner.hotkey), "what counts", words);
        }
    }
    for asked in &bundle.questions {
        let found = judged.findings.get(&(asked.hotkey, asked.question)).map_or("open", String::as_str);
        work.compare(
            Level::Verdict,
            Some(asked.hotkey),
            asked.question.name(),
            (asked.finding.as_str(), found),
        );
    }
    let groups = |groups: &[Vec<Hotkey>]| {
        let group = |group: &Vec<Hotkey>| group.iter().map(Hotkey::to_string).collect::<Vec<_>>().join(" ");
        groups.iter().map(group).collect::<Vec<_>>().join(", ")
    };
    work.compare(Level::Verdict, None, "copies", (groups(&bundle.copies), groups(&judged.copies)));
    if matches!(bundle.result, RoundResult::Void { reason: VoidReason::NotPlanned { .. } }) {
        return;
    }
    let result = judged.result();
    work.compare(Level::Rank, None, "result", (told(&bundle.result), told(&result)));
    let overall = |judged: &Judged| judged.winner.map_or("-".into(), |winner| winner.overall.to_string());
    if stated.winner.map(|winner| winner.hotkey) == judged.winner.map(|winner| winner.hotkey) {
        work.compare(Level::Rank, None, "winning score", (overall(stated), overall(judged)));
    }
    let pays = bundle.payment_of(&result);
    if bundle.pays != pays {
        let word = |pays: &Option<_>| serde_json::to_string(pays).unwrap_or_default();
        work.differ(Level::Rank, None, "weights", [word(&bundle.pays), word(&pays)]);
    }
}

/// SHA-256 over what a round came to: every miner's outcome by its kind and digests, and the result.
fn essence(outcomes: &BTreeMap<Hotkey, Outcome>, result: &RoundResult) -> Result<Digest, CanonicalError> {
    let row = |(hotkey, outcome): (&Hotkey, &Outcome)| {
        let card = outcome.card();
        let frames = match outcome {
            Outcome::Rejected { pixels: Some(pixels), .. } => Some(pixels.frame_digest),
            other => other.card().map(|card| card.frame_digest),
        };
        json!([hotkey, kind_of(outcome), frames, card.map(|card| card.score_digest)])
    };
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    canonical(&json!({ "outcomes": rows, "result": result })).map(|(_, digest)| digest)
}
