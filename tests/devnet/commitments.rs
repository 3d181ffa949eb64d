//! Commitments: plain, revealed, bounded, and gone with their neuron.

use leoma::{
    chain::devnet::{DevNeuron, DevnetConfig, frame_revealed},
    domain::ids::Uid,
};
use subxt::{dynamic, dynamic::Value, ext::scale_decode::DecodeAsType};
use subxt_signer::sr25519::dev;

use super::client::{Client, Ended, NETUID, Refusal, config, event_names, hotkey, set_weights};

type Revealed = Vec<(Vec<u8>, u64)>;

fn keys(pair: &subxt_signer::sr25519::Keypair) -> Vec<Value> {
    vec![Value::u128(NETUID.into()), Value::from_bytes(hotkey(pair).0)]
}

async fn revealed(client: &Client, pair: &subxt_signer::sr25519::Keypair) -> Option<Revealed> {
    let at = client.api.at_current_block().await.expect("head");
    let address = dynamic::storage::<Vec<Value>, Revealed>("Commitments", "RevealedCommitments");
    at.storage()
        .try_fetch(address, keys(pair))
        .await
        .expect("read")
        .map(|value| value.decode().expect("decode"))
}

#[tokio::test]
async fn initial_reveals_are_there_framed_and_in_order() {
    let client = Client::start(config()).await;
    let expected = vec![(frame_revealed(b"first"), 999_000), (frame_revealed(b"second"), 999_500)];
    assert_eq!(revealed(&client, &dev::charlie()).await, Some(expected));
    assert_eq!(revealed(&client, &dev::dave()).await, None);
}

#[tokio::test]
async fn a_reveal_lands_in_the_next_block_and_the_last_ten_stay() {
    let client = Client::start(config()).await;
    for index in 0..12u8 {
        client.devnet.reveal_commitment(hotkey(&dev::dave()), frame_revealed(&[index]));
        let block = client.devnet.produce_block().await;
        let entries = revealed(&client, &dev::dave()).await.expect("revealed");
        assert_eq!(entries.last(), Some(&(vec![4, index], block.number.0)));
        assert_eq!(entries.len(), usize::from(index + 1).min(10));
    }
    assert_eq!(revealed(&client, &dev::dave()).await.expect("revealed")[0].0, [4, 2]);
    let at = client.api.at_current_block().await.expect("head");
    let events = at.events().fetch().await.expect("events");
    assert_eq!(
        event_names(&events),
        ["Commitments.CommitmentRevealed", "Drand.NewPulse", "System.ExtrinsicSuccess"]
    );
    // Nobody reveals for a key without a slot.
    client.devnet.reveal_commitment(hotkey(&dev::eve()), frame_revealed(b"x"));
    client.devnet.produce_block().await;
    assert_eq!(revealed(&client, &dev::eve()).await, None);
}

