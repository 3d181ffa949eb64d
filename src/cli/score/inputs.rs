//! What `leoma score` reads: rules, first frame, reference, clips. Every file is bounded, and every
//! path is opened before the first clip is judged.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use bytes::Bytes;

use super::{Scene, ScoreCommand, reference::prepare};
use crate::{
    cli::exit::{Exit, Failure},
    corpus::png::decode_first_frame,
    decode::Decoder,
    domain::{plan::ClipSpec, rules::ActiveRules},
    gpu::port::AdapterInfo,
    quality::{frame::Yuv420Clip, measure::ClipMeasures, ssim::ssim, terms::can_judge_motion},
};

/// Most bytes of a rules file.
const MAX_RULES_BYTES: u64 = 1 << 20;
/// Most bytes of a first frame's PNG file.
const MAX_PNG_BYTES: u64 = 64 << 20;
/// Most bytes of a reference: the decoder's own limit for a source.
const MAX_REFERENCE_BYTES: u64 = 256 << 20;
/// SSIM of the given first frame and the reference's below which we ask whether they belong together.
const SAME_PICTURE: i64 = (1 << 20) * 8 / 10;

/// A file's content, or that it is larger than may be read.
pub(super) enum Content {
    /// The whole file.
    Whole(Bytes),
    /// It has more bytes than the limit.
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    let facts = std::fs::metadata(path)?;
    match facts.is_file() {
        true => Ok((File::open(path)?, facts.len())),
        false => Err(io::Error::other("is not a regular file")),
    }
}

fn unreadable(path: &Path, cause: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unreadable, anyhow!("{}: {cause}", path.display()))
}

/// Opens and closes every path.
///
/// # Errors
/// Names every path that cannot be opened.
pub(super) fn check_open<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<(), Failure> {
    let refused: Vec<String> = paths
        .filter_map(|path| open(path).err().map(|cause| format!("cannot open {}: {cause}", path.display())))
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Unreadable, anyhow!("{}", refused.join("; ")))),
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be opened or read.
pub(super) fn read(path: &Path, limit: u64) -> Result<Content, Failure> {
    let failed = |cause: io::Error| unreadable(path, cause);
    let (file, bytes) = open(path).map_err(failed)?;
    if bytes > limit {
        return Ok(Content::TooLarge { bytes });
    }
    let mut content = Vec::with_capacity(bytes as usize);
    file.take(limit + 1).read_to_end(&mut content).map_err(failed)?;
    // A file that grows while it is read.
    let bytes = content.len() as u64;
    Ok(if bytes > limit { Content::TooLarge { bytes } } else { Content::Whole(content.into()) })
}

fn read_whole(path: &Path, limit: u64) -> Result<Bytes, Failure> {
    match read(path, limit)? {
        Content::Whole(content) => Ok(content),
        Content::TooLarge { bytes } => {
            Err(unreadable(path, format!("has {bytes} bytes, at most {limit} are read")))
        }
    }
}

/// The rules of a file, or the ones built in.
pub(super) fn read_rules(path: Option<&Path>) -> Result<ActiveRules, Failure> {
    let Some(path) = path else {
        return ActiveRules::embedded()
            .map_err(|cause| Failure::new(Exit::Internal, anyhow!(cause).context("embedded rules")));
    };
    let content = read_whole(path, MAX_RULES_BYTES)?;
    let text = std::str::from_utf8(&content).map_err(|_| unreadable(path, "is not UTF-8 text"))?;
    ActiveRules::parse(text)
        .map_err(|cause| Failure::new(Exit::Usage, anyhow!(cause).context(path.display().to_string())))
}

/// Reads everything that all clips are judged against, and says on stderr what looks wrong with it.
pub(super) async fn scene(
    command: &ScoreCommand,
    decoder: &Decoder,
    rules: ActiveRules,
    adapter: AdapterInfo,
) -> Result<Scene, Failure> {
    let spec = rules.rules.request;
    let first_frame = first_frame(&command.first_frame, spec)?;
    let reference = match &command.reference {
        None => {
            eprintln!("note: without --reference motion cannot be judged, so nothing passes");
            None
        }
        Some(path) => Some(reference(path, decoder, &rules, &first_frame).await?),
    };
    Ok(Scene {
        first_frame: Arc::new(first_frame),
        reference: reference.map(Arc::new),
        prompt: command.prompt.as_str().into(),
        rules,
        adapter,
    })
}

fn first_frame(path: &Path, spec: ClipSpec) -> Result<Yuv420Clip, Failure> {
    let file = read_whole(path, MAX_PNG_BYTES)?;
    let frame = decode_first_frame(&file).map_err(|cause| unreadable(path, cause))?;
    let (width, height) = (spec.width as usize, spec.height as usize);
    match (frame.width(), frame.height()) == (width, height) {
        true => Ok(frame),
        false => Err(unreadable(
            path,
            format!(
                "has {}x{} pixels, the rules ask for {width}x{height}: give the frame that the miners got",
                frame.width(),
                frame.height()
            ),
        )),
    }
}

async fn reference(
    path: &Path,
    decoder: &Decoder,
    rules: &ActiveRules,
    first_frame: &Yuv420Clip,
) -> Result<Yuv420Clip, Failure> {
    let file = read_whole(path, MAX_REFERENCE_BYTES)?;
    let prepared = prepare(decoder, file, rules.rules.request).await.map_err(|cause| {
        let exit = if cause.is_ours() { Exit::Internal } else { Exit::Unreadable };
        Failure::new(exit, anyhow!(cause).context(path.display().to_string()))
    })?;
    if let Some(how) = &prepared.changed {
        eprintln!("note: {}: {how}", path.display());
    }
    let (clip, frames) = (prepared.clip, rules.rules.request.frames as usize);
    let (width, height) = (clip.width(), clip.height());
    if ssim(clip.frame(0).y, first_frame.frame(0).y, width, height).is_some_and(|value| value < SAME_PICTURE)
    {
        eprintln!(
            "warning: {} does not begin with the given first frame: is it the clip that it was taken from?",
            path.display()
        );
    }
    let measures = tokio::task::block_in_place(|| ClipMeasures::of(&clip, frames));
    if !can_judge_motion(&measures, &rules.rules.scoring.dynamics) {
        eprintln!(
            "warning: {} moves too little, beyond pans and layers, to judge motion by: nothing passes",
            path.display()
        );
    }
    Ok(clip)
}
