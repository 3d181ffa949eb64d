//! One service's host as all calls see it: how many at the same time, and not before when.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, sleep_until},
};

use super::{
    faults::{Again, Call, Failure, Trouble, again},
    retry::{Backoff, Jitter, Tried},
    wire::Limit,
};

const TOLD: &str = "told to stay away";

/// A host that look-ups are asked of.
pub(super) struct Host {
    call: Call,
    places: Semaphore,
    at_once: usize,
    pause: Mutex<Option<Pause>>,
    /// Look-ups in a row that got no answer.
    unanswered: AtomicUsize,
    whole: Duration,
    backoff: Backoff,
    jitter: Jitter,
}

/// Why nobody asks for now.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    why: &'static str,
}

/// What a host is told about.
pub(super) struct HostOptions {
    /// Which look-up it answers.
    pub(super) call: Call,
    /// Calls at the same time.
    pub(super) at_once: usize,
    /// Limit on a whole look-up, further attempts included; the wait for a place is not counted.
    pub(super) whole: Duration,
    /// How it is made again.
    pub(super) backoff: Backoff,
    /// Seed of the jitter.
    pub(super) seed: u64,
}

impl Host {
    pub(super) fn new(options: HostOptions) -> Self {
        Self {
            call: options.call,
            places: Semaphore::new(options.at_once),
            at_once: options.at_once,
            pause: Mutex::new(None),
            unanswered: AtomicUsize::new(0),
            whole: options.whole,
            backoff: options.backoff,
            jitter: Jitter::new(options.seed),
        }
    }

