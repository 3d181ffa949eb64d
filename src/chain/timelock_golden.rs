//! Timelocks against what Bittensor's official core once sealed (`tests/golden/timelock`, which says how it was asked).
//! `tests/official` asks the core itself, both ways.

use parity_scale_codec::{Decode, Encode};
use serde_json::Value;

use super::timelock::{Beacon, open};

/// A weights payload: hotkey, uids, values, version key.
type Weights = (Vec<u8>, Vec<u16>, Vec<u16>, u64);

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/golden/timelock/golden.json")).expect("golden.json")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("text")).expect("hexadecimal")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a whole number")
}

#[test]
fn a_commitment_sealed_by_the_official_core_opens_to_a_scale_string() {
    let golden = golden();
    let vector = &golden["sealed"]["commitment"];
    let opened = open(&bytes(&vector["sealed"]), &bytes(&golden["signature"])).expect("opened");
    assert_eq!(opened, bytes(&vector["opened"]), "as the official core opens it");
    assert_eq!(opened, vector["text"].as_str().expect("text").encode());
}

#[test]
fn weights_sealed_by_the_official_core_open_to_the_fourth_version_s_payload() {
    let golden = golden();
    let vector = &golden["sealed"]["weights"];
    let opened = open(&bytes(&vector["sealed"]), &bytes(&golden["signature"])).expect("opened");
    assert_eq!(opened, bytes(&vector["opened"]), "as the official core opens it");
    let list = |name: &str| -> Vec<u16> {
        serde_json::from_value(vector[name].clone()).expect("numbers of 16 bits")
    };
    let weights: Weights =
        (bytes(&vector["hotkey"]), list("uids"), list("values"), number(&vector["version_key"]));
    assert_eq!(Weights::decode(&mut &opened[..]).as_ref(), Ok(&weights));
    assert_eq!(opened, weights.encode(), "nothing follows");
}

#[test]
fn rounds_of_commitments_are_counted_as_the_official_core_counts_them() {
    let golden = golden();
    let rows = golden["commitment_rounds"].as_array().expect("rows");
    assert!(rows.len() > 20);
    for row in rows {
        let block_millis = (row["block_time"].as_f64().expect("seconds") * 1000.0) as u64;
        let ahead = number(&row["blocks_until_reveal"]) * block_millis;
        let now = number(&row["now_millis"]);
        let beacon = Beacon::quicknet();
        // Whole seconds of the clock, and the wait rounded to whole seconds.
        assert_eq!(beacon.round_at(now / 1000 + (ahead + 500) / 1000), number(&row["round"]), "{row}");
        // Ours is a little later, so that no pulse opens a commitment before its time.
        let opens = now + ahead;
        let ours = beacon.published_at(beacon.round_after(opens / 1000)) * 1000;
        assert!((opens..=opens + 3000).contains(&ours), "{row}");
    }
}
