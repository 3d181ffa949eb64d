//! Building a corpus from footage: every source is cut at its breaks, every part is tried as a round would use it, and
//! what serves and has a caption gets into the manifest.
//!
//! A build can be stopped and started again at any time: surveys and captions are remembered in a cache folder, files
//! are written whole, the manifest last. What is in the manifest already stays as it is (somebody may have improved a
//! caption), so that building anew with more footage makes the corpus grow. What cannot serve is left out with a
//! reason, never the whole build.

pub mod cache;
pub mod captions;
pub mod names;
pub mod survey;
mod work;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;

use self::{cache::Cache, captions::Notes, names::sources, survey::SurveyOptions, work::Reason};
use super::{
    ClipEntry, Manifest, ManifestError,
    manifest::{MAX_CLIP_BYTES, MAX_MANIFEST_BYTES},
    shelf::{Listed, Shelf, ShelfError},
    vision::Describer,
};
use crate::domain::ids::Digest;

/// Name of the manifest in the built folder.
pub const MANIFEST: &str = "corpus.toml";
/// Most files that a source folder may hold, clips and others.
const MAX_FILES: usize = 100_000;

/// What a corpus is built from and where.
#[derive(Debug)]
pub struct BuildOptions {
    /// The footage.
    pub source: Shelf,
    /// Part of the listing that is not footage: where the corpus lies inside its own source.
    pub skip: Option<String>,
    /// Folder of the corpus; made if missing.
    pub out: PathBuf,
    /// Folder of what is remembered.
    pub cache: PathBuf,
    /// How files are surveyed.
    pub survey: SurveyOptions,
    /// Captions from a CSV file.
    pub notes: Notes,
    /// Licence of footage whose notes name none.
    pub licence: String,
    /// Smallest source file in bytes.
    pub min_clip_bytes: u64,
    /// Files that are worked on at the same time.
    pub jobs: usize,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The footage cannot be listed.
    #[error(transparent)]
    Source(#[from] ShelfError),
    /// A folder or file of the corpus could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest that is there, or the new one, was refused.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
}

/// What a build tells while it runs.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// So many files are read.
    Reading(usize),
    /// One of them was.
    Read(&'a str),
    /// So many are cut.
    Cutting(usize),
    /// One of them was, and gave so many clips.
    Cut(&'a str, usize),
}

/// What became of a build.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BuildReport {
    /// Files of footage that were found.
    pub sources: usize,
    /// Clips of the manifest.
    pub clips: usize,
    /// Clips that this build added.
    pub added: Vec<Added>,
    /// What was left out, and why.
    pub left_out: Vec<LeftOut>,
    /// Digest of the manifest.
    pub corpus_digest: Digest,
}

/// A clip that was added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Added {
    /// Its key.
    pub key: String,
    /// What it shows.
    pub caption: String,
    /// The model that says so, if a model does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A file or a part of one that is not in the corpus.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct LeftOut {
    /// Name of the file in the source, or key of the part.
    pub name: String,
    /// Why, and what can be done.
    pub reason: String,
}

/// A file of footage with its content's digest.
struct Hashed {
    listed: Listed,
    sha256: Digest,
}

/// What one file gave.
#[derive(Default)]
struct Yield {
    clips: Vec<ClipEntry>,
    left_out: Vec<LeftOut>,
}

/// Builds, or goes on building.
///
/// # Errors
/// When the source cannot be listed or the corpus cannot be written. Whatever is wrong with single files is in the
/// report.
pub async fn build(
    options: &BuildOptions,
    describer: Option<&Describer>,
    progress: &(dyn Fn(Step<'_>) + Send + Sync),
) -> Result<BuildReport, BuildError> {
    let builder = Builder { options, describer, progress, cache: Cache::new(options.cache.clone()) };
    builder.run().await
}

struct Builder<'a> {
    options: &'a BuildOptions,
    describer: Option<&'a Describer>,
    progress: &'a (dyn Fn(Step<'_>) + Send + Sync),
    cache: Cache,
}

