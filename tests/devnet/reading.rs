//! Blocks, state and runtime calls.

use leoma::{
    chain::devnet::{DevNeuron, DevnetConfig, frame_revealed},
    domain::ids::BlockHash,
};
use subxt::{OnlineClient, SubstrateConfig, dynamic, dynamic::Value, ext::scale_decode::DecodeAsType};
use subxt_signer::sr25519::dev;

use super::client::{Client, NETUID, TAO, config, event_names, hotkey};

fn number(value: u64) -> Value {
    Value::u128(value.into())
}

#[tokio::test]
async fn the_stream_carries_every_finalized_block_with_its_own_hash() {
    let client = Client::start(config()).await;
    let start = client.devnet.head();
    let mut blocks = client.api.stream_blocks().await.expect("stream");
    let mut heads = client.devnet.subscribe_heads();
    let first = blocks.next().await.expect("block").expect("block");
    assert_eq!((first.number(), first.hash().0), (start.number.0, start.hash.0));
    let mut parent = first.hash();
    for _ in 0..5 {
        let produced = client.devnet.produce_block().await;
        heads.changed().await.expect("told");
        assert_eq!(*heads.borrow_and_update(), produced);
        let block = blocks.next().await.expect("block").expect("block");
        // subxt hashes the header itself, so equality means that the header's SCALE bytes agree.
        assert_eq!((block.number(), block.hash().0), (produced.number.0, produced.hash.0));
        assert_eq!(block.header().parent_hash, parent);
        assert_eq!(client.devnet.block_hash(block.number()), Some(BlockHash(block.hash().0)));
        parent = block.hash();
    }
}

#[tokio::test]
async fn blocks_produced_in_a_burst_are_all_streamed() {
    let client = Client::start(config()).await;
    let start = client.devnet.head().number.0;
    // Not subxt's stream of finalized blocks, which would fill gaps by itself.
    let mut heads = client
        .rpc
        .subscribe::<serde_json::Value>(
            "chain_subscribeFinalizedHeads",
            subxt::rpcs::rpc_params![],
            "chain_unsubscribeFinalizedHeads",
        )
        .await
        .expect("subscribe");
    for _ in 0..50 {
        client.devnet.produce_block().await;
    }
    for expected in start..=start + 50 {
        let header = heads.next().await.expect("head").expect("head");
        assert_eq!(header["number"], format!("{expected:#x}"));
    }
}

#[tokio::test]
async fn history_before_the_start_and_block_zero_are_there() {
    let client = Client::start(config()).await;
    let start = client.devnet.head().number.0;
    assert_eq!(start, 1_000_000);
    assert_eq!(client.api.genesis_hash().0, client.devnet.genesis_hash().0);
    let old = client.api.at_block(start - 250).await.expect("block");
    assert_eq!(old.block_hash().0, client.devnet.block_hash(start - 250).expect("hash").0);
    let read: u32 = old
        .storage()
        .fetch(dynamic::storage::<(), u32>("System", "Number"), ())
        .await
        .expect("number")
        .decode()
        .expect("number");
    assert_eq!(u64::from(read), start - 250);
    assert_eq!(client.devnet.block_hash(5), None);
    let parent: [u8; 32] = client.fetch("System", "BlockHash", vec![number(start - 1)]).await;
    assert_eq!(parent, client.devnet.block_hash(start - 1).expect("hash").0);
}

#[tokio::test]
async fn every_block_holds_a_timestamp_inherent_and_its_success() {
    let client = Client::start(config()).await;
    client.devnet.produce_block().await;
    let at = client.api.at_current_block().await.expect("head");
    let extrinsics = at.extrinsics().fetch().await.expect("body");
    let names: Vec<String> = extrinsics
        .iter()
        .map(|extrinsic| extrinsic.expect("extrinsic"))
        .map(|extrinsic| format!("{}.{}", extrinsic.pallet_name(), extrinsic.call_name()))
        .collect();
    assert_eq!(names, ["Timestamp.set"]);
    let events = at.events().fetch().await.expect("events");
    assert_eq!(event_names(&events), ["Drand.NewPulse", "System.ExtrinsicSuccess"]);
    let now: u64 = client.fetch("Timestamp", "Now", vec![]).await;
    assert_eq!(now % 12_000, 0);
}

