//! `leoma evaluate` and `leoma calibrate` as their caller meets them: the real binary on drawn clips.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use leoma::{
    corpus::draw::{DrawOptions, draw_corpus},
    domain::rules::Rules,
};
use serde_json::Value;

const LEOMA: &str = env!("CARGO_BIN_EXE_leoma");
/// The rules file of these stories.
const RULES: &str = "rules.toml";
/// Shape in which everything but a quick run is judged here.
const SHAPE: [&str; 4] = ["--size", "256x144", "--frames", "17"];

/// A corpus of four drawn clips, of which fish and flag move too little to judge by, made once.
fn folder() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("folder");
        let drawn = DrawOptions {
            scenes: 4,
            frames: 96,
            width: 320,
            height: 184,
            ..DrawOptions::into_folder(folder.path().join("corpus"))
        };
        draw_corpus(&drawn, |_| {}).expect("ffmpeg with libx264 is installed");
        let without = crate::models::where_they_are(Rules::embedded()).scoring.models.is_none();
        let arguments =
            [&["config", "rules"][..], if without { &["--without-models"] } else { &[] }].concat();
        let rules = Command::new(LEOMA).args(arguments).output().expect("leoma starts");
        std::fs::write(folder.path().join(RULES), rules.stdout).expect("written");
        folder
    });
    made.path()
}

/// Runs it, by the rules built in unless others are named; without models where the weights are absent.
fn leoma(arguments: &[&str]) -> Output {
    let rules: &[&str] = if arguments.contains(&"--rules") { &[] } else { &["--rules", RULES] };
    Command::new(LEOMA).args(arguments).args(rules).current_dir(folder()).output().expect("leoma starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn quick(more: &[&str]) -> Output {
    leoma(&[&["evaluate", "--corpus", "corpus", "--quick"], more].concat())
}

/// The entry of a list whose `key` is `name`.
fn named<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let all = list.as_array().expect("a list");
    all.iter().find(|entry| entry[key] == name).unwrap_or_else(|| panic!("{name} in {list}"))
}

