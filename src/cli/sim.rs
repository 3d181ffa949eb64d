//! `leoma sim`: the world beside the validator, for the demo.

use std::{
    io::IsTerminal as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::{
    Execute, block_on,
    exit::{Exit, Failure, after_help},
    files::read_rules,
};
use crate::{
    chain::{
        port::Chain as _,
        subtensor::{SubtensorChain, SubtensorOptions},
    },
    corpus::CorpusOptions,
    decode::{Decoder, DecoderOptions},
    domain::{
        ids::{BlockRef, NetUid},
        rules::ActiveRules,
    },
    sim::{
        process::{Connections, Files, Simulation, SimulationOptions, replace_file},
        report::{DemoReport, Problem, WeightReport, judge, read_rounds},
        roster::RosterLine,
        table::{Colour, render},
    },
    telemetry,
};

/// Longest wait for the validator's pages.
const PAGE_DEADLINE: Duration = Duration::from_secs(10);
/// Most bytes of one of its pages.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// Run the demo's world: a development chain, stand-ins of Chutes and Hugging Face, and miners
///
/// Three honest stand-ins move the given frame by the real clip's motion, which a real miner never
/// sees; the others cheat or fail. Nothing here is evidence about real models. The connection files
/// (sim.json, roster.json, validator.toml) lie in the --out folder once everything runs.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, after_help = after_help!(
    "leoma sim --corpus corpus --out demo-out",
    "leoma run --config demo-out/validator.toml",
    "leoma sim report --out demo-out",
))]
pub struct SimCommand {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Subcommand)]
enum Action {
    /// Report what the validator decided and the chain pays; fails when a cheat was paid
    #[command(after_help = after_help!(
        "leoma sim report --out demo-out",
        "leoma sim report --out demo-out --from http://127.0.0.1:9099",
        "leoma sim report --out demo-out --from rounds.json",
    ))]
    Report(ReportArgs),
}

/// How to start the simulation.
#[derive(Args, Debug, Clone)]
pub struct StartArgs {
    /// Folder for connection files, keys and the validator's state
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    pub out: PathBuf,
    /// Folder of the corpus that the validator draws from
    #[arg(long, value_name = "DIR", default_value = "corpus")]
    pub corpus: String,
    /// Manifest inside the corpus
    #[arg(long, value_name = "NAME", default_value = "corpus.toml")]
    pub manifest: String,
    /// Rules file for the validator; without one the rules built in
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Where the validator is to serve its pages
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9099")]
    pub validator_listen: SocketAddr,
    /// Port of the development chain; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub chain_port: u16,
    /// Time between blocks, in milliseconds
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub block_time_ms: u64,
    /// Blocks before the first round: time for the validator to start
    #[arg(long, default_value_t = 20)]
    pub lead_blocks: u64,
    /// Number of the subnet
    #[arg(long, default_value_t = 99, value_parser = clap::value_parser!(u16).range(1..4096))]
    pub netuid: u16,
    /// Seed of block hashes and keys: another seed draws other clips
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Blocks between epochs
    #[arg(long, default_value_t = 50)]
    pub tempo: u16,
    /// Least number of blocks between two weight settings
    #[arg(long, default_value_t = 20)]
    pub weights_rate_limit: u64,
    /// The subnet wants weights committed first and revealed later
    #[arg(long)]
    pub commit_reveal: bool,
    /// The chain misbehaves on request: its admin calls are served (docs/devnet.md)
    #[arg(long)]
    pub chain_admin: bool,
    /// Stop after this many whole rounds and one interval for the payout
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub rounds: Option<u64>,
}

/// What to report on.
#[derive(Args, Debug, Clone)]
pub struct ReportArgs {
    /// The simulation's folder; report.json is written there
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    pub out: PathBuf,
    /// The validator's pages (http://HOST:PORT) or a file with its rounds; by default the address of
    /// sim.json
    #[arg(long, value_name = "URL|FILE")]
    pub from: Option<String>,
}

impl Execute for SimCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        match self.action {
            None => {
                let options = telemetry::LogOptions {
                    format: telemetry::LogFormat::Plain,
                    filter: std::env::var("LEOMA_SIM_LOG").unwrap_or_else(|_| "warn".to_owned()),
                    color: telemetry::Color::Auto,
                };
                telemetry::init(&options).map_err(|cause| Failure::new(Exit::Usage, cause))?;
                let rules = read_rules(self.start.rules.as_deref())?;
                block_on(run(self.start, rules))??;
                Ok(Exit::Ok.into())
            }
            Some(Action::Report(args)) => {
                let problems = block_on(report(args))??;
                Ok(if problems.is_empty() { Exit::Ok } else { Exit::Internal }.into())
            }
        }
    }
}

