//! When a failed call is tried again: pure, in time that is handed in.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};

use crate::domain::{
    ids::BlockNumber,
    random::{SPLITMIX64_STEP, splitmix64},
};

/// Longest that a service's word on when to come back is believed: Hugging Face counts in windows of this length.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How often and how fast a call is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// Attempts in all.
    pub attempts: u32,
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// For look-ups, which cost nothing and are asked for in seconds.
pub const LOOKUPS: Backoff =
    Backoff { attempts: 4, first: Duration::from_millis(200), longest: Duration::from_secs(5) };

/// What is known when a call has failed.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// For how long the service asked us to stay away.
    pub told: Option<Duration>,
    /// What is left of the call's limit.
    pub left: Duration,
    /// Uniform over all `u64`: where in the pause's second half the next attempt falls.
    pub draw: u64,
}

impl Backoff {
    /// The pause before the next attempt; `None` when there is none, because enough was tried or because its time would
    /// fall behind the limit.
    pub fn pause(&self, tried: Tried) -> Option<Duration> {
        if tried.attempts >= self.attempts {
            return None;
        }
        let doubled = 2_u32.saturating_pow(tried.attempts.saturating_sub(1));
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        let half = whole / 2;
        let part = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let jitter = Duration::from_nanos(((u128::from(tried.draw) * u128::from(part)) >> 64) as u64);
        let pause = (half + jitter).max(tried.told.unwrap_or_default());
        (pause < tried.left).then_some(pause)
    }
}

/// Where in its time an attempt falls: a reproducible sequence from one seed.
#[derive(Debug)]
pub struct Jitter(AtomicU64);

impl Jitter {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// From a seed that nobody can guess: random keys of the standard library.
    pub fn random() -> Self {
        Self::new(RandomState::new().hash_one(()))
    }

    /// The next number of SplitMix64.
    pub fn draw(&self) -> u64 {
        splitmix64(self.0.fetch_add(SPLITMIX64_STEP, Ordering::Relaxed).wrapping_add(SPLITMIX64_STEP))
    }
}

/// The block at which a chute that failed is asked once more: a random one of the first half of what is left, so that
/// an answer has at least as long again; `None` where that would leave it no time.
pub fn later_block(now: BlockNumber, answer_by: BlockNumber, draw: u64) -> Option<BlockNumber> {
    let half = answer_by.0.checked_sub(now.0)? / 2;
    (half > 0).then(|| BlockNumber(now.0 + 1 + draw % half))
}

/// For how long a service asks us to stay away, from `Retry-After` (seconds or a date) and from `RateLimit` and its older
/// spellings where nothing is left of the present window. The longest of them counts, at most [`LONGEST_PAUSE`].
pub fn told(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let after = text(RETRY_AFTER).and_then(|value| retry_after(value, now));
    let modern = text(HeaderName::from_static("ratelimit")).and_then(rate_limit);
    let older = ["ratelimit", "x-ratelimit"].into_iter().filter_map(|prefix| {
        let number = |part: &str| {
            let value = headers.get(format!("{prefix}-{part}"))?.to_str().ok()?;
            value.trim().parse::<u64>().ok()
        };
        (number("remaining")? == 0).then(|| number("reset").map(Duration::from_secs))?
    });
    after.into_iter().chain(modern).chain(older).max().map(|pause| pause.min(LONGEST_PAUSE))
}

fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    match value.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(value.trim()).ok()?.duration_since(now).unwrap_or_default()),
    }
}

