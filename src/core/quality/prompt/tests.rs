//! Drawn tables of cosines: honest clips, and what somebody would try.

use proptest::prelude::*;

use super::{
    anchor::{ceiling, nearness},
    axis::{PromptMeasures, score_prompt},
    card::join,
    change::change,
    distractors::{DISTRACTORS, choose, edits},
    likelihood::{Cosines, Likelihoods, TableShape, log_odds, log_probability},
    relevance::relevance,
    sentences::split,
    view::{SAMPLES, VIEWS, View, samples, views},
};
use crate::{
    domain::{
        ids::Digest,
        rules::{Rules, RulesError},
        score::{Axes, GateId, GateReading, PromptRead, Score, ScoreCard},
        scoring::{AnchorRule, TermRule, TextModelRules, TextRules},
    },
    quality::canonical::score_digest,
};

const SLACK: i64 = 250;
const LEAST_GAIN: i64 = 400;

/// Cosines of a sentence by view and frame; distractors lie around 200 of 1024.
fn table_of(sentences: usize, frames: usize, own: impl Fn(usize, usize, usize) -> i32) -> Likelihoods {
    let mut values = Vec::new();
    for view in 0..VIEWS {
        for frame in 0..frames {
            values.extend((0..sentences).map(|sentence| own(sentence, view, frame)));
            // The same for every clip of the task, a little different by text and view.
            values.extend((0..DISTRACTORS as i32).map(|text| 200 + (text * 7 + view as i32 * 3) % 23));
        }
    }
    let shape = TableShape { views: VIEWS, frames, sentences, distractors: DISTRACTORS };
    Likelihoods::of(&Cosines::new(shape, values).expect("a table of this shape"))
}

/// The real clip: it grows towards the prompt from 255 to 285, with ripples.
fn real(_: usize, view: usize, frame: usize) -> i32 {
    255 + 2 * frame as i32 + (frame as i32 * 5 + view as i32) % 4
}

fn reference() -> Likelihoods {
    table_of(1, SAMPLES, real)
}

/// The given frame in every sample's views.
fn given() -> Likelihoods {
    table_of(1, SAMPLES, |sentence, view, _| real(sentence, view, 0))
}

fn freeze() -> Likelihoods {
    given()
}

fn rank(clip: &Likelihoods) -> i64 {
    relevance(clip, &reference(), &given(), SLACK).expect("comparable").rank
}

fn by_view(clip: &Likelihoods) -> Vec<i64> {
    relevance(clip, &reference(), &given(), SLACK).expect("comparable").by_view
}

fn credit(clip: &Likelihoods) -> i64 {
    change(clip, &reference(), &given(), LEAST_GAIN).expect("the real clip changes")
}

fn rules() -> TextRules {
    let digest = Digest([0; 32]);
    TextRules {
        model: TextModelRules { weights: digest, tokens: digest, answers: digest },
        slack: SLACK,
        least_gain: LEAST_GAIN,
        txt_rel: TermRule { bad: 0, good: 4_500, weight: 50 },
        delta_txt: TermRule { bad: 0, good: 600, weight: 50 },
        camera_weight: 50,
        anchor: AnchorRule { bad: 600, good: 700, ceiling: 3_000 },
    }
}

fn axis(clip: &Likelihoods) -> u16 {
    let (reference, given) = (reference(), given());
    let measures = PromptMeasures { clip, reference: &reference, given: &given, alike: &[] };
    score_prompt(&measures, &rules()).axis.expect("an axis").get()
}

#[test]
fn the_real_clip_and_one_a_little_below_pass() {
    assert!(rank(&reference()) >= 5_000, "{}", rank(&reference()));
    assert_eq!(credit(&reference()), 1_000);
    assert_eq!(axis(&reference()), 10_000);
    let honest = table_of(1, SAMPLES, |sentence, view, frame| real(sentence, view, frame) - frame as i32 / 3);
    assert!(axis(&honest) >= 7_500, "{} {} {}", axis(&honest), rank(&honest), credit(&honest));
}

