//! G8, the part that needs no model: identical clips of different miners in one round.

use std::collections::BTreeMap;

use crate::domain::{
    ids::{Digest, Hotkey},
    roster::Precedence,
};

/// What identifies one miner's clip of a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClipIdentity {
    /// The miner.
    pub miner: Hotkey,
    /// Its place in the order of miners: the earlier one owns a duplicate.
    pub precedence: Precedence,
    /// SHA-256 of the file as received.
    pub file: Digest,
    /// `Yuv420Clip::digest` of the decoded frames, where it was decoded.
    pub frames: Option<Digest>,
}

/// A clip that another miner with earlier precedence returned too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdenticalClip {
    /// The miner whose clip is a duplicate.
    pub loser: Hotkey,
    /// The miner who keeps it.
    pub original: Hotkey,
}

/// Finds clips with an equal file or equal frames; of each group the earliest in precedence keeps its
/// clip. Equality is transitive: A and B by file, B and C by frames is one group. The result is ordered
/// by the losers' precedence and does not depend on the order of `clips`.
pub fn find_identical(clips: &[ClipIdentity]) -> Vec<IdenticalClip> {
    let mut order: Vec<&ClipIdentity> = clips.iter().collect();
    order.sort_by_key(|clip| (clip.precedence, clip.miner));
    // Group number of each clip: the smallest index of a clip that it is connected with.
    let mut group: Vec<usize> = (0..order.len()).collect();
    let mut seen: BTreeMap<(u8, Digest), usize> = BTreeMap::new();
    for (index, clip) in order.iter().enumerate() {
        let keys = [Some((0u8, clip.file)), clip.frames.map(|frames| (1u8, frames))];
        for key in keys.into_iter().flatten() {
            let other = *seen.entry(key).or_insert(index);
            let (a, b) = (group[index], group[other]);
            let (keep, give) = (a.min(b), a.max(b));
            group.iter_mut().filter(|g| **g == give).for_each(|g| *g = keep);
        }
    }
    order
        .iter()
        .zip(&group)
        .filter(|(clip, root)| order[**root].miner != clip.miner)
        .map(|(clip, root)| IdenticalClip { loser: clip.miner, original: order[*root].miner })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{BlockNumber, Uid};
    use proptest::prelude::*;

    fn clip(miner: u8, block: u64, file: u8, frames: Option<u8>) -> ClipIdentity {
        ClipIdentity {
            miner: Hotkey([miner; 32]),
            precedence: Precedence { reveal_block: BlockNumber(block), index: 0, uid: Uid(miner.into()) },
            file: Digest::of(&[file]),
            frames: frames.map(|f| Digest::of(&[f])),
        }
    }

    #[test]
    fn the_later_of_two_equal_clips_loses() {
        let clips =
            [clip(1, 50, 7, None), clip(2, 40, 7, None), clip(3, 60, 8, Some(1)), clip(4, 61, 9, Some(1))];
        let want = [(1, 2), (4, 3)]
            .map(|(l, o)| IdenticalClip { loser: Hotkey([l; 32]), original: Hotkey([o; 32]) });
        assert_eq!(find_identical(&clips), want);
    }

    #[test]
    fn equality_is_transitive_and_a_group_has_one_owner() {
        // 3 is linked to 1 only through 2, which comes last.
        let clips = [clip(1, 10, 1, Some(1)), clip(3, 20, 2, Some(2)), clip(2, 30, 1, Some(2))];
        let losers: Vec<_> = find_identical(&clips).iter().map(|i| (i.loser.0[0], i.original.0[0])).collect();
        assert_eq!(losers, [(3, 1), (2, 1)]);
    }

    #[test]
    fn a_file_digest_never_matches_a_frame_digest() {
        assert_eq!(find_identical(&[clip(1, 1, 5, None), clip(2, 2, 6, Some(5))]), []);
        assert_eq!(find_identical(&[]), []);
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_the_earliest_never_loses(
            rows in prop::collection::vec((0u64..5, 0u8..4, prop::option::of(0u8..4)), 0..9), turn in 0usize..9
        ) {
            let mut clips: Vec<_> =
                rows.iter().zip(0u8..).map(|(&(block, file, frames), m)| clip(m, block, file, frames)).collect();
            let found = find_identical(&clips);
            if let Some(first) = clips.iter().min_by_key(|c| (c.precedence, c.miner)) {
                prop_assert!(found.iter().all(|i| i.loser != first.miner));
            }
            let originals: Vec<_> = found.iter().map(|i| i.original).collect();
            prop_assert!(found.iter().all(|i| !originals.contains(&i.loser)));
            let middle = turn.min(clips.len());
            clips.rotate_left(middle);
            prop_assert_eq!(find_identical(&clips), found);
        }
    }
}
