//! Timelocked commitments: sealed, opened by the beacon's pulse, or failed for good.

use leoma::chain::{
    devnet::{BeaconSwitch, Missed, frame_revealed},
    timelock::seal,
};
use subxt::{dynamic, dynamic::Value, ext::scale_decode::DecodeAsType, tx::DynamicPayload};
use subxt_signer::sr25519::dev;

use super::client::{Client, Ended, NETUID, Refusal, config, event_names, hotkey};

/// Raw commitment data: a variant of `Data` with its fields.
fn sealed(bytes: &[u8], round: u64) -> Value {
    let fields = [("encrypted", Value::from_bytes(bytes)), ("reveal_round", Value::u128(round.into()))];
    Value::named_variant("TimelockEncrypted", fields)
}

fn raw(bytes: &[u8]) -> Value {
    Value::unnamed_variant(format!("Raw{}", bytes.len()), [Value::from_bytes(bytes)])
}

fn commit(fields: Vec<Value>) -> DynamicPayload<(u16, Value)> {
    let list = Value::unnamed_composite([Value::unnamed_composite(fields)]);
    dynamic::transaction(
        "Commitments",
        "set_commitment",
        (NETUID, Value::named_composite([("fields", list)])),
    )
}

fn keys() -> Vec<Value> {
    vec![Value::u128(NETUID.into()), Value::from_bytes(hotkey(&dev::dave()).0)]
}

async fn try_fetch<T: DecodeAsType + 'static>(client: &Client, entry: &str) -> Option<T> {
    let at = client.api.at_current_block().await.expect("head");
    let address = dynamic::storage::<Vec<Value>, T>("Commitments", entry);
    let value = at.storage().try_fetch(address, keys()).await.expect("read");
    value.map(|value| value.decode().expect("decode"))
}

/// What //Dave revealed.
async fn revealed(client: &Client) -> Vec<(Vec<u8>, u64)> {
    try_fetch(client, "RevealedCommitments").await.unwrap_or_default()
}

/// Names of the fields of //Dave's commitment; `None` when there is no commitment.
async fn fields(client: &Client) -> Option<Vec<String>> {
    let at = client.api.at_current_block().await.expect("head");
    let address = dynamic::storage::<Vec<Value>, Value>("Commitments", "CommitmentOf");
    let value = at.storage().try_fetch(address, keys()).await.expect("read")?;
    // deposit u64, block u32, compact count, then the fields: the first byte of each is its kind.
    let text = format!("{:?}", value.decode().expect("decode"));
    let names = ["TimelockEncrypted", "TimelockRevealFailed", "Raw2"];
    Some(names.into_iter().filter(|name| text.contains(name)).map(String::from).collect())
}

async fn indexed(client: &Client) -> usize {
    client.fetch::<Vec<(u16, [u8; 32])>>("Commitments", "TimelockedIndex", vec![]).await.len()
}

async fn events_of_head(client: &Client) -> Vec<String> {
    let at = client.api.at_current_block().await.expect("head");
    let events = event_names(&at.events().fetch().await.expect("events"));
    events.into_iter().filter(|name| name.starts_with("Commitments.")).collect()
}

/// Makes blocks until one has an event of the pallet; its number and events.
async fn next_event(client: &Client) -> (u64, Vec<String>) {
    for _ in 0..10 {
        let block = client.devnet.produce_block().await;
        let events = events_of_head(client).await;
        if !events.is_empty() {
            return (block.number.0, events);
        }
    }
    panic!("nothing happened in ten blocks");
}

fn seal_for(client: &Client, round: u64, message: &[u8]) -> Vec<u8> {
    seal(&client.devnet.beacon().public_key, round, message).expect("sealed")
}

