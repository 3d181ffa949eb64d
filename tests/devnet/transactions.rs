//! Signed transactions: weights end to end, and what the pool refuses.

use leoma::{
    chain::devnet::{DevNeuron, DevnetConfig},
    domain::ids::{BlockHash, Hotkey, Uid},
};
use subxt::{SubstrateConfig, config::substrate::SubstrateExtrinsicParamsBuilder, dynamic, dynamic::Value};
use subxt_signer::sr25519::{Keypair, dev};

use super::client::{Client, Ended, NETUID, Refusal, config, ended, hotkey, set_weights};

fn params() -> SubstrateExtrinsicParamsBuilder<SubstrateConfig> {
    SubstrateExtrinsicParamsBuilder::new()
}

fn remark() -> subxt::tx::DynamicPayload<(Vec<u8>,)> {
    dynamic::transaction("System", "remark", (vec![1u8, 2, 3],))
}

#[tokio::test]
async fn signed_weights_land_and_read_back() {
    let client = Client::start(config()).await;
    let end = client.run(&set_weights(&[2, 3], &[200, 100]), &dev::bob()).await.expect("accepted");
    let Ended::Success { block, events } = end else { panic!("failed in the block") };
    assert_eq!(events, ["SubtensorModule.WeightsSet", "System.ExtrinsicSuccess"]);
    let head = client.devnet.head();
    assert_eq!(block, head.hash);
    let netuid = || Value::u128(NETUID.into());
    let row: Vec<(u16, u16)> =
        client.fetch("SubtensorModule", "Weights", vec![netuid(), Value::u128(1)]).await;
    assert_eq!(row, [(2, 65535), (3, 32768)]);
    let updates: Vec<u64> = client.fetch("SubtensorModule", "LastUpdate", vec![netuid()]).await;
    assert_eq!(updates[1], head.number.0);
    assert_eq!(
        client.devnet.weights().into_iter().collect::<Vec<_>>(),
        [(Uid(1), vec![(Uid(2), 65535), (Uid(3), 32768)])]
    );

    // The block before still says what it said.
    let before = client.api.at_block(head.number.0 - 1).await.expect("block");
    let address = dynamic::storage::<(u16, u16), Vec<(u16, u16)>>("SubtensorModule", "Weights");
    let row = before.storage().fetch(address, (NETUID, 1)).await.expect("read").decode().expect("decode");
    assert!(row.is_empty(), "{row:?}");
}

#[tokio::test]
async fn the_mechanism_call_of_python_clients_is_the_same() {
    let client = Client::start(config()).await;
    let call = dynamic::transaction(
        "SubtensorModule",
        "set_mechanism_weights",
        (NETUID, 0u8, vec![2u16], vec![1u16], 0u64),
    );
    client.succeed(&call, &dev::bob()).await;
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(2), 65535)]);
}

#[tokio::test]
async fn weights_too_early_are_refused_in_the_pool_until_the_limit_passes() {
    let client = Client::start(DevnetConfig { weights_rate_limit: 5, ..config() }).await;
    client.succeed(&set_weights(&[2], &[1]), &dev::bob()).await;
    for _ in 0..4 {
        let refusal = client.submit(&set_weights(&[3], &[1]), &dev::bob()).await.map(drop);
        assert_eq!(refusal, Err(Refusal::invalid("Custom error: 6")));
        client.devnet.produce_block().await;
    }
    // Four blocks later the next block is the fifth.
    client.succeed(&set_weights(&[3], &[1]), &dev::bob()).await;
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(3), 65535)]);
}

#[tokio::test]
async fn the_fault_switch_moves_the_rate_limit_into_the_block() {
    let client = Client::start(DevnetConfig { rate_limit_in_block: true, ..config() }).await;
    client.succeed(&set_weights(&[2], &[1]), &dev::bob()).await;
    let end = client.run(&set_weights(&[3], &[1]), &dev::bob()).await.expect("accepted");
    let Ended::Failed { pallet, error } = end else { panic!("succeeded") };
    assert_eq!((&*pallet, &*error), ("SubtensorModule", "SettingWeightsTooFast"));
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(2), 65535)], "the row is the old one");
}

