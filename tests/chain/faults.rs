//! The chain client against a node that misbehaves, by the development chain's own faults.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use leoma::{
    chain::{
        devnet::{Devnet, DevnetConfig, Fault, ReplacedTransactions},
        port::{Chain, ChainError},
        subtensor::{SubtensorChain, SubtensorOptions},
    },
    domain::ids::{BlockNumber, Uid},
};

use super::subtensor::{NETUID, connect, follow_to, live_subnet, next_head, options, pay, subnet};

/// A call ends by this time on a node that does not answer.
const CALL: Duration = Duration::from_millis(250);

async fn start(config: DevnetConfig) -> Devnet {
    Devnet::start(config).await.expect("a chain")
}

/// A client that loses patience quickly.
async fn hasty(nodes: &[&Devnet]) -> SubtensorChain {
    let urls: Vec<String> = nodes.iter().map(|node| node.url()).collect();
    let options = SubtensorOptions { block_watchdog: CALL, call_deadline: CALL, ..options(&urls) };
    SubtensorChain::connect(options).await.expect("connected")
}

#[tokio::test]
async fn a_killed_endpoint_that_comes_back_leaves_no_gap() {
    let devnet = start(subnet()).await;
    let chain = connect(&devnet).await;
    let mut heads = chain.finalized_heads().await.expect("heads");
    let start = devnet.head().number.0;
    follow_to(&mut heads, &devnet, start, start).await;
    devnet.inject(Fault::NotListening { for_ms: None }).await.expect("injected");
    assert!(heads.next().await.expect("an item").is_err(), "the break is told");
    for _ in 0..70 {
        devnet.produce_block().await;
    }
    devnet.heal().await;
    follow_to(&mut heads, &devnet, start + 1, start + 70).await;
    devnet.drop_connections();
    devnet.produce_block().await;
    follow_to(&mut heads, &devnet, start + 71, start + 71).await;
    assert_eq!(chain.head().await.map(|head| head.block), Ok(devnet.head()));
}

/// Equal settings and blocks give equal chains: two nodes of one network.
#[tokio::test]
async fn a_node_that_hangs_is_left_for_the_next_one() {
    let (first, second) = (start(subnet()).await, start(subnet()).await);
    assert_eq!(first.head(), second.head());
    let chain = hasty(&[&first, &second]).await;
    let mut heads = chain.finalized_heads().await.expect("heads");
    let start = first.head().number.0;
    follow_to(&mut heads, &first, start, start).await;
    first.inject(Fault::Hang { method: None }).await.expect("injected");
    first.inject(Fault::SilentSubscriptions {}).await.expect("injected");
    for _ in 0..3 {
        first.produce_block().await;
        second.produce_block().await;
    }
    let troubles = follow_to(&mut heads, &second, start + 1, start + 3).await;
    assert!(troubles >= 1, "the silence is told");
    assert!(chain.neurons(NETUID, second.head().hash).await.is_ok(), "reads use the other node");
}

#[tokio::test]
async fn a_half_dead_socket_costs_time_but_no_block() {
    let devnet = start(subnet()).await;
    let chain = hasty(&[&devnet]).await;
    let mut heads = chain.finalized_heads().await.expect("heads");
    let start = devnet.head().number.0;
    follow_to(&mut heads, &devnet, start, start).await;
    devnet.inject(Fault::SilentSubscriptions {}).await.expect("injected");
    // Every subscription of this node is silent, but each new one asks for the head first.
    for round in 0..2 {
        let first = start + 1 + round * 4;
        for _ in 0..4 {
            devnet.produce_block().await;
        }
        let troubles = follow_to(&mut heads, &devnet, first, first + 3).await;
        assert!(troubles >= 1, "the silence is told");
    }
    devnet.heal().await;
    devnet.produce_block().await;
    follow_to(&mut heads, &devnet, start + 9, start + 9).await;
}

