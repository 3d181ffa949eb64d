//! Runtime upgrades on a running chain: 365 to 461 and back, and one that breaks its clients.

use leoma::{
    chain::{
        devnet::{DevRuntime, DevnetConfig, DevnetError, ModelError},
        port::{Chain, ChainError},
        subtensor::{SubtensorChain, SubtensorOptions},
    },
    domain::ids::{BlockHash, NetUid, Uid},
};
use serde_json::{Value as Json, json};
use subxt::{dynamic::Value, rpcs::rpc_params, transactions::TransactionStatus};
use subxt_signer::sr25519::dev;

use super::{
    client::{Client, Ended, NETUID, config, set_weights},
    commit_reveal::{bobs_commit, coming_round},
    commitments,
};

fn on_365() -> DevnetConfig {
    DevnetConfig { runtime: DevRuntime::Spec365, tempo: 10, ..config() }
}

async fn spec_at(client: &Client, hash: BlockHash) -> u64 {
    let version: Json =
        client.rpc.request("state_getRuntimeVersion", rpc_params![hash]).await.expect("version");
    let at = client.api.at_block(subxt::utils::H256(hash.0)).await.expect("block");
    assert_eq!(json!(at.spec_version()), version["specVersion"], "both ways to ask agree");
    version["specVersion"].as_u64().expect("number")
}

/// A counter of the subnet at the head, `None` when the runtime has no such entry.
async fn counter(client: &Client, entry: &str) -> Option<u64> {
    let at = client.api.at_current_block().await.expect("head");
    let address = subxt::dynamic::storage::<Vec<Value>, u64>("SubtensorModule", entry);
    let entry = at.storage().entry(address).ok()?;
    let value = entry.fetch(vec![Value::u128(NETUID.into())]).await.expect("fetch");
    Some(value.decode().expect("decode"))
}

fn epoch_block_under_365(number: u64) -> bool {
    (number + u64::from(NETUID) + 1) % 11 == 10
}

#[tokio::test]
async fn the_old_runtime_has_epochs_by_number_and_takes_weights() {
    let client = Client::start(on_365()).await;
    assert_eq!((client.devnet.spec_version(), spec_at(&client, client.devnet.head().hash).await), (365, 365));
    for missing in ["LastEpochBlock", "PendingEpochAt", "SubnetEpochIndex"] {
        assert_eq!(counter(&client, missing).await, None, "{missing}");
    }
    assert!(matches!(client.run(&set_weights(&[3], &[65535]), &dev::bob()).await, Ok(Ended::Success { .. })));
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(3), 65535)]);
    let mut epochs = 0;
    for _ in 0..22 {
        let head = client.devnet.produce_block().await;
        let ran = counter(&client, "BlocksSinceLastStep").await == Some(0);
        assert_eq!(ran, epoch_block_under_365(head.number.0), "{}", head.number);
        epochs += u32::from(ran);
    }
    assert_eq!(epochs, 2);
    assert!(client.devnet.incentive().contains_key(&Uid(3)));
}

#[tokio::test]
async fn an_upgrade_holds_from_the_next_block_and_old_blocks_keep_their_runtime() {
    let client = Client::start(on_365()).await;
    let mut versions = client
        .rpc
        .subscribe::<Json>("state_subscribeRuntimeVersion", rpc_params![], "state_unsubscribeRuntimeVersion")
        .await
        .expect("subscription");
    assert_eq!(versions.next().await.expect("told").expect("version")["specVersion"], json!(365));
    while !epoch_block_under_365(client.devnet.head().number.0) {
        client.devnet.produce_block().await;
    }
    let epoch = client.devnet.head().number.0;
    let before = client.devnet.produce_block().await;

    client.devnet.upgrade(DevRuntime::Spec461).expect("accepted");
    let upgrade = client.devnet.produce_block().await;
    assert_eq!(versions.next().await.expect("told").expect("version")["specVersion"], json!(461));
    assert_eq!(spec_at(&client, before.hash).await, 365);
    assert_eq!(spec_at(&client, upgrade.hash).await, 461, "its state has the new code");
    assert_eq!(counter(&client, "LastEpochBlock").await, Some(0), "but is not migrated yet");

    client.devnet.produce_block().await;
    assert_eq!(counter(&client, "LastEpochBlock").await, Some(epoch));
    assert_eq!(counter(&client, "PendingEpochAt").await, Some(0));
    assert_eq!(counter(&client, "SubnetEpochIndex").await, Some((epoch + 1 + u64::from(NETUID) + 1) / 11));
    client.succeed(&set_weights(&[2], &[65535]), &dev::bob()).await;
    while counter(&client, "LastEpochBlock").await == Some(epoch) {
        client.devnet.produce_block().await;
    }
    assert_eq!(client.devnet.head().number.0, epoch + 10, "by tempo from the last one");
    assert_eq!(spec_at(&client, before.hash).await, 365);

    client.devnet.upgrade(DevRuntime::Spec365).expect("accepted");
    client.devnet.produce_block().await;
    assert_eq!(versions.next().await.expect("told").expect("version")["specVersion"], json!(365));
    let back = client.devnet.produce_block().await;
    assert_eq!(spec_at(&client, back.hash).await, 365);
    assert_eq!(counter(&client, "LastEpochBlock").await, None);
}

