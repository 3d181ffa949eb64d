//! The board: what every actor is doing, in atomics, readable while an actor hangs.
//!
//! An actor writes its own [`ActorStats`]; `/actors`, `/metrics` and `/readyz` read them. Nothing
//! here waits for an actor: the only lock guards the text of the last error for the time of a copy.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::histogram::{DurationHistogram, HistogramSnapshot};

/// Longest stored error text in bytes; the rest is cut.
pub const MAX_ERROR_BYTES: usize = 400;

/// A monotonic clock in nanoseconds, from any origin.
pub type MonotonicClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Nanoseconds since the call, monotonic.
pub fn process_clock() -> MonotonicClock {
    let origin = Instant::now();
    Arc::new(move || u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// An actor's stage of life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ActorState {
    /// Being built, or rebuilt after a death.
    Starting,
    /// Handling messages.
    Running,
    /// Draining before shutdown.
    Stopping,
    /// Gone; nobody handles its messages.
    Dead,
}

impl ActorState {
    /// All states in the order of a life.
    pub const ALL: [ActorState; 4] =
        [ActorState::Starting, ActorState::Running, ActorState::Stopping, ActorState::Dead];

    /// The state's name in `/actors` and `/metrics`.
    pub fn as_str(self) -> &'static str {
        match self {
            ActorState::Starting => "starting",
            ActorState::Running => "running",
            ActorState::Stopping => "stopping",
            ActorState::Dead => "dead",
        }
    }
}

/// How one message's work ended.
#[derive(Clone, Copy)]
pub enum Ending<'a> {
    /// As intended, whatever the miner's outcome.
    Done,
    /// With an error of ours; its text is kept as the actor's last error.
    Failed(&'a dyn fmt::Display),
}

/// All actors of the process.
pub struct Board {
    actors: RwLock<Vec<Arc<ActorStats>>>,
    clock: MonotonicClock,
}

impl Default for Board {
    fn default() -> Self {
        Self::with_clock(process_clock())
    }
}

impl Board {
    /// An empty board on the process's monotonic clock.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// An empty board on another clock (tests).
    pub fn with_clock(clock: MonotonicClock) -> Self {
        Self { actors: RwLock::default(), clock }
    }

    /// The stats of the actor called `name`, whose mailbox holds at most `bound` messages.
    ///
    /// A name has one row for the life of the process: registering it again, as a rebuilt actor
    /// does, returns the same stats with their counts (and keeps the first `bound`).
    pub fn register(&self, name: &'static str, bound: usize) -> Arc<ActorStats> {
        let mut actors = self.actors.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = actors.iter().find(|actor| actor.name == name) {
            return Arc::clone(known);
        }
        let stats = Arc::new(ActorStats::new(name, bound, Arc::clone(&self.clock)));
        actors.push(Arc::clone(&stats));
        stats
    }

