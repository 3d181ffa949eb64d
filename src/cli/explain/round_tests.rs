use super::*;
use crate::domain::{
    event::{Event, Timings},
    ids::{BlockNumber, Digest},
    outcome::Stage,
    testing::{forfeit, hotkey, plan},
};

/// A card whose four axes are these, judged by the embedded rules.
fn card(scores: [i64; 4], frames: u8) -> Box<ScoreCard> {
    let Outcome::Scored { mut card } = crate::domain::testing::scored(0, false, frames) else {
        unreachable!("a scored outcome")
    };
    let scoring = Rules::embedded().scoring;
    axes(&mut card.axes)
        .into_iter()
        .zip(scores)
        .for_each(|((_, axis), score)| *axis = Some(Score::clamped(score)));
    card.overall = overall(&card.axes, &scoring.weights);
    card.passed = crate::quality::verdict::passes(&card.axes, card.overall, None, &scoring);
    card
}

fn why(outcomes: Vec<Outcome>) -> RoundWhy {
    let active = ActiveRules { rules: Rules::embedded(), digest: Digest([4; 32]) };
    let (round, timings, count) = (RoundId(7), Timings::default(), outcomes.len() as u8);
    let mut events = vec![Event::RoundPlanned { plan: Box::new(plan(7, count)) }];
    for (outcome, miner) in outcomes.into_iter().zip(1..) {
        events.push(Event::TicketSettled { round, hotkey: hotkey(miner), outcome, timings });
    }
    let mut state = crate::domain::round::Tournament::new(active.rules.payout);
    events.iter().for_each(|event| state.apply(event).expect("follows"));
    let (open, at) = (state.round(round).expect("a round"), BlockNumber(770));
    events.push(match open.void_reason(&active.rules.payout) {
        Some(reason) => Event::RoundVoided { round, at, reason },
        None => {
            Event::RoundClosed { round, at, winner: open.winner(&active.rules.payout).map(|one| one.hotkey) }
        }
    });
    explain(&RoundBundle::of(facts(round), &events, &active).expect("ended"), &active.rules)
}

fn scored(scores: [i64; 4], frames: u8) -> Outcome {
    Outcome::Scored { card: card(scores, frames) }
}

#[test]
fn the_axis_that_decided_is_named_with_what_the_next_one_lacks() {
    let told = why(vec![scored([9_000, 9_000, 9_500, 9_000], 1), scored([9_500, 9_500, 8_000, 9_500], 2)]);
    let text = told.text();
    assert!(told.result.starts_with("uid 1 "), "{text}");
    assert!(
        told.why.iter().any(|line| line.starts_with("its temporal axis decided, 95.00 to 80.00")),
        "{text}"
    );
    assert!(told.changes[0].starts_with("uid 2 ") && told.changes[0].contains("wins with overall"), "{text}");
    assert!(told.changes[1].contains("without the winner uid 2"), "{text}");
    // With what it is told to need it wins.
    let first = card([9_000, 9_000, 9_500, 9_000], 1).overall.get();
    let least = percent(Score::clamped(i64::from(first + Rules::embedded().payout.tie_band) + 1));
    let wanted = format!("wins with overall {least},");
    assert!(told.changes[0].contains(&wanted), "the later miner must beat the tie band: {wanted} {text}");
}

#[test]
fn a_tie_a_failed_better_clip_and_nobody_are_told_apart() {
    let band = Rules::embedded().payout.tie_band;
    if band > 0 {
        let told = why(vec![scored([9_000; 4], 1), scored([9_001; 4], 2)]);
        assert!(told.why[0].contains("the earlier commitment wins"), "{}", told.text());
    }
    let told = why(vec![scored([7_900; 4], 1), scored([9_900, 9_900, 4_000, 9_900], 2)]);
    assert!(told.result.starts_with("uid 1 "), "{}", told.text());
    let told = why(vec![scored([3_000; 4], 1), forfeit(Fault::Miner)]);
    assert_eq!(told.result, "nobody wins", "{}", told.text());
    assert!(told.changes[0].contains("had to pass"), "{}", told.text());
    assert!(told.miners[1].why[0].contains("answer_timeout, fault: miner"), "{}", told.text());
}

#[test]
fn a_void_round_names_whom_it_could_not_judge() {
    let ours =
        Outcome::Forfeit { stage: Stage::Score, fault: Fault::Us, reason: "scoring_device_failed".into() };
    let told = why(vec![ours.clone(), ours, scored([9_000; 4], 1)]);
    let text = told.text();
    assert!(told.result.starts_with("void") && told.why[0].starts_with("2 of 3"), "{text}");
    assert!(told.why[1].contains("scoring_device_failed") && told.changes[0].contains("uid 3"), "{text}");
}
