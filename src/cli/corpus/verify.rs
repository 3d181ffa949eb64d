//! `leoma corpus verify`: every clip still is what the manifest says, and rounds can use it.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use serde::Serialize;

use super::{parse_size, rules};
use crate::{
    cli::{
        evaluate::{
            decoder,
            progress::{Progress, print},
        },
        exit::{Exit, Failure, after_help},
    },
    corpus::{
        ClipEntry, Corpus, CorpusError, CorpusOptions, Usability, audit::Difference, judging::judges_motion,
        shelf::ShelfError,
    },
    domain::{
        ids::{BlockHash, Digest},
        rules::Rules,
    },
};

/// Check every clip: present, the right digests, decoded as when it was built, with a usable window.
///
/// What the manifest pins is derived anew: size and sha256 of the file, the pinned window, the digest of its decoded
/// frames. Exit code 4 says that something differs, 1 that rounds cannot use some clip.
#[derive(Args, Debug)]
#[command(after_help = after_help!(
    "leoma corpus verify --corpus corpus",
    "leoma corpus verify --corpus s3://bucket/corpus --json | jq .usable",
))]
pub struct VerifyArgs {
    /// Folder (path or file:// address) or bucket (s3://) that holds the clips.
    #[arg(long)]
    pub corpus: String,
    /// Name of the manifest in the folder.
    #[arg(long, default_value = "corpus.toml")]
    pub manifest: String,
    /// Block hash that seeds the windows.
    #[arg(long, default_value = "0x0000000000000000000000000000000000000000000000000000000000000000")]
    pub block: BlockHash,
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

/// Report of `leoma corpus verify --json`.
#[derive(Serialize)]
struct VerifyReport {
    corpus: String,
    corpus_digest: Digest,
    block: BlockHash,
    usable: usize,
    differing: usize,
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
    Altered { reason: String },
    Differs { differences: Vec<Difference> },
    Broken { reason: String },
}

impl ClipState {
    fn is_usable(&self) -> bool {
        matches!(self, ClipState::Usable { .. })
    }

    fn differs(&self) -> bool {
        matches!(self, ClipState::Altered { .. } | ClipState::Differs { .. })
    }
}

/// Runs `leoma corpus verify`.
pub(super) async fn run(args: VerifyArgs) -> Result<ExitCode, Failure> {
    let options = CorpusOptions { location: args.corpus.clone(), manifest: args.manifest.clone() };
    let rules = rules(args.rules.as_deref(), args.size)?;
    let corpus = Corpus::open(options, Arc::new(decoder(&rules)?))
        .await
        .map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    let progress = Progress::start();
    progress.stage("clips", corpus.len());
    let mut clips = Vec::with_capacity(corpus.len());
    for entry in corpus.clips() {
        let state = match check(&corpus, entry, &args.block, &rules).await {
            Ok(state) => state,
            Err(CorpusError::Shelf(error @ (ShelfError::Content { .. } | ShelfError::Size { .. }))) => {
                ClipState::Altered { reason: error.to_string() }
            }
            Err(error) => ClipState::Broken { reason: error.to_string() },
        };
        progress.step(&entry.key);
        clips.push(ClipReport { key: entry.key.clone(), caption: entry.caption.clone(), state });
    }
    progress.end();
    let report = VerifyReport {
        corpus: args.corpus,
        corpus_digest: corpus.digest(),
        block: args.block,
        usable: clips.iter().filter(|clip| clip.state.is_usable()).count(),
        differing: clips.iter().filter(|clip| clip.state.differs()).count(),
        clips,
    };
    let text = match args.json {
        true => serde_json::to_string_pretty(&report).map_err(anyhow::Error::new)? + "\n",
        false => shown(&report),
    };
    print(&text)?;
    Ok(match report {
        VerifyReport { differing: 1.., .. } => Exit::Drift.into(),
        VerifyReport { usable, ref clips, .. } if usable < clips.len() || usable == 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

async fn check(
    corpus: &Corpus,
    entry: &ClipEntry,
    block: &BlockHash,
    rules: &Rules,
) -> Result<ClipState, CorpusError> {
    let differences = corpus.differences(entry).await?;
    if !differences.is_empty() {
        return Ok(ClipState::Differs { differences });
    }
    let window = match corpus.inspect(entry, block, rules.request).await? {
        Usability::Usable(window) => window,
        Usability::NoWindow(reason) => return Ok(ClipState::NoWindow { reason: reason.to_string() }),
        Usability::Refused(reason) => return Ok(ClipState::Refused { reason }),
    };
    let others = corpus.clips().iter().map(|clip| clip.key.clone()).filter(|key| *key != entry.key).collect();
    let mut alone = corpus.candidates(block, rules.request).without(&others);
    if let Some(candidate) = alone.next().await?
        && !judges_motion(&candidate.prepare().await?, rules).await?
    {
        let reason = "moves too little, beyond pans and layers, to judge the motion of others".into();
        return Ok(ClipState::TooStill { reason });
    }
    Ok(ClipState::Usable {
        window_start_us: window.start_us,
        last_source_frame: window.frames.last().copied().unwrap_or_default(),
    })
}

fn shown(report: &VerifyReport) -> String {
    let mut text: String = report.clips.iter().map(line).collect();
    text.push_str(&format!(
        "{} of {} clips usable, {} differ from the manifest, corpus digest {}\n",
        report.usable,
        report.clips.len(),
        report.differing,
        report.corpus_digest
    ));
    text
}

fn line(report: &ClipReport) -> String {
    let key = &report.key;
    match &report.state {
        ClipState::Usable { window_start_us, .. } => {
            let (seconds, milli) = (window_start_us / 1_000_000, window_start_us / 1_000 % 1_000);
            format!("usable     {key}: a window from {seconds}.{milli:03} s: {}\n", report.caption)
        }
        ClipState::TooStill { reason } => format!("too still  {key}: {reason}\n"),
        ClipState::NoWindow { reason } => format!("no window  {key}: {reason}\n"),
        ClipState::Refused { reason } => format!("refused    {key}: {reason}\n"),
        ClipState::Altered { reason } => format!("altered    {key}: {reason}\n"),
        ClipState::Differs { differences } => {
            differences.iter().map(|difference| format!("differs    {key}: {difference}\n")).collect()
        }
        ClipState::Broken { reason } => format!("broken     {key}: {reason}\n"),
    }
}
