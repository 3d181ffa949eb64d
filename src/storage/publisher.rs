//! The publisher: packs ended rounds, uploads them, and sweeps the oldest, beside everything else.
//!
//! It is asked for nothing and waited for by nobody. What it did not get to is in the journal, the spool or the outbox, so
//! a restart loses nothing but time.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    outbox::{Outbox, OutboxError},
    place::Place,
    sweep::{Keep, remove, too_many},
    upload::{UploadError, upload},
};
use crate::{domain::ids::RoundId, telemetry::StorageVitals};

/// Time between two looks for ended rounds.
pub const LOOK: Duration = Duration::from_secs(5);
/// First and longest wait after a failed upload.
pub const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// Longest time for what ended just before the process does.
const LAST_PASS: Duration = Duration::from_secs(10);
/// Rounds that one sweep removes at most, so that it never holds an upload up for long.
const SWEPT_AT_ONCE: usize = 20;

/// Why a round was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackTrouble {
    /// It never will be: it was not planned, or its files are gone.
    #[error("{0}")]
    Never(String),
    /// It may be later.
    #[error("{0}")]
    Later(String),
}

/// Knows which rounds have ended, and packs one.
#[async_trait]
pub trait Packer: Send + Sync {
    /// Ended rounds whose files are still at hand, oldest first.
    fn ended(&self) -> Vec<RoundId>;

    /// Writes the round's folder `into/ROUND`, whole or not at all.
    async fn pack(&self, round: RoundId, into: &Path) -> Result<(), PackTrouble>;
}

/// What the publisher works with.
pub struct PublisherParts {
    /// Where rounds go.
    pub place: Place,
    /// Where they wait.
    pub outbox: Outbox,
    /// Packs them.
    pub packer: Arc<dyn Packer>,
    /// Name of the file that is written last.
    pub document: &'static str,
    /// How much stays published.
    pub keep: Keep,
    /// Most bytes that wait; beyond, the oldest rounds are given up.
    pub outbox_bytes: u64,
    /// Time between two looks for ended rounds: [`LOOK`].
    pub look: Duration,
    /// First and longest wait after a failed upload: [`BACKOFF`].
    pub backoff: (Duration, Duration),
    /// Signs of life.
    pub vitals: Arc<StorageVitals>,
}

/// The publisher's own memory: which rounds it need not look at again.
struct Publisher {
    parts: PublisherParts,
    never: std::collections::BTreeSet<RoundId>,
    /// Rounds whose names are taken by something else.
    conflicts: std::collections::BTreeSet<RoundId>,
    wait: Duration,
    not_before: Instant,
}

/// Runs until asked to stop, and once more then; what that does not reach is gone on with at the next start.
pub async fn run(parts: PublisherParts, stop: CancellationToken) {
    info!("rounds are published to {}", parts.place);
    let (wait, mut look) = (parts.backoff.0, interval(parts.look));
    let mut publisher = Publisher {
        parts,
        never: Default::default(),
        conflicts: Default::default(),
        wait,
        not_before: Instant::now(),
    };
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = look.tick() => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = publisher.pass() => {}
        }
    }
    if timeout(LAST_PASS, publisher.pass()).await.is_err() {
        info!("what was not published yet is at the next start");
    }
}

impl Publisher {
    async fn pass(&mut self) {
        self.pack_ended().await;
        if let Err(cause) = self.make_room() {
            self.failed(&cause, "disk");
        }
        if Instant::now() >= self.not_before {
            self.send_waiting().await;
            self.sweep().await;
        }
        self.show();
    }

    async fn pack_ended(&mut self) {
        for round in self.parts.packer.ended() {
            if self.never.contains(&round) || self.parts.outbox.knows(round) {
                continue;
            }
            match self.parts.packer.pack(round, &self.parts.outbox.waiting_folder()).await {
                Ok(()) => {}
                Err(PackTrouble::Never(why)) => {
                    info!(%round, "not published: {why}");
                    self.never.insert(round);
                }
                Err(cause @ PackTrouble::Later(_)) => self.failed(&cause, "pack"),
            }
        }
        // Rounds only grow: what lies far behind is never asked for again.
        while self.never.len() > 64 {
            self.never.pop_first();
        }
    }

    /// Gives up the oldest waiting rounds beyond the bound: a service that is gone for days must not fill the disk.
    fn make_room(&mut self) -> Result<(), OutboxError> {
        let outbox = &self.parts.outbox;
        let waiting = outbox.waiting()?;
        let mut left = 0u64;
        let sizes: Vec<(RoundId, u64)> =
            waiting.into_iter().map(|round| Ok((round, outbox.bytes(round)?))).collect::<Result<_, _>>()?;
        for (round, bytes) in sizes.iter().rev() {
            left = left.saturating_add(*bytes);
            if left > self.parts.outbox_bytes {
                error!(%round, "given up unpublished: more than {} bytes wait for their upload", self.parts.outbox_bytes);
                outbox.drop_waiting(*round)?;
                self.never.insert(*round);
                self.parts.vitals.given_up();
            }
        }
        Ok(())
    }

    async fn send_waiting(&mut self) {
        let waiting = match self.parts.outbox.waiting() {
            Ok(waiting) => waiting,
            Err(cause) => return self.failed(&cause, "disk"),
        };
        for round in waiting.into_iter().filter(|round| !self.conflicts.contains(round)).collect::<Vec<_>>() {
            let began = Instant::now();
            let parts = &self.parts;
            let sent = upload(&parts.place, &parts.outbox, round, parts.document).await;
            let recorded =
                sent.and_then(|published| Ok(parts.outbox.sent(&published).map(|()| published)?));
            match recorded {
                Ok(published) => {
                    info!(%round, files = published.files.len(), bytes = published.bytes, "published to {}", parts.place);
                    parts.vitals.published(round, published.bytes, began.elapsed());
                    self.wait = parts.backoff.0;
                }
                Err(cause @ UploadError::Conflict { .. }) => {
                    self.failed(&cause, "conflict");
                    self.conflicts.insert(round);
                }
                Err(cause) => {
                    let kind = if matches!(cause, UploadError::Denied { .. }) { "denied" } else { "upload" };
                    self.failed(&cause, kind);
                    let wait = if cause.passes() { self.wait } else { self.parts.backoff.1 };
                    self.not_before = Instant::now() + wait;
                    self.wait = (self.wait * 2).min(self.parts.backoff.1);
                    return;
                }
            }
        }
    }

    async fn sweep(&mut self) {
        let published = match self.parts.outbox.published() {
            Ok(published) => published,
            Err(cause) => return self.failed(&cause, "disk"),
        };
        let gone = too_many(&published, self.parts.keep);
        for round in gone.into_iter().take(SWEPT_AT_ONCE) {
            let Some(record) = published.iter().find(|record| record.round == round) else { continue };
            match remove(&self.parts.place, &self.parts.outbox, record).await {
                Ok(()) => self.parts.vitals.swept(),
                Err(cause) => return self.failed(&cause, "sweep"),
            }
        }
    }

    fn failed(&self, cause: &dyn std::fmt::Display, kind: &'static str) {
        warn!("storage: {cause}");
        self.parts.vitals.failed(kind, cause.to_string());
    }

    /// What waits, for metrics and readiness.
    fn show(&self) {
        let outbox = &self.parts.outbox;
        let Ok(waiting) = outbox.waiting() else { return };
        let bytes = waiting.iter().filter_map(|round| outbox.bytes(*round).ok()).sum();
        self.parts.vitals.waiting(waiting.len() as u64, bytes, self.conflicts.len() as u64);
    }
}
