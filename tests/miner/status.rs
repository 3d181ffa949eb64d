//! Status: what the chain holds, and the verdict of the registry's own code.

use leoma::chain::devnet::frame_revealed;

use super::{World, commitment, services};

#[tokio::test]
async fn without_a_commitment_status_says_what_is_missing() {
    let world = World::start(&[]).await;
    let status = world.miner("status").with(&["--offline", "--json"]).ended().await.json();
    assert_eq!(status["uid"], 1);
    assert_eq!(status["validity"]["reason"], "missing_commitment");
    let text = world.miner("status").with(&["--offline"]).ended().await.succeeded();
    assert!(text.contains("leoma miner commit"), "{text}");

    // In the open is not revealed.
    world.commit().with(&["--plain", "--yes"]).ended().await.succeeded();
    let status = world.miner("status").with(&["--offline", "--json"]).ended().await.json();
    assert_eq!(status["live"][0]["state"], "plain");
    assert_eq!(status["validity"]["reason"], "missing_commitment");
}

#[tokio::test]
async fn a_revealed_commitment_is_judged_as_the_registry_judges() {
    let world = World::start(&[]).await;
    let text = commitment(world.hotkey).to_json();
    world.devnet.reveal_commitment(world.hotkey, frame_revealed(text.as_bytes()));
    let revealed_at = world.devnet.produce_block().await.number.0;

    let status = world.miner("status").with(&["--offline", "--json"]).ended().await.json();
    assert_eq!(status["validity"]["verdict"], "rules_hold");
    assert_eq!(status["revealed"][0]["text"], text);
    assert!(status["revealed"][0]["block"].as_u64().expect("a block") <= revealed_at);

    for (hot, verdict, reason) in [(true, "valid", None), (false, "invalid", Some("chute_not_running"))] {
        let (_services, flags) = services(&world, hot).await;
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let status = world.miner("status").with(&flags).with(&["--json"]).ended().await.json();
        assert_eq!(status["validity"]["verdict"], verdict, "{status:#}");
        assert_eq!(status["validity"]["reason"].as_str(), reason);
    }
}

#[tokio::test]
async fn of_anybody_it_is_told_without_a_wallet() {
    let world = World::start(&["{}", "{}", "{}"]).await;
    let of = |hotkey: String| {
        super::Run::of("status")
            .with(&["--subtensor.chain_endpoint", &world.devnet.url(), "--offline", "--json"])
            .with(&["--hotkey", &hotkey])
    };
    let status = of(world.hotkey.to_string()).ended().await.json();
    assert_eq!(status["validity"]["reason"], "max_commits_exceeded_2");
    assert_eq!(status["revealed"].as_array().map(Vec::len), Some(3));
    let stranger = leoma::domain::ids::Hotkey([9; 32]);
    let status = of(stranger.to_string()).ended().await.json();
    assert_eq!(status["validity"]["verdict"], "not_registered");
    assert_eq!(status["uid"], serde_json::Value::Null);
}