/// The epochs' numbers go on through the migration, so a commit finds its epoch.
#[tokio::test]
async fn a_commit_from_before_the_upgrade_is_revealed_after_it() {
    let client = Client::start(DevnetConfig { commit_reveal: true, weights_rate_limit: 0, ..on_365() }).await;
    client.succeed(&commitments::commit("Raw5", b"hello"), &dev::dave()).await;
    while !epoch_block_under_365(client.devnet.head().number.0) {
        client.devnet.produce_block().await;
    }
    let commit = bobs_commit(&client, coming_round(&client));
    client.succeed(&commit, &dev::bob()).await;
    let committed_in = client.devnet.epoch_index();
    client.devnet.upgrade(DevRuntime::Spec461).expect("accepted");
    client.devnet.produce_block().await;
    client.devnet.produce_block().await;
    assert_eq!(client.devnet.epoch_index(), committed_in);
    while client.devnet.epoch_index() == committed_in {
        assert!(client.devnet.weights().is_empty(), "not before its epoch");
        client.devnet.produce_block().await;
    }
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(3), 65535)]);

    // And under the old runtime alone.
    let client = Client::start(DevnetConfig { commit_reveal: true, weights_rate_limit: 0, ..on_365() }).await;
    let commit = bobs_commit(&client, coming_round(&client));
    client.succeed(&commit, &dev::bob()).await;
    let committed_in = client.devnet.epoch_index();
    while client.devnet.weights().is_empty() {
        assert!(client.devnet.epoch_index() <= committed_in + 1);
        client.devnet.produce_block().await;
    }
    assert_eq!(client.devnet.epoch_index(), committed_in + 1);
}

#[tokio::test]
async fn a_waiting_transaction_for_the_old_runtime_becomes_invalid() {
    let client = Client::start(on_365()).await;
    client.devnet.upgrade(DevRuntime::Spec461).expect("accepted");
    client.devnet.produce_block().await;
    // Back and forth, so that the transaction meets another runtime than it was signed for.
    client.devnet.upgrade(DevRuntime::Spec365).expect("accepted");
    client.devnet.produce_block().await;
    client.devnet.upgrade(DevRuntime::Spec461).expect("accepted");
    let mut early = client.submit(&set_weights(&[3], &[1]), &dev::bob()).await.expect("accepted");
    client.devnet.produce_block().await;
    // In the block that stores the code the old runtime still runs.
    assert!(client.devnet.weights().contains_key(&Uid(1)));
    while let Some(status) = early.next().await {
        assert!(!matches!(status.expect("status"), TransactionStatus::Invalid { .. }));
    }

    client.devnet.upgrade(DevRuntime::Spec365).expect("accepted");
    client.devnet.produce_block().await;
    // Signed for 365, which the head's state has; it waits for a nonce that comes too late.
    let params = subxt::config::substrate::SubstrateExtrinsicParamsBuilder::new().nonce(1);
    let mut late =
        client.submit_with(&set_weights(&[2], &[1]), &dev::alice(), params).await.expect("accepted");
    client.devnet.upgrade(DevRuntime::Spec461).expect("accepted");
    client.devnet.produce_block().await;
    client.succeed(&set_weights(&[3], &[1]), &dev::alice()).await;
    let mut invalid = false;
    while let Some(status) = late.next().await {
        invalid |= matches!(status.expect("status"), TransactionStatus::Invalid { .. });
    }
    assert!(invalid, "its signature holds for another runtime");
    assert_eq!(client.devnet.weights()[&Uid(0)], [(Uid(3), 65535)]);
}

#[tokio::test]
async fn a_broken_upgrade_stops_the_reader_until_a_healthy_one_heals_it() {
    let client = Client::start(config()).await;
    let url = client.devnet.url().parse().expect("a URL");
    let reader = SubtensorChain::connect(SubtensorOptions::new(vec![url])).await.expect("connected");
    let netuid = NetUid(NETUID);
    let healthy = client.devnet.head();
    let neurons = reader.neurons(netuid, healthy.hash).await.expect("neurons");

    let renamed = [("SubtensorModule", "Weights", "WeightRows"), ("SubtensorModule", "Keys", "Hotkeys")];
    client.devnet.upgrade(DevRuntime::renamed(462, &renamed)).expect("accepted");
    let broken = client.devnet.produce_block().await;
    match reader.neurons(netuid, broken.hash).await {
        Err(ChainError::Metadata { spec: 462, detail, .. }) => {
            assert!(detail.contains("SubtensorModule.Weights"), "{detail}");
            assert!(detail.contains("SubtensorModule.Keys"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.neurons(netuid, healthy.hash).await.as_ref(), Ok(&neurons), "the past is as it was");

    client.devnet.upgrade(DevRuntime::renamed(463, &[])).expect("accepted");
    let healed = client.devnet.produce_block().await;
    assert_eq!(reader.runtime(healed.hash).await, Ok(463));
    assert_eq!(reader.neurons(netuid, healed.hash).await, Ok(neurons));
    client.devnet.produce_block().await;
    client.succeed(&set_weights(&[3], &[65535]), &dev::bob()).await;
}

#[tokio::test]
async fn a_used_spec_version_or_an_unknown_name_is_refused() {
    let client = Client::start(config()).await;
    client.devnet.upgrade(DevRuntime::renamed(462, &[])).expect("accepted");
    let again = DevRuntime::renamed(462, &[("SubtensorModule", "Weights", "W")]);
    let taken = client.devnet.upgrade(again).expect_err("refused");
    assert!(matches!(taken, DevnetError::Model(ModelError::SpecVersionTaken(462))), "{taken}");
    let unknown = DevRuntime::renamed(463, &[("SubtensorModule", "NoSuch", "W")]);
    let refused = client.devnet.upgrade(unknown).expect_err("refused").to_string();
    assert!(refused.contains("SubtensorModule.NoSuch"), "{refused}");
    // The runtime that is known may come again.
    client.devnet.upgrade(DevRuntime::renamed(462, &[])).expect("accepted");
}