impl Builder<'_> {
    async fn run(&self) -> Result<BuildReport, BuildError> {
        let out = &self.options.out;
        std::fs::create_dir_all(out).map_err(file_error(out))?;
        let before = self.manifest_before()?;
        let files = self.options.source.list(MAX_FILES).await?;
        let found = sources(files, self.options.skip.as_deref());
        let mut report = Yield { left_out: found.left_out, ..Yield::default() };
        let sources = found.clips.len() + report.left_out.len();

        let hashed = self.read_all(found.clips, &mut report).await;
        let named = names::named(hashed, before.clips(), &mut report.left_out);
        (self.progress)(Step::Cutting(named.len()));
        let (texts, there) = (&found.texts, before.clips());
        let work = futures::stream::iter(named).map(|clip| async move {
            let made = self.one(&clip, texts, there).await;
            (self.progress)(Step::Cut(clip.listed.name.as_ref(), made.clips.len()));
            made
        });
        let mut work = work.buffered(self.options.jobs.max(1));
        while let Some(mut made) = work.next().await {
            report.clips.append(&mut made.clips);
            report.left_out.append(&mut made.left_out);
        }
        let manifest = self.write_manifest(&before, &report)?;
        report.left_out.sort();
        let added = |clip: ClipEntry| Added {
            key: clip.key,
            caption: clip.caption,
            model: clip.caption_by.map(|by| by.model),
        };
        Ok(BuildReport {
            sources,
            clips: manifest.clips().len(),
            added: report.clips.into_iter().map(added).collect(),
            left_out: report.left_out,
            corpus_digest: manifest.digest(),
        })
    }

    /// The manifest of an earlier build, or an empty one; a refused one is not overwritten.
    fn manifest_before(&self) -> Result<Manifest, BuildError> {
        let path = self.options.out.join(MANIFEST);
        let refused = |source| BuildError::Manifest { path: path.clone(), source };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Manifest::new(self.options.min_clip_bytes, Vec::new()).map_err(refused)
            }
            Err(error) => Err(file_error(&path)(error)),
            Ok(facts) if facts.len() > MAX_MANIFEST_BYTES as u64 => {
                Err(refused(ManifestError::TooLarge { got: facts.len() as usize }))
            }
            Ok(_) => {
                let text = std::fs::read(&path).map_err(file_error(&path))?;
                Manifest::parse(&text).map_err(refused)
            }
        }
    }

    /// The manifest before and what was added, written whole.
    fn write_manifest(&self, before: &Manifest, report: &Yield) -> Result<Manifest, BuildError> {
        let path = self.options.out.join(MANIFEST);
        let clips: Vec<ClipEntry> = before.clips().iter().chain(&report.clips).cloned().collect();
        // The floor is part of the digest: it changes only when smaller files are asked for.
        let floor = self.options.min_clip_bytes.min(before.min_clip_bytes());
        let refused = |source| BuildError::Manifest { path: path.clone(), source };
        let manifest = Manifest::new(floor, clips).map_err(refused)?;
        write_whole(&path, manifest.to_toml().as_bytes()).map_err(file_error(&path))?;
        Ok(manifest)
    }

    /// Digests of all files, in order. A file that cannot be read is left out.
    async fn read_all(&self, files: Vec<Listed>, report: &mut Yield) -> Vec<Hashed> {
        (self.progress)(Step::Reading(files.len()));
        let reads = futures::stream::iter(files).map(|listed| async move {
            let read = self.read(&listed).await;
            (self.progress)(Step::Read(listed.name.as_ref()));
            (listed, read)
        });
        let mut reads = reads.buffered(self.options.jobs.max(1));
        let mut hashed = Vec::new();
        while let Some((listed, read)) = reads.next().await {
            match read {
                Ok((sha256, _)) => hashed.push(Hashed { listed, sha256 }),
                Err(reason) => report.left_out.push(reason.of(listed.name.as_ref())),
            }
        }
        hashed
    }

    async fn read(&self, listed: &Listed) -> Result<(Digest, Bytes), Reason> {
        let floor = self.options.min_clip_bytes;
        if !(floor..=MAX_CLIP_BYTES).contains(&listed.bytes) {
            return Err(Reason(format!(
                "has {} bytes, clips have {floor} to {MAX_CLIP_BYTES}: cut it with `ffmpeg -ss START -t SECONDS -i IN -c copy OUT.mp4`, or \
                 lower --min-clip-bytes",
                listed.bytes
            )));
        }
        let file =
            self.options.source.read_listed(listed, MAX_CLIP_BYTES).await.map_err(Reason::from_error)?;
        let hashed = file.clone();
        let digest = tokio::task::spawn_blocking(move || Digest::of(&hashed)).await;
        Ok((digest.map_err(Reason::from_error)?, file))
    }
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> BuildError + '_ {
    |source| BuildError::File { path: path.to_owned(), source }
}

/// Writes through a temporary neighbour, so that the name never shows half a file.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    #[cfg(unix)]
    {
        // A temporary file is private; the manifest is as readable as the clips beside it.
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
}
