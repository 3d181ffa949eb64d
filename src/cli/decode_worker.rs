//! `leoma decode-worker` (hidden): the child process that decodes one untrusted file.
//!
//! Reads one request on stdin, writes records on stdout, ends. Only [`crate::decode::Decoder`]
//! starts it; it must run before any async runtime, log or configuration is set up, so that there
//! is nothing in the process to steal.

use std::process::ExitCode;

/// Serves one request and ends.
pub fn run() -> ExitCode {
    crate::decode::serve()
}
