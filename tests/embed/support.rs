//! Weights, photos and damaged photos that the tests share.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, OnceLock},
};

use leoma_core::quality::frame::Yuv420Clip;
use leoma_embed::{EmbedError, Models, embedder::FrameOf, manifest::default_folder};
use serde::Deserialize;

/// Says that a test is skipped, or fails where everything is required.
pub fn skip(why: &str) {
    assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "LEOMA_REQUIRE_ASSETS is set, but {why}");
    eprintln!("\n!!! SKIPPED: {why}\n");
}

/// The models, loaded once per process; none, loudly, where the weights are absent.
pub fn models() -> Option<Arc<Models>> {
    static MODELS: OnceLock<Result<Arc<Models>, EmbedError>> = OnceLock::new();
    let folder = default_folder().expect("a cache folder");
    match MODELS.get_or_init(|| Models::load(&folder).map(Arc::new)) {
        Ok(models) => Some(Arc::clone(models)),
        Err(EmbedError::Missing { path }) => {
            skip(&format!("{} is not there (scripts/fetch-assets.sh gets it)", path.display()));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// `tests/golden/embed/golden.json`.
#[derive(Deserialize)]
pub struct Golden {
    pub photos: Vec<Photo>,
    pub drawn: Drawn,
}

#[derive(Deserialize)]
pub struct Photo {
    pub name: String,
    pub clip: String,
    pub frame: usize,
    pub crop: [usize; 4],
    pub planes_sha256: String,
    pub perceptual_image_sha256: String,
    pub embedding_image_sha256: String,
    pub opencv_resize_largest_difference: u32,
    pub embedding: Summary,
    pub variants: std::collections::BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
pub struct Summary {
    pub length: f64,
    pub samples: Vec<f32>,
}

#[derive(Deserialize)]
pub struct Expected {
    pub distance: f64,
    pub levels: Vec<f64>,
    pub cosine: f64,
}

#[derive(Deserialize)]
pub struct Drawn {
    #[serde(flatten)]
    pub expected: Expected,
    pub embedding: Summary,
}

pub fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/embed/golden.json")).expect("golden numbers")
}

impl Photo {
    /// Decodes the photo; none, loudly, where the clips are absent.
    pub fn decode(&self) -> Option<Yuv420Clip> {
        let cache = default_folder().expect("a cache folder");
        let path: PathBuf = cache.with_file_name("corpus").join(&self.clip);
        if !path.is_file() {
            skip(&format!("{} is not there (scripts/fetch-assets.sh gets it)", path.display()));
            return None;
        }
        let [x, y, width, height] = self.crop;
        let filter = format!("select=eq(n\\,{}),crop={width}:{height}:{x}:{y}:exact=1", self.frame);
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&path)
            .args(["-vf", &filter, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
            .output()
            .expect("the ffmpeg command");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Yuv420Clip::from_planes(width, height, 1, output.stdout).expect("planes of this size"))
    }
}

/// The photos that are there, decoded once.
pub fn photos() -> &'static [(Photo, Yuv420Clip)] {
    static PHOTOS: OnceLock<Vec<(Photo, Yuv420Clip)>> = OnceLock::new();
    PHOTOS.get_or_init(|| {
        let decoded = |photo: Photo| photo.decode().map(|clip| (photo, clip));
        golden().photos.into_iter().filter_map(decoded).collect()
    })
}

/// The damages of `make.py`, by the same integer formulas.
pub fn damaged(clip: &Yuv420Clip, variant: &str) -> Yuv420Clip {
    let (width, height) = (clip.width(), clip.height());
    let frame = clip.frame(0);
    let shift = |plane: &[u8], width: usize, by: usize| -> Vec<u8> {
        plane.chunks_exact(width).flat_map(|row| (0..width).map(move |x| row[x.saturating_sub(by)])).collect()
    };
    let (y, u, v) = (frame.y.to_vec(), frame.u.to_vec(), frame.v.to_vec());
    let [y, u, v] = match variant {
        "shifted" => [shift(&y, width, 2), shift(&u, width / 2, 1), shift(&v, width / 2, 1)],
        "mosaic" => {
            let block = |i: usize| y[(i / width / 8 * 8) * width + i % width / 8 * 8];
            [(0..width * height).map(block).collect(), u, v]
        }
        "dark" => [y.iter().map(|&y| (u32::from(y) * 3 / 4 + 4) as u8).collect(), u, v],
        "tinted" => [y, u.iter().map(|u| u.saturating_add(24)).collect(), v],
        other => panic!("no damage {other}"),
    };
    Yuv420Clip::from_planes(width, height, 1, [y, u, v].concat()).expect("the same size")
}

/// The first frames of clips.
pub fn first_of<const COUNT: usize>(clips: [&Yuv420Clip; COUNT]) -> [FrameOf<'_>; COUNT] {
    clips.map(|clip| FrameOf { clip, index: 0 })
}

/// A pseudo-random clip of one frame with structure at several scales, another for each seed.
pub fn textured(width: usize, height: usize, seed: u32) -> Yuv420Clip {
    let hash = |x: usize, y: usize, scale: usize| {
        let cell = (x / scale) as u32
            ^ ((y / scale) as u32).wrapping_mul(0x9e37_79b1)
            ^ seed.wrapping_mul(0x85eb_ca77);
        let cell = (cell ^ (cell >> 15)).wrapping_mul(0x2c1b_3c6d);
        (cell ^ (cell >> 12)).wrapping_mul(0x297a_2d39) >> 24
    };
    let plane = |width: usize, height: usize, salt: usize| -> Vec<u8> {
        let level =
            |x: usize, y: usize| (hash(x, y, 3) + 2 * hash(x + salt, y, 17) + hash(x, y + salt, 64)) / 4;
        (0..width * height).map(|i| level(i % width, i / width) as u8).collect()
    };
    let planes = [plane(width, height, 0), plane(width / 2, height / 2, 5), plane(width / 2, height / 2, 11)];
    Yuv420Clip::from_planes(width, height, 1, planes.concat()).expect("even sides")
}
