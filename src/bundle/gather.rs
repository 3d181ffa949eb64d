//! What a bundle shows of its source clip: the first frame made anew, and the file where nothing in it is still secret.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use crate::{
    corpus::{ClipEntry, Corpus, CorpusError},
    domain::{bundle::SourceFacts, ids::Digest, plan::RoundPlan},
};

/// Why it could not be had.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The corpus does not give the clip.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes first frame and source clip into a folder, each under its digest. The clip is left out where a later round may show
/// another part of its file; `published` are the keys of all rounds so far.
///
/// # Errors
/// When the corpus does not give the clip, or the folder takes no file.
pub async fn gather(
    corpus: &Corpus,
    plan: &RoundPlan,
    published: &BTreeSet<String>,
    folder: &Path,
) -> Result<SourceFacts, GatherError> {
    let keep = |digest: &Digest, bytes: &[u8]| {
        let path = folder.join(digest.to_string());
        std::fs::write(&path, bytes).map_err(|source| GatherError::Io { path, source })
    };
    let prepared = corpus.prepare(&plan.clip, plan.spec).await?;
    keep(&plan.clip.first_frame_png, &prepared.first_frame_png)?;
    let entry = corpus.clips().iter().find(|entry| entry.key == plan.clip.key);
    let entry = entry.ok_or_else(|| CorpusError::Unknown { key: plan.clip.key.clone() })?;
    if may_be_published(entry, corpus.clips(), published) {
        keep(&entry.sha256, &corpus.source_file(entry).await?)?;
    }
    Ok(SourceFacts { bytes: entry.bytes, from_ms: entry.from_ms, to_ms: entry.to_ms })
}

/// Whether no round to come can show another part of a clip's file.
fn may_be_published(entry: &ClipEntry, clips: &[ClipEntry], published: &BTreeSet<String>) -> bool {
    let mut shared = clips.iter().filter(|other| other.sha256 == entry.sha256 && other.key != entry.key);
    shared.all(|other| published.contains(&other.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_later_round_may_show_stays_private() {
        let clip = |key: &str, file: u8| ClipEntry {
            key: key.into(),
            file: "f.mp4".into(),
            bytes: 1,
            sha256: Digest([file; 32]),
            caption: "c".into(),
            licence: "l".into(),
            source: "s".into(),
            from_ms: None,
            to_ms: None,
        };
        let clips = [clip("a.mp4", 1), clip("b.mp4", 1), clip("c.mp4", 2)];
        let published = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert!(!may_be_published(&clips[0], &clips, &published(&["a.mp4"])));
        assert!(may_be_published(&clips[0], &clips, &published(&["a.mp4", "b.mp4"])));
        assert!(may_be_published(&clips[2], &clips, &published(&["c.mp4"])));
    }
}
