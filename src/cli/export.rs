//! `leoma export`: rounds and outcomes of a validator's journal as JSON lines or CSV.

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    Execute,
    config::ConfigArgs,
    exit::{Exit, Failure, after_help},
    files::read_rules,
};
use crate::{
    domain::{
        ids::RoundId,
        outcome::Outcome,
        plan::RoundPlan,
        report::RoundReport,
        round::{Round, Tournament},
        rules::ActiveRules,
    },
    store::journal::{Journal, JournalError},
};

/// Export rounds or outcomes of a validator's journal as JSON lines or CSV
///
/// The validator may run meanwhile: its journal is only read, a round at a time. Scores are integers of 1/10000. What is not known
/// is null in JSON and empty in CSV, where a text that a spreadsheet would take for a formula begins with an apostrophe.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma export rounds --state state > rounds.jsonl",
    "leoma export outcomes --config validator.toml --format csv --from 71000 -o outcomes.csv",
    "leoma export outcomes --state state | jq 'select(.passed) | [.round, .uid, .overall]'",
))]
pub struct ExportCommand {
    /// A row for every round, or one for every miner of every round
    #[arg(value_enum)]
    what: What,
    /// Form of a row
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    #[command(flatten)]
    config: ConfigArgs,
    /// State folder of the validator; without it that of the configuration
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// First round
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Last round
    #[arg(long, value_name = "N", default_value_t = u64::MAX)]
    to: u64,
    /// Write to this file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A row for every round.
    Rounds,
    /// A row for every miner of every round.
    Outcomes,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object on each line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// A row: fields by name.
type Row = Map<String, Value>;

/// Columns of a CSV of rounds.
const ROUND_COLUMNS: [&str; 21] = [
    "round",
    "phase",
    "anchor_block",
    "anchor_hash",
    "ended_at",
    "winner",
    "winner_uid",
    "winner_overall",
    "miners",
    "scored",
    "passed",
    "rejected",
    "forfeit",
    "expired",
    "copy_groups",
    "questions",
    "void",
    "clip",
    "prompt",
    "rules_digest",
    "corpus_digest",
];

/// Columns of a CSV of outcomes, before those of the terms.
const OUTCOME_COLUMNS: [&str; 26] = [
    "round",
    "uid",
    "hotkey",
    "model_name",
    "model_revision",
    "chute_id",
    "outcome",
    "fault",
    "gate",
    "reason",
    "won",
    "passed",
    "overall",
    "first_frame",
    "prompt",
    "temporal",
    "artifacts",
    "file",
    "file_bytes",
    "frame_digest",
    "score_digest",
    "challenge_ms",
    "decode_wait_ms",
    "decode_ms",
    "score_wait_ms",
    "score_ms",
];

/// What stands before the name of a term in a CSV's header.
const TERM: &str = "term.";

impl Execute for ExportCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let loaded = self.config.load()?;
        let rules = read_rules(loaded.config.rules.file.as_deref())?;
        let state = self.state.clone().unwrap_or_else(|| loaded.config.state.dir.clone());
        let reader = Reader::open(&state, rules)?;
        match &self.out {
            Some(path) => {
                let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
                let mut out = BufWriter::new(file);
                self.write(&reader, &mut out)?;
                out.into_inner().map_err(|cause| anyhow!("{}: {cause}", path.display()))?;
            }
            None => self.write(&reader, &mut BufWriter::new(io::stdout().lock()))?,
        }
        Ok(Exit::Ok.into())
    }
}

