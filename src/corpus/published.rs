//! What may not be chosen any more: a clip that was published never returns.
//!
//! The journal knows what was shown: keys, and parts of files by their digest. A clip is withheld when its key was
//! published, and when its part of a file shows something that was published under another key: renaming clips or
//! writing a new manifest over the same footage brings nothing back.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::PoisonError,
};

use super::{ClipEntry, Corpus};
use crate::domain::plan::PublishedClip;

/// Keys among `clips` that may not be chosen after these were published.
pub fn withheld(clips: &[ClipEntry], published: &[PublishedClip]) -> BTreeSet<String> {
    let keys: HashSet<&str> = published.iter().map(|shown| shown.key.as_str()).collect();
    let mut by_file: HashMap<_, Vec<&PublishedClip>> = HashMap::new();
    for shown in published {
        by_file.entry(shown.sha256.0).or_default().push(shown);
    }
    let returns = |clip: &ClipEntry| {
        let shown = by_file.get(&clip.sha256.0).map_or(&[][..], Vec::as_slice);
        shown.iter().any(|shown| shown.overlaps(clip.sha256, &clip.range_us()))
    };
    clips
        .iter()
        .filter(|clip| keys.contains(clip.key.as_str()) || returns(clip))
        .map(|clip| clip.key.clone())
        .collect()
}

impl Corpus {
    /// Keys of this corpus that may not be chosen after these were published.
    pub fn withheld(&self, published: &[PublishedClip]) -> BTreeSet<String> {
        withheld(self.clips(), published)
    }

    /// Rounds that the corpus still has a clip for: clips that are not withheld, without those that a walk of this
    /// process found unfit (refused by the decoder, without a window, or too still).
    pub fn rounds_left(&self, withheld: &BTreeSet<String>) -> usize {
        let unfit = self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        self.clips().iter().filter(|clip| !withheld.contains(&clip.key) && !unfit.contains(&clip.key)).count()
    }

    /// Notes that a walk passed over a clip that was not withheld.
    pub(super) fn found_unfit(&self, key: &str) {
        self.unfit.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        corpus::{Manifest, window::walk},
        domain::{
            event::Event,
            ids::{BlockHash, Digest, RoundId},
            plan::RoundPlan,
            round::Tournament,
            rules::Rules,
            testing,
        },
    };

    fn clip(key: &str, file: u8, from_s: u64, to_s: u64) -> ClipEntry {
        ClipEntry {
            key: key.into(),
            file: String::new(),
            bytes: 2_000_000,
            sha256: Digest::of(&[file]),
            caption: "A ball rolls.".into(),
            licence: "CC0-1.0".into(),
            source: "drawn".into(),
            from_ms: Some(from_s * 1_000),
            to_ms: Some(to_s * 1_000),
            window: None,
            caption_by: None,
        }
    }

    fn keys(found: &BTreeSet<String>) -> Vec<&str> {
        found.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_key_or_a_part_of_a_file_never_returns_and_the_rest_does() {
        let shown =
            PublishedClip { key: "a.mp4".into(), sha256: Digest::of(&[1]), shown_us: 4_000_000..9_000_001 };
        let clips = [
            clip("a.mp4", 7, 0, 20),  // the key, with another file behind it
            clip("b.mp4", 1, 0, 12),  // the same part under another key
            clip("c.mp4", 1, 12, 20), // another part of the file
            clip("d.mp4", 2, 0, 12),
            clip("e.mp4", 1, 9, 10), // the last frame was at 9 s
        ];
        assert_eq!(keys(&withheld(&clips, &[shown])), ["a.mp4", "b.mp4", "e.mp4"]);
        assert_eq!(keys(&withheld(&clips, &[])), Vec::<&str>::new());
    }

    /// A manifest as an operator may have it on some day: files in or out, cut in parts, keys of any name.
    fn manifests() -> impl Strategy<Value = Vec<ClipEntry>> {
        let file = (0u8..5, 1u64..5, 0u8..3, any::<bool>());
        prop::collection::vec(file, 1..6).prop_map(|files| {
            let mut clips: Vec<ClipEntry> = Vec::new();
            for (file, parts, name, keep) in files {
                if clips.iter().any(|clip| clip.sha256 == Digest::of(&[file])) {
                    continue;
                }
                for part in 0..parts {
                    // 24 seconds in 1 to 4 parts; names are exchanged between files now and then.
                    let (from, to) = (24 * part / parts, 24 * (part + 1) / parts);
                    let owner = if keep { file } else { (file + name) % 5 };
                    let key = format!("{owner}-{parts}-{part}.mp4");
                    if clips.iter().all(|clip| clip.key != key) {
                        clips.push(clip(&key, file, from, to));
                    }
                }
            }
            Manifest::new(0, clips).expect("disjoint parts").clips().to_vec()
        })
    }

    fn planned(round: u64, clip: &ClipEntry, offset_us: u64) -> RoundPlan {
        let mut plan = testing::plan(round, 1);
        plan.spec = Rules::embedded().request;
        plan.clip.key.clone_from(&clip.key);
        plan.clip.sha256 = clip.sha256;
        plan.clip.window_start_us = clip.range_us().start + offset_us;
        plan
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Rounds go by; between them the validator restarts and the manifest grows, shrinks, is cut anew and renamed.
        #[test]
        fn nothing_returns_over_restarts_and_changing_manifests(
            days in prop::collection::vec((manifests(), prop::collection::vec((any::<[u8; 32]>(), 0u64..900_000), 1..6)), 1..6),
        ) {
            let mut journal: Vec<Event> = Vec::new();
            let mut shown: Vec<PublishedClip> = Vec::new();
            let mut keys_used: BTreeSet<String> = BTreeSet::new();
            for (clips, rounds) in days {
                // A start folds the journal: what was published is known from nothing else.
                let mut state = Tournament::new(Rules::embedded().payout);
                for event in &journal {
                    state.apply(event).expect("was applied before");
                }
                for (hash, offset_us) in rounds {
                    let out = withheld(&clips, state.published_clips());
                    let mut order = walk(&BlockHash(hash), clips.len());
                    let Some(index) = order.find(|&index| !out.contains(&clips[index].key)) else { continue };
                    let plan = planned(journal.len() as u64 + 1, &clips[index], offset_us);
                    let now = PublishedClip::of(&plan);
                    prop_assert!(keys_used.insert(plan.clip.key.clone()), "{} returned", plan.clip.key);
                    prop_assert!(
                        shown.iter().all(|before| !before.overlaps(now.sha256, &now.shown_us)),
                        "{now:?} was shown before: {shown:?}"
                    );
                    shown.push(now);
                    let event = Event::RoundPlanned { plan: Box::new(plan) };
                    state.apply(&event).expect("a new round");
                    prop_assert_eq!(state.newest(), Some(RoundId(journal.len() as u64 + 1)));
                    journal.push(event);
                }
            }
        }
    }
}
