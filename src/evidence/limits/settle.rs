//! The limits of a gate, each set while the others stand, until all of them stay.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    ClipKind, GateTable, LIMITS, Limit,
    clips::GateClip,
    place::{AttackSide, ClipReading, HonestSide, Kept, Place, Range, place},
    points::Read,
};
use crate::{
    domain::{rules::Rules, score::GateId},
    evidence::attacks::Attacker,
};

/// How often a gate's limits are gone through before they are said not to settle.
const MOST_PASSES: usize = 12;

/// One limit, computed and in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GateCalibration {
    /// The gate.
    pub gate: GateId,
    /// Its table in the rules.
    pub table: GateTable,
    /// The limit.
    pub limit: &'static str,
    /// What is in force.
    pub in_force: i64,
    /// What was computed; what is in force where that is kept.
    pub computed: i64,
    /// Readings of the honest clips that it was set against.
    pub honest: Option<Range>,
    /// Which of the honest clips.
    pub honest_side: HonestSide,
    /// How many.
    pub clips: usize,
    /// Readings of the attacks that it was set against.
    pub attacks: Option<Range>,
    /// Which of the attacks that meet the gate's other conditions.
    pub attack_side: AttackSide,
    /// Variants of attacks that were read for the gate.
    pub variants: usize,
    /// Why the value in force is kept, if so.
    pub kept: Option<Kept>,
}

impl GateCalibration {
    /// How far the limit in force lies from the computed one, in percent of the way between attacks and honest clips; 0
    /// where it is kept.
    pub fn drift_percent(&self) -> u64 {
        match (self.kept, self.honest, self.attacks) {
            (None, Some(honest), Some(attacks)) => {
                // The facing ends: one of the two differences is the way, the other one spans all readings.
                let way = honest.least.abs_diff(attacks.most).min(attacks.least.abs_diff(honest.most)).max(1);
                self.in_force.abs_diff(self.computed).saturating_mul(100) / way
            }
            _ => 0,
        }
    }

    /// Name in reports: table and limit.
    pub fn name(&self) -> String {
        format!("{}.{}", self.table.name(), self.limit)
    }
}

/// What a gate does to the calibration clips, by the limits in force and by the computed ones.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GateCheck {
    /// The gate.
    pub gate: GateId,
    /// Its table in the rules.
    pub table: GateTable,
    /// Honest clips.
    pub honest: usize,
    /// On how many it fires in force.
    pub honest_fired: usize,
    /// On how many by the computed limits: never one on which it did not before.
    pub honest_fired_computed: usize,
    /// Attacks of its row.
    pub attacks: usize,
    /// How many it catches in force.
    pub caught: usize,
    /// How many by the computed limits: all that it caught before are among them.
    pub caught_computed: usize,
}

/// A clip that can be decided about under any limits.
pub trait Decided {
    /// What it is.
    fn kind(&self) -> ClipKind;
    /// What it puts beside a limit under some rules.
    fn reading(&self, limit: &Limit, rules: &Rules) -> ClipReading;
    /// Whether a gate fires.
    fn fires(&self, table: GateTable, rules: &Rules) -> bool;
}

impl Decided for GateClip {
    fn kind(&self) -> ClipKind {
        self.kind
    }

    fn reading(&self, limit: &Limit, rules: &Rules) -> ClipReading {
        let gates = &rules.scoring.gates;
        let numbers = limit.table.finding(self, gates).reading.numbers;
        let points = (limit.points)(&Read { clip: self, gates, numbers: &numbers });
        let deepest = |alone: bool| {
            let values = points.iter().filter(|point| point.alone || !alone).map(|point| point.value);
            values.reduce(|one, other| limit.fires.deeper(one, other))
        };
        ClipReading { any: deepest(false), alone: deepest(true) }
    }

    fn fires(&self, table: GateTable, rules: &Rules) -> bool {
        table.finding(self, &rules.scoring.gates).reading.fired
    }
}

/// The clips of one gate.
struct Sides<'a, C> {
    table: GateTable,
    honest: Vec<&'a C>,
    attacks: Vec<&'a C>,
}

/// What a gate does to its clips.
#[derive(PartialEq, Eq)]
struct Fates {
    honest: Vec<bool>,
    attacks: Vec<bool>,
}

