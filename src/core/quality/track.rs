//! The track of a clip from its mosaic: how G8 knows it again (`domain::track`).
//!
//! Columns and rows of cells are averaged as in [`super::perceptual`]; with 832x480 a value is the mean of 4x5 cells, so
//! 64x80 pixels.

use crate::domain::track::{COLUMNS, ClipTrack, ROWS, SAMPLES, frame_of};

use super::{fixed::scale, mosaic::Mosaic};

/// The track of a clip; `None` when there is no frame.
pub fn of(mosaic: &Mosaic) -> Option<ClipTrack> {
    let frames = mosaic.frames.len();
    let samples = (0..SAMPLES).map(|index| frame_of(index, frames));
    let values = samples.filter(|frame| *frame < frames).flat_map(|frame| picture(mosaic, frame)).collect();
    ClipTrack::new(values).ok()
}

/// Mean luma `[rows, columns]` of one frame in 1/16 level.
fn picture(mosaic: &Mosaic, frame: usize) -> Vec<u16> {
    let cells = &mosaic.frames[frame];
    let (columns, rows) = (mosaic.columns(), mosaic.rows());
    let part = |index: usize, parts: usize, length: usize| {
        let first = (index * length / parts).min(length - 1);
        first..((index + 1) * length / parts).max(first + 1)
    };
    let mean = |row: usize, column: usize| {
        let (mut sum, mut pixels) = (0i64, 0i64);
        for y in part(row, ROWS, rows) {
            for x in part(column, COLUMNS, columns) {
                sum += i64::from(cells[y * columns + x].y);
                pixels += mosaic.pixels(x, y) as i64;
            }
        }
        scale(sum, 16, pixels) as u16
    };
    (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (row, column))).map(|(r, c)| mean(r, c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::frame::Yuv420Clip;

    fn track(
        width: usize,
        height: usize,
        frames: usize,
        luma: impl Fn(usize, usize, usize) -> u8,
    ) -> Option<ClipTrack> {
        let mut data = Vec::new();
        for t in 0..frames {
            data.extend((0..width * height).map(|i| luma(t, i % width, i / width)));
            data.extend(vec![128; width * height / 2]);
        }
        of(&Mosaic::of(&Yuv420Clip::from_planes(width, height, frames, data).ok()?, frames))
    }

    #[test]
    fn values_are_means_over_parts_of_the_picture_at_their_frames() {
        let found = track(416, 192, 21, |t, x, _| (t * 4 + x / 32) as u8).expect("frames");
        for (sample, frame) in [(0, 4), (16, 20)] {
            for column in 0..COLUMNS {
                let value = found.values()[(sample * ROWS + 3) * COLUMNS + column];
                assert_eq!(usize::from(value), 16 * (frame * 4 + column), "sample {sample}, column {column}");
            }
        }
    }

    #[test]
    fn white_and_the_smallest_clips_have_a_track_and_no_frame_has_none() {
        let white = track(32, 32, 9, |_, _, _| 255).expect("frames");
        assert!(white.values().iter().all(|value| *value == 4080));
        assert!(track(2, 2, 1, |_, _, _| 9).is_some() && of(&Mosaic::empty(32, 32)).is_none());
    }
}
