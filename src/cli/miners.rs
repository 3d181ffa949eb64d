//! `leoma miners`: who may take part as this validator sees it, since when, and why not.

use std::{fmt::Write as _, path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;

use super::{
    Execute, block_on,
    config::ConfigArgs,
    exit::{Exit, Failure, after_help},
    miner::{advice_on, chain_failure, services},
    run,
};
use crate::{
    actors::miner_registry::{Memory, RegistryParts, read_roster},
    chain::port::Chain,
    config::Config,
    domain::{
        commitment::Commitment,
        ids::{BlockNumber, Hotkey, NetUid, Uid},
        outcome::Fault,
    },
    miners::{
        kinship::ModelId,
        validity::{Chapter, MinerRecord, State, Validity},
    },
};

/// Show the miners, whether they can be asked, since when, and why not
///
/// What the validator of this configuration last saw is read from its state folder: neither the chain nor any service is
/// asked, and it may run meanwhile. With --fresh they are asked now, and nothing is written.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma miners --config validator.toml",
    "leoma miners --config validator.toml --fresh --json | jq '.miners[] | select(.state.kind == \"invalid\")'",
))]
pub struct MinersArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask chain, Chutes and Hugging Face now
    #[arg(long)]
    fresh: bool,
    /// Show what each miner was before, too
    #[arg(long)]
    history: bool,
    /// Print JSON, history included
    #[arg(long)]
    json: bool,
}

impl Execute for MinersArgs {
    fn execute(self) -> Result<ExitCode, Failure> {
        let loaded = self.config.load()?;
        let config = &loaded.config;
        let validity = if self.fresh { block_on(fresh(config))?? } else { recorded(&config.state.dir)? };
        if self.json {
            let rows: Vec<_> = validity.miners.iter().map(|record| Row::of(record, &validity)).collect();
            let report = Report { netuid: validity.netuid, block: validity.block, miners: rows };
            println!("{}", serde_json::to_string_pretty(&report).context("printing the miners")?);
        } else {
            print!("{}", table(&validity, self.history));
        }
        Ok(Exit::Ok.into())
    }
}

/// Says why a miner is valid or not in the eyes of the validator of this configuration, and what it can do about it, from
/// the validator's state folder.
///
/// # Errors
/// When there is no record, or the hotkey is not in it.
pub fn explain_hotkey(config: &Config, hotkey: &Hotkey, json: bool) -> Result<(), Failure> {
    let validity = recorded(&config.state.dir)?;
    let record = validity.of(hotkey).ok_or_else(|| {
        let text = "has revealed no commitment on the subnet, or was never seen there";
        Failure::new(Exit::Unreadable, anyhow!("{hotkey} {text} (as of block {})", validity.block))
    })?;
    let row = Row::of(record, &validity);
    if json {
        println!("{}", serde_json::to_string_pretty(&row).context("printing the miner")?);
    } else {
        print!("{}", row.text(validity.block));
    }
    Ok(())
}

fn recorded(folder: &Path) -> Result<Validity, Failure> {
    let read = Validity::read(folder).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
    read.ok_or_else(|| {
        let text = "holds no record of miners yet: run the validator, or ask with `leoma miners --fresh`";
        Failure::new(Exit::Unreadable, anyhow!("{} {text}", folder.display()))
    })
}

/// What chain and services say now, with what the state folder knows of before.
async fn fresh(config: &Config) -> Result<Validity, Failure> {
    let netuid = config.chain.netuid;
    let known = Validity::read(&config.state.dir).ok().flatten().filter(|known| known.netuid == netuid);
    let mut validity = known.unwrap_or_else(|| Validity::new(netuid));
    let chain: Arc<dyn Chain> = Arc::new(run::connect(config, None).await?);
    let head = chain.head().await.map_err(chain_failure)?.block;
    let looked = RegistryParts::for_one_look(chain, Arc::new(services(config)?), netuid);
    let parts = RegistryParts {
        blacklist: Arc::new(run::blacklist(config)?),
        memory: Arc::new(Memory::with(validity.clone())),
        ..looked
    };
    let roster = read_roster(&parts, head).await.map_err(chain_failure)?;
    validity.take(head.number, &roster);
    Ok(validity)
}