impl Fates {
    /// Whether no honest clip fires and no attack gets away that did not before.
    fn no_worse_than(&self, before: &Self) -> bool {
        let fires = |now: &[bool], then: &[bool]| now.iter().zip(then).all(|(now, then)| *now || !then);
        fires(&before.honest, &self.honest) && fires(&self.attacks, &before.attacks)
    }
}

impl<'a, C: Decided> Sides<'a, C> {
    fn of(table: GateTable, clips: &'a [C]) -> Self {
        let honest = clips.iter().filter(|clip| table.is_honest(clip.kind())).collect();
        let is_attack = |clip: &&C| matches!(clip.kind(), ClipKind::Attack(one) if table.is_attack(one));
        Self { table, honest, attacks: clips.iter().filter(is_attack).collect() }
    }

    fn fates(&self, rules: &Rules) -> Fates {
        let of = |clips: &[&C]| clips.iter().map(|clip| clip.fires(self.table, rules)).collect();
        Fates { honest: of(&self.honest), attacks: of(&self.attacks) }
    }

    fn placed(&self, limit: &Limit, in_force: i64, rules: &Rules) -> Place {
        let of = |clips: &[&C]| clips.iter().map(|clip| clip.reading(limit, rules)).collect::<Vec<_>>();
        place(limit.fires, in_force, &of(&self.honest), &of(&self.attacks))
    }

