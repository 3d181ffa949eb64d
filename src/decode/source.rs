//! The child's work on a clip of our own corpus: scan its frames, or cut, crop and scale some.

use std::io::Write;

use super::{
    container,
    ffmpeg::{DecodedFrame, Next, OpenParams, VideoFile},
    policy::{Picture, PixelFormat, Refusal, check_source_picture, check_streams},
    protocol::{
        Codec, ExtractRequest, MAX_SIDE, MAX_SOURCE_FRAMES, RecordWriter, ScanFrame, ScanHeader, THUMBNAIL,
    },
    worker::JobError,
};
use crate::{
    domain::score::GateId,
    quality::resample::{
        Area, PlaneRef, ResampleError, Resampler, limit_chroma_range, limit_luma_range, thumbnail,
    },
};

/// Codecs of source clips.
const CODECS: [Codec; 5] = [Codec::H264, Codec::Hevc, Codec::Vp9, Codec::Av1, Codec::Mpeg4];
/// A fixed number, so that memory does not depend on the machine.
const THREADS: u32 = 2;
/// Pixels of the largest frame with its codec's padding.
const MAX_PIXELS: u64 = (MAX_SIDE as u64 + 64) * (MAX_SIDE as u64 + 64);

impl From<ResampleError> for Refusal {
    fn from(error: ResampleError) -> Self {
        Refusal::new(GateId::G12, error.to_string())
    }
}

fn open(file: Vec<u8>) -> Result<VideoFile, Refusal> {
    let kind = container::identify(&file)?;
    // Edit lists are honoured: what a player does not show is no source material.
    let open = OpenParams { container: kind, codecs: &CODECS, ignore_edits: false, threads: THREADS };
    let video = VideoFile::open(file, &open)?;
    check_streams(video.counts)?;
    check_source_picture(&video.facts.picture, MAX_SIDE)?;
    Ok(video)
}

/// Holds every frame of a source to the first one's size and to the whitelist.
struct FrameCheck {
    first: Option<Picture>,
    count: u32,
}

impl FrameCheck {
    const NEW: Self = Self { first: None, count: 0 };

    /// Index of the frame in presentation order and what it says of itself.
    fn admit(&mut self, frame: &DecodedFrame) -> Result<(u32, Picture), Refusal> {
        let index = self.count;
        let g13 = |reason: String| Err(Refusal::new(GateId::G13, reason));
        if frame.is_damaged() {
            return g13(format!("frame {index} is damaged"));
        }
        if index >= MAX_SOURCE_FRAMES {
            return g13(format!("more than {MAX_SOURCE_FRAMES} frames"));
        }
        let picture = frame.picture();
        check_source_picture(&picture, MAX_SIDE)?;
        let first = self.first.get_or_insert_with(|| picture.clone());
        if (first.width, first.height) != (picture.width, picture.height) {
            return Err(Refusal::new(GateId::G12, format!("the size changes at frame {index}")));
        }
        self.count += 1;
        Ok((index, picture))
    }
}

/// Sends the size, then time and thumbnail of every frame.
pub(super) fn scan(file: Vec<u8>, out: &mut RecordWriter<impl Write>) -> Result<(), JobError> {
    let mut video = open(file)?;
    let base = video.facts.time_base;
    let mut check = FrameCheck::NEW;
    let mut luma = Vec::new();
    let mut times: Option<(i64, i64)> = None; // first, previous
    video.decode(MAX_PIXELS, |frame| {
        let (index, picture) = check.admit(frame)?;
        let untimed = || Refusal::new(GateId::G10, format!("frame {index} has no rising time"));
        let time = frame.time().ok_or_else(untimed)?;
        let first = times.map_or(time, |(first, _)| first);
        let ticks = time.checked_sub(first).ok_or_else(untimed)?;
        if times.is_some_and(|(_, previous)| time <= previous) {
            return Err(untimed().into());
        }
        times = Some((first, time));
        let (width, height) = (picture.width as usize, picture.height as usize);
        if index == 0 {
            out.scan_header(ScanHeader { width: picture.width, height: picture.height })?;
        }
        luma.clear();
        frame.append_plane(0, &mut luma)?;
        let thumb = thumbnail(PlaneRef { data: &luma, width, height }, THUMBNAIL).map_err(Refusal::from)?;
        out.scan_frame(&ScanFrame { pts_us: base.micros(ticks).unsigned_abs(), thumb })?;
        Ok::<Next, JobError>(Next::Continue)
    })?;
    if check.count == 0 {
        return Err(Refusal::new(GateId::G13, "no frame can be decoded").into());
    }
    Ok(())
}

/// The scalers of one clip's luma and chroma planes.
struct Scaler {
    luma: Resampler,
    chroma: Resampler,
}

impl Scaler {
    fn new(picture: &Picture, request: &ExtractRequest) -> Result<Self, ResampleError> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let crop = request.crop;
        let area = |shift: u32| Area {
            x: (crop.x >> shift) as usize,
            y: (crop.y >> shift) as usize,
            width: (crop.width >> shift) as usize,
            height: (crop.height >> shift) as usize,
        };
        let (target_width, target_height) = (request.width as usize, request.height as usize);
        let chroma_source = (width.div_ceil(2), height.div_ceil(2));
        Ok(Self {
            luma: Resampler::new((width, height), area(0), (target_width, target_height))?,
            chroma: Resampler::new(chroma_source, area(1), (target_width / 2, target_height / 2))?,
        })
    }

    /// The frame's planes at the target size, limited range.
    fn apply(&self, frame: &DecodedFrame, picture: &Picture) -> Result<Vec<u8>, Refusal> {
        let full_range = picture.colour.full_range || picture.format == PixelFormat::Yuvj420p;
        let (width, height) = (picture.width as usize, picture.height as usize);
        let mut planes = Vec::new();
        for index in 0..3 {
            let mut data = Vec::new();
            frame.append_plane(index, &mut data)?;
            let mut scaled = if index == 0 {
                self.luma.apply(PlaneRef { data: &data, width, height })?
            } else {
                let (width, height) = (width.div_ceil(2), height.div_ceil(2));
                self.chroma.apply(PlaneRef { data: &data, width, height })?
            };
            match (full_range, index) {
                (false, _) => {}
                (true, 0) => limit_luma_range(&mut scaled),
                (true, _) => limit_chroma_range(&mut scaled),
            }
            planes.append(&mut scaled);
        }
        Ok(planes)
    }
}

/// Sends the picked frames; decoding ends with the last of them.
pub(super) fn extract(
    file: Vec<u8>,
    request: &ExtractRequest,
    out: &mut RecordWriter<impl Write>,
) -> Result<(), JobError> {
    let mut video = open(file)?;
    let mut check = FrameCheck::NEW;
    let mut scaler = None;
    let mut picks = request.frames.iter().copied().peekable();
    video.decode(MAX_PIXELS, |frame| {
        let (index, picture) = check.admit(frame)?;
        if picks.peek() == Some(&index) {
            let scaler = match &mut scaler {
                Some(scaler) => scaler,
                empty => empty.insert(Scaler::new(&picture, request).map_err(Refusal::from)?),
            };
            let planes = scaler.apply(frame, &picture)?;
            while picks.next_if_eq(&index).is_some() {
                out.frame(&planes)?;
            }
        }
        Ok::<Next, JobError>(if picks.peek().is_some() { Next::Continue } else { Next::Stop })
    })?;
    match picks.peek() {
        None => Ok(()),
        Some(missing) => {
            let reason = format!("frame {missing} asked, the clip has {}", check.count);
            Err(Refusal::new(GateId::G13, reason).into())
        }
    }
}
