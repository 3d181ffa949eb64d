//! Flow measures of raw clips, for `scripts/temporal-calibration.py`.
//!
//! `temporal-calibration CLIP...`: planar YUV 4:2:0, 832x480. One line of canonical JSON per clip: the raw terms by name
//! and all measures.

use std::{collections::BTreeMap, error::Error, fs};

use leoma_core::quality::{
    canonical::canonical_json,
    frame::Yuv420Clip,
    temporal::{FlowMeasures, terms},
};

const WIDTH: usize = 832;
const HEIGHT: usize = 480;
const FRAMES: usize = 81;

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let data = fs::read(&path)?;
        let frames = data.len() / Yuv420Clip::frame_bytes(WIDTH, HEIGHT);
        let measures = FlowMeasures::of(&Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data)?, FRAMES);
        type Term = fn(&FlowMeasures) -> i64;
        let all: [(&str, Term); 9] = [
            ("warp_error", terms::warp_error),
            ("census", terms::census),
            ("deformation", terms::deformation),
            ("flicker", terms::flicker),
            ("jerk", terms::jerk),
            ("motion", terms::motion),
            ("moving", terms::moving_share),
            ("steady", terms::steady_motion),
            ("cut", terms::cut),
        ];
        let raw: BTreeMap<&str, i64> = all.into_iter().map(|(name, term)| (name, term(&measures))).collect();
        println!("{{\"terms\":{},\"measures\":{}}}", canonical_json(&raw)?, canonical_json(&measures)?);
    }
    Ok(())
}
