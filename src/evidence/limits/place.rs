//! Where a limit lies between honest clips and attacks.

use serde::Serialize;

use super::Fires;
use crate::evidence::stats::median;

/// A limit lies this part of the way from the attacks to the honest clips: a false reject takes an honest miner's pay,
/// while an attack that one gate misses meets the terms and the opponents.
pub const PART_OF_THE_WAY: i64 = 3;
/// Sides that lie closer than this part of the distance of their medians count as overlapping: one clip more may close such a
/// way.
const CLOSEST_PART: u64 = 20;
/// Significant digits of a limit where the way has room for them.
const DIGITS: u32 = 2;

/// What one clip puts beside a limit, the deepest into the condition of what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClipReading {
    /// Of all its readings; `None` where the gate can read nothing.
    pub any: Option<i64>,
    /// Of those for which everything else that the condition asks holds: only this limit decides about them.
    pub alone: Option<i64>,
}

/// Least and largest of some readings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Range {
    /// Least.
    pub least: i64,
    /// Largest.
    pub most: i64,
}

impl Range {
    /// Of some readings; `None` of none.
    pub fn of(readings: &[i64]) -> Option<Self> {
        let (least, most) = (readings.iter().min()?, readings.iter().max()?);
        Some(Self { least: *least, most: *most })
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.least, self.most)
    }
}

/// Why a limit stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// No honest clip has a reading.
    NoHonestClip,
    /// No attack meets the other conditions, so that the limit decides about none.
    NoAttack,
    /// Honest clips read as attacks do, or nearly so.
    Overlap,
    /// They do, and the other conditions hold every honest clip back.
    OthersHold,
    /// The rules do not allow the computed value.
    NotAllowed,
    /// Deciding anew, an honest clip fires or an attack gets away that did not before.
    Worse,
    /// The gate's computed limits move each other without end.
    Unsettled,
}

impl Kept {
    /// In words.
    pub fn why(self) -> &'static str {
        match self {
            Kept::NoHonestClip => "no honest clip can be read",
            Kept::NoAttack => "no attack comes so far by the gate's other conditions",
            Kept::Overlap => "honest clips and attacks overlap",
            Kept::OthersHold => {
                "honest clips and attacks overlap, the gate's other conditions hold the honest ones back"
            }
            Kept::NotAllowed => "the rules do not allow the computed value",
            Kept::Worse => "with the computed one an honest clip fires or an attack gets away",
            Kept::Unsettled => "the gate's computed limits do not settle",
        }
    }
}

/// Which honest clips a limit was set against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HonestSide {
    /// All that have a reading: the limit separates by itself.
    All,
    /// Those about which only this limit decides.
    Alone,
}

/// A limit's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The limit, or why there is none.
    pub limit: Result<i64, Kept>,
    /// Readings of the honest clips.
    pub honest: Option<Range>,
    /// Which of them.
    pub side: HonestSide,
    /// How many.
    pub clips: usize,
    /// Readings of the attacks that count: those that the limit in force catches, or all where it catches none.
    pub attacks: Option<Range>,
    /// Which of the attacks these are.
    pub counted: AttackSide,
}

/// Which attacks a limit was set against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttackSide {
    /// Those that the limit in force catches.
    Caught,
    /// It catches none: all that meet the other conditions.
    All,
}

/// Places a limit between honest clips and attacks.
///
/// Attacks are those that meet the gate's other conditions and are caught in force, so that none of them gets away; where
/// none is caught, all of them. Honest clips are all that have a reading; where these reach among the attacks, those
/// about which this limit alone decides.
pub fn place(fires: Fires, in_force: i64, honest: &[ClipReading], attacks: &[ClipReading]) -> Place {
    let all: Vec<i64> = honest.iter().filter_map(|clip| clip.any).collect();
    let alone: Vec<i64> = honest.iter().filter_map(|clip| clip.alone).collect();
    let reached: Vec<i64> = attacks.iter().filter_map(|clip| clip.alone).collect();
    let caught: Vec<i64> =
        reached.iter().copied().filter(|&reading| fires.holds(reading, in_force)).collect();
    let (against, counted) =
        if caught.is_empty() { (reached, AttackSide::All) } else { (caught, AttackSide::Caught) };
    let told = |limit, (clips, side): (&[i64], HonestSide)| Place {
        limit,
        honest: Range::of(clips),
        side,
        clips: clips.len(),
        attacks: Range::of(&against),
        counted,
    };
    let whole = (all.as_slice(), HonestSide::All);
    if all.is_empty() {
        return told(Err(Kept::NoHonestClip), whole);
    }
    if against.is_empty() {
        return told(Err(Kept::NoAttack), whole);
    }
    [whole, (alone.as_slice(), HonestSide::Alone)]
        .into_iter()
        .find_map(|side| Some(told(Ok(between(fires, &against, side.0)?), side)))
        .unwrap_or_else(|| told(Err(if alone.is_empty() { Kept::OthersHold } else { Kept::Overlap }), whole))
}

/// A value between attacks and honest clips, a third of the way from the former, with as few significant digits, from two
/// on, as keep it between; `None` where they overlap or nearly so.
fn between(fires: Fires, attacks: &[i64], honest: &[i64]) -> Option<i64> {
    // Mirrored, the attacks always lie below.
    let sign = if fires == Fires::AtLeast { -1 } else { 1 };
    let last = attacks.iter().map(|reading| sign * reading).max()?;
    let first = honest.iter().map(|reading| sign * reading).min()?;
    let medians = median(attacks)?.abs_diff(median(honest)?);
    if last >= first || first.abs_diff(last) * CLOSEST_PART < medians {
        return None;
    }
    let (least, most) = if fires == Fires::Below { (last + 1, first) } else { (last, first - 1) };
    let exact = (last + (first - last) / PART_OF_THE_WAY).clamp(least, most);
    let rounded = (DIGITS..).map(|digits| (digits, to_digits(exact, digits)));
    // With all its digits it is the exact value, which lies between.
    let found = rounded.take(20).map(|(_, value)| value).find(|value| (least..=most).contains(value));
    Some(sign * found.unwrap_or(exact))
}

