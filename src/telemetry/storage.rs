//! How publishing fares, for metrics and readiness.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::domain::ids::RoundId;

/// Rounds that may wait for their upload before it counts as a trouble.
pub const WAITING_ROUNDS: u64 = 3;

/// What the publisher tells of itself.
#[derive(Debug, Default)]
pub struct StorageVitals {
    waiting: AtomicU64,
    waiting_bytes: AtomicU64,
    conflicts: AtomicU64,
    rounds: AtomicU64,
    bytes: AtomicU64,
    upload_ms: AtomicU64,
    swept: AtomicU64,
    given_up: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    failures: BTreeMap<&'static str, u64>,
    last_failure: Option<String>,
    last_round: Option<RoundId>,
}

impl StorageVitals {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits in the outbox, and how many of the rounds meet something else under their name.
    pub fn waiting(&self, rounds: u64, bytes: u64, conflicts: u64) {
        self.waiting.store(rounds, Relaxed);
        self.waiting_bytes.store(bytes, Relaxed);
        self.conflicts.store(conflicts, Relaxed);
    }

    /// A round lies where it should.
    pub fn published(&self, round: RoundId, bytes: u64, took: Duration) {
        self.rounds.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.upload_ms.fetch_add(took.as_millis().try_into().unwrap_or(u64::MAX), Relaxed);
        let mut told = self.told();
        told.last_round = told.last_round.max(Some(round));
        told.last_failure = None;
    }

    /// Something failed, by kind: `pack`, `disk`, `upload`, `denied`, `conflict` or `sweep`.
    pub fn failed(&self, kind: &'static str, why: String) {
        let mut told = self.told();
        *told.failures.entry(kind).or_default() += 1;
        told.last_failure = Some(why);
    }

    /// An old round was removed where it lay.
    pub fn swept(&self) {
        self.swept.fetch_add(1, Relaxed);
    }

    /// A waiting round was given up: too much waits.
    pub fn given_up(&self) {
        self.given_up.fetch_add(1, Relaxed);
    }

    /// Rounds and bytes that wait.
    pub fn outbox(&self) -> (u64, u64) {
        (self.waiting.load(Relaxed), self.waiting_bytes.load(Relaxed))
    }

    /// Rounds, bytes and seconds of all uploads.
    pub fn uploads(&self) -> (u64, u64, f64) {
        let seconds = self.upload_ms.load(Relaxed) as f64 / 1000.0;
        (self.rounds.load(Relaxed), self.bytes.load(Relaxed), seconds)
    }

    /// Rounds removed, and rounds given up.
    pub fn removed(&self) -> (u64, u64) {
        (self.swept.load(Relaxed), self.given_up.load(Relaxed))
    }

    /// Failures by kind.
    pub fn failures(&self) -> BTreeMap<&'static str, u64> {
        self.told().failures.clone()
    }

    /// The newest round that was published by this process.
    pub fn last_round(&self) -> Option<RoundId> {
        self.told().last_round
    }

    /// What an operator should look at; `None` while rounds go out.
    pub fn trouble(&self) -> Option<String> {
        let (waiting, bytes) = self.outbox();
        let conflicts = self.conflicts.load(Relaxed);
        if waiting <= WAITING_ROUNDS && conflicts == 0 {
            return None;
        }
        let cause = self.told().last_failure.clone();
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        Some(format!("{waiting} rounds ({bytes} bytes) wait for their upload{cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_waiting_rounds_are_no_trouble_and_a_taken_name_is() {
        let storage = StorageVitals::default();
        storage.waiting(WAITING_ROUNDS, 10, 0);
        assert_eq!(storage.trouble(), None);
        storage.failed("upload", "SlowDown".into());
        storage.waiting(WAITING_ROUNDS + 1, 10, 0);
        let trouble = storage.trouble().expect("too many");
        assert!(trouble.contains("4 rounds") && trouble.contains("SlowDown"), "{trouble}");
        storage.waiting(1, 10, 1);
        assert!(storage.trouble().is_some());
        assert_eq!(storage.failures(), BTreeMap::from([("upload", 1)]));
    }
}
