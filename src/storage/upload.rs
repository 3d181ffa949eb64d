//! One round to its place: every file once, verified, the document last.

use bytes::Bytes;
use object_store::{
    Error as StoreError, ObjectStoreExt, PutMode, PutOptions, buffered::BufWriter, path::Path,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    outbox::{Outbox, OutboxError, Published, WaitingFile},
    place::{Place, Writes},
};
use crate::domain::ids::RoundId;

/// Files up to this size go in one request, larger ones in parts of it.
const PART: usize = 16 << 20;

/// Why a round is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The disk.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// A file of the outbox could not be read.
    #[error("{path}: {source}")]
    File {
        /// Where it lies.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else lies under the name: a published file is never changed.
    #[error(
        "{place}: {key} is there with {found} bytes, ours has {ours}: it is not overwritten; who else writes there?"
    )]
    Conflict {
        /// The place.
        place: String,
        /// The name.
        key: String,
        /// What lies there.
        found: u64,
        /// What we have.
        ours: u64,
    },
    /// The place does not let us in.
    #[error("{place}: {source}; check bucket and key")]
    Denied {
        /// The place.
        place: String,
        /// What it said.
        source: StoreError,
    },
    /// The place does not answer as it should: to be tried again.
    #[error("{place}: {key}: {source}")]
    Store {
        /// The place.
        place: String,
        /// The name.
        key: String,
        /// What happened.
        source: StoreError,
    },
    /// What was written did not arrive whole.
    #[error("{place}: {key} has {found:?} bytes after its upload, ours has {ours}")]
    Unverified {
        /// The place.
        place: String,
        /// The name.
        key: String,
        /// What lies there.
        found: Option<u64>,
        /// What we have.
        ours: u64,
    },
}

impl UploadError {
    /// Whether another attempt may end otherwise without anybody's help.
    pub fn passes(&self) -> bool {
        matches!(self, UploadError::Store { .. } | UploadError::Unverified { .. } | UploadError::Outbox(_))
    }
}

/// Writes a waiting round's files, `last` after all others, each only where nothing lies yet. What lies there already with
/// the same size was written by an earlier attempt. A reader that finds `last` finds the rest.
///
/// # Errors
/// See [`UploadError`]; what was written stays, and the next attempt goes on from there.
pub async fn upload(
    place: &Place,
    outbox: &Outbox,
    round: RoundId,
    last: &str,
) -> Result<Published, UploadError> {
    let files = outbox.files(round, last)?;
    let folder = round.to_string();
    for file in &files {
        put_once(place, &place.key(&folder, &file.name), file).await?;
    }
    Ok(Published {
        round,
        bytes: files.iter().map(|file| file.bytes).sum(),
        files: files.into_iter().map(|file| file.name).collect(),
    })
}

async fn put_once(place: &Place, key: &Path, file: &WaitingFile) -> Result<(), UploadError> {
    if is_there(place, key, file).await? {
        return Ok(());
    }
    match write(place, key, file).await {
        Ok(()) => {}
        // By an attempt of ours whose answer was lost, or by somebody else: the size tells.
        Err(UploadError::Store {
            source: StoreError::AlreadyExists { .. } | StoreError::Precondition { .. },
            ..
        }) => {}
        Err(other) => return Err(other),
    }
    match is_there(place, key, file).await? {
        true => Ok(()),
        false => Err(UploadError::Unverified {
            place: place.to_string(),
            key: key.to_string(),
            found: None,
            ours: file.bytes,
        }),
    }
}

/// Whether the file lies there.
///
/// # Errors
/// `Conflict` when something of another size does.
async fn is_there(place: &Place, key: &Path, file: &WaitingFile) -> Result<bool, UploadError> {
    match place.store.head(key).await {
        Ok(found) if found.size == file.bytes => Ok(true),
        Ok(found) => Err(UploadError::Conflict {
            place: place.to_string(),
            key: key.to_string(),
            found: found.size,
            ours: file.bytes,
        }),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(source) => Err(refused(place, key, source)),
    }
}

async fn write(place: &Place, key: &Path, file: &WaitingFile) -> Result<(), UploadError> {
    let unread = |source| UploadError::File { path: file.path.clone(), source };
    if file.bytes <= PART as u64 {
        let bytes = Bytes::from(tokio::fs::read(&file.path).await.map_err(unread)?);
        let mode = match place.writes {
            Writes::CreateOnly => PutMode::Create,
            Writes::Unconditional => PutMode::Overwrite,
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = place.store.put_opts(key, bytes.into(), options).await;
        return put.map(drop).map_err(|source| refused(place, key, source));
    }
    // No service takes a condition on an upload in parts: the look before it has to do.
    let mut reader = tokio::fs::File::open(&file.path).await.map_err(unread)?;
    let mut writer = BufWriter::with_capacity(place.store.clone(), key.clone(), PART);
    let mut part = vec![0; 1 << 20];
    loop {
        let read = reader.read(&mut part).await.map_err(unread)?;
        if read == 0 {
            break;
        }
        if let Err(error) = writer.write_all(&part[..read]).await {
            writer.abort().await.ok();
            return Err(broken(place, key, error));
        }
    }
    writer.shutdown().await.map_err(|error| broken(place, key, error))
}

fn broken(place: &Place, key: &Path, error: std::io::Error) -> UploadError {
    refused(place, key, StoreError::Generic { store: "storage", source: Box::new(error) })
}

/// Tells a closed door from a passing trouble.
pub(super) fn refused(place: &Place, key: &Path, source: StoreError) -> UploadError {
    match source {
        StoreError::PermissionDenied { .. }
        | StoreError::Unauthenticated { .. }
        | StoreError::NotFound { .. } => UploadError::Denied { place: place.to_string(), source },
        source => UploadError::Store { place: place.to_string(), key: key.to_string(), source },
    }
}
