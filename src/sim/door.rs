//! DEMO ONLY: the door through which stand-in miners see the real clip.
//!
//! No real miner has this door: the validator keeps the real clip to itself until the round closes.
//! The simulation can open it because it owns the development chain and reads the same corpus: it
//! walks the clips that a recent round may have drawn until one has the first frame of the request.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{
    chain::devnet::Devnet,
    corpus::{Corpus, CorpusError, PreparedClip},
    domain::{
        ids::{BlockHash, Digest},
        plan::ClipSpec,
    },
    quality::frame::Yuv420Clip,
};

/// DEMO ONLY: finds the real clip behind a first frame.
#[async_trait]
pub trait DemoDoor: Send + Sync {
    /// The real clip whose first frame is the PNG file of this digest, `None` when there is none.
    async fn real_clip(&self, first_frame_png: Digest) -> Result<Option<Arc<Yuv420Clip>>, CorpusError>;
}

/// DEMO ONLY: the door into a corpus on disk.
pub struct CorpusDoor {
    corpus: Corpus,
    devnet: Arc<Devnet>,
    round_interval: u64,
    spec: ClipSpec,
    /// Keys that served a round: a clip never returns, so they are looked at last.
    served: Mutex<BTreeSet<String>>,
}

impl CorpusDoor {
    /// A door for rounds of `round_interval` blocks on a development chain.
    pub fn new(corpus: Corpus, devnet: Arc<Devnet>, round_interval: u64, spec: ClipSpec) -> Self {
        Self { corpus, devnet, round_interval, spec, served: Mutex::default() }
    }

    /// Hashes of the first blocks of the current round and of the one before.
    fn anchors(&self) -> Vec<BlockHash> {
        let round = self.devnet.head().number.0 / self.round_interval;
        [Some(round), round.checked_sub(1)]
            .into_iter()
            .flatten()
            .filter_map(|round| self.devnet.block_hash(round * self.round_interval))
            .collect()
    }

    async fn walk(
        &self,
        anchor: &BlockHash,
        wanted: Digest,
        skipped: &BTreeSet<String>,
    ) -> Result<Option<PreparedClip>, CorpusError> {
        let mut candidates = self.corpus.candidates(anchor, self.spec).without(skipped);
        while let Some(candidate) = candidates.next().await? {
            let clip = candidate.prepare().await?;
            if clip.choice.first_frame_png == wanted {
                return Ok(Some(clip));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl DemoDoor for CorpusDoor {
    async fn real_clip(&self, first_frame_png: Digest) -> Result<Option<Arc<Yuv420Clip>>, CorpusError> {
        let mut served = self.served.lock().await;
        for skipped in [served.clone(), BTreeSet::new()] {
            for anchor in self.anchors() {
                if let Some(clip) = self.walk(&anchor, first_frame_png, &skipped).await? {
                    served.insert(clip.choice.key);
                    return Ok(Some(clip.reference));
                }
            }
        }
        Ok(None)
    }
}
