//! The decoder: ffmpeg over a file in memory, one video stream, frame by frame.
//!
//! Reads packets one by one (`packets()` of the binding skips damaged ones and hides I/O errors),
//! allows one demuxer and the listed software decoders, and reports instead of judging; `policy`
//! and `timing` judge.

use std::{io::Cursor, ptr};

use ffmpeg_next::{
    Dictionary, Packet, Rational, codec, decoder, ffi,
    format::{
        context::{Input, StreamIo},
        input_from_stream,
    },
    frame, media,
    packet::Ref as _,
};

use super::{
    ffmpeg_log,
    policy::{ColourTags, Picture, PixelFormat, Refusal, StreamCounts, StreamFacts},
    protocol::{Codec, ContainerKind},
    timing::TimeBase,
};
use crate::domain::score::GateId;

/// How a file is opened.
pub(super) struct OpenParams<'a> {
    /// The container that its bytes showed.
    pub(super) container: ContainerKind,
    /// Codecs to allow.
    pub(super) codecs: &'a [Codec],
    /// Whether an edit list is left out of account: every stored frame is then decoded at its
    /// stored time.
    pub(super) ignore_edits: bool,
    /// Decoder threads.
    pub(super) threads: u32,
}

/// What the decoder did from the first to the last packet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DecodeTotals {
    pub(super) packets: u64,
    pub(super) frames: u64,
    /// Packets that an edit list takes out of the presentation.
    pub(super) discarded: u64,
    /// Frames that the container declares, 0 where it does not.
    pub(super) declared: u64,
}

/// Whether decoding goes on after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    Stop,
}

/// A file whose single video stream can be decoded.
pub(super) struct VideoFile {
    input: Input,
    stream: usize,
    threads: u32,
    pub(super) counts: StreamCounts,
    pub(super) facts: StreamFacts,
}

fn undecodable(what: &str, error: ffmpeg_next::Error) -> Refusal {
    Refusal::new(GateId::G13, format!("{what}: {error}"))
}

/// Names of the software decoders of a codec, best first. Named, because the first decoder that
/// ffmpeg knows for a codec may be a hardware one.
fn decoder_names(codec: Codec) -> &'static [&'static str] {
    match codec {
        Codec::H264 => &["h264"],
        Codec::Hevc => &["hevc"],
        Codec::Vp9 => &["vp9"],
        Codec::Av1 => &["libdav1d", "libaom-av1"],
        Codec::Mpeg4 => &["mpeg4"],
    }
}

fn codec_of(id: codec::Id) -> Option<Codec> {
    match id {
        codec::Id::H264 => Some(Codec::H264),
        codec::Id::HEVC => Some(Codec::Hevc),
        codec::Id::VP9 => Some(Codec::Vp9),
        codec::Id::AV1 => Some(Codec::Av1),
        codec::Id::MPEG4 => Some(Codec::Mpeg4),
        _ => None,
    }
}

impl VideoFile {
    /// Opens a file in memory and reads what its headers say.
    pub(super) fn open(file: Vec<u8>, params: &OpenParams<'_>) -> Result<Self, Refusal> {
        // Only fills the table of error texts; cannot fail in the features used here.
        let _ = ffmpeg_next::init();
        ffmpeg_log::capture();
        let demuxer = match params.container {
            ContainerKind::Mp4 | ContainerKind::Mov => "mov",
            ContainerKind::Webm => "webm",
        };
        let decoders: Vec<&str> =
            params.codecs.iter().flat_map(|&codec| decoder_names(codec)).copied().collect();
        let mut options = Dictionary::new();
        options.set("format_whitelist", demuxer);
        options.set("codec_whitelist", &decoders.join(","));
        options.set("protocol_whitelist", "");
        options.set("max_streams", "16");
        if params.ignore_edits && demuxer == "mov" {
            options.set("ignore_editlist", "1");
        }
        let io = StreamIo::from_read_seek(Cursor::new(file)).map_err(|e| undecodable("no memory", e))?;
        let input = input_from_stream(io, None, Some(options))
            .map_err(|e| undecodable("the container cannot be read", e))?;
        // Opening logs an error for every stream whose decoder is not allowed, such as audio.
        // Damage that matters shows again when the packets are read.
        ffmpeg_log::capture();
        Self::inspect(input, params)
    }

