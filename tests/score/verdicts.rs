//! What is printed for clips of every kind.

use leoma::domain::rules::ActiveRules;
use serde_json::Value;

use super::material::{HOSTILE, Material, small_rules, text};

/// The lines of a run that must succeed.
fn lines(clips: &[&str], more: &[&str]) -> Vec<Value> {
    let output = Material::get().score(clips, &[&["--json"], more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// An integer 0..=10000 or null.
fn is_score(value: &Value) -> bool {
    value.is_null() || value.as_u64().is_some_and(|score| score <= 10_000)
}

fn is_digest(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()))
}

#[test]
fn every_clip_gets_one_line_with_exactly_the_published_keys() {
    let clips = ["honest.mp4", "freeze.mp4", HOSTILE, "small.mp4", "short.mp4", "blurred.mp4"];
    let lines = lines(&clips, &[]);
    assert_eq!(lines.len(), clips.len());
    let rules = ActiveRules::of(small_rules()).expect("sound rules").digest.to_string();
    for (line, clip) in lines.iter().zip(clips) {
        let mut wanted = vec![
            "clip",
            "status",
            "gate",
            "reason",
            "axes",
            "overall",
            "passed",
            "terms",
            "prompt_read",
            "frame_digest",
            "score_digest",
            "rules_digest",
            "adapter",
        ];
        let mut found = keys(line);
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted, "{line}");
        let mut axes = keys(&line["axes"]);
        axes.sort_unstable();
        assert_eq!(axes, ["artifacts", "first_frame", "prompt", "temporal"]);
        assert_eq!(keys(&line["adapter"]).len(), 2, "{line}");
        assert!(line["adapter"]["name"].is_string() && line["adapter"]["backend"] == "cpu");
        assert_eq!(
            (line["clip"].as_str(), line["rules_digest"].as_str()),
            (Some(clip), Some(rules.as_str()))
        );
        assert_eq!(line["prompt_read"], "none");
        assert!(is_score(&line["overall"]), "{line}");
        assert!(line["axes"].as_object().expect("axes").values().all(is_score), "{line}");
        assert!(line["terms"].as_object().expect("terms").values().all(is_score), "{line}");
        let rejected = line["status"] == "rejected";
        assert_eq!(rejected, line["gate"].is_string() && line["reason"].is_string(), "{line}");
        assert_eq!(rejected, line["overall"].is_null() && line["score_digest"].is_null(), "{line}");
        assert!(rejected || (line["status"] == "scored" && is_digest(&line["score_digest"])), "{line}");
    }
    let gates: Vec<_> = lines.iter().map(|line| line["gate"].as_str().unwrap_or("-")).collect();
    assert_eq!(gates, ["-", "G2", "G13", "G12", "G1", "-"]);
    let passed: Vec<_> = lines.iter().map(|line| line["passed"].as_bool().expect("a boolean")).collect();
    assert_eq!(passed, [true, false, false, false, false, false]);
    assert!(lines[0]["terms"].as_object().expect("terms").len() >= 10, "{}", lines[0]);
    // A freeze was decoded, so its frames have a name; a damaged file has none.
    assert!(is_digest(&lines[1]["frame_digest"]) && lines[2]["frame_digest"].is_null());
    assert!(lines[5]["overall"].as_u64() < lines[0]["overall"].as_u64(), "blur costs");
}

#[test]
fn the_keys_stand_in_the_published_order() {
    let output = Material::get().score(&["freeze.mp4"], &["--json"]);
    let line = text(&output.stdout);
    let at = |key: &str| line.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} in {line}"));
    let order = ["clip", "status", "gate", "reason", "axes", "overall", "passed", "terms", "prompt_read"];
    let rest = ["frame_digest", "score_digest", "rules_digest", "adapter"];
    let places: Vec<usize> = order.iter().chain(&rest).map(|key| at(key)).collect();
    assert!(places.is_sorted(), "{line}");
}

#[test]
fn verdicts_do_not_depend_on_the_run_or_on_threads() {
    let clips = ["honest.mp4", "freeze.mp4"];
    let mut runs: Vec<Vec<Value>> =
        ["1", "1", "3"].map(|threads| lines(&clips, &["--scorer", "cpu", "--threads", threads])).into();
    assert_ne!(runs[0][0]["adapter"]["name"], runs[2][0]["adapter"]["name"], "the flag reaches the scorer");
    for line in runs.iter_mut().flatten() {
        line["adapter"] = Value::Null;
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}

#[test]
fn without_a_reference_motion_is_null_and_nothing_passes() {
    let made = Material::get();
    let output = made.run(&[
        "honest.mp4",
        "--first-frame",
        "first.png",
        "--prompt",
        "x",
        "--rules",
        "rules.toml",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line: Value = serde_json::from_str(&text(&output.stdout)).expect("JSON");
    assert!(line["axes"]["temporal"].is_null() && line["terms"]["warp"].is_null(), "{line}");
    assert_eq!((&line["status"], &line["passed"]), (&Value::from("scored"), &Value::from(false)));
    assert!(text(&output.stderr).contains("--reference"), "says why: {}", text(&output.stderr));
}

#[test]
fn the_table_is_plain_text_away_from_a_terminal_and_says_which_scorer_and_why() {
    let output = Material::get().score(&["honest.mp4", "freeze.mp4", HOSTILE], &["--scorer", "auto"]);
    assert_eq!(output.status.code(), Some(0));
    let (table, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(
        !table.contains('\u{1b}') && !notes.contains('\u{1b}'),
        "no colours, no progress:\n{table}{notes}"
    );
    let row =
        |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{table}"));
    assert!(row("clip").contains("overall") && row("honest.mp4").contains(" yes "), "{table}");
    assert!(row("freeze.mp4").contains("rejected") && row("freeze.mp4").contains("G2 freeze"), "{table}");
    assert!(row(HOSTILE).contains("G13 undecodable"), "{table}");
    assert!(table.contains("terms of honest.mp4") && table.contains("ssim0"), "{table}");
    // The Vulkan loader of a machine without a desktop adds a line of its own.
    let scorer = notes.lines().find(|line| line.starts_with("scorer: "));
    assert!(scorer.is_some_and(|line| line.contains("twins")), "{notes}");
    let quiet = Material::get().score(&["freeze.mp4"], &["--scorer", "cpu"]);
    assert_eq!(text(&quiet.stderr), "", "what was asked for needs no word");
}
