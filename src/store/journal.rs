//! The journal: every event in order, in SQLite with write-ahead log.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::domain::{
    event::{Event, WeightsIntent},
    ids::RoundId,
    round::{ApplyError, Round, Tournament},
};

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    unix_ms INTEGER NOT NULL,
    round INTEGER,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_round ON events (round, seq);
";

const EVENTS_OF_ROUND: &str = "SELECT seq, kind, body FROM events WHERE round = ?1 ORDER BY seq";

/// Failures of the journal; all ours.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite failed.
    #[error("journal {path}: {source}")]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// An event does not read.
    #[error(
        "journal {path}, event {seq} ({kind}) does not read: {source}; it was written by another version or is damaged"
    )]
    Unreadable {
        /// The database file.
        path: PathBuf,
        /// Which event.
        seq: i64,
        /// Its kind.
        kind: String,
        /// Why.
        source: serde_json::Error,
    },
    /// An event does not follow from those before it.
    #[error("journal {path}, event {seq} does not follow: {source}")]
    Inconsistent {
        /// The database file.
        path: PathBuf,
        /// Which event.
        seq: i64,
        /// Why.
        source: ApplyError,
    },
    /// The folder belongs to another chain, subnet, hotkey or a newer program.
    #[error("journal {path} belongs to {name} {found}, this run has {expected}: give it its own state.dir")]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// What differs.
        name: &'static str,
        /// As stored.
        found: String,
        /// As asked.
        expected: String,
    },
}

/// What a journal belongs to: events of one identity never mix with another's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalIdentity {
    /// Genesis hash of the chain.
    pub genesis: String,
    /// Subnet.
    pub netuid: String,
    /// The signing hotkey, or `none`.
    pub hotkey: String,
}

/// The append-only event store of one validator.
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    events: u64,
}

