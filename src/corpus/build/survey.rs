//! What one source file offers: its shots, and in each the clip that rounds can use.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    corpus::{
        library::timeline_of,
        manifest::ClipWindow,
        timeline::Timeline,
        vision::PICTURES,
        window::{CUT_MARGIN_US, SHOT_START_MARGIN_US, Window, WindowRequest, centre_crop, find_window},
    },
    decode::{CropRect, DecodeError, Decoder, ExtractRequest, SourceScan},
    domain::{
        ids::{BlockHash, Digest},
        plan::ClipSpec,
        rules::Rules,
    },
    quality::{
        measure::ClipMeasures,
        scenes::{Break, BreakKind, SceneFrame, breaks, merged},
        terms::can_judge_motion,
    },
};

/// Version of the survey: it is part of the key under which surveys are remembered.
const VERSION: &[u8] = b"leoma/corpus/survey/1";
/// The block hash that draws the window whose pictures the manifest pins.
pub const PINNING_ANCHOR: BlockHash = BlockHash([0; 32]);
/// Most parts of one file that is divided, whatever its times say.
const MAX_PARTS: usize = 500;

/// How files are surveyed.
#[derive(Clone, Debug)]
pub struct SurveyOptions {
    /// Decodes.
    pub decoder: Arc<Decoder>,
    /// Shape of windows and what a reference needs.
    pub rules: Rules,
    /// Cut shots into parts of this many seconds, each a clip of its own.
    pub part_seconds: Option<u32>,
}

/// What was found in a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Survey {
    /// Shots of the file.
    pub shots: usize,
    /// Its parts in order of time.
    pub parts: Vec<Part>,
}

/// One part of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The clip's key.
    pub key: String,
    /// Start in milliseconds, `None` for the file's.
    pub from_ms: Option<u64>,
    /// End in milliseconds, `None` for the file's.
    pub to_ms: Option<u64>,
    /// What it is good for.
    pub state: PartState,
}

/// What a part is good for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// Rounds can use it.
    Serves {
        /// The window that is pinned.
        window: ClipWindow,
        /// Cuts some of its frames out, at half the size, as pictures for a caption.
        pictures: ExtractRequest,
    },
    /// They cannot, for this reason.
    LeftOut(String),
}

/// Why a file could not be surveyed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The decoder refuses the file, on every machine.
    #[error("the decoder refuses it: {0}")]
    Refused(String),
    /// The decode worker failed; another time it may not.
    #[error("{0}")]
    Worker(DecodeError),
    /// The process ends.
    #[error("interrupted")]
    Interrupted,
}

impl From<DecodeError> for SurveyError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Source { reason } => SurveyError::Refused(reason),
            other => SurveyError::Worker(other),
        }
    }
}

impl SurveyOptions {
    /// Key under which the survey of a file with this digest and key stem is remembered.
    pub fn cache_key(&self, sha256: &Digest, stem: &str) -> Digest {
        // Integers and strings only: serialisation has no way to fail.
        let rules =
            serde_json::to_vec(&(self.rules.request, &self.rules.scoring.dynamics)).unwrap_or_default();
        let part = self.part_seconds.unwrap_or(0).to_le_bytes();
        Digest::of_parts(&[VERSION, &sha256.0, stem.as_bytes(), &rules, &part])
    }

    /// Surveys a file; keys of its clips begin with `stem`.
    ///
    /// # Errors
    /// See [`SurveyError`]. A part that cannot serve is no error.
    pub async fn survey(&self, file: &Bytes, stem: &str) -> Result<Survey, SurveyError> {
        let (timeline, ranges, shots) = self.cut(file).await?;
        let whole = ranges.len() == 1 && ranges[0].start == 0 && ranges[0].end == u64::MAX;
        let mut parts = Vec::with_capacity(ranges.len());
        for (index, range) in ranges.into_iter().enumerate() {
            let key = match whole {
                true => format!("{stem}.mp4"),
                false => format!("{stem}-{}.mp4", index + 1),
            };
            let state = self.judge(file, &timeline, &key, &range).await?;
            let from_ms = (range.start > 0).then_some(range.start / 1_000);
            let to_ms = (range.end < u64::MAX).then_some(range.end / 1_000);
            parts.push(Part { key, from_ms, to_ms, state });
        }
        Ok(Survey { shots, parts })
    }

