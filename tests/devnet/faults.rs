//! Injected faults: each one through the admin calls, as a client meets it, and healed again.

use std::time::Duration;

use leoma::chain::devnet::{Devnet, DevnetConfig, DevnetError, Fault};
use serde_json::{Value as Json, json};
use subxt::rpcs::{
    RpcClient,
    client::{RpcParams, RpcSubscription},
    rpc_params,
};
use subxt_signer::sr25519::dev;
use tokio::time::timeout;

use super::client::{Client, Ended, Refusal, config, set_weights};

/// Long enough for an answer on loopback that is not held, short enough to wait for one that is.
const SILENCE: Duration = Duration::from_millis(80);

fn admin() -> DevnetConfig {
    DevnetConfig { admin: true, ..config() }
}

async fn ask(rpc: &RpcClient, method: &str, params: RpcParams) -> Json {
    rpc.request(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
}

async fn inject(client: &Client, fault: Json) {
    assert_eq!(ask(&client.rpc, "dev_inject", rpc_params![fault]).await, Json::Null);
}

async fn heal(client: &Client) -> Json {
    ask(&client.rpc, "dev_heal", rpc_params![]).await
}

async fn finalized_heads(rpc: &RpcClient) -> RpcSubscription<Json> {
    rpc.subscribe("chain_subscribeFinalizedHeads", rpc_params![], "chain_unsubscribeFinalizedHeads")
        .await
        .expect("subscription")
}

#[tokio::test]
async fn admin_calls_are_there_only_when_asked_for_and_only_on_loopback() {
    let client = Client::start(config()).await;
    assert!(client.rpc.request::<Json>("dev_faults", rpc_params![]).await.is_err());
    let methods = ask(&client.rpc, "rpc_methods", rpc_params![]).await.to_string();
    assert!(!methods.contains("dev_"));
    let client = Client::start(admin()).await;
    assert_eq!(ask(&client.rpc, "dev_faults", rpc_params![]).await, json!([]));
    let anywhere = DevnetConfig { listen: ([0, 0, 0, 0], 0).into(), ..admin() };
    let refused = Devnet::start(anywhere).await.map(drop).expect_err("refused");
    assert!(matches!(refused, DevnetError::Config { field: "admin", .. }), "{refused}");
}

#[tokio::test]
async fn faults_are_listed_and_what_makes_no_sense_is_refused() {
    let client = Client::start(admin()).await;
    let (slow, swallow) = (json!({ "fault": "slow", "ms": 1 }), json!({ "fault": "swallow", "count": 2 }));
    inject(&client, slow.clone()).await;
    inject(&client, swallow.clone()).await;
    assert_eq!(ask(&client.rpc, "dev_faults", rpc_params![]).await, json!([slow, swallow]));
    assert_eq!(ask(&client.rpc, "dev_heal", rpc_params!["slow"]).await, json!(1));
    assert_eq!(client.devnet.faults(), [Fault::Swallow { count: 2 }]);
    assert_eq!((heal(&client).await, heal(&client).await), (json!(1), json!(0)));
    for wrong in [
        json!({ "fault": "earthquake" }),
        json!({ "fault": "not_listening" }),
        json!({ "fault": "fail_in_block", "count": 1, "pallet": "SubtensorModule", "error": "NoSuchError" }),
    ] {
        let refused = client.rpc.request::<Json>("dev_inject", rpc_params![&wrong]).await;
        assert!(refused.is_err(), "{wrong}");
    }
    assert!(client.devnet.faults().is_empty());
}

#[tokio::test]
async fn a_hanging_node_takes_calls_and_answers_when_healed() {
    let client = Client::start(admin()).await;
    inject(&client, json!({ "fault": "hang", "method": "system_chain" })).await;
    let mut hanging = Box::pin(ask(&client.rpc, "system_chain", rpc_params![]));
    assert!(timeout(SILENCE, &mut hanging).await.is_err(), "no answer");
    ask(&client.rpc, "system_name", rpc_params![]).await;

    inject(&client, json!({ "fault": "hang" })).await;
    let mut all = Box::pin(ask(&client.rpc, "system_name", rpc_params![]));
    assert!(timeout(SILENCE, &mut all).await.is_err(), "no answer");
    assert_eq!(heal(&client).await, json!(1), "the call heals though everything hangs");
    assert_eq!(all.await, json!("leoma-devnet"));
    assert!(hanging.await.is_string());
}

#[tokio::test]
async fn a_batch_hangs_with_any_of_its_calls() {
    let client = Client::start(admin()).await;
    let url = client.devnet.url().replace("ws://", "http://");
    let call = |method: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] });
    let batch = json!([call("system_name"), call("system_chain")]);
    client.devnet.inject(Fault::Hang { method: Some("system_chain".into()) }).await.expect("injected");
    let http = reqwest::Client::new();
    let mut sending = Box::pin(http.post(&url).json(&batch).send());
    assert!(timeout(SILENCE, &mut sending).await.is_err(), "no answer");
    client.devnet.heal().await;
    let answers: Json = sending.await.expect("answered").json().await.expect("JSON");
    assert_eq!(answers.as_array().expect("a batch").len(), 2);
}