/// Runs the simulation until SIGTERM, SIGINT or the given number of rounds.
async fn run(args: StartArgs, active: ActiveRules) -> anyhow::Result<()> {
    let worker =
        std::env::current_exe().context("finding this program's own file, which decodes as a child")?;
    let decoder = Arc::new(Decoder::new(DecoderOptions::with_worker(worker)));
    let simulation = Simulation::start(
        SimulationOptions {
            out: args.out.clone(),
            corpus: CorpusOptions { location: args.corpus, manifest: args.manifest },
            rules: args.rules,
            validator_listen: args.validator_listen,
            chain_listen: SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), args.chain_port)),
            block_time: Duration::from_millis(args.block_time_ms),
            round_interval: active.rules.schedule.round_interval_blocks,
            lead_blocks: args.lead_blocks,
            spec: active.rules.request,
            netuid: NetUid(args.netuid),
            seed: args.seed,
            tempo: args.tempo,
            weights_rate_limit: args.weights_rate_limit,
            commit_reveal: args.commit_reveal,
            chain_admin: args.chain_admin,
        },
        decoder,
    )
    .await?;
    print!("{}", introduction(&simulation));
    let interval = simulation.connections().round_interval;
    let mut weights = simulation.devnet().weights();
    let follow = simulation.run(args.rounds, |head: BlockRef| {
        if head.number.0.is_multiple_of(interval) {
            println!("sim: block {}: round {} begins", head.number, head.number.0 / interval);
        }
        let now = simulation.devnet().weights();
        if now != weights {
            println!("sim: block {}: weights {}", head.number, paid(&now, simulation.roster()));
            weights = now;
        }
    });
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        () = follow => println!("sim: the asked rounds are over"),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listening for SIGINT")?,
        _ = terminate.recv() => {}
    }
    println!("sim: stopped at block {}", simulation.devnet().head().number);
    Ok(())
}

fn introduction(simulation: &Simulation) -> String {
    let connections = simulation.connections();
    let mut text = format!(
        "sim: development chain (a model of subtensor) {}, netuid {}, block {}, a block every {} ms\n\
         sim: stand-ins of Chutes and Hugging Face {}\n\
         sim: validator uid {} {}, key in {}\n",
        connections.chain,
        connections.netuid,
        simulation.devnet().head().number,
        connections.block_time_ms,
        connections.chutes_api,
        connections.validator_uid,
        connections.validator_hotkey,
        connections.hotkey_file.display(),
    );
    for line in simulation.roster() {
        let expect = format!("{:?}", line.expect).to_lowercase();
        text.push_str(&format!(
            "sim: miner uid {:>2} {} {:<14} {expect}\n",
            line.uid.0, line.hotkey, line.label
        ));
    }
    text.push_str(&format!("sim: now run: leoma run --config {}\n", connections.config.display()));
    text
}

/// Who is paid, for one line.
fn paid(
    rows: &std::collections::BTreeMap<crate::domain::ids::Uid, Vec<(crate::domain::ids::Uid, u16)>>,
    roster: &[RosterLine],
) -> String {
    let name =
        |uid| roster.iter().find(|line| line.uid == uid).map_or("not a miner", |line| line.label.as_str());
    let mut all = Vec::new();
    for (validator, row) in rows {
        for (uid, weight) in row.iter().filter(|(_, weight)| *weight > 0) {
            all.push(format!("of uid {validator}: uid {uid} ({}) {weight}", name(*uid)));
        }
    }
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// Writes and prints the report; returns what is wrong with it.
pub async fn report(args: ReportArgs) -> anyhow::Result<Vec<Problem>> {
    let connections: Connections = read_json(&args.out.join(Files::CONNECTIONS))
        .await
        .context("is `leoma sim` running? It writes this file and removes it at its end")?;
    let roster: Vec<RosterLine> = read_json(&args.out.join(Files::ROSTER)).await?;
    let from = args.from.unwrap_or_else(|| connections.validator.clone());
    let served = match Url::parse(&from) {
        Ok(base) if matches!(base.scheme(), "http" | "https") => {
            fetch(&base).await.with_context(|| format!("the validator's pages at {from}"))?
        }
        _ => tokio::fs::read(&from).await.with_context(|| from.clone())?,
    };
    let weights = weights_on_chain(&connections).await.context("the weights on chain")?;
    let report = DemoReport::build(&read_rounds(&served)?, weights, &roster);
    let problems = judge(&report, &roster);
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    replace_file(&args.out.join(Files::REPORT), &text)?;
    let colour = if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Colour::On
    } else {
        Colour::Off
    };
    print!("{}", render(&report, &roster, &problems, colour));
    Ok(problems)
}

async fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = tokio::fs::read(path).await.with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// The page `/rounds` with every round that it holds.
async fn fetch(base: &Url) -> anyhow::Result<Vec<u8>> {
    let client = reqwest::Client::builder()
        .timeout(PAGE_DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let mut answer = client.get(base.join("rounds?limit=200")?).send().await?.error_for_status()?;
    let mut page = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        page.extend_from_slice(&piece);
        if page.len() > MAX_PAGE_BYTES {
            bail!("the page is larger than {MAX_PAGE_BYTES} bytes");
        }
    }
    Ok(page)
}

async fn weights_on_chain(connections: &Connections) -> anyhow::Result<Vec<WeightReport>> {
    let endpoint = Url::parse(&connections.chain)?;
    let chain = SubtensorChain::connect(SubtensorOptions::new(vec![endpoint])).await?;
    let at = chain.head().await?.block.hash;
    let neurons = chain.neurons(connections.netuid, at).await?;
    let row = chain.weights_of(connections.netuid, connections.validator_uid, at).await?;
    let hotkey = |uid| neurons.iter().find(|neuron| neuron.uid == uid).map(|neuron| neuron.hotkey);
    Ok(row.into_iter().map(|(uid, weight)| WeightReport { uid, hotkey: hotkey(uid), weight }).collect())
}
