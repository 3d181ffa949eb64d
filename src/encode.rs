//! Planes to an mp4 file, by the `ffmpeg` command line that real miners' tools call.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::quality::frame::Yuv420Clip;

/// Wall-clock limit of one encode.
const LIMIT: Duration = Duration::from_secs(120);
/// Most bytes of the encoder's complaints that are kept.
const MAX_COMPLAINT: u64 = 4096;

/// Where the index of an mp4 file stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexPlace {
    /// Behind the pictures, as ffmpeg writes by default.
    End,
    /// Before the pictures (`+faststart`).
    Front,
}

/// How planes become a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodeOptions {
    /// Frames per second, constant.
    pub fps: u32,
    /// x264's quality: 0 is lossless, 51 the worst.
    pub crf: u8,
    /// Scales the pictures to another size, `(width, height)`.
    pub scale: Option<(u32, u32)>,
    /// Where the index stands.
    pub index: IndexPlace,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The program did not start, or its files could not be read.
    #[error("cannot run `ffmpeg`: {0}; install it (Debian: apt-get install ffmpeg)")]
    Io(#[from] io::Error),
    /// The program refused.
    #[error("`ffmpeg` ended with {status}: {complaint}")]
    Refused {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its error output.
        complaint: String,
    },
    /// The program took too long.
    #[error("`ffmpeg` was not done within {} s", LIMIT.as_secs())]
    Slow,
}

/// Encodes a clip as H.264 yuv420p in mp4 with x264's default B-frames.
pub async fn encode(clip: &Yuv420Clip, options: &EncodeOptions) -> Result<Bytes, EncodeError> {
    let mut arguments: Vec<String> = ["-pix_fmt", "yuv420p"].map(str::to_owned).into();
    if let Some((width, height)) = options.scale {
        arguments.extend(["-vf".to_owned(), format!("scale={width}:{height}:flags=bicubic")]);
    }
    if options.index == IndexPlace::Front {
        arguments.extend(["-movflags", "+faststart"].map(str::to_owned));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    encode_with(clip, options.fps, options.crf, &arguments).await
}

/// As [`encode`] with arguments of the caller's between input and output, which say pixel format, filters and tags.
pub async fn encode_with(
    clip: &Yuv420Clip,
    fps: u32,
    crf: u8,
    arguments: &[&str],
) -> Result<Bytes, EncodeError> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("clip.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-f", "rawvideo"]);
    command.args(["-pix_fmt", "yuv420p", "-video_size", &format!("{}x{}", clip.width(), clip.height())]);
    command.args(["-framerate", &fps.to_string(), "-i", "pipe:0", "-an", "-c:v", "libx264"]);
    // Two cores are shared with the validator: a quick preset, one thread.
    command.args(["-preset", "veryfast", "-threads", "1", "-crf", &crf.to_string()]);
    command.args(arguments);
    command.arg(&path).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    tokio::time::timeout(LIMIT, feed(command, clip)).await.map_err(|_| EncodeError::Slow)??;
    Ok(tokio::fs::read(&path).await?.into())
}

async fn feed(mut command: Command, clip: &Yuv420Clip) -> Result<(), EncodeError> {
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let stderr = child.stderr.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that ends early closes the pipe; its status and complaint say why.
            let _ = stdin.write_all(clip.as_bytes()).await;
        }
    };
    let read = async {
        let mut complaint = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(MAX_COMPLAINT).read_to_end(&mut complaint).await;
        }
        complaint
    };
    let ((), complaint) = tokio::join!(write, read);
    let status = child.wait().await?;
    if status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
    Err(EncodeError::Refused { status, complaint })
}

