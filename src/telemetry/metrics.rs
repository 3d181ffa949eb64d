//! The metrics in OpenMetrics text.
//!
//! `prometheus-client` writes the format: unlike recorder-based crates it lets a collector read
//! our atomics at scrape time, so that a hanging actor's values stay true.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

use super::{
    build,
    health::Readiness,
    names::{self, MetricKind, MetricSpec},
    standing::ChainStanding,
    vitals::Vitals,
};
use crate::{
    domain::outcome::{Fault, Outcome},
    gpu::port::{Scorer, ScorerHealth},
    quality::embeddings::FrameModels,
    runtime::{
        board::{ActorSnapshot, ActorState, ActorStats, Board},
        histogram::{DurationHistogram, HistogramSnapshot},
    },
};

/// Media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of stage times: 2^10 µs (1 ms) to 2^30 µs (18 min), by octave.
const STAGE_EXPONENTS: std::ops::RangeInclusive<u32> = 10..=30;
/// Upper bounds of handler times: 2^6 µs (64 µs) to 2^26 µs (67 s), by two octaves.
const HANDLER_EXPONENTS: std::ops::RangeInclusive<u32> = 6..=26;

type OutcomeLabels = [(&'static str, &'static str); 2];
type QuestionLabels = [(&'static str, String); 2];

/// Who scores.
struct Lanes {
    scorer: Arc<dyn Scorer>,
    models: Option<Arc<dyn FrameModels>>,
}

/// What the metrics are read from at scrape time.
pub struct MetricsOptions {
    /// The actors.
    pub board: Arc<Board>,
    /// The facts about the whole validator.
    pub vitals: Arc<Vitals>,
    /// Whether the validator is ready.
    pub readiness: Arc<dyn Readiness>,
}

/// All metrics: counters that the pipeline bumps, and a reader of the board and the vitals.
pub struct Metrics {
    registry: Registry,
    opened: Counter,
    settled: Counter,
    void: Counter,
    outcomes: Family<OutcomeLabels, Counter>,
    copy_groups: Counter,
    copy_questions: Family<QuestionLabels, Counter>,
    in_flight: Gauge,
    stages: Arc<StageTimes>,
    scorer: Arc<OnceLock<Lanes>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics at zero.
    pub fn new(options: MetricsOptions) -> Arc<Self> {
        let (stages, scorer) = (Arc::<StageTimes>::default(), Arc::<OnceLock<_>>::default());
        let mut metrics = Self {
            registry: Registry::default(),
            opened: Counter::default(),
            settled: Counter::default(),
            void: Counter::default(),
            outcomes: Family::default(),
            copy_groups: Counter::default(),
            copy_questions: Family::default(),
            in_flight: Gauge::default(),
            stages: Arc::clone(&stages),
            scorer: Arc::clone(&scorer),
        };
        metrics.registry.register_collector(Box::new(Scrape { options, stages, scorer }));
        metrics.register(&names::ROUNDS_OPENED, metrics.opened.clone());
        metrics.register(&names::ROUNDS_SETTLED, metrics.settled.clone());
        metrics.register(&names::ROUNDS_VOID, metrics.void.clone());
        metrics.register(&names::OUTCOMES, metrics.outcomes.clone());
        metrics.register(&names::COPY_GROUPS, metrics.copy_groups.clone());
        metrics.register(&names::COPY_QUESTIONS, metrics.copy_questions.clone());
        metrics.register(&names::TICKETS_IN_FLIGHT, metrics.in_flight.clone());
        Arc::new(metrics)
    }

    fn register(&mut self, spec: &MetricSpec, metric: impl Metric) {
        self.registry.register(spec.family(), spec.help, metric);
    }

    /// Clips are scored on this device from now on; the first one named stays.
    pub fn scores_on(&self, scorer: Arc<dyn Scorer>, models: Option<Arc<dyn FrameModels>>) {
        self.scorer.get_or_init(|| Lanes { scorer, models });
    }

    /// A round opened.
    pub fn round_opened(&self) {
        self.opened.inc();
    }

    /// Every ticket of a round settled, and the round counts.
    pub fn round_settled(&self) {
        self.settled.inc();
    }

    /// A round ended that counts for nobody.
    pub fn round_void(&self) {
        self.void.inc();
    }

    /// A ticket settled.
    pub fn outcome(&self, outcome: &Outcome) {
        let fault = outcome.fault().map_or("none", fault_label);
        self.outcomes.get_or_create(&[("kind", outcome.kind()), ("fault", fault)]).inc();
    }

    /// Groups of miners with the same clip in a round that counts.
    pub fn copy_groups(&self, groups: usize) {
        self.copy_groups.inc_by(groups as u64);
    }

    /// A miner whose clip is disputed was asked this, and its answer showed that.
    pub fn copy_question(&self, question: &str, finding: &str) {
        self.copy_questions
            .get_or_create(&[("question", question.to_owned()), ("finding", finding.to_owned())])
            .inc();
    }

    /// Tickets that are open now.
    pub fn tickets_in_flight(&self, tickets: usize) {
        self.in_flight.set(i64::try_from(tickets).unwrap_or(i64::MAX));
    }

    /// A miner answered after this time.
    pub fn challenge_took(&self, took: Duration) {
        self.stages.challenge.record(took);
    }

    /// A clip was decoded, or failed to, after this time.
    pub fn decode_took(&self, took: Duration) {
        self.stages.decode.record(took);
    }

    /// A clip was scored after this time.
    pub fn score_took(&self, took: Duration) {
        self.stages.score.record(took);
    }

    /// Everything as text of type [`CONTENT_TYPE`].
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(16 * 1024);
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

fn fault_label(fault: Fault) -> &'static str {
    match fault {
        Fault::Miner => "miner",
        Fault::Platform => "platform",
        Fault::Chain => "chain",
        Fault::Us => "us",
    }
}

#[derive(Default)]
struct StageTimes {
    challenge: DurationHistogram,
    decode: DurationHistogram,
    score: DurationHistogram,
}

/// Reads the board, the vitals, readiness and the scoring device when it is scraped.
struct Scrape {
    options: MetricsOptions,
    stages: Arc<StageTimes>,
    scorer: Arc<OnceLock<Lanes>>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        self.process(encoder)?;
        self.vitals(encoder)?;
        self.stages(encoder)?;
        self.scorer(encoder)?;
        self.actors(encoder)
    }
}

impl Scrape {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let ready = u64::from(self.options.readiness.reasons().is_empty());
        value(encoder, &names::READY, Some(ready))?;
        let started = self.options.vitals.started_unix().as_secs_f64();
        value(encoder, &names::PROCESS_START, Some(started))?;
        let labels = [("version", build::VERSION), ("commit", build::commit()), ("profile", build::PROFILE)];
        describe(encoder, &names::BUILD_INFO)?.encode_family(&labels)?.encode_gauge(&1u64)
    }

    fn vitals(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let vitals = &self.options.vitals;
        let (head, weights) = (vitals.head(), vitals.weights());
        value(encoder, &names::CHAIN_HEAD, head.map(|head| head.block.0))?;
        value(encoder, &names::CHAIN_HEAD_AGE, head.map(|head| head.age.as_secs_f64()))?;
        value(encoder, &names::WEIGHTS_BLOCK, weights.map(|weights| weights.block.0))?;
        value(encoder, &names::WEIGHTS_AGE, weights.map(|weights| weights.age.as_secs_f64()))?;
        self.standing(encoder)?;
        self.storage(encoder)?;
        value(encoder, &names::CORPUS_LEFT, vitals.clips_left())?;
        counter(encoder, &names::JOURNAL_EVENTS, vitals.journal_events())?;
        counter(encoder, &names::JOURNAL_ERRORS, vitals.journal_errors())
    }

    fn storage(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let storage = self.options.vitals.storage();
        let (waiting, waiting_bytes) = storage.outbox();
        value(encoder, &names::STORAGE_WAITING, Some(waiting))?;
        value(encoder, &names::STORAGE_WAITING_BYTES, Some(waiting_bytes))?;
        let (rounds, bytes, seconds) = storage.uploads();
        counter(encoder, &names::STORAGE_PUBLISHED, rounds)?;
        counter(encoder, &names::STORAGE_PUBLISHED_BYTES, bytes)?;
        describe(encoder, &names::STORAGE_UPLOAD_SECONDS)?
            .encode_counter::<NoLabelSet, _, f64>(&seconds, None)?;
        value(encoder, &names::STORAGE_LAST_ROUND, storage.last_round().map(|round| round.0))?;
        let (swept, given_up) = storage.removed();
        counter(encoder, &names::STORAGE_SWEPT, swept)?;
        counter(encoder, &names::STORAGE_GIVEN_UP, given_up)?;
        let mut failures = describe(encoder, &names::STORAGE_FAILURES)?;
        for (kind, count) in storage.failures() {
            failures.encode_family(&[("kind", kind)])?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        Ok(())
    }

    fn standing(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let vitals = &self.options.vitals;
        let standing = vitals.standing();
        let of = |read: fn(&ChainStanding) -> u64| standing.as_ref().map(read);
        value(encoder, &names::VALIDATOR_PERMIT, of(|standing| standing.validator_permit.into()))?;
        value(encoder, &names::STAKE, of(|standing| standing.stake))?;
        value(encoder, &names::STAKE_THRESHOLD, of(|standing| standing.stake_threshold))?;
        value(encoder, &names::LAST_UPDATE, of(|standing| standing.last_update.0))?;
        let behind =
            standing.zip(vitals.head()).and_then(|(standing, head)| standing.tempos_behind(head.block));
        value(encoder, &names::TEMPOS_BEHIND, behind)?;
        value(encoder, &names::COMMITS_PENDING, of(|standing| standing.commits_pending))?;
        value(encoder, &names::REVEAL_DUE, of(|standing| standing.reveal_due.into()))?;
        counter(encoder, &names::REVEALS_FAILED, vitals.reveals_failed())?;
        let refusal = vitals.refusal();
        let mut refused = describe(encoder, &names::WEIGHTS_REFUSED)?;
        if let Some(refusal) = refusal {
            refused.encode_family(&[("reason", refusal.kind())])?.encode_gauge(&1u64)?;
        }
        let link = vitals.link();
        value(encoder, &names::SPEC_VERSION, link.as_ref().map(|link| u64::from(link.spec_version)))?;
        value(encoder, &names::SAFE_HOLD, link.as_ref().map(|link| u64::from(link.safe_hold.is_some())))?;
        let mut endpoint = describe(encoder, &names::ENDPOINT_INFO)?;
        if let Some(link) = &link {
            endpoint.encode_family(&[("endpoint", link.endpoint.as_str())])?.encode_gauge(&1u64)?;
        }
        Ok(())
    }

    fn stages(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (spec, times) in [
            (&names::CHALLENGE_TIME, &self.stages.challenge),
            (&names::DECODE_TIME, &self.stages.decode),
            (&names::SCORE_TIME, &self.stages.score),
        ] {
            histogram(describe(encoder, spec)?, &times.snapshot(), STAGE_EXPONENTS.step_by(1))?;
        }
        Ok(())
    }

    fn scorer(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let lanes = self.scorer.get();
        let scorer = lanes.map(|lanes| &lanes.scorer);
        let mut info = describe(encoder, &names::SCORER_INFO)?;
        if let Some(adapter) = scorer.map(|scorer| scorer.adapter()) {
            let labels = [("adapter", adapter.name.as_str()), ("backend", adapter.backend.as_str())];
            info.encode_family(&labels)?.encode_gauge(&1u64)?;
        }
        let health: ScorerHealth = scorer.map(|scorer| scorer.health()).unwrap_or_default();
        counter(encoder, &names::SCORER_FAILURES, health.device_failures)?;
        counter(encoder, &names::SCORER_REBUILDS, health.rebuilds)?;
        counter(encoder, &names::SCORER_RETRIED, health.retried_clips)?;
        counter(encoder, &names::SCORER_SUBMISSIONS, health.submissions)?;
        let longest = Duration::from_micros(health.longest_submission_us);
        value(encoder, &names::SCORER_LONGEST, Some(longest.as_secs_f64()))?;
        value(encoder, &names::SCORER_BUFFERS, Some(health.buffer_bytes))?;
        models(encoder, lanes.and_then(|lanes| lanes.models.as_deref()))
    }

    fn actors(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let actors = self.options.board.actors();
        let rows: Vec<ActorSnapshot> = actors.iter().map(|actor| actor.snapshot()).collect();
        let mut states = describe(encoder, &names::ACTOR_STATE)?;
        for row in &rows {
            for state in ActorState::ALL {
                let labels = [("actor", row.name), ("state", state.as_str())];
                states.encode_family(&labels)?.encode_gauge(&u64::from(row.state == state))?;
            }
        }
        per_actor(encoder, &names::ACTOR_MAILBOX, &rows, |row| row.mailbox.depth as u64)?;
        per_actor(encoder, &names::ACTOR_MAILBOX_BOUND, &rows, |row| row.mailbox.bound as u64)?;
        per_actor(encoder, &names::ACTOR_IN_FLIGHT, &rows, |row| row.in_flight as u64)?;
        per_actor(encoder, &names::ACTOR_PROCESSED, &rows, |row| row.processed)?;
        per_actor(encoder, &names::ACTOR_ERRORS, &rows, |row| row.errors)?;
        per_actor(encoder, &names::ACTOR_RESTARTS, &rows, |row| row.restarts)?;
        self.handlers(encoder, &actors)
    }

    fn handlers(&self, encoder: &mut DescriptorEncoder<'_>, actors: &[Arc<ActorStats>]) -> fmt::Result {
        let mut busy = describe(encoder, &names::ACTOR_BUSY)?;
        for actor in actors {
            let seconds = actor.busy_for().unwrap_or_default().as_secs_f64();
            busy.encode_family(&[("actor", actor.name())])?.encode_gauge(&seconds)?;
        }
        let mut times = describe(encoder, &names::ACTOR_HANDLER)?;
        for actor in actors {
            let labels = [("actor", actor.name())];
            let family = times.encode_family(&labels)?;
            histogram(family, &actor.handler_times(), HANDLER_EXPONENTS.step_by(2))?;
        }
        Ok(())
    }
}

fn describe<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    spec: &'static MetricSpec,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    let kind = match spec.kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Histogram => MetricType::Histogram,
    };
    // The registry ends the help of its own metrics with a full stop; a collector must do it itself.
    encoder.encode_descriptor(spec.family(), &format!("{}.", spec.help), None, kind)
}

