//! The beacon on chain: who it is, which rounds it publishes, and its outage.

use leoma::chain::{
    devnet::{BeaconSwitch, DevnetConfig, Missed},
    timelock::{open, seal},
};
use sha2::{Digest, Sha256};
use subxt::{dynamic, dynamic::Value, ext::scale_decode::DecodeAsType};

use super::client::{Client, config};

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct BeaconConfig {
    public_key: Vec<u8>,
    period: u32,
    genesis_time: u32,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Pulse {
    round: u64,
    randomness: Vec<u8>,
    signature: Vec<u8>,
}

async fn pulse(client: &Client, round: u64) -> Option<Pulse> {
    let at = client.api.at_current_block().await.expect("head");
    let address = dynamic::storage::<Vec<Value>, Pulse>("Drand", "Pulses");
    let value = at.storage().try_fetch(address, vec![Value::u128(round.into())]).await.expect("read");
    value.map(|value| value.decode().expect("decode"))
}

async fn stored(client: &Client, entry: &str) -> u64 {
    client.fetch("Drand", entry, vec![]).await
}

#[tokio::test]
async fn rounds_follow_the_time_of_the_blocks() {
    let client = Client::start(config()).await;
    let on_chain: BeaconConfig = client.fetch("Drand", "BeaconConfig", vec![]).await;
    let beacon = client.devnet.beacon();
    assert_eq!(on_chain.public_key, beacon.public_key);
    assert_eq!(
        (u64::from(on_chain.period), u64::from(on_chain.genesis_time)),
        (beacon.period, beacon.genesis_time)
    );
    for _ in 0..3 {
        client.devnet.produce_block().await;
        let newest = (client.devnet.time_ms() / 1000 - beacon.genesis_time) / 3 + 1;
        assert_eq!(client.devnet.last_pulse_round(), newest);
        assert_eq!(stored(&client, "LastStoredRound").await, newest);
        // A block of twelve seconds brings four rounds.
        for round in newest - 3..=newest {
            let pulse = pulse(&client, round).await.expect("stored");
            assert_eq!(pulse.round, round);
            assert_eq!(pulse.randomness, Sha256::digest(&pulse.signature).to_vec());
            let sealed = seal(&beacon.public_key, round, b"x").expect("sealed");
            assert_eq!(open(&sealed, &pulse.signature).as_deref(), Ok(&b"x"[..]));
        }
        assert!(pulse(&client, newest + 1).await.is_none(), "no round before its time");
    }
}

#[tokio::test]
async fn the_key_comes_from_the_seed_and_the_period_from_the_settings() {
    let one = Client::start(DevnetConfig { seed: 1, ..config() }).await;
    let same = Client::start(DevnetConfig { seed: 1, beacon_period: 30, ..config() }).await;
    let other = Client::start(DevnetConfig { seed: 2, ..config() }).await;
    assert_eq!(one.devnet.beacon().public_key, same.devnet.beacon().public_key);
    assert_ne!(one.devnet.beacon().public_key, other.devnet.beacon().public_key);
    let before = same.devnet.last_pulse_round();
    for _ in 0..5 {
        same.devnet.produce_block().await;
    }
    assert_eq!(same.devnet.last_pulse_round(), before + 2, "sixty seconds are two rounds of thirty");
}

#[tokio::test]
async fn an_outage_stops_the_rounds_until_the_beacon_runs_again() {
    let client = Client::start(config()).await;
    client.devnet.switch_beacon(BeaconSwitch::Stop);
    let before = client.devnet.last_pulse_round();
    for _ in 0..50 {
        client.devnet.produce_block().await;
    }
    assert_eq!(client.devnet.last_pulse_round(), before);
    client.devnet.switch_beacon(BeaconSwitch::Start(Missed::Published));
    client.devnet.produce_block().await;
    assert_eq!(client.devnet.last_pulse_round(), before + 51 * 4);
    // Rounds that nothing waits for are not made up for: only the newest ones are written.
    assert!(pulse(&client, before + 100).await.is_none());
    assert!(pulse(&client, before + 51 * 4 - 3).await.is_some());
}
