//! Small domain values for the unit tests of every package.

use std::collections::BTreeMap;

use super::{
    ids::{BlockHash, BlockNumber, BlockRef, Digest, Hotkey, RoundId, Uid},
    outcome::{Fault, Outcome, Stage},
    plan::{ClipChoice, ClipSpec, PlanSource, RoundPlan},
    roster::{Deployment, Precedence, RosterEntry, Standing},
    score::{Axes, PromptRead, Score, ScoreCard},
    scoring::{CopyGate, GateMode},
    track::{CELLS, COLUMNS, ClipTrack, SAMPLES},
};

/// The hotkey of miner `n`.
pub fn hotkey(n: u8) -> Hotkey {
    Hotkey([n; 32])
}

/// A roster row of a miner that can be asked.
pub fn valid_entry(n: u8) -> RosterEntry {
    let deployment = Deployment {
        chute_id: format!("chute-{n}"),
        slug: format!("miner-{n}"),
        model_hash: Digest([n; 32]).to_string(),
    };
    RosterEntry {
        uid: Uid(u16::from(n)),
        hotkey: hotkey(n),
        commitment: None,
        precedence: Precedence { reveal_block: BlockNumber(u64::from(n)), index: 0, uid: Uid(u16::from(n)) },
        standing: Standing::Valid { deployment },
    }
}

/// A plan for a round with miners `1..=miners`.
pub fn plan(round: u64, miners: u8) -> RoundPlan {
    let anchor = BlockRef { number: BlockNumber(round * 100), hash: BlockHash([round as u8; 32]) };
    RoundPlan {
        round: RoundId(round),
        anchor,
        answer_by: BlockNumber(round * 100 + 60),
        settle_by: BlockNumber(round * 100 + 95),
        source: PlanSource::Sample,
        spec: ClipSpec { frames: 81, width: 832, height: 480, fps: 16 },
        clip: ClipChoice {
            key: format!("clip-{round}.mp4"),
            sha256: Digest([1; 32]),
            window_start_us: 0,
            first_frame_png: Digest([2; 32]),
            reference_frames: Digest([3; 32]),
            prompt: "a boat".into(),
        },
        roster: (1..=miners).map(valid_entry).collect(),
        rules_digest: Digest([4; 32]),
        corpus_digest: Digest([5; 32]),
        copies: Some(track_gate()),
    }
}

/// A scored outcome; the frames differ by `frames`.
pub fn scored(overall: i64, passed: bool, frames: u8) -> Outcome {
    let card = ScoreCard {
        axes: Axes { temporal: Some(Score::clamped(overall)), ..Axes::default() },
        overall: Score::clamped(overall),
        passed,
        terms: BTreeMap::new(),
        gates: BTreeMap::new(),
        opponents: None,
        prompt_read: PromptRead::None,
        frame_digest: Digest([frames; 32]),
        score_digest: Digest([frames; 32]),
        track: None,
    };
    Outcome::Scored { card: Box::new(card) }
}

/// Limits of G8 that fit [`moving_track`].
pub fn track_gate() -> CopyGate {
    CopyGate { mode: GateMode::Decides, unlike: 270, unlike_long: 120, change: 128, rounds: 2 }
}

/// Something bright that moves across the picture at a pace, with the noise of an encoder; other paces are other clips.
///
/// # Panics
/// Never: the values are those of a track.
#[allow(clippy::expect_used)]
pub fn moving_track(noise: u64, pace: i64) -> ClipTrack {
    let grain = |index: usize| {
        let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ noise.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> 61) as i64
    };
    let value = |index: usize| {
        let (sample, row, column) = (index / CELLS, index % CELLS / COLUMNS, index % COLUMNS);
        let from = 30 * column as i64 - pace * sample as i64 - 20 * row as i64;
        (1000 + (from.rem_euclid(390) - 195).abs() * 8 + grain(index)) as u16
    };
    ClipTrack::new((0..SAMPLES * CELLS).map(value).collect()).expect("values of a track")
}

/// A scored outcome whose pictures change at a pace.
pub fn filmed(overall: i64, frames: u8, pace: i64) -> Outcome {
    match scored(overall, true, frames) {
        Outcome::Scored { mut card } => {
            card.track = Some(moving_track(frames.into(), pace));
            Outcome::Scored { card }
        }
        other => other,
    }
}

/// A forfeit by `fault`.
pub fn forfeit(fault: Fault) -> Outcome {
    Outcome::Forfeit { stage: Stage::Challenge, fault, reason: "answer_timeout".into() }
}
