//! The same round exported as tables and explained.

use leoma::domain::report::RoundReport;
use serde_json::Value;

use super::{Packed, json, leoma, text};

/// Runs a command on the validator's configuration and state.
async fn of_state(packed: &Packed, arguments: &[&str]) -> std::process::Output {
    let (config, state) = (packed.world.path("out").join("validator.toml"), packed.world.state());
    let output = leoma(&[arguments, &["--config", text(&config), "--state", text(&state)]].concat()).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn lines(output: &std::process::Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object on each line")).collect()
}

async fn exported(packed: &Packed, round: &RoundReport) {
    let number = round.round.to_string();
    let rounds = lines(&of_state(packed, &["export", "rounds", "--from", &number, "--to", &number]).await);
    let winner = round.winner.expect("a winner").to_string();
    assert_eq!((rounds.len(), rounds[0]["winner"].as_str()), (1, Some(winner.as_str())));
    let outcomes =
        lines(&of_state(packed, &["export", "outcomes", "--from", &number, "--to", &number]).await);
    assert_eq!(outcomes.len(), round.miners.len());
    for (found, row) in outcomes.iter().zip(&round.miners) {
        let told = (found["uid"].as_u64(), found["outcome"].as_str(), found["overall"].as_u64());
        assert_eq!(told, (Some(row.uid.0.into()), Some(row.outcome.as_str()), row.overall.map(u64::from)));
        assert_eq!(found["won"], row.hotkey.to_string() == winner);
    }
    let out = packed.world.path("outcomes.csv");
    let csv = ["export", "outcomes", "--format", "csv", "--from", &number, "--to", &number, "-o", text(&out)];
    of_state(packed, &csv).await;
    let mut reader = csv::Reader::from_path(out).expect("a CSV");
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| {
        header.iter().position(|found| found == name).unwrap_or_else(|| panic!("{name} in {header:?}"))
    };
    let (hotkey, warp, won) = (column("hotkey"), column("term.warp"), column("won"));
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), round.miners.len());
    for (row, found) in rows.iter().zip(&outcomes) {
        assert_eq!(Some(&row[hotkey]), found["hotkey"].as_str());
        let term = found["terms"]["warp"].as_u64().map_or(String::new(), |term| term.to_string());
        assert_eq!((&row[warp], &row[won]), (term.as_str(), found["won"].to_string().as_str()));
    }
    assert!(rows.iter().any(|row| !row[warp].is_empty()), "somebody's terms");
}

async fn explained(packed: &Packed, round: &RoundReport) {
    let number = round.round.to_string();
    let told = json(&of_state(packed, &["explain", "round", &number, "--json"]).await);
    let of_bundle = json(&leoma(&["explain", "round", "--bundle", text(&packed.folder), "--json"]).await);
    assert_eq!(told, of_bundle, "journal and bundle tell the same");
    let winner = round.miners.iter().find(|row| Some(row.hotkey) == round.winner).expect("a winner");
    let result = told["result"].as_str().expect("a result");
    assert!(result.starts_with(&format!("uid {} ", winner.uid)), "{told:#}");
    assert_eq!(told["miners"].as_array().map(Vec::len), Some(round.miners.len()));
    assert!(
        !told["why"].as_array().expect("why").is_empty()
            && !told["changes"].as_array().expect("changes").is_empty()
    );
    let weights = json(&of_state(packed, &["explain", "weights", "--json"]).await);
    assert_eq!(
        (&weights["decided"], &weights["on_chain"]),
        (&weights["found"], &weights["found"]),
        "{weights:#}"
    );
    assert_eq!(weights["found"]["hotkey"].as_str(), Some(winner.hotkey.to_string().as_str()), "{weights:#}");
}

pub async fn is_exported_and_explained(packed: &Packed) {
    exported(packed, &packed.round).await;
    explained(packed, &packed.round).await;
}
