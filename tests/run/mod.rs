//! `leoma run` as an operator meets it: the real binary beside the real simulation, with small clips.

mod copies;
mod deaths;
mod house;
mod incumbent;
mod models;
mod outage;
mod payment;
pub(crate) mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leoma::{
    domain::{
        event::Event,
        ids::{Hotkey, RoundId},
        round::{Phase, Tournament},
    },
    store::journal::Journal,
};

use world::*;

/// Every round once, every ticket once, and every weights decision with one end at most.
fn assert_once(journal: &Journal, rounds: impl Iterator<Item = RoundId>) {
    for id in rounds {
        let events = journal.events_of(id).expect("events");
        let plans = events.iter().filter(|event| matches!(event, Event::RoundPlanned { .. })).count();
        assert_eq!(plans, 1, "round {id} is planned once");
        let mut ends: BTreeMap<Hotkey, usize> = BTreeMap::new();
        for event in &events {
            if let Event::TicketSettled { hotkey, .. } = event {
                *ends.entry(*hotkey).or_default() += 1;
            }
        }
        assert!(ends.values().all(|count| *count == 1), "round {id}: every ticket settles once: {ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_runs_rounds_survives_kill_and_never_does_anything_twice() {
    let world = World::start().await;

    // Killed while the first round's answers come in.
    let mut first = world.validator(&[]);
    first.says("open: ").await;
    first.says("decode").await;

    // Its pages tell what it is doing meanwhile, and a second instance is kept out.
    let (status, actors) = page(&world, "/actors").await;
    assert_eq!(status, 200);
    for name in leoma::actors::house::ACTORS {
        assert!(actors.contains(name), "{name} in {actors}");
    }
    let (_, metrics) = page(&world, "/metrics").await;
    assert!(metrics.contains("leoma_chain_head"), "{metrics}");
    assert_eq!(page(&world, "/livez").await.0, 200);
    let (status, log) = world.validator(&["--set", "web.listen=127.0.0.1:0"]).ends().await;
    assert_eq!(status.code(), Some(2), "{log:?}");
    first.kill().await;

    // Killed again and again, further and further into the work: while clips are scored, when a round
    // has closed, when weights are decided, and when they are in a block but not yet recorded.
    for point in ["scored", "closed", "weights decided", "weights are in a finalized block"] {
        let mut next = world.validator(&[]);
        next.says(point).await;
        next.kill().await;
    }

    // Goes on with whatever was open, and stops by itself, the newest round paid. On a slow machine the kills
    // cost so much of a round's time that it is void: then another one follows.
    let mut rounds = Vec::new();
    for ended in 2..=5 {
        let (status, log) = world.validator(&["--until-rounds", &ended.to_string()]).ends().await;
        assert!(status.success(), "{}", log.join("\n"));
        rounds = world.rounds();
        if rounds.iter().filter(|round| round.phase == "closed").count() >= 2 {
            break;
        }
    }
    let closed: Vec<_> = rounds.iter().filter(|round| round.phase == "closed").collect();
    assert!(closed.len() >= 2, "{rounds:#?}");
    let miners: BTreeSet<Hotkey> = world.roster.iter().map(|line| line.hotkey).collect();
    for round in &closed {
        let rows: BTreeSet<Hotkey> = round.miners.iter().map(|row| row.hotkey).collect();
        assert_eq!(rows, miners, "a row for every miner of the roster");
        for row in &round.miners {
            assert_ne!(row.outcome, "open");
            assert_eq!(row.outcome == "scored", row.fault.is_none(), "{row:?}");
            assert_eq!(row.outcome == "scored", row.reason.is_empty(), "{row:?}");
        }
    }
    let journal = world.journal();
    assert_once(&journal, rounds.iter().filter(|round| round.void.is_none()).map(|round| round.round));
    let state = journal.replay(Tournament::new(small_rules().payout)).expect("replays");
    let paid = state.payments().last().expect("weights landed");
    assert_eq!(Some(paid.round), closed.iter().map(|round| round.round).max());
    assert!(state.payments().open().is_none());
    let clips: Vec<_> = rounds.iter().filter_map(|round| round.clip.clone()).collect();
    assert_eq!(clips.len(), clips.iter().collect::<BTreeSet<_>>().len(), "no clip returns: {clips:?}");

    // SIGTERM: drains, ends well, and what was open stays open for the next start.
    drop(journal);
    let mut third = world.validator(&[]);
    third.says("open: ").await;
    third.terminate();
    let asked = std::time::Instant::now();
    let (status, log) = third.ends().await;
    assert!(status.success(), "{}", log.join("\n"));
    assert!(asked.elapsed() < Duration::from_secs(30), "drained within its limit");
    let state = world.journal().replay(Tournament::new(small_rules().payout)).expect("replays");
    let newest = state.newest().and_then(|id| state.round(id)).expect("a round");
    assert!(!matches!(newest.phase, Phase::Void { .. }), "{newest:?}");
}
