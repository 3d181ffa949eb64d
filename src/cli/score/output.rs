//! Verdicts on stdout: one JSON object per clip, or a table; progress on a terminal's stderr.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{
    Scene,
    judged::{ClipVerdict, Judged},
};
use crate::{
    cli::exit::{Exit, Failure},
    domain::{
        ids::Digest,
        score::{Axes, PromptRead, Score},
    },
};

/// Widest column of names in the table, in characters.
const WIDEST_NAME: usize = 44;
/// Terms on one line of the table.
const TERMS_A_LINE: usize = 6;

/// One clip as `--json` prints it. Its keys are a published interface.
#[derive(Serialize)]
struct ClipLine<'a> {
    /// The path as it was given.
    clip: &'a str,
    status: Status,
    /// The gate that rejected the clip.
    gate: Option<String>,
    /// Why it was rejected.
    reason: Option<&'a str>,
    /// 0..=10000 each, null where it cannot be judged or the clip was rejected.
    axes: Axes,
    overall: Option<Score>,
    passed: bool,
    /// 0..=10000 by name, null where it cannot be judged; empty for a rejected clip.
    terms: BTreeMap<String, Option<Score>>,
    prompt_read: PromptRead,
    /// Null where the file could not be decoded.
    frame_digest: Option<Digest>,
    /// Null for a rejected clip.
    score_digest: Option<Digest>,
    rules_digest: Digest,
    adapter: Adapter<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Scored,
    Rejected,
}

#[derive(Serialize)]
struct Adapter<'a> {
    name: &'a str,
    backend: &'a str,
}

impl<'a> ClipLine<'a> {
    fn of(judged: &'a Judged, scene: &'a Scene) -> Self {
        let adapter = Adapter { name: &scene.adapter.name, backend: &scene.adapter.backend };
        let empty = Self {
            clip: &judged.name,
            status: Status::Rejected,
            gate: None,
            reason: None,
            axes: Axes::default(),
            overall: None,
            passed: false,
            terms: BTreeMap::new(),
            prompt_read: PromptRead::None,
            frame_digest: judged.frame_digest,
            score_digest: None,
            rules_digest: scene.rules.digest,
            adapter,
        };
        match &judged.verdict {
            ClipVerdict::Rejected { gate, reason, .. } => {
                Self { gate: Some(gate.to_string()), reason: Some(reason), ..empty }
            }
            ClipVerdict::Scored(card) => Self {
                status: Status::Scored,
                axes: card.axes.clone(),
                overall: Some(card.overall),
                passed: card.passed,
                terms: card.terms.clone(),
                prompt_read: card.prompt_read,
                score_digest: Some(card.score_digest),
                ..empty
            },
        }
    }
}

/// Whether text may hold terminal colours.
#[derive(Clone, Copy)]
enum Colour {
    On,
    Off,
}

impl Colour {
    fn of_stdout() -> Self {
        let wanted = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        if wanted { Self::On } else { Self::Off }
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }
}

/// Where verdicts go.
pub(super) struct Output {
    json: bool,
    colour: Colour,
    name_width: usize,
    bar: ProgressBar,
    started: bool,
    terms: Vec<(String, String)>,
}

impl Output {
    /// Output for these clips; prints nothing yet.
    pub(super) fn start(clips: &[PathBuf], json: bool) -> Self {
        let widest = clips.iter().map(|path| path.display().to_string().chars().count()).max().unwrap_or(0);
        // Hidden by the library where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(Some(clips.len() as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        let name_width = widest.clamp(4, WIDEST_NAME);
        Self { json, colour: Colour::of_stdout(), name_width, bar, started: false, terms: Vec::new() }
    }

    /// A clip is next.
    pub(super) fn begins(&mut self, path: &Path) {
        self.bar.set_message(printable(&path.display().to_string()));
        self.bar.enable_steady_tick(Duration::from_millis(120));
    }

    /// A clip has its verdict.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(super) fn clip(&mut self, judged: &Judged, scene: &Scene) -> Result<(), Failure> {
        self.bar.inc(1);
        if self.json {
            let line = serde_json::to_string(&ClipLine::of(judged, scene))
                .map_err(|cause| Failure::new(Exit::Internal, cause))?;
            return self.print(&[line]);
        }
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.started, true) {
            lines.push(self.colour.paint("1", &self.head()));
        }
        lines.push(self.row(judged));
        if let ClipVerdict::Scored(card) = &judged.verdict {
            let show = |(name, score): (&String, &Option<Score>)| format!("{name:<11} {:>5}", number(*score));
            let terms: Vec<String> = card.terms.iter().map(show).collect();
            let rows = terms.chunks(TERMS_A_LINE).map(|row| format!("  {}\n", row.join("   ")));
            self.terms.push((judged.name.clone(), rows.collect()));
        }
        self.print(&lines)
    }

    /// Every clip has its verdict.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(super) fn end(&mut self, scene: &Scene) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        if self.json {
            return Ok(());
        }
        let mut lines = vec![String::new()];
        for (name, terms) in std::mem::take(&mut self.terms) {
            lines.push(self.colour.paint("1", &format!("terms of {}", printable(&name))));
            lines.push(terms);
        }
        lines.push(format!("rules  {}", scene.rules.digest));
        lines.push(format!("scorer {} ({})", scene.adapter.name, scene.adapter.backend));
        self.print(&lines)
    }

    fn head(&self) -> String {
        let width = self.name_width;
        format!(
            "{:<width$}  {:<8}  {:>7}  {:<4}  {:>7}  {:>7}  {:>8}  {:>9}",
            "clip", "status", "overall", "pass", "first", "prompt", "temporal", "artifacts"
        )
    }

    fn row(&self, judged: &Judged) -> String {
        let width = self.name_width;
        let name = shortened(&printable(&judged.name), width);
        match &judged.verdict {
            ClipVerdict::Scored(card) => {
                let axes = &card.axes;
                let pass = if card.passed { self.colour.paint("32", "yes ") } else { "no  ".to_owned() };
                format!(
                    "{name:<width$}  {:<8}  {:>7}  {pass}  {:>7}  {:>7}  {:>8}  {:>9}",
                    "scored",
                    card.overall.get(),
                    number(axes.first_frame),
                    number(axes.prompt),
                    number(axes.temporal),
                    number(axes.artifacts)
                )
            }
            ClipVerdict::Rejected { gate, reason, .. } => {
                let status = self.colour.paint("31;1", "rejected");
                format!("{name:<width$}  {status}  {:>7}  no    {gate} {}", "-", printable(reason))
            }
        }
    }

    /// Prints lines above the progress; a reader that has seen enough is no failure.
    fn print(&self, lines: &[String]) -> Result<(), Failure> {
        let text = format!("{}\n", lines.join("\n"));
        let written = self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        });
        match written {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Internal, anyhow!("standard output: {cause}")))
            }
            _ => Ok(()),
        }
    }
}

fn number(score: Option<Score>) -> String {
    score.map_or("-".to_owned(), |score| score.to_string())
}

/// Names and reasons come from files that others made: nothing of them may steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most `width` characters; of a long path the end is kept.
fn shortened(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let tail: String = text.chars().skip(count + 1 - width).collect();
    format!("…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end_and_its_width() {
        assert_eq!(shortened("a.mp4", 9), "a.mp4");
        assert_eq!(shortened("folder/clip.mp4", 9), "…clip.mp4");
    }

    #[test]
    fn nothing_of_a_name_steers_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\n"), "a [2Jb  ");
    }
}
