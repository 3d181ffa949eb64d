//! What all clips of `leoma score` are judged against: first frame, reference, rules.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;

use super::{Scene, ScoreCommand, reference::prepare};
use crate::{
    cli::{
        exit::{Exit, Failure},
        files::{read_whole, unreadable},
    },
    corpus::png::decode_first_frame,
    decode::Decoder,
    domain::{plan::ClipSpec, rules::ActiveRules},
    gpu::port::AdapterInfo,
    quality::{
        embeddings::FrameModels, frame::Yuv420Clip, measure::ClipMeasures, ssim::ssim,
        terms::can_judge_motion,
    },
};

/// Most bytes of a first frame's PNG file.
const MAX_PNG_BYTES: u64 = 64 << 20;
/// Most bytes of a reference: the decoder's own limit for a source.
const MAX_REFERENCE_BYTES: u64 = 256 << 20;
/// SSIM of the given first frame and the reference's below which we ask whether they belong together.
const SAME_PICTURE: i64 = (1 << 20) * 8 / 10;

/// Reads everything that all clips are judged against, and says on stderr what looks wrong with it.
pub(super) async fn scene(
    command: &ScoreCommand,
    decoder: &Decoder,
    rules: ActiveRules,
    (adapter, models): (AdapterInfo, Option<Arc<dyn FrameModels>>),
) -> Result<Scene, Failure> {
    let spec = rules.rules.request;
    let first_frame = read_first_frame(&command.first_frame, spec)?;
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
        models,
    })
}

/// The given first frame from its PNG file, in the asked size.
pub(in crate::cli) fn read_first_frame(path: &Path, spec: ClipSpec) -> Result<Yuv420Clip, Failure> {
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
