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

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;

use self::{
    cache::Cache,
    captions::{MAX_TEXT_BYTES, Note, Notes},
    names::{Clip, sources},
    survey::{Part, PartState, Survey, SurveyOptions},
};
use super::{
    ClipEntry, Manifest, ManifestError,
    manifest::{CaptionSource, ClipWindow, MAX_CLIP_BYTES, MAX_MANIFEST_BYTES},
    png::encode_first_frame,
    shelf::{Listed, Shelf, ShelfError},
    vision::{Describer, Subject},
};
use crate::{decode::ExtractRequest, domain::ids::Digest};

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

    /// Everything that one file gives.
    async fn one(&self, clip: &Clip, texts: &BTreeMap<String, Listed>, before: &[ClipEntry]) -> Yield {
        let name = clip.listed.name.to_string();
        let mut made = Yield::default();
        let mut file = Lazy { builder: self, clip, content: None };
        let survey = match self.survey(&mut file).await {
            Ok(survey) => survey,
            Err(reason) => {
                made.left_out.push(reason.of(&name));
                return made;
            }
        };
        let one_shot = survey.shots == 1;
        for part in survey.parts {
            match self.entry(&mut file, part, texts, (one_shot, before)).await {
                Ok(Some(entry)) => made.clips.push(entry),
                Ok(None) => {} // in the manifest already
                Err(refused) => made.left_out.push(refused),
            }
        }
        // Files of clips that the manifest has already are looked at too: one that was lost comes back.
        let used = !made.clips.is_empty() || before.iter().any(|known| known.sha256 == clip.sha256);
        if used && let Err(reason) = self.keep(&mut file).await {
            made.clips.clear();
            made.left_out.push(reason.of(&name));
        }
        made
    }

    async fn survey(&self, file: &mut Lazy<'_>) -> Result<Survey, Reason> {
        let clip = file.clip;
        let key = self.options.survey.cache_key(&clip.sha256, &clip.stem);
        if let Some(known) = self.cache.get(&key) {
            return Ok(known);
        }
        let survey = self
            .options
            .survey
            .survey(&file.content().await?, &clip.stem)
            .await
            .map_err(Reason::from_error)?;
        if let Err(error) = self.cache.put(&key, &survey) {
            tracing::warn!(%error, "the survey of a file could not be kept");
        }
        Ok(survey)
    }

    /// The manifest entry of a part; `None` when the manifest has it, or another clip of the same part of the file.
    async fn entry(
        &self,
        file: &mut Lazy<'_>,
        part: Part,
        texts: &BTreeMap<String, Listed>,
        (one_shot, before): (bool, &[ClipEntry]),
    ) -> Result<Option<ClipEntry>, LeftOut> {
        let left_out = |reason: Reason| reason.of(&part.key);
        let (window, pictures) = match &part.state {
            PartState::LeftOut(reason) => return Err(left_out(Reason(reason.clone()))),
            PartState::Serves { window, pictures } => (window, pictures),
        };
        let clip = file.clip;
        let mut entry = ClipEntry {
            key: part.key.clone(),
            file: clip.file.clone(),
            bytes: clip.listed.bytes,
            sha256: clip.sha256,
            caption: String::new(),
            licence: self.options.licence.clone(),
            source: clip.listed.name.to_string().chars().filter(|c| !c.is_control()).take(400).collect(),
            from_ms: part.from_ms,
            to_ms: part.to_ms,
            window: Some(window.clone()),
            caption_by: None,
        };
        let range = entry.range_us();
        let there = |known: &&ClipEntry| {
            let other = known.range_us();
            known.sha256 == entry.sha256 && other.start < range.end && range.start < other.end
        };
        if before.iter().any(|known| known.key == entry.key) || before.iter().any(|known| there(&known)) {
            return Ok(None);
        }
        match self.note(clip, &entry.key, one_shot, texts).await.map_err(left_out)? {
            Some(note) => {
                entry.caption = note.caption;
                entry.licence = note.licence.unwrap_or(entry.licence);
                entry.source = note.source.unwrap_or(entry.source);
            }
            None => {
                let (caption, by) = self.describe(file, window, pictures).await.map_err(left_out)?;
                (entry.caption, entry.caption_by) = (caption, Some(by));
            }
        }
        // One bad caption must not cost the manifest.
        match Manifest::new(0, vec![entry.clone()]) {
            Ok(_) => Ok(Some(entry)),
            Err(ManifestError::Invalid(problems)) => {
                let problems: Vec<String> = problems.into_iter().map(|problem| problem.problem).collect();
                Err(left_out(Reason(problems.join("; "))))
            }
            Err(error) => Err(left_out(Reason::from_error(error))),
        }
    }

    /// What somebody wrote of a clip: by its key, or by its file where the file is one shot.
    async fn note(
        &self,
        clip: &Clip,
        key: &str,
        one_shot: bool,
        texts: &BTreeMap<String, Listed>,
    ) -> Result<Option<Note>, Reason> {
        let name = clip.listed.name.as_ref();
        let part = key.strip_prefix(clip.stem.as_str()).and_then(|part| part.strip_suffix(".mp4"));
        let beside = format!("{}{}", clip.path_stem, part.unwrap_or_default());
        let of_clip = [(key.to_owned(), None), (format!("{beside}.mp4"), Some(&beside))];
        let of_file = (name.to_owned(), Some(&clip.path_stem));
        for (name, stem) in of_clip.into_iter().chain(one_shot.then_some(of_file)) {
            if let Some(note) = self.options.notes.get(&name) {
                return Ok(Some(note.clone()));
            }
            if let Some(listed) = stem.and_then(|stem| texts.get(stem)) {
                let text = self.options.source.read_listed(listed, MAX_TEXT_BYTES).await;
                if let Some(note) = Note::of_text(&text.map_err(Reason::from_error)?) {
                    return Ok(Some(note));
                }
            }
        }
        if self.describer.is_some() {
            return Ok(None);
        }
        let described_whole = self.options.notes.get(name).is_some() || texts.contains_key(&clip.path_stem);
        Err(Reason(match described_whole {
            true => {
                format!("the file has several shots and one caption: write one for this clip, {beside}.txt")
            }
            false => {
                format!(
                    "has no caption: write {beside}.txt beside it, or use --captions or --caption-endpoint"
                )
            }
        }))
    }

    async fn describe(
        &self,
        file: &mut Lazy<'_>,
        window: &ClipWindow,
        pictures: &ExtractRequest,
    ) -> Result<(String, CaptionSource), Reason> {
        let Some(describer) = self.describer else { return Err(Reason("has no caption".into())) };
        let sha256 = file.clip.sha256;
        let subject = Subject { sha256, start_us: window.start_us, planes: window.planes };
        if let Some(known) = describer.remembered(&subject) {
            return Ok((known.text, known.by));
        }
        let content = file.content().await?;
        let shown_frames = self
            .options
            .survey
            .decoder
            .extract_source(content, pictures)
            .await
            .map_err(Reason::from_error)?;
        let painted = tokio::task::spawn_blocking(move || {
            let (width, height) = (shown_frames.width(), shown_frames.height());
            let paint = |index| encode_first_frame(shown_frames.frame(index), width, height);
            (0..shown_frames.len()).map(paint).collect::<Result<Vec<Bytes>, _>>()
        });
        let painted = painted.await.map_err(Reason::from_error)?.map_err(Reason::from_error)?;
        let told = describer.describe(&subject, &painted).await.map_err(Reason::from_error)?;
        Ok((told.text, told.by))
    }

    /// Puts the file into the corpus' folder, unless it is there.
    async fn keep(&self, file: &mut Lazy<'_>) -> Result<(), Reason> {
        let path = self.options.out.join(&file.clip.file);
        let (bytes, sha256) = (file.clip.listed.bytes, file.clip.sha256);
        let known = path.clone();
        let there = tokio::task::spawn_blocking(move || {
            let same_size = std::fs::metadata(&known).is_ok_and(|facts| facts.len() == bytes);
            same_size && std::fs::read(&known).is_ok_and(|content| Digest::of(&content) == sha256)
        });
        if there.await.unwrap_or(false) {
            return Ok(());
        }
        let content = file.content().await?;
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || write_whole(&target, &content)).await;
        let written = written.map_err(Reason::from_error)?;
        written.map_err(|error| Reason(format!("cannot be written to {}: {error}", path.display())))
    }
}

/// Why one file or part is left out, for people; nothing decides by it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);

impl Reason {
    fn from_error(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }

    fn of(self, name: &str) -> LeftOut {
        LeftOut { name: name.to_owned(), reason: self.0 }
    }
}

/// A file's content, read when it is first needed.
struct Lazy<'a> {
    builder: &'a Builder<'a>,
    clip: &'a Clip,
    content: Option<Bytes>,
}

impl Lazy<'_> {
    async fn content(&mut self) -> Result<Bytes, Reason> {
        if let Some(content) = &self.content {
            return Ok(content.clone());
        }
        let (sha256, content) = self.builder.read(&self.clip.listed).await?;
        if sha256 != self.clip.sha256 {
            return Err(Reason("changed while the corpus was built: build again".into()));
        }
        Ok(self.content.insert(content).clone())
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