/// A value with that many significant digits, halves away from zero.
fn to_digits(value: i64, digits: u32) -> i64 {
    let length = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    let unit = 10i64.pow(length.saturating_sub(digits));
    (value.abs() + unit / 2) / unit * unit * value.signum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn free(readings: &[i64]) -> Vec<ClipReading> {
        readings.iter().map(|&value| ClipReading { any: Some(value), alone: Some(value) }).collect()
    }

    fn held(readings: &[i64]) -> Vec<ClipReading> {
        readings.iter().map(|&value| ClipReading { any: Some(value), alone: None }).collect()
    }

    #[test]
    fn a_limit_lies_a_third_of_the_way_from_the_attacks() {
        let found = place(Fires::AtMost, 180, &free(&[535, 900]), &free(&[0, 58]));
        // 58 and a third of 477 is 217.
        assert_eq!(found.limit, Ok(220));
        assert_eq!(found.honest, Some(Range { least: 535, most: 900 }));
        assert_eq!(found.attacks, Some(Range { least: 0, most: 58 }));
        assert_eq!((found.side, found.counted, found.clips), (HonestSide::All, AttackSide::Caught, 2));
        assert_eq!(place(Fires::AtLeast, 8, &free(&[-2, 0]), &free(&[12, 40])).limit, Ok(8));
        assert_eq!(place(Fires::Below, 768, &free(&[3000]), &free(&[600])).limit, Ok(1400));
    }

    #[test]
    fn rounding_never_leaves_the_way() {
        assert_eq!(place(Fires::AtLeast, 970, &free(&[967]), &free(&[975, 1000])).limit, Ok(970));
        // 996 is between, 1000 and 990 are not.
        assert_eq!(place(Fires::AtLeast, 990, &free(&[995]), &free(&[998])).limit, Ok(997));
        assert_eq!(place(Fires::AtMost, 7, &free(&[8]), &free(&[7])).limit, Ok(7));
        assert_eq!(place(Fires::Below, 8, &free(&[8]), &free(&[7])).limit, Ok(8));
        assert_eq!(place(Fires::AtLeast, 8, &free(&[7]), &free(&[8])).limit, Ok(8));
    }

    #[test]
    fn an_overlap_or_an_empty_side_keeps_the_limit() {
        let overlap = place(Fires::AtMost, 200, &free(&[150, 900]), &free(&[100, 180]));
        assert_eq!(overlap.limit, Err(Kept::Overlap));
        assert_eq!(overlap.honest, Some(Range { least: 150, most: 900 }));
        assert_eq!(overlap.attacks, Some(Range { least: 100, most: 180 }));
        assert_eq!(place(Fires::AtMost, 1, &[], &free(&[1])).limit, Err(Kept::NoHonestClip));
        assert_eq!(place(Fires::AtMost, 1, &free(&[9]), &held(&[1])).limit, Err(Kept::NoAttack));
        assert_eq!(place(Fires::AtMost, 1, &free(&[9]), &[]).attacks, None);
        // A way that one clip more would close is none.
        let close = place(Fires::Below, 768, &free(&[204, 600, 1_055]), &free(&[0, 20, 203]));
        assert_eq!(close.limit, Err(Kept::Overlap));
        // The same reading on both sides is an overlap.
        assert_eq!(place(Fires::Below, 9, &free(&[5]), &free(&[5])).limit, Err(Kept::Overlap));
    }

    #[test]
    fn conditions_joined_by_and_leave_to_a_limit_what_only_it_decides() {
        // One honest clip reads like a copy here, but another condition holds it back.
        let honest = [held(&[1_641]), free(&[6_797])].concat();
        let found = place(Fires::AtMost, 6_000, &honest, &free(&[375, 3_109]));
        assert_eq!(found.limit, Ok(4_300));
        assert_eq!((found.side, found.clips), (HonestSide::Alone, 1));
        // Where they hold all honest clips back, nothing says where the limit should lie.
        let none = place(Fires::AtMost, 6_000, &held(&[1_641]), &free(&[375, 3_109]));
        assert_eq!(none.limit, Err(Kept::OthersHold));
    }

    #[test]
    fn attacks_that_are_missed_pull_no_limit_unless_all_are() {
        let honest = free(&[0, 13]);
        let found = place(Fires::AtLeast, 80, &honest, &free(&[14, 90, 1_480]));
        assert_eq!((found.limit, found.counted), (Ok(65), AttackSide::Caught));
        let all = place(Fires::AtLeast, 80, &honest, &free(&[40, 60]));
        assert_eq!((all.limit, all.counted), (Ok(31), AttackSide::All));
    }

    proptest! {
        #[test]
        fn what_is_placed_separates(
            honest in proptest::collection::vec(-3_000i64..3_000, 1..6),
            attacks in proptest::collection::vec(-3_000i64..3_000, 1..6),
            in_force in -3_000i64..3_000,
        ) {
            for fires in [Fires::AtLeast, Fires::AtMost, Fires::Below] {
                let found = place(fires, in_force, &free(&honest), &free(&attacks));
                let Ok(limit) = found.limit else { continue };
                prop_assert!(honest.iter().all(|&reading| !fires.holds(reading, limit)));
                let caught = |limit: i64| attacks.iter().filter(|&&a| fires.holds(a, limit)).count();
                prop_assert!(caught(limit) >= caught(in_force).max(1));
            }
        }
    }
}