    fn inspect(input: Input, params: &OpenParams<'_>) -> Result<Self, Refusal> {
        let mut counts = StreamCounts::default();
        let mut video = None;
        for stream in input.streams() {
            match stream.parameters().medium() {
                media::Type::Video => {
                    counts.video += 1;
                    video.get_or_insert(stream.index());
                }
                media::Type::Audio => counts.audio += 1,
                _ => counts.other += 1,
            }
        }
        let none = || Refusal::new(GateId::G13, "no video stream");
        let index = video.ok_or_else(none)?;
        let stream = input.stream(index).ok_or_else(none)?;
        let codec = codec_of(stream.parameters().id())
            .filter(|codec| params.codecs.contains(codec))
            .ok_or_else(|| {
                let id = stream.parameters().id();
                Refusal::new(GateId::G13, format!("codec {id:?}: only {:?} are allowed", params.codecs))
            })?;
        let Rational(numerator, denominator) = stream.time_base();
        let (Ok(numerator @ 1..), Ok(denominator @ 1..)) =
            (u32::try_from(numerator), u32::try_from(denominator))
        else {
            return Err(Refusal::new(GateId::G10, format!("time base {numerator}/{denominator}")));
        };
        let time_base = TimeBase { numerator, denominator };
        let facts = StreamFacts { codec, time_base, picture: stream_picture(&stream) };
        Ok(Self { stream: index, threads: params.threads, counts, facts, input })
    }

    fn open_decoder(&self, max_pixels: u64) -> Result<decoder::Video, Refusal> {
        let missing = || Refusal::new(GateId::G13, format!("no decoder for {:?}", self.facts.codec));
        let stream = self.input.stream(self.stream).ok_or_else(missing)?;
        let codec = decoder_names(self.facts.codec)
            .iter()
            .find_map(|name| decoder::find_by_name(name))
            .ok_or_else(missing)?;
        let mut options = Dictionary::new();
        options.set("threads", &self.threads.to_string());
        options.set("flags", "bitexact");
        if self.facts.codec == Codec::Mpeg4 {
            // Its standard leaves the inverse transform open; this one has the same bits on every CPU.
            options.set("idct", "simple");
        }
        options.set("err_detect", "crccheck+bitstream+buffer+explode");
        options.set("max_pixels", &max_pixels.to_string());
        let mut context = codec::Context::from_parameters(stream.parameters())
            .map_err(|e| undecodable("codec parameters", e))?
            .decoder();
        context.set_packet_time_base(stream.time_base());
        context
            .open_as_with(codec, options)
            .and_then(decoder::Opened::video)
            .map_err(|e| undecodable("the decoder cannot be opened", e))
    }

    /// Decodes every frame in presentation order until the end or `visit` stops. No frame may have
    /// more than `max_pixels`.
    pub(super) fn decode<E: From<Refusal>>(
        &mut self,
        max_pixels: u64,
        mut visit: impl FnMut(&DecodedFrame) -> Result<Next, E>,
    ) -> Result<DecodeTotals, E> {
        let mut decoder = self.open_decoder(max_pixels)?;
        let declared = self.input.stream(self.stream).map_or(0, |stream| stream.frames());
        let mut totals =
            DecodeTotals { declared: u64::try_from(declared).unwrap_or(0), ..DecodeTotals::default() };
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.stream => continue,
                Ok(()) => {}
                Err(ffmpeg_next::Error::Eof) => break,
                Err(e) => return Err(undecodable("a packet cannot be read", e).into()),
            }
            totals.packets += 1;
            totals.discarded += u64::from(check_packet(&packet)?);
            let sent = decoder.send_packet(&packet);
            sent.map_err(|e| undecodable(&format!("packet {}", totals.packets - 1), e))?;
            if receive(&mut decoder, &mut totals, &mut visit)? == Next::Stop {
                return Ok(totals);
            }
        }
        decoder.send_eof().map_err(|e| undecodable("end of stream", e))?;
        receive(&mut decoder, &mut totals, &mut visit)?;
        Ok(totals)
    }
}

