//! What a scorer holds: a handle to the one thread that owns the embedding device.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use leoma_core::quality::frame::Yuv420Clip;

use crate::{
    clip::ClipShape,
    error::EmbedError,
    image::{RgbImage, embedding_image, frame_of, perceptual_image},
    lane::Lane,
    loaded::Models,
    probe,
    quantised::{Quantised, Settled},
};

/// Requests that wait at the thread; a caller beyond waits for room.
const QUEUE: usize = 8;
/// Most frames and most pairs of one request.
pub const MOST_FRAMES: usize = 256;

/// Where the networks run. Every device reports the same integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// burn's CPU backend.
    Cpu,
    /// The wgpu adapter that ranks first on this machine (`CUBECL_WGPU_DEFAULT_DEVICE` overrides), on a
    /// device of burn's own.
    Gpu,
}

/// How an embedder is started.
#[derive(Debug, Clone)]
pub struct EmbedderOptions {
    /// Where the networks run.
    pub device: DeviceChoice,
    /// Folder of models; see [`crate::manifest::default_folder`].
    pub models: PathBuf,
}

/// How many values were settled by whom since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// By the device alone.
    pub by_device: u64,
    /// By the canonical path, because the device's value lay near a boundary.
    pub by_canonical: u64,
    /// Largest distance of the two paths where both ran, in 1/1000 of the noise floor; 1000 would be refused.
    pub noise_permille: u64,
}

/// One frame of a clip.
#[derive(Clone, Copy)]
pub struct FrameOf<'a> {
    /// The clip.
    pub clip: &'a Yuv420Clip,
    /// Index of the frame.
    pub index: usize,
}

/// Handle to the embedding thread. Calls block until the answer is there; share it behind an `Arc`.
#[derive(Debug)]
pub struct Embedder {
    device: Arc<Mutex<String>>,
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    tally: Tally,
    text_shape: Option<ClipShape>,
}

#[derive(Debug, Default)]
struct Tally {
    by_device: AtomicU64,
    by_canonical: AtomicU64,
    noise_permille: AtomicU64,
}

#[derive(Debug)]
struct Request {
    work: Work,
    reply: SyncSender<Result<Vec<Settled>, EmbedError>>,
}

#[derive(Debug)]
enum Work {
    Distance {
        given: RgbImage,
        returned: RgbImage,
    },
    Cosines {
        images: Vec<RgbImage>,
        pairs: Vec<(usize, usize)>,
    },
    Fits {
        images: Vec<RgbImage>,
        texts: Vec<Vec<u16>>,
    },
    #[cfg(test)]
    Panic,
}

impl Embedder {
    /// Loads the models, starts the thread and checks the known answers on this machine and on the device.
    ///
    /// # Errors
    /// When a model is missing or changed, the device cannot be opened, or an answer is wrong.
    pub fn start(options: &EmbedderOptions) -> Result<Self, EmbedError> {
        let models = Arc::new(Models::load(&options.models)?);
        Self::with_models(options.device, models)
    }

    /// As [`Embedder::start`], with models that are loaded.
    ///
    /// # Errors
    /// As [`Embedder::start`].
    pub fn with_models(choice: DeviceChoice, models: Arc<Models>) -> Result<Self, EmbedError> {
        let text_shape = models.clip.as_ref().map(|clip| clip.layers.shape);
        let (requests, inbox) = sync_channel(QUEUE);
        let (ready, started) = sync_channel(1);
        let device = Arc::<Mutex<String>>::default();
        let named = Arc::clone(&device);
        let thread = std::thread::Builder::new()
            .name("embedder".into())
            .spawn(move || serve(choice, models, &ready, (&inbox, &named)))
            .map_err(|error| EmbedError::Stopped(format!("it could not be started: {error}")))?;
        let name = started.recv().map_err(|_| EmbedError::Stopped("it ended at its start".into()))??;
        *device.lock().unwrap_or_else(PoisonError::into_inner) = name;
        let tally = Tally::default();
        Ok(Self { device, requests: Some(requests), thread: Some(thread), tally, text_shape })
    }

