//! The fold under tables and under random input.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    commitment::Commitment,
    event::{PayTarget, WeightsForm, WeightsIntent},
    ids::Uid,
    payments::CommitPlace,
    payout::{PayoutInput, payout},
    rules::{PayoutRule, StrictRules},
    score::{GateId, Score},
    scoring::CopyGate,
    testing::{filmed, forfeit, hotkey, moving_track, plan, scored, track_gate},
    track::Step,
};

const RULES: PayoutRules = PayoutRules {
    rule: PayoutRule::Round,
    tie_band: 50,
    void_above_unjudged_percent: 34,
    strict: StrictRules {
        window: 100,
        min_pairs: 60,
        coverage_percent: 80,
        margin: 100,
        level_ppm: 50_000,
        challengers: 256,
        resamples: 16_384,
    },
};

fn planned(round: u64, miners: u8) -> Event {
    Event::RoundPlanned { plan: Box::new(plan(round, miners)) }
}

fn settled_event(round: u64, miner: u8, outcome: Outcome) -> Event {
    Event::TicketSettled {
        round: RoundId(round),
        hotkey: hotkey(miner),
        outcome,
        timings: Timings::default(),
    }
}

fn received(round: u64, miner: u8, sha: u8) -> Event {
    let file = ReceivedFile { sha256: Digest([sha; 32]), bytes: 9, latency_ms: 1, invocation_id: None };
    Event::ClipReceived { round: RoundId(round), hotkey: hotkey(miner), file }
}

fn closed(round: u64, winner: Option<u8>) -> Event {
    Event::RoundClosed {
        round: RoundId(round),
        at: BlockNumber(round * 100 + 70),
        winner: winner.map(hotkey),
    }
}

#[test]
fn what_was_recorded_under_other_rules_stands() {
    // Miner 2 is 60 points better: a winner with a tie band of 50, a tie with the earlier miner 1 at 100.
    let events = [
        planned(1, 2),
        settled_event(1, 1, scored(8_000, true, 1)),
        settled_event(1, 2, scored(8_060, true, 2)),
        closed(1, Some(2)),
    ];
    let wider = PayoutRules { tie_band: 100, ..RULES };
    let replay =
        |mut state: Tournament| events.iter().try_for_each(|event| state.apply(event)).map(|()| state);
    let own = plan(1, 2).rules_digest;
    assert!(matches!(replay(Tournament::under(wider, own)), Err(ApplyError::WinnerDiffers { .. })));
    let state = replay(Tournament::under(wider, Digest([9; 32]))).expect("an upgraded validator starts");
    assert_eq!(state.settled()[0].winner.map(|winner| winner.hotkey), Some(hotkey(2)));
}

fn intent(round: u64) -> Event {
    let decided_at = plan(round, 0).anchor;
    Event::WeightsIntended {
        intent: WeightsIntent {
            target: PayTarget::Miner { hotkey: hotkey(1) },
            uid: Uid(1),
            round: RoundId(round),
            weights: vec![(Uid(1), 65535)],
            decided_at,
            last_update: BlockNumber(0),
            last_epoch: None,
            form: WeightsForm::Plain,
        },
    }
}

fn landed(round: u64, epoch: Option<u64>) -> Event {
    Event::WeightsLanded { seen_at: plan(round, 0).anchor, epoch, own_update: None }
}

fn failed(epoch: Option<u64>) -> Event {
    Event::WeightsFailed { seen_at: BlockNumber(5), reason: "x".into(), epoch, own_update: None }
}

fn committed(at: u64, epoch: u64) -> Event {
    let place = CommitPlace { committed_at: BlockNumber(at), epoch, reveal_epoch: epoch + 1 };
    Event::WeightsCommitted { seen_at: plan(7, 0).anchor, place }
}

fn fold(events: &[Event]) -> Tournament {
    let mut state = Tournament::new(RULES);
    for event in events {
        state.apply(event).expect("follows");
    }
    state
}

