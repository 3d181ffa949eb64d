//! `leoma miner`: what a miner does on chain and on Chutes.

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Execute,
    exit::{Exit, Failure, after_help},
    files::read_rules,
    run,
};
use crate::{
    chain::{
        port::{Chain as _, ChainError, Head},
        subtensor::SubtensorChain,
        wallet::HotkeySigner,
    },
    config::Config,
    domain::{
        commitment::{Commitment, CommitmentFault},
        ids::{BlockNumber, Hotkey},
    },
    miners::{faults, services::HttpServices},
};

mod commit;
mod push;
mod status;
mod watch;

/// Commit a model on chain, see how it stands, deploy it on Chutes
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma miner push --model someone/leoma-wan-5Grw...utQY --revision 0123...4567 --username someone",
    "leoma miner commit --model someone/leoma-wan-5Grw...utQY --revision 0123...4567 --chute ID --wallet.name miner",
    "leoma miner status --wallet.name miner",
))]
pub struct MinerCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Commit(commit::CommitArgs),
    Status(status::StatusArgs),
    Push(push::PushArgs),
}

impl Execute for MinerCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Commit(args) => args.execute(),
            Action::Status(args) => args.execute(),
            Action::Push(args) => args.execute(),
        }
    }
}

/// Blocks over which the time between blocks is measured.
const MEASURED_BLOCKS: u64 = 20;
/// Time between blocks where it can not be measured, in milliseconds: subtensor's.
const USUAL_BLOCK_MILLIS: u64 = 12_000;
/// A clock that is further from the chain's than this is taken for wrong, in seconds.
const CLOCK_TOLERANCE: u64 = 120;

/// Connects to the chain of the configuration and checks what committing needs of its runtime.
async fn connect(config: &Config, signer: Option<HotkeySigner>) -> Result<SubtensorChain, Failure> {
    let chain = run::connect(config, signer).await?;
    chain.check_commitments().await.map_err(chain_failure)?;
    Ok(chain)
}

/// Clients of Chutes and Hugging Face as a validator with this configuration has them.
pub(super) fn services(config: &Config) -> Result<HttpServices, Failure> {
    let rules = read_rules(config.rules.file.as_deref())?;
    let services = HttpServices::new(run::services_options(config, &rules.rules.limits)?);
    Ok(services.context("miner services")?)
}

/// A failure of the chain; a subnet that does not exist is a wrong configuration.
pub(super) fn chain_failure(error: ChainError) -> Failure {
    let exit = if matches!(error, ChainError::UnknownSubnet { .. }) { Exit::Usage } else { Exit::Internal };
    Failure::new(exit, error)
}

fn usage(text: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, anyhow!("{text}"))
}

/// Refuses a commitment that breaks a naming rule: every broken one, each with what to do.
fn refuse_faults(commitment: &Commitment, hotkey: &Hotkey) -> Result<(), Failure> {
    let faults = commitment.faults(hotkey);
    if faults.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}: {}", advice(*fault))).collect();
    Err(usage(format_args!("validators would refuse this commitment of {hotkey}:{}", lines.concat())))
}

/// What a miner can do about a reason code of the registry.
pub(super) fn advice_on(reason: &str) -> Option<&'static str> {
    use CommitmentFault as Fault;
    let faults = [
        Fault::Missing,
        Fault::Blacklisted,
        Fault::TooMany,
        Fault::Malformed,
        Fault::MissingModelName,
        Fault::MissingModelRevision,
        Fault::MissingChuteId,
        Fault::NamePrefix,
        Fault::NameSuffix,
        Fault::MalformedModelName,
        Fault::MalformedModelRevision,
        Fault::MalformedChuteId,
    ];
    if reason.starts_with("duplicate_model:") {
        return Some(
            "an earlier miner committed these weights, or nine tenths of them: commit a model that you trained (docs/services.md)",
        );
    }
    let of_commitment = faults.into_iter().find(|fault| fault.to_string() == reason).map(advice);
    of_commitment.or_else(|| faults::advice(reason))
}

