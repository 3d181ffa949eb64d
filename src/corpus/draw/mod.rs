//! Procedural clips for machines without network: drawn by integers, encoded by the `ffmpeg` command.
//!
//! They stand in for filmed clips in the demo only: eight scenes with texture, occlusion and
//! non-affine motion. The drawn pixels are the same everywhere; the encoded files depend on the
//! installed encoder, so their digests are written into the manifest when they are made.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rayon::prelude::*;

use super::{
    build::write_whole,
    manifest::{ClipEntry, Manifest, ManifestError},
};
use crate::{
    domain::ids::Digest,
    quality::color::{RgbError, rgb_to_clip},
};
use leoma_film::{
    scenes::{CANVAS_HEIGHT, CANVAS_WIDTH, SCENES, Scene},
    texture::{Point, Rgb},
};

/// Frames per second of the drawn clips; scene time counts in these.
pub const DRAWN_FRAMES_PER_SECOND: u32 = 24;
/// Floor on file sizes in the manifest of drawn clips, in bytes: small test sizes compress well.
const DRAWN_MIN_CLIP_BYTES: u64 = 10_000;

/// How drawn clips are made.
#[derive(Clone, Debug)]
pub struct DrawOptions {
    /// Folder that receives the clips and `corpus.toml`; made if missing.
    pub out: PathBuf,
    /// The `ffmpeg` command (needs libx264).
    pub ffmpeg: PathBuf,
    /// Width in pixels, even.
    pub width: usize,
    /// Height in pixels, even.
    pub height: usize,
    /// Number of frames at [`DRAWN_FRAMES_PER_SECOND`].
    pub frames: u32,
    /// How many of the eight scenes to draw.
    pub scenes: usize,
}

impl DrawOptions {
    /// Every scene at 832x480 for 7 seconds.
    pub fn into_folder(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            ffmpeg: "ffmpeg".into(),
            width: 832,
            height: 480,
            frames: 7 * DRAWN_FRAMES_PER_SECOND,
            scenes: SCENES.len(),
        }
    }
}

