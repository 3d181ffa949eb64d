//! `leoma miner commit`: the commitment of a model, checked, sealed, submitted once and watched.

use std::process::ExitCode;

use clap::Args;
use parity_scale_codec::Encode as _;
use serde::Serialize;

use super::{
    ChainTime, chain_failure, confirm, connect, refuse_faults, services, usage, utc,
    watch::{Visible, watch},
};
use crate::{
    chain::{
        port::{
            Chain as _, ChainError, CommitmentCall, CommitmentData, CommitmentField, Head, LiveCommitment,
            Receipt, UnsignedExtrinsic,
        },
        subtensor::SubtensorChain,
        timelock,
    },
    cli::{
        block_on,
        config::ConfigArgs,
        exit::{Exit, Failure, after_help},
        hotkey,
    },
    config::Config,
    domain::{
        commitment::{Commitment, MAX_COMMITMENTS},
        ids::{Hotkey, NetUid},
        outcome::Fault,
        roster::Lookup,
    },
    miners::port::MinerServices as _,
};

/// Most bytes of a plain commitment on chain (`BigRaw`).
const MAX_PLAIN: usize = 512;
/// Most bytes of a sealed one.
const MAX_SEALED: usize = 1024;
/// Reason of a chute without a running instance, which may run again when a round asks.
const CHUTE_SLEEPS: &str = "chute_not_running";
/// Space that the smallest commitment takes, in bytes.
const LEAST_SPACE: u64 = 100;

/// Commit a model on chain: its repository, revision and chute
///
/// Every naming rule is checked before anything is signed, and that Chutes and Hugging Face know chute and repository. The commitment is sealed to a round of
/// the chain's beacon, as the official client does, and the chain opens it by itself; validators
/// read it from then on. Only 2 commitments of a hotkey may ever be revealed. Nothing is paid for it.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma miner commit --model someone/leoma-wan-5Grw...utQY --revision 0123...4567 --chute ID --wallet.name miner",
    "leoma miner commit --model someone/leoma-wan-5Grw...utQY --revision 0123...4567 --chute ID --dry-run",
))]
pub struct CommitArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Repository on Hugging Face; its name starts with leoma and ends with the hotkey
    #[arg(long, value_name = "USER/NAME")]
    model: String,
    /// Full commit hash of the repository, 40 hexadecimal digits
    #[arg(long, value_name = "SHA")]
    revision: String,
    /// Id of the chute that serves it
    #[arg(long, value_name = "ID")]
    chute: String,
    /// Commit in the open. Validators read only what was sealed and revealed, so this enters no round
    #[arg(long, conflicts_with = "reveal_in")]
    plain: bool,
    /// Blocks from now until the chain may open the commitment
    #[arg(long, value_name = "BLOCKS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50_400))]
    reveal_in: u32,
    /// Ask neither Chutes nor Hugging Face whether chute and repository are there
    #[arg(long)]
    offline: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// Return once the commitment is in a finalized block, without waiting for its reveal
    #[arg(long)]
    no_wait: bool,
    /// Print the bytes that would be signed, and sign nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What is about to be committed.
pub(super) struct Plan {
    pub(super) netuid: NetUid,
    pub(super) hotkey: Hotkey,
    /// The JSON text.
    pub(super) text: String,
    /// Its bytes on chain.
    pub(super) data: CommitmentData,
    /// When the chain may open it, in Unix seconds.
    pub(super) opens_at: Option<u64>,
}

#[derive(Serialize)]
struct Report<'a> {
    netuid: NetUid,
    hotkey: Hotkey,
    commitment: &'a Commitment,
    reveal_round: Option<u64>,
    /// In Unix seconds.
    opens_about: Option<u64>,
    block: u64,
    block_hash: String,
    extrinsic: String,
    #[serde(flatten)]
    visible: Visible,
}