    /// Every registered actor in order of registration.
    pub fn actors(&self) -> Vec<Arc<ActorStats>> {
        self.actors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every actor's reading at this moment.
    pub fn snapshot(&self) -> Vec<ActorSnapshot> {
        self.actors().iter().map(|actor| actor.snapshot()).collect()
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

/// One actor's row of the board.
pub struct ActorStats {
    name: &'static str,
    bound: usize,
    clock: MonotonicClock,
    state: AtomicU8,
    queued: AtomicUsize,
    in_flight: AtomicUsize,
    processed: AtomicU64,
    errors: AtomicU64,
    restarts: AtomicU64,
    last_error: Mutex<Option<String>>,
    handler: DurationHistogram,
    /// Handlers that run now: one, unless handlers await.
    handlers_running: AtomicUsize,
    /// Clock when the actor went from idle to handling; meaningful while `handlers_running > 0`.
    busy_since: AtomicU64,
    /// Clock when a handler last returned, plus one; zero for never.
    last_handled: AtomicU64,
}

impl ActorStats {
    fn new(name: &'static str, bound: usize, clock: MonotonicClock) -> Self {
        Self {
            name,
            bound,
            clock,
            state: AtomicU8::new(ActorState::Starting as u8),
            queued: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            processed: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            last_error: Mutex::new(None),
            handler: DurationHistogram::default(),
            handlers_running: AtomicUsize::new(0),
            busy_since: AtomicU64::new(0),
            last_handled: AtomicU64::new(0),
        }
    }

    /// The actor's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Most messages that may wait.
    pub fn bound(&self) -> usize {
        self.bound
    }

    /// A message was posted: it counts as waiting until the guard is dropped or turned into work.
    #[must_use = "the message counts as waiting only while the guard lives"]
    pub fn enqueued(self: &Arc<Self>) -> Queued {
        self.queued.fetch_add(1, Relaxed);
        Queued { stats: Arc::clone(self) }
    }

    /// Work began that was never queued. Work of a queued message begins by [`Queued::start`].
    #[must_use = "the work counts as in flight only while the guard lives"]
    pub fn started(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight { stats: Arc::clone(self), ended: false }
    }

    /// A handler was entered: hold the guard until it returns. Its time goes into the histogram.
    #[must_use = "the handler counts as running only while the guard lives"]
    pub fn handling(self: &Arc<Self>) -> Handling {
        let entered = (self.clock)();
        if self.handlers_running.fetch_add(1, Relaxed) == 0 {
            self.busy_since.store(entered, Relaxed);
        }
        Handling { stats: Arc::clone(self), entered }
    }

    /// One message's work ended. [`InFlight::finish`] calls this; call it for work without a guard.
    pub fn finished(&self, ending: Ending<'_>) {
        self.processed.fetch_add(1, Relaxed);
        if let Ending::Failed(cause) = ending {
            self.errors.fetch_add(1, Relaxed);
            self.remember(cause);
        }
    }

    /// The actor entered a stage of its life.
    pub fn set_state(&self, state: ActorState) {
        self.state.store(state as u8, Relaxed);
    }

    /// The actor died of `cause`: its state is dead until it is rebuilt.
    pub fn died(&self, cause: &dyn fmt::Display) {
        self.remember(cause);
        self.set_state(ActorState::Dead);
    }

    /// The actor is rebuilt after it died of `cause`: counts one restart, its state is starting.
    pub fn restarted(&self, cause: &dyn fmt::Display) {
        self.restarts.fetch_add(1, Relaxed);
        self.remember(cause);
        self.set_state(ActorState::Starting);
    }

    /// The stage of life.
    pub fn state(&self) -> ActorState {
        let raw = usize::from(self.state.load(Relaxed));
        ActorState::ALL.get(raw).copied().unwrap_or(ActorState::Dead)
    }

    /// How long the running handler has been running; `None` when the actor is idle. With several
    /// handlers at once (handlers that await) the time since the actor was last idle.
    pub fn busy_for(&self) -> Option<Duration> {
        if self.handlers_running.load(Relaxed) == 0 {
            return None;
        }
        Some(self.since(self.busy_since.load(Relaxed)))
    }

    /// The handlers' times.
    pub fn handler_times(&self) -> HistogramSnapshot {
        self.handler.snapshot()
    }

    /// Text of the last error or death.
    pub fn last_error(&self) -> Option<String> {
        self.last_error_text().clone()
    }

    /// Reads everything at this moment.
    pub fn snapshot(&self) -> ActorSnapshot {
        let times = self.handler.snapshot();
        let millis = |quantile| times.quantile(quantile).map(|took| took.as_secs_f64() * 1e3);
        let last_handled = self.last_handled.load(Relaxed).checked_sub(1);
        ActorSnapshot {
            name: self.name,
            state: self.state(),
            mailbox: MailboxSnapshot { depth: self.queued.load(Relaxed), bound: self.bound },
            in_flight: self.in_flight.load(Relaxed),
            processed: self.processed.load(Relaxed),
            errors: self.errors.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            last_error: self.last_error(),
            handler_ms: HandlerMillis { p50: millis(0.5), p99: millis(0.99) },
            busy_for_ms: self.busy_for().map(whole_millis),
            last_handled_ms_ago: last_handled.map(|at| whole_millis(self.since(at))),
        }
    }

    fn since(&self, at: u64) -> Duration {
        Duration::from_nanos((self.clock)().saturating_sub(at))
    }

    fn remember(&self, cause: &dyn fmt::Display) {
        let mut text = cause.to_string();
        if text.len() > MAX_ERROR_BYTES {
            text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
            text.push('…');
        }
        *self.last_error_text() = Some(text);
    }

    fn last_error_text(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A message that waits in a mailbox.
pub struct Queued {
    stats: Arc<ActorStats>,
}

impl Queued {
    /// The message left the mailbox and its work begins.
    pub fn start(self) -> InFlight {
        // Counted as in flight before it stops counting as queued, so that it is never invisible.
        self.stats.started()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.stats.queued.fetch_sub(1, Relaxed);
    }
}

/// Work that began and has not ended: in a handler, or in a task that the handler started.
pub struct InFlight {
    stats: Arc<ActorStats>,
    ended: bool,
}

impl InFlight {
    /// The work ended. A guard dropped without this counts as an error, so that no work gets lost
    /// silently in a panic or a cancelled task.
    pub fn finish(mut self, ending: Ending<'_>) {
        self.ended = true;
        self.stats.finished(ending);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.ended {
            self.stats.finished(Ending::Failed(&"work was dropped before it ended"));
        }
        self.stats.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A handler that runs.
pub struct Handling {
    stats: Arc<ActorStats>,
    entered: u64,
}

impl Drop for Handling {
    fn drop(&mut self) {
        let stats = &self.stats;
        stats.handler.record(stats.since(self.entered));
        stats.last_handled.store((stats.clock)().saturating_add(1), Relaxed);
        stats.handlers_running.fetch_sub(1, Relaxed);
    }
}

/// One actor at one moment, as `/actors` shows it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ActorSnapshot {
    /// Name.
    pub name: &'static str,
    /// Stage of life.
    pub state: ActorState,
    /// Messages that wait.
    pub mailbox: MailboxSnapshot,
    /// Work begun and not ended.
    pub in_flight: usize,
    /// Work ended, errors included.
    pub processed: u64,
    /// Work that ended with an error.
    pub errors: u64,
    /// Times that the actor was rebuilt.
    pub restarts: u64,
    /// Text of the last error or death.
    pub last_error: Option<String>,
    /// Handler times.
    pub handler_ms: HandlerMillis,
    /// How long the running handler has been running; `None` when idle.
    pub busy_for_ms: Option<u64>,
    /// How long ago a handler last returned; `None` for never.
    pub last_handled_ms_ago: Option<u64>,
}

/// A mailbox at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct MailboxSnapshot {
    /// Messages that wait.
    pub depth: usize,
    /// Most that may.
    pub bound: usize,
}

/// Quantiles of handler times in milliseconds; `None` before the first message.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct HandlerMillis {
    /// Half of the handlers took at most this long.
    pub p50: Option<f64>,
    /// 99 of 100 handlers took at most this long.
    pub p99: Option<f64>,
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn with_clock() -> (Board, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(0));
        let reader = Arc::clone(&now);
        (Board::with_clock(Arc::new(move || reader.load(Relaxed))), now)
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn a_message_is_queued_then_in_flight_then_processed() {
        let (board, _) = with_clock();
        let stats = board.register("decoder", 4);
        let queued = stats.enqueued();
        let other = stats.enqueued();
        assert_eq!(stats.snapshot().mailbox, MailboxSnapshot { depth: 2, bound: 4 });
        let work = queued.start();
        let read = stats.snapshot();
        assert_eq!((read.mailbox.depth, read.in_flight, read.processed), (1, 1, 0));
        work.finish(Ending::Done);
        drop(other);
        let read = stats.snapshot();
        assert_eq!((read.mailbox.depth, read.in_flight, read.processed, read.errors), (0, 0, 1, 0));
    }

    #[test]
    fn work_lost_in_a_panic_is_an_error_with_a_text() {
        let (board, _) = with_clock();
        let stats = board.register("decoder", 4);
        let work = stats.started();
        let thread = std::thread::spawn(move || {
            let _work = work;
            std::panic::resume_unwind(Box::new("boom"));
        });
        assert!(thread.join().is_err());
        let read = stats.snapshot();
        assert_eq!((read.in_flight, read.errors), (0, 1));
        assert_eq!(read.last_error.as_deref(), Some("work was dropped before it ended"));
    }

    #[test]
    fn a_hanging_handler_is_visible_while_it_hangs() {
        let (board, now) = with_clock();
        let stats = board.register("scorer", 2);
        assert_eq!(stats.snapshot().busy_for_ms, None);
        let (release, wait) = mpsc::channel::<()>();
        let (entered, is_in) = mpsc::channel::<()>();
        let actor = Arc::clone(&stats);
        let thread = std::thread::spawn(move || {
            let _handling = actor.handling();
            entered.send(()).expect("test waits");
            wait.recv().expect("test releases");
        });
        is_in.recv().expect("thread enters");
        now.store(7_500 * MS, Relaxed);
        assert_eq!(stats.snapshot().busy_for_ms, Some(7_500));
        release.send(()).expect("thread waits");
        thread.join().expect("no panic");
        now.store(8_000 * MS, Relaxed);
        let read = stats.snapshot();
        assert_eq!((read.busy_for_ms, read.last_handled_ms_ago), (None, Some(500)));
        assert_eq!(stats.handler_times().count(), 1);
        assert!(read.handler_ms.p50.is_some_and(|p50| (7_500.0..=8_438.0).contains(&p50)), "{read:?}");
    }

    #[test]
    fn a_rebuilt_actor_keeps_its_row() {
        let (board, _) = with_clock();
        let first = board.register("challenger", 8);
        first.set_state(ActorState::Running);
        first.died(&"panicked at 'x'");
        assert_eq!(first.state(), ActorState::Dead);
        first.restarted(&"panicked at 'x'");
        let again = board.register("challenger", 8);
        assert!(Arc::ptr_eq(&first, &again));
        let read = again.snapshot();
        assert_eq!((read.state, read.restarts), (ActorState::Starting, 1));
        assert_eq!(read.last_error.as_deref(), Some("panicked at 'x'"));
        assert_eq!(board.actors().len(), 1);
    }

    #[test]
    fn a_long_error_is_cut_on_a_character() {
        let (board, _) = with_clock();
        let stats = board.register("decoder", 1);
        stats.finished(Ending::Failed(&"é".repeat(5_000)));
        let kept = stats.snapshot().last_error.expect("kept");
        assert!(kept.len() <= MAX_ERROR_BYTES + '…'.len_utf8(), "{}", kept.len());
        assert!(kept.ends_with("é…"));
    }
}
