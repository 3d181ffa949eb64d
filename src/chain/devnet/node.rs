//! The running node: the chain behind a lock, and who is told of new heads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{chain::Chain, error::ModelError};
use crate::domain::ids::BlockRef;

/// Shared by the RPC methods, the block timer and the handle.
pub struct Node {
    chain: Mutex<Chain>,
    heads: watch::Sender<BlockRef>,
}

impl Node {
    /// A node around a chain.
    pub fn new(chain: Chain) -> Arc<Self> {
        let (heads, _) = watch::channel(chain.head());
        Arc::new(Self { chain: Mutex::new(chain), heads })
    }

    /// The chain. Held for short, synchronous work only.
    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        // A panic while holding the lock can only come from a bug in the model; what is stored is
        // still a whole chain, since blocks are imported in one step.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Newest block, and notice of every change.
    pub fn heads(&self) -> watch::Receiver<BlockRef> {
        self.heads.subscribe()
    }

    /// Produces a block and tells who listens.
    pub fn produce(&self) -> Result<BlockRef, ModelError> {
        let mut chain = self.chain();
        let block = chain.produce()?.reference();
        // Told before the lock opens, so that a head is never older than what can be read.
        self.heads.send_replace(block);
        Ok(block)
    }
}
