//! Dense flow: what it finds, that extreme input stays in range, and that it is what its description says.

use leoma_core::quality::{
    flow::{Fate, FlowPair, MAX_COMPONENT, Pyramid, flow, stages},
    frame::Yuv420Clip,
    instructions::InstructionSet,
};
use proptest::prelude::*;

use super::{flow_reference, scenes::*};

fn pyramid(clip: &Yuv420Clip, index: usize) -> Pyramid {
    Pyramid::new(clip.frame(index).y, clip.width(), clip.height())
}

fn noise(width: usize, height: usize, seed: u32, of: impl Fn(u32) -> u8) -> Vec<u8> {
    (0..width * height).map(|i| of(mix((i % width) as i64, (i / width) as i64, seed))).collect()
}

/// Mean distance to the truth in pixels, away from the edges.
fn endpoint_error(clip: &Yuv420Clip, truth: impl Fn(f64, f64) -> (f64, f64)) -> f64 {
    let found = flow(&pyramid(clip, 0), &pyramid(clip, 1));
    let (mut sum, mut count) = (0.0, 0);
    for y in 16..HEIGHT - 16 {
        for x in 16..WIDTH - 16 {
            let (tx, ty) = truth(x as f64, y as f64);
            let i = y * WIDTH + x;
            sum += (f64::from(found.x[i]) / 32.0 - tx).hypot(f64::from(found.y[i]) / 32.0 - ty);
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[test]
fn exact_motions_are_found() {
    // What frame 1 shows at `q` stood at `source(q)` in frame 0; the truth is the inverse of `source`, less `p`.
    let shifted = |dx: f64, dy: f64| {
        let clip = draw(7, 2, move |x, y, t| (x - dx * t, y - dy * t));
        endpoint_error(&clip, move |_, _| (dx, dy))
    };
    for (dx, dy, most) in [(0.0, 0.0, 0.0), (3.0, -2.0, 0.04), (0.5, 0.25, 0.06), (-21.0, 13.5, 0.12)] {
        let error = shifted(dx, dy);
        assert!(error <= most, "({dx}, {dy}): {error}");
    }
    let turn = 0.03f64;
    let (sin, cos) = (turn.sin() * 1.04, turn.cos() * 1.04);
    let to = move |x: f64, y: f64| {
        (cos * (x - 192.0) - sin * (y - 120.0) + 192.0, sin * (x - 192.0) + cos * (y - 120.0) + 120.0)
    };
    let clip = draw(7, 2, move |x, y, t| {
        if t == 0.0 {
            return (x, y);
        }
        let (u, v, det) = (x - 192.0, y - 120.0, cos * cos + sin * sin);
        ((cos * u + sin * v) / det + 192.0, (cos * v - sin * u) / det + 120.0)
    });
    let error = endpoint_error(&clip, |x, y| (to(x, y).0 - x, to(x, y).1 - y));
    assert!(error < 0.15, "turned and grown: {error}");
}

#[test]
fn what_is_covered_is_hidden_and_what_leaves_has_left() {
    // A disc of radius 50 moves 12 pixels to the right over a ground that moves 6 to the left.
    let clip = draw(5, 2, |x, y, t| {
        let (px, py) = (x - 12.0 * t, y);
        let disc = (px - 150.0).hypot(py - 120.0) < 50.0;
        if disc { (px + 400.0, py) } else { (x + 6.0 * t, y) }
    });
    let pair = FlowPair::of(&pyramid(&clip, 0), &pyramid(&clip, 1));
    let share = |inside: &dyn Fn(i64, i64) -> bool, fate: Fate| {
        let places = (0..WIDTH * HEIGHT).filter(|i| inside((i % WIDTH) as i64, (i / WIDTH) as i64));
        let all: Vec<bool> = places.map(|i| pair.forward_fates[i] == fate as u8).collect();
        all.iter().filter(|&&hit| hit).count() * 100 / all.len()
    };
    let disc = |x: i64, y: i64, grow: f64| ((x - 150) as f64).hypot((y - 120) as f64) < 50.0 + grow;
    // Ground right of the disc: it moves left by 6 and the disc comes right by 12.
    let covered = |x: i64, y: i64| {
        let under = ((x - 6 - 162) as f64).hypot((y - 120) as f64) < 47.0;
        under && !disc(x, y, 3.0)
    };
    assert!(share(&covered, Fate::Hidden) > 80, "{}", share(&covered, Fate::Hidden));
    assert!(share(&|x, y| disc(x, y, -8.0), Fate::Seen) > 95);
    assert!(share(&|x, y| x > 10 && !disc(x, y, 30.0), Fate::Seen) > 95);
    assert!(share(&|x, _| x < 5, Fate::Left) > 90);
}

#[test]
fn light_that_changes_evenly_is_no_motion() {
    let still = draw(3, 1, |x, y, _| (x, y));
    let clip = frames(&still, [0, 0]);
    let half = clip.as_bytes().len() / 2;
    let brighter = each_byte(&clip, |v, i| if i < half { v } else { v.saturating_add(12) });
    let found = flow(&pyramid(&brighter, 0), &pyramid(&brighter, 1));
    let moved = found.x.iter().chain(&found.y).filter(|v| v.abs() > 2).count();
    assert_eq!(moved, 0);
}

/// Every version of the kernels that this processor can run.
fn instruction_sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|&set| set <= InstructionSet::widest())
}

#[test]
fn every_instruction_set_gives_the_same_bits_at_the_size_of_a_clip() {
    let clip = living(11, 1.0);
    let (first, second) = (pyramid(&clip, 4), pyramid(&clip, 5));
    let plain = InstructionSet::Baseline.limit(|| stages::named(&first, &second));
    let wanted = {
        let (a, b) = (clip.frame(4), clip.frame(5));
        flow_reference::named(a.y, b.y, WIDTH, HEIGHT)
    };
    for (plain, wanted) in plain.iter().zip(&wanted) {
        assert!(plain == wanted, "{} is not what its description says", plain.name);
    }
    for set in instruction_sets() {
        let found = set.limit(|| stages::named(&first, &second));
        for (found, plain) in found.iter().zip(&plain) {
            assert!(found == plain, "{} differs with {set:?}", found.name);
        }
    }
}

/// Two pictures at the limits, with their name, width and height.
type Extreme = (String, usize, usize, Vec<u8>, Vec<u8>);

fn extremes() -> Vec<Extreme> {
    let mut all = Vec::new();
    for (width, height) in [(1, 1), (3, 7), (17, 33), (53, 24), (64, 48), (101, 26)] {
        let coin = |seed| noise(width, height, seed, |h| if h & 1 == 0 { 0 } else { 255 });
        let grain = |seed| noise(width, height, seed, |h| (h >> 24) as u8);
        let flat = |value| vec![value; width * height];
        let steps = |from: usize| -> Vec<u8> {
            (0..width * height).map(|i| if ((i % width + from) / 9) & 1 == 0 { 0 } else { 255 }).collect()
        };
        for (name, first, second) in [
            ("grain", grain(1), grain(2)),
            ("coins", coin(1), coin(2)),
            ("flat", flat(90), flat(90)),
            ("black to white", flat(0), flat(255)),
            ("steps", steps(0), steps(5)),
            ("steps to white", steps(0), flat(255)),
        ] {
            all.push((format!("{name} {width}x{height}"), width, height, first, second));
        }
    }
    all
}

#[test]
fn every_stage_is_what_its_description_says_on_extreme_input() {
    for (name, width, height, first, second) in extremes() {
        let (a, b) = (Pyramid::new(&first, width, height), Pyramid::new(&second, width, height));
        let wanted = flow_reference::named(&first, &second, width, height);
        for set in instruction_sets() {
            let found = set.limit(|| stages::named(&a, &b));
            assert_eq!(found.len(), wanted.len(), "{name}");
            for (found, wanted) in found.iter().zip(&wanted) {
                assert_eq!(found.name, wanted.name, "{name}");
                assert_eq!(found.values, wanted.values, "{name}: {} with {set:?}", found.name);
            }
        }
        let field = flow(&a, &b);
        assert!(field.x.iter().chain(&field.y).all(|v| i32::from(*v).abs() <= MAX_COMPONENT), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_stage_is_what_its_description_says(
        width in 1usize..70, height in 1usize..50, seed in any::<u32>(), (dx, dy) in (-9i64..9, -9i64..9)
    ) {
        // Grain over coarse squares that move: smooth areas, edges and noise together.
        let draw = |dx: i64, dy: i64, salt: u32| -> Vec<u8> {
            (0..width * height)
                .map(|i| {
                    let (x, y) = ((i % width) as i64, (i / width) as i64);
                    let square = mix((x - dx).div_euclid(6), (y - dy).div_euclid(5), seed) >> 24;
                    let grain = mix(x, y, seed ^ salt) % 9;
                    (square + grain).min(255) as u8
                })
                .collect()
        };
        let (first, second) = (draw(0, 0, 1), draw(dx, dy, 2));
        let pyramids = [&first, &second].map(|pixels| Pyramid::new(pixels, width, height));
        let wanted = flow_reference::named(&first, &second, width, height);
        for set in instruction_sets() {
            let found = set.limit(|| stages::named(&pyramids[0], &pyramids[1]));
            prop_assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(&wanted) {
                prop_assert_eq!(found, wanted, "{:?}", set);
            }
        }
    }
}