#[tokio::test]
async fn a_node_that_comes_back_with_another_genesis_is_refused() {
    let devnet = start(subnet()).await;
    let chain = connect(&devnet).await;
    let mut heads = chain.finalized_heads().await.expect("heads");
    assert!(heads.next().await.expect("a head").is_ok());
    devnet.inject(Fault::WrongGenesis {}).await.expect("injected");
    devnet.drop_connections();
    let mut last = None;
    while let Some(item) = heads.next().await {
        last = item.err();
    }
    assert!(
        matches!(last, Some(ChainError::WrongGenesis { expected, .. }) if expected == devnet.genesis_hash())
    );
    let expecting =
        SubtensorOptions { expected_genesis: Some(devnet.genesis_hash()), ..options(&[devnet.url()]) };
    let refused = SubtensorChain::connect(expecting.clone()).await.err();
    assert!(matches!(refused, Some(ChainError::WrongGenesis { .. })), "{refused:?}");
    devnet.heal().await;
    assert!(SubtensorChain::connect(expecting).await.is_ok());
}

#[tokio::test]
async fn forks_of_what_is_not_final_are_never_seen() {
    let devnet = start(DevnetConfig { finality_lag: 4, ..subnet() }).await;
    let chain = connect(&devnet).await;
    let mut heads = chain.finalized_heads().await.expect("heads");
    let (mut seen, _) = next_head(&mut heads).await;
    assert_eq!(seen.block, devnet.finalized_head());
    for round in 0..6_u64 {
        devnet.produce_block().await;
        devnet.produce_block().await;
        let best = devnet.head();
        devnet.reorg(1 + round % 4, ReplacedTransactions::Return).expect("a fork");
        assert_ne!(devnet.block_hash(best.number.0), Some(best.hash));
        while seen.block.number < devnet.finalized_head().number {
            let (next, troubles) = next_head(&mut heads).await;
            assert_eq!((next.parent, troubles), (seen.block.hash, 0));
            assert_eq!(Some(next.block.hash), devnet.block_hash(next.block.number.0));
            seen = next;
        }
    }
    let not_final = BlockNumber(devnet.finalized_head().number.0 + 1);
    assert!(chain.block_hash(not_final).await.is_err(), "it may still change");
}

#[tokio::test]
async fn weights_that_a_fork_moves_are_reported_where_they_became_final() {
    let devnet = Arc::new(start(DevnetConfig { finality_lag: 2, ..subnet() }).await);
    let chain = connect(&devnet).await;
    let weights = pay(2);
    let mut setting = Box::pin(chain.set_weights(&weights));
    while !devnet.weights().contains_key(&Uid(1)) {
        assert!(futures::poll!(&mut setting).is_pending());
        tokio::task::yield_now().await;
        devnet.produce_block().await;
    }
    devnet.reorg(1, ReplacedTransactions::Return).expect("a fork");
    for _ in 0..3 {
        devnet.produce_block().await;
    }
    let receipt = setting.await.expect("weights on chain");
    assert_eq!(devnet.block_hash(receipt.block.number.0), Some(receipt.block.hash));
    assert_eq!(chain.weights_of(NETUID, Uid(1), receipt.block.hash).await, Ok(vec![(Uid(2), 65_535)]));
}

