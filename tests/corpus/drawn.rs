//! Drawn clips from pixels to prepared clip and back: choice, replay, refusals.

use std::{collections::BTreeSet, path::Path, sync::OnceLock};

use leoma::{
    corpus::{
        CorpusError, Manifest,
        draw::{DrawOptions, draw_corpus},
        png::decode_first_frame,
        shelf::ShelfError,
    },
    domain::{
        ids::{BlockHash, Digest},
        plan::{ClipChoice, ClipSpec},
    },
};
use tempfile::TempDir;

use super::{open, rules};

const SPEC: ClipSpec = ClipSpec { frames: 81, width: 208, height: 120, fps: 16 };

/// Four small drawn clips, made once for all tests.
fn drawn() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut options = DrawOptions::into_folder(folder.path());
        (options.width, options.height, options.scenes) = (208, 120, 4);
        draw_corpus(&options, |_| ()).expect("ffmpeg with libx264 is installed");
        folder
    });
    folder.path()
}

/// A corpus of its own, for tests that change it.
fn copied() -> TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for file in std::fs::read_dir(drawn()).expect("readable folder") {
        let file = file.expect("readable entry");
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("copied");
    }
    folder
}

fn anchor(last: u8) -> BlockHash {
    let mut hash = [7; 32];
    hash[31] = last;
    BlockHash(hash)
}

fn keys(corpus: &leoma::corpus::Corpus) -> Vec<String> {
    corpus.clips().iter().map(|clip| clip.key.clone()).collect()
}

#[tokio::test]
async fn two_validators_prepare_the_same_clip_and_anyone_replays_it() {
    let none = BTreeSet::new();
    let (one, other) = (open(drawn()).await, open(drawn()).await);
    let mine = one.choose(&rules(SPEC), &anchor(1), &none).await.expect("a clip");
    let theirs = other.choose(&rules(SPEC), &anchor(1), &none).await.expect("a clip");
    assert_eq!(mine.choice, theirs.choice);
    assert_eq!(mine.first_frame_png, theirs.first_frame_png);
    assert_eq!((mine.reference.len(), mine.reference.width(), mine.reference.height()), (81, 208, 120));
    assert_eq!(mine.choice.reference_frames, mine.reference.digest());
    assert_eq!(mine.choice.first_frame_png, Digest::of(&mine.first_frame_png));

    let replayed = other.prepare(&mine.choice, SPEC).await.expect("the same bytes");
    assert_eq!(replayed.choice, mine.choice);
    assert_eq!(replayed.reference, mine.reference);
}

#[tokio::test]
async fn the_scorers_first_frame_comes_from_the_png_and_shows_the_clips_first_frame() {
    let corpus = open(drawn()).await;
    let clip = corpus.choose(&rules(SPEC), &anchor(2), &BTreeSet::new()).await.expect("a clip");
    assert_eq!(*clip.first_frame, decode_first_frame(&clip.first_frame_png).expect("own file"));
    let (shown, real) = (clip.first_frame.frame(0), clip.reference.frame(0));
    let apart: u64 = shown.y.iter().zip(real.y).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    // Rounding to 8-bit RGB and back, and colours outside RGB, cost a fraction of a level.
    assert!(apart * 2 < shown.y.len() as u64, "luma differs by {apart} over {} pixels", shown.y.len());
}

#[tokio::test]
async fn a_published_clip_never_returns_until_none_is_left() {
    let corpus = open(drawn()).await;
    let mut published = BTreeSet::new();
    for round in 0..4 {
        let clip = corpus.choose(&rules(SPEC), &anchor(3), &published).await.expect("a clip is left");
        assert!(published.insert(clip.choice.key.clone()), "round {round} repeats {}", clip.choice.key);
    }
    assert_eq!(published.iter().cloned().collect::<Vec<_>>(), keys(&corpus));
    let error = corpus.choose(&rules(SPEC), &anchor(3), &published).await.expect_err("all were published");
    assert!(matches!(error, CorpusError::Exhausted { clips: 4, published: 4 }), "{error}");
}

