//! `leoma devnet`: the development chain alone, until interrupted.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use subxt_signer::sr25519::dev;

use super::{
    Execute, block_on,
    exit::{Exit, Failure, after_help},
};
use crate::{
    chain::devnet::{ChainClock, DevNeuron, DevRuntime, Devnet, DevnetConfig, DevnetError},
    domain::ids::{Hotkey, NetUid},
};

/// Runs a development chain: a model of subtensor with real metadata and RPC, on loopback.
///
/// The chain has one subnet. Its first neuron is the owner (uid 0, the well-known key //Alice);
/// then come the neurons of --neuron, or //Bob to //Ferdie as miners when there are none. Weights
/// can be set by every neuron with stake. Without --state nothing is stored: a restart begins anew.
///
/// With --admin it misbehaves on request, by JSON-RPC calls on the same port (docs/devnet.md):
///
///   dev_faults, dev_heal [NAME]     list the injected faults, end one kind or all
///   dev_inject {"fault": NAME, ..}  hang, silent_subscriptions, not_listening, wrong_genesis, slow,
///                                   reject_submissions, fail_in_block, swallow,
///                                   production_paused, finality_stopped
///   dev_dropConnections             cut every connection
///   dev_produce [COUNT]             make blocks now
///   dev_reorg DEPTH [return|drop]   replace blocks that are not final by a longer fork
///   dev_upgrade SPEC [RENAMES]      switch the runtime
///   dev_setParameter PARAMETER      change the subnet, for example {"tempo": 50}
///   dev_changeNeuron HOTKEY CHANGE  {"permit": false} or {"stake": RAO}
///   dev_switchBeacon SWITCH         "stop", {"start": "published"} or {"start": "lost"}
#[derive(Args, Debug, Clone)]
#[command(verbatim_doc_comment)]
#[command(after_help = after_help!(
    "leoma devnet --port 9944 --block-time-ms 1000 --tempo 20",
    "leoma devnet --block-time-ms 1000 --tempo 20 --commit-reveal --beacon-period-seconds 1",
    "leoma devnet --block-time-ms 1000 --finality-lag 3 --state chain.state --admin",
    "leoma devnet --neuron 5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty=1000000000000",
))]
pub struct DevnetArgs {
    /// Port to listen on, on loopback; 0 picks a free one.
    #[arg(long, default_value_t = 9944)]
    pub port: u16,
    /// Time between blocks, in milliseconds.
    #[arg(long, default_value_t = 12_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub block_time_ms: u64,
    /// Number of the subnet.
    #[arg(long, default_value_t = 99, value_parser = clap::value_parser!(u16).range(1..4096))]
    pub netuid: u16,
    /// Number of the head at the start.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub start_block: u64,
    /// Seed of the block hashes.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Blocks between epochs; 0 turns epochs off.
    #[arg(long, default_value_t = 100)]
    pub tempo: u16,
    /// Least number of blocks between two weight settings of a hotkey.
    #[arg(long, default_value_t = 100)]
    pub weights_rate_limit: u64,
    /// Least number of entries in a weights vector.
    #[arg(long, default_value_t = 1)]
    pub min_allowed_weights: u16,
    /// Version key that weights must carry; 0 accepts any.
    #[arg(long, default_value_t = 0)]
    pub weights_version_key: u64,
    /// Whether weights are committed and revealed an epoch later instead of set plainly.
    #[arg(long)]
    pub commit_reveal: bool,
    /// Epochs between a commit of weights and its reveal.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub reveal_period: u64,
    /// Seconds between rounds of the development beacon, which opens commits and timelocks.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub beacon_period_seconds: u32,
    /// Stake below which a hotkey may not set weights, in rao; the owner's may always.
    #[arg(long, default_value_t = 0)]
    pub stake_threshold: u64,
    /// Blocks between the best block and the newest final one.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=256))]
    pub finality_lag: u32,
    /// Runtime at the start: 461, or 365 to be upgraded from.
    #[arg(long, default_value = "461", value_parser = ["461", "365"])]
    pub spec: String,
    /// File that keeps the chain; one that holds a chain goes on with it, and then seed, netuid, start
    /// block and beacon period must be its own, while neurons, parameters and runtime come from it.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Serves the admin calls.
    #[arg(long)]
    pub admin: bool,
    /// A neuron more: ss58 hotkey, then `=` and its stake in rao; stake above zero makes a validator.
    #[arg(long = "neuron", value_name = "HOTKEY[=STAKE]", value_parser = parse_neuron)]
    pub neurons: Vec<DevNeuron>,
}

