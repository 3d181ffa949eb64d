//! Received files on disk, named by their digest, so that a restart goes on without asking again.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::domain::ids::Digest;

/// A failure of the spool, with the path that it met.
#[derive(Debug, thiserror::Error)]
#[error("spool {path}: {source}")]
pub struct SpoolError {
    path: PathBuf,
    source: io::Error,
}

/// A folder of write-once files.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// Opens the folder, making it where it is missing.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| SpoolError { path: folder.to_path_buf(), source })?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// Where a file lies.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.clip"))
    }

    /// Writes a file under its digest; whole or not at all.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, SpoolError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        if path.exists() {
            return Ok(digest);
        }
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| SpoolError { path: path.clone(), source })?;
        Ok(digest)
    }

    /// Reads a file back; `None` when it is missing or no longer what its name says.
    pub fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.path(digest)).ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Removes every file that is not listed.
    pub fn keep_only(&self, keep: &[Digest]) -> Result<usize, SpoolError> {
        let fail = |source| SpoolError { path: self.folder.clone(), source };
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let kept = keep.iter().any(|digest| self.path(digest) == path);
            if !kept && std::fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_and_a_damaged_one_does_not() {
        let folder = tempfile::tempdir().expect("folder");
        let spool = Spool::open(&folder.path().join("spool")).expect("open");
        let digest = spool.put(b"clip").expect("put");
        assert_eq!(spool.put(b"clip").expect("again"), digest);
        assert_eq!(spool.get(&digest).as_deref(), Some(&b"clip"[..]));
        std::fs::write(spool.path(&digest), b"damaged").expect("damage");
        assert_eq!(spool.get(&digest), None);
        assert_eq!(spool.keep_only(&[]).expect("sweep"), 1);
        assert_eq!(spool.get(&digest), None);
    }
}
