//! The simulation as one process: development chain, service stand-ins, miners, and the files by
//! which a validator finds them.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    door::CorpusDoor,
    makers::stand_ins,
    roster::{Enrolled, RosterLine, VALIDATOR, development_key, neurons},
    services::StandIns,
    studio::Studio,
};
use crate::{
    chain::{
        devnet::{ChainClock, Devnet, DevnetConfig, DevnetError},
        wallet::{HotkeySigner, WalletError, hotkey_path},
    },
    corpus::{Corpus, CorpusError, CorpusOptions},
    decode::Decoder,
    domain::{
        ids::{BlockRef, Hotkey, NetUid, Uid},
        plan::ClipSpec,
    },
};

/// Round in which the development chain begins, near its end.
const FIRST_ROUND: u64 = 70_000;

/// How the simulation is set up.
#[derive(Clone, Debug)]
pub struct SimulationOptions {
    /// Folder for the connection files.
    pub out: PathBuf,
    /// The corpus that the validator draws from; the honest stand-ins look into it.
    pub corpus: CorpusOptions,
    /// Rules file that the validator is told to use, if another than the one built in.
    pub rules: Option<PathBuf>,
    /// Where the validator is told to serve its pages.
    pub validator_listen: SocketAddr,
    /// Address of the development chain; port 0 takes a free one.
    pub chain_listen: SocketAddr,
    /// Time between blocks.
    pub block_time: Duration,
    /// Blocks of a round, as in the rules.
    pub round_interval: u64,
    /// Blocks before the first whole round: time for the validator to start.
    pub lead_blocks: u64,
    /// Shape of a clip, as in the rules.
    pub spec: ClipSpec,
    /// Number of the subnet.
    pub netuid: NetUid,
    /// Seed of block hashes and keys.
    pub seed: u64,
    /// Blocks between epochs.
    pub tempo: u16,
    /// Least number of blocks between two weight settings.
    pub weights_rate_limit: u64,
    /// Whether weights are committed first and revealed later.
    pub commit_reveal: bool,
    /// Whether the chain serves its admin calls.
    pub chain_admin: bool,
}

/// Why the simulation does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The development chain did not start.
    #[error(transparent)]
    Chain(#[from] DevnetError),
    /// The corpus could not be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The validator's key could not be written or read.
    #[error("the development validator's key: {0}")]
    Wallet(#[from] WalletError),
    /// A file stands where the validator's key belongs, with another key.
    #[error(
        "{path} holds the key {found}, not the development validator's {wanted}: move it away or choose another folder"
    )]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// Its key.
        found: Hotkey,
        /// The expected key.
        wanted: Hotkey,
    },
    /// A file or a port could not be had.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        error: io::Error,
    },
    /// The block numbers do not fit.
    #[error("{0} blocks before the first round: at most {1}, one less than a round's")]
    Lead(u64, u64),
}

/// `sim.json`: where everything is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Connections {
    /// WebSocket address of the development chain.
    pub chain: String,
    /// Number of the subnet.
    pub netuid: NetUid,
    /// First whole round.
    pub first_round: u64,
    /// Blocks of a round.
    pub round_interval: u64,
    /// Time between blocks, in milliseconds.
    pub block_time_ms: u64,
    /// Address that stands for the Chutes API.
    pub chutes_api: String,
    /// Address of one chute, with `{slug}` in place of the slug.
    pub chute_url_template: String,
    /// Address that stands for the Hugging Face Hub.
    pub huggingface: String,
    /// The validator's slot.
    pub validator_uid: Uid,
    /// The validator's key.
    pub validator_hotkey: Hotkey,
    /// The file that holds it.
    pub hotkey_file: PathBuf,
    /// A configuration for the validator.
    pub config: PathBuf,
    /// Where that configuration has the validator serve its pages.
    pub validator: String,
}

/// Files that the simulation writes.
pub struct Files;

