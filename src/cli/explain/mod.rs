//! `leoma explain`: why a round or the weights came out as they did, and what would have changed that.

mod round;
mod weights;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{
    Execute,
    config::ConfigArgs,
    exit::{Exit, Failure, after_help},
    files::read_rules,
};
use crate::{
    domain::{roster::RosterEntry, rules::ActiveRules},
    store::journal::Journal,
};

/// Say why a round or the weights came out as they did: what decided, by what margin, and what would have changed it
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma explain round 71234 --state state",
    "leoma explain round --bundle bundles/71234",
    "leoma explain weights --config validator.toml",
))]
pub struct ExplainCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Round(round::RoundCommand),
    Weights(weights::WeightsCommand),
}

impl Execute for ExplainCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Round(command) => command.execute()?,
            Action::Weights(command) => command.execute()?,
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
