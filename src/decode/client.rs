//! The parent's side: starts a worker per file, feeds it, bounds it in bytes and time, reads frames.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, Command},
};

use super::{
    error::{DecodeError, DecodeJob},
    protocol::{
        ClipFacts, Ending, ExtractRequest, Job, Limits, MAX_CLIP_FRAMES, MAX_JSON, MAX_PICKS,
        MAX_PLANE_BYTES, MAX_SIDE, Request, SourceScan, encode_request, parse_record_head, printable,
    },
    reply::{PlaneSink, ReplySink, ScanSink},
};
use crate::{
    domain::{plan::ClipSpec, rules::LimitRules},
    quality::frame::Yuv420Clip,
};

/// Bytes kept of what a worker writes to stderr.
const STDERR_TAIL: usize = 400;

/// How files are decoded and what a worker may use.
#[derive(Clone, Debug)]
pub struct DecoderOptions {
    /// Binary to start with the argument `decode-worker`, normally `std::env::current_exe()`.
    pub worker: PathBuf,
    /// Wall-clock limit of one clip.
    pub clip_wall: Duration,
    /// Wall-clock limit of one source job.
    pub source_wall: Duration,
    /// Largest clip file in bytes.
    pub max_clip_bytes: u64,
    /// Largest source file in bytes.
    pub max_source_bytes: u64,
    /// Address space of one worker in bytes.
    pub memory_bytes: u64,
}

impl DecoderOptions {
    /// Defaults for a binary: 30 s and 64 MiB for a clip (about a hundred times the time and ten
    /// times the bytes of an ordinary one), 5 minutes and 256 MiB for a source, 2 GiB of address
    /// space.
    pub fn with_worker(path: PathBuf) -> Self {
        Self {
            worker: path,
            clip_wall: Duration::from_secs(30),
            source_wall: Duration::from_secs(300),
            max_clip_bytes: 64 << 20,
            max_source_bytes: 256 << 20,
            memory_bytes: 2 << 30,
        }
    }
}

impl DecoderOptions {
    /// The same with the limits of the rules for miners' files.
    pub fn under(self, limits: &LimitRules) -> Self {
        Self {
            clip_wall: Duration::from_secs(limits.decode_seconds.into()),
            memory_bytes: u64::from(limits.decode_memory_mib) << 20,
            max_clip_bytes: limits.answer_bytes.into(),
            ..self
        }
    }
}

/// An accepted clip.
#[derive(Clone, Debug)]
pub struct DecodedClip {
    /// The asked frames `[frames, height, width]`, YUV 4:2:0 as decoded.
    pub frames: Arc<Yuv420Clip>,
    /// What else was seen of the file.
    pub facts: ClipFacts,
}

/// Decodes untrusted files, each in a child process of its own. How many run at once is the
/// caller's business.
#[derive(Clone, Debug)]
pub struct Decoder {
    options: DecoderOptions,
}

/// One job for one worker.
struct Run {
    job: Job,
    owner: DecodeJob,
    file: Bytes,
    wall: Duration,
}

impl Decoder {
    /// A decoder with these options; starts nothing.
    pub fn new(options: DecoderOptions) -> Self {
        Self { options }
    }

    /// Decodes and judges a miner's clip (gates G1 and G10 to G13 by what the file says of itself).
    ///
    /// # Errors
    /// See [`DecodeError`]; [`DecodeError::gate`] gives the gate that rejects the miner.
    pub async fn decode_clip(&self, bytes: Bytes, spec: ClipSpec) -> Result<DecodedClip, DecodeError> {
        check_spec(spec)?;
        check_size(&bytes, DecodeJob::Clip, self.options.max_clip_bytes)?;
        let mut sink = PlaneSink::new(spec.width, spec.height, spec.frames);
        let run = Run {
            job: Job::Clip { spec },
            owner: DecodeJob::Clip,
            file: bytes,
            wall: self.options.clip_wall,
        };
        match self.run(run, &mut sink).await? {
            Ending::Clip { facts } => {
                let surplus = facts.decoded_frames.checked_sub(spec.frames);
                if surplus.is_none() {
                    return Err(broken(format!("{} frames counted", facts.decoded_frames)));
                }
                Ok(DecodedClip { frames: Arc::new(sink.finish()?), facts })
            }
            Ending::Refused { gate, reason } => Err(DecodeError::Gate { gate, reason: printable(&reason) }),
            other => Err(unexpected(other)),
        }
    }

