//! The command line: one file per sub-command.
//!
//! A sub-command is a `clap::Args` type that implements [`Execute`]; its help stands on that type.
//! It plugs in with its `mod` line and one line in [`commands!`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod bundle;
pub mod calibrate;
pub mod chain;
pub mod config;
pub mod corpus;
pub mod decode_worker;
pub mod devnet;
pub mod evaluate;
pub mod exit;
pub mod explain;
pub mod export;
pub mod files;
mod hotkey;
pub mod miner;
pub mod miners;
pub mod models;
mod networks;
pub mod replay;
pub mod publishing;
mod run;
pub mod score;
pub mod selftest;
pub mod sim;

use crate::telemetry::build;
use exit::{Exit, Failure, after_help};

/// A sub-command. It makes its own async runtime if it needs one ([`block_on`]), so that a
/// decode child starts without.
pub trait Execute {
    /// Runs to the end of the command.
    fn execute(self) -> Result<ExitCode, Failure>;
}

/// Validator for Leoma (Bittensor netuid 99), a winner-take-all tournament for AI video
#[derive(Parser)]
#[command(name = "leoma", version = build::describe(), propagate_version = false, after_help = after_help!(
    "leoma config example > validator.toml",
    "leoma run --config validator.toml",
))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

macro_rules! commands {
    ($($(#[$meta:meta])* $variant:ident($arguments:ty)),+ $(,)?) => {
        #[derive(Subcommand)]
        enum Command {
            $($(#[$meta])* $variant($arguments)),+
        }

        impl Execute for Command {
            fn execute(self) -> Result<ExitCode, Failure> {
                match self {
                    $(Command::$variant(arguments) => arguments.execute()),+
                }
            }
        }
    };
}

commands! {
    Run(run::RunCommand),
    Config(config::ConfigCommand),
    Chain(chain::ChainCommand),
    Miner(miner::MinerCommand),
    Miners(miners::MinersArgs),
    Devnet(devnet::DevnetArgs),
    Corpus(corpus::CorpusArgs),
    Bundle(bundle::BundleCommand),
    Replay(replay::ReplayCommand),
    Export(export::ExportCommand),
    Explain(explain::ExplainCommand),
    Models(models::ModelsCommand),
    Score(score::ScoreCommand),
    Evaluate(evaluate::EvaluateCommand),
    Calibrate(calibrate::CalibrateCommand),
    Sim(sim::SimCommand),
    Selftest(selftest::SelfTestCommand),
    #[command(hide = true)]
    DecodeWorker(decode_worker::DecodeWorkerCommand),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) => {
            // Help and version come this way too, with code 0. A closed pipe is no news.
            let _: std::io::Result<()> = shown.print();
            return if shown.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    cli.command.execute().unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        failure.exit().into()
    })
}

/// Runs a future to its end on a multi-thread runtime of its own.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::new(Exit::Internal, anyhow::Error::new(error).context("starting the async runtime"))
    })?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_people_see_has_an_example_and_the_exit_codes() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  leoma"), "{path} has no example");
            assert!(help.contains(exit::CODES), "{path} does not say its exit codes");
            assert!(command.get_about().is_some(), "{path} does not say what it does");
            let visible = |child: &&clap::Command| !child.is_hide_set() && child.get_name() != "help";
            command.get_subcommands().filter(visible).for_each(|child| walk(child, &path));
        }
        walk(&Cli::command(), "");
    }
}
