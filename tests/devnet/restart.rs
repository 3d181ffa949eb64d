//! A chain that is stopped and goes on from its state file.

use std::{net::SocketAddr, path::Path, time::Duration};

use futures::StreamExt;
use leoma::{
    chain::{
        devnet::{DevRuntime, Devnet, DevnetConfig, DevnetError},
        port::Chain,
        subtensor::{SubtensorChain, SubtensorOptions},
    },
    domain::ids::{BlockHash, Uid},
};
use serde_json::Value as Json;
use subxt::rpcs::rpc_params;
use subxt_signer::sr25519::dev;

use super::client::{Client, config, set_weights};

fn kept(path: &Path) -> DevnetConfig {
    DevnetConfig { state_file: Some(path.to_path_buf()), tempo: 10, weights_rate_limit: 2, ..config() }
}

async fn refused(config: DevnetConfig) -> String {
    match Devnet::start(config).await.map(drop).expect_err("refused") {
        error @ DevnetError::State { .. } => error.to_string(),
        other => panic!("{other}"),
    }
}

/// Every storage key below the subtensor pallet's prefix, with its value, at a block.
async fn whole_state(client: &Client, at: BlockHash) -> Vec<(String, Json)> {
    let prefix = format!("0x{}", hex::encode(sp_crypto_hashing::twox_128(b"SubtensorModule")));
    let keys: Vec<String> = client
        .rpc
        .request("state_getKeysPaged", rpc_params![&prefix, 1000, Json::Null, at])
        .await
        .expect("keys");
    let mut all = Vec::new();
    for key in keys {
        let value = client.rpc.request("state_getStorage", rpc_params![&key, at]).await.expect("value");
        all.push((key, value));
    }
    all
}

#[tokio::test]
async fn the_chain_goes_on_with_its_blocks_its_state_and_its_nonces() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("chain.state");
    let client = Client::start(kept(&path)).await;
    client.succeed(&set_weights(&[3], &[65535]), &dev::bob()).await;
    for _ in 0..15 {
        client.devnet.produce_block().await;
    }
    let (genesis, head) = (client.devnet.genesis_hash(), client.devnet.head());
    let middle = client.devnet.block_hash(head.number.0 - 9).expect("a block");
    let (state, old) = (whole_state(&client, head.hash).await, whole_state(&client, middle).await);
    let (epochs, incentive) = (client.devnet.epoch_index(), client.devnet.incentive());
    // It waits and is in no block, so it is gone.
    client.submit(&set_weights(&[2], &[1]), &dev::alice()).await.expect("accepted");
    drop(client);

    let client = Client::start(kept(&path)).await;
    assert_eq!((client.devnet.genesis_hash(), client.devnet.head()), (genesis, head));
    assert_eq!(client.devnet.block_hash(head.number.0 - 9), Some(middle));
    assert!(client.devnet.block_hash(head.number.0 - 200).is_some(), "history too");
    assert_eq!(whole_state(&client, head.hash).await, state);
    assert_eq!(whole_state(&client, middle).await, old);
    assert_eq!((client.devnet.epoch_index(), client.devnet.incentive()), (epochs, incentive));
    let next = client.devnet.produce_block().await;
    assert_eq!(next.number.0, head.number.0 + 1);
    assert!(!client.devnet.weights().contains_key(&Uid(0)));
    client.succeed(&set_weights(&[2], &[65535]), &dev::bob()).await;
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(2), 65535)]);
}

#[tokio::test]
async fn what_was_not_final_is_gone_and_the_runtime_is_the_one_of_the_state() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("chain.state");
    let config = DevnetConfig { finality_lag: 2, runtime: DevRuntime::Spec365, ..kept(&path) };
    let client = Client::start(config.clone()).await;
    let old = client.devnet.head();
    client.devnet.upgrade(DevRuntime::Spec461).expect("accepted");
    for _ in 0..4 {
        client.devnet.produce_block().await;
    }
    client
        .devnet
        .upgrade(DevRuntime::renamed(462, &[("SubtensorModule", "Weights", "W")]))
        .expect("accepted");
    for _ in 0..4 {
        client.devnet.produce_block().await;
    }
    let is_final = client.devnet.finalized_head();
    drop(client);
    let client = Client::start(config).await;
    assert_eq!((client.devnet.head(), client.devnet.finalized_head()), (is_final, is_final));
    assert_eq!(client.devnet.spec_version(), 462);
    let before = client.api.at_block(subxt::utils::H256(old.hash.0)).await.expect("block");
    assert_eq!(before.spec_version(), 365);
    // What the broken runtime was made of is known too.
    let again = client.devnet.upgrade(DevRuntime::renamed(462, &[]));
    assert!(again.is_err(), "462 is another runtime");
    client.devnet.upgrade(DevRuntime::Spec461).expect("accepted");
    client.devnet.produce_block().await;
}

#[tokio::test]
async fn a_torn_end_is_dropped_and_other_damage_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("chain.state");
    let devnet = Devnet::start(kept(&path)).await.expect("a chain");
    for _ in 0..5 {
        devnet.produce_block().await;
    }
    let (head, before) = (devnet.head(), devnet.block_hash(devnet.head().number.0 - 1));
    let in_use = refused(kept(&path)).await;
    assert!(in_use.contains("another development chain runs on it"), "{in_use}");
    drop(devnet);

    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() - 3]).expect("written");
    let devnet = Devnet::start(kept(&path)).await.expect("a chain");
    assert_eq!(Some(devnet.head().hash), before);
    assert_eq!(devnet.produce_block().await, head, "equal settings give the equal block again");
    drop(devnet);

    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&path, damaged).expect("written");
    let problem = refused(kept(&path)).await;
    assert!(problem.contains("is damaged at byte") && problem.contains("chain.state"), "{problem}");

    std::fs::write(&path, whole).expect("written");
    let other = refused(DevnetConfig { seed: 5, ..kept(&path) }).await;
    assert!(other.contains("is of another chain") && other.contains("seed 5"), "{other}");
}

#[tokio::test]
async fn a_client_follows_over_a_restart_at_the_same_port() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("chain.state");
    let devnet = Devnet::start(kept(&path)).await.expect("a chain");
    let url = devnet.url();
    let listen: SocketAddr = url.trim_start_matches("ws://").parse().expect("an address");
    let options = SubtensorOptions {
        call_deadline: Duration::from_secs(5),
        ..SubtensorOptions::new(vec![url.parse().expect("a URL")])
    };
    let chain = SubtensorChain::connect(options).await.expect("connected");
    let mut heads = chain.finalized_heads().await.expect("heads");
    let mut last = heads.next().await.expect("a head").expect("a head");
    let next = devnet.produce_block().await;
    drop(devnet);
    // The port is free when the connection's end is seen.
    while heads.next().await.expect("an item").is_ok_and(|head| {
        last = head;
        true
    }) {}
    let devnet = Devnet::start(DevnetConfig { listen, ..kept(&path) }).await.expect("a chain");
    assert_eq!(devnet.head(), next);
    devnet.produce_block().await;
    let target = devnet.produce_block().await;
    while last.block != target {
        if let Ok(head) = heads.next().await.expect("an item") {
            assert_eq!(head.parent, last.block.hash);
            last = head;
        }
    }
}
