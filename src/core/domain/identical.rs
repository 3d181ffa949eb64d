//! Gate G8 inside one round: of identical clips only the earliest miner's counts.

use std::collections::BTreeMap;

use super::{
    ids::{Digest, Hotkey},
    roster::Precedence,
};

/// What makes a clip the same as another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClipIdentity {
    /// Whose clip.
    pub hotkey: Hotkey,
    /// Order between miners.
    pub precedence: Precedence,
    /// SHA-256 of the file.
    pub file: Digest,
    /// Digest of the decoded planes: equal for a file that was only remuxed.
    pub frames: Digest,
}

/// A clip that loses to an identical, earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct IdenticalClip {
    /// Whose clip is refused.
    pub loser: Hotkey,
    /// Whose clip stands.
    pub original: Hotkey,
}

/// All clips that equal an earlier miner's by file or by frames, sorted by loser.
pub fn find_identical(clips: &[ClipIdentity]) -> Vec<IdenticalClip> {
    let mut order: Vec<_> = clips.iter().collect();
    order.sort_by_key(|clip| clip.precedence);
    let mut owner: BTreeMap<Digest, Hotkey> = BTreeMap::new();
    let mut copies = Vec::new();
    for clip in order {
        let original = owner.get(&clip.frames).or_else(|| owner.get(&clip.file)).copied();
        let first = original.unwrap_or(clip.hotkey);
        owner.entry(clip.frames).or_insert(first);
        owner.entry(clip.file).or_insert(first);
        if let Some(original) = original {
            copies.push(IdenticalClip { loser: clip.hotkey, original });
        }
    }
    copies.sort();
    copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{BlockNumber, Uid};

    fn clip(key: u8, block: u64, file: u8, frames: u8) -> ClipIdentity {
        ClipIdentity {
            hotkey: Hotkey([key; 32]),
            precedence: Precedence { reveal_block: BlockNumber(block), index: 0, uid: Uid(u16::from(key)) },
            file: Digest([file; 32]),
            frames: Digest([frames; 32]),
        }
    }

    #[test]
    fn the_earlier_miner_keeps_its_clip_whatever_the_order_of_the_list() {
        let clips = [clip(1, 30, 9, 9), clip(2, 10, 9, 9), clip(3, 20, 8, 9), clip(4, 5, 7, 7)];
        let expected: Vec<_> = [1, 3]
            .map(|loser| IdenticalClip { loser: Hotkey([loser; 32]), original: Hotkey([2; 32]) })
            .to_vec();
        assert_eq!(find_identical(&clips), expected);
        let mut turned = clips;
        turned.reverse();
        assert_eq!(find_identical(&turned), expected);
    }

    #[test]
    fn different_clips_are_left_alone() {
        assert!(find_identical(&[clip(1, 1, 1, 11), clip(2, 2, 2, 12)]).is_empty());
    }
}
