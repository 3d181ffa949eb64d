//! The metagraph, and weights that one client sets and the other reads: in the open, and by commit-reveal.

use leoma::{
    chain::{
        commit_reveal::{payload, seal_weights},
        devnet::{DevNeuron, Devnet, DevnetConfig},
        port::{Chain as _, WeightsCall},
        subtensor::{SubtensorChain, SubtensorOptions},
        timelock::{Beacon, open},
        wallet::{HotkeySigner, hotkey_path},
    },
    domain::ids::{BlockNumber, Digest, Hotkey, Uid},
};
use serde_json::{Value, json};

use super::{NETUID, Official, PUBLISHED_ROUND, PUBLISHED_SIGNATURE, now, with_blocks};

/// Slots of our validator, of the SDK's, and of the miners who are paid.
const OURS: Uid = Uid(1);
const THEIRS: Uid = Uid(2);
const PAID: [Uid; 2] = [Uid(3), Uid(4)];
const TEMPO: u16 = 240;
const TAO: u64 = 1_000_000_000;

/// A chain that makes blocks on request, and both clients.
struct World {
    devnet: Devnet,
    ours: SubtensorChain,
    official: Official,
    /// Holds the wallet `theirs`.
    wallets: tempfile::TempDir,
    our_hotkey: Hotkey,
    their_hotkey: Hotkey,
}

impl World {
    async fn start(config: DevnetConfig) -> Option<Self> {
        let (signer, theirs) = (HotkeySigner::from_seed([1; 32]), HotkeySigner::from_seed([2; 32]));
        let (our_hotkey, their_hotkey) = (signer.hotkey(), theirs.hotkey());
        let wallets = tempfile::tempdir().expect("folder");
        theirs.write_file(&hotkey_path(wallets.path(), "theirs", "default")).expect("a wallet");
        let neurons = vec![
            DevNeuron::validator(Hotkey([10; 32]), 1000 * TAO),
            DevNeuron::validator(our_hotkey, 3000 * TAO + 1),
            DevNeuron::validator(their_hotkey, 2000 * TAO),
            DevNeuron::miner(Hotkey([11; 32])),
            DevNeuron::miner(Hotkey([12; 32])),
        ];
        let config = DevnetConfig { tempo: TEMPO, weights_rate_limit: 0, neurons, ..config };
        let devnet = Devnet::start(config).await.expect("a chain");
        let official = Official::start(Some(&devnet.url())).await?;
        let url = devnet.url().parse().expect("a URL");
        let options = SubtensorOptions { signer: Some(signer), ..SubtensorOptions::new(vec![url]) };
        let ours = SubtensorChain::connect(options).await.expect("connected");
        Some(Self { devnet, ours, official, wallets, our_hotkey, their_hotkey })
    }

    /// The SDK's own call for weights in the open or sealed, as the subnet wants them. Returns the block that holds it and the
    /// round it is sealed to.
    async fn set_theirs(&mut self, weights: Value, reveal_round: Option<u64>) -> (BlockNumber, Option<u64>) {
        let arguments = json!({
            "folder": self.wallets.path(),
            "name": "theirs",
            "weights": weights,
            "reveal_round": reveal_round,
        });
        let result = with_blocks(&self.devnet, self.official.ask("set_weights", arguments)).await;
        let id = result["extrinsic"].as_str().and_then(|id| id.split_once('-')).expect("BLOCK-INDEX");
        (BlockNumber(id.0.parse().expect("a number")), result["reveal_round"].as_u64())
    }

    /// The row of a slot as our client reads it.
    async fn row_of(&self, uid: Uid) -> Vec<(Uid, u16)> {
        self.ours.weights_of(NETUID, uid, self.devnet.head().hash).await.expect("a row")
    }

    /// Makes blocks until the epoch counter moves.
    async fn next_epoch(&self) {
        let index = self.devnet.epoch_index();
        while self.devnet.epoch_index() == index {
            self.devnet.produce_block().await;
        }
    }
}

/// Three parts for the first miner, one for the second: the SDK shows exactly 0.75 and 0.25.
fn our_weights() -> WeightsCall {
    WeightsCall {
        netuid: NETUID,
        uids: PAID.to_vec(),
        values: vec![65_535, 21_845],
        version_key: 0,
        born_at: None,
    }
}

const SHOWN: [(u16, f64); 2] = [(3, 0.75), (4, 0.25)];

/// The other way round, as the SDK is told.
fn their_weights() -> Value {
    json!({"3": 1.0, "4": 3.0})
}

const THEIR_VALUES: [u16; 2] = [21_845, 65_535];

fn their_row() -> Vec<(Uid, u16)> {
    PAID.into_iter().zip(THEIR_VALUES).collect()
}

