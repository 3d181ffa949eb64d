//! The clip that every side works on: a real one, cut, scaled and encoded as miners' clips are.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use bytes::Bytes;
use leoma::{
    corpus::{
        Corpus, CorpusOptions,
        draw::{DrawOptions, draw_corpus},
    },
    decode::{Decoder, DecoderOptions},
    domain::{ids::BlockHash, plan::ClipSpec, rules::Rules},
    quality::frame::Yuv420Clip,
    sim::encode::{EncodeOptions, IndexPlace, encode},
};
use tokio::runtime::Runtime;

use crate::{Failure, clock};

/// The clip that is taken where the corpus has it: filmed, textured, a still camera before moving people.
pub const USUAL_CLIP: &str = "sports2d.mp4";
/// x264's quality of the clip under test.
const CRF: u8 = 18;

/// What is measured on.
pub struct Inputs {
    /// The file as a miner would send it.
    pub file: Bytes,
    /// Its planes `[frames, height, width]`, YUV 4:2:0.
    pub clip: Arc<Yuv420Clip>,
    /// The source's planes of the same shape.
    pub reference: Arc<Yuv420Clip>,
    /// The given first frame.
    pub first_frame: Arc<Yuv420Clip>,
    /// The rules built in.
    pub rules: Arc<Rules>,
    /// Decodes files in children of the real binary.
    pub decoder: Decoder,
    /// Runs what is async.
    pub runtime: Runtime,
}

impl Inputs {
    /// Reads what `prepare` wrote.
    pub fn load(folder: &Path) -> Result<Self, Failure> {
        // The networks are timed on their own.
        let mut rules = leoma::domain::rules::ActiveRules::embedded()?.rules.without_models();
        // The clip is the source itself, encoded as an answer.
        rules.scoring.gates.source_copy.mode = leoma::domain::scoring::GateMode::Advisory;
        let planes = |name: &str, frames: u32| {
            let ClipSpec { width, height, .. } = rules.request;
            let data = fs::read(folder.join(name))?;
            let clip = Yuv420Clip::from_planes(width as usize, height as usize, frames as usize, data)?;
            Ok::<_, Failure>(Arc::new(clip))
        };
        let (clip, reference) =
            (planes("clip.yuv", rules.request.frames)?, planes("reference.yuv", rules.request.frames)?);
        let first_frame = planes("first.yuv", 1)?;
        Ok(Self {
            file: fs::read(folder.join("clip.mp4"))?.into(),
            clip,
            reference,
            first_frame,
            decoder: decoder(&rules),
            rules: Arc::new(rules),
            runtime: runtime()?,
        })
    }

    /// Width and height of a frame.
    pub fn size(&self) -> (usize, usize) {
        (self.clip.width(), self.clip.height())
    }

    /// Luma of a frame of the clip.
    pub fn luma(&self, frame: usize) -> &[u8] {
        self.clip.frame(frame).y
    }
}

fn decoder(rules: &Rules) -> Decoder {
    Decoder::new(DecoderOptions::with_worker(env!("CARGO_BIN_EXE_leoma").into()).under(&rules.limits))
}

/// Decodes the prepared file and gives the largest resident memory of the worker in bytes, in a process
/// that holds little itself.
pub fn decoder_memory(folder: &Path) -> Result<u64, Failure> {
    let rules = leoma::domain::rules::ActiveRules::embedded()?.rules;
    let file = fs::read(folder.join("clip.mp4"))?;
    runtime()?.block_on(decoder(&rules).decode_clip(file.into(), rules.request))?;
    Ok(clock::child_peak())
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// Writes `clip.mp4`, its planes `clip.yuv`, the source's planes `reference.yuv` and the given frame `first.yuv` into a
/// folder, and says as JSON what they are. Without a corpus a clip is drawn.
pub fn prepare(folder: &Path, key: &str, corpus: Option<&Path>) -> Result<serde_json::Value, Failure> {
    let rules = leoma::domain::rules::ActiveRules::embedded()?.rules;
    let drawn = folder.join("drawn");
    let corpus = match corpus.filter(|corpus| corpus.join("corpus.toml").is_file()) {
        Some(corpus) => corpus,
        None => {
            eprintln!("no corpus: a clip is drawn (scripts/fetch-assets.sh gets filmed ones)");
            draw_corpus(&DrawOptions { scenes: 1, ..DrawOptions::into_folder(&drawn) }, |_| {})?;
            &drawn
        }
    };
    runtime()?.block_on(cut(folder, key, &corpus.to_string_lossy(), &rules))
}

async fn cut(folder: &Path, key: &str, corpus: &str, rules: &Rules) -> Result<serde_json::Value, Failure> {
    let decoder = decoder(rules);
    let corpus = Corpus::open(CorpusOptions::at(corpus), Arc::new(decoder.clone())).await?;
    let known = corpus.clips().iter().any(|clip| clip.key == key);
    let others: BTreeSet<String> =
        corpus.clips().iter().map(|clip| clip.key.clone()).filter(|other| known && other != key).collect();
    let mut candidates = corpus.candidates(&BlockHash([0; 32]), rules.request).without(&others);
    let candidate = candidates.next().await?.ok_or("no clip of the corpus has a usable window")?;
    let prepared = candidate.prepare().await?;
    let options = EncodeOptions { fps: rules.request.fps, crf: CRF, scale: None, index: IndexPlace::Front };
    let file = encode(&prepared.reference, &options).await?;
    let decoded = decoder.decode_clip(file.clone(), rules.request).await?;
    fs::write(folder.join("clip.mp4"), &file)?;
    fs::write(folder.join("clip.yuv"), decoded.frames.as_bytes())?;
    fs::write(folder.join("reference.yuv"), prepared.reference.as_bytes())?;
    fs::write(folder.join("first.yuv"), prepared.first_frame.as_bytes())?;
    Ok(serde_json::json!({
        "key": prepared.choice.key, "from_ms": prepared.choice.window_start_us / 1_000, "bytes": file.len(), "crf": CRF,
        "frames": rules.request.frames, "width": rules.request.width, "height": rules.request.height,
    }))
}
