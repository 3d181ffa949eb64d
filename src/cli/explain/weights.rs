//! `leoma explain weights`: why the newest decision pays whom it pays.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;

use super::StateArgs;
use crate::{
    cli::{
        bundle::{internal, print},
        exit::{Exit, Failure, after_help},
    },
    domain::{
        event::{PayTarget, WeightsIntent},
        ids::{BlockNumber, Hotkey, RoundId},
        payout::{PayoutInput, SettledRound, compat, counted_rounds, decide, history::History, strict::Duel},
        roster::Precedence,
        round::Tournament,
        rules::{ActiveRules, PayoutRule},
    },
    store::journal::JournalError,
};

/// Candidates that are told.
const NAMED: usize = 5;

/// Say why the newest weights pay whom they pay: the payout rule over the settled rounds, by what margin, and what would have changed it
///
/// The decision is made anew from the journal alone, with the epoch that it was made in. Who was registered then only the chain
/// knows: the newest roster stands for it.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma explain weights --state state",
    "leoma explain weights --config validator.toml --since-block 7123400 --json",
))]
pub(super) struct WeightsCommand {
    #[command(flatten)]
    state: StateArgs,
    /// Block of the subnet's epoch before the decision, in place of the recorded one
    #[arg(long, value_name = "BLOCK")]
    since_block: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl WeightsCommand {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let (journal, active) = self.state.open()?;
        let unreadable = |cause: JournalError| Failure::new(Exit::Unreadable, cause);
        let intents = journal.intents().map_err(unreadable)?;
        let state =
            journal.replay(Tournament::under(active.rules.payout, active.digest)).map_err(unreadable)?;
        let why = explain(&state, &intents, &active, self.since_block.map(BlockNumber));
        print(&match self.json {
            true => format!("{}\n", serde_json::to_string(&why).map_err(internal)?),
            false => why.text(),
        })
    }
}

/// Why weights are as they are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct WeightsWhy {
    rule: PayoutRule,
    /// The newest decision in the journal.
    decided: Option<PayTarget>,
    /// The newest round that it rests on.
    newest_round: Option<RoundId>,
    /// What the chain showed last.
    on_chain: Option<PayTarget>,
    /// What the rule gives now, from the journal alone.
    found: Option<PayTarget>,
    /// What decided.
    why: Vec<String>,
    /// What would have changed it.
    changes: Vec<String>,
}

impl WeightsWhy {
    fn text(&self) -> String {
        let told =
            |target: &Option<PayTarget>| target.map_or("nobody yet".to_owned(), |target| target.to_string());
        let mut lines = vec![
            format!("decided    {}", told(&self.decided)),
            format!("on chain   {}", told(&self.on_chain)),
            format!("found anew {}", told(&self.found)),
        ];
        lines.extend(self.why.iter().map(|line| format!("  {line}")));
        if !self.changes.is_empty() {
            lines.push("what would have changed it:".into());
            lines.extend(self.changes.iter().map(|line| format!("  {line}")));
        }
        lines.join("\n") + "\n"
    }
}

fn explain(
    state: &Tournament,
    intents: &[WeightsIntent],
    active: &ActiveRules,
    since: Option<BlockNumber>,
) -> WeightsWhy {
    let rules = &active.rules.payout;
    let newest = intents.last();
    let before = newest.and_then(|newest| intents.iter().rev().find(|earlier| earlier.round < newest.round));
    // Journals of before know no epoch: the decision before this one stands for it.
    let recorded = newest.and_then(|newest| newest.last_epoch);
    let earlier = || before.map(|before| before.decided_at.number);
    let last_epoch = since.or(recorded).or_else(earlier).unwrap_or_default();
    // Rounds that closed after the decision are not in it.
    let settled: Vec<SettledRound> = state
        .settled()
        .iter()
        .filter(|round| newest.is_none_or(|newest| round.round <= newest.round))
        .cloned()
        .collect();
    let plan = state.rounds().find_map(|(_, round)| round.plan.clone());
    let registered: BTreeSet<Hotkey> =
        plan.iter().flat_map(|plan| &plan.roster).map(|entry| entry.hotkey).collect();
    let input = PayoutInput {
        settled: &settled,
        last_epoch,
        last_paid: before.map(|before| (before.target, before.round)),
        registered: &registered,
        rules_digest: active.digest,
    };
    let decision = decide(rules, &input);
    let (mut why, changes) = match rules.rule {
        PayoutRule::Round => by_rounds(&input),
        PayoutRule::WindowStrict => by_duels(&decision.duels, &settled, rules.strict.margin),
        PayoutRule::WindowCompat => by_rates(&settled, &registered),
    };
    if let Some(newest) = newest.filter(|newest| Some(newest.target) != decision.target) {
        why.push(format!(
            "the decision of block {} pays {}: the chain's epoch or metagraph was another one, or the rules were",
            newest.decided_at.number, newest.target
        ));
    }
    WeightsWhy {
        rule: rules.rule,
        decided: newest.map(|newest| newest.target),
        newest_round: newest.map(|newest| newest.round),
        on_chain: state.payments().last().map(|paid| paid.target),
        found: decision.target,
        why,
        changes,
    }
}