/// Refuses damaged packets; tells whether the container takes the packet out of the presentation.
fn check_packet(packet: &Packet) -> Result<bool, Refusal> {
    if packet.is_corrupt() {
        return Err(Refusal::new(GateId::G13, "a packet is cut off or damaged"));
    }
    // SAFETY: the packet is alive; `flags` is a plain integer.
    let flags = unsafe { (*packet.as_ptr()).flags };
    Ok(flags & ffi::AV_PKT_FLAG_DISCARD != 0)
}

/// Takes every frame that the decoder has ready.
fn receive<E: From<Refusal>>(
    decoder: &mut decoder::Video,
    totals: &mut DecodeTotals,
    visit: &mut impl FnMut(&DecodedFrame) -> Result<Next, E>,
) -> Result<Next, E> {
    loop {
        let mut frame = frame::Video::empty();
        match decoder.receive_frame(&mut frame) {
            Ok(()) => {}
            Err(ffmpeg_next::Error::Eof | ffmpeg_next::Error::Other { errno: libc::EAGAIN }) => {
                return Ok(Next::Continue);
            }
            Err(e) => return Err(undecodable(&format!("frame {}", totals.frames), e).into()),
        }
        totals.frames += 1;
        if visit(&DecodedFrame(frame))? == Next::Stop {
            return Ok(Next::Stop);
        }
    }
}

/// One decoded frame.
pub(super) struct DecodedFrame(frame::Video);

impl DecodedFrame {
    /// Presentation time in ticks of the stream's time base, where the stream gives one.
    pub(super) fn time(&self) -> Option<i64> {
        self.0.pts()
    }

    /// Whether the decoder knows that pixels are missing or concealed.
    pub(super) fn is_damaged(&self) -> bool {
        self.0.is_corrupt() || self.0.has_decode_errors()
    }

    /// What the frame says of itself.
    pub(super) fn picture(&self) -> Picture {
        let frame = &self.0;
        let Rational(horizontal, vertical) = frame.aspect_ratio();
        // SAFETY: the frame is alive and its fields are plain data.
        let (format, colour, display_data) = unsafe {
            let raw = frame.as_ptr();
            let colour = colour_tags(
                ptr::addr_of!((*raw).color_range),
                ptr::addr_of!((*raw).color_primaries),
                ptr::addr_of!((*raw).color_trc),
                ptr::addr_of!((*raw).colorspace),
            );
            ((*raw).format, colour, frame_display_data(frame))
        };
        Picture {
            width: frame.width(),
            height: frame.height(),
            format: pixel_format(format),
            colour,
            sample_aspect: (horizontal, vertical),
            interlaced: frame.is_interlaced(),
            display_data,
        }
    }

    /// Appends plane 0 (Y), 1 (U) or 2 (V) of an 8-bit 4:2:0 frame, without row padding.
    pub(super) fn append_plane(&self, index: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let shift = usize::from(index > 0);
        let width = (self.0.width() as usize).div_ceil(1 << shift);
        let height = (self.0.height() as usize).div_ceil(1 << shift);
        // SAFETY: the frame is alive; `index` is below 3, the arrays have 8 entries.
        let (data, stride) = unsafe {
            let raw = self.0.as_ptr();
            ((*raw).data[index.min(2)], (*raw).linesize[index.min(2)])
        };
        let planar = matches!(pixel_format(self.raw_format()), PixelFormat::Yuv420p | PixelFormat::Yuvj420p);
        let stride = usize::try_from(stride).unwrap_or(0);
        if !planar || data.is_null() || stride < width {
            return Err(Refusal::new(GateId::G13, "the decoder returned a frame without planes"));
        }
        for row in 0..height {
            // SAFETY: an 8-bit 4:2:0 frame of this size has `height` rows of at least `width` bytes,
            // `stride` apart, in this plane.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(data.add(row * stride), width) });
        }
        Ok(())
    }

    fn raw_format(&self) -> i32 {
        // SAFETY: the frame is alive; `format` is a plain integer.
        unsafe { (*self.0.as_ptr()).format }
    }
}

