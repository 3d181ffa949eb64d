//! Rule `window_strict`: a champion chain over the window, each challenge on paired rounds.
//!
//! Candidates come in order of precedence. The first is champion; each later one replaces the champion
//! of its turn only when, over the rounds in which both have results, the lower bound of a paired
//! bootstrap of the mean score difference exceeds a margin (percentile bootstrap, Efron 1979). A miner
//! that is not champion when a later one is tested takes no part in that test, and the level does not
//! depend on how many miners there are: so it cannot change the result. Integers only.

use super::history::{Candidate, History, Judgement};
use crate::domain::{
    ids::{Digest, Hotkey},
    random::{SPLITMIX64_STEP, splitmix64},
    rules::StrictRules,
};

/// One challenge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Duel {
    /// Who held the title.
    pub champion: Hotkey,
    /// Who wanted it.
    pub challenger: Hotkey,
    /// Rounds in which both have results.
    pub pairs: u32,
    /// Sum over the pairs of challenger minus champion, in 1/10000.
    pub sum: i64,
    /// Lower bound of that sum; `None` below the least number of pairs.
    pub lower_bound: Option<i64>,
    /// Mean lead, in 1/10000 and rounded up, that would just have sufficed with this spread.
    pub minimum_detectable: Option<i64>,
    /// Whether the challenger took the title.
    pub won: bool,
}

/// The champion and how it came about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChampionChain {
    /// Who is to be paid; `None` when nobody is eligible.
    pub champion: Option<Hotkey>,
    /// Every challenge in order of precedence.
    pub duels: Vec<Duel>,
}

/// Runs the chain. `rules_digest` seeds the bootstrap together with the pair.
pub fn chain(history: &History, rules: &StrictRules, rules_digest: &Digest) -> ChampionChain {
    let mut eligible = history.candidates.iter().filter(|candidate| is_eligible(candidate, history, rules));
    let Some(mut champion) = eligible.next() else { return ChampionChain::default() };
    let mut duels = Vec::new();
    for challenger in eligible {
        let duel = fight(champion, challenger, rules, rules_digest);
        if duel.won {
            champion = challenger;
        }
        duels.push(duel);
    }
    ChampionChain { champion: Some(champion.hotkey), duels }
}

/// Results in enough of the window's rounds, and at least one clip of them passed.
fn is_eligible(candidate: &Candidate, history: &History, rules: &StrictRules) -> bool {
    let judged = candidate.results.values().filter(|judgement| judgement.strict_score().is_some()).count();
    let passed = |judgement: &Judgement| matches!(judgement, Judgement::Scored { passed: true, .. });
    judged * 100 >= history.rounds.len() * usize::from(rules.coverage_percent)
        && candidate.results.values().any(passed)
}

fn fight(champion: &Candidate, challenger: &Candidate, rules: &StrictRules, rules_digest: &Digest) -> Duel {
    let differences: Vec<i64> = challenger
        .results
        .iter()
        .filter_map(|(round, own)| Some(own.strict_score()? - champion.results.get(round)?.strict_score()?))
        .collect();
    let (pairs, sum) = (differences.len() as i64, differences.iter().sum::<i64>());
    let lower_bound = (pairs > 0 && pairs >= i64::from(rules.min_pairs)).then(|| {
        let parts = [&rules_digest.0[..], &champion.hotkey.0, &challenger.hotkey.0];
        let seed = Digest::of_parts(&[&b"leoma/window-strict"[..], parts[0], parts[1], parts[2]]).seed();
        lower_bound(&differences, seed, rules)
    });
    let needed = i64::from(rules.margin) * pairs;
    Duel {
        champion: champion.hotkey,
        challenger: challenger.hotkey,
        pairs: pairs as u32,
        sum,
        lower_bound,
        // The lead that would have lifted the bound just above the margin, the spread being the same.
        minimum_detectable: lower_bound.map(|bound| (needed + sum - bound).div_euclid(pairs) + 1),
        won: lower_bound.is_some_and(|bound| bound > needed),
    }
}

/// Which of the sorted resampled sums is the bound, counted from one: the level of one challenge of the
/// resamples, rounded down.
pub fn bound_rank(rules: &StrictRules) -> usize {
    let level = u64::from(rules.resamples) * u64::from(rules.level_ppm);
    (level / (1_000_000 * u64::from(rules.challengers))) as usize
}

/// Lower bound of the sum of `differences` by resampling them with replacement.
///
/// Resample `r`, draw `i` takes the difference at `floor(x * n / 2^64)`, `x` being the next number of
/// SplitMix64 (Steele, Lea and Flood, 2014) from `seed`; the bias of that map stays below `n / 2^64`.
pub fn lower_bound(differences: &[i64], seed: u64, rules: &StrictRules) -> i64 {
    let mut random = SplitMix64(seed);
    let count = differences.len() as u64;
    let mut sums: Vec<i64> = (0..rules.resamples)
        .map(|_| (0..count).map(|_| differences[random.below(count) as usize]).sum())
        .collect();
    let rank = bound_rank(rules).clamp(1, sums.len());
    *sums.select_nth_unstable(rank - 1).1
}

struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(SPLITMIX64_STEP);
        splitmix64(self.0)
    }

    fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(count)) >> 64) as u64
    }
}