impl Execute for DevnetArgs {
    fn execute(self) -> Result<ExitCode, Failure> {
        match block_on(run(self))? {
            Ok(()) => Ok(Exit::Ok.into()),
            Err(error) => Err(Failure::new(exit_of(&error), error)),
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    match error.downcast_ref() {
        Some(DevnetError::Config { .. }) => Exit::Usage,
        Some(DevnetError::State { .. }) => Exit::Unreadable,
        _ => Exit::Internal,
    }
}

/// Stake of the owner's hotkey, in rao.
const OWNER_STAKE: u64 = 1_000_000_000_000;

fn parse_neuron(text: &str) -> Result<DevNeuron, anyhow::Error> {
    let (hotkey, stake) = text.split_once('=').unwrap_or((text, "0"));
    let stake: u64 =
        stake.parse().with_context(|| format!("stake `{stake}` is not a whole number of rao"))?;
    let hotkey = hotkey.parse()?;
    Ok(if stake > 0 { DevNeuron::validator(hotkey, stake) } else { DevNeuron::miner(hotkey) })
}

fn neurons(asked: Vec<DevNeuron>) -> Vec<DevNeuron> {
    let key = |pair: subxt_signer::sr25519::Keypair| Hotkey(pair.public_key().0);
    let mut all = vec![DevNeuron::validator(key(dev::alice()), OWNER_STAKE)];
    if asked.is_empty() {
        let miners = [dev::bob(), dev::charlie(), dev::dave(), dev::eve(), dev::ferdie()];
        all.extend(miners.map(|pair| DevNeuron::miner(key(pair))));
    }
    all.extend(asked);
    all
}

/// Runs the chain until SIGINT or SIGTERM.
pub async fn run(args: DevnetArgs) -> anyhow::Result<()> {
    let devnet = Devnet::start(DevnetConfig {
        listen: SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), args.port)),
        block_time: Some(Duration::from_millis(args.block_time_ms)),
        netuid: NetUid(args.netuid),
        start_block: args.start_block,
        seed: args.seed,
        clock: ChainClock::Wall,
        tempo: args.tempo,
        weights_rate_limit: args.weights_rate_limit,
        min_allowed_weights: args.min_allowed_weights,
        weights_version_key: args.weights_version_key,
        commit_reveal: args.commit_reveal,
        reveal_period: args.reveal_period,
        beacon_period: args.beacon_period_seconds,
        stake_threshold: args.stake_threshold,
        neurons: neurons(args.neurons),
        finality_lag: args.finality_lag,
        runtime: if args.spec == "365" { DevRuntime::Spec365 } else { DevRuntime::Spec461 },
        state_file: args.state,
        admin: args.admin,
        ..DevnetConfig::default()
    })
    .await?;
    println!(
        "development chain (a model of subtensor) at {}, genesis {}, netuid {}, spec {}, head {}{}",
        devnet.url(),
        devnet.genesis_hash(),
        args.netuid,
        devnet.spec_version(),
        devnet.head().number,
        if args.admin { ", admin calls on" } else { "" }
    );
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("listening for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listening for SIGINT")?,
        _ = terminate.recv() => {}
    }
    println!("development chain stopped at head {}", devnet.head().number);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn parse(arguments: &[&str]) -> Result<DevnetArgs, clap::Error> {
        let command = DevnetArgs::augment_args(Command::new("devnet"));
        let matches = command.try_get_matches_from([&["devnet"], arguments].concat())?;
        DevnetArgs::from_arg_matches(&matches)
    }

    #[test]
    fn the_example_of_the_help_text_parses() {
        DevnetArgs::augment_args(Command::new("devnet")).debug_assert();
        let bob = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";
        let neuron = format!("{bob}=1000000000000");
        let args = parse(&["--block-time-ms", "1000", "--tempo", "20", "--neuron", &neuron]).expect("parses");
        let all = neurons(args.neurons);
        assert_eq!(all.len(), 2, "the owner and the one asked for");
        assert_eq!(all[1].hotkey.to_string(), bob);
        assert!(all[1].validator_permit);
        assert_eq!(neurons(Vec::new()).len(), 6);
        let args = parse(&["--commit-reveal", "--beacon-period-seconds", "1"]).expect("parses");
        assert!(args.commit_reveal);
        assert_eq!((args.reveal_period, args.beacon_period_seconds), (1, 1));
        let args =
            parse(&["--finality-lag", "3", "--state", "f", "--admin", "--spec", "365"]).expect("parses");
        assert_eq!((args.finality_lag, args.admin, args.spec.as_str()), (3, true, "365"));
    }

    #[test]
    fn failures_end_with_the_code_that_the_help_names() {
        let path = PathBuf::from("f");
        let state = DevnetError::State { path, problem: "is damaged".into() };
        assert_eq!(exit_of(&state.into()), Exit::Unreadable);
        let config = DevnetError::Config { field: "netuid", problem: "0".into() };
        assert_eq!(exit_of(&config.into()), Exit::Usage);
        assert_eq!(exit_of(&anyhow::anyhow!("else")), Exit::Internal);
    }

    #[test]
    fn wrong_arguments_are_refused_with_their_text() {
        for (flag, value) in [
            ("--neuron", "nobody"),
            ("--neuron", "5FHneW=x"),
            ("--netuid", "4096"),
            ("--block-time-ms", "1"),
            ("--reveal-period", "101"),
        ] {
            let error = parse(&[flag, value]).map(drop).expect_err(value).to_string();
            assert!(error.contains(value), "{error}");
        }
    }
}
