//! Refusals at submission with a number, beside those inside a block.

use leoma::chain::devnet::{DevNeuron, DevnetConfig, NeuronChange, SubnetParameter};
use subxt::{dynamic, dynamic::Value, tx::DynamicPayload};
use subxt_signer::sr25519::dev;

use super::client::{Client, NETUID, Refusal, TAO, config, hotkey, set_weights};

type Commit = DynamicPayload<(u16, Vec<u8>, u64, u16)>;

fn commit(round: u64) -> Commit {
    dynamic::transaction("SubtensorModule", "commit_timelocked_weights", (NETUID, vec![1u8], round, 4u16))
}

fn commitment(netuid: u16) -> DynamicPayload<(u16, Value)> {
    let field = Value::unnamed_variant("Raw1", [Value::from_bytes(b"x")]);
    let list = Value::unnamed_composite([Value::unnamed_composite([field])]);
    dynamic::transaction(
        "Commitments",
        "set_commitment",
        (netuid, Value::named_composite([("fields", list)])),
    )
}

fn refused(number: u8) -> Result<(), Refusal> {
    Err(Refusal::invalid(&format!("Custom error: {number}")))
}

#[tokio::test]
async fn stake_is_asked_of_every_weights_call_but_not_of_the_owner() {
    for commit_reveal in [false, true] {
        let mut config = DevnetConfig { commit_reveal, weights_rate_limit: 0, ..config() };
        config.neurons[0] = DevNeuron::miner(hotkey(&dev::alice()));
        let client = Client::start(config).await;
        client.devnet.set_parameter(SubnetParameter::StakeThreshold(3000 * TAO));
        client.devnet.produce_block().await;
        let (charlie, bob, alice) = (dev::charlie(), dev::bob(), dev::alice());
        assert_eq!(client.submit(&set_weights(&[2], &[1]), &charlie).await.map(drop), refused(1));
        assert_eq!(client.submit(&commit(u64::MAX), &charlie).await.map(drop), refused(1));
        let exactly_the_threshold = client.submit(&set_weights(&[2], &[1]), &bob).await.map(drop);
        assert_eq!(exactly_the_threshold, Ok(()));
        let owner = client.submit(&set_weights(&[2], &[1]), &alice).await.map(drop);
        assert_eq!(owner, Ok(()));
        // Stake that shrinks below the threshold while a transaction waits makes it invalid.
        client.devnet.produce_block().await;
        client.devnet.change_neuron(hotkey(&dev::bob()), NeuronChange::Stake(3000 * TAO - 1));
        let waiting = client.submit(&set_weights(&[3], &[1]), &dev::bob()).await.expect("accepted");
        client.devnet.produce_block().await;
        let error = waiting.wait_for_finalized().await.map(drop).expect_err("invalid in its turn");
        assert!(error.to_string().contains("invalid"), "{error}");
    }
}

#[tokio::test]
async fn a_commit_for_a_published_round_is_stale() {
    let client = Client::start(DevnetConfig { commit_reveal: true, ..config() }).await;
    let last = client.devnet.last_pulse_round();
    assert_eq!(client.submit(&commit(last - 1), &dev::bob()).await.map(drop), refused(15));
    assert_eq!(client.submit(&commit(last), &dev::bob()).await.map(drop), Ok(()), "the newest is not");
}

#[tokio::test]
async fn a_commitment_needs_a_slot_and_a_subnet() {
    let client = Client::start(config()).await;
    assert_eq!(client.submit(&commitment(NETUID), &dev::eve()).await.map(drop), refused(19));
    assert_eq!(client.submit(&commitment(7), &dev::dave()).await.map(drop), refused(3));
    client.succeed(&commitment(NETUID), &dev::dave()).await;
}

#[tokio::test]
async fn a_permit_is_asked_inside_the_block() {
    let client = Client::start(DevnetConfig { weights_rate_limit: 0, ..config() }).await;
    client.succeed(&set_weights(&[2], &[1]), &dev::bob()).await;
    client.devnet.change_neuron(hotkey(&dev::bob()), NeuronChange::Permit(false));
    client.devnet.produce_block().await;
    let end = client.run(&set_weights(&[3], &[1]), &dev::bob()).await.expect("accepted");
    assert!(matches!(end, super::client::Ended::Failed { error, .. } if error == "NeuronNoValidatorPermit"));
}

#[tokio::test]
async fn a_longer_commit_than_the_runtime_holds_does_not_decode() {
    let client = Client::start(DevnetConfig { commit_reveal: true, ..config() }).await;
    let of_length = |bytes: usize| -> Commit {
        let arguments = (NETUID, vec![1u8; bytes], u64::MAX, 4u16);
        dynamic::transaction("SubtensorModule", "commit_timelocked_weights", arguments)
    };
    let refusal = client.submit(&of_length(5001), &dev::bob()).await.map(drop);
    assert!(matches!(refusal, Err(Refusal { code: 1001, .. })), "{refusal:?}");
    client.succeed(&of_length(5000), &dev::bob()).await;
}
