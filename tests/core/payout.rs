//! The window rules: golden numbers from an independent implementation, and what must always hold.

use std::{collections::BTreeSet, sync::Arc};

use leoma_core::domain::{
    event::PayTarget,
    ids::{BlockNumber, Digest, Hotkey, RoundId, Uid},
    payout::{
        PayoutInput, SettledRound, compat, decide,
        history::{Judgement, MinerResult},
        payout,
        strict::{bound_rank, lower_bound},
    },
    roster::Precedence,
    rules::{PayoutRule, PayoutRules, Rules, StrictRules},
    score::Score,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    exact_leads_of_five_points: Vec<(u32, bool)>,
    compat: Vec<CompatCase>,
    strict: Vec<StrictCase>,
}

#[derive(Deserialize)]
struct CompatCase {
    records: Vec<String>,
    winner: Option<u8>,
}

#[derive(Deserialize)]
struct StrictCase {
    rules: String,
    champion: String,
    challenger: String,
    seed: String,
    differences: Vec<i64>,
    resamples: u32,
    level_ppm: u32,
    challengers: u16,
    bound: i64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/payout/golden.json")).expect("golden file")
}

fn hotkey(miner: u8) -> Hotkey {
    Hotkey([miner; 32])
}

fn target(miner: u8) -> Option<PayTarget> {
    Some(PayTarget::Miner { hotkey: hotkey(miner) })
}

fn rules(rule: PayoutRule) -> PayoutRules {
    PayoutRules { rule, ..Rules::embedded().payout }
}

/// Miner `m` is the `m`-th in precedence and runs one model all the time.
fn row(miner: u8, judgement: Judgement) -> MinerResult {
    let place = u64::from(miner);
    MinerResult {
        hotkey: hotkey(miner),
        model: Digest([miner; 32]),
        precedence: Precedence { reveal_block: BlockNumber(place), index: 0, uid: Uid(place as u16) },
        judgement,
    }
}

fn settled(round: u64, results: Vec<MinerResult>) -> SettledRound {
    let results = Arc::from(results);
    SettledRound { round: RoundId(round), closed_at: BlockNumber(round * 100 + 50), winner: None, results }
}

fn passed(pass: bool) -> Judgement {
    Judgement::Scored { overall: Score::clamped(if pass { 9_000 } else { 3_000 }), passed: pass }
}

fn scored(overall: i64) -> Judgement {
    Judgement::Scored { overall: Score::clamped(overall), passed: true }
}

fn pay(rules: &PayoutRules, settled: &[SettledRound], registered: &BTreeSet<Hotkey>) -> Option<PayTarget> {
    payout(
        rules,
        &PayoutInput {
            settled,
            last_epoch: BlockNumber(u64::MAX),
            last_paid: None,
            registered,
            rules_digest: Digest([7; 32]),
        },
    )
}

fn everybody() -> BTreeSet<Hotkey> {
    (0..=255).map(hotkey).collect()
}

/// Rounds from one record a miner: `1` passed, `0` failed, `-` no record.
fn rounds_of(records: &[String]) -> Vec<SettledRound> {
    let judged = |text: &str, round: usize| match text.as_bytes()[round] {
        b'1' => passed(true),
        b'0' => passed(false),
        _ => Judgement::Forfeited,
    };
    let length = records.first().map_or(0, String::len);
    let table = |round: usize| {
        let rows = (0u8..).zip(records).map(|(miner, record)| row(miner, judged(record, round)));
        settled(round as u64, rows.collect())
    };
    // The newest two are left out by the rule.
    let newest = (0..compat::SKIPPED).map(|k| settled((length + k) as u64, vec![]));
    (0..length).map(table).chain(newest).collect()
}

/// A record with `passes` of `rounds`.
fn record(passes: usize, rounds: usize) -> String {
    (0..rounds).map(|round| if round < passes { '1' } else { '0' }).collect()
}

fn compat_winner(records: &[String]) -> Option<PayTarget> {
    pay(&rules(PayoutRule::WindowCompat), &rounds_of(records), &everybody())
}

#[test]
fn compat_elects_whom_the_deployed_ranking_elects() {
    let cases = golden().compat;
    assert!(cases.iter().any(|case| case.winner.is_none()) && cases.iter().any(|case| case.winner > Some(0)));
    for case in cases {
        let wanted = case.winner.map_or(Some(PayTarget::Owner), target);
        assert_eq!(compat_winner(&case.records), wanted, "{:?}", case.records);
    }
}

