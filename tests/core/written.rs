//! G9 and the part of G12 that reads the spectrum: what they see, and what they leave.

use leoma_core::{
    domain::{rules::Rules, score::GateId},
    quality::{
        frame::Yuv420Clip,
        gates::{GateFinding, letterbox, overlay::overlay, spectrum},
        measure::ClipMeasures,
        plane::downscale,
    },
};

use super::scenes::mix;

const WIDTH: usize = 192;
const HEIGHT: usize = 128;
const FRAMES: usize = 33;

/// Value noise of one scale.
fn noise(x: f64, y: f64, scale: f64, seed: u32) -> f64 {
    let (x, y) = (x / scale + 1_000.0, y / scale + 1_000.0);
    let at = |dx: i64, dy: i64| f64::from(mix(x as i64 + dx, y as i64 + dy, seed) >> 24);
    let (fx, fy) = (x.fract(), y.fract());
    let upper = at(0, 0) * (1.0 - fx) + at(1, 0) * fx;
    let lower = at(0, 1) * (1.0 - fx) + at(1, 1) * fx;
    upper * (1.0 - fy) + lower * fy
}

fn draw(count: usize, pixel: impl Fn(f64, f64, usize) -> f64) -> Yuv420Clip {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(WIDTH, HEIGHT) * count);
    for t in 0..count {
        let luma = (0..WIDTH * HEIGHT).map(|i| pixel((i % WIDTH) as f64, (i / WIDTH) as f64, t));
        data.extend(luma.map(|value| value.round().clamp(0.0, 255.0) as u8));
        data.resize(data.len() + WIDTH * HEIGHT / 2, 128);
    }
    Yuv420Clip::from_planes(WIDTH, HEIGHT, count, data).expect("drawn to size")
}

/// Fine texture that sways, gone `way(t)` pixels to the left and half as far up.
fn ground(way: impl Fn(usize) -> f64) -> impl Fn(f64, f64, usize) -> f64 {
    move |x, y, t| {
        let s = t as f64;
        let (u, v) =
            (x + way(t) + 0.08 * s * (y / 19.0).sin(), y + way(t) / 2.0 + 0.06 * s * (x / 23.0).cos());
        60.0 + 0.3 * noise(u, v, 5.0, 1) + 0.3 * noise(u, v, 30.0, 2)
    }
}

/// A row of strokes like letters on a ground, as strong as `strength(t)`.
fn written(
    under: impl Fn(f64, f64, usize) -> f64,
    strength: impl Fn(usize) -> f64,
) -> impl Fn(f64, f64, usize) -> f64 {
    move |x, y, t| {
        let base = under(x, y, t);
        if !(32.0..152.0).contains(&x) || !(80.0..104.0).contains(&y) {
            return base;
        }
        let ink = if (x / 4.0) as i64 % 2 == 0 { 235.0 } else { 16.0 };
        base + (ink - base) * strength(t)
    }
}

fn g9(clip: &Yuv420Clip, reference: &Yuv420Clip) -> GateFinding {
    let [clip, reference] = [clip, reference].map(|clip| ClipMeasures::of(clip, FRAMES));
    overlay(&clip, Some(&reference), &Rules::embedded().scoring.gates.overlay)
}

#[test]
fn writing_that_comes_later_is_seen_however_it_comes() {
    let real = draw(FRAMES, ground(|_| 0.0));
    let at_once = draw(FRAMES, written(ground(|_| 0.0), |t| f64::from(t >= 10)));
    let faded = draw(FRAMES, written(ground(|_| 0.0), |t| (t as f64 / 20.0).min(0.8)));
    let blinks = draw(FRAMES, written(ground(|_| 0.0), |t| f64::from(t / 8 % 2 == 1)));
    let over_a_pan = draw(FRAMES, written(ground(|t| 2.0 * t as f64), |t| f64::from(t >= 10)));
    let on_black = draw(FRAMES, written(|_, _, _| 20.0, |t| f64::from(t >= 10)));
    let all = [at_once, faded, blinks, over_a_pan, on_black];
    for (name, clip) in ["at once", "faded in", "blinking", "over a pan", "on black"].into_iter().zip(&all) {
        let found = g9(clip, &real);
        assert_eq!(found.gate, GateId::G9);
        assert!(found.reading.fired && !found.decided(), "{name}: {}", found.reason);
        assert!(found.reading.numbers["frame"] >= 8, "{name}: {:?}", found.reading);
    }
    // What the reference has is no overlay; without a reference nothing is allowed for.
    let alike = g9(&all[0], &all[0]);
    assert!(!alike.reading.fired, "{}", alike.reason);
    let alone = overlay(&ClipMeasures::of(&all[0], FRAMES), None, &Rules::embedded().scoring.gates.overlay);
    assert!(alone.reading.fired, "{}", alone.reason);
}