#[derive(Serialize)]
struct Report<'a> {
    netuid: NetUid,
    block: BlockNumber,
    miners: Vec<Row<'a>>,
}

/// One miner for people and programs.
#[derive(Serialize)]
struct Row<'a> {
    uid: Uid,
    hotkey: Hotkey,
    commitment: Option<&'a Commitment>,
    reveal_block: BlockNumber,
    state: &'a State,
    since: BlockNumber,
    seen: BlockNumber,
    advice: Option<&'static str>,
    /// What its weights' slices have shown.
    copies: Vec<String>,
    history: &'a [Chapter],
}

impl<'a> Row<'a> {
    fn of(record: &'a MinerRecord, validity: &Validity) -> Self {
        let MinerRecord { hotkey, uid, reveal_block, seen, now, earlier } = record;
        let advice = match &now.state {
            State::Invalid { reason, .. } => advice_on(reason),
            State::Valid | State::Gone => None,
        };
        let mine = now.commitment.as_ref().map(ModelId::of);
        let copies = validity.kin.copies.iter().filter(|copy| Some(&copy.later) == mine.as_ref());
        let copies = copies.map(|copy| {
            let (of, alike, common) = (&copy.earlier, copy.alike, copy.common);
            format!("{alike} of {common} weight slices are those of {} at {}", of.name, of.revision)
        });
        Self {
            uid: *uid,
            hotkey: *hotkey,
            commitment: now.commitment.as_ref(),
            reveal_block: *reveal_block,
            state: &now.state,
            since: now.since,
            seen: *seen,
            advice,
            copies: copies.collect(),
            history: earlier,
        }
    }

    fn text(&self, block: BlockNumber) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<10} {value}");
        };
        line("hotkey", &self.hotkey.to_string());
        line("uid", &format!("{}, last seen in block {}", self.uid, self.seen));
        if let Some(commitment) = self.commitment {
            line("model", &format!("{} at {}", commitment.model_name, commitment.model_revision));
            line("chute", &commitment.chute_id);
        }
        line("revealed", &format!("block {}", self.reveal_block));
        line("state", &format!("{}, since block {}, as of block {block}", said(self.state), self.since));
        if let State::Invalid { fault, .. } = self.state
            && *fault != Fault::Miner
        {
            line("", "not the miner's fault: it costs no points");
        }
        self.copies.iter().for_each(|copy| line("weights", copy));
        if let Some(advice) = self.advice {
            line("do", advice);
        }
        self.history.iter().for_each(|chapter| line("before", &told(chapter)));
        text
    }
}

fn said(state: &State) -> String {
    match state {
        State::Valid => "valid".to_owned(),
        State::Invalid { fault: Fault::Miner, reason } => format!("invalid: {reason}"),
        State::Invalid { reason, .. } => format!("not known: {reason}"),
        State::Gone => "gone".to_owned(),
    }
}

fn told(chapter: &Chapter) -> String {
    let model = chapter.commitment.as_ref().map_or_else(String::new, |commitment| {
        let revision = commitment.model_revision.get(..7).unwrap_or(&commitment.model_revision);
        format!(" with {} at {revision}, chute {}", commitment.model_name, commitment.chute_id)
    });
    format!("from block {}: {}{model}", chapter.since, said(&chapter.state))
}