#[tokio::test]
async fn two_in_the_pool_and_the_second_becomes_invalid() {
    let client = Client::start(config()).await;
    let first = client.submit(&set_weights(&[2], &[1]), &dev::bob()).await.expect("accepted");
    let second = client
        .submit_with(&set_weights(&[3], &[1]), &dev::bob(), params().nonce(1))
        .await
        .expect("accepted: the first has not run yet");
    client.devnet.produce_block().await;
    assert!(matches!(ended(first).await, Ended::Success { .. }));
    let error = second.wait_for_finalized().await.map(drop).expect_err("refused when its turn came");
    assert!(error.to_string().contains("invalid"), "{error}");
}

#[tokio::test]
async fn nonces_are_kept() {
    let client = Client::start(config()).await;
    client.succeed(&remark(), &dev::charlie()).await;
    // Used before.
    let stale = client.submit_with(&remark(), &dev::charlie(), params().nonce(0)).await.map(drop);
    assert_eq!(stale, Err(Refusal::invalid("Transaction is outdated")));
    // Ahead: waits for the gap to close.
    let ahead = client.submit_with(&remark(), &dev::charlie(), params().nonce(2)).await.expect("kept");
    client.devnet.produce_block().await;
    let next: u64 = client
        .rpc
        .request("system_accountNextIndex", subxt::rpcs::rpc_params![hotkey(&dev::charlie())])
        .await
        .expect("nonce");
    assert_eq!(next, 1, "the waiting transaction did not run");
    let gap = client.submit_with(&remark(), &dev::charlie(), params().nonce(1)).await.expect("accepted");
    // The same nonce again is refused while the first waits.
    let twice =
        client.submit_with(&set_weights(&[2], &[1]), &dev::charlie(), params().nonce(1)).await.map(drop);
    assert_eq!(twice.expect_err("refused").code, 1014);
    client.devnet.produce_block().await;
    assert!(matches!(ended(gap).await, Ended::Success { .. }));
    assert!(matches!(ended(ahead).await, Ended::Success { .. }));
    let next: u64 = client
        .rpc
        .request("account_nextIndex", subxt::rpcs::rpc_params![hotkey(&dev::charlie())])
        .await
        .expect("nonce");
    assert_eq!(next, 3);
}

/// A signer that signs for another account than its own.
struct Impostor(Keypair, Keypair);

impl subxt::tx::Signer<SubstrateConfig> for Impostor {
    fn account_id(&self) -> subxt::utils::AccountId32 {
        subxt::tx::Signer::<SubstrateConfig>::account_id(&self.0)
    }
    fn sign(&self, payload: &[u8]) -> subxt::utils::MultiSignature {
        subxt::tx::Signer::<SubstrateConfig>::sign(&self.1, payload)
    }
}

#[tokio::test]
async fn a_signature_of_another_key_or_chain_is_refused() {
    let client = Client::start(config()).await;
    let at = client.api.at_current_block().await.expect("head");
    let call = set_weights(&[2], &[1]);
    let forged = at
        .transactions()
        .create_signed(&call, &Impostor(dev::bob(), dev::eve()), params().build())
        .await
        .expect("signed");
    // The right key, but signed for a chain with another genesis.
    let other = Client::start(DevnetConfig { seed: 5, ..config() }).await;
    let elsewhere = other
        .api
        .at_current_block()
        .await
        .expect("head")
        .transactions()
        .create_signed(&call, &dev::bob(), params().immortal().build())
        .await
        .expect("signed");
    for bytes in [forged.encoded(), elsewhere.encoded()] {
        let refusal = at.transactions().from_bytes(bytes.to_vec()).submit().await.map(drop);
        let text = format!("{:?}", refusal.expect_err("refused"));
        assert!(text.contains("1010") && text.contains("Transaction has a bad signature"), "{text}");
    }
    assert!(client.devnet.weights().is_empty());
}

#[tokio::test]
async fn an_unregistered_hotkey_is_refused_in_the_block_or_by_the_stake_threshold() {
    let client = Client::start(config()).await;
    let end = client.run(&set_weights(&[2], &[1]), &dev::eve()).await.expect("accepted");
    let Ended::Failed { error, .. } = end else { panic!("succeeded") };
    assert_eq!(error, "HotKeyNotRegisteredInSubNet");
    let client = Client::start(DevnetConfig { stake_threshold: 1, ..config() }).await;
    let refusal = client.submit(&set_weights(&[2], &[1]), &dev::eve()).await.map(drop);
    assert_eq!(refusal, Err(Refusal::invalid("Custom error: 1")));
}

