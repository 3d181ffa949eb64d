//! Removing the oldest published rounds, by number and bytes.

use object_store::{Error as StoreError, ObjectStoreExt};

use super::{
    outbox::{Outbox, Published},
    place::Place,
    upload::{UploadError, refused},
};
use crate::domain::ids::RoundId;

/// How much of what was published is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Most rounds.
    pub rounds: u64,
    /// Most bytes.
    pub bytes: u64,
}

/// The rounds to remove so that the rest fits, oldest first. The newest one always stays.
pub fn too_many(published: &[Published], keep: Keep) -> Vec<RoundId> {
    let mut newest_first: Vec<&Published> = published.iter().collect();
    newest_first.sort_by_key(|record| std::cmp::Reverse(record.round));
    let (mut rounds, mut bytes) = (0, 0u64);
    let fits = |record: &&&Published| {
        rounds += 1;
        bytes = bytes.saturating_add(record.bytes);
        rounds == 1 || (rounds <= keep.rounds && bytes <= keep.bytes)
    };
    let kept = newest_first.iter().take_while(fits).count();
    newest_first[kept..].iter().rev().map(|record| record.round).collect()
}

/// Removes one round where it lies, its document first: what is left of it is then no round to a reader.
///
/// # Errors
/// When the place does not let a file go; the record stays, and the next sweep goes on.
pub async fn remove(place: &Place, outbox: &Outbox, record: &Published) -> Result<(), UploadError> {
    let folder = record.round.to_string();
    for name in record.files.iter().rev() {
        let key = place.key(&folder, name);
        match place.store.delete(&key).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(source) => return Err(refused(place, &key, source)),
        }
    }
    Ok(outbox.forget(record.round)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(round: u64, bytes: u64) -> Published {
        Published { round: RoundId(round), files: Vec::new(), bytes }
    }

    #[test]
    fn the_oldest_go_first_by_number_and_by_bytes() {
        let all = [record(1, 10), record(2, 10), record(3, 10)];
        let gone =
            |rounds, bytes| too_many(&all, Keep { rounds, bytes }).iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(gone(3, 30), [0u64; 0]);
        assert_eq!(gone(2, 30), [1]);
        assert_eq!(gone(3, 29), [1]);
        assert_eq!(gone(3, 15), [1, 2]);
        assert_eq!(gone(0, 0), [1, 2], "the newest stays");
    }

    proptest! {
        #[test]
        fn what_stays_fits_and_is_the_newest(sizes in prop::collection::vec(0u64..100, 0..20), rounds in 1u64..20, bytes in 0u64..900) {
            let all: Vec<_> = sizes.iter().enumerate().map(|(n, size)| record(n as u64, *size)).collect();
            let gone = too_many(&all, Keep { rounds, bytes });
            let kept = &all[gone.len()..];
            prop_assert!(gone.iter().enumerate().all(|(n, id)| id.0 == n as u64), "the oldest, in order");
            let sum: u64 = kept.iter().map(|record| record.bytes).sum();
            prop_assert!(kept.len() <= 1 || (kept.len() as u64 <= rounds && sum <= bytes));
            // One more would not fit.
            if let Some(last) = gone.last() {
                let more = sum + all[last.0 as usize].bytes;
                prop_assert!(kept.len() as u64 >= rounds || more > bytes);
            }
        }
    }
}
