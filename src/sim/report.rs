//! The demo's report: what the validator decided, what the chain pays, and whether that was right.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::roster::{Expectation, OWNER, RosterLine};
use crate::domain::{
    ids::{Digest, Hotkey, RoundId, Uid},
    report::{MinerRow, RoundReport as ValidatorRound},
    score::Axes,
};

/// `report.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DemoReport {
    /// Ended rounds, oldest first.
    pub rounds: Vec<RoundReport>,
    /// The validator's weights as the chain stores them.
    pub weights_on_chain: Vec<WeightReport>,
    /// Digest of the rules, `null` when the validator did not say.
    pub rules_digest: Option<Digest>,
}

/// One round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoundReport {
    /// Its number.
    pub round: RoundId,
    /// Who won, `null` when nobody did.
    pub winner: Option<Hotkey>,
    /// A row for every miner of its roster.
    pub miners: Vec<MinerReport>,
}

/// One miner in one round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MinerReport {
    /// The miner.
    pub hotkey: Hotkey,
    /// Its name in the simulation, `null` for one that is not of it.
    pub label: Option<String>,
    /// `scored`, `rejected`, `forfeit` or `expired`.
    pub outcome: String,
    /// Why there is no score.
    pub reason: String,
    /// Scores by axis, 0..10000, `null` where the axis could not be judged.
    pub axes: Axes,
    /// The overall score, 0..10000, `null` without one.
    pub overall: Option<u16>,
}

/// One weight on chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WeightReport {
    /// The paid slot.
    pub uid: Uid,
    /// Who holds the slot, `null` when nobody does.
    pub hotkey: Option<Hotkey>,
    /// The weight, 0..65535.
    pub weight: u16,
}

/// A page of the validator that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the validator's rounds: {0}; the validator and `leoma sim report` must be of one version")]
pub struct ServedRoundsError(#[from] serde_json::Error);

/// Reads rounds as the validator serves or exports them: one, a list, or `{"rounds": [...]}`.
///
/// # Errors
/// When the text is no JSON, or a round lacks a field or has one of another type.
pub fn read_rounds(text: &[u8]) -> Result<Vec<ValidatorRound>, ServedRoundsError> {
    let value: Value = serde_json::from_slice(text)?;
    let list = match value {
        Value::Object(mut fields) if fields.contains_key("rounds") => {
            fields.remove("rounds").unwrap_or_default()
        }
        one @ Value::Object(_) => Value::Array(vec![one]),
        list => list,
    };
    Ok(serde_json::from_value(list)?)
}

impl RoundReport {
    fn of(round: &ValidatorRound, labels: &BTreeMap<Hotkey, &str>) -> Self {
        let row = |miner: &MinerRow| MinerReport {
            hotkey: miner.hotkey,
            label: labels.get(&miner.hotkey).map(|label| (*label).to_owned()),
            outcome: miner.outcome.clone(),
            reason: miner.reason.clone(),
            axes: miner.axes.clone(),
            overall: miner.overall,
        };
        Self { round: round.round, winner: round.winner, miners: round.miners.iter().map(row).collect() }
    }
}

impl DemoReport {
    /// Builds the report from what the validator serves and the chain stores. Rounds that still run
    /// are left out.
    pub fn build(
        served: &[ValidatorRound],
        weights_on_chain: Vec<WeightReport>,
        roster: &[RosterLine],
    ) -> Self {
        let labels = roster.iter().map(|line| (line.hotkey, line.label.as_str())).collect();
        let mut closed: Vec<&ValidatorRound> = served.iter().filter(|round| round.phase != "open").collect();
        closed.sort_by_key(|round| round.round);
        Self {
            rules_digest: closed.last().and_then(|round| round.rules_digest),
            rounds: closed.into_iter().map(|round| RoundReport::of(round, &labels)).collect(),
            weights_on_chain,
        }
    }
}

/// Something that a right validator would not have done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// No round ended.
    #[error("no round ended")]
    NoRound,
    /// A round went to a miner that must never win.
    #[error("round {round} went to {who}, {} that must never win", describe(*expect))]
    WrongWinner {
        /// The round.
        round: RoundId,
        /// The miner's label or hotkey.
        who: String,
        /// What was expected of it, `None` for a stranger.
        expect: Option<Expectation>,
    },
    /// The chain pays a miner that must never be paid.
    #[error("the chain pays {who} (weight {weight}), {} that must never be paid", describe(*expect))]
    WrongPaid {
        /// The miner's label, hotkey or slot.
        who: String,
        /// Its weight.
        weight: u16,
        /// What was expected of it, `None` for a stranger.
        expect: Option<Expectation>,
    },
    /// No honest miner won a round.
    #[error("no honest stand-in won a round")]
    NoHonestWinner,
    /// No honest miner has a weight.
    #[error("the chain pays no honest stand-in")]
    NoHonestPaid,
}

