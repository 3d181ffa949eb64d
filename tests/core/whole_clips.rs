//! The gates that look at whole clips (G3, G5, G6, G7): three cheats each that they see, and honest clips that they leave.

use std::sync::OnceLock;

use leoma_core::{
    domain::{rules::Rules, score::GateId},
    quality::{
        canonical::canonical_json,
        frame::Yuv420Clip,
        gates::{GateFinding, of_whole_clips},
        measure::ClipMeasures,
        verdict::{JudgeInput, Verdict, judge},
    },
};

use super::scenes::{each_byte, each_luma, frame, frames, mix, noisy};

const WIDTH: usize = 160;
const HEIGHT: usize = 112;
const FRAMES: usize = 49;
const SEED: u32 = 5;

/// Value noise with structure of 6, 23 and 60 pixels.
fn texture(x: f64, y: f64, seed: u32) -> f64 {
    let octave = |scale: f64, salt: u32| {
        let (x, y) = (x / scale + 1_000.0, y / scale + 1_000.0);
        let at = |dx: i64, dy: i64| f64::from(mix(x as i64 + dx, y as i64 + dy, seed ^ salt) >> 24);
        let (fx, fy) = (x.fract(), y.fract());
        let upper = at(0, 0) * (1.0 - fx) + at(1, 0) * fx;
        let lower = at(0, 1) * (1.0 - fx) + at(1, 1) * fx;
        upper * (1.0 - fy) + lower * fy
    };
    25.0 + 0.8 * (0.3 * octave(6.0, 1) + 0.35 * octave(23.0, 2) + 0.35 * octave(60.0, 3))
}

fn draw(count: usize, pixel: impl Fn(f64, f64, f64) -> f64) -> Yuv420Clip {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(WIDTH, HEIGHT) * count);
    for t in 0..count {
        for (step, gain) in [(1, 1.0), (2, 0.3), (2, -0.2)] {
            for y in (0..HEIGHT).step_by(step) {
                for x in (0..WIDTH).step_by(step) {
                    let value = pixel(x as f64, y as f64, t as f64);
                    let level = if step == 1 { value } else { 128.0 + gain * (value - 128.0) };
                    data.push(level.round().clamp(0.0, 255.0) as u8);
                }
            }
        }
    }
    Yuv420Clip::from_planes(WIDTH, HEIGHT, count, data).expect("drawn to size")
}

/// A ground that sways as no affine map does, and a disc that crosses it; `pace` scales all motion.
fn scene(seed: u32, count: usize, pace: f64) -> Yuv420Clip {
    draw(count, |x, y, t| {
        let s = pace * t;
        let disc = (x - 30.0 - 1.9 * s).powi(2) + (y - 40.0 - 0.5 * s).powi(2) < 22.0 * 22.0;
        if disc {
            return texture(x - 1.9 * s, y - 0.5 * s, seed ^ 99);
        }
        let dx = 0.35 * s + 0.16 * s * (y / 19.0).sin() + 0.1 * s * (x / 31.0).cos();
        let dy = 0.15 * s * (x / 23.0 + 1.0).sin();
        texture(x + dx, y + dy, seed)
    })
}

/// What a codec leaves of a clip.
fn coded(clip: &Yuv420Clip) -> Yuv420Clip {
    noisy(clip, 3)
}

/// The real clip, longer than is asked for: a cheat may have the rest.
fn source() -> &'static Yuv420Clip {
    static SOURCE: OnceLock<Yuv420Clip> = OnceLock::new();
    SOURCE.get_or_init(|| scene(SEED, 2 * FRAMES, 1.0))
}

fn real() -> Yuv420Clip {
    frames(source(), 0..FRAMES)
}

fn findings(clip: &Yuv420Clip) -> Vec<GateFinding> {
    static REAL: OnceLock<ClipMeasures> = OnceLock::new();
    let reference = REAL.get_or_init(|| ClipMeasures::of(&real(), FRAMES));
    let gates = Rules::embedded().scoring.gates;
    of_whole_clips(&ClipMeasures::of(clip, FRAMES), Some(reference), &gates)
}

