//! The official Python SDK beside our own client, on one development chain: each reads what the other wrote.
//!
//! `scripts/fetch-official-sdk.sh` puts the SDK where these stories look for it, `client.py` is how they ask it.

mod commitments;
mod timelocks;
pub mod validator;
mod weights;

use std::{
    path::PathBuf,
    process::Stdio,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use leoma::{chain::devnet::Devnet, domain::ids::NetUid, embed::manifest::default_folder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{MissedTickBehavior, interval, timeout},
};

const NETUID: NetUid = NetUid(99);
/// Nothing here takes this long; a question that does is stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between blocks while somebody waits for one.
const BLOCK_TIME: Duration = Duration::from_millis(100);
/// A round of drand's quicknet whose signature is published.
const PUBLISHED_ROUND: u64 = 1000;

/// Signature of [`PUBLISHED_ROUND`].
static PUBLISHED_SIGNATURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let golden: Value = serde_json::from_str(include_str!("../golden/timelock/golden.json")).expect("JSON");
    assert_eq!(golden["round"], PUBLISHED_ROUND);
    hex::decode(golden["signature"].as_str().expect("text")).expect("hexadecimal")
});

/// The SDK in a process of its own.
struct Official {
    /// Ends when this is dropped.
    _process: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// The SDK keeps metadata under its home.
    _home: tempfile::TempDir,
}

impl Official {
    /// The SDK, connected to the chain at a URL if one is given, where it is installed. Else says loudly that the story
    /// skips, and fails instead where `LEOMA_REQUIRE_ASSETS` is set.
    async fn start(chain: Option<&str>) -> Option<Self> {
        let python = installed_python()?;
        let home = tempfile::tempdir().expect("folder");
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/official/client.py"))
            .args(chain)
            .env_clear()
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let questions = process.stdin.take().expect("stdin");
        let answers = BufReader::new(process.stdout.take().expect("stdout")).lines();
        let mut official = Self { _process: process, questions, answers, _home: home };
        let versions = official.ask("versions", json!({})).await;
        assert_eq!(versions, json!({"bittensor": "11.1.0", "bittensor-core": "0.1.5"}));
        Some(official)
    }

    /// Asks one of the questions of `client.py`.
    async fn ask(&mut self, question: &str, mut arguments: Value) -> Value {
        arguments["ask"] = question.into();
        let line = format!("{arguments}\n");
        let answered = async {
            self.questions.write_all(line.as_bytes()).await.expect("the SDK reads");
            self.answers.next_line().await.expect("its answer")
        };
        let answer = timeout(PATIENCE, answered).await.expect("an answer in time");
        let answer = answer.unwrap_or_else(|| panic!("the SDK failed, as it says above: {line}"));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

/// The Python of the environment that has exactly the pinned packages.
fn installed_python() -> Option<PathBuf> {
    let folder = default_folder().expect("a cache folder").with_file_name("official-sdk");
    let installed = std::fs::read_to_string(folder.join("requirements.txt")).unwrap_or_default();
    if installed == include_str!("requirements.txt") {
        return Some(folder.join("bin/python"));
    }
    let skipped = format!(
        "SKIPPED: the official SDK, as tests/official/requirements.txt pins it, is not in {}: run scripts/fetch-official-sdk.sh",
        folder.display()
    );
    assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "{skipped}");
    eprintln!("{skipped}");
    None
}

/// Makes blocks until something is done.
async fn with_blocks<T>(devnet: &Devnet, done: impl Future<Output = T>) -> T {
    let mut ticks = interval(BLOCK_TIME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut done = std::pin::pin!(done);
    loop {
        tokio::select! {
            result = &mut done => return result,
            _ = ticks.tick() => devnet.produce_block().await,
        };
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}
