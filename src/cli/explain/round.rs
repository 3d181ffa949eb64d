//! `leoma explain round`: why this winner.

use clap::Args;
use serde::Serialize;

use super::{StateArgs, name_of};
use crate::{
    bundle::replay,
    cli::{
        block_on,
        bundle::{internal, open, print, printable, unreadable},
        exit::{Exit, Failure, after_help},
        score::report::{
            change::{axes, of_card, terms_of},
            page::percent,
        },
    },
    domain::{
        bundle::{BundleError, BundleFacts, Code, MinerRecord, Network, RoundBundle, RoundResult},
        event::VoidReason,
        ids::{BlockHash, Hotkey, NetUid, RoundId, Uid},
        outcome::{Fault, Outcome},
        payout::{Contender, round_winner},
        roster::{RosterEntry, Standing},
        rules::{ActiveRules, Rules},
        score::{Score, ScoreCard},
    },
    quality::terms::overall,
};

/// Miners whose way to the win is told.
const NAMED: usize = 3;
/// Terms that are told of an axis.
const TERMS: usize = 3;

/// Say why a round has this winner, or none: what decided, by what margin, what would have changed it, and how every miner fared
///
/// The round is read from a validator's journal or from a bundle, whose signature must be its validator's. Scores are
/// shown in percent.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma explain round 71234 --state state",
    "leoma explain round 71234 --config validator.toml --json | jq .why",
    "leoma explain round --bundle https://bucket.example.org/71234",
))]
pub(super) struct RoundCommand {
    /// The round
    #[arg(value_name = "N", required_unless_present = "bundle")]
    round: Option<u64>,
    /// Read it from a bundle: its folder or its http(s) address
    #[arg(long, value_name = "FOLDER|URL", conflicts_with = "round")]
    bundle: Option<String>,
    #[command(flatten)]
    state: StateArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl RoundCommand {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let (bundle, rules) = match &self.bundle {
            Some(place) => block_on(async {
                let opened = open(place).await?;
                let rules = replay::rules(&opened).await.map_err(unreadable)?;
                Ok::<_, Failure>((opened.signed.bundle.clone(), rules.as_ref().clone()))
            })??,
            None => self.of_journal()?,
        };
        let why = explain(&bundle, &rules);
        print(&match self.json {
            true => format!("{}\n", serde_json::to_string(&why).map_err(internal)?),
            false => why.text(),
        })
    }

    fn of_journal(&self) -> Result<(RoundBundle, Rules), Failure> {
        let round = RoundId(self.round.unwrap_or_default());
        let (journal, active) = self.state.open()?;
        let events = journal.events_of(round).map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
        let made = |active: &ActiveRules| RoundBundle::of(facts(round), &events, active);
        let bundle = match made(&active) {
            // Other kernels make another digest of the same rules: if they elect the same winner they explain it.
            Err(BundleError::OtherRules { wanted, .. }) => {
                eprintln!(
                    "note: the round was opened under rules {}, explained by {}",
                    wanted.short(),
                    active.digest.short()
                );
                made(&ActiveRules { digest: wanted, ..active.clone() })
            }
            made => made,
        };
        let bundle = bundle.map_err(|cause| Failure::new(Exit::Unreadable, cause))?;
        Ok((bundle, active.rules))
    }
}

/// What a document says beside the events explains nothing.
fn facts(round: RoundId) -> BundleFacts {
    BundleFacts {
        network: Network { genesis: BlockHash([0; 32]), netuid: NetUid(0) },
        validator: Hotkey([0; 32]),
        round,
        opened_unix_ms: 0,
        code: Code { version: String::new(), kernels: Default::default() },
        published_before: Default::default(),
        source: None,
    }
}

/// Why a round came out as it did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct RoundWhy {
    round: RoundId,
    /// Who won, or that nobody did.
    result: String,
    /// What decided.
    why: Vec<String>,
    /// What would have changed it.
    changes: Vec<String>,
    /// Every miner.
    miners: Vec<MinerWhy>,
}

/// How one miner fared and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct MinerWhy {
    uid: Uid,
    hotkey: Hotkey,
    outcome: String,
    overall: Option<Score>,
    why: Vec<String>,
}

