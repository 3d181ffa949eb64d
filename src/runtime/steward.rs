//! The steward: notices every actor's death by a guard that the actor holds, and rebuilds it.
//!
//! actix's `Supervisor` does not restart after a panic (measured), so the actor's own drop is the
//! signal. By default three deaths within ten minutes are mended; the fourth ends the process, which recovers
//! from its journal when it is started again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tracing::{error, warn};

use super::board::ActorStats;

/// How much dying is mended.
#[derive(Clone, Copy, Debug)]
pub struct MendingPolicy {
    /// Deaths of one actor that are mended within the window.
    pub mended: usize,
    /// The window in which deaths are counted.
    pub window: Duration,
    /// Wait before the first rebuild; doubles with every further death in the window.
    pub first_wait: Duration,
}

impl Default for MendingPolicy {
    fn default() -> Self {
        Self { mended: 3, window: Duration::from_secs(600), first_wait: Duration::from_millis(250) }
    }
}

static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Remembers the message of the latest panic, so that a death can name its cause, and logs it.
pub fn install_panic_hook() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload_as_str().unwrap_or("panic without a message");
            let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line()));
            let cause = format!("panicked: {text}{}", place.unwrap_or_default());
            error!(target: "leoma::steward", "{cause}");
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
            before(info);
        }));
    });
}

#[derive(Debug)]
struct Death {
    name: &'static str,
    cause: String,
}

/// Held by an actor for life: its drop reports the death.
pub struct LifeGuard {
    name: &'static str,
    deaths: mpsc::UnboundedSender<Death>,
    draining: Arc<AtomicBool>,
}

impl Drop for LifeGuard {
    fn drop(&mut self) {
        if self.draining.load(Ordering::Relaxed) {
            return;
        }
        let panic = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        let cause = panic.unwrap_or_else(|| "stopped without being asked to".into());
        // The steward is gone only when the process is ending.
        self.deaths.send(Death { name: self.name, cause }).ok();
    }
}

/// Rebuilds one actor: called once at the start and after every mended death.
pub type Factory = Box<dyn Fn(LifeGuard) + Send>;

struct Ward {
    stats: Arc<ActorStats>,
    factory: Factory,
    deaths: VecDeque<Instant>,
}

/// The end of the process by the steward's decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "actor {actor} died {deaths} times in short order, last of: {cause}; the journal is safe, start again"
)]
pub struct GivenUp {
    /// Which actor.
    pub actor: &'static str,
    /// How often.
    pub deaths: usize,
    /// Of what, the last time.
    pub cause: String,
}

/// Owns the factories and mends deaths.
pub struct Steward {
    policy: MendingPolicy,
    wards: BTreeMap<&'static str, Ward>,
    sender: mpsc::UnboundedSender<Death>,
    receiver: mpsc::UnboundedReceiver<Death>,
    draining: Arc<AtomicBool>,
}

impl Default for Steward {
    fn default() -> Self {
        Self::new(MendingPolicy::default())
    }
}

impl Steward {
    /// A steward without wards.
    pub fn new(policy: MendingPolicy) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { policy, wards: BTreeMap::new(), sender, receiver, draining: Arc::default() }
    }

    /// Takes an actor into care and builds it for the first time.
    pub fn adopt(&mut self, stats: Arc<ActorStats>, factory: Factory) {
        let name = stats.name();
        factory(self.life_guard(name));
        self.wards.insert(name, Ward { stats, factory, deaths: VecDeque::new() });
    }

    /// Set to true when the process drains: deaths are then expected and not mended.
    pub fn draining(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.draining)
    }

    fn life_guard(&self, name: &'static str) -> LifeGuard {
        LifeGuard { name, deaths: self.sender.clone(), draining: Arc::clone(&self.draining) }
    }

    /// Mends deaths until one actor has died too often.
    pub async fn watch(mut self) -> GivenUp {
        loop {
            // The steward holds a sender itself, so the channel never closes.
            let Some(death) = self.receiver.recv().await else { continue };
            let guard = self.life_guard(death.name);
            let Some(ward) = self.wards.get_mut(death.name) else { continue };
            ward.stats.died(&death.cause);
            let now = Instant::now();
            while ward.deaths.front().is_some_and(|at| now.duration_since(*at) >= self.policy.window) {
                ward.deaths.pop_front();
            }
            ward.deaths.push_back(now);
            let deaths = ward.deaths.len();
            if deaths > self.policy.mended {
                // The guard would report a death that nobody mends.
                self.draining.store(true, Ordering::Relaxed);
                return GivenUp { actor: death.name, deaths, cause: death.cause };
            }
            let wait = self.policy.first_wait * 2u32.pow(deaths as u32 - 1);
            warn!(target: "leoma::steward", actor = death.name, cause = %death.cause, ?wait, "actor died, rebuilding it");
            tokio::time::sleep(wait).await;
            ward.stats.restarted(&death.cause);
            (ward.factory)(guard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::board::{ActorState, Board};

    const HOUR: Duration = Duration::from_secs(3600);

    fn steward_with(board: &Board, window: Duration, built: mpsc::UnboundedSender<LifeGuard>) -> Steward {
        let policy = MendingPolicy { window, first_wait: Duration::ZERO, ..MendingPolicy::default() };
        let mut steward = Steward::new(policy);
        let stats = board.register("mortal", 1);
        steward.adopt(stats, Box::new(move |guard| drop(built.send(guard))));
        steward
    }

    #[tokio::test]
    async fn three_deaths_are_mended_and_the_fourth_ends_the_process() {
        let board = Board::default();
        let (built, mut guards) = mpsc::unbounded_channel();
        let steward = steward_with(&board, HOUR, built);
        let watching = tokio::spawn(steward.watch());
        for _ in 0..4 {
            drop(guards.recv().await.expect("built"));
        }
        let end = watching.await.expect("steward");
        assert_eq!((end.actor, end.deaths), ("mortal", 4));
        assert_eq!(board.snapshot()[0].restarts, 3);
        assert_eq!(board.snapshot()[0].state, ActorState::Dead);
    }

    #[tokio::test]
    async fn deaths_far_apart_are_mended_for_ever() {
        let board = Board::default();
        let (built, mut guards) = mpsc::unbounded_channel();
        let watching = tokio::spawn(steward_with(&board, Duration::ZERO, built).watch());
        for _ in 0..8 {
            let guard = guards.recv().await.expect("built");
            drop(guard);
        }
        guards.recv().await.expect("still mended");
        assert!(!watching.is_finished());
    }

    #[tokio::test]
    async fn a_drained_actor_is_not_a_death() {
        let board = Board::default();
        let (built, mut guards) = mpsc::unbounded_channel();
        let mut steward = steward_with(&board, HOUR, built);
        steward.draining().store(true, Ordering::Relaxed);
        drop(guards.recv().await.expect("built"));
        assert!(steward.receiver.try_recv().is_err());
    }
}
