//! Commit-reveal of weights: sealed now, revealed by the chain in a later epoch, or dropped silently.

use leoma::{
    chain::{
        devnet::{BeaconSwitch, DevnetConfig, Missed, SubnetParameter},
        timelock::seal,
    },
    domain::ids::Uid,
};
use subxt::{dynamic, dynamic::Value, ext::codec::Encode, tx::DynamicPayload};
use subxt_signer::sr25519::{Keypair, dev};

use super::client::{Client, Ended, NETUID, Refusal, TAO, config, event_names, hotkey, set_weights};

const TEMPO: u16 = 10;
const VERSION: u16 = 4;

fn with_commit_reveal() -> DevnetConfig {
    DevnetConfig { commit_reveal: true, tempo: TEMPO, weights_rate_limit: 0, ..config() }
}

/// What a validator seals: hotkey, uids, values, version key.
fn payload(committer: &Keypair, uids: &[u16], values: &[u16]) -> Vec<u8> {
    (hotkey(committer).0.to_vec(), uids.to_vec(), values.to_vec(), 0u64).encode()
}

fn seal_for(client: &Client, round: u64, payload: &[u8]) -> Vec<u8> {
    seal(&client.devnet.beacon().public_key, round, payload).expect("sealed")
}

pub type CommitArgs = (u16, Vec<u8>, u64, u16);

fn commit(sealed: Vec<u8>, round: u64) -> DynamicPayload<CommitArgs> {
    dynamic::transaction("SubtensorModule", "commit_timelocked_weights", (NETUID, sealed, round, VERSION))
}

/// Weights of //Bob's for //Dave, sealed to a round.
pub fn bobs_commit(client: &Client, round: u64) -> DynamicPayload<CommitArgs> {
    commit(seal_for(client, round, &payload(&dev::bob(), &[3], &[65535])), round)
}

/// A round that is not published in the next block yet (a block of twelve seconds has four).
pub fn coming_round(client: &Client) -> u64 {
    client.devnet.last_pulse_round() + 5
}

/// Makes blocks until the epoch counter moves.
async fn next_epoch(client: &Client) -> u64 {
    let index = client.devnet.epoch_index();
    while client.devnet.epoch_index() == index {
        client.devnet.produce_block().await;
    }
    client.devnet.epoch_index()
}

async fn events_of_head(client: &Client) -> Vec<String> {
    let at = client.api.at_current_block().await.expect("head");
    event_names(&at.events().fetch().await.expect("events"))
}

async fn last_update(client: &Client) -> u64 {
    let updates: Vec<u64> =
        client.fetch("SubtensorModule", "LastUpdate", vec![Value::u128(NETUID.into())]).await;
    updates[1]
}

#[tokio::test]
async fn a_commit_is_revealed_at_the_start_of_the_next_epoch() {
    let client = Client::start(with_commit_reveal()).await;
    let committed_in = next_epoch(&client).await;
    let round = coming_round(&client);
    let events = client.succeed(&bobs_commit(&client, round), &dev::bob()).await;
    assert_eq!(events, ["SubtensorModule.TimelockedWeightsCommitted", "System.ExtrinsicSuccess"]);
    let committed_at = client.devnet.head().number.0;
    assert_eq!(last_update(&client).await, committed_at, "moves with the commit");

    let pending = client.devnet.pending_commits(hotkey(&dev::bob()));
    assert_eq!(pending.len(), 1);
    assert_eq!(
        (pending[0].epoch, pending[0].committed_at, pending[0].reveal_round),
        (committed_in, committed_at, round)
    );
    assert_eq!(client.devnet.pending_commits(hotkey(&dev::alice())), []);
    let stored: Vec<([u8; 32], u64, Vec<u8>, u64)> = client
        .fetch(
            "SubtensorModule",
            "TimelockedWeightCommits",
            vec![Value::u128(NETUID.into()), Value::u128(committed_in.into())],
        )
        .await;
    assert_eq!(stored, [(hotkey(&dev::bob()).0, committed_at, pending[0].sealed.clone(), round)]);

    while client.devnet.epoch_index() == committed_in {
        assert!(client.devnet.weights().is_empty(), "not before its epoch");
        client.devnet.produce_block().await;
    }
    assert_eq!(client.devnet.weights().into_iter().collect::<Vec<_>>(), [(Uid(1), vec![(Uid(3), 65535)])]);
    assert_eq!(
        events_of_head(&client).await[..2],
        ["SubtensorModule.WeightsSet", "SubtensorModule.TimelockedWeightsRevealed"]
    );
    assert_eq!(client.devnet.pending_commits(hotkey(&dev::bob())), []);
    assert_eq!(last_update(&client).await, committed_at, "does not move with the reveal");
    assert_eq!(client.devnet.incentive().into_keys().collect::<Vec<_>>(), [Uid(3)], "before the epoch runs");
}

