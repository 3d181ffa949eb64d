//! The chain client over a real WebSocket against the development chain.

use std::time::Duration;

use futures::{StreamExt, stream::BoxStream};
use leoma::{
    chain::{
        devnet::{DevNeuron, Devnet, DevnetConfig, frame_revealed},
        port::{Chain, ChainError, Head, SubnetState, WeightsCall},
        subtensor::{SubtensorChain, SubtensorOptions},
        wallet::HotkeySigner,
    },
    domain::ids::{BlockHash, BlockNumber, Hotkey, NetUid, Uid},
};

use super::gate::Gate;

pub const NETUID: NetUid = NetUid(99);
const STAKE: u64 = 5_000_000_000_000;

fn owner() -> Hotkey {
    Hotkey([10; 32])
}

pub fn validator() -> HotkeySigner {
    HotkeySigner::from_seed([1; 32])
}

pub fn miner(number: u8) -> Hotkey {
    Hotkey([number; 32])
}

/// A subnet with its owner (uid 0), our validator (1) and two miners (2, 3); blocks on request.
pub fn subnet() -> DevnetConfig {
    let first = DevNeuron::miner(miner(2)).with_revealed(999_000, b"{\"model_name\":\"a\"}");
    let first = first.with_revealed(999_500, &[b'x'; 300]);
    let mut second = DevNeuron::miner(miner(3));
    second.revealed.push((999_700, b"{\"raw\":true}".to_vec()));
    let neurons = vec![
        DevNeuron::validator(owner(), STAKE),
        DevNeuron::validator(validator().hotkey(), STAKE / 2),
        first,
        second,
    ];
    DevnetConfig { neurons, ..DevnetConfig::default() }
}

/// The same subnet with a block every tenth of a second.
pub fn live_subnet() -> DevnetConfig {
    DevnetConfig { block_time: Some(Duration::from_millis(100)), ..subnet() }
}

pub fn options(urls: &[String]) -> SubtensorOptions {
    SubtensorOptions {
        call_deadline: Duration::from_secs(20),
        signer: Some(validator()),
        ..SubtensorOptions::new(urls.iter().map(|url| url.parse().expect("a URL")).collect())
    }
}

pub async fn connect(devnet: &Devnet) -> SubtensorChain {
    SubtensorChain::connect(options(&[devnet.url()])).await.expect("connected")
}

pub fn pay(uid: u16) -> WeightsCall {
    WeightsCall { netuid: NETUID, uids: vec![Uid(uid)], values: vec![65_535], version_key: 0, born_at: None }
}

pub type Heads = BoxStream<'static, Result<Head, ChainError>>;

/// The next head, passing over troubles; their number is returned too.
pub async fn next_head(heads: &mut Heads) -> (Head, usize) {
    let mut troubles = 0;
    loop {
        match heads.next().await.expect("the stream goes on") {
            Ok(head) => return (head, troubles),
            Err(error) => {
                assert!(!matches!(error, ChainError::WrongGenesis { .. }), "{error}");
                troubles += 1;
            }
        }
    }
}

/// Takes heads up to a block and holds each of them against the chain. Returns the troubles met.
pub async fn follow_to(heads: &mut Heads, devnet: &Devnet, from: u64, to: u64) -> usize {
    let mut troubles = 0;
    for number in from..=to {
        let (head, met) = next_head(heads).await;
        troubles += met;
        assert_eq!(head.block.number, BlockNumber(number));
        assert_eq!(Some(head.block.hash), devnet.block_hash(number));
        assert_eq!(Some(head.parent), devnet.block_hash(number - 1));
    }
    troubles
}

