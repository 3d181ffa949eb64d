//! What a clip puts beside each limit.
//!
//! The numbers are those that the gate itself gives; only what a limit alone decides about is told here, and a test holds
//! that against the gates.

use std::collections::BTreeMap;

use super::clips::GateClip;
use crate::{
    domain::scoring::GateRules,
    quality::{
        fixed::scale,
        gates::{self, crossfade::LARGEST_STEP},
        measure::PairDifference,
    },
};

/// A whole, in 1/1000: as much as the reference has. More is no farther from an attack.
const WHOLE: i64 = 1_000;

/// One reading of a clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Point {
    /// The smallest (largest) limit at which its condition holds where it holds from below (above).
    pub(super) value: i64,
    /// Whether everything else that the condition asks holds.
    pub(super) alone: bool,
}

/// A clip under some limits.
pub(super) struct Read<'a> {
    /// The clip.
    pub(super) clip: &'a GateClip,
    /// The limits.
    pub(super) gates: &'a GateRules,
    /// What the gate says of it.
    pub(super) numbers: &'a BTreeMap<String, i64>,
}

impl Read<'_> {
    /// A number of the gate; every gate gives all of its numbers.
    fn number(&self, name: &str) -> i64 {
        self.numbers.get(name).copied().unwrap_or_default()
    }
}

fn one(value: i64, alone: bool) -> Vec<Point> {
    vec![Point { value, alone }]
}

/// The least limit in 1/1000 of `whole` that `own` does not exceed; `None` where no limit is enough.
fn part(own: i64, whole: i64) -> Option<i64> {
    match whole {
        ..=0 => (own <= 0).then_some(0),
        _ => Some((own * WHOLE + whole - 1).div_euclid(whole).min(WHOLE)),
    }
}

fn parts(own: i64, whole: i64, alone: bool) -> Vec<Point> {
    part(own, whole).map(|value| Point { value, alone }).into_iter().collect()
}

/// The noise at which so many pairs stand still as G2 rejects by their number alone: of all pairs, and of those that the
/// other noise limit calls still.
fn noise(
    read: &Read,
    own: fn(&PairDifference) -> i64,
    other: impl Fn(&PairDifference) -> bool,
) -> Vec<Point> {
    let steps = &read.clip.measures.steps;
    let excess = read.gates.freeze.excess_still;
    let Some(needed) =
        (1..=steps.len()).find(|&count| scale(count as i64, WHOLE, steps.len() as i64) >= excess)
    else {
        return Vec::new();
    };
    let at = |mut values: Vec<i64>, alone: bool| {
        values.sort_unstable();
        values.get(needed - 1).map(|&value| Point { value, alone })
    };
    let all = at(steps.iter().map(own).collect(), false);
    let still = at(steps.iter().filter(|pair| other(pair)).map(own).collect(), true);
    all.into_iter().chain(still).collect()
}

pub(super) fn freeze_noise_mean(read: &Read) -> Vec<Point> {
    let limit = read.gates.freeze.noise_block;
    noise(read, |pair| pair.mean_q8, |pair| pair.largest_block < limit)
}

pub(super) fn freeze_noise_block(read: &Read) -> Vec<Point> {
    let limit = read.gates.freeze.noise_mean;
    noise(read, |pair| pair.largest_block, |pair| pair.mean_q8 < limit)
}

pub(super) fn freeze_residual(read: &Read) -> Vec<Point> {
    let gate = &read.gates.freeze;
    let many = read.number("longest_run") >= gate.longest_run.into()
        || read.number("still_pairs") >= gate.still_pairs.into();
    parts(read.number("residual"), read.number("reference_residual"), many)
}

pub(super) fn freeze_excess_still(read: &Read) -> Vec<Point> {
    let reference = read.clip.window.task.reference.steps.len() as i64;
    let own = scale(read.number("still_pairs"), WHOLE, read.number("pairs"));
    one(own - scale(read.number("reference_still_pairs"), WHOLE, reference), true)
}

pub(super) fn freeze_cycle(read: &Read) -> Vec<Point> {
    let gate = &read.gates.freeze;
    let reference = gates::freeze(&read.clip.window.task.reference, None, gate);
    let theirs = reference.reading.numbers.get("cycle").copied().unwrap_or_default();
    one(read.number("cycle"), theirs < gate.cycle)
}

pub(super) fn pan_zoom_explained(read: &Read) -> Vec<Point> {
    let (own, reference) = (read.number("residual"), read.number("reference_residual"));
    let alone = own * WHOLE <= reference * read.gates.pan_zoom.residual;
    one(read.number("affine_explained"), alone)
}

pub(super) fn pan_zoom_residual(read: &Read) -> Vec<Point> {
    let alone = read.number("affine_explained") >= read.gates.pan_zoom.explained;
    parts(read.number("residual"), read.number("reference_residual"), alone)
}

pub(super) fn border_thickness(read: &Read) -> Vec<Point> {
    let beyond = |bars: &str| read.number(bars) - read.number(&format!("given_{bars}"));
    one(beyond("letterbox").max(beyond("pillarbox")), true)
}