    /// Goes through all limits of the gate once, each under those before it as they are now. A value is taken only if
    /// deciding anew by it is no worse.
    fn pass(&self, rules: &Rules) -> (Rules, Vec<(&'static Limit, Place)>) {
        let mut now = rules.clone();
        let mut fates = self.fates(rules);
        let mut places = Vec::new();
        for limit in LIMITS.iter().filter(|limit| limit.table == self.table) {
            let Some(before) = limit.value(&now) else { continue };
            let mut found = self.placed(limit, before, &now);
            if let Ok(value) = found.limit
                && value != before
            {
                match limit.set(&now, value).map(|rules| (self.fates(&rules), rules)) {
                    None => found.limit = Err(Kept::NotAllowed),
                    Some((changed, rules)) if changed.no_worse_than(&fates) => {
                        (now, fates) = (rules, changed)
                    }
                    Some(_) => found.limit = Err(Kept::Worse),
                }
            }
            places.push((limit, found));
        }
        (now, places)
    }

    fn variants(&self) -> usize {
        let variant = |clip: &&C| match clip.kind() {
            ClipKind::Attack(attacker) => Some(Attacker::name(attacker)),
            ClipKind::Clean | ClipKind::StandIn => None,
        };
        self.attacks.iter().filter_map(variant).collect::<BTreeSet<_>>().len()
    }

    fn check(&self, in_force: &Rules, computed: &Rules) -> GateCheck {
        let (before, after) = (self.fates(in_force), self.fates(computed));
        let fired = |fates: &[bool]| fates.iter().filter(|fired| **fired).count();
        GateCheck {
            gate: self.table.gate(),
            table: self.table,
            honest: self.honest.len(),
            honest_fired: fired(&before.honest),
            honest_fired_computed: fired(&after.honest),
            attacks: self.attacks.len(),
            caught: fired(&before.attacks),
            caught_computed: fired(&after.attacks),
        }
    }

    /// All limits of the gate as they stay.
    fn settled(&self, in_force: &Rules) -> (Vec<GateCalibration>, Rules) {
        let mut rules = in_force.clone();
        for _ in 0..MOST_PASSES {
            let (next, places) = self.pass(&rules);
            let settled = next == rules;
            rules = next;
            if settled {
                let found: Vec<_> = places.iter().map(|p| self.calibrated(p, in_force, &rules)).collect();
                // A value that an earlier pass computed and this one would not is no result.
                if found.iter().all(|limit| limit.kept.is_none() || limit.computed == limit.in_force) {
                    return (found, rules);
                }
                break;
            }
        }
        let (_, places) = self.pass(in_force);
        let unsettled = |(limit, found): &(&'static Limit, Place)| {
            let found = Place { limit: found.limit.and(Err(Kept::Unsettled)), ..*found };
            self.calibrated(&(*limit, found), in_force, in_force)
        };
        (places.iter().map(unsettled).collect(), in_force.clone())
    }

    fn calibrated(
        &self,
        (limit, found): &(&'static Limit, Place),
        in_force: &Rules,
        computed: &Rules,
    ) -> GateCalibration {
        let value = |rules: &Rules| limit.value(rules).unwrap_or_default();
        GateCalibration {
            gate: self.table.gate(),
            table: self.table,
            limit: limit.name,
            in_force: value(in_force),
            computed: value(computed),
            honest: found.honest,
            honest_side: found.side,
            clips: found.clips,
            attacks: found.attacks,
            attack_side: found.counted,
            variants: self.variants(),
            kept: found.limit.err(),
        }
    }
}

/// Computes the limits of all gates from clips, and says what they do to these: going through them again changes nothing,
/// and no gate is worse than before.
pub fn settle<C: Decided>(clips: &[C], in_force: &Rules) -> (Vec<GateCalibration>, Vec<GateCheck>) {
    let of = |table: GateTable| {
        let sides = Sides::of(table, clips);
        let (limits, rules) = sides.settled(in_force);
        (limits, sides.check(in_force, &rules))
    };
    let (limits, checks): (Vec<_>, Vec<_>) = GateTable::ALL.into_iter().map(of).unzip();
    (limits.into_iter().flatten().collect(), checks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leoma_film::attacks::Attack;

    /// A clip by what it reads for two limits of one gate, as G4 asks: from `explained` on, up to `residual`.
    struct Clip {
        kind: ClipKind,
        explained: i64,
        residual: i64,
    }

    const PAN: ClipKind = ClipKind::Attack(Attacker { attack: Attack::Pan, variant: 0 });
    const ZOOM: ClipKind = ClipKind::Attack(Attacker { attack: Attack::Zoom, variant: 0 });

    fn clips(all: &[(ClipKind, i64, i64)]) -> Vec<Clip> {
        all.iter().map(|&(kind, explained, residual)| Clip { kind, explained, residual }).collect()
    }

    impl Decided for Clip {
        fn kind(&self) -> ClipKind {
            self.kind
        }

        fn reading(&self, limit: &Limit, rules: &Rules) -> ClipReading {
            let gate = &rules.scoring.gates.pan_zoom;
            let (value, other) = match limit.name {
                "explained" => (self.explained, self.residual <= gate.residual),
                "residual" => (self.residual, self.explained >= gate.explained),
                _ => return ClipReading::default(),
            };
            ClipReading { any: Some(value), alone: other.then_some(value) }
        }

        fn fires(&self, table: GateTable, rules: &Rules) -> bool {
            let gate = &rules.scoring.gates.pan_zoom;
            table == GateTable::PanZoom && self.explained >= gate.explained && self.residual <= gate.residual
        }
    }

    fn limit<'a>(found: &'a [GateCalibration], name: &str) -> &'a GateCalibration {
        found.iter().find(|limit| limit.name() == name).unwrap_or_else(|| panic!("{name}: {found:?}"))
    }

    fn check(checks: &[GateCheck]) -> &GateCheck {
        checks.iter().find(|check| check.table == GateTable::PanZoom).expect("a check")
    }

    fn with(computed: &[GateCalibration]) -> Rules {
        let named = |found: &GateCalibration| {
            LIMITS.iter().find(|limit| limit.table == found.table && limit.name == found.limit)
        };
        computed.iter().fold(Rules::embedded(), |rules, found| {
            named(found).and_then(|limit| limit.set(&rules, found.computed)).expect("rules")
        })
    }

    #[test]
    fn limits_lie_between_and_a_second_run_changes_nothing() {
        use ClipKind::{Clean, StandIn};
        let clips = clips(&[(Clean, 900, 1000), (StandIn, 940, 400), (PAN, 1000, 0), (ZOOM, 991, 40)]);
        let (found, checks) = settle(&clips, &Rules::embedded());
        let explained = limit(&found, "pan_zoom.explained");
        // 991 less a third of 51.
        assert_eq!((explained.in_force, explained.computed, explained.kept), (970, 970, None));
        let residual = limit(&found, "pan_zoom.residual");
        assert_eq!((residual.in_force, residual.computed, residual.kept), (150, 160, None));
        assert_eq!((residual.clips, residual.variants), (2, 2));
        assert_eq!(residual.drift_percent(), 100 * 10 / 360);
        assert_eq!(limit(&found, "freeze.cycle").kept, Some(Kept::NoHonestClip));
        let check = check(&checks);
        assert_eq!((check.honest, check.honest_fired, check.honest_fired_computed), (2, 0, 0));
        assert_eq!((check.attacks, check.caught, check.caught_computed), (2, 2, 2));
        let (again, _) = settle(&clips, &with(&found));
        let values = |found: &[GateCalibration]| found.iter().map(|l| l.computed).collect::<Vec<_>>();
        assert_eq!(values(&again), values(&found));
        assert!(again.iter().all(|limit| limit.in_force == limit.computed && limit.drift_percent() == 0));
    }

    #[test]
    fn a_limit_under_which_a_gate_gets_worse_is_not_taken() {
        use ClipKind::Clean;
        // By `explained` alone the two are far apart, and 930 lies between; but a clip of which `explained` gives no
        // account stands there, which the other limit does not hold back.
        struct Odd(Clip, bool);
        impl Decided for Odd {
            fn kind(&self) -> ClipKind {
                self.0.kind()
            }
            fn reading(&self, limit: &Limit, rules: &Rules) -> ClipReading {
                if self.1 { ClipReading::default() } else { self.0.reading(limit, rules) }
            }
            fn fires(&self, table: GateTable, rules: &Rules) -> bool {
                self.0.fires(table, rules)
            }
        }
        let of = |odd: bool, all: &[(ClipKind, i64, i64)]| {
            clips(all).into_iter().map(move |clip| Odd(clip, odd)).collect::<Vec<_>>()
        };
        let plain = of(false, &[(Clean, 800, 1000), (PAN, 1000, 0)]);
        let (found, _) = settle(&plain, &Rules::embedded());
        assert_eq!(limit(&found, "pan_zoom.explained").computed, 930);
        let mut odd = plain;
        odd.extend(of(true, &[(Clean, 950, 100)]));
        let (found, checks) = settle(&odd, &Rules::embedded());
        let explained = limit(&found, "pan_zoom.explained");
        assert_eq!((explained.computed, explained.kept), (970, Some(Kept::Worse)));
        assert_eq!(check(&checks).honest_fired_computed, 0);
        assert_eq!(explained.drift_percent(), 0);
    }

    #[test]
    fn an_attack_that_the_gate_does_not_catch_moves_no_limit() {
        let clips = clips(&[(ClipKind::Clean, 900, 1000), (PAN, 1000, 0), (ZOOM, 930, 500)]);
        let (found, checks) = settle(&clips, &Rules::embedded());
        assert_eq!(limit(&found, "pan_zoom.residual").computed, 330);
        assert_eq!(limit(&found, "pan_zoom.residual").attack_side, AttackSide::Caught);
        assert_eq!((check(&checks).attacks, check(&checks).caught_computed), (2, 1));
    }

    #[test]
    fn limits_that_do_not_settle_stay() {
        /// What an attack reads swings with the limit itself.
        struct Swinging(ClipKind);
        impl Decided for Swinging {
            fn kind(&self) -> ClipKind {
                self.0
            }
            fn reading(&self, limit: &Limit, rules: &Rules) -> ClipReading {
                let value = match (self.0, rules.scoring.gates.pan_zoom.residual) {
                    _ if limit.name != "residual" => return ClipReading::default(),
                    (ClipKind::Attack(_), ..400) => 300,
                    (ClipKind::Attack(_), _) => 0,
                    _ => 1000,
                };
                ClipReading { any: Some(value), alone: Some(value) }
            }
            fn fires(&self, _: GateTable, _: &Rules) -> bool {
                false
            }
        }
        let clips = [ClipKind::Clean, PAN].map(Swinging);
        let (found, _) = settle(&clips, &Rules::embedded());
        let residual = limit(&found, "pan_zoom.residual");
        assert_eq!((residual.computed, residual.kept), (150, Some(Kept::Unsettled)));
        assert_eq!(limit(&found, "pan_zoom.explained").kept, Some(Kept::NoHonestClip));
    }
}
