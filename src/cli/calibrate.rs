//! `leoma calibrate`: the constants of the rules, computed from calibration clips.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;

use super::{
    Execute, block_on,
    evaluate::{
        SampleArgs, decoder, failed, few, judge, open_corpus,
        progress::{Progress, print},
        reshaped,
    },
    exit::{Exit, Failure, after_help},
    files::{read_rules, read_whole, rules_text, unreadable, write_whole},
    score::reference::prepare,
};
use crate::{
    decode::Decoder,
    domain::{ids::Digest, rules::ActiveRules},
    evidence::{
        calibration::{Calibration, Clips, GOOD_CRF},
        judge::Judge,
        ladder::Workshop,
        limits::{
            DEFINITIONS,
            place::{Kept, Range},
        },
        rewrite::rewritten,
        split::Split,
        windows::{SourceWindow, Windows},
    },
};

/// Most bytes of a generated clip.
const MAX_CLIP_BYTES: u64 = 256 << 20;
/// Most generated clips that are read.
const MAX_GENERATED: usize = 256;

/// Compute every good and bad end and every gate's limits from calibration clips, or check that they still hold
///
/// Good is the median of clean calibration windows after one CRF 18 encode, bad lies a tenth beyond the median at the
/// strongest level of the damage that a term is for. A gate's limit lies a third of the way from its attacks to honest
/// clips; where the two overlap it stays. Held-out sources are not read. The new file is the old one with other numbers
/// and a comment where each comes from. With --check nothing is written and code 4 says that constants drifted.
/// docs/calibration.md explains the figures and how long they take.
#[derive(Args, Debug)]
#[command(after_help = after_help!(
    "leoma calibrate --corpus corpus --out rules.toml",
    "leoma calibrate --corpus corpus --check",
    "leoma calibrate --corpus corpus --generated clips --windows 4 --out rules.toml",
))]
pub struct CalibrateCommand {
    /// Folder (path or file:// address) of the source clips and their manifest
    #[arg(long, value_name = "DIR")]
    corpus: String,
    /// Name of the manifest in the folder
    #[arg(long, value_name = "NAME", default_value = "corpus.toml")]
    manifest: String,
    /// Folder of generated clips that are taken for good ones, each its own reference
    #[arg(long, value_name = "DIR")]
    generated: Option<PathBuf>,
    #[command(flatten)]
    sample: SampleArgs,
    /// Where the new rules file is written; without it the constants are only printed
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Compare with the file in force; ends with code 4 when a constant drifted
    #[arg(long)]
    check: bool,
    /// Distance from which a constant has drifted, in percent of the way from good to bad, for a limit from attacks to honest
    #[arg(long, value_name = "PERCENT", default_value_t = 20)]
    tolerance: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    rules_digest: Digest,
    corpus_digest: Digest,
    split: &'a Split,
    #[serde(flatten)]
    calibration: &'a Calibration,
    tolerance_percent: u16,
    drifted: Vec<String>,
}

impl Execute for CalibrateCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        Ok(block_on(run(self))??.into())
    }
}

async fn run(command: CalibrateCommand) -> Result<Exit, Failure> {
    let in_force = read_rules(command.sample.rules.as_deref())?;
    let text = rules_text(command.sample.rules.as_deref())?;
    let rules = reshaped(in_force.rules.clone(), command.sample.size, command.sample.frames)?;
    let decoder = decoder(&rules.rules)?;
    let judge = judge(&rules.rules)?;
    let generated = match &command.generated {
        Some(folder) => generated(folder, &decoder, &judge).await?,
        None => Vec::new(),
    };
    let corpus = open_corpus(&command.corpus, &command.manifest, &decoder).await?;
    let judge = judge.beside(corpus.clips().iter().map(|clip| clip.caption.clone()));
    let bar = Progress::start();
    bar.stage("cutting windows", corpus.len());
    let all = Windows::of(&corpus, &judge, command.sample.windows.into(), |key| bar.step(key)).await;
    let all = all.map_err(failed)?;
    let split = all.split();
    let windows = all.from_sources(&split.calibration);
    if windows.is_empty() {
        // Half of the sources, rounded down, are for calibration.
        return Err(few(&all, split.held_out.len(), 2));
    }
    let workshop = Workshop { decoder, fps: rules.rules.request.fps };
    let clips = Clips { windows: &windows, generated: &generated };
    bar.stage("calibration clips", Calibration::steps(&clips));
    let found = Calibration::of(&clips, &judge, &workshop, || bar.step("read")).await.map_err(failed)?;
    bar.end();
    let report = Report {
        version: 1,
        rules_digest: in_force.digest,
        corpus_digest: corpus.digest(),
        split: &split,
        calibration: &found,
        tolerance_percent: command.tolerance,
        drifted: found.drifted(command.tolerance.into()),
    };
    print(&match command.json {
        true => serde_json::to_string_pretty(&report).context("printing JSON")? + "\n",
        false => table(&report),
    })?;
    if let Some(path) = &command.out {
        let new = rewritten(&text, &found, &provenance(&report, &rules))
            .map_err(|cause| Failure::new(Exit::Internal, anyhow!(cause)))?;
        write_whole(path, new.as_bytes()).map_err(|cause| {
            Failure::new(Exit::Unreadable, anyhow!("writing {}: {cause}", path.display()))
        })?;
    }
    Ok(if command.check && !report.drifted.is_empty() { Exit::Drift } else { Exit::Ok })
}

