//! Reading the corpus' files: bounded, timed, verified.

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};

use crate::domain::ids::Digest;

/// Longest wait for one file of the corpus, first byte to last.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Why a file of the corpus could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The location is neither a folder nor an address that this build reads.
    #[error("corpus location `{location}`: {problem}")]
    Location {
        /// As configured.
        location: String,
        /// What is wrong and what would be right.
        problem: String,
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

/// The place where the corpus' files lie.
#[derive(Clone, Debug)]
pub struct Shelf {
    store: Arc<dyn ObjectStore>,
}

impl Shelf {
    /// Opens a folder, given by path or by `file://` address.
    ///
    /// # Errors
    /// When the folder does not exist, or the address has another scheme (object storage is opened by
    /// [`Shelf::over`] with a store that the caller built).
    pub fn open(location: &str) -> Result<Self, ShelfError> {
        let refuse = |problem: String| ShelfError::Location {
            location: location.chars().take(300).collect(),
            problem,
        };
        let folder = match url::Url::parse(location) {
            Ok(address) if address.scheme() == "file" => address
                .to_file_path()
                .map_err(|()| refuse("is not a local file address: write file:///path".into()))?,
            Ok(address) if location.contains("://") => {
                let scheme = address.scheme();
                return Err(refuse(format!(
                    "scheme `{scheme}` is not read: give a folder or file:// address"
                )));
            }
            _ => FilePath::new(location).to_owned(),
        };
        if !folder.is_dir() {
            return Err(refuse("is not a folder: run scripts/fetch-assets.sh or `leoma corpus draw`".into()));
        }
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| refuse(error.to_string()))?;
        Ok(Self::over(Arc::new(store)))
    }

    /// A shelf over any object store.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Reads one file of at most `limit` bytes whose content is not known beforehand.
    ///
    /// # Errors
    /// When it is missing, too large or late.
    pub async fn read_bounded(&self, file: &str, limit: u64) -> Result<Bytes, ShelfError> {
        self.read(file, Expected::AtMost(limit)).await
    }

    /// Reads one file and proves that it is the one of the manifest.
    ///
    /// # Errors
    /// When it is missing, late, or has another size or content.
    pub async fn read_verified(&self, file: &str, bytes: u64, sha256: Digest) -> Result<Bytes, ShelfError> {
        let content = self.read(file, Expected::Exactly(bytes)).await?;
        let hashed = content.clone();
        let hash = tokio::task::spawn_blocking(move || Digest::of(&hashed)).await;
        // Hashing cannot panic and is never aborted; a runtime that shuts down reads as a late file.
        let got = hash.map_err(|_| ShelfError::Timeout { file: file.to_owned() })?;
        match got == sha256 {
            true => Ok(content),
            false => Err(ShelfError::Content { file: file.to_owned(), got, expected: sha256 }),
        }
    }

    async fn read(&self, file: &str, expected: Expected) -> Result<Bytes, ShelfError> {
        match tokio::time::timeout(READ_TIMEOUT, self.collect(file, expected)).await {
            Ok(result) => result,
            Err(_) => Err(ShelfError::Timeout { file: file.to_owned() }),
        }
    }

    async fn collect(&self, file: &str, expected: Expected) -> Result<Bytes, ShelfError> {
        let storage = |source| ShelfError::Storage { file: file.to_owned(), source };
        let wrong_size = |got| ShelfError::Size { file: file.to_owned(), got, expected };
        let found = self.store.get(&Path::from(file)).await.map_err(storage)?;
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

    #[test]
    fn a_location_is_a_folder_by_path_or_address() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().to_str().expect("plain path");
        assert!(Shelf::open(path).is_ok());
        assert!(Shelf::open(&format!("file://{path}")).is_ok());
        for wrong in ["s3://bucket/prefix", "/no/such/folder", "https://example.org/x", "file:///no/such"] {
            assert!(matches!(Shelf::open(wrong), Err(ShelfError::Location { .. })), "{wrong}");
        }
    }
}
