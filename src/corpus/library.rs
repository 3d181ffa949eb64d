//! The corpus as the round machinery uses it: open, choose, prepare, replay.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{
    manifest::{ClipEntry, MAX_MANIFEST_BYTES, Manifest, ManifestError},
    png::{FirstFrameError, decode_first_frame, encode_first_frame},
    shelf::{Shelf, ShelfError},
    timeline::{Timeline, TimelineError},
    window::{NoWindow, Window, WindowRequest, centre_crop, find_window, walk, window_at},
};
use crate::{
    decode::{CropRect, DecodeError, Decoder, ExtractRequest, SourceScan},
    domain::{
        ids::{BlockHash, Digest},
        outcome::Fault,
        plan::{ClipChoice, ClipSpec},
    },
    quality::frame::Yuv420Clip,
};

/// Where the corpus lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorpusOptions {
    /// Folder, by path or `file://` address.
    pub location: String,
    /// Name of the manifest inside it.
    pub manifest: String,
}

impl CorpusOptions {
    /// A location with the usual manifest name, `corpus.toml`.
    pub fn at(location: impl Into<String>) -> Self {
        Self { location: location.into(), manifest: "corpus.toml".into() }
    }
}

/// Why a round has no source clip.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file could not be had.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The manifest was refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The decode worker failed; the clip itself may be sound.
    #[error("corpus clip `{key}`: {source}")]
    Decode {
        /// The clip.
        key: String,
        /// What failed.
        source: DecodeError,
    },
    /// A scan contradicts itself.
    #[error("corpus clip `{key}`: {source}")]
    Timeline {
        /// The clip.
        key: String,
        /// What is wrong.
        source: TimelineError,
    },
    /// The first frame could not be written.
    #[error("corpus clip `{key}`: {source}")]
    FirstFrame {
        /// The clip.
        key: String,
        /// What failed.
        source: FirstFrameError,
    },
    /// The process shuts down, or preparing panicked.
    #[error("corpus clip `{key}`: preparing was interrupted")]
    Interrupted {
        /// The clip.
        key: String,
    },
    /// The manifest does not list the clip of a replayed choice.
    #[error("the corpus has no clip `{key}`: it was replaced since the choice was made")]
    Unknown {
        /// The clip.
        key: String,
    },
    /// A replayed choice gives something else than it did.
    #[error(
        "corpus clip `{key}`: {what} differs from the choice: another corpus or another version of the rules made it"
    )]
    Mismatch {
        /// The clip.
        key: String,
        /// Which part of the choice.
        what: &'static str,
    },
    /// No clip is left.
    #[error(
        "none of {clips} clips can serve this round ({published} were published before): add clips to the corpus"
    )]
    Exhausted {
        /// Clips of the manifest.
        clips: usize,
        /// How many of them were published before.
        published: usize,
    },
}

impl CorpusError {
    /// Who is to blame: storage for a file that does not arrive, else this validator; never a miner.
    pub fn fault(&self) -> Fault {
        match self {
            CorpusError::Shelf(ShelfError::Storage { .. } | ShelfError::Timeout { .. }) => Fault::Platform,
            _ => Fault::Us,
        }
    }
}

/// A round's source clip, ready for miners and scorer.
#[derive(Clone, Debug)]
pub struct PreparedClip {
    /// What was chosen, with the digests of everything below.
    pub choice: ClipChoice,
    /// The first frame as the PNG file that miners get.
    pub first_frame_png: Bytes,
    /// The PNG's pixels as planes, one frame: what the scorer compares with.
    pub first_frame: Arc<Yuv420Clip>,
    /// The real clip `[frames, height, width]`, YUV 4:2:0; private until the round closes.
    pub reference: Arc<Yuv420Clip>,
}

/// What a clip of the corpus is good for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Usability {
    /// It has a window.
    Usable(Window),
    /// Its pictures have none.
    NoWindow(NoWindow),
    /// The decoder refuses the file.
    Refused(String),
}

/// The source clips of a validator.
#[derive(Debug)]
pub struct Corpus {
    shelf: Shelf,
    manifest: Manifest,
    digest: Digest,
    decoder: Arc<Decoder>,
    /// Scans by file digest (a scan decodes the whole file); one small entry per file of the manifest.
    scans: Mutex<HashMap<Digest, Arc<Scanned>>>,
}

/// Outcome of scanning a file once; the same on every machine.
#[derive(Debug)]
enum Scanned {
    Timeline(Timeline),
    Refused(String),
}

impl Corpus {
    /// Reads and checks the manifest.
    ///
    /// # Errors
    /// When the location or the manifest is refused.
    pub async fn open(options: CorpusOptions, decoder: Arc<Decoder>) -> Result<Self, CorpusError> {
        Self::on_shelf(Shelf::open(&options.location)?, &options.manifest, decoder).await
    }