#[tokio::test]
async fn candidates_come_in_walk_order_from_the_hash() {
    let corpus = open(drawn()).await;
    let keys = keys(&corpus);
    for start in 0..4u8 {
        let mut hash = [0; 32];
        hash[31] = start;
        let mut candidates = corpus.candidates(&BlockHash(hash), SPEC);
        let mut seen = Vec::new();
        while let Some(candidate) = candidates.next().await.expect("readable clips") {
            seen.push(candidate.entry().key.clone());
        }
        let expected: Vec<_> = (0..4).map(|step| keys[(usize::from(start) + step) % 4].clone()).collect();
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_replay_that_differs_in_anything_is_a_mismatch() {
    let corpus = open(drawn()).await;
    let clip = corpus.choose(&rules(SPEC), &anchor(4), &BTreeSet::new()).await.expect("a clip");
    type Change = fn(&mut ClipChoice);
    let changes: [(&str, Change); 5] = [
        ("the source file", |choice| choice.sha256 = Digest::of(b"other")),
        ("the start of the window", |choice| choice.window_start_us += 1),
        ("the first frame", |choice| choice.first_frame_png = Digest::of(b"other")),
        ("the reference clip", |choice| choice.reference_frames = Digest::of(b"other")),
        ("the prompt", |choice| choice.prompt.push('!')),
    ];
    for (expected, change) in changes {
        let mut choice = clip.choice.clone();
        change(&mut choice);
        let error = corpus.prepare(&choice, SPEC).await.expect_err(expected);
        assert!(matches!(error, CorpusError::Mismatch { what, .. } if what == expected), "{error}");
    }
    let unknown = ClipChoice { key: "gone.mp4".into(), ..clip.choice };
    let error = corpus.prepare(&unknown, SPEC).await.expect_err("unknown clip");
    assert!(matches!(error, CorpusError::Unknown { .. }), "{error}");
}

#[tokio::test]
async fn an_altered_or_missing_file_ends_the_walk_instead_of_changing_the_choice() {
    let folder = copied();
    let none = BTreeSet::new();
    let corpus = open(folder.path()).await;
    let key = corpus.choose(&rules(SPEC), &anchor(5), &none).await.expect("a clip").choice.key;
    let path = folder.path().join(&key);
    let mut content = std::fs::read(&path).expect("readable clip");
    let last = content.len() - 1;
    content[last] ^= 1;
    std::fs::write(&path, &content).expect("writable clip");
    let error = corpus.choose(&rules(SPEC), &anchor(5), &none).await.expect_err("altered file");
    assert!(matches!(error, CorpusError::Shelf(ShelfError::Content { .. })), "{error}");
    std::fs::remove_file(&path).expect("removable clip");
    let error = corpus.choose(&rules(SPEC), &anchor(5), &none).await.expect_err("missing file");
    assert!(matches!(error, CorpusError::Shelf(ShelfError::Storage { .. })), "{error}");
}

#[tokio::test]
async fn a_file_that_no_decoder_reads_is_passed_over_by_everyone() {
    let folder = copied();
    let garbage = b"no video ".repeat(4_000);
    let sound = open(folder.path()).await;
    let mut clips = sound.clips().to_vec();
    std::fs::write(folder.path().join(&clips[0].file), &garbage).expect("writable clip");
    (clips[0].bytes, clips[0].sha256) = (garbage.len() as u64, Digest::of(&garbage));
    let manifest = Manifest::new(10_000, clips.clone()).expect("valid");
    std::fs::write(folder.path().join("corpus.toml"), manifest.to_toml()).expect("writable manifest");

    let corpus = open(folder.path()).await;
    assert_ne!(corpus.digest(), sound.digest());
    let prepared =
        corpus.choose(&rules(SPEC), &BlockHash([0; 32]), &BTreeSet::new()).await.expect("the next clip");
    assert_eq!(prepared.choice.key, clips[1].key);
}
