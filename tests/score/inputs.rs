//! Inputs that cannot be used, and references of another shape.

use serde_json::Value;

use super::material::{Material, text};

/// Runs with the given arguments and wants this exit code; gives stderr.
fn ends_with(code: i32, arguments: &[&str]) -> String {
    let output = Material::get().run(arguments);
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaint}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}: nothing is judged");
    complaint
}

#[test]
fn a_path_that_cannot_be_opened_ends_with_3_before_anything_is_judged() {
    let scene = ["--first-frame", "first.png", "--prompt", "x", "--rules", "rules.toml"];
    let with = |clips: &[&'static str], more: &[&'static str]| [clips, &scene, more].concat();
    let complaint = ends_with(3, &with(&["honest.mp4", "missing.mp4"], &["--reference", "gone.mp4"]));
    assert!(complaint.contains("missing.mp4") && complaint.contains("gone.mp4"), "names all: {complaint}");
    let complaint = ends_with(3, &with(&["corpus"], &[]));
    assert!(complaint.contains("not a regular file"), "{complaint}");
    ends_with(3, &with(&["honest.mp4"], &["--report", "no/such/folder/report.html"]));
    ends_with(3, &["honest.mp4", "--first-frame", "no.png", "--prompt", "x"]);
    ends_with(3, &["honest.mp4", "--first-frame", "first.png", "--prompt", "x", "--rules", "no.toml"]);
}

#[test]
fn a_first_frame_or_reference_that_cannot_be_used_says_what_would_be_right() {
    let with = |png: &'static str, more: &[&'static str]| {
        [&["honest.mp4", "--prompt", "x", "--rules", "rules.toml", "--first-frame", png][..], more].concat()
    };
    let complaint = ends_with(3, &with("honest.mp4", &[]));
    assert!(complaint.contains("honest.mp4"), "{complaint}");
    let complaint = ends_with(3, &with("small.png", &[]));
    assert!(complaint.contains("128x72") && complaint.contains("256x144"), "{complaint}");
    for (reference, why) in [("first.png", "reference"), ("short.mp4", "too short"), ("small.mp4", "")] {
        let output = Material::get().run(&with("first.png", &["--reference", reference]));
        let complaint = text(&output.stderr);
        // Half of the asked sides is just enough for a reference; see below.
        let code = if reference == "small.mp4" { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(code), "{reference}: {complaint}");
        assert!(complaint.contains(why), "{reference}: {complaint}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let whole = ["honest.mp4", "--first-frame", "first.png", "--prompt", "x"];
    ends_with(2, &["--first-frame", "first.png", "--prompt", "x"]);
    ends_with(2, &["honest.mp4", "--prompt", "x"]);
    ends_with(2, &["honest.mp4", "--first-frame", "first.png"]);
    let complaint = ends_with(2, &[&whole[..], &["--scorer", "abacus"]].concat());
    assert!(complaint.contains("abacus") && complaint.contains("cpu"), "{complaint}");
    ends_with(2, &[&whole[..], &["--threads", "-1"]].concat());
    std::fs::write(Material::get().path("wrong.toml"), "version = 1\nsurprise = 2\n").expect("written");
    let complaint = ends_with(2, &[&whole[..], &["--rules", "wrong.toml"]].concat());
    assert!(complaint.contains("wrong.toml"), "{complaint}");
}

#[test]
fn a_reference_of_another_size_and_rate_is_prepared_as_the_corpus_does() {
    let made = Material::get();
    let line = |reference: &str| {
        let output = made.run(&[
            "honest.mp4",
            "--first-frame",
            "first.png",
            "--prompt",
            "x",
            "--rules",
            "rules.toml",
            "--json",
            "--scorer",
            "cpu",
            "--reference",
            reference,
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let value: Value = serde_json::from_str(&text(&output.stdout)).expect("JSON");
        (value, text(&output.stderr))
    };
    let (same, notes) = line("real.mp4");
    assert_eq!(notes, "", "taken as it is");
    let (prepared, notes) = line("source.mp4");
    assert!(notes.contains("320x184") && notes.contains("scaled to 256x144"), "{notes}");
    // The source at 24 frames a second shows the same scene: the clip passes against either.
    for value in [&same, &prepared] {
        assert_eq!(value["passed"], true, "{value}");
    }
    assert_ne!(same["terms"], prepared["terms"], "it is not the same reference");
}
