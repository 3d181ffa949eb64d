//! Video files drawn by the `ffmpeg` command line, kept in the build folder between runs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use bytes::Bytes;
use leoma::{
    decode::{Decoder, DecoderOptions},
    domain::{ids::Digest, plan::ClipSpec},
};

/// What the small fixtures are made to fit.
pub const SMALL: ClipSpec = ClipSpec { frames: 9, width: 64, height: 48, fps: 16 };
/// What miners are asked for.
pub const FULL: ClipSpec = ClipSpec { frames: 81, width: 832, height: 480, fps: 16 };

/// A decoder over the real binary.
pub fn decoder() -> Decoder {
    Decoder::new(DecoderOptions::with_worker(env!("CARGO_BIN_EXE_leoma").into()))
}

/// Arguments of a moving test picture.
pub fn picture(width: u32, height: u32, rate: u32) -> Vec<String> {
    let source = format!("testsrc2=size={width}x{height}:rate={rate}");
    ["-f", "lavfi", "-i", &source].map(str::to_owned).to_vec()
}

/// Runs ffmpeg once per set of arguments and returns the path of its output. `name` carries the
/// extension, by which ffmpeg picks the container.
pub fn drawn(name: &str, arguments: &[String]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("decode-fixtures");
    std::fs::create_dir_all(&folder).expect("build folder is writable");
    let key = Digest::of(arguments.join("\0").as_bytes()).short();
    let path = folder.join(format!("{key}-{name}"));
    if path.exists() {
        return path;
    }
    let partial = folder.join(format!("partial-{}-{key}-{name}", std::process::id()));
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments)
        .arg(&partial)
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&partial, &path).expect("same folder");
    path
}

/// The bytes of a file drawn from the moving picture of `spec`, `frames` long, with more arguments.
pub fn clip_of(name: &str, spec: ClipSpec, frames: u32, more: &str) -> Bytes {
    std::fs::read(clip_path(name, spec, frames, more)).expect("just drawn").into()
}

/// As [`clip_of`], its path.
pub fn clip_path(name: &str, spec: ClipSpec, frames: u32, more: &str) -> PathBuf {
    let mut arguments = picture(spec.width, spec.height, spec.fps);
    arguments.extend(["-frames:v".to_owned(), frames.to_string()]);
    arguments.extend(more.split_whitespace().map(str::to_owned));
    drawn(name, &arguments)
}

/// A small clip of the asked length with more arguments.
pub fn small(name: &str, more: &str) -> Bytes {
    clip_of(name, SMALL, SMALL.frames, more)
}

/// The plainest clip: libx264 with its own settings.
pub fn plain() -> Bytes {
    small("plain.mp4", "-pix_fmt yuv420p")
}

/// The full-size clip with libx264's own settings.
pub fn full_path() -> PathBuf {
    clip_path("full.mp4", FULL, FULL.frames, "-pix_fmt yuv420p")
}

/// What the ffmpeg command line decodes a file to: raw yuv420p planes of every stored frame.
pub fn raw_planes(path: &Path) -> Vec<u8> {
    raw_planes_with(path, "")
}

/// As [`raw_planes`], with options of the decoder.
pub fn raw_planes_with(path: &Path, decoder: &str) -> Vec<u8> {
    let input = path.to_str().expect("ascii path");
    let name = path.file_name().and_then(|name| name.to_str()).expect("ascii name");
    let mut arguments: Vec<String> = decoder.split_whitespace().map(str::to_owned).collect();
    let rest = ["-i", input, "-vsync", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo"];
    arguments.extend(rest.map(str::to_owned));
    let raw = drawn(&format!("{name}.yuv"), &arguments);
    std::fs::read(raw).expect("just drawn")
}

/// A file remuxed from another one without decoding it: `arguments` go around `-c copy`.
pub fn copied(name: &str, path: &Path, before: &str, after: &str) -> Bytes {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let input = ["-i", path.to_str().expect("ascii path"), "-c", "copy"].map(str::to_owned);
    let arguments = [words(before), input.to_vec(), words(after)].concat();
    std::fs::read(drawn(name, &arguments)).expect("just drawn").into()
}
