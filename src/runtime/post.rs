//! The only way to an actor's mailbox: a bounded post with permits that travel in the envelope.
//!
//! actix's own bounds do not hold (measured on 0.13.5: a mailbox of capacity 2 took 1000 of 1000
//! sends). Here a permit is acquired before a message is sent and released when the *work* that it
//! started has ended, so queued plus running never exceeds the bound. Raw sends are banned by
//! `clippy.toml` outside this file.

use std::{fmt, sync::Arc};

use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::ArbiterHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, watch};

use super::board::{ActorState, ActorStats, Ending, InFlight, Queued};

/// Why a message was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The bound is reached.
    #[error("the mailbox of {0} is full")]
    Full(&'static str),
    /// The process is shutting down.
    #[error("the mailbox of {0} is closed")]
    Closed(&'static str),
}

/// A place in an actor's mailbox, acquired before there is anything to send.
#[must_use = "a reservation that is dropped gives its place back"]
pub struct Reservation(OwnedSemaphorePermit);

/// A message on its way, with the permit that bounds the mailbox.
pub struct Letter<M> {
    body: M,
    permit: OwnedSemaphorePermit,
    queued: Queued,
}

impl<M: Send + 'static> Message for Letter<M> {
    type Result = ();
}

impl<M> Letter<M> {
    /// Takes the letter out of the mailbox: its body, and the hold that lasts as long as the work.
    pub fn open(self) -> (M, Hold) {
        (self.body, Hold { in_flight: Some(self.queued.start()), _permit: self.permit })
    }
}

/// Keeps the sender's permit while the work that a message started is going on. Move it into the
/// task that does the work.
pub struct Hold {
    in_flight: Option<InFlight>,
    _permit: OwnedSemaphorePermit,
}

impl Hold {
    /// The work ended as intended.
    pub fn done(self) {
        self.end(Ending::Done);
    }

    /// The work ended with an error of ours.
    pub fn failed(self, cause: &dyn fmt::Display) {
        self.end(Ending::Failed(cause));
    }

    fn end(mut self, ending: Ending<'_>) {
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.finish(ending);
        }
    }
}

struct Office<A: Actor> {
    address: watch::Sender<Option<Addr<A>>>,
    permits: Arc<Semaphore>,
    stats: Arc<ActorStats>,
}

/// A bounded, rebuildable address of one actor. Clones share bound and address.
pub struct Post<A: Actor>(Arc<Office<A>>);

impl<A: Actor> Clone for Post<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor<Context = Context<A>>> Post<A> {
    /// A post without an actor behind it yet, bounded as its row on the board says.
    pub fn new(stats: Arc<ActorStats>) -> Self {
        let permits = Arc::new(Semaphore::new(stats.bound()));
        Self(Arc::new(Office { address: watch::Sender::new(None), permits, stats }))
    }

    /// The actor's row on the board.
    pub fn stats(&self) -> &Arc<ActorStats> {
        &self.0.stats
    }

    /// Starts an actor on the arbiter and makes it the receiver from here on.
    pub fn install(&self, arbiter: &ArbiterHandle, build: impl FnOnce() -> A + Send + 'static) {
        let stats = Arc::clone(&self.0.stats);
        let address = A::start_in_arbiter(arbiter, move |_| {
            let actor = build();
            stats.set_state(ActorState::Running);
            actor
        });
        self.0.address.send_replace(Some(address));
    }

    /// Waits for a place and, when the actor is dead, for its successor, then sends. Use it from tasks,
    /// never from a handler.
    pub async fn deliver<M>(&self, body: M) -> Result<(), PostError>
    where
        M: Send + 'static,
        A: Handler<Letter<M>>,
    {
        let reservation = self.reserve().await?;
        let mut address = self.0.address.subscribe();
        let alive = |address: &Option<Addr<A>>| address.as_ref().is_some_and(Addr::connected);
        // The sender lives in `self`, so only a successor can end the wait.
        address.wait_for(alive).await.map_err(|_| PostError::Closed(self.0.stats.name()))?;
        self.deliver_reserved(reservation, body);
        Ok(())
    }

    /// Sends at once or says that the mailbox is full. For handlers.
    pub fn try_deliver<M>(&self, body: M) -> Result<(), PostError>
    where
        M: Send + 'static,
        A: Handler<Letter<M>>,
    {
        let reservation = self.try_reserve()?;
        self.deliver_reserved(reservation, body);
        Ok(())
    }

    /// Waits for a place in the mailbox.
    pub async fn reserve(&self) -> Result<Reservation, PostError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        permit.map(Reservation).map_err(|_| PostError::Closed(self.0.stats.name()))
    }

    /// Takes a place in the mailbox if there is one.
    pub fn try_reserve(&self) -> Result<Reservation, PostError> {
        Arc::clone(&self.0.permits).try_acquire_owned().map(Reservation).map_err(|cause| match cause {
            TryAcquireError::NoPermits => PostError::Full(self.0.stats.name()),
            TryAcquireError::Closed => PostError::Closed(self.0.stats.name()),
        })
    }

    /// Sends with a place that was taken before: never waits, never fails. A message to a dead
    /// actor is dropped; whatever it carries notices by its own `Drop`.
    #[allow(clippy::disallowed_methods)] // the one place where a raw send is right
    pub fn deliver_reserved<M>(&self, reservation: Reservation, body: M)
    where
        M: Send + 'static,
        A: Handler<Letter<M>>,
    {
        let letter = Letter { body, permit: reservation.0, queued: self.0.stats.enqueued() };
        let address = self.0.address.borrow().clone();
        if let Some(address) = address {
            address.do_send(letter);
        }
    }
}