/// The clip fires `gate`; says so with numbers.
fn seen(gate: GateId, name: &str, clip: &Yuv420Clip) {
    let found = findings(clip);
    let finding = found.iter().find(|found| found.gate == gate).expect("every gate is read");
    assert!(finding.reading.fired, "{gate} {name}: {}", finding.reason);
    assert!(finding.reason.chars().any(|c| c.is_ascii_digit()), "{}", finding.reason);
}

fn left_alone(name: &str, clip: &Yuv420Clip, gates: &[GateId]) {
    for finding in findings(clip).iter().filter(|finding| gates.contains(&finding.gate)) {
        assert!(!finding.reading.fired, "{} {name}: {}", finding.gate, finding.reason);
    }
}

fn mixed(one: &Yuv420Clip, other: &Yuv420Clip, share: impl Fn(usize) -> f64) -> Yuv420Clip {
    let size = Yuv420Clip::frame_bytes(WIDTH, HEIGHT);
    each_byte(one, |value, i| {
        let (share, b) = (share(i / size), f64::from(other.as_bytes()[i]));
        (f64::from(value) * (1.0 - share) + b * share).round() as u8
    })
}

fn still() -> Yuv420Clip {
    frames(source(), vec![0; FRAMES])
}

const ALL: [GateId; 4] = [GateId::G3, GateId::G5, GateId::G6, GateId::G7];

#[test]
fn honest_clips_that_start_where_the_real_one_does_fire_nothing() {
    // Drawn without a fault they are the source at another speed: G7 cannot tell them from it.
    for pace in [0.7, 1.3] {
        let gates = [GateId::G3, GateId::G5, GateId::G6];
        left_alone(&format!("pace {pace}"), &coded(&scene(SEED, FRAMES, pace)), &gates);
    }
    // Other motion from the same first frame.
    let turned = draw(FRAMES, |x, y, t| {
        let disc = (x - 30.0 - 0.3 * t).powi(2) + (y - 40.0 - 1.1 * t).powi(2) < 22.0 * 22.0;
        if disc {
            return texture(x - 0.3 * t, y - 1.1 * t, SEED ^ 99);
        }
        let wave = (x / 27.0).sin() + (y / 21.0).cos() - 1.0;
        texture(x - 0.4 * t + 0.12 * t * wave, y + 0.3 * t - 0.1 * t * (x / 33.0).sin(), SEED)
    });
    left_alone("other motion", &coded(&turned), &ALL);
    // The real clip is the source and nothing else.
    left_alone("the real clip", &coded(&real()), &[GateId::G3, GateId::G5, GateId::G6]);
}

#[test]
fn loops_and_ping_pong_are_seen() {
    for (name, order) in [
        ("loop of 14", (0..FRAMES).map(|t| t % 14).collect::<Vec<_>>()),
        ("loop of 25 after 10", (0..FRAMES).map(|t| if t < 35 { t } else { t - 25 }).collect()),
        ("back from the middle", (0..FRAMES).map(|t| t.min(48 - t)).collect()),
        ("to and fro by 15", (0..FRAMES).map(|t| (t % 30).min(30 - t % 30)).collect()),
    ] {
        seen(GateId::G5, name, &coded(&frames(source(), order)));
    }
}

#[test]
fn a_pendulum_that_swings_in_the_reference_too_is_no_loop() {
    let swing = |amount: f64| {
        draw(FRAMES, |x, y, t| {
            let angle = (t * std::f64::consts::TAU / 24.0).sin() * amount;
            texture(x + angle * (y / 40.0).sin(), y + 0.4 * angle * (x / 50.0).cos(), SEED)
        })
    };
    let gates = Rules::embedded().scoring.gates;
    let [own, theirs] = [swing(17.0), swing(20.0)].map(|clip| ClipMeasures::of(&coded(&clip), FRAMES));
    let fired = |reference| {
        let found = of_whole_clips(&own, reference, &gates);
        found.iter().any(|found| found.gate == GateId::G5 && found.reading.fired)
    };
    assert!(!fired(Some(&theirs)), "the reference swings");
    assert!(fired(None), "it is periodic, and nothing tells why");
}

