//! Everything that is wrong with a configuration, at once.

use std::{fmt, path::PathBuf};

use super::{origin::Origin, value::Problem};

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}:{column}: not valid TOML: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What the parser expected. The line itself is not repeated: it may hold a secret.
        problem: String,
    },
    /// A key that means nothing here.
    #[error("{origin}: unknown key `{key}`{}", hint(.suggestion))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key as written.
        key: String,
        /// The known key that looks most like it.
        suggestion: Option<String>,
    },
    /// A section's name with something else than a table.
    #[error("{origin}: `{key}` is a section: write [{key}] and its keys below")]
    NotASection {
        /// Where it stands.
        origin: Origin,
        /// The section.
        key: String,
    },
    /// A value of the wrong type, out of range, or that refers to something missing.
    #[error("{origin}: `{key}`: {problem}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: Problem,
    },
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// All that is wrong with a configuration; never empty.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// Whether the trouble is a file that could not be read, rather than what stands in it.
    pub fn is_unreadable(&self) -> bool {
        self.0.iter().any(|error| matches!(error, ConfigError::Unreadable { .. }))
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} error{}:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
