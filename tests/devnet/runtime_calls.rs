//! Runtime calls of the official client beside `get_metagraph`.

use leoma::chain::devnet::DevnetConfig;
use subxt::{
    dynamic,
    ext::{frame_decode::storage::IntoEncodableValues, scale_decode::DecodeAsType},
};
use subxt_signer::sr25519::dev;

use super::client::{Client, NETUID, TAO, config, hotkey, set_weights};

async fn call<T: DecodeAsType + 'static>(
    client: &Client,
    method: &str,
    arguments: impl IntoEncodableValues + 'static,
) -> T {
    let at = client.api.at_current_block().await.expect("head");
    let call = dynamic::runtime_api_call::<_, T>("SubnetInfoRuntimeApi", method, arguments);
    at.runtime_apis().call(call).await.expect("call")
}

#[derive(DecodeAsType, Debug, PartialEq, Eq)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Chosen {
    netuid: u16,
    tempo: Option<u16>,
    commit_reveal_weights_enabled: Option<bool>,
    commit_reveal_period: Option<u64>,
    hotkeys: Option<Vec<[u8; 32]>>,
    validator_permit: Option<Vec<bool>>,
}

#[tokio::test]
async fn a_selective_metagraph_holds_what_was_asked_for() {
    let client = Client::start(DevnetConfig { commit_reveal: true, reveal_period: 2, ..config() }).await;
    // Places of the fields in the answer; 5000 is none.
    let indexes: Vec<u16> = vec![46, 47, 57, 5000];
    let chosen: Option<Chosen> = call(&client, "get_selective_metagraph", (NETUID, indexes.clone())).await;
    let expected = Chosen {
        netuid: NETUID,
        tempo: None,
        commit_reveal_weights_enabled: Some(true),
        commit_reveal_period: Some(2),
        hotkeys: None,
        validator_permit: Some(vec![true, true, false, false]),
    };
    assert_eq!(chosen.as_ref(), Some(&expected));
    let of_mechanism: Option<Chosen> =
        call(&client, "get_selective_mechagraph", (NETUID, 0u8, indexes.clone())).await;
    assert_eq!(of_mechanism, chosen);
    let nothing: Option<Chosen> =
        call(&client, "get_selective_mechagraph", (NETUID, 1u8, indexes.clone())).await;
    assert_eq!(nothing, None, "there is one mechanism");
    assert_eq!(call::<Option<Chosen>>(&client, "get_selective_metagraph", (7u16, indexes)).await, None);
}

#[derive(DecodeAsType, Debug, PartialEq, Eq)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Neurons {
    netuid: u16,
    hotkeys: Vec<[u8; 32]>,
    last_update: Vec<u64>,
    alpha_stake: Vec<u64>,
    total_stake: Vec<u64>,
}

#[tokio::test]
async fn metagraph_mechagraph_and_state_tell_the_same() {
    let client = Client::start(config()).await;
    client.succeed(&set_weights(&[2], &[1]), &dev::bob()).await;
    let metagraph: Option<Neurons> = call(&client, "get_metagraph", (NETUID,)).await;
    let neurons = metagraph.as_ref().expect("a subnet");
    assert_eq!(neurons.netuid, NETUID);
    assert_eq!(neurons.hotkeys[1], hotkey(&dev::bob()).0);
    assert_eq!(neurons.last_update[1], client.devnet.head().number.0);
    // In the model alpha is all the stake there is.
    assert_eq!(neurons.alpha_stake, [1000 * TAO, 3000 * TAO, 0, 0]);
    assert_eq!(neurons.total_stake, neurons.alpha_stake);
    assert_eq!(call::<Option<Neurons>>(&client, "get_mechagraph", (NETUID, 0u8)).await, metagraph);
    assert_eq!(call::<Option<Neurons>>(&client, "get_mechagraph", (NETUID, 1u8)).await, None);
    assert_eq!(call::<Option<Neurons>>(&client, "get_subnet_state", (NETUID,)).await, metagraph);
    assert_eq!(call::<Option<Neurons>>(&client, "get_subnet_state", (7u16,)).await, None);
}

#[derive(DecodeAsType, Debug, PartialEq, Eq)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Entry {
    name: Vec<u8>,
    value: Parameter,
}

#[derive(DecodeAsType, Debug, PartialEq, Eq)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
enum Parameter {
    Bool(bool),
    U16(u16),
    U64(u64),
}

#[tokio::test]
async fn parameters_come_as_a_list_of_names() {
    let config = DevnetConfig { commit_reveal: true, weights_version_key: 70_000, ..config() };
    let client = Client::start(config).await;
    let list: Option<Vec<Entry>> = call(&client, "get_subnet_hyperparams_v3", (NETUID,)).await;
    let list = list.expect("a subnet");
    for (name, value) in [
        ("tempo", Parameter::U16(100)),
        ("commit_reveal_weights_enabled", Parameter::Bool(true)),
        ("commit_reveal_period", Parameter::U64(1)),
        ("weights_version", Parameter::U64(70_000)),
        ("weights_rate_limit", Parameter::U64(100)),
    ] {
        assert!(list.contains(&Entry { name: name.into(), value }), "{name}: {list:?}");
    }
    assert_eq!(call::<Option<Vec<Entry>>>(&client, "get_subnet_hyperparams_v3", (7u16,)).await, None);
}

#[tokio::test]
async fn a_transaction_costs_nothing() {
    let client = Client::start(config()).await;
    let answer: String = client
        .rpc
        .request("state_call", subxt::rpcs::rpc_params!["TransactionPaymentApi_query_info", "0x0400"])
        .await
        .expect("answer");
    // Compact weights, class Normal, fee zero.
    let bytes = hex::decode(answer.trim_start_matches("0x")).expect("hexadecimal");
    assert_eq!(bytes[bytes.len() - 9..], [0; 9]);
}