#[tokio::test]
async fn immortal_mortal_and_long_payloads_verify() {
    let neurons = (0..200u8)
        .map(|index| match index {
            0 => DevNeuron::validator(hotkey(&dev::alice()), 1),
            _ => DevNeuron::miner(Hotkey([index; 32])),
        })
        .collect();
    let client =
        Client::start(DevnetConfig { neurons, weights_rate_limit: 0, ..DevnetConfig::default() }).await;
    let uids: Vec<u16> = (1..200).collect();
    // 199 entries make a payload far above 256 bytes, which is signed by its hash.
    let long = set_weights(&uids, &vec![1; uids.len()]);
    for params in [params().immortal(), params().mortal(4), params().mortal(64), params().mortal(4096)] {
        let progress = client.submit_with(&long, &dev::alice(), params).await.expect("accepted");
        client.devnet.produce_block().await;
        assert!(matches!(ended(progress).await, Ended::Success { .. }));
    }
    assert_eq!(client.devnet.weights()[&Uid(0)].len(), 199);
}

#[tokio::test]
async fn a_mortal_transaction_dies_with_its_era() {
    let client = Client::start(config()).await;
    let at = client.api.at_current_block().await.expect("head");
    let signed = at
        .transactions()
        .create_signed(&remark(), &dev::bob(), params().mortal(8).build())
        .await
        .expect("signed");
    for _ in 0..9 {
        client.devnet.produce_block().await;
    }
    let refusal = at.transactions().from_bytes(signed.encoded().to_vec()).submit().await.map(drop);
    let text = format!("{:?}", refusal.expect_err("refused"));
    assert!(text.contains("Transaction has a bad signature"), "{text}");
}

#[tokio::test]
async fn the_same_bytes_twice_and_bytes_that_are_no_extrinsic_are_refused() {
    let client = Client::start(config()).await;
    let at = client.api.at_current_block().await.expect("head");
    let signed =
        at.transactions().create_signed(&remark(), &dev::bob(), params().build()).await.expect("signed");
    let hex = format!("0x{}", hex::encode(signed.encoded()));
    let submit = |hex: String| {
        let rpc = client.rpc.clone();
        async move {
            rpc.request::<BlockHash>("author_submitExtrinsic", subxt::rpcs::rpc_params![hex])
                .await
                .map_err(|error| Refusal::from(error).code)
        }
    };
    assert_eq!(submit(hex.clone()).await, Ok(BlockHash(signed.hash().0)));
    assert_eq!(submit(hex).await, Err(1013));
    assert_eq!(submit("0x00".into()).await, Err(1001));
    assert_eq!(submit("0x0402".into()).await, Err(1001));
    let pending: Vec<String> =
        client.rpc.request("author_pendingExtrinsics", subxt::rpcs::rpc_params![]).await.expect("list");
    assert_eq!(pending.len(), 1);
    // An inherent cannot be submitted.
    let inherent = "0x280502000b7e817aa7a001".to_string();
    assert_eq!(submit(inherent).await, Err(1011));
}

#[tokio::test]
async fn calls_beyond_the_model_fail_and_say_so() {
    let client = Client::start(config()).await;
    let transfer = dynamic::transaction(
        "Balances",
        "transfer_keep_alive",
        (Value::unnamed_variant("Id", [Value::from_bytes(hotkey(&dev::eve()).0)]), Value::u128(1)),
    );
    let end = client.run(&transfer, &dev::bob()).await.expect("accepted");
    let Ended::Failed { pallet, error } = end else { panic!("succeeded") };
    assert_eq!((&*pallet, &*error), ("System", "CallFiltered"));
}

#[tokio::test]
async fn the_blocks_body_holds_the_transaction_after_the_inherent() {
    let client = Client::start(config()).await;
    let progress = client.submit(&set_weights(&[2], &[1]), &dev::bob()).await.expect("accepted");
    let hash = progress.extrinsic_hash();
    client.devnet.produce_block().await;
    assert!(matches!(ended(progress).await, Ended::Success { .. }));
    let at = client.api.at_current_block().await.expect("head");
    let extrinsics = at.extrinsics().fetch().await.expect("body");
    let second = extrinsics.iter().nth(1).expect("second").expect("decodes");
    assert_eq!(second.hash(), hash);
    assert_eq!((second.pallet_name(), second.call_name()), ("SubtensorModule", "set_weights"));
}
