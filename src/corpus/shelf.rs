//! Reading the corpus' files: bounded, timed, verified.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::location::{self, LocationError};
use crate::domain::ids::Digest;

/// Longest wait for one file of the corpus, first byte to last.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Why a file of the corpus could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The location is neither a folder nor a bucket.
    #[error("corpus {0}: for clips run scripts/fetch-assets.sh, `leoma corpus build` or `leoma corpus draw`")]
    Location(#[from] LocationError),
    /// More files than are looked at.
    #[error("more than {most} files: name a folder or prefix with fewer")]
    TooMany {
        /// Most files of a listing.
        most: usize,
    },
    /// The storage failed.
    #[error("corpus file `{file}`: {source}")]
    Storage {
        /// Path inside the corpus.
        file: String,
        /// What the storage said.
        source: object_store::Error,
    },
    /// The file has another size than the manifest says, or is larger than may be read.
    #[error("corpus file `{file}` has {got} bytes, expected {expected}: fetch the corpus again")]
    Size {
        /// Path inside the corpus.
        file: String,
        /// Size seen so far.
        got: u64,
        /// Size that was expected.
        expected: Expected,
    },
    /// The file is not the one of the manifest.
    #[error("corpus file `{file}` has sha256 {got}, the manifest says {expected}: fetch the corpus again")]
    Content {
        /// Path inside the corpus.
        file: String,
        /// Digest of the file.
        got: Digest,
        /// Digest of the manifest.
        expected: Digest,
    },
    /// The storage did not deliver in time.
    #[error("corpus file `{file}` did not arrive within {READ_TIMEOUT:?}")]
    Timeout {
        /// Path inside the corpus.
        file: String,
    },
}

/// Size that a file must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Exactly this many bytes.
    Exactly(u64),
    /// At most this many bytes.
    AtMost(u64),
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Exactly(bytes) => write!(f, "exactly {bytes}"),
            Expected::AtMost(bytes) => write!(f, "at most {bytes}"),
        }
    }
}

impl Expected {
    fn allows(self, bytes: u64) -> bool {
        match self {
            Expected::Exactly(exact) => bytes == exact,
            Expected::AtMost(most) => bytes <= most,
        }
    }

    fn most(self) -> u64 {
        match self {
            Expected::Exactly(bytes) | Expected::AtMost(bytes) => bytes,
        }
    }
}

/// One file of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name inside the location.
    pub name: Path,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The place where the corpus' files lie.
#[derive(Clone, Debug)]
pub struct Shelf {
    store: Arc<dyn ObjectStore>,
}

impl Shelf {
    /// Opens a folder (path or `file://` address) or a bucket (`s3://bucket/prefix`).
    ///
    /// # Errors
    /// When the folder does not exist or the address cannot be used.
    pub fn open(location: &str) -> Result<Self, ShelfError> {
        Ok(Self::over(location::open(location)?))
    }

