//! What the scorer says of a clip: raw terms with gates off, axes, and the verdict.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{EvidenceError, windows::SourceWindow};
use crate::{
    domain::{
        rules::{Rules, RulesError},
        score::{Axes, GateId, GateReading, Score},
        scoring::{ScoringRules, TermRule},
    },
    quality::{
        embeddings::{self, FrameModels},
        frame::Yuv420Clip,
        opponents::{Known, PreparedTask, TaskInput},
        prompt::anchor,
        verdict::{JudgeInput, Verdict, read_measured},
    },
};

/// Whether a clip made of the source itself may be called a copy of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceCopies {
    /// As in a round.
    Judged,
    /// Gate G7 only records: for damage to the source and for the clean source, which are copies by design.
    Allowed,
}

/// A term's place and limits in the rules.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TermPlace {
    /// Key of its axis.
    pub axis: String,
    /// Its limits and weight.
    pub rule: TermRule,
}

/// Everything that was read from one clip.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Raw values by term, gates off; those that exist. The text model's only where no gate rejects.
    pub raw: BTreeMap<&'static str, i64>,
    /// Scores by term, gates off.
    pub scores: BTreeMap<String, Option<Score>>,
    /// Axes with gates and caps off.
    pub axes: Axes,
    /// The gate that rejects it in a round.
    pub gate: Option<GateId>,
    /// Gates that fired, whether or not the rules let them decide.
    pub fired: Vec<GateId>,
    /// Readings of the gates that were reached.
    pub gates: BTreeMap<GateId, GateReading>,
    /// Overall score in a round, 0 when rejected.
    pub overall: u16,
    /// Whether it passes in a round.
    pub passed: bool,
}

/// Rules, and how clips are read by them.
#[derive(Clone, Debug)]
pub struct Judge {
    rules: Rules,
    lenient: Rules,
    terms: BTreeMap<String, TermPlace>,
    models: Option<Arc<dyn FrameModels>>,
    prompts: Vec<String>,
}

impl Judge {
    /// A judge by these rules, with the networks that they name.
    ///
    /// # Errors
    /// When networks are missing, or the rules with an advisory G7 are no rules, which a check of theirs would have said
    /// before.
    pub fn of(rules: Rules, models: Option<Arc<dyn FrameModels>>) -> Result<Self, EvidenceError> {
        embeddings::named(&rules.scoring, models.as_deref())?;
        let lenient = with_advisory(&rules, "source_copy")?;
        Ok(Self { lenient, terms: term_places(&rules.scoring), rules, models, prompts: Vec::new() })
    }

    /// The same with the prompts of a corpus, which a text model sets beside a clip's.
    pub fn beside(self, prompts: impl IntoIterator<Item = String>) -> Self {
        Self { prompts: prompts.into_iter().collect(), ..self }
    }