    /// Times and thumbnails of every frame of a source clip.
    ///
    /// # Errors
    /// [`DecodeError::Source`] where the file cannot be used; nothing here is a miner's fault.
    pub async fn scan_source(&self, bytes: Bytes) -> Result<SourceScan, DecodeError> {
        let mut sink = ScanSink::default();
        self.source(Job::Scan, bytes, &mut sink).await?;
        sink.finish()
    }

    /// Picked frames of a source clip, cropped and scaled by `quality::resample`, limited range.
    ///
    /// # Errors
    /// [`DecodeError::Request`] for a request that no clip can answer, [`DecodeError::Source`]
    /// where this clip cannot (too few frames, too small for the crop, damaged).
    pub async fn extract_source(
        &self,
        bytes: Bytes,
        request: &ExtractRequest,
    ) -> Result<Yuv420Clip, DecodeError> {
        check_extract(request)?;
        let mut sink = PlaneSink::new(request.width, request.height, request.frames.len() as u32);
        self.source(Job::Extract { request: request.clone() }, bytes, &mut sink).await?;
        sink.finish()
    }

    async fn source(&self, job: Job, file: Bytes, sink: &mut impl ReplySink) -> Result<(), DecodeError> {
        check_size(&file, DecodeJob::Source, self.options.max_source_bytes)?;
        let run = Run { job, owner: DecodeJob::Source, file, wall: self.options.source_wall };
        match self.run(run, sink).await? {
            Ending::Source => Ok(()),
            Ending::Refused { reason, .. } => Err(DecodeError::Source { reason: printable(&reason) }),
            other => Err(unexpected(other)),
        }
    }

    /// Runs one worker to its end. However this future ends, the worker ends with it.
    async fn run(&self, run: Run, sink: &mut impl ReplySink) -> Result<Ending, DecodeError> {
        let request = Request {
            input_bytes: run.file.len() as u64,
            limits: Limits {
                memory_bytes: self.options.memory_bytes,
                // Two decoder threads at most, so this never ends a worker before the wall clock.
                cpu_seconds: (run.wall.as_secs() + 1) * 2,
            },
            job: run.job,
        };
        let head = encode_request(&request).map_err(|e| broken(format!("request: {e}")))?;
        let mut child = self.spawn()?;
        let ended = tokio::time::timeout(run.wall, converse(&mut child, head, run.file, sink)).await;
        let (reply, status, stderr) = match ended {
            Ok(Ok(conversation)) => conversation,
            Ok(Err(error)) => {
                stop(&mut child).await;
                return Err(error);
            }
            Err(_) => {
                stop(&mut child).await;
                return Err(DecodeError::Timeout { job: run.owner, limit: run.wall });
            }
        };
        match reply {
            Some(ending) if status.success() => Ok(ending),
            _ => Err(died(run.owner, status, stderr)),
        }
    }

    fn spawn(&self) -> Result<Child, DecodeError> {
        let mut command = Command::new(&self.options.worker);
        command
            .arg("decode-worker")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        // Ctrl-C on the terminal asks the validator to drain; it must not hit its workers.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(|e| broken(format!("cannot start {}: {e}", self.options.worker.display())))
    }
}

fn broken(detail: impl Into<String>) -> DecodeError {
    DecodeError::Worker { detail: detail.into() }
}

fn unexpected(ending: Ending) -> DecodeError {
    match ending {
        Ending::Failed { detail } => broken(printable(&detail)),
        _ => broken("the answer belongs to another job"),
    }
}

fn died(job: DecodeJob, status: ExitStatus, stderr: String) -> DecodeError {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    DecodeError::WorkerDied { job, signal, code: status.code(), stderr }
}

/// Kills and reaps; the process may be gone already.
async fn stop(child: &mut Child) {
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "decode worker could not be killed");
    }
}

