//! Limits of gates from calibration clips: which numbers of `[scoring.gates]` are computed, which are definitions.
//!
//! A gate is a condition that honest clips must not meet and its attacks should. Every limit of it that separates the two
//! is in [`LIMITS`] and is placed between them; a number that says what the gate is about is in [`DEFINITIONS`]. A test
//! holds both lists against the rules, so that no number can be forgotten.

pub mod clips;
pub mod place;
mod points;
pub mod settle;

use serde::Serialize;

use self::{
    clips::{ClipKind, GateClip},
    points::{Point, Read},
};
use super::attacks::Attacker;
use crate::{
    domain::{rules::Rules, score::GateId, scoring::GateRules},
    quality::gates::{self, GateFinding},
};
use leoma_film::attacks::Attack;

/// A table of `[scoring.gates]` whose limits are computed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the tables' names
pub enum GateTable {
    Freeze,
    PanZoom,
    Border,
    Shimmer,
    Recurrence,
    Crossfade,
    SourceCopy,
    Overlay,
    Spectrum,
}

impl GateTable {
    /// In the order of the rules.
    pub const ALL: [GateTable; 9] = [
        GateTable::Freeze,
        GateTable::PanZoom,
        GateTable::Border,
        GateTable::Shimmer,
        GateTable::Recurrence,
        GateTable::Crossfade,
        GateTable::SourceCopy,
        GateTable::Overlay,
        GateTable::Spectrum,
    ];

    /// Name in the rules.
    pub fn name(self) -> &'static str {
        match self {
            GateTable::Freeze => "freeze",
            GateTable::PanZoom => "pan_zoom",
            GateTable::Border => "border",
            GateTable::Shimmer => "shimmer",
            GateTable::Recurrence => "recurrence",
            GateTable::Crossfade => "crossfade",
            GateTable::SourceCopy => "source_copy",
            GateTable::Overlay => "overlay",
            GateTable::Spectrum => "spectrum",
        }
    }

    /// The gate; G12 has two tables.
    pub fn gate(self) -> GateId {
        match self {
            GateTable::Freeze => GateId::G2,
            GateTable::PanZoom => GateId::G4,
            GateTable::Border | GateTable::Spectrum => GateId::G12,
            GateTable::Shimmer => GateId::G3,
            GateTable::Recurrence => GateId::G5,
            GateTable::Crossfade => GateId::G6,
            GateTable::SourceCopy => GateId::G7,
            GateTable::Overlay => GateId::G9,
        }
    }

    /// Whether an attack is one of those that the table is there for. Eight frames over and over are G5's row, but G2
    /// counts repeated frames.
    pub fn is_attack(self, Attacker { attack, variant }: Attacker) -> bool {
        match self {
            GateTable::Freeze => {
                matches!((attack, variant), (Attack::Freeze | Attack::BlurredFreeze, _) | (Attack::Loop, 3))
            }
            GateTable::PanZoom => matches!(attack, Attack::Pan | Attack::Zoom | Attack::Parallax),
            GateTable::Border => attack == Attack::Letterbox,
            GateTable::Shimmer => attack == Attack::Shimmer,
            GateTable::Recurrence => attack == Attack::Loop,
            GateTable::Crossfade => attack == Attack::Crossfade,
            GateTable::SourceCopy => attack == Attack::SourceCopy,
            GateTable::Overlay => attack == Attack::TextOverlay,
            GateTable::Spectrum => attack == Attack::Upscaled,
        }
    }

    /// Whether clips of a kind stand on the honest side: an encode of the real clip is no honest answer to the gate that
    /// asks for just that.
    pub fn is_honest(self, kind: ClipKind) -> bool {
        match kind {
            ClipKind::Clean => self != GateTable::SourceCopy,
            ClipKind::StandIn => true,
            ClipKind::Attack(_) => false,
        }
    }

    /// What the gate says of a clip under these limits.
    fn finding(self, clip: &GateClip, rules: &GateRules) -> GateFinding {
        let (own, reference) = (&clip.measures, &clip.window.task.reference);
        match self {
            GateTable::Freeze => gates::freeze(own, Some(reference), &rules.freeze),
            GateTable::PanZoom => gates::pan_zoom(own, reference, &rules.pan_zoom),
            GateTable::Border => {
                gates::letterbox(own, (&clip.window.first_frame, Some(reference)), &rules.border)
            }
            GateTable::Shimmer => gates::shimmer::shimmer(own, reference, &rules.shimmer),
            GateTable::Recurrence => gates::recurrence::recurrence(own, Some(reference), &rules.recurrence),
            GateTable::Crossfade => gates::crossfade::crossfade(own, Some(reference), &rules.crossfade),
            GateTable::SourceCopy => gates::source_copy::source_copy(own, reference, &rules.source_copy),
            GateTable::Overlay => gates::overlay::overlay(own, Some(reference), &rules.overlay),
            GateTable::Spectrum => {
                gates::spectrum::upscaled(own, &clip.window.first_frame, Some(reference), &rules.spectrum)
            }
        }
    }
}

