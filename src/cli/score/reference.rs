//! The reference clip in the shape that the rules ask for.

use bytes::Bytes;

use crate::{
    corpus::{
        timeline::{Timeline, TimelineError},
        window::{NoWindow, centre_crop, window_at},
    },
    decode::{CropRect, DecodeError, Decoder, ExtractRequest, SourceScan},
    domain::plan::ClipSpec,
    quality::frame::Yuv420Clip,
};

/// Why a reference cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ReferenceError {
    /// The file cannot be decoded, or is of a kind that is not decoded.
    #[error("reference cannot be used: {reason}")]
    Unusable {
        /// What was seen.
        reason: String,
    },
    /// The decode worker failed.
    #[error("reference: {0}")]
    Decode(DecodeError),
    /// Its times contradict themselves.
    #[error("reference: {0}")]
    Timeline(#[from] TimelineError),
    /// It is too small.
    #[error("reference cannot be used: {0}")]
    Small(NoWindow),
    /// It ends too early.
    #[error(
        "reference is too short: {frames} frames over {milliseconds} ms, {asked} frames at {fps} per second are asked"
    )]
    Short {
        /// Its frames.
        frames: usize,
        /// Time of its last frame in milliseconds.
        milliseconds: u64,
        /// Frames that the rules ask for.
        asked: u32,
        /// Their rate.
        fps: u32,
    },
    /// Its frame rate is lower than the asked one.
    #[error("reference has fewer than {fps} frames per second: its motion cannot be read")]
    Slow {
        /// The asked rate.
        fps: u32,
    },
}

impl ReferenceError {
    /// Whether the file is not to blame.
    pub(in crate::cli) fn is_ours(&self) -> bool {
        matches!(self, ReferenceError::Decode(_))
    }
}

impl From<DecodeError> for ReferenceError {
    fn from(cause: DecodeError) -> Self {
        match cause {
            DecodeError::Source { reason } => ReferenceError::Unusable { reason },
            other => ReferenceError::Decode(other),
        }
    }
}

/// A reference of the asked shape.
pub(in crate::cli) struct Prepared {
    /// The clip `[frames, height, width]`.
    pub(in crate::cli) clip: Yuv420Clip,
    /// What was done to the file's frames; `None` when they were taken as they are.
    pub(in crate::cli) changed: Option<String>,
}

/// Decodes a reference. One that has the asked size, rate and at least the asked frames gives its
/// first frames unchanged. Any other is prepared as the corpus prepares a source, from its first frame
/// on: the nearest frame in time for each asked one, the largest centred rectangle of the asked
/// aspect, scaled by `quality::resample`.
///
/// # Errors
/// See [`ReferenceError`].
pub(in crate::cli) async fn prepare(
    decoder: &Decoder,
    file: Bytes,
    spec: ClipSpec,
) -> Result<Prepared, ReferenceError> {
    let scan = decoder.scan_source(file.clone()).await?;
    let whole = CropRect { x: 0, y: 0, width: scan.width, height: scan.height };
    let (frames, crop) = match has_asked_shape(&scan, spec) {
        true => ((0..spec.frames).collect(), whole),
        false => (frames_in_time(&scan, spec)?, centred(&scan, spec)?),
    };
    let changed = (!has_asked_shape(&scan, spec)).then(|| {
        format!(
            "prepared as a source of {}x{} with {} frames: {}x{} at ({}, {}) scaled to {}x{}, {} frames at {} per second",
            scan.width, scan.height, scan.frames.len(), crop.width, crop.height, crop.x, crop.y,
            spec.width, spec.height, spec.frames, spec.fps
        )
    });
    let request = ExtractRequest { frames, crop, width: spec.width, height: spec.height };
    let clip = decoder.extract_source(file, &request).await?;
    Ok(Prepared { clip, changed })
}