/// Why clips could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// A folder or file could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The encoder could not be started or fed.
    #[error("{}: {source}: install ffmpeg with libx264 or name it by --ffmpeg", ffmpeg.display())]
    Encoder {
        /// The command.
        ffmpeg: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The encoder gave up.
    #[error("ffmpeg could not encode {key} ({status}): {stderr}")]
    Encoding {
        /// The clip.
        key: &'static str,
        /// How the encoder ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
    /// The asked size is not even.
    #[error("drawn clips need even sides: {0}")]
    Size(#[from] RgbError),
    /// The clips make no valid manifest (too small or too large files).
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Draws and encodes the scenes and writes their manifest last, so that a folder with a manifest is
/// whole. `progress` hears each finished clip.
///
/// # Errors
/// When a file cannot be written or the encoder fails.
pub fn draw_corpus(
    options: &DrawOptions,
    mut progress: impl FnMut(&ClipEntry),
) -> Result<Manifest, DrawError> {
    std::fs::create_dir_all(&options.out).map_err(file_error(&options.out))?;
    let mut clips = Vec::new();
    for scene in SCENES.iter().take(options.scenes) {
        let clip = draw_clip(options, scene)?;
        progress(&clip);
        clips.push(clip);
    }
    let manifest = Manifest::new(DRAWN_MIN_CLIP_BYTES, clips)?;
    let path = options.out.join("corpus.toml");
    write_whole(&path, manifest.to_toml().as_bytes()).map_err(file_error(&path))?;
    Ok(manifest)
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> DrawError + '_ {
    |source| DrawError::File { path: path.to_owned(), source }
}

fn draw_clip(options: &DrawOptions, scene: &Scene) -> Result<ClipEntry, DrawError> {
    let path = options.out.join(scene.key);
    let part = options.out.join(format!("{}.part", scene.key));
    encode(options, scene, &part)?;
    std::fs::rename(&part, &path).map_err(file_error(&path))?;
    let content = std::fs::read(&path).map_err(file_error(&path))?;
    Ok(ClipEntry {
        key: scene.key.to_owned(),
        file: scene.key.to_owned(),
        bytes: content.len() as u64,
        sha256: Digest::of(&content),
        caption: scene.caption.to_owned(),
        licence: "Apache-2.0".to_owned(),
        source: "drawn by leoma corpus draw".to_owned(),
        from_ms: None,
        to_ms: None,
        window: None,
        caption_by: None,
    })
}

fn encode(options: &DrawOptions, scene: &Scene, part: &Path) -> Result<(), DrawError> {
    let encoder_error = |source| DrawError::Encoder { ffmpeg: options.ffmpeg.clone(), source };
    let mut child = Command::new(&options.ffmpeg)
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-s", &format!("{}x{}", options.width, options.height)])
        .args(["-r", &DRAWN_FRAMES_PER_SECOND.to_string(), "-i", "-"])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"])
        .args(["-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart", "-f", "mp4"])
        .arg(part)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(encoder_error)?;
    let fed = match child.stdin.take() {
        Some(pipe) => feed(options, scene, pipe),
        None => Ok(()), // stdin was asked for above
    };
    let output = child.wait_with_output().map_err(encoder_error)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let stderr = said.chars().take(600).collect();
        return Err(DrawError::Encoding { key: scene.key, status: output.status, stderr });
    }
    fed
}

/// Draws a few frames at a time on all cores and writes them to the encoder.
fn feed(options: &DrawOptions, scene: &Scene, mut pipe: impl Write) -> Result<(), DrawError> {
    let backdrop = Backdrop::new(scene, options.width, options.height);
    let times: Vec<i32> = (0..options.frames as i32).collect();
    for some in times.chunks(16) {
        let drawn: Vec<Vec<u8>> = some.par_iter().map(|&time| backdrop.frame_at(time)).collect();
        for rgb in drawn {
            let planes = rgb_to_clip(&rgb, options.width, options.height)?;
            let write = pipe.write_all(planes.as_bytes());
            write.map_err(|source| DrawError::Encoder { ffmpeg: options.ffmpeg.clone(), source })?;
        }
    }
    Ok(())
}

/// The still part of a scene, drawn once.
struct Backdrop<'a> {
    scene: &'a Scene,
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl<'a> Backdrop<'a> {
    fn new(scene: &'a Scene, width: usize, height: usize) -> Self {
        let mut backdrop = Self { scene, width, height, pixels: Vec::new() };
        backdrop.pixels = (0..width * height).map(|index| (scene.backdrop)(backdrop.point(index))).collect();
        backdrop
    }

    /// Centre of a pixel on the canvas.
    fn point(&self, index: usize) -> Point {
        let (x, y) = ((index % self.width) as i32, (index / self.width) as i32);
        let (width, height) = (self.width as i32, self.height as i32);
        Point { x: (2 * x + 1) * CANVAS_WIDTH / (2 * width), y: (2 * y + 1) * CANVAS_HEIGHT / (2 * height) }
    }

    fn frame_at(&self, time: i32) -> Vec<u8> {
        let painter = (self.scene.paint)(time);
        let paint = |(index, &still): (usize, &Rgb)| painter(self.point(index), still);
        self.pixels.iter().enumerate().flat_map(paint).collect()
    }
}

/// One frame of a scene as RGB pixels `[height, width, 3]`, for tests and previews.
pub fn draw_frame(scene: &Scene, time: i32, width: usize, height: usize) -> Vec<u8> {
    Backdrop::new(scene, width, height).frame_at(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_moves_everywhere_in_time_and_none_jumps() {
        let (width, height) = (104, 60);
        for scene in &SCENES {
            let luma: Vec<Vec<i32>> = (0..168)
                .map(|time| {
                    let rgb = draw_frame(scene, time, width, height);
                    let planes = rgb_to_clip(&rgb, width, height).expect("even size");
                    planes.frame(0).y.iter().map(|&y| i32::from(y)).collect()
                })
                .collect();
            for (time, pair) in luma.windows(2).enumerate() {
                let moved: i32 = pair[0].iter().zip(&pair[1]).map(|(a, b)| (a - b).abs()).sum();
                let mean_milli = moved * 1_000 / (width * height) as i32;
                assert!((60..12_000).contains(&mean_milli), "{} at {time}: {mean_milli}", scene.key);
            }
        }
    }

    #[test]
    fn the_drawn_pixels_are_the_golden_ones() {
        let golden = [
            "895f3c0fd9c9",
            "b7335ff0db61",
            "7f3a413eb510",
            "e5a5cc832d7f",
            "78f4cbf05152",
            "995b2a69a091",
            "d7ebcbff752d",
            "d59e19a4d1c2",
        ];
        for (scene, golden) in SCENES.iter().zip(golden) {
            assert_eq!(Digest::of(&draw_frame(scene, 50, 104, 60)).short(), golden, "{}", scene.key);
        }
    }
}
