//! `leoma corpus publish`, `open` and `check-opening`: commit to a corpus beforehand, open a clip later.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        evaluate::progress::print,
        exit::{Exit, Failure, after_help},
        files::{read_whole, unreadable},
    },
    corpus::{
        Manifest, location,
        manifest::MAX_MANIFEST_BYTES,
        publish::{
            PublishError, Published, SECRET_FILE, commitment, opening_of, publish, read_secret, secret,
        },
        shelf::Shelf,
    },
    domain::{
        corpus_commitment::{ClipOpening, CorpusCommitment, MAX_COMMITMENT_BYTES, MAX_ENTRY_BYTES},
        ids::Digest,
    },
};

/// Where a manifest and its secret lie.
#[derive(Args, Debug)]
pub struct CorpusPlace {
    /// Folder (path or file:// address) or bucket (s3://) that holds the corpus.
    #[arg(long)]
    pub corpus: String,
    /// Name of the manifest in it.
    #[arg(long, default_value = "corpus.toml")]
    pub manifest: String,
    /// File with the secret of the salts (default: corpus.secret in the corpus' folder).
    #[arg(long, value_name = "FILE")]
    pub secret: Option<PathBuf>,
}

/// Publish salted digests of all clips, so that nobody learns which will come and everybody can check later.
///
/// Writes one file, corpus-commitments/DIGEST.json, once, and nothing else: no clip, no caption, no key. The salts come from
/// a secret that is made when there is none. Keep it: without it no clip can be opened. With --corpus in a bucket,
/// --secret names a local file.
#[derive(Args, Debug)]
#[command(after_help = after_help!(
    "leoma corpus publish --corpus corpus --to s3://bucket/leoma",
    "leoma corpus publish --corpus corpus --to /srv/public --json",
))]
pub struct PublishArgs {
    /// The corpus.
    #[command(flatten)]
    pub place: CorpusPlace,
    /// Folder (made if missing) or bucket (s3://bucket/prefix) where it is published.
    #[arg(long, value_name = "PLACE")]
    pub to: String,
    /// Print a report as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Print what opens one clip of the published commitment; for the artifacts of a round that has closed.
#[derive(Args, Debug)]
#[command(after_help = after_help!("leoma corpus open --corpus corpus --clip night-2.mp4 > clip_opening.json"))]
pub struct OpenArgs {
    /// The corpus.
    #[command(flatten)]
    pub place: CorpusPlace,
    /// Key of the clip. Whoever sees the opening knows the clip: give it away when its round has closed.
    #[arg(long, value_name = "KEY")]
    pub clip: String,
}

/// Check that an opening fits a published commitment; code 4 says that it does not.
#[derive(Args, Debug)]
#[command(after_help = after_help!("leoma corpus check-opening commitment.json clip_opening.json"))]
pub struct CheckArgs {
    /// The published commitment.
    pub commitment: PathBuf,
    /// What opens one of its clips.
    pub opening: PathBuf,
}

/// Report of `leoma corpus publish --json`.
#[derive(Serialize)]
struct PublishReport {
    name: String,
    commitment: Digest,
    clips: usize,
    written: bool,
}

impl CorpusPlace {
    async fn read(&self) -> Result<Manifest, Failure> {
        let unreadable = |cause: anyhow::Error| Failure::new(Exit::Unreadable, cause);
        let shelf = Shelf::open(&self.corpus).map_err(|cause| unreadable(cause.into()))?;
        let file = shelf.read_bounded(&self.manifest, MAX_MANIFEST_BYTES as u64).await;
        let file = file.map_err(|cause| unreadable(cause.into()))?;
        Manifest::parse(&file).map_err(|cause| unreadable(cause.into()))
    }

    fn secret_file(&self) -> Result<PathBuf, Failure> {
        match (&self.secret, self.corpus.strip_prefix("file://")) {
            (Some(file), _) => Ok(file.clone()),
            (None, Some(folder)) => Ok(Path::new(folder).join(SECRET_FILE)),
            (None, None) if self.corpus.contains("://") => {
                let cause = anyhow!("--corpus is a bucket: name a local file for the secret by --secret");
                Err(Failure::new(Exit::Usage, cause))
            }
            (None, None) => Ok(Path::new(&self.corpus).join(SECRET_FILE)),
        }
    }
}

/// Runs `leoma corpus publish`.
pub(super) async fn run(args: PublishArgs) -> Result<ExitCode, Failure> {
    let secret_file = args.place.secret_file()?;
    let manifest = args.place.read().await?;
    if !args.to.contains("://") {
        std::fs::create_dir_all(&args.to).map_err(|cause| unreadable(Path::new(&args.to), cause))?;
    }
    let store = location::open(&args.to).map_err(|cause| Failure::new(Exit::Usage, cause))?;
    let secret = secret(&secret_file).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    let made = commitment(&manifest, &secret);
    let (name, state) = publish(store.as_ref(), &made).await.map_err(|cause| match cause {
        PublishError::Taken { .. } => Failure::new(Exit::Drift, cause),
        PublishError::Storage { .. } => Failure::new(Exit::Internal, cause),
    })?;
    let report = PublishReport {
        name: name.to_string(),
        commitment: made.digest(),
        clips: made.clips.len(),
        written: state == Published::Now,
    };
    print(&match args.json {
        true => serde_json::to_string_pretty(&report).map_err(anyhow::Error::new)? + "\n",
        false => format!(
            "{} {}: salted digests of {} clips; the secret is in {}, keep a copy and show it to nobody\n",
            if report.written { "wrote" } else { "was there before:" },
            report.name,
            report.clips,
            secret_file.display()
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `leoma corpus open`.
pub(super) async fn open(args: OpenArgs) -> Result<ExitCode, Failure> {
    let secret_file = args.place.secret_file()?;
    let manifest = args.place.read().await?;
    let secret = read_secret(&secret_file).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    let opening = opening_of(&manifest, &secret, &args.clip).ok_or_else(|| {
        Failure::new(Exit::Usage, anyhow!("the manifest has no clip `{}`: look at its keys", args.clip))
    })?;
    print(&(serde_json::to_string_pretty(&opening).map_err(anyhow::Error::new)? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `leoma corpus check-opening`.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let file = read_whole(&args.commitment, MAX_COMMITMENT_BYTES as u64)?;
    let made = CorpusCommitment::parse(&file).map_err(|cause| unreadable(&args.commitment, cause))?;
    let file = read_whole(&args.opening, MAX_ENTRY_BYTES as u64 * 2)?;
    let opening: ClipOpening =
        serde_json::from_slice(&file).map_err(|cause| unreadable(&args.opening, cause))?;
    let clip = made.verify(&opening).map_err(|cause| Failure::new(Exit::Drift, cause))?;
    print(&format!(
        "opens position {}: {} (sha256 {}): {}\n",
        opening.position, clip.key, clip.sha256, clip.caption
    ))?;
    Ok(ExitCode::SUCCESS)
}
