//! Chain state by block: every key keeps its values by the block that wrote them.
//!
//! The chain is linear (what is produced is final), so a value at a block is the newest one written
//! at or before it. Reading old blocks costs a binary search; a new block costs what it changes.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

/// A storage key or value, shared between the map and its history.
pub type Bytes = Arc<[u8]>;

/// Changes of one block: key to new value, `None` removes the key.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// All kept states.
#[derive(Default)]
pub struct VersionedState {
    entries: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    written: VecDeque<(u64, Vec<Bytes>)>,
}

impl VersionedState {
    /// Value of a key at a block.
    pub fn get(&self, key: &[u8], at: u64) -> Option<&[u8]> {
        value_at(self.entries.get(key)?, at)
    }

    /// Keys below a prefix that have a value at a block, in order, after `start`, at most `count`.
    pub fn keys(&self, prefix: &[u8], start: Option<&[u8]>, count: usize, at: u64) -> Vec<Bytes> {
        let lower = match start {
            Some(start) if start >= prefix => Bound::Excluded(start),
            _ => Bound::Included(prefix),
        };
        self.entries
            .range::<[u8], _>((lower, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, versions)| value_at(versions, at).is_some())
            .take(count)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Writes the changes of a block; blocks come in order.
    pub fn commit(&mut self, number: u64, changes: Changes) {
        let mut keys = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            let key: Bytes = key.into();
            let versions = self.entries.entry(key.clone()).or_default();
            if value.is_none() && versions.is_empty() {
                self.entries.remove(&key);
                continue;
            }
            versions.push((number, value.map(Bytes::from)));
            keys.push(key);
        }
        self.written.push_back((number, keys));
    }

    /// Forgets what only blocks before `floor` can see.
    pub fn prune(&mut self, floor: u64) {
        while self.written.front().is_some_and(|(number, _)| *number <= floor) {
            let Some((number, keys)) = self.written.pop_front() else { return };
            for key in keys {
                let Some(versions) = self.entries.get_mut(&key) else { continue };
                versions.retain(|(written, _)| *written >= number);
                if let [(_, None)] = versions.as_slice() {
                    self.entries.remove(&key);
                }
            }
        }
    }
}

fn value_at(versions: &[(u64, Option<Bytes>)], at: u64) -> Option<&[u8]> {
    let after = versions.partition_point(|(written, _)| *written <= at);
    versions.get(after.checked_sub(1)?)?.1.as_deref()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(key: u8, value: Option<u8>) -> (Vec<u8>, Option<Vec<u8>>) {
        (vec![key / 4, key], value.map(|value| vec![value]))
    }

    proptest! {
        /// The history answers as a list of full snapshots would, before and after pruning.
        #[test]
        fn reads_equal_full_snapshots(
            blocks in prop::collection::vec(prop::collection::vec((0u8..16, prop::option::of(0u8..5)), 0..6), 1..30),
            floor in 0u64..30,
        ) {
            let mut state = VersionedState::default();
            let mut snapshots: Vec<BTreeMap<Vec<u8>, Vec<u8>>> = Vec::new();
            let mut current = BTreeMap::new();
            for (number, writes) in blocks.iter().enumerate() {
                let changes: Changes = writes.iter().map(|(key, value)| change(*key, *value)).collect();
                for (key, value) in &changes {
                    match value {
                        Some(value) => current.insert(key.clone(), value.clone()),
                        None => current.remove(key),
                    };
                }
                snapshots.push(current.clone());
                state.commit(number as u64, changes);
            }
            state.prune(floor);
            for (number, snapshot) in snapshots.iter().enumerate().skip(floor as usize) {
                for prefix in [vec![], vec![0], vec![1], vec![3]] {
                    let expected: Vec<Vec<u8>> =
                        snapshot.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
                    let mut paged: Vec<Vec<u8>> = Vec::new();
                    loop {
                        let page = state.keys(&prefix, paged.last().map(Vec::as_slice), 2, number as u64);
                        if page.is_empty() { break }
                        paged.extend(page.iter().map(|key| key.to_vec()));
                    }
                    prop_assert_eq!(paged, expected);
                }
                for key in 0..16u8 {
                    let (key, _) = change(key, None);
                    prop_assert_eq!(state.get(&key, number as u64), snapshot.get(&key).map(Vec::as_slice));
                }
            }
        }
    }

    #[test]
    fn pruning_keeps_memory_bounded() {
        let mut state = VersionedState::default();
        for number in 0..1000u64 {
            state.commit(number, [change(1, Some(1)), change(2, (number % 2 == 0).then_some(2))].into());
            state.prune(number.saturating_sub(10));
        }
        assert!(state.written.len() <= 11);
        assert!(state.entries.values().all(|versions| versions.len() <= 12));
    }
}
