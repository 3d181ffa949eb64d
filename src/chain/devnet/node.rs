//! The running node: the chain behind a lock, who is told of its progress, and its faults.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{
    chain::Chain,
    config::DevnetConfig,
    error::{DevnetError, ModelError},
    faults::{Fault, Faults},
    forks::ReplacedTransactions,
};
use crate::domain::ids::BlockRef;

/// Shared by the RPC methods, the block timer and the handle.
pub struct Node {
    chain: Mutex<Chain>,
    heads: watch::Sender<BlockRef>,
    faults: Arc<Faults>,
    cuts: watch::Sender<u64>,
}

impl Node {
    /// A node with a new chain.
    pub fn new(config: DevnetConfig) -> Result<Arc<Self>, DevnetError> {
        let faults = Arc::new(Faults::none());
        let chain = Chain::start(config, faults.clone())?;
        let (heads, _) = watch::channel(chain.head());
        Ok(Arc::new(Self { chain: Mutex::new(chain), heads, faults, cuts: watch::channel(0).0 }))
    }

    /// The chain. Held for short, synchronous work only.
    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        // A panic while holding the lock can only come from a bug in the model; what is stored is
        // still a whole chain, since blocks are imported in one step.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Best block, with notice after every change of the chain.
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

    /// Produces a block by the clock, unless a fault keeps the clock from it.
    pub fn tick(&self) -> Result<(), ModelError> {
        if self.faults.any(|fault| matches!(fault, Fault::ProductionPaused {})) {
            return Ok(());
        }
        self.produce().map(drop)
    }

    /// Replaces unfinalized blocks by a longer fork and tells who listens.
    pub fn reorg(&self, depth: u64, transactions: ReplacedTransactions) -> Result<BlockRef, DevnetError> {
        let mut chain = self.chain();
        let head = chain.reorg(depth, transactions)?;
        self.heads.send_replace(head);
        Ok(head)
    }

    /// The faults in force.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Puts a fault into force.
    ///
    /// # Errors
    /// When it names an error that the runtime has not.
    pub fn inject(&self, fault: Fault) -> Result<(), ModelError> {
        if let Fault::FailInBlock { pallet, error, .. } = &fault {
            self.chain().runtime().module_error(pallet, error)?;
        }
        self.faults.inject(fault);
        Ok(())
    }

    /// Cuts every connection.
    pub fn cut_connections(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Notice of every cut.
    pub fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }
}