#[tokio::test]
async fn state_is_read_as_the_chain_holds_it() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let chain = connect(&devnet).await;
    assert_eq!(chain.genesis(), devnet.genesis_hash());
    assert_eq!(chain.signer(), Some(validator().hotkey()));

    let head = chain.head().await.expect("a head");
    assert_eq!(head.block, devnet.head());
    let at = head.block.hash;
    assert_eq!(chain.runtime(at).await, Ok(461));
    assert_eq!(chain.block_hash(BlockNumber(999_990)).await.ok(), devnet.block_hash(999_990));
    assert_eq!(chain.block_hash(head.block.number).await, Ok(at));
    assert!(chain.block_hash(BlockNumber(head.block.number.0 + 1)).await.is_err(), "not final yet");

    let state = chain.subnet(NETUID, at).await.expect("the subnet");
    assert!(state.next_epoch.is_some_and(|next| next > head.block.number));
    assert!(state.last_epoch < head.block.number);
    let expected = SubnetState {
        tempo: 100,
        next_epoch: state.next_epoch,
        epoch_index: devnet.epoch_index(),
        last_epoch: state.last_epoch,
        weights_rate_limit: 100,
        min_allowed_weights: 1,
        weights_version_key: 0,
        commit_reveal_enabled: false,
        owner_hotkey: Some(owner()),
        pending_epoch: BlockNumber(0),
        blocks_since_step: state.blocks_since_step,
        reveal_period: 1,
        commit_reveal_version: 4,
        stake_threshold: 0,
    };
    assert_eq!(state, expected);

    let neurons = chain.neurons(NETUID, at).await.expect("neurons");
    let shown: Vec<_> = neurons.iter().map(|n| (n.uid.0, n.hotkey, n.validator_permit, n.stake)).collect();
    assert_eq!(
        shown,
        [
            (0, owner(), true, STAKE),
            (1, validator().hotkey(), true, STAKE / 2),
            (2, miner(2), false, 0),
            (3, miner(3), false, 0),
        ]
    );
    assert_eq!(chain.weights_of(NETUID, Uid(1), at).await, Ok(Vec::new()));
}

#[tokio::test]
async fn commitments_come_without_framing_oldest_first() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let chain = connect(&devnet).await;
    let before = chain.head().await.expect("a head").block.hash;
    devnet.reveal_commitment(miner(2), frame_revealed(b"third"));
    let after = devnet.produce_block().await;

    let mut commitments = chain.commitments(NETUID, after.hash).await.expect("commitments");
    commitments.sort_by_key(|found| found.hotkey);
    type Reveals = Vec<(u64, Vec<u8>)>;
    let shown: Vec<(Hotkey, Reveals)> = commitments
        .into_iter()
        .map(|found| {
            let revealed = found.revealed.into_iter();
            (found.hotkey, revealed.map(|entry| (entry.reveal_block.0, entry.data)).collect())
        })
        .collect();
    let first = vec![
        (999_000, b"{\"model_name\":\"a\"}".to_vec()),
        (999_500, vec![b'x'; 300]),
        (after.number.0, b"third".to_vec()),
    ];
    assert_eq!(shown, [(miner(2), first), (miner(3), vec![(999_700, b"{\"raw\":true}".to_vec())])]);

    // A read names its block: the past does not change.
    let past = chain.commitments(NETUID, before).await.expect("commitments");
    let of_first = past.iter().find(|found| found.hotkey == miner(2)).expect("the first miner");
    assert_eq!(of_first.revealed.len(), 2);
}

#[tokio::test]
async fn more_neurons_than_a_page_holds_are_all_read() {
    let mut config = subnet();
    config.neurons.extend((4..=255_u8).map(|number| {
        let mut key = [number; 32];
        key[0] = 200;
        DevNeuron::miner(Hotkey(key)).with_revealed(u64::from(number), b"{}")
    }));
    let devnet = Devnet::start(config).await.expect("a chain");
    let chain = connect(&devnet).await;
    let neurons = chain.neurons(NETUID, devnet.head().hash).await.expect("neurons");
    assert_eq!(neurons.iter().map(|neuron| neuron.uid.0).collect::<Vec<_>>(), (0..256).collect::<Vec<_>>());
    assert_eq!(chain.commitments(NETUID, devnet.head().hash).await.expect("commitments").len(), 254);
}

