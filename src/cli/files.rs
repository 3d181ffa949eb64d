//! Files that a command line names: opened without waiting, read up to a limit.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use bytes::Bytes;

use super::exit::{Exit, Failure};
use crate::domain::rules::{ActiveRules, EMBEDDED_RULES};

/// Most bytes of a rules file.
const MAX_RULES_BYTES: u64 = 1 << 20;

/// A file's content, or that it is larger than may be read.
pub enum Content {
    /// The whole file.
    Whole(Bytes),
    /// It has more bytes than the limit.
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    let facts = std::fs::metadata(path)?;
    match facts.is_file() {
        true => Ok((File::open(path)?, facts.len())),
        false => Err(io::Error::other("is not a regular file")),
    }
}

/// That a file cannot be used, and why.
pub fn unreadable(path: &Path, cause: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unreadable, anyhow!("{}: {cause}", path.display()))
}

/// Opens and closes every path.
///
/// # Errors
/// Names every path that cannot be opened.
pub fn check_open<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<(), Failure> {
    let refused: Vec<String> = paths
        .filter_map(|path| open(path).err().map(|cause| format!("cannot open {}: {cause}", path.display())))
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Unreadable, anyhow!("{}", refused.join("; ")))),
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be opened or read.
pub fn read(path: &Path, limit: u64) -> Result<Content, Failure> {
    let failed = |cause: io::Error| unreadable(path, cause);
    let (file, bytes) = open(path).map_err(failed)?;
    if bytes > limit {
        return Ok(Content::TooLarge { bytes });
    }
    let mut content = Vec::with_capacity(bytes as usize);
    file.take(limit + 1).read_to_end(&mut content).map_err(failed)?;
    // A file that grows while it is read.
    let bytes = content.len() as u64;
    Ok(if bytes > limit { Content::TooLarge { bytes } } else { Content::Whole(content.into()) })
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be opened or read, or has more bytes.
pub fn read_whole(path: &Path, limit: u64) -> Result<Bytes, Failure> {
    match read(path, limit)? {
        Content::Whole(content) => Ok(content),
        Content::TooLarge { bytes } => {
            Err(unreadable(path, format!("has {bytes} bytes, at most {limit} are read")))
        }
    }
}

/// Text of a rules file, or of the one built in.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn rules_text(path: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = path else { return Ok(EMBEDDED_RULES.to_owned()) };
    let content = read_whole(path, MAX_RULES_BYTES)?;
    let text = std::str::from_utf8(&content).map_err(|_| unreadable(path, "is not UTF-8 text"))?;
    Ok(text.to_owned())
}

/// Writes a file through a temporary neighbour, so that its name never shows half of it; readable by all.
///
/// # Errors
/// When its folder does not exist or cannot be written.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(content)?;
    #[cfg(unix)]
    {
        // A temporary file is private; a report is made to be shown.
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map(drop).map_err(|refused| refused.error)
}

/// The rules of a file, or the ones built in.
///
/// # Errors
/// [`Exit::Unreadable`] when the file cannot be read, [`Exit::Usage`] when what it says cannot be rules.
pub fn read_rules(path: Option<&Path>) -> Result<ActiveRules, Failure> {
    let Some(path) = path else {
        return ActiveRules::embedded()
            .map_err(|cause| Failure::new(Exit::Internal, anyhow!(cause).context("embedded rules")));
    };
    let content = read_whole(path, MAX_RULES_BYTES)?;
    let text = std::str::from_utf8(&content).map_err(|_| unreadable(path, "is not UTF-8 text"))?;
    ActiveRules::parse(text)
        .map_err(|cause| Failure::new(Exit::Usage, anyhow!(cause).context(path.display().to_string())))
}