pub(super) fn shimmer_share(read: &Read) -> Vec<Point> {
    let gate = &read.gates.shimmer;
    let usual = read.number("reference_steady_share");
    if usual < gate.min_reference_share {
        return Vec::new();
    }
    let changes =
        |own: &str, reference: &str| read.number(own) * WHOLE >= read.number(reference) * gate.change;
    let poses =
        changes("change", "reference_change") || changes("layer_residual", "reference_layer_residual");
    parts(read.number("steady_share"), usual, poses)
}

/// The two ways to come again, each with the reference's.
fn again(read: &Read) -> [(i64, i64); 2] {
    ["looped", "mirrored"].map(|way| (read.number(way), read.number(&format!("reference_{way}"))))
}

pub(super) fn recurrence_ratio(read: &Read) -> Vec<Point> {
    let gate = &read.gates.recurrence;
    let point = |(own, theirs): (i64, i64)| Point {
        value: own.min(WHOLE),
        alone: theirs > gate.ratio && own * WHOLE <= theirs * gate.of_reference,
    };
    again(read).map(point).into()
}

pub(super) fn recurrence_of_reference(read: &Read) -> Vec<Point> {
    let gate = &read.gates.recurrence;
    let point = |(own, theirs): (i64, i64)| parts(own, theirs, own <= gate.ratio && theirs > gate.ratio);
    again(read).into_iter().flat_map(point).collect()
}

/// The window that a crossfade's numbers are of, with what each of its limits asks.
struct Fade {
    residual: i64,
    usual: i64,
    unexplained: i64,
    /// By residual, by residual against the reference's, by flow.
    meets: [bool; 3],
}

/// `None` where no window can be a fade.
fn fade(read: &Read) -> Option<Fade> {
    let gate = &read.gates.crossfade;
    let gradual = read.number("reversal") <= gate.reversal && read.number("step") <= LARGEST_STEP;
    if read.number("length") == 0 {
        return None;
    }
    let (residual, usual) = (read.number("residual"), read.number("reference_residual"));
    let unexplained = read.number("unexplained");
    let meets = [
        residual <= gate.residual,
        residual * WHOLE <= usual * gate.of_reference,
        unexplained >= gate.unexplained,
    ];
    Some(Fade { residual, usual, unexplained, meets: meets.map(|condition| condition && gradual) })
}

pub(super) fn crossfade_residual(read: &Read) -> Vec<Point> {
    let point = |f: Fade| Point { value: f.residual, alone: f.meets[1] && f.meets[2] };
    fade(read).map(point).into_iter().collect()
}

pub(super) fn crossfade_of_reference(read: &Read) -> Vec<Point> {
    fade(read).map(|f| parts(f.residual, f.usual, f.meets[0] && f.meets[2])).unwrap_or_default()
}

pub(super) fn crossfade_unexplained(read: &Read) -> Vec<Point> {
    let point = |f: Fade| Point { value: f.unexplained.min(WHOLE), alone: f.meets[0] && f.meets[1] };
    fade(read).map(point).into_iter().collect()
}

/// One of G7's readings, where clips can be compared; the other two conditions hold or do not.
fn likeness(read: &Read, which: &str) -> Vec<Point> {
    let gate = &read.gates.source_copy;
    if read.number("frames") == 0 {
        return Vec::new();
    }
    let limits = [("unlike", gate.unlike), ("distance", gate.distance), ("hash", gate.hash)];
    let alone =
        limits.iter().filter(|(name, _)| *name != which).all(|(name, limit)| read.number(name) <= *limit);
    one(read.number(which), alone)
}

pub(super) fn source_copy_unlike(read: &Read) -> Vec<Point> {
    likeness(read, "unlike").into_iter().map(|p| Point { value: p.value.min(WHOLE), ..p }).collect()
}

pub(super) fn source_copy_distance(read: &Read) -> Vec<Point> {
    likeness(read, "distance")
}

pub(super) fn source_copy_hash(read: &Read) -> Vec<Point> {
    likeness(read, "hash")
}

pub(super) fn overlay_strokes(read: &Read) -> Vec<Point> {
    one(read.number("strokes") - read.number("reference_strokes"), true)
}

/// The share of the sharpest blocks and that of the given; `None` where too few blocks are textured.
fn sharpness(read: &Read) -> Option<(i64, i64)> {
    let blocks = [
        read.number("textured_blocks"),
        read.number("given_textured_blocks"),
        read.clip.window.task.reference.sharpness.blocks,
    ];
    let judged = blocks.into_iter().all(|blocks| blocks >= read.gates.spectrum.blocks);
    let budget = read.number("given_sharpness").min(read.number("reference_sharpness"));
    judged.then(|| (read.number("sharpness"), budget))
}

pub(super) fn spectrum_share(read: &Read) -> Vec<Point> {
    let of_given = read.gates.spectrum.of_given;
    let point = |(own, given): (i64, i64)| Point { value: own, alone: own * WHOLE <= given * of_given };
    sharpness(read).map(point).into_iter().collect()
}

