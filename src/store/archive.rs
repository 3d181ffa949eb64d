//! Rounds of any age: the newest from memory, older ones folded from the journal.

use std::{path::PathBuf, sync::Arc};

use super::{
    book::RoundsBook,
    journal::{Journal, JournalError},
};
use crate::domain::{
    ids::RoundId,
    report::RoundReport,
    round::{ROUNDS_IN_MEMORY, Tournament},
    rules::ActiveRules,
};

/// Where the rounds of one validator are found.
pub struct RoundsArchive {
    /// The newest rounds.
    pub book: Arc<RoundsBook>,
    /// The state folder.
    pub folder: PathBuf,
    /// The rules in force.
    pub rules: Arc<ActiveRules>,
}

impl RoundsArchive {
    /// One round; `None` when the journal does not know it. Reads the disk for a round that is no
    /// longer in memory.
    ///
    /// # Errors
    /// When the journal cannot be read or contradicts itself.
    pub fn get(&self, round: RoundId) -> Result<Option<RoundReport>, JournalError> {
        if let Some(report) = self.book.get(round) {
            return Ok(Some(report.as_ref().clone()));
        }
        // A round that is newer than the oldest in memory, and not there, was never opened.
        let newest = self.book.newest(ROUNDS_IN_MEMORY);
        if newest.len() < ROUNDS_IN_MEMORY || newest.last().is_some_and(|oldest| round > oldest.round) {
            return Ok(None);
        }
        let found = Journal::open_read_only(&self.folder)?
            .round(round, Tournament::under(self.rules.rules.payout, self.rules.digest))?;
        Ok(found.map(|found| RoundReport::of(round, &found)))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::journal::JournalIdentity, *};
    use crate::domain::{
        event::Event,
        ids::BlockNumber,
        outcome::Fault,
        testing::{forfeit, hotkey, plan},
    };

    /// One round with one miner, as events.
    fn round(number: u64) -> Vec<Event> {
        let id = RoundId(number);
        vec![
            Event::RoundPlanned { plan: Box::new(plan(number, 1)) },
            Event::TicketSettled {
                round: id,
                hotkey: hotkey(1),
                outcome: forfeit(Fault::Miner),
                timings: Default::default(),
            },
            Event::RoundClosed { round: id, at: BlockNumber(number * 100 + 60), winner: None },
        ]
    }

    #[test]
    fn a_round_that_left_memory_is_read_from_the_journal() {
        let folder = tempfile::tempdir().expect("folder");
        let identity = JournalIdentity { genesis: "0x00".into(), netuid: "99".into(), hotkey: "none".into() };
        let rules = Arc::new(ActiveRules::embedded().expect("embedded rules"));
        let mut journal = Journal::open(folder.path(), &identity).expect("new");
        let book = Arc::new(RoundsBook::default());
        let mut live = Tournament::new(rules.rules.payout);
        let mut first = None;
        for number in 1..=ROUNDS_IN_MEMORY as u64 + 1 {
            for event in round(number) {
                live.apply(&event).expect("follows");
                journal.append(&event).expect("append");
            }
            let report = RoundReport::of(RoundId(number), live.round(RoundId(number)).expect("newest"));
            first.get_or_insert(report.clone());
            book.put(report);
        }
        assert!(book.get(RoundId(1)).is_none(), "the oldest has left memory");
        let archive = RoundsArchive { book, folder: folder.path().to_owned(), rules };
        assert_eq!(archive.get(RoundId(1)).expect("read"), first);
        assert_eq!(archive.get(RoundId(0)).expect("read"), None);
        assert_eq!(archive.get(RoundId(5_000)).expect("read"), None);
        assert_eq!(
            archive.get(RoundId(201)).expect("in memory").map(|report| report.round),
            Some(RoundId(201))
        );
    }
}
