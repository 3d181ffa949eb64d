//! `leoma evaluate`: the evidence that scores mean something, taken anew on one's own clips.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::{
    Execute, block_on,
    exit::{Exit, Failure, after_help},
    files::read_rules,
    networks,
};
use crate::{
    corpus::{Corpus, CorpusError, CorpusOptions},
    decode::{Decoder, DecoderOptions},
    domain::rules::{ActiveRules, Rules},
    embed::DeviceChoice,
    evidence::{
        EvidenceError, attacks,
        clean::{self, CLEAN_CRF},
        judge::Judge,
        ladder::{self, Workshop},
        plans::{Damage, LEVELS, PLANS, Plan, QUICK},
        whole::{Evidence, NO_GENERATED_CLIP, Summary},
        windows::Windows,
    },
};

mod page;
pub(super) mod progress;
mod ratings;
mod table;

use progress::Progress;

/// Shape of a quick run.
const QUICK_SHAPE: (u32, u32, u32) = (256, 144, 17);

/// Judge the judge: graded damage, attacks and clean clips of a corpus, or people's ratings
///
/// The sources of a corpus are split by name into calibration and held-out ones; figures come from held-out ones only.
/// Every kind of damage is done at five levels and the order of the readings is counted, attacks must not pass, clean
/// clips must not be rejected. docs/evidence.md defines every figure. At another size or length than the rules' the
/// least motion of a reference is scaled with the width.
#[derive(Args, Debug)]
#[command(after_help = after_help!(
    "leoma evaluate --corpus corpus --out evidence",
    "leoma evaluate --corpus corpus --size 416x240 --frames 33 --json | jq .summary",
    "leoma evaluate --corpus corpus --quick",
    "leoma evaluate --ratings ratings.csv",
))]
pub struct EvaluateCommand {
    /// Folder (path or file:// address) of the source clips and their manifest
    #[arg(long, value_name = "DIR", required_unless_present = "ratings")]
    corpus: Option<String>,
    /// Name of the manifest in the folder
    #[arg(long, value_name = "NAME", default_value = "corpus.toml")]
    manifest: String,
    /// Correlate with ratings instead: CSV with columns clip, dimension, rating and, if you have them, first_frame,
    /// reference, prompt; paths from the file's folder
    #[arg(long, value_name = "CSV", conflicts_with_all = ["corpus", "quick", "out"])]
    ratings: Option<PathBuf>,
    /// A small part in some seconds: one window of 256x144 with 17 frames, six kinds of damage, one attack a gate
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    sample: SampleArgs,
    /// Folder that receives evidence.json and evidence.html; made if missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the evidence as one JSON object
    #[arg(long)]
    json: bool,
}

/// What evidence and calibration are taken from.
#[derive(Args, Debug)]
pub(super) struct SampleArgs {
    /// Windows of each clip
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(super) windows: u8,
    /// Other size than the rules', as WIDTHxHEIGHT: cheaper, and not what a round judges
    #[arg(long, value_name = "SIZE", value_parser = super::corpus::parse_size)]
    pub(super) size: Option<(u32, u32)>,
    /// Other number of frames than the rules'
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(9..=240))]
    pub(super) frames: Option<u32>,
    /// Rules file; without one the rules built in
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,
}

impl Execute for EvaluateCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        block_on(run(self))??;
        Ok(Exit::Ok.into())
    }
}

/// Rules brought to another shape: the least residual motion of a reference, in pixels, goes with the width.
pub(super) fn reshaped(
    mut rules: Rules,
    size: Option<(u32, u32)>,
    frames: Option<u32>,
) -> Result<ActiveRules, Failure> {
    if let Some((width, height)) = size {
        let residual = &mut rules.scoring.dynamics.min_reference_residual;
        *residual = (*residual * i64::from(width) / i64::from(rules.request.width)).max(1);
        (rules.request.width, rules.request.height) = (width, height);
    }
    rules.request.frames = frames.unwrap_or(rules.request.frames);
    ActiveRules::of(rules).map_err(|cause| Failure::new(Exit::Usage, anyhow!(cause)))
}

/// A decoder that starts this program as its child.
pub(super) fn decoder(rules: &Rules) -> Result<Decoder, Failure> {
    let worker =
        std::env::current_exe().context("finding this program's own file, which decodes as a child")?;
    Ok(Decoder::new(DecoderOptions::with_worker(worker).under(&rules.limits)))
}

/// A judge by these rules, with the networks that they name.
pub(super) fn judge(rules: &Rules) -> Result<Judge, Failure> {
    let models = networks::open(rules, None, DeviceChoice::Cpu)?;
    Judge::of(rules.clone(), models).map_err(failed)
}

/// Opens a corpus that the command line names.
pub(super) async fn open_corpus(
    location: &str,
    manifest: &str,
    decoder: &Decoder,
) -> Result<Corpus, Failure> {
    let options = CorpusOptions { location: location.to_owned(), manifest: manifest.to_owned() };
    let opened = Corpus::open(options, Arc::new(decoder.clone())).await;
    opened.map_err(|cause| Failure::new(Exit::Unreadable, anyhow!(cause).context(location.to_owned())))
}

/// A failure of the evidence with the code that it ends with.
pub(super) fn failed(cause: EvidenceError) -> Failure {
    let exit = match &cause {
        EvidenceError::Corpus(CorpusError::Shelf(_) | CorpusError::Manifest(_))
        | EvidenceError::FewSources { .. } => Exit::Unreadable,
        EvidenceError::Models(_) => Exit::Unreadable,
        EvidenceError::Rules(_) => Exit::Usage,
        _ => Exit::Internal,
    };
    Failure::new(exit, anyhow!(cause))
}