#[tokio::test]
async fn a_half_dead_socket_answers_calls_and_tells_nothing() {
    let client = Client::start(admin()).await;
    let mut heads = finalized_heads(&client.rpc).await;
    heads.next().await.expect("the present head").expect("a head");
    inject(&client, json!({ "fault": "silent_subscriptions" })).await;
    for _ in 0..3 {
        ask(&client.rpc, "dev_produce", rpc_params![]).await;
    }
    assert!(timeout(SILENCE, heads.next()).await.is_err(), "silent");
    let head = client.devnet.head();
    assert_eq!(ask(&client.rpc, "chain_getFinalizedHead", rpc_params![]).await, json!(head.hash));
    heal(&client).await;
    for number in head.number.0 - 2..=head.number.0 {
        assert_eq!(heads.next().await.expect("a head").expect("a head")["number"], format!("{number:#x}"));
    }
}

#[tokio::test]
async fn connections_are_cut_and_new_ones_are_taken() {
    let client = Client::start(admin()).await;
    let mut heads = finalized_heads(&client.rpc).await;
    heads.next().await.expect("the present head").expect("a head");
    ask(&client.rpc, "dev_dropConnections", rpc_params![]).await;
    while let Some(Ok(_)) = heads.next().await {}
    assert!(client.rpc.request::<Json>("system_name", rpc_params![]).await.is_err(), "the socket is gone");
    let again = RpcClient::from_insecure_url(client.devnet.url()).await.expect("connected");
    ask(&again, "system_name", rpc_params![]).await;
}

#[tokio::test]
async fn a_dead_endpoint_comes_back_at_its_port() {
    let client = Client::start(admin()).await;
    let url = client.devnet.url();
    client.devnet.inject(Fault::NotListening { for_ms: None }).await.expect("injected");
    assert!(client.rpc.request::<Json>("system_name", rpc_params![]).await.is_err(), "connections are cut");
    assert!(RpcClient::from_insecure_url(&url).await.is_err(), "and the port is closed");
    let produced = client.devnet.produce_block().await;
    client.devnet.heal().await;
    let again = RpcClient::from_insecure_url(&url).await.expect("connected");
    assert_eq!(ask(&again, "chain_getFinalizedHead", rpc_params![]).await, json!(produced.hash));

    // By RPC it heals by itself, since nobody could call.
    let mut heads = finalized_heads(&again).await;
    let short = json!({ "fault": "not_listening", "for_ms": 1 });
    ask(&again, "dev_inject", rpc_params![short]).await;
    while let Some(Ok(_)) = heads.next().await {}
    client.devnet.heal().await;
    assert!(RpcClient::from_insecure_url(&url).await.is_ok());
    assert!(client.devnet.faults().is_empty());
}