fn table(validity: &Validity, history: bool) -> String {
    let mut text = String::new();
    let valid = validity.miners.iter().filter(|record| record.now.state == State::Valid).count();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "subnet {} as of block {}: {} miners, {valid} valid",
        validity.netuid,
        validity.block,
        validity.miners.len()
    );
    let _ = writeln!(text, "{:>5}  {:<48}  {:>9}  {:<44}  chute, model", "uid", "hotkey", "since", "state");
    for record in &validity.miners {
        let model = record.now.commitment.as_ref().map_or_else(String::new, |commitment| {
            format!("{}, {}", commitment.chute_id, commitment.model_name)
        });
        let (uid, hotkey) = (record.uid.to_string(), record.hotkey.to_string());
        let (since, state) = (record.now.since.to_string(), said(&record.now.state));
        let _ = writeln!(text, "{uid:>5}  {hotkey:<48}  {since:>9}  {state:<44}  {model}");
        for chapter in record.earlier.iter().filter(|_| history) {
            let _ = writeln!(text, "{:>7}{}", "", told(chapter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::roster::{Deployment, Precedence, RosterEntry, Standing};

    fn entry(key: u8, standing: Standing) -> RosterEntry {
        let commitment = Commitment {
            model_name: format!("user/leoma-{key}"),
            model_revision: "a".repeat(40),
            chute_id: format!("chute-{key}"),
        };
        let precedence = Precedence { reveal_block: BlockNumber(5), index: 0, uid: Uid(key.into()) };
        let uid = Uid(key.into());
        RosterEntry { uid, hotkey: Hotkey([key; 32]), commitment: Some(commitment), precedence, standing }
    }

    fn invalid(fault: Fault, reason: &str) -> Standing {
        Standing::Invalid { fault, reason: reason.into() }
    }

    fn recorded_world() -> Validity {
        let deployment = Deployment { chute_id: "c".into(), slug: "s".into(), model_hash: "h".into() };
        let valid = Standing::Valid { deployment };
        let mut validity = Validity::new(NetUid(99));
        validity.take(BlockNumber(100), &[entry(1, valid.clone()), entry(2, valid.clone())]);
        let rows = [
            entry(1, invalid(Fault::Miner, "chute_not_running")),
            entry(2, valid),
            entry(3, invalid(Fault::Us, "hf_lookup_timeout")),
        ];
        validity.take(BlockNumber(200), &rows);
        validity
    }

    #[test]
    fn people_read_who_is_valid_since_when_and_what_was_before() {
        let validity = recorded_world();
        let text = table(&validity, true);
        assert!(text.starts_with("subnet 99 as of block 200: 3 miners, 1 valid\n"), "{text}");
        let line = |key: u8| {
            let hotkey = Hotkey([key; 32]).to_string();
            text.lines().find(|line| line.contains(&hotkey)).expect("a line").to_owned()
        };
        assert!(
            line(1).contains(" 200  invalid: chute_not_running ")
                && line(1).ends_with("chute-1, user/leoma-1")
        );
        assert!(line(2).contains(" 100  valid "), "{text}");
        assert!(line(3).contains("not known: hf_lookup_timeout"), "{text}");
        assert!(text.contains("from block 100: valid with user/leoma-1 at aaaaaaa, chute chute-1"), "{text}");
        assert!(!table(&validity, false).contains("from block"));
    }

    #[test]
    fn a_miner_reads_what_it_can_do() {
        let validity = recorded_world();
        let text = |key: u8| {
            let record = validity.of(&Hotkey([key; 32])).expect("there");
            Row::of(record, &validity).text(validity.block)
        };
        assert!(text(1).contains("state      invalid: chute_not_running, since block 200, as of block 200"));
        assert!(text(1).contains("do         keep an instance active"), "{}", text(1));
        assert!(text(3).contains("not the miner's fault"), "{}", text(3));
        let row = serde_json::to_value(Row::of(&validity.miners[0], &validity)).expect("JSON");
        assert_eq!(row["state"]["reason"], "chute_not_running");
        assert_eq!(row["history"][0]["since"], 100);
    }

    #[test]
    fn a_folder_without_a_record_says_what_to_do() {
        let folder = tempfile::tempdir().expect("folder");
        let failure = recorded(folder.path()).expect_err("nothing there");
        assert_eq!(failure.exit(), Exit::Unreadable);
        assert!(failure.to_string().contains("leoma miners --fresh"), "{failure}");
        let mut config = Config::default();
        config.state.dir = folder.path().to_path_buf();
        recorded_world().write(folder.path()).expect("written");
        let stranger = explain_hotkey(&config, &Hotkey([9; 32]), false).expect_err("never seen");
        assert!(stranger.to_string().contains("as of block 200"), "{stranger}");
        explain_hotkey(&config, &Hotkey([1; 32]), true).expect("explained");
    }
}