#[test]
fn a_freeze_earns_no_change() {
    assert_eq!(credit(&freeze()), 0);
    // One term at its end leaves nothing, whatever the other says.
    assert!(axis(&freeze()) <= 100, "{}", axis(&freeze()));
}

#[test]
fn writing_in_the_picture_is_gone_in_the_mirror() {
    // The plain view gains 120 steps, the parts as much where the writing lies; the mirrored view nothing.
    let written = |base: fn(usize, usize, usize) -> i32, views: &'static [usize]| {
        move |sentence, view, frame| base(sentence, view, frame) + if views.contains(&view) { 120 } else { 0 }
    };
    let still: fn(usize, usize, usize) -> i32 = |sentence, view, _| real(sentence, view, 0);
    for views in [&[0][..], &[0, 3], &[0, 2, 3, 4]] {
        let overlay = table_of(1, SAMPLES, written(still, views));
        assert!(rank(&overlay) <= by_view(&freeze())[1], "{views:?}");
        assert!(by_view(&overlay)[0] >= 9_000, "it does raise the plain view");
        assert_eq!(credit(&overlay), 0, "{views:?}");
        assert!(axis(&overlay) <= 100);
    }
    let relevance = relevance(&table_of(1, SAMPLES, written(still, &[0])), &reference(), &given(), SLACK)
        .expect("comparable");
    assert!(relevance.overlay_gap > 1_000, "{relevance:?}");
    assert!(relevance.by_view[0] > relevance.by_view[1], "{relevance:?}");
}

#[test]
fn writing_that_reads_both_ways_is_gone_without_detail() {
    let both_ways =
        table_of(1, SAMPLES, |sentence, view, _| real(sentence, view, 0) + if view == 2 { 0 } else { 120 });
    assert_eq!(credit(&both_ways), 0);
    assert!(rank(&both_ways) <= by_view(&freeze())[2]);
}

#[test]
fn a_picture_pasted_into_a_corner_is_missing_in_a_part() {
    let pasted =
        table_of(1, SAMPLES, |sentence, view, _| real(sentence, view, 0) + if view == 4 { -5 } else { 60 });
    assert!(rank(&pasted) < by_view(&freeze())[4]);
    assert_eq!(credit(&pasted), 0);
}

#[test]
fn every_sentence_of_a_long_prompt_counts() {
    let half = |sentence: usize, view, frame| if sentence == 0 { real(0, view, frame) } else { 180 };
    let both = table_of(2, SAMPLES, real);
    let (one, given) =
        (table_of(2, SAMPLES, half), table_of(2, SAMPLES, |sentence, view, _| real(sentence, view, 0)));
    let rank = |clip| relevance(clip, &both, &given, SLACK).expect("comparable").rank;
    assert!(rank(&one) <= rank(&both) / 2 + 1, "{} {}", rank(&one), rank(&both));
    assert_eq!(change(&one, &both, &given, LEAST_GAIN), Some(500));
}

#[test]
fn a_real_clip_that_does_not_change_judges_no_change() {
    assert_eq!(change(&reference(), &freeze(), &given(), LEAST_GAIN), None);
    let (still, given) = (freeze(), given());
    let measures = PromptMeasures { clip: &still, reference: &still, given: &given, alike: &[] };
    let scores = score_prompt(&measures, &rules());
    assert_eq!((scores.terms["delta_txt"], scores.terms["anchor"]), (None, None));
    assert_eq!(scores.axis, scores.terms["txt_rel"]);
}