#[tokio::test]
async fn block_zero_changes_its_hash_and_answers_come_late() {
    let client = Client::start(admin()).await;
    let genesis = json!(client.devnet.genesis_hash());
    assert_eq!(ask(&client.rpc, "chain_getBlockHash", rpc_params![0]).await, genesis);
    inject(&client, json!({ "fault": "wrong_genesis" })).await;
    assert_ne!(ask(&client.rpc, "chain_getBlockHash", rpc_params![0]).await, genesis);
    heal(&client).await;
    assert_eq!(ask(&client.rpc, "chain_getBlockHash", rpc_params![0]).await, genesis);
    inject(&client, json!({ "fault": "slow", "ms": 60 })).await;
    let asked = std::time::Instant::now();
    ask(&client.rpc, "system_name", rpc_params![]).await;
    assert!(asked.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn submissions_are_refused_fail_in_the_block_or_vanish() {
    let client = Client::start(admin()).await;
    let call = set_weights(&[3], &[65535]);
    inject(&client, json!({ "fault": "reject_submissions", "count": 1, "code": 1010, "custom": 6 })).await;
    assert_eq!(client.run(&call, &dev::bob()).await.err(), Some(Refusal::invalid("Custom error: 6")));
    inject(&client, json!({ "fault": "reject_submissions", "count": 1, "code": 1014 })).await;
    assert_eq!(client.run(&call, &dev::bob()).await.err().map(|refusal| refusal.code), Some(1014));

    let error = "CommittingWeightsTooFast";
    let failing =
        json!({ "fault": "fail_in_block", "count": 1, "pallet": "SubtensorModule", "error": error });
    inject(&client, failing).await;
    match client.run(&call, &dev::bob()).await.expect("accepted") {
        Ended::Failed { pallet, error: found } => {
            assert_eq!((pallet.as_str(), found.as_str()), ("SubtensorModule", error));
        }
        Ended::Success { .. } => panic!("it was to fail"),
    }

    inject(&client, json!({ "fault": "swallow", "count": 1 })).await;
    let mut lost = client.submit(&call, &dev::bob()).await.expect("accepted");
    client.devnet.produce_block().await;
    assert!(client.devnet.faults().is_empty(), "all are used up");
    assert!(client.devnet.weights().is_empty());
    let mut told = 0;
    while let Ok(status) = timeout(SILENCE, lost.next()).await {
        assert!(status.expect("the stream stays open").is_ok());
        told += 1;
    }
    assert!(told <= 1, "accepted, then silence");
    // Its nonce is still free.
    client.succeed(&call, &dev::bob()).await;
}

#[tokio::test]
async fn the_clock_and_finality_stand_still_until_healed() {
    let client = Client::start(DevnetConfig { finality_lag: 1, ..admin() }).await;
    inject(&client, json!({ "fault": "finality_stopped" })).await;
    let stuck = client.devnet.finalized_head();
    let head = ask(&client.rpc, "dev_produce", rpc_params![5]).await;
    assert_eq!(head["number"], json!(stuck.number.0 + 6));
    assert_eq!(client.devnet.finalized_head(), stuck);
    let fork = ask(&client.rpc, "dev_reorg", rpc_params![4, "drop"]).await;
    assert_eq!(fork["number"], json!(stuck.number.0 + 7));
    assert!(client.rpc.request::<Json>("dev_reorg", rpc_params![9]).await.is_err());
    heal(&client).await;
    let caught_up = client.devnet.produce_block().await;
    assert_eq!(client.devnet.finalized_head().number.0, caught_up.number.0 - 1);

    let timed = DevnetConfig { block_time: Some(Duration::from_millis(10)), ..admin() };
    let client = Client::start(timed).await;
    let mut heads = client.devnet.subscribe_heads();
    heads.changed().await.expect("the clock runs");
    inject(&client, json!({ "fault": "production_paused" })).await;
    // A tick that was on its way may still have made a block.
    let paused = client.devnet.produce_block().await;
    heads.mark_unchanged();
    assert!(timeout(SILENCE, heads.changed()).await.is_err(), "the clock stands");
    assert_eq!(client.devnet.head(), paused);
    heal(&client).await;
    heads.changed().await.expect("the clock runs again");
}

#[tokio::test]
async fn the_runtime_is_upgraded_by_an_admin_call() {
    let client = Client::start(admin()).await;
    let names = json!([["SubtensorModule", "Weights", "WeightRows"]]);
    ask(&client.rpc, "dev_upgrade", rpc_params![462, names]).await;
    ask(&client.rpc, "dev_produce", rpc_params![]).await;
    assert_eq!(client.devnet.spec_version(), 462);
    ask(&client.rpc, "dev_upgrade", rpc_params![463]).await;
    ask(&client.rpc, "dev_produce", rpc_params![]).await;
    assert_eq!(client.devnet.spec_version(), 463);
    assert!(client.rpc.request::<Json>("dev_upgrade", rpc_params![400]).await.is_err());
}

#[tokio::test]
async fn the_subnet_its_neurons_and_the_beacon_are_changed_by_admin_calls() {
    let client = Client::start(admin()).await;
    let key = vec![subxt::dynamic::Value::u128(99)];
    ask(&client.rpc, "dev_setParameter", rpc_params![json!({ "tempo": 50 })]).await;
    let bob = dev::bob().public_key().to_account_id().to_string();
    ask(&client.rpc, "dev_changeNeuron", rpc_params![bob, json!({ "permit": false })]).await;
    ask(&client.rpc, "dev_switchBeacon", rpc_params!["stop"]).await;
    client.devnet.produce_block().await;
    assert_eq!(client.fetch::<u16>("SubtensorModule", "Tempo", key.clone()).await, 50);
    let permits: Vec<bool> = client.fetch("SubtensorModule", "ValidatorPermit", key).await;
    assert_eq!(permits, [true, false, false, false]);
    let round = client.devnet.last_pulse_round();
    client.devnet.produce_block().await;
    assert_eq!(client.devnet.last_pulse_round(), round, "the beacon stands");
    ask(&client.rpc, "dev_switchBeacon", rpc_params![json!({ "start": "lost" })]).await;
    client.devnet.produce_block().await;
    client.devnet.produce_block().await;
    assert!(client.devnet.last_pulse_round() > round);
    let unknown = rpc_params![json!({ "colour": 1 })];
    assert!(client.rpc.request::<Json>("dev_setParameter", unknown).await.is_err());
}
