//! The JSON-RPC surface itself: shapes, aliases, bounds.

use leoma::chain::devnet::{Devnet, DevnetConfig, DevnetError};
use serde_json::{Value as Json, json};
use subxt::rpcs::{client::RpcParams, rpc_params};
use subxt_signer::sr25519::dev;

use super::client::{Client, config, hotkey};

async fn ask(client: &Client, method: &str, params: RpcParams) -> Json {
    client.rpc.request(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
}

async fn refused(client: &Client, method: &str, params: RpcParams) -> (i32, String) {
    match client.rpc.request::<Json>(method, params).await {
        Err(subxt::rpcs::Error::User(error)) => (error.code, error.message),
        other => panic!("{method}: {other:?}"),
    }
}

#[tokio::test]
async fn the_node_says_what_it_is() {
    let client = Client::start(config()).await;
    let name = ask(&client, "system_chain", rpc_params![]).await;
    assert!(name.as_str().expect("text").contains("a model of subtensor"), "{name}");
    assert_eq!(ask(&client, "system_health", rpc_params![]).await["isSyncing"], json!(false));
    assert_eq!(ask(&client, "system_properties", rpc_params![]).await["ss58Format"], json!(42));
    let version = ask(&client, "state_getRuntimeVersion", rpc_params![]).await;
    assert_eq!((&version["specVersion"], &version["transactionVersion"]), (&json!(461), &json!(1)));
    let methods = ask(&client, "rpc_methods", rpc_params![]).await;
    let methods: Vec<&str> =
        methods["methods"].as_array().expect("list").iter().filter_map(Json::as_str).collect();
    for method in [
        "account_nextIndex",
        "author_submitAndWatchExtrinsic",
        "author_submitExtrinsic",
        "chain_getBlock",
        "chain_getBlockHash",
        "chain_getFinalizedHead",
        "chain_getHead",
        "chain_getHeader",
        "chain_subscribeAllHeads",
        "chain_subscribeFinalizedHeads",
        "chain_subscribeNewHeads",
        "rpc_methods",
        "state_call",
        "state_getKeysPaged",
        "state_getMetadata",
        "state_getRuntimeVersion",
        "state_getStorage",
        "state_getStorageAt",
        "state_queryStorageAt",
        "system_accountNextIndex",
        "system_chain",
        "system_health",
        "system_properties",
    ] {
        assert!(methods.contains(&method), "{method}");
    }
    let metadata = ask(&client, "state_getMetadata", rpc_params![]).await;
    assert!(metadata.as_str().expect("hex").starts_with("0x6d6574610e"), "V14 with its magic");
}

#[tokio::test]
async fn block_hashes_are_asked_in_every_form() {
    let client = Client::start(config()).await;
    let head = client.devnet.head();
    let hash = json!(head.hash);
    assert_eq!(ask(&client, "chain_getBlockHash", rpc_params![]).await, hash);
    assert_eq!(ask(&client, "chain_getHead", rpc_params![]).await, hash);
    assert_eq!(ask(&client, "chain_getBlockHash", rpc_params![1_000_000]).await, hash);
    assert_eq!(ask(&client, "chain_getBlockHash", rpc_params!["0xf4240"]).await, hash);
    let list = ask(&client, "chain_getBlockHash", rpc_params![json!([0, 1_000_000, 5])]).await;
    assert_eq!(list, json!([client.devnet.genesis_hash(), head.hash, null]));
    assert_eq!(ask(&client, "chain_getBlockHash", rpc_params![1_000_001]).await, Json::Null);
    let unknown = format!("0x{}", "ab".repeat(32));
    assert_eq!(ask(&client, "chain_getHeader", rpc_params![&unknown]).await, Json::Null);
    assert_eq!(ask(&client, "chain_getBlock", rpc_params![&unknown]).await, Json::Null);
    let block = ask(&client, "chain_getBlock", rpc_params![head.hash]).await;
    assert_eq!(block["block"]["header"]["number"], json!("0xf4240"));
    assert_eq!(block["block"]["header"]["parentHash"], json!(client.devnet.block_hash(999_999)));
}

#[tokio::test]
async fn storage_keys_of_the_recorded_node_hold_here() {
    let vectors: Json =
        serde_json::from_str(include_str!("../golden/chain-461/vectors.json")).expect("vectors");
    let client = Client::start(DevnetConfig { netuid: leoma::domain::ids::NetUid(1), ..config() }).await;
    let mut same_value = 0;
    for recorded in vectors["storage_values"].as_array().expect("list") {
        let (entry, key) = (&recorded["storage_function"], recorded["key_hex"].as_str().expect("key"));
        let value = ask(&client, "state_getStorage", rpc_params![key]).await;
        match entry.as_str().expect("name") {
            // Settings that the recorded subnet 1 and ours share.
            "Tempo" | "NetworksAdded" | "TotalNetworks" => {
                assert_eq!(value, recorded["raw_hex"], "{entry} {}", recorded["params"]);
                same_value += 1;
            }
            "Number" | "Now" | "SubnetOwner" => assert!(value.is_string(), "{entry} is stored"),
            _ => {}
        }
    }
    assert_eq!(same_value, 4);
    let keys: Vec<&str> = vectors["storage_keys"]
        .as_array()
        .expect("list")
        .iter()
        .filter(|recorded| recorded["storage_function"] == "Events")
        .filter_map(|recorded| recorded["key_hex"].as_str())
        .collect();
    let answer = ask(&client, "state_queryStorageAt", rpc_params![keys]).await;
    assert_eq!(answer[0]["block"], json!(client.devnet.head().hash));
    assert!(answer[0]["changes"][0][1].is_string());
}

#[tokio::test]
async fn wrong_questions_are_refused_with_a_reason() {
    let client = Client::start(config()).await;
    let unknown = format!("0x{}", "ab".repeat(32));
    let (code, message) = refused(&client, "state_getStorage", rpc_params!["0x00", &unknown]).await;
    assert_eq!(code, 4003, "{message}");
    assert!(message.contains("UnknownBlock"), "{message}");
    let (code, message) =
        refused(&client, "state_getStorage", rpc_params!["0x00", client.devnet.genesis_hash()]).await;
    assert_eq!(code, 4003, "{message}");
    assert!(message.contains("State already discarded"), "{message}");
    assert_eq!(refused(&client, "state_getStorage", rpc_params!["zz"]).await.0, -32602);
    assert_eq!(refused(&client, "state_getStorage", rpc_params![]).await.0, -32602);
    assert_eq!(refused(&client, "state_getKeysPaged", rpc_params!["0x", 1001]).await.0, 4002);
    assert_eq!(refused(&client, "system_accountNextIndex", rpc_params!["nobody"]).await.0, -32602);
    let (code, message) = refused(&client, "state_call", rpc_params!["Nothing_here", "0x"]).await;
    assert!(code == 4003 && message.contains("Nothing_here"), "{code} {message}");
    let (_, message) =
        refused(&client, "state_call", rpc_params!["AccountNonceApi_account_nonce", "0x01"]).await;
    assert!(message.contains("arguments"), "{message}");
    assert_eq!(refused(&client, "no_such_method", rpc_params![]).await.0, -32601);
}

#[tokio::test]
async fn http_answers_as_websocket_does_and_long_bodies_are_refused() {
    let client = Client::start(config()).await;
    let url = client.devnet.url().replace("ws://", "http://");
    let http = reqwest::Client::builder().no_proxy().build().expect("client");
    let ask = |body: String| http.post(&url).header("content-type", "application/json").body(body).send();
    let account = hotkey(&dev::alice()).to_string();
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": "account_nextIndex", "params": [account]});
    let answer: Json = ask(question.to_string()).await.expect("answer").json().await.expect("json");
    assert_eq!(answer["result"], json!(0));
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "system_chain", "params": ["x".repeat(3 << 20)]});
    let status = ask(long.to_string()).await.expect("answer").status();
    assert_eq!(status.as_u16(), 413);
    let batch: Vec<Json> = (0..65)
        .map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "system_chain", "params": []}))
        .collect();
    let answer: Json = ask(Json::from(batch).to_string()).await.expect("answer").json().await.expect("json");
    assert!(answer["error"].is_object(), "{answer}");
}