#[tokio::test]
async fn a_late_pulse_reveals_within_the_epoch_and_a_lost_one_never() {
    for missed in [Missed::Published, Missed::Lost] {
        let client = Client::start(with_commit_reveal()).await;
        next_epoch(&client).await;
        client.devnet.switch_beacon(BeaconSwitch::Stop);
        client.devnet.produce_block().await;
        let round = client.devnet.last_pulse_round() + 3;
        client.succeed(&bobs_commit(&client, round), &dev::bob()).await;
        next_epoch(&client).await;
        client.devnet.produce_block().await;
        assert!(client.devnet.weights().is_empty(), "no pulse yet");
        assert_eq!(client.devnet.pending_commits(hotkey(&dev::bob())).len(), 1, "tried again every block");

        client.devnet.switch_beacon(BeaconSwitch::Start(missed));
        client.devnet.produce_block().await;
        assert!(client.devnet.last_pulse_round() > round);
        client.devnet.produce_block().await;
        assert_eq!(client.devnet.weights().is_empty(), missed == Missed::Lost, "{missed:?}");
        next_epoch(&client).await;
        assert_eq!(client.devnet.weights().is_empty(), missed == Missed::Lost, "{missed:?}");
        assert_eq!(client.devnet.pending_commits(hotkey(&dev::bob())), [], "dropped without a word");
    }
}

#[tokio::test]
async fn the_reveal_period_moves_the_reveal() {
    let client = Client::start(DevnetConfig { reveal_period: 3, ..with_commit_reveal() }).await;
    let committed_in = next_epoch(&client).await;
    let round = coming_round(&client);
    client.succeed(&bobs_commit(&client, round), &dev::bob()).await;
    for _ in 0..2 {
        next_epoch(&client).await;
        assert!(client.devnet.weights().is_empty());
    }
    assert_eq!(next_epoch(&client).await, committed_in + 3);
    assert!(client.devnet.weights().contains_key(&Uid(1)));
}

#[tokio::test]
async fn what_does_not_open_or_fails_a_check_is_dropped_silently() {
    let bob = dev::bob();
    let right = payload(&bob, &[3], &[65535]);
    let of_alice = payload(&dev::alice(), &[3], &[65535]);
    let unknown_uid = payload(&bob, &[9], &[65535]);
    let cut = right[..20].to_vec();
    for (what, opened) in
        [("another hotkey", of_alice), ("an unknown uid", unknown_uid), ("a cut payload", cut)]
    {
        let client = Client::start(with_commit_reveal()).await;
        next_epoch(&client).await;
        let round = coming_round(&client);
        client.succeed(&commit(seal_for(&client, round, &opened), round), &bob).await;
        next_epoch(&client).await;
        assert!(client.devnet.weights().is_empty(), "{what}");
        assert_eq!(client.devnet.pending_commits(hotkey(&bob)), [], "{what}");
    }
    let client = Client::start(with_commit_reveal()).await;
    next_epoch(&client).await;
    let round = coming_round(&client);
    client.succeed(&commit(seal_for(&client, round + 1, &right), round), &bob).await;
    next_epoch(&client).await;
    assert!(client.devnet.weights().is_empty(), "sealed to another round than it names");
}

