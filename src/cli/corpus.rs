//! `leoma corpus`: check the source clips of a validator, or draw some where there is no network.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    Execute, block_on,
    exit::{Failure, after_help},
};
use crate::{
    corpus::{
        ClipEntry, Corpus, CorpusError, CorpusOptions, Usability,
        draw::{DRAWN_FRAMES_PER_SECOND, DrawOptions, draw_corpus},
        judging::judges_motion,
    },
    decode::{Decoder, DecoderOptions},
    domain::{
        ids::{BlockHash, Digest},
        rules::Rules,
    },
};

/// Check the source clips of a validator, or draw some where there is no network
#[derive(Args, Debug)]
#[command(after_help = after_help!("leoma corpus verify --corpus corpus", "leoma corpus draw --out corpus"))]
pub struct CorpusArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CorpusCommand,
}

/// What to do with a corpus.
#[derive(Subcommand, Debug)]
pub enum CorpusCommand {
    #[command(after_help = after_help!("leoma corpus verify --corpus corpus --json | jq .usable"))]
    /// Check every clip: present, the right digest, decodable, with a usable window.
    Verify(VerifyArgs),
    #[command(after_help = after_help!("leoma corpus draw --out corpus --scenes 6"))]
    /// Draw procedural clips and their manifest (stand-ins for filmed clips; needs the ffmpeg command).
    Draw(DrawArgs),
}

/// Arguments of `leoma corpus verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Folder (path or file:// address) that holds the clips.
    #[arg(long)]
    pub corpus: String,
    /// Name of the manifest in the folder.
    #[arg(long, default_value = "corpus.toml")]
    pub manifest: String,
    /// Block hash that seeds the windows.
    #[arg(long, default_value = "0x0000000000000000000000000000000000000000000000000000000000000000")]
    pub block: BlockHash,
    /// Shape of the clips as WIDTHxHEIGHT.
    #[arg(long, default_value = "832x480", value_parser = parse_size)]
    pub size: (u32, u32),
    /// Print a report as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `leoma corpus draw`.
#[derive(Args, Debug)]
pub struct DrawArgs {
    /// Folder that receives the clips and corpus.toml.
    #[arg(long)]
    pub out: PathBuf,
    /// The ffmpeg command (with libx264).
    #[arg(long, default_value = "ffmpeg")]
    pub ffmpeg: PathBuf,
    /// Size as WIDTHxHEIGHT, even sides.
    #[arg(long, default_value = "832x480", value_parser = parse_size)]
    pub size: (u32, u32),
    /// How many scenes to draw, at most 8.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub scenes: u8,
    /// Length of each clip in seconds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=60))]
    pub seconds: u8,
}

/// Reads `832x480`; both sides even and at most 4096.
pub(super) fn parse_size(text: &str) -> Result<(u32, u32), SizeError> {
    let refuse = || SizeError(text.chars().take(40).collect());
    let (width, height) = text.split_once('x').ok_or_else(refuse)?;
    let side = |text: &str| {
        let side: u32 = text.parse().map_err(|_| refuse())?;
        if (16..=4096).contains(&side) && side.is_multiple_of(2) { Ok(side) } else { Err(refuse()) }
    };
    Ok((side(width)?, side(height)?))
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a size: write WIDTHxHEIGHT with even sides from 16 to 4096, like 832x480")]
pub(super) struct SizeError(String);

impl Execute for CorpusArgs {
    fn execute(self) -> Result<ExitCode, Failure> {
        Ok(block_on(run(self))??)
    }
}

/// Runs `leoma corpus`.
///
/// # Errors
/// When the corpus cannot be opened or drawn. Unusable clips are reported and give exit code 1.
pub async fn run(args: CorpusArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        CorpusCommand::Verify(args) => verify(args).await,
        CorpusCommand::Draw(args) => tokio::task::spawn_blocking(move || draw(&args)).await?,
    }
}

/// Report of `leoma corpus verify --json`.
#[derive(Serialize)]
struct VerifyReport {
    corpus: String,
    corpus_digest: Digest,
    block: BlockHash,
    usable: usize,
    clips: Vec<ClipReport>,
}