#[test]
fn fades_to_other_pictures_are_seen() {
    let other = scene(SEED + 1, FRAMES, 1.0);
    let other_still = frames(&other, vec![20; FRAMES]);
    let ramp = |from: usize, length: usize| {
        move |t: usize| ((t as f64 - from as f64) / length as f64).clamp(0.0, 1.0)
    };
    for (name, clip) in [
        ("still to still", mixed(&still(), &other_still, ramp(0, FRAMES - 1))),
        ("clip to clip", mixed(&real(), &other, ramp(16, 14))),
        ("still to clip", mixed(&still(), &other, ramp(10, 24))),
    ] {
        seen(GateId::G6, name, &noisy(&clip, 1));
    }
}

#[test]
fn noise_on_a_still_is_seen_as_shimmer() {
    let boiling = draw(FRAMES, |x, y, t| {
        let field = |salt: u32| (texture(x + 331.0 * t, y, SEED ^ salt) - 128.0) / 22.0;
        if t == 0.0 { texture(x, y, SEED) } else { texture(x + field(7), y + field(8), SEED) }
    });
    let blotches = each_luma(&still(), |plane, t| {
        let grain = |i: usize| {
            (mix((i % WIDTH / 8 + 50 * t) as i64, (i / WIDTH / 8) as i64, 3) >> 24) as i32 / 6 - 21
        };
        plane.iter().enumerate().map(|(i, &v)| (i32::from(v) + grain(i)).clamp(0, 255) as u8).collect()
    });
    for (name, clip) in [("grain", noisy(&still(), 20)), ("blotches", blotches), ("boiling", boiling)] {
        seen(GateId::G3, name, &coded(&clip));
    }
}

#[test]
fn copies_of_the_source_are_seen_shifted_mirrored_and_at_other_speeds() {
    let mirror = |clip: &Yuv420Clip| {
        let flip = |plane: &[u8], width: usize| -> Vec<u8> {
            plane.chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect()
        };
        let data = (0..clip.len()).flat_map(|t| {
            let view = clip.frame(t);
            [flip(view.y, WIDTH), flip(view.u, WIDTH / 2), flip(view.v, WIDTH / 2)].concat()
        });
        Yuv420Clip::from_planes(WIDTH, HEIGHT, clip.len(), data.collect()).expect("same size")
    };
    let shifted = |by: usize| frames(source(), std::iter::once(0).chain(1 + by..FRAMES + by));
    for (name, clip) in [
        ("as it is", real()),
        ("four ahead", shifted(4)),
        ("four behind", frames(source(), (0..FRAMES).map(|t| t.saturating_sub(4)))),
        ("mirrored", mirror(&real())),
        ("at double speed", frames(source(), (0..FRAMES).map(|t| 2 * t))),
        ("at half speed", frames(source(), (0..FRAMES).map(|t| t / 2))),
        ("a little brighter", each_byte(&real(), |v, _| v.saturating_add(2))),
    ] {
        seen(GateId::G7, name, &coded(&clip));
    }
}

#[test]
fn readings_stand_on_the_card_and_a_gate_that_decides_says_why() {
    let mut rules = Rules::embedded().without_models();
    rules.request.width = WIDTH as u32;
    rules.request.height = HEIGHT as u32;
    rules.request.frames = FRAMES as u32;
    let (real, first) = (real(), frame(source(), 0));
    let clip = frames(source(), (0..FRAMES).map(|t| t.min(48 - t)));
    let verdict = |rules: &Rules| {
        let input = JudgeInput {
            clip: &clip,
            first_frame: &first,
            reference: Some(&real),
            prompt: "",
            rules,
            others: &[],
            models: None,
        };
        judge(&input).expect("our planes fit")
    };
    use leoma_core::domain::scoring::GateMode::{Advisory, Decides};
    for (mode, decides) in [(Advisory, false), (Decides, true)] {
        rules.scoring.gates.recurrence.mode = mode;
        rules.scoring.gates.source_copy.mode = Advisory;
        match verdict(&rules) {
            Verdict::Scored(card) => {
                assert!(!decides && ALL.iter().all(|gate| card.gates.contains_key(gate)), "{card:?}");
                assert!(card.gates[&GateId::G5].fired && !card.gates[&GateId::G5].decides);
                canonical_json(&card).expect("integers only");
            }
            Verdict::Gated { gate, reading, reason } => {
                assert!(decides && gate == GateId::G5 && reading.fired, "{reason}");
                assert!(reason.contains("mirrored by"), "{reason}");
            }
        }
    }
}