    /// As [`Corpus::open`], over a shelf that the caller made.
    ///
    /// # Errors
    /// When the manifest is missing or refused.
    pub async fn on_shelf(shelf: Shelf, manifest: &str, decoder: Arc<Decoder>) -> Result<Self, CorpusError> {
        let file = shelf.read_bounded(manifest, MAX_MANIFEST_BYTES as u64).await?;
        let manifest = Manifest::parse(&file)?;
        Ok(Self { digest: manifest.digest(), shelf, manifest, decoder, scans: Mutex::default() })
    }

    /// Digest of the manifest's canonical form and the version of the selection rules.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Number of clips in the manifest.
    pub fn len(&self) -> usize {
        self.manifest.clips().len()
    }

    /// Whether the manifest lists no clip.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clips in walk order.
    pub fn clips(&self) -> &[ClipEntry] {
        self.manifest.clips()
    }

    /// All clips that have a window, in walk order, found one by one.
    pub fn candidates(&self, anchor: &BlockHash, spec: ClipSpec) -> Candidates<'_> {
        Candidates { corpus: self, anchor: *anchor, spec, order: walk(anchor, self.len()).collect() }
    }

    /// Replays a choice.
    ///
    /// # Errors
    /// `Unknown` or `Mismatch` when this corpus does not give the same bytes.
    pub async fn prepare(&self, choice: &ClipChoice, spec: ClipSpec) -> Result<PreparedClip, CorpusError> {
        let key = || choice.key.clone();
        let mismatch = |what| CorpusError::Mismatch { key: key(), what };
        let entry = self
            .clips()
            .iter()
            .find(|clip| clip.key == choice.key)
            .ok_or_else(|| CorpusError::Unknown { key: key() })?;
        if entry.sha256 != choice.sha256 {
            return Err(mismatch("the source file"));
        }
        let (file, scanned) = self.load(entry).await?;
        let Scanned::Timeline(timeline) = &*scanned else { return Err(mismatch("the source's pictures")) };
        let window = window_at(timeline, choice.window_start_us, spec)
            .ok_or_else(|| mismatch("the start of the window"))?;
        let prepared = self.extract(entry, file, timeline.size(), &window, spec).await?;
        let parts = [
            ("the first frame", prepared.choice.first_frame_png == choice.first_frame_png),
            ("the reference clip", prepared.choice.reference_frames == choice.reference_frames),
            ("the prompt", prepared.choice.prompt == choice.prompt),
        ];
        match parts.into_iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(mismatch(what)),
            None => Ok(prepared),
        }
    }

    /// What one clip is good for, for the operator's check of a corpus.
    ///
    /// # Errors
    /// When its file is missing or altered, or the decode worker fails.
    pub async fn inspect(
        &self,
        entry: &ClipEntry,
        anchor: &BlockHash,
        spec: ClipSpec,
    ) -> Result<Usability, CorpusError> {
        let (_, scanned) = self.load(entry).await?;
        Ok(match &*scanned {
            Scanned::Refused(reason) => Usability::Refused(reason.clone()),
            Scanned::Timeline(timeline) => match window_of(entry, timeline, anchor, spec) {
                Ok(window) => Usability::Usable(window),
                Err(reason) => Usability::NoWindow(reason),
            },
        })
    }

    /// The source file of a clip, as the manifest names it.
    ///
    /// # Errors
    /// When it is missing or altered.
    pub async fn source_file(&self, entry: &ClipEntry) -> Result<Bytes, CorpusError> {
        Ok(self.shelf.read_verified(&entry.file, entry.bytes, entry.sha256).await?)
    }

    async fn load(&self, entry: &ClipEntry) -> Result<(Bytes, Arc<Scanned>), CorpusError> {
        let file = self.shelf.read_verified(&entry.file, entry.bytes, entry.sha256).await?;
        let known = self.scans().get(&entry.sha256).cloned();
        let scanned = match known {
            Some(scanned) => scanned,
            None => Arc::new(self.scan(entry, file.clone()).await?),
        };
        self.scans().insert(entry.sha256, scanned.clone());
        Ok((file, scanned))
    }

    fn scans(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<Scanned>>> {
        // The map is only read and inserted into: a panic elsewhere leaves it whole.
        self.scans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn scan(&self, entry: &ClipEntry, file: Bytes) -> Result<Scanned, CorpusError> {
        match self.decoder.scan_source(file).await {
            Ok(scan) => timeline_of(&scan)
                .map(Scanned::Timeline)
                .map_err(|source| CorpusError::Timeline { key: entry.key.clone(), source }),
            // A property of the file, the same on every machine: the walk goes on.
            Err(DecodeError::Source { reason }) => {
                tracing::warn!(clip = %entry.key, %reason, "corpus clip cannot be decoded, it is passed over");
                Ok(Scanned::Refused(reason))
            }
            Err(source) => Err(CorpusError::Decode { key: entry.key.clone(), source }),
        }
    }

    async fn extract(
        &self,
        entry: &ClipEntry,
        file: Bytes,
        size: (u32, u32),
        window: &Window,
        spec: ClipSpec,
    ) -> Result<PreparedClip, CorpusError> {
        let key = || entry.key.clone();
        let crop = centre_crop(size, &spec)
            .map_err(|_| CorpusError::Mismatch { key: key(), what: "the size of the source" })?;
        let request = ExtractRequest {
            frames: window.frames.clone(),
            crop: CropRect { x: crop.x, y: crop.y, width: crop.width, height: crop.height },
            width: spec.width,
            height: spec.height,
        };
        let extracted = self.decoder.extract_source(file, &request).await;
        let reference = extracted.map_err(|source| CorpusError::Decode { key: key(), source })?;
        let (entry, start_us) = (entry.clone(), window.start_us);
        // Digests of some 50 MB and a PNG: too long for the caller's thread.
        let finished = tokio::task::spawn_blocking(move || finish(entry, start_us, reference)).await;
        finished.unwrap_or_else(|_| Err(CorpusError::Interrupted { key: key() }))
    }
}

/// Makes the first frame and the digests of a cut-out clip.
fn finish(
    entry: ClipEntry,
    window_start_us: u64,
    reference: Yuv420Clip,
) -> Result<PreparedClip, CorpusError> {
    let failed = |source| CorpusError::FirstFrame { key: entry.key.clone(), source };
    let first_frame_png =
        encode_first_frame(reference.frame(0), reference.width(), reference.height()).map_err(failed)?;
    let first_frame = decode_first_frame(&first_frame_png).map_err(failed)?;
    let choice = ClipChoice {
        first_frame_png: Digest::of(&first_frame_png),
        reference_frames: reference.digest(),
        sha256: entry.sha256,
        window_start_us,
        key: entry.key,
        prompt: entry.caption,
    };
    Ok(PreparedClip {
        choice,
        first_frame_png,
        first_frame: Arc::new(first_frame),
        reference: Arc::new(reference),
    })
}

fn timeline_of(scan: &SourceScan) -> Result<Timeline, TimelineError> {
    let thumb_pixels = scan.thumb_width as usize * scan.thumb_height as usize;
    let frames = scan.frames.iter().map(|frame| (frame.pts_us, frame.thumb.as_ref()));
    Timeline::new((scan.width, scan.height), thumb_pixels, frames)
}

fn window_of(
    entry: &ClipEntry,
    timeline: &Timeline,
    anchor: &BlockHash,
    spec: ClipSpec,
) -> Result<Window, NoWindow> {
    find_window(timeline, &WindowRequest { key: &entry.key, range_us: entry.range_us(), anchor, spec })
}

/// A walk over the corpus that yields the clips with a window.
#[derive(Debug)]
pub struct Candidates<'a> {
    corpus: &'a Corpus,
    anchor: BlockHash,
    spec: ClipSpec,
    order: std::collections::VecDeque<usize>,
}

