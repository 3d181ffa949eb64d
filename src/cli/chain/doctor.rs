//! `leoma chain doctor`: everything between this validator and its weights on chain, looked at once.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use clap::Args;
use url::Url;

use super::findings::{Findings, Grade};
use crate::{
    chain::{
        commit_reveal,
        port::{Chain, ChainError, Head, Neuron, OwnWeights, SubnetState},
        subtensor::{SubtensorChain, SubtensorOptions},
    },
    cli::{
        Execute, block_on,
        config::ConfigArgs,
        exit::{Exit, Failure, after_help},
        files::read_rules,
        hotkey,
    },
    config::Config,
    domain::{
        ids::{BlockNumber, Hotkey, NetUid, Uid},
        payments::Payments,
        round::Tournament,
    },
    store::journal::Journal,
};

/// Age of a finalized head from which an endpoint deserves attention; finality alone takes some 30 s.
const OLD_HEAD_S: u64 = 90;
/// Age from which it is of no use.
const DEAD_HEAD_S: u64 = 600;
/// Blocks below the lowest head at which endpoints are compared.
const COMPARED_BELOW: u64 = 5;
/// Rounds of the beacon that the chain may be behind its own clock: a minute and a half.
const PULSES_BEHIND: u64 = 30;
/// Tempos without weights from which something is wrong.
const TEMPOS_BEHIND: f64 = 2.0;

/// Look at everything between this validator and its weights on chain
///
/// Endpoints, runtime, subnet, beacon, hotkey, stake, permit, weights, open commits and the journal, each with pass, warn or
/// fail and what to do. It reads only, also beside a running validator. Exit code 4 means that something fails.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma chain doctor --config validator.toml",
    "leoma chain doctor --wallet.name validator --netuid 99 --subtensor.network finney --json",
))]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Execute for DoctorArgs {
    fn execute(self) -> Result<ExitCode, Failure> {
        let loaded = self.config.load()?;
        let config = &loaded.config;
        let signer = hotkey::signer(config)?;
        let me = signer.as_ref().map(|signer| signer.hotkey());
        let mut findings = Findings::default();
        block_on(examine(config, me, &mut findings))??;
        match self.json {
            true => {
                let json = serde_json::to_string_pretty(&findings).context("writing JSON")?;
                println!("{json}");
            }
            false => println!("{findings}"),
        }
        let end = if findings.worst() == Grade::Fail { Exit::Drift } else { Exit::Ok };
        Ok(end.into())
    }
}

async fn examine(config: &Config, me: Option<Hotkey>, findings: &mut Findings) -> Result<(), Failure> {
    let reached = endpoints(config, findings).await?;
    let Some((chain, head)) = reached.first() else { return Ok(()) };
    agreement(&reached, findings).await;
    if !runtime(chain, head, findings).await {
        return Ok(());
    }
    let netuid = config.chain.netuid;
    let subnet = match chain.subnet(netuid, head.block.hash).await {
        Ok(subnet) => subnet,
        Err(cause) => {
            findings.fail("subnet", cause.to_string(), "check chain.netuid and chain.endpoints");
            return Ok(());
        }
    };
    show_subnet(config, netuid, &subnet, findings);
    beacon(chain, head, &subnet, findings).await;
    match me {
        Some(me) => ourselves(config, chain, (head, &subnet), me, findings).await?,
        None => findings.warn(
            "hotkey",
            "none is configured: this validator scores, but sets no weights",
            "set wallet.name and wallet.hotkey",
        ),
    }
    Ok(())
}

/// Every endpoint by itself; those that answer, with their finalized heads.
async fn endpoints(config: &Config, findings: &mut Findings) -> Result<Vec<(SubtensorChain, Head)>, Failure> {
    let mut reached: Vec<(SubtensorChain, Head)> = Vec::new();
    for endpoint in &config.chain.endpoints {
        let url = Url::parse(endpoint.as_str()).context("chain.endpoints")?;
        let options = SubtensorOptions {
            call_deadline: Duration::from_secs(config.chain.call_deadline_s),
            ..SubtensorOptions::new(vec![url])
        };
        let answer: Result<_, ChainError> = async {
            let chain = SubtensorChain::connect(options).await?;
            let head = chain.head().await?;
            Ok((chain, head))
        }
        .await;
        let (chain, head) = match answer {
            Ok(answer) => answer,
            Err(cause) => {
                findings.fail(
                    "endpoint",
                    cause.to_string(),
                    "check the address, or take it out of chain.endpoints",
                );
                continue;
            }
        };
        if let Some((first, _)) = reached.first()
            && first.genesis() != chain.genesis()
        {
            let seen = format!("{} serves genesis {}", chain.endpoint(), chain.genesis());
            findings.fail("endpoint", seen, "it serves another chain: take it out of chain.endpoints");
            continue;
        }
        head_age(&chain, &head, findings).await;
        reached.push((chain, head));
    }
    Ok(reached)
}

