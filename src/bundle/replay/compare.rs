//! Recorded beside found, field by field.

use std::fmt::Display;

use serde_json::Value;

use super::{Difference, Level};
use crate::domain::{
    ids::Hotkey,
    outcome::{Fault, Outcome},
    score::{GateReading, ScoreCard},
};

/// Longest value that is shown of a difference, in characters.
const SHOWN: usize = 120;

/// What was compared so far.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    pub(super) notes: Vec<String>,
    pub(super) clips: usize,
}

impl Compared {
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn differ(
        &mut self,
        level: Level,
        miner: Option<Hotkey>,
        what: impl Into<String>,
        [recorded, found]: [String; 2],
    ) {
        let cut = |text: String| text.chars().take(SHOWN).collect();
        let (recorded, found) = (cut(recorded), cut(found));
        self.differences.push(Difference { level, miner, what: what.into(), recorded, found });
    }

    pub(super) fn compare<T: PartialEq + Display>(
        &mut self,
        level: Level,
        miner: Option<Hotkey>,
        what: &str,
        (recorded, found): (T, T),
    ) {
        if recorded != found {
            self.differ(level, miner, what, [recorded.to_string(), found.to_string()]);
        }
    }

    /// Whether anything of this miner's clip differs already.
    pub(super) fn has(&self, hotkey: &Hotkey) -> bool {
        self.differences.iter().any(|difference| difference.miner.as_ref() == Some(hotkey))
    }

    /// Compares what a clip came to.
    pub(super) fn outcomes(&mut self, of: &Clip<'_>, recorded: &Outcome, found: &Outcome) {
        let miner = Some(of.hotkey);
        match (recorded, found) {
            (Outcome::Scored { card: ours }, Outcome::Scored { card: theirs }) => {
                self.cards(of, ours, theirs)
            }
            (
                Outcome::Rejected { gate: ours, pixels: before, .. },
                Outcome::Rejected { gate: theirs, pixels: after, .. },
            ) => {
                if let (Some(before), Some(after)) = (before, after) {
                    let frames = (before.frame_digest, after.frame_digest);
                    self.compare(Level::Decode, miner, &of.name("frames"), frames);
                    if ours == theirs {
                        self.gate(of, &ours.to_string(), &before.reading, &after.reading);
                    }
                }
                self.compare(Level::Verdict, miner, &of.name("gate"), (ours, theirs));
            }
            (recorded, found) => {
                let (before, after) = (kind_of(recorded), kind_of(found));
                if before != after {
                    self.differ(level_of(recorded, found), miner, of.name("outcome"), [before, after]);
                }
            }
        }
    }

    fn cards(&mut self, of: &Clip<'_>, recorded: &ScoreCard, found: &ScoreCard) {
        let miner = Some(of.hotkey);
        let before = self.differences.len();
        if recorded.frame_digest != found.frame_digest {
            let frames = (recorded.frame_digest, found.frame_digest);
            self.compare(Level::Decode, miner, &of.name("frames"), frames);
        }
        if recorded.track != found.track {
            self.differ(Level::Kernel, miner, of.name("track"), ["its track".into(), "another track".into()]);
        }
        self.members(of, Level::Kernel, "terms", value(&recorded.terms), value(&found.terms));
        let mut gates: Vec<_> = recorded.gates.keys().chain(found.gates.keys()).collect();
        gates.sort();
        gates.dedup();
        for gate in gates {
            match (recorded.gates.get(gate), found.gates.get(gate)) {
                (Some(ours), Some(theirs)) => self.gate(of, &gate.to_string(), ours, theirs),
                (ours, theirs) => {
                    let word =
                        |reading: Option<&GateReading>| reading.map_or("not read", |_| "read").to_owned();
                    self.differ(Level::Kernel, miner, of.name(&gate.to_string()), [word(ours), word(theirs)]);
                }
            }
        }
        self.members(of, Level::Verdict, "opponents", value(&recorded.opponents), value(&found.opponents));
        self.members(of, Level::Verdict, "axes", value(&recorded.axes), value(&found.axes));
        self.compare(Level::Verdict, miner, &of.name("overall"), (recorded.overall, found.overall));
        self.compare(Level::Verdict, miner, &of.name("passed"), (recorded.passed, found.passed));
        if self.differences.len() == before {
            let digests = (recorded.score_digest, found.score_digest);
            self.compare(Level::Verdict, miner, &of.name("score digest"), digests);
        }
    }

    fn gate(&mut self, of: &Clip<'_>, gate: &str, recorded: &GateReading, found: &GateReading) {
        self.members(of, Level::Kernel, gate, value(&recorded.numbers), value(&found.numbers));
        let decided = |reading: &GateReading| format!("fired {}, decides {}", reading.fired, reading.decides);
        self.compare(Level::Verdict, Some(of.hotkey), &of.name(gate), (decided(recorded), decided(found)));
    }

    /// Compares two objects member by member; other values whole.
    fn members(&mut self, of: &Clip<'_>, level: Level, name: &str, recorded: Value, found: Value) {
        match (recorded, found) {
            (Value::Object(recorded), Value::Object(found)) => {
                let mut names: Vec<_> = recorded.keys().chain(found.keys()).collect();
                names.sort();
                names.dedup();
                for member in names {
                    let word = |from: &serde_json::Map<String, Value>| {
                        from.get(member).map_or("absent".to_owned(), Value::to_string)
                    };
                    let what = of.name(&format!("{name}.{member}"));
                    self.compare(level, Some(of.hotkey), &what, (word(&recorded), word(&found)));
                }
            }
            (recorded, found) => {
                let words = (recorded.to_string(), found.to_string());
                self.compare(level, Some(of.hotkey), &of.name(name), words);
            }
        }
    }
}

/// Which clip of a miner is compared.
pub(super) struct Clip<'a> {
    pub(super) hotkey: Hotkey,
    /// In a dispute.
    pub(super) question: Option<&'a str>,
}

impl Clip<'_> {
    fn name(&self, what: &str) -> String {
        self.question.map_or_else(|| what.to_owned(), |question| format!("{question}: {what}"))
    }
}

fn value(of: &impl serde::Serialize) -> Value {
    // Integers and names only: they always serialise.
    serde_json::to_value(of).unwrap_or_default()
}

/// An outcome by its kind, and what refused it.
pub(super) fn kind_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Scored { card } => format!("scored {}", card.overall),
        Outcome::Rejected { gate, .. } => format!("rejected by {gate}"),
        Outcome::Forfeit { fault: Fault::Miner, .. } => "forfeit of the miner".into(),
        Outcome::Forfeit { .. } => "forfeit, not by the miner".into(),
        Outcome::Expired { .. } => "expired".into(),
    }
}

/// Where two outcomes of different kinds part: at decoding unless both had frames.
fn level_of(recorded: &Outcome, found: &Outcome) -> Level {
    let had_frames = |outcome: &Outcome| {
        matches!(outcome, Outcome::Scored { .. } | Outcome::Rejected { pixels: Some(_), .. })
    };
    if had_frames(recorded) && had_frames(found) { Level::Verdict } else { Level::Decode }
}
