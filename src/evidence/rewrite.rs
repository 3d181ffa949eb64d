//! The rules file with computed constants in it.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{
    anchor::AnchorCalibration,
    calibration::{Calibration, TermCalibration},
    limits::{place::Range as Readings, settle::GateCalibration},
};
use crate::domain::rules::{Rules, RulesError};

/// Why a rules file could not be written anew.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Not TOML.
    #[error("the rules file is not TOML: {0}")]
    Parse(#[from] toml::de::Error),
    /// A constant that the rules have and their file does not spell out.
    #[error(
        "the rules file does not spell out {key} in [scoring.{table}]: write it there, a term with good and bad"
    )]
    Missing {
        /// The table under `scoring`.
        table: String,
        /// The term or limit.
        key: String,
    },
    /// The new values are no rules.
    #[error("the computed constants are no rules: {0}")]
    Rules(#[from] RulesError),
}

/// First words of the comments that this writes; older ones of a file are replaced.
const MARK: &str = "# calibrated: ";

/// What is put where in the old text.
type Edits = Vec<(Range<usize>, String)>;

/// The rules file with computed constants in place of its own, everything else as it was, comments included. Above each
/// term and limit a comment says where its numbers come from; `provenance` stands at the head.
///
/// # Errors
/// See [`RewriteError`].
pub fn rewritten(text: &str, calibration: &Calibration, provenance: &str) -> Result<String, RewriteError> {
    let mut text: String =
        text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with(MARK)).collect();
    let mut edits = Edits::new();
    {
        let parsed = DeTable::parse(&text)?;
        for term in &calibration.terms {
            let computed = term.kept.is_none().then_some((term.good, term.bad));
            let place = (term.axis.as_str(), term.term.as_str());
            write_ends(&text, parsed.get_ref(), place, computed, &origin_of_term(term), &mut edits)?;
        }
        // Nothing to write where the rules have no text model.
        for anchor in calibration.anchor.iter().filter(|anchor| anchor.in_force.is_some()) {
            let computed = anchor.kept.is_none().then_some((anchor.good, anchor.bad));
            write_ends(
                &text,
                parsed.get_ref(),
                ("text", "anchor"),
                computed,
                &origin_of_anchor(anchor),
                &mut edits,
            )?;
        }
        for limit in &calibration.gates {
            write_limit(&text, parsed.get_ref(), limit, &mut edits)?;
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    edits.into_iter().for_each(|(range, new)| text.replace_range(range, &new));
    let head: String = provenance.lines().map(|line| format!("{MARK}{line}\n")).collect();
    let text = head + &text;
    Rules::parse(&text)?;
    Ok(text)
}

/// A comment above the line of a place in the text.
fn comment(text: &str, place: usize, words: &str) -> (Range<usize>, String) {
    let line = text[..place].rfind('\n').map_or(0, |end| end + 1);
    (line..line, format!("{MARK}{words}\n"))
}

/// Writes a good and a bad end, if there are computed ones, and above them where they come from.
fn write_ends(
    text: &str,
    parsed: &DeTable,
    (table, key): (&str, &str),
    computed: Option<(i64, i64)>,
    origin: &str,
    edits: &mut Edits,
) -> Result<(), RewriteError> {
    let missing = || RewriteError::Missing { table: table.to_owned(), key: key.to_owned() };
    let entry = entry(parsed, &["scoring", table, key]).ok_or_else(missing)?;
    let place = |key: &str| entry.get(key).map(toml::Spanned::span);
    let (good, bad) = place("good").zip(place("bad")).ok_or_else(missing)?;
    edits.push(comment(text, good.start.min(bad.start), origin));
    if let Some(ends) = computed {
        edits.push((good, ends.0.to_string()));
        edits.push((bad, ends.1.to_string()));
    }
    Ok(())
}

fn write_limit(
    text: &str,
    parsed: &DeTable,
    limit: &GateCalibration,
    edits: &mut Edits,
) -> Result<(), RewriteError> {
    let table = limit.table.name();
    let missing = || RewriteError::Missing { table: format!("gates.{table}"), key: limit.limit.to_owned() };
    let entry = entry(parsed, &["scoring", "gates", table]).ok_or_else(missing)?;
    let place = entry.get(limit.limit).map(toml::Spanned::span).ok_or_else(missing)?;
    edits.push(comment(text, place.start, &origin_of_limit(limit)));
    if limit.kept.is_none() {
        edits.push((place, limit.computed.to_string()));
    }
    Ok(())
}

fn origin_of_term(term: &TermCalibration) -> String {
    match term.kept {
        Some(why) => format!("{} kept, {why} ({})", term.term, term.damage),
        None => format!(
            "{}: good the median of {} clean clips, bad beyond the median of {} at the strongest {}",
            term.term, term.clean, term.damaged, term.damage
        ),
    }
}

fn origin_of_anchor(anchor: &AnchorCalibration) -> String {
    let AnchorCalibration { honest, others, .. } = anchor;
    match anchor.kept {
        Some(why) => format!("anchor kept, {why}; these {honest}, clips of other sources {others}"),
        None => format!(
            "anchor: bad the nearest clip of another source, {others}, good a third of the way to stand-ins, {honest}"
        ),
    }
}

fn origin_of_limit(limit: &GateCalibration) -> String {
    let range = |side: Option<Readings>| side.map_or("none".to_owned(), |side| side.to_string());
    let (honest, attacks) = (range(limit.honest), range(limit.attacks));
    match limit.kept {
        Some(why) => format!("{} kept, {}; attacks {attacks}, honest clips {honest}", limit.limit, why.why()),
        None => format!(
            "{}: a third of the way from attacks, {attacks}, to {} honest clips, {honest}",
            limit.limit, limit.clips
        ),
    }
}

fn entry<'a, 'i>(table: &'a DeTable<'i>, path: &[&str]) -> Option<&'a DeTable<'i>> {
    path.iter().try_fold(table, |table, key| match table.get(*key)?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::rules::EMBEDDED_RULES,
        evidence::{
            judge::Judge,
            limits::{
                GateTable,
                place::{AttackSide, HonestSide, Kept},
            },
        },
    };

    fn calibration(good: i64, bad: i64, cycle: i64, kept: bool) -> Calibration {
        let judge = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        let place = judge.terms()["blur"].clone();
        let term = TermCalibration {
            term: "blur".to_owned(),
            axis: place.axis,
            in_force: place.rule,
            good,
            bad,
            damage: "blur",
            clean: 3,
            damaged: 3,
            kept: kept.then_some("the damage does not move the term"),
        };
        let limit = GateCalibration {
            gate: GateTable::Freeze.gate(),
            table: GateTable::Freeze,
            limit: "cycle",
            in_force: Rules::embedded().scoring.gates.freeze.cycle,
            computed: cycle,
            honest: Some(Readings { least: 0, most: 40 }),
            honest_side: HonestSide::All,
            clips: 6,
            attacks: Some(Readings { least: 960, most: 1000 }),
            attack_side: AttackSide::Caught,
            variants: 7,
            kept: kept.then_some(Kept::Overlap),
        };
        Calibration {
            sources: ["a.mp4".to_owned()].into(),
            windows: 1,
            generated: 0,
            terms: vec![term],
            anchor: None,
            uncalibrated: Vec::new(),
            gates: vec![limit],
            checks: Vec::new(),
        }
    }

    #[test]
    fn a_rules_file_keeps_its_comments_and_gets_the_new_numbers() {
        let computed = calibration(971, 123, 650, false);
        let text = rewritten(EMBEDDED_RULES, &computed, "corpus abc\nby leoma").expect("rules");
        let rules = Rules::parse(&text).expect("rules");
        let mut wanted = Rules::embedded();
        (wanted.scoring.artifacts.blur.good, wanted.scoring.artifacts.blur.bad) = (971, 123);
        wanted.scoring.gates.freeze.cycle = 650;
        assert_eq!(rules, wanted);
        assert!(text.starts_with("# calibrated: corpus abc\n# calibrated: by leoma\n# Everything"), "{text}");
        let changed = |line: &&str| !line.starts_with("blur = ") && !line.starts_with("cycle = ");
        for line in EMBEDDED_RULES.lines().filter(changed) {
            assert!(text.contains(line), "{line}");
        }
        let blur = text.lines().find(|line| line.starts_with("blur = ")).expect("the term");
        assert!(blur.contains("bad = 123, good = 971") && blur.contains("# 1/1000"), "{blur}");
        let limit = "# calibrated: cycle: a third of the way from attacks, 960..1000, to 6 honest clips, 0..40\ncycle = 650\n";
        assert!(text.contains(limit), "{text}");
        // Once more over its own result: comments of the run before are replaced.
        assert_eq!(rewritten(&text, &computed, "corpus abc\nby leoma").expect("rules"), text);
    }

    #[test]
    fn constants_that_cannot_be_used_stay_and_the_file_says_why() {
        let kept = calibration(5, 6, 7, true);
        let text = rewritten(EMBEDDED_RULES, &kept, "x").expect("rules");
        assert_eq!(Rules::parse(&text).expect("rules"), Rules::embedded());
        assert!(text.contains(
            "# calibrated: cycle kept, honest clips and attacks overlap; attacks 960..1000, honest"
        ));
        assert!(kept.drifted(0).is_empty());
    }

    #[test]
    fn a_file_without_a_limit_is_told_which() {
        let without = EMBEDDED_RULES.replace("cycle = 900\n", "");
        let refused =
            rewritten(&without, &calibration(971, 123, 650, false), "x").expect_err("no place for it");
        assert!(refused.to_string().contains("cycle in [scoring.gates.freeze]"), "{refused}");
    }
}