impl CommitArgs {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        block_on(self.commit())??;
        Ok(Exit::Ok.into())
    }

    async fn commit(self) -> Result<(), Failure> {
        let loaded = self.config.load()?;
        let config = &loaded.config;
        let signer = hotkey::signer(config)?.ok_or_else(|| {
            usage("no hotkey is named: --wallet.name NAME [--wallet.hotkey NAME], or chain.hotkey_file")
        })?;
        let hotkey = signer.hotkey();
        let commitment = Commitment {
            model_name: self.model.clone(),
            model_revision: self.revision.to_ascii_lowercase(),
            chute_id: self.chute.clone(),
        };
        refuse_faults(&commitment, &hotkey)?;
        if !self.offline {
            check_services(config, &commitment).await?;
        }
        let chain = connect(config, Some(signer)).await?;
        let head = chain.head().await.map_err(chain_failure)?;
        let netuid = config.chain.netuid;
        self.check_standing(&chain, netuid, hotkey, head).await?;
        let plan = self.plan(&chain, netuid, hotkey, head, commitment.to_json()).await?;
        let call = CommitmentCall { netuid, data: plan.data.clone() };
        check_space(&chain, &plan, head).await?;
        plan.announce();
        if self.dry_run {
            let unsigned = chain.preview_commitment(hotkey, &call).await.map_err(chain_failure)?;
            self.print_unsigned(&plan, &unsigned);
            return Ok(());
        }
        confirm(self.yes, "Sign and submit?")?;
        let receipt = chain.set_commitment(&call).await.map_err(refused)?;
        eprintln!("committed in block {}, extrinsic {}", receipt.block.number, receipt.extrinsic);
        let visible = if self.no_wait { Visible::NotAwaited } else { watch(&chain, &plan, &receipt).await? };
        self.print(&plan, &commitment, &receipt, visible)
    }

    /// The hotkey can commit, and the commitment would count.
    async fn check_standing(
        &self,
        chain: &SubtensorChain,
        netuid: NetUid,
        hotkey: Hotkey,
        head: Head,
    ) -> Result<(), Failure> {
        let at = head.block.hash;
        let neurons = chain.neurons(netuid, at).await.map_err(chain_failure)?;
        if !neurons.iter().any(|neuron| neuron.hotkey == hotkey) {
            return Err(usage(format_args!(
                "{hotkey} is not registered on subnet {netuid}: register it first (`btcli subnet register --netuid {netuid}`)"
            )));
        }
        let live = chain.commitment_of(netuid, hotkey, at).await.map_err(chain_failure)?;
        let is_sealed = |field: &CommitmentField| matches!(field, CommitmentField::Timelocked { .. });
        let sealed = live.filter(|live| live.fields.iter().any(is_sealed));
        if self.plain {
            eprintln!("note: validators read only what was revealed: a plain commitment enters no round");
        } else {
            let all = chain.commitments(netuid, at).await.map_err(chain_failure)?;
            let revealed = all.iter().find(|of| of.hotkey == hotkey).map_or(0, |of| of.revealed.len());
            refuse_one_too_many(hotkey, revealed, sealed.as_ref())?;
        }
        if let Some(sealed) = sealed {
            eprintln!(
                "note: the commitment of block {}, still sealed, is replaced by this one, unless it opens first",
                sealed.block
            );
        }
        Ok(())
    }

    async fn plan(
        &self,
        chain: &SubtensorChain,
        netuid: NetUid,
        hotkey: Hotkey,
        head: Head,
        text: String,
    ) -> Result<Plan, Failure> {
        let too_long = |bytes: usize, most: usize| {
            usage(format_args!(
                "the commitment has {bytes} bytes, and the chain takes {most}: use shorter names"
            ))
        };
        if self.plain {
            let bytes = text.as_bytes().to_vec();
            if bytes.len() > MAX_PLAIN {
                return Err(too_long(bytes.len(), MAX_PLAIN));
            }
            return Ok(Plan { netuid, hotkey, text, data: CommitmentData::Plain(bytes), opens_at: None });
        }
        let beacon = chain.beacon(head.block.hash).await.map_err(chain_failure)?;
        let time = ChainTime::read(chain, head).await?;
        let reveal_round = beacon.round_after(time.after_blocks(self.reveal_in.into()));
        // The official client seals the SCALE encoding of a string, and revealed bytes keep it.
        let encrypted = timelock::seal(&beacon.public_key, reveal_round, &text.encode())
            .map_err(|cause| Failure::new(Exit::Internal, cause))?;
        if encrypted.len() > MAX_SEALED {
            return Err(too_long(encrypted.len(), MAX_SEALED));
        }
        let opens_at = Some(beacon.published_at(reveal_round));
        Ok(Plan {
            netuid,
            hotkey,
            text,
            data: CommitmentData::Timelocked { encrypted, reveal_round },
            opens_at,
        })
    }

    fn print_unsigned(&self, plan: &Plan, unsigned: &UnsignedExtrinsic) {
        let [call, payload] =
            [&unsigned.call, &unsigned.signer_payload].map(|bytes| format!("0x{}", hex::encode(bytes)));
        if self.json {
            let report = serde_json::json!({
                "netuid": plan.netuid, "hotkey": plan.hotkey, "commitment": plan.text,
                "reveal_round": plan.reveal_round(), "call": call, "signer_payload": payload,
            });
            println!("{report:#}");
        } else {
            println!("call            {call}\nsigner payload  {payload}");
        }
    }

    fn print(
        &self,
        plan: &Plan,
        commitment: &Commitment,
        receipt: &Receipt,
        visible: Visible,
    ) -> Result<(), Failure> {
        if !self.json {
            println!("{visible}");
            return Ok(());
        }
        let report = Report {
            netuid: plan.netuid,
            hotkey: plan.hotkey,
            commitment,
            reveal_round: plan.reveal_round(),
            opens_about: plan.opens_at,
            block: receipt.block.number.0,
            block_hash: receipt.block.hash.to_string(),
            extrinsic: receipt.extrinsic.to_string(),
            visible,
        };
        let text = serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)?;
        println!("{text}");
        Ok(())
    }
}

