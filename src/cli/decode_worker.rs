//! `leoma decode-worker` (hidden): the child process that decodes one untrusted file.
//!
//! Reads one request on stdin, writes records on stdout, ends. Only [`crate::decode::Decoder`]
//! starts it; it runs before any async runtime, log or configuration is set up, so that there is
//! nothing in the process to steal.

use std::process::ExitCode;

use clap::Args;

use super::{Execute, exit::Failure};

/// Decode one file as a child of the validator
#[derive(Args)]
pub struct DecodeWorkerCommand {}

impl Execute for DecodeWorkerCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        Ok(crate::decode::serve())
    }
}