/// That too few sources serve, with what the others lack.
pub(super) fn few(windows: &Windows, serving: usize, needed: usize) -> Failure {
    let why: Vec<String> =
        windows.passed_over.iter().map(|clip| format!("{}: {}", clip.clip, clip.why)).collect();
    let why = if why.is_empty() { "the corpus has no more".to_owned() } else { why.join("; ") };
    failed(EvidenceError::FewSources { serving, needed, why })
}

async fn run(command: EvaluateCommand) -> Result<(), Failure> {
    let rules = read_rules(command.sample.rules.as_deref())?;
    if let Some(file) = &command.ratings {
        return ratings::run(
            file,
            reshaped(rules.rules, command.sample.size, command.sample.frames)?,
            command.json,
        )
        .await;
    }
    let (width, height, frames) = QUICK_SHAPE;
    let (size, frames) = match command.quick {
        true => (command.sample.size.or(Some((width, height))), command.sample.frames.or(Some(frames))),
        false => (command.sample.size, command.sample.frames),
    };
    let rules = reshaped(rules.rules, size, frames)?;
    // Made before the work, so that a folder that cannot be written costs nothing.
    if let Some(out) = &command.out {
        std::fs::create_dir_all(out)
            .map_err(|cause| Failure::new(Exit::Unreadable, anyhow!("{}: {cause}", out.display())))?;
    }
    let evidence = take(&command, &rules).await?;
    if let Some(out) = &command.out {
        write(out, &evidence)?;
    }
    let text = match command.json {
        true => serde_json::to_string_pretty(&evidence).context("printing JSON")? + "\n",
        false => table::of(&evidence),
    };
    progress::print(&text)
}

async fn take(command: &EvaluateCommand, rules: &ActiveRules) -> Result<Evidence, Failure> {
    let decoder = decoder(&rules.rules)?;
    let location = command.corpus.as_deref().unwrap_or_default();
    let corpus = open_corpus(location, &command.manifest, &decoder).await?;
    let bar = Progress::start();
    bar.stage("cutting windows", corpus.len());
    let judge = judge(&rules.rules)?.beside(corpus.clips().iter().map(|clip| clip.caption.clone()));
    let all = Windows::of(&corpus, &judge, command.sample.windows.into(), |key| bar.step(key)).await;
    let all = all.map_err(failed)?;
    let split = all.split();
    let mut windows = all.from_sources(&split.held_out);
    if command.quick {
        windows.truncate(1);
    }
    if windows.is_empty() {
        return Err(few(&all, 0, 1));
    }
    let workshop = Workshop { decoder, fps: rules.rules.request.fps };
    let quick = |plan: &&Plan| !command.quick || QUICK.map(Damage::Made).contains(&plan.damage);
    let plans: Vec<&Plan> = PLANS.iter().filter(quick).collect();
    bar.stage("graded damage", plans.len() * windows.len() * (LEVELS + 1));
    let mut ladders = Vec::with_capacity(plans.len());
    for plan in plans {
        let name = plan.damage.name();
        ladders
            .push(ladder::climb(plan, &windows, &judge, &workshop, || bar.step(name)).await.map_err(failed)?);
    }
    let qualities = if command.quick { &CLEAN_CRF[..1] } else { &CLEAN_CRF[..] };
    bar.stage("clean clips", windows.len() * qualities.len());
    let clean =
        clean::run(&windows, &judge, &workshop, qualities, || bar.step("encoded")).await.map_err(failed)?;
    let extent = if command.quick { attacks::Extent::Quick } else { attacks::Extent::Whole };
    bar.stage("attacks", windows.len() * (extent.attacks().len() + 3));
    let suite =
        attacks::run(&windows, &judge, &workshop, extent, || bar.step("attacked")).await.map_err(failed)?;
    bar.end();
    Ok(Evidence {
        version: 1,
        note: NO_GENERATED_CLIP,
        quick: command.quick,
        rules_digest: rules.digest,
        corpus_digest: corpus.digest(),
        shape: rules.rules.request,
        split,
        windows: windows.iter().map(|window| (window.key.clone(), window.start_us)).collect(),
        passed_over: all.passed_over,
        summary: Summary::of(&ladders, &suite.attacks),
        ladders,
        clean,
        stand_ins: suite.stand_ins,
        attacks: suite.attacks,
    })
}

fn write(out: &Path, evidence: &Evidence) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(evidence).context("printing JSON")? + "\n";
    for (name, text) in [("evidence.json", json), ("evidence.html", page::of(evidence))] {
        let path = out.join(name);
        super::files::write_whole(&path, text.as_bytes())
            .map_err(|cause| Failure::new(Exit::Internal, anyhow!("writing {}: {cause}", path.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_shape_asks_for_motion_in_its_own_pixels() {
        let rules = Rules::embedded();
        let residual = rules.scoring.dynamics.min_reference_residual;
        let half = reshaped(rules.clone(), Some((416, 240)), Some(33)).expect("rules").rules;
        assert_eq!((half.request.width, half.request.frames), (416, 33));
        assert_eq!(half.scoring.dynamics.min_reference_residual, residual / 2);
        assert_eq!(reshaped(rules.clone(), None, None).expect("rules").rules, rules);
    }
}
