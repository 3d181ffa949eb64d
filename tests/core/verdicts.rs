//! Which clips pass and which do not.

use std::sync::OnceLock;

use leoma_core::{
    domain::{
        rules::Rules,
        score::{GateId, PromptRead, Score},
        scoring::GateMode,
    },
    quality::{
        frame::Yuv420Clip,
        opponents::{Known, PreparedTask, TaskInput, standing},
        verdict::{JudgeInput, Verdict, judge, judge_measured, read_measured},
    },
};
use proptest::prelude::*;

use super::scenes::*;

const SEED: u32 = 11;

/// What is measured of the task that a real clip gives.
fn prepared(real: &Yuv420Clip) -> PreparedTask {
    let (first_frame, rules) = (&frame(real, 0), &rules());
    let input = TaskInput { first_frame, reference: real, rules, prompt: "", others: &[], models: None };
    PreparedTask::of(&input).expect("no models are asked")
}

/// The real clip of these tests and what is measured of its task, made once.
fn real() -> &'static (Yuv420Clip, PreparedTask) {
    static REAL: OnceLock<(Yuv420Clip, PreparedTask)> = OnceLock::new();
    REAL.get_or_init(|| {
        let clip = living(SEED, 1.0);
        let task = prepared(&clip);
        (clip, task)
    })
}

fn verdict_of(clip: &Yuv420Clip, rules: &Rules) -> Verdict {
    let (reference, task) = real();
    let first_frame = frame(reference, 0);
    let input = JudgeInput {
        clip,
        first_frame: &first_frame,
        reference: Some(reference),
        prompt: "waves",
        rules,
        others: &[],
        models: None,
    };
    judge_measured(&input, task).expect("our planes fit the rules")
}

fn gate_of(clip: &Yuv420Clip) -> Option<GateId> {
    match verdict_of(clip, &rules()) {
        Verdict::Gated { gate, .. } => Some(gate),
        Verdict::Scored(_) => None,
    }
}

fn passes(clip: &Yuv420Clip) -> bool {
    matches!(verdict_of(clip, &rules()), Verdict::Scored(card) if card.passed)
}

#[test]
fn honest_clips_of_different_motion_and_light_noise_pass() {
    for (name, clip) in [
        ("the real motion", living(SEED, 1.0)),
        ("less motion", living(SEED, 0.7)),
        ("more motion", living(SEED, 1.3)),
        ("coding noise", noisy(&living(SEED, 0.9), 2)),
    ] {
        match verdict_of(&clip, &rules()) {
            Verdict::Scored(card) => {
                assert!(card.passed && card.overall.get() >= 9_000, "{name}: {card:?}");
                assert_eq!((card.axes.prompt, card.frame_digest), (None, clip.digest()));
            }
            gated => panic!("{name}: {gated:?}"),
        }
    }
}

#[test]
fn stills_and_repeated_frames_are_gated_as_freeze() {
    let real = living(SEED, 1.0);
    for (name, order) in [
        ("freeze", vec![0; FRAMES]),
        ("ping-pong of two", (0..FRAMES).map(|t| 8 + t % 2).collect()),
        ("cycle of four", (0..FRAMES).map(|t| 3 * (t % 4)).collect()),
        ("freeze after a quarter", (0..FRAMES).map(|t| t.min(FRAMES / 4)).collect()),
        ("every frame held", (0..FRAMES).map(|t| t / 4).collect()),
    ] {
        assert_eq!(gate_of(&frames(&real, order)), Some(GateId::G2), "{name}");
    }
    assert_eq!(
        gate_of(&noisy(&frames(&real, vec![0; FRAMES]), 1)),
        Some(GateId::G2),
        "coding noise on a freeze"
    );
}

#[test]
fn moving_stills_do_not_pass_and_lose_their_temporal_axis() {
    for (name, clip) in [
        ("pan", draw(SEED, FRAMES, |x, y, t| (x + 1.3 * t, y + 0.4 * t))),
        (
            "zoom",
            draw(SEED, FRAMES, |x, y, t| {
                ((x - 192.0) * (1.0 - 0.004 * t) + 192.0, (y - 120.0) * (1.0 - 0.004 * t) + 120.0)
            }),
        ),
        ("two layers", parallax(SEED, 1)),
        ("three layers", parallax(SEED, 2)),
        ("noise on a freeze", noisy(&frames(&living(SEED, 1.0), vec![0; FRAMES]), 8)),
    ] {
        match verdict_of(&clip, &rules()) {
            Verdict::Scored(card) => {
                assert!(!card.passed, "{name}: {card:?}");
                assert!(card.axes.temporal.is_some_and(|score| score.get() < 2_000), "{name}: {card:?}");
            }
            Verdict::Gated { gate, .. } => assert_eq!(gate, GateId::G2, "{name}"),
        }
    }
}

