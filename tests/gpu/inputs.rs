//! Pictures that kernels are compared on: drawn, extreme, and crops of real clips.

use std::{path::PathBuf, process::Command};

use leoma_core::quality::selftest::test_clip;

use crate::scenes::mix;

/// Frames of one size, luma only.
pub struct Input {
    pub name: String,
    pub width: usize,
    pub height: usize,
    pub planes: Vec<Vec<u8>>,
}

fn drawn(name: &str, width: usize, height: usize, pixel: impl Fn(usize, usize, usize) -> u8) -> Input {
    let plane = |t| (0..width * height).map(|i| pixel(i % width, i / width, t)).collect();
    Input { name: name.to_owned(), width, height, planes: (0..3).map(plane).collect() }
}

/// All inputs; real crops are left out, loudly, where the clips were not fetched.
pub fn inputs() -> Vec<Input> {
    let clip = test_clip();
    let wave = |x: usize, y: usize, t: usize| {
        let (x, y, t) = (x as f64, y as f64, t as f64);
        let value = ((x + 2.3 * t) / 5.0).sin() + ((y - 1.6 * t) / 7.0).cos() + ((x + y) / 11.0).sin();
        (value * 35.0 + 120.0) as u8
    };
    let mut all = vec![
        Input {
            name: "self-test clip".to_owned(),
            width: clip.width(),
            height: clip.height(),
            planes: (0..clip.len()).map(|i| clip.frame(i).y.to_vec()).collect(),
        },
        drawn("noise of odd size", 97, 61, |x, y, t| mix((x + 1000 * t) as i64, y as i64, 7) as u8),
        drawn("waves of odd size", 121, 83, wave),
        drawn("saturated checkers", 64, 50, |x, y, t| if (x / 3 + y / 3 + t) % 2 == 0 { 0 } else { 255 }),
        drawn("flat", 48, 40, |_, _, _| 128),
        drawn("black to white", 33, 35, |_, _, t| if t == 1 { 255 } else { 0 }),
        drawn("one block", 11, 13, |x, y, t| (20 * x + 3 * y + 40 * t) as u8),
        drawn("a single pixel", 1, 1, |_, _, t| (90 * t) as u8),
    ];
    all.extend(real_crops());
    all
}

/// Folder of `scripts/fetch-assets.sh`.
pub fn cache() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    named("LEOMA_CACHE").or_else(|| {
        Some(named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?.join("leoma"))
    })
}

/// Says loudly that something is skipped; fails where `LEOMA_REQUIRE_ASSETS` is set.
pub fn skipped(what: &str) {
    assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "SKIPPED: {what}");
    eprintln!("SKIPPED: {what}");
}

/// Three neighbouring frames of two real clips, cropped.
fn real_crops() -> Vec<Input> {
    let crops = [("sports2d.mp4", 2, 176, 112), ("bigbuckbunny.mp4", 1, 131, 97)];
    crops.into_iter().filter_map(|(file, second, width, height)| crop(file, second, width, height)).collect()
}

fn crop(file: &str, second: u32, width: usize, height: usize) -> Option<Input> {
    let path = cache()?.join("corpus").join(file);
    if !path.is_file() {
        skipped(&format!("{} is not there, run scripts/fetch-assets.sh", path.display()));
        return None;
    }
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-flags", "+bitexact", "-ss", &second.to_string(), "-i"])
        .arg(&path)
        .args(["-frames:v", "3", "-vf", &format!("scale=416:240,crop={width}:{height}"), "-pix_fmt", "gray"])
        .args(["-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg, which scripts/setup.sh installs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let planes: Vec<Vec<u8>> = output.stdout.chunks_exact(width * height).map(<[u8]>::to_vec).collect();
    assert_eq!(planes.len(), 3, "{file}");
    Some(Input { name: format!("crop of {file}"), width, height, planes })
}
