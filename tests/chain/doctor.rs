//! `leoma chain doctor` through the real binary, on chains of every kind of trouble.

use std::process::Stdio;

use leoma::chain::{
    devnet::{
        BeaconSwitch, ChainClock, DevNeuron, DevRuntime, Devnet, DevnetConfig, NeuronChange, SubnetParameter,
    },
    wallet::{HotkeySigner, hotkey_path},
};
use serde_json::Value;
use tokio::process::Command;

struct Patient {
    folder: tempfile::TempDir,
    devnet: Devnet,
}

impl Patient {
    /// A chain on the machine's clock with an owner and our validator on it.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let signer = HotkeySigner::from_seed([5; 32]);
        signer.write_file(&hotkey_path(folder.path(), "validator", "default")).expect("a wallet");
        let owner = DevNeuron::validator(HotkeySigner::from_seed([1; 32]).hotkey(), 1_000_000);
        let config = DevnetConfig {
            clock: ChainClock::Wall,
            stake_threshold: 1_000,
            neurons: vec![owner, DevNeuron::validator(signer.hotkey(), 5_000)],
            ..DevnetConfig::default()
        };
        Self { folder, devnet: Devnet::start(config).await.expect("a chain") }
    }

    async fn blocks(&self, count: u32) {
        for _ in 0..count {
            self.devnet.produce_block().await;
        }
    }

    /// Exit code and findings of the doctor, asked about these endpoints.
    async fn examined(&self, endpoints: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
        let output = Command::new(env!("CARGO_BIN_EXE_leoma"))
            .args(["chain", "doctor", "--json", "--wallet.name", "validator", "--wallet.path"])
            .arg(self.folder.path())
            .arg("--set")
            .arg(format!("chain.endpoints={}", endpoints.join(",")))
            .arg("--set")
            .arg(format!("state.dir={}", self.folder.path().join("state").display()))
            .stdin(Stdio::null())
            .output()
            .await
            .expect("leoma chain doctor");
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let findings = answer["findings"].as_array().expect("findings").iter();
        let findings =
            findings.map(|finding| (text(finding, "grade"), text(finding, "what"), text(finding, "seen")));
        (output.status.code(), findings.collect())
    }

    /// What is not as it should be: grade and what was looked at.
    async fn complaints(&self, endpoints: &[&str]) -> (Option<i32>, Vec<String>) {
        let (code, findings) = self.examined(endpoints).await;
        let bad = findings.into_iter().filter(|(grade, ..)| grade != "pass");
        (code, bad.map(|(grade, what, _)| format!("{grade} {what}")).collect())
    }
}

#[tokio::test]
async fn a_healthy_validator_passes_and_every_trouble_is_named() {
    let patient = Patient::new().await;
    let devnet = &patient.devnet;
    let url = devnet.url();
    let alone = [&*url];
    assert_eq!(patient.complaints(&alone).await, (Some(0), vec!["warn endpoints agree".into()]));
    // The same node twice agrees with itself.
    let (code, findings) = patient.examined(&[&url, &url]).await;
    assert!(findings.iter().all(|(grade, ..)| grade == "pass"), "{findings:?}");
    assert_eq!(code, Some(0));
    let whats: Vec<_> = findings.iter().map(|(_, what, _)| what.as_str()).collect();
    let all =
        ["endpoint", "endpoint", "endpoints agree", "runtime", "subnet", "version key", "drand", "hotkey"];
    assert_eq!(whats[..8], all);
    assert_eq!(whats[8..], ["stake", "permit", "weights", "journal"]);

    let other = Devnet::start(DevnetConfig { seed: 9, ..DevnetConfig::default() }).await.expect("a chain");
    let (code, bad) = patient.complaints(&[&url, &other.url(), "ws://127.0.0.1:9"]).await;
    assert_eq!(
        (code, bad.join(", ").as_str()),
        (Some(4), "fail endpoint, fail endpoint, warn endpoints agree")
    );

    let me = HotkeySigner::from_seed([5; 32]).hotkey();
    devnet.set_parameter(SubnetParameter::StakeThreshold(6_000));
    devnet.set_parameter(SubnetParameter::WeightsVersionKey(7));
    devnet.change_neuron(me, NeuronChange::Permit(false));
    patient.blocks(1).await;
    let (code, bad) = patient.complaints(&alone).await;
    assert_eq!(code, Some(4));
    assert_eq!(bad, ["warn endpoints agree", "fail version key", "fail stake", "fail permit"]);

    devnet
        .upgrade(DevRuntime::renamed(462, &[("SubtensorModule", "Weights", "WeightRows")]))
        .expect("accepted");
    patient.blocks(1).await;
    let (code, findings) = patient.examined(&alone).await;
    let (grade, what, seen) = findings.last().expect("findings");
    assert_eq!((code, grade.as_str(), what.as_str()), (Some(4), "fail", "runtime"));
    assert!(seen.contains("SubtensorModule.Weights"), "{seen}");
}

#[tokio::test]
async fn a_beacon_that_stopped_matters_where_commits_wait_for_it() {
    let folder = tempfile::tempdir().expect("folder");
    let signer = HotkeySigner::from_seed([5; 32]);
    signer.write_file(&hotkey_path(folder.path(), "validator", "default")).expect("a wallet");
    let config = DevnetConfig {
        commit_reveal: true,
        neurons: vec![DevNeuron::validator(signer.hotkey(), 5_000)],
        ..DevnetConfig::default()
    };
    let patient = Patient { folder, devnet: Devnet::start(config).await.expect("a chain") };
    patient.devnet.switch_beacon(BeaconSwitch::Stop);
    // Twelve seconds each, four rounds.
    patient.blocks(12).await;
    let (code, findings) = patient.examined(&[&patient.devnet.url()]).await;
    let drand = findings.iter().find(|(_, what, _)| what == "drand").expect("looked at");
    assert_eq!((code, drand.0.as_str()), (Some(4), "fail"), "{drand:?}");
    let subnet = findings.iter().find(|(_, what, _)| what == "subnet").expect("looked at");
    assert!(subnet.2.contains("committed, revealed 1 epochs later (version 4)"), "{subnet:?}");
}