#[test]
fn a_camera_that_comes_to_rest_and_a_thing_that_stops_are_left_alone() {
    let real = draw(FRAMES, ground(|_| 0.0));
    let rests = draw(FRAMES, |x, y, t| {
        let (u, v) = (x + 4.0 * t.min(12) as f64, y + 2.0 * t.min(12) as f64);
        60.0 + 0.6 * noise(u, v, 5.0, 1) + 0.3 * noise(u, v, 30.0, 2)
    });
    let stops = draw(FRAMES, |x, y, t| {
        let left = 4.0 * t.min(14) as f64;
        let ball = (x - 40.0 - left).powi(2) + (y - 60.0).powi(2) < 600.0;
        if ball { 40.0 + 0.7 * noise(x - left, y, 7.0, 9) } else { ground(|_| 0.0)(x, y, t) }
    });
    for (name, clip) in [("real", &real), ("comes to rest", &rests), ("stops", &stops)] {
        let found = g9(clip, &real);
        assert!(!found.reading.fired, "{name}: {}", found.reason);
    }
    // Only the windows that may be judged are: some of the moving ones, none of those at rest elsewhere.
    let windows = g9(&rests, &real).reading.numbers["windows"];
    assert!((1..=5).contains(&windows), "{windows} of 8 windows");
}

/// A clip made smaller by a half and enlarged between pixels linearly.
fn enlarged(clip: &Yuv420Clip) -> Yuv420Clip {
    let mut data = Vec::with_capacity(clip.as_bytes().len());
    for index in 0..clip.len() {
        let frame = clip.frame(index);
        let (columns, rows) = (WIDTH / 2, HEIGHT / 2);
        let half = downscale(frame.y, WIDTH, HEIGHT);
        let near = |i: usize, step: isize, side: usize| i.saturating_add_signed(step).min(side - 1);
        data.extend((0..WIDTH * HEIGHT).map(|i| {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let side = |i: usize| if i.is_multiple_of(2) { -1 } else { 1 };
            let at = |x: usize, y: usize| u32::from(half[y * columns + x]);
            let (c, r) = (x / 2, y / 2);
            let (d, s) = (near(c, side(x), columns), near(r, side(y), rows));
            ((9 * at(c, r) + 3 * (at(d, r) + at(c, s)) + at(d, s) + 8) / 16) as u8
        }));
        data.extend(frame.u.iter().chain(frame.v));
    }
    Yuv420Clip::from_planes(WIDTH, HEIGHT, clip.len(), data).expect("the same size")
}

#[test]
fn what_was_made_smaller_and_enlarged_is_seen_unless_the_given_frame_was_too() {
    let gates = Rules::embedded().scoring.gates;
    let sharp = draw(17, |x, y, t| {
        let edge = noise(x + t as f64, y, 9.0, 4) > 128.0;
        if edge { 200.0 } else { 60.0 }
    });
    let soft = enlarged(&sharp);
    let reading = |clip: &Yuv420Clip, reference: &Yuv420Clip| {
        let [measures, theirs] = [clip, reference].map(|clip| ClipMeasures::of(clip, 17));
        let bars = letterbox(&measures, (reference, None), &gates.border);
        assert!(!bars.reading.fired);
        spectrum::beside(bars, spectrum::upscaled(&measures, reference, Some(&theirs), &gates.spectrum))
    };
    let found = reading(&soft, &sharp);
    assert!(found.reading.fired && !found.decided() && found.gate == GateId::G12, "{}", found.reason);
    assert!(found.reading.numbers.contains_key("letterbox"), "one reading holds both parts");
    for (name, clip, reference) in
        [("itself", &sharp, &sharp), ("both enlarged", &soft, &soft), ("sharper", &sharp, &soft)]
    {
        let found = reading(clip, reference);
        assert!(!found.reading.fired, "{name}: {}", found.reason);
        assert!(found.reading.decides, "the bars' mode");
    }
    let flat = draw(17, |_, _, _| 90.0);
    assert!(!reading(&flat, &sharp).reading.fired, "nothing to judge by");
}