#[test]
fn framing_is_that_of_a_scale_string() {
    assert_eq!(frame_revealed(b"ab"), [8, b'a', b'b']);
    let long = "x".repeat(300);
    assert_eq!(frame_revealed(long.as_bytes()), subxt::ext::codec::Encode::encode(&long));
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Registration {
    block: u32,
}

pub fn commit(variant: &str, bytes: &[u8]) -> subxt::tx::DynamicPayload<(u16, Value)> {
    let field = Value::unnamed_variant(variant, [Value::from_bytes(bytes)]);
    let info =
        Value::named_composite([("fields", Value::unnamed_composite([Value::unnamed_composite([field])]))]);
    dynamic::transaction("Commitments", "set_commitment", (NETUID, info))
}

#[tokio::test]
async fn a_plain_commitment_is_stored_with_its_block() {
    let client = Client::start(config()).await;
    let events = client.succeed(&commit("Raw5", b"hello"), &dev::dave()).await;
    assert_eq!(events, ["Commitments.Commitment", "System.ExtrinsicSuccess"]);
    let head = client.devnet.head().number.0;
    let registration: Registration = client.fetch("Commitments", "CommitmentOf", keys(&dev::dave())).await;
    assert_eq!(u64::from(registration.block), head);
    let at = client.api.at_current_block().await.expect("head");
    let address = dynamic::storage::<Vec<Value>, Value>("Commitments", "CommitmentOf");
    let raw = at.storage().fetch(address, keys(&dev::dave())).await.expect("read");
    // deposit u64, block u32, one field, variant 6 = Raw5, the bytes.
    let expected = [&[0; 8][..], &(head as u32).to_le_bytes(), &[4, 6], b"hello"].concat();
    assert_eq!(raw.bytes(), expected);
    assert_eq!(client.fetch::<u32>("Commitments", "LastCommitment", keys(&dev::dave())).await, head as u32);
}

async fn failure(client: &Client, call: &subxt::tx::DynamicPayload<(u16, Value)>) -> String {
    let signer = dev::dave();
    match client.run(call, &signer).await.expect("accepted") {
        Ended::Failed { pallet, error } => format!("{pallet}.{error}"),
        Ended::Success { .. } => "nothing".into(),
    }
}

async fn run_to_next_epoch(client: &Client) {
    let index = client.devnet.epoch_index();
    while client.devnet.epoch_index() == index {
        client.devnet.produce_block().await;
    }
}

#[tokio::test]
async fn commitments_are_bounded_in_space_and_need_a_slot() {
    // Room for 3100 bytes an epoch: each commitment takes at least 100.
    let client = Client::start(DevnetConfig { tempo: 60, ..config() }).await;
    run_to_next_epoch(&client).await;
    for _ in 0..31 {
        assert_eq!(failure(&client, &commit("Raw1", b"x")).await, "nothing");
    }
    assert_eq!(failure(&client, &commit("Raw1", b"x")).await, "Commitments.SpaceLimitExceeded");
    run_to_next_epoch(&client).await;
    assert_eq!(failure(&client, &commit("Raw1", b"x")).await, "nothing");

    let refusal = client.run(&commit("Raw1", b"x"), &dev::eve()).await.map(drop);
    assert_eq!(refusal, Err(Refusal::invalid("Custom error: 19")));
}

#[tokio::test]
async fn a_slot_that_passes_on_takes_commitments_and_weights_with_it() {
    let client = Client::start(config()).await;
    client.succeed(&set_weights(&[2], &[1]), &dev::bob()).await;
    client.devnet.replace(Uid(1), DevNeuron::miner(hotkey(&dev::eve())));
    client.devnet.replace(Uid(2), DevNeuron::miner(hotkey(&dev::ferdie())));
    client.devnet.register(DevNeuron::validator(hotkey(&dev::one()), 5));
    let block = client.devnet.produce_block().await;
    let at = client.api.at_current_block().await.expect("head");
    let events = at.events().fetch().await.expect("events");
    let registered =
        event_names(&events).iter().filter(|name| *name == "SubtensorModule.NeuronRegistered").count();
    assert_eq!(registered, 3);
    assert_eq!(revealed(&client, &dev::charlie()).await, None);
    assert!(client.devnet.weights().is_empty());
    let netuid = || Value::u128(NETUID.into());
    let uid = |pair: &subxt_signer::sr25519::Keypair| keys(pair);
    assert_eq!(client.fetch::<u16>("SubtensorModule", "Uids", uid(&dev::ferdie())).await, 2);
    assert_eq!(client.fetch::<u16>("SubtensorModule", "Uids", uid(&dev::one())).await, 4);
    assert_eq!(client.fetch::<u16>("SubtensorModule", "SubnetworkN", vec![netuid()]).await, 5);
    assert_eq!(
        client.fetch::<u64>("SubtensorModule", "BlockAtRegistration", vec![netuid(), Value::u128(2)]).await,
        block.number.0
    );
    let permits: Vec<bool> = client.fetch("SubtensorModule", "ValidatorPermit", vec![netuid()]).await;
    assert_eq!(permits, [true, false, false, false, true]);
}