/// `"api";r=0;t=55`: of the policies listed, the longest time of one that has nothing left.
fn rate_limit(value: &str) -> Option<Duration> {
    let policy = |text: &str| {
        let number = |name: char| {
            let found =
                text.split(';').find_map(|part| part.trim().strip_prefix([name])?.trim().strip_prefix('='));
            found?.trim().parse::<u64>().ok()
        };
        (number('r')? == 0).then(|| number('t').map(Duration::from_secs))?
    };
    value.split(',').filter_map(policy).max()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(count: u64) -> Option<Duration> {
        Some(Duration::from_secs(count))
    }

    fn said(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().expect("a value"))
        };
        let headers: HeaderMap = pairs.iter().map(header).collect();
        told(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn every_way_to_say_come_back_later_is_read() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("retry-after", "7")]), seconds(7));
        assert_eq!(said(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), seconds(30));
        assert_eq!(said(&[("retry-after", "Tue, 06 Nov 1984 08:50:07 GMT")]), seconds(0));
        assert_eq!(said(&[("ratelimit", "\"api\";r=0;t=55")]), seconds(55));
        assert_eq!(said(&[("ratelimit", "\"api\";r=3;t=55")]), None);
        assert_eq!(said(&[("ratelimit", "\"pages\"; r=0; t=9, \"api\"; r=0; t=12")]), seconds(12));
        assert_eq!(said(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "4")]), seconds(4));
        assert_eq!(said(&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "4")]), None);
        assert_eq!(said(&[("retry-after", "9"), ("ratelimit", "r=0;t=3")]), seconds(9));
        for nonsense in ["", "-1", "soon", "1e9", "99999999999999999999999", "\"api\";r=;t=1", ";;;,,,"] {
            assert_eq!(said(&[("retry-after", nonsense), ("ratelimit", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn an_endless_pause_is_cut() {
        for value in ["86400", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(said(&[("retry-after", value)]), Some(LONGEST_PAUSE), "{value}");
        }
    }

    #[test]
    fn jitter_is_the_same_for_the_same_seed() {
        let [a, b, c] = [7, 7, 8].map(Jitter::new);
        let of = |jitter: &Jitter| [jitter.draw(), jitter.draw(), jitter.draw()];
        let first = of(&a);
        assert_eq!(first, of(&b));
        assert_ne!(first, of(&c));
        assert_eq!(Jitter::new(0).draw(), 0xe220_a839_7b1d_cdaf, "SplitMix64's first number for seed 0");
    }

    proptest! {
        #[test]
        fn a_second_attempt_falls_into_the_first_half_of_what_is_left(now in 0_u64..1000, left in 0_u64..200, draw: u64) {
            let end = BlockNumber(now + left);
            match later_block(BlockNumber(now), end, draw) {
                Some(at) => prop_assert!(at.0 > now && end.0 - at.0 >= left / 2 && at < end),
                None => prop_assert!(left < 2),
            }
            prop_assert_eq!(later_block(BlockNumber(now + left + 1), end, draw), None);
        }

        #[test]
        fn pauses_are_bounded_honour_what_was_told_and_come_to_an_end(
            attempts in 1_u32..40, told in prop::option::of(0_u64..400_000), left in 0_u64..600_000, draw: u64,
        ) {
            let (told, left) = (told.map(Duration::from_millis), Duration::from_millis(left));
            let pause = LOOKUPS.pause(Tried { attempts, told, left, draw });
            let Some(pause) = pause else {
                let shortest = LOOKUPS.longest.max(told.unwrap_or_default());
                prop_assert!(attempts >= LOOKUPS.attempts || left <= shortest, "given up for nothing");
                return Ok(());
            };
            prop_assert!(attempts < LOOKUPS.attempts && pause < left);
            prop_assert!(pause >= told.unwrap_or_default() && pause >= LOOKUPS.first / 2);
            prop_assert!(pause <= LOOKUPS.longest.max(told.unwrap_or_default()));
        }

        #[test]
        fn later_attempts_wait_no_shorter_for_the_same_draw(attempts in 1_u32..3, draw: u64) {
            let wait = |attempts| LOOKUPS.pause(Tried { attempts, told: None, left: LONGEST_PAUSE, draw });
            prop_assert!(wait(attempts) <= wait(attempts + 1));
        }

        #[test]
        fn any_header_is_read_without_harm(value in "[ -~]{0,60}") {
            let pause = said(&[("retry-after", &value), ("ratelimit", &value), ("ratelimit-reset", &value)]);
            prop_assert!(pause.unwrap_or_default() <= LONGEST_PAUSE);
        }
    }
}