impl RoundWhy {
    fn text(&self) -> String {
        let mut lines = vec![format!("round {}: {}", self.round, printable(&self.result))];
        lines.extend(self.why.iter().map(|line| format!("  {}", printable(line))));
        if !self.changes.is_empty() {
            lines.push("what would have changed it:".into());
            lines.extend(self.changes.iter().map(|line| format!("  {}", printable(line))));
        }
        lines.push("miners:".into());
        for miner in &self.miners {
            let score = miner.overall.map_or(String::new(), |overall| format!(" {}", percent(overall)));
            lines.push(format!("  uid {} {} {}{score}", miner.uid, miner.hotkey, printable(&miner.outcome)));
            lines.extend(miner.why.iter().map(|line| format!("      {}", printable(line))));
        }
        lines.join("\n") + "\n"
    }
}

/// A miner whose clip was scored.
struct Scored<'a> {
    entry: &'a RosterEntry,
    card: &'a ScoreCard,
}

impl Scored<'_> {
    fn contender(&self) -> Contender {
        let RosterEntry { hotkey, precedence, .. } = *self.entry;
        Contender { hotkey, precedence, overall: self.card.overall, passed: self.card.passed }
    }
}

fn explain(bundle: &RoundBundle, rules: &Rules) -> RoundWhy {
    let roster = bundle.plan.as_ref().map_or(&[][..], |plan| &plan.roster);
    let mut scored: Vec<Scored<'_>> = bundle
        .miners
        .iter()
        .filter_map(|miner| {
            let entry = roster.iter().find(|entry| entry.hotkey == miner.hotkey)?;
            Some(Scored { entry, card: miner.outcome()?.card()? })
        })
        .collect();
    scored.sort_by_key(|one| (std::cmp::Reverse(one.card.overall), one.entry.precedence));
    let (result, why, changes) = match &bundle.result {
        RoundResult::Void { reason } => void(bundle, roster, (reason, &scored), rules),
        RoundResult::Closed { winner: None } => nobody(&scored, rules),
        RoundResult::Closed { winner: Some(winner) } => won(winner, &scored, rules),
    };
    let miners = bundle.miners.iter().map(|miner| fared(miner, bundle, rules)).collect();
    RoundWhy { round: bundle.round, result, why, changes, miners }
}

/// Result, what decided, what would have changed it.
type Why = (String, Vec<String>, Vec<String>);