/// On which side of its limit a reading meets the condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fires {
    /// From the limit on.
    AtLeast,
    /// Up to the limit.
    AtMost,
    /// Below the limit.
    Below,
}

impl Fires {
    /// Whether a reading meets the condition.
    pub fn holds(self, reading: i64, limit: i64) -> bool {
        match self {
            Fires::AtLeast => reading >= limit,
            Fires::AtMost => reading <= limit,
            Fires::Below => reading < limit,
        }
    }

    /// The one of two readings that goes farther into the condition.
    pub fn deeper(self, one: i64, other: i64) -> i64 {
        if self == Fires::AtLeast { one.max(other) } else { one.min(other) }
    }
}

/// A limit that is computed.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Its table.
    pub table: GateTable,
    /// Its name in the table.
    pub name: &'static str,
    /// Where its condition holds.
    pub fires: Fires,
    /// What a clip puts beside it.
    points: fn(&Read) -> Vec<Point>,
}

impl Limit {
    const fn of(table: GateTable, name: &'static str, fires: Fires, points: fn(&Read) -> Vec<Point>) -> Self {
        Self { table, name, fires, points }
    }

    /// Its value in some rules; `None` would be a name that the rules do not have, which a test rules out.
    pub fn value(&self, rules: &Rules) -> Option<i64> {
        let gates = serde_json::to_value(rules.scoring.gates).ok()?;
        gates.get(self.table.name())?.get(self.name)?.as_i64()
    }

    /// The rules with another value of it; `None` where they do not allow it.
    pub fn set(&self, rules: &Rules, value: i64) -> Option<Rules> {
        let mut gates = serde_json::to_value(rules.scoring.gates).ok()?;
        *gates.get_mut(self.table.name())?.get_mut(self.name)? = value.into();
        let mut changed = rules.clone();
        changed.scoring.gates = serde_json::from_value(gates).ok()?;
        changed.check().ok()?;
        Some(changed)
    }
}

/// All limits that are computed, in the order in which they are: noise limits first, since other readings count the pairs
/// that they call still.
pub const LIMITS: [Limit; 21] = {
    use Fires::{AtLeast, AtMost, Below};
    use GateTable as T;
    [
        Limit::of(T::Freeze, "noise_mean", Below, points::freeze_noise_mean),
        Limit::of(T::Freeze, "noise_block", Below, points::freeze_noise_block),
        Limit::of(T::Freeze, "residual", AtMost, points::freeze_residual),
        Limit::of(T::Freeze, "excess_still", AtLeast, points::freeze_excess_still),
        Limit::of(T::Freeze, "cycle", AtLeast, points::freeze_cycle),
        Limit::of(T::PanZoom, "explained", AtLeast, points::pan_zoom_explained),
        Limit::of(T::PanZoom, "residual", AtMost, points::pan_zoom_residual),
        Limit::of(T::Border, "thickness", AtLeast, points::border_thickness),
        Limit::of(T::Shimmer, "share", AtMost, points::shimmer_share),
        Limit::of(T::Recurrence, "ratio", AtMost, points::recurrence_ratio),
        Limit::of(T::Recurrence, "of_reference", AtMost, points::recurrence_of_reference),
        Limit::of(T::Crossfade, "residual", AtMost, points::crossfade_residual),
        Limit::of(T::Crossfade, "of_reference", AtMost, points::crossfade_of_reference),
        Limit::of(T::Crossfade, "unexplained", AtLeast, points::crossfade_unexplained),
        Limit::of(T::SourceCopy, "unlike", AtMost, points::source_copy_unlike),
        Limit::of(T::SourceCopy, "distance", AtMost, points::source_copy_distance),
        Limit::of(T::SourceCopy, "hash", AtMost, points::source_copy_hash),
        Limit::of(T::Overlay, "strokes", AtLeast, points::overlay_strokes),
        Limit::of(T::Spectrum, "share", AtMost, points::spectrum_share),
        Limit::of(T::Spectrum, "of_given", AtMost, points::spectrum_of_given),
        Limit::of(T::Spectrum, "of_given_alone", AtMost, points::spectrum_of_given_alone),
    ]
};