#[test]
fn a_pan_is_recorded_and_an_advisory_gate_does_not_decide() {
    let pan = draw(SEED, FRAMES, |x, y, t| (x + 1.3 * t, y + 0.4 * t));
    let Verdict::Scored(card) = verdict_of(&pan, &rules()) else { panic!("a pan is scored") };
    assert!(card.gates[&GateId::G4].fired && card.gates[&GateId::G4].decides);
    let mut lenient = rules();
    lenient.scoring.gates.freeze.mode = GateMode::Advisory;
    let Verdict::Scored(card) = verdict_of(&frames(&living(SEED, 1.0), vec![0; FRAMES]), &lenient) else {
        panic!("an advisory gate must not decide")
    };
    let reading = &card.gates[&GateId::G2];
    assert!(reading.fired && !reading.decides && !card.passed);
}

#[test]
fn damaged_pictures_and_foreign_first_frames_do_not_pass() {
    let real = living(SEED, 1.0);
    for (name, clip) in [
        ("blurred", blurred(&real, 3)),
        ("blocky", blocky(&real, 7)),
        ("noisy", noisy(&real, 60)),
        ("another picture", living(SEED + 1, 1.0)),
        ("colour cast", each_byte(&real, |v, _| v.saturating_add(9))),
        ("cut in the middle", {
            let other = living(SEED + 1, 1.0);
            let half = frames(&real, 0..FRAMES / 2);
            let rest = frames(&other, FRAMES / 2..FRAMES);
            let data = [half.as_bytes(), rest.as_bytes()].concat();
            Yuv420Clip::from_planes(WIDTH, HEIGHT, FRAMES, data).expect("whole frames")
        }),
    ] {
        assert!(!passes(&clip), "{name}: {:?}", verdict_of(&clip, &rules()));
    }
}

#[test]
fn shape_gates_come_first_and_our_own_planes_are_never_the_miners_fault() {
    let real = living(SEED, 1.0);
    assert_eq!(gate_of(&frames(&real, 0..FRAMES - 1)), Some(GateId::G1));
    let small = Yuv420Clip::from_planes(64, 64, FRAMES, vec![90; Yuv420Clip::frame_bytes(64, 64) * FRAMES]);
    assert_eq!(gate_of(&small.expect("sizes agree")), Some(GateId::G12));
    let with_bars = |rows: fn(usize) -> usize| {
        each_luma(&real, |plane, t| {
            let mut out = plane.to_vec();
            out[..rows(t) * WIDTH].fill(16);
            out[(HEIGHT - rows(t)) * WIDTH..].fill(16);
            out
        })
    };
    assert_eq!(gate_of(&with_bars(|_| 20)), Some(GateId::G12));
    // Bars that grow, or go after a while, are bars too; a single dark frame is not.
    assert_eq!(gate_of(&with_bars(|t| 2 * t)), Some(GateId::G12));
    assert_eq!(gate_of(&with_bars(|t| if t <= FRAMES / 2 { 20 } else { 0 })), Some(GateId::G12));
    assert_ne!(gate_of(&with_bars(|t| if t == 8 { 20 } else { 0 })), Some(GateId::G12));
    let (rules, short) = (rules(), frames(&real, 0..3));
    let first_frame = frame(&real, 0);
    let input = JudgeInput {
        clip: &real,
        first_frame: &first_frame,
        reference: Some(&short),
        prompt: "",
        rules: &rules,
        others: &[],
        models: None,
    };
    let error = judge(&input).expect_err("a short reference cannot judge").to_string();
    assert!(error.contains("reference") && error.contains("3 frames"), "{error}");
}

