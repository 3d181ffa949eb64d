//! Cost of G8: the clips of 256 miners beside each other, and beside those of eight rounds before.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use leoma_core::domain::{
    copies::{ClipIdentity, CopyBook, EarlierClip},
    ids::{BlockNumber, Digest, Hotkey, RoundId, Uid},
    roster::Precedence,
    rules::Rules,
    track::{CELLS, COLUMNS, ClipTrack, SAMPLES},
};

const MINERS: u16 = 256;
const ROUNDS: u64 = 8;

/// Three lights that move at paces, in directions and from places of the clip's own, with an encoder's noise.
fn track(seed: u64) -> ClipTrack {
    // SplitMix64.
    let drawn = |index: u64| {
        let mixed = (seed * 4_096 + index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let light = |number: u64, (sample, column, row): (u64, u64, u64)| {
        let of = |what: u64, below: u64| drawn(2_000 + 10 * number + what) % below;
        let from = of(0, 60) * column + of(1, 60) * row + of(2, 90) * sample + of(3, 390);
        (from % 390).abs_diff(195) * 4
    };
    let value = |index: usize| {
        let at = [index / CELLS, index % COLUMNS, index % CELLS / COLUMNS].map(|at| at as u64);
        let lights: u64 = (0..3).map(|number| light(number, at.into())).sum();
        (1_000 + lights + drawn(index as u64) % 8) as u16
    };
    ClipTrack::new((0..SAMPLES * CELLS).map(value).collect()).expect("values of a track")
}

fn hotkey(miner: u16) -> Hotkey {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&miner.to_le_bytes());
    Hotkey(key)
}

fn clip(miner: u16) -> ClipIdentity {
    let hotkey = hotkey(miner);
    ClipIdentity {
        hotkey,
        precedence: Precedence { reveal_block: BlockNumber(miner.into()), index: 0, uid: Uid(miner) },
        file: Digest(hotkey.0),
        frames: Digest(hotkey.0),
        track: Some(track(miner.into())),
    }
}

fn copies(c: &mut Criterion) {
    let gate = Rules::embedded().scoring.gates.copy;
    let clips: Vec<_> = (0..MINERS).map(clip).collect();
    let book = |clips: &[ClipIdentity]| {
        let mut book = CopyBook::default();
        clips.iter().for_each(|clip| book.add(clip.clone(), Some(&gate)));
        book
    };
    let earlier: Vec<_> = (1..=ROUNDS)
        .flat_map(|round| (0..MINERS).map(move |miner| (round, miner)))
        .map(|(round, miner)| EarlierClip {
            round: RoundId(round),
            hotkey: hotkey(miner),
            changes: track(1_000 * round + u64::from(miner)).changes(),
        })
        .collect();
    let whole = book(&clips);
    assert_eq!(whole.find_earlier(&hotkey(7), &earlier, &gate), None, "all are compared");
    let mut group = c.benchmark_group("copies");
    group.sample_size(10);
    group.bench_function("256 clips beside each other", |bench| bench.iter(|| book(black_box(&clips))));
    group.bench_function("a clip beside those of eight rounds", |bench| {
        bench.iter(|| whole.find_earlier(black_box(&hotkey(7)), &earlier, &gate));
    });
}

criterion_group!(benches, copies);
criterion_main!(benches);
