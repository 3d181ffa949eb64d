//! How a command ends: exit codes, and failures with one.

use std::{fmt, process::ExitCode};

use crate::config::ConfigErrors;

/// Exit codes of every command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something failed that is not the caller's doing.
    Internal = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// An input could not be read.
    Unreadable = 3,
    /// A check found that something in force no longer holds.
    Drift = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A failed command: why, and with which code the process ends.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    cause: anyhow::Error,
}

impl Failure {
    /// A failure that ends the process with `exit`.
    pub fn new(exit: Exit, cause: impl Into<anyhow::Error>) -> Self {
        Self { exit, cause: cause.into() }
    }

    /// The code that the process ends with.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.cause)
    }
}

/// Whatever a command passes up with `?` is internal unless it says otherwise.
impl From<anyhow::Error> for Failure {
    fn from(cause: anyhow::Error) -> Self {
        Self::new(Exit::Internal, cause)
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let exit = if errors.is_unreadable() { Exit::Unreadable } else { Exit::Usage };
        Self::new(exit, errors)
    }
}

/// The exit codes as they end every `--help`.
pub const CODES: &str = "\
Exit codes: 0 done, 1 internal failure, 2 wrong usage or configuration, 3 an input cannot be read";

/// `examples` and the exit codes, for `#[command(after_help = ...)]`.
macro_rules! after_help {
    ($($example:literal),+ $(,)?) => {
        concat!(
            "Examples:\n",
            $("  ", $example, "\n",)+
            "\nExit codes: 0 done, 1 internal failure, 2 wrong usage or configuration, 3 an input cannot be read"
        )
    };
}
pub(crate) use after_help;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_ends_with_the_codes() {
        assert!(after_help!("leoma x").ends_with(CODES));
    }
}
