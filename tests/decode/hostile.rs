//! Damaged files: always a verdict or a typed refusal that blames the miner, never a partial clip.

use bytes::Bytes;
use leoma::{
    decode::{DecodeError, DecodedClip},
    domain::{outcome::Fault, score::GateId},
};
use proptest::prelude::*;

use super::fixtures::{FULL, SMALL, decoder, full_path, plain, small};

async fn small_verdict(bytes: Vec<u8>) -> Result<DecodedClip, DecodeError> {
    decoder().decode_clip(Bytes::from(bytes), SMALL).await
}

fn gate(result: Result<DecodedClip, DecodeError>) -> Option<GateId> {
    result.err().map(|error| match error {
        DecodeError::Gate { gate, .. } => gate,
        other => panic!("not a gate: {other}"),
    })
}

#[tokio::test]
async fn a_cut_file_is_refused_wherever_it_is_cut() {
    let front = small("front.mp4", "-pix_fmt yuv420p -movflags +faststart");
    let webm = small("vp9.webm", "-pix_fmt yuv420p -c:v libvpx-vp9");
    for file in [plain(), front, webm] {
        let length = file.len();
        for end in [1, 40, length / 4, length / 2, length * 3 / 4, length - 100, length - 1] {
            assert_eq!(gate(small_verdict(file[..end].to_vec()).await), Some(GateId::G13), "cut at {end}");
        }
    }
}

#[tokio::test]
async fn a_fragmented_file_cut_between_fragments_is_short() {
    let file = small("fragments.mp4", "-pix_fmt yuv420p -g 3 -bf 0 -movflags frag_keyframe+empty_moov");
    let last = file.windows(4).rposition(|w| w == b"moof").expect("has fragments") - 4;
    // What follows the last fragment (`mfra`) is gone too: whole boxes, but three frames less.
    assert_eq!(gate(small_verdict(file[..last].to_vec()).await), Some(GateId::G1));
}

#[tokio::test]
async fn overwritten_stretches_of_a_full_size_clip_are_noticed() {
    let whole = std::fs::read(full_path()).expect("just drawn");
    let data = whole.windows(4).position(|w| w == b"mdat").expect("has data") + 4;
    for part in [2, 3, 5, 7] {
        let mut file = whole.clone();
        let at = data + (whole.len() - data) / part;
        file[at..at + 400].fill(0xA5);
        let result = decoder().decode_clip(Bytes::from(file), FULL).await;
        assert_eq!(gate(result), Some(GateId::G13), "400 bytes at {at}");
    }
}

#[tokio::test]
async fn data_that_leaves_the_file_or_frames_that_are_declared_only_are_noticed() {
    let whole = plain().to_vec();
    let table = |name: &[u8; 4]| whole.windows(4).position(|w| w == name).expect("has the table");
    // The chunk offset points behind the file.
    let mut moved = whole.clone();
    let offset = table(b"stco") + 12;
    moved[offset..offset + 4].copy_from_slice(&0x7fff_0000u32.to_be_bytes());
    assert_eq!(gate(small_verdict(moved).await), Some(GateId::G13));
    // The last frame's size is zero.
    let mut emptied = whole.clone();
    let size = table(b"stsz") + 16 + 8 * 4;
    emptied[size..size + 4].copy_from_slice(&0u32.to_be_bytes());
    assert_eq!(gate(small_verdict(emptied).await), Some(GateId::G13));
}

#[tokio::test]
async fn a_table_that_asks_for_gigabytes_is_refused() {
    let whole = plain().to_vec();
    let size = whole.windows(4).position(|w| w == b"stsz").expect("has the table");
    let mut bomb = whole.clone();
    // Constant sample size 1, two thousand million samples.
    bomb[size + 8..size + 12].copy_from_slice(&1u32.to_be_bytes());
    bomb[size + 12..size + 16].copy_from_slice(&2_000_000_000u32.to_be_bytes());
    let error = small_verdict(bomb).await.expect_err("refused");
    assert_eq!(error.fault(), Fault::Miner, "{error}");
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(usize, u8),
    Flip(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
    Word(usize, u32),
}

impl Mutation {
    fn apply(&self, file: &mut Vec<u8>) {
        let length = file.len().max(1);
        match *self {
            _ if file.is_empty() => {}
            Mutation::Set(at, value) => file[at % length] = value,
            Mutation::Flip(at, bit) => file[at % length] ^= 1 << (bit % 8),
            Mutation::Cut(at) => file.truncate(at % length),
            Mutation::Remove(at, count) => {
                let at = at % length;
                file.drain(at..(at + count % 64).min(length));
            }
            Mutation::Repeat(at, count) => {
                let at = at % length;
                let piece = file[at..(at + count % 64).min(length)].to_vec();
                file.splice(at..at, piece);
            }
            Mutation::Word(at, value) => {
                let at = at % length;
                let end = (at + 4).min(length);
                file[at..end].copy_from_slice(&value.to_be_bytes()[..end - at]);
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<usize>;
    // Mostly in place: a changed length ends at the outer structure and reaches no decoder.
    prop_oneof![
        6 => (place(), any::<u8>()).prop_map(|(at, value)| Mutation::Set(at, value)),
        6 => (place(), any::<u8>()).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        4 => (place(), any::<u32>()).prop_map(|(at, value)| Mutation::Word(at, value)),
        1 => place().prop_map(Mutation::Cut),
        1 => (place(), place()).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (place(), place()).prop_map(|(at, count)| Mutation::Repeat(at, count)),
    ]
}

fn judge(file: Vec<u8>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    match runtime.block_on(small_verdict(file)) {
        Ok(clip) => {
            prop_assert_eq!((clip.frames.len(), clip.frames.width(), clip.frames.height()), (9, 64, 48))
        }
        Err(error) => prop_assert_eq!(error.fault(), Fault::Miner, "{}", error),
    }
    Ok(())
}

/// Each case starts a process: few by default, as many as `PROPTEST_CASES` says.
fn few_cases() -> ProptestConfig {
    let wanted = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { wanted.cases } else { 40 };
    ProptestConfig { cases, ..wanted }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn a_mutated_mp4_gets_a_verdict(mutations in prop::collection::vec(mutation(), 1..4)) {
        let mut file = plain().to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut file));
        judge(file)?;
    }

    #[test]
    fn a_mutated_webm_gets_a_verdict(mutations in prop::collection::vec(mutation(), 1..4)) {
        let mut file = small("vp9.webm", "-pix_fmt yuv420p -c:v libvpx-vp9").to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut file));
        judge(file)?;
    }
}
