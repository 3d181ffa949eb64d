//! Our readings of raw clips, for `scripts/parity.py`.
//!
//! `parity ssim WIDTH HEIGHT A B`: planes `[height, width]` of bytes, one after the other; prints the SSIM of every pair.
//! `parity artifacts WIDTH HEIGHT FRAMES REFERENCE CLIP...`: planar YUV 4:2:0; one line of JSON per clip with the artifact
//! axis and its raw terms under the embedded rules, gates off, the reference's first frame as the given one.

use std::{error::Error, fs};

use leoma_core::{
    domain::rules::Rules,
    quality::{
        frame::Yuv420Clip,
        measure::ClipMeasures,
        ssim::ssim,
        terms::{FirstFrameMeasures, RawTerms, score_terms},
    },
};

/// One of the SSIM in its unit.
const ONE: f64 = (1u32 << 20) as f64;

fn read(path: &str, width: usize, height: usize) -> Result<Yuv420Clip, Box<dyn Error>> {
    let data = fs::read(path)?;
    let frames = data.len() / Yuv420Clip::frame_bytes(width, height);
    Ok(Yuv420Clip::from_planes(width, height, frames, data)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ssim", width, height, one, other] => {
            let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
            let (one, other) = (fs::read(one)?, fs::read(other)?);
            let planes = |data| <[u8]>::chunks_exact(data, width * height);
            for (one, other) in planes(&one).zip(planes(&other)) {
                let value = ssim(one, other, width, height).ok_or("planes smaller than a window")?;
                println!("{:.8}", value as f64 / ONE);
            }
        }
        ["artifacts", width, height, frames, reference, clips @ ..] => {
            let (width, height, frames) = (width.parse()?, height.parse()?, frames.parse()?);
            let real = read(reference, width, height)?;
            let reference = ClipMeasures::of(&real, frames);
            let scoring = Rules::embedded().scoring;
            for path in clips {
                let clip = read(path, width, height)?;
                let first = FirstFrameMeasures::of(&real, &clip);
                let measures = ClipMeasures::of(&clip, frames);
                let raw = RawTerms::of(&first, &measures, Some(&reference), &scoring.dynamics);
                let axis = score_terms(&raw, &scoring).axes.artifacts.map_or(0, |score| score.get());
                let raw: Vec<String> =
                    raw.named().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?))).collect();
                println!("{{\"axis\":{axis},\"raw\":{{{}}}}}", raw.join(","));
            }
        }
        _ => return Err("parity ssim|artifacts ...".into()),
    }
    Ok(())
}
