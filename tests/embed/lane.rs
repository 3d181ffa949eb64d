//! The embedder as a scorer uses it.

use std::sync::{Arc, OnceLock};

use leoma_embed::{
    DeviceChoice, EmbedError, Embedder, EmbedderOptions,
    embedder::{FrameOf, MOST_FRAMES},
};

use crate::support::{damaged, first_of, models, photos, textured};

/// The embedder that these tests share: it takes many callers.
fn embedder() -> Option<Arc<Embedder>> {
    static EMBEDDER: OnceLock<Option<Arc<Embedder>>> = OnceLock::new();
    let start = |models| Embedder::with_models(DeviceChoice::Cpu, models).expect("the CPU answers the probe");
    EMBEDDER.get_or_init(|| models().map(start).map(Arc::new)).clone()
}

#[test]
fn equal_frames_have_distance_zero_and_cosine_one_and_the_device_is_named() {
    let Some(embedder) = embedder() else { return };
    let clip = textured(96, 64, 7);
    assert_eq!(embedder.device(), "cpu-flex");
    assert_eq!(embedder.first_frame_distance(&clip, &clip).map(|distance| distance.get()), Ok(0));
    assert_eq!(
        embedder.cosines(&first_of([&clip, &clip]), &[(0, 1)]).map(|cosines| cosines[0].get()),
        Ok(1024)
    );
    assert_eq!(embedder.cosines(&first_of([&clip]), &[]), Ok(vec![]));
}

#[test]
fn photos_are_judged_as_a_person_would() {
    let Some(embedder) = embedder() else { return };
    let [(_, runner), (_, rabbit), ..] = photos() else { return };
    let to = |other: &_| embedder.first_frame_distance(runner, other).expect("a distance").get();
    let shifted = to(&damaged(runner, "shifted"));
    let (dark, mosaic) = (to(&damaged(runner, "dark")), to(&damaged(runner, "mosaic")));
    let other = to(rabbit);
    // In 1/1024: a shift of two pixels is hardly seen, another photo is far away.
    assert!(shifted < 12 && dark > 60 && mosaic > 120 && other > 500, "{shifted} {dark} {mosaic} {other}");
    let cosine = |other| embedder.cosines(&first_of([runner, other]), &[(0, 1)]).expect("a cosine")[0].get();
    let (near, far) = (cosine(&damaged(runner, "dark")), cosine(rabbit));
    assert!(near > 950 && far < 700, "{near} {far}");
}

#[test]
fn what_cannot_be_compared_is_refused_and_the_lane_goes_on() {
    let Some(embedder) = embedder() else { return };
    let (clip, small, wide) = (textured(96, 64, 1), textured(62, 64, 1), textured(98, 64, 1));
    assert!(matches!(embedder.first_frame_distance(&clip, &wide), Err(EmbedError::Size { width: 98, .. })));
    assert!(matches!(embedder.first_frame_distance(&small, &small), Err(EmbedError::Size { width: 62, .. })));
    let beyond = [FrameOf { clip: &clip, index: 0 }, FrameOf { clip: &clip, index: 1 }];
    assert!(matches!(embedder.cosines(&beyond, &[(0, 1)]), Err(EmbedError::Frame { index: 1, frames: 1 })));
    let frames = vec![FrameOf { clip: &clip, index: 0 }; MOST_FRAMES + 1];
    assert!(matches!(embedder.cosines(&frames, &[(0, 0)]), Err(EmbedError::TooMany { .. })));
    assert!(matches!(
        embedder.cosines(&frames[..2], &[(0, 2)]),
        Err(EmbedError::Frame { index: 2, frames: 2 })
    ));
    // Embeddings of clips of different sizes are compared: both are resized.
    assert!(embedder.cosines(&first_of([&clip, &wide]), &[(0, 1)]).is_ok());
}

#[test]
fn many_callers_get_their_own_answers_whatever_is_remembered() {
    let Some(embedder) = embedder() else { return };
    let clips: Arc<Vec<_>> = Arc::new((0..6).map(|seed| textured(64, 64, seed)).collect());
    let expected: Vec<_> =
        (0..6).map(|i| embedder.first_frame_distance(&clips[i], &clips[(i + 1) % 6])).collect();
    assert!(expected.iter().all(|distance| distance.as_ref().is_ok_and(|distance| distance.get() > 50)));
    let callers: Vec<_> = (0..6)
        .map(|i| {
            let (embedder, clips) = (Arc::clone(&embedder), Arc::clone(&clips));
            std::thread::spawn(move || embedder.first_frame_distance(&clips[i], &clips[(i + 1) % 6]))
        })
        .collect();
    let got: Vec<_> = callers.into_iter().map(|caller| caller.join().expect("no panic")).collect();
    assert_eq!(got, expected);
}

#[test]
fn a_folder_without_models_says_what_to_do() {
    let options = EmbedderOptions { device: DeviceChoice::Cpu, models: "/nonexistent/leoma-models".into() };
    let Err(error) = Embedder::start(&options) else { panic!("there is no such folder") };
    assert!(matches!(error, EmbedError::Missing { .. }));
    assert!(error.to_string().contains("leoma models fetch"), "{error}");
}

/// Scored embeddings must not choose kernels by timing or merge them on the fly.
#[test]
fn burn_is_built_without_fusion_and_autotune() {
    let manifest = include_str!("../../Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("burn = ")).expect("burn in the workspace");
    assert!(line.contains("default-features = false"), "{line}");
    assert!(!line.contains("fusion") && !line.contains("autotune"), "{line}");
}
