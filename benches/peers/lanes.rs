//! The lanes as the validator runs them: decode, verdict on the CPU, embeddings, and all of it.

use std::{cell::LazyCell, rc::Rc, sync::Arc};

use leoma::{
    embed::{DeviceChoice, Embedder, EmbedderOptions, manifest::default_folder, reader::Networks},
    gpu::{
        cpu::CpuScorer,
        port::{ScoreJob, Scorer, Verdict},
    },
    quality::{
        embeddings::{FrameModels as _, STEPS},
        frame::Yuv420Clip,
    },
};

use crate::{Failure, Run, Work, inputs::Inputs};

/// Made when it is used for the first time; a failure stays.
type Late<T> = LazyCell<Result<T, String>, Box<dyn FnOnce() -> Result<T, String>>>;

fn late<T>(make: impl FnOnce() -> Result<T, Failure> + 'static) -> Rc<Late<T>> {
    Rc::new(LazyCell::new(Box::new(|| make().map_err(|failure| failure.to_string()))))
}

fn ready<T>(late: &Late<T>) -> Result<&T, Failure> {
    Late::force(late).as_ref().map_err(|reason| reason.clone().into())
}

struct Lanes {
    inputs: Rc<Inputs>,
    scorer: Rc<Late<CpuScorer>>,
    networks: Rc<Late<Networks>>,
}

/// All works of the lanes.
pub fn works(inputs: &Rc<Inputs>) -> Vec<Work> {
    let lanes = Rc::new(Lanes {
        inputs: Rc::clone(inputs),
        scorer: late(|| Ok(CpuScorer::new(rayon::current_num_threads())?)),
        networks: late(|| {
            let models = default_folder().ok_or("no cache folder")?;
            Ok(Networks::new(Embedder::start(&EmbedderOptions { device: DeviceChoice::Cpu, models })?)?)
        }),
    });
    let work = |name, run: fn(&Lanes, &[usize]) -> Result<Vec<f64>, Failure>| {
        let lanes = Rc::clone(&lanes);
        let run: Run = Box::new(move |frames| run(&lanes, frames));
        Work { name, run }
    };
    vec![
        work("decode", |lanes, _| Ok(vec![lanes.decode()?.len() as f64])),
        work("verdict", |lanes, _| {
            Ok(vec![verdict(&lanes.inputs, ready(&lanes.scorer)?, &lanes.inputs.clip)?])
        }),
        work("distance", |lanes, frames| {
            let index = *frames.first().ok_or("no frame was named")?;
            let clip = &lanes.inputs.clip;
            let returned =
                Yuv420Clip::from_planes(clip.width(), clip.height(), 1, clip_frame(clip, index)?.to_vec())?;
            Ok(vec![lanes.distance(&returned)?])
        }),
        work("likeness", |lanes, frames| lanes.likeness(&lanes.inputs.clip, frames)),
        work("whole", |lanes, frames| {
            let clip = lanes.decode()?;
            let mut values =
                vec![verdict(&lanes.inputs, ready(&lanes.scorer)?, &clip)?, lanes.distance(&clip)?];
            values.extend(lanes.likeness(&clip, frames)?);
            Ok(values)
        }),
        work("canonical", |lanes, _| {
            let counts = ready(&lanes.networks)?.health();
            Ok(vec![counts.by_device as f64, counts.by_canonical as f64])
        }),
    ]
}

fn clip_frame(clip: &Yuv420Clip, index: usize) -> Result<&[u8], Failure> {
    let bytes = Yuv420Clip::frame_bytes(clip.width(), clip.height());
    Ok(clip.as_bytes().chunks_exact(bytes).nth(index).ok_or("no such frame")?)
}

/// The overall score by a scorer, with the reference measured before.
pub fn verdict(inputs: &Inputs, scorer: &dyn Scorer, clip: &Arc<Yuv420Clip>) -> Result<f64, Failure> {
    let job = ScoreJob {
        clip: Arc::clone(clip),
        first_frame: Arc::clone(&inputs.first_frame),
        reference: Some(Arc::clone(&inputs.reference)),
        prompt: "".into(),
        others: Arc::new([]),
        rules: Arc::clone(&inputs.rules),
        models: None,
    };
    match inputs.runtime.block_on(scorer.score(job))? {
        Verdict::Scored(card) => Ok(f64::from(card.overall.get())),
        Verdict::Gated { reason, .. } => {
            Err(format!("the clip was gated, so not all was measured: {reason}").into())
        }
    }
}

impl Lanes {
    /// Decodes the file in a child process.
    fn decode(&self) -> Result<Arc<Yuv420Clip>, Failure> {
        let inputs = &self.inputs;
        let decoding = inputs.decoder.decode_clip(inputs.file.clone(), inputs.rules.request);
        Ok(inputs.runtime.block_on(decoding)?.frames)
    }

    fn distance(&self, returned: &Yuv420Clip) -> Result<f64, Failure> {
        Ok(share(ready(&self.networks)?.distance(&self.inputs.first_frame, returned)?))
    }

    /// What a verdict asks of eight frames: cosines with the given frame, and between each other.
    fn likeness(&self, clip: &Yuv420Clip, frames: &[usize]) -> Result<Vec<f64>, Failure> {
        let found = ready(&self.networks)?.likeness_at(&self.inputs.first_frame, clip, frames)?;
        Ok(found.to_given.into_iter().chain(found.between).map(share).collect())
    }
}

fn share(value: i64) -> f64 {
    value as f64 / STEPS as f64
}
