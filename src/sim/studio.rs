//! Where the stand-ins work: what one of them found out about a first frame, all of them use.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use leoma_film::{
    attacks::AttackError,
    transfer::{Scene, TransferStyle},
};
use tokio::sync::{OnceCell, Semaphore, watch};

use super::{
    door::DemoDoor,
    encode::{EncodeError, EncodeOptions, encode},
};
use crate::{
    corpus::{CorpusError, png},
    domain::ids::Digest,
    quality::frame::Yuv420Clip,
};

/// First frames that are remembered: the current round's and the one before.
const ROOMS: usize = 2;
/// Clips that are made at the same time: each holds some 50 MB, and the machine has few cores.
const BENCHES: usize = 2;

/// Why a stand-in has no clip.
#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    /// The request's image is not a first frame.
    #[error("the image of the request: {0}")]
    Image(#[from] png::FirstFrameError),
    /// The corpus could not be read.
    #[error("the real clip: {0}")]
    Corpus(#[from] CorpusError),
    /// No clip of the corpus begins with the image.
    #[error(
        "no clip that a recent round could have drawn begins with this image: the stand-ins can animate no other"
    )]
    Unknown,
    /// The clip could not be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// An attack has nothing to be made from.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// The simulation stops, or the work panicked.
    #[error("the work was interrupted")]
    Interrupted,
}

/// Everything that is known of one first frame.
pub struct Room {
    /// The first frame's planes, one frame.
    pub first_frame: Arc<Yuv420Clip>,
    image: Digest,
    scene: OnceCell<Arc<Scene>>,
    faithful: OnceCell<Arc<Yuv420Clip>>,
    /// The file that the copied miner answered with.
    published: watch::Sender<Option<Bytes>>,
}

impl Room {
    /// Shows a finished file to the copycat.
    pub fn publish(&self, file: Bytes) {
        self.published.send_replace(Some(file));
    }

    /// Waits for a file that another miner finished.
    pub async fn published(&self) -> Option<Bytes> {
        let mut published = self.published.subscribe();
        // Ends early only when the room is gone, and `self` holds it.
        published.wait_for(Option::is_some).await.ok().and_then(|file| file.clone())
    }
}

/// The stand-ins' common work place.
pub struct Studio {
    door: Arc<dyn DemoDoor>,
    rooms: Mutex<VecDeque<Arc<Room>>>,
    benches: Semaphore,
}

impl Studio {
    /// A studio behind a door to the real clips.
    pub fn new(door: Arc<dyn DemoDoor>) -> Self {
        Self { door, rooms: Mutex::default(), benches: Semaphore::new(BENCHES) }
    }

    /// The room of a first frame, given as a PNG file.
    pub async fn room(&self, first_frame_png: Vec<u8>) -> Result<Arc<Room>, StudioError> {
        let image = Digest::of(&first_frame_png);
        if let Some(room) = self.rooms().iter().find(|room| room.image == image) {
            return Ok(room.clone());
        }
        let decoded = work(move || png::decode_first_frame(&first_frame_png)).await?;
        let first_frame = Arc::new(decoded?);
        let mut rooms = self.rooms();
        // Another miner may have been asked at the same moment.
        if let Some(room) = rooms.iter().find(|room| room.image == image) {
            return Ok(room.clone());
        }
        let (published, _) = watch::channel(None);
        let room = Arc::new(Room {
            first_frame,
            image,
            scene: OnceCell::new(),
            faithful: OnceCell::new(),
            published,
        });
        rooms.push_front(room.clone());
        rooms.truncate(ROOMS);
        Ok(room)
    }

    fn rooms(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Room>>> {
        // The list is whole after every statement that changes it.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// DEMO ONLY: the real clip behind the room's first frame.
    pub async fn real(&self, room: &Room) -> Result<Arc<Yuv420Clip>, StudioError> {
        let real = self.door.real_clip(room.image).await?.ok_or(StudioError::Unknown)?;
        let size = (room.first_frame.width(), room.first_frame.height());
        if (real.width(), real.height()) == size { Ok(real) } else { Err(StudioError::Unknown) }
    }

    /// The motion of the real clip behind the room's first frame, read once.
    pub async fn scene(&self, room: &Room) -> Result<Arc<Scene>, StudioError> {
        let read = || async {
            let real = self.real(room).await?;
            let first_frame = room.first_frame.clone();
            work(move || Arc::new(Scene::read(first_frame, &real))).await
        };
        room.scene.get_or_try_init(read).await.cloned()
    }

    /// The first frame with the real clip's motion at its own pace, made once, for attacks that alter an honest clip. All
    /// requests of one first frame ask for the same number of frames.
    pub async fn faithful(&self, room: &Room, frames: usize) -> Result<Arc<Yuv420Clip>, StudioError> {
        let make = || async {
            let scene = self.scene(room).await?;
            let _bench = self.benches.acquire().await.map_err(|_| StudioError::Interrupted)?;
            let style = TransferStyle { pace: 1.0, softness: 0.0 };
            work(move || Arc::new(scene.render(style, frames))).await
        };
        room.faithful.get_or_try_init(make).await.cloned()
    }

    /// Makes planes and encodes them, when a bench is free.
    pub async fn produce(
        &self,
        make: impl FnOnce() -> Yuv420Clip + Send + 'static,
        options: EncodeOptions,
    ) -> Result<Bytes, StudioError> {
        self.try_produce(move || Ok(make()), options).await
    }

    /// [`Studio::produce`] for planes that may not come about.
    pub async fn try_produce(
        &self,
        make: impl FnOnce() -> Result<Yuv420Clip, AttackError> + Send + 'static,
        options: EncodeOptions,
    ) -> Result<Bytes, StudioError> {
        let _bench = self.benches.acquire().await.map_err(|_| StudioError::Interrupted)?;
        let clip = work(make).await??;
        Ok(encode(&clip, &options).await?)
    }
}

/// Runs a long computation off the async threads.
pub(super) async fn work<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StudioError> {
    tokio::task::spawn_blocking(job).await.map_err(|_| StudioError::Interrupted)
}
