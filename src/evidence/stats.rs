//! The statistics of the evidence. `docs/evidence.md` states how ties count.

use serde::Serialize;

/// How often an order was right, over pairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PairCount {
    /// Pairs in the right order.
    pub right: usize,
    /// Pairs that read the same.
    pub tied: usize,
    /// Pairs in the wrong order.
    pub wrong: usize,
}

impl PairCount {
    /// Counts one pair by how the one that should read less compares.
    fn count(&mut self, less: f64, more: f64) {
        match less.partial_cmp(&more) {
            Some(std::cmp::Ordering::Less) => self.right += 1,
            Some(std::cmp::Ordering::Equal) => self.tied += 1,
            _ => self.wrong += 1,
        }
    }

    /// All pairs.
    pub fn pairs(&self) -> usize {
        self.right + self.tied + self.wrong
    }

    /// Share in the right order, a tie counting half; `None` without pairs.
    pub fn accuracy(&self) -> Option<f64> {
        (self.pairs() > 0).then(|| (self.right as f64 + self.tied as f64 / 2.0) / self.pairs() as f64)
    }
}

impl std::ops::AddAssign for PairCount {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.tied += other.tied;
        self.wrong += other.wrong;
    }
}

/// Pairs of one ladder whose levels lie `gaps` apart; `ladder[level]` should rise.
pub fn ladder_pairs(ladder: &[f64], gaps: std::ops::RangeInclusive<usize>) -> PairCount {
    let mut count = PairCount::default();
    for (low, one) in ladder.iter().enumerate() {
        for (high, other) in ladder.iter().enumerate().skip(low + 1) {
            if gaps.contains(&(high - low)) {
                count.count(*one, *other);
            }
        }
    }
    count
}

/// Pairs of items with ratings: those whose ratings differ, by how their scores stand; and how many pairs were left out
/// because their ratings are equal.
pub fn rated_pairs(items: &[(f64, f64)]) -> (PairCount, usize) {
    let (mut count, mut equal) = (PairCount::default(), 0);
    for (at, one) in items.iter().enumerate() {
        for other in &items[at + 1..] {
            let (less, more) = if one.0 <= other.0 { (one, other) } else { (other, one) };
            match less.0 == more.0 {
                true => equal += 1,
                false => count.count(less.1, more.1),
            }
        }
    }
    (count, equal)
}

/// Kendall's tau-b of two equally long series: concordant less discordant pairs over the geometric mean of the pairs
/// that are untied in either; `None` where one of them never changes.
pub fn kendall_tau(xs: &[f64], ys: &[f64]) -> Option<f64> {
    let (mut balance, mut untied) = (0.0, [0.0f64; 2]);
    for i in 0..xs.len().min(ys.len()) {
        for j in 0..i {
            let sign = |a: f64, b: f64| if a == b { 0.0 } else { (a - b).signum() };
            let (x, y) = (sign(xs[i], xs[j]), sign(ys[i], ys[j]));
            balance += x * y;
            untied[0] += x * x;
            untied[1] += y * y;
        }
    }
    let whole = (untied[0] * untied[1]).sqrt();
    (whole > 0.0).then(|| balance / whole)
}

