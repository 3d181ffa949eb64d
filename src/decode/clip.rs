//! The child's judgement of a miner's clip: gates G1 and G10 to G13, then its planes.

use std::io::Write;

use super::{
    container, ffmpeg,
    ffmpeg::{DecodeTotals, Next, OpenParams, VideoFile},
    policy::{Refusal, check_clip_picture, check_streams},
    protocol::{ClipFacts, Codec, RecordWriter},
    timing::{self, TimingFault},
    worker::JobError,
};
use crate::{
    domain::{plan::ClipSpec, score::GateId},
    quality::frame::Yuv420Clip,
};

/// Codecs of miners' clips.
const CODECS: [Codec; 5] = [Codec::H264, Codec::Hevc, Codec::Vp9, Codec::Av1, Codec::Mpeg4];
/// Frames beyond the asked number that are cut; more are refused.
const MAX_SURPLUS: u32 = 4;
/// One thread: a validator decodes several clips at once, and each on one core is the least work.
const THREADS: u32 = 1;

/// Decodes and judges one clip; sends the asked frames as they are decoded.
pub(super) fn run(
    spec: ClipSpec,
    file: Vec<u8>,
    out: &mut RecordWriter<impl Write>,
) -> Result<ClipFacts, JobError> {
    let kind = container::identify(&file)?;
    let edits = container::inspect(kind, &file)?;
    let file_bytes = file.len() as u64;
    let open = OpenParams { container: kind, codecs: &CODECS, ignore_edits: true, threads: THREADS };
    let mut video = VideoFile::open(file, &open)?;
    check_streams(video.counts)?;
    check_clip_picture(&video.facts.picture, spec.width, spec.height)?;

    let mut times = Vec::new();
    let mut planes = Vec::with_capacity(Yuv420Clip::frame_bytes(spec.width as usize, spec.height as usize));
    // Codecs pad a picture to whole blocks of up to 64 pixels on a side, and MPEG-4 part 2 holds its
    // scratch lines (280 of them) against the same limit.
    let max_pixels = u64::from(spec.width + 128) * u64::from(spec.height.max(216) + 64);
    let totals = video.decode(max_pixels, |frame| {
        if frame.is_damaged() {
            return Err(Refusal::new(GateId::G13, format!("frame {} is damaged", times.len())).into());
        }
        check_clip_picture(&frame.picture(), spec.width, spec.height)?;
        times.push(frame.time());
        if times.len() > (spec.frames + MAX_SURPLUS) as usize {
            let most = spec.frames + MAX_SURPLUS;
            return Err(Refusal::new(GateId::G1, format!("more than {most} frames")).into());
        }
        if times.len() <= spec.frames as usize {
            planes.clear();
            (0..3).try_for_each(|plane| frame.append_plane(plane, &mut planes))?;
            out.frame(&planes)?;
        }
        Ok::<Next, JobError>(Next::Continue)
    })?;

    check_whole(totals)?;
    let timing_refusal = |fault: TimingFault| Refusal::new(GateId::G10, fault.to_string());
    let base = video.facts.time_base;
    let times: Vec<i64> =
        times.into_iter().collect::<Option<_>>().ok_or_else(|| timing_refusal(TimingFault::NoTime))?;
    timing::check_constant_rate(&times, base, spec.fps).map_err(timing_refusal)?;
    if let (Some(list), [first, ..], [.., last]) = (&edits, &times[..], &times[..]) {
        timing::check_edit_list(list, *first, *last, spec.fps).map_err(timing_refusal)?;
    }
    let frames = times.len() as u32;
    if frames < spec.frames {
        let asked = spec.frames;
        return Err(Refusal::new(GateId::G1, format!("{frames} frames, at least {asked} asked")).into());
    }
    Ok(ClipFacts {
        container: kind,
        codec: video.facts.codec,
        decoded_frames: frames,
        time_base_numerator: base.numerator,
        time_base_denominator: base.denominator,
        bit_rate: file_bytes * 8 * u64::from(spec.fps) / u64::from(frames.max(1)),
        audio_streams: video.counts.audio,
    })
}

/// Nothing was lost on the way from the declared to the decoded frames.
fn check_whole(totals: DecodeTotals) -> Result<(), Refusal> {
    let DecodeTotals { packets, frames, discarded, declared } = totals;
    if let Some(line) = ffmpeg::logged_error() {
        return Err(Refusal::new(GateId::G13, line));
    }
    if discarded > 0 {
        return Err(Refusal::new(GateId::G10, format!("{discarded} packets are marked as not shown")));
    }
    if frames != packets || (declared > 0 && declared != packets) {
        let reason = format!("{declared} frames declared, {packets} packets read, {frames} frames decoded");
        return Err(Refusal::new(GateId::G13, reason));
    }
    Ok(())
}
