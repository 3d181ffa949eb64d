//! Every reason for which `set_weights` is refused, in the chain's order of checks.

use leoma::{
    chain::devnet::{DevNeuron, DevnetConfig},
    domain::ids::Uid,
};
use subxt::dynamic;
use subxt_signer::sr25519::{Keypair, dev};

use super::client::{Client, Ended, NETUID, Refusal, TAO, config, hotkey};

struct Case {
    refused_for: &'static str,
    config: DevnetConfig,
    signer: Keypair,
    netuid: u16,
    mechanism: Option<u8>,
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

/// A call of //Bob that is right in everything.
fn right(refused_for: &'static str) -> Case {
    Case {
        refused_for,
        config: config(),
        signer: dev::bob(),
        netuid: NETUID,
        mechanism: None,
        uids: vec![2],
        values: vec![65535],
        version_key: 0,
    }
}

impl Case {
    async fn run(self) -> Result<(), String> {
        let client = Client::start(self.config).await;
        let end = match self.mechanism {
            None => {
                let arguments = (self.netuid, self.uids, self.values, self.version_key);
                let call = dynamic::transaction("SubtensorModule", "set_weights", arguments);
                client.run(&call, &self.signer).await
            }
            Some(mechanism) => {
                let arguments = (self.netuid, mechanism, self.uids, self.values, self.version_key);
                let call = dynamic::transaction("SubtensorModule", "set_mechanism_weights", arguments);
                client.run(&call, &self.signer).await
            }
        };
        match end {
            Ok(Ended::Success { .. }) => {
                assert!(client.devnet.weights().contains_key(&Uid(1)));
                Ok(())
            }
            Ok(Ended::Failed { error, .. }) => {
                assert!(client.devnet.weights().is_empty(), "a refused call stored weights");
                Err(error)
            }
            Err(Refusal { code: 1010, data, .. }) => Err(data.unwrap_or_default()),
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// The rate limit is far from over for neurons that registered at the start of the chain.
fn just_registered() -> DevnetConfig {
    DevnetConfig { weights_rate_limit: 1_000_000, ..config() }
}

#[tokio::test]
async fn each_rule_refuses_for_its_own_reason() {
    let cases = vec![
        Case { config: DevnetConfig { commit_reveal: true, ..config() }, ..right("CommitRevealEnabled") },
        Case { netuid: 0, ..right("CanNotSetRootNetworkWeights") },
        Case { values: vec![1, 2], ..right("WeightVecNotEqualSize") },
        Case {
            netuid: 7,
            // Commit-reveal is on by default for subnets without settings: that check comes first.
            ..right("CommitRevealEnabled")
        },
        Case { mechanism: Some(1), ..right("MechanismDoesNotExist") },
        Case { uids: vec![0, 1, 2, 3, 4], values: vec![1; 5], ..right("UidsLengthExceedUidsInSubNet") },
        Case { signer: dev::eve(), ..right("HotKeyNotRegisteredInSubNet") },
        Case { config: DevnetConfig { stake_threshold: 4000 * TAO, ..config() }, ..right("Custom error: 1") },
        Case {
            config: DevnetConfig { weights_version_key: 9, ..config() },
            version_key: 8,
            ..right("IncorrectWeightVersionKey")
        },
        Case { config: just_registered(), ..right("Custom error: 6") },
        Case {
            config: DevnetConfig { rate_limit_in_block: true, ..just_registered() },
            ..right("SettingWeightsTooFast")
        },
        Case { signer: dev::charlie(), uids: vec![3], ..right("NeuronNoValidatorPermit") },
        Case { uids: vec![2, 2], values: vec![1, 1], ..right("DuplicateUids") },
        Case { uids: vec![4], ..right("UidVecContainInvalidOne") },
        Case {
            config: DevnetConfig { min_allowed_weights: 3, ..config() },
            uids: vec![2, 3],
            values: vec![1, 1],
            ..right("WeightVecLengthIsLow")
        },
    ];
    for case in cases {
        let expected = case.refused_for;
        assert_eq!(case.run().await, Err(expected.to_string()), "{expected}");
    }
}

#[tokio::test]
async fn the_exceptions_to_the_rules_hold() {
    let lone_weight_of_self = Case { uids: vec![1], ..right("nothing") };
    let zeros_count_as_entries = Case {
        config: DevnetConfig { min_allowed_weights: 3, ..config() },
        uids: vec![2, 3, 0],
        values: vec![65535, 0, 0],
        ..right("nothing")
    };
    let fewer_neurons_than_the_least_length = Case {
        config: DevnetConfig { min_allowed_weights: 1024, ..config() },
        uids: vec![0, 1, 2, 3],
        values: vec![0, 0, 1, 0],
        ..right("nothing")
    };
    let higher_version = Case {
        config: DevnetConfig { weights_version_key: 9, ..config() },
        version_key: 10,
        ..right("nothing")
    };
    let exactly_the_threshold =
        Case { config: DevnetConfig { stake_threshold: 3000 * TAO, ..config() }, ..right("nothing") };
    let commit_reveal_hides_the_rate_limit_from_the_pool = Case {
        config: DevnetConfig { commit_reveal: true, ..just_registered() },
        ..right("CommitRevealEnabled")
    };
    for case in [
        lone_weight_of_self,
        zeros_count_as_entries,
        fewer_neurons_than_the_least_length,
        higher_version,
        exactly_the_threshold,
    ] {
        assert_eq!(case.run().await, Ok(()));
    }
    assert_eq!(
        commit_reveal_hides_the_rate_limit_from_the_pool.run().await,
        Err("CommitRevealEnabled".into())
    );
}

#[tokio::test]
async fn the_owner_needs_neither_stake_nor_permit() {
    let mut config = DevnetConfig { stake_threshold: TAO, ..config() };
    config.neurons[0] = DevNeuron::miner(hotkey(&dev::alice()));
    let client = Client::start(config).await;
    client.succeed(&super::client::set_weights(&[2], &[1]), &dev::alice()).await;
    assert!(client.devnet.weights().contains_key(&Uid(0)));
}
