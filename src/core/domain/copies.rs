//! Gate G8: who sent the clip of another miner, as it was or encoded anew.
//!
//! Two clips are the same when their files are equal, their frames are equal, or their tracks are as near as only copies
//! are. Sameness is passed on: clips that are the same as a third one are one group. What is found is kept beside the
//! round's tickets, a clip at a time, because a table of 256 clips is not compared anew at every event.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ids::{Digest, Hotkey, RoundId},
    roster::Precedence,
    scoring::{CopyGate, GateMode},
    track::{ClipTrack, Step, TrackChanges},
};

/// What makes a clip the same as another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClipIdentity {
    /// Whose clip.
    pub hotkey: Hotkey,
    /// Order between miners.
    pub precedence: Precedence,
    /// SHA-256 of the file.
    pub file: Digest,
    /// Digest of the decoded planes: equal for a file that was only remuxed.
    pub frames: Digest,
    /// How its pictures change; `None` for a clip that was scored before tracks were kept.
    pub track: Option<ClipTrack>,
}

/// A clip of an earlier round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EarlierClip {
    /// In which round.
    pub round: RoundId,
    /// Whose clip.
    pub hotkey: Hotkey,
    /// How its pictures change.
    pub changes: TrackChanges,
}

/// The clips of one round, in groups of the same clip.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CopyBook {
    clips: Vec<(ClipIdentity, Option<TrackChanges>)>,
    /// Groups by place in `clips`; a clip is in one.
    groups: Vec<Vec<usize>>,
    /// Clips that another miner sent in an earlier round.
    returned: BTreeMap<Hotkey, (RoundId, Hotkey)>,
}

/// Whether two clips change alike, and the rules let that decide.
pub fn same_track(one: &TrackChanges, other: &TrackChanges, gate: &CopyGate) -> bool {
    gate.mode == GateMode::Decides && alike(one, other, gate)
}

/// Whether two clips change alike, over the short step or the long one, and change enough to tell.
pub fn alike(one: &TrackChanges, other: &TrackChanges, gate: &CopyGate) -> bool {
    let change = one.over(Step::Short).size().min(other.over(Step::Short).size());
    change >= gate.change && within(one, other, [gate.unlike, gate.unlike_long])
}

/// Whether two clips change alike where doubt speaks for that: by twice the limits, however little they change.
pub fn alike_in_doubt(one: &TrackChanges, other: &TrackChanges, gate: &CopyGate) -> bool {
    within(one, other, [2 * gate.unlike, 2 * gate.unlike_long])
}

/// Whether the changes over the short step or those over the long one are no farther apart than the limit of each.
fn within(one: &TrackChanges, other: &TrackChanges, [short, long]: [i64; 2]) -> bool {
    [(Step::Short, short), (Step::Long, long)].into_iter().any(|(step, most)| {
        one.over(step).distance(other.over(step), most).is_some_and(|found| found.unlike <= most)
    })
}

impl CopyBook {
    /// Adds a scored clip and compares it with those before it.
    pub fn add(&mut self, clip: ClipIdentity, gate: Option<&CopyGate>) {
        let changes = clip.track.as_ref().map(ClipTrack::changes);
        let alike = |other: Option<&TrackChanges>| match (gate, &changes, other) {
            (Some(gate), Some(mine), Some(theirs)) => same_track(mine, theirs, gate),
            _ => false,
        };
        let same = |other: &(ClipIdentity, Option<TrackChanges>)| {
            other.0.file == clip.file || other.0.frames == clip.frames || alike(other.1.as_ref())
        };
        let mut group = vec![self.clips.len()];
        let (joined, apart): (Vec<_>, Vec<_>) = std::mem::take(&mut self.groups)
            .into_iter()
            .partition(|members| members.iter().any(|member| same(&self.clips[*member])));
        group.extend(joined.into_iter().flatten());
        self.groups = apart;
        self.groups.push(group);
        self.clips.push((clip, changes));
    }

    /// Groups of more than one clip, each in the order of precedence; clips of earlier rounds are in none.
    pub fn groups(&self) -> Vec<Vec<&ClipIdentity>> {
        let of = |group: &Vec<usize>| {
            let clips = group.iter().map(|place| &self.clips[*place].0);
            let mut members: Vec<_> =
                clips.filter(|clip| !self.returned.contains_key(&clip.hotkey)).collect();
            members.sort_by_key(|clip| (clip.precedence, clip.hotkey));
            members
        };
        let mut groups: Vec<_> = self.groups.iter().map(of).filter(|members| members.len() > 1).collect();
        groups.sort_by_key(|members| (members[0].precedence, members[0].hotkey));
        groups
    }

    /// The newest clip of another miner in an earlier round that a miner's clip is.
    pub fn find_earlier(
        &self,
        hotkey: &Hotkey,
        earlier: &[EarlierClip],
        gate: &CopyGate,
    ) -> Option<(RoundId, Hotkey)> {
        let mine = self.changes_of(hotkey)?;
        let others = earlier.iter().rev().filter(|other| other.hotkey != *hotkey);
        let found = others.into_iter().find(|other| same_track(mine, &other.changes, gate))?;
        Some((found.round, found.hotkey))
    }

