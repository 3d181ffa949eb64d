//! The embedder as the scorer's port: which values it gives, and that it clamps to the frames that a clip has.

use leoma_core::quality::{
    embeddings::{FRAMES, FROM, FrameModels as _, PAIRS, asked, drift, id_drift, pairs},
    frame::Yuv420Clip,
};
use leoma_embed::{DeviceChoice, Embedder, embedder::FrameOf, reader::Networks};

use crate::support::models;

const SIDE: usize = 96;

/// A clip whose disc moves on and becomes another colour from frame `swap` on.
fn clip(frames: usize, swap: usize) -> Yuv420Clip {
    let mut data = Vec::new();
    for t in 0..frames {
        let disc = |x: usize, y: usize| x.abs_diff(30 + t / 2).pow(2) + y.abs_diff(48).pow(2) < 500;
        let stripes = |x: usize, y: usize| if t < swap { (x / 9 + y / 7) % 2 } else { (x * y / 40) % 2 };
        data.extend((0..SIDE * SIDE).map(|i| {
            let (x, y) = (i % SIDE, i / SIDE);
            if disc(x, y) { 60 + 120 * u8::from(t < swap) } else { 90 + 60 * stripes(x, y) as u8 }
        }));
        let half = SIDE / 2;
        for colour in [90u8, 170] {
            data.extend((0..half * half).map(|i| {
                let inside = disc(2 * (i % half), 2 * (i / half));
                if inside && t < swap { colour } else { 128 }
            }));
        }
    }
    Yuv420Clip::from_planes(SIDE, SIDE, frames, data).expect("even sides")
}

#[test]
fn the_port_gives_the_embedders_values_and_a_swapped_subject_drifts() {
    let Some(models) = models() else { return };
    let embedder = Embedder::with_models(DeviceChoice::Cpu, models).expect("the CPU answers the probe");
    let networks = Networks::new(embedder).expect("pins");
    let embedder = networks.embedder();
    let (real, swapped) = (clip(81, 81), clip(81, 30));
    let reference = networks.likeness(&real, &real, 81).expect("answers");
    assert_eq!((reference.to_given.len(), reference.between.len()), (FRAMES.len() - FROM, PAIRS.len()));
    let by_hand = |early, late| {
        let frames = [early, late].map(|index| FrameOf { clip: &real, index });
        i64::from(embedder.cosines(&frames, &[(0, 1)]).expect("answers")[0].get())
    };
    assert!(FRAMES[FROM..].iter().map(|&frame| by_hand(0, frame)).eq(reference.to_given.iter().copied()));
    let between = PAIRS.map(|(early, late)| by_hand(FRAMES[early], FRAMES[late]));
    assert_eq!(reference.between, between);
    assert_eq!(networks.distance(&real, &real), Ok(0));
    assert!(networks.distance(&real, &clip(1, 0)).expect("answers") > 50, "another picture");

    let other = networks.likeness(&real, &swapped, 81).expect("answers");
    assert_eq!((id_drift(&reference, &reference), drift(&reference, &reference)), (Some(1000), Some(1000)));
    assert!(id_drift(&other, &reference) < Some(950), "{other:?} {reference:?}");
    assert!(drift(&other, &reference) < Some(900), "{other:?} {reference:?}");

    // As many frames as are asked for, and as the clip has.
    for (frames, have) in [(17, 81), (81, 17)] {
        let short = networks.likeness(&real, &clip(have, 81), frames).expect("answers");
        let places = asked(17).len();
        assert_eq!((short.to_given.len(), short.between.len()), (places - FROM, pairs(places).count()));
        assert_eq!(short.to_given, reference.to_given[..places - FROM]);
    }
}