    /// Name of the device: `cpu-flex`, or `wgpu-` with the backend and the adapter's name. A GPU that fails for good gives way to
    /// the processor.
    pub fn device(&self) -> String {
        self.device.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lengths of the text model, where one is loaded.
    pub fn text_shape(&self) -> Option<ClipShape> {
        self.text_shape
    }

    /// How values were settled so far.
    pub fn counts(&self) -> Counts {
        Counts {
            by_device: self.tally.by_device.load(Ordering::Relaxed),
            by_canonical: self.tally.by_canonical.load(Ordering::Relaxed),
            noise_permille: self.tally.noise_permille.load(Ordering::Relaxed),
        }
    }

    /// ST-LPIPS distance of the first frames of two clips of one size, at half size, in 1/1024: 0 for equal
    /// ones; about 0.7 and more for unrelated ones.
    ///
    /// # Errors
    /// When the frames are of another size than each other or out of range, or the lane failed.
    pub fn first_frame_distance(
        &self,
        given: &Yuv420Clip,
        returned: &Yuv420Clip,
    ) -> Result<Quantised, EmbedError> {
        let (width, height) = (returned.width(), returned.height());
        let frames = [frame_of(given, 0)?, frame_of(returned, 0)?];
        if (given.width(), given.height()) != (width, height) {
            let (least, most) = (crate::image::LEAST_SIDE, crate::image::MOST_SIDE);
            return Err(EmbedError::Size { width, height, least, most });
        }
        let [given, returned] = frames.map(|frame| perceptual_image(frame, width, height));
        let settled = self.ask(Work::Distance { given, returned })?;
        settled.first().copied().ok_or_else(|| EmbedError::Stopped("it gave no answer".into()))
    }

    /// Cosines of the embeddings of pairs of frames in 1/1024, -1024..=1024, each pair by its indices in `frames`.
    ///
    /// # Errors
    /// When a frame does not exist or has a size out of range, more than [`MOST_FRAMES`] frames or pairs are asked for, a pair
    /// names a frame that is not there, or the lane failed.
    pub fn cosines(
        &self,
        frames: &[FrameOf<'_>],
        pairs: &[(usize, usize)],
    ) -> Result<Vec<Quantised>, EmbedError> {
        let asked = frames.len().max(pairs.len());
        if asked > MOST_FRAMES {
            return Err(EmbedError::TooMany { asked, most: MOST_FRAMES });
        }
        if let Some(index) =
            pairs.iter().map(|&(one, other)| one.max(other)).find(|&index| index >= frames.len())
        {
            return Err(EmbedError::Frame { index, frames: frames.len() });
        }
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let image = |frame: &FrameOf<'_>| {
            let (width, height) = (frame.clip.width(), frame.clip.height());
            Ok(embedding_image(frame_of(frame.clip, frame.index)?, width, height))
        };
        let images = frames.iter().map(image).collect::<Result<Vec<_>, EmbedError>>()?;
        self.ask(Work::Cosines { images, pairs: pairs.to_vec() })
    }

    /// Cosines of pictures ([`crate::clip::picture::pictures`]) with texts ([`crate::clip::tokens::Tokenizer::encode`])
    /// in 1/1024, picture by picture, text by text.
    ///
    /// # Errors
    /// When there is no text model, more than [`MOST_FRAMES`] pictures or texts are given, a picture has not the side
    /// that the model takes, a text is empty or too long, or the lane failed.
    pub fn fits(&self, pictures: &[RgbImage], texts: &[Vec<u16>]) -> Result<Vec<Quantised>, EmbedError> {
        let shape = self.text_shape.ok_or(EmbedError::NoTextModel)?;
        let asked = pictures.len().max(texts.len());
        if asked > MOST_FRAMES {
            return Err(EmbedError::TooMany { asked, most: MOST_FRAMES });
        }
        let side = shape.image_side;
        if let Some(odd) = pictures.iter().find(|image| (image.width(), image.height()) != (side, side)) {
            let (width, height) = (odd.width(), odd.height());
            return Err(EmbedError::Size { width, height, least: side, most: side });
        }
        let most = shape.context;
        let readable = |text: &&Vec<u16>| {
            (2..=most).contains(&text.len())
                && text.iter().all(|&token| usize::from(token) < shape.vocabulary)
        };
        if let Some(text) = texts.iter().find(|text| !readable(text)) {
            return Err(EmbedError::Text { tokens: text.len(), most });
        }
        if pictures.is_empty() || texts.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(Work::Fits { images: pictures.to_vec(), texts: texts.to_vec() })
    }

    fn ask(&self, work: Work) -> Result<Vec<Quantised>, EmbedError> {
        let gone = || EmbedError::Stopped("it is gone".into());
        let (reply, answer) = sync_channel(1);
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(Request { work, reply }).map_err(|_| gone())?;
        let settled = answer.recv().map_err(|_| gone())??;
        for value in &settled {
            match *value {
                Settled::ByDevice(_) => self.tally.by_device.fetch_add(1, Ordering::Relaxed),
                Settled::ByCanonical { noise_permille, .. } => {
                    self.tally.noise_permille.fetch_max(noise_permille.into(), Ordering::Relaxed);
                    self.tally.by_canonical.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
        Ok(settled.into_iter().map(Settled::value).collect())
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told to whoever asked.
            let _ended = thread.join();
        }
    }
}

/// The thread: opens the lane, then answers until every handle is gone.
fn serve(
    mut choice: DeviceChoice,
    models: Arc<Models>,
    ready: &SyncSender<Result<String, EmbedError>>,
    (inbox, device): (&Receiver<Request>, &Mutex<String>),
) {
    let towers = || if models.clip.is_some() { probe::check_canonical_towers() } else { Ok(()) };
    let opened =
        probe::check_canonical(&models).and_then(|()| towers()).and_then(|()| reopen(choice, &models));
    let mut lane = match opened {
        Ok(lane) => {
            // Whoever started this may have given up: then the inbox is closed too.
            let _heard = ready.send(Ok(lane.device().to_owned()));
            Ok(lane)
        }
        Err(error) => {
            let _heard = ready.send(Err(error));
            return;
        }
    };
    for Request { work, reply } in inbox {
        let answer = match &mut lane {
            Ok(open) => answer(open, work),
            Err(error) => Err(EmbedError::clone(error)),
        };
        if let Some(cause) = answer.as_ref().err().filter(|cause| cause.is_of_the_device()) {
            lane = recovered(&mut choice, cause, &models);
            if let Ok(lane) = &lane {
                *device.lock().unwrap_or_else(PoisonError::into_inner) = lane.device().to_owned();
            }
        }
        // The asker may have gone.
        let _heard = reply.send(answer);
    }
}

/// The lane after a failure: everything on the device is built anew and probed, because it may hold broken state. A GPU that
/// computes otherwise, or cannot be opened again, gives way to the processor for good; a processor that computes otherwise
/// stays refused.
fn recovered(
    choice: &mut DeviceChoice,
    cause: &EmbedError,
    models: &Arc<Models>,
) -> Result<Lane, EmbedError> {
    tracing::error!(%cause, "the embedding lane failed and is rebuilt");
    let wrong = matches!(cause, EmbedError::Disagrees { .. });
    let again = if wrong { Err(cause.clone()) } else { reopen(*choice, models) };
    match again {
        Err(cause) if *choice == DeviceChoice::Gpu => {
            tracing::error!(%cause, "embedding models run on the processor from now on, with the same results");
            *choice = DeviceChoice::Cpu;
            reopen(DeviceChoice::Cpu, models)
        }
        again => again,
    }
}

fn reopen(choice: DeviceChoice, models: &Arc<Models>) -> Result<Lane, EmbedError> {
    contained(|| Lane::open(choice, Arc::clone(models)))
}

fn answer(lane: &mut Lane, work: Work) -> Result<Vec<Settled>, EmbedError> {
    contained(|| match work {
        Work::Distance { given, returned } => Ok(vec![lane.distance(&given, &returned)?]),
        Work::Cosines { images, pairs } => lane.cosines(&images, &pairs),
        Work::Fits { images, texts } => lane.fits(&images, &texts),
        #[cfg(test)]
        Work::Panic => panic!("a test asked for it"),
    })
}

fn contained<T>(work: impl FnOnce() -> Result<T, EmbedError>) -> Result<T, EmbedError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(EmbedError::Panicked(reason_of(&*panic))))
}

/// What a panic said.
pub(crate) fn reason_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason was given".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::default_folder;

