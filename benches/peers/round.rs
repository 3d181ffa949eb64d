//! A round's clips through the decoder, the CPU scorer and gate G8, as many as there are miners: does a clip cost the same?

use std::{path::Path, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use leoma::{
    domain::{
        copies::{ClipIdentity, CopyBook, EarlierClip},
        ids::{BlockNumber, Digest, Hotkey, RoundId, Uid},
        roster::Precedence,
        scoring::CopyGate,
        track::{CELLS, ClipTrack, SAMPLES},
    },
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
    let (with_networks, gate) = (models.is_some(), inputs.rules.scoring.gates.copy);
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
    let (groups, copies) = clock::timed(|| grouped(clips, &gate));
    Ok(serde_json::json!({
        "clips": clips,
        "networks": with_networks,
        "wall_ms": time.wall_ms,
        "processor_ms": time.processor_ms,
        "copies_ms": copies.processor_ms,
        "groups": groups,
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
    let Some(opened) =
        default_folder().and_then(|folder| reader::open(DeviceChoice::Cpu, &folder, false).ok())
    else {
        return Ok(None);
    };
    Arc::make_mut(&mut inputs.rules).scoring.models = Some(reader::model_rules()?);
    Ok(Some(Arc::new(opened.networks)))
}

/// What gate G8 does in such a round: every clip against every other one and those of eight earlier rounds.
fn grouped(clips: usize, gate: &CopyGate) -> usize {
    let mut state = 1u64;
    let mut drawn = || {
        let mut value = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 52) as u16
        };
        ClipTrack::new((0..SAMPLES * CELLS).map(|_| value()).collect()).ok()
    };
    let hotkey = |place: usize| Hotkey(Digest::of(&place.to_le_bytes()).0);
    let earlier: Vec<_> = (0..gate.rounds as usize * clips)
        .filter_map(|place| {
            let round = RoundId((place / clips) as u64);
            Some(EarlierClip { round, hotkey: hotkey(clips + place), changes: drawn()?.changes() })
        })
        .collect();
    let mut book = CopyBook::default();
    let mut returned = 0;
    for place in 0..clips {
        let digest = Digest::of(&place.to_le_bytes());
        let precedence =
            Precedence { reveal_block: BlockNumber(place as u64), index: 0, uid: Uid(place as u16) };
        let clip =
            ClipIdentity { hotkey: hotkey(place), precedence, file: digest, frames: digest, track: drawn() };
        book.add(clip, Some(gate));
        returned += usize::from(book.find_earlier(&hotkey(place), &earlier, gate).is_some());
    }
    book.groups().len() + returned
}
