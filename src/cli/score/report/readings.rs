//! What is shown of a clip frame by frame: the kernels' readings, not yet summed up.

use rayon::prelude::*;

use crate::{
    domain::scoring::ScoringRules,
    quality::{
        blockiness::grid_sums,
        detail::{laplacian_energy, luma_sum},
        frame::Yuv420Clip,
        measure::ClipMeasures,
        motion::LumaPyramid,
        ssim::{SSIM_BITS, ssim},
    },
};

/// Rows of pixels that one row of a change map sums up.
const BAND: usize = 16;

/// Readings of one clip, frame by frame.
pub(super) struct Readings {
    /// The measures that terms and gates read.
    pub(super) measures: ClipMeasures,
    /// Mean absolute luma difference `[bands, pairs]` in 1/256 level.
    pub(super) change: Vec<Vec<i64>>,
    frames: Vec<FrameReading>,
}

struct FrameReading {
    ssim: Option<i64>,
    blockiness: i64,
    detail: f64,
    luma: f64,
}

impl Readings {
    /// Reads the first `frames` frames; `first` is the given first frame, of the same size.
    pub(super) fn of(clip: &Yuv420Clip, first: &Yuv420Clip, frames: usize) -> Self {
        let frames = frames.min(clip.len());
        let (width, height) = (clip.width(), clip.height());
        let read = |index: usize| {
            let y = clip.frame(index).y;
            let pyramid = LumaPyramid::new(y, width, height);
            let (half_width, half_height) = (pyramid.half().width(), pyramid.half().height());
            let energy = laplacian_energy(&pyramid.half_pixels(), half_width, half_height);
            FrameReading {
                ssim: ssim(first.frame(0).y, y, width, height),
                blockiness: grid_sums(y, width, height).blockiness(),
                detail: energy as f64 / (half_width * half_height) as f64,
                luma: luma_sum(y) as f64 / (width * height) as f64,
            }
        };
        let pairs = frames.saturating_sub(1);
        let bands: Vec<Vec<i64>> =
            (0..pairs).into_par_iter().map(|index| band_changes(clip, index)).collect();
        let rows = height.div_ceil(BAND);
        Self {
            measures: ClipMeasures::of(clip, frames),
            change: (0..rows).map(|row| bands.iter().map(|pair| pair[row]).collect()).collect(),
            frames: (0..frames).into_par_iter().map(read).collect(),
        }
    }
}

fn band_changes(clip: &Yuv420Clip, index: usize) -> Vec<i64> {
    let (one, next) = (clip.frame(index).y, clip.frame(index + 1).y);
    let size = BAND * clip.width();
    let change = |(a, b): (&[u8], &[u8])| {
        let sum: i64 = a.iter().zip(b).map(|(a, b)| i64::from(a.abs_diff(*b))).sum();
        sum * 256 / a.len() as i64
    };
    one.chunks(size).zip(next.chunks(size)).map(change).collect()
}

/// Where a reading belongs on the axis of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// A frame.
    Frame,
    /// The step from a frame to the next.
    Step,
}

/// Which end of a reading is conspicuous.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hot {
    /// Large values.
    High,
    /// Small values.
    Low,
}

