//! A soak of the validator on the development chain: epochs with random troubles, judged by the chain and
//! the journal (docs/soak.md).

mod engine;
mod faults;
mod oracle;
mod random;
mod table;
mod world;

use std::{path::PathBuf, time::Duration};

use faults::Kind;
use oracle::Epoch;
use world::World;

/// How a soak runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub epochs: u64,
    pub tempo: u64,
    pub block_time: Duration,
    /// Epochs of a round.
    pub round_epochs: u64,
    pub rate_limit: u64,
    pub finality_lag: u64,
    /// Time that a submission may take on this machine, beyond finality.
    pub way: Duration,
    /// Troubles that are drawn, each once before any comes again.
    pub kinds: Vec<Kind>,
    /// Epochs, counted from the start, at which commit-reveal is switched on, off, on ...
    pub switch_epochs: Vec<u64>,
}

impl Settings {
    fn round_interval(&self) -> u64 {
        self.round_epochs * self.tempo
    }

    /// Blocks that a submission may take from a due decision to a final block.
    fn grace(&self) -> u64 {
        self.finality_lag + self.blocks_of(self.way)
    }

    /// Blocks after a heal within which weights or a commit must follow: a lost extrinsic's lifetime, the
    /// next time that weights are due, and half a minute of starting and connecting.
    fn recovery_limit(&self) -> u64 {
        72 + 2 * self.tempo + self.blocks_of(Duration::from_secs(30))
    }

    fn blocks_of(&self, time: Duration) -> u64 {
        time.as_millis().div_ceil(self.block_time.as_millis()) as u64
    }
}

/// Runs and judges; the report and what is wrong.
async fn soak(settings: &Settings, folder: &std::path::Path) -> (String, Vec<String>, bool) {
    let world = World::start(settings, folder).await;
    let run = engine::run(&world, settings).await;
    let found = oracle::judge(&world, settings, &run);
    let right = found.violations.is_empty()
        && !found.epochs.values().any(|epoch| matches!(epoch, Epoch::Unexplained { .. }));
    (table::table(settings, &run, &found), table::complaints(&run, &found), right)
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_right_never_twice_and_never_for_another_through_troubles() {
    let settings = Settings {
        seed: 7,
        epochs: 10,
        tempo: 36,
        block_time: Duration::from_millis(100),
        round_epochs: 2,
        rate_limit: 5,
        finality_lag: 2,
        way: Duration::from_secs(4),
        kinds: vec![Kind::Killed, Kind::EndpointDead, Kind::FailsInBlock, Kind::Rejected],
        switch_epochs: vec![6],
    };
    let folder = tempfile::tempdir().expect("folder");
    let (report, complaints, right) = soak(&settings, folder.path()).await;
    if !right {
        let log = std::fs::read_to_string(folder.path().join("validator.log")).unwrap_or_default();
        panic!("{log}\n{report}\n{}", complaints.join("\n"));
    }
}

/// The measurement of docs/soak.md: `LEOMA_SOAK_EPOCHS`, `LEOMA_SOAK_SEED`, `LEOMA_SOAK_OUT` (a folder).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour: see docs/soak.md"]
async fn the_long_soak() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let epochs = number("LEOMA_SOAK_EPOCHS", 500);
    let settings = Settings {
        seed: number("LEOMA_SOAK_SEED", 1),
        epochs,
        tempo: 60,
        block_time: Duration::from_millis(number("LEOMA_SOAK_BLOCK_MS", 50)),
        round_epochs: 4,
        rate_limit: 5,
        finality_lag: 2,
        way: Duration::from_secs(2),
        kinds: Kind::DRAWN.to_vec(),
        switch_epochs: vec![epochs / 4, epochs / 2, epochs * 3 / 4],
    };
    let out = std::env::var_os("LEOMA_SOAK_OUT")
        .map_or_else(|| std::env::temp_dir().join("leoma-soak"), PathBuf::from);
    let folder = out.join(format!("seed-{}-{epochs}", settings.seed));
    std::fs::create_dir_all(&folder).expect("folder");
    let (report, complaints, right) = soak(&settings, &folder).await;
    let text =
        format!("{report}\n{}\n", complaints.iter().map(|line| format!("- {line}\n")).collect::<String>());
    std::fs::write(folder.join("table.md"), &text).expect("table");
    println!("{text}");
    assert!(right, "see {}", folder.display());
}