#[test]
fn tables_that_do_not_belong_together_give_nothing() {
    let two = table_of(2, SAMPLES, real);
    assert!(relevance(&two, &reference(), &given(), SLACK).is_none());
    assert!(change(&two, &reference(), &given(), LEAST_GAIN).is_none());
    assert!(change(&table_of(1, 3, real), &reference(), &given(), LEAST_GAIN).is_none());
    let shape = TableShape { views: VIEWS, frames: 1, sentences: 1, distractors: DISTRACTORS };
    assert!(Cosines::new(shape, vec![0; 3]).is_err());
    assert!(Cosines::new(TableShape { distractors: 32, ..shape }, vec![0; VIEWS * 33]).is_err());
    assert!(Cosines::new(TableShape { views: usize::MAX, frames: 3, ..shape }, vec![]).is_err());
}

#[test]
fn the_anchor_caps_another_scene_and_rewards_no_closeness() {
    let rule = rules().anchor;
    let at = |nearness| ceiling(nearness, &rule).get();
    assert_eq!([700, 711, 1024].map(at), [10_000; 3]);
    assert_eq!([650, 600, 400, -1024].map(at), [6_500, 3_000, 3_000, 3_000]);
    // A moment that is hidden in another scene does not count, nor does one that is found there.
    assert_eq!(nearness(&[900, 880, 400, 910, 905, 890]), Some(890));
    assert_eq!(nearness(&[]), None);

    let (reference, given) = (reference(), given());
    let measures =
        PromptMeasures { clip: &reference, reference: &reference, given: &given, alike: &[400; 6] };
    assert_eq!(score_prompt(&measures, &rules()).axis.map(|score| score.get()), Some(3_000));
}

/// A card as pixels alone give it.
fn card(gates: &[(GateId, bool)]) -> ScoreCard {
    let reading = |decides| GateReading { numbers: Default::default(), fired: true, decides };
    let score = |value| Some(Score::clamped(value));
    let scoring = Rules::embedded().scoring;
    let axes =
        Axes { first_frame: score(9_000), prompt: None, temporal: score(9_000), artifacts: score(9_000) };
    let overall = crate::quality::terms::overall(&axes, &scoring.weights);
    let mut card = ScoreCard {
        passed: crate::quality::verdict::passes(&axes, overall, None, &scoring),
        axes,
        overall,
        terms: Default::default(),
        gates: gates.iter().map(|&(gate, decides)| (gate, reading(decides))).collect(),
        opponents: None,
        prompt_read: PromptRead::None,
        frame_digest: Digest([1; 32]),
        score_digest: Digest([0; 32]),
        track: None,
    };
    card.score_digest = score_digest(&card);
    card
}

#[test]
fn a_clip_of_something_else_does_not_pass_with_a_text_model() {
    let (reference, given, rules) = (reference(), given(), rules());
    let scoring = Rules::embedded().scoring;
    let judged = |clip: &Likelihoods, before: ScoreCard| {
        let measures = PromptMeasures { clip, reference: &reference, given: &given, alike: &[] };
        join(before, &score_prompt(&measures, &rules), &rules, &scoring)
    };
    let before = card(&[]);
    assert!(before.passed && before.axes.prompt.is_none());
    let good = judged(&reference, before.clone());
    assert!(good.passed && good.axes.prompt == Some(Score::MAX) && good.overall > before.overall);
    assert_eq!((good.prompt_read, good.score_digest), (PromptRead::Text, score_digest(&good)));
    assert_ne!(good.score_digest, before.score_digest);
    let other = judged(&table_of(1, SAMPLES, |_, _, _| 190), before.clone());
    assert!(!other.passed && other.axes.prompt <= Some(Score::clamped(10)), "{other:?}");
    // A pan keeps its score up to the cap, an advisory reading changes nothing.
    let cap = Score::clamped(scoring.gates.pan_zoom.cap.into());
    assert_eq!(judged(&reference, card(&[(GateId::G4, true)])).axes.prompt, Some(cap));
    assert_eq!(judged(&reference, card(&[(GateId::G4, false)])).axes.prompt, Some(Score::MAX));
    // Camera words that were missed still cost.
    let mut camera = before.clone();
    camera.axes.prompt = Some(Score::clamped(2_500));
    let both = judged(&reference, camera).axes.prompt.map(|score| score.get());
    assert!(both.is_some_and(|score| (3_000..7_000).contains(&score)), "{both:?}");
    // Nothing read: the card says so and keeps its score.
    let two = table_of(2, SAMPLES, real);
    let unread = judged(&two, before.clone());
    assert_eq!((unread.overall, unread.prompt_read), (before.overall, PromptRead::None));
    assert_eq!(unread.terms["txt_rel"], None);
}

