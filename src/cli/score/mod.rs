//! `leoma score`: verdicts on video files as a round would give them, and a page to look at.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;

use super::{
    Execute, block_on,
    exit::{Exit, Failure, after_help},
    files::{check_open, read_rules},
    networks,
};
use crate::{
    decode::{Decoder, DecoderOptions},
    domain::rules::ActiveRules,
    embed::DeviceChoice,
    gpu::{
        choose::{ScorerChoice, open_scorer},
        port::AdapterInfo,
    },
    quality::embeddings::FrameModels,
};

pub(super) mod inputs;
mod judged;
mod output;
pub(super) mod reference;
pub(super) mod report;

use judged::Judged;
use output::Output;
use report::{ReportFile, ReportPage};

/// Judge video files as a round would, against a first frame, a prompt and the real clip
///
/// Every file is decoded in a child process under the limits of a miner's answer. A file that breaks a
/// rule is rejected, which is a verdict and no failure. Without --reference the terms that compare with
/// the real clip are null and nothing passes. A reference that has the asked shape is taken as it is;
/// another is cropped, scaled and resampled in time from its first frame on, as the corpus does.
#[derive(Args, Debug)]
#[command(after_help = after_help!(
    "leoma score answer.mp4 --first-frame first.png --prompt 'a boat on a lake' --reference real.mp4",
    "leoma score *.mp4 --first-frame first.png --prompt 'a boat' --reference real.mp4 --report report.html",
    "leoma score answer.mp4 --first-frame first.png --prompt 'a boat' --json | jq .overall",
))]
pub struct ScoreCommand {
    /// Video files to judge
    #[arg(required = true, value_name = "CLIP")]
    clips: Vec<PathBuf>,
    /// The given first frame: an 8-bit RGB PNG of the size that the rules ask for
    #[arg(long, value_name = "PNG")]
    first_frame: PathBuf,
    /// The prompt
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// The real clip that the first frame was taken from
    #[arg(long, value_name = "CLIP")]
    reference: Option<PathBuf>,
    /// Rules file; without one the rules built in
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Where to compute: auto, cpu, gpu or gpu:NAME
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    scorer: ScorerChoice,
    /// Threads of the CPU scorer, 0 for one per core; verdicts do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Folder of the embedding models that the rules name; without it where `leoma models fetch` puts them
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Print one JSON object per clip on a line of its own
    #[arg(long)]
    json: bool,
    /// Write a self-contained page with frames, timelines, terms and gates
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,
}

/// What every clip of one run is judged against.
pub(crate) struct Scene {
    /// The given first frame, one frame of the asked size.
    pub(crate) first_frame: Arc<crate::quality::frame::Yuv420Clip>,
    /// The real clip `[frames, height, width]`, YUV 4:2:0.
    pub(crate) reference: Option<Arc<crate::quality::frame::Yuv420Clip>>,
    /// The prompt.
    pub(crate) prompt: Arc<str>,
    /// The rules in force and their digest.
    pub(crate) rules: ActiveRules,
    /// The device that computes.
    pub(crate) adapter: AdapterInfo,
    /// The networks that the rules name, if any.
    pub(crate) models: Option<Arc<dyn FrameModels>>,
}

impl Execute for ScoreCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        block_on(run(self))??;
        Ok(Exit::Ok.into())
    }
}

async fn run(command: ScoreCommand) -> Result<(), Failure> {
    let rules = read_rules(command.rules.as_deref())?;
    let singles = [Some(&command.first_frame), command.reference.as_ref()];
    check_open(command.clips.iter().chain(singles.into_iter().flatten()))?;
    // Made before the work, so that a path that cannot be written costs nothing.
    let report = command.report.clone().map(ReportFile::create).transpose()?;
    let worker =
        std::env::current_exe().context("finding this program's own file, which decodes as a child")?;
    let decoder = Decoder::new(DecoderOptions::with_worker(worker).under(&rules.rules.limits));
    let chosen = tokio::task::block_in_place(|| open_scorer(&command.scorer, command.threads.into()))
        .context("starting the scorer")?;
    if command.scorer == ScorerChoice::Auto {
        let adapter = chosen.scorer.adapter();
        eprintln!("scorer: {} ({}): {}", adapter.name, adapter.backend, chosen.why);
    }
    let wanted = if chosen.real_gpu { DeviceChoice::Gpu } else { DeviceChoice::Cpu };
    let models =
        tokio::task::block_in_place(|| networks::open(&rules.rules, command.models.as_deref(), wanted))?;
    let scene = inputs::scene(&command, &decoder, rules, (chosen.scorer.adapter(), models)).await?;
    let page = |file| Ok::<_, Failure>((file, tokio::task::block_in_place(|| ReportPage::new(&scene))?));
    let mut page = report.map(page).transpose()?;
    let mut output = Output::start(&command.clips, command.json);
    for path in &command.clips {
        output.begins(path);
        let judged = Judged::of(path, &decoder, chosen.scorer.as_ref(), &scene).await?;
        if let Some((_, page)) = &mut page {
            tokio::task::block_in_place(|| page.add(&judged, &scene)).context("drawing the report")?;
        }
        output.clip(&judged, &scene)?;
    }
    output.end(&scene)?;
    if let Some((file, page)) = page {
        file.finish(&page.finish(&scene))?;
    }
    Ok(())
}