#[test]
fn compat_has_the_blocking_slot() {
    let records = [50, 54, 56].map(|passes| record(passes, 100));
    assert_eq!(compat_winner(&records), target(0), "the second keeps the third out");
    let mut without = rounds_of(&records);
    without.iter_mut().for_each(|round| {
        round.results = round.results.iter().filter(|row| row.hotkey != hotkey(1)).copied().collect();
    });
    assert_eq!(pay(&rules(PayoutRule::WindowCompat), &without, &everybody()), target(2));
}

#[test]
fn compat_denies_an_exact_lead_of_five_points_in_a_quarter_of_cases() {
    let cases = golden().exact_leads_of_five_points;
    assert_eq!(cases.iter().filter(|(_, granted)| !granted).count(), 25);
    assert!(cases.contains(&(80, false)), ".85 against .80");
    for (passes, granted) in cases {
        let records = [passes as usize, passes as usize + 5].map(|passes| record(passes, 100));
        assert_eq!(compat_winner(&records), target(u8::from(granted)), "{passes} of 100");
    }
}

#[test]
fn compat_leaves_the_newest_two_out_and_looks_back_a_hundred() {
    let rules = rules(PayoutRule::WindowCompat);
    // Miner 1 passes in the rounds from `from` to `to`, miner 0 never.
    let table = |from: u64, to: u64| -> Vec<_> {
        let rows = |round| vec![row(0, passed(false)), row(1, passed((from..to).contains(&round)))];
        (0..110).map(|round| settled(round, rows(round))).collect()
    };
    assert_eq!(pay(&rules, &table(0, 8), &everybody()), target(0), "before the window");
    assert_eq!(pay(&rules, &table(108, 110), &everybody()), target(0), "the newest two");
    assert_eq!(pay(&rules, &table(103, 108), &everybody()), target(1), "five of a hundred");
    assert_eq!(pay(&rules, &table(0, 0)[..2], &everybody()), None, "nothing has settled for everybody yet");
}

#[test]
fn strict_bounds_are_those_of_an_independent_bootstrap() {
    let bytes = |text: &str| -> [u8; 32] { hex::decode(text).expect("hex").try_into().expect("32 bytes") };
    for case in golden().strict {
        let parts = [&case.rules, &case.champion, &case.challenger].map(|text| bytes(text));
        let seed = Digest::of_parts(&[b"leoma/window-strict", &parts[0], &parts[1], &parts[2]]).seed();
        assert_eq!(seed.to_string(), case.seed);
        let rules = StrictRules {
            resamples: case.resamples,
            level_ppm: case.level_ppm,
            challengers: case.challengers,
            ..Rules::embedded().payout.strict
        };
        assert!(bound_rank(&rules) >= 1);
        assert_eq!(lower_bound(&case.differences, seed, &rules), case.bound);
    }
}

/// The rules of `window_strict` with fewer resamples, for tests that run many chains.
fn quick() -> PayoutRules {
    let mut rules = rules(PayoutRule::WindowStrict);
    (rules.strict.resamples, rules.strict.challengers) = (400, 16);
    rules
}

/// Rounds from a table `[round][miner]`.
fn rounds_from(table: &[Vec<Judgement>]) -> Vec<SettledRound> {
    let rows = |judgements: &Vec<Judgement>| (0u8..).zip(judgements).map(|(m, j)| row(m, *j)).collect();
    (0u64..).zip(table).map(|(round, judgements)| settled(round, rows(judgements))).collect()
}

/// A spread that sums to nothing over ten rounds.
fn wobble(round: i64) -> i64 {
    [-400, 300, 100, -200, 250, -50, 400, -300, -150, 50][round as usize % 10]
}

