//! Documents as bytes: what an independent program says of them, and that no other byte passes.

use std::sync::LazyLock;

use leoma::{
    bundle::{
        SignedBundle, parse,
        sealed::{ROUND_DOMAIN, canonical, is_signed, message},
    },
    chain::wallet::HotkeySigner,
    domain::{
        bundle::{BundleFacts, Code, Network, RoundBundle},
        event::{Event, ReceivedFile},
        ids::{BlockHash, BlockNumber, Digest, Hotkey, NetUid, RoundId},
        rules::{ActiveRules, Rules},
        testing::{filmed, hotkey, plan},
    },
    quality::canonical::canonical_json,
};
use proptest::prelude::*;
use serde_json::Value;

/// A closed round with two scored clips, signed.
pub fn document(seed: u8) -> SignedBundle {
    let signer = HotkeySigner::from_seed([seed; 32]);
    let (id, at, timings) = (RoundId(7), BlockNumber(770), Default::default());
    let rules = ActiveRules { rules: Rules::embedded(), digest: Digest([4; 32]) };
    let mut events = vec![Event::RoundPlanned { plan: Box::new(plan(7, 2)) }];
    for (miner, overall, pace) in [(1, 8_000, 16), (2, 9_000, 31)] {
        let (round, hotkey, outcome) = (id, hotkey(miner), filmed(overall, miner, pace));
        let file = ReceivedFile { sha256: Digest([miner; 32]), bytes: 5, latency_ms: 1, invocation_id: None };
        events.push(Event::ClipReceived { round, hotkey, file });
        events.push(Event::TicketSettled { round, hotkey, outcome, timings });
    }
    events.push(Event::RoundClosed { round: id, at, winner: Some(hotkey(2)) });
    let facts = BundleFacts {
        network: Network { genesis: BlockHash([1; 32]), netuid: NetUid(99) },
        validator: signer.hotkey(),
        round: id,
        opened_unix_ms: 1,
        code: Code { version: "0".into(), kernels: Default::default() },
        published_before: Default::default(),
        source: None,
    };
    let bundle = RoundBundle::of(facts, &events, &rules).expect("ended");
    let (_, digest) = canonical(&bundle).expect("integers");
    let signature = signer.sign(&message(ROUND_DOMAIN, &digest));
    SignedBundle { bundle, digest, signature }
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/bundle/golden.json")).expect("JSON")
}

#[test]
fn an_independent_program_gives_the_same_canonical_bytes_and_a_signature_that_holds() {
    let golden = golden();
    let text = |name: &str| golden[name].as_str().expect(name).to_owned();
    assert_eq!(canonical_json(&golden["value"]).expect("integers"), text("canonical"));
    let digest = Digest::of(text("canonical").as_bytes());
    assert_eq!(digest.to_string(), text("digest"));
    let key: Hotkey = text("address").parse().expect("an address");
    let mut signature = [0; 64];
    hex::decode_to_slice(text("signature"), &mut signature).expect("128 digits");
    assert!(is_signed(&key, ROUND_DOMAIN, &digest, &signature));
    let mut seed = [0; 32];
    hex::decode_to_slice(text("seed"), &mut seed).expect("64 digits");
    assert_eq!(HotkeySigner::from_seed(seed).hotkey(), key);
}

#[test]
fn a_document_reads_back_and_another_key_or_document_does_not_hold() {
    let (one, other) = (document(1), document(2));
    let text = one.to_json().expect("integers");
    assert_eq!(parse(text.as_bytes()).expect("signed"), one);
    let mixed = SignedBundle { signature: other.signature, ..one.clone() };
    let refused = parse(mixed.to_json().expect("integers").as_bytes()).expect_err("another key's");
    assert!(refused.is_about_the_signature(), "{refused}");
    assert!(parse(format!("{text}\n").as_bytes()).is_err(), "a line end is a byte too");
    assert!(parse(format!("\u{feff}{text}").as_bytes()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_other_byte_passes(place in any::<prop::sample::Index>(), to in any::<u8>(), kind in 0u8..3) {
        static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| document(1).to_json().expect("integers").into_bytes());
        let text: &Vec<u8> = &TEXT;
        let (mut changed, place) = (text.clone(), place.index(text.len()));
        match kind {
            0 => changed[place] = to,
            1 => changed.insert(place, to),
            _ => { changed.remove(place); }
        }
        // Removing or inserting inside a run of one byte, or setting what stands there, gives the same text.
        prop_assert_eq!(parse(&changed).is_ok(), changed == *text);
    }

    #[test]
    fn noise_is_refused_and_breaks_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(parse(&bytes).is_err());
    }
}

/// A document of the first version as it was published: every later program reads it to the same result.
#[test]
fn a_document_of_schema_1_stays_readable() {
    let bytes = include_bytes!("../golden/bundle/schema-1/round.json");
    let rules = Rules::parse(include_str!("../golden/bundle/schema-1/rules.toml")).expect("rules");
    let signed = parse(bytes).expect("signed");
    assert_eq!((signed.bundle.schema, signed.bundle.round), (1, RoundId(70_002)));
    let judged = signed.bundle.judge(&rules.payout).expect("consistent").expect("planned");
    assert_eq!(judged.result(), signed.bundle.result);
    assert_eq!(judged.copies, signed.bundle.copies);
    for miner in &signed.bundle.miners {
        assert_eq!(judged.outcomes.get(&miner.hotkey), miner.outcome());
    }
    let digest = ActiveRules::digest_with(&rules, &signed.bundle.code.kernels).expect("integers");
    assert_eq!(digest, signed.bundle.rules_digest);
}
