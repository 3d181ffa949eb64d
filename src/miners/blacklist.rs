//! Hotkeys that the operator keeps out, from a file that is read again for every roster.

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::domain::ids::Hotkey;

/// Longest blacklist, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// A blacklist that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BlacklistError {
    /// The file cannot be read.
    #[error("blacklist {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What stood in the way.
        source: std::io::Error,
    },
    /// Longer than any blacklist.
    #[error("blacklist {path}: longer than {MOST_BYTES} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A line that is no hotkey.
    #[error("blacklist {path}, line {line}: expected one hotkey in SS58, or a comment after #")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
}

/// The hotkeys that are kept out.
#[derive(Debug, Default)]
pub struct Blacklist {
    path: Option<PathBuf>,
    newest: Mutex<Arc<BTreeSet<Hotkey>>>,
}

impl Blacklist {
    /// Reads a file: one hotkey in SS58 on each line, comments after `#`.
    ///
    /// # Errors
    /// When it cannot be read or holds anything else.
    pub fn open(path: &Path) -> Result<Self, BlacklistError> {
        let newest = Mutex::new(Arc::new(read(path)?));
        Ok(Self { path: Some(path.to_path_buf()), newest })
    }

    /// The hotkeys as the file has them now; while it cannot be used, as it last had them. Blocks for one small file.
    pub fn current(&self) -> Arc<BTreeSet<Hotkey>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match self.path.as_deref().map(read) {
            Some(Ok(hotkeys)) if hotkeys != **newest => {
                tracing::info!(hotkeys = hotkeys.len(), "the blacklist has changed");
                *newest = Arc::new(hotkeys);
            }
            Some(Err(cause)) => {
                tracing::warn!("{cause}; going on with the {} hotkeys that it had", newest.len())
            }
            Some(Ok(_)) | None => {}
        }
        Arc::clone(&newest)
    }
}

fn read(path: &Path) -> Result<BTreeSet<Hotkey>, BlacklistError> {
    let failed = |source| BlacklistError::Read { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    let bytes = file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if bytes as u64 > MOST_BYTES {
        return Err(BlacklistError::TooLong { path: path.to_path_buf() });
    }
    let entries = text.lines().enumerate().filter_map(|(index, line)| {
        let entry = line.split('#').next().unwrap_or_default().trim();
        (!entry.is_empty()).then_some((index + 1, entry))
    });
    let hotkey = |(line, entry): (usize, &str)| {
        entry.parse().map_err(|_| BlacklistError::Line { path: path.to_path_buf(), line })
    };
    entries.map(hotkey).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("blacklist");
        let [one, other] = [1, 2].map(|byte| Hotkey([byte; 32]));
        std::fs::write(&path, format!("# kept out\n\n{one} # a copy\n")).expect("write");
        let blacklist = Blacklist::open(&path).expect("a blacklist");
        assert_eq!(*blacklist.current(), BTreeSet::from([one]));
        std::fs::write(&path, format!("{one}\n  {other}\n")).expect("write");
        assert_eq!(*blacklist.current(), BTreeSet::from([one, other]));
        std::fs::write(&path, format!("{one}\nnonsense\n")).expect("write");
        assert_eq!(blacklist.current().len(), 2);
        let error = Blacklist::open(&path).expect_err("refused").to_string();
        assert!(error.contains("line 2"), "{error}");
        std::fs::remove_file(&path).expect("remove");
        assert_eq!(blacklist.current().len(), 2);
        std::fs::write(&path, "#".repeat(MOST_BYTES as usize + 1)).expect("write");
        assert!(matches!(Blacklist::open(&path), Err(BlacklistError::TooLong { .. })));
        assert!(Blacklist::default().current().is_empty());
    }
}