/// Tau-b of a ladder against its levels, 0 where every level reads the same.
pub fn ladder_tau(ladder: &[f64]) -> f64 {
    let levels: Vec<f64> = (0..ladder.len()).map(|level| level as f64).collect();
    kendall_tau(&levels, ladder).unwrap_or(0.0)
}

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of their ranks; `None` where one
/// series never changes.
pub fn spearman(xs: &[f64], ys: &[f64]) -> Option<f64> {
    pearson(&ranks(xs), &ranks(ys))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

fn pearson(xs: &[f64], ys: &[f64]) -> Option<f64> {
    let (mx, my) = (mean(xs)?, mean(ys)?);
    let sum = |f: &dyn Fn(f64, f64) -> f64| xs.iter().zip(ys).map(|(x, y)| f(x - mx, y - my)).sum::<f64>();
    let whole = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    (whole > 0.0).then(|| sum(&|x, y| x * y) / whole)
}

/// Mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Middle value, of an even number the lower of the two in the middle; `None` of nothing.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// One-sided 95 % upper bound on a probability of which `hits` of `trials` were seen, after Clopper and Pearson: the `p`
/// at which so few hits have a chance of 5 %. Without hits that is `1 - 0.05^(1/trials)`; without trials 1.
pub fn upper_bound_95(hits: usize, trials: usize) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    // The chance of at most `hits` falls in p: bisection to far below what is printed.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if at_most(hits, trials, middle) > 0.05 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Chance of at most `hits` in `trials` of probability `p`, `0 < p < 1`.
fn at_most(hits: usize, trials: usize, p: f64) -> f64 {
    let odds = (p / (1.0 - p)).ln();
    let mut log_term = trials as f64 * (1.0 - p).ln();
    let mut sum = log_term.exp();
    for k in 1..=hits {
        log_term += odds + ((trials + 1 - k) as f64 / k as f64).ln();
        sum += log_term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn ties_count_half_and_reversals_nothing() {
        let ladder = [0.0, 1.0, 1.0, 0.5, 3.0, 4.0];
        let near = ladder_pairs(&ladder, 1..=1);
        assert_eq!((near.right, near.tied, near.wrong), (3, 1, 1));
        assert_eq!(near.accuracy(), Some(0.7));
        assert_eq!(ladder_pairs(&ladder, 2..=5).pairs(), 10);
        assert_eq!(PairCount::default().accuracy(), None);
    }

    #[test]
    fn correlations_have_the_values_of_scipy() {
        // scipy 1.17: kendalltau and spearmanr of these lists.
        let (x, y) = ([1.0, 2.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 4.0, 3.0, 6.0]);
        assert!(close(kendall_tau(&x, &y).expect("untied"), 0.5));
        assert!((spearman(&x, &y).expect("untied") - 0.661_764_705_9).abs() < 1e-9);
        assert_eq!(kendall_tau(&x, &[1.0; 6]), None);
        assert_eq!(spearman(&[1.0; 6], &y), None);
        assert!(close(ladder_tau(&[0.0, 1.0, 2.0, 3.0]), 1.0) && close(ladder_tau(&[5.0; 4]), 0.0));
    }

    #[test]
    fn rated_pairs_leave_equal_ratings_out() {
        let (count, equal) = rated_pairs(&[(1.0, 10.0), (2.0, 20.0), (2.0, 5.0), (3.0, 20.0)]);
        assert_eq!(equal, 1);
        assert_eq!((count.right, count.tied, count.wrong), (3, 1, 1));
    }

    #[test]
    fn bounds_are_clopper_and_pearsons() {
        // R: binom.test(x, n, alternative = "less")$conf.int[2].
        for (hits, trials, bound) in
            [(0, 5, 0.450_719_7), (0, 59, 0.049_507_6), (1, 10, 0.394_163_3), (3, 20, 0.343_663_8)]
        {
            let found = upper_bound_95(hits, trials);
            assert!((found - bound).abs() < 2e-6, "{hits} of {trials}: {found}");
        }
        assert!(close(upper_bound_95(0, 7), 1.0 - 0.05f64.powf(1.0 / 7.0)));
        assert!(close(upper_bound_95(0, 0), 1.0) && close(upper_bound_95(4, 4), 1.0));
    }

    proptest! {
        #[test]
        fn correlations_do_not_change_under_rising_maps(values in proptest::collection::vec((-9i32..9, -9i32..9), 2..12)) {
            let xs: Vec<f64> = values.iter().map(|(x, _)| f64::from(*x)).collect();
            let ys: Vec<f64> = values.iter().map(|(_, y)| f64::from(*y)).collect();
            let mapped: Vec<f64> = xs.iter().map(|x| x.powi(3) + 2.0 * x).collect();
            let turned: Vec<f64> = ys.iter().map(|y| -y).collect();
            for correlation in [kendall_tau, spearman] {
                let value = correlation(&xs, &ys);
                prop_assert!(value.is_none_or(|v| v.abs() <= 1.0 + 1e-9));
                let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
                    (Some(a), Some(b)) => close(a, b),
                    (a, b) => a == b,
                };
                prop_assert!(near(correlation(&mapped, &ys), value));
                prop_assert!(near(correlation(&xs, &turned).map(|v| -v), value));
            }
        }
    }
}