    async fn cut(&self, file: &Bytes) -> Result<(Timeline, Vec<Range<u64>>, usize), SurveyError> {
        let scan = self.decoder.scan_source(file.clone()).await?;
        let part_us = self.part_seconds.map(|seconds| u64::from(seconds) * 1_000_000);
        // Dissolves are looked for in every frame: too long for an async thread.
        let cut = tokio::task::spawn_blocking(move || {
            let timeline = timeline_of(&scan).map_err(|error| SurveyError::Refused(error.to_string()))?;
            let shots = shots(&timeline, &scan);
            let count = shots.len();
            let last_us = timeline.pts_us().last().copied().unwrap_or(0);
            Ok((timeline, divided(shots, part_us, last_us), count))
        });
        cut.await.map_err(|_| SurveyError::Interrupted)?
    }

    async fn judge(
        &self,
        file: &Bytes,
        timeline: &Timeline,
        key: &str,
        range: &Range<u64>,
    ) -> Result<PartState, SurveyError> {
        let spec = self.rules.request;
        let asked = WindowRequest { key, range_us: range.clone(), anchor: &PINNING_ANCHOR, spec };
        let window = match find_window(timeline, &asked) {
            Ok(window) => window,
            Err(reason) => return Ok(PartState::LeftOut(reason.to_string())),
        };
        let request = request(timeline, &window, spec)?;
        let pictures = pictures(&request);
        let clip = self.decoder.extract_source(file.clone(), &request).await?;
        let (frames, dynamics) = (spec.frames as usize, self.rules.scoring.dynamics);
        let measured = tokio::task::spawn_blocking(move || {
            (can_judge_motion(&ClipMeasures::of(&clip, frames), &dynamics), clip.digest())
        });
        let (judges, planes) = measured.await.map_err(|_| SurveyError::Interrupted)?;
        Ok(match judges {
            true => {
                let ClipSpec { frames, width, height, fps } = spec;
                let window = ClipWindow { start_us: window.start_us, frames, width, height, fps, planes };
                PartState::Serves { window, pictures }
            }
            false => PartState::LeftOut(
                "moves too little, beyond pans and layers, to judge the motion of others".into(),
            ),
        })
    }
}

/// Cuts a window out as a round does.
fn request(timeline: &Timeline, window: &Window, spec: ClipSpec) -> Result<ExtractRequest, SurveyError> {
    let crop =
        centre_crop(timeline.size(), &spec).map_err(|error| SurveyError::Refused(error.to_string()))?;
    Ok(ExtractRequest {
        frames: window.frames.clone(),
        crop: CropRect { x: crop.x, y: crop.y, width: crop.width, height: crop.height },
        width: spec.width,
        height: spec.height,
    })
}

/// Usable times between all breaks, in microseconds; `u64::MAX` for the file's end. Times are whole milliseconds, as the
/// manifest has them.
fn shots(timeline: &Timeline, scan: &SourceScan) -> Vec<Range<u64>> {
    let frames: Vec<SceneFrame<'_>> =
        scan.frames.iter().map(|frame| SceneFrame { pts_us: frame.pts_us, luma: &frame.thumb }).collect();
    let mut found = breaks(&frames);
    // The round's own cuts, by pixels: a clip holds none of them either.
    found.extend(timeline.cuts().into_iter().map(|next| Break {
        kind: BreakKind::Cut,
        last: next - 1,
        next,
    }));
    let pts = timeline.pts_us();
    let mut ranges = Vec::new();
    let mut start = 0;
    for one in merged(found) {
        // Until the frame after the last one would be shown.
        let end =
            pts.get(one.last + 1).copied().unwrap_or(u64::MAX).saturating_sub(CUT_MARGIN_US) / 1_000 * 1_000;
        if end > start {
            ranges.push(start..end);
        }
        start = pts[one.next].saturating_add(SHOT_START_MARGIN_US).div_ceil(1_000) * 1_000;
    }
    if pts.last().is_some_and(|last| *last > start) || ranges.is_empty() {
        ranges.push(start..u64::MAX);
    }
    ranges
}