    /// Notes that a miner's clip is another one's of an earlier round.
    pub fn note_returned(&mut self, hotkey: Hotkey, round: RoundId, owner: Hotkey) {
        self.returned.insert(hotkey, (round, owner));
    }

    /// Clips that another miner sent in an earlier round: which round and whose.
    pub fn returned(&self) -> impl Iterator<Item = (Hotkey, RoundId, Hotkey)> + '_ {
        self.returned.iter().map(|(hotkey, (round, owner))| (*hotkey, *round, *owner))
    }

    /// How the pictures of a miner's clip change.
    pub fn changes_of(&self, hotkey: &Hotkey) -> Option<&TrackChanges> {
        self.clips.iter().find(|(clip, _)| clip.hotkey == *hotkey)?.1.as_ref()
    }
}

/// A clip that loses to an earlier miner's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CopiedClip {
    /// Whose clip is refused.
    pub loser: Hotkey,
    /// Whose clip stands.
    pub original: Hotkey,
}

/// All clips that are the same as an earlier miner's, sorted by loser: G8 where nobody can be asked again.
pub fn find_copies(clips: &[ClipIdentity], gate: &CopyGate) -> Vec<CopiedClip> {
    let mut book = CopyBook::default();
    clips.iter().for_each(|clip| book.add(clip.clone(), Some(gate)));
    let groups = book.groups();
    let lost = groups.iter().flat_map(|group| {
        group[1..].iter().map(|clip| CopiedClip { loser: clip.hotkey, original: group[0].hotkey })
    });
    let mut copies: Vec<_> = lost.collect();
    copies.sort();
    copies
}

