//! Temporal measures on drawn clips: every kind of damage moves its term, more damage moves it further.

use std::sync::OnceLock;

use leoma_core::quality::{
    canonical::canonical_json,
    frame::Yuv420Clip,
    opponents::{PreparedTask, TaskInput},
    temporal::{FlowMeasures, terms},
    verdict::{JudgeInput, Verdict, judge_measured},
};

use super::scenes::*;

const SEED: u32 = 11;

fn honest() -> &'static (Yuv420Clip, FlowMeasures) {
    static HONEST: OnceLock<(Yuv420Clip, FlowMeasures)> = OnceLock::new();
    HONEST.get_or_init(|| {
        let clip = living(SEED, 1.0);
        let measures = FlowMeasures::of(&clip, FRAMES);
        (clip, measures)
    })
}

fn of(clip: &Yuv420Clip) -> FlowMeasures {
    FlowMeasures::of(clip, FRAMES)
}

/// The honest clip's value, then those of two levels of damage: each is worse than the one before.
fn worsens(name: &str, term: impl Fn(&FlowMeasures) -> i64, levels: [Yuv420Clip; 2]) -> [i64; 3] {
    let values = [term(&honest().1), term(&of(&levels[0])), term(&of(&levels[1]))];
    assert!(values.is_sorted_by(|a, b| a < b), "{name}: {values:?}");
    values
}

/// The light of frame `t` and place `(x, y)` changes by `share` percent of itself at most.
fn flickering(clip: &Yuv420Clip, percent: i64, cells: i64) -> Yuv420Clip {
    each_luma(clip, |plane, t| {
        let at = |i: usize| {
            let cell = ((i % WIDTH) as i64 / cells, (i / WIDTH) as i64 / cells + 1000 * t as i64);
            i64::from(mix(cell.0, cell.1, 9) % 201) - 100
        };
        plane
            .iter()
            .enumerate()
            .map(|(i, &v)| {
                let v = i64::from(v);
                (v + v * at(i) * percent / 10_000).clamp(0, 255) as u8
            })
            .collect()
    })
}

fn order(swapped: usize) -> impl Iterator<Item = usize> {
    // Every `swapped` frames two neighbours change places.
    (0..FRAMES).map(move |t| match t % swapped {
        1 if t + 1 < FRAMES => t + 1,
        2 => t - 1,
        _ => t,
    })
}

#[test]
fn flicker_worsens_with_its_strength_whole_and_local() {
    let clip = &honest().0;
    let whole = [2, 8].map(|percent| flickering(clip, percent, 10_000));
    let local = [3, 12].map(|percent| flickering(clip, percent, 64));
    let of_whole = worsens("whole", terms::flicker, whole);
    let of_local = worsens("local", terms::flicker, local);
    assert!(of_whole[2] > 2 * of_whole[0] && of_local[2] > 2 * of_local[0], "{of_whole:?} {of_local:?}");
}

#[test]
fn jerk_worsens_with_frames_in_the_wrong_order() {
    let clip = &honest().0;
    worsens("order", terms::jerk, [8, 3].map(|every| frames(clip, order(every))));
}

/// The honest clip's motion, elsewhere in its picture, under a smooth warp of `amount` pixels that is new in every frame
/// but the first.
fn living_at(place: (f64, f64), amount: f64) -> Yuv420Clip {
    draw(SEED, FRAMES, move |x, y, t| {
        let grow = (t / 3.0).min(1.0);
        let dx = 5.0 * grow * (x / 17.0 + t * 0.35).sin() * (y / 23.0 + 0.4).cos();
        let dy = 5.0 * grow * (y / 15.0 - t * 0.3).sin() * (x / 21.0 + t * 0.1).cos();
        let phase = f64::from(mix(t as i64, 1, 5) % 628) / 100.0;
        let wave = |v: f64| if t == 0.0 { 0.0 } else { amount * (v / 40.0 + phase).sin() };
        (place.0 + x + dx + wave(y), place.1 + y + dy + wave(x + 31.0))
    })
}

