//! Publishing the salted commitment of a corpus, and opening its clips.

use std::{
    io::{Read as _, Write as _},
    path::{Path as FilePath, PathBuf},
};

use ark_std::rand::{RngCore as _, rngs::OsRng}; // the operating system's random source, as timelocks use it
use object_store::{ObjectStore, ObjectStoreExt, PutMode, path::Path};

use super::{Corpus, Manifest};
use crate::domain::corpus_commitment::{ClipOpening, CorpusCommitment, CorpusSecret, opening};

/// Name of the secret's file beside a manifest.
pub const SECRET_FILE: &str = "corpus.secret";
/// Folder of commitments in the place where they are published.
pub const COMMITMENTS: &str = "corpus-commitments";

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file could not be read or made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{}: expected 64 hexadecimal digits; a lost secret cannot be replaced, because published digests rest on it", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

/// Why a commitment was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The storage failed.
    #[error("{name}: {source}")]
    Storage {
        /// What was written or read.
        name: Path,
        /// What the storage said.
        source: object_store::Error,
    },
    /// Something else lies under the commitment's name.
    #[error("{name} holds other bytes than this commitment: nothing is overwritten, look at who wrote it")]
    Taken {
        /// The name.
        name: Path,
    },
}

/// Whether publishing changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// It was written now.
    Now,
    /// The same bytes were there.
    Before,
}

/// Reads the secret of a corpus.
///
/// # Errors
/// When the file is missing or holds something else.
pub fn read_secret(path: &FilePath) -> Result<CorpusSecret, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(200).read_to_string(&mut text).map_err(failed)?;
    CorpusSecret::from_hex(&text).ok_or_else(|| SecretError::Content { path: path.to_owned() })
}

