//! Who is paid: the winner of one round, and the target of a weights vector by one of three rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    event::PayTarget,
    ids::{BlockNumber, Digest, Hotkey, RoundId},
    roster::Precedence,
    rules::{PayoutRule, PayoutRules},
    score::Score,
};

pub mod compat;
pub mod history;
pub mod strict;

use history::{History, MinerResult};
use strict::Duel;

/// One miner's standing at the end of a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contender {
    /// The miner.
    pub hotkey: Hotkey,
    /// Order between miners.
    pub precedence: Precedence,
    /// Overall score of its clip.
    pub overall: Score,
    /// Whether the clip reached the thresholds.
    pub passed: bool,
}

/// A closed round as the payout rule sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettledRound {
    /// The round.
    pub round: RoundId,
    /// Block at which it closed.
    pub closed_at: BlockNumber,
    /// The round's winner, if anybody passed.
    pub winner: Option<Contender>,
    /// How every miner of the roster fared: what the window rules look back on.
    pub results: Arc<[MinerResult]>,
}

/// The best passing clip's miner. Scores at most `tie_band` below the best are a tie, which goes
/// to the earlier miner.
pub fn round_winner(contenders: &[Contender], tie_band: u16) -> Option<Contender> {
    let passing = || contenders.iter().filter(|contender| contender.passed);
    let best = passing().map(|contender| contender.overall).max()?;
    passing()
        .filter(|contender| best.get() - contender.overall.get() <= tie_band)
        .min_by_key(|contender| contender.precedence)
        .copied()
}

/// What the payout rule is given.
#[derive(Clone, Debug)]
pub struct PayoutInput<'a> {
    /// Closed rounds, void ones left out; order does not matter.
    pub settled: &'a [SettledRound],
    /// Block of the subnet's last epoch.
    pub last_epoch: BlockNumber,
    /// The newest decision on chain: who is paid, and the newest round that it rested on.
    pub last_paid: Option<(PayTarget, RoundId)>,
    /// Hotkeys in the metagraph: a winner that has left is not paid.
    pub registered: &'a BTreeSet<Hotkey>,
    /// Digest of the rules in force: seeds what is drawn by lot.
    pub rules_digest: Digest,
}

/// Who is paid, and how that came about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decision {
    /// The target of the next weights vector; `None` when nothing was ever settled.
    pub target: Option<PayTarget>,
    /// The challenges of `window_strict`, in order of precedence; empty under the other rules.
    pub duels: Vec<Duel>,
}

/// The target of the next weights vector; `None` when nothing was ever settled.
pub fn payout(rules: &PayoutRules, input: &PayoutInput<'_>) -> Option<PayTarget> {
    decide(rules, input).target
}

/// Decides by the rule in force. `window_strict` computes for half a second with a full subnet:
/// not for a thread that must answer.
pub fn decide(rules: &PayoutRules, input: &PayoutInput<'_>) -> Decision {
    match rules.rule {
        PayoutRule::Round => Decision { target: pay_most_rounds(input), duels: Vec::new() },
        PayoutRule::WindowStrict => {
            let window = usize::from(rules.strict.window);
            let history = History::of(input.settled, input.registered, 0, window);
            let chain = strict::chain(&history, &rules.strict, &input.rules_digest);
            let target = pay_elected(input, history.rounds.is_empty(), chain.champion);
            Decision { target, duels: chain.duels }
        }
        PayoutRule::WindowCompat => {
            let history = History::of(input.settled, input.registered, compat::SKIPPED, compat::WINDOW);
            let elected = compat::elect(&history).map(|candidate| candidate.hotkey);
            let target = pay_elected(input, history.rounds.is_empty(), elected);
            Decision { target, duels: Vec::new() }
        }
    }
}

/// A window rule's winner, the owner without one; before the window has a round, whoever was paid last.
fn pay_elected(input: &PayoutInput<'_>, window_is_empty: bool, elected: Option<Hotkey>) -> Option<PayTarget> {
    match elected {
        _ if window_is_empty => pay_again(input),
        Some(hotkey) => Some(PayTarget::Miner { hotkey }),
        None => Some(PayTarget::Owner),
    }
}