/// How a commit of //Bob's ends.
async fn end_of(client: &Client, call: &DynamicPayload<CommitArgs>, signer: &Keypair) -> String {
    match client.run(call, signer).await {
        Ok(Ended::Success { .. }) => "stored".into(),
        Ok(Ended::Failed { error, .. }) => error,
        Err(Refusal { code: 1010, data, .. }) => data.unwrap_or_default(),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_rule_refuses_a_commit_for_its_own_reason() {
    let on = with_commit_reveal;
    let future = |client: &Client| client.devnet.last_pulse_round() + 100;
    let ordinary = |client: &Client| bobs_commit(client, future(client));
    type Call = fn(&Client) -> DynamicPayload<CommitArgs>;
    let altered: [(&str, DevnetConfig, Call, Keypair); 5] = [
        (
            "IncorrectCommitRevealVersion",
            on(),
            |_| {
                dynamic::transaction(
                    "SubtensorModule",
                    "commit_timelocked_weights",
                    (NETUID, vec![1u8], u64::MAX, 3u16),
                )
            },
            dev::bob(),
        ),
        ("HotKeyNotRegisteredInSubNet", on(), |_| commit(vec![1], u64::MAX), dev::eve()),
        (
            "Custom error: 15",
            on(),
            |client| commit(vec![1], client.devnet.last_pulse_round() - 1),
            dev::bob(),
        ),
        ("stored", on(), |client| commit(vec![1], client.devnet.last_pulse_round() + 4), dev::bob()),
        (
            "Custom error: 1",
            DevnetConfig { stake_threshold: 4000 * TAO, ..on() },
            |_| commit(vec![1], u64::MAX),
            dev::bob(),
        ),
    ];
    for (reason, config, call, signer) in altered {
        let client = Client::start(config).await;
        assert_eq!(end_of(&client, &call(&client), &signer).await, reason);
    }
    for (reason, config) in [
        ("CommitRevealDisabled", DevnetConfig { commit_reveal: false, ..on() }),
        ("CommittingWeightsTooFast", DevnetConfig { weights_rate_limit: 1_000_000, ..on() }),
        ("stored", on()),
    ] {
        let client = Client::start(config).await;
        assert_eq!(end_of(&client, &ordinary(&client), &dev::bob()).await, reason);
    }
}

#[tokio::test]
async fn a_hotkey_has_ten_open_commits_in_an_epoch() {
    let client = Client::start(DevnetConfig { tempo: 40, ..with_commit_reveal() }).await;
    next_epoch(&client).await;
    let call = commit(vec![7], u64::MAX);
    for _ in 0..10 {
        assert_eq!(end_of(&client, &call, &dev::bob()).await, "stored");
    }
    assert_eq!(end_of(&client, &call, &dev::bob()).await, "TooManyUnrevealedCommits");
    assert_eq!(end_of(&client, &call, &dev::alice()).await, "stored", "counted by hotkey");
    next_epoch(&client).await;
    assert_eq!(end_of(&client, &call, &dev::bob()).await, "stored", "and by epoch");
}

#[tokio::test]
async fn the_mechanism_call_is_the_same_and_knows_its_mechanisms() {
    let client = Client::start(with_commit_reveal()).await;
    next_epoch(&client).await;
    let call = |mechanism: u8| {
        let round = coming_round(&client);
        let sealed = seal_for(&client, round, &payload(&dev::bob(), &[2], &[1]));
        let arguments = (NETUID, mechanism, sealed, round, VERSION);
        dynamic::transaction("SubtensorModule", "commit_timelocked_mechanism_weights", arguments)
    };
    let end = client.run(&call(1), &dev::bob()).await.expect("accepted");
    assert!(matches!(end, Ended::Failed { error, .. } if error == "MechanismDoesNotExist"));
    client.succeed(&call(0), &dev::bob()).await;
    next_epoch(&client).await;
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(2), 65535)]);
}

#[tokio::test]
async fn the_host_turns_commit_reveal_on_and_off() {
    let client = Client::start(DevnetConfig { weights_rate_limit: 0, tempo: TEMPO, ..config() }).await;
    client.succeed(&set_weights(&[2], &[1]), &dev::bob()).await;
    client.devnet.set_parameter(SubnetParameter::CommitReveal(true));
    client.devnet.produce_block().await;
    let end = client.run(&set_weights(&[3], &[1]), &dev::bob()).await.expect("accepted");
    assert!(matches!(end, Ended::Failed { error, .. } if error == "CommitRevealEnabled"));
    let round = coming_round(&client);
    client.succeed(&bobs_commit(&client, round), &dev::bob()).await;
    // What was committed is revealed even when the owner turns it off before.
    client.devnet.set_parameter(SubnetParameter::CommitReveal(false));
    next_epoch(&client).await;
    assert_eq!(client.devnet.weights()[&Uid(1)], [(Uid(3), 65535)]);
    client.succeed(&set_weights(&[2], &[1]), &dev::bob()).await;
}