#[tokio::test]
async fn an_unknown_subnet_or_block_is_an_error_not_a_default() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let chain = connect(&devnet).await;
    let at = devnet.head().hash;
    let unknown = ChainError::UnknownSubnet { netuid: NetUid(7) };
    assert_eq!(chain.subnet(NetUid(7), at).await, Err(unknown.clone()));
    assert_eq!(chain.neurons(NetUid(7), at).await, Err(unknown));
    let nowhere = BlockHash([9; 32]);
    assert!(matches!(chain.subnet(NETUID, nowhere).await, Err(ChainError::Transport { .. })));
    // The client is as good as before.
    assert!(chain.subnet(NETUID, at).await.is_ok());
}

#[tokio::test]
async fn heads_come_once_each_in_order_and_end_with_the_client() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let chain = connect(&devnet).await;
    let start = devnet.head().number.0;
    let mut heads = chain.finalized_heads().await.expect("heads");
    assert_eq!(follow_to(&mut heads, &devnet, start, start).await, 0, "the first head is the present one");
    for _ in 0..40 {
        devnet.produce_block().await;
    }
    assert_eq!(follow_to(&mut heads, &devnet, start + 1, start + 40).await, 0);

    // A second stream begins at the present and sees the same blocks.
    let mut second = chain.finalized_heads().await.expect("heads");
    let later = devnet.produce_block().await.number.0;
    follow_to(&mut second, &devnet, later - 1, later).await;
    follow_to(&mut heads, &devnet, later, later).await;
    drop(chain);
    assert!(heads.next().await.is_none() && second.next().await.is_none());
}

#[tokio::test]
async fn heads_have_no_gap_when_the_server_dies_and_comes_back() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let mut gate = Gate::open(&devnet.url()).await;
    let chain = SubtensorChain::connect(options(&[gate.url()])).await.expect("connected");
    let start = devnet.head().number.0;
    let mut heads = chain.finalized_heads().await.expect("heads");
    follow_to(&mut heads, &devnet, start, start).await;

    for round in 0..2_u64 {
        let seen = start + round * 150;
        gate.close().await;
        assert!(heads.next().await.expect("an item").is_err(), "the break is told");
        // More blocks than one step of the gap filling takes.
        for _ in 0..149 {
            devnet.produce_block().await;
        }
        gate.reopen(&devnet.url()).await;
        follow_to(&mut heads, &devnet, seen + 1, seen + 149).await;
        devnet.produce_block().await;
        follow_to(&mut heads, &devnet, seen + 150, seen + 150).await;
    }
    // Reads work over the same client.
    assert_eq!(chain.head().await.map(|head| head.block), Ok(devnet.head()));
}

#[tokio::test]
async fn a_silent_endpoint_is_left_for_the_next_one() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let gate = Gate::open(&devnet.url()).await;
    let chain = SubtensorChain::connect(SubtensorOptions {
        block_watchdog: Duration::from_millis(300),
        call_deadline: Duration::from_secs(5),
        ..options(&[gate.url(), devnet.url()])
    })
    .await
    .expect("connected");
    let start = devnet.head().number.0;
    let mut heads = chain.finalized_heads().await.expect("heads");
    follow_to(&mut heads, &devnet, start, start).await;
    gate.jam();
    for _ in 0..5 {
        devnet.produce_block().await;
    }
    let troubles = follow_to(&mut heads, &devnet, start + 1, start + 5).await;
    assert!(troubles >= 1, "the silence is told");
    assert!(chain.subnet(NETUID, devnet.head().hash).await.is_ok(), "reads use the new endpoint");
}