impl Files {
    /// Where everything is.
    pub const CONNECTIONS: &'static str = "sim.json";
    /// Who is who.
    pub const ROSTER: &'static str = "roster.json";
    /// A configuration for the validator.
    pub const CONFIG: &'static str = "validator.toml";
    /// The report.
    pub const REPORT: &'static str = "report.json";
}

/// A running simulation; dropping it stops chain and services.
pub struct Simulation {
    devnet: Arc<Devnet>,
    _services: StandIns,
    connections: Connections,
    roster: Vec<RosterLine>,
    folder: PathBuf,
}

impl Simulation {
    /// Starts everything and writes the connection files, `sim.json` last: who waits for that file
    /// finds all of them.
    ///
    /// # Errors
    /// When the corpus, a port, the key or a file is refused.
    pub async fn start(options: SimulationOptions, decoder: Arc<Decoder>) -> Result<Self, SimulationError> {
        if options.lead_blocks >= options.round_interval {
            return Err(SimulationError::Lead(options.lead_blocks, options.round_interval - 1));
        }
        let folder = prepare_folder(&options.out)?;
        let corpus = Corpus::open(options.corpus.clone(), decoder).await?;
        let miners = Enrolled::all(options.seed);
        let first_round = FIRST_ROUND + 1;
        let start_block = first_round * options.round_interval - options.lead_blocks;
        let devnet = Arc::new(
            Devnet::start(DevnetConfig {
                listen: options.chain_listen,
                block_time: Some(options.block_time),
                netuid: options.netuid,
                start_block,
                seed: options.seed,
                clock: ChainClock::Wall,
                // Blocks are faster than twelve seconds, so the beacon is faster than its three.
                beacon_period: 1,
                tempo: options.tempo,
                weights_rate_limit: options.weights_rate_limit,
                commit_reveal: options.commit_reveal,
                admin: options.chain_admin,
                neurons: neurons(options.seed, start_block, &miners),
                ..DevnetConfig::default()
            })
            .await?,
        );
        let door = CorpusDoor::new(corpus, devnet.clone(), options.round_interval, options.spec);
        let studio = Arc::new(Studio::new(Arc::new(door)));
        let services = StandIns::start(stand_ins(&miners, &studio))
            .await
            .map_err(|error| SimulationError::Io { what: "listening for the stand-ins".to_owned(), error })?;
        let (hotkey_file, validator_hotkey) = validator_key(&folder, options.seed)?;
        let connections = Connections {
            chain: devnet.url(),
            netuid: options.netuid,
            first_round,
            round_interval: options.round_interval,
            block_time_ms: options.block_time.as_millis() as u64,
            chutes_api: services.base_url().to_string(),
            chute_url_template: services.chute_url_template(),
            huggingface: services.base_url().to_string(),
            validator_uid: VALIDATOR,
            validator_hotkey,
            hotkey_file,
            config: folder.join(Files::CONFIG),
            validator: format!("http://{}", options.validator_listen),
        };
        let roster = miners.iter().map(Enrolled::line).collect();
        let simulation = Self { devnet, _services: services, connections, roster, folder };
        simulation.write_files(&options)?;
        Ok(simulation)
    }

    /// Where everything is.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Who is who.
    pub fn roster(&self) -> &[RosterLine] {
        &self.roster
    }

    /// The development chain.
    pub fn devnet(&self) -> &Devnet {
        &self.devnet
    }

    /// Waits until so many whole rounds are over and one interval more, in which the last can be
    /// paid; for ever when `None`. Every new head is told to `seen`.
    pub async fn run(&self, rounds: Option<u64>, mut seen: impl FnMut(BlockRef)) {
        let interval = self.connections.round_interval;
        let end = rounds.map(|rounds| (self.connections.first_round + rounds + 1) * interval);
        let mut heads = self.devnet.subscribe_heads();
        loop {
            let head = *heads.borrow_and_update();
            seen(head);
            if end.is_some_and(|end| head.number.0 >= end) || heads.changed().await.is_err() {
                return;
            }
        }
    }

