//! Finality behind the best block, and forks of what is not final.

use leoma::{
    chain::devnet::{DevNeuron, DevnetConfig, DevnetError, ReplacedTransactions},
    domain::ids::{BlockHash, Hotkey, Uid},
};
use serde_json::{Value as Json, json};
use subxt::{
    config::substrate::SubstrateExtrinsicParamsBuilder,
    dynamic,
    dynamic::Value,
    rpcs::{client::RpcSubscription, rpc_params},
    utils::H256,
};
use subxt_signer::sr25519::{Keypair, dev};

use super::client::{Client, NETUID, config, set_weights};

fn lagging(finality_lag: u32) -> DevnetConfig {
    DevnetConfig { finality_lag, ..config() }
}

async fn heads(client: &Client, kind: &str) -> RpcSubscription<Json> {
    let (subscribe, end) = (format!("chain_subscribe{kind}Heads"), format!("chain_unsubscribe{kind}Heads"));
    client.rpc.subscribe(&subscribe, rpc_params![], &end).await.expect("subscription")
}

/// Number and parent of the next header.
async fn next(heads: &mut RpcSubscription<Json>) -> (u64, Json) {
    let header = heads.next().await.expect("a head").expect("a head");
    let number = header["number"].as_str().expect("text");
    (u64::from_str_radix(&number[2..], 16).expect("number"), header["parentHash"].clone())
}

async fn asked(client: &Client, method: &str) -> Json {
    client.rpc.request(method, rpc_params![]).await.expect("answer")
}

/// Submits one validator's weights; the statuses that the node tells.
async fn watched(client: &Client, uid: u16, signer: &Keypair) -> RpcSubscription<Json> {
    let at = client.api.at_current_block().await.expect("head");
    let account = signer.public_key().to_account_id();
    let nonce: u64 =
        client.rpc.request("account_nextIndex", rpc_params![account.to_string()]).await.expect("nonce");
    let params = SubstrateExtrinsicParamsBuilder::new().nonce(nonce).build();
    let signed = at.transactions().create_signed(&set_weights(&[uid], &[1]), signer, params).await;
    let bytes = format!("0x{}", hex::encode(signed.expect("signed").encoded()));
    client
        .rpc
        .subscribe("author_submitAndWatchExtrinsic", rpc_params![bytes], "author_unwatchExtrinsic")
        .await
        .expect("accepted")
}

async fn status(progress: &mut RpcSubscription<Json>) -> Json {
    progress.next().await.expect("a status").expect("a status")
}

/// The weights of uid 1 at a block, by its hash.
async fn weights_at(client: &Client, hash: BlockHash) -> Vec<(u16, u16)> {
    let at = client.api.at_block(H256(hash.0)).await.expect("block");
    let address = dynamic::storage::<Vec<Value>, Vec<(u16, u16)>>("SubtensorModule", "Weights");
    let keys = vec![Value::u128(NETUID.into()), Value::u128(1)];
    at.storage().fetch(address, keys).await.expect("fetch").decode().expect("decode")
}

#[tokio::test]
async fn finality_follows_the_best_block_at_its_distance() {
    let client = Client::start(lagging(3)).await;
    let start = client.devnet.head().number.0;
    assert_eq!(client.devnet.finalized_head().number.0, start - 3);
    let (mut best, mut last) = (heads(&client, "New").await, heads(&client, "Finalized").await);
    assert_eq!((next(&mut best).await.0, next(&mut last).await.0), (start, start - 3));
    for step in 1..=5 {
        let produced = client.devnet.produce_block().await;
        let is_final = client.devnet.finalized_head();
        assert_eq!((produced.number.0, is_final.number.0), (start + step, start + step - 3));
        assert_eq!(next(&mut best).await.0, start + step);
        assert_eq!(next(&mut last).await.0, start + step - 3);
        assert_eq!(asked(&client, "chain_getFinalizedHead").await, json!(is_final.hash));
        assert_eq!(asked(&client, "chain_getBlockHash").await, json!(produced.hash));
        assert_eq!(client.api.at_current_block().await.expect("block").block_hash().0, is_final.hash.0);
    }
}