fn describe(expect: Option<Expectation>) -> &'static str {
    match expect {
        Some(Expectation::Honest) => "an honest stand-in",
        Some(Expectation::Cheat) => "a cheat",
        Some(Expectation::Failure) => "a failure",
        None => "a stranger",
    }
}

/// Everything that is wrong with a report; empty when all is as it should be. The owner's slot may
/// be paid: that is where the weight of a round without a winner goes.
pub fn judge(report: &DemoReport, roster: &[RosterLine]) -> Vec<Problem> {
    let known = |hotkey: &Hotkey| roster.iter().find(|line| line.hotkey == *hotkey);
    let mut problems = Vec::new();
    if report.rounds.is_empty() {
        problems.push(Problem::NoRound);
    }
    let mut honest_winner = false;
    for round in &report.rounds {
        let Some(winner) = round.winner else { continue };
        match known(&winner) {
            Some(line) if line.expect == Expectation::Honest => honest_winner = true,
            line => problems.push(Problem::WrongWinner {
                round: round.round,
                who: line.map_or_else(|| winner.to_string(), |line| line.label.clone()),
                expect: line.map(|line| line.expect),
            }),
        }
    }
    let mut honest_paid = false;
    for paid in report.weights_on_chain.iter().filter(|paid| paid.weight > 0) {
        match paid.hotkey.as_ref().and_then(known) {
            Some(line) if line.expect == Expectation::Honest => honest_paid = true,
            None if paid.uid == OWNER => {}
            line => problems.push(Problem::WrongPaid {
                who: match (line, paid.hotkey) {
                    (Some(line), _) => line.label.clone(),
                    (None, Some(hotkey)) => hotkey.to_string(),
                    (None, None) => format!("uid {}", paid.uid),
                },
                weight: paid.weight,
                expect: line.map(|line| line.expect),
            }),
        }
    }
    if !honest_winner {
        problems.push(Problem::NoHonestWinner);
    }
    if !honest_paid {
        problems.push(Problem::NoHonestPaid);
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> Hotkey {
        Hotkey([seed; 32])
    }

    fn roster() -> Vec<RosterLine> {
        let line = |seed: u8, label: &str, expect| RosterLine {
            hotkey: key(seed),
            uid: Uid(seed.into()),
            label: label.to_owned(),
            expect,
        };
        vec![
            line(2, "good", Expectation::Honest),
            line(3, "sly", Expectation::Cheat),
            line(4, "dead", Expectation::Failure),
        ]
    }

    fn report(winners: &[Option<u8>], weights: &[(u16, Option<u8>, u16)]) -> DemoReport {
        let round = |(n, winner): (usize, &Option<u8>)| RoundReport {
            round: RoundId(n as u64),
            winner: winner.map(key),
            miners: Vec::new(),
        };
        let weight = |(uid, seed, weight): &(u16, Option<u8>, u16)| WeightReport {
            uid: Uid(*uid),
            hotkey: seed.map(key),
            weight: *weight,
        };
        DemoReport {
            rounds: winners.iter().enumerate().map(round).collect(),
            weights_on_chain: weights.iter().map(weight).collect(),
            rules_digest: None,
        }
    }

    #[test]
    fn an_honest_winner_that_is_paid_is_right_even_beside_a_round_without_winner() {
        let paid = [(2, Some(2), 65535), (3, Some(3), 0)];
        assert_eq!(judge(&report(&[Some(2)], &paid), &roster()), []);
        assert_eq!(judge(&report(&[None, Some(2)], &paid), &roster()), []);
        let with_owner = [(0, Some(200), 100), (2, Some(2), 65535)];
        assert_eq!(judge(&report(&[Some(2)], &with_owner), &roster()), []);
    }

    #[test]
    fn every_wrong_winner_is_named() {
        let paid = [(2, Some(2), 65535)];
        for (winner, who, expect) in [
            (3, "sly".to_owned(), Some(Expectation::Cheat)),
            (4, "dead".to_owned(), Some(Expectation::Failure)),
            (9, key(9).to_string(), None),
        ] {
            let problems = judge(&report(&[Some(2), Some(winner)], &paid), &roster());
            assert_eq!(problems, [Problem::WrongWinner { round: RoundId(1), who, expect }]);
        }
    }

    #[test]
    fn every_wrong_payment_is_named() {
        for (paid, who, expect) in [
            ((3, Some(3), 1), "sly".to_owned(), Some(Expectation::Cheat)),
            ((4, Some(4), 5), "dead".to_owned(), Some(Expectation::Failure)),
            ((7, Some(9), 6), key(9).to_string(), None),
            ((8, None, 7), "uid 8".to_owned(), None),
            // A cheat in the owner's slot is still a cheat.
            ((0, Some(3), 2), "sly".to_owned(), Some(Expectation::Cheat)),
        ] {
            let problems = judge(&report(&[Some(2)], &[(2, Some(2), 65535), paid]), &roster());
            assert_eq!(problems, [Problem::WrongPaid { who, weight: paid.2, expect }]);
        }
    }

    #[test]
    fn nobody_honest_is_a_problem() {
        let owner = [(0, Some(200), 65535)];
        assert_eq!(
            judge(&report(&[None], &owner), &roster()),
            [Problem::NoHonestWinner, Problem::NoHonestPaid]
        );
        assert_eq!(
            judge(&report(&[], &[]), &roster()),
            [Problem::NoRound, Problem::NoHonestWinner, Problem::NoHonestPaid]
        );
        assert_eq!(judge(&report(&[Some(2)], &[]), &roster()), [Problem::NoHonestPaid]);
    }

    fn served(round: u64, phase: &str, rows: Value) -> Value {
        serde_json::json!({
            "round": round, "phase": phase, "anchor": null, "ended_at": null, "winner": key(2), "void": null,
            "clip": "a.mp4", "prompt": "waves", "rules_digest": Digest([7; 32]), "corpus_digest": null,
            "miners": rows,
        })
    }

    #[test]
    fn served_rounds_become_reports_in_order_without_the_open_ones() {
        let row = |seed: u8, outcome: &str, reason: &str, overall: Option<u16>| {
            let temporal = overall.map(|score| score - 100);
            serde_json::json!({
                "uid": seed, "hotkey": key(seed), "outcome": outcome, "fault": null, "reason": reason,
                "axes": {"first_frame": null, "prompt": null, "temporal": temporal, "artifacts": null},
                "overall": overall, "passed": null, "score_digest": null, "file": null,
                "timings": crate::domain::event::Timings::default(),
            })
        };
        let rows =
            serde_json::json!([row(2, "scored", "", Some(8123)), row(4, "forfeit", "answer_timeout", None)]);
        let page = serde_json::json!({"rounds": [
            served(12, "open", serde_json::json!([row(2, "open", "", None)])),
            served(11, "closed", rows),
            served(10, "void", serde_json::json!([])),
        ]});
        let rounds = read_rounds(page.to_string().as_bytes()).expect("rounds");
        let report = DemoReport::build(&rounds, Vec::new(), &roster());
        assert_eq!(report.rounds.iter().map(|r| r.round.0).collect::<Vec<_>>(), [10, 11]);
        assert_eq!(report.rules_digest, Some(Digest([7; 32])));
        let [good, dead] = &report.rounds[1].miners[..] else { panic!("two rows") };
        assert_eq!((good.label.as_deref(), good.outcome.as_str()), (Some("good"), "scored"));
        assert_eq!((good.overall, good.axes.prompt), (Some(8123), None));
        assert_eq!((dead.outcome.as_str(), dead.reason.as_str()), ("forfeit", "answer_timeout"));
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["rounds"][1]["miners"][0]["axes"]["temporal"], 8023);
        assert_eq!(serde_json::from_value::<DemoReport>(json).expect("reads back"), report);
        let one = served(3, "closed", serde_json::json!([])).to_string();
        assert_eq!(read_rounds(one.as_bytes()).expect("one round").len(), 1);
    }

    #[test]
    fn a_page_of_another_shape_is_refused_with_its_field() {
        let error = read_rounds(br#"{"winner": null}"#).expect_err("no round");
        assert!(error.to_string().contains("round"), "{error}");
        assert!(read_rounds(b"<html>").is_err());
    }
}