impl ExportCommand {
    fn write(&self, reader: &Reader, out: &mut impl Write) -> Result<(), Failure> {
        let written = match self.format {
            Format::Jsonl => self.each(reader, |row| {
                serde_json::to_writer(&mut *out, &row)?;
                out.write_all(b"\n")
            }),
            Format::Csv => self.csv(reader, out),
        };
        match written {
            Ok(()) => out.flush().context("writing").map_err(Failure::from),
            // A reader that has seen enough is no failure.
            Err(Stop::Write(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(Stop::Write(cause)) => Err(Failure::new(Exit::Internal, anyhow!("writing: {cause}"))),
            Err(Stop::Journal(cause)) => Err(Failure::new(Exit::Unreadable, cause)),
        }
    }

    fn each(&self, reader: &Reader, mut row: impl FnMut(Row) -> io::Result<()>) -> Result<(), Stop> {
        let ids = reader.journal.round_ids()?.into_iter();
        for id in ids.filter(|id| (self.from..=self.to).contains(&id.0)) {
            let Some(round) = reader.round(id)? else { continue };
            let rows = match self.what {
                What::Rounds => vec![round_row(&RoundReport::of(id, &round))],
                What::Outcomes => outcome_rows(id, &round),
            };
            rows.into_iter().try_for_each(&mut row)?;
        }
        Ok(())
    }

    fn csv(&self, reader: &Reader, out: &mut impl Write) -> Result<(), Stop> {
        let mut columns: Vec<String> = match self.what {
            What::Rounds => ROUND_COLUMNS.map(str::to_owned).to_vec(),
            What::Outcomes => OUTCOME_COLUMNS.map(str::to_owned).to_vec(),
        };
        if self.what == What::Outcomes {
            // A header needs every term that any row has: one more pass, so that no row is kept.
            let mut terms = BTreeSet::new();
            self.each(reader, |row| {
                let names = row.get("terms").and_then(Value::as_object).into_iter().flat_map(Map::keys);
                terms.extend(names.cloned());
                Ok(())
            })?;
            columns.extend(terms.iter().map(|term| format!("{TERM}{term}")));
        }
        let mut csv = csv::Writer::from_writer(out);
        let record = |csv: &mut csv::Writer<_>, cells: Vec<String>| {
            csv.write_record(cells).map_err(|cause| match cause.into_kind() {
                csv::ErrorKind::Io(cause) => cause,
                other => io::Error::other(format!("{other:?}")),
            })
        };
        record(&mut csv, columns.clone())?;
        self.each(reader, |row| {
            let cells = columns.iter().map(|column| match column.strip_prefix(TERM) {
                Some(term) => cell(row.get("terms").and_then(|terms| terms.get(term))),
                None => cell(row.get(column)),
            });
            record(&mut csv, cells.collect())
        })?;
        csv.flush().map_err(Stop::from)
    }
}

/// Why an export ends early.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The rounds of a journal, each folded alone.
struct Reader {
    journal: Journal,
    rules: ActiveRules,
}

impl Reader {
    fn open(state: &std::path::Path, rules: ActiveRules) -> Result<Self, Failure> {
        let journal =
            Journal::open_read_only(state).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
        Ok(Self { journal, rules })
    }

    fn round(&self, id: RoundId) -> Result<Option<Round>, JournalError> {
        self.journal.round(id, Tournament::under(self.rules.rules.payout, self.rules.digest))
    }
}

fn object(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

fn round_row(report: &RoundReport) -> Row {
    let count = |kind: &str| report.miners.iter().filter(|row| row.outcome == kind).count();
    let winner = report.winner.and_then(|winner| report.miners.iter().find(|row| row.hotkey == winner));
    object(json!({
        "round": report.round,
        "phase": report.phase,
        "anchor_block": report.anchor.map(|anchor| anchor.number),
        "anchor_hash": report.anchor.map(|anchor| anchor.hash),
        "ended_at": report.ended_at,
        "winner": report.winner,
        "winner_uid": winner.map(|row| row.uid),
        "winner_overall": winner.and_then(|row| row.overall),
        "miners": report.miners.len(),
        "scored": count("scored"),
        "passed": report.miners.iter().filter(|row| row.passed == Some(true)).count(),
        "rejected": count("rejected"),
        "forfeit": count("forfeit"),
        "expired": count("expired"),
        "copy_groups": report.copies.len(),
        "questions": report.questions.len(),
        "void": report.void,
        "clip": report.clip,
        "prompt": report.prompt,
        "rules_digest": report.rules_digest,
        "corpus_digest": report.corpus_digest,
    }))
}

fn outcome_rows(id: RoundId, round: &Round) -> Vec<Row> {
    let Some(plan) = round.plan.as_deref() else { return Vec::new() };
    let report = RoundReport::of(id, round);
    let outcomes = round.final_outcomes();
    let row = |row: &crate::domain::report::MinerRow| {
        let outcome = outcomes.get(&row.hotkey);
        let card = outcome.and_then(Outcome::card);
        let (gate, frames) = match outcome {
            Some(Outcome::Rejected { gate, pixels, .. }) => {
                (Some(gate), pixels.as_ref().map(|pixels| pixels.frame_digest))
            }
            _ => (None, card.map(|card| card.frame_digest)),
        };
        let file = round.tickets.get(&row.hotkey).and_then(|ticket| ticket.file.as_ref());
        let commitment = commitment_of(plan, row);
        object(json!({
            "round": id,
            "uid": row.uid,
            "hotkey": row.hotkey,
            "model_name": commitment.map(|commitment| &commitment.model_name),
            "model_revision": commitment.map(|commitment| &commitment.model_revision),
            "chute_id": commitment.map(|commitment| &commitment.chute_id),
            "outcome": row.outcome,
            "fault": row.fault,
            "gate": gate,
            "reason": row.reason,
            "won": report.winner == Some(row.hotkey),
            "passed": row.passed,
            "overall": row.overall,
            "first_frame": row.axes.first_frame,
            "prompt": row.axes.prompt,
            "temporal": row.axes.temporal,
            "artifacts": row.axes.artifacts,
            "file": row.file,
            "file_bytes": file.map(|file| file.bytes),
            "frame_digest": frames,
            "score_digest": row.score_digest,
            "challenge_ms": row.timings.challenge_ms,
            "decode_wait_ms": row.timings.decode_wait_ms,
            "decode_ms": row.timings.decode_ms,
            "score_wait_ms": row.timings.score_wait_ms,
            "score_ms": row.timings.score_ms,
            "terms": card.map(|card| &card.terms),
        }))
    };
    report.miners.iter().map(row).collect()
}

fn commitment_of<'a>(
    plan: &'a RoundPlan,
    row: &crate::domain::report::MinerRow,
) -> Option<&'a crate::domain::commitment::Commitment> {
    plan.roster.iter().find(|entry| entry.hotkey == row.hotkey)?.commitment.as_ref()
}

/// A value as a cell; prompts and reasons come from others, and a spreadsheet must not run them.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        event::Event,
        ids::BlockNumber,
        rules::Rules,
        testing::{hotkey, plan, scored},
    };

    fn round() -> Round {
        let mut state = Tournament::new(Rules::embedded().payout);
        let (round, timings) = (RoundId(7), Default::default());
        let events = [
            Event::RoundPlanned { plan: Box::new(plan(7, 1)) },
            Event::TicketSettled { round, hotkey: hotkey(1), outcome: scored(9_000, true, 1), timings },
            Event::RoundClosed { round, at: BlockNumber(760), winner: Some(hotkey(1)) },
        ];
        events.iter().for_each(|event| state.apply(event).expect("follows"));
        state.round(round).expect("a round").clone()
    }

    #[test]
    fn every_column_is_a_field_of_its_row() {
        let round = round();
        let row = round_row(&RoundReport::of(RoundId(7), &round));
        let missing = |row: &Row, columns: &[&str]| {
            columns
                .iter()
                .filter(|column| !row.contains_key(**column))
                .map(|c| (*c).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(missing(&row, &ROUND_COLUMNS), [""; 0]);
        assert_eq!(row.len(), ROUND_COLUMNS.len());
        assert_eq!((&row["winner_overall"], &row["passed"]), (&json!(9_000), &json!(1)));
        let rows = outcome_rows(RoundId(7), &round);
        assert_eq!(missing(&rows[0], &OUTCOME_COLUMNS), [""; 0]);
        assert_eq!(rows[0].len(), OUTCOME_COLUMNS.len() + 1, "and the terms");
        assert_eq!((&rows[0]["won"], &rows[0]["overall"]), (&json!(true), &json!(9_000)));
    }

    #[test]
    fn a_cell_runs_nothing() {
        assert_eq!(cell(Some(&json!("=HYPERLINK(1)"))), "'=HYPERLINK(1)");
        assert_eq!(cell(Some(&json!(-3))), "-3");
        assert_eq!(
            (cell(None), cell(Some(&Value::Null)), cell(Some(&json!("a,b")))),
            ("".into(), "".into(), "a,b".into())
        );
    }
}
