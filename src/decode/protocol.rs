//! What parent and child say to each other.
//!
//! Parent to child, once: `"LDW1"`, the length of the header (u32 little endian), the header as
//! JSON ([`Request`]), then exactly `input_bytes` bytes of the file. The pipe then stays open: its
//! end tells the child that the parent is gone.
//!
//! Child to parent: records, each a tag byte and a length (u32 little endian) before its body.
//! `F` one frame's planes, `H` a [`ScanHeader`] as JSON, `S` one scanned frame (time in
//! microseconds, u64 little endian, then the thumbnail), `E` the [`Ending`] as JSON; after `E`
//! nothing follows.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use crate::domain::{plan::ClipSpec, score::GateId};

/// First bytes of a request.
const MAGIC: [u8; 4] = *b"LDW1";
/// Largest header of a request, in bytes: an extraction names at most [`MAX_PICKS`] frames.
const MAX_HEADER: u32 = 64 * 1024;
/// Largest JSON body of a record, in bytes.
pub(super) const MAX_JSON: u32 = 4 * 1024;
/// Largest side of any frame, in pixels.
pub(super) const MAX_SIDE: u32 = 4096;
/// Most frames that a clip may be asked for.
pub(super) const MAX_CLIP_FRAMES: u32 = 1024;
/// Most frames that one extraction may pick.
pub(super) const MAX_PICKS: usize = 1024;
/// Most bytes of planes that one reply may carry.
pub(super) const MAX_PLANE_BYTES: u64 = 512 * 1024 * 1024;
/// Most frames of a source clip.
pub(super) const MAX_SOURCE_FRAMES: u32 = 36_000;
/// Largest thumbnail of a scan, width and height.
pub(super) const THUMBNAIL: (usize, usize) = (64, 36);

/// Containers that are decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerKind {
    /// ISO base media file.
    Mp4,
    /// QuickTime file.
    Mov,
    /// WebM, the restricted Matroska.
    Webm,
}

/// Video codecs that are decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// AVC.
    H264,
    /// H.265.
    Hevc,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
    /// MPEG-4 part 2; source clips only.
    Mpeg4,
}

/// What was seen of an accepted clip besides its pixels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipFacts {
    /// The container.
    pub container: ContainerKind,
    /// The codec.
    pub codec: Codec,
    /// Frames in the file; those beyond the asked number were cut.
    pub decoded_frames: u32,
    /// Numerator of the stream's time base, in seconds per tick.
    pub time_base_numerator: u32,
    /// Denominator of the stream's time base.
    pub time_base_denominator: u32,
    /// Bits of the whole file per second of video at the asked rate.
    pub bit_rate: u64,
    /// Number of audio streams, which are never decoded.
    pub audio_streams: u32,
}

/// A crop of a source frame in luma pixels; every number is even.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropRect {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Which frames of a source clip to return, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractRequest {
    /// Indices as in [`SourceScan::frames`], non-decreasing; a repeated index repeats the frame.
    pub frames: Vec<u32>,
    /// The part of each frame to take.
    pub crop: CropRect,
    /// Width of the result in pixels, even.
    pub width: u32,
    /// Height of the result in pixels, even.
    pub height: u32,
}

/// One frame of a scanned source clip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScanFrame {
    /// Presentation time from the first frame, in microseconds.
    pub pts_us: u64,
    /// Luma thumbnail `[thumb_height, thumb_width]`: exact box average.
    pub thumb: Vec<u8>,
}

/// Every frame of a source clip, in presentation order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceScan {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width of each thumbnail, `min(width, 64)`.
    pub thumb_width: u32,
    /// Height of each thumbnail, `min(height, 36)`.
    pub thumb_height: u32,
    /// The frames; times rise strictly.
    pub frames: Vec<ScanFrame>,
}

/// What the child is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub(super) enum Job {
    /// Decode and judge a miner's clip.
    Clip { spec: ClipSpec },
    /// Time and thumbnail of every frame.
    Scan,
    /// Picked, cropped, scaled frames.
    Extract { request: ExtractRequest },
}

/// Caps that the child puts on itself before it looks at the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Address space in bytes.
    pub(super) memory_bytes: u64,
    /// CPU time in seconds.
    pub(super) cpu_seconds: u64,
}

/// Header of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) job: Job,
    pub(super) limits: Limits,
    /// Bytes of the file that follow.
    pub(super) input_bytes: u64,
}

/// Size of the frames that a scan reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanHeader {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ending {
    /// All frames of a clip were sent.
    Clip { facts: ClipFacts },
    /// All records of a source job were sent.
    Source,
    /// The file is refused.
    Refused { gate: GateId, reason: String },
    /// The child could not do its work; not the file's fault.
    Failed { detail: String },
}

/// Kind of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tag {
    Frame,
    ScanHeader,
    ScanFrame,
    Ending,
}

impl Tag {
    fn byte(self) -> u8 {
        match self {
            Tag::Frame => b'F',
            Tag::ScanHeader => b'H',
            Tag::ScanFrame => b'S',
            Tag::Ending => b'E',
        }
    }
}