#[derive(Serialize)]
struct ClipReport {
    key: String,
    caption: String,
    #[serde(flatten)]
    state: ClipState,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum ClipState {
    Usable { window_start_us: u64, last_source_frame: u32 },
    TooStill { reason: String },
    NoWindow { reason: String },
    Refused { reason: String },
    Broken { reason: String },
}

async fn verify(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let worker = std::env::current_exe().context("the path of this program is not known")?;
    let decoder = Arc::new(Decoder::new(DecoderOptions::with_worker(worker)));
    let options = CorpusOptions { location: args.corpus.clone(), manifest: args.manifest.clone() };
    let corpus = Corpus::open(options, decoder).await?;
    let mut clips = Vec::with_capacity(corpus.len());
    for entry in corpus.clips() {
        let report = ClipReport {
            key: entry.key.clone(),
            caption: entry.caption.clone(),
            state: state_of(&corpus, entry, &args).await,
        };
        if !args.json {
            println!("{}", line(&report));
        }
        clips.push(report);
    }
    let usable = clips.iter().filter(|clip| matches!(clip.state, ClipState::Usable { .. })).count();
    let all_usable = usable == clips.len() && usable > 0;
    let report = VerifyReport {
        corpus: args.corpus,
        corpus_digest: corpus.digest(),
        block: args.block,
        usable,
        clips,
    };
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => println!(
            "{usable} of {} clips usable, corpus digest {}",
            report.clips.len(),
            report.corpus_digest
        ),
    }
    Ok(if all_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn state_of(corpus: &Corpus, entry: &ClipEntry, args: &VerifyArgs) -> ClipState {
    match check(corpus, entry, args).await {
        Ok(state) => state,
        Err(error) => ClipState::Broken { reason: error.to_string() },
    }
}

async fn check(corpus: &Corpus, entry: &ClipEntry, args: &VerifyArgs) -> Result<ClipState, CorpusError> {
    let mut rules = Rules::embedded();
    (rules.request.width, rules.request.height) = args.size;
    let window = match corpus.inspect(entry, &args.block, rules.request).await? {
        Usability::Usable(window) => window,
        Usability::NoWindow(reason) => return Ok(ClipState::NoWindow { reason: reason.to_string() }),
        Usability::Refused(reason) => return Ok(ClipState::Refused { reason }),
    };
    let others = corpus.clips().iter().map(|clip| clip.key.clone()).filter(|key| *key != entry.key).collect();
    let mut alone = corpus.candidates(&args.block, rules.request).without(&others);
    if let Some(candidate) = alone.next().await?
        && !judges_motion(&candidate.prepare().await?, &rules).await?
    {
        let reason = "moves too little, beyond pans and layers, to judge the motion of others".into();
        return Ok(ClipState::TooStill { reason });
    }
    Ok(ClipState::Usable {
        window_start_us: window.start_us,
        last_source_frame: window.frames.last().copied().unwrap_or_default(),
    })
}

fn line(report: &ClipReport) -> String {
    let key = &report.key;
    match &report.state {
        ClipState::Usable { window_start_us, .. } => {
            let (seconds, milli) = (window_start_us / 1_000_000, window_start_us / 1_000 % 1_000);
            format!("usable     {key}: 81 frames from {seconds}.{milli:03} s: {}", report.caption)
        }
        ClipState::TooStill { reason } => format!("too still  {key}: {reason}"),
        ClipState::NoWindow { reason } => format!("no window  {key}: {reason}"),
        ClipState::Refused { reason } => format!("refused    {key}: {reason}"),
        ClipState::Broken { reason } => format!("broken     {key}: {reason}"),
    }
}

fn draw(args: &DrawArgs) -> anyhow::Result<ExitCode> {
    let options = DrawOptions {
        out: args.out.clone(),
        ffmpeg: args.ffmpeg.clone(),
        width: args.size.0 as usize,
        height: args.size.1 as usize,
        frames: u32::from(args.seconds) * DRAWN_FRAMES_PER_SECOND,
        scenes: usize::from(args.scenes),
    };
    let manifest = draw_corpus(&options, |clip| println!("drew {} ({} bytes)", clip.key, clip.bytes))?;
    println!("wrote {} with {} clips", args.out.join("corpus.toml").display(), manifest.clips().len());
    Ok(ExitCode::SUCCESS)
}
