//! The run as a table in markdown.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Settings,
    engine::{Run, Window},
    faults::Kind,
    oracle::{Epoch, Findings},
};

#[derive(Default)]
struct Row {
    blocks: Vec<u64>,
    ms: Vec<u64>,
    count: usize,
    missed: usize,
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// The whole report.
pub fn table(settings: &Settings, run: &Run, found: &Findings) -> String {
    let mut rows: BTreeMap<Kind, Row> = BTreeMap::new();
    for (place, window) in run.windows.iter().enumerate() {
        let row = rows.entry(window.kind).or_default();
        row.count += 1;
        if let Some((blocks, ms)) = found.recoveries.get(&place) {
            row.blocks.push(*blocks);
            row.ms.push(*ms);
        }
    }
    let (mut right, mut not_due, mut missing, mut unexplained) = (0, 0, 0, 0);
    for epoch in found.epochs.values() {
        match epoch {
            Epoch::Right => right += 1,
            Epoch::NotDue => not_due += 1,
            Epoch::Unexplained { .. } => unexplained += 1,
            Epoch::Missing { window, .. } => {
                missing += 1;
                rows.entry(run.windows[*window].kind).or_default().missed += 1;
            }
        }
    }
    let counts = &found.counts;
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").expect("memory");
    say(format!(
        "Seed {}, {} epochs of {} blocks of {} ms, {} blocks, {:.0} minutes; the validator was started {} times.\n",
        settings.seed,
        found.epochs.len(),
        settings.tempo,
        settings.block_time.as_millis(),
        run.sights.len(),
        run.took.as_secs_f64() / 60.0,
        run.starts
    ));
    say("| epochs | |\n| --- | ---: |".into());
    say(format!("| right | {right} |"));
    say(format!("| no round had settled early enough | {not_due} |"));
    say(format!("| missing, explained by a trouble | {missing} |"));
    say(format!("| missing, unexplained | {unexplained} |\n"));
    say("| over the whole run | |\n| --- | ---: |".into());
    for (name, count) in [
        ("rounds closed", counts.rounds_closed),
        ("rounds void", counts.rounds_void),
        ("decisions in the journal", counts.intents),
        ("of these for a miner", counts.paid_miners),
        ("of these for the owner", counts.paid_owner),
        ("extrinsics in final blocks", counts.included),
        ("of these successful", counts.succeeded),
        ("commits", counts.commits),
        ("commits revealed", counts.revealed),
        ("commits that came to nothing", counts.reveals_failed),
        ("rows set after their slot had changed hands on the way", counts.paid_a_stranger),
        ("violations", found.violations.len() as u64),
    ] {
        say(format!("| {name} | {count} |"));
    }
    say("\n| trouble | times | recovery in blocks: median | longest | in seconds: median | longest | epochs missed |".into());
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |".into());
    for (kind, mut row) in rows {
        let (blocks, ms) = (median(&mut row.blocks), median(&mut row.ms));
        let (most, longest) = (row.blocks.last().unwrap_or(&0), row.ms.last().unwrap_or(&0));
        say(format!(
            "| {kind} | {} | {blocks} | {most} | {:.1} | {:.1} | {} |",
            row.count,
            ms as f64 / 1000.0,
            *longest as f64 / 1000.0,
            row.missed
        ));
    }
    text
}

/// What is wrong with a run, one line each.
pub fn complaints(run: &Run, found: &Findings) -> Vec<String> {
    let unexplained = found.epochs.iter().filter_map(|(block, epoch)| match epoch {
        Epoch::Unexplained { why } => Some(format!("epoch of block {block}: {why}")),
        _ => None,
    });
    let missing = found.epochs.iter().filter_map(|(block, epoch)| match epoch {
        Epoch::Missing { window, why } => {
            let Window { kind, begin, heal, recovered } = &run.windows[*window];
            Some(format!(
                "(explained) epoch of block {block}: {why}: {kind} {begin}..{heal:?}, recovered {recovered:?}"
            ))
        }
        _ => None,
    });
    found.violations.iter().cloned().chain(unexplained).chain(missing).collect()
}
