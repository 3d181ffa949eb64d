//! Every metric of the validator: its name, type, labels and meaning. `docs/metrics.md` adds what
//! healthy looks like; a test keeps the two equal.

/// How a metric behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution of durations.
    Histogram,
}

impl MetricKind {
    /// The type's name in the exposition format.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetricSpec {
    /// Name as queried; counters end with `_total`.
    pub name: &'static str,
    /// Type.
    pub kind: MetricKind,
    /// Unit of the value.
    pub unit: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it counts, one sentence without its full stop.
    pub help: &'static str,
}

impl MetricSpec {
    /// The family's name: without the `_total` that the encoder appends to counters.
    pub fn family(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}

macro_rules! metrics {
    ($( $constant:ident = $name:literal, $kind:ident, $unit:literal, [$($label:literal),*], $help:literal; )+) => {
        $(
            #[doc = concat!("`", $name, "` (", $unit, "): ", $help, ".")]
            pub const $constant: MetricSpec = MetricSpec {
                name: $name,
                kind: MetricKind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            };
        )+
        /// All metrics in the order of the page.
        pub const ALL: &[MetricSpec] = &[$($constant),+];
    };
}

metrics! {
    READY = "leoma_ready", Gauge, "0 or 1", [], "Whether the validator can do its work now, as /readyz says";
    PROCESS_START = "leoma_process_start_time_seconds", Gauge, "seconds since 1970", [], "When this process started";
    BUILD_INFO = "leoma_build_info", Gauge, "always 1", ["version", "commit", "profile"], "Which build runs";
    CHAIN_HEAD = "leoma_chain_head_block", Gauge, "block number", [], "Latest finalized block seen";
    CHAIN_HEAD_AGE = "leoma_chain_head_age_seconds", Gauge, "seconds", [], "Time since the latest finalized block was seen";
    ROUNDS_OPENED = "leoma_rounds_opened_total", Counter, "rounds", [], "Rounds opened";
    ROUNDS_SETTLED = "leoma_rounds_settled_total", Counter, "rounds", [], "Rounds whose every ticket settled and that count";
    ROUNDS_VOID = "leoma_rounds_void_total", Counter, "rounds", [], "Rounds that count for nobody";
    OUTCOMES = "leoma_outcomes_total", Counter, "tickets", ["kind", "fault"], "Settled tickets by outcome and by who is to blame";
    COPY_GROUPS = "leoma_copy_groups_total", Counter, "groups", [], "Groups of miners with the same clip in rounds that count";
    COPY_QUESTIONS = "leoma_copy_questions_total", Counter, "questions", ["question", "finding"], "Questions to miners whose clip is disputed, by what the answer showed";
    TICKETS_IN_FLIGHT = "leoma_tickets_in_flight", Gauge, "tickets", [], "Tickets opened and not settled";
    CHALLENGE_TIME = "leoma_challenge_seconds", Histogram, "seconds", [], "Time from asking a miner to the last byte of its answer";
    DECODE_TIME = "leoma_decode_seconds", Histogram, "seconds", [], "Time to decode one clip, child process included";
    SCORE_TIME = "leoma_score_seconds", Histogram, "seconds", [], "Time to score one clip";
    SCORER_INFO = "leoma_scorer_info", Gauge, "always 1", ["adapter", "backend"], "Which device scores clips";
    SCORER_FAILURES = "leoma_scorer_device_failures_total", Counter, "failures", [], "Times that the scoring device failed or was lost";
    SCORER_REBUILDS = "leoma_scorer_rebuilds_total", Counter, "rebuilds", [], "Times that the scoring device was opened anew and passed its self-test";
    SCORER_RETRIED = "leoma_scorer_retried_clips_total", Counter, "clips", [], "Clips scored a second time because the device failed under them";
    SCORER_SUBMISSIONS = "leoma_scorer_submissions_total", Counter, "submissions", [], "Pieces of work given to the GPU";
    SCORER_LONGEST = "leoma_scorer_longest_submission_seconds", Gauge, "seconds", [], "Longest piece of work so far, waiting included";
    SCORER_BUFFERS = "leoma_scorer_buffer_bytes", Gauge, "bytes", [], "GPU memory held in buffers, in use or kept for the next clip";
    MODELS_INFO = "leoma_models_info", Gauge, "always 1", ["device"], "Where the embedding models run; absent under rules without models";
    MODELS_VALUES = "leoma_models_values_total", Counter, "values", ["settled_by"], "Distances and cosines, by the device alone or by the canonical path because they lay near a rounding boundary";
    MODELS_NOISE = "leoma_models_noise_ratio", Gauge, "ratio", [], "Largest distance of the device from the canonical path, of what is allowed; 1 refuses the device";
    WEIGHTS_BLOCK = "leoma_weights_landed_block", Gauge, "block number", [], "Finalized block in which our last weights were read back";
    WEIGHTS_AGE = "leoma_weights_age_seconds", Gauge, "seconds", [], "Time since weights last landed";
    LAST_UPDATE = "leoma_weights_last_update_block", Gauge, "block number", [], "Block of our last weights or commit, as the chain says, by whatever process";
    TEMPOS_BEHIND = "leoma_weights_tempos_behind", Gauge, "tempos", [], "Time since our last weights or commit, in tempos of the subnet";
    COMMITS_PENDING = "leoma_weights_commits_pending", Gauge, "commits", [], "Commits of weights that wait for their reveal";
    REVEAL_DUE = "leoma_weights_reveal_due", Gauge, "0 or 1", [], "Whether the epoch has come in which the chain reveals a commit of ours";
    REVEALS_FAILED = "leoma_weights_reveals_failed_total", Counter, "commits", [], "Commits that the chain dropped without showing their weights";
    WEIGHTS_REFUSED = "leoma_weights_refused", Gauge, "always 1", ["reason"], "Why no weights are submitted; absent while nothing stands against it";
    VALIDATOR_PERMIT = "leoma_validator_permit", Gauge, "0 or 1", [], "Whether our hotkey has a validator permit";
    STAKE = "leoma_validator_stake_rao", Gauge, "rao", [], "Our hotkey's stake as the chain compares it with its threshold";
    STAKE_THRESHOLD = "leoma_validator_stake_threshold_rao", Gauge, "rao", [], "Least stake for setting weights";
    SPEC_VERSION = "leoma_chain_spec_version", Gauge, "version", [], "Spec version of the chain's runtime";
    SAFE_HOLD = "leoma_chain_safe_hold", Gauge, "0 or 1", [], "Whether the runtime lacks something that we use, so that no round opens and no weights are set";
    ENDPOINT_INFO = "leoma_chain_endpoint_info", Gauge, "always 1", ["endpoint"], "Which endpoint is in use";
    STORAGE_WAITING = "leoma_storage_waiting_rounds", Gauge, "rounds", [], "Packed rounds that wait for their upload";
    STORAGE_WAITING_BYTES = "leoma_storage_waiting_bytes", Gauge, "bytes", [], "Bytes of the rounds that wait for their upload";
    STORAGE_PUBLISHED = "leoma_storage_published_rounds_total", Counter, "rounds", [], "Rounds that were uploaded and verified";
    STORAGE_PUBLISHED_BYTES = "leoma_storage_published_bytes_total", Counter, "bytes", [], "Bytes of the rounds that were uploaded";
    STORAGE_UPLOAD_SECONDS = "leoma_storage_upload_seconds_total", Counter, "seconds", [], "Time that their uploads took";
    STORAGE_LAST_ROUND = "leoma_storage_last_round", Gauge, "round", [], "The newest round that this process published";
    STORAGE_SWEPT = "leoma_storage_swept_rounds_total", Counter, "rounds", [], "Old rounds that were removed where they lay";
    STORAGE_GIVEN_UP = "leoma_storage_given_up_rounds_total", Counter, "rounds", [], "Rounds that were never published because too many bytes waited";
    STORAGE_FAILURES = "leoma_storage_failures_total", Counter, "failures", ["kind"], "Failed attempts, by kind: pack, disk, upload, denied, conflict, sweep";
    CORPUS_LEFT = "leoma_corpus_clips_left", Gauge, "clips", [], "Source clips that no round has used";
    JOURNAL_EVENTS = "leoma_journal_events_total", Counter, "events", [], "Events written to the journal";
    JOURNAL_ERRORS = "leoma_journal_errors_total", Counter, "errors", [], "Failed writes to the journal";
    ACTOR_STATE = "leoma_actor_state", Gauge, "0 or 1", ["actor", "state"], "1 for the state that the actor is in";
    ACTOR_MAILBOX = "leoma_actor_mailbox_depth", Gauge, "messages", ["actor"], "Messages that wait for the actor";
    ACTOR_MAILBOX_BOUND = "leoma_actor_mailbox_bound", Gauge, "messages", ["actor"], "Most messages that may wait for the actor";
    ACTOR_IN_FLIGHT = "leoma_actor_in_flight", Gauge, "messages", ["actor"], "Messages whose work began and has not ended";
    ACTOR_PROCESSED = "leoma_actor_processed_total", Counter, "messages", ["actor"], "Messages whose work ended, errors included";
    ACTOR_ERRORS = "leoma_actor_errors_total", Counter, "messages", ["actor"], "Messages whose work ended with an error of ours";
    ACTOR_RESTARTS = "leoma_actor_restarts_total", Counter, "restarts", ["actor"], "Times that the actor was rebuilt";
    ACTOR_BUSY = "leoma_actor_busy_seconds", Gauge, "seconds", ["actor"], "How long the running handler has been running, 0 when idle";
    ACTOR_HANDLER = "leoma_actor_handler_seconds", Histogram, "seconds", ["actor"], "Time that handlers took";
}