#[test]
fn strict_pays_a_clear_lead_and_keeps_the_champion_on_an_unclear_one() {
    let with_lead = |lead: i64| {
        let rounds: Vec<_> = (0..80).map(|r| vec![scored(7_000), scored(7_000 + lead + wobble(r))]).collect();
        rounds_from(&rounds)
    };
    let rules = rules(PayoutRule::WindowStrict);
    assert_eq!(pay(&rules, &with_lead(0), &everybody()), target(0));
    assert_eq!(pay(&rules, &with_lead(120), &everybody()), target(0), "above the margin, inside the noise");
    assert_eq!(pay(&rules, &with_lead(400), &everybody()), target(1));
    let registered = everybody();
    let input = |settled| PayoutInput {
        settled,
        last_epoch: BlockNumber(0),
        last_paid: None,
        registered: &registered,
        rules_digest: Digest([7; 32]),
    };
    let lost = with_lead(120);
    let duel = decide(&rules, &input(&lost)).duels[0];
    assert_eq!((duel.pairs, duel.sum, duel.won), (80, 80 * 120, false));
    // What is shown as the least lead that would have been seen is just that.
    let least = duel.minimum_detectable.expect("enough pairs");
    assert_eq!(pay(&rules, &with_lead(least), &everybody()), target(1), "{least}");
    assert_eq!(pay(&rules, &with_lead(least - 1), &everybody()), target(0), "{least}");
}

#[test]
fn strict_has_no_blocking_slot() {
    let rounds: Vec<_> =
        (0..80).map(|r| vec![scored(6_000), scored(6_090 + wobble(r)), scored(6_700)]).collect();
    let rules = rules(PayoutRule::WindowStrict);
    assert_eq!(pay(&rules, &rounds_from(&rounds), &everybody()), target(2));
    let without: Vec<_> = rounds.iter().map(|row| vec![row[0], Judgement::Unjudged, row[2]]).collect();
    assert_eq!(pay(&rules, &rounds_from(&without), &everybody()), target(2));
}

#[test]
fn strict_counts_forfeits_and_gates_as_nothing_and_leaves_unjudged_rounds_out() {
    let rules = rules(PayoutRule::WindowStrict);
    let champion_when = |spoiled: Judgement, in_rounds: i64, of: i64| {
        let rounds: Vec<_> = (0..of)
            .map(|r| vec![if r < in_rounds { spoiled } else { scored(8_000) }, scored(7_800)])
            .collect();
        pay(&rules, &rounds_from(&rounds), &everybody())
    };
    assert_eq!(champion_when(scored(8_000), 0, 100), target(0));
    for nothing in [Judgement::Forfeited, Judgement::Gated] {
        assert_eq!(champion_when(nothing, 30, 100), target(1), "{nothing:?}: zeros cost the title");
    }
    assert_eq!(champion_when(Judgement::Unjudged, 20, 100), target(0), "no fault of the miner");
    assert_eq!(champion_when(Judgement::Unjudged, 21, 100), target(1), "below 80 % it is not eligible");
    // Fewer than 60 rounds in common: no challenge, whatever the lead.
    let short: Vec<_> = (0..59).map(|_| vec![scored(6_000), scored(9_900)]).collect();
    assert_eq!(pay(&rules, &rounds_from(&short), &everybody()), target(0));
    let enough: Vec<_> = (0..60).map(|_| vec![scored(6_000), scored(9_900)]).collect();
    assert_eq!(pay(&rules, &rounds_from(&enough), &everybody()), target(1));
}

#[test]
fn a_swapped_model_starts_anew_and_a_miner_that_left_is_not_paid() {
    for rule in [PayoutRule::WindowStrict, PayoutRule::WindowCompat] {
        let rules = rules(rule);
        let rounds: Vec<_> = (0..80).map(|_| vec![passed(true), passed(true)]).collect();
        let mut settled = rounds_from(&rounds);
        assert_eq!(pay(&rules, &settled, &everybody()), target(0), "{rule:?}");
        let without_first = everybody().into_iter().filter(|key| *key != hotkey(0)).collect();
        assert_eq!(pay(&rules, &settled, &without_first), target(1), "{rule:?}");
        assert_eq!(pay(&rules, &settled, &BTreeSet::new()), Some(PayTarget::Owner), "{rule:?}");
        // The first swaps its model in the newest round: nearly no results, so it is not eligible.
        let newest = settled.last_mut().expect("rounds");
        let mut rows = newest.results.to_vec();
        rows[0].model = Digest([200; 32]);
        newest.results = rows.into();
        assert_eq!(pay(&rules, &settled, &everybody()), target(1), "{rule:?}");
    }
}