#[tokio::test]
async fn a_fork_replaces_blocks_and_returns_their_transactions() {
    let client = Client::start(lagging(3)).await;
    let start = client.devnet.head();
    let (mut all, mut best) = (heads(&client, "All").await, heads(&client, "New").await);
    let mut last = heads(&client, "Finalized").await;
    let mut progress = watched(&client, 3, &dev::bob()).await;
    assert_eq!(status(&mut progress).await, json!("ready"));
    client.devnet.register(DevNeuron::miner(Hotkey([7; 32])));
    let (first, second) = (client.devnet.produce_block().await, client.devnet.produce_block().await);
    assert_eq!(status(&mut progress).await, json!({ "inBlock": first.hash }));
    assert_eq!(weights_at(&client, second.hash).await, [(3, 65535)]);

    let head = client.devnet.reorg(2, ReplacedTransactions::Return).expect("a fork");
    assert_eq!(head.number.0, second.number.0 + 1);
    let fork: Vec<BlockHash> =
        (1..=3).map(|step| client.devnet.block_hash(start.number.0 + step).expect("a block")).collect();
    assert!(!fork.contains(&first.hash) && !fork.contains(&second.hash) && fork[2] == head.hash);

    // The watcher sees it, and the transaction and the registration happened again.
    assert_eq!(status(&mut progress).await, json!({ "retracted": first.hash }));
    assert_eq!(status(&mut progress).await, json!({ "inBlock": fork[0] }));
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(3), 65535)]);
    let count: u16 = client.fetch("SubtensorModule", "SubnetworkN", vec![Value::u128(NETUID.into())]).await;
    assert_eq!(count, 4, "at the finalized block, which is before all that");

    // Replaced blocks are readable by hash, body and state, and are no longer on the chain.
    let old: Json = client.rpc.request("chain_getBlock", rpc_params![first.hash]).await.expect("block");
    assert_eq!(old["block"]["extrinsics"].as_array().expect("body").len(), 2);
    assert_eq!(weights_at(&client, first.hash).await, [(3, 65535)]);
    assert_ne!(client.devnet.block_hash(first.number.0), Some(first.hash));

    // All imports are told to one kind of listener, what was best to another.
    for expected in [0, 1, 2, 1, 2, 3] {
        assert_eq!(next(&mut all).await.0, start.number.0 + expected);
    }
    for expected in [0, 1, 2, 3] {
        assert_eq!(next(&mut best).await.0, start.number.0 + expected);
    }

    // The finalized stream knows nothing of it: numbers in order, each on its parent.
    for _ in 0..3 {
        client.devnet.produce_block().await;
    }
    assert_eq!(status(&mut progress).await, json!({ "finalized": fork[0] }));
    let (mut number, _) = next(&mut last).await;
    assert_eq!(number, start.number.0 - 3);
    while number < head.number.0 {
        let (found, parent) = next(&mut last).await;
        assert_eq!(found, number + 1);
        assert_eq!(parent, json!(client.devnet.block_hash(number)));
        number = found;
    }
    let count: u16 = client.fetch("SubtensorModule", "SubnetworkN", vec![Value::u128(NETUID.into())]).await;
    assert_eq!(count, 5);
}

#[tokio::test]
async fn transactions_of_replaced_blocks_can_be_lost() {
    let client = Client::start(lagging(4)).await;
    let mut progress = watched(&client, 3, &dev::bob()).await;
    assert_eq!(status(&mut progress).await, json!("ready"));
    let block = client.devnet.produce_block().await;
    client.devnet.reorg(1, ReplacedTransactions::Drop).expect("a fork");
    for expected in [json!({ "inBlock": block.hash }), json!({ "retracted": block.hash }), json!("dropped")] {
        assert_eq!(status(&mut progress).await, expected);
    }
    assert!(!client.devnet.weights().contains_key(&Uid(1)));
    // The nonce is free again.
    let mut again = watched(&client, 2, &dev::bob()).await;
    assert_eq!(status(&mut again).await, json!("ready"));
    client.devnet.produce_block().await;
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(2), 65535)]);
}

#[tokio::test]
async fn forks_upon_forks_keep_every_branch_readable() {
    let client = Client::start(lagging(8)).await;
    let mut seen = Vec::new();
    for round in 0..4_u16 {
        watched(&client, 2 + round % 2, &dev::bob()).await;
        for _ in 0..2 {
            let block = client.devnet.produce_block().await;
            seen.push((block.hash, weights_at(&client, block.hash).await));
        }
        // Deeper each time, so that older branches lose the block that they began on.
        let depth = u64::from(round + 2);
        client.devnet.reorg(depth, ReplacedTransactions::Drop).expect("a fork");
    }
    for (hash, weights) in seen {
        assert_eq!(weights_at(&client, hash).await, weights);
    }
}

#[tokio::test]
async fn final_blocks_are_never_replaced() {
    let client = Client::start(lagging(2)).await;
    let before = client.devnet.head();
    for (depth, possible) in [(3, 2), (0, 2)] {
        match client.devnet.reorg(depth, ReplacedTransactions::Return) {
            Err(DevnetError::Reorg { depth: asked, unfinalized }) => {
                assert_eq!((asked, unfinalized), (depth, possible));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.devnet.head(), before);
    let client = Client::start(config()).await;
    assert!(client.devnet.reorg(1, ReplacedTransactions::Return).is_err());
}
