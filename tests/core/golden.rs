//! Committed numbers: scikit-image's SSIM, and what every kernel gives on the self-test clip.

use std::{collections::BTreeMap, fmt::Write};

use leoma_core::{
    domain::rules::{ActiveRules, EMBEDDED_RULES},
    quality::{
        selftest,
        ssim::{SSIM_BITS, ssim},
    },
};
use serde::Deserialize;

use super::scenes::mix;

#[derive(Deserialize)]
struct Golden {
    name: String,
    width: usize,
    height: usize,
    ssim: f64,
}

/// The images of `tests/golden/ssim/make.py`.
fn texture(x: i64, y: i64) -> i64 {
    (x * x / 37 + y * 5 - x * y / 23).abs() % 200 + 20
}

fn changed(name: &str, x: i64, y: i64) -> i64 {
    let noise = |amount: i64| i64::from(mix(x, y, 0)) % (2 * amount + 1) - amount;
    match name {
        "noise_5" => texture(x, y) + noise(5),
        "noise_40" => texture(x, y) + noise(40),
        "brighter_20" => texture(x, y) + 20,
        "shifted_1" => texture(x + 1, y),
        "half_contrast" => 60 + texture(x, y) / 2,
        "flat" => 128,
        "inverted" => 255 - texture(x, y),
        "smallest" => texture(x, y) + noise(10),
        "frame" => texture(x, y) + noise(15),
        other => panic!("make.py has a case `{other}` that this test does not draw"),
    }
}

#[test]
fn ssim_agrees_with_scikit_image_to_one_in_ten_thousand() {
    let cases: Vec<Golden> =
        serde_json::from_str(include_str!("../golden/ssim/golden.json")).expect("golden file");
    assert!(cases.len() >= 9);
    for case in cases {
        let draw = |pixel: &dyn Fn(i64, i64) -> i64| -> Vec<u8> {
            let (width, height) = (case.width as i64, case.height as i64);
            (0..width * height).map(|i| pixel(i % width, i / width).clamp(0, 255) as u8).collect()
        };
        let (a, b) = (draw(&texture), draw(&|x, y| changed(&case.name, x, y)));
        let found = ssim(&a, &b, case.width, case.height).expect("large enough");
        let found = found as f64 / f64::from(1u32 << SSIM_BITS);
        assert!((found - case.ssim).abs() < 1e-4, "{}: {found} against {}", case.name, case.ssim);
    }
}

/// A change of these numbers changes every verdict: the rules digest moves with it. Renew them with
/// `LEOMA_RENEW_GOLDEN=1 cargo test --test stories kernels_give_the_committed_answers`.
#[test]
fn kernels_give_the_committed_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/selftest.txt");
    let mut text = String::new();
    for (kernel, digest) in selftest::digests() {
        writeln!(text, "{kernel} {digest}").expect("strings take text");
    }
    if std::env::var_os("LEOMA_RENEW_GOLDEN").is_some() {
        std::fs::write(path, &text).expect("golden file is writable");
    }
    assert_eq!(text, std::fs::read_to_string(path).expect("golden file"));
}

#[test]
fn the_self_test_clip_exercises_every_kernel() {
    let digests: BTreeMap<_, _> = selftest::digests();
    let distinct: std::collections::BTreeSet<_> = digests.values().collect();
    assert_eq!(distinct.len(), digests.len(), "two kernels gave the same bytes");
}

#[test]
fn the_rules_digest_ignores_comments_and_sees_every_value() {
    let base = ActiveRules::parse(EMBEDDED_RULES).expect("embedded rules");
    let commented = format!("# a comment\n{EMBEDDED_RULES}\n# another");
    assert_eq!(ActiveRules::parse(&commented).expect("same rules").digest, base.digest);
    let changed = EMBEDDED_RULES.replace("tie_band = 50", "tie_band = 51");
    assert_ne!(ActiveRules::parse(&changed).expect("other rules").digest, base.digest);
}
