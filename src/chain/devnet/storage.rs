//! Typed view of the state for one block under construction: reads through, writes to an overlay.

use std::collections::BTreeSet;

use subxt::ext::{
    frame_decode::storage::IntoEncodableValues,
    scale_decode::DecodeAsType,
    scale_encode::EncodeAsType,
    scale_value::{Composite, Value},
};

use super::{
    error::ModelError,
    items::{self, Item},
    runtime::Runtime,
    state::{Changes, VersionedState, View},
};

/// When in a block an event was emitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Before the extrinsics.
    Initialization,
    /// While the extrinsic of this index was applied.
    ApplyExtrinsic(u32),
}

/// State after a block, plus the changes of the block being built on it.
pub struct Storage<'a> {
    runtime: &'a Runtime,
    view: View<'a>,
    changes: Changes,
    events: Vec<Value>,
    phase: Phase,
}

/// What to go back to when an extrinsic fails.
pub struct Checkpoint {
    changes: Changes,
    events: usize,
}

impl<'a> Storage<'a> {
    /// View of the state after block `at`.
    pub fn at(runtime: &'a Runtime, state: &'a VersionedState, at: u64) -> Self {
        Self::on(runtime, View::best(state, at))
    }

    /// The same on any view.
    pub fn on(runtime: &'a Runtime, view: View<'a>) -> Self {
        Self { runtime, view, changes: Changes::new(), events: Vec::new(), phase: Phase::Initialization }
    }

    /// The runtime whose types are used.
    pub fn runtime(&self) -> &'a Runtime {
        self.runtime
    }

    fn raw(&self, key: &[u8]) -> Option<&[u8]> {
        match self.changes.get(key) {
            Some(value) => value.as_deref(),
            None => self.view.get(key),
        }
    }

    /// Stores a value under one of substrate's well-known keys, which are outside the metadata.
    pub fn put_raw(&mut self, key: &[u8], value: Vec<u8>) {
        self.changes.insert(key.to_vec(), Some(value));
    }

    /// Value of an entry, if it is stored.
    pub fn get<T: DecodeAsType>(
        &self,
        item: Item,
        keys: impl IntoEncodableValues,
    ) -> Result<Option<T>, ModelError> {
        let key = self.runtime.key(item, keys)?;
        self.raw(&key).map(|bytes| self.runtime.decode(item, bytes)).transpose()
    }

    /// Keys below a prefix that hold a value, in order.
    pub fn keys_below(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let stored = self.view.keys(prefix, None, usize::MAX);
        let mut keys: BTreeSet<Vec<u8>> = stored.iter().map(|key| key.to_vec()).collect();
        for (key, value) in self.changes.range(prefix.to_vec()..) {
            if !key.starts_with(prefix) {
                break;
            }
            if value.is_some() {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
        }
        keys.into_iter().collect()
    }

    /// Value of an entry, or the default that the metadata gives.
    pub fn value<T: DecodeAsType>(
        &self,
        item: Item,
        keys: impl IntoEncodableValues,
    ) -> Result<T, ModelError> {
        if let Some(value) = self.get(item, keys)? {
            return Ok(value);
        }
        let bytes = self
            .runtime
            .default_value(item)
            .ok_or_else(|| ModelError::Missing(format!("a value or default of {item}")))?;
        self.runtime.decode(item, bytes)
    }

    /// Stores a value.
    pub fn put(
        &mut self,
        item: Item,
        keys: impl IntoEncodableValues,
        value: impl EncodeAsType,
    ) -> Result<(), ModelError> {
        let key = self.runtime.key(item, keys)?;
        let bytes = self.runtime.encode(item, &value)?;
        self.changes.insert(key, Some(bytes));
        Ok(())
    }

    /// Removes a value.
    pub fn remove(&mut self, item: Item, keys: impl IntoEncodableValues) -> Result<(), ModelError> {
        let key = self.runtime.key(item, keys)?;
        self.changes.insert(key, None);
        Ok(())
    }

    /// From now on events belong to this phase.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Emits an event; encoded when the block closes.
    pub fn emit(&mut self, pallet: &'static str, event: &'static str, fields: Composite<()>) {
        let phase = match self.phase {
            Phase::Initialization => Value::unnamed_variant("Initialization", []),
            Phase::ApplyExtrinsic(index) => {
                Value::unnamed_variant("ApplyExtrinsic", [Value::u128(index.into())])
            }
        };
        self.events.push(Value::named_composite([
            ("phase", phase),
            ("event", Value::unnamed_variant(pallet, [Value::variant(event, fields)])),
            ("topics", Value::unnamed_composite([])),
        ]));
    }

    /// Forgets the events so far: the initial state has none.
    pub fn discard_events(&mut self) {
        self.events.clear();
    }

    /// Remembers changes and events so far.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { changes: self.changes.clone(), events: self.events.len() }
    }

    /// Undoes everything since the checkpoint.
    pub fn roll_back(&mut self, checkpoint: Checkpoint) {
        self.changes = checkpoint.changes;
        self.events.truncate(checkpoint.events);
    }

    /// Stores `System.Events` and returns the block's changes.
    pub fn close(mut self) -> Result<Changes, ModelError> {
        let events = std::mem::take(&mut self.events);
        self.put(items::EVENTS, (), events)?;
        Ok(self.changes)
    }
}

#[cfg(test)]
mod tests {
    use subxt::ext::scale_value::value;

    use super::*;

    /// The recorded node's `System.Events`, rebuilt from values, gives the recorded bytes.
    #[test]
    fn events_encode_as_the_recorded_node_encodes_them() {
        let vectors = crate::chain::devnet::golden::vectors();
        let recorded = hex::decode(&vectors["events"]["raw_hex"].as_str().expect("hex")[2..]).expect("hex");
        let runtime = Runtime::load().expect("vendored metadata");
        let decoded: Vec<Value> = {
            let all = runtime.value_type_for_tests(items::EVENTS);
            let value = runtime.decode_value(all, &recorded, || "events".into()).expect("events");
            match value.value {
                subxt::ext::scale_value::ValueDef::Composite(records) => records.into_values().collect(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(decoded.len(), 8);
        let state = VersionedState::default();
        let mut storage = Storage::at(&runtime, &state, 0);
        storage.emit("Balances", "Issued", Composite::named([("amount", value!(1_000_000_000u64))]));
        // The first event is emitted as the model emits them, the others are the recorded ones.
        storage.events.extend(decoded.into_iter().skip(1));
        let changes = storage.close().expect("close");
        let key = runtime.key(items::EVENTS, ()).expect("key");
        assert_eq!(changes[&key].as_deref(), Some(&recorded[..]));
    }

    #[test]
    fn a_failed_extrinsic_leaves_no_trace() {
        let runtime = Runtime::load().expect("vendored metadata");
        let state = VersionedState::default();
        let mut storage = Storage::at(&runtime, &state, 0);
        storage.put(items::TEMPO, (99u16,), 100u16).expect("put");
        let checkpoint = storage.checkpoint();
        storage.put(items::TEMPO, (99u16,), 7u16).expect("put");
        storage.emit("System", "CodeUpdated", Composite::unnamed([]));
        storage.roll_back(checkpoint);
        assert_eq!(storage.value::<u16>(items::TEMPO, (99u16,)), Ok(100));
        assert!(storage.events.is_empty());
    }
}
