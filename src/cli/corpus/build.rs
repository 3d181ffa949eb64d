//! `leoma corpus build`: a corpus from footage.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use url::Url;

use super::{parse_size, rules};
use crate::{
    cli::{
        evaluate::{
            decoder,
            progress::{Progress, print},
        },
        exit::{Exit, Failure, after_help},
        files::{read_whole, unreadable},
    },
    config::Secret,
    corpus::{
        build::{
            BuildError, BuildOptions, BuildReport, MANIFEST, Step, build,
            captions::{MAX_CSV_BYTES, Notes},
            survey::SurveyOptions,
        },
        manifest::{DEFAULT_MIN_CLIP_BYTES, MAX_CLIP_BYTES},
        shelf::Shelf,
        vision::{Describer, VisionOptions},
    },
};

/// Make a corpus from footage: cut at scene changes, keep what rounds can use, write clips and manifest.
///
/// Every .mp4 file of SOURCE (a folder, or s3://bucket/prefix) is decoded, cut at its cuts and dissolves, and every shot is
/// tried as a round would use it: at least 16 frames a second, long enough, with motion to judge by. A caption is
/// the text of NAME.txt beside NAME.mp4 (of NAME-2.txt for the second shot), a line of --captions (CSV with the columns
/// clip and caption, optionally licence and source), or asked of a vision model. What cannot be used is left
/// out with a reason. Building again goes on where it stopped, adds new footage and changes no clip that is there.
#[derive(Args, Debug)]
#[command(after_help = after_help!(
    "leoma corpus build footage --out corpus --licence \"own footage\"",
    "leoma corpus build footage --out corpus --licence CC0-1.0 --captions captions.csv --part-seconds 10",
    "leoma corpus build s3://bucket/footage --out corpus --licence CC0-1.0 --caption-endpoint http://127.0.0.1:8000/v1 --caption-model qwen",
))]
pub struct BuildArgs {
    /// Folder (path or file:// address) or bucket (s3://bucket/prefix) with the footage.
    pub source: String,
    /// Folder of the corpus; made if missing.
    #[arg(long)]
    pub out: PathBuf,
    /// Licence of the footage, for clips whose captions file names none.
    #[arg(long)]
    pub licence: String,
    /// CSV file with the columns clip (file name or clip key) and caption, optionally licence and source.
    #[arg(long, value_name = "FILE")]
    pub captions: Option<PathBuf>,
    /// OpenAI-compatible vision service that writes missing captions, like http://127.0.0.1:8000/v1.
    #[arg(long, value_name = "URL", requires = "caption_model")]
    pub caption_endpoint: Option<Url>,
    /// The service's model.
    #[arg(long, value_name = "NAME", requires = "caption_endpoint")]
    pub caption_model: Option<String>,
    /// Key of the service as env:NAME or file:PATH.
    #[arg(long, value_name = "REFERENCE", requires = "caption_endpoint")]
    pub caption_key: Option<String>,
    /// Most requests to the service, repeated ones included.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "caption_endpoint")]
    pub caption_budget: u32,
    /// Limit on one request to the service, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600), requires = "caption_endpoint")]
    pub caption_timeout: u64,
    /// Cut shots into parts of this many seconds, each a clip of its own.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(6..=3600))]
    pub part_seconds: Option<u32>,
    /// Smallest file in bytes; below a million only for tests.
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MIN_CLIP_BYTES, value_parser = clap::value_parser!(u64).range(0..=MAX_CLIP_BYTES))]
    pub min_clip_bytes: u64,
    /// Files that are worked on at the same time; each may take a gigabyte of memory.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// Folder of what is remembered between builds (default: .leoma-build in the corpus).
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Rules file (default: the rules built in).
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Shape of the clips as WIDTHxHEIGHT (default: the rules').
    #[arg(long, value_parser = parse_size)]
    pub size: Option<(u32, u32)>,
    /// Print a report as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Report of `leoma corpus build --json`.
#[derive(Serialize)]
struct Report {
    out: PathBuf,
    #[serde(flatten)]
    build: BuildReport,
    caption_requests: u32,
}

/// Runs `leoma corpus build`.
pub(super) async fn run(args: BuildArgs) -> Result<ExitCode, Failure> {
    let cache = args.cache.clone().unwrap_or_else(|| args.out.join(".leoma-build"));
    let describer = describer(&args, &cache)?;
    let options = options(&args, cache)?;
    let progress = Progress::start();
    let told = |step: Step<'_>| match step {
        Step::Reading(files) => progress.stage("reading", files),
        Step::Cutting(files) => progress.stage("cutting", files),
        Step::Read(name) => progress.step(name),
        Step::Cut(name, clips) => progress.step(&format!("{name}: {clips} new")),
    };
    let built = build(&options, describer.as_ref(), &told).await;
    progress.end();
    let built = built.map_err(|cause| {
        let exit = match cause {
            BuildError::Source(_) | BuildError::Manifest { .. } => Exit::Unreadable,
            BuildError::File { .. } => Exit::Internal,
        };
        Failure::new(exit, cause)
    })?;
    let caption_requests = describer.as_ref().map_or(0, Describer::sent);
    let report = Report { out: args.out, build: built, caption_requests };
    let text = match args.json {
        true => serde_json::to_string_pretty(&report).map_err(anyhow::Error::new)? + "\n",
        false => shown(&report),
    };
    print(&text)?;
    // A corpus without clips is of no use to anybody.
    Ok(if report.build.clips == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn describer(args: &BuildArgs, cache: &Path) -> Result<Option<Describer>, Failure> {
    let (Some(endpoint), Some(model)) = (&args.caption_endpoint, &args.caption_model) else {
        return Ok(None);
    };
    let usage = |cause: anyhow::Error| Failure::new(Exit::Usage, cause);
    let key = args.caption_key.as_deref().map(Secret::of_argument).transpose();
    let options = VisionOptions {
        key: key.map_err(|problem| usage(anyhow!("--caption-key {problem}")))?,
        budget: args.caption_budget,
        answer_within: std::time::Duration::from_secs(args.caption_timeout),
        ..VisionOptions::new(endpoint.clone(), model.as_str(), cache.join("captions"))
    };
    Describer::new(options).map(Some).map_err(|error| usage(error.into()))
}

fn options(args: &BuildArgs, cache: PathBuf) -> Result<BuildOptions, Failure> {
    let source = Shelf::open(&args.source).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    let notes = match &args.captions {
        None => Notes::default(),
        Some(path) => {
            let file = read_whole(path, MAX_CSV_BYTES)?;
            Notes::from_csv(&file).map_err(|cause| unreadable(path, cause))?
        }
    };
    let rules = rules(args.rules.as_deref(), args.size)?;
    Ok(BuildOptions {
        source,
        skip: inside(&args.source, &args.out),
        cache: cache.join("surveys"),
        out: args.out.clone(),
        survey: SurveyOptions { decoder: Arc::new(decoder(&rules)?), rules, part_seconds: args.part_seconds },
        notes,
        licence: args.licence.clone(),
        min_clip_bytes: args.min_clip_bytes,
        jobs: usize::from(args.jobs),
    })
}

/// Name of the corpus inside its own source, when it lies there.
fn inside(source: &str, out: &Path) -> Option<String> {
    let source = std::fs::canonicalize(source.strip_prefix("file://").unwrap_or(source)).ok()?;
    let below = std::path::absolute(out).ok()?;
    // The folder may not be there yet; the one that it will lie in is.
    let below = std::fs::canonicalize(&below)
        .or_else(|_| {
            Ok::<_, std::io::Error>(
                std::fs::canonicalize(below.parent().unwrap_or(&below))?
                    .join(below.file_name().unwrap_or_default()),
            )
        })
        .ok()?;
    let name = below.strip_prefix(&source).ok()?.to_str()?.to_owned();
    (!name.is_empty()).then_some(name)
}

fn shown(report: &Report) -> String {
    let build = &report.build;
    let mut text = String::new();
    for clip in &build.added {
        let by = clip.model.as_ref().map(|model| format!(" ({model})")).unwrap_or_default();
        text.push_str(&format!("added      {}: {}{by}\n", clip.key, clip.caption));
    }
    for out in &build.left_out {
        text.push_str(&format!("left out   {}: {}\n", out.name, out.reason));
    }
    text.push_str(&format!(
        "{} clips in {}, {} of them new; {} left out of {} files; corpus digest {}\n",
        build.clips,
        report.out.join(MANIFEST).display(),
        build.added.len(),
        build.left_out.len(),
        build.sources,
        build.corpus_digest
    ));
    text
}
