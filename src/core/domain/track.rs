//! Track of a clip: a few hundred bytes per second by which a clip is known again after it was encoded anew.
//!
//! `[samples, rows, columns]` mean luma in 1/16 level, from a fifth of the clip to its end: the beginning is alike in all
//! honest clips of a task, because all begin with the given frame. Two tracks are compared by how their pictures
//! *change* over a [`Step`], each change without its mean over the picture: brightness, contrast, colour, a crop and
//! everything that stands still leave that as it was, while two clips that merely begin alike move differently by then.
//! Over a short step there is most to tell two clips apart by; in slow scenes it drowns in the noise of encoders, which is
//! as large over a short step as over a long one. Compared as they are and mirrored, in step and one sample apart.
//!
//! Overflow: a change is at most 4080 and counts [`CELLS`] times to stay whole without its mean, twice that without it,
//! below 2^20; differences of a picture sum up to less than 2^28 (u32), those of all pictures to less than 2^32 (i64).

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Moments of a clip that are kept.
pub const SAMPLES: usize = 17;
/// Rows of a picture.
pub const ROWS: usize = 6;
/// Columns of a picture.
pub const COLUMNS: usize = 13;
/// Values of a picture.
pub const CELLS: usize = ROWS * COLUMNS;
/// Samples by which one clip may be ahead of the other.
const REACH: usize = 1;
/// One more than the largest value: 255 levels in 1/16 level need twelve bits.
const VALUES: u16 = 1 << 12;
/// Digits of the textual form, six bits each, two a value (RFC 4648, table 2).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Samples that would lie before the first one: a fifth of the clip.
const BEFORE: usize = 4;

/// Frame of a clip that sample `index` shows.
pub fn frame_of(index: usize, frames: usize) -> usize {
    frames.saturating_sub(1) * (index + BEFORE) / (SAMPLES - 1 + BEFORE)
}

/// The time between the two pictures of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Four samples, a fifth of the clip: thirteen changes.
    Short,
    /// Twelve samples, three fifths of the clip: five changes.
    Long,
}

impl Step {
    /// Samples from one picture to the other.
    const fn samples(self) -> usize {
        match self {
            Step::Short => 4,
            Step::Long => 12,
        }
    }
}

/// A clip's track.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClipTrack(Arc<[u16]>);

/// The values are not those of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a track has {} values below {VALUES}, two digits each", SAMPLES * CELLS)]
pub struct TrackError;

/// How far two tracks are from each other over a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TrackDistance {
    /// Difference of the changes over their mean size, in 1/1000: 0 for one clip, about 1400 for two that have nothing
    /// in common, 2000 for one that moves beside one that stands.
    pub unlike: i64,
    /// The smaller one's mean change without the picture's own mean, in 1/256 level: what there was to go by.
    pub change: i64,
}

impl ClipTrack {
    /// A track of these values `[samples, rows, columns]`.
    ///
    /// # Errors
    /// When there are too few or too many, or one is too large.
    pub fn new(values: Vec<u16>) -> Result<Self, TrackError> {
        let whole = values.len() == SAMPLES * CELLS && values.iter().all(|value| *value < VALUES);
        if whole { Ok(Self(values.into())) } else { Err(TrackError) }
    }

    /// The values `[samples, rows, columns]` in 1/16 level.
    pub fn values(&self) -> &[u16] {
        &self.0
    }

    /// Its changes, ready to be compared with many others.
    pub fn changes(&self) -> TrackChanges {
        TrackChanges { short: self.changes_over(Step::Short), long: self.changes_over(Step::Long) }
    }

    fn changes_over(&self, step: Step) -> StepChanges {
        let picture = |index: usize| &self.0[index * CELLS..(index + 1) * CELLS];
        let count = SAMPLES - step.samples();
        let mut cells = Vec::with_capacity(count * CELLS);
        for first in 0..count {
            let pair = || picture(first).iter().zip(picture(first + step.samples()));
            let change = |(before, after): (&u16, &u16)| i32::from(*after) - i32::from(*before);
            let total: i32 = pair().map(change).sum();
            cells.extend(pair().map(|both| change(both) * CELLS as i32 - total));
        }
        let sizes =
            cells.chunks_exact(CELLS).map(|change| change.iter().map(|v| i64::from(v.abs())).sum()).collect();
        StepChanges { cells, sizes }
    }