#[tokio::test]
async fn subscriptions_of_a_connection_are_bounded() {
    let client = Client::start(config()).await;
    let mut kept = Vec::new();
    for _ in 0..64 {
        kept.push(
            client
                .rpc
                .subscribe::<Json>("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads")
                .await
                .expect("subscribe"),
        );
    }
    let one_more = client
        .rpc
        .subscribe::<Json>("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads")
        .await;
    assert!(one_more.is_err());
}

#[tokio::test]
async fn a_dropped_chain_gives_its_port_back() {
    let first = Devnet::start(DevnetConfig::default()).await.expect("start");
    let listen = first.url().trim_start_matches("ws://").parse().expect("address");
    let taken = Devnet::start(DevnetConfig { listen, ..DevnetConfig::default() }).await.map(drop);
    let error = taken.expect_err("the port is taken");
    assert!(matches!(error, DevnetError::Listen { .. }), "{error}");
    let client = Client::start(config()).await;
    let url = client.devnet.url();
    let mut heads = client
        .rpc
        .subscribe::<Json>("chain_subscribeNewHeads", rpc_params![], "chain_unsubscribeNewHeads")
        .await
        .expect("subscribe");
    assert!(heads.next().await.expect("head").is_ok());
    drop(client.devnet);
    // The stream ends: the server is gone.
    while let Some(Ok(_)) = heads.next().await {}
    assert!(subxt::rpcs::RpcClient::from_insecure_url(&url).await.is_err());
}

#[tokio::test]
async fn impossible_settings_are_refused_by_name() {
    let two = vec![leoma::chain::devnet::DevNeuron::miner(hotkey(&dev::bob())); 2];
    for (field, config) in [
        ("start_block", DevnetConfig { start_block: 0, ..config() }),
        ("netuid", DevnetConfig { netuid: leoma::domain::ids::NetUid(0), ..config() }),
        ("block_time", DevnetConfig { block_time: Some(std::time::Duration::ZERO), ..config() }),
        ("neurons", DevnetConfig { neurons: two, ..config() }),
    ] {
        let error = Devnet::start(config).await.map(drop).expect_err(field);
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[tokio::test]
async fn a_chain_that_starts_at_block_one_works_too() {
    let client = Client::start(DevnetConfig { start_block: 1, ..config() }).await;
    client.devnet.produce_block().await;
    assert_eq!(client.devnet.head().number.0, 2);
    let at = client.api.at_block(1u64).await.expect("block");
    assert_eq!(at.block_number(), 1);
}
