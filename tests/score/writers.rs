//! Files that ffmpeg, imageio, OpenCV and PyAV write with their own settings; `tests/golden/must_pass/README.md` has their list.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use leoma::domain::rules::Rules;
use serde::Deserialize;
use serde_json::Value;

use super::material::{small_rules, text};

/// Frames of the files.
const FRAMES: u32 = 17;

/// One entry of `files.json`.
#[derive(Deserialize)]
struct Written {
    name: String,
    fate: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/must_pass")
}

fn written() -> Vec<Written> {
    let list = std::fs::read(folder().join("files.json")).expect("files.json");
    serde_json::from_slice(&list).expect("a list")
}

/// Verdicts by file, as `leoma score` prints them.
fn verdicts(files: &[Written]) -> BTreeMap<String, Value> {
    let made = tempfile::tempdir().expect("folder");
    let (frame, rules_file) = (made.path().join("first.png"), made.path().join("rules.toml"));
    let drawn = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-i"])
        .arg(folder().join("real.mp4"))
        .args(["-frames:v", "1", "-pix_fmt", "rgb24"])
        .arg(&frame)
        .status()
        .expect("ffmpeg is installed");
    assert!(drawn.success());
    let small = small_rules();
    let rules = Rules { request: leoma::domain::plan::ClipSpec { frames: FRAMES, ..small.request }, ..small };
    std::fs::write(&rules_file, toml::to_string(&rules).expect("rules")).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_leoma"))
        .current_dir(folder())
        .arg("score")
        .args(files.iter().map(|file| &file.name))
        .args(["--json", "--scorer", "cpu", "--prompt", "waves", "--reference", "real.mp4", "--first-frame"])
        .arg(frame)
        .arg("--rules")
        .arg(rules_file)
        .output()
        .expect("leoma starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let verdict = |line| serde_json::from_str::<Value>(line).expect("one object a line");
    files.iter().map(|file| file.name.clone()).zip(lines.lines().map(verdict)).collect()
}

#[test]
fn what_default_writers_write_is_judged_alike_or_refused_by_the_gate_that_the_list_names() {
    let files = written();
    assert!(files.len() >= 16, "{} files", files.len());
    let verdicts = verdicts(&files);
    assert_eq!(verdicts.len(), files.len());
    for Written { name, fate } in &files {
        let verdict = &verdicts[name];
        match fate.as_str() {
            // The frames otherwise encoded: within two points of a hundred of the best possible.
            "alike" => {
                assert_eq!(verdict["gate"], Value::Null, "{name}: {verdict}");
                assert!(verdict["overall"].as_u64() >= Some(9_800), "{name}: {verdict}");
                assert_eq!(verdict["passed"], true, "{name}: {verdict}");
            }
            "judged" => {
                assert_eq!(verdict["gate"], Value::Null, "{name}: {verdict}");
                assert!(verdict["axes"]["first_frame"].as_u64() >= Some(9_500), "{name}: {verdict}");
            }
            gate => assert_eq!(verdict["gate"], gate.to_uppercase(), "{name}: {verdict}"),
        }
    }
}