/// Feeds the worker and reads its answer, its stderr and its status. The first broken rule ends it.
async fn converse(
    child: &mut Child,
    head: Vec<u8>,
    file: Bytes,
    sink: &mut impl ReplySink,
) -> Result<(Option<Ending>, ExitStatus, String), DecodeError> {
    let missing = || broken("the worker has no pipes");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    // The worker leaves when its stdin ends: `_open` holds the pipe until everything is read.
    let (_open, reply, stderr) =
        tokio::try_join!(feed(stdin, head, file), read_reply(stdout, sink), read_tail(stderr))?;
    let status = child.wait().await.map_err(|e| broken(format!("no exit status: {e}")))?;
    Ok((reply, status, stderr))
}

/// Writes the request. A worker that dies early breaks the pipe; its status tells more than that.
async fn feed(mut stdin: ChildStdin, head: Vec<u8>, file: Bytes) -> Result<ChildStdin, DecodeError> {
    for part in [&head[..], &file[..]] {
        if stdin.write_all(part).await.is_err() {
            break;
        }
    }
    Ok(stdin)
}

async fn read_tail(mut stderr: ChildStderr) -> Result<String, DecodeError> {
    let mut tail = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        tail.extend_from_slice(&buffer[..read]);
        tail.drain(..tail.len().saturating_sub(STDERR_TAIL));
    }
    Ok(printable(String::from_utf8_lossy(&tail).trim()))
}

/// Reads records into `sink` up to the ending; `None` where the worker stopped before it.
async fn read_reply(
    mut stdout: impl AsyncRead + Unpin,
    sink: &mut impl ReplySink,
) -> Result<Option<Ending>, DecodeError> {
    use super::protocol::Tag;
    loop {
        let mut head = [0; 5];
        if stdout.read_exact(&mut head).await.is_err() {
            return Ok(None);
        }
        let (tag, length) = parse_record_head(head)
            .ok_or_else(|| broken("the answer is not one of this version's records"))?;
        if tag == Tag::Ending {
            return read_ending(stdout, length).await;
        }
        let body = sink.body(tag, length)?;
        if stdout.read_exact(body).await.is_err() {
            return Ok(None);
        }
        sink.accept(tag)?;
    }
}

async fn read_ending(mut stdout: impl AsyncRead + Unpin, length: u32) -> Result<Option<Ending>, DecodeError> {
    if length > MAX_JSON {
        return Err(broken(format!("the ending claims {length} bytes")));
    }
    let mut json = vec![0; length as usize];
    if stdout.read_exact(&mut json).await.is_err() {
        return Ok(None);
    }
    let ending = serde_json::from_slice(&json).map_err(|e| broken(format!("ending: {e}")))?;
    match stdout.read(&mut [0]).await {
        Ok(0) => Ok(Some(ending)),
        _ => Err(broken("the answer goes on after its ending")),
    }
}

fn check_size(file: &Bytes, job: DecodeJob, limit: u64) -> Result<(), DecodeError> {
    let bytes = file.len() as u64;
    if bytes > limit { Err(DecodeError::TooLarge { job, bytes, limit }) } else { Ok(()) }
}

fn request_error(detail: impl Into<String>) -> DecodeError {
    DecodeError::Request { detail: detail.into() }
}

/// Sides are even and 2 to 4096, and all planes together stay within the budget.
fn check_frames(frames: u32, width: u32, height: u32) -> Result<(), DecodeError> {
    let side = |value: u32| (2..=MAX_SIDE).contains(&value) && value.is_multiple_of(2);
    if !side(width) || !side(height) {
        return Err(request_error(format!("{width}x{height}: sides must be even, 2 to {MAX_SIDE}")));
    }
    let bytes = u64::from(frames) * u64::from(width) * u64::from(height) * 3 / 2;
    if frames == 0 || bytes > MAX_PLANE_BYTES {
        return Err(request_error(format!(
            "{frames} frames of {width}x{height}: at least one frame, at most {MAX_PLANE_BYTES} bytes of planes"
        )));
    }
    Ok(())
}

fn check_spec(spec: ClipSpec) -> Result<(), DecodeError> {
    if spec.frames > MAX_CLIP_FRAMES || !(1..=1000).contains(&spec.fps) {
        return Err(request_error(format!(
            "{} frames at {} per second: at most {MAX_CLIP_FRAMES} frames, 1 to 1000 per second",
            spec.frames, spec.fps
        )));
    }
    check_frames(spec.frames, spec.width, spec.height)
}