    /// Measures a task.
    ///
    /// # Errors
    /// When networks gave no answer.
    pub fn task(
        &self,
        first_frame: &Yuv420Clip,
        reference: &Yuv420Clip,
        prompt: &str,
    ) -> Result<PreparedTask, EvidenceError> {
        let models = self.models.as_deref();
        Ok(PreparedTask::of(&TaskInput {
            first_frame,
            reference,
            rules: &self.rules,
            models,
            prompt,
            others: &self.prompts,
        })?)
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Every term of the rules by name.
    pub fn terms(&self) -> &BTreeMap<String, TermPlace> {
        &self.terms
    }

    /// Reads one clip against a window.
    ///
    /// # Errors
    /// When the window does not fit the rules.
    pub fn read(
        &self,
        window: &SourceWindow,
        clip: &Yuv420Clip,
        copies: SourceCopies,
    ) -> Result<Reading, EvidenceError> {
        let references = Some((&*window.reference, &*window.task));
        self.read_against(&window.first_frame, references, (&window.prompt, clip), copies)
    }

    /// Reads one clip against a first frame and, where there is one, a reference with the task's measures.
    ///
    /// # Errors
    /// When they do not fit the rules.
    pub fn read_against(
        &self,
        first_frame: &Yuv420Clip,
        reference: Option<(&Yuv420Clip, &PreparedTask)>,
        (prompt, clip): (&str, &Yuv420Clip),
        copies: SourceCopies,
    ) -> Result<Reading, EvidenceError> {
        let rules = match copies {
            SourceCopies::Judged => &self.rules,
            SourceCopies::Allowed => &self.lenient,
        };
        let models = self.models.as_deref();
        let input = JudgeInput {
            clip,
            first_frame,
            reference: reference.map(|(clip, _)| clip),
            prompt,
            others: &self.prompts,
            rules,
            models,
        };
        let read = read_measured(&input, Known::task(reference.map(|(_, task)| task)))?;
        let (raw, scores) = match read.terms {
            Some((raw, scores)) => {
                (raw.named().filter_map(|(name, value)| Some((name, value?))).collect(), Some(scores))
            }
            None => (Vec::new(), None),
        };
        let raw = raw.into_iter().chain(read.text).collect();
        let (axes, scores) = scores.map(|s| (s.axes, s.terms)).unwrap_or_default();
        let (gate, gates, overall, passed) = match read.verdict {
            Verdict::Scored(card) => (None, card.gates, card.overall.get(), card.passed),
            Verdict::Gated { gate, reading, .. } => (Some(gate), [(gate, reading)].into(), 0, false),
        };
        let fired = gates.iter().filter(|(_, reading)| reading.fired).map(|(gate, _)| *gate).collect();
        Ok(Reading { raw, scores, axes, gate, fired, gates, overall, passed })
    }

    /// How near a clip is to the real one by the image embedder (`anchor`), in 1/1024; `None` under rules without networks.
    ///
    /// # Errors
    /// When networks gave no answer.
    pub fn nearness(&self, clip: &Yuv420Clip, real: &Yuv420Clip) -> Result<Option<i64>, EvidenceError> {
        let Some(models) = embeddings::named(&self.rules.scoring, self.models.as_deref())? else {
            return Ok(None);
        };
        Ok(anchor::nearness(&models.alike(clip, real, self.rules.request.frames as usize)?))
    }

    /// How bad a term's raw value is: 0 at its good end, 1 at its bad end, not cut off at either; for the motion amount,
    /// octaves from the reference's over the three at which nothing is left. `None` for a term that the rules do not
    /// know.
    pub fn badness(&self, term: &str, raw: i64) -> Option<f64> {
        if term == "dyn" {
            return Some((raw.max(1) as f64 / 1000.0).log2().abs() / 3.0);
        }
        let TermRule { bad, good, .. } = self.terms.get(term)?.rule;
        Some((raw - good) as f64 / (bad - good) as f64)
    }
}

/// The rules with one gate of `[scoring.gates]` advisory; the same rules where they have no such gate.
fn with_advisory(rules: &Rules, gate: &str) -> Result<Rules, RulesError> {
    let Ok(mut tree) = toml::Table::try_from(rules) else { return Ok(rules.clone()) };
    let mode = ["scoring", "gates", gate]
        .iter()
        .try_fold(&mut tree, |table, key| table.get_mut(*key)?.as_table_mut());
    let Some(table) = mode else { return Ok(rules.clone()) };
    table.insert("mode".to_owned(), "advisory".into());
    Rules::parse(&tree.to_string())
}

/// Every entry of the scoring rules that has a term's limits, whichever table it stands in: a new term needs no line here.
fn term_places(scoring: &ScoringRules) -> BTreeMap<String, TermPlace> {
    let tables =
        serde_json::to_value(scoring).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
    let entries = tables.iter().filter_map(|(axis, table)| Some((axis, table.as_object()?)));
    entries
        .flat_map(|(axis, table)| table.iter().map(move |(name, entry)| (axis, name, entry)))
        .filter_map(|(axis, name, entry)| {
            let rule = serde_json::from_value(entry.clone()).ok()?;
            Some((name.clone(), TermPlace { axis: axis.clone(), rule }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_found_by_the_names_of_the_rules_and_badness_is_not_cut_off() {
        let judge = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        assert!(judge.terms().len() >= 10, "{:?}", judge.terms().keys());
        let warp = &judge.terms()["warp"];
        assert_eq!(warp.axis, "temporal");
        assert_eq!(judge.badness("warp", warp.rule.bad), Some(1.0));
        assert_eq!(judge.badness("warp", warp.rule.good), Some(0.0));
        assert!(judge.badness("warp", 3 * warp.rule.bad).is_some_and(|b| b > 2.0));
        assert_eq!(judge.badness("dyn", 8_000), Some(1.0));
        assert_eq!(judge.badness("dyn", 125), Some(1.0));
        assert_eq!(judge.badness("nothing", 1), None);
    }

    #[test]
    fn a_gate_that_the_rules_have_becomes_advisory_and_nothing_else_changes() {
        let rules = Rules::embedded();
        let changed = with_advisory(&rules, "freeze").expect("still rules");
        assert_ne!(changed, rules);
        let mut back = changed;
        back.scoring.gates.freeze.mode = rules.scoring.gates.freeze.mode;
        assert_eq!(back, rules);
        assert_eq!(with_advisory(&rules, "no_such_gate").expect("the same"), rules);
    }
}