#[tokio::test]
async fn both_clients_see_the_same_subnet_and_each_other_s_weights() {
    let Some(mut world) = World::start(DevnetConfig::default()).await else { return };
    let receipt = with_blocks(&world.devnet, world.ours.set_weights(&our_weights())).await.expect("set");
    let (set_at, round) = world.set_theirs(their_weights(), None).await;
    assert_eq!(round, None, "in the open");
    assert_eq!(world.official.ask("weights", json!({})).await["1"], json!(SHOWN));
    assert_eq!(world.row_of(THEIRS).await, their_row());

    let graph = world.official.ask("metagraph", json!({})).await;
    let at =
        world.ours.block_hash(BlockNumber(graph["block"].as_u64().expect("a block"))).await.expect("hash");
    let state = world.ours.subnet(NETUID, at).await.expect("subnet");
    assert_eq!((&graph["tempo"], state.tempo), (&json!(TEMPO), TEMPO));
    assert_eq!(graph["owner"], state.owner_hotkey.expect("an owner").to_string());
    let neurons = world.ours.neurons(NETUID, at).await.expect("neurons").into_iter().map(|neuron| {
        json!({
            "uid": neuron.uid,
            "hotkey": neuron.hotkey,
            "validator_permit": neuron.validator_permit,
            "last_update": neuron.last_update,
            "stake": neuron.stake,
        })
    });
    assert_eq!(graph["neurons"], neurons.collect::<Value>());
    // Both could be wrong in the same way: what the chain was given.
    let column =
        |name: &str| graph["neurons"].as_array().expect("rows").iter().map(|row| row[name].clone()).collect();
    let columns: [Value; 2] = ["validator_permit", "stake"].map(column);
    assert_eq!(columns[0], json!([true, true, true, false, false]));
    assert_eq!(columns[1], json!([1000 * TAO, 3000 * TAO + 1, 2000 * TAO, 0, 0]));
    assert_eq!(graph["neurons"][1]["last_update"], receipt.block.number.0);
    assert_eq!(graph["neurons"][2]["last_update"], set_at.0);
    assert_eq!(graph["neurons"][2]["hotkey"], world.their_hotkey.to_string());
}

#[tokio::test]
async fn the_official_client_sees_our_commit_and_then_the_revealed_weights() {
    let config = DevnetConfig { commit_reveal: true, ..DevnetConfig::default() };
    let Some(mut world) = World::start(config).await else { return };
    world.next_epoch().await;
    // 160 blocks from now: a slow submission still comes before it.
    let round = world.devnet.last_pulse_round() + 640;
    let sealed =
        seal_weights(&world.devnet.beacon(), round, world.our_hotkey, &our_weights()).expect("sealed");
    let receipt = with_blocks(&world.devnet, world.ours.commit_weights(&sealed.call)).await.expect("stored");
    let pending = world.official.ask("pending_commits", json!({})).await;
    let expected = json!([{
        "hotkey": world.our_hotkey,
        "epoch": world.devnet.epoch_index(),
        "commit_block": receipt.block.number,
        "reveal_round": round,
        "ciphertext": format!("0x{}", hex::encode(&sealed.call.sealed)),
    }]);
    assert_eq!(pending, expected);
    assert_eq!(world.official.ask("weights", json!({})).await, json!({}), "still sealed");

    world.next_epoch().await;
    assert_eq!(world.official.ask("pending_commits", json!({})).await, json!([]));
    assert_eq!(world.official.ask("weights", json!({})).await, json!({"1": SHOWN}));
    assert_eq!(world.devnet.weights().into_keys().collect::<Vec<_>>(), [OURS]);
}

/// The SDK seals to quicknet's key, which is built into it, so only quicknet's own signature opens its commits. The beacon
/// here is so slow that it has not come to the round whose signature is published.
#[tokio::test]
async fn we_see_the_official_client_s_commit_and_its_weights_once_drand_s_signature_is_there() {
    let config = DevnetConfig { commit_reveal: true, beacon_period: 100_000, ..DevnetConfig::default() };
    let Some(mut world) = World::start(config).await else { return };
    assert!(world.devnet.last_pulse_round() < PUBLISHED_ROUND);
    world.next_epoch().await;
    let asked_at = Beacon::quicknet().round_at(now());
    let (first_at, first_round) = world.set_theirs(json!({"3": 1.0}), None).await;
    let first_round = first_round.expect("sealed");
    assert!((asked_at..asked_at + 500).contains(&first_round), "{first_round}, asked in {asked_at}");
    let (second_at, second_round) = world.set_theirs(their_weights(), Some(PUBLISHED_ROUND)).await;
    assert_eq!(second_round, Some(PUBLISHED_ROUND));

    let head = world.devnet.head().hash;
    let held = world.ours.own_weights(NETUID, THEIRS, world.their_hotkey, head).await.expect("read");
    assert_eq!(held.weights, []);
    let seen: Vec<_> = held.commits.iter().map(|held| (held.committed_at, held.reveal_round)).collect();
    assert_eq!(seen, [(first_at, first_round), (second_at, PUBLISHED_ROUND)]);
    let sealed = world.devnet.pending_commits(world.their_hotkey).pop().expect("the second").sealed;
    assert_eq!(held.commits[1].commit, Digest::of(&sealed));
    let call = WeightsCall { values: THEIR_VALUES.to_vec(), ..our_weights() };
    assert_eq!(open(&sealed, &PUBLISHED_SIGNATURE), Ok(payload(world.their_hotkey, &call)));

    world.devnet.publish_pulse(PUBLISHED_ROUND, PUBLISHED_SIGNATURE.clone());
    world.next_epoch().await;
    assert_eq!(world.row_of(THEIRS).await, their_row());
}
