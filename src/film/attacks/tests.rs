//! Tests of the list and of what its attacks show.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::testing::{Texture, clip, psnr};

const SIZE: (usize, usize) = (192, 128);
const FRAMES: usize = 36;
/// Bytes that [`damage`] changes.
const DAMAGED: usize = 2048;

/// A texture that breathes and sways.
fn living(seed: u32) -> Yuv420Clip {
    let texture = Texture::new(seed);
    clip((SIZE.0, SIZE.1, FRAMES), |t, x, y| {
        let s = t as f32;
        texture.at(x - 0.9 * s * (y / 20.0).sin() - 0.5 * s, y - 0.6 * s * (x / 25.0).cos())
    })
}

fn each(mut look: impl FnMut(Attack, usize, &Yuv420Clip, &Yuv420Clip)) {
    let real = living(21);
    let bytes = Yuv420Clip::frame_bytes(SIZE.0, SIZE.1);
    let still =
        Yuv420Clip::from_planes(SIZE.0, SIZE.1, 1, real.as_bytes()[..bytes].to_vec()).expect("a frame");
    let prompt = "A wall of waves, 100 % real";
    let (clip, other) = (Some(&real), living(77));
    let material = Material {
        first_frame: &still,
        frames: FRAMES,
        prompt,
        honest: clip,
        other: Some(&other),
        real: clip,
    };
    for attack in Attack::ALL {
        for variant in 0..attack.variants().len() {
            look(attack, variant, &attack.film(variant, &material).expect("made"), &real);
        }
    }
}

/// Whether a variant shows what it was made from: what is wrong with it is its file, or whose it is.
fn as_it_is(attack: Attack, variant: usize) -> bool {
    match attack {
        Attack::Copy | Attack::Rate | Attack::Samples | Attack::Spoiled => true,
        Attack::SourceCopy | Attack::Reencode | Attack::OtherSize => variant == 0,
        _ => false,
    }
}

#[test]
fn every_row_of_the_gates_table_has_three_variants_at_least() {
    let (mut rows, mut names) = (BTreeMap::<_, usize>::new(), BTreeSet::<&str>::new());
    for attack in Attack::ALL {
        *rows.entry(attack.gate()).or_default() += attack.variants().len();
        names.extend(attack.variants());
    }
    assert_eq!(rows.len(), 13, "{rows:?}");
    assert!(rows.values().all(|variants| *variants >= 3), "{rows:?}");
    assert_eq!(names.len(), rows.values().sum::<usize>(), "no name twice");
    assert_eq!(BTreeSet::from(Attack::ALL.map(Attack::name)).len(), Attack::ALL.len());
    // In the order of declaration, so that none is doubled or left out.
    assert!(Attack::ALL.iter().enumerate().all(|(place, attack)| *attack as usize == place));
}

#[test]
fn attacks_have_the_asked_form_unless_it_is_the_attack_and_all_differ() {
    let mut seen = BTreeMap::new();
    each(|attack, variant, made, real| {
        let form = (made.width(), made.height(), made.len());
        let asked = (SIZE.0, SIZE.1, FRAMES);
        match (attack, variant) {
            (Attack::Short, _) => assert_eq!(form, (SIZE.0, SIZE.1, [FRAMES / 2, FRAMES - 1, 1][variant])),
            (Attack::OtherSize, 1) => assert_eq!(form, (SIZE.0 - 16, SIZE.1, FRAMES)),
            _ => assert_eq!(form, asked, "{attack:?} {variant}"),
        }
        assert_eq!(*made == *real, as_it_is(attack, variant), "{attack:?} {variant}");
        if !as_it_is(attack, variant) {
            let before = seen.insert(made.digest(), (attack, variant));
            assert_eq!(before, None, "{attack:?} {variant} is another one");
        }
    });
}

#[test]
fn a_file_attack_has_a_file_of_its_own() {
    for attack in Attack::ALL {
        for variant in 0..attack.variants().len() {
            let plain = matches!(attack.file(variant), File::Encoded);
            let by_file = as_it_is(attack, variant) && attack != Attack::SourceCopy;
            assert!(!(plain && by_file), "{attack:?} {variant} would be an honest answer");
        }
    }
    let file: Vec<u8> = (0..9_000).map(|k| k as u8).collect();
    let damaged = damage(&file);
    let changed = file.iter().zip(&damaged).filter(|(a, b)| a != b).count();
    assert_eq!((damaged.len(), changed), (file.len(), DAMAGED));
}

#[test]
fn attacks_begin_like_the_given_frame_and_say_what_they_lack() {
    each(|attack, variant, made, real| {
        if made.width() != real.width() {
            return;
        }
        // Bars, marks, noise and lost detail show at once; the others begin well.
        let quality = psnr(made.frame(0).y, real.frame(0).y);
        let shown = match attack {
            Attack::TextOverlay => variant < 3,
            Attack::Letterbox | Attack::Upscaled => true,
            Attack::Freeze => variant == 1,
            Attack::Pan | Attack::Shimmer => variant >= 3,
            _ => false,
        };
        let edited = variant > 0 && matches!(attack, Attack::SourceCopy | Attack::Reencode);
        let least = if shown {
            8.0
        } else if edited {
            20.0
        } else {
            60.0
        };
        assert!(quality > least, "{attack:?} {variant}: {quality:.1} dB");
    });
    let still = living(3);
    let bare = Material { first_frame: &still, frames: 4, prompt: "", honest: None, other: None, real: None };
    for attack in Attack::ALL {
        let count = attack.variants().len();
        for variant in 0..count {
            let made = attack.film(variant, &bare);
            assert_eq!(made.is_err(), attack.needs(variant) != Needs::Still, "{attack:?} {variant}");
        }
        assert!(matches!(attack.film(count, &bare), Err(AttackError::Variant { .. })));
    }
    let message = Attack::SourceCopy.film(0, &bare).expect_err("no real clip").to_string();
    assert!(message.contains("source-copy") && message.contains("Real"), "{message}");
}

#[test]
fn loops_come_back_and_stills_lead_away_from_the_real_motion() {
    each(|attack, variant, made, real| match attack {
        Attack::Loop => {
            // Swings of a fifth and of three eighths of 36 frames, a quarter, eight.
            let period = [14, 9, 26, 8][variant];
            assert_eq!(made.frame(period).y, made.frame(0).y, "variant {variant}");
            let shown = if variant % 2 == 0 { period / 2 } else { period - 1 };
            assert_eq!(made.frame(shown).y, real.frame(shown).y, "an honest beginning");
        }
        Attack::Pan | Attack::Zoom | Attack::Shimmer => {
            assert_ne!(made.frame(20).y, made.frame(19).y, "{attack:?} {variant} moves");
            let moved = psnr(made.frame(30).y, real.frame(30).y);
            assert!(moved < 30.0, "{attack:?} {variant} is not the real motion: {moved:.1} dB");
        }
        Attack::BlurredFreeze => {
            let rough =
                |t: usize| made.frame(t).y.windows(2).map(|p| u64::from(p[0].abs_diff(p[1]))).sum::<u64>();
            assert!(rough(30) * 20 < rough(0) * 19, "variant {variant}: {} of {}", rough(30), rough(0));
        }
        _ => {}
    });
}
