//! What services said, remembered for a while: bounded by number and by bytes, the longest unused goes first.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use lru::LruCache;

/// What a cache may hold.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Most entries.
    pub entries: NonZeroUsize,
    /// Most bytes, as the caller counts them.
    pub bytes: usize,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    until: Option<Instant>,
}

struct Inner<K: Hash + Eq, V> {
    entries: LruCache<K, Entry<V>>,
    bytes: usize,
}

/// A bounded memory with a time for each entry.
pub struct Cache<K: Hash + Eq, V> {
    inner: Mutex<Inner<K, V>>,
    most_bytes: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// An empty cache.
    pub fn new(limits: CacheLimits) -> Self {
        let inner = Inner { entries: LruCache::new(limits.entries), bytes: 0 };
        Self { inner: Mutex::new(inner), most_bytes: limits.bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered and not too old now.
    pub fn get(&self, key: &K, now: Instant) -> Option<V> {
        let mut inner = self.lock();
        let entry = inner.entries.get(key)?;
        if entry.until.is_none_or(|until| now < until) {
            return Some(entry.value.clone());
        }
        drop(inner);
        self.forget(key);
        None
    }

    /// Remembers until a time, or for good. What is larger than the whole cache is not remembered.
    pub fn put(&self, key: K, value: V, bytes: usize, until: Option<Instant>) {
        let mut inner = self.lock();
        if bytes > self.most_bytes {
            return;
        }
        let entry = Entry { value, bytes, until };
        // An entry of the same key, or the longest unused one where all places are taken.
        if let Some((_, gone)) = inner.entries.push(key, entry) {
            inner.bytes -= gone.bytes;
        }
        inner.bytes += bytes;
        while inner.bytes > self.most_bytes {
            let Some((_, gone)) = inner.entries.pop_lru() else { break };
            inner.bytes -= gone.bytes;
        }
    }

    /// Forgets one entry.
    pub fn forget(&self, key: &K) {
        let mut inner = self.lock();
        if let Some(gone) = inner.entries.pop(key) {
            inner.bytes -= gone.bytes;
        }
    }

    /// Entries and bytes.
    pub fn size(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.entries.len(), inner.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn cache(entries: usize, bytes: usize) -> Cache<u8, u8> {
        Cache::new(CacheLimits { entries: NonZeroUsize::new(entries).expect("some"), bytes })
    }

    #[test]
    fn what_is_old_is_forgotten_and_what_is_for_good_is_not() {
        let (cache, start) = (cache(4, 100), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        cache.put(1, 10, 5, Some(after(30)));
        cache.put(2, 20, 5, None);
        assert_eq!((cache.get(&1, after(29)), cache.get(&2, after(29))), (Some(10), Some(20)));
        assert_eq!((cache.get(&1, after(30)), cache.get(&2, after(1 << 30))), (None, Some(20)));
        assert_eq!(cache.size(), (1, 5));
        cache.forget(&2);
        assert_eq!((cache.get(&2, start), cache.size()), (None, (0, 0)));
    }

    proptest! {
        #[test]
        fn it_never_grows_beyond_its_bounds_and_counts_right(
            steps in prop::collection::vec((any::<u8>(), 0_usize..40), 0..200),
        ) {
            let (cache, now) = (cache(8, 60), Instant::now());
            for (key, bytes) in steps {
                cache.put(key, key, bytes, None);
                let (entries, held) = cache.size();
                prop_assert!(entries <= 8 && held <= 60);
                prop_assert_eq!(cache.get(&key, now), Some(key), "what was said last is known");
                let counted: usize = cache.lock().entries.iter().map(|(_, entry)| entry.bytes).sum();
                prop_assert_eq!(counted, held);
            }
        }
    }
}
