//! Clips judged with the embedding models that the rules name.

use leoma::{
    domain::rules::{ActiveRules, Rules},
    embed::{
        EmbedderModel,
        manifest::{Manifest, default_folder},
    },
};
use serde_json::Value;

use super::material::{Material, shaped, text};

const TERMS: [&str; 3] = ["lpips0", "id_drift", "drift"];

/// Writes rules to a file of the folder.
fn write(name: &str, rules: &Rules) {
    std::fs::write(Material::get().path(name), toml::to_string(rules).expect("rules")).expect("written");
}

#[test]
fn models_that_the_rules_name_judge_the_clip_and_their_digest_tells() {
    let rules = crate::models::where_they_are(shaped(Rules::embedded()));
    if rules.scoring.models.is_none() {
        return;
    }
    write("with-models.toml", &rules);
    let pages = tempfile::tempdir().expect("folder");
    let line = |rules: &str, clip: &str| -> Value {
        // Elsewhere than the other stories' reports, whose folder is looked at.
        let report = pages.path().join(format!("{rules}-{clip}.html")).display().to_string();
        let more = ["--rules", rules, "--json", "--report", &report];
        let output = Material::get().scene(&[clip], &more);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one object")
    };
    let (with, without) = (line("with-models.toml", "honest.mp4"), line("rules.toml", "honest.mp4"));
    for term in TERMS {
        assert!(with["terms"][term].as_u64().is_some_and(|score| score > 9_000), "{term}: {with}");
        assert!(without["terms"][term].is_null(), "{term}: {without}");
    }
    assert_eq!(with["passed"], true, "{with}");
    assert_eq!(with["rules_digest"], ActiveRules::of(rules).expect("sound").digest.to_string());
    assert_ne!(with["rules_digest"], without["rules_digest"]);
    assert_ne!(with["score_digest"], without["score_digest"]);
    // What only the networks see well: another picture at the place of the first frame.
    let blurred = line("with-models.toml", "blurred.mp4");
    assert!(blurred["terms"]["lpips0"].as_u64() < with["terms"]["lpips0"].as_u64(), "{blurred}");
    let page = std::fs::read_to_string(pages.path().join("with-models.toml-honest.mp4.html")).expect("page");
    assert!(TERMS.iter().all(|term| page.contains(&format!(">{term}<"))), "terms are on the page");
}

#[test]
fn rules_that_name_models_are_not_judged_without_them_or_with_others() {
    let rules = shaped(Rules::embedded());
    write("named.toml", &rules);
    let empty = tempfile::tempdir().expect("folder");
    let empty = empty.path().display().to_string();
    let output = Material::get().scene(&["honest.mp4"], &["--rules", "named.toml", "--models", &empty]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("leoma models fetch") && said.contains(&empty), "{said}");
    if crate::models::where_they_are(rules.clone()).scoring.models.is_none() {
        return;
    }
    let mut others = rules;
    others.scoring.models.as_mut().expect("named").embedding = leoma::domain::ids::Digest([7; 32]);
    write("others.toml", &others);
    let output = Material::get().scene(&["honest.mp4"], &["--rules", "others.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("embedding") && said.contains("[scoring.models]"), "{said}");
    // An embedder that this build knows is asked for by name, in a folder that has the default ones.
    let defaults = default_folder().expect("a cache folder");
    let folder = tempfile::tempdir().expect("folder");
    let manifest = Manifest::embedded().expect("valid");
    for model in manifest.models.iter().filter(|model| model.default) {
        std::fs::copy(model.path(&defaults), model.path(folder.path())).expect("copied");
    }
    others.scoring.models = Some(EmbedderModel::Dinov2Small.rules().expect("pins"));
    write("dino.toml", &others);
    let folder = folder.path().display().to_string();
    let output = Material::get().scene(&["honest.mp4"], &["--rules", "dino.toml", "--models", &folder]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("dinov2-small.safetensors is missing"), "{said}");
}