    fn write_files(&self, options: &SimulationOptions) -> Result<(), SimulationError> {
        let config = validator_config(&self.connections, options, &self.folder)?;
        self.write(Files::CONFIG, &config)?;
        self.write(Files::ROSTER, &json(&self.roster))?;
        self.write(Files::CONNECTIONS, &json(&self.connections))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), SimulationError> {
        replace_file(&self.folder.join(name), text)
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // A stale address misleads; that it cannot be removed harms nobody else.
        let _ = std::fs::remove_file(self.folder.join(Files::CONNECTIONS));
    }
}

fn json(value: &impl Serialize) -> String {
    // Plain structs of strings and numbers: writing them to memory does not fail.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// Replaces a file whole: whoever reads it sees the old text or the new one.
pub fn replace_file(path: &Path, text: &str) -> Result<(), SimulationError> {
    let failed = |error| SimulationError::Io { what: format!("writing {}", path.display()), error };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Makes the folder, and removes the address of an earlier run.
fn prepare_folder(out: &Path) -> Result<PathBuf, SimulationError> {
    let failed = |error| SimulationError::Io { what: format!("folder {}", out.display()), error };
    std::fs::create_dir_all(out).map_err(failed)?;
    let folder = std::fs::canonicalize(out).map_err(failed)?;
    match std::fs::remove_file(folder.join(Files::CONNECTIONS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(folder),
    }
}

/// The development validator's key file, written when it is not there.
fn validator_key(folder: &Path, seed: u64) -> Result<(PathBuf, Hotkey), SimulationError> {
    let signer = development_key(seed, "validator");
    let path = hotkey_path(&folder.join("wallets"), "development", "validator");
    if path.exists() {
        let found = HotkeySigner::read_file(&path)?.hotkey();
        if found != signer.hotkey() {
            return Err(SimulationError::OtherKey { path, found, wanted: signer.hotkey() });
        }
    } else {
        signer.write_file(&path)?;
    }
    Ok((path, signer.hotkey()))
}

/// A configuration with which the validator joins this simulation.
fn validator_config(
    connections: &Connections,
    options: &SimulationOptions,
    folder: &Path,
) -> Result<String, SimulationError> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| SimulationError::Io { what: format!("path {}", path.display()), error })
    };
    // A corpus on disk is named by its whole path: the validator may start in another folder.
    let location = match options.corpus.location.contains("://") {
        true => options.corpus.location.clone(),
        false => absolute(Path::new(&options.corpus.location))?.display().to_string(),
    };
    // The chain begins anew with every start, so the validator's memory must too.
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut config = toml::toml! {
        [chain]
        [services]
        [corpus]
        [state]
        [storage]
        [web]
    };
    let mut set = |section: &str, key: &str, value: toml::Value| {
        if let Some(toml::Value::Table(table)) = config.get_mut(section) {
            table.insert(key.to_owned(), value);
        }
    };
    set("chain", "endpoints", vec![connections.chain.clone()].into());
    set("chain", "netuid", i64::from(connections.netuid.0).into());
    set("chain", "hotkey_file", connections.hotkey_file.display().to_string().into());
    set("services", "chutes_api", connections.chutes_api.clone().into());
    set("services", "chute_url_template", connections.chute_url_template.clone().into());
    set("services", "huggingface", connections.huggingface.clone().into());
    set("corpus", "location", location.into());
    set("corpus", "manifest", options.corpus.manifest.clone().into());
    set("state", "dir", folder.join("state").join(started.to_string()).display().to_string().into());
    set(
        "storage",
        "location",
        folder.join("published").join(started.to_string()).display().to_string().into(),
    );
    set("web", "listen", options.validator_listen.to_string().into());
    if let Some(rules) = &options.rules {
        let file = absolute(rules)?.display().to_string();
        config.insert(
            "rules".to_owned(),
            toml::Value::Table(toml::Table::from_iter([("file".to_owned(), file.into())])),
        );
    }
    Ok(format!("# Written by `leoma sim`: a validator's configuration for this simulation.\n\n{config}"))
}
