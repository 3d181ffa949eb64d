//! The report as text for a terminal.

use std::fmt::Write as _;

use super::{
    report::{DemoReport, MinerReport, Problem},
    roster::{Expectation, RosterLine},
};
use crate::domain::score::Score;

/// Characters of a reason that are shown.
const REASON: usize = 58;

/// Whether the text may hold terminal colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// Escape sequences are written.
    On,
    /// Plain text.
    Off,
}

impl Colour {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }
}

/// Renders a report with the problems that were found in it.
pub fn render(report: &DemoReport, roster: &[RosterLine], problems: &[Problem], colour: Colour) -> String {
    let mut text = String::new();
    for round in &report.rounds {
        let winner = round.winner.map_or("nobody".to_owned(), |winner| {
            let label = roster.iter().find(|line| line.hotkey == winner).map(|line| line.label.as_str());
            label.unwrap_or(&winner.short()).to_owned()
        });
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", colour.paint("1", &format!("round {}: winner {winner}", round.round)));
        let _ = writeln!(
            text,
            "  {:<15} {:<8} {:>7} {:>7} {:>7} {:>7} {:>7}  reason",
            "miner", "outcome", "overall", "first", "prompt", "motion", "clean"
        );
        for miner in &round.miners {
            text.push_str(&row(miner, round.winner == Some(miner.hotkey), colour));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", colour.paint("1", "weights on chain"));
    if report.weights_on_chain.is_empty() {
        text.push_str("  none\n");
    }
    for weight in &report.weights_on_chain {
        let line = roster.iter().find(|line| Some(line.hotkey) == weight.hotkey);
        let who = match (line, weight.hotkey) {
            (Some(line), _) => line.label.clone(),
            (None, Some(hotkey)) => hotkey.to_string(),
            (None, None) => "nobody".to_owned(),
        };
        let who = match line.map(|line| line.expect) {
            Some(Expectation::Honest) => colour.good(&who),
            Some(_) if weight.weight > 0 => colour.bad(&who),
            _ => who,
        };
        let _ = writeln!(text, "  uid {:>3}  {:>5}  {who}", weight.uid.0, weight.weight);
    }
    if let Some(digest) = report.rules_digest {
        let _ = writeln!(text, "\nrules {digest}");
    }
    text.push('\n');
    match problems {
        [] => {
            let verdict = "as it should be: an honest stand-in won and is paid, no cheat is";
            let _ = writeln!(text, "{}", colour.good(verdict));
        }
        problems => {
            for problem in problems {
                let _ = writeln!(text, "{}", colour.bad(&format!("wrong: {problem}")));
            }
        }
    }
    text.push_str("Nothing here is evidence about real models: the stand-ins know the real clip.\n");
    text
}

fn row(miner: &MinerReport, won: bool, colour: Colour) -> String {
    let score = |score: Option<Score>| score.map_or("-".to_owned(), |score| score.to_string());
    let name = miner.label.clone().unwrap_or_else(|| miner.hotkey.short());
    let axes = &miner.axes;
    let line = format!(
        "{} {:<15} {:<8} {:>7} {:>7} {:>7} {:>7} {:>7}  {}",
        if won { "*" } else { " " },
        name,
        miner.outcome,
        miner.overall.map_or("-".to_owned(), |overall| overall.to_string()),
        score(axes.first_frame),
        score(axes.prompt),
        score(axes.temporal),
        score(axes.artifacts),
        printable(&miner.reason),
    );
    let line = line.trim_end();
    format!("{}\n", if won { colour.good(line) } else { line.to_owned() })
}

/// The start of a text without control characters: a reason may repeat what a miner sent.
fn printable(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON).collect();
    if text.chars().count() > REASON {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            ids::{Hotkey, RoundId, Uid},
            score::Axes,
        },
        sim::report::{RoundReport, WeightReport, judge},
    };

    fn sample() -> (DemoReport, Vec<RosterLine>) {
        let key = |seed| Hotkey([seed; 32]);
        let roster = vec![
            RosterLine { hotkey: key(2), uid: Uid(2), label: "good".into(), expect: Expectation::Honest },
            RosterLine { hotkey: key(3), uid: Uid(3), label: "sly".into(), expect: Expectation::Cheat },
        ];
        let scored = MinerReport {
            hotkey: key(2),
            label: Some("good".into()),
            outcome: "scored".into(),
            reason: String::new(),
            axes: Axes { first_frame: Some(Score::clamped(9801)), ..Axes::default() },
            overall: Some(8123),
        };
        let rejected = MinerReport {
            hotkey: key(3),
            label: Some("sly".into()),
            outcome: "rejected".into(),
            reason: format!("G2 \x1b[31mfreeze{}", "!".repeat(90)),
            axes: Axes::default(),
            overall: None,
        };
        let report = DemoReport {
            rounds: vec![RoundReport {
                round: RoundId(41),
                winner: Some(key(2)),
                miners: vec![scored, rejected],
            }],
            weights_on_chain: vec![WeightReport { uid: Uid(2), hotkey: Some(key(2)), weight: 65535 }],
            rules_digest: None,
        };
        (report, roster)
    }

    #[test]
    fn the_table_names_winner_scores_reasons_and_weights() {
        let (report, roster) = sample();
        let text = render(&report, &roster, &judge(&report, &roster), Colour::Off);
        assert!(text.contains("round 41: winner good"), "{text}");
        assert!(
            text.contains("* good            scored      8123    9801       -       -       -"),
            "{text}"
        );
        assert!(text.contains("uid   2  65535  good") && text.contains("as it should be"), "{text}");
        assert!(!text.contains('\x1b'), "plain text holds no escape, not even a miner's");
        assert!(text.lines().all(|line| line.len() < 140));
    }

    #[test]
    fn problems_are_said_and_painted_only_on_request() {
        let (mut report, roster) = sample();
        report.rounds[0].winner = Some(Hotkey([3; 32]));
        let problems = judge(&report, &roster);
        let plain = render(&report, &roster, &problems, Colour::Off);
        assert!(plain.contains("wrong: round 41 went to sly") && !plain.contains("as it should be"));
        assert!(render(&report, &roster, &problems, Colour::On).contains("\x1b[31;1mwrong"));
    }
}
