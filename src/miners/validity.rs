//! Who was valid since when and why not: kept in the state folder, so that people can look without asking anybody.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::domain::{
    commitment::Commitment,
    ids::{BlockNumber, Hotkey, NetUid, Uid},
    outcome::Fault,
    roster::{RosterEntry, Standing},
};

use super::kinship::KinRecord;

/// Name of the file in the state folder.
pub const FILE: &str = "miners.json";
/// Shape of the file.
const VERSION: u32 = 1;
/// Earlier states that are kept of one miner.
pub const MOST_EARLIER: usize = 16;
/// Miners that are kept, those that left included; a subnet has 256.
const MOST_MINERS: usize = 512;
/// Longest file that is read.
const MOST_BYTES: u64 = 32 << 20;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValidityError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What stood in the way.
        source: io::Error,
    },
    /// It holds something else, or is of a newer program.
    #[error("{path} is not a record of miners of version {VERSION}: {detail}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What was seen.
        detail: String,
    },
}

/// Whether a miner can be asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum State {
    /// Every check passed.
    Valid,
    /// A check failed.
    Invalid {
        /// Who is to blame.
        fault: Fault,
        /// Reason code.
        reason: String,
    },
    /// Not in the metagraph any more, or without a commitment.
    Gone,
}

impl State {
    fn of(standing: &Standing) -> Self {
        match standing {
            Standing::Valid { .. } => Self::Valid,
            Standing::Invalid { fault, reason } => Self::Invalid { fault: *fault, reason: reason.clone() },
        }
    }
}

/// What a miner was, and from which block on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chapter {
    /// First block at which it was seen so.
    pub since: BlockNumber,
    /// Its commitment: with another model or chute a miner begins anew.
    pub commitment: Option<Commitment>,
    /// Whether it could be asked.
    pub state: State,
}

/// One miner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MinerRecord {
    /// The miner.
    pub hotkey: Hotkey,
    /// Slot in the metagraph when it was last seen.
    pub uid: Uid,
    /// Block of its newest reveal.
    pub reveal_block: BlockNumber,
    /// Newest block at which it was in the roster.
    pub seen: BlockNumber,
    /// What it is now.
    pub now: Chapter,
    /// What it was before, newest first.
    pub earlier: Vec<Chapter>,
}

/// All miners as of a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Validity {
    version: u32,
    /// The subnet.
    pub netuid: NetUid,
    /// The block.
    pub block: BlockNumber,
    /// Every miner, by uid.
    pub miners: Vec<MinerRecord>,
    /// Copies that slices of weights have shown.
    #[serde(default)]
    pub kin: KinRecord,
}

impl Validity {
    /// Nobody yet.
    pub fn new(netuid: NetUid) -> Self {
        Self {
            version: VERSION,
            netuid,
            block: BlockNumber(0),
            miners: Vec::new(),
            kin: KinRecord::default(),
        }
    }

    /// Takes in the roster of a block. One of an older block than the newest changes nothing.
    pub fn take(&mut self, block: BlockNumber, roster: &[RosterEntry]) {
        if block < self.block {
            return;
        }
        self.block = block;
        let present: BTreeSet<Hotkey> = roster.iter().map(|entry| entry.hotkey).collect();
        for record in self.miners.iter_mut().filter(|record| !present.contains(&record.hotkey)) {
            let commitment = record.now.commitment.clone();
            record.turn(Chapter { since: block, commitment, state: State::Gone });
        }
        for entry in roster {
            let state = State::of(&entry.standing);
            let now = Chapter { since: block, commitment: entry.commitment.clone(), state };
            match self.miners.iter_mut().find(|record| record.hotkey == entry.hotkey) {
                Some(record) => {
                    (record.uid, record.seen) = (entry.uid, block);
                    record.reveal_block = entry.precedence.reveal_block;
                    record.turn(now);
                }
                None => self.miners.push(MinerRecord {
                    hotkey: entry.hotkey,
                    uid: entry.uid,
                    reveal_block: entry.precedence.reveal_block,
                    seen: block,
                    now,
                    earlier: Vec::new(),
                }),
            }
        }
        if self.miners.len() > MOST_MINERS {
            self.miners.sort_by_key(|record| (std::cmp::Reverse(record.seen), record.uid));
            self.miners.truncate(MOST_MINERS);
        }
        self.miners.sort_by_key(|record| (record.now.state == State::Gone, record.uid, record.hotkey));
    }

    /// One miner.
    pub fn of(&self, hotkey: &Hotkey) -> Option<&MinerRecord> {
        self.miners.iter().find(|record| record.hotkey == *hotkey)
    }

