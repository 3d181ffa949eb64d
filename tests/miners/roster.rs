//! From what stands on chain to a round's roster, with look-ups over HTTP.

use std::collections::{BTreeMap, BTreeSet};

use leoma::{
    chain::port::{MinerCommitments, Neuron, RevealedCommitment},
    domain::{
        ids::{BlockNumber, Hotkey, Uid},
        roster::{Standing, build_roster, read_claims, wanted_lookups},
    },
    miners::{intake::candidates, port::MinerServices as _},
    sim::services::{Sleep, StandInAnswer, StandInMiner, StandIns},
};
use serde_json::json;

use super::{REVISION, client, miner};

fn hotkey(uid: u16) -> Hotkey {
    Hotkey([uid as u8; 32])
}

/// The stand-in of a uid, with the weights of some model.
fn deployed(uid: u16, model: &str) -> StandInMiner {
    let mut made = miner(&uid.to_string(), StandInAnswer::Hang);
    made.repo = format!("user/leoma-{}", hotkey(uid));
    made.lfs = vec![("w.bin".into(), leoma::domain::ids::Digest::of(model.as_bytes()).to_string())];
    made
}

fn revealed(uid: u16, entries: &[(u64, Vec<u8>)]) -> MinerCommitments {
    let reveal = |(block, data): &(u64, Vec<u8>)| RevealedCommitment {
        reveal_block: BlockNumber(*block),
        data: data.clone(),
    };
    MinerCommitments { hotkey: hotkey(uid), revealed: entries.iter().map(reveal).collect() }
}

fn text(uid: u16) -> Vec<u8> {
    json!({"model_name": format!("user/leoma-{}", hotkey(uid)), "model_revision": REVISION,
        "chute_id": format!("chute-{uid}")})
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn every_miner_gets_a_row_and_every_row_a_standing() {
    let mut cold = deployed(4, "four");
    cold.sleep = Sleep::Deep;
    let mut moved = deployed(8, "eight");
    moved.revision = "f".repeat(40);
    let stand_ins = vec![deployed(2, "shared"), deployed(3, "shared"), cold, moved, deployed(11, "eleven")];
    let stand_ins = StandIns::start(stand_ins).await.expect("loopback");
    let services = client(stand_ins.options());

    let neurons: Vec<Neuron> = (0..12)
        .map(|uid| Neuron {
            uid: Uid(uid),
            hotkey: hotkey(uid),
            validator_permit: uid < 2,
            last_update: BlockNumber(0),
            stake: 1,
        })
        .collect();
    let commitments = [
        revealed(11, &[(40, b"old".to_vec()), (41, text(11))]),
        revealed(2, &[(30, text(2))]),
        revealed(3, &[(20, text(3))]),
        revealed(4, &[(20, text(4))]),
        revealed(5, &[(20, b"{}".to_vec())]),
        revealed(6, &[(20, b"not json".to_vec())]),
        revealed(7, &[(20, text(7))]),
        revealed(8, &[(20, text(8))]),
        revealed(9, &[(1, text(9)), (2, text(9)), (3, text(9))]),
        revealed(10, &[(1, text(2))]),
        revealed(77, &[(1, text(77))]),
    ];

    let claims = read_claims(&candidates(&neurons, &commitments), &BTreeSet::new());
    let mut lookups = BTreeMap::new();
    for wanted in wanted_lookups(&claims) {
        lookups.insert(wanted.clone(), services.look_up(wanted).await);
    }
    let rows: Vec<String> = build_roster(claims, &lookups)
        .into_iter()
        .map(|entry| match entry.standing {
            Standing::Valid { deployment } => format!("{} at {}", entry.uid, deployment.slug),
            Standing::Invalid { fault, reason } => format!("{} {fault:?} {reason}", entry.uid),
        })
        .collect();
    assert_eq!(
        rows,
        [
            "2 Miner duplicate_model:earliest_uid=3",
            "3 at slug-3",
            "4 Miner chute_not_running",
            "5 Miner missing_model_name",
            "6 Miner malformed_commitment",
            "7 Miner chute_fetch_failed",
            "8 Miner revision_mismatch:chute=ffffffffffffffffffffffffffffffffffffffff",
            "9 Miner max_commits_exceeded_2",
            "10 Miner model_name_must_end_with_hotkey",
            "11 at slug-11",
        ]
    );
}
