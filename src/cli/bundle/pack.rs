//! `leoma bundle pack`: a round of a validator's journal as a signed folder.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::print;
use crate::{
    bundle::{
        PackError,
        gather::gather,
        packer::{Ingredients, recorded},
    },
    cli::{
        Execute, block_on,
        config::ConfigArgs,
        exit::{Exit, Failure, after_help},
        files::read_rules,
        hotkey,
    },
    config::Config,
    corpus::{Corpus, CorpusOptions},
    decode::{Decoder, DecoderOptions},
    domain::{ids::RoundId, rules::ActiveRules},
    store::spool::Spool,
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
    let recorded = recorded(&state, round).map_err(unreadable)?;
    let temporary = tempfile::tempdir().context("a temporary folder")?;
    // Everything that reads pictures is done before the key is read.
    let source = match &recorded.plan {
        Some(plan) => {
            let corpus = corpus(config, &rules).await?;
            let gathered = gather(&corpus, plan, &recorded.published, temporary.path());
            Some(gathered.await.map_err(|cause| Failure::new(Exit::Unreadable, cause))?)
        }
        None => None,
    };
    let signer = hotkey::signer(config)?.ok_or_else(|| {
        let text = "a bundle is signed: name the hotkey by chain.hotkey_file or --wallet.name";
        Failure::new(Exit::Usage, anyhow!(text))
    })?;
    let ingredients = Ingredients {
        spool: Spool::open(&state.join("spool")).context("state folder")?,
        state_dir: state,
        gathered: temporary.path().to_owned(),
        rules: Arc::new(rules),
        out: command.out,
    };
    let packing = || ingredients.assemble(round, &recorded, source, &signer);
    let packed = tokio::task::block_in_place(packing).map_err(|cause| match cause {
        PackError::Io { .. } | PackError::Canonical(_) => Failure::new(Exit::Internal, cause),
        other => unreadable(other),
    })?;
    let there = if packed.was_there { " (was there)" } else { "" };
    print(&format!("{}{there}\ndigest {}\n{} files\n", packed.folder.display(), packed.digest, packed.files))
}

async fn corpus(config: &Config, rules: &ActiveRules) -> Result<Corpus, Failure> {
    let worker =
        std::env::current_exe().context("finding this program's own file, which decodes as a child")?;
    let decoder = Arc::new(Decoder::new(DecoderOptions::with_worker(worker).under(&rules.rules.limits)));
    let options =
        CorpusOptions { location: config.corpus.location.clone(), manifest: config.corpus.manifest.clone() };
    Corpus::open(options, decoder).await.map_err(|cause| Failure::new(Exit::Unreadable, cause))
}
