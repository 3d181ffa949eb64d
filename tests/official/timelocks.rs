//! Timelocks without a chain: what one side seals, the other opens with drand's published signature.

use leoma::{
    chain::{
        commit_reveal::{payload, seal_weights},
        port::WeightsCall,
        timelock::{Beacon, open, seal},
    },
    domain::ids::{Hotkey, Uid},
};
use serde_json::json;

use super::{NETUID, Official, PUBLISHED_ROUND, PUBLISHED_SIGNATURE};

const HOTKEY: Hotkey = Hotkey([7; 32]);

fn weights() -> WeightsCall {
    WeightsCall {
        netuid: NETUID,
        uids: vec![Uid(0), Uid(300)],
        values: vec![65_535, 1],
        version_key: 9,
        born_at: None,
    }
}

#[tokio::test]
async fn we_open_what_the_official_core_sealed() {
    let Some(mut official) = Official::start(None).await else { return };
    let message = b"sealed by the official core";
    let arguments = json!({"message": hex::encode(message), "round": PUBLISHED_ROUND});
    let sealed = hex::decode(official.ask("seal", arguments).await.as_str().expect("text")).expect("hex");
    assert_eq!(open(&sealed, &PUBLISHED_SIGNATURE).as_deref(), Ok(&message[..]));

    let call = weights();
    let arguments = json!({
        "hotkey": hex::encode(HOTKEY.0),
        "uids": [0, 300],
        "values": call.values,
        "version_key": call.version_key,
        "round": PUBLISHED_ROUND,
    });
    let sealed = official.ask("seal_weights", arguments).await;
    let sealed = hex::decode(sealed.as_str().expect("text")).expect("hex");
    assert_eq!(open(&sealed, &PUBLISHED_SIGNATURE), Ok(payload(HOTKEY, &call)));
}

#[tokio::test]
async fn the_official_core_opens_what_we_sealed() {
    let Some(mut official) = Official::start(None).await else { return };
    let quicknet = Beacon::quicknet();
    let ours = seal_weights(&quicknet, PUBLISHED_ROUND, HOTKEY, &weights()).expect("sealed");
    let mut pairs = vec![(payload(HOTKEY, &weights()), ours.call.sealed)];
    for message in [&b""[..], b"x", &[0xff; 500]] {
        let sealed = seal(&quicknet.public_key, PUBLISHED_ROUND, message).expect("sealed");
        pairs.push((message.to_vec(), sealed));
    }
    for (message, sealed) in pairs {
        let arguments = json!({
            "sealed": hex::encode(&sealed),
            "round": PUBLISHED_ROUND,
            "signature": hex::encode(&*PUBLISHED_SIGNATURE),
        });
        assert_eq!(official.ask("unseal", arguments).await, hex::encode(message));
    }
}