/// A gauge without labels; an unknown value is left out rather than shown as zero.
fn value<V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    spec: &'static MetricSpec,
    value: Option<V>,
) -> fmt::Result {
    let mut metric = describe(encoder, spec)?;
    value.map_or(Ok(()), |value| metric.encode_gauge(&value))
}

fn counter(encoder: &mut DescriptorEncoder<'_>, spec: &'static MetricSpec, count: u64) -> fmt::Result {
    describe(encoder, spec)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn models(encoder: &mut DescriptorEncoder<'_>, models: Option<&dyn FrameModels>) -> fmt::Result {
    let health = models.map(FrameModels::health);
    let mut info = describe(encoder, &names::MODELS_INFO)?;
    if let Some(health) = &health {
        info.encode_family(&[("device", health.device.as_str())])?.encode_gauge(&1u64)?;
    }
    let mut values = describe(encoder, &names::MODELS_VALUES)?;
    if let Some(health) = &health {
        for (by, count) in [("device", health.by_device), ("canonical", health.by_canonical)] {
            let labels = [("settled_by", by)];
            let mut one = values.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
    }
    let noise = health.map(|health| health.noise_permille as f64 / 1000.0);
    value(encoder, &names::MODELS_NOISE, noise)
}

fn per_actor(
    encoder: &mut DescriptorEncoder<'_>,
    spec: &'static MetricSpec,
    rows: &[ActorSnapshot],
    read: impl Fn(&ActorSnapshot) -> u64,
) -> fmt::Result {
    let mut metric = describe(encoder, spec)?;
    for row in rows {
        let labels = [("actor", row.name)];
        let mut family = metric.encode_family(&labels)?;
        match spec.kind {
            MetricKind::Counter => family.encode_counter::<NoLabelSet, _, f64>(&read(row), None)?,
            MetricKind::Gauge | MetricKind::Histogram => family.encode_gauge(&read(row))?,
        }
    }
    Ok(())
}

fn histogram(
    mut metric: MetricEncoder<'_>,
    times: &HistogramSnapshot,
    exponents: impl Iterator<Item = u32>,
) -> fmt::Result {
    let mut below = 0;
    let mut buckets = Vec::new();
    for exponent in exponents {
        let cumulative = times.below_power_of_two(exponent);
        buckets.push(((1u64 << exponent) as f64 / 1e6, cumulative - below));
        below = cumulative;
    }
    // The encoder sums the buckets up.
    buckets.push((f64::INFINITY, times.count() - below));
    metric.encode_histogram::<NoLabelSet>(times.sum().as_secs_f64(), times.count(), &buckets, None)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
