//! A miner that encodes another's clip anew, and what G8 makes of it across a kill.

use std::collections::BTreeMap;

use leoma::domain::{event::Event, ids::Hotkey, inquiry::Question, report::RoundReport, round::Tournament};

use super::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_asked_again_refused_and_a_kill_in_between_changes_nothing() {
    // The hanging miner takes the whole answer time; the questions have the rest.
    let mut rules = small_rules();
    rules.schedule.round_interval_blocks = 170;
    rules.schedule.answer_within_blocks = 70;
    rules.schedule.settle_within_blocks = 168;
    let world = World::start_by(&rules, 250).await;
    let key = |label: &str| world.roster.iter().find(|line| line.label == label).expect(label).hotkey;
    let [sharp, copycat, again] = ["honest-sharp", "copycat", "re-encode"].map(key);

    let has_both = |round: &RoundReport| {
        round.copies.iter().any(|group| group.contains(&copycat) && group.contains(&again))
    };
    let mut first = world.validator(&[]);
    first.says("asked again: its clip is disputed").await;
    first.kill().await;
    // On a slow machine the kill may cost the round too much: then the next one shows it.
    let mut last = None;
    for ended in 1..=3 {
        let (status, log) = world.validator(&["--until-rounds", &ended.to_string()]).ends().await;
        assert!(status.success(), "{}", log.join("\n"));
        last = world.rounds().into_iter().find(|round| round.phase == "closed" && has_both(round));
        if last.is_some() {
            break;
        }
    }
    let round = last.expect("a round whose copies were asked again");
    let row = |hotkey: Hotkey| round.miners.iter().find(|row| row.hotkey == hotkey).expect("a row");
    assert_eq!(row(sharp).outcome, "scored", "whose clip it is: {round:#?}");
    for copy in [copycat, again] {
        let row = row(copy);
        assert!(row.outcome == "rejected" && row.reason.starts_with("G8 "), "{row:?}");
        assert!(row.reason.contains(&sharp.to_string()), "{row:?}");
        let asked = round.questions.iter().find(|asked| asked.hotkey == copy).expect("was asked");
        assert_eq!((asked.question, asked.finding.as_str()), (Question::FreshSeed, "same_clip"));
    }
    let group = round.copies.iter().find(|group| group.contains(&again)).expect("a group");
    assert_eq!(group[0], sharp, "the earliest first");
    assert!(!round.questions.iter().any(|asked| asked.hotkey == sharp), "its answer could change nothing");
    for honest in ["honest-lively", "honest-soft"].map(key) {
        assert!(round.copies.iter().all(|group| !group.contains(&honest)), "{:?}", row(honest));
    }

    let journal = world.journal();
    let mut ends: BTreeMap<(Hotkey, Question), usize> = BTreeMap::new();
    for event in journal.events_of(round.round).expect("events") {
        match event {
            Event::QuestionAsked { hotkey, question, .. } => {
                assert!(ends.insert((hotkey, question), 0).is_none())
            }
            Event::QuestionSettled { hotkey, question, .. } => {
                *ends.get_mut(&(hotkey, question)).expect("asked") += 1
            }
            _ => {}
        }
    }
    assert!(ends.len() >= 2 && ends.values().all(|ends| *ends == 1), "every question ends once: {ends:?}");
    let state = journal.replay(Tournament::new(small_rules().payout)).expect("replays");
    let replayed = state.round(round.round).expect("in memory");
    assert_eq!(
        (replayed.copy_groups(), replayed.questions()),
        (round.copies.clone(), round.questions.clone())
    );
}