impl Plan {
    pub(super) fn reveal_round(&self) -> Option<u64> {
        match self.data {
            CommitmentData::Timelocked { reveal_round, .. } => Some(reveal_round),
            CommitmentData::Plain(_) => None,
        }
    }

    /// Bytes that count against the space of an epoch.
    fn space(&self) -> u64 {
        let bytes = match &self.data {
            CommitmentData::Plain(bytes) => bytes,
            CommitmentData::Timelocked { encrypted, .. } => encrypted,
        };
        (bytes.len() as u64).max(LEAST_SPACE)
    }

    fn announce(&self) {
        eprintln!("{} commits on subnet {}:\n{}", self.hotkey, self.netuid, self.text);
        if let (Some(round), Some(opens_at)) = (self.reveal_round(), self.opens_at) {
            eprintln!("sealed to round {round}, which opens about {}", utc(opens_at));
        }
    }
}

/// Refuses a commitment that Chutes or Hugging Face contradict; a chute that sleeps is no reason.
async fn check_services(config: &Config, commitment: &Commitment) -> Result<(), Failure> {
    match services(config)?.look_up(commitment).await {
        Lookup::Failed { fault: Fault::Miner, reason, .. } if reason != CHUTE_SLEEPS => {
            Err(usage(format_args!(
                "validators would find {reason} (docs/miners.md says what it means; a chute must be public or shared with them): \
                 nothing was committed. --offline commits all the same"
            )))
        }
        Lookup::Failed { reason, .. } => {
            eprintln!("note: Chutes and Hugging Face could not confirm all of it: {reason}");
            Ok(())
        }
        Lookup::Found { .. } => Ok(()),
    }
}

/// More than [`MAX_COMMITMENTS`] reveals put a hotkey out for good. A sealed commitment counts too: it
/// may open before the new one replaces it.
fn refuse_one_too_many(
    hotkey: Hotkey,
    revealed: usize,
    sealed: Option<&LiveCommitment>,
) -> Result<(), Failure> {
    let for_good = format!("more than {MAX_COMMITMENTS} make it invalid for good (max_commits_exceeded_2)");
    if revealed >= MAX_COMMITMENTS {
        return Err(usage(format_args!(
            "{hotkey} has {revealed} revealed commitments, and {for_good}: keep the newest, or register another hotkey"
        )));
    }
    match sealed {
        Some(sealed) if revealed + 1 >= MAX_COMMITMENTS => Err(usage(format_args!(
            "{hotkey} has {revealed} revealed commitment and one of block {} that is still sealed, and {for_good}: \
             it may open before it is replaced; wait until it is open (`leoma miner status`)",
            sealed.block
        ))),
        _ if revealed + 1 == MAX_COMMITMENTS => {
            eprintln!("note: this is the last commitment of {hotkey} that validators accept");
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn check_space(chain: &SubtensorChain, plan: &Plan, head: Head) -> Result<(), Failure> {
    let at = head.block.hash;
    let space = chain.commitment_space(plan.netuid, plan.hotkey, at).await.map_err(chain_failure)?;
    let wanted = plan.space();
    if space.used.saturating_add(wanted) <= space.limit {
        return Ok(());
    }
    let subnet = chain.subnet(plan.netuid, at).await.map_err(chain_failure)?;
    let when = subnet.next_epoch.map_or("the next epoch".to_owned(), |block| format!("block {block}"));
    Err(usage(format_args!(
        "{} has used {} of {} bytes of commitments in this epoch, and this one takes {wanted}: try again after {when}",
        plan.hotkey, space.used, space.limit
    )))
}

/// A submission that did not end well, with what to do.
fn refused(error: ChainError) -> Failure {
    let advice = match &error {
        ChainError::Unknown { .. } => {
            "it may or may not be on chain: look with `leoma miner status` before committing again"
        }
        ChainError::Dispatch { .. } | ChainError::Pool { .. } => "nothing was committed",
        _ => "nothing was submitted: try again",
    };
    Failure::new(Exit::Internal, anyhow::Error::from(error).context(advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::BlockNumber;

    #[test]
    fn a_commitment_that_could_become_the_third_reveal_is_refused() {
        let sealed = LiveCommitment {
            block: BlockNumber(7),
            fields: vec![CommitmentField::Timelocked { reveal_round: 9 }],
        };
        let allowed = |revealed, sealed| refuse_one_too_many(Hotkey([7; 32]), revealed, sealed).is_ok();
        assert_eq!([0, 1, 2, 3].map(|revealed| allowed(revealed, None)), [true, true, false, false]);
        assert_eq!([0, 1, 2].map(|revealed| allowed(revealed, Some(&sealed))), [true, false, false]);
    }
}