/// Generated clips in the rules' shape, each its own reference, in the order of their names.
async fn generated(folder: &Path, decoder: &Decoder, judge: &Judge) -> Result<Vec<SourceWindow>, Failure> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>())
        .map_err(|cause| unreadable(folder, cause))?;
    paths.retain(|path| {
        path.extension().is_some_and(|kind| ["mp4", "webm", "mkv", "mov"].iter().any(|k| kind == *k))
    });
    paths.sort();
    if paths.is_empty() || paths.len() > MAX_GENERATED {
        let cause = format!("has {} clips (mp4, webm, mkv, mov), 1 to {MAX_GENERATED} are read", paths.len());
        return Err(unreadable(folder, cause));
    }
    let mut clips = Vec::with_capacity(paths.len());
    for path in paths {
        let file = read_whole(&path, MAX_CLIP_BYTES)?;
        let prepared = prepare(decoder, file, judge.rules().request).await.map_err(|cause| {
            let exit = if cause.is_ours() { Exit::Internal } else { Exit::Unreadable };
            Failure::new(exit, anyhow!(cause).context(path.display().to_string()))
        })?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let window = tokio::task::block_in_place(|| SourceWindow::of_clip(name, prepared.clip, judge));
        clips.push(window.map_err(failed)?);
    }
    Ok(clips)
}

fn provenance(report: &Report, rules: &ActiveRules) -> String {
    let shape = rules.rules.request;
    let found = report.calibration;
    format!(
        "leoma calibrate {}, corpus {}, rules before {}\n{} windows of {} and {} generated clips, {}x{}, {} frames, clean after one CRF {GOOD_CRF} encode",
        env!("CARGO_PKG_VERSION"),
        report.corpus_digest,
        report.rules_digest,
        found.windows,
        found.sources.iter().cloned().collect::<Vec<_>>().join(", "),
        found.generated,
        shape.width,
        shape.height,
        shape.frames
    )
}

/// Writing to a string does not fail.
fn table(report: &Report) -> String {
    let found = report.calibration;
    let mut text = format!(
        "{} windows of {} calibration source(s): {}; {} generated clips\n\n",
        found.windows,
        found.sources.len(),
        found.sources.iter().cloned().collect::<Vec<_>>().join(", "),
        found.generated
    );
    terms(report, &mut text);
    limits(report, &mut text);
    let _ = writeln!(
        text,
        "\n{} of {} terms and limits drifted by more than {} % of their span",
        report.drifted.len(),
        found.terms.len() + found.gates.len(),
        report.tolerance_percent
    );
    text
}

/// What stands at the end of a line: that it drifted, and why a value was kept.
fn remarks(report: &Report, name: &str, kept: Option<&str>) -> String {
    let drifted = if report.drifted.iter().any(|one| one == name) { "  DRIFTED" } else { "" };
    drifted.to_owned() + &kept.map(|why| format!("  kept: {why}")).unwrap_or_default()
}

fn terms(report: &Report, text: &mut String) {
    let _ = writeln!(
        text,
        "{:<14} {:<12} {:>9} {:>9}   {:>9} {:>9}   {:>6}  damage",
        "term", "axis", "good", "in force", "bad", "in force", "off %"
    );
    for term in &report.calibration.terms {
        let _ = writeln!(
            text,
            "{:<14} {:<12} {:>9} {:>9}   {:>9} {:>9}   {:>6}  {}{}",
            term.term,
            term.axis,
            term.good,
            term.in_force.good,
            term.bad,
            term.in_force.bad,
            term.drift_percent(),
            term.damage,
            remarks(report, &term.term, term.kept)
        );
    }
    if let Some(anchor) = &report.calibration.anchor {
        let in_force =
            anchor.in_force.map_or("none".to_owned(), |rule| format!("{} and {}", rule.good, rule.bad));
        let _ = writeln!(
            text,
            "anchor: good {}, bad {}, in force {in_force}; stand-ins {}, clips of other sources {}{}",
            anchor.good,
            anchor.bad,
            anchor.honest,
            anchor.others,
            remarks(report, "anchor", anchor.kept)
        );
    }
    for one in &report.calibration.uncalibrated {
        let _ = writeln!(text, "not calibrated: {}, {}", one.constant, one.why);
    }
}

fn limits(report: &Report, text: &mut String) {
    let found = report.calibration;
    let _ = writeln!(
        text,
        "\n{:<5} {:<24} {:>8} {:>8}   {:>14} {:>5}   {:>14}   {:>6}",
        "gate", "limit", "computed", "in force", "honest", "clips", "attacks", "off %"
    );
    let range = |side: Option<Range>| side.map_or("-".to_owned(), |side| side.to_string());
    for limit in &found.gates {
        let name = limit.name();
        let _ = writeln!(
            text,
            "{:<5} {:<24} {:>8} {:>8}   {:>14} {:>5}   {:>14}   {:>6}{}",
            limit.gate.to_string(),
            name,
            limit.computed,
            limit.in_force,
            range(limit.honest),
            limit.clips,
            range(limit.attacks),
            limit.drift_percent(),
            remarks(report, &name, limit.kept.map(Kept::why))
        );
    }
    let _ = writeln!(text, "\nfires on (by the limits in force, by the computed ones)");
    for check in &found.checks {
        let _ = writeln!(
            text,
            "{:<5} {:<24} honest clips {} and {} of {}, attacks {} and {} of {}",
            check.gate.to_string(),
            check.table.name(),
            check.honest_fired,
            check.honest_fired_computed,
            check.honest,
            check.caught,
            check.caught_computed,
            check.attacks
        );
    }
    let _ = writeln!(text, "\ndefinitions, not computed");
    for (table, name, why) in DEFINITIONS {
        let _ = writeln!(text, "{:<30} {why}", format!("{table}.{name}"));
    }
}
