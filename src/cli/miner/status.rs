//! `leoma miner status`: how a hotkey's commitment stands, on chain and in this validator's eyes.

use std::{fmt::Write as _, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::{advice_on, chain_failure, connect, services, usage, utc};
use crate::{
    actors::miner_registry::{RegistryParts, read_roster},
    chain::{
        port::{Chain, CommitmentField, MinerCommitments, Neuron},
        subtensor::SubtensorChain,
    },
    cli::{
        block_on,
        config::ConfigArgs,
        exit::{Exit, Failure, after_help},
        hotkey, run,
    },
    config::Config,
    domain::{
        commitment::{CommitmentFault, MAX_COMMITMENTS},
        ids::{BlockRef, Hotkey, NetUid, Uid},
        outcome::Fault,
        roster::{Standing, read_claims},
    },
    miners::intake::candidates,
};

/// Show how a miner's commitment stands: sealed, revealed, and valid or why not
///
/// Validity is found by the same code that makes a validator's roster: the naming rules, the chute,
/// the repository, and whether an earlier miner committed the same weights. For that every miner's
/// chute and repository are looked up.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma miner status --wallet.name miner",
    "leoma miner status --hotkey 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --offline --json",
))]
pub struct StatusArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The miner [default: the hotkey of the configuration]
    #[arg(long, value_name = "SS58")]
    hotkey: Option<Hotkey>,
    /// Ask neither Chutes nor Hugging Face
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    netuid: NetUid,
    hotkey: Hotkey,
    block: u64,
    uid: Option<Uid>,
    incentive: Option<u16>,
    live: Vec<Live>,
    revealed: Vec<Revealed>,
    most_revealed: usize,
    validity: Validity,
}

/// A field of the live commitment.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Live {
    Sealed { block: u64, reveal_round: u64, opens_about: u64 },
    RevealFailed { block: u64, reveal_round: u64 },
    Plain { block: u64, text: String },
    Other { block: u64, kind: String },
}

#[derive(Serialize)]
struct Revealed {
    block: u64,
    text: String,
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum Validity {
    /// Every check passed.
    Valid {
        slug: String,
        model_hash: String,
    },
    /// The naming rules hold; nobody asked the services.
    RulesHold,
    /// A check failed.
    Invalid {
        fault: Fault,
        reason: String,
        advice: Option<&'static str>,
    },
    NotRegistered,
}

impl StatusArgs {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        block_on(self.show())??;
        Ok(Exit::Ok.into())
    }

    async fn show(self) -> Result<(), Failure> {
        let loaded = self.config.load()?;
        let config = &loaded.config;
        let hotkey = match self.hotkey {
            Some(hotkey) => hotkey,
            None => hotkey::signer(config)?
                .map(|signer| signer.hotkey())
                .ok_or_else(|| usage("no hotkey is named: --hotkey SS58, or --wallet.name NAME"))?,
        };
        let chain = Arc::new(connect(config, None).await?);
        let head = chain.head().await.map_err(chain_failure)?;
        let view = View { chain, config, hotkey, netuid: config.chain.netuid, at: head.block };
        let report = view.report(self.offline).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report).context("printing the report")?);
        } else {
            print!("{}", report.text());
        }
        Ok(())
    }
}

/// One hotkey at one block.
struct View<'a> {
    chain: Arc<SubtensorChain>,
    config: &'a Config,
    hotkey: Hotkey,
    netuid: NetUid,
    at: BlockRef,
}