impl Journal {
    /// Opens the journal in a state folder, making it where it is missing, and checks that it
    /// belongs to this identity.
    pub fn open(folder: &Path, identity: &JournalIdentity) -> Result<Self, JournalError> {
        let path = folder.join("journal.sqlite");
        let fail = |source| JournalError::Sqlite { path: path.clone(), source };
        let connection = Connection::open(&path).map_err(fail)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
            )
            .and_then(|()| connection.execute_batch(SCHEMA))
            .map_err(fail)?;
        let mut journal = Self { connection, path: path.clone(), events: 0 };
        let version = SCHEMA_VERSION.to_string();
        for (name, value) in [
            ("schema", &version),
            ("genesis", &identity.genesis),
            ("netuid", &identity.netuid),
            ("hotkey", &identity.hotkey),
        ] {
            journal.claim(name, value)?;
        }
        let count = "SELECT count(*) FROM events";
        journal.events =
            journal.connection.query_row(count, [], |row| row.get::<_, i64>(0)).map_err(fail)?.unsigned_abs();
        Ok(journal)
    }

    /// Opens an existing journal for reading beside the validator that writes it.
    pub fn open_read_only(folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join("journal.sqlite");
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|source| JournalError::Sqlite { path: path.clone(), source })?;
        Ok(Self { connection, path, events: 0 })
    }

    fn fail(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Sqlite { path: self.path.clone(), source }
    }

    fn claim(&self, name: &'static str, expected: &str) -> Result<(), JournalError> {
        let stored: Option<String> = self
            .connection
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(|source| self.fail(source))?;
        match stored {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(JournalError::Foreign {
                path: self.path.clone(),
                name,
                found,
                expected: expected.to_string(),
            }),
            None => self
                .connection
                .execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", [name, expected])
                .map(|_| ())
                .map_err(|source| self.fail(source)),
        }
    }

    /// Number of events.
    pub fn len(&self) -> u64 {
        self.events
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Appends one event. Events that must be durable reach the disk before this returns; the
    /// others survive the death of the process at once and of the machine soon after.
    pub fn append(&mut self, event: &Event) -> Result<(), JournalError> {
        let level = if event.must_be_durable() { "FULL" } else { "NORMAL" };
        // An event is a tree of plain data with string keys: serialization cannot fail.
        let body = serde_json::to_string(event).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
        let round = event.round().map(|round| round.0 as i64);
        self.connection
            .pragma_update(None, "synchronous", level)
            .and_then(|()| {
                self.connection
                    .prepare_cached(
                        "INSERT INTO events (unix_ms, round, kind, body) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![now, round, event.kind(), body])
            })
            .map_err(|source| self.fail(source))?;
        self.events += 1;
        Ok(())
    }

    /// Folds all events into a state, through the same code as live running.
    pub fn replay(&self, mut state: Tournament) -> Result<Tournament, JournalError> {
        self.read("SELECT seq, kind, body FROM events ORDER BY seq", [], |seq, event| {
            self.follow(&mut state, seq, &event)
        })?;
        Ok(state)
    }

    fn follow(&self, state: &mut Tournament, seq: i64, event: &Event) -> Result<(), JournalError> {
        let path = || self.path.clone();
        state.apply(event).map_err(|source| JournalError::Inconsistent { path: path(), seq, source })
    }

    /// One round folded alone onto an empty state, whatever became of the weights that rest on it; `None` when no event
    /// names it.
    pub fn round(&self, round: RoundId, mut state: Tournament) -> Result<Option<Round>, JournalError> {
        self.read(EVENTS_OF_ROUND, [round.0 as i64], |seq, event| match event {
            Event::WeightsIntended { .. } => Ok(()),
            event => self.follow(&mut state, seq, &event),
        })?;
        Ok(state.round(round).cloned())
    }

    /// Whose journal it is, as it was first opened.
    ///
    /// # Errors
    /// When the file cannot be read, or was never opened by a validator.
    pub fn identity(&self) -> Result<JournalIdentity, JournalError> {
        let value = |name: &str| {
            let query = "SELECT value FROM meta WHERE name = ?1";
            self.connection.query_row(query, [name], |row| row.get(0)).map_err(|source| self.fail(source))
        };
        Ok(JournalIdentity { genesis: value("genesis")?, netuid: value("netuid")?, hotkey: value("hotkey")? })
    }

    /// Every round that was opened or voided, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn round_ids(&self) -> Result<Vec<RoundId>, JournalError> {
        let query = "SELECT DISTINCT round FROM events WHERE kind IN ('round_planned', 'round_voided') ORDER BY round";
        let read = || -> rusqlite::Result<Vec<RoundId>> {
            let mut statement = self.connection.prepare_cached(query)?;
            let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
            rows.map(|round| Ok(RoundId(round?.unsigned_abs()))).collect()
        };
        read().map_err(|source| self.fail(source))
    }

    /// Corpus keys of the rounds before one: none of them could be chosen for it.
    ///
    /// # Errors
    /// When the file cannot be read or an event in it.
    pub fn published_before(&self, round: RoundId) -> Result<BTreeSet<String>, JournalError> {
        let query =
            "SELECT seq, kind, body FROM events WHERE kind = 'round_planned' AND round < ?1 ORDER BY seq";
        let mut keys = BTreeSet::new();
        self.read(query, [round.0 as i64], |_, event| {
            if let Event::RoundPlanned { plan } = event {
                keys.insert(plan.clip.key);
            }
            Ok(())
        })?;
        Ok(keys)
    }

    /// Every decision to set weights, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read or an event in it.
    pub fn intents(&self) -> Result<Vec<WeightsIntent>, JournalError> {
        let query = "SELECT seq, kind, body FROM events WHERE kind = 'weights_intended' ORDER BY seq";
        let mut intents = Vec::new();
        self.read(query, [], |_, event| {
            if let Event::WeightsIntended { intent } = event {
                intents.push(intent);
            }
            Ok(())
        })?;
        Ok(intents)
    }

    /// When the first event of a round was written, in milliseconds since 1970; `None` for a round that the journal does
    /// not know.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn opened_unix_ms(&self, round: RoundId) -> Result<Option<u64>, JournalError> {
        let query = "SELECT unix_ms FROM events WHERE round = ?1 ORDER BY seq LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
        let found = self.connection.query_row(query, [round.0 as i64], row).optional();
        found.map_err(|source| self.fail(source))
    }

    /// All events of one round, in order.
    pub fn events_of(&self, round: RoundId) -> Result<Vec<Event>, JournalError> {
        let mut events = Vec::new();
        self.read(EVENTS_OF_ROUND, [round.0 as i64], |_, event| {
            events.push(event);
            Ok(())
        })?;
        Ok(events)
    }

    fn read(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
        mut each: impl FnMut(i64, Event) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut statement = self.connection.prepare_cached(query).map_err(|source| self.fail(source))?;
        let mut rows = statement.query(parameters).map_err(|source| self.fail(source))?;
        while let Some(row) = rows.next().map_err(|source| self.fail(source))? {
            let parts = || Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let (seq, kind, body): (i64, String, String) = parts().map_err(|source| self.fail(source))?;
            let event = serde_json::from_str(&body).map_err(|source| JournalError::Unreadable {
                path: self.path.clone(),
                seq,
                kind,
                source,
            })?;
            each(seq, event)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::BlockNumber,
        outcome::Fault,
        rules::{PayoutRules, Rules},
        testing::{forfeit, hotkey, plan},
    };

    fn identity() -> JournalIdentity {
        JournalIdentity { genesis: "0x00".into(), netuid: "99".into(), hotkey: "none".into() }
    }

    fn empty() -> Tournament {
        Tournament::new(PayoutRules { tie_band: 0, ..Rules::embedded().payout })
    }

    fn events() -> Vec<Event> {
        let round = RoundId(7);
        vec![
            Event::RoundPlanned { plan: Box::new(plan(7, 1)) },
            Event::TicketSettled {
                round,
                hotkey: hotkey(1),
                outcome: forfeit(Fault::Miner),
                timings: Default::default(),
            },
            Event::RoundClosed { round, at: BlockNumber(760), winner: None },
        ]
    }

    #[test]
    fn a_reopened_journal_folds_to_the_same_state() {
        let folder = tempfile::tempdir().expect("folder");
        let mut live = empty();
        let mut journal = Journal::open(folder.path(), &identity()).expect("new");
        for event in events() {
            live.apply(&event).expect("follows");
            journal.append(&event).expect("append");
        }
        drop(journal);
        let journal = Journal::open(folder.path(), &identity()).expect("reopen");
        assert_eq!(journal.len(), 3);
        assert_eq!(journal.replay(empty()).expect("replay"), live);
        assert_eq!(journal.events_of(RoundId(7)).expect("events"), events());
        assert!(journal.events_of(RoundId(8)).expect("none").is_empty());
        assert_eq!(journal.identity().expect("identity"), identity());
        assert_eq!(journal.round_ids().expect("rounds"), [RoundId(7)]);
        assert_eq!(journal.published_before(RoundId(7)).expect("keys"), BTreeSet::new());
        let keys = journal.published_before(RoundId(8)).expect("keys");
        assert_eq!(keys, BTreeSet::from(["clip-7.mp4".to_owned()]));
        assert!(journal.opened_unix_ms(RoundId(7)).expect("time").is_some_and(|time| time > 0));
        assert_eq!(journal.opened_unix_ms(RoundId(8)).expect("time"), None);
        assert!(journal.intents().expect("decisions").is_empty());
    }

    #[test]
    fn a_journal_of_another_identity_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        drop(Journal::open(folder.path(), &identity()).expect("new"));
        let other = JournalIdentity { netuid: "1".into(), ..identity() };
        let refused = Journal::open(folder.path(), &other);
        assert!(matches!(refused, Err(JournalError::Foreign { name: "netuid", .. })));
    }

    #[test]
    fn a_damaged_event_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let mut journal = Journal::open(folder.path(), &identity()).expect("new");
        for event in events() {
            journal.append(&event).expect("append");
        }
        journal.connection.execute("UPDATE events SET body = '{}' WHERE seq = 2", []).expect("damage");
        assert!(matches!(journal.replay(empty()), Err(JournalError::Unreadable { seq: 2, .. })));
        journal.connection.execute("DELETE FROM events WHERE seq IN (1, 2)", []).expect("damage");
        assert!(matches!(journal.replay(empty()), Err(JournalError::Inconsistent { seq: 3, .. })));
    }
}