fn check_extract(request: &ExtractRequest) -> Result<(), DecodeError> {
    if request.frames.len() > MAX_PICKS {
        return Err(request_error(format!("{} frames: at most {MAX_PICKS}", request.frames.len())));
    }
    if !request.frames.is_sorted() {
        return Err(request_error("frame indices must not decrease"));
    }
    let crop = request.crop;
    let numbers = [crop.x, crop.y, crop.width, crop.height];
    let even = numbers.iter().all(|n| n.is_multiple_of(2) && *n <= MAX_SIDE);
    if !even || crop.width == 0 || crop.height == 0 {
        return Err(request_error(format!("{crop:?}: even numbers up to {MAX_SIDE}, not empty")));
    }
    check_frames(request.frames.len() as u32, request.width, request.height)
}

#[cfg(test)]
mod tests {
    use super::{super::protocol::RecordWriter, *};
    use crate::domain::score::GateId;

    async fn replay(bytes: &[u8]) -> Result<Option<Ending>, DecodeError> {
        read_reply(bytes, &mut PlaneSink::new(2, 2, 2)).await
    }

    fn reply(frames: &[&[u8]], ending: Option<&Ending>) -> Vec<u8> {
        let mut writer = RecordWriter(Vec::new());
        frames.iter().for_each(|planes| writer.frame(planes).expect("memory"));
        ending.iter().for_each(|ending| writer.ending(ending).expect("memory"));
        writer.0
    }

    #[tokio::test]
    async fn a_whole_reply_is_read() {
        let bytes = reply(&[&[1; 6], &[2; 6]], Some(&Ending::Source));
        let mut sink = PlaneSink::new(2, 2, 2);
        assert_eq!(read_reply(&bytes[..], &mut sink).await, Ok(Some(Ending::Source)));
        assert_eq!(sink.finish().expect("two frames").frame(1).y, [2; 4]);
    }

    #[tokio::test]
    async fn every_cut_reply_is_a_dead_worker() {
        let bytes = reply(&[&[1; 6], &[2; 6]], Some(&Ending::Source));
        for end in 0..bytes.len() {
            assert_eq!(replay(&bytes[..end]).await, Ok(None), "cut at {end}");
        }
    }

    #[tokio::test]
    async fn a_worker_that_breaks_the_rules_is_ours_to_explain() {
        let refused = Ending::Refused { gate: GateId::G1, reason: "x".repeat(9000) };
        for bytes in [
            reply(&[&[1; 7]], None),                               // a frame of another size
            reply(&[&[1; 6], &[1; 6], &[1; 6]], None),             // one too many
            b"S\x0a\0\0\0".to_vec(),                               // a record of another job
            b"F\xff\xff\xff\xff".to_vec(),                         // 4 GiB
            vec![0; 64],                                           // noise
            reply(&[], Some(&refused)),                            // an ending without measure
            [reply(&[], Some(&Ending::Source)), vec![0]].concat(), // more after the end
        ] {
            assert!(matches!(replay(&bytes).await, Err(DecodeError::Worker { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn requests_that_no_clip_can_answer_are_refused() {
        let spec = ClipSpec { frames: 81, width: 832, height: 480, fps: 16 };
        assert_eq!(check_spec(spec), Ok(()));
        for bad in [
            ClipSpec { frames: 0, ..spec },
            ClipSpec { fps: 0, ..spec },
            ClipSpec { width: 833, ..spec },
            ClipSpec { height: 5000, ..spec },
            ClipSpec { frames: 1024, width: 4096, height: 4096, ..spec },
        ] {
            assert!(matches!(check_spec(bad), Err(DecodeError::Request { .. })), "{bad:?}");
        }
        let crop = super::super::CropRect { x: 0, y: 0, width: 64, height: 48 };
        let request = ExtractRequest { frames: vec![0, 0, 3], crop, width: 32, height: 24 };
        assert_eq!(check_extract(&request), Ok(()));
        let decreasing = ExtractRequest { frames: vec![1, 0], ..request.clone() };
        let odd = ExtractRequest { crop: super::super::CropRect { x: 1, ..crop }, ..request.clone() };
        let none = ExtractRequest { frames: vec![], ..request };
        for bad in [decreasing, odd, none] {
            assert!(matches!(check_extract(&bad), Err(DecodeError::Request { .. })), "{bad:?}");
        }
    }
}
