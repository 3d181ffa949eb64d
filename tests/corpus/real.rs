//! The fetched clips, where they are: every one has a window, and cuts stand where people see them.

use std::{collections::BTreeSet, path::PathBuf};

use leoma::{
    corpus::{Usability, timeline::Timeline},
    domain::{ids::BlockHash, plan::ClipSpec},
};

use super::{decoder, open, rules};

const SPEC: ClipSpec = ClipSpec { frames: 81, width: 832, height: 480, fps: 16 };

/// The folder of `scripts/fetch-assets.sh`, when it was filled. Says loudly that a test skips, and
/// fails instead where `LEOMA_REQUIRE_ASSETS` is set.
fn fetched(file: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("LEOMA_CACHE").map(PathBuf::from).or_else(|| {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        Some(base.or_else(home)?.join("leoma"))
    });
    let folder = cache?.join("corpus");
    if folder.join(file).is_file() {
        return Some(folder);
    }
    let skipped =
        format!("SKIPPED: {} is not there, run scripts/fetch-assets.sh", folder.join(file).display());
    assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "{skipped}");
    eprintln!("{skipped}");
    None
}

#[tokio::test]
async fn every_fetched_clip_has_a_window_for_any_block() {
    let Some(folder) = fetched("corpus.toml") else { return };
    let corpus = open(&folder).await;
    for entry in corpus.clips() {
        for anchor in [0, 90, 255].map(|byte| BlockHash([byte; 32])) {
            let usability = corpus.inspect(entry, &anchor, SPEC).await.expect("readable clip");
            let Usability::Usable(window) = usability else { panic!("{}: {usability:?}", entry.key) };
            assert!(entry.range_us().contains(&window.start_us), "{}: {window:?}", entry.key);
            assert_eq!(window.frames.len(), 81);
        }
    }
}

#[tokio::test]
async fn a_fetched_clip_is_prepared_at_full_size_and_replays() {
    let Some(folder) = fetched("corpus.toml") else { return };
    let corpus = open(&folder).await;
    let clip = corpus.choose(&rules(SPEC), &BlockHash([1; 32]), &BTreeSet::new()).await.expect("a clip");
    assert_eq!((clip.reference.len(), clip.reference.width(), clip.reference.height()), (81, 832, 480));
    assert!(clip.first_frame_png.len() < 1_300_000, "PNG of {} bytes", clip.first_frame_png.len());
    let again = corpus.prepare(&clip.choice, SPEC).await.expect("replays");
    assert_eq!(again.first_frame_png, clip.first_frame_png);
}

#[tokio::test]
async fn the_five_cuts_of_the_bicycle_clip_are_found_and_nothing_else() {
    let Some(folder) = fetched("bikes.mp4") else { return };
    let file = std::fs::read(folder.join("bikes.mp4")).expect("readable clip");
    let scan = decoder().scan_source(file.into()).await.expect("decodes");
    let thumb_pixels = (scan.thumb_width * scan.thumb_height) as usize;
    let frames = scan.frames.iter().map(|frame| (frame.pts_us, frame.thumb.as_slice()));
    let timeline = Timeline::new((scan.width, scan.height), thumb_pixels, frames).expect("sound scan");
    let cuts: Vec<u64> = timeline.cuts().iter().map(|&cut| timeline.pts_us()[cut] / 1_000).collect();
    assert_eq!(cuts, [1_200, 3_040, 5_480, 7_480, 9_680]);
}