    /// Distance to another track over a step, and what it was read from.
    pub fn distance(&self, other: &ClipTrack, step: Step) -> TrackDistance {
        let nothing = TrackDistance { unlike: 0, change: 0 };
        self.changes_over(step).distance(&other.changes_over(step), i64::MAX).unwrap_or(nothing)
    }
}

/// The changes of a track over both steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrackChanges {
    short: StepChanges,
    long: StepChanges,
}

impl TrackChanges {
    /// The changes over one step.
    pub fn over(&self, step: Step) -> &StepChanges {
        match step {
            Step::Short => &self.short,
            Step::Long => &self.long,
        }
    }
}

/// The changes of a track over one step, [`CELLS`] times 1/16 level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepChanges {
    /// `[changes, rows, columns]`.
    cells: Vec<i32>,
    /// Sum of absolute values of each change.
    sizes: Vec<i64>,
}

impl StepChanges {
    /// Mean absolute change in 1/256 level.
    pub fn size(&self) -> i64 {
        self.sizes.iter().sum::<i64>() * 16 / (CELLS * self.cells.len()) as i64
    }

    /// The least distance under all alignments; `None` when it is greater than `most`, in 1/1000, or neither changes.
    pub fn distance(&self, other: &StepChanges, most: i64) -> Option<TrackDistance> {
        let change = self.size().min(other.size());
        let turns = [(0, 0), (1, 0), (0, 1)].map(|(ahead, behind)| (ahead * REACH, behind * REACH));
        let mut unlike: Option<i64> = None;
        for mirrored in [false, true] {
            for (ahead, behind) in turns {
                let least = unlike.map_or(most, |found| most.min(found));
                unlike = self.aligned(other, (ahead, behind), mirrored, least).or(unlike);
            }
        }
        unlike.map(|unlike| TrackDistance { unlike, change })
    }

    /// The changes from the one with this index on.
    fn pictures(&self, first: usize) -> impl Iterator<Item = &[i32]> {
        self.cells.chunks_exact(CELLS).skip(first)
    }

    /// Distance under one alignment unless it exceeds `most`: clips that have nothing to do with each other are given up
    /// after a fifth of them.
    fn aligned(&self, other: &StepChanges, skip: (usize, usize), mirrored: bool, most: i64) -> Option<i64> {
        let count = self.sizes.len() - skip.0 - skip.1;
        let sum = |sizes: &[i64], from: usize| sizes[from..from + count].iter().sum::<i64>();
        let sizes = sum(&self.sizes, skip.0) + sum(&other.sizes, skip.1);
        // unlike = 1000 * apart / (sizes / 2)
        let budget = most.min(2_000).saturating_mul(sizes) / 2_000;
        let mut apart = 0;
        let differ = |(a, b): (&i32, &i32)| a.abs_diff(*b);
        for (mine, theirs) in self.pictures(skip.0).zip(other.pictures(skip.1)).take(count) {
            apart += i64::from(match mirrored {
                false => mine.iter().zip(theirs).map(differ).sum::<u32>(),
                true => {
                    let rows = mine.chunks_exact(COLUMNS).zip(theirs.chunks_exact(COLUMNS));
                    rows.map(|(one, other)| one.iter().zip(other.iter().rev()).map(differ).sum::<u32>()).sum()
                }
            });
            if apart > budget {
                return None;
            }
        }
        (sizes > 0).then(|| apart * 2_000 / sizes)
    }
}

