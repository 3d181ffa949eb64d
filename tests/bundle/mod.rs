//! A round's bundle as a stranger meets it: packed from a real round by the real binary, verified, tampered with, judged anew.

mod bytes;
mod forged;
mod replayed;
mod schema;
mod served;
mod told;

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use leoma::{chain::wallet::HotkeySigner, domain::report::RoundReport};
use serde_json::Value;

use crate::run::world::*;

/// A world whose validator ran until a round with disputed clips closed, and that round's bundle.
pub struct Packed {
    pub world: World,
    pub round: RoundReport,
    pub folder: PathBuf,
}

/// Runs the binary to its end.
pub async fn leoma(arguments: &[&str]) -> Output {
    let run = tokio::process::Command::new(LEOMA).args(arguments).kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, run).await.expect("leoma ends").expect("leoma runs")
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("plain path")
}

/// Standard output as JSON.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|cause| panic!("{cause}: {}", String::from_utf8_lossy(&output.stderr)))
}

impl Packed {
    pub async fn make() -> Self {
        // The hanging miner takes the whole answer time; the questions have the rest.
        let mut rules = small_rules();
        rules.schedule.round_interval_blocks = 170;
        rules.schedule.answer_within_blocks = 70;
        rules.schedule.settle_within_blocks = 168;
        let world = World::start_by(&rules, 250).await;
        for ended in 1..=3 {
            let (status, log) = world.validator(&["--until-rounds", &ended.to_string()]).ends().await;
            assert!(status.success(), "{}", log.join("\n"));
            let closed = world.rounds().into_iter().find(|round| {
                round.phase == "closed" && round.winner.is_some() && !round.questions.is_empty()
            });
            if let Some(round) = closed {
                let folder = world.path("bundles").join(round.round.to_string());
                let packed = Self { world, round, folder };
                let output = packed.pack().await;
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                return packed;
            }
        }
        panic!("no round closed with a winner and a dispute: {:#?}", world.rounds());
    }

    pub async fn pack(&self) -> Output {
        let (config, out) = (self.world.path("out").join("validator.toml"), self.world.path("bundles"));
        let (state, round) = (self.world.state(), self.round.round.to_string());
        leoma(&[
            "bundle",
            "pack",
            "--config",
            text(&config),
            "--state",
            text(&state),
            "--round",
            &round,
            "-o",
            text(&out),
        ])
        .await
    }

    /// A copy of the folder, to be tampered with.
    pub fn copy(&self, name: &str) -> PathBuf {
        fn walk(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).expect("folder");
            for entry in std::fs::read_dir(from).expect("folder").map(|entry| entry.expect("entry").path()) {
                let target = to.join(entry.file_name().expect("name"));
                if entry.is_dir() {
                    walk(&entry, &target)
                } else {
                    std::fs::copy(&entry, &target).map(drop).expect("copy")
                }
            }
        }
        let to = self.world.path("forged").join(name);
        walk(&self.folder, &to);
        to
    }

    pub fn signer(&self) -> HotkeySigner {
        HotkeySigner::read_file(&self.world.connections.hotkey_file).expect("key file")
    }
}

/// Code and problems of `leoma bundle verify`, each as `part what`.
pub async fn verify(bundle: &str) -> (i32, Vec<String>) {
    let output = leoma(&["bundle", "verify", bundle, "--json"]).await;
    let code = output.status.code().expect("an exit code");
    if code == 3 {
        return (code, vec![String::from_utf8_lossy(&output.stderr).into_owned()]);
    }
    let found = json(&output);
    let problems = found["problems"].as_array().expect("problems").iter();
    let word = |problem: &Value, field: &str| problem[field].as_str().expect("text").to_owned();
    let told = |problem: &Value| {
        format!("{} {} ({})", word(problem, "part"), word(problem, "what"), word(problem, "detail"))
    };
    (code, problems.map(told).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_packed_once_holds_and_every_forgery_is_named_where_it_is() {
    let packed = Packed::make().await;
    let folder = text(&packed.folder);

    let output = packed.pack().await;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("(was there)"), "{told}");
    assert_eq!(verify(folder).await, (0, Vec::new()));
    let shown = leoma(&["bundle", "show", folder]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let winner = packed.round.winner.expect("a winner").to_string();
    for wanted in [format!("winner {winner}"), packed.round.prompt.clone().expect("a prompt")] {
        assert!(shown.contains(&wanted), "{wanted} in {shown}");
    }
    let document = std::fs::read(packed.folder.join("round.json")).expect("round.json");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    schema::holds(&document);
    // The validator published it by itself, and the same one; every signature has its own random number.
    let published = packed.world.published().join(packed.round.round.to_string());
    let ours = std::fs::read(published.join("round.json")).expect("published");
    assert_eq!(serde_json::from_slice::<Value>(&ours).expect("JSON")["digest"], document["digest"]);
    assert_eq!(verify(text(&published)).await, (0, Vec::new()));
    let printed = leoma(&["bundle", "schema"]).await.stdout;
    assert_eq!(printed, ::leoma::cli::bundle::ROUND_SCHEMA.as_bytes());
    told::is_exported_and_explained(&packed).await;
    served::is_read_over_http_and_no_redirect_is_followed(&packed).await;
    forged::every_forgery_is_named(&packed).await;
    replayed::comes_to_the_same_and_a_lie_is_named_by_its_level(&packed).await;
}
