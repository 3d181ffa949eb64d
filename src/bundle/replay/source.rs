//! The source clip anew: chosen from the corpus where it is at hand, else from the bundle's own file.

use std::sync::Arc;

use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};

use super::{Compared, Level, Opened, ReplayError, ReplayParts};
use crate::{
    bundle::location::MAX_FILE_BYTES,
    corpus::{
        ClipEntry, Corpus, CorpusError, Manifest, PreparedClip, Usability, judging::judges_motion,
        shelf::Shelf,
    },
    decode::Decoder,
    domain::{
        bundle::SOURCE_FILE,
        ids::Digest,
        plan::{ClipChoice, RoundPlan},
        rules::Rules,
    },
};

/// The manifest's name on a shelf of one clip.
const MANIFEST: &str = "corpus.toml";

/// The clip that the round was judged by, prepared anew; `None` when it is not the recorded one.
pub(super) async fn prepare(
    opened: &Opened,
    plan: &RoundPlan,
    rules: &Rules,
    parts: &ReplayParts,
    work: &mut Compared,
) -> Result<Option<PreparedClip>, ReplayError> {
    let Some(corpus) = &parts.corpus else { return of_its_file(opened, plan, rules, parts, work).await };
    work.compare(Level::Source, None, "corpus", (plan.corpus_digest, corpus.digest()));
    let published = &opened.signed.bundle.published_before;
    match corpus.choose(rules, &plan.anchor.hash, published).await {
        Ok(chosen) if chosen.choice == plan.clip => return Ok(Some(chosen)),
        Ok(chosen) => choices(&plan.clip, &chosen.choice, work),
        Err(CorpusError::Exhausted { .. }) => {
            work.differ(Level::Source, None, "clip", [plan.clip.key.clone(), "none is left".into()]);
        }
        Err(cause) => return Err(ReplayError::Corpus(cause)),
    }
    as_recorded(corpus, plan, work).await
}

/// The recorded choice from a corpus that would have chosen otherwise, or cannot say.
async fn as_recorded(
    corpus: &Corpus,
    plan: &RoundPlan,
    work: &mut Compared,
) -> Result<Option<PreparedClip>, ReplayError> {
    match corpus.prepare(&plan.clip, plan.spec).await {
        Ok(prepared) => Ok(Some(prepared)),
        Err(cause @ (CorpusError::Unknown { .. } | CorpusError::Mismatch { .. })) => {
            work.differ(Level::Source, None, "clip", [plan.clip.key.clone(), cause.to_string()]);
            Ok(None)
        }
        Err(cause) => Err(ReplayError::Corpus(cause)),
    }
}

/// The recorded choice from the published source clip, by the same window search over this one file.
async fn of_its_file(
    opened: &Opened,
    plan: &RoundPlan,
    rules: &Rules,
    parts: &ReplayParts,
    work: &mut Compared,
) -> Result<Option<PreparedClip>, ReplayError> {
    let bundle = &opened.signed.bundle;
    let (Some(record), Some(facts)) = (bundle.files.get(SOURCE_FILE), bundle.source) else {
        return Err(ReplayError::NoSource);
    };
    let file = opened.read(SOURCE_FILE, record.bytes.min(MAX_FILE_BYTES)).await?;
    let digest = Digest::of(&file);
    if digest != plan.clip.sha256 {
        work.compare(Level::Source, None, SOURCE_FILE, (plan.clip.sha256, digest));
        return Ok(None);
    }
    let entry = ClipEntry {
        key: plan.clip.key.clone(),
        file: SOURCE_FILE.into(),
        bytes: file.len() as u64,
        sha256: digest,
        caption: plan.clip.prompt.clone(),
        licence: "as published".into(),
        source: "round bundle".into(),
        from_ms: facts.from_ms,
        to_ms: facts.to_ms,
    };
    let corpus = match one_clip(entry, file, Arc::clone(&parts.decoder)).await {
        Ok(corpus) => corpus,
        Err(CorpusError::Manifest(cause)) => {
            work.differ(Level::Source, None, "clip", [plan.clip.key.clone(), cause.to_string()]);
            return Ok(None);
        }
        Err(cause) => return Err(ReplayError::Corpus(cause)),
    };
    work.note("without --corpus the choice among the corpus's clips was not made anew");
    let entry = &corpus.clips()[0];
    let usable = corpus.inspect(entry, &plan.anchor.hash, plan.spec).await.map_err(ReplayError::Corpus)?;
    let start = match usable {
        Usability::Usable(window) => window.start_us.to_string(),
        Usability::NoWindow(reason) => reason.to_string(),
        Usability::Refused(reason) => reason,
    };
    work.compare(Level::Source, None, "window start", (plan.clip.window_start_us.to_string(), start));
    let prepared = as_recorded(&corpus, plan, work).await?;
    if let Some(prepared) = &prepared
        && !judges_motion(prepared, rules).await.map_err(ReplayError::Corpus)?
    {
        let words = ["chosen".to_owned(), "moves too little to be chosen".to_owned()];
        work.differ(Level::Source, None, "clip", words);
    }
    Ok(prepared)
}

/// A corpus of one clip in memory.
async fn one_clip(
    entry: ClipEntry,
    file: bytes::Bytes,
    decoder: Arc<Decoder>,
) -> Result<Corpus, CorpusError> {
    let manifest = Manifest::new(0, vec![entry])?.to_toml();
    let store = InMemory::new();
    for (name, content) in [(MANIFEST, bytes::Bytes::from(manifest)), (SOURCE_FILE, file)] {
        let put = store.put(&Path::from(name), content.into()).await;
        put.map_err(|source| crate::corpus::shelf::ShelfError::Storage { file: name.into(), source })?;
    }
    Corpus::on_shelf(Shelf::over(Arc::new(store)), MANIFEST, decoder).await
}

fn choices(recorded: &ClipChoice, found: &ClipChoice, work: &mut Compared) {
    let shown = |choice: &ClipChoice| {
        let ClipChoice { key, sha256, window_start_us, first_frame_png, reference_frames, prompt } = choice;
        [
            ("clip", key.clone()),
            ("source file", sha256.to_string()),
            ("window start", window_start_us.to_string()),
            ("first frame", first_frame_png.to_string()),
            ("real clip", reference_frames.to_string()),
            ("prompt", prompt.clone()),
        ]
    };
    for ((what, recorded), (_, found)) in shown(recorded).into_iter().zip(shown(found)) {
        work.compare(Level::Source, None, what, (recorded, found));
    }
}
