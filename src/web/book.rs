//! The book of rounds as the pages show it.

use serde_json::{Value, json};

use super::{RoundsUnreadable, RoundsView};
use crate::{
    domain::{ids::RoundId, report::RoundReport},
    store::archive::RoundsArchive,
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

impl RoundsView for RoundsArchive {
    fn list(&self, limit: usize) -> Vec<Value> {
        self.book.newest(limit).iter().map(|report| summary(report)).collect()
    }

    fn get(&self, round: RoundId) -> Result<Option<Value>, RoundsUnreadable> {
        let report = RoundsArchive::get(self, round).map_err(|error| RoundsUnreadable(error.to_string()))?;
        // A report is a tree of plain data with string keys: it always has a JSON form.
        Ok(report.and_then(|report| serde_json::to_value(report).ok()))
    }
}
