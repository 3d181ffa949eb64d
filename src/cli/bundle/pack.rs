//! `leoma bundle pack`: a round of a validator's journal as a signed folder.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::print;
use crate::{
    bundle::{PackError, PackRequest, pack, pack::facts_of},
    cli::{
        Execute, block_on,
        config::ConfigArgs,
        exit::{Exit, Failure, after_help},
        files::read_rules,
        hotkey,
    },
    config::Config,
    corpus::{ClipEntry, Corpus, CorpusOptions},
    decode::{Decoder, DecoderOptions},
    domain::{
        bundle::SourceFacts,
        event::Event,
        ids::{Digest, RoundId},
        plan::RoundPlan,
        rules::ActiveRules,
    },
    store::{journal::Journal, spool::Spool},
};

/// Write an ended round as a signed folder OUT/ROUND, once
///
/// Hotkey, corpus, rules and state folder are those of the configuration. The validator may run meanwhile: its journal is only
/// read. A folder that holds the same document is left as it is; another one is never overwritten. The source clip is left out
/// where a later round may show another part of the same file.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma bundle pack --config validator.toml --round 71234 -o bundles",
    "leoma bundle pack --config validator.toml --state /var/lib/leoma --round 71234 -o /srv/bundles",
))]
pub(super) struct PackCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// The round
    #[arg(long, value_name = "N")]
    round: u64,
    /// State folder of the validator; without it that of the configuration
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder that receives the round's folder
    #[arg(long, short = 'o', value_name = "DIR")]
    out: PathBuf,
}

impl Execute for PackCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        block_on(run(self))??;
        Ok(Exit::Ok.into())
    }
}

async fn run(command: PackCommand) -> Result<(), Failure> {
    let loaded = command.config.load()?;
    let config = &loaded.config;
    let state = command.state.clone().unwrap_or_else(|| config.state.dir.clone());
    let rules = read_rules(config.rules.file.as_deref())?;
    let round = RoundId(command.round);
    let unreadable = |cause: PackError| Failure::new(Exit::Unreadable, cause);
    let read = || {
        let journal = Journal::open_read_only(&state)?;
        let events = journal.events_of(round)?;
        Ok((journal, events))
    };
    let (journal, events) = read().map_err(unreadable)?;
    let planned = events.iter().find_map(|event| match event {
        Event::RoundPlanned { plan } => Some(plan.as_ref()),
        _ => None,
    });
    let temporary = tempfile::tempdir().context("a temporary folder")?;
    let spool = Spool::open(&state.join("spool")).context("state folder")?;
    // Everything that reads pictures is done before the key is read.
    let source = match planned {
        Some(plan) => Some(gather(config, plan, &journal, &rules, temporary.path()).await?),
        None => None,
    };
    let signer = hotkey::signer(config)?.ok_or_else(|| {
        let text = "a bundle is signed: name the hotkey by chain.hotkey_file or --wallet.name";
        Failure::new(Exit::Usage, anyhow!(text))
    })?;
    let facts = facts_of(&journal, round, signer.hotkey(), source).map_err(unreadable)?;
    let files = |digest: &Digest| {
        let places = [spool.path(digest), temporary.path().join(digest.to_string())];
        places.into_iter().find(|path| path.is_file())
    };
    let request = PackRequest { facts, events: &events, rules: &rules, files: &files, out: &command.out };
    let packed = tokio::task::block_in_place(|| pack(&request, &signer)).map_err(|cause| match cause {
        PackError::Io { .. } | PackError::Canonical(_) => Failure::new(Exit::Internal, cause),
        other => unreadable(other),
    })?;
    let there = if packed.was_there { " (was there)" } else { "" };
    print(&format!("{}{there}\ndigest {}\n{} files\n", packed.folder.display(), packed.digest, packed.files))
}

/// Makes the first frame anew from the corpus, and fetches the source clip where it may be published.
async fn gather(
    config: &Config,
    plan: &RoundPlan,
    journal: &Journal,
    rules: &ActiveRules,
    folder: &Path,
) -> Result<SourceFacts, Failure> {
    let unreadable = |cause: crate::corpus::CorpusError| Failure::new(Exit::Unreadable, cause);
    let worker =
        std::env::current_exe().context("finding this program's own file, which decodes as a child")?;
    let decoder = Arc::new(Decoder::new(DecoderOptions::with_worker(worker).under(&rules.rules.limits)));
    let options =
        CorpusOptions { location: config.corpus.location.clone(), manifest: config.corpus.manifest.clone() };
    let corpus = Corpus::open(options, decoder).await.map_err(unreadable)?;
    let prepared = corpus.prepare(&plan.clip, plan.spec).await.map_err(unreadable)?;
    let keep = |digest: &Digest, bytes: &[u8]| {
        std::fs::write(folder.join(digest.to_string()), bytes).context("a temporary file")
    };
    keep(&plan.clip.first_frame_png, &prepared.first_frame_png)?;
    let entry = corpus.clips().iter().find(|entry| entry.key == plan.clip.key);
    let entry = entry
        .ok_or_else(|| unreadable(crate::corpus::CorpusError::Unknown { key: plan.clip.key.clone() }))?;
    let published = journal
        .published_before(RoundId(u64::MAX >> 1))
        .map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    if may_be_published(entry, corpus.clips(), &published) {
        let file = corpus.source_file(entry).await.map_err(unreadable)?;
        keep(&entry.sha256, &file)?;
    }
    Ok(SourceFacts { bytes: entry.bytes, from_ms: entry.from_ms, to_ms: entry.to_ms })
}

/// Whether no round to come can show another part of a clip's file.
fn may_be_published(entry: &ClipEntry, clips: &[ClipEntry], published: &BTreeSet<String>) -> bool {
    let mut shared = clips.iter().filter(|other| other.sha256 == entry.sha256 && other.key != entry.key);
    shared.all(|other| published.contains(&other.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_later_round_may_show_stays_private() {
        let clip = |key: &str, file: u8| ClipEntry {
            key: key.into(),
            file: "f.mp4".into(),
            bytes: 1,
            sha256: Digest([file; 32]),
            caption: "c".into(),
            licence: "l".into(),
            source: "s".into(),
            from_ms: None,
            to_ms: None,
        };
        let clips = [clip("a.mp4", 1), clip("b.mp4", 1), clip("c.mp4", 2)];
        let published = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert!(!may_be_published(&clips[0], &clips, &published(&["a.mp4"])));
        assert!(may_be_published(&clips[0], &clips, &published(&["a.mp4", "b.mp4"])));
        assert!(may_be_published(&clips[2], &clips, &published(&["c.mp4"])));
    }
}
