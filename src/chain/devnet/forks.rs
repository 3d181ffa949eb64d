//! Finality behind the best block, and forks of what is not final yet.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    block::Block,
    chain::{Chain, HostAction},
    error::{DevnetError, ModelError},
    faults::Fault,
    pool::{Status, Waiting},
    state::{Changes, View},
    store::Kept,
};
use crate::domain::ids::BlockRef;

/// Replaced blocks that stay readable by their hash.
const KEPT_REPLACED: usize = 256;
/// Imports that head subscriptions can still be told of.
const KEPT_IMPORTS: usize = 8192;

/// What becomes of the transactions of replaced blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplacedTransactions {
    /// They wait again, and what the host asked for in those blocks happens again.
    Return,
    /// They are gone.
    Drop,
}

/// What a block that is not final yet may have to give back.
pub struct Unfinalized {
    /// Its transactions.
    pub included: Vec<Waiting>,
    /// What the host had asked for.
    pub actions: Vec<HostAction>,
}

/// A block that a fork replaced.
pub struct Replaced {
    /// The block.
    pub block: Arc<Block>,
    /// Number of its newest ancestor on the best chain.
    ancestor: u64,
    /// Changes since that ancestor.
    overlay: Arc<Changes>,
}

impl Replaced {
    /// Its state.
    pub fn view<'a>(&self, chain: &'a Chain) -> View<'a> {
        View::replaced(&chain.state, self.ancestor, self.overlay.clone())
    }
}

/// Blocks in the order in which they were imported, numbered, for head subscriptions.
#[derive(Default)]
pub struct Imports {
    first: u64,
    blocks: std::collections::VecDeque<(Arc<Block>, bool)>,
}

impl Imports {
    /// Number of the import that comes next.
    pub fn next(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    /// The kept import of this number, or the first kept one after it: its number, the block, and
    /// whether it became the best block.
    pub fn from(&self, number: u64) -> Option<(u64, &Arc<Block>, bool)> {
        let number = number.max(self.first);
        let (block, best) = self.blocks.get((number - self.first) as usize)?;
        Some((number, block, *best))
    }

    pub(super) fn push(&mut self, block: Arc<Block>, best: bool) {
        self.blocks.push_back((block, best));
        if self.blocks.len() > KEPT_IMPORTS {
            self.blocks.pop_front();
            self.first += 1;
        }
    }
}

impl Chain {
    /// The newest final block.
    pub fn finalized(&self) -> BlockRef {
        self.block(self.finalized).map_or_else(|| self.head(), |block| block.reference())
    }

    /// Makes blocks final, up to the configured distance from the best one.
    pub(super) fn finalize(&mut self) {
        if self.faults.any(|fault| matches!(fault, Fault::FinalityStopped {})) {
            return;
        }
        let target = self.head().number.0.saturating_sub(self.config().finality_lag.into());
        self.store_final(target);
        while self.finalized < target {
            self.finalized += 1;
            let Some(block) = self.block(self.finalized).cloned() else { continue };
            let unfinalized = self.unfinalized.remove(&self.finalized);
            for waiting in unfinalized.into_iter().flat_map(|block| block.included) {
                waiting.report(Status::Finalized(block.hash));
            }
        }
    }

    /// Writes the blocks that become final into the state file, before anybody is told.
    fn store_final(&mut self, target: u64) {
        if target <= self.finalized {
            return;
        }
        let Some(mut store) = self.store.take() else { return };
        let becoming: Vec<(Arc<Block>, Changes)> = self
            .blocks
            .range(self.finalized + 1..=target)
            .map(|(number, block)| (block.clone(), self.state.changes_of(*number)))
            .collect();
        match store.append(&becoming) {
            Ok(()) => {
                let full = store.is_full();
                self.store = Some(store);
                if full && let Err(error) = self.rewrite_store() {
                    tracing::warn!(%error, "development chain: the state file grows: it could not be rewritten");
                }
            }
            // A gap would make the file useless, so it ends here.
            Err(error) => tracing::error!(%error, "development chain: nothing is stored from now on"),
        }
    }

    /// Writes the state file anew with the newest final blocks.
    pub(super) fn rewrite_store(&mut self) -> Result<(), DevnetError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let blocks = self.blocks.range(..=self.finalized).map(|(_, block)| &**block).collect();
        store.rewrite(&Kept { blocks, state: &self.state })
    }

    /// Closes the state file: nothing is stored any more.
    pub fn close_store(&mut self) {
        self.store = None;
    }

    /// Replaces the last `depth` blocks, none of them final, by a fork that is one block longer.
    pub fn reorg(&mut self, depth: u64, transactions: ReplacedTransactions) -> Result<BlockRef, DevnetError> {
        let head = self.head().number.0;
        let unfinalized = head - self.finalized;
        if depth == 0 || depth > unfinalized {
            return Err(DevnetError::Reorg { depth, unfinalized });
        }
        let ancestor = head - depth;
        let (waiting, actions) = self.take_back(ancestor);
        match transactions {
            ReplacedTransactions::Return => {
                self.pool.put_back(waiting);
                self.actions.splice(0..0, actions);
            }
            ReplacedTransactions::Drop => waiting.iter().for_each(|waiting| waiting.report(Status::Dropped)),
        }
        self.forks += 1;
        for number in ancestor + 1..=head + 1 {
            self.produce_on(Some(self.forks), number > head)?;
        }
        self.finalize();
        Ok(self.head())
    }

    /// Takes every block after `ancestor` off the best chain; their transactions and host actions.
    fn take_back(&mut self, ancestor: u64) -> (Vec<Waiting>, Vec<HostAction>) {
        let mut taken: BTreeMap<u64, Changes> = self.state.revert(ancestor).into_iter().collect();
        let (mut waiting, mut actions) = (Vec::new(), Vec::new());
        let mut overlay = Changes::new();
        let mut replaced = Vec::new();
        for (number, block) in self.blocks.split_off(&(ancestor + 1)) {
            self.numbers.remove(&block.hash);
            overlay.extend(taken.remove(&number).unwrap_or_default());
            // Older replaced blocks that began on this one now begin on the common ancestor.
            for older in self.replaced.iter_mut().filter(|older| older.ancestor == number) {
                let mut whole = overlay.clone();
                whole.extend(older.overlay.iter().map(|(key, value)| (key.clone(), value.clone())));
                (older.ancestor, older.overlay) = (ancestor, Arc::new(whole));
            }
            if let Some(unfinalized) = self.unfinalized.remove(&number) {
                unfinalized.included.iter().for_each(|waiting| waiting.report(Status::Retracted(block.hash)));
                waiting.extend(unfinalized.included);
                actions.extend(unfinalized.actions);
            }
            replaced.push(Replaced { block, ancestor, overlay: Arc::new(overlay.clone()) });
        }
        self.replaced.extend(replaced);
        let surplus = self.replaced.len().saturating_sub(KEPT_REPLACED);
        self.replaced.drain(..surplus);
        (waiting, actions)
    }

    /// Forgets replaced blocks whose ancestor's state is no longer kept.
    pub(super) fn forget_replaced(&mut self, floor: u64) {
        self.replaced.retain(|replaced| replaced.ancestor >= floor);
    }

    /// Produces the next block.
    pub fn produce(&mut self) -> Result<Arc<Block>, ModelError> {
        let block = self.produce_on(None, true)?;
        self.finalize();
        Ok(block)
    }
}