/// Shots cut into parts of `part_us`; what is left at a shot's end belongs to its last part. A file's open end stays open.
fn divided(shots: Vec<Range<u64>>, part_us: Option<u64>, last_us: u64) -> Vec<Range<u64>> {
    let Some(part_us) = part_us.filter(|part| *part > 0) else { return shots };
    let parts = shots.into_iter().flat_map(|shot| {
        let count = (shot.end.min(last_us).saturating_sub(shot.start) / part_us).max(1);
        (0..count).map(move |n| {
            let start = shot.start + n * part_us;
            start..if n + 1 == count { shot.end } else { start + part_us }
        })
    });
    parts.take(MAX_PARTS).collect()
}

/// The same cut for [`PICTURES`] frames from first to last, at half the size.
fn pictures(window: &ExtractRequest) -> ExtractRequest {
    let last = window.frames.len().saturating_sub(1);
    let frames =
        (0..PICTURES).filter_map(|n| window.frames.get(last * n / (PICTURES - 1)).copied()).collect();
    let half = |side: u32| ((side / 2) & !1).max(2);
    ExtractRequest { frames, width: half(window.width), height: half(window.height), ..window.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::ScanFrame;

    const SECOND: u64 = 1_000_000;

    /// A source of 25 frames a second: shots of so many frames, each of its own level, alternating a little.
    fn source(shots: &[(usize, u8)]) -> SourceScan {
        let levels =
            shots.iter().flat_map(|&(frames, level)| (0..frames).map(move |t| level + (t % 2) as u8));
        let frame = |(t, level)| ScanFrame { pts_us: t as u64 * 40_000, thumb: vec![level; 16] };
        SourceScan {
            width: 1280,
            height: 720,
            thumb_width: 4,
            thumb_height: 4,
            frames: levels.enumerate().map(frame).collect(),
        }
    }

    fn cut(scan: &SourceScan) -> Vec<Range<u64>> {
        shots(&timeline_of(scan).expect("sound scan"), scan)
    }

    #[test]
    fn clips_lie_between_cuts_with_the_margins_of_rounds() {
        let whole = 0..u64::MAX;
        assert_eq!(cut(&source(&[(250, 40)])), std::slice::from_ref(&whole));
        let two = cut(&source(&[(250, 40), (300, 120)]));
        assert_eq!(two, [0..10 * SECOND - 150_000, 12 * SECOND..u64::MAX]);
        // A shot shorter than its margins gives nothing, nor does an end that is one.
        let short = cut(&source(&[(250, 40), (40, 120), (250, 200), (20, 20)]));
        assert_eq!(short, [0..9_850_000, 13_600_000..21_450_000]);
        assert_eq!(cut(&source(&[])), std::slice::from_ref(&whole));
    }

    #[test]
    fn long_shots_are_divided_and_their_rest_stays_with_the_last_part() {
        let shots = vec![0..20 * SECOND, 22 * SECOND..u64::MAX];
        let parts = divided(shots.clone(), Some(8 * SECOND), 41 * SECOND);
        let expected =
            [0..8 * SECOND, 8 * SECOND..20 * SECOND, 22 * SECOND..30 * SECOND, 30 * SECOND..u64::MAX];
        assert_eq!(parts, expected);
        assert_eq!(divided(shots.clone(), None, 41 * SECOND), shots);
        assert_eq!(divided(shots.clone(), Some(60 * SECOND), 41 * SECOND), shots);
    }

    #[test]
    fn pictures_are_the_first_and_last_frame_and_some_between() {
        let crop = CropRect { x: 0, y: 0, width: 832, height: 480 };
        let window = ExtractRequest { frames: (100..181).collect(), crop, width: 832, height: 480 };
        let asked = pictures(&window);
        assert_eq!((asked.frames, asked.width, asked.height), (vec![100, 126, 153, 180], 416, 240));
    }
}
