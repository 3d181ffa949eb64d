//! `leoma bundle`: a round's signed folder, written, shown and verified.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{
    Execute, block_on,
    exit::{Exit, Failure, after_help},
};
use crate::bundle::{FetchError, Opened, verify};

mod pack;
mod show;

/// The schema of `round.json`.
pub const ROUND_SCHEMA: &str = include_str!("../../../docs/round.schema.json");

/// Pack, show or verify a round's bundle: everything that its verdicts rest on, signed by the validator
///
/// docs/bundle.md describes the folder, the canonical form and the signature. `leoma replay` judges a bundle anew.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma bundle pack --config validator.toml --round 71234 -o bundles",
    "leoma bundle verify bundles/71234",
    "leoma bundle show https://bucket.example.org/71234/round.json",
))]
pub struct BundleCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Pack(Box<pack::PackCommand>),
    Show(show::ShowCommand),
    Verify(VerifyCommand),
    Schema(SchemaCommand),
}

impl Execute for BundleCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Pack(command) => command.execute(),
            Action::Show(command) => command.execute(),
            Action::Verify(command) => command.execute(),
            Action::Schema(command) => command.execute(),
        }
    }
}

/// Verify a bundle: its signature, every file's digest, and everything that follows from the record without decoding
///
/// A bundle that does not hold ends with code 4 and says in which part: form, signature, file or record. A document without its
/// validator's signature never holds. Clips are not decoded: `leoma replay` does that.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma bundle verify bundles/71234",
    "leoma bundle verify bundles/71234/round.json",
    "leoma bundle verify https://bucket.example.org/71234 --json | jq .problems",
))]
struct VerifyCommand {
    /// Its folder, its round.json, or the http(s) address of either
    #[arg(value_name = "FILE|FOLDER|URL")]
    bundle: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Execute for VerifyCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let found = block_on(verify::verify_at(&self.bundle))?.map_err(unreadable)?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&found).map_err(internal)?))?;
        } else {
            let mut text = String::new();
            if let (Some(round), Some(validator), Some(digest)) = (found.round, found.validator, found.digest)
            {
                text += &format!("round {round} of {validator}\ndigest {digest}\n{} files\n", found.files);
            }
            found.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
            for problem in &found.problems {
                let part = format!("{:?}", problem.part).to_lowercase();
                text += &format!("{part}: {}: {}\n", printable(&problem.what), printable(&problem.detail));
            }
            text += if found.holds() { "holds\n" } else { "does not hold\n" };
            print(&text)?;
        }
        Ok(if found.holds() { Exit::Ok } else { Exit::Drift }.into())
    }
}

/// Print the JSON schema of round.json
#[derive(Args)]
#[command(after_help = after_help!("leoma bundle schema > round.schema.json"))]
struct SchemaCommand {}

impl Execute for SchemaCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        print(ROUND_SCHEMA)?;
        Ok(Exit::Ok.into())
    }
}

/// Opens a bundle for a command.
pub(super) async fn open(location: &str) -> Result<Opened, Failure> {
    Opened::open(location).await.map_err(unreadable)
}

/// That a bundle or a file of it cannot be had.
pub(super) fn unreadable(cause: FetchError) -> Failure {
    Failure::new(Exit::Unreadable, cause)
}

pub(super) fn internal(cause: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::Internal, cause)
}

/// Prints to standard output; a reader that has seen enough is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(internal(anyhow!("standard output: {cause}")))
        }
        _ => Ok(()),
    }
}

/// Text of a document that others wrote: nothing of it may steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
