//! Epochs: announced, run, and who is shown as paid.

use leoma::{
    chain::devnet::{DevNeuron, DevnetConfig},
    domain::ids::{Hotkey, Uid},
};
use subxt::{dynamic, dynamic::Value};
use subxt_signer::sr25519::dev;

use super::client::{Client, NETUID, config, set_weights};

async fn announced(client: &Client) -> Option<u64> {
    let at = client.api.at_current_block().await.expect("head");
    let call = dynamic::runtime_api_call::<_, Option<u64>>(
        "SubnetInfoRuntimeApi",
        "get_next_epoch_start_block",
        (NETUID,),
    );
    at.runtime_apis().call(call).await.expect("call")
}

async fn read(client: &Client, entry: &str) -> u64 {
    client.fetch("SubtensorModule", entry, vec![Value::u128(NETUID.into())]).await
}

async fn run_to(client: &Client, number: u64) {
    while client.devnet.head().number.0 < number {
        client.devnet.produce_block().await;
    }
}

#[tokio::test]
async fn an_epoch_runs_at_the_announced_block_and_moves_the_counters() {
    let client = Client::start(DevnetConfig { tempo: 10, ..config() }).await;
    for _ in 0..3 {
        let next = announced(&client).await.expect("announced");
        assert!(next > client.devnet.head().number.0);
        let (index, last) = (read(&client, "SubnetEpochIndex").await, read(&client, "LastEpochBlock").await);
        assert_eq!(next, last + 10);
        run_to(&client, next - 1).await;
        assert_eq!(read(&client, "SubnetEpochIndex").await, index);
        assert_eq!(announced(&client).await, Some(next));
        assert!(read(&client, "BlocksSinceLastStep").await > 0);
        client.devnet.produce_block().await;
        assert_eq!(read(&client, "SubnetEpochIndex").await, index + 1);
        assert_eq!(read(&client, "LastEpochBlock").await, next);
        assert_eq!(read(&client, "BlocksSinceLastStep").await, 0);
    }
}

#[tokio::test]
async fn epochs_do_not_fall_on_round_numbers_and_tempo_zero_has_none() {
    let client = Client::start(config()).await;
    assert_ne!(announced(&client).await.expect("announced") % 100, 0);
    let client = Client::start(DevnetConfig { tempo: 0, ..config() }).await;
    assert_eq!(announced(&client).await, None);
    let index = client.devnet.epoch_index();
    run_to(&client, client.devnet.head().number.0 + 20).await;
    assert_eq!(client.devnet.epoch_index(), index);
}

#[tokio::test]
async fn the_winner_of_the_weights_is_shown_as_paid_at_the_epoch() {
    let client = Client::start(DevnetConfig { tempo: 20, ..config() }).await;
    client.succeed(&set_weights(&[3], &[65535]), &dev::bob()).await;
    assert!(client.devnet.emission().is_empty(), "nothing is paid before an epoch");
    run_to(&client, announced(&client).await.expect("announced")).await;
    // Twenty blocks of one alpha: half to the only miner with weight, half to the only validator.
    let half = 10_000_000_000;
    assert_eq!(client.devnet.emission().into_iter().collect::<Vec<_>>(), [(Uid(1), half), (Uid(3), half)]);
    assert_eq!(client.devnet.incentive().into_iter().collect::<Vec<_>>(), [(Uid(3), 65535)]);
    let on_chain: Vec<u16> =
        client.fetch("SubtensorModule", "Incentive", vec![Value::u128(NETUID.into())]).await;
    assert_eq!(on_chain, [0, 0, 0, 65535]);
}

#[tokio::test]
async fn incentive_is_the_stake_weighted_mean_of_the_rows() {
    let client = Client::start(DevnetConfig { tempo: 20, ..config() }).await;
    // Stakes 1 and 3: (1 * [1/2, 1/2] + 3 * [0, 1]) / 4 = [1/8, 7/8].
    let alice = client.submit(&set_weights(&[2, 3], &[9, 9]), &dev::alice()).await.expect("accepted");
    let bob = client.submit(&set_weights(&[3], &[9]), &dev::bob()).await.expect("accepted");
    client.devnet.produce_block().await;
    for progress in [alice, bob] {
        progress.wait_for_finalized_success().await.expect("success");
    }
    run_to(&client, announced(&client).await.expect("announced")).await;
    let incentive = client.devnet.incentive();
    assert_eq!((incentive[&Uid(2)], incentive[&Uid(3)]), (8191, 57343));
}

#[tokio::test]
async fn weights_for_a_slots_former_hotkey_pay_nobody() {
    let client = Client::start(DevnetConfig { tempo: 20, ..config() }).await;
    client.succeed(&set_weights(&[3], &[65535]), &dev::bob()).await;
    client.devnet.replace(Uid(3), DevNeuron::miner(Hotkey([9; 32])));
    run_to(&client, announced(&client).await.expect("announced")).await;
    assert!(client.devnet.incentive().is_empty());
}
