//! Commitments: what `leoma miner commit` wrote the SDK reads, and what the SDK wrote `leoma miner status` reads.

use std::time::Duration;

use leoma::{
    chain::{
        devnet::{ChainClock, DevNeuron, Devnet, DevnetConfig},
        wallet::HotkeySigner,
    },
    domain::ids::Hotkey,
};
use serde_json::{Value, json};

use super::{BLOCK_TIME, Official, PUBLISHED_ROUND, PUBLISHED_SIGNATURE};
use crate::miner::{Run, commitment};

/// A chain whose time passes by itself, the SDK, and a wallet for each way to commit.
struct World {
    devnet: Devnet,
    official: Official,
    wallets: tempfile::TempDir,
}

impl World {
    async fn start() -> Option<Self> {
        let owner = DevNeuron::validator(HotkeySigner::from_seed([1; 32]).hotkey(), 1_000_000_000_000);
        let config = DevnetConfig {
            // Twelve seconds of the chain's own clock in each tenth of a second.
            block_time: Some(BLOCK_TIME),
            clock: ChainClock::Slots,
            // No epoch gives back the space of commitments while a story runs.
            tempo: 0,
            neurons: vec![owner],
            ..DevnetConfig::default()
        };
        let devnet = Devnet::start(config).await.expect("a chain");
        let official = Official::start(Some(&devnet.url())).await?;
        Some(Self { devnet, official, wallets: tempfile::tempdir().expect("folder") })
    }

    /// A registered hotkey, in a wallet that the SDK wrote.
    async fn miner(&mut self, name: &str) -> Hotkey {
        let arguments =
            json!({"folder": self.wallets.path(), "name": name, "uri": format!("//leoma-{name}")});
        let hotkey = self.official.ask("write_wallet", arguments).await;
        let hotkey = hotkey.as_str().and_then(|text| text.parse().ok()).expect("a hotkey");
        self.devnet.register(DevNeuron::miner(hotkey));
        hotkey
    }

    /// `leoma miner WHAT` of a wallet.
    fn leoma(&self, what: &str, name: &str) -> Run {
        Run::of(what).with(&["--wallet.name", name, "--wallet.path"]).path(self.wallets.path()).with(&[
            "--subtensor.chain_endpoint",
            &self.devnet.url(),
            "--offline",
            "--json",
        ])
    }

    /// `leoma miner commit` of the commitment that keeps every rule; its report.
    async fn commit(&self, name: &str, hotkey: Hotkey, flags: &[&str]) -> Value {
        self.leoma("commit", name)
            .commitment(&commitment(hotkey))
            .with(&["--yes"])
            .with(flags)
            .ended()
            .await
            .json()
    }

    /// The SDK commits a text, in the open or sealed.
    async fn commit_theirs(&mut self, name: &str, text: &str, reveal_round: Option<u64>) {
        let arguments =
            json!({"folder": self.wallets.path(), "name": name, "text": text, "reveal_round": reveal_round});
        self.official.ask("commit", arguments).await;
    }

    /// `leoma miner status` of a wallet.
    async fn status(&self, name: &str) -> Value {
        self.leoma("status", name).ended().await.json()
    }

    /// Waits for some blocks more.
    async fn blocks(&self, count: u64) {
        let mut heads = self.devnet.subscribe_heads();
        let until = self.devnet.head().number.0 + count;
        let waited = heads.wait_for(|head| head.number.0 >= until);
        tokio::time::timeout(Duration::from_secs(30), waited).await.expect("blocks").expect("a chain");
    }
}

#[tokio::test]
async fn the_official_client_reads_what_leoma_miner_committed() {
    let Some(mut world) = World::start().await else { return };
    let hotkeys = [world.miner("revealed").await, world.miner("sealed").await, world.miner("plain").await];
    world.blocks(2).await;
    let (revealed, sealed, plain) = tokio::join!(
        world.commit("revealed", hotkeys[0], &[]),
        world.commit("sealed", hotkeys[1], &["--reveal-in", "10000", "--no-wait"]),
        world.commit("plain", hotkeys[2], &["--plain"]),
    );
    let seen = world.official.ask("commitments", json!({})).await;
    let [of_revealed, of_sealed, of_plain] = hotkeys.map(|hotkey| &seen[hotkey.to_string()]);
    let text = |value: &Value| -> Value {
        // The SDK shows the kind of a field that has none of the exact lengths.
        let text = value.as_str().expect("text");
        serde_json::from_str(text.strip_prefix("bigraw:").unwrap_or(text)).expect("JSON")
    };
    assert_eq!(of_revealed["status"], "revealed");
    assert_eq!(text(&of_revealed["value"]), revealed["commitment"]);
    assert_eq!(of_plain["status"], "plain");
    assert_eq!(text(&of_plain["value"]), plain["commitment"]);
    assert_eq!(of_sealed["status"], "sealed");
    assert_eq!(of_sealed["value"], Value::Null);
    assert_eq!(of_sealed["reveal_round"], sealed["reveal_round"]);
    assert_eq!(of_sealed["opens_at"], sealed["opens_about"]);
}

#[tokio::test]
async fn leoma_miner_status_reads_what_the_official_client_committed() {
    let Some(mut world) = World::start().await else { return };
    world.miner("theirs").await;
    world.devnet.publish_pulse(PUBLISHED_ROUND, PUBLISHED_SIGNATURE.clone());
    world.blocks(2).await;
    world.commit_theirs("theirs", "in the open", None).await;
    let status = world.status("theirs").await;
    assert_eq!(
        (&status["live"][0]["state"], &status["live"][0]["text"]),
        (&json!("plain"), &json!("in the open"))
    );
    // Sealed to quicknet's key, which is built into the SDK.
    world.commit_theirs("theirs", "sealed", Some(PUBLISHED_ROUND)).await;
    world.blocks(2).await;
    let status = world.status("theirs").await;
    assert_eq!(status["revealed"][0]["text"], "sealed", "{status:#}");
    assert_eq!(status["live"], json!([]), "{status:#}");
}