#[tokio::test]
async fn metagraph_entries_are_read_as_on_chain() {
    let client = Client::start(config()).await;
    let alice = hotkey(&dev::alice()).0;
    let netuid = || number(NETUID.into());
    assert_eq!(client.fetch::<u16>("SubtensorModule", "SubnetworkN", vec![netuid()]).await, 4);
    assert_eq!(
        client.fetch::<Vec<bool>>("SubtensorModule", "ValidatorPermit", vec![netuid()]).await,
        [true, true, false, false]
    );
    assert_eq!(
        client.fetch::<Vec<u16>>("SubtensorModule", "StakeWeight", vec![netuid()]).await,
        [21845, 65535, 0, 0]
    );
    assert_eq!(client.fetch::<Vec<bool>>("SubtensorModule", "Active", vec![netuid()]).await, [true; 4]);
    assert_eq!(client.fetch::<[u8; 32]>("SubtensorModule", "SubnetOwnerHotkey", vec![netuid()]).await, alice);
    assert_eq!(
        client
            .fetch::<u64>("SubtensorModule", "TotalHotkeyAlpha", vec![Value::from_bytes(alice), netuid()])
            .await,
        1000 * TAO
    );
    assert_eq!(
        client
            .fetch::<u16>(
                "SubtensorModule",
                "Uids",
                vec![netuid(), Value::from_bytes(hotkey(&dev::dave()).0)]
            )
            .await,
        3
    );
    assert!(!client.fetch::<bool>("SubtensorModule", "CommitRevealWeightsEnabled", vec![netuid()]).await);
    assert_eq!(client.fetch::<u16>("SubtensorModule", "CommitRevealWeightsVersion", vec![]).await, 4);
    let last_update = client.fetch::<Vec<u64>>("SubtensorModule", "LastUpdate", vec![netuid()]).await;
    assert!(last_update.iter().all(|block| *block > 0 && *block < 999_000), "{last_update:?}");
}

