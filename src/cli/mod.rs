//! The command line: one file per sub-command.

pub mod corpus;
pub mod decode_worker;

use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Before anything else of the process is set up: the worker meets hostile bytes.
    if std::env::args_os().nth(1).is_some_and(|command| command == "decode-worker") {
        return decode_worker::run();
    }
    ExitCode::SUCCESS
}
