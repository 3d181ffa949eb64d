//! The whitelist as pure rules over what the decoder reports: gates G11, G12 and the stream layout
//! part of G13.

use super::{protocol::Codec, timing::TimeBase};
use crate::domain::score::GateId;

/// A file refused by a gate; for a source clip only the reason counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) gate: GateId,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(gate: GateId, reason: impl Into<String>) -> Self {
        Self { gate, reason: reason.into() }
    }

    fn unless(held: bool, gate: GateId, reason: impl FnOnce() -> String) -> Result<(), Self> {
        if held { Ok(()) } else { Err(Self::new(gate, reason())) }
    }
}

/// Layout of the samples in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PixelFormat {
    /// 8-bit 4:2:0, limited range unless tagged.
    Yuv420p,
    /// 8-bit 4:2:0, full range.
    Yuvj420p,
    /// Anything else, by ffmpeg's name.
    Other(String),
    /// Not even the first frame could be decoded.
    Unknown,
}

impl std::fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PixelFormat::Yuv420p => "yuv420p",
            PixelFormat::Yuvj420p => "yuvj420p",
            PixelFormat::Other(name) => name,
            PixelFormat::Unknown => "unknown",
        })
    }
}

/// Colour tags as code points of ITU-T H.273; 2 is "unspecified".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColourTags {
    pub(super) full_range: bool,
    pub(super) primaries: u32,
    pub(super) transfer: u32,
    pub(super) matrix: u32,
}

/// Picture properties of a stream or of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: PixelFormat,
    pub(super) colour: ColourTags,
    /// Pixel aspect as tagged; a zero means unknown.
    pub(super) sample_aspect: (i32, i32),
    pub(super) interlaced: bool,
    /// Names of attached data that change how the picture is shown (rotation, HDR, 3D, alpha, ...).
    pub(super) display_data: Vec<String>,
}

/// The streams of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StreamCounts {
    pub(super) video: u32,
    pub(super) audio: u32,
    pub(super) other: u32,
}

/// What is known of the video stream before a frame is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamFacts {
    pub(super) codec: Codec,
    pub(super) time_base: TimeBase,
    pub(super) picture: Picture,
}

/// Transfer functions of standard dynamic range: BT.709, unspecified, gamma 2.2, gamma 2.8,
/// SMPTE 170M, SMPTE 240M, sRGB; 0 is reserved and means untagged.
const SDR_TRANSFERS: [u32; 8] = [0, 1, 2, 4, 5, 6, 7, 13];
/// Primaries of standard dynamic range: BT.709, unspecified, BT.470 M and BG, SMPTE 170M, 240M.
const SDR_PRIMARIES: [u32; 7] = [0, 1, 2, 4, 5, 6, 7];
/// YCbCr matrices of standard dynamic range; 0 would be RGB in YUV planes.
const SDR_MATRICES: [u32; 6] = [1, 2, 4, 5, 6, 7];

/// One video stream; audio beside it is allowed and never decoded; anything else is refused.
pub(super) fn check_streams(counts: StreamCounts) -> Result<(), Refusal> {
    let StreamCounts { video, audio, other } = counts;
    Refusal::unless(video == 1 && other == 0, GateId::G13, || {
        format!("{video} video, {audio} audio and {other} other streams: exactly one video stream is allowed")
    })
}

/// A stream whose format is unknown has no frame that can be decoded.
fn check_decodable(picture: &Picture) -> Result<(), Refusal> {
    Refusal::unless(picture.format != PixelFormat::Unknown, GateId::G13, || {
        "the first frame cannot be decoded".to_owned()
    })
}

/// G11 without the range tag: SDR, 8-bit 4:2:0, square pixels, progressive, shown as stored.
fn check_shown_as_stored(picture: &Picture) -> Result<(), Refusal> {
    let g11 = |held: bool, reason: &dyn Fn() -> String| Refusal::unless(held, GateId::G11, reason);
    let colour = picture.colour;
    let (horizontal, vertical) = picture.sample_aspect;
    g11(SDR_TRANSFERS.contains(&colour.transfer), &|| {
        format!("transfer function {} (H.273): only standard dynamic range is allowed", colour.transfer)
    })?;
    g11(SDR_PRIMARIES.contains(&colour.primaries), &|| {
        format!("colour primaries {} (H.273): only standard dynamic range is allowed", colour.primaries)
    })?;
    g11(SDR_MATRICES.contains(&colour.matrix), &|| {
        format!("colour matrix {} (H.273): only BT.601, BT.709 or untagged is allowed", colour.matrix)
    })?;
    g11(horizontal == 0 || vertical == 0 || horizontal == vertical, &|| {
        format!("pixel aspect {horizontal}:{vertical}: only square pixels are allowed")
    })?;
    g11(!picture.interlaced, &|| "interlaced: only progressive video is allowed".to_owned())?;
    g11(picture.display_data.is_empty(), &|| {
        format!("{}: pictures must be shown as stored", picture.display_data.join(", "))
    })
}