/// One reading over time.
pub(super) struct Series {
    /// What it is.
    pub(super) name: &'static str,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Frames or steps.
    pub(super) place: Place,
    /// Which end is conspicuous.
    pub(super) hot: Hot,
    /// The clip's values.
    pub(super) values: Vec<f64>,
    /// The reference's values.
    pub(super) reference: Option<Vec<f64>>,
    /// A limit of the rules, with its name.
    pub(super) limit: Option<(f64, &'static str)>,
}

/// The readings of a clip beside the reference's.
pub(super) fn series(clip: &Readings, reference: Option<&Readings>, rules: &ScoringRules) -> Vec<Series> {
    let one = |name, unit, place, hot, of: &dyn Fn(&Readings) -> Vec<f64>| Series {
        name,
        unit,
        place,
        hot,
        values: of(clip),
        reference: reference.map(of),
        limit: None,
    };
    let steps = |pick: fn(&crate::quality::measure::PairDifference) -> f64| {
        move |r: &Readings| r.measures.steps.iter().map(pick).collect::<Vec<_>>()
    };
    let motion = |pick: fn(&crate::quality::layers::Explanation) -> f64| {
        move |r: &Readings| r.measures.motion.iter().map(pick).collect::<Vec<_>>()
    };
    let frames =
        |pick: fn(&FrameReading) -> f64| move |r: &Readings| r.frames.iter().map(pick).collect::<Vec<_>>();
    let (step, frame, high, low) = (Place::Step, Place::Frame, Hot::High, Hot::Low);
    let gate = &rules.gates.freeze;
    let still = (gate.noise_mean as f64 / 256.0, "G2: stands still below");
    let still_block = (gate.noise_block as f64 / 256.0, "G2: stands still below");
    vec![
        Series {
            limit: Some(still),
            ..one("difference", "levels", step, high, &steps(|pair| pair.mean_q8 as f64 / 256.0))
        },
        Series {
            limit: Some(still_block),
            ..one(
                "largest block difference",
                "levels",
                step,
                high,
                &steps(|pair| pair.largest_block as f64 / 256.0),
            )
        },
        one("motion", "pixels", step, high, &motion(|pair| ratio(pair.motion, pair.textured) / 8.0)),
        one(
            "motion beyond layers",
            "pixels",
            step,
            high,
            &motion(|pair| ratio(pair.layer_residual, pair.blocks) / 8.0),
        ),
        one(
            "matching error",
            "levels",
            step,
            high,
            &motion(|pair| ratio(pair.error, pair.blocks * 16 * 256)),
        ),
        one(
            "SSIM to the given first frame",
            "",
            frame,
            low,
            &frames(|frame| frame.ssim.map_or(0.0, |value| value as f64 / f64::from(1u32 << SSIM_BITS))),
        ),
        one("blockiness", "of mean gradient", frame, high, &frames(|frame| frame.blockiness as f64 / 1024.0)),
        one("detail", "squared levels", frame, low, &frames(|frame| frame.detail)),
        one("mean luma", "levels", frame, high, &frames(|frame| frame.luma)),
    ]
}

fn ratio(sum: i64, count: i64) -> f64 {
    sum as f64 / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::Rules;

    fn clip(frames: usize) -> Yuv420Clip {
        let (width, height) = (64, 40);
        let size = Yuv420Clip::frame_bytes(width, height);
        let pixel = |i: usize| ((i % size) * 7 + (i % size) / 64 * 13 + i / size * 3) % 200 + 20;
        let data = (0..size * frames).map(|i| pixel(i) as u8).collect();
        Yuv420Clip::from_planes(width, height, frames, data).expect("sizes agree")
    }

    #[test]
    fn every_series_has_a_value_for_every_frame_or_step() {
        let clip = clip(6);
        let first =
            Yuv420Clip::from_planes(64, 40, 1, clip.as_bytes()[..64 * 60].to_vec()).expect("one frame");
        let readings = Readings::of(&clip, &first, 5);
        let all = series(&readings, Some(&readings), &Rules::embedded().scoring);
        for series in &all {
            let count = if series.place == Place::Frame { 5 } else { 4 };
            assert_eq!(series.values.len(), count, "{}", series.name);
            assert_eq!(series.reference.as_ref(), Some(&series.values), "{}", series.name);
            assert!(series.values.iter().all(|value| value.is_finite()), "{}", series.name);
        }
        assert_eq!(all[5].values[0], 1.0, "the first frame equals itself");
        assert_eq!((readings.change.len(), readings.change[0].len()), (3, 4), "the last band is half a band");
        // The bands' means agree with the whole difference.
        let weights = [16, 16, 8];
        let mean: i64 =
            readings.change.iter().zip(weights).map(|(band, rows)| band[0] * rows).sum::<i64>() / 40;
        assert!((mean - readings.measures.steps[0].mean_q8).abs() <= 1);
    }
}