#[test]
fn without_a_moving_reference_motion_is_null_and_nothing_passes() {
    let rules = rules();
    let real = living(SEED, 1.0);
    let first_frame = frame(&real, 0);
    let panned = draw(SEED, FRAMES, |x, y, t| (x + t, y));
    for reference in [None, Some(&panned)] {
        let input = JudgeInput {
            clip: &real,
            first_frame: &first_frame,
            reference,
            prompt: "",
            rules: &rules,
            others: &[],
            models: None,
        };
        let Verdict::Scored(card) = judge(&input).expect("fits") else { panic!("scored") };
        assert_eq!((card.axes.temporal, card.terms["dyn"], card.passed), (None, None, false));
        assert!(card.axes.first_frame.is_some() && card.axes.artifacts.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]
    #[test]
    fn stronger_damage_never_scores_higher(seed in 0u32..1_000) {
        let real = living(seed, 1.0);
        let first_frame = frame(&real, 0);
        let rules = rules();
        let task = prepared(&real);
        let overall = |clip: &Yuv420Clip| {
            let input = JudgeInput { clip, first_frame: &first_frame, reference: Some(&real), prompt: "", rules: &rules, others: &[], models: None };
            match judge_measured(&input, &task).expect("fits") {
                Verdict::Scored(card) => i32::from(card.overall.get()),
                Verdict::Gated { .. } => 0,
            }
        };
        let ladders: [Vec<i32>; 3] = [
            [0, 1, 2, 4].map(|radius| overall(&blurred(&real, radius))).to_vec(),
            [0, 10, 25, 60].map(|amount| overall(&noisy(&real, amount))).to_vec(),
            [0, 3, 5, 8].map(|strength| overall(&blocky(&real, strength))).to_vec(),
        ];
        for ladder in ladders {
            prop_assert!(ladder.is_sorted_by(|a, b| a >= b), "{ladder:?}");
            prop_assert!(ladder[0] > ladder[3], "{ladder:?}");
        }
    }
}

/// A clip that moves less than half as far as the real one, with a slight cast of colour.
fn faint() -> Yuv420Clip {
    each_byte(&living(SEED, 0.44), |v, _| v.saturating_add(5))
}

#[test]
fn a_clip_can_lose_by_the_opponents_alone() {
    let decisive = |mode| {
        let mut rules = rules();
        rules.scoring.opponents.mode = mode;
        match verdict_of(&faint(), &rules) {
            Verdict::Scored(card) => card,
            gated => panic!("no gate decides: {gated:?}"),
        }
    };
    let (advisory, decides) = (decisive(GateMode::Advisory), decisive(GateMode::Decides));
    // Gates, thresholds and every axis are passed ...
    assert!(advisory.passed && advisory.gates.values().all(|gate| !gate.fired), "{advisory:?}");
    assert_eq!(
        (&decides.axes, &decides.terms, &decides.gates),
        (&advisory.axes, &advisory.terms, &advisory.gates)
    );
    // ... but a still of higher quality is as good as this little life.
    let reading = decides.opponents.expect("the reference moves");
    assert!(!decides.passed && !reading.beaten && reading.decides, "{reading:?}");
    assert!(reading.life.get() > 0 && reading.quality < reading.best_quality, "{reading:?}");
    assert!(
        reading.best_life.get() == 0 && reading.living.get() < reading.best_living.get() + reading.margin
    );
    assert_ne!(advisory.score_digest, decides.score_digest, "the reading is part of what is digested");
    let mut lenient = rules();
    (lenient.scoring.opponents.mode, lenient.scoring.opponents.margin) = (GateMode::Decides, 0);
    lenient.scoring.opponents.still_share = 0;
    assert!(
        matches!(verdict_of(&faint(), &lenient), Verdict::Scored(card) if card.passed),
        "margin and share are rules"
    );
}

#[test]
fn opponents_are_worth_beating_and_honest_clips_beat_them() {
    let (reference, task) = real();
    let rules = rules();
    let opponents = task.opponents.as_ref().expect("the reference moves");
    for (opponent, measures) in &opponents.clips {
        let found = standing(&opponents.first, measures, &task.reference, &rules.scoring).expect("judged");
        assert!(found.quality.get() >= 9_000 && found.life.get() <= 500, "{opponent:?}: {found:?}");
    }
    for (name, clip) in
        [("the real motion", reference.clone()), ("less", living(SEED, 0.7)), ("noise", noisy(reference, 2))]
    {
        let Verdict::Scored(card) = verdict_of(&clip, &rules) else { panic!("{name} is scored") };
        let reading = card.opponents.expect("judged");
        assert!(
            reading.beaten && reading.living.get() >= reading.best_living.get() + 3_000,
            "{name}: {reading:?}"
        );
    }
}

#[test]
fn a_task_that_was_measured_before_gives_the_verdict_of_one_that_was_not() {
    let (reference, task) = real();
    let (rules, first_frame, clip) = (rules(), frame(reference, 0), living(SEED, 0.9));
    let input = JudgeInput {
        clip: &clip,
        first_frame: &first_frame,
        reference: Some(reference),
        prompt: "",
        rules: &rules,
        others: &[],
        models: None,
    };
    let whole = judge_measured(&input, task).expect("fits");
    assert_eq!(judge_measured(&input, Some(&task.reference)).expect("fits"), whole, "only the reference was");
    // Evidence reads the same verdict, whoever measures the opponents.
    for known in [Known::from(task), Known::from(Some(&task.reference))] {
        assert_eq!(read_measured(&input, known).expect("fits").verdict, whole);
    }
}

#[test]
fn camera_words_make_a_prompt_axis_and_a_still_is_not_paid_for_a_static_camera() {
    let (reference, task) = real();
    let (rules, first_frame) = (rules(), frame(reference, 0));
    let verdict = |clip: &Yuv420Clip, prompt: &str| {
        let reference = Some(reference);
        let input = JudgeInput {
            clip,
            first_frame: &first_frame,
            reference,
            prompt,
            rules: &rules,
            others: &[],
            models: None,
        };
        match judge_measured(&input, task).expect("fits") {
            Verdict::Scored(card) => card,
            gated => panic!("{gated:?}"),
        }
    };
    let honest = verdict(reference, "Waves, static camera.");
    assert_eq!((honest.axes.prompt, honest.prompt_read), (Some(Score::MAX), PromptRead::Camera));
    assert_eq!(honest.terms["camera"], Some(Score::MAX));
    // The real clip does not pan: the words were misread, or the prompt is wrong.
    for prompt in ["The camera pans left.", "waves"] {
        let card = verdict(reference, prompt);
        assert_eq!(
            (card.axes.prompt, card.prompt_read, card.terms["camera"]),
            (None, PromptRead::None, None)
        );
    }
    // A picture that lives a little gets as much for a static camera as it lives.
    let slides = parallax(SEED, 2);
    assert_eq!(verdict(&slides, "Static shot of waves.").axes.prompt.map(Score::get), Some(0));
}

#[test]
fn a_pan_that_is_asked_for_is_judged_by_its_direction() {
    let sway = |x: f64, y: f64, t: f64| {
        let grow = (t / 3.0).min(1.0);
        (1.5 * grow * (x / 17.0 + t * 0.35).sin(), 1.5 * grow * (y / 15.0 - t * 0.3).sin())
    };
    // The camera goes to the right: what is seen comes from farther right.
    let panned = |speed: f64| {
        draw(SEED, FRAMES, |x, y, t| {
            let (dx, dy) = sway(x, y, t);
            (x + dx + speed * t, y + dy)
        })
    };
    let real = panned(3.0);
    let (rules, first_frame) = (rules(), frame(&real, 0));
    let task = prepared(&real);
    let prompt = |clip: &Yuv420Clip, prompt: &str| {
        let input = JudgeInput {
            clip,
            first_frame: &first_frame,
            reference: Some(&real),
            prompt,
            rules: &rules,
            others: &[],
            models: None,
        };
        match judge_measured(&input, &task).expect("fits") {
            Verdict::Scored(card) => card.axes.prompt.map(Score::get),
            gated => panic!("{gated:?}"),
        }
    };
    assert_eq!(prompt(&real, "The camera pans right."), Some(10_000));
    assert_eq!(prompt(&panned(-3.0), "The camera pans right."), Some(1));
    let half = prompt(&panned(0.5), "The camera pans right.").expect("judged");
    assert!((2_000..7_000).contains(&half), "{half}");
    assert_eq!(prompt(&real, "The camera pans left."), None, "the real clip goes elsewhere");
}