#[tokio::test]
async fn maps_are_iterated_page_by_page() {
    let many: Vec<DevNeuron> = (0..150u8)
        .map(|index| DevNeuron::miner(leoma::domain::ids::Hotkey([index; 32])).with_revealed(7, &[index]))
        .collect();
    let client = Client::start(DevnetConfig { neurons: many, ..DevnetConfig::default() }).await;
    let at = client.api.at_current_block().await.expect("head");
    let address =
        dynamic::storage::<(u16, [u8; 32]), Vec<(Vec<u8>, u64)>>("Commitments", "RevealedCommitments");
    let mut entries = at.storage().iter(address, (NETUID,)).await.expect("iterate");
    let mut seen = Vec::new();
    while let Some(entry) = entries.next().await {
        let entry = entry.expect("entry");
        let (netuid, account) = entry.key().expect("key").decode().expect("key");
        assert_eq!(netuid, NETUID);
        assert_eq!(entry.value().decode().expect("value"), [(frame_revealed(&account[..1]), 7)]);
        seen.push(account[0]);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..150).collect::<Vec<u8>>());
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Metagraph {
    netuid: u16,
    hotkeys: Vec<[u8; 32]>,
    validator_permit: Vec<bool>,
    alpha_stake: Vec<u64>,
    total_stake: Vec<u64>,
    tempo: u16,
    weights_rate_limit: u64,
    num_uids: u16,
    block: u64,
    owner_hotkey: [u8; 32],
    last_update: Vec<u64>,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Hyperparameters {
    tempo: u16,
    weights_rate_limit: u64,
    min_allowed_weights: u16,
    commit_reveal_weights_enabled: bool,
    weights_version: u64,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct NeuronLite {
    hotkey: [u8; 32],
    uid: u16,
    validator_permit: bool,
    stake: Vec<([u8; 32], u64)>,
    last_update: u64,
}

#[tokio::test]
async fn runtime_calls_answer_in_the_types_of_the_metadata() {
    let client = Client::start(DevnetConfig { weights_version_key: 7, ..config() }).await;
    let at = client.api.at_current_block().await.expect("head");
    let calls = at.runtime_apis();
    let metagraph = calls
        .call(dynamic::runtime_api_call::<_, Option<Metagraph>>(
            "SubnetInfoRuntimeApi",
            "get_metagraph",
            (NETUID,),
        ))
        .await
        .expect("call")
        .expect("subnet");
    assert_eq!((metagraph.netuid, metagraph.num_uids, metagraph.tempo), (NETUID, 4, 100));
    assert_eq!(metagraph.hotkeys[1], hotkey(&dev::bob()).0);
    assert_eq!(metagraph.owner_hotkey, hotkey(&dev::alice()).0);
    assert_eq!(metagraph.validator_permit, [true, true, false, false]);
    assert_eq!(metagraph.alpha_stake, [1000 * TAO, 3000 * TAO, 0, 0]);
    assert_eq!(metagraph.total_stake, metagraph.alpha_stake);
    assert_eq!((metagraph.weights_rate_limit, metagraph.block), (100, 1_000_000));
    assert_eq!(metagraph.last_update.len(), 4);

    let unknown = calls
        .call(dynamic::runtime_api_call::<_, Option<Metagraph>>(
            "SubnetInfoRuntimeApi",
            "get_metagraph",
            (5u16,),
        ))
        .await
        .expect("call");
    assert!(unknown.is_none());

    let parameters = calls
        .call(dynamic::runtime_api_call::<_, Option<Hyperparameters>>(
            "SubnetInfoRuntimeApi",
            "get_subnet_hyperparams",
            (NETUID,),
        ))
        .await
        .expect("call")
        .expect("subnet");
    assert_eq!(
        (parameters.tempo, parameters.weights_rate_limit, parameters.min_allowed_weights),
        (100, 100, 1)
    );
    assert_eq!((parameters.weights_version, parameters.commit_reveal_weights_enabled), (7, false));

    let neurons = calls
        .call(dynamic::runtime_api_call::<_, Vec<NeuronLite>>(
            "NeuronInfoRuntimeApi",
            "get_neurons_lite",
            (NETUID,),
        ))
        .await
        .expect("call");
    let bob = &neurons[1];
    assert_eq!((bob.hotkey, bob.uid, bob.validator_permit), (hotkey(&dev::bob()).0, 1, true));
    assert_eq!(bob.stake[0].1, 3000 * TAO);
    assert!(bob.last_update > 0);

    let nonce = calls
        .call(dynamic::runtime_api_call::<_, u32>(
            "AccountNonceApi",
            "account_nonce",
            (hotkey(&dev::bob()).0,),
        ))
        .await
        .expect("call");
    assert_eq!(nonce, 0);
}

/// subxt's default backend asks `rpc_methods` and picks what the node has.
#[tokio::test]
async fn the_default_backend_finds_its_way_too() {
    let client = Client::start(config()).await;
    let api = OnlineClient::<SubstrateConfig>::from_insecure_url(client.devnet.url()).await.expect("client");
    let at = api.at_current_block().await.expect("head");
    assert_eq!(at.block_hash().0, client.devnet.head().hash.0);
}

#[tokio::test]
async fn equal_seeds_give_equal_chains_and_other_seeds_others() {
    let with_seed = |seed| DevnetConfig { seed, ..config() };
    let (one, two, other) = (
        Client::start(with_seed(1)).await,
        Client::start(with_seed(1)).await,
        Client::start(with_seed(2)).await,
    );
    for client in [&one, &two, &other] {
        client.devnet.produce_block().await;
    }
    assert_eq!(one.devnet.head(), two.devnet.head());
    assert_eq!(one.devnet.genesis_hash(), two.devnet.genesis_hash());
    assert_ne!(one.devnet.genesis_hash(), other.devnet.genesis_hash());
    assert_ne!(one.devnet.head().hash, other.devnet.head().hash);
}

#[tokio::test]
async fn a_block_time_makes_blocks_without_being_asked() {
    let block_time = Some(std::time::Duration::from_millis(20));
    let client = Client::start(DevnetConfig { block_time, ..config() }).await;
    let mut heads = client.devnet.subscribe_heads();
    for _ in 0..3 {
        heads.changed().await.expect("a block comes");
    }
    assert!(client.devnet.head().number.0 >= 1_000_003);
}