/// Reads the secret of a corpus, or makes one where there is none: a file that only its owner can read.
///
/// # Errors
/// When the file cannot be read or written, or holds something else. It is never overwritten.
pub fn secret(path: &FilePath) -> Result<CorpusSecret, SecretError> {
    match read_secret(path) {
        Err(SecretError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        read => return read,
    }
    let mut random = [0; 32];
    OsRng.fill_bytes(&mut random);
    let made = CorpusSecret::new(random);
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // A temporary file is private from its first byte on, and gets its name only where nobody was faster.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(FilePath::new("."))).map_err(failed)?;
    file.write_all(format!("{}\n", made.to_hex()).as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(made),
        Err(refused) if refused.error.kind() == std::io::ErrorKind::AlreadyExists => read_secret(path),
        Err(refused) => Err(failed(refused.error)),
    }
}

/// The commitment to a manifest.
pub fn commitment(manifest: &Manifest, secret: &CorpusSecret) -> CorpusCommitment {
    let entries: Vec<String> = manifest.clips().iter().map(super::ClipEntry::canonical).collect();
    CorpusCommitment::of(entries.iter().map(String::as_str), secret)
}

/// What opens one clip of the commitment to a manifest; `None` when the manifest has no such clip.
pub fn opening_of(manifest: &Manifest, secret: &CorpusSecret, key: &str) -> Option<ClipOpening> {
    let position = manifest.clips().iter().position(|clip| clip.key == key)?;
    let entry = manifest.clips()[position].canonical();
    Some(opening(&commitment(manifest, secret), position, &entry, secret.salt(&entry)))
}

impl Corpus {
    /// The same corpus with the secret of its published commitment, so that rounds open their clips.
    #[must_use]
    pub fn opened_by(mut self, secret: CorpusSecret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// What opens one clip of the commitment to this corpus; `None` without a secret or such a clip.
    pub fn opening(&self, key: &str) -> Option<ClipOpening> {
        opening_of(self.manifest(), self.secret.as_ref()?, key)
    }
}

/// Where a commitment is published: its name says its content.
pub fn name_of(commitment: &CorpusCommitment) -> Path {
    Path::from(format!("{COMMITMENTS}/{}.json", commitment.digest()))
}

/// Writes a commitment, once, and nothing else; then reads it back.
///
/// # Errors
/// When the storage fails, or holds other bytes under the same name.
pub async fn publish(
    store: &dyn ObjectStore,
    commitment: &CorpusCommitment,
) -> Result<(Path, Published), PublishError> {
    let (name, bytes) = (name_of(commitment), commitment.to_bytes());
    let failed = |source| PublishError::Storage { name: name.clone(), source };
    let state = match store.put_opts(&name, bytes.clone().into(), PutMode::Create.into()).await {
        Ok(_) => Published::Now,
        Err(object_store::Error::AlreadyExists { .. }) => Published::Before,
        // Storage without conditional writes: the name is free when nothing answers to it.
        Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
            match store.head(&name).await {
                Ok(_) => Published::Before,
                Err(object_store::Error::NotFound { .. }) => {
                    store.put(&name, bytes.clone().into()).await.map_err(failed)?;
                    Published::Now
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Err(error) => return Err(failed(error)),
    };
    let there = store.get(&name).await.map_err(failed)?;
    let same_size = there.meta.size == bytes.len() as u64;
    match same_size && there.bytes().await.map_err(failed)? == bytes {
        true => Ok((name, state)),
        false => Err(PublishError::Taken { name }),
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::{corpus::ClipEntry, domain::ids::Digest};

    fn clip(key: &str) -> ClipEntry {
        ClipEntry {
            key: key.into(),
            file: String::new(),
            bytes: 2_000_000,
            sha256: Digest::of(key.as_bytes()),
            caption: "A ball rolls.".into(),
            licence: "CC0-1.0".into(),
            source: "drawn".into(),
            from_ms: None,
            to_ms: None,
            window: None,
            caption_by: None,
        }
    }

    fn manifest(keys: &[&str]) -> Manifest {
        Manifest::new(0, keys.iter().map(|key| clip(key)).collect()).expect("valid")
    }

    #[tokio::test]
    async fn a_commitment_is_written_once_and_a_taken_name_is_not_overwritten() {
        let store = InMemory::new();
        let made = commitment(&manifest(&["a.mp4", "b.mp4"]), &CorpusSecret::new([7; 32]));
        let (name, first) = publish(&store, &made).await.expect("written");
        assert_eq!((name_of(&made), first), (name.clone(), Published::Now));
        assert_eq!(publish(&store, &made).await.expect("there").1, Published::Before);
        let file = store.get(&name).await.expect("there").bytes().await.expect("bytes");
        assert_eq!(CorpusCommitment::parse(&file), Ok(made.clone()));

        store.put(&name, bytes::Bytes::from_static(b"forged").into()).await.expect("memory");
        assert!(matches!(publish(&store, &made).await, Err(PublishError::Taken { .. })));
        let file = store.get(&name).await.expect("there").bytes().await.expect("bytes");
        assert_eq!(file, &b"forged"[..], "nothing is overwritten");
    }

    #[test]
    fn every_clip_of_a_manifest_opens_and_no_other() {
        let (manifest, secret) = (manifest(&["b.mp4", "a.mp4"]), CorpusSecret::new([7; 32]));
        let made = commitment(&manifest, &secret);
        for (position, clip) in manifest.clips().iter().enumerate() {
            let opening = opening_of(&manifest, &secret, &clip.key).expect("listed");
            assert_eq!(opening.position, position);
            assert_eq!(made.verify(&opening).expect("opens").key, clip.key);
            let entry: ClipEntry = serde_json::from_str(&opening.entry).expect("entry");
            assert_eq!(&entry, clip);
        }
        assert_eq!(opening_of(&manifest, &secret, "c.mp4"), None);
    }

    #[test]
    fn a_secret_is_made_once_private_and_never_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(SECRET_FILE);
        assert!(read_secret(&path).is_err());
        let made = secret(&path).expect("made");
        assert!(secret(&path).expect("read") == made && read_secret(&path).expect("read") == made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "others can read it: {mode:o}");
        }
        std::fs::write(&path, "lost\n").expect("writable");
        assert!(matches!(secret(&path), Err(SecretError::Content { .. })));
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "lost\n");
    }
}
