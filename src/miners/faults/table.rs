//! The table itself.

use crate::domain::outcome::Fault;

use super::{Again, Call, Trouble, Widespread};

/// Which troubles a row is for.
pub(super) enum When {
    Is(Trouble),
    Status(u16, u16),
    Otherwise,
}

/// One line of the table.
pub(super) struct Row {
    pub(super) call: Call,
    pub(super) when: When,
    pub(super) fault: Fault,
    pub(super) reason: &'static str,
    pub(super) again: Again,
    pub(super) widespread: Widespread,
    /// What was seen, in words.
    pub(super) seen: &'static str,
    /// What whoever is to blame can do.
    pub(super) advice: &'static str,
}

/// What of a row stands together in the table below.
struct Seen(Call, When, &'static str);

const fn row(seen: Seen, fault: Fault, reason: &'static str, again: Again, advice: &'static str) -> Row {
    let Seen(call, when, seen) = seen;
    Row { call, when, fault, reason, again, widespread: Widespread::Never, seen, advice }
}

/// A row whose failures, where many miners have them at once, are nobody's among them.
const fn shared(row: Row, widespread: Widespread) -> Row {
    Row { widespread, ..row }
}

const CHUTE_ID: &str =
    "check the id with `leoma miner status`; share the chute with the validators, or make it public";
const OPERATOR_KEY: &str = "operator: check the key and its balance";
const OPERATOR_NET: &str = "operator: look at name service, route and certificates of this machine";
const NOTHING: &str = "nothing: it is not held against the miner";
const WARM: &str = "keep an instance active; the validator warms chutes up before a round and asks once more";
const ANSWER_MP4: &str = "answer status 200, `video/mp4`, the file as the body, without content encoding";

/// The first row that fits decides.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = {
    use Again::{Later, No, Soon};
    use Call::*;
    use Fault::{Miner, Platform, Us};
    use Trouble::*;
    use When::{Is, Otherwise};
    use When::Status as Code;
    &[
        row(Seen(ChuteLookup, Is(NotFound), "no such chute"), Miner, "chute_fetch_failed", No, CHUTE_ID),
        row(Seen(ChuteLookup, Code(404, 404), "404: unknown, or not shared with this validator"), Miner, "chute_fetch_failed", No, CHUTE_ID),
        row(Seen(ChuteLookup, Code(400, 400), "400: the id is all that is sent"), Miner, "chute_fetch_failed", No, CHUTE_ID),
        row(Seen(ChuteLookup, Code(422, 422), "422: the id is all that is sent"), Miner, "chute_fetch_failed", No, CHUTE_ID),
        row(Seen(ChuteLookup, Is(OtherId), "another chute answers to that name"), Miner, "chute_fetch_failed", No, CHUTE_ID),
        row(Seen(ChuteLookup, Is(NotRunning), "not hot after the warm-up"), Miner, "chute_not_running", No, WARM),
        row(Seen(ChuteLookup, Is(OtherRevision), "the chute serves another revision"), Miner, "revision_mismatch:chute=", No, "deploy the committed revision, or commit what is deployed"),
        row(Seen(ChuteLookup, Is(BadSlug), "no host name, or one not of `[a-z0-9-]`"), Platform, "chute_slug_invalid", No, NOTHING),
        row(Seen(ChuteLookup, Code(401, 403), "401 to 403: our key, our balance"), Us, "chute_lookup_refused", No, OPERATOR_KEY),
        row(Seen(ChuteLookup, Code(429, 429), "429"), Us, "chute_lookup_limited", Soon, "operator: set `services.chutes_key`"),
        row(Seen(ChuteLookup, Is(Paused), "told to stay away for longer than the limit"), Us, "chute_lookup_limited", Soon, "operator: set `services.chutes_key`"),
        row(Seen(ChuteLookup, Is(Unreachable), "no connection: name, route, TLS"), Us, "chute_lookup_unreachable", Soon, OPERATOR_NET),
        row(Seen(ChuteLookup, Is(PrivateAddress), "the name leads into a private network"), Us, "chute_lookup_private_address", No, OPERATOR_NET),
        row(Seen(ChuteLookup, Is(Deadline), "silence, ours or theirs"), Us, "chute_lookup_timeout", Soon, NOTHING),
        row(Seen(ChuteLookup, Is(DeadlineTooShort), "silence, ours or theirs"), Us, "chute_lookup_timeout", Soon, NOTHING),
        row(Seen(ChuteLookup, Is(BrokenOff), "the connection ended early"), Us, "chute_lookup_broken_off", Soon, NOTHING),
        row(Seen(ChuteLookup, Is(Disk), "our disk"), Us, "spool_failed", No, "operator: free space in `state.dir`"),
        row(Seen(ChuteLookup, Code(500, 599), "5xx of Chutes' API"), Platform, "chute_lookup_unavailable", Soon, NOTHING),
        row(Seen(ChuteLookup, Otherwise, "anything else, such as JSON that is not as documented"), Platform, "chute_lookup_unexpected", No, NOTHING),

        row(Seen(ModelLookup, Is(NotFound), "401 without a token, 404, or an error code that says so"), Miner, "hf_model_fetch_failed", No, "make repository and revision exist and public"),
        row(Seen(ModelLookup, Is(TooLarge), "a file list longer than the cap"), Miner, "hf_model_fetch_failed", No, "keep the repository to the model's files"),
        row(Seen(ModelLookup, Is(Gated), "gated"), Miner, "hf_model_gated", No, "switch access requests off: validators compare weights"),
        row(Seen(ModelLookup, Is(Private), "private"), Miner, "hf_model_private", No, "make the repository public"),
        row(Seen(ModelLookup, Is(NoWeights), "no weights in large-file storage"), Miner, "hf_model_has_no_weights", No, "upload the weights, as `.safetensors` if you can"),
        row(Seen(ModelLookup, Is(OtherRevision), "a branch, a tag or a short hash was committed"), Miner, "revision_mismatch:hf=", No, "commit the full commit hash"),
        row(Seen(ModelLookup, Code(401, 403), "401 with a token, 402, 403: our token, our address"), Us, "hf_lookup_refused", No, "operator: check `services.huggingface_token`"),
        row(Seen(ModelLookup, Code(429, 429), "429"), Us, "hf_lookup_limited", Soon, "operator: set `services.huggingface_token`"),
        row(Seen(ModelLookup, Is(Paused), "told to stay away for longer than the limit"), Us, "hf_lookup_limited", Soon, "operator: set `services.huggingface_token`"),
        row(Seen(ModelLookup, Is(Unreachable), "no connection: name, route, TLS"), Us, "hf_lookup_unreachable", Soon, OPERATOR_NET),
        row(Seen(ModelLookup, Is(PrivateAddress), "the name leads into a private network"), Us, "hf_lookup_private_address", No, OPERATOR_NET),
        row(Seen(ModelLookup, Is(Deadline), "silence, ours or theirs"), Us, "hf_lookup_timeout", Soon, NOTHING),
        row(Seen(ModelLookup, Is(DeadlineTooShort), "silence, ours or theirs"), Us, "hf_lookup_timeout", Soon, NOTHING),
        row(Seen(ModelLookup, Is(BrokenOff), "the connection ended early"), Us, "hf_lookup_broken_off", Soon, NOTHING),
        row(Seen(ModelLookup, Is(Disk), "our disk"), Us, "spool_failed", No, "operator: free space in `state.dir`"),
        row(Seen(ModelLookup, Code(500, 599), "5xx of Hugging Face"), Platform, "hf_lookup_unavailable", Soon, NOTHING),
        row(Seen(ModelLookup, Otherwise, "anything else, such as JSON that is not as documented"), Platform, "hf_lookup_unexpected", No, NOTHING),

        row(Seen(Generate, Is(BadSlug), "no address can be made of it"), Us, "chute_slug_unusable", No, NOTHING),
        row(Seen(Generate, Is(Disk), "our disk"), Us, "spool_failed", No, "operator: free space in `state.dir`"),
        row(Seen(Generate, Is(PrivateAddress), "the name leads into a private network"), Us, "chute_private_address", No, OPERATOR_NET),
        row(Seen(Generate, Is(Unreachable), "no connection: name, route, TLS"), Us, "chute_unreachable", Later, OPERATOR_NET),
        row(Seen(Generate, Is(DeadlineTooShort), "silence for no longer than connecting may take"), Us, "answer_deadline_too_short", No, NOTHING),
        row(Seen(Generate, Is(Deadline), "connected, then no whole answer in time"), Miner, "answer_timeout", No, "answer sooner: fewer steps, a faster GPU"),
        row(Seen(Generate, Is(BrokenOff), "the answer ended early, or was not HTTP"), Miner, "answer_broken_off", No, "look for crashes and memory in the chute's log"),
        row(Seen(Generate, Is(TooLarge), "more bytes than the cap, whatever was announced"), Miner, "answer_too_large", No, "encode smaller: an ordinary answer has 1 to 6 MB"),
        row(Seen(Generate, Is(WrongType), "another content type, or a content encoding"), Miner, "answer_wrong_type", No, ANSWER_MP4),
        row(Seen(Generate, Is(Empty), "no bytes"), Miner, "answer_empty", No, ANSWER_MP4),
        row(Seen(Generate, Code(300, 399), "3xx: not followed"), Miner, "answer_redirected", No, ANSWER_MP4),
        row(Seen(Generate, Code(400, 400), "400"), Miner, "answer_bad_request", No, "accept the request of docs/miners.md"),
        row(Seen(Generate, Code(401, 401), "401: Chutes' front door speaks before the chute"), Us, "chute_key_refused", No, OPERATOR_KEY),
        shared(row(Seen(Generate, Code(402, 402), "402: the chute's owner or the caller has no balance"), Miner, "answer_no_balance", No, "fill up the account that owns the chute"), Widespread::Us),
        row(Seen(Generate, Code(403, 403), "403"), Us, "chute_key_refused", No, OPERATOR_KEY),
        row(Seen(Generate, Code(404, 404), "404"), Miner, "answer_not_found", No, "serve `POST /generate`"),
        shared(row(Seen(Generate, Is(Overload), "429 or 503 that names capacity"), Miner, "answer_overload", Later, "let the chute scale, or choose GPUs that are free"), Widespread::Platform),
        shared(row(Seen(Generate, Is(NoTargets), "429 or 503 that names no targets"), Miner, "answer_no_targets", Later, WARM), Widespread::Platform),
        shared(row(Seen(Generate, Is(Maintenance), "429 or 503 that names maintenance"), Miner, "answer_maintenance", Later, WARM), Widespread::Platform),
        shared(row(Seen(Generate, Code(429, 429), "429: the chute's own concurrency"), Miner, "answer_busy", Later, "raise the chute's concurrency, keep it for validators"), Widespread::Platform),
        shared(row(Seen(Generate, Code(503, 503), "503: cold after the warm-up"), Miner, "answer_cold", Later, WARM), Widespread::Platform),
        shared(row(Seen(Generate, Code(502, 502), "502"), Miner, "answer_bad_gateway", Later, "look for crashes in the chute's log"), Widespread::Platform),
        shared(row(Seen(Generate, Code(504, 504), "504"), Miner, "answer_gateway_timeout", Later, "answer sooner: fewer steps, a faster GPU"), Widespread::Platform),
        row(Seen(Generate, Code(500, 599), "500 and other 5xx"), Miner, "answer_server_error", No, "look for the error in the chute's log"),
        row(Seen(Generate, Otherwise, "any other status"), Miner, "answer_unexpected_status", No, ANSWER_MP4),
    ]
};