#[test]
fn a_round_runs_from_plan_to_payment() {
    let state = fold(&[
        planned(7, 2),
        received(7, 1, 1),
        settled_event(7, 1, scored(8000, true, 1)),
        settled_event(7, 2, forfeit(Fault::Miner)),
        closed(7, Some(1)),
        intent(7),
        landed(8, None),
    ]);
    assert_eq!(state.settled().len(), 1);
    assert_eq!(state.payments().last().map(|paid| paid.round), Some(RoundId(7)));
    assert!(state.published().contains("clip-7.mp4"));
    assert!(state.open_rounds().is_empty() && state.payments().open().is_none());
}

#[test]
fn no_round_runs_twice_and_no_ticket_settles_twice() {
    let mut state = fold(&[planned(7, 1), settled_event(7, 1, scored(8000, true, 1))]);
    assert_eq!(state.apply(&planned(7, 1)), Err(ApplyError::DuplicateRound(RoundId(7))));
    assert_eq!(state.apply(&planned(6, 1)), Err(ApplyError::DuplicateRound(RoundId(6))));
    let again = settled_event(7, 1, forfeit(Fault::Miner));
    assert!(matches!(state.apply(&again), Err(ApplyError::AlreadySettled { .. })));
    assert!(matches!(
        state.apply(&settled_event(7, 9, forfeit(Fault::Us))),
        Err(ApplyError::UnknownMiner { .. })
    ));
}

#[test]
fn a_round_cannot_close_early_nor_with_another_winner() {
    let mut state = fold(&[planned(7, 2), settled_event(7, 1, scored(8000, true, 1))]);
    assert!(matches!(state.apply(&closed(7, Some(1))), Err(ApplyError::TicketsOpen { open: 1, .. })));
    state.apply(&settled_event(7, 2, scored(9000, true, 2))).expect("settles");
    assert!(matches!(state.apply(&closed(7, Some(1))), Err(ApplyError::WinnerDiffers { .. })));
    state.apply(&closed(7, Some(2))).expect("the elected winner");
    assert_eq!(state.apply(&closed(7, Some(2))), Err(ApplyError::Ended(RoundId(7))));
}

#[test]
fn of_identical_clips_the_later_miner_loses_even_with_the_better_place_in_the_table() {
    let state = fold(&[
        planned(7, 3),
        received(7, 3, 9),
        settled_event(7, 3, scored(9000, true, 5)),
        received(7, 2, 9),
        settled_event(7, 2, scored(9000, true, 5)),
        settled_event(7, 1, scored(100, false, 6)),
    ]);
    let round = state.round(RoundId(7)).expect("known");
    let outcomes = round.final_outcomes();
    assert!(matches!(outcomes[&hotkey(3)], Outcome::Rejected { gate: GateId::G8, .. }));
    assert_eq!(round.winner(&RULES).map(|winner| winner.hotkey), Some(hotkey(2)));
}

/// A round of three miners whose clips move at these paces.
fn filmed_round(round: u64, paces: [i64; 3]) -> Vec<Event> {
    let clip = |(miner, pace): (u8, i64)| {
        let own = round as u8 * 10 + miner;
        let overall = 9_000 + 100 * i64::from(miner);
        [received(round, miner, own), settled_event(round, miner, filmed(overall, own, pace))]
    };
    std::iter::once(planned(round, 3)).chain((1u8..).zip(paces).flat_map(clip)).collect()
}

fn refused_by_g8(state: &Tournament, round: u64) -> Vec<Hotkey> {
    let outcomes = state.round(RoundId(round)).expect("known").final_outcomes();
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Rejected { gate: GateId::G8, .. });
    outcomes.into_iter().filter(|(_, outcome)| refused(outcome)).map(|(hotkey, _)| hotkey).collect()
}

/// What the clock records when it finds clips of earlier rounds.
fn returned_clips(state: &Tournament, round: u64) -> Vec<Event> {
    let open = state.round(RoundId(round)).expect("known");
    let returned = |key: &Hotkey| {
        let (earlier, owner) = open.find_returned(key)?;
        Some(Event::ClipReturned { round: RoundId(round), hotkey: *key, earlier, owner })
    };
    open.tickets.keys().filter_map(returned).collect()
}

#[test]
fn a_clip_that_was_encoded_anew_is_refused_whatever_it_scores() {
    let mut state = fold(&filmed_round(7, [16, 31, 16]));
    assert_eq!(refused_by_g8(&state, 7), [hotkey(3)]);
    state.apply(&closed(7, Some(2))).expect("the best of what is left");
    assert_eq!(refused_by_g8(&state, 7), [hotkey(3)], "the ruling stays when the tracks are gone");
}