#[tokio::test]
async fn another_chain_under_the_same_address_stops_everything() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let other = Devnet::start(DevnetConfig { seed: 1, ..subnet() }).await.expect("another chain");
    let (expected, found) = (devnet.genesis_hash(), other.genesis_hash());
    assert_ne!(expected, found);
    let wrong = ChainError::WrongGenesis { found, expected };
    let connecting = SubtensorOptions { expected_genesis: Some(expected), ..options(&[other.url()]) };
    assert_eq!(SubtensorChain::connect(connecting).await.err(), Some(wrong.clone()));
    // With the right one behind it in the list, the wrong one is passed over.
    let both = options(&[other.url(), devnet.url()]);
    let both = SubtensorChain::connect(SubtensorOptions { expected_genesis: Some(expected), ..both }).await;
    assert_eq!(both.expect("connected").genesis(), expected);

    let mut gate = Gate::open(&devnet.url()).await;
    let chain = SubtensorChain::connect(options(&[gate.url()])).await.expect("connected");
    let mut heads = chain.finalized_heads().await.expect("heads");
    assert!(heads.next().await.expect("a head").is_ok());
    gate.close().await;
    gate.reopen(&other.url()).await;
    let mut last = None;
    while let Some(item) = heads.next().await {
        last = Some(item.expect_err("no head of another chain is told"));
    }
    assert_eq!(last, Some(wrong));
}

#[tokio::test]
async fn a_fork_below_finality_is_never_told_as_progress() {
    // Same genesis, other blocks: a reveal changes the state and with it every later hash.
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let fork = Devnet::start(subnet()).await.expect("the same chain");
    let mut gate = Gate::open(&devnet.url()).await;
    let chain = SubtensorChain::connect(options(&[gate.url()])).await.expect("connected");
    let mut heads = chain.finalized_heads().await.expect("heads");
    let start = devnet.head().number.0;
    let seen = devnet.produce_block().await;
    follow_to(&mut heads, &devnet, start, seen.number.0).await;
    fork.reveal_commitment(miner(2), frame_revealed(b"fork"));
    for _ in 0..3 {
        fork.produce_block().await;
    }
    assert_ne!(fork.block_hash(seen.number.0), Some(seen.hash));
    gate.close().await;
    gate.reopen(&fork.url()).await;
    let complaint = loop {
        let error = heads.next().await.expect("an item").expect_err("no head of the fork");
        if error.to_string().contains("another fork") {
            break error;
        }
    };
    assert!(matches!(complaint, ChainError::Transport { .. }));
    // The right chain comes back and so do its heads.
    gate.close().await;
    devnet.produce_block().await;
    gate.reopen(&devnet.url()).await;
    follow_to(&mut heads, &devnet, seen.number.0 + 1, seen.number.0 + 1).await;
}

#[tokio::test]
async fn two_endpoints_must_agree_on_the_hash_that_seeds_a_round() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let fork = Devnet::start(subnet()).await.expect("the same chain");
    let mut gate = Gate::open(&fork.url()).await;
    let chain = SubtensorChain::connect(options(&[devnet.url(), gate.url()])).await.expect("connected");
    let common = devnet.head();
    assert_eq!(chain.block_hash(common.number).await, Ok(common.hash), "both know it");

    fork.reveal_commitment(miner(2), frame_revealed(b"fork"));
    let (here, there) = (devnet.produce_block().await, fork.produce_block().await);
    match chain.block_hash(here.number).await {
        Err(ChainError::Disagreement { number, hash, other, .. }) => {
            assert_eq!((number, hash, other), (here.number, here.hash, there.hash));
        }
        other => panic!("{other:?}"),
    }
    // One good endpoint is enough where the other is dead.
    gate.close().await;
    assert_eq!(chain.block_hash(here.number).await, Ok(here.hash));
}