    /// Reads the file of a state folder; `None` where there is none yet.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn read(folder: &Path) -> Result<Option<Self>, ValidityError> {
        let path = folder.join(FILE);
        let failed = |source| ValidityError::Io { path: path.clone(), source };
        let other = |detail| ValidityError::Other { path: path.clone(), detail };
        match std::fs::metadata(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(cause)),
            Ok(found) if found.len() > MOST_BYTES => return Err(other(format!("{} bytes", found.len()))),
            Ok(_) => {}
        }
        let bytes = std::fs::read(&path).map_err(failed)?;
        let read: Self = serde_json::from_slice(&bytes).map_err(|cause| other(cause.to_string()))?;
        if read.version != VERSION {
            return Err(other(format!("version {}", read.version)));
        }
        Ok(Some(read))
    }

    /// Writes the file of a state folder, whole or not at all.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, folder: &Path) -> Result<(), ValidityError> {
        let path = folder.join(FILE);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| ValidityError::Io { path: path.clone(), source })
    }
}

impl MinerRecord {
    /// Begins a new chapter where something is different.
    fn turn(&mut self, now: Chapter) {
        if self.now.commitment == now.commitment && self.now.state == now.state {
            return;
        }
        let before = std::mem::replace(&mut self.now, now);
        self.earlier.insert(0, before);
        self.earlier.truncate(MOST_EARLIER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::roster::{Deployment, Precedence};

    fn entry(key: u8, revision: &str, reason: Option<&str>) -> RosterEntry {
        let standing = match reason {
            Some(reason) => Standing::Invalid { fault: Fault::Miner, reason: reason.into() },
            None => Standing::Valid {
                deployment: Deployment { chute_id: "c".into(), slug: "s".into(), model_hash: "h".into() },
            },
        };
        let commitment =
            Commitment { model_name: "u/m".into(), model_revision: revision.into(), chute_id: "c".into() };
        RosterEntry {
            uid: Uid(key.into()),
            hotkey: Hotkey([key; 32]),
            commitment: Some(commitment),
            precedence: Precedence { reveal_block: BlockNumber(5), index: 0, uid: Uid(key.into()) },
            standing,
        }
    }

    fn told(record: &MinerRecord) -> Vec<(u64, String)> {
        let chapters = std::iter::once(&record.now).chain(&record.earlier);
        let word = |chapter: &Chapter| match &chapter.state {
            State::Valid => "valid".to_owned(),
            State::Gone => "gone".to_owned(),
            State::Invalid { reason, .. } => reason.clone(),
        };
        chapters.map(|chapter| (chapter.since.0, word(chapter))).collect()
    }

    #[test]
    fn changes_make_chapters_and_what_stays_makes_none() {
        let mut validity = Validity::new(NetUid(99));
        let mut at = |block, rows: &[RosterEntry]| {
            validity.take(BlockNumber(block), rows);
            validity.clone()
        };
        at(100, &[entry(1, "a", None), entry(2, "a", Some("blacklisted"))]);
        at(200, &[entry(1, "a", None), entry(2, "a", Some("blacklisted"))]);
        at(300, &[entry(1, "a", Some("chute_not_running"))]);
        at(250, &[entry(1, "a", None)]);
        let last = at(400, &[entry(1, "b", None)]);
        let one = last.of(&Hotkey([1; 32])).expect("there");
        let chapters = [(400, "valid"), (300, "chute_not_running"), (100, "valid")];
        assert_eq!(told(one), chapters.map(|(block, word)| (block, word.to_owned())));
        let two = last.of(&Hotkey([2; 32])).expect("there");
        assert_eq!(told(two), [(300, "gone".to_owned()), (100, "blacklisted".to_owned())]);
        assert_eq!((one.seen, two.seen, last.block), (BlockNumber(400), BlockNumber(200), BlockNumber(400)));
        assert_eq!(last.miners[0].hotkey, one.hotkey, "who is gone comes last");
    }

    #[test]
    fn it_stays_small() {
        let mut validity = Validity::new(NetUid(99));
        for block in 0..100 {
            let flaps = (block % 2 == 0).then_some("chute_not_running");
            validity.take(BlockNumber(block), &[entry(1, "a", flaps)]);
        }
        assert_eq!(validity.miners[0].earlier.len(), MOST_EARLIER);
        for key in 0..=u16::MAX / 32 {
            let mut row = entry(0, "a", None);
            row.hotkey.0[..2].copy_from_slice(&key.to_le_bytes());
            row.uid = Uid(key % 256);
            validity.take(BlockNumber(100 + u64::from(key)), &[row]);
        }
        assert_eq!(validity.miners.len(), MOST_MINERS);
        assert!(validity.of(&Hotkey([1; 32])).is_none(), "who left longest ago is forgotten first");
    }

    #[test]
    fn a_file_comes_back_and_a_foreign_one_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(Validity::read(folder.path()).expect("none").is_none());
        let mut validity = Validity::new(NetUid(99));
        validity.take(BlockNumber(7), &[entry(1, "a", Some("blacklisted"))]);
        validity.write(folder.path()).expect("write");
        assert_eq!(Validity::read(folder.path()).expect("read"), Some(validity));
        for text in ["", "{}", "[]", r#"{"version":2,"netuid":1,"block":1,"miners":[]}"#] {
            std::fs::write(folder.path().join(FILE), text).expect("write");
            assert!(Validity::read(folder.path()).is_err(), "{text}");
        }
    }
}