impl<'a> Candidates<'a> {
    /// The same walk without these keys.
    #[must_use]
    pub fn without(mut self, published: &BTreeSet<String>) -> Self {
        let clips = self.corpus.clips();
        self.order.retain(|&index| !published.contains(&clips[index].key));
        self
    }

    /// The next clip that has a window; `None` at the end of the walk.
    ///
    /// # Errors
    /// When a file is missing or altered, or the decode worker fails. The clip is passed then: a
    /// further call goes on behind it.
    pub async fn next(&mut self) -> Result<Option<Candidate<'a>>, CorpusError> {
        let corpus = self.corpus;
        while let Some(index) = self.order.pop_front() {
            let entry = &corpus.clips()[index];
            let (file, scanned) = corpus.load(entry).await?;
            let Scanned::Timeline(timeline) = &*scanned else { continue };
            match window_of(entry, timeline, &self.anchor, self.spec) {
                Ok(window) => {
                    let size = timeline.size();
                    return Ok(Some(Candidate { corpus, entry, file, size, window, spec: self.spec }));
                }
                Err(reason) => tracing::info!(clip = %entry.key, %reason, "corpus clip has no window"),
            }
        }
        Ok(None)
    }
}

/// A clip with its window, not yet cut out.
#[derive(Debug)]
pub struct Candidate<'a> {
    corpus: &'a Corpus,
    entry: &'a ClipEntry,
    file: Bytes,
    size: (u32, u32),
    window: Window,
    spec: ClipSpec,
}

impl Candidate<'_> {
    /// The clip's entry in the manifest.
    pub fn entry(&self) -> &ClipEntry {
        self.entry
    }

    /// The window that the round would use.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Cuts out, crops and scales the window, and makes the first frame.
    ///
    /// # Errors
    /// When the decode worker fails.
    pub async fn prepare(self) -> Result<PreparedClip, CorpusError> {
        self.corpus.extract(self.entry, self.file, self.size, &self.window, self.spec).await
    }
}