    #[test]
    fn a_panic_is_told_and_the_lane_is_rebuilt() {
        let loaded = Models::load(&default_folder().expect("a cache folder"));
        let models = match loaded {
            Ok(models) => Arc::new(models),
            Err(error) => {
                assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "{error}");
                eprintln!("\n!!! SKIPPED: {error}\n");
                return;
            }
        };
        let embedder = Embedder::with_models(DeviceChoice::Cpu, models).expect("the CPU answers the probe");
        let clip = Yuv420Clip::from_planes(64, 64, 1, vec![100; 64 * 96]).expect("even sides");
        assert_eq!(embedder.ask(Work::Panic), Err(EmbedError::Panicked("a test asked for it".into())));
        assert_eq!(embedder.first_frame_distance(&clip, &clip).map(Quantised::get), Ok(0));
        assert_eq!(embedder.device(), "cpu-flex");
    }

    #[test]
    fn a_gpu_that_computes_otherwise_gives_way_and_a_processor_that_does_is_refused() {
        let Ok(models) = Models::load(&default_folder().expect("a cache folder")) else { return };
        let models = Arc::new(models);
        let wrong = EmbedError::Disagrees {
            device: "a drawn one".into(),
            what: "a value",
            got: "1".into(),
            expected: "2".into(),
            allowed: "0.1".into(),
        };
        let mut choice = DeviceChoice::Gpu;
        let lane = recovered(&mut choice, &wrong, &models).expect("the processor answers the probe");
        assert_eq!((choice, lane.device()), (DeviceChoice::Cpu, "cpu-flex"));
        assert_eq!(recovered(&mut choice, &wrong, &models).err(), Some(wrong));
    }
}