/// Clips of earlier rounds, shared by whoever compares with them.
pub type EarlierClips = Arc<[EarlierClip]>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        ids::{BlockNumber, Uid},
        rules::Rules,
        testing::{moving_track, track_gate},
        track::{CELLS, COLUMNS, SAMPLES},
    };

    fn clip(key: u8, block: u64, file: u8, frames: u8) -> ClipIdentity {
        ClipIdentity {
            hotkey: Hotkey([key; 32]),
            precedence: Precedence { reveal_block: BlockNumber(block), index: 0, uid: Uid(u16::from(key)) },
            file: Digest([file; 32]),
            frames: Digest([frames; 32]),
            track: None,
        }
    }

    fn filmed(key: u8, block: u64, pace: i64) -> ClipIdentity {
        ClipIdentity { track: Some(moving_track(key.into(), pace)), ..clip(key, block, 100 + key, 100 + key) }
    }

    fn lost(pairs: &[(u8, u8)]) -> Vec<CopiedClip> {
        let copied = |&(loser, original): &(u8, u8)| CopiedClip {
            loser: Hotkey([loser; 32]),
            original: Hotkey([original; 32]),
        };
        pairs.iter().map(copied).collect()
    }

    #[test]
    fn the_earlier_miner_keeps_its_clip_whatever_the_order_of_the_list() {
        let clips = [clip(1, 30, 9, 9), clip(2, 10, 9, 9), clip(3, 20, 8, 9), clip(4, 5, 7, 7)];
        let mut turned = clips.to_vec();
        turned.reverse();
        for clips in [&clips[..], &turned] {
            assert_eq!(find_copies(clips, &track_gate()), lost(&[(1, 2), (3, 2)]));
        }
    }

    #[test]
    fn different_clips_are_left_alone() {
        let clips = [clip(1, 1, 1, 11), clip(2, 2, 2, 12), filmed(3, 3, 16), filmed(4, 4, 31)];
        assert!(find_copies(&clips, &track_gate()).is_empty());
    }

    #[test]
    fn a_clip_that_was_encoded_anew_is_the_same_and_sameness_is_passed_on() {
        let mut third = filmed(3, 30, 31);
        third.file = Digest([101; 32]); // the file of the first miner, so to say with other pictures
        let clips = [filmed(1, 10, 16), filmed(2, 20, 16), third, filmed(4, 40, 31), filmed(5, 5, -16)];
        assert_eq!(find_copies(&clips, &track_gate()), lost(&[(2, 1), (3, 1), (4, 1)]));
        let advisory = CopyGate { mode: GateMode::Advisory, ..track_gate() };
        assert_eq!(find_copies(&clips, &advisory), lost(&[(3, 1)]), "equal files decide all the same");
    }

    /// A slope of light that slides by `pace` percent of a level in the time of a sample, with an encoder's noise.
    fn slow(noise: u64, pace: i64) -> TrackChanges {
        let mut state = noise;
        let mut grain = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 62) as i64
        };
        let value = |index: usize| {
            let (sample, column) = (index / CELLS, index % COLUMNS);
            let slid = pace * 16 * sample as i64 / 100;
            (1000 + 40 * column as i64 + if column < COLUMNS / 2 { slid } else { -slid } + grain()) as u16
        };
        ClipTrack::new((0..SAMPLES * CELLS).map(value).collect()).expect("a track").changes()
    }

    #[test]
    fn a_slow_copy_is_known_by_the_long_step_and_honest_clips_of_any_pace_stay_apart() {
        let gate = Rules::embedded().scoring.gates.copy;
        let (clip, copy) = (slow(1, 9), slow(2, 9));
        let over = |other: &TrackChanges, step| {
            clip.over(step).distance(other.over(step), 2_000).expect("they change")
        };
        // 150 was the limit of slow clips before there was a long step.
        let short = over(&copy, Step::Short);
        assert!(short.unlike > 150 && short.change >= gate.change, "{short:?}");
        assert!(same_track(&clip, &copy, &gate), "{:?}", over(&copy, Step::Long));
        for pace in [12, 6, -9] {
            let other = slow(3, pace);
            assert!(!same_track(&clip, &other, &gate), "{pace}: {:?}", over(&other, Step::Long));
        }
        let (fast, faster) = (slow(1, 120), slow(2, 156));
        assert!(fast.over(Step::Short).size() > 1_024 && !same_track(&fast, &faster, &gate));
        assert!(
            same_track(&fast, &faster, &CopyGate { unlike: 300, ..gate }),
            "a limit that once was in force"
        );
    }

    #[test]
    fn plans_of_rounds_before_have_the_short_step_alone() {
        let text = r#"{"mode":"decides","unlike":120,"change":64,"rounds":8}"#;
        let gate: CopyGate = serde_json::from_str(text).expect("reads");
        assert!(
            !same_track(&slow(1, 9), &slow(2, 9), &gate) && same_track(&slow(1, 90), &slow(2, 90), &gate)
        );
    }

    #[test]
    fn what_hardly_changes_over_a_short_step_is_no_evidence_over_a_long_one_either() {
        let gate = Rules::embedded().scoring.gates.copy;
        let (clip, copy) = (slow(1, 3), slow(1, 3));
        assert!(clip.over(Step::Short).size() < gate.change && clip.over(Step::Long).size() >= gate.change);
        assert!(!same_track(&clip, &copy, &gate) && alike_in_doubt(&clip, &copy, &gate));
    }

    #[test]
    fn what_hardly_changes_is_no_evidence() {
        let strict = CopyGate { change: 1 << 20, ..track_gate() };
        assert!(find_copies(&[filmed(1, 1, 16), filmed(2, 2, 16)], &strict).is_empty());
    }

    #[test]
    fn another_miners_clip_of_an_earlier_round_is_known_and_ones_own_is_not_held_against_one() {
        let before = |key: u8, round: u64| EarlierClip {
            round: RoundId(round),
            hotkey: Hotkey([key; 32]),
            changes: moving_track(77, 16).changes(),
        };
        let (mut book, gate) = (CopyBook::default(), track_gate());
        let earlier = [before(1, 4), before(1, 5)];
        let [one, other] = [1, 2].map(|key| Hotkey([key; 32]));
        book.add(filmed(1, 1, 16), Some(&gate));
        book.add(filmed(2, 2, 16), Some(&gate));
        assert_eq!(book.find_earlier(&one, &earlier, &gate), None);
        assert_eq!(book.find_earlier(&other, &earlier, &gate), Some((RoundId(5), one)), "the newest");
        book.note_returned(other, RoundId(5), one);
        assert_eq!(book.returned().collect::<Vec<_>>(), [(other, RoundId(5), one)]);
        assert!(book.groups().is_empty(), "what is refused already disputes nothing");
    }

    proptest! {
        #[test]
        fn neither_of_two_clips_is_the_first(noises in any::<(u64, u64)>(), pace in 2i64..60, more in 0i64..8) {
            let gate = Rules::embedded().scoring.gates.copy;
            let (one, other) = (slow(noises.0, pace), slow(noises.1, pace + more));
            prop_assert_eq!(alike(&one, &other, &gate), alike(&other, &one, &gate));
            prop_assert_eq!(alike_in_doubt(&one, &other, &gate), alike_in_doubt(&other, &one, &gate));
            prop_assert!(!alike(&one, &other, &gate) || alike_in_doubt(&one, &other, &gate));
        }

        #[test]
        fn groups_do_not_depend_on_the_order_in_which_clips_settle(
            made in prop::collection::vec((0u8..4, 0u8..4, 0i64..4), 1..9),
            turn in any::<prop::sample::Index>(),
        ) {
            let clips: Vec<_> = made.iter().zip(1u8..).map(|(&(file, frames, pace), key)| ClipIdentity {
                track: Some(moving_track(key.into(), 9 + 11 * pace)),
                ..clip(key, u64::from(key % 3), file, 10 + frames)
            }).collect();
            let mut turned = clips.clone();
            turned.rotate_left(turn.index(clips.len()));
            prop_assert_eq!(find_copies(&clips, &track_gate()), find_copies(&turned, &track_gate()));
        }
    }
}
