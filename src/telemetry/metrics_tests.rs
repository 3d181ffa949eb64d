//! What the page of metrics says.

use std::collections::BTreeMap;

use super::*;
use crate::{
    domain::{ids::BlockNumber, outcome::Stage, scoring::ModelRules, weights::Refusal},
    gpu::port::{AdapterInfo, ScoreJob, ScorerError, Verdict},
    quality::{
        embeddings::{Likeness, ModelError, ModelHealth},
        frame::Yuv420Clip,
    },
    runtime::board::Ending,
    telemetry::{ChainLink, ChainStanding, Reason, ReasonCode},
};

struct Never;

impl Readiness for Never {
    fn reasons(&self) -> Vec<Reason> {
        vec![Reason { code: ReasonCode::NoBlockYet, detail: String::new() }]
    }
}

struct Device;

#[async_trait::async_trait]
impl Scorer for Device {
    async fn score(&self, _: ScoreJob) -> Result<Verdict, ScorerError> {
        Err(ScorerError::Device("a scrape scores nothing".into()))
    }

    fn adapter(&self) -> AdapterInfo {
        AdapterInfo { name: "Device 7".into(), backend: "vulkan".into() }
    }

    fn health(&self) -> ScorerHealth {
        ScorerHealth {
            device_failures: 2,
            rebuilds: 1,
            retried_clips: 3,
            submissions: 40,
            longest_submission_us: 1_500,
            buffer_bytes: 4_096,
        }
    }
}

#[derive(Debug)]
struct Networks;

impl FrameModels for Networks {
    fn rules(&self) -> ModelRules {
        unreachable!("a scrape compares no digests")
    }
    fn distance(&self, _: &Yuv420Clip, _: &Yuv420Clip) -> Result<i64, ModelError> {
        Err(ModelError::Missing)
    }
    fn likeness(&self, _: &Yuv420Clip, _: &Yuv420Clip, _: usize) -> Result<Likeness, ModelError> {
        Err(ModelError::Missing)
    }
    fn alike(&self, _: &Yuv420Clip, _: &Yuv420Clip, _: usize) -> Result<Vec<i64>, ModelError> {
        Err(ModelError::Missing)
    }
    fn health(&self) -> ModelHealth {
        ModelHealth { device: "cpu-flex".into(), by_device: 90, by_canonical: 10, noise_permille: 20 }
    }
}

fn everything() -> Arc<Metrics> {
    let (board, vitals) = (Board::new(), Vitals::new());
    let stats = board.register("decoder", 4);
    stats.set_state(ActorState::Running);
    drop(stats.handling());
    stats.finished(Ending::Failed(&"no"));
    vitals.head_seen(BlockNumber(4_200));
    vitals.weights_landed(BlockNumber(4_100));
    vitals.corpus_left(17);
    vitals.storage().failed("upload", "SlowDown".into());
    vitals.reveal_failed();
    vitals.weights_refused(Some(Refusal::NoPermit));
    vitals.standing_seen(ChainStanding {
        registered: true,
        validator_permit: false,
        stake: 900,
        stake_threshold: 1_000,
        is_owner: false,
        last_update: BlockNumber(4_150),
        tempo: 100,
        commit_reveal: true,
        commits_pending: 2,
        reveal_due: true,
    });
    vitals.link_seen(ChainLink { endpoint: "ws://a:1".into(), spec_version: 461, safe_hold: None });
    vitals.journal_wrote(5);
    let metrics = Metrics::new(MetricsOptions { board, vitals, readiness: Arc::new(Never) });
    metrics.scores_on(Arc::new(Device), Some(Arc::new(Networks)));
    metrics.round_opened();
    metrics.outcome(&Outcome::Expired { stage: Stage::Decode });
    metrics.copy_question("fresh_seed", "same_clip");
    metrics.tickets_in_flight(3);
    metrics.decode_took(Duration::from_millis(3));
    metrics.decode_took(Duration::from_secs(4_000));
    metrics
}

