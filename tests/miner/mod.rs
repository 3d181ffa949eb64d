//! `leoma miner` through the real binary, against a development chain.

mod commit;
mod miners;
mod push;
mod status;

use std::{
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use leoma::{
    chain::{
        devnet::{ChainClock, DevNeuron, Devnet, DevnetConfig},
        wallet::{HotkeySigner, hotkey_path},
    },
    domain::{commitment::Commitment, ids::Hotkey},
    miners::protocol::GenerateBody,
    sim::services::{ClipMaker, Sleep, StandInAnswer, StandInMiner, StandIns},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

pub const LEOMA: &str = env!("CARGO_BIN_EXE_leoma");
pub const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
/// Nothing here takes this long; a story that does is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// The commitment that keeps every rule.
pub fn commitment(hotkey: Hotkey) -> Commitment {
    Commitment {
        model_name: format!("someone/leoma-wan-{hotkey}"),
        model_revision: REVISION.into(),
        chute_id: "chute-1".into(),
    }
}

/// A chain with an owner and a miner, and the miner's wallet.
pub struct World {
    pub folder: tempfile::TempDir,
    pub devnet: Devnet,
    pub hotkey: Hotkey,
}

impl World {
    /// Texts that the miner revealed before the start, in this order.
    pub async fn start(revealed: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let signer = HotkeySigner::from_seed([5; 32]);
        signer.write_file(&hotkey_path(folder.path(), "miner", "default")).expect("a wallet");
        let hotkey = signer.hotkey();
        let miner = revealed.iter().enumerate().fold(DevNeuron::miner(hotkey), |miner, (index, text)| {
            miner.with_revealed(999_000 + index as u64, text.as_bytes())
        });
        let owner = DevNeuron::validator(HotkeySigner::from_seed([1; 32]).hotkey(), 1_000_000_000_000);
        let config = DevnetConfig {
            // Time passes by itself, since the binary waits for blocks while nobody else acts: twelve
            // seconds of the chain's own clock in each tenth of a second.
            block_time: Some(Duration::from_millis(100)),
            clock: ChainClock::Slots,
            // No epoch gives back the space of commitments while a story runs.
            tempo: 0,
            neurons: vec![owner, miner],
            ..DevnetConfig::default()
        };
        Self { folder, devnet: Devnet::start(config).await.expect("a chain"), hotkey }
    }

    /// `leoma miner WHAT` of the wallet on the chain.
    pub fn miner(&self, what: &str) -> Run {
        Run::of(what)
            .with(&["--wallet.name", "miner", "--wallet.path"])
            .path(self.folder.path())
            .with(&["--subtensor.chain_endpoint", &self.devnet.url()])
    }

    /// `leoma miner commit` of the commitment that keeps every rule, on the chain's word alone.
    pub fn commit(&self) -> Run {
        let right = commitment(self.hotkey);
        self.miner("commit").with(&["--offline"]).commitment(&right)
    }
}

struct Silent;

#[async_trait::async_trait]
impl ClipMaker for Silent {
    async fn answer(&self, _: GenerateBody) -> StandInAnswer {
        StandInAnswer::Hang
    }
}

/// Chutes and Hugging Face that know the miner's model, and flags that point there.
pub async fn services(world: &World, hot: bool) -> (StandIns, Vec<String>) {
    let commitment = commitment(world.hotkey);
    let miner = StandInMiner {
        chute_id: commitment.chute_id,
        slug: "someone-leoma".into(),
        repo: commitment.model_name,
        revision: commitment.model_revision,
        lfs: vec![("model.safetensors".into(), "1".repeat(64))],
        contents: Default::default(),
        sleep: if hot { Sleep::Awake } else { Sleep::Deep },
        behaviour: Arc::new(Silent),
    };
    let stand_ins = StandIns::start(vec![miner]).await.expect("services");
    let flags = vec![
        format!("--set=services.chutes_api={}", stand_ins.base_url()),
        format!("--set=services.huggingface={}", stand_ins.base_url()),
        format!("--set=services.chute_url_template={}", stand_ins.chute_url_template()),
    ];
    (stand_ins, flags)
}

/// A command line, and then how it ended.
pub struct Run(Command);

impl Run {
    pub fn of(what: &str) -> Self {
        let mut command = Command::new(LEOMA);
        command.args(["miner", what]).stdin(Stdio::null()).kill_on_drop(true);
        Self(command)
    }

    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub fn path(mut self, path: &Path) -> Self {
        self.0.arg(path);
        self
    }

    pub fn env(mut self, name: &str, value: &Path) -> Self {
        self.0.env(name, value);
        self
    }

    pub fn commitment(self, of: &Commitment) -> Self {
        let (model, revision) = (&of.model_name, &of.model_revision);
        self.with(&["--model", model, "--revision", revision, "--chute", &of.chute_id])
    }

    /// Runs it, and does something once it says a text on standard error.
    pub async fn ended_after<F: Future<Output = ()>>(mut self, text: &str, act: impl FnOnce() -> F) -> Ended {
        let mut child = self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let mut said = String::new();
        let mut act = Some(act);
        let reading = async {
            while let Some(line) = lines.next_line().await.expect("stderr") {
                said += &format!("{line}\n");
                if line.contains(text)
                    && let Some(act) = act.take()
                {
                    act().await;
                }
            }
            child.wait_with_output().await.expect("it ends")
        };
        let output = timeout(PATIENCE, reading).await.expect("it ends");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Ended { code: output.status.code(), stdout, stderr: said }
    }

    pub async fn ended(mut self) -> Ended {
        let output: Output = timeout(PATIENCE, self.0.output()).await.expect("it ends").expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Standard output of a success.
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    pub fn json(self) -> Value {
        serde_json::from_str(&self.succeeded()).expect("JSON")
    }

    /// Standard error of a refusal for the caller's own doing.
    pub fn refused(self) -> String {
        assert_eq!(self.code, Some(2), "{self:#?}");
        self.stderr
    }
}