async fn head_age(chain: &SubtensorChain, head: &Head, findings: &mut Findings) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let (number, name) = (head.block.number, chain.endpoint());
    let time = match chain.time_of(head.block.hash).await {
        Ok(time) => time / 1000,
        // A runtime that does not fit is a finding of its own.
        Err(_) => return findings.pass("endpoint", format!("{name}: finalized block {number}")),
    };
    let age = now.saturating_sub(time);
    let seen = format!("{name}: finalized block {number}, {age} s old by this machine's clock");
    let advice = "the node is behind or stuck, or this machine's clock is wrong";
    match age {
        DEAD_HEAD_S.. => findings.fail("endpoint", seen, advice),
        OLD_HEAD_S.. => findings.warn("endpoint", seen, advice),
        _ => findings.pass("endpoint", seen),
    }
}

async fn agreement(reached: &[(SubtensorChain, Head)], findings: &mut Findings) {
    let lowest = reached.iter().map(|(_, head)| head.block.number.0).min().unwrap_or(0);
    let number = BlockNumber(lowest.saturating_sub(COMPARED_BELOW));
    if reached.len() < 2 {
        let advice = "name a second one: a round's seed is a block hash, and two endpoints must agree on it";
        return findings.warn("endpoints agree", "only one endpoint answers", advice);
    }
    let mut hashes = Vec::new();
    for (chain, _) in reached {
        match chain.block_hash(number).await {
            Ok(hash) => hashes.push((chain.endpoint(), hash)),
            Err(cause) => return findings.warn("endpoints agree", cause.to_string(), "try again"),
        }
    }
    match hashes.iter().find(|(_, hash)| *hash != hashes[0].1) {
        None => findings.pass("endpoints agree", format!("{} on the hash of block {number}", hashes.len())),
        Some((other, hash)) => {
            let seen = format!("block {number} is {} at {}, {hash} at {other}", hashes[0].1, hashes[0].0);
            findings.fail("endpoints agree", seen, "one serves another fork or lies: take it out");
        }
    }
}

async fn runtime(chain: &SubtensorChain, head: &Head, findings: &mut Findings) -> bool {
    match chain.runtime(head.block.hash).await {
        Ok(spec) => {
            findings.pass("runtime", format!("spec {spec} has every name and type that we use"));
            true
        }
        Err(cause) => {
            let advice = "a validator is in safe hold until this changes: look for a newer release of leoma";
            findings.fail("runtime", cause.to_string(), advice);
            false
        }
    }
}

fn show_subnet(config: &Config, netuid: NetUid, subnet: &SubnetState, findings: &mut Findings) {
    let next = subnet.next_epoch.map_or("never".into(), |block| format!("at block {block}"));
    let form = match subnet.commit_reveal_enabled {
        true => format!(
            "committed, revealed {} epochs later (version {})",
            subnet.reveal_period, subnet.commit_reveal_version
        ),
        false => "in the open".into(),
    };
    let seen = format!(
        "netuid {netuid}: tempo {}, next epoch {next}, weights {form}, at most every {} blocks, at least {} entries",
        subnet.tempo, subnet.weights_rate_limit, subnet.min_allowed_weights
    );
    if subnet.commit_reveal_enabled && subnet.commit_reveal_version != commit_reveal::VERSION {
        let advice = format!("this validator speaks version {}: upgrade it", commit_reveal::VERSION);
        findings.fail("subnet", seen, advice);
    } else {
        findings.pass("subnet", seen);
    }
    let (wanted, ours) = (subnet.weights_version_key, config.weights.version_key);
    let seen = format!("the subnet asks for {wanted}, weights.version_key is {ours}");
    match wanted > ours {
        true => findings.fail("version key", seen, "upgrade, or vouch for it by weights.version_key"),
        false => findings.pass("version key", seen),
    }
}

/// The beacon's pulses open commits: without them nothing is revealed.
async fn beacon(chain: &SubtensorChain, head: &Head, subnet: &SubnetState, findings: &mut Findings) {
    let at = head.block.hash;
    let read = async {
        Ok::<_, ChainError>((chain.beacon(at).await?, chain.last_pulse(at).await?, chain.time_of(at).await?))
    };
    let (beacon, last, time) = match read.await {
        Ok(read) => read,
        Err(cause) => return findings.warn("drand", cause.to_string(), "try again"),
    };
    let behind = beacon.round_at(time / 1000).saturating_sub(last);
    let seen = format!("the chain's last pulse is of round {last}, {behind} rounds behind its clock");
    let advice = "commits are not revealed while pulses are missing; nothing to do here but wait";
    match (behind > PULSES_BEHIND, subnet.commit_reveal_enabled) {
        (false, _) => findings.pass("drand", seen),
        (true, false) => findings.warn("drand", seen, advice),
        (true, true) => findings.fail("drand", seen, advice),
    }
}