fn wobbling(amount: f64) -> Yuv420Clip {
    living_at((0.0, 0.0), amount)
}

#[test]
fn jerk_worsens_with_a_warp_that_changes_in_every_frame() {
    worsens("wobble", terms::jerk, [0.8, 2.5].map(wobbling));
}

/// The honest clip's motion under a travelling wave of `amount` pixels, which goes on smoothly.
fn swimming(amount: f64) -> Yuv420Clip {
    draw(SEED, FRAMES, move |x, y, t| {
        let grow = (t / 3.0).min(1.0);
        let dx = 5.0 * grow * (x / 17.0 + t * 0.35).sin() * (y / 23.0 + 0.4).cos();
        let dy = 5.0 * grow * (y / 15.0 - t * 0.3).sin() * (x / 21.0 + t * 0.1).cos();
        let wave = |v: f64| amount * grow * (v / 12.0 + t * 0.6).sin();
        (x + dx + wave(y), y + dy + wave(x + 31.0))
    })
}

#[test]
fn structure_worsens_with_a_warp_that_goes_on_and_is_a_thousand_of_itself() {
    let own = &honest().1;
    assert_eq!(terms::structure(own, own), 1_000);
    worsens("swimming", |clip| terms::structure(clip, own), [1.0, 4.0].map(swimming));
    worsens("wobble", |clip| terms::structure(clip, own), [0.8, 2.5].map(wobbling));
}

/// The honest clip whose second half shows another place, and another picture in other light.
fn cuts() -> [Yuv420Clip; 2] {
    let joined = |rest: &Yuv420Clip| {
        let half = frames(&honest().0, 0..FRAMES / 2);
        let data = [half.as_bytes(), frames(rest, FRAMES / 2..FRAMES).as_bytes()].concat();
        Yuv420Clip::from_planes(WIDTH, HEIGHT, FRAMES, data).expect("whole frames")
    };
    [joined(&living_at((60.0, 20.0), 0.0)), joined(&each_byte(&living(SEED + 1, 1.0), |v, _| v / 2 + 100))]
}

#[test]
fn a_cut_stands_out_and_a_harder_one_more() {
    let values = worsens("cut", terms::cut, cuts());
    assert!(values[2] > 5 * values[0].max(100), "{values:?}");
}

#[test]
fn warp_error_worsens_with_what_boils_and_not_with_motion() {
    let clip = &honest().0;
    worsens("boiling", terms::warp_error, [12, 40].map(|amount| noisy(&blurred(clip, 0), amount)));
    let pan = of(&draw(SEED, FRAMES, |x, y, t| (x + 1.3 * t, y + 0.4 * t)));
    assert!(terms::warp_error(&pan) <= terms::warp_error(&honest().1) + 8, "{}", terms::warp_error(&pan));
    worsens("census", terms::census, [12, 40].map(|amount| noisy(clip, amount)));
}

#[test]
fn a_freeze_has_no_motion_a_pan_no_residual_and_noise_nothing_that_goes_on() {
    let (clip, measures) = honest();
    let freeze = frames(clip, vec![0; FRAMES]);
    let found = of(&freeze);
    let none =
        [terms::motion, terms::steady_motion, terms::jerk, terms::flicker, terms::warp_error, terms::cut];
    assert!(none.iter().all(|term| term(&found) == 0), "{found:?}");
    assert_eq!(terms::dynamics(measures, measures), 1000);
    assert!(terms::dynamics(&found, measures) < 50);
    let pan = of(&draw(SEED, FRAMES, |x, y, t| (x + 1.3 * t, y + 0.4 * t)));
    assert!(terms::motion(&pan) * 10 < terms::motion(measures), "{}", terms::motion(&pan));
    for amount in [4, 12] {
        let shimmer = of(&noisy(&freeze, amount));
        assert!(
            terms::steady_motion(&shimmer) * 20 < terms::steady_motion(measures),
            "noise {amount}: {} of {}",
            terms::steady_motion(&shimmer),
            terms::steady_motion(measures)
        );
    }
}