#[test]
fn a_quick_run_counts_what_terms_and_gates_do_and_writes_a_page() {
    let output = quick(&["--json", "--out", "found"]);
    let evidence = json(&output);
    assert_eq!(text(&output.stderr), "", "no progress away from a terminal");
    assert!(evidence["note"].as_str().expect("a note").contains("No AI-generated clip was seen"));
    // Ball and gears serve: one for calibration, one held out.
    let passed_over: Vec<_> = evidence["passed_over"].as_array().expect("a list").iter().collect();
    assert!(passed_over.iter().any(|clip| clip["clip"] == "drawn-fish.mp4"), "{passed_over:?}");
    assert_eq!(evidence["split"]["calibration"].as_array().map(Vec::len), Some(1));
    assert_eq!(evidence["split"]["held_out"].as_array().map(Vec::len), Some(1));
    assert_eq!(evidence["windows"].as_array().map(Vec::len), Some(1));
    let held_out = evidence["split"]["held_out"].as_array().expect("sources");
    assert!(held_out.contains(&evidence["windows"][0][0]), "figures come from held-out sources: {evidence}");

    assert_eq!(evidence["ladders"].as_array().map(Vec::len), Some(6));
    let blur = named(&evidence["ladders"], "generator", "blur");
    assert_eq!(blur["raw"]["distant"], serde_json::json!({ "right": 10, "tied": 0, "wrong": 0 }), "{blur}");
    assert_eq!(blur["raw"]["tau"], 1.0);
    assert_eq!(blur["overall_by_level"].as_array().map(Vec::len), Some(6));
    let lost = |generator: &str, axis: &str| {
        let figures = named(&evidence["ladders"], "generator", generator);
        figures["lost_by_level"][axis][4].as_f64().unwrap_or_else(|| panic!("{generator} {axis}: {figures}"))
    };
    assert!(lost("blur", "artifacts") > 20.0 && lost("global_flicker", "temporal") > 20.0);
    assert!(lost("global_flicker", "first_frame") < 1.0, "the first frame is not touched");

    let freeze = named(&evidence["attacks"], "name", "freeze");
    assert_eq!((&freeze["rejected"]["g2"], &freeze["open"]), (&Value::from(1), &Value::from(0)), "{freeze}");
    assert_eq!(evidence["attacks"].as_array().map(Vec::len), Some(13), "one attack of every gate");
    assert_eq!(evidence["clean"]["sources"], 1);
    assert!((evidence["clean"]["upper_by_source"].as_f64().expect("a bound") - 0.95).abs() < 1e-6);

    let written = |name: &str| std::fs::read_to_string(folder().join("found").join(name)).expect(name);
    assert_eq!(serde_json::from_str::<Value>(&written("evidence.json")).expect("JSON"), evidence);
    let page = written("evidence.html");
    for part in
        ["No AI-generated clip was seen", "<svg", "global_flicker", "Cross-talk", "Content-Security-Policy"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    assert!(!page.contains("NaN"), "no figure of nothing");
}

#[test]
fn the_table_is_plain_text_and_runs_agree() {
    let (one, two) = (quick(&[]), quick(&[]));
    assert_eq!(one.status.code(), Some(0), "{}", text(&one.stderr));
    let table = text(&one.stdout);
    assert_eq!(table, text(&two.stdout));
    assert!(!table.contains('\u{1b}'), "{table}");
    for part in ["blur", "freeze_from", "0 of 1 from 1 source, 95 % upper bound 95.0 %", "honest stand-ins"] {
        assert!(table.contains(part), "{part}:\n{table}");
    }
}

#[test]
fn calibration_writes_rules_that_it_then_finds_in_force() {
    let arguments = ["calibrate", "--corpus", "corpus"];
    let made = leoma(&[&arguments, &SHAPE[..], &["--out", "calibrated.toml", "--json"]].concat());
    let found = json(&made);
    let terms = found["terms"].as_array().expect("terms");
    assert!(terms.len() >= 10, "{found}");
    let file = std::fs::read_to_string(folder().join("calibrated.toml")).expect("written");
    let rules = Rules::parse(&file).expect("rules");
    let blur = named(&found["terms"], "term", "blur");
    assert_eq!(blur["good"], rules.scoring.artifacts.blur.good);
    assert_eq!(blur["bad"], rules.scoring.artifacts.blur.bad);
    assert!(file.contains("# calibrated: blur: good the median of 1 clean clips"), "{file}");
    assert!(file.contains(found["corpus_digest"].as_str().expect("a digest")));
    // Limits of gates stand between honest clips and attacks, or say why they stay.
    let written = toml::Table::try_from(&rules).expect("a table");
    let limits = found["gates"].as_array().expect("limits");
    for limit in limits {
        let (table, name) =
            (limit["table"].as_str().expect("a table"), limit["limit"].as_str().expect("a name"));
        let value = written["scoring"]["gates"][table][name].as_integer();
        assert_eq!(value, limit["computed"].as_i64(), "{limit}");
        let said =
            if limit["kept"].is_null() { format!("{name}: a third") } else { format!("{name} kept, ") };
        assert!(file.contains(&format!("# calibrated: {said}")), "{said}");
        assert!(!limit["kept"].is_null() || way(limit) != 0, "{limit}");
    }
    for check in found["checks"].as_array().expect("checks") {
        let count = |what: &str| check[what].as_u64().expect("a count");
        assert!(count("honest_fired_computed") <= count("honest_fired"), "{check}");
        assert!(count("caught_computed") >= count("caught"), "{check}");
    }

    let check = |rules: &str, json: &[&str]| {
        let arguments = ["calibrate", "--corpus", "corpus", "--check", "--rules", rules];
        leoma(&[&arguments, &SHAPE[..], json].concat())
    };
    // By its own result it finds just what is in force.
    let fresh = json(&check("calibrated.toml", &["--json"]));
    assert_eq!(fresh["drifted"], serde_json::json!([]), "{fresh}");
    for (limit, before) in fresh["gates"].as_array().expect("limits").iter().zip(limits) {
        assert_eq!(
            (&limit["in_force"], &limit["computed"]),
            (&before["computed"], &before["computed"]),
            "{limit}"
        );
    }
    // Constants moved by hand are drift, and the code says so.
    let moved_limit = limits.iter().max_by_key(|limit| way(limit).abs()).expect("a limit between");
    let (table, name) = (moved_limit["table"].as_str(), moved_limit["limit"].as_str());
    let (table, name) = table.zip(name).expect("names");
    let mut moved = written;
    let place = &mut moved["scoring"]["gates"][table][name];
    // Towards the honest clips, where the same attacks are caught.
    *place = (place.as_integer().expect("a number") + way(moved_limit) * 2 / 5).into();
    let mut moved: Rules = moved.try_into().expect("rules");
    moved.scoring.artifacts.blur.bad -= 400;
    std::fs::write(folder().join("moved.toml"), toml::to_string(&moved).expect("rules")).expect("written");
    let drifted = check("moved.toml", &[]);
    assert_eq!(drifted.status.code(), Some(4), "{}", text(&drifted.stdout));
    let told = text(&drifted.stdout);
    for name in ["blur ".to_owned(), format!("{table}.{name} ")] {
        assert!(told.lines().any(|line| line.contains(&name) && line.contains("DRIFTED")), "{name}: {told}");
    }
    assert!(told.contains("freeze.longest_run"), "what is a definition is said: {told}");
}

/// The way from the attacks to the honest clips that a limit was set between; 0 where it was kept.
fn way(limit: &Value) -> i64 {
    let end = |side: &str, end: &str| limit[side][end].as_i64().unwrap_or_default();
    let (up, down) =
        (end("honest", "least") - end("attacks", "most"), end("honest", "most") - end("attacks", "least"));
    match limit["kept"].is_null() {
        true if up > 0 => up,
        true => down,
        false => 0,
    }
}

#[test]
fn ratings_are_correlated_with_scores() {
    let clips = ["drawn-ball.mp4", "drawn-fish.mp4"];
    let made = PathBuf::from("blurred.mp4");
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-i", "corpus/drawn-ball.mp4"])
        .args(["-vf", "gblur=4", "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p"])
        .arg(&made)
        .current_dir(folder())
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success());
    let ratings = format!(
        "clip,dimension,rating,reference\ncorpus/{0},artifacts,5,corpus/{0}\nblurred.mp4,artifacts,1,corpus/{0}\ncorpus/{1},artifacts,5,corpus/{1}\n",
        clips[0], clips[1]
    );
    std::fs::write(folder().join("ratings.csv"), ratings).expect("written");
    let arguments = ["evaluate", "--ratings", "ratings.csv", "--json"];
    let found = json(&leoma(&[&arguments, &SHAPE[..]].concat()));
    let artifacts = named(&found["dimensions"], "dimension", "artifacts");
    assert_eq!(artifacts["pairs"], serde_json::json!({ "right": 2, "tied": 0, "wrong": 0 }), "{found}");
    assert_eq!((&artifacts["equal_ratings"], &artifacts["against"]), (&Value::from(1), &Value::from("axis")));
}

#[test]
fn what_cannot_be_evaluated_is_said_with_its_code() {
    for (arguments, code, said) in [
        (&["evaluate"][..], 2, "--corpus"),
        (&["evaluate", "--corpus", "nowhere"], 3, "nowhere"),
        (&["evaluate", "--ratings", "nowhere.csv"], 3, "nowhere.csv"),
        (&["evaluate", "--ratings", "corpus/corpus.toml"], 3, "columns are clip, dimension, rating"),
        (&["calibrate", "--corpus", "corpus", "--generated", "nowhere"], 3, "nowhere"),
        (&["evaluate", "--corpus", "corpus", "--size", "17x3"], 2, "17x3"),
    ] {
        let output = leoma(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
}
