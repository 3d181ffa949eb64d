//! The few facts about the whole validator that metrics and readiness are read from.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    standing::{ChainLink, ChainStanding},
    storage::StorageVitals,
};
use crate::{
    domain::{ids::BlockNumber, weights::Refusal},
    runtime::board::{MonotonicClock, process_clock},
};

/// A block and how long ago it was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockSighting {
    /// The block.
    pub block: BlockNumber,
    /// Time since.
    pub age: Duration,
}

/// A value that is unknown at first, in one atomic: stored plus one, zero for unknown.
#[derive(Debug, Default)]
struct Known(AtomicU64);

impl Known {
    fn set(&self, value: u64) {
        self.0.store(value.saturating_add(1), Relaxed);
    }

    fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    fn get(&self) -> Option<u64> {
        self.0.load(Relaxed).checked_sub(1)
    }
}

#[derive(Debug, Default)]
struct Sighting {
    block: Known,
    at: Known,
}

/// A fact that a panicking writer left is still a whole one.
fn lock<T>(fact: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    fact.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Facts about the whole validator, written by whoever learns them, read without waiting.
pub struct Vitals {
    clock: MonotonicClock,
    started: u64,
    started_unix: Duration,
    head: Sighting,
    weights: Sighting,
    weights_due: Known,
    corpus_left: Known,
    journal_events: AtomicU64,
    journal_errors: AtomicU64,
    journal_trouble: Mutex<Option<String>>,
    stopping: Known,
    standing: Mutex<Option<ChainStanding>>,
    refusal: Mutex<Option<Refusal>>,
    reveals_failed: AtomicU64,
    /// A reveal failed, and no weights have landed since.
    reveal_missing: Known,
    link: Mutex<Option<ChainLink>>,
    storage: Arc<StorageVitals>,
}

impl Default for Vitals {
    fn default() -> Self {
        Self::with_clock(process_clock())
    }
}

impl std::fmt::Debug for Vitals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vitals").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl Vitals {
    /// Nothing known yet, on the process's monotonic clock.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Nothing known yet, on another clock (tests).
    pub fn with_clock(clock: MonotonicClock) -> Self {
        Self {
            started: clock(),
            clock,
            started_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            head: Sighting::default(),
            weights: Sighting::default(),
            weights_due: Known::default(),
            corpus_left: Known::default(),
            journal_events: AtomicU64::new(0),
            journal_errors: AtomicU64::new(0),
            journal_trouble: Mutex::new(None),
            stopping: Known::default(),
            standing: Mutex::default(),
            refusal: Mutex::default(),
            reveals_failed: AtomicU64::new(0),
            reveal_missing: Known::default(),
            link: Mutex::default(),
            storage: Arc::default(),
        }
    }

    /// How publishing fares.
    pub fn storage(&self) -> &Arc<StorageVitals> {
        &self.storage
    }

    /// A finalized block was seen.
    pub fn head_seen(&self, block: BlockNumber) {
        self.sighted(&self.head, block);
    }

    /// Weights of ours are in this finalized block: nothing is due any more.
    pub fn weights_landed(&self, block: BlockNumber) {
        self.weights_seen(block);
        self.weights_due.forget();
        self.reveal_missing.forget();
        *lock(&self.refusal) = None;
    }

    /// Weights of ours were seen in this finalized block, by this process or one before it.
    pub fn weights_seen(&self, block: BlockNumber) {
        self.sighted(&self.weights, block);
    }

    /// Our own neuron and weights were looked at.
    pub fn standing_seen(&self, standing: ChainStanding) {
        *lock(&self.standing) = Some(standing);
    }

    /// Weights are not submitted for this reason; holds until weights land or another look finds none.
    pub fn weights_refused(&self, refusal: Option<Refusal>) {
        *lock(&self.refusal) = refusal;
    }

    /// The chain did not reveal a commit of ours.
    pub fn reveal_failed(&self) {
        self.reveals_failed.fetch_add(1, Relaxed);
        self.reveal_missing.set(0);
    }

    /// The connection to the chain gave an answer about itself.
    pub fn link_seen(&self, link: ChainLink) {
        *lock(&self.link) = Some(link);
    }

    /// Weights must have landed by this block; `None` when nothing is due.
    pub fn weights_due_by(&self, block: Option<BlockNumber>) {
        match block {
            Some(block) => self.weights_due.set(block.0),
            None => self.weights_due.forget(),
        }
    }

    /// Number of source clips that no round has used.
    pub fn corpus_left(&self, clips: u64) {
        self.corpus_left.set(clips);
    }

    /// Events were written to the journal.
    pub fn journal_wrote(&self, events: u64) {
        self.journal_events.fetch_add(events, Relaxed);
        *lock(&self.journal_trouble) = None;
    }

    /// A write to the journal failed; holds until the next write that succeeds.
    pub fn journal_failed(&self, cause: &dyn std::fmt::Display) {
        self.journal_errors.fetch_add(1, Relaxed);
        *lock(&self.journal_trouble) = Some(cause.to_string().chars().take(400).collect());
    }

    /// The validator drains and will exit.
    pub fn stopping(&self) {
        self.stopping.set(0);
    }

    /// The latest finalized block seen.
    pub fn head(&self) -> Option<BlockSighting> {
        self.sighting(&self.head)
    }

    /// The last weights that landed.
    pub fn weights(&self) -> Option<BlockSighting> {
        self.sighting(&self.weights)
    }

    /// Our own neuron and weights at the last look.
    pub fn standing(&self) -> Option<ChainStanding> {
        *lock(&self.standing)
    }

    /// Why weights are not submitted, while they are not.
    pub fn refusal(&self) -> Option<Refusal> {
        *lock(&self.refusal)
    }

    /// Commits that the chain did not reveal.
    pub fn reveals_failed(&self) -> u64 {
        self.reveals_failed.load(Relaxed)
    }

    /// Whether a commit was not revealed and nothing has landed since.
    pub fn is_reveal_missing(&self) -> bool {
        self.reveal_missing.get().is_some()
    }

    /// The connection to the chain.
    pub fn link(&self) -> Option<ChainLink> {
        lock(&self.link).clone()
    }

    /// The block by which weights are due.
    pub fn weights_due(&self) -> Option<BlockNumber> {
        self.weights_due.get().map(BlockNumber)
    }

    /// Source clips left, where known.
    pub fn clips_left(&self) -> Option<u64> {
        self.corpus_left.get()
    }

    /// Events written so far.
    pub fn journal_events(&self) -> u64 {
        self.journal_events.load(Relaxed)
    }

    /// Failed writes so far.
    pub fn journal_errors(&self) -> u64 {
        self.journal_errors.load(Relaxed)
    }

    /// Why the journal does not write, while it does not.
    pub fn journal_trouble(&self) -> Option<String> {
        lock(&self.journal_trouble).clone()
    }

    /// Whether the validator drains.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get().is_some()
    }

    /// Time since this process started.
    pub fn uptime(&self) -> Duration {
        self.since(self.started)
    }

    /// Wall-clock time of the start, since 1970.
    pub fn started_unix(&self) -> Duration {
        self.started_unix
    }

    fn since(&self, at: u64) -> Duration {
        Duration::from_nanos((self.clock)().saturating_sub(at))
    }

    fn sighted(&self, sighting: &Sighting, block: BlockNumber) {
        sighting.at.set((self.clock)());
        sighting.block.set(block.0);
    }

    fn sighting(&self, sighting: &Sighting) -> Option<BlockSighting> {
        let block = BlockNumber(sighting.block.get()?);
        Some(BlockSighting { block, age: self.since(sighting.at.get()?) })
    }
}