impl Serialize for ClipTrack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = |value: &u16| [value >> 6, value & 63].map(|six| char::from(DIGITS[usize::from(six)]));
        serializer.serialize_str(&self.0.iter().flat_map(digits).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for ClipTrack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let six = |digit: u8| DIGITS.iter().position(|known| *known == digit).map(|place| place as u16);
        let value = |pair: &[u8]| Some(six(pair[0])? << 6 | six(*pair.get(1)?)?);
        let values: Option<Vec<u16>> =
            text.as_bytes().chunks(2).take(SAMPLES * CELLS + 1).map(value).collect();
        values.ok_or(TrackError).and_then(Self::new).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEPS: [Step; 2] = [Step::Short, Step::Long];

    fn drawn(seed: u64, value: impl Fn(usize, usize, usize) -> i64) -> ClipTrack {
        let mut state = seed;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 61) as i64 - 4
        };
        let mut values = Vec::new();
        for sample in 0..SAMPLES {
            for row in 0..ROWS {
                for column in 0..COLUMNS {
                    values.push((value(sample, row, column) + noise()).clamp(0, 4080) as u16);
                }
            }
        }
        ClipTrack::new(values).expect("a track")
    }

    /// Something bright that moves across, at a pace and from a side.
    fn moving(seed: u64, pace: i64, mirrored: bool, ahead: i64, gain: i64, offset: i64) -> ClipTrack {
        drawn(seed, |sample, row, column| {
            let column = if mirrored { COLUMNS - 1 - column } else { column } as i64;
            let from = 30 * column - pace * (sample as i64 + ahead) - 20 * row as i64;
            offset + gain * (2000 - (from % 390).abs() * 4) / 100
        })
    }

    #[test]
    fn what_is_sent_again_is_near_and_another_motion_is_far() {
        let clip = moving(1, 16, false, 0, 100, 600);
        for (name, copy) in [
            ("itself", clip.clone()),
            ("encoded anew", moving(2, 16, false, 0, 100, 600)),
            ("brighter", moving(3, 16, false, 0, 100, 900)),
            ("more contrast", moving(4, 16, false, 0, 110, 500)),
            ("mirrored", moving(5, 16, true, 0, 100, 600)),
            ("a sample ahead", moving(6, 16, false, 1, 100, 600)),
        ] {
            for step in STEPS {
                let found = clip.distance(&copy, step);
                assert!(found.unlike < 150 && found.change > 256, "{name}, {step:?}: {found:?}");
            }
        }
        assert_eq!(STEPS.map(|step| clip.distance(&clip, step).unlike), [0, 0]);
        for (name, other) in [
            ("another pace", moving(7, 31, false, 0, 100, 600)),
            ("backwards", moving(8, -25, false, 0, 100, 600)),
        ] {
            for step in STEPS {
                let found = clip.distance(&other, step);
                assert!(found.unlike > 600, "{name}, {step:?}: {found:?}");
            }
        }
    }

    #[test]
    fn what_stands_still_says_so() {
        let still = drawn(1, |_, row, column| 40 * (row * 7 + column) as i64);
        let flat = ClipTrack::new(vec![7; SAMPLES * CELLS]).expect("a track").changes();
        for step in STEPS {
            let found = still.changes().over(step).size();
            assert!(found < 128, "{step:?}: {found}");
            assert_eq!(flat.over(step).distance(flat.over(step), 2_000), None);
        }
    }

    #[test]
    fn samples_begin_after_a_fifth_and_end_with_the_clip() {
        let frames: Vec<usize> = (0..SAMPLES).map(|index| frame_of(index, 81)).collect();
        assert_eq!((frames[0], frames[1], frames[16]), (16, 20, 80));
        assert_eq!((frame_of(0, 9), frame_of(16, 9), frame_of(16, 1), frame_of(3, 0)), (1, 8, 0, 0));
    }

    #[test]
    fn another_length_value_or_digit_is_refused() {
        assert_eq!(ClipTrack::new(vec![0; SAMPLES * CELLS - 1]), Err(TrackError));
        assert_eq!(ClipTrack::new(vec![VALUES; SAMPLES * CELLS]), Err(TrackError));
        let text = |text: String| serde_json::from_value::<ClipTrack>(text.into());
        assert!(text("A".repeat(2 * SAMPLES * CELLS)).is_ok());
        for wrong in [2 * SAMPLES * CELLS - 1, 2 * SAMPLES * CELLS + 2] {
            assert!(text("A".repeat(wrong)).is_err());
        }
        assert!(text("=".repeat(2 * SAMPLES * CELLS)).is_err() && text("é".repeat(SAMPLES * CELLS)).is_err());
    }

    proptest! {
        #[test]
        fn text_gives_the_track_back_and_a_limit_changes_no_distance_below_it(
            one in prop::collection::vec(0u16..VALUES, SAMPLES * CELLS),
            other in prop::collection::vec(0u16..VALUES, SAMPLES * CELLS),
            most in 0i64..2_000,
        ) {
            let (one, other) = (ClipTrack::new(one).expect("a track"), ClipTrack::new(other).expect("a track"));
            let text = serde_json::to_string(&one).expect("writes");
            prop_assert_eq!(serde_json::from_str::<ClipTrack>(&text).expect("reads"), one.clone());
            let [mine, theirs] = [one.changes(), other.changes()];
            for step in STEPS {
                let whole = one.distance(&other, step);
                prop_assert_eq!(whole, other.distance(&one, step));
                // A distance within a thousandth of the limit may be given up by rounding.
                match mine.over(step).distance(theirs.over(step), most) {
                    Some(found) => prop_assert_eq!(found, whole),
                    None => prop_assert!(whole.unlike >= most),
                }
            }
        }
    }
}