/// The whitelist for a miner's clip: G11, then G12.
pub(super) fn check_clip_picture(picture: &Picture, width: u32, height: u32) -> Result<(), Refusal> {
    check_decodable(picture)?;
    Refusal::unless(
        picture.format == PixelFormat::Yuv420p && !picture.colour.full_range,
        GateId::G11,
        || {
            let range = if picture.colour.full_range { "full" } else { "limited" };
            format!(
                "pixel format {}, {range} range: only 8-bit yuv420p limited range is allowed",
                picture.format
            )
        },
    )?;
    check_shown_as_stored(picture)?;
    Refusal::unless((picture.width, picture.height) == (width, height), GateId::G12, || {
        format!("{}x{} pixels, {width}x{height} asked", picture.width, picture.height)
    })
}

/// The whitelist for a source clip: full range is allowed, any size up to `max_side`.
pub(super) fn check_source_picture(picture: &Picture, max_side: u32) -> Result<(), Refusal> {
    check_decodable(picture)?;
    let planes = matches!(picture.format, PixelFormat::Yuv420p | PixelFormat::Yuvj420p);
    Refusal::unless(planes, GateId::G11, || {
        format!("pixel format {}: only 8-bit 4:2:0 is allowed", picture.format)
    })?;
    check_shown_as_stored(picture)?;
    let side = 2..=max_side;
    Refusal::unless(side.contains(&picture.width) && side.contains(&picture.height), GateId::G12, || {
        format!("{}x{} pixels: each side must be 2 to {max_side}", picture.width, picture.height)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture {
            width: 832,
            height: 480,
            format: PixelFormat::Yuv420p,
            colour: ColourTags { full_range: false, primaries: 2, transfer: 2, matrix: 2 },
            sample_aspect: (0, 1),
            interlaced: false,
            display_data: Vec::new(),
        }
    }

    fn gate(change: impl FnOnce(&mut Picture)) -> Option<GateId> {
        let mut changed = picture();
        change(&mut changed);
        check_clip_picture(&changed, 832, 480).err().map(|refusal| refusal.gate)
    }

    #[test]
    fn untagged_and_sd_or_hd_tagged_pictures_pass() {
        assert_eq!(gate(|_| ()), None);
        assert_eq!(gate(|p| p.sample_aspect = (1, 1)), None);
        for code in [1, 6] {
            assert_eq!(
                gate(|p| (p.colour.primaries, p.colour.transfer, p.colour.matrix) = (code, code, code)),
                None
            );
        }
    }

    #[test]
    fn each_departure_meets_its_gate() {
        let g11 = Some(GateId::G11);
        assert_eq!(gate(|p| p.format = PixelFormat::Yuvj420p), g11);
        assert_eq!(gate(|p| p.format = PixelFormat::Other("yuv420p10le".to_owned())), g11);
        assert_eq!(gate(|p| p.colour.full_range = true), g11);
        assert_eq!(gate(|p| p.colour.transfer = 16), g11); // PQ
        assert_eq!(gate(|p| p.colour.transfer = 18), g11); // HLG
        assert_eq!(gate(|p| p.colour.primaries = 9), g11); // BT.2020
        assert_eq!(gate(|p| p.colour.matrix = 0), g11); // RGB
        assert_eq!(gate(|p| p.sample_aspect = (4, 3)), g11);
        assert_eq!(gate(|p| p.interlaced = true), g11);
        assert_eq!(gate(|p| p.display_data.push("rotation".to_owned())), g11);
        assert_eq!(gate(|p| p.width = 830), Some(GateId::G12));
        assert_eq!(gate(|p| p.format = PixelFormat::Unknown), Some(GateId::G13));
    }

    #[test]
    fn sources_may_be_full_range_and_of_any_size() {
        let source = Picture { format: PixelFormat::Yuvj420p, width: 853, ..picture() };
        assert_eq!(check_source_picture(&source, 4096), Ok(()));
        assert!(check_source_picture(&Picture { width: 4098, ..picture() }, 4096).is_err());
        assert!(check_source_picture(&Picture { interlaced: true, ..picture() }, 4096).is_err());
    }

    #[test]
    fn exactly_one_video_stream_with_or_without_audio() {
        let counts = |video, audio, other| check_streams(StreamCounts { video, audio, other });
        assert_eq!(counts(1, 0, 0), Ok(()));
        assert_eq!(counts(1, 2, 0), Ok(()));
        for refused in [counts(0, 1, 0), counts(2, 0, 0), counts(1, 0, 1)] {
            assert!(refused.is_err());
        }
    }
}