/// What a miner can do about a fault of its commitment.
fn advice(fault: CommitmentFault) -> &'static str {
    use CommitmentFault as Fault;
    match fault {
        Fault::Missing => {
            "nothing is revealed yet: `leoma miner commit`, or wait until the sealed commitment opens"
        }
        Fault::Blacklisted => "this validator's operator keeps the hotkey out: ask there",
        Fault::TooMany => "more than 2 commitments were revealed: this hotkey is out; register another one",
        Fault::Malformed => {
            "what was revealed is no JSON object with the three fields: commit with `leoma miner commit`"
        }
        Fault::MissingModelName => "give --model USER/NAME",
        Fault::MissingModelRevision => "give --revision, the repository's full commit hash",
        Fault::MissingChuteId => "give --chute, the id that `chutes deploy` printed",
        Fault::NamePrefix => "rename the repository on Hugging Face so that its name starts with `leoma`",
        Fault::NameSuffix => "rename the repository on Hugging Face so that its name ends with this hotkey",
        Fault::MalformedModelName => {
            "give USER/NAME: letters, digits, `-`, `_` and `.`, at most 96 on each side, none starting with `.`"
        }
        Fault::MalformedModelRevision => {
            "give the full commit hash, 40 hexadecimal digits: no branch, no tag, no short hash"
        }
        Fault::MalformedChuteId => "give the chute's id: at most 64 letters, digits, `-` and `_`",
    }
}

/// How long blocks take, and what time it is on the chain.
struct ChainTime {
    /// Unix seconds now: this machine's clock, or the chain's where they disagree.
    now: u64,
    /// Milliseconds between blocks.
    block_millis: u64,
}

impl ChainTime {
    async fn read(chain: &SubtensorChain, head: Head) -> Result<Self, Failure> {
        let latest = chain.time_of(head.block.hash).await.map_err(chain_failure)?;
        let block_millis = measured(chain, head, latest).await.unwrap_or_else(|| {
            eprintln!("the chain's block time could not be measured: taking 12 s");
            USUAL_BLOCK_MILLIS
        });
        let (here, there) = (OffsetDateTime::now_utc().unix_timestamp().max(0) as u64, latest / 1000);
        let apart = here.abs_diff(there);
        if apart > CLOCK_TOLERANCE {
            eprintln!("this machine's clock and the chain's are {apart} s apart: going by the chain's");
            return Ok(Self { now: there, block_millis });
        }
        Ok(Self { now: here, block_millis })
    }

    /// Unix seconds some blocks from now, rounded up.
    fn after_blocks(&self, blocks: u64) -> u64 {
        self.now.saturating_add(blocks.saturating_mul(self.block_millis).div_ceil(1000))
    }
}

/// Mean time of the last blocks; `None` where an old block's time is not to be had.
async fn measured(chain: &SubtensorChain, head: Head, latest: u64) -> Option<u64> {
    let blocks = MEASURED_BLOCKS.min(head.block.number.0.checked_sub(1)?);
    let earlier = chain.block_hash(BlockNumber(head.block.number.0 - blocks)).await.ok()?;
    let earlier = chain.time_of(earlier).await.ok()?;
    latest.checked_sub(earlier)?.checked_div(blocks).filter(|millis| *millis > 0)
}

/// A time in Unix seconds for people.
fn utc(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{unix_seconds} s"))
}

/// Asks whoever sits at the terminal.
fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(usage(format_args!("{question} Nobody is here to answer: pass --yes")));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(usage("nothing was done")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broken_rule_is_listed_with_what_to_do() {
        let commitment = Commitment {
            model_name: "someone/wan".into(),
            model_revision: "main".into(),
            chute_id: "".into(),
        };
        let refused = refuse_faults(&commitment, &Hotkey([7; 32])).expect_err("refused");
        assert_eq!(refused.exit(), Exit::Usage);
        let text = refused.to_string();
        for code in [
            "model_name_must_start_with_leoma: rename",
            "model_name_must_end_with_hotkey: rename",
            "malformed_model_revision: give the full commit hash",
            "missing_chute_id: give --chute",
        ] {
            assert!(text.contains(code), "{code} not in {text}");
        }
    }

    #[test]
    fn times_some_blocks_ahead_are_rounded_up() {
        let time = ChainTime { now: 1_000, block_millis: 250 };
        assert_eq!([0, 1, 4, 5].map(|blocks| time.after_blocks(blocks)), [1_000, 1_001, 1_001, 1_002]);
        assert_eq!(utc(1_692_803_367), "2023-08-23T15:09:27Z");
    }
}
