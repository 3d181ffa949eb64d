use super::*;
use crate::domain::{
    rules::Rules,
    testing::{filmed, forfeit, hotkey, plan, scored},
};

fn active() -> ActiveRules {
    ActiveRules { rules: Rules::embedded(), digest: Digest([4; 32]) }
}

fn facts(round: u64) -> BundleFacts {
    BundleFacts {
        network: Network { genesis: BlockHash([0; 32]), netuid: NetUid(99) },
        validator: hotkey(200),
        round: RoundId(round),
        opened_unix_ms: 5,
        code: Code { version: "0".into(), kernels: BTreeMap::new() },
        published_before: BTreeSet::from(["clip-1.mp4".to_owned()]),
        source: None,
    }
}

fn file(n: u8) -> ReceivedFile {
    ReceivedFile { sha256: Digest([n; 32]), bytes: 9, latency_ms: 3, invocation_id: None }
}

fn sent(miner: u8, outcome: Outcome) -> [Event; 2] {
    let (round, hotkey) = (RoundId(7), hotkey(miner));
    [
        Event::ClipReceived { round, hotkey, file: file(miner) },
        Event::TicketSettled { round, hotkey, outcome, timings: Timings::default() },
    ]
}

/// Miners 1 and 2 send one clip, 2 proves nothing; 3 forfeits, 4 sends a worse clip of its own.
fn events() -> Vec<Event> {
    let (round, timings) = (RoundId(7), Timings::default());
    let seed = plan(8, 0).anchor;
    let mut events = vec![Event::RoundPlanned { plan: Box::new(plan(7, 4)) }];
    events.extend(sent(1, filmed(9_000, 1, 16)));
    events.extend(sent(2, filmed(9_500, 2, 16)));
    events.extend(sent(4, filmed(8_000, 4, 31)));
    events.push(Event::TicketSettled { round, hotkey: hotkey(3), outcome: forfeit(Fault::Miner), timings });
    let question = Question::FreshSeed;
    events.push(Event::QuestionAsked { round, hotkey: hotkey(2), question, seed });
    let outcome = filmed(9_500, 5, 16);
    let file = Some(file(12));
    events.push(Event::QuestionSettled { round, hotkey: hotkey(2), question, outcome, timings, file });
    events.push(Event::RoundClosed { round, at: BlockNumber(770), winner: Some(hotkey(1)) });
    events
}

#[test]
fn a_document_gives_back_the_events_that_make_the_same_document() {
    let made = RoundBundle::of(facts(7), &events(), &active()).expect("ended");
    assert_eq!(made.winner(), Some(hotkey(1)));
    assert_eq!(made.copies, [vec![hotkey(1), hotkey(2)]]);
    assert_eq!((made.questions.len(), made.questions[0].finding.as_str()), (1, "same_clip"));
    let refused = &made.miners[1];
    assert!(matches!(refused.ticket, Some(Outcome::Scored { .. })), "{refused:?}");
    assert!(matches!(refused.counts, Some(Outcome::Rejected { .. })), "{refused:?}");
    assert_eq!(refused.fault, Some(Fault::Miner));
    assert_eq!(made.miners[0].counts, None);
    assert_eq!(made.pays.as_ref().map(|pays| pays.weights.clone()), Some(vec![(Uid(1), u16::MAX)]));
    let again = RoundBundle::of(facts(7), &made.events(), &active()).expect("the same round");
    assert_eq!(again, made);
    let judged = made.judge(&active().rules.payout).expect("consistent").expect("planned");
    assert_eq!(judged.result(), made.result);
    assert_eq!(judged.copies, made.copies);
    let names: Vec<_> = made.named_files().into_keys().collect();
    assert_eq!(names.len(), 2 + 3 + 1, "{names:?}");
    let text = serde_json::to_string(&made).expect("writes");
    assert_eq!(serde_json::from_str::<RoundBundle>(&text).expect("reads"), made);
}

#[test]
fn another_outcome_makes_another_winner() {
    let mut made = RoundBundle::of(facts(7), &events(), &active()).expect("ended");
    let record = made.miners.iter_mut().find(|miner| miner.hotkey == hotkey(4)).expect("a row");
    record.ticket = Some(scored(9_900, true, 77));
    let judged = made.judge(&active().rules.payout).expect("consistent").expect("planned");
    assert_ne!(judged.result(), made.result);
}

#[test]
fn only_an_ended_round_under_its_own_rules_has_a_document() {
    let all = events();
    let made = |events: &[Event], round| RoundBundle::of(facts(round), events, &active());
    assert_eq!(made(&all[..all.len() - 1], 7), Err(BundleError::Open(RoundId(7))));
    assert_eq!(made(&all, 8), Err(BundleError::Unknown(RoundId(8))));
    let other = ActiveRules { digest: Digest([9; 32]), ..active() };
    let refused = RoundBundle::of(facts(7), &all, &other);
    assert!(matches!(refused, Err(BundleError::OtherRules { .. })), "{refused:?}");
    let reason = VoidReason::NotPlanned { detail: "no clip".into() };
    let void = [Event::RoundVoided { round: RoundId(9), at: BlockNumber(950), reason: reason.clone() }];
    let made = made(&void, 9).expect("void");
    assert_eq!((made.result.clone(), made.pays.clone()), (RoundResult::Void { reason }, None));
    assert_eq!(made.judge(&active().rules.payout), Ok(None));
    assert!(made.miners.is_empty() && made.named_files().is_empty());
}