    /// Makes a look-up, and makes it again as the table of faults and the service's own words say.
    pub(super) async fn ask<T, F>(&self, attempt: impl Fn(Limit) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Answered<T>, Failure>>,
    {
        let _place = self.place().await?;
        let end = Instant::now() + self.whole;
        let mut attempts = 0;
        loop {
            self.wait_out_pause(end).await?;
            attempts += 1;
            let limit = Limit::until(end.min(Instant::now() + self.whole / 2));
            let failure = match attempt(limit).await {
                Ok(answered) => {
                    self.unanswered.store(0, Ordering::Relaxed);
                    self.pause(answered.told, TOLD);
                    return Ok(answered.value);
                }
                Err(failure) => failure,
            };
            self.pause(failure.told, TOLD);
            if again(self.call, failure.trouble) != Again::Soon {
                self.unanswered.store(0, Ordering::Relaxed);
                return Err(failure);
            }
            let left = end.saturating_duration_since(Instant::now());
            let tried = Tried { attempts, told: failure.told, left, draw: self.jitter.draw() };
            match self.backoff.pause(tried) {
                Some(pause) => sleep(pause).await,
                None => {
                    self.count(failure.trouble);
                    return Err(failure);
                }
            }
        }
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, Failure> {
        // The semaphore is never closed.
        self.places.acquire().await.map_err(|_| Failure::new(Trouble::Paused, "closed"))
    }

    /// Where as many in a row as are made at once got no answer, the others do not wait for theirs one after the other.
    fn count(&self, trouble: Trouble) {
        let silent = matches!(trouble, Trouble::Unreachable | Trouble::Deadline | Trouble::DeadlineTooShort);
        if !silent {
            self.unanswered.store(0, Ordering::Relaxed);
        } else if self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= self.at_once {
            self.pause(Some(self.whole * 3 / 2), "got no answer many times in a row");
        }
    }

    fn pause(&self, told: Option<Duration>, why: &'static str) {
        let Some(told) = told else { return };
        let new = Pause { until: Instant::now() + told, why };
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        if pause.is_none_or(|before| before.until < new.until) {
            *pause = Some(new);
        }
    }

    /// Everybody stays away for as long as one has to.
    async fn wait_out_pause(&self, end: Instant) -> Result<(), Failure> {
        let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        match pause {
            Some(Pause { until, why }) if until >= end => {
                let left = until.saturating_duration_since(Instant::now());
                let text = format!("{why}: not asked for {} s more", left.as_secs());
                Err(Failure { told: Some(left), ..Failure::new(Trouble::Paused, text) })
            }
            Some(Pause { until, .. }) => {
                sleep_until(until).await;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A look-up's answer, and for how long the service wants to be left alone after it.
pub(super) struct Answered<T> {
    pub(super) value: T,
    pub(super) told: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use super::*;
    use crate::miners::retry::LOOKUPS;

    fn host(at_once: usize, whole: u64) -> Host {
        let whole = Duration::from_millis(whole);
        let call = Call::ModelLookup;
        Host::new(HostOptions { call, at_once, whole, backoff: LOOKUPS, seed: 7 })
    }

    fn failed(status: u16, told: Option<u64>) -> Result<Answered<u8>, Failure> {
        let failure = Failure::new(Trouble::Status(status), "");
        Err(Failure { told: told.map(Duration::from_millis), ..failure })
    }

    fn answered(told: Option<u64>) -> Result<Answered<u8>, Failure> {
        Ok(Answered { value: 1, told: told.map(Duration::from_millis) })
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_after_what_was_told_and_what_will_not_is_left() {
        let (host, count, started) = (host(1, 20_000), AtomicUsize::new(0), Instant::now());
        let answer = host.ask(|_| {
            ready(match count.fetch_add(1, Ordering::Relaxed) {
                0 => failed(503, None),
                1 => failed(429, Some(450)),
                _ => answered(None),
            })
        });
        assert_eq!(answer.await.expect("an answer"), 1);
        assert_eq!(count.load(Ordering::Relaxed), 3);
        assert!(started.elapsed() >= Duration::from_millis(100 + 450), "{:?}", started.elapsed());
        let refused = host.ask(|_| {
            count.fetch_add(1, Ordering::Relaxed);
            ready(failed(404, None))
        });
        assert_eq!(refused.await.expect_err("refused").trouble, Trouble::Status(404));
        assert_eq!(count.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn a_pause_holds_for_everybody_and_a_long_one_is_not_waited_for() {
        let host = host(4, 10_000);
        host.ask(|_| ready(answered(Some(80)))).await.expect("nothing was left afterwards");
        let started = Instant::now();
        host.ask(|_| ready(answered(None))).await.expect("after the pause");
        assert!(started.elapsed() >= Duration::from_millis(70), "{:?}", started.elapsed());
        let told = host.ask(|_| ready(failed(429, Some(60_000)))).await.expect_err("longer than the limit");
        assert_eq!(told.trouble, Trouble::Status(429));
        let next = host.ask(|_| -> Ready<Result<Answered<u8>, Failure>> { panic!("asked all the same") });
        let next = next.await.expect_err("not asked");
        assert_eq!(next.trouble, Trouble::Paused);
        assert!(next.told.is_some_and(|told| told > Duration::from_secs(50)));
        assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn silence_many_times_in_a_row_is_not_waited_out_by_everybody() {
        let (host, count) = (host(4, 60), AtomicUsize::new(0));
        let asked = &count;
        let one = || {
            host.ask(move |_| async move {
                asked.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
                Err::<Answered<u8>, _>(Failure::new(Trouble::Deadline, ""))
            })
        };
        let ends = futures::future::join_all((0..40).map(|_| one())).await;
        assert!(ends.iter().all(Result::is_err));
        let paused =
            ends.iter().filter(|end| end.as_ref().is_err_and(|end| end.trouble == Trouble::Paused)).count();
        assert!(paused >= 30 && count.load(Ordering::Relaxed) <= 8, "{paused} {count:?}");
        sleep(Duration::from_millis(100)).await;
        host.ask(|_| ready(answered(None))).await.expect("asked again later");
    }

    #[tokio::test]
    async fn only_so_many_look_ups_run_at_once_and_waiting_for_a_place_takes_none_of_their_time() {
        let (host, running, most) = (host(3, 150), AtomicUsize::new(0), AtomicUsize::new(0));
        let (now, peak) = (&running, &most);
        let one = || {
            host.ask(move |_| async move {
                peak.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                sleep(Duration::from_millis(60)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                answered(None)
            })
        };
        let ends = futures::future::join_all((0..12).map(|_| one())).await;
        assert!(ends.iter().all(Result::is_ok), "{ends:?}");
        assert_eq!(most.load(Ordering::Relaxed), 3);
    }
}