#[test]
fn another_miners_clip_of_an_earlier_round_is_refused_for_as_long_as_the_rules_remember() {
    let mut state = fold(&filmed_round(7, [16, 31, 16]));
    state.apply(&closed(7, Some(2))).expect("closes");
    // Miner 1 sends its own clip again; miner 3, whose copy was refused, sends miner 2's.
    let eighth = filmed_round(8, [16, -16, 31]);
    eighth.iter().for_each(|event| state.apply(event).expect("follows"));
    let returned = returned_clips(&state, 8);
    assert_eq!(returned.len(), 1);
    returned.iter().for_each(|event| state.apply(event).expect("noted"));
    assert_eq!((refused_by_g8(&state, 8), returned_clips(&state, 8)), (vec![hotkey(3)], Vec::new()));
    // Pages read one round of the journal, without those before it.
    let alone = fold(&[eighth, returned, vec![closed(8, Some(2))]].concat());
    assert_eq!(refused_by_g8(&alone, 8), [hotkey(3)]);
    state.apply(&closed(8, Some(2))).expect("closes");
    // Three rounds later than round 7, two after round 8.
    filmed_round(10, [47, 31, -16]).iter().for_each(|event| state.apply(event).expect("follows"));
    returned_clips(&state, 10).iter().for_each(|event| state.apply(event).expect("noted"));
    assert_eq!(
        refused_by_g8(&state, 10),
        [hotkey(3)],
        "miner 2's clip of round 7 is forgotten, that of round 8 is not"
    );
    let kept = |round: u64| {
        let round = state.round(RoundId(round)).expect("known");
        round.tickets.values().filter_map(|ticket| ticket.outcome.as_ref()?.card()?.track.clone()).count()
    };
    assert_eq!((kept(7), kept(8)), (0, 3));
}

fn asked(round: u64, miner: u8, question: Question) -> Event {
    Event::QuestionAsked {
        round: RoundId(round),
        hotkey: hotkey(miner),
        question,
        seed: plan(u64::from(miner) + 100, 0).anchor,
    }
}

fn answered(round: u64, miner: u8, question: Question, outcome: Outcome) -> Event {
    let (round, hotkey, timings) = (RoundId(round), hotkey(miner), Timings::default());
    Event::QuestionSettled { round, hotkey, question, outcome, timings, file: None }
}

#[test]
fn a_newcomer_whose_chute_was_called_by_an_incumbent_keeps_its_clip() {
    use Question::{FreshSeed, OldSeed};
    let mut state = fold(&filmed_round(7, [16, 31, 16]));
    let next = |state: &Tournament| state.round(RoundId(7)).expect("known").disputes()[0].next;
    // The newcomer (3) has a model: new for a fresh seed, the same for the old one.
    for (miner, question, outcome) in [
        (3, FreshSeed, filmed(8_000, 91, 47)),
        (3, OldSeed, filmed(9_300, 73, 16)),
        // The incumbent (1) can only call the newcomer's chute again: for its own seed, and for the one it saw.
        (1, FreshSeed, filmed(8_000, 92, 47)),
    ] {
        assert_eq!(next(&state), Some((hotkey(miner), question)));
        state.apply(&asked(7, miner, question)).expect("asked");
        assert!(matches!(state.apply(&asked(7, miner, question)), Err(ApplyError::NothingToAsk { .. })));
        state.apply(&answered(7, miner, question, outcome.clone())).expect("answered");
        let again = state.apply(&answered(7, miner, question, outcome));
        assert!(matches!(again, Err(ApplyError::NotAsked { .. })), "one answer a question");
    }
    assert_eq!(next(&state), None);
    assert_eq!(refused_by_g8(&state, 7), [hotkey(1)]);
    state.apply(&closed(7, Some(3))).expect("the newcomer wins");
    let round = state.round(RoundId(7)).expect("known");
    assert_eq!(round.copy_groups(), [[hotkey(1), hotkey(3)]]);
    let found: Vec<_> = round.questions().into_iter().map(|asked| asked.finding).collect();
    assert_eq!(found, ["answer_of_another", "new_clip", "same_clip"]);
    let late = answered(7, 1, OldSeed, forfeit(Fault::Miner));
    assert_eq!(state.apply(&late), Err(ApplyError::Ended(RoundId(7))));
}