#[test]
fn nobody_that_never_passed_is_champion() {
    let rounds: Vec<_> = (0..80).map(|_| vec![passed(false), Judgement::Gated]).collect();
    let rules = rules(PayoutRule::WindowStrict);
    assert_eq!(pay(&rules, &rounds_from(&rounds), &everybody()), Some(PayTarget::Owner));
}

fn any_judgement(level: i64) -> impl Strategy<Value = Judgement> {
    prop_oneof![
        12 => (level - 600..level + 600).prop_map(scored),
        1 => Just(Judgement::Gated),
        1 => Just(Judgement::Forfeited),
        1 => Just(Judgement::Unjudged),
    ]
}

/// Tables `[round][miner]` of miners of different strength.
fn any_table() -> impl Strategy<Value = Vec<Vec<Judgement>>> {
    (prop::collection::vec(6_000i64..9_000, 2..6), 55usize..90).prop_flat_map(|(levels, rounds)| {
        let row: Vec<_> = levels.into_iter().map(any_judgement).collect();
        prop::collection::vec(row, rounds)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whoever is not champion when its successor is tested takes no part: without it the result is the same.
    #[test]
    fn without_a_miner_that_never_was_champion_strict_pays_the_same(table in any_table()) {
        let (rules, registered) = (quick(), everybody());
        let settled = rounds_from(&table);
        let input = PayoutInput {
            settled: &settled,
            last_epoch: BlockNumber(0),
            last_paid: None,
            registered: &registered,
            rules_digest: Digest([7; 32]),
        };
        let decision = decide(&rules, &input);
        let Some(PayTarget::Miner { hotkey: paid }) = decision.target else { return Ok(()) };
        let mut held: BTreeSet<Hotkey> = decision.duels.iter().map(|duel| duel.champion).collect();
        held.insert(paid);
        for absent in (0..table[0].len() as u8).map(hotkey).filter(|key| !held.contains(key)) {
            let without = registered.iter().copied().filter(|key| *key != absent).collect();
            let again = decide(&rules, &PayoutInput { registered: &without, ..input.clone() });
            prop_assert_eq!(again.target, decision.target, "without {}", absent);
        }
    }

    #[test]
    fn order_of_rounds_and_rows_never_matters(table in any_table(), rule in prop_oneof![Just(PayoutRule::WindowStrict), Just(PayoutRule::WindowCompat)]) {
        let rules = PayoutRules { rule, ..quick() };
        let settled = rounds_from(&table);
        let mut turned: Vec<_> = settled.iter().rev().cloned().collect();
        turned.iter_mut().for_each(|round| round.results = round.results.iter().rev().copied().collect());
        prop_assert_eq!(pay(&rules, &settled, &everybody()), pay(&rules, &turned, &everybody()));
    }

    /// Doing better never costs the title.
    #[test]
    fn a_better_round_of_the_champion_keeps_it_champion(table in any_table(), round in any::<prop::sample::Index>(), more in 1i64..2_000) {
        let rules = quick();
        let Some(PayTarget::Miner { hotkey: champion }) = pay(&rules, &rounds_from(&table), &everybody()) else {
            return Ok(());
        };
        let mut better = table.clone();
        let place = round.index(table.len());
        let judgement = &mut better[place][usize::from(champion.0[0])];
        *judgement = match *judgement {
            Judgement::Scored { overall, .. } => scored(i64::from(overall.get()) + more),
            Judgement::Gated | Judgement::Forfeited => scored(more),
            Judgement::Unjudged => Judgement::Unjudged,
        };
        prop_assert_eq!(pay(&rules, &rounds_from(&better), &everybody()), Some(PayTarget::Miner { hotkey: champion }));
    }

    /// A lead in every single round beyond the margin is always paid: no rounding denies it.
    #[test]
    fn a_lead_in_every_round_is_paid(base in prop::collection::vec(0i64..9_000, 60..100), lead in 101i64..900) {
        let rounds: Vec<_> = base.iter().map(|score| vec![scored(*score), scored(score + lead)]).collect();
        prop_assert_eq!(pay(&quick(), &rounds_from(&rounds), &everybody()), target(1));
        let at_margin: Vec<_> = base.iter().map(|score| vec![scored(*score), scored(score + 100)]).collect();
        prop_assert_eq!(pay(&quick(), &rounds_from(&at_margin), &everybody()), target(0));
    }
}