/// Size, length and, to half a frame, the time of every frame are the asked ones.
fn has_asked_shape(scan: &SourceScan, spec: ClipSpec) -> bool {
    let fps = u64::from(spec.fps);
    let in_time = |(index, pts_us): (u64, u64)| (pts_us * fps).abs_diff(index * 1_000_000) * 2 <= 1_000_000;
    let times = scan.frames.iter().map(|frame| frame.pts_us).take(spec.frames as usize);
    (scan.width, scan.height) == (spec.width, spec.height)
        && scan.frames.len() >= spec.frames as usize
        && (0..).zip(times).all(in_time)
}

fn frames_in_time(scan: &SourceScan, spec: ClipSpec) -> Result<Vec<u32>, ReferenceError> {
    let thumb_pixels = scan.thumb_width as usize * scan.thumb_height as usize;
    let frames = scan.frames.iter().map(|frame| (frame.pts_us, frame.thumb.as_slice()));
    let timeline = Timeline::new((scan.width, scan.height), thumb_pixels, frames)?;
    let first = timeline.pts_us().first().copied().unwrap_or_default();
    let last = timeline.pts_us().last().copied().unwrap_or_default();
    let window = window_at(&timeline, first, spec).ok_or(ReferenceError::Short {
        frames: scan.frames.len(),
        milliseconds: (last - first) / 1_000,
        asked: spec.frames,
        fps: spec.fps,
    })?;
    match window.frames.is_sorted_by(|a, b| a < b) {
        true => Ok(window.frames),
        false => Err(ReferenceError::Slow { fps: spec.fps }),
    }
}

fn centred(scan: &SourceScan, spec: ClipSpec) -> Result<CropRect, ReferenceError> {
    let crop = centre_crop((scan.width, scan.height), &spec).map_err(ReferenceError::Small)?;
    Ok(CropRect { x: crop.x, y: crop.y, width: crop.width, height: crop.height })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::ScanFrame;

    const SPEC: ClipSpec = ClipSpec { frames: 5, width: 64, height: 48, fps: 16 };

    fn scan(width: u32, height: u32, times: impl IntoIterator<Item = u64>) -> SourceScan {
        let frames = times.into_iter().map(|pts_us| ScanFrame { pts_us, thumb: vec![7; 4] }).collect();
        SourceScan { width, height, thumb_width: 2, thumb_height: 2, frames }
    }

    #[test]
    fn the_asked_shape_allows_rounded_times_and_more_frames() {
        let exact = [0, 62_500, 125_000, 187_500, 250_000, 312_500];
        assert!(has_asked_shape(&scan(64, 48, exact), SPEC));
        // A millisecond time base, as WebM has.
        assert!(has_asked_shape(&scan(64, 48, [0, 63_000, 125_000, 188_000, 250_000]), SPEC));
        assert!(!has_asked_shape(&scan(64, 48, exact.into_iter().take(4)), SPEC));
        assert!(!has_asked_shape(&scan(66, 48, exact), SPEC));
        assert!(!has_asked_shape(&scan(64, 48, (0..20).map(|k| k * 40_000)), SPEC), "25 per second");
    }

    #[test]
    fn another_rate_is_resampled_from_the_first_frame_on() {
        let faster = scan(64, 48, (0..20).map(|k| k * 40_000));
        assert_eq!(frames_in_time(&faster, SPEC).expect("long enough"), [0, 2, 3, 5, 6]);
        let short = scan(64, 48, (0..6).map(|k| k * 40_000));
        assert!(matches!(frames_in_time(&short, SPEC), Err(ReferenceError::Short { milliseconds: 200, .. })));
        let slow = scan(64, 48, (0..9).map(|k| k * 100_000));
        assert!(matches!(frames_in_time(&slow, SPEC), Err(ReferenceError::Slow { fps: 16 })));
    }

    #[test]
    fn another_size_is_cropped_to_the_asked_aspect() {
        let wide = centred(&scan(128, 72, []), SPEC).expect("large enough");
        assert_eq!(wide, CropRect { x: 16, y: 0, width: 96, height: 72 });
        assert!(matches!(centred(&scan(30, 20, []), SPEC), Err(ReferenceError::Small(_))));
    }
}