#[tokio::test]
async fn no_call_waits_longer_than_its_deadline() {
    let devnet = start(subnet()).await;
    let chain = hasty(&[&devnet]).await;
    let at = devnet.head().hash;
    let (before, weights) = (BlockNumber(devnet.head().number.0 - 1), pay(2));
    for method in [None, Some("state_call"), Some("state_getStorage"), Some("chain_getHeader")] {
        devnet.inject(Fault::Hang { method: method.map(str::to_owned) }).await.expect("injected");
        let mut ended = Vec::new();
        ended.push(chain.head().await.map(drop).err());
        ended.push(chain.block_hash(before).await.map(drop).err());
        ended.push(chain.subnet(NETUID, at).await.map(drop).err());
        ended.push(chain.neurons(NETUID, at).await.map(drop).err());
        ended.push(chain.commitments(NETUID, at).await.map(drop).err());
        ended.push(chain.weights_of(NETUID, Uid(1), at).await.map(drop).err());
        ended.push(chain.finalized_heads().await.map(drop).err());
        let of_silence =
            |error: &ChainError| matches!(error, ChainError::Deadline { .. } | ChainError::Transport { .. });
        assert!(ended.iter().flatten().all(of_silence), "{method:?}: {ended:?}");
        assert!(ended.iter().flatten().next().is_some(), "{method:?} is in use");
        if method.is_none() {
            ended.push(chain.set_weights(&weights).await.map(drop).err());
            assert!(ended.iter().all(Option::is_some), "{ended:?}");
        }
        devnet.heal().await;
    }
    assert!(chain.neurons(NETUID, at).await.is_ok() && chain.head().await.is_ok());
    devnet.produce_block().await;
    assert!(devnet.weights().is_empty(), "nothing was submitted");
}

#[tokio::test]
async fn the_pools_and_the_blocks_refusals_are_told_apart_from_an_unknown_end() {
    let devnet = start(live_subnet()).await;
    let chain = SubtensorChain::connect(SubtensorOptions {
        call_deadline: Duration::from_secs(2),
        finalization_deadline: Duration::from_millis(500),
        ..options(&[devnet.url()])
    })
    .await
    .expect("connected");
    devnet
        .inject(Fault::RejectSubmissions { count: 1, code: 1010, custom: Some(6) })
        .await
        .expect("injected");
    let refused = chain.set_weights(&pay(2)).await;
    assert!(matches!(refused, Err(ChainError::Pool { code: 1010, custom: Some(6), .. })), "{refused:?}");

    let (pallet, error) = ("SubtensorModule".to_owned(), "NeuronNoValidatorPermit".to_owned());
    devnet.inject(Fault::FailInBlock { count: 1, pallet, error }).await.expect("injected");
    match chain.set_weights(&pay(2)).await {
        Err(ChainError::Dispatch { name, .. }) => assert_eq!(name, "NeuronNoValidatorPermit"),
        other => panic!("{other:?}"),
    }

    devnet.inject(Fault::Swallow { count: 1 }).await.expect("injected");
    let lost = chain.set_weights(&pay(2)).await;
    assert!(matches!(lost, Err(ChainError::Unknown { .. })), "{lost:?}");
    assert!(devnet.weights().is_empty());

    // The submission itself hangs: whether it was taken is unknown, and indeed it is, later.
    let submit = Some("author_submitAndWatchExtrinsic".to_owned());
    devnet.inject(Fault::Hang { method: submit }).await.expect("injected");
    let hung = chain.set_weights(&pay(3)).await;
    assert!(matches!(hung, Err(ChainError::Unknown { .. })), "{hung:?}");
    devnet.heal().await;
    let mut heads = devnet.subscribe_heads();
    while devnet.weights().is_empty() {
        heads.changed().await.expect("the chain goes on");
    }
    assert_eq!(devnet.weights()[&Uid(1)], [(Uid(3), 65_535)]);
}

#[tokio::test]
async fn a_slow_node_is_used_as_long_as_it_answers_in_time() {
    let devnet = start(subnet()).await;
    let chain = connect(&devnet).await;
    devnet.inject(Fault::Slow { ms: 20 }).await.expect("injected");
    let mut heads = chain.finalized_heads().await.expect("heads");
    let first = devnet.head().number.0;
    for _ in 0..10 {
        devnet.produce_block().await;
    }
    assert_eq!(follow_to(&mut heads, &devnet, first, first + 10).await, 0, "late is not trouble");
    assert!(heads.next().now_or_never().is_none());
}
