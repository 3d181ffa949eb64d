//! `leoma models`: get the pinned files of weights, show them, check them.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use leoma_embed::{
    EmbedError,
    manifest::{Manifest, ModelPin, default_folder},
};
use serde::Serialize;

use super::{
    Execute, block_on,
    exit::{Exit, Failure, after_help},
};

mod fetch;

/// Get the weights of the embedding models, show and check them
#[derive(Args, Debug)]
#[command(after_help = after_help!("leoma models fetch", "leoma models verify"))]
pub struct ModelsCommand {
    /// What to do.
    #[command(subcommand)]
    pub command: ModelsAction,
}

/// What to do with models.
#[derive(Subcommand, Debug)]
pub enum ModelsAction {
    /// Download what is missing, resuming where a download stopped
    #[command(after_help = after_help!("leoma models fetch", "leoma models fetch clip-vit-base-patch32 --dir models"))]
    Fetch(ModelsArgs),
    /// Show the pinned models and whether they are there
    #[command(after_help = after_help!("leoma models list --json | jq .models"))]
    List(ModelsArgs),
    /// Check every byte of the models that are there; missing defaults are a failure
    #[command(after_help = after_help!("leoma models verify", "leoma models verify mobilenetv2-embedder --json"))]
    Verify(ModelsArgs),
}

/// Which models, and where.
#[derive(Args, Debug)]
pub struct ModelsArgs {
    /// Names of models; without any, the defaults (`list`: all).
    pub names: Vec<String>,
    /// Folder of the models [default: `models` in LEOMA_CACHE or in `leoma` of the user's cache folder]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Print a report as JSON on stdout.
    #[arg(long)]
    pub json: bool,
}

impl ModelsArgs {
    fn folder(&self) -> Result<PathBuf, Failure> {
        self.dir.clone().or_else(default_folder).ok_or_else(|| {
            Failure::new(Exit::Usage, anyhow::anyhow!("no cache folder is known: set HOME or pass --dir"))
        })
    }

    /// The models by name; without names those that `otherwise` picks.
    fn choose(
        &self,
        manifest: &Manifest,
        otherwise: impl Fn(&ModelPin) -> bool,
    ) -> Result<Vec<ModelPin>, Failure> {
        if self.names.is_empty() {
            return Ok(manifest.models.iter().filter(|model| otherwise(model)).cloned().collect());
        }
        let known = || manifest.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let find = |name: &String| {
            manifest.model(name).cloned().map_err(|_| {
                Failure::new(
                    Exit::Usage,
                    anyhow::anyhow!("there is no model `{name}`; there are {}", known()),
                )
            })
        };
        self.names.iter().map(find).collect()
    }
}

/// Report of every `leoma models ... --json`.
#[derive(Serialize)]
struct Report {
    folder: PathBuf,
    models: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    #[serde(rename = "use")]
    purpose: String,
    default: bool,
    file: String,
    bytes: u64,
    sha256: String,
    licence: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What is known of a file.
#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Every byte as pinned.
    Verified,
    /// Got just now, every byte as pinned.
    Fetched,
    /// There, with the pinned size; its bytes were not read.
    Present,
    /// Not there.
    Missing,
    /// There, but not the pinned file.
    Broken,
    /// It could not be got.
    Failed,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Fetched => "fetched",
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Broken => "broken",
            Self::Failed => "failed",
        }
    }
}

impl Line {
    fn new(model: &ModelPin, state: State, reason: Option<String>) -> Self {
        Self {
            name: model.name.clone(),
            purpose: model.purpose.clone(),
            default: model.default,
            file: model.file.clone(),
            bytes: model.bytes,
            sha256: model.sha256.clone(),
            licence: model.licence.clone(),
            state,
            reason,
        }
    }
}

impl Report {
    /// Prints the report; the exit code is 0 when every line satisfies `good`.
    fn finish(self, json: bool, good: impl Fn(&Line) -> bool) -> Result<ExitCode, Failure> {
        let all = self.models.iter().all(good);
        if json {
            println!("{}", serde_json::to_string_pretty(&self).context("the report")?);
        } else {
            println!("models in {}", self.folder.display());
            for line in &self.models {
                let default = if line.default { "" } else { " (optional)" };
                let state = line.state.word();
                println!(
                    "{state:9} {}{default}: {} bytes, {}; for {}",
                    line.name, line.bytes, line.licence, line.purpose
                );
                if let Some(reason) = &line.reason {
                    println!("          {reason}");
                }
            }
        }
        Ok(if all { ExitCode::SUCCESS } else { Exit::Internal.into() })
    }
}

/// Reads the whole file.
fn verified(model: &ModelPin, folder: &std::path::Path) -> Line {
    match model.verify(folder) {
        Ok(_) => Line::new(model, State::Verified, None),
        Err(EmbedError::Missing { .. }) => Line::new(model, State::Missing, None),
        Err(error) => Line::new(model, State::Broken, Some(error.to_string())),
    }
}

/// Looks at the size only.
fn present(model: &ModelPin, folder: &std::path::Path) -> Line {
    match std::fs::metadata(model.path(folder)) {
        Ok(metadata) if metadata.len() == model.bytes => Line::new(model, State::Present, None),
        Ok(metadata) => Line::new(model, State::Broken, Some(format!("it has {} bytes", metadata.len()))),
        Err(_) => Line::new(model, State::Missing, None),
    }
}

impl Execute for ModelsCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let manifest = Manifest::embedded().context("the pinned models")?;
        match self.command {
            ModelsAction::List(args) => {
                let folder = args.folder()?;
                let models = args.choose(&manifest, |_| true)?;
                let models = models.iter().map(|model| present(model, &folder)).collect();
                Report { folder, models }.finish(args.json, |_| true)
            }
            ModelsAction::Verify(args) => {
                let folder = args.folder()?;
                // An optional model may be missing, but not wrong.
                let optional = |model: &ModelPin| model.default || model.path(&folder).exists();
                let models = args.choose(&manifest, optional)?;
                let models = models.iter().map(|model| verified(model, &folder)).collect();
                Report { folder, models }.finish(args.json, |line| line.state == State::Verified)
            }
            ModelsAction::Fetch(args) => {
                let folder = args.folder()?;
                let models = args.choose(&manifest, |model| model.default)?;
                let models = block_on(fetch::all(models, &folder))??;
                let good = |line: &Line| matches!(line.state, State::Verified | State::Fetched);
                Report { folder, models }.finish(args.json, good)
            }
        }
    }
}
