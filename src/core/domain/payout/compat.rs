//! Rule `window_compat`: the ranking of the deployed software, bit for bit, flaws included.
//!
//! Its two flaws, held by golden tests (`tests/golden/payout`):
//! - **a blocking slot**: a challenger must lead *every* earlier miner, so a miner that itself leads
//!   nobody keeps a later one out. Rates .50, .54, .56 in order of precedence elect the first; without the
//!   second the third wins;
//! - **binary fractions**: the comparison `rate >= other + 0.05` is made in IEEE 754 doubles, which denies
//!   an exact lead of five points in a quarter of cases (.85 against .80).
//!
//! The one place of the rules that computes with floating point: the flaw *is* the rounding. Division,
//! addition and comparison of doubles are exactly specified, so every machine elects the same miner.

use super::history::{Candidate, History};

/// Newest settled rounds that are left out: not every validator has scored them yet.
pub const SKIPPED: usize = 2;
/// Rounds of the window.
pub const WINDOW: usize = 100;
/// A miner must have been evaluated in this share of the window's rounds, in percent.
pub const COVERAGE_PERCENT: usize = 80;
/// Lead in pass rate that a challenger needs.
const LEAD: f64 = 0.05;

/// The winner: the latest eligible miner whose pass rate leads that of every earlier one. The earliest
/// has nobody to lead, so there is one whenever anybody is eligible.
pub fn elect(history: &History) -> Option<&Candidate> {
    let eligible: Vec<(&Candidate, f64)> = history
        .candidates
        .iter()
        .filter_map(|candidate| Some((candidate, pass_rate(candidate, history.rounds.len())?)))
        .collect();
    let leads = |index: usize| {
        let rate = eligible[index].1;
        eligible[..index].iter().all(|(_, earlier)| rate >= earlier + LEAD)
    };
    (0..eligible.len()).rev().find(|index| leads(*index)).map(|index| eligible[index].0)
}

/// Passes over evaluations, `None` for a miner that is not eligible.
fn pass_rate(candidate: &Candidate, rounds: usize) -> Option<f64> {
    let evaluated = candidate.results.values().filter_map(|judgement| judgement.compat_pass());
    let (passed, all) =
        evaluated.fold((0u32, 0u32), |(passed, all), pass| (passed + u32::from(pass), all + 1));
    let enough = all > 0 && all as usize * 100 >= rounds * COVERAGE_PERCENT;
    enough.then(|| f64::from(passed) / f64::from(all))
}
