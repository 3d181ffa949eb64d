use super::*;
use crate::{
    testing::{Texture, clip},
    texture::{Point, fractal},
};

const FRAMES: usize = 33;

/// A patch that moves over a moving ground, and another picture that moves otherwise.
fn clips() -> (Yuv420Clip, Yuv420Clip) {
    let (ground, patch, foreign) = (Texture::new(3), Texture::new(8), Texture::new(21));
    let one = clip((96, 64, FRAMES), |t, x, y| {
        let left = 10.0 + t as f32;
        let inside = (left..left + 26.0).contains(&x) && (18.0..46.0).contains(&y);
        if inside {
            patch.at(x - 1.1 * t as f32, y)
        } else {
            ground.at(x + 0.4 * t as f32, y + 0.2 * t as f32)
        }
    });
    let two = clip((96, 64, FRAMES), |t, x, y| foreign.at(x, y - 0.9 * t as f32));
    (one, two)
}

fn difference(a: &Yuv420Clip, b: &Yuv420Clip) -> u64 {
    a.as_bytes().iter().zip(b.as_bytes()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
}

#[test]
fn level_zero_is_the_clip_and_a_higher_level_does_more_damage() {
    let (clip, other) = clips();
    let material = Material { clip: &clip, other: &other, seed: 7 };
    for generator in Generator::ALL {
        assert_eq!(generator.apply(&material, 0), clip, "{generator}");
        let ladder: Vec<u64> =
            (0..=LEVELS).map(|level| difference(&generator.apply(&material, level), &clip)).collect();
        // How far a picture lies from the same one at another pace depends on where it was then: only that it is
        // damaged holds at every level.
        let monotone = generator != Generator::SpeedUp;
        assert!(ladder[1] > 0, "{generator}: {ladder:?}");
        assert!(!monotone || ladder.is_sorted_by(|a, b| a < b), "{generator}: {ladder:?}");
        assert_eq!(generator.apply(&material, 99), generator.apply(&material, LEVELS), "{generator}");
    }
}

#[test]
fn shapes_stay_and_what_is_drawn_depends_on_the_seed_alone() {
    let (clip, other) = clips();
    let one = Material { clip: &clip, other: &other, seed: 7 };
    let two = Material { seed: 8, ..one };
    let drawn = [
        Generator::Noise,
        Generator::GlobalFlicker,
        Generator::LocalFlicker,
        Generator::FrameOrder,
        Generator::DropDuplicate,
        Generator::PatchSwap,
    ];
    for generator in Generator::ALL {
        let made = generator.apply(&one, 3);
        assert_eq!((made.len(), made.width(), made.height()), (FRAMES, 96, 64), "{generator}");
        assert_eq!(made, generator.apply(&one, 3), "{generator}");
        assert_eq!(made == generator.apply(&two, 3), !drawn.contains(&generator), "{generator}");
    }
}

#[test]
fn what_does_not_ask_for_a_wrong_first_frame_keeps_it() {
    let (clip, other) = clips();
    let material = Material { clip: &clip, other: &other, seed: 7 };
    let everywhere = |generator| {
        matches!(generator, Generator::Blur | Generator::Noise | Generator::Banding | Generator::Blocks)
            || matches!(generator, Generator::Ringing | Generator::Saturation | Generator::Hue)
            || matches!(generator, Generator::StaticWarp | Generator::FirstFrameOffset)
            || matches!(generator, Generator::ColourShift | Generator::WrongClip)
    };
    for generator in Generator::ALL {
        let made = generator.apply(&material, LEVELS);
        let (now, before) = (made.frame(0), clip.frame(0));
        let kept = (now.y, now.u, now.v) == (before.y, before.u, before.v);
        assert_eq!(kept, !everywhere(generator), "{generator}");
    }
}

#[test]
fn names_are_unique_and_every_generator_stands_in_the_list_once() {
    let names: std::collections::BTreeSet<&str> = Generator::ALL.iter().map(|g| g.name()).collect();
    assert_eq!(names.len(), Generator::ALL.len());
    // In the order of declaration, so that none is doubled or left out.
    assert!(Generator::ALL.iter().enumerate().all(|(place, g)| *g as usize == place));
}

/// A clip by integers alone, so that its digests are the same on every machine.
fn whole_numbers(seed: u32) -> Yuv420Clip {
    let plane = |t: i32, width: i32, height: i32, seed: u32| {
        (0..width * height).map(move |k| {
            let at = Point { x: k % width * 3 + 2 * t, y: k / width * 3 };
            (40 + fractal(at, 5, seed) * 160 / 255) as u8
        })
    };
    let frame =
        |t: i32| plane(t, 96, 64, seed).chain(plane(t, 48, 32, seed + 90)).chain(plane(t, 48, 32, seed + 91));
    Yuv420Clip::from_planes(96, 64, 17, (0..17).flat_map(frame).collect()).expect("planes fit")
}

#[test]
fn the_damage_is_the_golden_one() {
    let (clip, other) = (whole_numbers(1), whole_numbers(50));
    let material = Material { clip: &clip, other: &other, seed: 7 };
    let found: String = Generator::ALL
        .iter()
        .map(|g| format!("{g} {}\n", &g.apply(&material, 4).digest().to_string()[..12]))
        .collect();
    assert_eq!(found, include_str!("golden.txt"), "a generator's planes changed:\n{found}");
}

#[test]
fn odd_halves_and_short_clips_do_not_break_a_generator() {
    let texture = Texture::new(5);
    let tiny = clip((34, 18, 2), |t, x, y| texture.at(x + t as f32, y));
    let material = Material { clip: &tiny, other: &tiny, seed: 1 };
    for generator in Generator::ALL {
        for level in 0..=LEVELS {
            assert_eq!(generator.apply(&material, level).len(), 2, "{generator}");
        }
    }
}