#[tokio::test]
async fn weights_land_are_read_back_and_then_the_rate_limit_holds() {
    let devnet = Devnet::start(live_subnet()).await.expect("a chain");
    let chain = connect(&devnet).await;
    let call = WeightsCall {
        netuid: NETUID,
        uids: vec![Uid(3), Uid(2)],
        values: vec![65_535, 0],
        version_key: 0,
        born_at: None,
    };
    let receipt = chain.set_weights(&call).await.expect("weights on chain");
    assert_eq!(devnet.block_hash(receipt.block.number.0), Some(receipt.block.hash));
    let at = receipt.block.hash;
    assert_eq!(chain.weights_of(NETUID, Uid(1), at).await, Ok(vec![(Uid(3), 65_535), (Uid(2), 0)]));
    let neurons = chain.neurons(NETUID, at).await.expect("neurons");
    assert_eq!(neurons[1].last_update, receipt.block.number);

    let again = chain.set_weights(&pay(2)).await;
    let reason = "RateLimitExceeded".to_owned();
    assert_eq!(again, Err(ChainError::Pool { code: 1010, custom: Some(6), reason }));
    assert_eq!(devnet.weights()[&Uid(1)], [(Uid(3), 65_535), (Uid(2), 0)]);
}

#[tokio::test]
async fn failures_inside_the_block_are_named() {
    let config = DevnetConfig { rate_limit_in_block: true, ..live_subnet() };
    let devnet = Devnet::start(config).await.expect("a chain");
    let chain = connect(&devnet).await;
    chain.set_weights(&pay(2)).await.expect("weights on chain");
    let failure = |result: Result<_, ChainError>| match result {
        Err(ChainError::Dispatch { pallet, name, .. }) => format!("{pallet}.{name}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(failure(chain.set_weights(&pay(3)).await), "SubtensorModule.SettingWeightsTooFast");

    let strict = DevnetConfig { weights_version_key: 5, ..live_subnet() };
    let devnet = Devnet::start(strict).await.expect("a chain");
    let chain = connect(&devnet).await;
    assert_eq!(failure(chain.set_weights(&pay(2)).await), "SubtensorModule.IncorrectWeightVersionKey");
    let newer = WeightsCall { version_key: 5, ..pay(2) };
    assert!(chain.set_weights(&newer).await.is_ok());

    let hidden = DevnetConfig { commit_reveal: true, ..live_subnet() };
    let devnet = Devnet::start(hidden).await.expect("a chain");
    let chain = connect(&devnet).await;
    let state = chain.subnet(NETUID, devnet.head().hash).await.expect("the subnet");
    assert!(state.commit_reveal_enabled);
    assert_eq!(failure(chain.set_weights(&pay(2)).await), "SubtensorModule.CommitRevealEnabled");
}

#[tokio::test]
async fn an_end_that_was_not_seen_is_unknown_and_can_be_looked_up() {
    // No block is made while the client waits.
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let chain = SubtensorChain::connect(SubtensorOptions {
        finalization_deadline: Duration::from_millis(200),
        ..options(&[devnet.url()])
    })
    .await
    .expect("connected");
    match chain.set_weights(&pay(2)).await {
        Err(ChainError::Unknown { extrinsic, detail }) => {
            assert_ne!(extrinsic, BlockHash([0; 32]));
            assert!(detail.contains("not finalized within"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    // It was in the pool all the time, which is why nobody may submit again without looking.
    let block = devnet.produce_block().await;
    assert_eq!(chain.weights_of(NETUID, Uid(1), block.hash).await, Ok(vec![(Uid(2), 65_535)]));
}

#[tokio::test]
async fn without_a_hotkey_or_a_server_it_says_so() {
    let devnet = Devnet::start(subnet()).await.expect("a chain");
    let reader = SubtensorOptions { signer: None, ..options(&[devnet.url()]) };
    let reader = SubtensorChain::connect(reader).await.expect("connected");
    assert_eq!(reader.signer(), None);
    assert_eq!(reader.set_weights(&pay(2)).await, Err(ChainError::NoSigner));

    let mut gate = Gate::open(&devnet.url()).await;
    let url = gate.url();
    gate.close().await;
    let absent =
        SubtensorOptions { call_deadline: Duration::from_millis(300), ..options(std::slice::from_ref(&url)) };
    match SubtensorChain::connect(absent).await.err() {
        Some(error @ (ChainError::Deadline { .. } | ChainError::Transport { .. })) => {
            assert!(error.to_string().contains(&url), "{error}");
        }
        other => panic!("{other:?}"),
    }
}