#[test]
fn the_page_holds_every_metric_of_the_list_and_no_other() {
    let page = everything().encode().expect("text");
    let mut described: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            assert!(described.insert(name, (help, "")).is_none(), "{name} is described twice");
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            described.get_mut(name).expect("help comes first").1 = kind;
        }
    }
    let listed: BTreeMap<&str, (String, &str)> = names::ALL
        .iter()
        .map(|spec| (spec.family(), (format!("{}.", spec.help), spec.kind.as_str())))
        .collect();
    assert_eq!(listed.len(), names::ALL.len(), "a name is listed twice");
    let described: BTreeMap<&str, (String, &str)> =
        described.into_iter().map(|(name, (help, kind))| (name, (help.to_owned(), kind))).collect();
    assert_eq!(described, listed);
}

#[test]
fn values_are_those_of_the_board_the_vitals_and_the_counters() {
    let page = everything().encode().expect("text");
    for line in [
        "leoma_ready 0",
        "leoma_chain_head_block 4200",
        "leoma_weights_landed_block 4100",
        "leoma_weights_last_update_block 4150",
        "leoma_weights_tempos_behind 0.5",
        "leoma_weights_commits_pending 2",
        "leoma_weights_reveal_due 1",
        "leoma_weights_reveals_failed_total 1",
        r#"leoma_weights_refused{reason="no_permit"} 1"#,
        "leoma_validator_permit 0",
        "leoma_validator_stake_rao 900",
        "leoma_validator_stake_threshold_rao 1000",
        "leoma_chain_spec_version 461",
        "leoma_chain_safe_hold 0",
        r#"leoma_chain_endpoint_info{endpoint="ws://a:1"} 1"#,
        "leoma_corpus_clips_left 17",
        "leoma_journal_events_total 5",
        "leoma_rounds_opened_total 1",
        r#"leoma_outcomes_total{kind="expired",fault="us"} 1"#,
        "leoma_tickets_in_flight 3",
        r#"leoma_decode_seconds_bucket{le="0.002048"} 0"#,
        r#"leoma_decode_seconds_bucket{le="0.004096"} 1"#,
        r#"leoma_decode_seconds_bucket{le="+Inf"} 2"#,
        "leoma_decode_seconds_count 2",
        r#"leoma_scorer_info{adapter="Device 7",backend="vulkan"} 1"#,
        "leoma_scorer_device_failures_total 2",
        "leoma_scorer_rebuilds_total 1",
        "leoma_scorer_retried_clips_total 3",
        "leoma_scorer_submissions_total 40",
        "leoma_scorer_longest_submission_seconds 0.0015",
        "leoma_scorer_buffer_bytes 4096",
        r#"leoma_models_info{device="cpu-flex"} 1"#,
        r#"leoma_models_values_total{settled_by="device"} 90"#,
        r#"leoma_models_values_total{settled_by="canonical"} 10"#,
        "leoma_models_noise_ratio 0.02",
        r#"leoma_actor_state{actor="decoder",state="running"} 1"#,
        r#"leoma_actor_state{actor="decoder",state="dead"} 0"#,
        r#"leoma_actor_errors_total{actor="decoder"} 1"#,
        r#"leoma_actor_handler_seconds_count{actor="decoder"} 1"#,
    ] {
        assert!(page.lines().any(|printed| printed == line), "{line} is missing in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn what_is_unknown_is_left_out() {
    let (board, vitals) = (Board::new(), Vitals::new());
    let page = Metrics::new(MetricsOptions { board, vitals, readiness: Arc::new(Never) });
    let page = page.encode().expect("text");
    assert!(!page.lines().any(|line| line.starts_with("leoma_chain_head_age_seconds ")), "{page}");
}

#[test]
fn label_names_are_those_of_the_list() {
    let page = everything().encode().expect("text");
    for spec in names::ALL.iter().filter(|spec| !spec.labels.is_empty()) {
        let sample = page.lines().find(|line| line.starts_with(spec.family()));
        let sample = sample.unwrap_or_else(|| panic!("{} has no sample", spec.name));
        for label in spec.labels {
            assert!(sample.contains(&format!("{label}=\"")), "{sample} lacks {label}");
        }
    }
}
