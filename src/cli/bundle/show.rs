//! `leoma bundle show`: a bundle's document for people.

use std::process::ExitCode;

use clap::Args;

use super::{open, print, printable};
use crate::{
    bundle::{SignedBundle, verify::told},
    cli::{
        Execute, block_on,
        exit::{Exit, Failure, after_help},
    },
    domain::bundle::{MinerRecord, RoundBundle},
};

/// Show what a bundle says; its signature must be the validator's
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma bundle show bundles/71234",
    "leoma bundle show https://bucket.example.org/71234 --json | jq '.data.miners[].hotkey'",
))]
pub(super) struct ShowCommand {
    /// Its folder, its round.json, or the http(s) address of either
    #[arg(value_name = "FILE|FOLDER|URL")]
    bundle: String,
    /// Print the signed document as it is
    #[arg(long)]
    json: bool,
}

impl Execute for ShowCommand {
    fn execute(self) -> Result<ExitCode, Failure> {
        let opened = block_on(open(&self.bundle))??;
        let text = match self.json {
            // What was signed, to the byte: it may hold more than this version reads.
            true => format!("{}\n", String::from_utf8_lossy(&opened.text)),
            false => shown(&opened.signed),
        };
        print(&text)?;
        Ok(Exit::Ok.into())
    }
}

fn shown(signed: &SignedBundle) -> String {
    let SignedBundle { bundle, digest, .. } = signed;
    let RoundBundle { round, validator, network, code, rules_digest, .. } = bundle;
    let mut lines = vec![
        format!("round      {round}: {}, ended at block {}", told(&bundle.result), bundle.ended_at),
        format!("validator  {validator}"),
        format!("network    subnet {} of {}", network.netuid, network.genesis),
        format!("program    {}", printable(&code.version)),
        format!("rules      {rules_digest}"),
        format!("digest     {digest}"),
    ];
    if let Some(plan) = &bundle.plan {
        let clip = &plan.clip;
        lines.push(format!("anchor     block {} {}", plan.anchor.number, plan.anchor.hash));
        lines.push(format!("corpus     {}", plan.corpus_digest));
        lines.push(format!("clip       {} from {} us", printable(&clip.key), clip.window_start_us));
        lines.push(format!("prompt     {}", printable(&clip.prompt)));
    }
    lines.push(format!("files      {}", bundle.files.len()));
    lines.push(String::new());
    lines.push(format!(
        "{:>5}  {:<48}  {:<8}  {:>7}  {:<4}  {}",
        "uid", "miner", "outcome", "overall", "pass", "reason"
    ));
    lines.extend(bundle.miners.iter().map(row));
    for asked in &bundle.questions {
        let (hotkey, question) = (asked.hotkey, asked.question.name());
        lines.push(format!("asked again: {hotkey} {question}: {}", printable(&asked.finding)));
    }
    lines.join("\n") + "\n"
}

fn row(miner: &MinerRecord) -> String {
    let outcome = miner.outcome();
    let card = outcome.and_then(|outcome| outcome.card());
    let number = card.map_or("-".to_owned(), |card| card.overall.to_string());
    let pass = card.map_or("-", |card| if card.passed { "yes" } else { "no" });
    let kind = outcome.map_or("open", |outcome| outcome.kind());
    let reason = outcome.map(|outcome| printable(&outcome.reason())).unwrap_or_default();
    format!(
        "{:>5}  {:<48}  {kind:<8}  {number:>7}  {pass:<4}  {reason}",
        miner.uid.0,
        miner.hotkey.to_string()
    )
}