/// Tag and body length of a record.
pub(super) fn parse_record_head(head: [u8; 5]) -> Option<(Tag, u32)> {
    let tag = [Tag::Frame, Tag::ScanHeader, Tag::ScanFrame, Tag::Ending]
        .into_iter()
        .find(|tag| tag.byte() == head[0])?;
    Some((tag, u32::from_le_bytes([head[1], head[2], head[3], head[4]])))
}

/// The bytes before the file: magic, length and JSON.
pub(super) fn encode_request(request: &Request) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(request)?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&(json.len() as u32).to_le_bytes());
    out.extend_from_slice(&json);
    Ok(out)
}

/// Reads a request and its file (child side).
pub(super) fn read_request(mut from: impl Read) -> std::io::Result<(Request, Vec<u8>)> {
    let invalid = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let mut head = [0; 8];
    from.read_exact(&mut head)?;
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if head[..4] != MAGIC || length > MAX_HEADER {
        return Err(invalid("not a request of this version"));
    }
    let mut json = vec![0; length as usize];
    from.read_exact(&mut json)?;
    let request: Request = serde_json::from_slice(&json)?;
    let mut file = Vec::new();
    let expected = usize::try_from(request.input_bytes).map_err(|_| invalid("file too large"))?;
    file.try_reserve_exact(expected).map_err(|_| invalid("no memory for the file"))?;
    from.take(request.input_bytes).read_to_end(&mut file)?;
    if file.len() != expected {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok((request, file))
}

/// Writes records (child side).
pub(super) struct RecordWriter<W: Write>(pub(super) W);

impl<W: Write> RecordWriter<W> {
    fn record(&mut self, tag: Tag, parts: &[&[u8]]) -> std::io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(std::io::Error::other)?;
        let mut head = [tag.byte(); 5];
        head[1..].copy_from_slice(&length.to_le_bytes());
        self.0.write_all(&head)?;
        parts.iter().try_for_each(|part| self.0.write_all(part))
    }

    /// One frame's planes.
    pub(super) fn frame(&mut self, planes: &[u8]) -> std::io::Result<()> {
        self.record(Tag::Frame, &[planes])
    }

    /// Size of a scanned source.
    pub(super) fn scan_header(&mut self, header: ScanHeader) -> std::io::Result<()> {
        self.record(Tag::ScanHeader, &[&serde_json::to_vec(&header)?])
    }

    /// One scanned frame.
    pub(super) fn scan_frame(&mut self, frame: &ScanFrame) -> std::io::Result<()> {
        self.record(Tag::ScanFrame, &[&frame.pts_us.to_le_bytes(), &frame.thumb])
    }

    /// The last record.
    pub(super) fn ending(&mut self, ending: &Ending) -> std::io::Result<()> {
        self.record(Tag::Ending, &[&serde_json::to_vec(ending)?])?;
        self.0.flush()
    }
}

/// Text from the child as it may be shown: printable, at most 400 characters. The child saw the
/// hostile file, so its words are hostile too.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let spec = ClipSpec { frames: 81, width: 832, height: 480, fps: 16 };
        Request {
            job: Job::Clip { spec },
            limits: Limits { memory_bytes: 1 << 30, cpu_seconds: 30 },
            input_bytes: 5,
        }
    }

    #[test]
    fn a_request_reads_back_and_the_rest_of_the_pipe_is_left() {
        let mut bytes = encode_request(&request()).expect("json");
        bytes.extend_from_slice(b"filexmore");
        let mut pipe = bytes.as_slice();
        assert_eq!(read_request(&mut pipe).expect("whole"), (request(), b"filex".to_vec()));
        assert_eq!(pipe, b"more");
    }

    #[test]
    fn a_cut_or_foreign_request_is_refused() {
        let mut bytes = encode_request(&request()).expect("json");
        bytes.extend_from_slice(b"file");
        for end in [0, 3, 8, 20, bytes.len()] {
            assert!(read_request(&bytes[..end]).is_err(), "cut at {end}");
        }
        bytes[0] = b'X';
        assert!(read_request(bytes.as_slice()).is_err());
    }

    #[test]
    fn the_largest_extraction_fits_the_header() {
        let crop = CropRect { x: 4094, y: 4094, width: 4096, height: 4096 };
        let frames = vec![MAX_SOURCE_FRAMES; MAX_PICKS];
        let job = Job::Extract { request: ExtractRequest { frames, crop, width: 4096, height: 4096 } };
        let bytes = encode_request(&Request { job, ..request() }).expect("json");
        assert!(bytes.len() < MAX_HEADER as usize);
    }

    #[test]
    fn records_have_the_published_layout() {
        let mut writer = RecordWriter(Vec::new());
        writer.scan_frame(&ScanFrame { pts_us: 0x0102, thumb: vec![7, 8] }).expect("memory");
        assert_eq!(writer.0, [b'S', 10, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 7, 8]);
        assert_eq!(parse_record_head([b'S', 10, 0, 0, 0]), Some((Tag::ScanFrame, 10)));
        assert_eq!(parse_record_head([0; 5]), None);
    }

    #[test]
    fn shown_text_is_bounded_and_printable() {
        assert_eq!(printable("a\x1b[31m\nb"), "a [31m b");
        assert_eq!(printable(&"x".repeat(5000)).len(), 400);
    }
}
