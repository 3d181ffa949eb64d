//! A duration histogram in atomics: recording and reading never block, so that it can be read
//! while its owner hangs.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Sub-buckets of one octave, as a power of two: 8 bound the relative error of a quantile to 1/8.
const SUB_BITS: u32 = 3;
const SUB_BUCKETS: u64 = 1 << SUB_BITS;
/// Octaves above the exact range; 36 reach 2^39 microseconds (six days), longer ones are clamped.
const OCTAVES: u64 = 36;
const BUCKETS: usize = ((OCTAVES + 1) * SUB_BUCKETS) as usize;
const LARGEST_US: u64 = (1 << (SUB_BITS as u64 + OCTAVES)) - 1;

/// Durations in logarithmic buckets of microseconds.
///
/// Below 8 µs every microsecond has its own bucket; above, every octave has eight equal ones.
pub struct DurationHistogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for DurationHistogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }
}

fn bucket_of(us: u64) -> usize {
    let us = us.min(LARGEST_US);
    if us < SUB_BUCKETS {
        return us as usize;
    }
    let octave = us.ilog2() - SUB_BITS;
    // The leading bit is worth one octave, the next three choose among its eight buckets.
    (u64::from(octave) * SUB_BUCKETS + (us >> octave)) as usize
}

fn largest_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB_BUCKETS {
        return bucket;
    }
    let octave = bucket / SUB_BUCKETS - 1;
    let leading = bucket - octave * SUB_BUCKETS;
    ((leading + 1) << octave) - 1
}

impl DurationHistogram {
    /// Counts one duration, rounded down to a microsecond.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(LARGEST_US);
        self.buckets[bucket_of(us)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// What was recorded so far. Recordings made meanwhile may be in it or not.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        HistogramSnapshot { count: counts.iter().sum(), sum_us: self.sum_us.load(Relaxed), counts }
    }
}

/// A histogram at one moment.
#[derive(Clone, Debug)]
pub struct HistogramSnapshot {
    counts: Vec<u64>,
    count: u64,
    sum_us: u64,
}

impl HistogramSnapshot {
    /// Number of recorded durations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all recorded durations.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// The duration that a `quantile` (0 to 1, clamped) of all recordings does not exceed, by
    /// nearest rank: never below the true one and at most an eighth above it. `None` when nothing
    /// was recorded.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let rank = ((quantile.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(Duration::from_micros(largest_in(bucket)));
            }
        }
        None
    }

    /// Number of recordings shorter than 2^`exponent` microseconds (`exponent` from 3).
    pub fn below_power_of_two(&self, exponent: u32) -> u64 {
        let first_above = bucket_of(1 << exponent.max(SUB_BITS));
        self.counts[..first_above].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(values: &[u64]) -> HistogramSnapshot {
        let histogram = DurationHistogram::default();
        for us in values {
            histogram.record(Duration::from_micros(*us));
        }
        histogram.snapshot()
    }

    #[test]
    fn an_empty_histogram_has_no_quantiles() {
        assert_eq!(filled(&[]).quantile(0.5), None);
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        for bucket in 0..BUCKETS {
            let last = largest_in(bucket);
            assert_eq!(bucket_of(last), bucket);
            if bucket + 1 < BUCKETS {
                assert_eq!(bucket_of(last + 1), bucket + 1, "after {last}");
            }
        }
        assert_eq!(largest_in(BUCKETS - 1), LARGEST_US);
    }

    #[test]
    fn absurd_durations_are_clamped_into_the_last_bucket() {
        let histogram = DurationHistogram::default();
        histogram.record(Duration::MAX);
        assert_eq!(histogram.snapshot().quantile(1.0), Some(Duration::from_micros(LARGEST_US)));
    }

    proptest! {
        #[test]
        fn a_quantile_is_never_below_the_true_one_and_at_most_an_eighth_above(
            mut values in prop::collection::vec((0u32..40, any::<u64>()).prop_map(|(shift, v)| (v >> 24) >> shift), 1..200),
            quantile in 0.0f64..=1.0,
        ) {
            let snapshot = filled(&values);
            values.sort_unstable();
            let values: Vec<u64> = values.into_iter().map(|v| v.min(LARGEST_US)).collect();
            let rank = ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            let read = snapshot.quantile(quantile).expect("not empty").as_micros() as u64;
            prop_assert!(read >= exact, "{read} < {exact}");
            prop_assert!(read <= exact + exact / 8, "{read} > {exact} + 1/8");
        }

        #[test]
        fn quantiles_grow_with_their_argument(values in prop::collection::vec(0u64..1 << 30, 1..100), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let snapshot = filled(&values);
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(snapshot.quantile(low) <= snapshot.quantile(high));
        }

        #[test]
        fn cumulative_counts_and_the_sum_are_exact(values in prop::collection::vec(0u64..1 << 34, 0..200), exponent in 3u32..36) {
            let snapshot = filled(&values);
            let expected = values.iter().filter(|v| **v < 1 << exponent).count() as u64;
            prop_assert_eq!(snapshot.below_power_of_two(exponent), expected);
            prop_assert_eq!(snapshot.count(), values.len() as u64);
            prop_assert_eq!(snapshot.sum(), Duration::from_micros(values.iter().sum()));
        }
    }
}