#[test]
fn other_honest_motion_and_light_noise_are_no_damage() {
    let (clip, measures) = honest();
    for (name, other) in
        [("less", living(SEED, 0.7)), ("more", living(SEED, 1.3)), ("noise", noisy(&living(SEED, 0.9), 2))]
    {
        let found = of(&other);
        let warp = terms::warp(&found, measures);
        assert!((500..2_500).contains(&warp), "{name}: warp {warp}");
        assert!(terms::jerk(&found) <= terms::jerk(measures) + 60, "{name}: jerk {}", terms::jerk(&found));
        assert!(terms::cut(&found) <= terms::cut(measures) + 300, "{name}: cut {}", terms::cut(&found));
        assert!(
            terms::flicker(&found) <= terms::flicker(measures) + 150,
            "{name}: {}",
            terms::flicker(&found)
        );
        let motion = terms::dynamics(&found, measures);
        assert!((500..2_000).contains(&motion), "{name}: motion {motion}");
    }
    assert_eq!(clip.len(), FRAMES);
}

#[test]
fn the_temporal_axis_falls_with_every_damage() {
    let (clip, rules) = (&honest().0, rules());
    let first_frame = frame(clip, 0);
    let input = TaskInput {
        first_frame: &first_frame,
        reference: clip,
        rules: &rules,
        prompt: "",
        others: &[],
        models: None,
    };
    let task = PreparedTask::of(&input).expect("no models are asked");
    let axis = |clip: &Yuv420Clip| {
        let reference = Some(&honest().0);
        let input = JudgeInput {
            clip,
            first_frame: &first_frame,
            reference,
            prompt: "",
            rules: &rules,
            others: &[],
            models: None,
        };
        match judge_measured(&input, &task).expect("our planes fit the rules") {
            Verdict::Scored(card) => card.axes.temporal.expect("the reference moves").get(),
            Verdict::Gated { gate, .. } => panic!("gated by {gate:?}"),
        }
    };
    let best = axis(clip);
    assert_eq!(best, 10_000);
    for (name, levels) in [
        ("whole flicker", [2, 8].map(|percent| flickering(clip, percent, 10_000))),
        ("local flicker", [3, 12].map(|percent| flickering(clip, percent, 64))),
        ("order", [8, 3].map(|every| frames(clip, order(every)))),
        ("wobble", [0.8, 2.5].map(wobbling)),
    ] {
        let [mild, strong] = [0, 1].map(|level| axis(&levels[level]));
        assert!(best > mild && mild > strong, "{name}: {best}, {mild}, {strong}");
        assert!(strong < 8_000, "{name}: {best}, {mild}, {strong}");
    }
    // Both lose nearly all: how much is left depends on the motion of what follows.
    let after_cuts = cuts().map(|clip| axis(&clip));
    assert!(after_cuts.iter().all(|&left| left < 2_000), "{after_cuts:?}");
}

#[test]
fn measures_do_not_depend_on_threads_and_have_a_canonical_form() {
    let (clip, measures) = honest();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        assert_eq!(&pool.install(|| of(clip)), measures, "{threads} threads");
    }
    assert_eq!(
        (measures.pairs.len(), measures.triples.len(), measures.frames),
        (FRAMES - 1, FRAMES - 2, FRAMES)
    );
    let text = canonical_json(measures).expect("integers only");
    assert!(text.starts_with("{\"frames\":17,") && text.contains("\"relative_error\":"), "{}", &text[..80]);
    for frames in 0..3 {
        let short = FlowMeasures::of(clip, frames);
        assert_eq!((short.pairs.len(), short.triples.len()), (frames.saturating_sub(1), 0));
        assert_eq!((terms::cut(&short), terms::jerk(&short)).1, 0);
    }
}
