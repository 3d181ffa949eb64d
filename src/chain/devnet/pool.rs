//! The transaction pool: what waits for the next block, bounded in number and bytes.

use tokio::sync::mpsc;

use super::extrinsic::Extrinsic;
use crate::domain::ids::{BlockHash, Hotkey};

/// Most transactions that wait at once.
const MAX_TRANSACTIONS: usize = 1024;
/// Most bytes that wait at once.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Most transactions of one account that wait at once, so that nobody fills the pool alone.
const MAX_PER_ACCOUNT: usize = 64;

/// Progress of a watched transaction, in the order in which a node reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Waits for an earlier nonce.
    Future,
    /// Waits for a block.
    Ready,
    /// Is in this block.
    InBlock(BlockHash),
    /// A fork replaced its block.
    Retracted(BlockHash),
    /// Its block is final: the last status.
    Finalized(BlockHash),
    /// A fork replaced its block and it does not wait again: the last status.
    Dropped,
    /// Became invalid while waiting: the last status.
    Invalid,
}

impl Status {
    /// Whether no other status follows.
    pub fn is_last(self) -> bool {
        matches!(self, Status::Finalized(_) | Status::Dropped | Status::Invalid)
    }
}

/// Receiver of a watched transaction's progress. A few statuses, and two more for each fork that the
/// host makes.
pub type Watch = mpsc::UnboundedReceiver<Status>;

/// Why the pool does not take a valid transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The same bytes wait already.
    #[error("Transaction Already Imported")]
    AlreadyImported,
    /// Another transaction of the same account and nonce waits.
    #[error("Priority is too low: (0 vs 0)")]
    TooLowPriority,
    /// The pool is full.
    #[error("Immediately Dropped")]
    ImmediatelyDropped,
}

/// A waiting transaction.
pub struct Waiting {
    /// The transaction.
    pub extrinsic: Extrinsic,
    /// Its hash.
    pub hash: BlockHash,
    /// Its signer.
    pub account: Hotkey,
    /// Its nonce.
    pub nonce: u64,
    watcher: mpsc::UnboundedSender<Status>,
}

impl Waiting {
    /// A transaction that waits, and its watcher's end.
    pub fn new(extrinsic: Extrinsic, account: Hotkey, nonce: u64) -> (Self, Watch) {
        let (watcher, watch) = mpsc::unbounded_channel();
        (Self { hash: extrinsic.hash(), extrinsic, account, nonce, watcher }, watch)
    }

    /// Reports progress; nobody listening is fine.
    pub fn report(&self, status: Status) {
        let _ = self.watcher.send(status);
    }
}

/// The pool, in order of arrival.
#[derive(Default)]
pub struct Pool {
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Pool {
    /// Takes a checked transaction. `chain_nonce` is the account's nonce on chain.
    pub fn insert(
        &mut self,
        extrinsic: Extrinsic,
        account: Hotkey,
        nonce: u64,
        chain_nonce: u64,
    ) -> Result<(BlockHash, Watch), PoolError> {
        let hash = extrinsic.hash();
        if self.waiting.iter().any(|other| other.hash == hash) {
            return Err(PoolError::AlreadyImported);
        }
        let of_account = || self.waiting.iter().filter(|other| other.account == account);
        if of_account().any(|other| other.nonce == nonce) {
            return Err(PoolError::TooLowPriority);
        }
        let size = extrinsic.bytes().len();
        if self.waiting.len() >= MAX_TRANSACTIONS
            || self.bytes + size > MAX_BYTES
            || of_account().count() >= MAX_PER_ACCOUNT
        {
            return Err(PoolError::ImmediatelyDropped);
        }
        let ready = nonce == self.next_nonce(account, chain_nonce);
        let (waiting, watch) = Waiting::new(extrinsic, account, nonce);
        waiting.report(if ready { Status::Ready } else { Status::Future });
        self.bytes += size;
        self.waiting.push(waiting);
        if ready {
            self.promote(account, nonce + 1);
        }
        Ok((hash, watch))
    }

    /// Tells the account's transactions that now follow without a gap that they are ready.
    fn promote(&self, account: Hotkey, mut nonce: u64) {
        while let Some(next) = self.waiting.iter().find(|w| w.account == account && w.nonce == nonce) {
            next.report(Status::Ready);
            nonce += 1;
        }
    }

    /// Nonce that the account's next transaction should carry.
    pub fn next_nonce(&self, account: Hotkey, chain_nonce: u64) -> u64 {
        let mut next = chain_nonce;
        while self.waiting.iter().any(|waiting| waiting.account == account && waiting.nonce == next) {
            next += 1;
        }
        next
    }

    /// Puts transactions of replaced blocks back, before all others: the pool had taken them once, so
    /// its bounds do not turn them away.
    pub fn put_back(&mut self, waiting: Vec<Waiting>) {
        self.bytes += waiting.iter().map(|waiting| waiting.extrinsic.bytes().len()).sum::<usize>();
        self.waiting.splice(0..0, waiting);
    }

    /// Removes the earliest transaction for which `eligible(account, nonce)` holds.
    pub fn take<E>(
        &mut self,
        mut eligible: impl FnMut(Hotkey, u64) -> Result<bool, E>,
    ) -> Result<Option<Waiting>, E> {
        for index in 0..self.waiting.len() {
            let waiting = &self.waiting[index];
            if eligible(waiting.account, waiting.nonce)? {
                let waiting = self.waiting.remove(index);
                self.bytes -= waiting.extrinsic.bytes().len();
                return Ok(Some(waiting));
            }
        }
        Ok(None)
    }

    /// All waiting transactions.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }
}
