//! `leoma replay --window`: a validator's newest rounds, and the weights that they give together.

use std::{collections::BTreeSet, path::Path};

use anyhow::anyhow;
use serde::Serialize;

use super::{Bench, Line, ReplayCommand, shown};
use crate::{
    bundle::{
        FetchError, Opened,
        replay::{Replay, Sequence},
    },
    cli::{
        bundle::{internal, print, unreadable},
        exit::{Exit, Failure},
    },
    domain::{
        bundle::{Judged, RoundBundle},
        event::PayTarget,
        ids::{BlockNumber, Digest, Hotkey, RoundId},
        payout::{PayoutInput, SettledRound, payout},
        rules::Rules,
    },
};

/// What a window came to.
#[derive(Serialize)]
struct Window {
    same: bool,
    rounds: usize,
    /// Rounds of the window that were not published.
    missing: Vec<RoundId>,
    /// Rounds that came to something else.
    differing: Vec<RoundId>,
    /// Who the window's rounds pay by the payout rule, as recorded and as found.
    pays: [Option<PayTarget>; 2],
}

/// The rounds that count for a window's weights, as recorded or as found.
#[derive(Default)]
struct Settled(Vec<SettledRound>);

impl Settled {
    fn add(&mut self, bundle: &RoundBundle, judged: Option<&Judged>) {
        let Some(judged) = judged.filter(|judged| judged.void.is_none()) else { return };
        self.0.push(SettledRound {
            round: bundle.round,
            closed_at: bundle.ended_at,
            winner: judged.winner,
            results: judged.results.clone(),
        });
    }

    fn pays(
        &self,
        rules: &Rules,
        digest: Digest,
        miners: &BTreeSet<Hotkey>,
        since: u64,
    ) -> Option<PayTarget> {
        payout(
            &rules.payout,
            &PayoutInput {
                settled: &self.0,
                last_epoch: BlockNumber(since),
                last_paid: None,
                registered: miners,
                rules_digest: digest,
            },
        )
    }
}

/// Replays the rounds of a window, oldest first, a line for each. `Ok(true)` when all came to the same.
pub(super) async fn run(place: &str, window: u16, command: &ReplayCommand) -> Result<bool, Failure> {
    let rounds = rounds_of(place, window, command.newest)?;
    let mut bench = Bench::open(&command.with)?;
    let (mut stated, mut judged) = (Settled::default(), Settled::default());
    let (mut missing, mut differing, mut validators) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut newest: Option<(Replay, RoundBundle)> = None;
    let first = rounds.first().copied().unwrap_or_default();
    let mut sequence: Option<Sequence> = None;
    let mut replayed = 0;
    for round in rounds {
        let opened = match Opened::open(&format!("{}/{round}", place.trim_end_matches('/'))).await {
            Ok(opened) => opened,
            Err(FetchError::Missing { .. }) => {
                missing.push(round);
                if let Some(sequence) = &mut sequence {
                    sequence.miss(round);
                }
                continue;
            }
            Err(cause) => return Err(unreadable(cause)),
        };
        let bundle = opened.signed.bundle.clone();
        if bundle.round != round {
            let text = format!("the folder {round} holds round {}", bundle.round);
            return Err(Failure::new(Exit::Unreadable, anyhow!(text)));
        }
        validators.insert(bundle.validator);
        let mut found = bench.replay(&opened, &command.with).await?;
        let before = sequence.get_or_insert_with(|| {
            let mut sequence = Sequence::new(&found.rules.payout, first);
            missing.iter().for_each(|round| sequence.miss(*round));
            sequence
        });
        let (differences, notes) = before.follow(&bundle);
        found.differences.extend(differences);
        found.notes.extend(notes);
        replayed += 1;
        if !found.is_same() {
            differing.push(round);
        }
        match command.json {
            true => print(&format!("{}\n", serde_json::to_string(&Line::of(&found)).map_err(internal)?))?,
            false => print(&shown(&found))?,
        }
        stated.add(&bundle, found.stated.as_ref());
        judged.add(&bundle, found.judged.as_ref());
        newest = Some((found, bundle));
    }
    let Some((last, bundle)) = newest else {
        return Err(Failure::new(Exit::Unreadable, anyhow!("{place} holds none of these rounds")));
    };
    if validators.len() > 1 {
        let text =
            format!("{place} holds rounds of {} validators: a window is one validator's", validators.len());
        return Err(Failure::new(Exit::Usage, anyhow!(text)));
    }
    let miners: BTreeSet<Hotkey> = bundle.miners.iter().map(|miner| miner.hotkey).collect();
    let pays = [stated, judged]
        .map(|settled| settled.pays(&last.rules, bundle.rules_digest, &miners, command.since_block));
    let same = differing.is_empty() && pays[0] == pays[1];
    let window = Window { same, rounds: replayed, missing, differing, pays };
    print(&match command.json {
        true => format!("{}\n", serde_json::to_string(&window).map_err(internal)?),
        false => told(&window),
    })?;
    Ok(same)
}

/// The rounds of a window: the newest of a folder, or those up to one that is named.
fn rounds_of(place: &str, window: u16, newest: Option<u64>) -> Result<Vec<RoundId>, Failure> {
    let most = usize::from(window);
    if let Some(newest) = newest {
        let first = newest.saturating_sub(u64::from(window) - 1);
        return Ok((first..=newest).map(RoundId).collect());
    }
    let folder = Path::new(place);
    if !folder.is_dir() {
        let text = "an address cannot be listed: name the newest round (--newest)";
        return Err(Failure::new(Exit::Usage, anyhow!(text)));
    }
    let entries = std::fs::read_dir(folder)
        .map_err(|cause| Failure::new(Exit::Unreadable, anyhow!("{place}: {cause}")))?;
    let number = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let mut rounds: Vec<RoundId> = entries.filter_map(number).map(RoundId).collect();
    rounds.sort();
    Ok(rounds.split_off(rounds.len().saturating_sub(most)))
}

fn told(window: &Window) -> String {
    let list = |rounds: &[RoundId]| rounds.iter().map(RoundId::to_string).collect::<Vec<_>>().join(" ");
    let pays = |target: &Option<PayTarget>| target.map_or("nobody".into(), |target| target.to_string());
    let mut lines = vec![format!("{} rounds judged anew", window.rounds)];
    if !window.missing.is_empty() {
        lines.push(format!("not published: {}", list(&window.missing)));
    }
    if !window.differing.is_empty() {
        lines.push(format!("differ: {}", list(&window.differing)));
    }
    let [recorded, found] = window.pays.each_ref().map(pays);
    lines.push(format!("weights: recorded {recorded}, found {found}"));
    lines.push(if window.same { "same".into() } else { "differs".into() });
    lines.join("\n") + "\n"
}