async fn ourselves(
    config: &Config,
    chain: &SubtensorChain,
    (head, subnet): (&Head, &SubnetState),
    me: Hotkey,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let at = head.block.hash;
    let neurons = chain.neurons(config.chain.netuid, at).await.context("reading the metagraph")?;
    let Some(neuron) = neurons.iter().find(|neuron| neuron.hotkey == me) else {
        let seen = format!("{me} is not registered on netuid {}", config.chain.netuid);
        findings.fail("hotkey", seen, "register it: btcli subnet register");
        return Ok(());
    };
    findings.pass("hotkey", format!("{me} is uid {}", neuron.uid));
    let is_owner = subnet.owner_hotkey == Some(me);
    stake_and_permit(neuron, subnet, is_owner, findings);
    let own =
        chain.own_weights(config.chain.netuid, neuron.uid, me, at).await.context("reading our weights")?;
    weights(neuron, &own, (head, subnet), &neurons, findings);
    journal(config, neuron, &own, findings);
    Ok(())
}

fn stake_and_permit(neuron: &Neuron, subnet: &SubnetState, is_owner: bool, findings: &mut Findings) {
    let (stake, least) = (neuron.stake, subnet.stake_threshold);
    let seen = format!("{stake} rao, the chain wants {least}");
    match (stake >= least, is_owner) {
        (true, _) => findings.pass("stake", seen),
        (false, true) => findings.pass("stake", format!("{seen}; the subnet's owner needs none")),
        (false, false) => findings.fail("stake", seen, "add stake to the hotkey"),
    }
    match neuron.validator_permit {
        true => findings.pass("permit", "the hotkey has a validator permit"),
        false => {
            findings.fail("permit", "the hotkey has no validator permit", "it needs more stake than others")
        }
    }
}

fn weights(
    neuron: &Neuron,
    own: &OwnWeights,
    (head, subnet): (&Head, &SubnetState),
    neurons: &[Neuron],
    findings: &mut Findings,
) {
    let paid: Vec<String> = own
        .weights
        .iter()
        .filter(|(_, weight)| *weight > 0)
        .map(|(uid, weight)| format!("{} (uid {uid}, {weight})", name_of(*uid, neurons)))
        .collect();
    let row = if paid.is_empty() { "no weights yet".into() } else { paid.join(", ") };
    let behind =
        head.block.number.0.saturating_sub(neuron.last_update.0) as f64 / f64::from(subnet.tempo.max(1));
    let seen = format!("{row}; last update at block {}, {behind:.1} tempos ago", neuron.last_update);
    match !paid.is_empty() && behind > TEMPOS_BEHIND {
        true => findings.warn("weights", seen, "is the validator running? /readyz says why nothing is set"),
        false => findings.pass("weights", seen),
    }
    for held in &own.commits {
        let reveal_epoch = held.epoch.saturating_add(subnet.reveal_period);
        let seen = format!(
            "of block {}, for round {} of the beacon, revealed in epoch {reveal_epoch} (now {})",
            held.committed_at, held.reveal_round, subnet.epoch_index
        );
        match subnet.epoch_index > reveal_epoch {
            true => {
                findings.fail("open commit", seen, "its epoch has passed: it is lost and will be set anew")
            }
            false => findings.pass("open commit", seen),
        }
    }
}

fn name_of(uid: Uid, neurons: &[Neuron]) -> String {
    let neuron = neurons.iter().find(|neuron| neuron.uid == uid);
    neuron.map_or("nobody".into(), |neuron| neuron.hotkey.to_string())
}

/// What our journal knows of what the chain shows.
fn journal(config: &Config, neuron: &Neuron, own: &OwnWeights, findings: &mut Findings) {
    let folder = &config.state.dir;
    if !folder.join("journal.sqlite").exists() {
        let seen = format!("{} has none yet", folder.display());
        return match own.weights.is_empty() && own.commits.is_empty() {
            true => findings.pass("journal", seen),
            false => findings.warn(
                "journal",
                format!("{seen}, but the chain holds weights of this hotkey"),
                "make sure that no other instance runs, then start once with --i-am-the-only-instance",
            ),
        };
    }
    let payments = match read_payments(config) {
        Ok(payments) => payments,
        Err(cause) => {
            return findings.fail("journal", cause.to_string(), "see docs/operators.md, the state folder");
        }
    };
    let known = payments.known_update();
    if payments.open().is_none() && own.of_neuron(neuron, false).was_set_elsewhere(known) {
        let seen =
            format!("knows of weights up to block {known}, the chain shows block {}", neuron.last_update);
        let advice = "another instance sets weights with this hotkey, or the folder is an old copy: stop the other one, then \
                      start once with --i-am-the-only-instance";
        return findings.fail("journal", seen, advice);
    }
    let open = payments.open().map_or(String::new(), |intent| {
        format!(", a decision of round {} whose end is not known yet", intent.round)
    });
    findings.pass("journal", format!("knows of weights up to block {known}{open}"));
}

fn read_payments(config: &Config) -> anyhow::Result<Payments> {
    let rules = read_rules(config.rules.file.as_deref()).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let journal = Journal::open_read_only(&config.state.dir)?;
    let state = journal.replay(Tournament::under(rules.rules.payout, rules.digest))?;
    Ok(state.payments().clone())
}