fn won(winner: &Hotkey, scored: &[Scored<'_>], rules: &Rules) -> Why {
    let Some(first) = scored.iter().find(|one| one.entry.hotkey == *winner) else {
        return (format!("winner {winner}"), vec!["its clip is not in the table".into()], Vec::new());
    };
    let band = rules.payout.tie_band;
    let result = format!("{} wins with {}", name_of(first.entry), percent(first.card.overall));
    let (mut why, mut changes) = (Vec::new(), Vec::new());
    let others: Vec<&Scored<'_>> =
        scored.iter().filter(|one| one.entry.hotkey != *winner && one.card.passed).collect();
    let above = others.iter().filter(|one| one.card.overall > first.card.overall);
    for one in above.clone() {
        why.push(format!(
            "{} has {}, which is within the tie band of {}: the earlier commitment wins (block {} before {})",
            name_of(one.entry),
            percent(one.card.overall),
            percent(Score::clamped(band.into())),
            first.entry.precedence.reveal_block,
            one.entry.precedence.reveal_block
        ));
    }
    match others.first() {
        None => why.push("it is the only clip that passed".into()),
        Some(next) if above.count() == 0 => {
            let lead =
                Score::clamped(i64::from(first.card.overall.get()) - i64::from(next.card.overall.get()));
            let (next_score, lead_shown) = (percent(next.card.overall), percent(lead));
            why.push(format!("it leads {} ({next_score}) by {lead_shown}", name_of(next.entry)));
            if lead.get() <= band {
                let band = percent(Score::clamped(band.into()));
                why.push(format!("a lead of at most {band} is a tie, and its commitment is the earlier one"));
            }
            why.extend(by_axis(first, next, rules));
        }
        Some(_) => {}
    }
    for one in scored.iter().filter(|one| !one.card.passed && one.card.overall > first.card.overall) {
        let causes = of_card(one.card, &rules.scoring).into_iter().take(1).collect::<String>();
        why.push(format!(
            "{} has {} and did not pass: {causes}",
            name_of(one.entry),
            percent(one.card.overall)
        ));
    }
    for one in others.iter().take(NAMED) {
        changes.push(match least_to_win(one, scored, band) {
            Some(least) => {
                let more = Score::clamped(i64::from(least.get()) - i64::from(one.card.overall.get()));
                let (least, more) = (percent(least), percent(more));
                format!("{} wins with overall {least}, {more} more than it has", name_of(one.entry))
            }
            None => format!("{} cannot win, whatever its score", name_of(one.entry)),
        });
    }
    let without: Vec<Contender> =
        scored.iter().map(Scored::contender).filter(|one| one.hotkey != *winner).collect();
    let heir = round_winner(&without, band);
    let heir = heir.and_then(|heir| scored.iter().find(|one| one.entry.hotkey == heir.hotkey));
    changes.push(match heir {
        Some(heir) => {
            format!("without the winner {} wins with {}", name_of(heir.entry), percent(heir.card.overall))
        }
        None => "without the winner nobody wins".into(),
    });
    (result, why, changes)
}

/// Axes whose lead decided: with the other's score there the winner loses; with the terms that differ the most.
fn by_axis(first: &Scored<'_>, next: &Scored<'_>, rules: &Rules) -> Vec<String> {
    let scoring = &rules.scoring;
    let (mut ours, mut theirs) = (first.card.axes.clone(), next.card.axes.clone());
    let pairs: Vec<_> = axes(&mut ours)
        .into_iter()
        .zip(axes(&mut theirs))
        .filter_map(|((name, our), (_, their))| Some((name, (*our)?, (*their)?)))
        .filter(|(_, our, their)| our > their)
        .collect();
    let ahead = |(name, our, their): &(&str, Score, Score)| {
        format!("{name} {} to {}", percent(*our), percent(*their))
    };
    let leads: Vec<String> = pairs.iter().map(ahead).collect();
    let mut said = Vec::new();
    for (name, our, their) in pairs {
        let mut swapped = first.card.axes.clone();
        axes(&mut swapped)
            .into_iter()
            .filter(|(axis, _)| *axis == name)
            .for_each(|(_, score)| *score = Some(their));
        let with_theirs = overall(&swapped, &scoring.weights);
        let contender = Contender { overall: with_theirs, ..first.contender() };
        let still = round_winner(&[contender, next.contender()], rules.payout.tie_band)
            .is_some_and(|winner| winner.hotkey == contender.hotkey);
        if still {
            continue;
        }
        let before = terms_of(name, next.card, scoring);
        let mut terms: Vec<_> = terms_of(name, first.card, scoring)
            .into_iter()
            .filter_map(|(term, our)| {
                let their = *before.get(&term)?;
                (our > their).then(|| (our.get() - their.get(), term, our, their))
            })
            .collect();
        terms.sort_by_key(|(lead, ..)| std::cmp::Reverse(*lead));
        let terms: Vec<String> = terms
            .into_iter()
            .take(TERMS)
            .map(|(_, term, our, their)| format!("{term} {} to {}", percent(our), percent(their)))
            .collect();
        let terms = if terms.is_empty() { String::new() } else { format!(" ({})", terms.join(", ")) };
        said.push(format!(
            "its {name} axis decided, {} to {}{terms}: with the other's it has {} and loses",
            percent(our),
            percent(their),
            percent(with_theirs)
        ));
    }
    if said.is_empty() {
        let leads = if leads.is_empty() { "none".to_owned() } else { leads.join(", ") };
        said.push(format!("no single axis decided; those in which it leads: {leads}"));
    }
    said
}

/// The least overall score with which a passing miner wins.
fn least_to_win(one: &Scored<'_>, scored: &[Scored<'_>], band: u16) -> Option<Score> {
    let mut table: Vec<Contender> = scored.iter().map(Scored::contender).collect();
    let place = table.iter().position(|other| other.hotkey == one.entry.hotkey)?;
    let scores = (one.card.overall.get()..=Score::MAX.get()).map(|score| Score::clamped(score.into()));
    scores.into_iter().find(|score| {
        table[place].overall = *score;
        round_winner(&table, band).is_some_and(|winner| winner.hotkey == one.entry.hotkey)
    })
}

