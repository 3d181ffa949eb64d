//! How weights reach the chain, and when they do not.

use std::time::Duration;

use leoma::domain::{event::PayTarget, round::Tournament};
use serde_json::json;

use super::world::*;
use crate::official::validator::assert_seen_to_pay;

/// Rounds of 60 blocks and epochs of 20: a commit of one round is revealed before the next one closes.
const COMMIT_REVEAL: [&str; 3] = ["--commit-reveal", "--tempo", "20"];

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_committed_revealed_and_read_back_over_a_kill() {
    let world = World::start_with(&small_rules(), 250, &COMMIT_REVEAL).await;
    let mut first = world.validator(&[]);
    first.says("are committed at block").await;
    // The commit lies on chain, the reveal is to come: whoever starts next looks after it.
    first.kill().await;
    let mut second = world.validator(&[]);
    let line = second.says("weights on chain pay").await;
    let (_, metrics) = page(&world, "/metrics").await;
    assert!(metrics.contains("leoma_weights_reveals_failed_total 0"), "{metrics}");
    second.terminate();
    second.ends().await;

    let state = world.journal().replay(Tournament::new(small_rules().payout)).expect("replays");
    let paid = state.payments().last().expect("weights landed");
    assert!(line.contains(&paid.target.to_string()), "{line}");
    let round = state.settled().iter().find(|round| round.round == paid.round).expect("the paid round");
    // On a busy machine every answer may come too late: then the owner is paid, by rule.
    let due = round.winner.map_or(PayTarget::Owner, |winner| PayTarget::Miner { hotkey: winner.hotkey });
    assert_eq!(paid.target, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_chain_drops_in_silence_is_an_alarm_and_is_made_anew() {
    let world =
        World::start_with(&small_rules(), 250, &[&COMMIT_REVEAL[..], &["--chain-admin"]].concat()).await;
    let mut validator = world.validator(&[]);
    validator.says("are committed at block").await;
    // The beacon is silent for the whole reveal epoch.
    chain_call(&world, "dev_switchBeacon", json!(["stop"])).await;
    validator.says("without showing its weights").await;
    let (status, reasons) = page(&world, "/readyz").await;
    assert_eq!((status, reasons.contains("reveal_failed")), (503, true), "{reasons}");
    chain_call(&world, "dev_switchBeacon", json!([{ "start": "lost" }])).await;
    validator.says("are committed at block").await;
    validator.says("weights on chain pay").await;
    let (_, metrics) = page(&world, "/metrics").await;
    assert!(!metrics.contains("leoma_weights_reveals_failed_total 0"), "{metrics}");
    let (_, reasons) = page(&world, "/readyz").await;
    assert!(!reasons.contains("reveal_failed"), "{reasons}");
    validator.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_the_journal_does_not_know_are_taken_over_only_by_word() {
    let world = World::start().await;
    let (status, log) = world.validator(&["--until-rounds", "1"]).ends().await;
    assert!(status.success(), "{}", log.join("\n"));
    let state = world.journal().replay(Tournament::new(small_rules().payout)).expect("replays");
    let paid = state.payments().last().expect("weights landed").target;
    assert_seen_to_pay(&world.connections.chain, world.connections.validator_hotkey, paid).await;

    // The same hotkey with an empty journal: a second machine, or a lost disk.
    let elsewhere = format!("state.dir={}", world.path("elsewhere").display());
    let mut other = world.validator(&["--set", &elsewhere]);
    let line = other.says("weights not set now: our hotkey set weights").await;
    assert!(line.contains("--i-am-the-only-instance"), "{line}");
    let (status, reasons) = page(&world, "/readyz").await;
    assert_eq!(status, 503, "{reasons}");
    assert!(reasons.contains("other_instance"), "{reasons}");
    other.kill().await;

    let mut vouched = world.validator(&["--set", &elsewhere, "--i-am-the-only-instance"]);
    vouched.says("no other instance runs").await;
    tokio::time::timeout(Duration::from_secs(120), vouched.says("weights on chain pay")).await.expect("paid");
    vouched.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_lacks_what_we_use_is_sat_out() {
    let world = World::start_with(&small_rules(), 250, &["--chain-admin"]).await;
    // An old runtime, with plain netuids and without stateful epochs: the validator starts into a hold.
    chain_call(&world, "dev_upgrade", json!([365])).await;
    chain_call(&world, "dev_produce", json!([2])).await;
    let mut validator = world.validator(&[]);
    let hold = validator.says("SAFE HOLD").await;
    for name in ["spec 365", "SubtensorModule.LastEpochBlock", "get_next_epoch_start_block"] {
        assert!(hold.contains(name), "{name} in {hold}");
    }
    let (status, reasons) = page(&world, "/readyz").await;
    assert_eq!((status, reasons.contains("safe_hold")), (503, true), "{reasons}");

    chain_call(&world, "dev_upgrade", json!([461])).await;
    validator.says("the safe hold ends").await;
    let (_, metrics) = page(&world, "/metrics").await;
    for line in ["leoma_chain_safe_hold 0", "leoma_chain_spec_version 461"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }

    // A broken upgrade in the middle of a round, and a healthy one after it.
    validator.says("open: ").await;
    let broken = json!([462, [["SubtensorModule", "Weights", "WeightRows"]]]);
    chain_call(&world, "dev_upgrade", broken).await;
    let hold = validator.says("SAFE HOLD").await;
    assert!(hold.contains("SubtensorModule.Weights"), "{hold}");
    chain_call(&world, "dev_upgrade", json!([463])).await;
    validator.says("the safe hold ends").await;
    validator.says("weights on chain pay").await;
    validator.terminate();
    let (status, log) = validator.ends().await;
    assert!(status.success(), "{}", log.join("\n"));
}