/// Rule `round`: wins since the epoch, then their sum, then the earlier commitment.
fn by_rounds(input: &PayoutInput<'_>) -> (Vec<String>, Vec<String>) {
    let (counted, registered, epoch) = (counted_rounds(input), input.registered, input.last_epoch);
    if counted.is_empty() {
        let text = format!("no round settled since block {epoch}: whoever was paid before is paid again");
        return (vec![text], Vec::new());
    }
    let since_epoch = counted.iter().any(|round| round.closed_at > epoch);
    let mut tallies: BTreeMap<Hotkey, (u32, u64, std::cmp::Reverse<Precedence>)> = BTreeMap::new();
    for winner in counted.iter().filter_map(|round| round.winner) {
        let first = std::cmp::Reverse(winner.precedence);
        let (wins, sum, precedence) = tallies.entry(winner.hotkey).or_insert((0, 0, first));
        (*wins, *sum) = (*wins + 1, *sum + u64::from(winner.overall.get()));
        *precedence = (*precedence).max(first);
    }
    let (present, gone): (Vec<_>, Vec<_>) =
        tallies.into_iter().partition(|(hotkey, _)| registered.contains(hotkey));
    let mut order = present;
    order.sort_by_key(|(_, tally)| std::cmp::Reverse(*tally));
    let empty = counted.iter().filter(|round| round.winner.is_none()).count();
    let which = match since_epoch {
        true => format!("settled since block {epoch}"),
        false => format!("that no decision rested on count, as none settled since block {epoch}"),
    };
    let mut why = vec![format!("rounds {which}: {}, {empty} of them without a winner", counted.len())];
    let row = |(hotkey, (wins, sum, _)): &(Hotkey, (u32, u64, _))| {
        format!("{hotkey}: {wins} won, scores sum up to {sum}")
    };
    why.extend(order.iter().take(NAMED).map(row));
    why.extend(
        gone.iter().map(|(hotkey, (wins, ..))| format!("{hotkey} won {wins} and has left: it is not paid")),
    );
    let mut changes = Vec::new();
    match order.as_slice() {
        [] => why.push("nobody who is registered won a round: the subnet's owner is paid".into()),
        [_] => changes.push("another miner with as many wins and a higher sum of scores".into()),
        [(_, first), (next, second), ..] => {
            let more = first.0 - second.0;
            let needed = match first.0 == second.0 {
                true if first.1 > second.1 => {
                    format!("{} more in the sum of its scores", first.1 - second.1 + 1)
                }
                true => "an earlier commitment, or any higher score".into(),
                false => format!("{} more won rounds, or {more} and a higher sum of scores", more + 1),
            };
            changes.push(format!("{next} is paid with {needed}"));
        }
    }
    (why, changes)
}

/// Rule `window_strict`: the chain of challenges.
fn by_duels(duels: &[Duel], settled: &[SettledRound], margin: u16) -> (Vec<String>, Vec<String>) {
    let mut why = vec![format!(
        "{} settled rounds in memory; {} challenges, in order of precedence",
        settled.len(),
        duels.len()
    )];
    let lead = |duel: &Duel| duel.sum / i64::from(duel.pairs.max(1));
    let bound = |duel: &Duel| {
        let mean = |sum: i64| sum.div_euclid(i64::from(duel.pairs.max(1))).to_string();
        duel.lower_bound.map_or("too few rounds in common".to_owned(), |sum| {
            format!("at least {} beyond doubt", mean(sum))
        })
    };
    why.extend(duels.iter().map(|duel| {
        let verb = if duel.won { "takes the title from" } else { "does not take it from" };
        format!(
            "{} {verb} {}: mean lead {} over {} rounds, {}, {margin} is asked",
            duel.challenger,
            duel.champion,
            lead(duel),
            duel.pairs,
            bound(duel)
        )
    }));
    let lost = duels.iter().filter(|duel| !duel.won);
    let changes = lost.filter_map(|duel| {
        let least = duel.minimum_detectable?;
        Some(format!(
            "{} takes the title with a mean lead of {least}, it has {}",
            duel.challenger,
            lead(duel)
        ))
    });
    (why, changes.take(NAMED).collect())
}

