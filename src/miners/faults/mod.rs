//! Who is to blame for what: the one table of everything that Chutes, Hugging Face and chutes can
//! answer, what is tried again, and what a miner can do about it. `docs/services.md` holds the same table.
//!
//! The choice, for a single call with no other evidence:
//! - What a miner can bring about counts against the miner, or miners would choose which rounds
//!   count: every status of its chute, silence after the connection was made, a wrong body.
//! - What a miner cannot bring about never does: no connection (all chutes share Chutes' front
//!   door), our keys, the look-up services themselves.
//! - `platform` here means only that a look-up service answered and said that it is unwell. Whether
//!   several chutes failed in the same minutes is for [`super::evidence`] to see, which takes the [`Widespread`]
//!   ones off the miners.

use std::{fmt::Write as _, time::Duration};

use crate::domain::outcome::Fault;

use super::port::ServiceFault;

mod table;

use table::{Row, TABLE, When};

/// The three calls that we make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `GET /chutes/{id}`.
    ChuteLookup,
    /// `GET /api/models/{repo}/revision/{revision}`, and ranges of its files.
    ModelLookup,
    /// `POST /generate`.
    Generate,
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Self::ChuteLookup => "chute look-up",
            Self::ModelLookup => "model look-up",
            Self::Generate => "generate",
        }
    }
}

/// What went wrong in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No connection: name, route, refusal or TLS.
    Unreachable,
    /// The host's name leads into a private network.
    PrivateAddress,
    /// Connected, but not answered in full within the limit.
    Deadline,
    /// The limit passed, but it was no longer than the limit on connecting: nothing is known.
    DeadlineTooShort,
    /// The service asked for a pause that is longer than the limit: not asked.
    Paused,
    /// The connection ended, or the peer broke HTTP, before the answer was complete.
    BrokenOff,
    /// More bytes than the cap.
    TooLarge,
    /// A status other than 200.
    Status(u16),
    /// Status 429 or 503 of a chute that names Chutes' capacity.
    Overload,
    /// Status 429 or 503 of a chute that names no instance to turn to.
    NoTargets,
    /// Status 429 or 503 of a chute that names maintenance.
    Maintenance,
    /// Status 200 with a body that is not the JSON that was documented, or nested too deeply.
    NotUnderstood,
    /// Status 200 with a content type or encoding that is not a clip's.
    WrongType,
    /// Status 200 without a body.
    Empty,
    /// The look-up says that there is no such thing, or not for us.
    NotFound,
    /// A repository whose files are not for everybody to read.
    Gated,
    /// A repository that only its owner sees.
    Private,
    /// A chute answers under another id than the committed one.
    OtherId,
    /// No host part, or one with characters that do not belong there.
    BadSlug,
    /// No active and verified instance.
    NotRunning,
    /// The service names another revision than the commitment; the reason ends with it.
    OtherRevision,
    /// The repository has no weight file in large-file storage.
    NoWeights,
    /// Our own disk did not take the answer.
    Disk,
}

/// Whether a failed call is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// It would end the same way, or was paid for already.
    No,
    /// Within the same call, after a short pause that grows.
    Soon,
    /// Once, at a random later block of the round.
    Later,
}

/// Whether many miners' failures of this kind at once may be nobody's among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Widespread {
    /// Each failure is the miner's own.
    Never,
    /// Then Chutes itself is down.
    Platform,
    /// Then it is our own account.
    Us,
}

/// A call that failed: what went wrong and what was seen.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) trouble: Trouble,
    pub(super) detail: String,
    /// For how long the service asked us to stay away.
    pub(super) told: Option<Duration>,
}

impl Failure {
    pub(super) fn new(trouble: Trouble, detail: impl Into<String>) -> Self {
        Self { trouble, detail: detail.into(), told: None }
    }

    /// The failure with who is to blame.
    pub(super) fn of(self, call: Call) -> ServiceFault {
        let (fault, reason) = blame(call, self.trouble);
        let detail = printable(&self.detail, 400);
        ServiceFault { fault, reason: reason.to_owned(), detail, retry_after: self.told }
    }
}

/// A service that names another revision than the commitment.
pub(super) fn revision_mismatch(call: Call, named: &str) -> ServiceFault {
    let detail = "the service names another revision than the commitment";
    let mut fault = Failure::new(Trouble::OtherRevision, detail).of(call);
    fault.reason.push_str(&printable(named, 64));
    fault
}

fn row_of(call: Call, trouble: Trouble) -> Option<&'static Row> {
    let fits = |row: &&Row| {
        row.call == call
            && match row.when {
                When::Is(named) => named == trouble,
                When::Status(first, last) => {
                    matches!(trouble, Trouble::Status(status) if (first..=last).contains(&status))
                }
                When::Otherwise => true,
            }
    };
    TABLE.iter().find(fits)
}

/// Who is to blame for a trouble in a call, and its reason code. `revision_mismatch:...=` is to be
/// followed by the revision that the service named.
pub fn blame(call: Call, trouble: Trouble) -> (Fault, &'static str) {
    // Every call has a last row for everything else; without it nobody but us would be to blame.
    row_of(call, trouble).map_or((Fault::Us, "unclassified"), |row| (row.fault, row.reason))
}

/// Whether a trouble in a call is tried again.
pub(super) fn again(call: Call, trouble: Trouble) -> Again {
    row_of(call, trouble).map_or(Again::No, |row| row.again)
}

fn row_by_reason(reason: &str) -> Option<&'static Row> {
    let fits = |row: &&Row| {
        if row.reason.ends_with('=') { reason.starts_with(row.reason) } else { reason == row.reason }
    };
    TABLE.iter().find(fits)
}