pub(super) fn spectrum_of_given(read: &Read) -> Vec<Point> {
    let share = read.gates.spectrum.share;
    sharpness(read).map(|(own, given)| parts(own, given, own <= share)).unwrap_or_default()
}

pub(super) fn spectrum_of_given_alone(read: &Read) -> Vec<Point> {
    sharpness(read).map(|(own, given)| parts(own, given, true)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use leoma_film::{
        attacks::Material,
        testing::{Texture, clip},
    };

    use super::*;
    use crate::{
        domain::rules::Rules,
        evidence::{
            attacks::Attacker,
            judge::Judge,
            limits::{
                ClipKind, GateTable, LIMITS, Limit,
                clips::attackers,
                settle::{Decided as _, settle},
            },
            windows::SourceWindow,
        },
        quality::frame::Yuv420Clip,
    };

    const SIZE: (usize, usize) = (96, 64);
    const FRAMES: usize = 36;

    /// A texture that breathes and sways.
    fn living(seed: u32, pace: f32) -> Yuv420Clip {
        let texture = Texture::new(seed);
        clip((SIZE.0, SIZE.1, FRAMES), |t, x, y| {
            let s = pace * t as f32;
            texture.at(x - 0.9 * s * (y / 20.0).sin() - 0.5 * s, y - 0.6 * s * (x / 25.0).cos())
        })
    }

    /// The real clip, one at another pace, and every attack, not encoded.
    fn clips(judge: &Judge) -> Vec<GateClip> {
        let window = SourceWindow::of_clip("drawn".to_owned(), living(21, 1.0), judge).expect("measured");
        let (slower, other) = (living(21, 0.8), living(77, 1.0));
        let material = Material {
            first_frame: &window.first_frame,
            frames: FRAMES,
            prompt: "A wall of waves",
            honest: Some(&slower),
            other: Some(&other),
            real: Some(&window.reference),
        };
        let of = |kind: ClipKind, clip: &Yuv420Clip| GateClip::of(kind, &window, clip, FRAMES);
        let attack = |one: Attacker| {
            of(ClipKind::Attack(one), &one.attack.film(one.variant, &material).expect("made"))
        };
        let honest = [of(ClipKind::Clean, &window.reference), of(ClipKind::StandIn, &slower)];
        honest.into_iter().chain(attackers().map(attack)).collect()
    }

    fn limits(table: GateTable) -> impl Iterator<Item = &'static Limit> {
        LIMITS.iter().filter(move |limit| limit.table == table)
    }

    #[test]
    fn a_gate_fires_just_where_a_limit_of_it_alone_decides_so() {
        let mut rules = Rules::embedded().without_models();
        (rules.request.width, rules.request.height) = (SIZE.0 as u32, SIZE.1 as u32);
        rules.request.frames = FRAMES as u32;
        let judge = Judge::of(rules.clone(), None).expect("sound rules");
        let clips = clips(&judge);
        let mut fired = std::collections::BTreeSet::new();
        for (part, whole) in [(1, 1), (1, 2), (6, 5)] {
            let moved = |rules: Rules, limit: &Limit| {
                let value = limit.value(&rules).expect("a number") * part / whole;
                limit.set(&rules, value).unwrap_or(rules)
            };
            let rules = LIMITS.iter().fold(rules.clone(), moved);
            for (table, clip) in
                GateTable::ALL.iter().flat_map(|table| clips.iter().map(move |c| (*table, c)))
            {
                // Noise limits say which pairs are counted; what is made of the count is the others' part.
                let counted = |limit: &&Limit| !limit.name.starts_with("noise_");
                let decides = |limit: &Limit| {
                    let value = limit.value(&rules).expect("a number");
                    clip.reading(limit, &rules).alone.is_some_and(|own| limit.fires.holds(own, value))
                };
                let fires = clip.fires(table, &rules);
                assert_eq!(limits(table).filter(counted).any(decides), fires, "{table:?} {:?}", clip.kind);
                fired.extend(fires.then_some(table));
            }
        }
        assert!(fired.len() >= 6, "the clips say little: {fired:?}");
        // What is computed from these clips does them no harm, and is found again.
        let (found, checks) = settle(&clips, &rules);
        assert_eq!(found.len(), LIMITS.len());
        assert!(found.iter().filter(|limit| limit.kept.is_none()).count() >= 4, "{found:?}");
        for check in &checks {
            assert!(check.honest_fired_computed <= check.honest_fired, "{check:?}");
            assert!(check.caught_computed >= check.caught, "{check:?}");
        }
        let set = |rules: Rules, (limit, found): (&Limit, &_)| {
            let found: &crate::evidence::limits::settle::GateCalibration = found;
            limit.set(&rules, found.computed).expect("still rules")
        };
        let computed = LIMITS.iter().zip(&found).fold(rules, set);
        let (again, _) = settle(&clips, &computed);
        for (one, other) in found.iter().zip(&again) {
            assert_eq!((other.in_force, other.computed, other.kept), (one.computed, one.computed, one.kept));
        }
    }
}
