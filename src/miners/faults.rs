//! Who is to blame for what: the one table of everything that Chutes, Hugging Face and chutes can
//! answer.
//!
//! The choice, for a single call with no other evidence:
//! - What a miner can bring about counts against the miner, or miners would choose which rounds
//!   count: every status of its chute, silence after the connection was made, a wrong body.
//! - What a miner cannot bring about never does: no connection (all chutes share Chutes' front
//!   door), our keys, the look-up services themselves.
//! - `platform` here means only that a look-up service answered and said that it is unwell; whether
//!   several chutes failed at the same time is for the round to see, which may then void tickets
//!   that this table gave to the miner.

use crate::domain::outcome::Fault;

use super::port::ServiceFault;

/// The three calls that we make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `GET /chutes/{id}`.
    ChuteLookup,
    /// `GET /api/models/{repo}/revision/{revision}`.
    ModelLookup,
    /// `POST /generate`.
    Generate,
}

/// What went wrong in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No connection: name, route, refusal or TLS.
    Unreachable,
    /// Connected, but not answered in full within the limit.
    Deadline,
    /// The limit passed, but it was no longer than the limit on connecting: nothing is known.
    DeadlineTooShort,
    /// The connection ended, or the peer broke HTTP, before the answer was complete.
    BrokenOff,
    /// More bytes than the cap.
    TooLarge,
    /// A status other than 200.
    Status(u16),
    /// Status 200 with a body that is not the JSON that was documented, or nested too deeply.
    NotUnderstood,
    /// Status 200 with a content type that is not a clip's.
    WrongType,
    /// Status 200 without a body.
    Empty,
    /// The look-up says that there is no such thing, or not for us.
    NotFound,
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
}

/// Which troubles a row is for.
enum When {
    Is(Trouble),
    Status(u16, u16),
    Otherwise,
}

struct Row {
    call: Call,
    when: When,
    fault: Fault,
    reason: &'static str,
}

const fn row(call: Call, when: When, fault: Fault, reason: &'static str) -> Row {
    Row { call, when, fault, reason }
}

/// The first row that fits decides.
#[rustfmt::skip]
const TABLE: &[Row] = {
    use Call::*;
    use Fault::{Miner, Platform, Us};
    use Trouble::*;
    use When::{Is, Otherwise, Status};
    &[
        row(ChuteLookup, Is(NotFound),         Miner,    "chute_fetch_failed"), // or not shared with us, which is the miner's to do
        row(ChuteLookup, Status(404, 404),     Miner,    "chute_fetch_failed"),
        row(ChuteLookup, Status(400, 400),     Miner,    "chute_fetch_failed"), // the id is all that we send
        row(ChuteLookup, Status(422, 422),     Miner,    "chute_fetch_failed"),
        row(ChuteLookup, Is(OtherId),          Miner,    "chute_fetch_failed"),
        row(ChuteLookup, Is(NotRunning),       Miner,    "chute_not_running"),
        row(ChuteLookup, Is(OtherRevision),    Miner,    "revision_mismatch:chute="),
        row(ChuteLookup, Is(BadSlug),          Platform, "chute_slug_invalid"), // Chutes gives it
        row(ChuteLookup, Status(401, 403),     Us,       "chute_lookup_refused"), // our key or our balance
        row(ChuteLookup, Status(429, 429),     Us,       "chute_lookup_limited"),
        row(ChuteLookup, Is(Unreachable),      Us,       "chute_lookup_unreachable"),
        row(ChuteLookup, Is(Deadline),         Us,       "chute_lookup_timeout"), // ours or theirs: not the miner's
        row(ChuteLookup, Is(DeadlineTooShort), Us,       "chute_lookup_timeout"),
        row(ChuteLookup, Is(BrokenOff),        Us,       "chute_lookup_broken_off"),
        row(ChuteLookup, Status(500, 599),     Platform, "chute_lookup_unavailable"),
        row(ChuteLookup, Otherwise,            Platform, "chute_lookup_unexpected"),

        row(ModelLookup, Is(NotFound),         Miner,    "hf_model_fetch_failed"),
        row(ModelLookup, Is(TooLarge),         Miner,    "hf_model_fetch_failed"), // only the miner's files make it long
        row(ModelLookup, Is(NoWeights),        Miner,    "hf_model_has_no_weights"),
        row(ModelLookup, Is(OtherRevision),    Miner,    "revision_mismatch:hf="),
        row(ModelLookup, Status(401, 403),     Us,       "hf_lookup_refused"), // our token or our address
        row(ModelLookup, Status(429, 429),     Us,       "hf_lookup_limited"),
        row(ModelLookup, Is(Unreachable),      Us,       "hf_lookup_unreachable"),
        row(ModelLookup, Is(Deadline),         Us,       "hf_lookup_timeout"),
        row(ModelLookup, Is(DeadlineTooShort), Us,       "hf_lookup_timeout"),
        row(ModelLookup, Is(BrokenOff),        Us,       "hf_lookup_broken_off"),
        row(ModelLookup, Status(500, 599),     Platform, "hf_lookup_unavailable"),
        row(ModelLookup, Otherwise,            Platform, "hf_lookup_unexpected"),

        row(Generate,    Is(BadSlug),          Us,       "chute_slug_invalid"), // look-ups refuse it before
        row(Generate,    Is(Unreachable),      Us,       "chute_unreachable"),
        row(Generate,    Is(DeadlineTooShort), Us,       "answer_deadline_too_short"),
        row(Generate,    Is(Deadline),         Miner,    "answer_timeout"),
        row(Generate,    Is(BrokenOff),        Miner,    "answer_broken_off"),
        row(Generate,    Is(TooLarge),         Miner,    "answer_too_large"),
        row(Generate,    Is(WrongType),        Miner,    "answer_wrong_type"),
        row(Generate,    Is(Empty),            Miner,    "answer_empty"),
        row(Generate,    Status(300, 399),     Miner,    "answer_redirected"),
        row(Generate,    Status(400, 400),     Miner,    "answer_bad_request"),
        row(Generate,    Status(401, 401),     Us,       "chute_key_refused"), // Chutes' front door speaks before the chute
        row(Generate,    Status(402, 402),     Miner,    "answer_no_balance"),
        row(Generate,    Status(403, 403),     Us,       "chute_key_refused"),
        row(Generate,    Status(404, 404),     Miner,    "answer_not_found"),
        row(Generate,    Status(429, 429),     Miner,    "answer_busy"),
        row(Generate,    Status(503, 503),     Miner,    "answer_cold"),
        row(Generate,    Status(500, 599),     Miner,    "answer_server_error"),
        row(Generate,    Otherwise,            Miner,    "answer_unexpected_status"),
    ]
};