/// Numbers of the gates that are not computed: table, name, and what they define instead of separating.
pub const DEFINITIONS: [(&str, &str, &str); 15] = [
    ("freeze", "longest_run", "how long a clip may stand still at all, in pairs: what a freeze is"),
    ("freeze", "still_pairs", "how many pairs may stand still in all: what a freeze is"),
    ("pan_zoom", "cap", "what a pan of the still may earn"),
    ("shimmer", "change", "from which change on noise poses as motion; below it G2 asks"),
    ("shimmer", "min_reference_share", "which references can judge it"),
    ("recurrence", "shortest_lag", "from which lag on something comes again; below it G2 asks"),
    ("crossfade", "change", "how far the ends of a window differ that can be a fade"),
    ("crossfade", "reversal", "what is gradual; the window that is read is chosen by it"),
    ("source_copy", "from_frame", "from which frame on clips are compared"),
    ("source_copy", "reach", "the shifts in time that are tried"),
    ("spectrum", "blocks", "how many textured blocks can judge it"),
    ("copy", "unlike", "scripts/copy-calibration.py computes it (docs/copies.md)"),
    ("copy", "unlike_long", "scripts/copy-calibration.py computes it (docs/copies.md)"),
    ("copy", "change", "scripts/copy-calibration.py computes it (docs/copies.md)"),
    ("copy", "rounds", "how many earlier rounds are compared"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_of_the_gates_is_computed_or_a_definition() {
        let gates = serde_json::to_value(Rules::embedded().scoring.gates).expect("a table");
        let mut numbers = BTreeSet::new();
        for (table, entries) in gates.as_object().expect("tables") {
            for (name, entry) in entries.as_object().expect("entries") {
                match entry.is_i64() {
                    true => assert!(numbers.insert((table.clone(), name.clone()))),
                    false => assert_eq!(name, "mode", "{table}: neither a number nor the mode"),
                }
            }
        }
        let computed = LIMITS.iter().map(|limit| (limit.table.name(), limit.name));
        let listed: Vec<_> =
            computed.chain(DEFINITIONS.iter().map(|(table, name, _)| (*table, *name))).collect();
        let once: BTreeSet<_> =
            listed.iter().map(|(table, name)| ((*table).to_owned(), (*name).to_owned())).collect();
        assert_eq!(once.len(), listed.len(), "a number stands in one list once");
        assert_eq!(once, numbers, "a new number of a gate belongs into LIMITS or DEFINITIONS");
        assert!(DEFINITIONS.iter().all(|(.., why)| !why.is_empty()));
    }

    #[test]
    fn limits_are_read_and_set_by_their_names() {
        let rules = Rules::embedded();
        for limit in &LIMITS {
            let value = limit.value(&rules).expect("a number of the rules");
            let changed = limit.set(&rules, value - 1).expect("still rules");
            assert_eq!(limit.value(&changed), Some(value - 1));
            assert_ne!(changed, rules);
            assert_eq!(limit.set(&changed, value), Some(rules.clone()));
            assert_eq!(limit.set(&rules, -1), None, "{} has no value below zero", limit.name);
        }
    }

    #[test]
    fn every_table_has_attacks_and_file_tricks_are_none() {
        for table in GateTable::ALL {
            assert!(clips::attackers().any(|one| table.is_attack(one)), "{table:?}");
            assert!(table.is_honest(ClipKind::StandIn));
        }
        let format = [GateId::G1, GateId::G8, GateId::G10, GateId::G11, GateId::G13];
        assert!(!clips::attackers().any(|one| format.contains(&one.attack.gate())));
        assert!(!clips::attackers().any(|one| one.attack == Attack::OtherSize));
        assert!(!GateTable::SourceCopy.is_honest(ClipKind::Clean));
    }
}
