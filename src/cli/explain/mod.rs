//! `leoma explain`: why a round, the weights or a miner's standing came out as they did, and what would have changed that.

mod round;
mod weights;

use std::{path::PathBuf, process::ExitCode};

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{
    Execute,
    config::ConfigArgs,
    exit::{Exit, Failure, after_help},
    files::read_rules,
    miners::explain_hotkey,
};
use crate::{
    domain::{ids::Hotkey, roster::RosterEntry, rules::ActiveRules},
    store::journal::Journal,
};

/// Say why a round or the weights came out as they did, or why a miner is valid or not, and what would have changed it
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true, after_help = after_help!(
    "leoma explain round 71234 --state state",
    "leoma explain round --bundle bundles/71234",
    "leoma explain weights --config validator.toml",
    "leoma explain 5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX --config validator.toml",
))]
pub struct ExplainCommand {
    /// A miner's hotkey: why it is valid or not in this validator's eyes, and what it can do about it
    hotkey: Option<Hotkey>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    Round(round::RoundCommand),
    Weights(weights::WeightsCommand),
}

impl Execute for ExplainCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        match (self.action, self.hotkey) {
            (Some(Action::Round(command)), _) => command.execute()?,
            (Some(Action::Weights(command)), _) => command.execute()?,
            (None, Some(hotkey)) => explain_hotkey(&self.config.load()?.config, &hotkey, self.json)?,
            (None, None) => {
                let text = "say what: a miner's hotkey, `round` or `weights`";
                return Err(Failure::new(Exit::Usage, anyhow!(text)));
            }
        }
        Ok(Exit::Ok.into())
    }
}

/// Where a validator's journal lies, and its rules.
#[derive(Args)]
struct StateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// State folder of the validator; without it that of the configuration
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateArgs {
    fn open(&self) -> Result<(Journal, ActiveRules), Failure> {
        let loaded = self.config.load()?;
        let rules = read_rules(loaded.config.rules.file.as_deref())?;
        let state = self.state.as_deref().unwrap_or(&loaded.config.state.dir);
        let journal =
            Journal::open_read_only(state).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
        Ok((journal, rules))
    }
}

/// A miner by slot and key.
fn name_of(entry: &RosterEntry) -> String {
    format!("uid {} {}", entry.uid, entry.hotkey.short())
}
