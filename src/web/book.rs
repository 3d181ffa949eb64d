//! The book of rounds as the pages show it.

use serde_json::{Value, json};

use super::RoundsView;
use crate::{
    domain::{ids::RoundId, report::RoundReport},
    store::book::RoundsBook,
};

fn summary(report: &RoundReport) -> Value {
    let count = |kind: &str| report.miners.iter().filter(|row| row.outcome == kind).count();
    json!({
        "round": report.round,
        "phase": report.phase,
        "anchor": report.anchor,
        "ended_at": report.ended_at,
        "winner": report.winner,
        "void": report.void,
        "clip": report.clip,
        "rules_digest": report.rules_digest,
        "miners": report.miners.len(),
        "scored": count("scored"),
        "rejected": count("rejected"),
        "forfeit": count("forfeit"),
        "expired": count("expired"),
        "open": count("open"),
    })
}

impl RoundsView for RoundsBook {
    fn list(&self, limit: usize) -> Vec<Value> {
        self.newest(limit).iter().map(|report| summary(report)).collect()
    }

    fn get(&self, round: RoundId) -> Option<Value> {
        let report = RoundsBook::get(self, round)?;
        serde_json::to_value(report.as_ref()).ok()
    }
}
