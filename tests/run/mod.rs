//! `leoma run` as an operator meets it: the real binary beside the real simulation, with small clips.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use leoma::{
    corpus::draw::{DrawOptions, draw_corpus},
    domain::{
        event::Event,
        ids::{Hotkey, RoundId},
        report::RoundReport,
        round::{Phase, Tournament},
        rules::Rules,
    },
    sim::{process::Connections, roster::RosterLine},
    store::journal::{Journal, JournalIdentity},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

const LEOMA: &str = env!("CARGO_BIN_EXE_leoma");
/// Nothing here takes this long; a story that does is stuck.
const PATIENCE: Duration = Duration::from_secs(240);

/// The rules in force but for a smaller clip and shorter rounds, so that a story takes seconds.
fn small_rules() -> Rules {
    let mut rules = Rules::embedded();
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

struct World {
    folder: tempfile::TempDir,
    _sim: Child,
    connections: Connections,
    roster: Vec<RosterLine>,
}

impl World {
    async fn start() -> Self {
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
        let rules = folder.path().join("rules.toml");
        std::fs::write(&rules, toml::to_string(&small_rules()).expect("rules")).expect("written");
        let out = folder.path().join("out");
        let mut sim = Command::new(LEOMA)
            .args([
                "sim",
                "--block-time-ms",
                "250",
                "--lead-blocks",
                "8",
                "--validator-listen",
                "127.0.0.1:0",
            ])
            .args(["--weights-rate-limit", "5", "--corpus"])
            .arg(&corpus)
            .arg("--out")
            .arg(&out)
            .arg("--rules")
            .arg(&rules)
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// A validator in its own state folder, logging what it does ticket by ticket.
    fn validator(&self, extra: &[&str]) -> Validator {
        let mut child = Command::new(LEOMA)
            .arg("run")
            .arg("--config")
            .arg(self.path("out").join("validator.toml"))
            .args(["--set", "log.filter=info,leoma=debug", "--set"])
            .arg(format!("state.dir={}", self.state().display()))
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
    fn journal(&self) -> Journal {
        let url = &self.connections.chain;
        let identity = JournalIdentity {
            genesis: genesis_in(&self.state()),
            netuid: self.connections.netuid.to_string(),
            hotkey: self.connections.validator_hotkey.to_string(),
        };
        Journal::open(&self.state(), &identity).unwrap_or_else(|cause| panic!("{url}: {cause}"))
    }

    fn rounds(&self) -> Vec<RoundReport> {
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

struct Validator {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: Vec<String>,
}

impl Validator {
    /// Reads the log up to a line that holds `text`.
    async fn says(&mut self, text: &str) -> String {
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

    async fn ends(mut self) -> (ExitStatus, Vec<String>) {
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
    async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    fn terminate(&self) {
        let pid = self.child.id().expect("running") as libc::pid_t;
        // SAFETY: plain system call on our own child's process id.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    }
}

async fn page(world: &World, path: &str) -> (u16, String) {
    let address = std::fs::read_to_string(world.path("address")).expect("address");
    let answer = reqwest::get(format!("{}{path}", address.trim())).await.expect(path);
    (answer.status().as_u16(), answer.text().await.expect("body"))
}

/// Every round once, every ticket once, and every weights decision with one end at most.
fn assert_once(journal: &Journal, rounds: impl Iterator<Item = RoundId>) {
    for id in rounds {
        let events = journal.events_of(id).expect("events");
        let plans = events.iter().filter(|event| matches!(event, Event::RoundPlanned { .. })).count();
        assert_eq!(plans, 1, "round {id} is planned once");
        let mut ends: BTreeMap<Hotkey, usize> = BTreeMap::new();
        for event in &events {
            if let Event::TicketSettled { hotkey, .. } = event {
                *ends.entry(*hotkey).or_default() += 1;
            }
        }
        assert!(ends.values().all(|count| *count == 1), "round {id}: every ticket settles once: {ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_runs_rounds_survives_kill_and_never_does_anything_twice() {
    let world = World::start().await;

    // Killed while the first round's answers come in.
    let mut first = world.validator(&[]);
    first.says("open: ").await;
    first.says("decode").await;

    // Its pages tell what it is doing meanwhile, and a second instance is kept out.
    let (status, actors) = page(&world, "/actors").await;
    assert_eq!(status, 200);
    for name in leoma::actors::house::ACTORS {
        assert!(actors.contains(name), "{name} in {actors}");
    }
    let (_, metrics) = page(&world, "/metrics").await;
    assert!(metrics.contains("leoma_chain_head"), "{metrics}");
    assert_eq!(page(&world, "/livez").await.0, 200);
    let (status, log) = world.validator(&["--set", "web.listen=127.0.0.1:0"]).ends().await;
    assert_eq!(status.code(), Some(2), "{log:?}");
    first.kill().await;

    // Goes on with the open round, and stops by itself after two rounds, the newest paid.
    let mut second = world.validator(&["--until-rounds", "2"]);
    second.says("going on with a round that was open").await;
    let (status, log) = second.ends().await;
    assert!(status.success(), "{}", log.join("\n"));

    let rounds = world.rounds();
    let closed: Vec<_> = rounds.iter().filter(|round| round.phase == "closed").collect();
    assert!(closed.len() >= 2, "{rounds:#?}");
    let miners: BTreeSet<Hotkey> = world.roster.iter().map(|line| line.hotkey).collect();
    for round in &closed {
        let rows: BTreeSet<Hotkey> = round.miners.iter().map(|row| row.hotkey).collect();
        assert_eq!(rows, miners, "a row for every miner of the roster");
        for row in &round.miners {
            assert_ne!(row.outcome, "open");
            assert_eq!(row.outcome == "scored", row.fault.is_none(), "{row:?}");
            assert_eq!(row.outcome == "scored", row.reason.is_empty(), "{row:?}");
        }
    }
    let journal = world.journal();
    assert_once(&journal, rounds.iter().filter(|round| round.void.is_none()).map(|round| round.round));
    let state = journal.replay(Tournament::new(small_rules().payout)).expect("replays");
    let (_, paid_for, _) = state.last_paid().expect("weights landed");
    assert_eq!(Some(*paid_for), closed.iter().map(|round| round.round).max());
    assert!(state.open_intent().is_none());
    let clips: Vec<_> = rounds.iter().filter_map(|round| round.clip.clone()).collect();
    assert_eq!(clips.len(), clips.iter().collect::<BTreeSet<_>>().len(), "no clip returns: {clips:?}");

    // SIGTERM: drains, ends well, and what was open stays open for the next start.
    drop(journal);
    let mut third = world.validator(&[]);
    third.says("open: ").await;
    third.terminate();
    let asked = std::time::Instant::now();
    let (status, log) = third.ends().await;
    assert!(status.success(), "{}", log.join("\n"));
    assert!(asked.elapsed() < Duration::from_secs(30), "drained within its limit");
    let state = world.journal().replay(Tournament::new(small_rules().payout)).expect("replays");
    let newest = state.newest().and_then(|id| state.round(id)).expect("a round");
    assert!(!matches!(newest.phase, Phase::Void { .. }), "{newest:?}");
}
