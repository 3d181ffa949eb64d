//! `leoma corpus`: make, check and publish the source clips of a validator.

mod build;
mod publish;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};

use super::{
    Execute, block_on,
    exit::{Exit, Failure, after_help},
    files::read_rules,
};
use crate::{
    config::CorpusConfig,
    corpus::{
        Corpus, CorpusOptions,
        draw::{DRAWN_FRAMES_PER_SECOND, DrawOptions, draw_corpus},
        publish::read_secret,
    },
    decode::Decoder,
    domain::rules::Rules,
};

/// Make, check and publish the source clips of a validator
#[derive(Args, Debug)]
#[command(after_help = after_help!(
    "leoma corpus build footage --out corpus --licence \"own footage\"",
    "leoma corpus verify --corpus corpus",
    "leoma corpus publish --corpus corpus --to s3://bucket/leoma",
))]
pub struct CorpusArgs {
    /// What to do.
    #[command(subcommand)]
    command: CorpusCommand,
}

/// What to do with a corpus.
#[derive(Subcommand, Debug)]
enum CorpusCommand {
    Build(Box<build::BuildArgs>),
    Verify(verify::VerifyArgs),
    Publish(publish::PublishArgs),
    Open(publish::OpenArgs),
    CheckOpening(publish::CheckArgs),
    #[command(after_help = after_help!("leoma corpus draw --out corpus --scenes 6"))]
    /// Draw procedural clips and their manifest (stand-ins for filmed clips; needs the ffmpeg command).
    Draw(DrawArgs),
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

/// The rules of a file, or the ones built in, for clips of another size if one is asked for.
fn rules(file: Option<&Path>, size: Option<(u32, u32)>) -> Result<Rules, Failure> {
    let mut rules = read_rules(file)?.rules;
    if let Some((width, height)) = size {
        (rules.request.width, rules.request.height) = (width, height);
    }
    Ok(rules)
}

/// The corpus of a configuration, with the secret of its commitment where one is named.
pub(super) async fn configured(config: &CorpusConfig, decoder: Arc<Decoder>) -> Result<Corpus, Failure> {
    let options = CorpusOptions { location: config.location.clone(), manifest: config.manifest.clone() };
    let corpus = Corpus::open(options, decoder).await;
    let corpus = corpus.map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    match &config.secret {
        None => Ok(corpus),
        Some(file) => {
            let secret = read_secret(file).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
            Ok(corpus.opened_by(secret))
        }
    }
}

impl Execute for CorpusArgs {
    fn execute(self) -> Result<ExitCode, Failure> {
        block_on(run(self))?
    }
}

/// Runs `leoma corpus`.
///
/// # Errors
/// When what is asked for cannot be done at all; what is wrong with single clips is reported and gives an exit code.
pub async fn run(args: CorpusArgs) -> Result<ExitCode, Failure> {
    match args.command {
        CorpusCommand::Build(args) => build::run(*args).await,
        CorpusCommand::Verify(args) => verify::run(args).await,
        CorpusCommand::Publish(args) => publish::run(args).await,
        CorpusCommand::Open(args) => publish::open(args).await,
        CorpusCommand::CheckOpening(args) => publish::check(&args),
        CorpusCommand::Draw(args) => match tokio::task::spawn_blocking(move || draw(&args)).await {
            Ok(drawn) => Ok(drawn?),
            Err(error) => Err(anyhow::Error::new(error).into()),
        },
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