fn nobody(scored: &[Scored<'_>], rules: &Rules) -> Why {
    let scoring = &rules.scoring;
    let mut why = vec![format!(
        "no clip passed: overall must reach {}, every axis {}; the subnet's owner is paid",
        percent(Score::clamped(scoring.pass_overall.into())),
        percent(Score::clamped(scoring.pass_axis.into()))
    )];
    if scored.is_empty() {
        why.push("no clip was scored".into());
    }
    let near = scored.iter().take(NAMED).map(|one| {
        format!(
            "{} with {} had to pass: {}",
            name_of(one.entry),
            percent(one.card.overall),
            of_card(one.card, scoring).join(" ")
        )
    });
    ("nobody wins".into(), why, near.collect())
}

fn void(
    bundle: &RoundBundle,
    roster: &[RosterEntry],
    (reason, scored): (&VoidReason, &[Scored<'_>]),
    rules: &Rules,
) -> Why {
    let result = "void, it counts for nobody".to_owned();
    let (unjudged, asked) = match reason {
        VoidReason::NotPlanned { detail } => {
            return (result, vec![format!("it could not be run: {detail}")], Vec::new());
        }
        VoidReason::Unjudged { unjudged, asked } => (*unjudged, *asked),
    };
    let percent = rules.payout.void_above_unjudged_percent;
    let allowed = u64::from(asked) * u64::from(percent) / 100;
    let mut why = vec![format!(
        "{unjudged} of {asked} miners that were asked could not be judged through no fault of their own, more than {percent} %"
    )];
    let valid = |miner: &&MinerRecord| {
        roster
            .iter()
            .any(|entry| entry.hotkey == miner.hotkey && matches!(entry.standing, Standing::Valid { .. }))
    };
    let not_theirs = bundle
        .miners
        .iter()
        .filter(valid)
        .filter(|miner| miner.fault.is_some_and(|fault| fault != Fault::Miner));
    why.extend(not_theirs.map(|miner| {
        let reason = miner.outcome().map(Outcome::reason).unwrap_or_default();
        format!("uid {}: {reason}", miner.uid)
    }));
    let table: Vec<Contender> = scored.iter().map(Scored::contender).collect();
    let heir = round_winner(&table, rules.payout.tie_band);
    let heir = heir.and_then(|heir| scored.iter().find(|one| one.entry.hotkey == heir.hotkey));
    let heir = heir.map_or("nobody".to_owned(), |heir| name_of(heir.entry));
    (
        result,
        why,
        vec![format!(
            "with at most {allowed} of them it counts; of the clips that were judged {heir} is the best that passed"
        )],
    )
}

fn fared(miner: &MinerRecord, bundle: &RoundBundle, rules: &Rules) -> MinerWhy {
    let outcome = miner.outcome();
    let card = outcome.and_then(Outcome::card);
    let mut why = match (outcome, card) {
        (Some(_), Some(card)) => of_card(card, &rules.scoring),
        (Some(outcome), None) => {
            let fault =
                outcome.fault().map_or(String::new(), |fault| format!(", fault: {fault:?}").to_lowercase());
            vec![format!("{}{fault}", outcome.reason())]
        }
        _ => vec!["its ticket was open when the round was voided".into()],
    };
    if let (Some(Outcome::Scored { card }), Some(_)) = (&miner.ticket, &miner.counts) {
        why.push(format!("its own clip had {} before G8 decided", percent(card.overall)));
    }
    let asked = bundle.questions.iter().filter(|asked| asked.hotkey == miner.hotkey);
    why.extend(asked.map(|asked| format!("asked again ({}): {}", asked.question.name(), asked.finding)));
    MinerWhy {
        uid: miner.uid,
        hotkey: miner.hotkey,
        outcome: outcome.map_or("open", |outcome| outcome.kind()).into(),
        overall: card.map(|card| card.overall),
        why,
    }
}

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
