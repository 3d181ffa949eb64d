//! docs/miners.md against the source: every reason that a miner can read stands on the page.

use std::{collections::BTreeSet, fs, path::Path};

use leoma::{
    domain::{outcome::Fault, rules::Rules, score::GateId},
    miners::faults,
};

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Texts between quotation marks of lines that hold `mark`, the last of each line.
fn quoted(text: &str, mark: &str) -> BTreeSet<String> {
    let last = |line: &str| line.rsplit('"').nth(1).map(str::to_owned);
    text.lines().filter(|line| line.contains(mark)).filter_map(last).collect()
}

#[test]
fn every_gate_stands_on_the_page_with_its_code() {
    let page = file("docs/miners.md");
    for number in 1..=13 {
        let gate: GateId = serde_json::from_value(format!("g{number}").into()).expect("a gate");
        let row = format!("| {gate} | `{}` |", gate.catches());
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn every_reason_for_which_a_miner_answers_stands_on_the_page() {
    let page = file("docs/miners.md");
    let calls: BTreeSet<String> =
        faults::reasons().filter(|(fault, _)| *fault == Fault::Miner).map(|(_, code)| code.into()).collect();
    let commitments = quoted(&file("src/core/domain/commitment.rs"), "#[error(\"");
    assert!(calls.len() > 15 && commitments.len() > 10, "{calls:?} {commitments:?}");
    for code in calls.iter().chain(&commitments).map(String::as_str).chain(["duplicate_model:earliest_uid="])
    {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn every_term_and_number_of_the_rules_stands_on_the_page() {
    let page = file("docs/miners.md");
    let rules = Rules::embedded();
    let terms = leoma::evidence::judge::Judge::of(rules.clone().without_models(), None).expect("rules");
    for term in terms.terms().keys() {
        assert!(page.contains(&format!("`{term}`")), "{term}");
    }
    let request = rules.request;
    let scoring = &rules.scoring;
    for text in [
        format!("{}x{}", request.width, request.height),
        format!("`request.frames`, {};", request.frames),
        format!("`request.fps`, {},", request.fps),
        format!("`limits.answer_bytes`, {} MiB", rules.limits.answer_bytes >> 20),
        format!("`limits.answer_seconds`, {} s", rules.limits.answer_seconds),
        format!("`limits.decode_seconds`, {} s", rules.limits.decode_seconds),
        format!("within {} blocks", rules.schedule.answer_within_blocks),
        format!("overall {}, {} on every axis", scoring.pass_overall, scoring.pass_axis),
        format!("lead the best of them by {}\n", scoring.opponents.margin),
        format!("capped at {} ", scoring.gates.pan_zoom.cap),
        format!("at most {} apart", rules.payout.tie_band),
        format!("| first frame | {} |", scoring.weights.first_frame),
        format!("| prompt | {} |", scoring.weights.prompt),
        format!("| temporal | {} |", scoring.weights.temporal),
        format!("| artifacts | {} |", scoring.weights.artifacts),
    ] {
        assert!(page.contains(&text), "{text:?}");
    }
}
