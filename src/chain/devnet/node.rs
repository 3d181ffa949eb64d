//! The running node: the chain behind a lock, and who is told of new heads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{
    block::to_hex,
    chain::Chain,
    error::ModelError,
    runtime::{METADATA_V14, Runtime},
};
use crate::domain::ids::BlockRef;

/// Shared by the RPC methods, the block timer and the handle.
pub struct Node {
    chain: Mutex<Chain>,
    runtime: Arc<Runtime>,
    heads: watch::Sender<BlockRef>,
    metadata_hex: String,
}

impl Node {
    /// A node around a chain.
    pub fn new(runtime: Arc<Runtime>, chain: Chain) -> Arc<Self> {
        let (heads, _) = watch::channel(chain.head());
        Arc::new(Self { chain: Mutex::new(chain), runtime, heads, metadata_hex: to_hex(METADATA_V14) })
    }

    /// The chain. Held for short, synchronous work only.
    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        // A panic while holding the lock can only come from a bug in the model; what is stored is
        // still a whole chain, since blocks are imported in one step.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runtime types.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// `state_getMetadata` as hexadecimal.
    pub fn metadata_hex(&self) -> &str {
        &self.metadata_hex
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
