//! What a build remembers: small JSON files by digest. A file that cannot be read counts as absent.

use std::{io::Write as _, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use crate::domain::ids::Digest;

/// Largest remembered file in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// A folder of remembered answers.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in this folder, which is made when something is put into it.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What was remembered under a digest.
    pub fn get<T: DeserializeOwned>(&self, key: &Digest) -> Option<T> {
        let path = self.path(key);
        let facts =
            std::fs::metadata(&path).ok().filter(|facts| facts.is_file() && facts.len() <= MAX_BYTES)?;
        let mut content = Vec::with_capacity(facts.len() as usize);
        let file = std::fs::File::open(&path).ok()?;
        std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_BYTES), &mut content).ok()?;
        serde_json::from_slice(&content).ok()
    }

    /// Remembers something under a digest, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put<T: Serialize>(&self, key: &Digest, value: &T) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.persist(self.path(key)).map(drop).map_err(|refused| refused.error)
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_comes_back_and_damage_counts_as_absent() {
        let folder = tempfile::tempdir().expect("folder");
        let cache = Cache::new(folder.path().join("new"));
        let key = Digest::of(b"key");
        assert_eq!(cache.get::<Vec<u32>>(&key), None);
        cache.put(&key, &vec![1, 2]).expect("writable");
        assert_eq!(cache.get::<Vec<u32>>(&key), Some(vec![1, 2]));
        assert_eq!(cache.get::<String>(&key), None);
        std::fs::write(cache.path(&key), "[1,").expect("writable");
        assert_eq!(cache.get::<Vec<u32>>(&key), None);
    }
}
