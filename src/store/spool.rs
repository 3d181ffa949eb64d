//! Received files on disk, named by their digest, so that a restart goes on without asking again.
//!
//! A file grows as a [`Draft`] beside the others and gets its name when it is whole. Whoever holds a
//! [`SpooledFile`] keeps it from being swept.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest as _, Sha256};

use crate::domain::ids::Digest;

/// Folder of files that are still growing, inside the spool's.
const DRAFTS: &str = "drafts";

/// A failure of the spool, with the path that it met.
#[derive(Debug, thiserror::Error)]
#[error("spool {path}: {source}")]
pub struct SpoolError {
    path: PathBuf,
    source: io::Error,
}

impl SpoolError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_path_buf(), source }
    }
}

/// How many hold each file.
type Held = Mutex<BTreeMap<Digest, usize>>;

/// A folder of write-once files. Clones share what is held.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    held: Arc<Held>,
}

/// A file of the spool that is not swept while this or a clone of it lives.
#[derive(Clone, Debug)]
pub struct SpooledFile {
    hold: Arc<Hold>,
    bytes: u64,
}

#[derive(Debug)]
struct Hold {
    digest: Digest,
    path: PathBuf,
    held: Arc<Held>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}

fn lock(held: &Held) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SpooledFile {
    /// SHA-256 of the file.
    pub fn digest(&self) -> Digest {
        self.hold.digest
    }

    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the whole file; blocks.
    ///
    /// # Errors
    /// When it cannot be read, or is no longer what its name says.
    pub fn read(&self) -> Result<Vec<u8>, SpoolError> {
        let bytes = std::fs::read(&self.hold.path).map_err(SpoolError::at(&self.hold.path))?;
        if Digest::of(&bytes) != self.hold.digest {
            let changed = io::Error::new(io::ErrorKind::InvalidData, "no longer what its name says");
            return Err(SpoolError::at(&self.hold.path)(changed));
        }
        Ok(bytes)
    }
}

/// A file that grows; dropped before it is finished it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    spool: Spool,
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    bytes: u64,
}

impl Draft {
    /// Appends; blocks.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), SpoolError> {
        self.file.write_all(piece).map_err(SpoolError::at(self.file.path()))?;
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Gives the file its name; blocks.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn finish(self) -> Result<SpooledFile, SpoolError> {
        let digest = Digest(self.hasher.finalize().into());
        let hold = self.spool.hold(digest);
        if !hold.path.exists() {
            self.file.persist(&hold.path).map_err(|cause| SpoolError::at(&hold.path)(cause.error))?;
        }
        Ok(SpooledFile { hold: Arc::new(hold), bytes: self.bytes })
    }
}

impl Spool {
    /// Opens the folder, making it where it is missing; others may have it open, too.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let drafts = folder.join(DRAFTS);
        std::fs::create_dir_all(&drafts).map_err(SpoolError::at(&drafts))?;
        Ok(Self { folder: folder.to_path_buf(), held: Arc::default() })
    }

    /// Removes what was still growing when the last process ended: for the one who receives files, before it begins.
    pub fn clear_drafts(&self) -> Result<(), SpoolError> {
        let drafts = self.folder.join(DRAFTS);
        std::fs::remove_dir_all(&drafts)
            .and_then(|()| std::fs::create_dir(&drafts))
            .map_err(SpoolError::at(&drafts))
    }

    /// Where a file lies.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.clip"))
    }

    fn hold(&self, digest: Digest) -> Hold {
        *lock(&self.held).entry(digest).or_insert(0) += 1;
        Hold { digest, path: self.path(&digest), held: Arc::clone(&self.held) }
    }

    /// Begins a file; blocks.
    pub fn draft(&self) -> Result<Draft, SpoolError> {
        let folder = self.folder.join(DRAFTS);
        let file = tempfile::NamedTempFile::new_in(&folder).map_err(SpoolError::at(&folder))?;
        Ok(Draft { spool: self.clone(), file, hasher: Sha256::new(), bytes: 0 })
    }

    /// Writes a whole file; blocks.
    pub fn put(&self, bytes: &[u8]) -> Result<SpooledFile, SpoolError> {
        let mut draft = self.draft()?;
        draft.write(bytes)?;
        draft.finish()
    }

    /// Finds a file again; `None` when it is missing or no longer what its name says. Reads it piece by piece; blocks.
    pub fn find(&self, digest: &Digest) -> Option<SpooledFile> {
        let hold = self.hold(*digest);
        let mut file = std::fs::File::open(&hold.path).ok()?;
        let (mut hasher, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 64 << 10]);
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&piece[..count]);
                    bytes += count as u64;
                }
                Err(_) => return None,
            }
        }
        let whole = Digest(hasher.finalize().into()) == *digest;
        whole.then(|| SpooledFile { hold: Arc::new(hold), bytes })
    }

    /// Removes every file that is neither listed nor held.
    pub fn keep_only(&self, keep: &[Digest]) -> Result<usize, SpoolError> {
        let fail = |source| SpoolError { path: self.folder.clone(), source };
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            // Under the lock, so that nobody takes hold of a file while it goes.
            let held = lock(&self.held);
            let kept = keep.iter().chain(held.keys()).any(|digest| self.path(digest) == path);
            if !kept && path.is_file() && std::fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool() -> (tempfile::TempDir, Spool) {
        let folder = tempfile::tempdir().expect("folder");
        let spool = Spool::open(&folder.path().join("spool")).expect("open");
        (folder, spool)
    }

    #[test]
    fn files_come_back_and_a_damaged_one_does_not() {
        let (_folder, spool) = spool();
        let file = spool.put(b"clip").expect("put");
        assert_eq!((file.digest(), file.bytes()), (Digest::of(b"clip"), 4));
        assert_eq!(spool.put(b"clip").expect("again").digest(), file.digest());
        assert_eq!(spool.find(&file.digest()).expect("there").read().expect("whole"), b"clip");
        std::fs::write(spool.path(&file.digest()), b"damaged").expect("damage");
        assert!(spool.find(&file.digest()).is_none());
        assert!(file.read().expect_err("changed").to_string().contains("no longer"));
    }

    #[test]
    fn what_is_held_or_listed_or_still_grows_stays() {
        let (_folder, spool) = spool();
        let held = spool.put(b"a").expect("put");
        let [listed, swept] = [b"b", b"c"].map(|bytes| spool.put(bytes).expect("put").digest());
        let mut growing = spool.draft().expect("draft");
        growing.write(b"hal").expect("write");
        let again = held.clone();
        drop(held);
        assert_eq!(spool.keep_only(&[listed]).expect("sweep"), 1);
        assert!(spool.find(&swept).is_none() && spool.find(&listed).is_some());
        drop(again);
        assert_eq!(spool.keep_only(&[listed]).expect("sweep"), 1);
        growing.write(b"f").expect("write");
        assert_eq!(growing.finish().expect("finish").digest(), Digest::of(b"half"));
    }

    #[test]
    fn what_was_not_finished_is_gone_with_its_process() {
        let (_folder, spool) = spool();
        let count = |spool: &Spool| std::fs::read_dir(spool.folder.join(DRAFTS)).expect("drafts").count();
        let draft = spool.draft().expect("draft");
        assert_eq!(count(&spool), 1);
        std::mem::forget(draft); // as a killed process leaves it
        let next = Spool::open(&spool.folder).expect("open");
        assert_eq!(count(&next), 1, "whoever only reads leaves it alone");
        next.clear_drafts().expect("cleared");
        assert_eq!(count(&next), 0);
        drop(spool.draft().expect("draft"));
        assert_eq!(count(&spool), 0);
    }
}
