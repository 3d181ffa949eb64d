//! Committing: rules first, one submission, and then it is seen.

use leoma::{
    chain::{
        port::{Chain as _, CommitmentField},
        subtensor::{SubtensorChain, SubtensorOptions},
    },
    domain::{commitment::Commitment, ids::NetUid},
};

use super::{Run, World, commitment};

async fn reader(world: &World) -> SubtensorChain {
    let url = world.devnet.url().parse().expect("a URL");
    SubtensorChain::connect(SubtensorOptions::new(vec![url])).await.expect("connected")
}

#[tokio::test]
async fn every_broken_rule_is_named_before_a_chain_is_looked_for() {
    let world = World::start(&[]).await;
    let broken = Commitment {
        model_name: "someone/wan".into(),
        model_revision: "main".into(),
        chute_id: "a/b".into(),
    };
    // Nobody listens there, so a client that asked would fail in another way.
    let refusal = Run::of("commit")
        .with(&["--wallet.name", "miner", "--wallet.path"])
        .path(world.folder.path())
        .with(&["--subtensor.chain_endpoint", "ws://127.0.0.1:1"])
        .commitment(&broken)
        .ended()
        .await
        .refused();
    for code in [
        "model_name_must_start_with_leoma",
        "model_name_must_end_with_hotkey",
        "malformed_model_revision",
        "malformed_chute_id",
    ] {
        assert!(refusal.contains(code), "{code} not in {refusal}");
    }
}

#[tokio::test]
async fn a_dry_run_prints_the_bytes_and_leaves_the_chain_as_it_is() {
    let world = World::start(&[]).await;
    let text = commitment(world.hotkey).to_json();
    let report = world.commit().with(&["--plain", "--dry-run", "--json"]).ended().await.json();
    // Commitments.set_commitment of subnet 99, one field, BigRaw: its length in two bytes, its text.
    let length = (text.len() as u16) << 2 | 1;
    let call = [&[18, 0, 99, 0, 4, 136][..], &length.to_le_bytes(), text.as_bytes()].concat();
    assert_eq!(report["call"], format!("0x{}", hex::encode(&call)));
    let payload = |report: &serde_json::Value| report["signer_payload"].as_str().expect("text").to_owned();
    assert!(payload(&report).starts_with(&format!("0x{}", hex::encode(&call))), "{report:#}");

    let sealed = world.commit().with(&["--dry-run", "--json"]).ended().await.json();
    assert_eq!(payload(&sealed).len(), 2 + 64, "more than 256 bytes are signed as their hash");
    let call = sealed["call"].as_str().expect("text");
    assert!(call.starts_with("0x120063000486"), "TimelockEncrypted: {call}");
    let round = sealed["reveal_round"].as_u64().expect("a round");
    assert!(call.ends_with(&hex::encode(round.to_le_bytes())), "{round}: {call}");

    let chain = reader(&world).await;
    let head = chain.head().await.expect("head").block.hash;
    assert_eq!(chain.commitment_of(NetUid(99), world.hotkey, head).await, Ok(None));
}

#[tokio::test]
async fn a_plain_commitment_is_waited_for_until_everybody_reads_it() {
    let world = World::start(&[]).await;
    let ended = world.commit().with(&["--plain", "--yes", "--json"]).ended().await;
    assert!(ended.stderr.contains("enters no round"), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["state"], "plain");
    let chain = reader(&world).await;
    let head = chain.head().await.expect("head").block.hash;
    let live = chain.commitment_of(NetUid(99), world.hotkey, head).await.expect("read").expect("live");
    assert_eq!(report["block"], live.block.0);
    let text = commitment(world.hotkey).to_json();
    assert_eq!(live.fields, [CommitmentField::Plain(text.clone().into_bytes())]);
    let space = chain.commitment_space(NetUid(99), world.hotkey, head).await.expect("space");
    assert_eq!((space.used, space.limit), (text.len() as u64, 3100));
}

#[tokio::test]
async fn what_can_not_count_is_refused_with_what_to_do() {
    let right = |world: &World| commitment(world.hotkey).to_json();
    let world = World::start(&[]).await;
    let refusal = world.commit().with(&["--plain"]).ended().await.refused();
    assert!(refusal.contains("pass --yes"), "{refusal}");

    let text = right(&world);
    let full = World::start(&[&text, &text]).await;
    let refusal = full.commit().with(&["--yes"]).ended().await.refused();
    assert!(refusal.contains("max_commits_exceeded_2"), "{refusal}");

    let other =
        full.miner("commit").with(&["--set", "chain.netuid=7", "--yes"]).commitment(&commitment(full.hotkey));
    let refusal = other.ended().await.refused();
    assert!(refusal.contains("no subnet 7"), "{refusal}");

    let stranger = leoma::chain::wallet::HotkeySigner::from_seed([6; 32]);
    let file = full.folder.path().join("stranger");
    stranger.write_file(&file).expect("a key");
    let refusal = Run::of("commit")
        .with(&["--subtensor.chain_endpoint", &full.devnet.url(), "--yes", "--set"])
        .with(&[&format!("chain.hotkey_file={}", file.display())])
        .commitment(&commitment(stranger.hotkey()))
        .ended()
        .await
        .refused();
    assert!(refusal.contains("not registered"), "{refusal}");
}