/// Whether a failure of this reason code is tried again, and what many of them at once would mean.
pub fn prospects(reason: &str) -> (Again, Widespread) {
    row_by_reason(reason).map_or((Again::No, Widespread::Never), |row| (row.again, row.widespread))
}

/// What to do about a reason code of the services.
pub fn advice(reason: &str) -> Option<&'static str> {
    row_by_reason(reason).map(|row| row.advice)
}

/// Every reason code of the table with who is to blame.
pub fn reasons() -> impl Iterator<Item = (Fault, &'static str)> {
    TABLE.iter().map(|row| (row.fault, row.reason))
}

/// The table as `docs/services.md` holds it.
pub fn markdown() -> String {
    let mut text = String::from(
        "| call | seen | fault | reason | again | if widespread | what to do |\n|---|---|---|---|---|---|---|\n",
    );
    for row in TABLE {
        let again = match row.again {
            Again::No => "",
            Again::Soon => "soon",
            Again::Later => "once, later",
        };
        let widespread = match row.widespread {
            Widespread::Never => "",
            Widespread::Platform => "platform",
            Widespread::Us => "us",
        };
        let fault = format!("{:?}", row.fault).to_ascii_lowercase();
        let Row { call, seen, reason, advice, .. } = row;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {seen} | {fault} | `{reason}` | {again} | {widespread} | {advice} |",
            call.name()
        );
    }
    text
}

/// Foreign text made fit for one log line: control characters become spaces, and it is cut short.
pub(super) fn printable(text: &str, most_characters: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(most_characters).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: [Call; 3] = [Call::ChuteLookup, Call::ModelLookup, Call::Generate];

    #[test]
    fn every_row_can_be_reached() {
        for (index, row) in TABLE.iter().enumerate() {
            let troubles: Vec<Trouble> = match row.when {
                When::Is(trouble) => vec![trouble],
                When::Status(first, last) => (first..=last).map(Trouble::Status).collect(),
                When::Otherwise => vec![Trouble::Status(299), Trouble::Status(418)],
            };
            let reached = troubles.iter().any(|t| blame(row.call, *t) == (row.fault, row.reason));
            assert!(reached, "row {index} ({:?}, {}) is hidden by an earlier one", row.call, row.reason);
        }
    }

    #[test]
    fn every_status_of_every_call_is_classified() {
        for call in CALLS {
            for status in 100..=999 {
                assert_ne!(blame(call, Trouble::Status(status)).1, "unclassified", "{call:?} {status}");
            }
        }
    }

    #[test]
    fn a_reason_code_says_the_same_wherever_it_stands() {
        for row in TABLE {
            let found = row_by_reason(row.reason).expect("a row");
            let said = |row: &Row| (row.fault, row.again, row.widespread);
            assert_eq!(said(found), said(row), "{}", row.reason);
            assert!(
                !row.advice.is_empty() && !row.seen.is_empty() && !row.advice.contains('|'),
                "{}",
                row.reason
            );
        }
        assert!(advice("revision_mismatch:hf=main").is_some_and(|text| text.contains("hash")));
        assert_eq!(advice("nonsense"), None);
    }

    #[test]
    fn the_document_holds_this_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/services.md");
        let document = std::fs::read_to_string(path).expect("docs/services.md");
        assert!(document.contains(&markdown()), "docs/services.md should hold:\n{}", markdown());
    }

    #[test]
    fn nobody_is_blamed_for_our_network_or_our_keys() {
        for call in CALLS {
            for trouble in [
                Trouble::Unreachable,
                Trouble::PrivateAddress,
                Trouble::DeadlineTooShort,
                Trouble::Disk,
                Trouble::Status(401),
            ] {
                assert_eq!(blame(call, trouble).0, Fault::Us, "{call:?} {trouble:?}");
            }
        }
        for call in [Call::ChuteLookup, Call::ModelLookup] {
            for status in (429..=429).chain(500..=599).chain(300..=399) {
                assert_ne!(blame(call, Trouble::Status(status)).0, Fault::Miner, "{call:?} {status}");
            }
        }
    }

    #[test]
    fn what_a_chute_can_answer_counts_against_its_miner() {
        for status in [300, 302, 400, 402, 404, 418, 429, 500, 502, 503, 504] {
            assert_eq!(blame(Call::Generate, Trouble::Status(status)).0, Fault::Miner, "{status}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_no_answer_is_paid_for_twice() {
        for status in [200, 302, 400, 401, 402, 404, 500] {
            assert_eq!(again(Call::Generate, Trouble::Status(status)), Again::No, "{status}");
        }
        for trouble in [Trouble::BrokenOff, Trouble::Deadline, Trouble::TooLarge, Trouble::Disk] {
            assert_eq!(again(Call::Generate, trouble), Again::No, "{trouble:?}");
        }
        for trouble in [Trouble::Status(503), Trouble::Status(429), Trouble::Maintenance] {
            assert_eq!(again(Call::Generate, trouble), Again::Later, "{trouble:?}");
        }
        assert_eq!(again(Call::ModelLookup, Trouble::Status(503)), Again::Soon);
    }

    #[test]
    fn foreign_text_is_cut_and_made_plain() {
        let fault = revision_mismatch(Call::ChuteLookup, &format!("a\n\u{1b}[31m{}", "x".repeat(500)));
        assert!(fault.reason.starts_with("revision_mismatch:chute=a  [31mxxx"), "{}", fault.reason);
        assert_eq!(fault.reason.chars().count(), "revision_mismatch:chute=".len() + 64);
        let failure = Failure::new(Trouble::Status(500), "é".repeat(1000)).of(Call::Generate);
        assert_eq!(failure.detail.chars().count(), 400);
    }
}