/// The last target, the owner where that has left the metagraph.
fn pay_again(input: &PayoutInput<'_>) -> Option<PayTarget> {
    match input.last_paid?.0 {
        PayTarget::Miner { hotkey } if !input.registered.contains(&hotkey) => Some(PayTarget::Owner),
        target => Some(target),
    }
}

/// The rounds that rule `round` counts: those settled since the last epoch, else those that no decision rested on.
pub fn counted_rounds<'a>(input: &PayoutInput<'a>) -> Vec<&'a SettledRound> {
    let since_epoch = |round: &&SettledRound| round.closed_at > input.last_epoch;
    let unpaid = |round: &&SettledRound| input.last_paid.is_none_or(|(_, paid)| round.round > paid);
    let counted: Vec<_> = input.settled.iter().filter(since_epoch).collect();
    if counted.is_empty() { input.settled.iter().filter(unpaid).collect() } else { counted }
}

/// Rule `round`: the miner that won most of the rounds settled since the last epoch; equal wins go
/// to the higher sum of winning scores, then to the earlier miner. Where no round settled since, those
/// count that no decision rested on: the rate limit or an outage held their payment up over the epoch.
fn pay_most_rounds(input: &PayoutInput<'_>) -> Option<PayTarget> {
    struct Tally {
        wins: u32,
        sum: u64,
        precedence: Precedence,
    }
    let counted = counted_rounds(input);
    if counted.is_empty() {
        return pay_again(input);
    }
    let mut tallies: BTreeMap<Hotkey, Tally> = BTreeMap::new();
    let winners = counted.iter().filter_map(|round| round.winner);
    for winner in winners.filter(|winner| input.registered.contains(&winner.hotkey)) {
        let tally =
            tallies.entry(winner.hotkey).or_insert(Tally { wins: 0, sum: 0, precedence: winner.precedence });
        tally.wins += 1;
        tally.sum += u64::from(winner.overall.get());
        tally.precedence = tally.precedence.min(winner.precedence);
    }
    let best = tallies
        .into_iter()
        .max_by_key(|(_, tally)| (tally.wins, tally.sum, std::cmp::Reverse(tally.precedence)));
    Some(best.map_or(PayTarget::Owner, |(hotkey, _)| PayTarget::Miner { hotkey }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{ids::Uid, rules::Rules};

    fn contender(key: u8, overall: i64, passed: bool) -> Contender {
        Contender {
            hotkey: Hotkey([key; 32]),
            precedence: Precedence {
                reveal_block: BlockNumber(u64::from(key)),
                index: 0,
                uid: Uid(u16::from(key)),
            },
            overall: Score::clamped(overall),
            passed,
        }
    }

    fn settled(round: u64, winner: Option<Contender>) -> SettledRound {
        let closed_at = BlockNumber(round * 100 + 50);
        SettledRound { round: RoundId(round), closed_at, winner, results: Arc::from([]) }
    }

    fn everybody() -> BTreeSet<Hotkey> {
        (0..=255).map(|key| Hotkey([key; 32])).collect()
    }

    fn pay(
        rounds: &[SettledRound],
        last_epoch: u64,
        last_paid: Option<(PayTarget, RoundId)>,
    ) -> Option<PayTarget> {
        let rules = rules();
        let registered = everybody();
        payout(
            &rules,
            &PayoutInput {
                settled: rounds,
                last_epoch: BlockNumber(last_epoch),
                last_paid,
                registered: &registered,
                rules_digest: Digest([0; 32]),
            },
        )
    }

    fn rules() -> PayoutRules {
        PayoutRules { rule: PayoutRule::Round, tie_band: 50, ..Rules::embedded().payout }
    }

    fn miner(key: u8) -> Option<PayTarget> {
        Some(PayTarget::Miner { hotkey: Hotkey([key; 32]) })
    }

    fn paid(key: u8, round: u64) -> Option<(PayTarget, RoundId)> {
        miner(key).map(|target| (target, RoundId(round)))
    }

    #[test]
    fn the_best_passing_clip_wins_and_a_failing_one_never() {
        let table = [contender(1, 8000, true), contender(2, 9000, true), contender(3, 9999, false)];
        assert_eq!(round_winner(&table, 0).map(|c| c.hotkey), Some(Hotkey([2; 32])));
        assert_eq!(round_winner(&[contender(3, 9999, false)], 0), None);
        assert_eq!(round_winner(&[], 50), None);
    }

    #[test]
    fn a_tie_goes_to_the_earlier_miner_and_the_band_is_inclusive() {
        let table = [contender(2, 9000, true), contender(1, 8950, true)];
        assert_eq!(round_winner(&table, 50).map(|c| c.hotkey), Some(Hotkey([1; 32])));
        assert_eq!(round_winner(&table, 49).map(|c| c.hotkey), Some(Hotkey([2; 32])));
    }

    #[test]
    fn most_rounds_win_then_sum_then_seniority() {
        let a = contender(5, 8000, true);
        let b = contender(6, 9000, true);
        assert_eq!(pay(&[settled(1, Some(a)), settled(2, Some(a)), settled(3, Some(b))], 0, None), miner(5));
        assert_eq!(pay(&[settled(1, Some(a)), settled(2, Some(b))], 0, None), miner(6));
        let equal = contender(4, 9000, true);
        assert_eq!(pay(&[settled(1, Some(equal)), settled(2, Some(b))], 0, None), miner(4));
    }

    #[test]
    fn only_rounds_after_the_last_epoch_count() {
        let rounds = [settled(1, Some(contender(1, 9000, true))), settled(2, Some(contender(2, 8000, true)))];
        assert_eq!(pay(&rounds, 200, None), miner(2));
    }

    #[test]
    fn a_round_whose_payment_was_held_up_over_the_epoch_is_paid_after_it() {
        let (a, b) = (contender(1, 9000, true), contender(2, 8000, true));
        let rounds = [settled(1, Some(a)), settled(2, Some(b))];
        assert_eq!(pay(&rounds, 300, paid(1, 1)), miner(2), "round 2 was not paid for");
        assert_eq!(pay(&rounds, 300, paid(2, 2)), miner(2), "nothing is left to pay");
        assert_eq!(pay(&rounds, 300, None), miner(1), "neither was: the better sum");
    }

    #[test]
    fn without_a_settled_round_the_last_target_stays_and_without_a_winner_the_owner_is_paid() {
        assert_eq!(pay(&[], 0, paid(3, 7)), miner(3));
        assert_eq!(pay(&[], 0, None), None);
        assert_eq!(pay(&[settled(1, None)], 0, paid(3, 0)), Some(PayTarget::Owner));
    }

    #[test]
    fn a_winner_that_left_the_metagraph_is_not_paid() {
        let rules = rules();
        let registered = BTreeSet::from([Hotkey([2; 32])]);
        let rounds = [settled(1, Some(contender(1, 9900, true))), settled(2, Some(contender(2, 8000, true)))];
        let input = PayoutInput {
            settled: &rounds,
            last_epoch: BlockNumber(0),
            last_paid: None,
            registered: &registered,
            rules_digest: Digest([0; 32]),
        };
        assert_eq!(payout(&rules, &input), miner(2));
        let gone = PayoutInput { settled: &[], last_paid: paid(1, 2), ..input };
        assert_eq!(payout(&rules, &gone), Some(PayTarget::Owner));
    }

    proptest! {
        #[test]
        fn order_of_rounds_and_contenders_never_matters(
            entries in prop::collection::vec((0u8..12, 0i64..10_000, any::<bool>()), 0..24), rotate in 0usize..24
        ) {
            let table: Vec<_> = entries.iter().map(|(k, s, p)| contender(*k, *s, *p)).collect();
            let mut turned = table.clone();
            if !turned.is_empty() { let by = rotate % turned.len(); turned.rotate_left(by); }
            let winner = round_winner(&table, 25).map(|c| (c.precedence, c.hotkey));
            prop_assert_eq!(winner, round_winner(&turned, 25).map(|c| (c.precedence, c.hotkey)));
            let rounds: Vec<_> = table.iter().enumerate().map(|(i, c)| settled(i as u64, c.passed.then_some(*c))).collect();
            let mut reversed = rounds.clone();
            reversed.reverse();
            prop_assert_eq!(pay(&rounds, 0, None), pay(&reversed, 0, None));
        }
    }
}
