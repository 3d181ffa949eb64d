//! Readings of the gates that look at whole clips, for `scripts/gate-calibration.py`.
//!
//! `gate-calibration transfer CLIP PACE SOFTNESS OUT`: the stand-in of the demo: the clip's first frame moved by its
//! motion. `gate-calibration read REFERENCE CLIP...`: one line of canonical JSON per clip: gate, numbers, fired.
//! `gate-calibration mosaic REFERENCE CLIP...`: G5 and G7 alone, which rest on the mosaic: a tenth of the time.
//! All clips are planar YUV 4:2:0, 832x480.

use std::{collections::BTreeMap, error::Error, fs, sync::Arc};

use leoma_core::{
    domain::rules::Rules,
    quality::{
        canonical::canonical_json,
        frame::Yuv420Clip,
        gates::{
            freeze, letterbox, of_whole_clips, pan_zoom, recurrence::Recurrence, source_copy::Likeness,
            spectrum,
        },
        measure::ClipMeasures,
        mosaic::Mosaic,
    },
};
use leoma_film::transfer::{Scene, TransferStyle};

const WIDTH: usize = 832;
const HEIGHT: usize = 480;
const FRAMES: usize = 81;

fn load(path: &str) -> Result<Yuv420Clip, Box<dyn Error>> {
    let data = fs::read(path)?;
    let frames = data.len() / Yuv420Clip::frame_bytes(WIDTH, HEIGHT);
    Ok(Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["transfer", clip, pace, softness, out] => {
            let real = load(clip)?;
            let size = Yuv420Clip::frame_bytes(WIDTH, HEIGHT);
            let first = Yuv420Clip::from_planes(WIDTH, HEIGHT, 1, real.as_bytes()[..size].to_vec())?;
            let style = TransferStyle { pace: pace.parse()?, softness: softness.parse()? };
            let made = Scene::read(Arc::new(first), &real).render(style, FRAMES);
            fs::write(out, made.as_bytes())?;
        }
        ["read", reference, clips @ ..] => {
            let rules = Rules::embedded().scoring.gates;
            let real = load(reference)?;
            let reference = ClipMeasures::of(&real, FRAMES);
            for clip in clips {
                let measures = ClipMeasures::of(&load(clip)?, FRAMES);
                let mut all = of_whole_clips(&measures, Some(&reference), &rules);
                all.push(freeze(&measures, Some(&reference), &rules.freeze));
                all.push(pan_zoom(&measures, &reference, &rules.pan_zoom));
                // The reference's own first frame is the given one.
                all.push(spectrum::beside(
                    letterbox(&measures, (&real, None), &rules.border),
                    spectrum::upscaled(&measures, &real, Some(&reference), &rules.spectrum),
                ));
                let told: BTreeMap<String, _> =
                    all.into_iter().map(|found| (found.gate.to_string(), found.reading)).collect();
                println!("{}", canonical_json(&told)?);
            }
        }
        ["mosaic", reference, clips @ ..] => {
            let gates = Rules::embedded().scoring.gates;
            let real = Mosaic::of(&load(reference)?, FRAMES);
            let lag = gates.recurrence.shortest_lag as usize;
            let (from, reach) = (gates.source_copy.from_frame as usize, gates.source_copy.reach);
            for clip in clips {
                let mosaic = Mosaic::of(&load(clip)?, FRAMES);
                let (again, like) = (Recurrence::of(&mosaic, lag), Likeness::of(&mosaic, &real, from, reach));
                println!("{again:?} {like:?}");
            }
        }
        _ => return Err("gate-calibration transfer|read|mosaic ...".into()),
    }
    Ok(())
}