#[test]
fn rules_out_of_range_are_refused_by_name() {
    let with = |change: fn(&mut TextRules)| {
        let (mut all, mut text) = (Rules::embedded(), rules());
        change(&mut text);
        all.scoring.text = Some(text);
        all.check()
    };
    assert!(with(|_| ()).is_ok());
    let refused = |change| match with(change) {
        Err(RulesError::Invalid { field, .. }) => field.strip_prefix("scoring.text"),
        _ => None,
    };
    assert_eq!(refused(|rules| rules.slack = -1), Some(".slack"));
    assert_eq!(refused(|rules| rules.least_gain = 0), Some(".least_gain"));
    assert_eq!(refused(|rules| rules.txt_rel.good = rules.txt_rel.bad), Some(""));
    assert_eq!(refused(|rules| (rules.txt_rel.weight, rules.delta_txt.weight) = (0, 0)), Some(""));
    assert_eq!(refused(|rules| rules.delta_txt.weight = u32::MAX), Some(""));
    assert_eq!(refused(|rules| rules.camera_weight = 10_001), Some(".camera_weight"));
    assert_eq!(refused(|rules| rules.anchor.ceiling = 0), Some(".anchor.ceiling"));
    assert_eq!(refused(|rules| rules.anchor.good = rules.anchor.bad), Some(".anchor.good"));
    // A text model without the other networks is no set of rules.
    let mut alone = Rules::embedded().without_models();
    alone.scoring.text = Some(rules());
    assert!(matches!(alone.check(), Err(RulesError::Invalid { field: "scoring.text", .. })));
}

#[test]
fn distractors_are_thirty_one_and_none_is_like_the_prompt() {
    let seed = Digest::of(b"round");
    let prompt = "A young man in a red jacket walks on the beach at night.";
    let others = [
        "a young man in a red coat walks on the beach at night",
        "a tram in the rain",
        "a tram in the rain!",
        "",
        "two chess players in a park",
    ];
    let chosen = choose(prompt, others, &seed);
    assert_eq!(chosen.len(), DISTRACTORS);
    let distinct: std::collections::BTreeSet<_> = chosen.iter().collect();
    assert_eq!(distinct.len(), DISTRACTORS);
    assert_eq!(chosen[1], "A young woman in a red jacket walks on the beach at night.");
    assert_eq!(chosen[..6], edits(prompt)[..]);
    assert!(chosen.iter().any(|text| text == "two chess players in a park"));
    assert_eq!(chosen.iter().filter(|text| text.starts_with("a tram")).count(), 1);
    assert!(!chosen.iter().any(|text| text == others[0]));
    let mut turned = others;
    turned.reverse();
    assert_eq!(choose(prompt, turned, &seed), chosen);
    let other_round = choose(prompt, others, &Digest::of(b"another round"));
    assert_ne!(other_round, chosen);
    assert_eq!(other_round[..6], chosen[..6]);
    assert_eq!(choose("", [], &seed).len(), DISTRACTORS);
}

