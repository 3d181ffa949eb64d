//! The state file: every final block, so that a chain goes on where it stopped.
//!
//! The file is a line [`MAGIC`], then records. A record is the length of its payload and the
//! complement of that length (two little-endian `u32`), blake2-256 of the payload, and the payload
//! in SCALE. The first payload is [`Origin`]; each other one is a [`StoredBlock`]: header, body and
//! what the block changed in the state. The first of these holds its whole state instead.
//!
//! Records are appended and synchronised to the disk when their block becomes final; blocks that are
//! not final and waiting transactions are not in it. With more than [`MOST_BLOCKS`] blocks it is
//! rewritten with the newest [`KEPT_BLOCKS`]. A record that was being written when the machine
//! stopped is dropped at the next start, with a warning; any other damage is refused. The file is
//! locked while a chain runs on it.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parity_scale_codec::{Decode, Encode};
use sp_crypto_hashing::blake2_256;

use super::{
    block::{Block, Header},
    error::DevnetError,
    state::{Changes, VersionedState},
};
use crate::domain::ids::BlockHash;

const MAGIC: &[u8] = b"leoma devnet state 1\n";
/// Bytes of a record before its payload.
const RECORD_HEAD: usize = 40;
/// Most blocks in the file.
const MOST_BLOCKS: u64 = 16_384;
/// Blocks that a rewriting keeps.
const KEPT_BLOCKS: u64 = 1024;

/// What makes a chain this chain and not another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Origin {
    /// Seed of the genesis.
    pub seed: u64,
    /// The subnet.
    pub netuid: u16,
    /// Number of the head at the first start.
    pub start_block: u64,
    /// Seconds between rounds of the development beacon.
    pub beacon_period: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, netuid, start_block, beacon_period } = self;
        write!(f, "seed {seed}, netuid {netuid}, start block {start_block}, beacon period {beacon_period} s")
    }
}

/// A block as the file holds it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct StoredBlock {
    parent: [u8; 32],
    number: u64,
    state_root: [u8; 32],
    extrinsics_root: [u8; 32],
    digest: Vec<Vec<u8>>,
    extrinsics: Vec<Vec<u8>>,
    changes: Changes,
}

impl StoredBlock {
    fn new(block: &Block, changes: Changes) -> Self {
        let Header { parent, number, state_root, extrinsics_root, digest } = block.header.clone();
        let extrinsics = block.extrinsics.clone();
        Self { parent, number, state_root, extrinsics_root, digest, extrinsics, changes }
    }

    /// The block, its hash computed again, and what it changed.
    pub fn into_parts(self) -> (Arc<Block>, Changes) {
        let Self { parent, number, state_root, extrinsics_root, digest, extrinsics, changes } = self;
        let header = Header { parent, number, state_root, extrinsics_root, digest };
        (Arc::new(Block::new(header, extrinsics)), changes)
    }
}

/// The open state file.
pub struct Store {
    path: PathBuf,
    file: File,
    origin: Origin,
    blocks: u64,
}

/// What a rewriting takes over.
pub struct Kept<'a> {
    /// Final blocks, oldest first.
    pub blocks: Vec<&'a Block>,
    /// Their state.
    pub state: &'a VersionedState,
}

