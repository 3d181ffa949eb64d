//! The evidence as text.

use std::fmt::Write as _;

use crate::evidence::{
    ladder::{Following, LadderFigures},
    plans::Axis,
    whole::{Evidence, FollowingSummary, GOOD_TAU},
};

/// A share as percent, or a dash.
fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

/// A tau with two digits, or a dash.
fn tau(tau: Option<f64>) -> String {
    tau.map_or("-".to_owned(), |tau| format!("{tau:.2}"))
}

/// The whole table. Writing to a string does not fail.
pub(super) fn of(evidence: &Evidence) -> String {
    let mut text = String::new();
    let shape = evidence.shape;
    let _ = writeln!(
        text,
        "{}\n\n{}x{}, {} frames; held out {} source(s): {}; for calibration {}: {}\n{} window(s): {}",
        evidence.note,
        shape.width,
        shape.height,
        shape.frames,
        evidence.split.held_out.len(),
        listed(&evidence.split.held_out),
        evidence.split.calibration.len(),
        listed(&evidence.split.calibration),
        evidence.windows.len(),
        evidence
            .windows
            .iter()
            .map(|(key, start)| format!("{key} at {:.1} s", *start as f64 / 1e6))
            .collect::<Vec<_>>()
            .join(", "),
    );
    for clip in &evidence.passed_over {
        let _ = writeln!(text, "passed over {}: {}", clip.clip, clip.why);
    }
    ladders(&mut text, evidence);
    let _ = writeln!(text, "\nfalse rejects of clean held-out clips: {}", evidence.clean.sentence());
    for (gate, count) in &evidence.clean.by_gate {
        let _ = writeln!(text, "  {gate}: {count}");
    }
    let _ = writeln!(
        text,
        "clean clips that pass: {} of {}, median overall {}",
        evidence.clean.passed, evidence.clean.clips, evidence.clean.median
    );
    attacks(&mut text, evidence);
    let _ = writeln!(text, "\nrules  {}\ncorpus {}", evidence.rules_digest, evidence.corpus_digest);
    text
}

fn listed(names: &std::collections::BTreeSet<String>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}

fn ladders(text: &mut String, evidence: &Evidence) {
    let _ = writeln!(
        text,
        "\n{:<19} {:^23}   {:^23}   points of 100 lost at level 5 (* may be touched)\n{:<19} {:>7} {:>7} {:>7}   {:>7} {:>7} {:>7}   {:>8} {:>8} {:>8} {:>9}  answered by",
        "",
        "raw terms, gates off",
        "final score",
        "damage",
        "next",
        "2+",
        "tau",
        "next",
        "2+",
        "tau",
        "first",
        "prompt",
        "temporal",
        "artifacts"
    );
    for figures in &evidence.ladders {
        let _ = writeln!(
            text,
            "{:<19} {}   {}   {}  {}",
            figures.generator,
            following(&figures.raw),
            following(&figures.overall),
            lost(figures),
            if figures.answers.is_empty() { "no term yet".to_owned() } else { figures.answers.join(", ") }
        );
    }
    let summary = &evidence.summary;
    let _ = writeln!(text);
    for (name, sum) in [("raw terms", &summary.raw), ("final score", &summary.overall)] {
        let _ = writeln!(text, "{name:<12} {}", total(sum));
    }
    if let Some((points, generator)) = summary.cross_talk {
        let _ = writeln!(
            text,
            "cross-talk   at most {points:.1} points ({generator}), above 5 for {} of {} kinds of damage",
            summary.cross_talk_above_5,
            evidence.ladders.len()
        );
    }
}

fn following(figures: &Following) -> String {
    format!(
        "{:>7} {:>7} {:>7}",
        percent(figures.adjacent.accuracy()),
        percent(figures.distant.accuracy()),
        tau(figures.tau)
    )
}

/// One line of totals.
pub(super) fn total(sum: &FollowingSummary) -> String {
    format!(
        "neighbouring levels {} % of {}, two or more apart {} % of {}, tau >= {GOOD_TAU} for {} of {}; ties ({}, {}) count half",
        percent(sum.adjacent_accuracy),
        sum.adjacent.pairs(),
        percent(sum.distant_accuracy),
        sum.distant.pairs(),
        sum.good_tau,
        sum.with_tau,
        sum.adjacent.tied,
        sum.distant.tied
    )
}

fn lost(figures: &LadderFigures) -> String {
    let cell = |axis: Axis| {
        let width = if axis == Axis::Artifacts { 8 } else { 7 };
        let mark = if figures.touches.contains(&axis) { '*' } else { ' ' };
        let points = figures.lost(axis).map_or("-".to_owned(), |points| format!("{points:.1}"));
        format!("{points:>width$}{mark}")
    };
    Axis::ALL.map(cell).join(" ")
}

fn attacks(text: &mut String, evidence: &Evidence) {
    let stand_ins = &evidence.stand_ins;
    let _ = writeln!(
        text,
        "\nhonest stand-ins: {} of {} rejected, {} pass, median {}\n\n{:<4} {:<42} {:>5} {:>8} {:>6} {:>6} {:>5} {:>5} {:>5}",
        stand_ins.rejected,
        stand_ins.clips,
        stand_ins.passed,
        stand_ins.median,
        "gate",
        "attack",
        "clips",
        "rejected",
        "failed",
        "below",
        "open",
        "own",
        "best"
    );
    for attack in &evidence.attacks {
        let gates: Vec<String> =
            attack.rejected.iter().map(|(gate, count)| format!("{gate} {count}")).collect();
        let _ = writeln!(
            text,
            "{:<4} {:<42} {:>5} {:>8} {:>6} {:>6} {:>5} {:>5} {:>5}  {}{}",
            attack.row.to_string(),
            attack.name,
            attack.clips,
            attack.rejected.values().sum::<usize>(),
            attack.failed,
            attack.below_honest,
            attack.open,
            attack.own_gate,
            attack.best,
            gates.join(", "),
            if attack.caught() { "" } else { "  NOT CAUGHT" }
        );
    }
    let _ = writeln!(
        text,
        "{} of {} attacks caught on every window (rejected, not passing, or below the stand-ins' median)",
        evidence.summary.attacks - evidence.summary.open_attacks,
        evidence.summary.attacks
    );
}