/// Declares an actor that only routes: what it works with, its row on the board, its life-guard.
#[macro_export]
macro_rules! routing_actor {
    ($(#[$meta:meta])* $actor:ident works with $parts:ty) => {
        $(#[$meta])*
        pub struct $actor {
            parts: $parts,
            stats: std::sync::Arc<$crate::runtime::board::ActorStats>,
            _life: $crate::runtime::steward::LifeGuard,
        }

        impl actix::Actor for $actor {
            type Context = actix::Context<Self>;
        }

        impl $actor {
            /// Builds the actor.
            pub fn new(
                parts: $parts,
                stats: std::sync::Arc<$crate::runtime::board::ActorStats>,
                life: $crate::runtime::steward::LifeGuard,
            ) -> Self {
                Self { parts, stats, _life: life }
            }
        }
    };
}

/// Implements `Handler<Letter<M>>` for an actor by its method `on_NAME(&mut self, body, hold, ctx)`,
/// with the handler's time on the board.
#[macro_export]
macro_rules! receives {
    ($actor:ty, $stats:ident: $($message:ty => $method:ident),+ $(,)?) => {$(
        impl actix::Handler<$crate::runtime::post::Letter<$message>> for $actor {
            type Result = ();

            fn handle(
                &mut self,
                letter: $crate::runtime::post::Letter<$message>,
                ctx: &mut actix::Context<Self>,
            ) {
                let stats = std::sync::Arc::clone(&self.$stats);
                let _handling = stats.handling();
                let (body, hold) = letter.open();
                self.$method(body, hold, ctx);
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, mpsc};

    use super::*;
    use crate::runtime::board::Board;

    struct Worker {
        stats: Arc<ActorStats>,
        release: Arc<Notify>,
        running: Arc<AtomicUsize>,
        peak: mpsc::UnboundedSender<usize>,
    }

    impl Actor for Worker {
        type Context = Context<Self>;
    }

    struct Job;
    struct Die;

    receives!(Worker, stats: Job => on_job, Die => on_die);

    impl Worker {
        fn on_die(&mut self, _die: Die, _hold: Hold, ctx: &mut Context<Self>) {
            use actix::ActorContext as _;
            ctx.terminate();
        }

        fn on_job(&mut self, _job: Job, hold: Hold, _ctx: &mut Context<Self>) {
            let (release, running, peak) = (self.release.clone(), self.running.clone(), self.peak.clone());
            tokio::spawn(async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                peak.send(now).ok();
                release.notified().await;
                running.fetch_sub(1, Ordering::SeqCst);
                hold.done();
            });
        }
    }

    #[test]
    fn a_message_for_a_dead_actor_waits_for_its_successor() {
        actix_rt::System::new().block_on(async {
            let board = Board::new();
            let post = Post::new(board.register("worker", 2));
            let (peak, mut seen) = mpsc::unbounded_channel();
            let install = || {
                let (stats, release, peak) = (Arc::clone(post.stats()), Arc::default(), peak.clone());
                post.install(&actix_rt::Arbiter::current(), move || Worker {
                    stats,
                    release,
                    running: Arc::default(),
                    peak,
                });
            };
            install();
            let dead = post.0.address.borrow().clone().expect("installed");
            post.deliver(Die).await.expect("delivered");
            while dead.connected() {
                tokio::task::yield_now().await;
            }
            let waiting = tokio::spawn({
                let post = post.clone();
                async move { post.deliver(Job).await }
            });
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished(), "there is nobody yet");
            install();
            assert_eq!(waiting.await.expect("task"), Ok(()));
            assert_eq!(seen.recv().await, Some(1), "the successor works on it");
        });
    }

    #[test]
    fn queued_plus_running_never_exceeds_the_bound() {
        actix_rt::System::new().block_on(async {
            let board = Board::new();
            let post = Post::new(board.register("worker", 2));
            let (peak, mut seen) = mpsc::unbounded_channel();
            let release = Arc::new(Notify::new());
            let worker = Worker {
                stats: post.stats().clone(),
                release: release.clone(),
                running: Arc::default(),
                peak,
            };
            post.install(&actix_rt::Arbiter::current(), move || worker);
            assert_eq!(post.try_deliver(Job), Ok(()));
            assert_eq!(post.try_deliver(Job), Ok(()));
            assert_eq!(post.try_deliver(Job), Err(PostError::Full("worker")));
            assert!(seen.recv().await <= Some(2) && seen.recv().await <= Some(2));
            assert_eq!(post.try_deliver(Job), Err(PostError::Full("worker")), "running work holds its place");
            release.notify_one();
            post.deliver(Job).await.expect("a place came free when work ended");
            assert!(seen.recv().await <= Some(2));
            assert_eq!(board.snapshot()[0].processed, 1);
        });
    }

    #[test]
    fn a_letter_to_a_post_without_an_actor_gives_its_place_back() {
        actix_rt::System::new().block_on(async {
            let post = Post::<Worker>::new(Board::new().register("worker", 1));
            assert_eq!(post.try_deliver(Job), Ok(()));
            assert_eq!(post.try_deliver(Job), Ok(()));
        });
    }
}
