//! Chain state by block: every key keeps its values by the block that wrote them.
//!
//! The history is that of the best chain, so a value at a block is the newest one written at or
//! before it. Reading old blocks costs a binary search; a new block costs what it changes. Newest
//! blocks can be taken back; a block that was taken back is read through a [`View`] with an overlay.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
};

/// A storage key or value, shared between the map and its history.
pub type Bytes = Arc<[u8]>;

/// Changes of one block: key to new value, `None` removes the key.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// State after one block: a block of the best chain, or one that a fork replaced.
#[derive(Clone)]
pub struct View<'a> {
    state: &'a VersionedState,
    at: u64,
    overlay: Option<Arc<Changes>>,
}

impl<'a> View<'a> {
    /// State after a block of the best chain.
    pub fn best(state: &'a VersionedState, at: u64) -> Self {
        Self { state, at, overlay: None }
    }

    /// State of a replaced block: the best chain's block `at` is its ancestor, `overlay` what
    /// changed since.
    pub fn replaced(state: &'a VersionedState, at: u64, overlay: Arc<Changes>) -> Self {
        Self { state, at, overlay: Some(overlay) }
    }

    /// Value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match self.overlay.as_ref().and_then(|overlay| overlay.get(key)) {
            Some(value) => value.as_deref(),
            None => self.state.get(key, self.at),
        }
    }

    /// Keys below a prefix that have a value, in order, after `start`, at most `count`.
    pub fn keys(&self, prefix: &[u8], start: Option<&[u8]>, count: usize) -> Vec<Bytes> {
        let Some(overlay) = &self.overlay else { return self.state.keys(prefix, start, count, self.at) };
        // More than asked for, as the overlay may take some of them away.
        let below = self.state.keys(prefix, start, count.saturating_add(overlay.len()), self.at);
        let mut keys: BTreeSet<Bytes> = below.into_iter().collect();
        let after = |key: &[u8]| start.is_none_or(|start| key > start);
        for (key, value) in overlay.iter().filter(|(key, _)| key.starts_with(prefix) && after(key)) {
            if value.is_some() {
                keys.insert(Bytes::from(key.as_slice()));
            } else {
                keys.remove(key.as_slice());
            }
        }
        keys.into_iter().take(count).collect()
    }
}

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

    /// Takes back every block after `number`, newest first; the changes that each had made.
    pub fn revert(&mut self, number: u64) -> Vec<(u64, Changes)> {
        let mut taken = Vec::new();
        while self.written.back().is_some_and(|(written, _)| *written > number) {
            let Some((written, keys)) = self.written.pop_back() else { break };
            let mut changes = Changes::new();
            for key in keys {
                let Some(versions) = self.entries.get_mut(&key) else { continue };
                if let Some((_, value)) = versions.pop_if(|(at, _)| *at == written) {
                    changes.insert(key.to_vec(), value.map(|value| value.to_vec()));
                }
                if versions.is_empty() {
                    self.entries.remove(&key);
                }
            }
            taken.push((written, changes));
        }
        taken
    }

    /// What a kept block changed.
    pub fn changes_of(&self, number: u64) -> Changes {
        let written = self.written.iter().rev().find(|(written, _)| *written == number);
        let value = |key: &Bytes| {
            let versions = self.entries.get(key)?;
            versions.iter().find(|(written, _)| *written == number).map(|(_, value)| value.clone())
        };
        written
            .into_iter()
            .flat_map(|(_, keys)| keys)
            .filter_map(|key| Some((key.to_vec(), value(key)?.map(|value| value.to_vec()))))
            .collect()
    }

    /// Everything that has a value at a block.
    pub fn snapshot(&self, at: u64) -> Changes {
        let value = |versions: &Vec<_>| value_at(versions, at).map(<[u8]>::to_vec);
        let all =
            self.entries.iter().filter_map(|(key, versions)| Some((key.to_vec(), Some(value(versions)?))));
        all.collect()
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

    proptest! {
        /// Blocks that are taken back leave no trace, and are still readable over what replaced them.
        #[test]
        fn a_replaced_block_reads_as_it_was(
            blocks in prop::collection::vec(prop::collection::vec((0u8..16, prop::option::of(0u8..5)), 0..6), 2..12),
            fork in 0usize..10,
        ) {
            let fork = fork % (blocks.len() - 1);
            let changes_of = |writes: &Vec<(u8, Option<u8>)>| -> Changes {
                writes.iter().map(|(key, value)| change(*key, *value)).collect()
            };
            let mut whole = VersionedState::default();
            let mut short = VersionedState::default();
            for (number, writes) in blocks.iter().enumerate() {
                whole.commit(number as u64, changes_of(writes));
                if number <= fork {
                    short.commit(number as u64, changes_of(writes));
                }
            }
            let head = blocks.len() as u64 - 1;
            let before = whole.snapshot(head);
            let taken = whole.revert(fork as u64);
            prop_assert_eq!(taken.len() as u64, head - fork as u64);
            let mut overlay = Changes::new();
            for (_, changes) in taken.into_iter().rev() {
                overlay.extend(changes);
            }
            // What replaces them changes other things.
            whole.commit(fork as u64 + 1, [change(3, Some(9)), change(5, None)].into());
            short.commit(fork as u64 + 1, [change(3, Some(9)), change(5, None)].into());
            prop_assert_eq!(whole.snapshot(u64::MAX), short.snapshot(u64::MAX));
            let view = View::replaced(&whole, fork as u64, Arc::new(overlay));
            let mut read = Changes::new();
            loop {
                let last = read.last_key_value().map(|(key, _): (&Vec<u8>, _)| key.clone());
                let page = view.keys(&[], last.as_deref(), 2);
                if page.is_empty() { break }
                read.extend(page.iter().map(|key| (key.to_vec(), view.get(key).map(<[u8]>::to_vec))));
            }
            prop_assert_eq!(read, before);
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