impl View<'_> {
    async fn report(&self, offline: bool) -> Result<Report, Failure> {
        let (netuid, at) = (self.netuid, self.at.hash);
        let neurons = self.chain.neurons(netuid, at).await.map_err(chain_failure)?;
        let commitments = self.chain.commitments(netuid, at).await.map_err(chain_failure)?;
        let uid = neurons.iter().find(|neuron| neuron.hotkey == self.hotkey).map(|neuron| neuron.uid);
        let incentive = match uid {
            Some(uid) => Some(self.chain.incentive(netuid, uid, at).await.map_err(chain_failure)?),
            None => None,
        };
        let ours = commitments.iter().filter(|of| of.hotkey == self.hotkey).flat_map(|of| &of.revealed);
        let revealed = ours.map(|entry| Revealed {
            block: entry.reveal_block.0,
            text: String::from_utf8_lossy(&entry.data).into_owned(),
        });
        Ok(Report {
            netuid,
            hotkey: self.hotkey,
            block: self.at.number.0,
            uid,
            incentive,
            live: self.live().await?,
            revealed: revealed.collect(),
            most_revealed: MAX_COMMITMENTS,
            validity: self.validity(&neurons, &commitments, offline).await?,
        })
    }

    async fn live(&self) -> Result<Vec<Live>, Failure> {
        let found = self.chain.commitment_of(self.netuid, self.hotkey, self.at.hash).await;
        let Some(found) = found.map_err(chain_failure)? else { return Ok(Vec::new()) };
        let beacon = self.chain.beacon(self.at.hash).await.map_err(chain_failure)?;
        let block = found.block.0;
        let fields = found.fields.into_iter().map(|field| match field {
            CommitmentField::Timelocked { reveal_round } => {
                Live::Sealed { block, reveal_round, opens_about: beacon.published_at(reveal_round) }
            }
            CommitmentField::RevealFailed { reveal_round } => Live::RevealFailed { block, reveal_round },
            CommitmentField::Plain(bytes) => {
                Live::Plain { block, text: String::from_utf8_lossy(&bytes).into_owned() }
            }
            CommitmentField::Other(kind) => Live::Other { block, kind },
        });
        Ok(fields.collect())
    }

    /// The verdict of the registry's own code.
    async fn validity(
        &self,
        neurons: &[Neuron],
        commitments: &[MinerCommitments],
        offline: bool,
    ) -> Result<Validity, Failure> {
        if !neurons.iter().any(|neuron| neuron.hotkey == self.hotkey) {
            return Ok(Validity::NotRegistered);
        }
        let blacklist = run::blacklist(self.config)?.current();
        let claims = read_claims(&candidates(neurons, commitments), &blacklist);
        match claims.into_iter().find(|claim| claim.hotkey == self.hotkey).map(|claim| claim.commitment) {
            None => Ok(Validity::of_fault(CommitmentFault::Missing)),
            Some(Err(fault)) => Ok(Validity::of_fault(fault)),
            Some(Ok(_)) if offline => Ok(Validity::RulesHold),
            Some(Ok(_)) => self.looked_up().await,
        }
    }

    async fn looked_up(&self) -> Result<Validity, Failure> {
        let chain = Arc::clone(&self.chain) as Arc<dyn Chain>;
        let services = Arc::new(services(self.config)?);
        let looked = RegistryParts::for_one_look(chain, services, self.netuid);
        let parts = RegistryParts { blacklist: Arc::new(run::blacklist(self.config)?), ..looked };
        let roster = read_roster(&parts, self.at).await.map_err(chain_failure)?;
        let standing = roster.into_iter().find(|entry| entry.hotkey == self.hotkey);
        Ok(match standing.map(|entry| entry.standing) {
            Some(Standing::Valid { deployment }) => {
                Validity::Valid { slug: deployment.slug, model_hash: deployment.model_hash }
            }
            Some(Standing::Invalid { fault, reason }) => Validity::invalid(fault, reason),
            None => Validity::NotRegistered,
        })
    }
}

impl Validity {
    fn of_fault(fault: CommitmentFault) -> Self {
        Self::invalid(Fault::Miner, fault.to_string())
    }

    fn invalid(fault: Fault, reason: String) -> Self {
        let advice = advice_on(&reason);
        Self::Invalid { fault, reason, advice }
    }
}

impl std::fmt::Display for Validity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Valid { slug, .. } => write!(f, "valid: {slug} is asked in the next round"),
            Self::RulesHold => {
                f.write_str("naming rules hold; Chutes and Hugging Face were not asked (--offline)")
            }
            Self::Invalid { fault: Fault::Miner, reason, advice: Some(advice) } => {
                write!(f, "invalid: {reason}: {advice}")
            }
            Self::Invalid { fault: Fault::Miner, reason, .. } => {
                write!(f, "invalid: {reason} (docs/miners.md says what it means)")
            }
            Self::Invalid { reason, .. } => write!(f, "not known: {reason}, which is no fault of the miner"),
            Self::NotRegistered => f.write_str("not registered on this subnet"),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<10} {value}");
        };
        line("hotkey", self.hotkey.to_string());
        line("subnet", format!("{} at block {}", self.netuid, self.block));
        line("uid", self.uid.map_or("none".to_owned(), |uid| uid.to_string()));
        for live in &self.live {
            line("on chain", live.to_string());
        }
        line("revealed", format!("{}, at most {} count", self.revealed.len(), self.most_revealed));
        for revealed in &self.revealed {
            line("", format!("block {}: {}", revealed.block, printable(&revealed.text)));
        }
        line("validity", self.validity.to_string());
        if let Some(incentive) = self.incentive {
            line("incentive", format!("{:.2} %", f64::from(incentive) * 100.0 / 65_535.0));
        }
        text
    }
}

/// Bytes of a stranger on one line of a terminal, without its control characters.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).take(300).collect()
}

impl std::fmt::Display for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sealed { block, reveal_round, opens_about } => write!(
                f,
                "sealed until round {reveal_round}, about {} (committed in block {block})",
                utc(*opens_about)
            ),
            Self::RevealFailed { block, reveal_round } => write!(
                f,
                "reveal failed: round {reveal_round} did not open what block {block} committed; commit again"
            ),
            Self::Plain { block, text } => write!(
                f,
                "in the open since block {block}, so validators do not read it: {}",
                printable(text)
            ),
            Self::Other { block, kind } => write!(f, "{kind}, committed in block {block}"),
        }
    }
}