#[tokio::test]
async fn a_sealed_commitment_opens_with_its_pulse_and_leaves_the_chain() {
    let client = Client::start(config()).await;
    let round = client.devnet.last_pulse_round() + 9;
    let text = frame_revealed(br#"{"model_name":"m"}"#);
    let call = commit(vec![sealed(&seal_for(&client, round, &text), round)]);
    let events = client.succeed(&call, &dev::dave()).await;
    assert_eq!(events, ["Commitments.TimelockCommitment", "System.ExtrinsicSuccess"]);
    assert_eq!(fields(&client).await.expect("committed"), ["TimelockEncrypted"]);
    assert_eq!(indexed(&client).await, 1);
    assert_eq!(revealed(&client).await, []);

    let (block, events) = next_event(&client).await;
    assert_eq!(events, ["Commitments.CommitmentRevealed"]);
    assert!(client.devnet.last_pulse_round() >= round);
    assert_eq!(revealed(&client).await, [(text, block)]);
    assert_eq!(fields(&client).await, None, "the commit block is gone with it");
    assert_eq!(indexed(&client).await, 0);
}

#[tokio::test]
async fn plain_fields_stay_when_a_sealed_one_opens() {
    let client = Client::start(config()).await;
    let (first, second) = (client.devnet.last_pulse_round() + 9, client.devnet.last_pulse_round() + 30);
    let sealed_to = |round: u64| sealed(&seal_for(&client, round, b"opened"), round);
    client.succeed(&commit(vec![raw(b"ab"), sealed_to(first), sealed_to(second)]), &dev::dave()).await;
    next_event(&client).await;
    assert_eq!(fields(&client).await.expect("stays"), ["TimelockEncrypted", "Raw2"]);
    assert_eq!((revealed(&client).await.len(), indexed(&client).await), (1, 1));
    next_event(&client).await;
    assert_eq!(fields(&client).await.expect("stays"), ["Raw2"]);
    assert_eq!((revealed(&client).await.len(), indexed(&client).await), (2, 0));
    // A commitment without a sealed field replaces what waited.
    client.succeed(&commit(vec![sealed_to(client.devnet.last_pulse_round() + 30)]), &dev::dave()).await;
    client.succeed(&commit(vec![raw(b"cd")]), &dev::dave()).await;
    assert_eq!(indexed(&client).await, 0);
}

#[tokio::test]
async fn what_does_not_open_stays_as_a_failed_field() {
    let client = Client::start(config()).await;
    let round = client.devnet.last_pulse_round() + 9;
    let wrong_round = seal_for(&client, round + 1, b"sealed to another round");
    let forgotten = client.devnet.last_pulse_round() - 100;
    let cases = [
        ("another round", wrong_round, round),
        ("no ciphertext", b"garbage".to_vec(), round),
        ("a forgotten round", vec![1], forgotten),
    ];
    for (what, bytes, round) in cases {
        client.succeed(&commit(vec![sealed(&bytes, round)]), &dev::dave()).await;
        let (_, events) = next_event(&client).await;
        assert_eq!(events, ["Commitments.CommitmentRevealFailed"], "{what}");
        assert_eq!(fields(&client).await.expect("stays"), ["TimelockRevealFailed"], "{what}");
        assert_eq!((revealed(&client).await, indexed(&client).await), (vec![], 0), "{what}");
    }
    // Nobody but the runtime writes such a field.
    let failed = [("encrypted", Value::from_bytes([1])), ("reveal_round", Value::u128(1))];
    let call = commit(vec![Value::named_variant("TimelockRevealFailed", failed)]);
    let end = client.run(&call, &dev::dave()).await.expect("accepted");
    assert!(matches!(end, Ended::Failed { error, .. } if error == "TimelockRevealFailedNotAllowed"));
}

#[tokio::test]
async fn an_outage_of_the_beacon_delays_the_reveal_or_loses_it() {
    for missed in [Missed::Published, Missed::Lost] {
        let client = Client::start(config()).await;
        let round = client.devnet.last_pulse_round() + 9;
        client.devnet.switch_beacon(BeaconSwitch::Stop);
        client.succeed(&commit(vec![sealed(&seal_for(&client, round, b"late"), round)]), &dev::dave()).await;
        for _ in 0..6 {
            client.devnet.produce_block().await;
        }
        assert!(client.devnet.last_pulse_round() < round);
        client.devnet.switch_beacon(BeaconSwitch::Start(missed));
        for _ in 0..2 {
            client.devnet.produce_block().await;
        }
        assert_eq!(revealed(&client).await.is_empty(), missed == Missed::Lost, "{missed:?}");
        assert_eq!(indexed(&client).await, usize::from(missed == Missed::Lost), "still waits");
    }
}

#[tokio::test]
async fn what_the_official_client_sealed_opens_with_the_published_signature() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../golden/timelock-round-1000/golden.json")).expect("json");
    let bytes = |name: &str| hex::decode(golden[name].as_str().expect(name)).expect("hexadecimal");
    let client = Client::start(config()).await;
    client.devnet.publish_pulse(1000, bytes("signature"));
    client.devnet.produce_block().await;
    for form in ["ciphertext", "envelope"] {
        client.succeed(&commit(vec![sealed(&bytes(form), 1000)]), &dev::dave()).await;
        next_event(&client).await;
        let entries = revealed(&client).await;
        assert_eq!(entries.last().expect(form).0, golden["text"].as_str().expect("text").as_bytes());
    }
    assert_eq!(revealed(&client).await.len(), 2);
}

#[tokio::test]
async fn a_longer_sealed_field_than_the_runtime_holds_does_not_decode() {
    let client = Client::start(config()).await;
    let refusal = client.submit(&commit(vec![sealed(&[1; 1025], u64::MAX)]), &dev::dave()).await.map(drop);
    assert!(matches!(refusal, Err(Refusal { code: 1001, .. })), "{refusal:?}");
    client.succeed(&commit(vec![sealed(&[1; 1024], u64::MAX)]), &dev::dave()).await;
}
