//! The old layout's files, derived from the document: for tools that were written for them. Nothing rests on these.

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::domain::{
    bundle::RoundBundle,
    ids::Hotkey,
    score::{Axes, Score},
};

/// Name of the metadata file.
pub const METADATA_FILE: &str = "metadata.json";

/// Name of the file with a validator's results.
pub fn results_file(validator: &Hotkey) -> String {
    format!("evaluation_results/{validator}.json")
}

/// `metadata.json`: fields of `interfaces.md`, section 1, as the deployed software named them.
pub fn metadata(bundle: &RoundBundle) -> String {
    let opened = i128::from(bundle.opened_unix_ms) * 1_000_000;
    let opened = OffsetDateTime::from_unix_timestamp_nanos(opened).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let miners: Vec<_> = bundle.miners.iter().filter(|miner| miner.seed.is_some()).collect();
    let latencies: Map<String, Value> = miners
        .iter()
        .filter_map(|miner| Some((miner.hotkey.to_string(), miner.file.as_ref()?.latency_ms.into())))
        .collect();
    let clip = bundle.plan.as_ref().map(|plan| &plan.clip);
    let spec = bundle.plan.as_ref().map(|plan| plan.spec);
    let text = json!({
        "task_id": bundle.round,
        "created_at": opened.format(&Rfc3339).unwrap_or_default(),
        "source": {
            "bucket": null,
            "key": clip.map(|clip| &clip.key),
            "full_duration_seconds": null,
            "clip_start_seconds": clip.map(|clip| clip.window_start_us as f64 / 1e6),
            "clip_duration_seconds": spec.map(|spec| f64::from(spec.frames) / f64::from(spec.fps.max(1))),
        },
        "prompt": { "model": null, "text": clip.map(|clip| &clip.prompt) },
        "miners": miners.iter().map(|miner| miner.hotkey).collect::<Vec<_>>(),
        "miner_latencies_ms": latencies,
    });
    format!("{text:#}\n")
}

/// `data` of `evaluation_results/{validator}.json`: how every miner fared, integers only.
pub fn results(bundle: &RoundBundle) -> Value {
    let row = |miner: &crate::domain::bundle::MinerRecord| {
        let outcome = miner.outcome();
        let card = outcome.and_then(|outcome| outcome.card());
        json!({
            "miner_hotkey": miner.hotkey,
            "uid": miner.uid,
            "outcome": outcome.map_or("open", |outcome| outcome.kind()),
            "fault": miner.fault,
            "reason": outcome.map(|outcome| outcome.reason()).unwrap_or_default(),
            "passed": card.is_some_and(|card| card.passed),
            "overall": card.map(|card| card.overall),
            "aspects": card.map(|card| aspects(&card.axes)),
        })
    };
    json!({
        "task_id": bundle.round,
        "validator_hotkey": bundle.validator,
        "winner": bundle.winner(),
        "evaluations": bundle.miners.iter().map(row).collect::<Vec<_>>(),
    })
}

fn aspects(axes: &Axes) -> Value {
    let Axes { first_frame, prompt, temporal, artifacts } = axes;
    let score = |score: &Option<Score>| score.map(Score::get);
    json!({
        "first_frame": score(first_frame),
        "prompt": score(prompt),
        "temporal": score(temporal),
        "artifacts": score(artifacts),
    })
}