fn pixel_format(format: i32) -> PixelFormat {
    use ffi::AVPixelFormat::{AV_PIX_FMT_NONE, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P};
    if format == AV_PIX_FMT_YUV420P as i32 {
        return PixelFormat::Yuv420p;
    }
    if format == AV_PIX_FMT_YUVJ420P as i32 {
        return PixelFormat::Yuvj420p;
    }
    if format == AV_PIX_FMT_NONE as i32 {
        return PixelFormat::Unknown;
    }
    // SAFETY: the number comes from the library that this binding was generated for.
    let name = unsafe { ffi::av_get_pix_fmt_name(std::mem::transmute::<i32, ffi::AVPixelFormat>(format)) };
    if name.is_null() {
        return PixelFormat::Other(format!("number {format}"));
    }
    // SAFETY: a static nul-terminated string.
    PixelFormat::Other(unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

/// Reads colour tags as numbers: they come from the file, so they are not trusted to be variants
/// of the binding's enums.
unsafe fn colour_tags<A, B, C, D>(
    range: *const A,
    primaries: *const B,
    transfer: *const C,
    matrix: *const D,
) -> ColourTags {
    const JPEG: u32 = ffi::AVColorRange::AVCOL_RANGE_JPEG as u32;
    // SAFETY: the caller passes pointers to live C enums, which are 32 bits wide.
    unsafe {
        ColourTags {
            full_range: range.cast::<u32>().read() == JPEG,
            primaries: primaries.cast::<u32>().read(),
            transfer: transfer.cast::<u32>().read(),
            matrix: matrix.cast::<u32>().read(),
        }
    }
}

fn stream_picture(stream: &ffmpeg_next::Stream<'_>) -> Picture {
    let parameters = stream.parameters();
    // SAFETY: stream and parameters are alive and their fields are plain data.
    let (width, height, format, aspects, colour) = unsafe {
        let raw = parameters.as_ptr();
        let colour = colour_tags(
            ptr::addr_of!((*raw).color_range),
            ptr::addr_of!((*raw).color_primaries),
            ptr::addr_of!((*raw).color_trc),
            ptr::addr_of!((*raw).color_space),
        );
        let aspects = [(*stream.as_ptr()).sample_aspect_ratio, (*raw).sample_aspect_ratio];
        ((*raw).width, (*raw).height, (*raw).format, aspects, colour)
    };
    let aspects = aspects.map(|aspect| (aspect.num, aspect.den));
    let is_square =
        |&(horizontal, vertical): &(i32, i32)| horizontal == 0 || vertical == 0 || horizontal == vertical;
    Picture {
        width: u32::try_from(width).unwrap_or(0),
        height: u32::try_from(height).unwrap_or(0),
        format: pixel_format(format),
        colour,
        sample_aspect: aspects.into_iter().find(|aspect| !is_square(aspect)).unwrap_or((1, 1)),
        interlaced: false, // judged frame by frame
        display_data: stream_display_data(stream),
    }
}

/// Stream-level data that changes how pictures are shown. Bit rate hints are the only kind that an
/// ordinary file carries.
fn stream_display_data(stream: &ffmpeg_next::Stream<'_>) -> Vec<String> {
    use ffmpeg_next::packet::side_data::Type;
    let mut found: Vec<String> = stream
        .side_data()
        .map(|data| data.kind())
        .filter(|kind| *kind != Type::CBPProperties)
        .map(|kind| match kind {
            Type::DisplayMatrix => "rotation".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    if stream.metadata().get("alpha_mode").is_some_and(|mode| mode.as_bytes() != b"0") {
        found.push("alpha channel".to_owned());
    }
    found
}

/// Frame-level data that changes how a picture is shown.
fn frame_display_data(frame: &frame::Video) -> Vec<String> {
    use frame::side_data::Type;
    [
        (Type::DisplayMatrix, "rotation"),
        (Type::MasteringDisplayMetadata, "HDR mastering data"),
        (Type::ContentLightLevel, "HDR light level"),
        (Type::DYNAMIC_HDR_PLUS, "HDR10+ data"),
        (Type::DOVI_METADATA, "Dolby Vision data"),
        (Type::Stereo3D, "stereo 3D"),
        (Type::Spherical, "spherical projection"),
    ]
    .into_iter()
    .filter(|(kind, _)| frame.side_data(*kind).is_some())
    .map(|(_, name)| name.to_owned())
    .collect()
}

/// The first error that the decoder logged since the file was opened.
pub(super) fn logged_error() -> Option<String> {
    ffmpeg_log::first_error()
}
