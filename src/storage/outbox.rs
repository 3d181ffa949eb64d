//! The outbox: packed rounds that wait for their upload, and a record of each that was uploaded.
//!
//! `outbox/waiting/ROUND/…` is a round's folder as packed, `outbox/published/ROUND.json` says what lies where it went. The
//! folder goes when the record stands, so that a crash in between uploads again what is there already.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::domain::ids::RoundId;

/// Most bytes of a record that are read.
const MAX_RECORD: u64 = 1 << 20;

/// A failure of the outbox, with the path that it met.
#[derive(Debug, thiserror::Error)]
#[error("outbox {path}: {source}")]
pub struct OutboxError {
    path: PathBuf,
    source: io::Error,
}

/// What was uploaded of one round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Published {
    /// The round.
    pub round: RoundId,
    /// Names of its files inside its folder, in the order in which they were written: the document last.
    pub files: Vec<String>,
    /// Their bytes together.
    pub bytes: u64,
}

/// A file of a waiting round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingFile {
    /// Name inside the round's folder, with `/` between parts.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Outbox {
    folder: PathBuf,
}

impl Outbox {
    /// Opens the folder, making it where it is missing. What a process that was killed was packing goes; nobody
    /// else may be packing into it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, OutboxError> {
        let outbox = Self { folder: folder.to_path_buf() };
        for part in [outbox.waiting_folder(), outbox.published_folder()] {
            fs::create_dir_all(&part).map_err(failed(&part))?;
        }
        let waiting = outbox.waiting_folder();
        for entry in fs::read_dir(&waiting).map_err(failed(&waiting))?.filter_map(Result::ok) {
            let unfinished = entry.file_name().to_string_lossy().starts_with('.');
            if unfinished && let Err(source) = fs::remove_dir_all(entry.path()) {
                tracing::warn!("{}: {source}", entry.path().display());
            }
        }
        Ok(outbox)
    }

    /// The folder that rounds are packed into, each under its number.
    pub fn waiting_folder(&self) -> PathBuf {
        self.folder.join("waiting")
    }

    fn published_folder(&self) -> PathBuf {
        self.folder.join("published")
    }

    fn folder_of(&self, round: RoundId) -> PathBuf {
        self.waiting_folder().join(round.to_string())
    }

    fn record_of(&self, round: RoundId) -> PathBuf {
        self.published_folder().join(format!("{round}.json"))
    }

    /// Rounds that wait for their upload, oldest first. What is not named by a number (a folder that is being packed) is
    /// not one of them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn waiting(&self) -> Result<Vec<RoundId>, OutboxError> {
        numbered(&self.waiting_folder(), |name| name.parse().ok())
    }

    /// Records of what was uploaded, oldest first. One that does not read is left out: its round stays where it is.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn published(&self) -> Result<Vec<Published>, OutboxError> {
        let rounds = numbered(&self.published_folder(), |name| name.strip_suffix(".json")?.parse().ok())?;
        Ok(rounds.into_iter().filter_map(|round| self.record(round)).collect())
    }

    fn record(&self, round: RoundId) -> Option<Published> {
        let path = self.record_of(round);
        let small = fs::metadata(&path).is_ok_and(|meta| meta.len() <= MAX_RECORD);
        let read = small.then(|| fs::read(&path).ok()).flatten();
        let record = read.and_then(|bytes| serde_json::from_slice::<Published>(&bytes).ok());
        if record.is_none() {
            tracing::warn!("{}: not readable, its round is never swept", path.display());
        }
        record.filter(|record| record.round == round)
    }

    /// Whether a round waits or was uploaded.
    pub fn knows(&self, round: RoundId) -> bool {
        self.record_of(round).exists() || self.folder_of(round).exists()
    }

    /// The files of a waiting round, `last` at the end and the others by name.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn files(&self, round: RoundId, last: &str) -> Result<Vec<WaitingFile>, OutboxError> {
        let root = self.folder_of(round);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
                let entry = entry.map_err(failed(&folder))?;
                let (path, kind) = (entry.path(), entry.file_type().map_err(failed(&folder))?);
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let name = path.strip_prefix(&root).unwrap_or(&path);
                    let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
                    let bytes = entry.metadata().map_err(failed(&path))?.len();
                    found.push(WaitingFile { name: parts.join("/"), path, bytes });
                }
            }
        }
        found.sort_by(|a, b| (a.name == last, &a.name).cmp(&(b.name == last, &b.name)));
        Ok(found)
    }

    /// Bytes of a waiting round.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn bytes(&self, round: RoundId) -> Result<u64, OutboxError> {
        Ok(self.files(round, "")?.iter().map(|file| file.bytes).sum())
    }

    /// Records an upload and lets the round's folder go.
    ///
    /// # Errors
    /// When the record cannot be written; the round then waits on.
    pub fn sent(&self, published: &Published) -> Result<(), OutboxError> {
        let path = self.record_of(published.round);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.published_folder())?;
            serde_json::to_writer(&mut file, published)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(failed(&path))?;
        self.drop_waiting(published.round)
    }

    /// Lets a waiting round go without an upload.
    ///
    /// # Errors
    /// When its folder cannot be removed.
    pub fn drop_waiting(&self, round: RoundId) -> Result<(), OutboxError> {
        let folder = self.folder_of(round);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&folder)(error)),
            _ => Ok(()),
        }
    }

    /// Forgets an upload whose files were removed where they lay.
    ///
    /// # Errors
    /// When the record cannot be removed.
    pub fn forget(&self, round: RoundId) -> Result<(), OutboxError> {
        let path = self.record_of(round);
        fs::remove_file(&path).map_err(failed(&path))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> OutboxError + use<> {
    let path = path.to_path_buf();
    move |source| OutboxError { path, source }
}

/// Rounds by the names of what lies in a folder, oldest first.
fn numbered(folder: &Path, number: impl Fn(&str) -> Option<u64>) -> Result<Vec<RoundId>, OutboxError> {
    let entries = fs::read_dir(folder).map_err(failed(folder))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut rounds: Vec<RoundId> = names.filter_map(|name| number(&name)).map(RoundId).collect();
    rounds.sort();
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(round: u64, files: &[(&str, &str)]) -> (tempfile::TempDir, Outbox) {
        let folder = tempfile::tempdir().expect("folder");
        let outbox = Outbox::open(folder.path()).expect("opens");
        for (name, text) in files {
            let path = outbox.waiting_folder().join(round.to_string()).join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        (folder, outbox)
    }

    #[test]
    fn the_document_comes_last_and_names_use_slashes() {
        let (_folder, outbox) = with(7, &[("round.json", "{}"), ("a/x.mp4", "clip"), ("z.png", "p")]);
        let files = outbox.files(RoundId(7), "round.json").expect("files");
        let names: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
        assert_eq!(names, [("a/x.mp4", 4), ("z.png", 1), ("round.json", 2)]);
        assert_eq!(outbox.bytes(RoundId(7)).expect("bytes"), 7);
    }

    #[test]
    fn a_round_waits_until_its_upload_is_on_record() {
        let (folder, outbox) = with(7, &[("round.json", "{}")]);
        let unfinished = outbox.waiting_folder().join(".pack-x");
        fs::create_dir(&unfinished).expect("a folder that is being packed");
        assert_eq!(outbox.waiting().expect("reads"), [RoundId(7)]);
        assert!(outbox.knows(RoundId(7)) && !outbox.knows(RoundId(8)));
        let published = Published { round: RoundId(7), files: vec!["round.json".into()], bytes: 2 };
        outbox.sent(&published).expect("recorded");
        let again = Outbox::open(folder.path()).expect("opens again");
        assert_eq!(again.waiting().expect("reads"), []);
        assert_eq!(again.published().expect("reads"), [published]);
        assert!(again.knows(RoundId(7)));
        assert!(!unfinished.exists(), "whoever packed it is gone");
        fs::write(again.record_of(RoundId(6)), "{").expect("damaged");
        assert_eq!(again.published().expect("reads").len(), 1, "a damaged record is passed over");
        again.forget(RoundId(7)).expect("forgotten");
        assert!(!again.knows(RoundId(7)));
    }
}