#[test]
fn a_near_clip_is_new_for_a_fresh_seed_and_the_disputed_one_for_the_old_seed() {
    let gate = CopyGate { unlike: 135, unlike_long: 40, ..track_gate() };
    let mut events = filmed_round(7, [16, 31, 16]);
    let Some(Event::RoundPlanned { plan }) = events.first_mut() else { panic!("a plan") };
    plan.copies = Some(gate);
    let read = moving_track(73, 16).distance(&moving_track(91, 17), Step::Short).unlike;
    assert!(gate.unlike < read && read <= 2 * gate.unlike, "{read}");
    for (question, finding) in [(Question::FreshSeed, "new_clip"), (Question::OldSeed, "same_clip")] {
        let mut state = fold(&events);
        state.apply(&asked(7, 3, question)).expect("asked");
        state.apply(&answered(7, 3, question, filmed(8_000, 91, 17))).expect("answered");
        let round = state.round(RoundId(7)).expect("known");
        assert_eq!(round.copy_groups(), [[hotkey(1), hotkey(3)]]);
        assert_eq!(round.questions()[0].finding, finding);
    }
}

#[test]
fn questions_go_to_miners_with_a_scored_clip_only() {
    let mut state = fold(&filmed_round(7, [16, 31, 16])[..5]);
    for (miner, question) in [(3, Question::FreshSeed), (9, Question::OldSeed)] {
        assert!(matches!(state.apply(&asked(7, miner, question)), Err(ApplyError::NothingToAsk { .. })));
        let answer = answered(7, miner, question, forfeit(Fault::Us));
        assert!(matches!(state.apply(&answer), Err(ApplyError::NotAsked { .. })));
    }
}

#[test]
fn a_round_keeps_the_limits_that_it_was_opened_with() {
    let mut events = filmed_round(7, [16, 31, 16]);
    let Some(Event::RoundPlanned { plan }) = events.first_mut() else { panic!("a plan") };
    plan.copies = None;
    assert!(refused_by_g8(&fold(&events), 7).is_empty(), "before tracks were kept");
}

#[test]
fn a_round_is_void_when_too_many_went_unjudged_through_no_fault_of_their_own() {
    let one_of_three = fold(&[
        planned(7, 3),
        settled_event(7, 1, forfeit(Fault::Platform)),
        settled_event(7, 2, scored(8000, true, 1)),
        settled_event(7, 3, forfeit(Fault::Miner)),
    ]);
    assert_eq!(one_of_three.round(RoundId(7)).and_then(|round| round.void_reason(&RULES)), None);
    let two_of_three = fold(&[
        planned(7, 3),
        settled_event(7, 1, forfeit(Fault::Us)),
        settled_event(7, 2, Outcome::Expired { stage: Stage::Score }),
        settled_event(7, 3, forfeit(Fault::Miner)),
    ]);
    let reason = two_of_three.round(RoundId(7)).and_then(|round| round.void_reason(&RULES));
    assert_eq!(reason, Some(VoidReason::Unjudged { unjudged: 2, asked: 3 }));
}

#[test]
fn weights_have_one_open_decision_at_a_time() {
    let mut state = fold(&[intent(7)]);
    assert_eq!(state.apply(&intent(8)), Err(ApplyError::IntentOpen));
    state.apply(&failed(None)).expect("ends it");
    assert_eq!(state.apply(&landed(8, None)), Err(ApplyError::NoIntent));
}

