//! Raw terms of raw clips, for `scripts/looks-calibration.py`.
//!
//! `looks-calibration REFERENCE CLIP...`: planar YUV 4:2:0, 832x480, 81 frames. One line of canonical JSON per clip: the
//! raw values of all terms by name and the axes under the embedded rules, with the reference's first frame as the given
//! one.

use std::{collections::BTreeMap, error::Error, fs};

use leoma_core::{
    domain::rules::Rules,
    quality::{
        canonical::canonical_json,
        frame::Yuv420Clip,
        measure::ClipMeasures,
        terms::{FirstFrameMeasures, RawTerms, score_terms},
    },
};

const WIDTH: usize = 832;
const HEIGHT: usize = 480;
const FRAMES: usize = 81;

fn read(path: &str) -> Result<Yuv420Clip, Box<dyn Error>> {
    let data = fs::read(path)?;
    let frames = data.len() / Yuv420Clip::frame_bytes(WIDTH, HEIGHT);
    Ok(Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let real = read(&paths.next().ok_or("usage: looks-calibration REFERENCE CLIP...")?)?;
    let reference = ClipMeasures::of(&real, FRAMES);
    let scoring = Rules::embedded().scoring;
    for path in paths {
        let clip = read(&path)?;
        let (first, measures) = (FirstFrameMeasures::of(&real, &clip), ClipMeasures::of(&clip, FRAMES));
        let raw = RawTerms::of(&first, &measures, Some(&reference), &scoring.dynamics);
        let axes = score_terms(&raw, &scoring).axes;
        let values = BTreeMap::from([
            ("ssim0", raw.ssim0),
            ("color0", raw.color0),
            ("palette", raw.palette),
            ("warp", raw.warp),
            ("flicker", raw.flicker),
            ("blockiness", raw.blockiness),
            ("blur", raw.blur),
            ("noise", raw.noise),
            ("clipping", raw.clipping),
            ("saturation", raw.saturation),
            ("hue", raw.hue),
            ("exposure", raw.exposure),
            ("ringing", raw.ringing),
            ("banding", raw.banding),
            ("checker", raw.checker),
            ("temporal_noise", raw.temporal_noise),
        ]);
        println!("{{\"terms\":{},\"axes\":{}}}", canonical_json(&values)?, canonical_json(&axes)?);
    }
    Ok(())
}
