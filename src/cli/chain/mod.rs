//! `leoma chain`: how this validator stands with the chain.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    Execute,
    exit::{Failure, after_help},
};

mod doctor;
mod findings;

/// Look at the chain as this validator does
#[derive(Args)]
#[command(after_help = after_help!("leoma chain doctor --config validator.toml"))]
pub struct ChainCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Doctor(doctor::DoctorArgs),
}

impl Execute for ChainCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Doctor(args) => args.execute(),
        }
    }
}
