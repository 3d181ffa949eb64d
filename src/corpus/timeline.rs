//! What the selection needs to know of a source: when its frames are shown and how much each changes.
//!
//! All from luma thumbnails, integers only, so that every machine finds the same cuts.
//! With `n` pixels per thumbnail and `S_t = sum |Y_t - Y_(t-1)|` (`S_0 = 0`):
//! - scene score `min(S_t, |S_t - S_(t-1)|) * 100 / n`, rounded down: ten-thousandths of the scale on
//!   which ffmpeg's `scene` lies (mean absolute difference over 100, and its change, the smaller of both);
//! - a cut stands before frame `t` when the score is at least [`CUT_SCORE`];
//! - a frame repeats its predecessor when `S_t * 32 < n` (mean change below 1/32 of a level).
//!
//! Thumbnails average the noise away, so the scores are not ffmpeg's: its 0.18 was replaced by 0.24,
//! which lies between every cut and every non-cut of the clips at hand (64x36 thumbnails). Cuts:
//! bikes.mp4 7930, 5466, 5262, 4592, 3119; Big Buck Bunny trailer 6491, 6199, 5616, 5434, 5392;
//! ocean.mp4 4519. Strongest non-cuts: 1780 (low sun uncovered by a jumping man, sports2d), 1364
//! (camera shake in the trailer), 855, 783, 396. Slow dissolves have no cut in this sense, as in
//! ffmpeg's: the corpus leaves them out.

/// Scene score from which a frame starts a new shot, in ten-thousandths.
pub const CUT_SCORE: u64 = 2_400;

/// One source as the selection sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeline {
    width: u32,
    height: u32,
    thumb_pixels: u64,
    pts_us: Vec<u64>,
    /// Sum of absolute luma differences to the frame before, over the thumbnail; 0 for the first.
    change: Vec<u64>,
}

/// Why a scan was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// No frame, or a thumbnail whose size is not the one that the scan promised.
    #[error("scan frame {index} has a thumbnail of {got} pixels, expected {expected}")]
    Thumbnail {
        /// Index of the frame.
        index: usize,
        /// Pixels of its thumbnail.
        got: usize,
        /// Pixels promised.
        expected: usize,
    },
    /// Presentation times do not increase.
    #[error("scan frame {index} is shown at {pts_us} us, not after the frame before it")]
    Order {
        /// Index of the frame.
        index: usize,
        /// Its presentation time.
        pts_us: u64,
    },
}

impl Timeline {
    /// Reads a scan: size of the frames and per frame (presentation time in microseconds, luma
    /// thumbnail of `thumb_pixels` bytes) in presentation order.
    ///
    /// # Errors
    /// When a thumbnail has another size or times do not strictly increase.
    pub fn new<'a>(
        (width, height): (u32, u32),
        thumb_pixels: usize,
        frames: impl Iterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, TimelineError> {
        let mut timeline =
            Self { width, height, thumb_pixels: thumb_pixels as u64, pts_us: vec![], change: vec![] };
        let mut before: Option<(u64, &[u8])> = None;
        for (index, (pts_us, thumb)) in frames.enumerate() {
            if thumb.len() != thumb_pixels || thumb.is_empty() {
                return Err(TimelineError::Thumbnail { index, got: thumb.len(), expected: thumb_pixels });
            }
            if before.is_some_and(|(earlier, _)| earlier >= pts_us) {
                return Err(TimelineError::Order { index, pts_us });
            }
            let change = before.map_or(0, |(_, previous)| difference(previous, thumb));
            timeline.pts_us.push(pts_us);
            timeline.change.push(change);
            before = Some((pts_us, thumb));
        }
        Ok(timeline)
    }

    /// Width and height of the source's frames in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Presentation times in microseconds, strictly increasing.
    pub fn pts_us(&self) -> &[u64] {
        &self.pts_us
    }

    /// Change of each frame against the one before, in thousandths of a luma level (mean over pixels).
    pub fn change_milli(&self, index: usize) -> u64 {
        self.change[index] * 1_000 / self.thumb_pixels
    }

    /// Whether the frame shows the same picture as the one before it.
    pub fn repeats(&self, index: usize) -> bool {
        index > 0 && self.change[index] * 32 < self.thumb_pixels
    }

    /// Scene score of a frame in ten-thousandths; 0 for the first frame.
    pub fn scene_score(&self, index: usize) -> u64 {
        let Some(before) = index.checked_sub(1) else { return 0 };
        let change = self.change[index];
        change.min(change.abs_diff(self.change[before])) * 100 / self.thumb_pixels
    }

    /// Indices of the frames that start a new shot, without the file's first frame.
    pub fn cuts(&self) -> Vec<usize> {
        (1..self.pts_us.len()).filter(|&index| self.scene_score(index) >= CUT_SCORE).collect()
    }
}

fn difference(one: &[u8], other: &[u8]) -> u64 {
    one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_levels(levels: &[u8]) -> Timeline {
        let thumbs: Vec<[u8; 4]> = levels.iter().map(|&level| [level; 4]).collect();
        let frames = thumbs.iter().enumerate().map(|(t, thumb)| (t as u64 * 40_000, thumb.as_slice()));
        Timeline::new((64, 48), 4, frames).expect("valid scan")
    }

    #[test]
    fn a_jump_is_a_cut_and_steady_change_is_not() {
        let timeline = of_levels(&[10, 12, 14, 60, 62, 64]);
        assert_eq!(timeline.scene_score(3), 4_400); // change 46, before 2: min(46, 44) = 44 levels
        assert_eq!(timeline.cuts(), [3]);
        // A fade of 30 levels a frame changes a lot, but not suddenly after its first step.
        let fade = of_levels(&[0, 20, 50, 80, 110, 140]);
        assert_eq!(fade.cuts(), Vec::<usize>::new());
        assert_eq!(fade.change_milli(3), 30_000);
    }

    #[test]
    fn the_threshold_is_twenty_four_levels() {
        assert_eq!(of_levels(&[100, 100, 124]).cuts(), [2]);
        assert_eq!(of_levels(&[100, 100, 123]).cuts(), Vec::<usize>::new());
    }

    #[test]
    fn a_repeated_frame_is_seen() {
        let timeline = of_levels(&[9, 9, 10]);
        assert!(!timeline.repeats(0) && timeline.repeats(1) && !timeline.repeats(2));
    }

    #[test]
    fn times_that_do_not_increase_and_odd_thumbnails_are_refused() {
        let two = |first: u64, second: u64, size: usize| {
            let thumbs = [vec![0; 4], vec![0; size]];
            let frames = [(first, thumbs[0].as_slice()), (second, thumbs[1].as_slice())];
            Timeline::new((2, 2), 4, frames.into_iter())
        };
        assert!(two(0, 1, 4).is_ok());
        assert!(matches!(two(5, 5, 4), Err(TimelineError::Order { index: 1, .. })));
        assert!(matches!(two(0, 1, 3), Err(TimelineError::Thumbnail { index: 1, .. })));
    }
}