/// Decodes at most `frames` frames of a file that another stand-in wrote, `size` pixels wide and high.
pub async fn decode(file: &[u8], size: (usize, usize), frames: usize) -> Result<Yuv420Clip, EncodeError> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("clip.mp4");
    tokio::fs::write(&path, file).await?;
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-threads", "1", "-i"]).arg(&path);
    command.args(["-frames:v", &frames.to_string(), "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1"]);
    command.kill_on_drop(true);
    let run = tokio::time::timeout(LIMIT, command.output()).await.map_err(|_| EncodeError::Slow)??;
    let refused = |complaint: String| EncodeError::Refused { status: run.status, complaint };
    if !run.status.success() {
        return Err(refused(String::from_utf8_lossy(&run.stderr).trim().to_owned()));
    }
    let count = run.stdout.len() / Yuv420Clip::frame_bytes(size.0, size.1);
    Yuv420Clip::from_planes(size.0, size.1, count, run.stdout).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use leoma_film::testing::{Texture, clip, psnr};

    pub(crate) fn sample(frames: usize) -> Yuv420Clip {
        let texture = Texture::new(4);
        clip((96, 64, frames), |t, x, y| texture.at(x + t as f32, y))
    }

    fn options() -> EncodeOptions {
        EncodeOptions { fps: 16, crf: 12, scale: None, index: IndexPlace::End }
    }

    /// Decodes with the ffmpeg program, stopping at the first error: planes, or what it complained of.
    pub(crate) fn decode(file: &[u8], size: (usize, usize)) -> std::io::Result<Yuv420Clip> {
        let folder = tempfile::tempdir().expect("folder");
        let (input, output) = (folder.path().join("in.mp4"), folder.path().join("out.yuv"));
        std::fs::write(&input, file).expect("written");
        let run = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-xerror", "-err_detect", "explode", "-i"])
            .arg(&input)
            .args(["-f", "rawvideo", "-pix_fmt", "yuv420p"])
            .arg(&output)
            .output()
            .expect("ffmpeg");
        if !run.status.success() || !run.stderr.is_empty() {
            return Err(std::io::Error::other(String::from_utf8_lossy(&run.stderr).into_owned()));
        }
        let data = std::fs::read(&output).expect("planes");
        let frames = data.len() / Yuv420Clip::frame_bytes(size.0, size.1);
        Yuv420Clip::from_planes(size.0, size.1, frames, data).map_err(std::io::Error::other)
    }

    #[tokio::test]
    async fn a_file_decodes_to_nearly_the_same_planes() {
        let clip = sample(20);
        let file = encode(&clip, &options()).await.expect("encoded");
        let back = decode(&file, (96, 64)).expect("decodes");
        assert_eq!(back.len(), 20);
        for t in [0, 10, 19] {
            let quality = psnr(back.frame(t).y, clip.frame(t).y);
            assert!(quality > 38.0, "frame {t}: {quality:.1} dB");
        }
    }

    #[tokio::test]
    async fn worse_quality_is_smaller_and_the_index_goes_where_it_is_told() {
        let clip = sample(20);
        let fine = encode(&clip, &options()).await.expect("encoded");
        let coarse = EncodeOptions { crf: 40, index: IndexPlace::Front, ..options() };
        let coarse = encode(&clip, &coarse).await.expect("encoded");
        assert!(coarse.len() < fine.len());
        let place = |file: &[u8], tag: &[u8]| file.windows(4).position(|w| w == tag).expect("box");
        assert!(place(&fine, b"moov") > place(&fine, b"mdat"));
        assert!(place(&coarse, b"moov") < place(&coarse, b"mdat"));
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let refused = EncodeOptions { scale: Some((95, 63)), ..options() };
        let error = encode(&sample(2), &refused).await.expect_err("odd sides do not fit yuv420p");
        assert!(matches!(&error, EncodeError::Refused { complaint, .. } if !complaint.is_empty()), "{error}");
    }

    #[tokio::test]
    async fn a_damaged_file_has_its_length_and_does_not_decode() {
        let texture = Texture::new(4);
        let clip = clip((192, 128, 20), |t, x, y| texture.at(x + 3.0 * t as f32, y));
        let options = EncodeOptions { fps: 16, crf: 10, scale: None, index: IndexPlace::Front };
        let file = encode(&clip, &options).await.expect("encoded");
        decode(&file, (192, 128)).expect("the whole file decodes");
        let damaged = leoma_film::attacks::damage(&file);
        assert_eq!(damaged.len(), file.len());
        decode(&damaged, (192, 128)).expect_err("the damaged file must not decode");
    }
}
