//! Committing: rules first, one submission, and then it is seen.

use leoma::{
    chain::{
        devnet::BeaconSwitch,
        port::{Chain as _, CommitmentCall, CommitmentData, CommitmentField},
        subtensor::{SubtensorChain, SubtensorOptions},
        wallet::HotkeySigner,
    },
    domain::{commitment::Commitment, ids::NetUid},
};

use super::{Run, World, commitment, services};

async fn reader(world: &World) -> SubtensorChain {
    client(world, None).await
}

async fn client(world: &World, signer: Option<HotkeySigner>) -> SubtensorChain {
    let url = world.devnet.url().parse().expect("a URL");
    let options = SubtensorOptions { signer, ..SubtensorOptions::new(vec![url]) };
    SubtensorChain::connect(options).await.expect("connected")
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

    let other = full
        .miner("commit")
        .with(&["--set", "chain.netuid=7", "--yes", "--offline"])
        .commitment(&commitment(full.hotkey));
    let refusal = other.ended().await.refused();
    assert!(refusal.contains("no subnet 7"), "{refusal}");

    let stranger = HotkeySigner::from_seed([6; 32]);
    let file = full.folder.path().join("stranger");
    stranger.write_file(&file).expect("a key");
    let refusal = Run::of("commit")
        .with(&["--subtensor.chain_endpoint", &full.devnet.url(), "--yes", "--offline", "--set"])
        .with(&[&format!("chain.hotkey_file={}", file.display())])
        .commitment(&commitment(stranger.hotkey()))
        .ended()
        .await
        .refused();
    assert!(refusal.contains("not registered"), "{refusal}");
}

#[tokio::test]
async fn a_sealed_commitment_is_followed_until_the_chain_opens_it() {
    let world = World::start(&[]).await;
    let ended = world.commit().with(&["--yes", "--json"]).ended().await;
    // The story's chain has a clock of its own.
    for said in ["going by the chain's", "sealed to round", "sealed; waiting for about"] {
        assert!(ended.stderr.contains(said), "{said} not in {ended:#?}");
    }
    let report = ended.json();
    assert_eq!(report["state"], "revealed", "{report:#}");
    let (made, revealed) = (report["block"].as_u64(), report["reveal_block"].as_u64());
    assert!(made < revealed, "{report:#}");

    let chain = reader(&world).await;
    let head = chain.head().await.expect("head").block.hash;
    let all = chain.commitments(NetUid(99), head).await.expect("commitments");
    let ours = all.iter().find(|of| of.hotkey == world.hotkey).expect("revealed");
    assert_eq!(ours.revealed[0].data, commitment(world.hotkey).to_json().into_bytes());
    assert_eq!(Some(ours.revealed[0].reveal_block.0), revealed);
    assert_eq!(chain.commitment_of(NetUid(99), world.hotkey, head).await, Ok(None), "nothing is left");

    let second = world.commit().with(&["--yes"]).ended().await;
    assert!(second.stderr.contains("the last commitment"), "{second:?}");
    assert!(second.succeeded().contains("revealed in block"));
    let third = world.commit().with(&["--yes"]).ended().await.refused();
    assert!(third.contains("max_commits_exceeded_2"), "{third}");
}

#[tokio::test]
async fn a_pulse_that_does_not_open_it_is_told() {
    let world = World::start(&[]).await;
    world.devnet.switch_beacon(BeaconSwitch::Stop);
    let report = world.commit().with(&["--yes", "--no-wait", "--json"]).ended().await.json();
    assert_eq!(report["state"], "not_awaited");
    let round = report["reveal_round"].as_u64().expect("a round");
    let again = world.commit().with(&["--dry-run"]).ended().await;
    assert!(again.stderr.contains("still sealed, is replaced"), "{again:?}");
    let status = world.miner("status").with(&["--offline", "--json"]).ended().await.json();
    let sealed = &status["live"][0];
    assert_eq!((sealed["state"].as_str(), sealed["reveal_round"].as_u64()), (Some("sealed"), Some(round)));
    assert_eq!(sealed["opens_about"], report["opens_about"]);

    // Quicknet's published signature of another round: a point, but not this beacon's.
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../golden/timelock/golden.json")).expect("golden.json");
    let other = hex::decode(golden["signature"].as_str().expect("text")).expect("hexadecimal");
    world.devnet.publish_pulse(round, other);
    world.devnet.produce_block().await;
    world.devnet.produce_block().await;
    let text = world.miner("status").with(&["--offline"]).ended().await.succeeded();
    assert!(text.contains("reveal failed") && text.contains("commit again"), "{text}");
}

#[tokio::test]
async fn space_that_is_used_up_is_said_before_anything_is_signed() {
    let world = World::start(&[]).await;
    let chain = client(&world, Some(HotkeySigner::from_seed([5; 32]))).await;
    for _ in 0..6 {
        let data = CommitmentData::Plain(vec![b'x'; 512]);
        chain.set_commitment(&CommitmentCall { netuid: NetUid(99), data }).await.expect("committed");
    }
    let refusal = world.commit().with(&["--plain", "--yes"]).ended().await.refused();
    assert!(refusal.contains("used 3072 of 3100 bytes"), "{refusal}");
}

#[tokio::test]
async fn what_chutes_or_hugging_face_contradict_is_not_committed() {
    let world = World::start(&[]).await;
    let (_services, flags) = services(&world, false).await;
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--dry-run"]).collect();
    let commit = |of: &Commitment| world.miner("commit").with(&flags).commitment(of).ended();

    let right = commitment(world.hotkey);
    let asleep = commit(&right).await;
    assert!(asleep.stderr.contains("chute_not_running"), "{asleep:?}");
    asleep.succeeded();
    let unknown = commit(&Commitment { chute_id: "chute-2".into(), ..right.clone() }).await.refused();
    assert!(unknown.contains("chute_fetch_failed") && unknown.contains("--offline"), "{unknown}");
    let other = Commitment { model_revision: "f".repeat(40), ..right };
    let other = commit(&other).await.refused();
    assert!(other.contains("revision_mismatch"), "{other}");
}
