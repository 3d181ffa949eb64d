//! A small simulated world for the stories of a validator, and the real binary in it.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use leoma::{
    corpus::draw::{DrawOptions, draw_corpus},
    domain::{report::RoundReport, rules::Rules},
    sim::{process::Connections, roster::RosterLine},
    store::journal::{Journal, JournalIdentity},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

pub const LEOMA: &str = env!("CARGO_BIN_EXE_leoma");
/// Nothing here takes this long; a story that does is stuck.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The rules in force but for models, a smaller clip and shorter rounds, so that a story takes seconds.
pub fn small_rules() -> Rules {
    let mut rules = Rules::embedded().without_models();
    rules.request.frames = 33;
    rules.request.width = 256;
    rules.request.height = 144;
    // Small drawn clips move less than real ones; the story is not about which of them count.
    rules.scoring.dynamics.min_reference_residual = 1;
    rules.schedule.round_interval_blocks = 60;
    rules.schedule.answer_within_blocks = 40;
    rules.schedule.settle_within_blocks = 58;
    rules
}

pub struct World {
    pub folder: tempfile::TempDir,
    _sim: Child,
    pub connections: Connections,
    pub roster: Vec<RosterLine>,
}

impl World {
    pub async fn start() -> Self {
        Self::start_by(&small_rules(), 250).await
    }

    /// A world with other rules, and blocks of this many milliseconds.
    pub async fn start_by(rules: &Rules, block_ms: u32) -> Self {
        Self::start_with(rules, block_ms, &[]).await
    }

    /// A world with more flags for `leoma sim`.
    pub async fn start_with(rules: &Rules, block_ms: u32, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let corpus = folder.path().join("corpus");
        let drawn = DrawOptions {
            scenes: 6,
            frames: 96,
            width: 320,
            height: 184,
            ..DrawOptions::into_folder(corpus.clone())
        };
        tokio::task::spawn_blocking(move || draw_corpus(&drawn, |_| {}))
            .await
            .expect("drawing")
            .expect("a corpus");
        let rules_file = folder.path().join("rules.toml");
        std::fs::write(&rules_file, toml::to_string(rules).expect("rules")).expect("written");
        let out = folder.path().join("out");
        let mut sim = Command::new(LEOMA)
            .args([
                "sim",
                "--block-time-ms",
                &block_ms.to_string(),
                "--lead-blocks",
                "8",
                "--validator-listen",
                "127.0.0.1:0",
            ])
            .args(["--weights-rate-limit", "5"])
            .args(flags)
            .arg("--corpus")
            .arg(&corpus)
            .arg("--out")
            .arg(&out)
            .arg("--rules")
            .arg(&rules_file)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("leoma sim");
        let mut lines = BufReader::new(sim.stdout.take().expect("stdout")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("stdout of leoma sim") {
                if line.contains("now run: leoma run") {
                    return;
                }
            }
            panic!("leoma sim ended before it was ready");
        };
        timeout(PATIENCE, ready).await.expect("leoma sim is ready");
        // Read on to the end: a closed pipe would end the simulation.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let read = |name: &str| std::fs::read(out.join(name)).expect(name);
        let connections = serde_json::from_slice(&read("sim.json")).expect("sim.json");
        let roster = serde_json::from_slice(&read("roster.json")).expect("roster.json");
        Self { folder, _sim: sim, connections, roster }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Where its rounds are published.
    pub fn published(&self) -> PathBuf {
        self.path("published")
    }

    /// A validator in its own state folder, logging what it does ticket by ticket.
    pub fn validator(&self, extra: &[&str]) -> Validator {
        let mut child = Command::new(LEOMA)
            .arg("run")
            .arg("--config")
            .arg(self.path("out").join("validator.toml"))
            .args(["--set", "log.filter=info,leoma=debug", "--set"])
            .arg(format!("state.dir={}", self.state().display()))
            .arg("--set")
            .arg(format!("storage.location={}", self.published().display()))
            .arg("--rounds-file")
            .arg(self.path("rounds.json"))
            .arg("--address-file")
            .arg(self.path("address"))
            .args(extra)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("leoma run");
        let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        Validator { child, lines, log: Vec::new() }
    }

    /// The journal of a validator that is not running.
    pub fn journal(&self) -> Journal {
        let url = &self.connections.chain;
        let identity = JournalIdentity {
            genesis: genesis_in(&self.state()),
            netuid: self.connections.netuid.to_string(),
            hotkey: self.connections.validator_hotkey.to_string(),
        };
        Journal::open(&self.state(), &identity).unwrap_or_else(|cause| panic!("{url}: {cause}"))
    }

    pub fn rounds(&self) -> Vec<RoundReport> {
        let text = std::fs::read(self.path("rounds.json")).expect("rounds.json");
        let mut value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        serde_json::from_value(value["rounds"].take()).expect("rounds")
    }
}

/// The genesis that the journal belongs to, read from the file itself.
fn genesis_in(state: &Path) -> String {
    let connection = rusqlite::Connection::open(state.join("journal.sqlite")).expect("journal");
    connection
        .query_row("SELECT value FROM meta WHERE name = 'genesis'", [], |row| row.get(0))
        .expect("genesis")
}

pub struct Validator {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: Vec<String>,
}

impl Validator {
    /// Reads the log up to a line that holds `text`.
    pub async fn says(&mut self, text: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.expect("stderr") {
                self.log.push(line.clone());
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the validator ended without saying `{text}`:\n{}", self.log.join("\n"));
        };
        match timeout(PATIENCE, found).await {
            Ok(line) => line,
            Err(_) => panic!("the validator did not say `{text}`:\n{}", self.log.join("\n")),
        }
    }

    pub async fn ends(mut self) -> (ExitStatus, Vec<String>) {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.expect("stderr") {
                self.log.push(line);
            }
            self.child.wait().await.expect("exit status")
        };
        let status = timeout(PATIENCE, rest).await.expect("the validator ends");
        (status, self.log)
    }

    /// What `kill -9` does.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    pub fn terminate(&self) {
        let pid = self.child.id().expect("running") as libc::pid_t;
        // SAFETY: plain system call on our own child's process id.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    }
}

/// An admin call of the simulated chain, which must have been started with `--chain-admin`.
pub async fn chain_call(world: &World, method: &str, params: serde_json::Value) {
    let url = world.connections.chain.replace("ws://", "http://");
    let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = reqwest::Client::new().post(url).json(&call).send().await.expect("the chain answers");
    let answer: serde_json::Value = answer.json().await.expect("JSON");
    assert!(answer.get("error").is_none(), "{method}: {answer}");
}

pub async fn page(world: &World, path: &str) -> (u16, String) {
    let address = std::fs::read_to_string(world.path("address")).expect("address");
    let answer = reqwest::get(format!("{}{path}", address.trim())).await.expect(path);
    (answer.status().as_u16(), answer.text().await.expect("body"))
}
