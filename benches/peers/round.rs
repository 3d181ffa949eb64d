//! A round's clips through the decoder, the CPU scorer and the networks, as many as there are miners: does a clip cost the same?
//! `benches/copies.rs` has what gate G8 adds.

use std::{path::Path, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use leoma::{
    embed::{DeviceChoice, manifest::default_folder, reader},
    gpu::{
        cpu::CpuScorer,
        port::{ScoreJob, Scorer, Verdict},
    },
    quality::{embeddings::FrameModels, frame::Yuv420Clip},
};

use crate::{Failure, clock, inputs::Inputs};

/// Judges so many clips of one task, `rayon::current_num_threads` at a time, with nothing remembered from before.
pub fn measure(folder: &Path, clips: usize) -> Result<serde_json::Value, Failure> {
    let mut inputs = Inputs::load(folder)?;
    let models = networks(&mut inputs)?;
    let with_networks = models.is_some();
    let threads = rayon::current_num_threads();
    let scorer = CpuScorer::new(threads)?;
    let one = |place| {
        let (inputs, scorer, models) = (&inputs, &scorer, models.clone());
        async move {
            let decoded = inputs.decoder.decode_clip(inputs.file.clone(), inputs.rules.request).await?;
            let job = ScoreJob {
                clip: Arc::new(marked(&decoded.frames, place)?),
                first_frame: Arc::clone(&inputs.first_frame),
                reference: Some(Arc::clone(&inputs.reference)),
                prompt: "".into(),
                others: Arc::new([]),
                rules: Arc::clone(&inputs.rules),
                models,
            };
            match scorer.score(job).await? {
                Verdict::Scored(_) => Ok::<_, Failure>(()),
                Verdict::Gated { reason, .. } => Err(format!("the clip was gated: {reason}").into()),
            }
        }
    };
    let judged = stream::iter(0..clips).map(one).buffer_unordered(threads).try_collect::<Vec<_>>();
    let (all, time) = clock::timed(|| inputs.runtime.block_on(judged));
    all?;
    Ok(serde_json::json!({
        "clips": clips,
        "networks": with_networks,
        "wall_ms": time.wall_ms,
        "processor_ms": time.processor_ms,
        "peak_bytes": clock::own_peak(),
    }))
}

/// The clip with a number in a corner of its frames: networks remember frames that they have seen.
fn marked(clip: &Yuv420Clip, number: usize) -> Result<Yuv420Clip, Failure> {
    let (width, height) = (clip.width(), clip.height());
    let mut data = clip.as_bytes().to_vec();
    for frame in data.chunks_exact_mut(Yuv420Clip::frame_bytes(width, height)) {
        for row in frame.chunks_exact_mut(width).take(8) {
            row[..8].fill(64 + (number % 128) as u8);
        }
    }
    Ok(Yuv420Clip::from_planes(width, height, clip.len(), data)?)
}

/// The networks that the rules built in name, where they are at hand; then the rules ask them.
fn networks(inputs: &mut Inputs) -> Result<Option<Arc<dyn FrameModels>>, Failure> {
    let mut rules = inputs.rules.scoring.clone();
    rules.models = Some(reader::model_rules()?);
    let opened = default_folder().and_then(|folder| reader::open(DeviceChoice::Cpu, &folder, &rules).ok());
    let Some(opened) = opened else { return Ok(None) };
    Arc::make_mut(&mut inputs.rules).scoring = rules;
    Ok(Some(Arc::new(opened.networks)))
}