#[test]
fn a_commit_waits_for_its_reveal_while_later_ones_are_made() {
    let mut state =
        fold(&[intent(7), committed(700, 3), intent(8), committed(800, 3), intent(9), committed(900, 4)]);
    let payments = state.payments();
    assert_eq!(payments.pending().keys().copied().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(payments.pending()[&3].intent.round, RoundId(8), "the later commit of an epoch stands");
    assert_eq!(payments.newest().map(|(_, round)| round), Some(RoundId(9)));
    assert_eq!(payments.known_update(), BlockNumber(900));
    assert_eq!(payments.last(), None, "nothing was read back yet");

    assert_eq!(state.apply(&landed(10, Some(5))), Err(ApplyError::NoCommit(5)));
    let older = ApplyError::OlderDecision { round: RoundId(8), newest: RoundId(9) };
    assert_eq!(state.apply(&intent(8)), Err(older), "never an older round");
    state.apply(&landed(10, Some(3))).expect("revealed");
    assert_eq!(state.payments().last().map(|paid| paid.round), Some(RoundId(8)));
    state.apply(&failed(Some(4))).expect("not revealed");
    assert!(state.payments().pending().is_empty());
    assert_eq!(state.payments().newest().map(|(_, round)| round), Some(RoundId(8)), "to be decided again");
    state.apply(&intent(9)).expect("done anew");
}

#[test]
fn weights_set_in_the_open_are_newer_than_an_older_commit_that_waits() {
    let state = fold(&[intent(7), committed(700, 3), intent(8), landed(8, None)]);
    assert_eq!(state.payments().newest().map(|(_, round)| round), Some(RoundId(8)));
}

#[test]
fn a_decision_that_came_to_nothing_may_have_moved_our_last_update() {
    let mut state = fold(&[intent(7)]);
    let own_update = Some(BlockNumber(712));
    let failed =
        Event::WeightsFailed { seen_at: BlockNumber(715), reason: "x".into(), epoch: None, own_update };
    state.apply(&failed).expect("ends it");
    assert_eq!(state.payments().known_update(), BlockNumber(712));
}

#[test]
fn a_later_reveal_ends_the_earlier_commits_too() {
    let mut state = fold(&[intent(7), committed(700, 3), intent(8), committed(800, 4)]);
    state.apply(&landed(10, Some(4))).expect("revealed");
    assert!(state.payments().pending().is_empty());
}

#[test]
fn what_is_known_of_our_updates_only_grows() {
    let mut state = fold(&[intent(7), landed(8, None)]);
    assert_eq!(state.payments().known_update(), plan(8, 0).anchor.number, "journals of before");
    state.apply(&Event::WeightsVouched { last_update: BlockNumber(5) }).expect("vouched");
    assert_eq!(state.payments().known_update(), plan(8, 0).anchor.number);
    state.apply(&Event::WeightsVouched { last_update: BlockNumber(5_000) }).expect("vouched");
    assert_eq!(state.payments().known_update(), BlockNumber(5_000));
}

/// Rounds `1..=count` of three miners: the first never passes, the second always does, the third copies it.
fn rounds_of_three(count: u64) -> Vec<Event> {
    let round = |id: u64| {
        let frames = id as u8 + 1;
        [
            planned(id, 3),
            settled_event(id, 1, scored(6_000, false, 0)),
            received(id, 2, frames),
            settled_event(id, 2, scored(9_000, true, frames)),
            received(id, 3, frames),
            settled_event(id, 3, scored(9_000, true, frames)),
            closed(id, Some(2)),
        ]
    };
    (1..=count).flat_map(round).collect()
}

#[test]
fn the_fold_remembers_what_the_window_rules_look_back_on() {
    let mut events = rounds_of_three(70);
    // A void round is planned, settled and forgotten.
    events.extend([
        planned(71, 3),
        settled_event(71, 1, scored(9_999, true, 200)),
        Event::RoundVoided {
            round: RoundId(71),
            at: BlockNumber(7_150),
            reason: VoidReason::Unjudged { unjudged: 2, asked: 3 },
        },
        planned(72, 3),
        settled_event(72, 1, forfeit(Fault::Platform)),
        settled_event(72, 2, forfeit(Fault::Miner)),
        settled_event(72, 3, Outcome::Expired { stage: Stage::Score }),
        closed(72, None),
    ]);
    let state = fold(&events);
    assert_eq!(state.settled().len(), 71);
    let judgements = |round: &SettledRound| round.results.iter().map(|row| row.judgement).collect::<Vec<_>>();
    let seen = |overall: i64, passed: bool| Judgement::Scored { overall: Score::clamped(overall), passed };
    let usual = [seen(6_000, false), seen(9_000, true), Judgement::Gated];
    assert_eq!(judgements(&state.settled()[0]), usual, "a copy counts nothing");
    let last = [Judgement::Unjudged, Judgement::Forfeited, Judgement::Unjudged];
    assert_eq!(judgements(&state.settled()[70]), last);

    let registered = (1..=3).map(hotkey).collect();
    for rule in [PayoutRule::WindowStrict, PayoutRule::WindowCompat] {
        let input = PayoutInput {
            settled: state.settled(),
            last_epoch: BlockNumber(0),
            last_paid: None,
            registered: &registered,
            rules_digest: Digest([4; 32]),
        };
        let target = payout(&PayoutRules { rule, ..RULES }, &input);
        assert_eq!(target, Some(PayTarget::Miner { hotkey: hotkey(2) }), "{rule:?}");
    }
}

#[test]
fn another_revision_or_chute_is_another_model() {
    let commitment = |revision: &str, chute: &str| Commitment {
        model_name: "user/leoma".into(),
        model_revision: revision.into(),
        chute_id: chute.into(),
    };
    let with = |commitment: Option<Commitment>| {
        let mut plan = plan(7, 1);
        plan.roster[0].commitment = commitment;
        Round::open(Arc::new(plan), Arc::default()).results()[0].model
    };
    let first = with(Some(commitment("a", "b")));
    assert_eq!(first, with(Some(Commitment { model_name: "renamed".into(), ..commitment("a", "b") })));
    for other in [None, Some(commitment("a", "c")), Some(commitment("c", "b")), Some(commitment("ab", ""))] {
        assert_ne!(first, with(other));
    }
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![Just(Question::FreshSeed), Just(Question::OldSeed)]
}

fn any_event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        (0i64..10_000, any::<bool>(), 1u8..4)
            .prop_map(|(score, passed, frames)| scored(score, passed, frames)),
        Just(forfeit(Fault::Miner)),
        Just(forfeit(Fault::Platform)),
    ];
    prop_oneof![
        (1u64..5).prop_map(|round| planned(round, 3)),
        (1u64..5, 0u8..5, 1u8..4).prop_map(|(round, miner, sha)| received(round, miner, sha)),
        (1u64..5, 0u8..5, outcome).prop_map(|(round, miner, outcome)| settled_event(round, miner, outcome)),
        (1u64..5, 0u8..5, 0i64..3).prop_map(|(round, miner, pace)| {
            settled_event(round, miner, filmed(9_000, miner, 16 + 15 * pace))
        }),
        (1u64..5, 0u8..5).prop_map(|(round, miner)| Event::ClipReturned {
            round: RoundId(round),
            hotkey: hotkey(miner),
            earlier: RoundId(0),
            owner: hotkey(9),
        }),
        (1u64..5, 0u8..5, question()).prop_map(|(round, miner, question)| asked(round, miner, question)),
        (1u64..5, 0u8..5, question(), 0i64..4).prop_map(|(round, miner, question, pace)| answered(
            round,
            miner,
            question,
            filmed(8_000, 40, 16 + 15 * pace)
        )),
        (1u64..5, prop::option::of(0u8..5)).prop_map(|(round, winner)| closed(round, winner)),
        (1u64..5).prop_map(|round| Event::RoundVoided {
            round: RoundId(round),
            at: BlockNumber(round * 100),
            reason: VoidReason::NotPlanned { detail: "x".into() },
        }),
        (1u64..5).prop_map(intent),
        prop::option::of(1u64..4).prop_map(|epoch| landed(3, epoch)),
        prop::option::of(1u64..4).prop_map(failed),
        (1u64..4).prop_map(|epoch| committed(epoch * 10, epoch)),
        (0u64..50).prop_map(|block| Event::WeightsVouched { last_update: BlockNumber(block) }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_fold_of_what_was_accepted_is_the_state(events in prop::collection::vec(any_event(), 0..80)) {
        let mut state = Tournament::new(RULES);
        let mut accepted = Vec::new();
        for event in events {
            let before = state.clone();
            match state.apply(&event) {
                Ok(()) => accepted.push(event),
                Err(_) => prop_assert_eq!(&before, &state, "a refused event changes nothing"),
            }
        }
        // Through text and back, as a restart does.
        let stored: Vec<Event> = accepted
            .iter()
            .map(|event| serde_json::from_str(&serde_json::to_string(event).expect("writes")).expect("reads"))
            .collect();
        prop_assert_eq!(fold(&stored), state);
    }
}