impl Store {
    /// Opens and locks the file; its blocks, none when it is new.
    ///
    /// # Errors
    /// When it cannot be read or written, is in use, is damaged, or is another chain's.
    pub fn open(path: &Path, origin: Origin) -> Result<(Self, Vec<StoredBlock>), DevnetError> {
        let failed = |error: io::Error| refusal(path, error.to_string());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        lock(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let mut blocks = Vec::new();
        // A start that was cut short leaves less than the first block: nothing is lost by a new one.
        if !bytes.is_empty() {
            let (good, payloads) = records(&bytes).map_err(|problem| refusal(path, problem))?;
            blocks = decode(&payloads, origin).map_err(|problem| refusal(path, problem))?;
            if good < bytes.len() {
                tracing::warn!(path = %path.display(), bytes = bytes.len() - good, "development chain: the last record of the state file was not written whole: dropped");
                file.set_len(good as u64).map_err(failed)?;
            }
            file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        let count = blocks.len() as u64;
        Ok((Self { path: path.to_path_buf(), file, origin, blocks: count }, blocks))
    }

    /// Appends final blocks and waits until the disk has them.
    pub fn append(&mut self, blocks: &[(Arc<Block>, Changes)]) -> Result<(), DevnetError> {
        let mut bytes = Vec::new();
        for (block, changes) in blocks {
            record(&mut bytes, &StoredBlock::new(block, changes.clone()).encode());
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        written.map_err(|error| refusal(&self.path, error.to_string()))?;
        self.blocks += blocks.len() as u64;
        Ok(())
    }

    /// Whether the file is to be rewritten.
    pub fn is_full(&self) -> bool {
        self.blocks > MOST_BLOCKS
    }

    /// Replaces the file by one with the newest of these blocks.
    pub fn rewrite(&mut self, kept: &Kept<'_>) -> Result<(), DevnetError> {
        let failed = |error: io::Error| refusal(&self.path, error.to_string());
        let from = kept.blocks.len().saturating_sub(KEPT_BLOCKS as usize);
        let newest = &kept.blocks[from..];
        let mut bytes = MAGIC.to_vec();
        record(&mut bytes, &self.origin.encode());
        for (index, block) in newest.iter().enumerate() {
            let number = block.header.number;
            let changes =
                if index == 0 { kept.state.snapshot(number) } else { kept.state.changes_of(number) };
            record(&mut bytes, &StoredBlock::new(block, changes).encode());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut fresh = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        fresh.write_all(&bytes).map_err(failed)?;
        fresh.as_file().sync_all().map_err(failed)?;
        lock(fresh.as_file(), &self.path)?;
        self.file = fresh.persist(&self.path).map_err(|error| failed(error.error))?;
        self.blocks = newest.len() as u64;
        Ok(())
    }
}

fn refusal(path: &Path, problem: impl Into<String>) -> DevnetError {
    DevnetError::State { path: path.to_path_buf(), problem: problem.into() }
}

fn lock(file: &File, path: &Path) -> Result<(), DevnetError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => refusal(path, "another development chain runs on it"),
        TryLockError::Error(error) => refusal(path, format!("cannot be locked: {error}")),
    })
}

fn record(bytes: &mut Vec<u8>, payload: &[u8]) {
    let length = payload.len() as u32;
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(blake2_256(payload));
    bytes.extend(payload);
}

/// Length of the whole records, and their payloads.
fn records(bytes: &[u8]) -> Result<(usize, Vec<&[u8]>), String> {
    if !bytes.starts_with(MAGIC) {
        return Err("is no state file of a development chain (version 1): choose another path".into());
    }
    let mut at = MAGIC.len();
    let mut payloads = Vec::new();
    while let Some((head, rest)) = bytes[at..].split_at_checked(RECORD_HEAD) {
        let number = |from: usize| {
            head[from..from + 4].iter().rev().fold(0u32, |number, byte| number << 8 | u32::from(*byte))
        };
        let length = number(0);
        if number(4) != !length {
            // A file system may have made room for a record and written nothing into it.
            if bytes[at..].iter().all(|byte| *byte == 0) {
                break;
            }
            return Err(damaged(at));
        }
        let Some(payload) = rest.get(..length as usize) else { break };
        if blake2_256(payload) != head[8..] {
            if rest.len() == payload.len() {
                break;
            }
            return Err(damaged(at));
        }
        payloads.push(payload);
        at += RECORD_HEAD + payload.len();
    }
    Ok((at, payloads))
}

fn damaged(at: usize) -> String {
    format!("is damaged at byte {at}: put a copy back, or delete it to begin a new chain")
}

fn decode(payloads: &[&[u8]], origin: Origin) -> Result<Vec<StoredBlock>, String> {
    let Some((first, rest)) = payloads.split_first() else {
        return Err("holds no whole record: delete it to begin a new chain".into());
    };
    let found = Origin::decode(&mut &first[..]).map_err(|error| format!("its origin: {error}"))?;
    if found != origin {
        return Err(format!("is of another chain: {found}; asked for {origin}"));
    }
    let mut parent: Option<(u64, BlockHash)> = None;
    let mut blocks = Vec::with_capacity(rest.len());
    for payload in rest {
        let block = StoredBlock::decode(&mut &payload[..]).map_err(|error| format!("a block: {error}"))?;
        let hash = block.clone().into_parts().0.hash;
        if parent.is_some_and(|(number, hash)| block.number != number + 1 || block.parent != hash.0) {
            return Err(format!("is damaged: block {} does not follow the one before it", block.number));
        }
        parent = Some((block.number, hash));
        blocks.push(block);
    }
    if blocks.is_empty() {
        return Err("holds no block: delete it to begin a new chain".into());
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORIGIN: Origin = Origin { seed: 1, netuid: 99, start_block: 1000, beacon_period: 3 };

    fn chain_of(count: u64) -> (Vec<Arc<Block>>, VersionedState) {
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let mut state = VersionedState::default();
        for number in 10..10 + count {
            let parent = blocks.last().map_or([7; 32], |block| block.hash.0);
            let header = Header {
                parent,
                number,
                state_root: [number as u8; 32],
                extrinsics_root: [0; 32],
                digest: vec![vec![6, 1]],
            };
            blocks.push(Arc::new(Block::new(header, vec![vec![number as u8; 5]])));
            state.commit(number, [(vec![1], Some(vec![number as u8])), (vec![number as u8], None)].into());
        }
        (blocks, state)
    }

    /// A file with three blocks, the last one appended.
    fn written() -> (tempfile::TempDir, PathBuf, Vec<Arc<Block>>) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("chain.state");
        let (blocks, state) = chain_of(3);
        let (mut store, found) = Store::open(&path, ORIGIN).expect("a new file");
        assert!(found.is_empty());
        let kept = Kept { blocks: blocks[..2].iter().map(|block| &**block).collect(), state: &state };
        store.rewrite(&kept).expect("written");
        store.append(&[(blocks[2].clone(), state.changes_of(12))]).expect("appended");
        (folder, path, blocks)
    }

    fn read(path: &Path) -> Result<Vec<Arc<Block>>, String> {
        let opened = Store::open(path, ORIGIN).map_err(|error| error.to_string());
        opened.map(|(_, found)| found.into_iter().map(|block| block.into_parts().0).collect())
    }

    #[test]
    fn blocks_come_back_as_they_were() {
        let (_folder, path, blocks) = written();
        assert_eq!(read(&path), Ok(blocks));
        let (_, found) = Store::open(&path, ORIGIN).expect("opened");
        assert_eq!(found[0].changes, [(vec![1], Some(vec![10]))].into(), "the first has the whole state");
        assert_eq!(found[2].changes, [(vec![1], Some(vec![12]))].into());
    }

    #[test]
    fn one_chain_at_a_time_and_only_its_own() {
        let (_folder, path, _) = written();
        let (first, _) = Store::open(&path, ORIGIN).expect("opened");
        assert!(read(&path).expect_err("in use").contains("another development chain runs on it"));
        drop(first);
        let other = Store::open(&path, Origin { seed: 2, ..ORIGIN }).map(drop).expect_err("another chain");
        assert!(other.to_string().contains("seed 1") && other.to_string().contains("seed 2"), "{other}");
        std::fs::write(&path, b"something else").expect("written");
        assert!(read(&path).expect_err("refused").contains("no state file"));
    }

    #[test]
    fn a_record_filled_with_zeros_is_a_torn_one() {
        let (_folder, path, blocks) = written();
        let mut bytes = std::fs::read(&path).expect("read");
        bytes.extend([0; 100]);
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(read(&path), Ok(blocks.clone()));
        assert_eq!(read(&path), Ok(blocks), "and the file is whole again");
    }

    #[test]
    fn a_rewriting_keeps_the_newest_blocks() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("chain.state");
        let (blocks, state) = chain_of(KEPT_BLOCKS + 5);
        let (mut store, _) = Store::open(&path, ORIGIN).expect("a new file");
        store
            .rewrite(&Kept { blocks: blocks.iter().map(|block| &**block).collect(), state: &state })
            .expect("written");
        assert!(!store.is_full());
        drop(store);
        assert_eq!(read(&path).expect("read"), blocks[5..]);
    }

    proptest! {
        /// Cut anywhere, the file holds a beginning of the chain or says that it holds nothing.
        #[test]
        fn a_torn_end_costs_the_torn_record_only(cut in 1usize..2000) {
            let (_folder, path, blocks) = written();
            let bytes = std::fs::read(&path).expect("read");
            let cut = cut % bytes.len();
            std::fs::write(&path, &bytes[..bytes.len() - cut]).expect("written");
            match read(&path) {
                Ok(found) => prop_assert!(found.is_empty() || blocks.starts_with(&found), "{}", found.len()),
                Err(problem) => prop_assert!(problem.contains("delete it") || problem.contains("no state file"), "{problem}"),
            }
        }

        /// A flipped bit before the last record is never taken for a chain.
        #[test]
        fn damage_is_refused(at in 0usize..10_000, bit in 0u8..8) {
            let (_folder, path, blocks) = written();
            let mut bytes = std::fs::read(&path).expect("read");
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, bytes).expect("written");
            // In the last record it cannot be told from a torn write.
            match read(&path) {
                Ok(found) => prop_assert_eq!(found, &blocks[..2]),
                Err(problem) => prop_assert!(problem.contains(&path.display().to_string()), "{problem}"),
            }
        }
    }
}
