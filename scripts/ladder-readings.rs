//! Temporal terms of real clips and of every level of graded damage to them: the figures of ADR 0010 and of `structure`.
//!
//! `ladder-readings FRAMES CLIP...`: planar YUV 4:2:0, 832x480; each is damaged with the next one as its neighbour. One line
//! per clip, damage and level: the raw terms in the order of the first line.

use std::{error::Error, fs};

use leoma_core::quality::{
    frame::Yuv420Clip,
    temporal::{FlowMeasures, terms},
};
use leoma_film::degrade::{Generator, LEVELS, Material};

const WIDTH: usize = 832;
const HEIGHT: usize = 480;

type Term = fn(&FlowMeasures) -> i64;
const TERMS: [(&str, Term); 6] = [
    ("deformation", terms::deformation),
    ("census", terms::census),
    ("warp_error", terms::warp_error),
    ("jerk", terms::jerk),
    ("flicker", terms::flicker),
    ("cut", terms::cut),
];

fn load(path: &str, frames: usize) -> Result<Yuv420Clip, Box<dyn Error>> {
    let mut data = fs::read(path)?;
    let frame = Yuv420Clip::frame_bytes(WIDTH, HEIGHT);
    let frames = frames.min(data.len() / frame);
    data.truncate(frames * frame);
    Ok(Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data)?)
}

fn tell(name: &str, damage: &str, level: usize, clip: &Yuv420Clip) {
    let measures = FlowMeasures::of(clip, clip.len());
    let values = TERMS.map(|(_, term)| term(&measures).to_string());
    println!("{name} {damage} {level} {}", values.join(" "));
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [frames, paths @ ..] = arguments.as_slice() else {
        return Err("ladder-readings FRAMES CLIP...".into());
    };
    let frames: usize = frames.parse()?;
    println!("clip damage level {}", TERMS.map(|(name, _)| name).join(" "));
    for (place, path) in paths.iter().enumerate() {
        let clip = load(path, frames)?;
        let other = load(&paths[(place + 1) % paths.len()], frames)?;
        tell(path, "none", 0, &clip);
        for generator in Generator::ALL {
            for level in 1..=LEVELS {
                let material = Material { clip: &clip, other: &other, seed: 7 };
                tell(path, generator.name(), level, &generator.apply(&material, level));
            }
        }
    }
    Ok(())
}
