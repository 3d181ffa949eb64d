//! Which sources constants may be fitted to, and which figures are taken from.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::domain::ids::Digest;

/// The two sides of a corpus, by source file.
///
/// The sources, each once, are put in the order of SHA-256 over `leoma/evidence/split` and their name; the first half
/// (rounded down) is for calibration, the rest is held out. So the choice depends on names alone, nobody can pick, and
/// windows of one file never stand on both sides.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Split {
    /// Sources that constants are computed from.
    pub calibration: BTreeSet<String>,
    /// Sources that figures are taken from.
    pub held_out: BTreeSet<String>,
}

impl Split {
    /// Splits sources by name.
    pub fn of(sources: impl IntoIterator<Item = String>) -> Self {
        let once: BTreeSet<String> = sources.into_iter().collect();
        let mut order: Vec<(Digest, String)> = once
            .into_iter()
            .map(|name| (Digest::of_parts(&[b"leoma/evidence/split", name.as_bytes()]), name))
            .collect();
        order.sort();
        let held_out = order.split_off(order.len() / 2);
        let names = |side: Vec<(Digest, String)>| side.into_iter().map(|(_, name)| name).collect();
        Self { calibration: names(order), held_out: names(held_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_source_is_held_out_and_the_order_of_the_manifest_does_not_matter() {
        let split = |names: &[&str]| Split::of(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(split(&["a"]).held_out.len(), 1);
        assert_eq!(split(&["a", "b", "c"]), split(&["c", "a", "b", "a"]));
        assert_eq!(split(&[]), Split::default());
    }

    proptest! {
        #[test]
        fn every_source_stands_on_one_side(names in proptest::collection::btree_set("[a-z]{1,6}", 0..20)) {
            let split = Split::of(names.clone());
            prop_assert!(split.calibration.is_disjoint(&split.held_out));
            prop_assert_eq!(split.calibration.len(), names.len() / 2);
            let both: BTreeSet<String> = split.calibration.union(&split.held_out).cloned().collect();
            prop_assert_eq!(both, names);
        }
    }
}