#[test]
fn long_prompts_are_split_at_sentences_then_at_words() {
    let count = |text: &str| text.split_whitespace().count();
    assert_eq!(split("  short. Two of them. ", 10, count), ["short. Two of them."]);
    let long = "One two three. Four five! Six seven eight nine; ten 3.5 eleven?\nTwelve";
    assert_eq!(
        split(long, 5, count),
        ["One two three. Four five!", "Six seven eight nine;", "ten 3.5 eleven? Twelve"]
    );
    assert_eq!(split("a b c d e f g", 3, count), ["a b c", "d e f", "g"]);
    assert_eq!(split("一二三。四五六。", 4, |text| text.chars().count()), ["一二三。", "四五六。"]);
    assert_eq!(split(&"word ".repeat(400), 3, count).len(), 8);
}

#[test]
fn samples_reach_both_ends() {
    assert_eq!(samples(81), [0, 5, 10, 16, 21, 26, 32, 37, 42, 48, 53, 58, 64, 69, 74, 80]);
    assert_eq!((samples(3), samples(1), samples(0)), (vec![0, 1, 2], vec![0], vec![]));
}

proptest! {
    #[test]
    fn log_probabilities_are_those_of_real_numbers(own in -1024i32..=1024, others in prop::collection::vec(-1024i32..=1024, 0..31)) {
        let real = |cosine: i32| f64::from(cosine) * 100.0 / 1024.0;
        let sum: f64 = others.iter().map(|&other| (real(other) - real(own)).exp()).sum();
        let expected = -(1.0 + sum).ln() * 1000.0;
        let got = log_probability(own, &others);
        prop_assert!((got as f64 - expected).abs() <= 1.0, "{} {}", got, expected);
        let (odds, expected) = (log_odds(own, &others), -sum.ln() * 1000.0);
        prop_assert!(others.is_empty() || (odds as f64 - expected).abs() <= 1.0, "{} {}", odds, expected);
    }

    #[test]
    fn the_order_of_distractors_does_not_matter_and_more_cosine_is_never_less(
        own in 0i32..500, more in 0i32..200, mut others in prop::collection::vec(0i32..500, 1..31),
    ) {
        let first = log_probability(own, &others);
        prop_assert!(log_probability(own + more, &others) >= first);
        others.reverse();
        prop_assert_eq!(log_probability(own, &others), first);
    }

    /// Whatever one view says, the least view decides.
    #[test]
    fn no_single_view_raises_a_clip(view in 0usize..VIEWS, by in 1i32..400, at in prop::collection::vec(-20i32..20, SAMPLES)) {
        let plain = |sentence, view, frame: usize| real(sentence, view, 0) + at[frame];
        // Every view equal, so that each of them is the least one.
        let flat = |sentence, _: usize, frame| plain(sentence, 0, frame);
        let reference = table_of(1, SAMPLES, |sentence, _, frame| real(sentence, 0, frame));
        let given = table_of(1, SAMPLES, |sentence, _, _| real(sentence, 0, 0));
        let raised = table_of(1, SAMPLES, |s, v, f| flat(s, v, f) + if v == view { by } else { 0 });
        let flat = table_of(1, SAMPLES, flat);
        let rank = |clip| relevance(clip, &reference, &given, SLACK).expect("comparable");
        let (before, after) = (rank(&flat), rank(&raised));
        let rest = before.by_view.iter().enumerate().filter(|&(v, _)| v != view).map(|(_, &rank)| rank).min();
        prop_assert!(after.rank <= rest.unwrap_or(0));
        prop_assert!(change(&raised, &reference, &given, LEAST_GAIN) <= Some(1_000));
    }

    #[test]
    fn parts_lie_within_the_frame(width in 8usize..4096, height in 8usize..4096, sample in 0usize..16, seed: [u8; 32]) {
        for view in views(&Digest(seed), sample, width, height) {
            if let View::Crop(square) = view {
                prop_assert!(square.left + square.side <= width && square.top + square.side <= height);
                let shorter = width.min(height);
                prop_assert!(square.side >= shorter * 5 / 8 && square.side <= shorter * 7 / 8 + 1);
            }
        }
    }
}