/// Rule `window_compat`: pass rates in order of precedence.
fn by_rates(settled: &[SettledRound], registered: &BTreeSet<Hotkey>) -> (Vec<String>, Vec<String>) {
    let history = History::of(settled, registered, compat::SKIPPED, compat::WINDOW);
    let rounds = history.rounds.len();
    let mut why = vec![format!(
        "{rounds} rounds, the newest {} left out; {} % of them are needed, and a lead of five points over every earlier miner",
        compat::SKIPPED,
        compat::COVERAGE_PERCENT
    )];
    why.extend(history.candidates.iter().map(|candidate| {
        let evaluated: Vec<bool> =
            candidate.results.values().filter_map(|judgement| judgement.compat_pass()).collect();
        let passed = evaluated.iter().filter(|passed| **passed).count();
        format!("{}: {passed} of {} passed", candidate.hotkey, evaluated.len())
    }));
    (why, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::{Digest, Uid},
        payout::Contender,
        rules::{PayoutRules, Rules},
        score::Score,
        testing::hotkey,
    };

    fn won(round: u64, miner: u8, overall: i64) -> SettledRound {
        let precedence =
            Precedence { reveal_block: BlockNumber(miner.into()), index: 0, uid: Uid(miner.into()) };
        let winner =
            Contender { hotkey: hotkey(miner), precedence, overall: Score::clamped(overall), passed: true };
        let closed_at = BlockNumber(round * 100);
        SettledRound {
            round: RoundId(round),
            closed_at,
            winner: Some(winner),
            results: std::sync::Arc::from([]),
        }
    }

    /// What is told, once the rule itself was asked whether it pays the first of it.
    fn told(
        rounds: &[SettledRound],
        since: u64,
        present: &[u8],
        paid: Option<(u8, u64)>,
    ) -> (String, String) {
        let registered = present.iter().map(|miner| hotkey(*miner)).collect();
        let input = PayoutInput {
            settled: rounds,
            last_epoch: BlockNumber(since),
            last_paid: paid
                .map(|(miner, round)| (PayTarget::Miner { hotkey: hotkey(miner) }, RoundId(round))),
            registered: &registered,
            rules_digest: Digest([0; 32]),
        };
        let (why, changes) = by_rounds(&input);
        let rules = PayoutRules { rule: PayoutRule::Round, ..Rules::embedded().payout };
        match (decide(&rules, &input).target, why.get(1)) {
            (Some(PayTarget::Miner { hotkey }), Some(first)) => {
                assert!(first.contains(&hotkey.to_string()), "{why:?}")
            }
            (target, first) => {
                assert!(first.is_none() || target == Some(PayTarget::Owner), "{target:?} {why:?}")
            }
        }
        (why.join("\n"), changes.join("\n"))
    }

    #[test]
    fn the_margin_is_what_is_missing_to_the_next() {
        let rounds =
            [won(1, 1, 8_000), won(2, 2, 7_000), won(3, 1, 8_000), won(4, 2, 8_500), won(5, 1, 8_000)];
        let (why, changes) = told(&rounds, 0, &[1, 2], None);
        assert!(
            why.contains("since block 0: 5, 0 of") && why.contains("3 won, scores sum up to 24000"),
            "{why}"
        );
        assert!(changes.contains("2 more won rounds, or 1 and a higher sum"), "{changes}");
        let (_, changes) = told(&rounds[..4], 0, &[1, 2], None);
        assert!(changes.contains("501 more in the sum"), "{changes}");
        let (why, changes) = told(&rounds, 400, &[1, 2], None);
        assert!(
            why.contains("since block 400: 1, 0 of") && changes.contains("as many wins"),
            "{why} {changes}"
        );
        let (why, _) = told(&rounds, 0, &[2], None);
        assert!(why.contains("won 3 and has left"), "{why}");
        let (why, _) = told(&rounds, 500, &[1, 2], Some((1, 5)));
        assert!(why.contains("paid again"), "{why}");
        let (why, _) = told(&rounds, 500, &[1, 2], Some((1, 3)));
        assert!(
            why.contains("that no decision rested on count, as none settled since block 500: 2,"),
            "{why}"
        );
    }
}
