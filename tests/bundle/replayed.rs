//! The round judged anew, beside its validator's state, elsewhere, and from bundles whose validator lies.

use leoma::{
    domain::{
        bundle::{RoundBundle, RoundResult},
        ids::Digest,
        outcome::Outcome,
        score::{Score, ScoreCard},
    },
    quality::canonical::score_digest,
};
use serde_json::Value;

use super::{
    Packed,
    forged::{read, signed_anew, winning_card},
    json, leoma, text,
};

async fn replay(arguments: &[&str]) -> (i32, Value) {
    let output = leoma(&[&["replay", "--scorer", "cpu", "--json"], arguments].concat()).await;
    let code = output.status.code().expect("an exit code");
    assert!([0, 4].contains(&code), "{}", String::from_utf8_lossy(&output.stderr));
    (code, json(&output))
}

/// Levels and names of what differs.
fn told(found: &Value) -> Vec<String> {
    let differences = found["differences"].as_array().expect("differences").iter();
    let word = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    differences.map(|of| format!("{} {}", word(of, "level"), word(of, "what"))).collect()
}

fn redigested(card: &mut ScoreCard, change: impl FnOnce(&mut ScoreCard)) {
    change(card);
    card.score_digest = score_digest(card);
}

async fn comes_to_the_same(packed: &Packed) {
    let folder = text(&packed.folder);
    let corpus = packed.world.path("corpus");
    let (code, with_corpus) = replay(&[folder, "--corpus", text(&corpus)]).await;
    assert!(code == 0 && with_corpus["same"] == true, "{with_corpus:#}");
    assert_eq!(with_corpus["recorded"], with_corpus["found"]);
    let signed = read(&packed.folder);
    let files = signed.bundle.files.keys();
    let clips =
        files.filter(|name| name.starts_with("generated_videos/") || name.starts_with("question_answers/"));
    assert!(signed.bundle.files.keys().any(|name| name.starts_with("question_answers/")), "answers are kept");
    let judged = with_corpus["clips"].as_u64().expect("clips");
    assert!(judged >= 5 && judged <= clips.count() as u64, "{with_corpus:#}");

    // Elsewhere, where there is neither the validator's state nor its corpus.
    let elsewhere = packed.copy("elsewhere");
    let (code, alone) = replay(&[text(&elsewhere)]).await;
    assert!(code == 0 && alone["same"] == true, "{alone:#}");
    assert_eq!((&alone["found"], &alone["document"]), (&with_corpus["found"], &with_corpus["document"]));

    // The window of one round pays its winner.
    let bundles = packed.world.path("bundles");
    let output =
        leoma(&["replay", "--scorer", "cpu", "--window", "5", "--against", text(&bundles), "--json"]).await;
    let last = String::from_utf8(output.stdout).expect("text").lines().last().map(str::to_owned);
    let window: Value = serde_json::from_str(&last.expect("a line")).expect("JSON");
    assert_eq!(
        (output.status.code(), &window["same"], &window["rounds"]),
        (Some(0), &true.into(), &1.into())
    );
    let winner = packed.round.winner.expect("a winner").to_string();
    assert_eq!(window["pays"][1]["hotkey"], winner.as_str(), "{window:#}");
}

async fn lies(packed: &Packed) {
    type Change<'a> = &'a dyn Fn(&mut RoundBundle);
    let other = packed.round.miners.iter().find(|row| row.outcome == "forfeit").expect("a loser").hotkey;
    let lies: [(&str, &str, &str, Change); 6] = [
        ("start", "source", "source window start", &|bundle| {
            bundle.plan.as_mut().expect("a plan").clip.window_start_us += 1;
        }),
        ("file", "source", "source generated_videos", &|bundle| {
            let sent =
                bundle.miners.iter_mut().find(|miner| matches!(miner.ticket, Some(Outcome::Scored { .. })));
            sent.and_then(|miner| miner.file.as_mut()).expect("a file").sha256 = Digest([1; 32]);
        }),
        ("frames", "decode", "decode frames", &|bundle| {
            redigested(winning_card(bundle), |card| card.frame_digest = Digest([1; 32]));
        }),
        ("term", "kernel", "kernel terms.warp", &|bundle| {
            redigested(winning_card(bundle), |card| {
                card.terms.insert("warp".into(), Some(Score::clamped(1)));
            });
        }),
        ("passed", "verdict", "verdict passed", &|bundle| {
            let failed = bundle.miners.iter_mut().find_map(|miner| match &mut miner.ticket {
                Some(Outcome::Scored { card }) if !card.passed => Some(card),
                _ => None,
            });
            match failed {
                Some(card) => redigested(card, |card| card.passed = true),
                None => redigested(winning_card(bundle), |card| card.passed = false),
            }
        }),
        ("first", "rank", "rank result", &|bundle| {
            bundle.result = RoundResult::Closed { winner: Some(other) };
        }),
    ];
    for (name, level, wanted, change) in lies {
        let folder = packed.copy(&format!("lie-{name}"));
        signed_anew(&folder, &packed.signer(), change);
        let (code, found) = replay(&[text(&folder)]).await;
        let told = told(&found);
        assert!(code == 4 && told.iter().any(|told| told.starts_with(wanted)), "{name}: {told:?}");
        assert_eq!(found["level"], level, "{name}: {told:?}");
    }
}

pub async fn comes_to_the_same_and_a_lie_is_named_by_its_level(packed: &Packed) {
    comes_to_the_same(packed).await;
    lies(packed).await;
}