    /// A shelf over any object store.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// All files, hidden ones too, in byte order of their names.
    ///
    /// # Errors
    /// When there are more than `most`, or the storage fails.
    pub async fn list(&self, most: usize) -> Result<Vec<Listed>, ShelfError> {
        let storage = |source| ShelfError::Storage { file: "(listing)".into(), source };
        let mut files = Vec::new();
        let mut listing = self.store.list(None);
        while let Some(found) = listing.try_next().await.map_err(storage)? {
            if files.len() == most {
                return Err(ShelfError::TooMany { most });
            }
            files.push(Listed { name: found.location, bytes: found.size });
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(files)
    }

    /// Reads a file of a listing, of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is gone, too large or late.
    pub async fn read_listed(&self, file: &Listed, limit: u64) -> Result<Bytes, ShelfError> {
        self.read(&file.name, Expected::AtMost(limit)).await
    }

    /// Reads one file of at most `limit` bytes whose content is not known beforehand.
    ///
    /// # Errors
    /// When it is missing, too large or late.
    pub async fn read_bounded(&self, file: &str, limit: u64) -> Result<Bytes, ShelfError> {
        self.read(&Path::from(file), Expected::AtMost(limit)).await
    }

    /// Reads one file and proves that it is the one of the manifest.
    ///
    /// # Errors
    /// When it is missing, late, or has another size or content.
    pub async fn read_verified(&self, file: &str, bytes: u64, sha256: Digest) -> Result<Bytes, ShelfError> {
        let content = self.read(&Path::from(file), Expected::Exactly(bytes)).await?;
        let hashed = content.clone();
        let hash = tokio::task::spawn_blocking(move || Digest::of(&hashed)).await;
        // Hashing cannot panic and is never aborted; a runtime that shuts down reads as a late file.
        let got = hash.map_err(|_| ShelfError::Timeout { file: file.to_owned() })?;
        match got == sha256 {
            true => Ok(content),
            false => Err(ShelfError::Content { file: file.to_owned(), got, expected: sha256 }),
        }
    }

    async fn read(&self, file: &Path, expected: Expected) -> Result<Bytes, ShelfError> {
        match tokio::time::timeout(READ_TIMEOUT, self.collect(file, expected)).await {
            Ok(result) => result,
            Err(_) => Err(ShelfError::Timeout { file: file.to_string() }),
        }
    }

    async fn collect(&self, file: &Path, expected: Expected) -> Result<Bytes, ShelfError> {
        let storage = |source| ShelfError::Storage { file: file.to_string(), source };
        let wrong_size = |got| ShelfError::Size { file: file.to_string(), got, expected };
        let found = self.store.get(file).await.map_err(storage)?;
        if !expected.allows(found.meta.size) {
            return Err(wrong_size(found.meta.size));
        }
        let mut content = BytesMut::with_capacity(found.meta.size as usize);
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(storage)?;
            let total = (content.len() + chunk.len()) as u64;
            if total > expected.most() {
                return Err(wrong_size(total));
            }
            content.extend_from_slice(&chunk);
        }
        match expected.allows(content.len() as u64) {
            true => Ok(content.freeze()),
            false => Err(wrong_size(content.len() as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    async fn shelf_with(content: &'static [u8]) -> Shelf {
        let store = InMemory::new();
        store.put(&Path::from("a.mp4"), Bytes::from_static(content).into()).await.expect("memory store");
        Shelf::over(Arc::new(store))
    }

    #[tokio::test]
    async fn a_file_is_read_only_when_it_is_the_one_of_the_manifest() {
        let shelf = shelf_with(b"video").await;
        let digest = Digest::of(b"video");
        assert_eq!(shelf.read_verified("a.mp4", 5, digest).await.expect("same file"), &b"video"[..]);
        assert!(matches!(
            shelf.read_verified("a.mp4", 4, digest).await,
            Err(ShelfError::Size { got: 5, .. })
        ));
        let other = Digest::of(b"other");
        assert!(matches!(shelf.read_verified("a.mp4", 5, other).await, Err(ShelfError::Content { .. })));
        assert!(matches!(shelf.read_verified("b.mp4", 5, digest).await, Err(ShelfError::Storage { .. })));
    }

    #[tokio::test]
    async fn a_file_over_the_limit_is_not_read() {
        let shelf = shelf_with(b"video").await;
        assert!(shelf.read_bounded("a.mp4", 5).await.is_ok());
        assert!(matches!(shelf.read_bounded("a.mp4", 4).await, Err(ShelfError::Size { .. })));
    }

    #[tokio::test]
    async fn files_are_listed_in_order_with_their_sizes() {
        let store = InMemory::new();
        for (name, content) in [("b.mp4", "video"), ("a/c d.txt", "caption"), (".hidden/x.mp4", "x")] {
            store.put(&Path::from(name), Bytes::from(content).into()).await.expect("memory store");
        }
        let shelf = Shelf::over(Arc::new(store));
        let files = shelf.list(3).await.expect("three files");
        let names: Vec<(&str, u64)> = files.iter().map(|file| (file.name.as_ref(), file.bytes)).collect();
        assert_eq!(names, [(".hidden/x.mp4", 1), ("a/c d.txt", 7), ("b.mp4", 5)]);
        assert_eq!(shelf.read_listed(&files[1], 7).await.expect("listed"), &b"caption"[..]);
        assert!(matches!(shelf.list(2).await, Err(ShelfError::TooMany { most: 2 })));
    }
}