/// A call that failed: what went wrong and what was seen.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) trouble: Trouble,
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(trouble: Trouble, detail: impl Into<String>) -> Self {
        Self { trouble, detail: detail.into() }
    }

    /// The failure with who is to blame.
    pub(super) fn of(self, call: Call) -> ServiceFault {
        let (fault, reason) = blame(call, self.trouble);
        ServiceFault { fault, reason: reason.to_owned(), detail: printable(&self.detail, 400) }
    }
}

/// A service that names another revision than the commitment.
pub(super) fn revision_mismatch(call: Call, named: &str) -> ServiceFault {
    let (fault, reason) = blame(call, Trouble::OtherRevision);
    let detail = "the service names another revision than the commitment".to_owned();
    ServiceFault { fault, reason: format!("{reason}{}", printable(named, 64)), detail }
}

/// Who is to blame for a trouble in a call, and its reason code. `revision_mismatch:...=` is to be
/// followed by the revision that the service named.
pub fn blame(call: Call, trouble: Trouble) -> (Fault, &'static str) {
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
    // Every call has a last row for everything else; without it nobody but us would be to blame.
    TABLE.iter().find(fits).map_or((Fault::Us, "unclassified"), |row| (row.fault, row.reason))
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
    fn nobody_is_blamed_for_our_network_or_our_keys() {
        for call in CALLS {
            for trouble in [Trouble::Unreachable, Trouble::DeadlineTooShort, Trouble::Status(401)] {
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
    fn foreign_text_is_cut_and_made_plain() {
        let fault = revision_mismatch(Call::ChuteLookup, &format!("a\n\u{1b}[31m{}", "x".repeat(500)));
        assert!(fault.reason.starts_with("revision_mismatch:chute=a  [31mxxx"), "{}", fault.reason);
        assert_eq!(fault.reason.chars().count(), "revision_mismatch:chute=".len() + 64);
        let failure = Failure::new(Trouble::Status(500), "é".repeat(1000)).of(Call::Generate);
        assert_eq!(failure.detail.chars().count(), 400);
    }
}
