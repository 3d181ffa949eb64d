//! The ends of `anchor` (docs/adr/0015): how near honest clips are to the real one, and how near clips of other tasks.

use serde::Serialize;

use super::{
    EvidenceError,
    attacks::{HONEST, stand_ins},
    judge::Judge,
    limits::place::{PART_OF_THE_WAY, Range},
    windows::SourceWindow,
};
use crate::domain::scoring::AnchorRule;

/// What calibration finds for `anchor`. Readings are median cosines with the real clip, in 1/1024.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AnchorCalibration {
    /// What is in force, by rules with a text model.
    pub in_force: Option<AnchorRule>,
    /// Readings of honest stand-ins.
    pub honest: Range,
    /// Readings of real clips of other sources.
    pub others: Range,
    /// The nearest of those.
    pub bad: i64,
    /// A third of the way from there to the farthest stand-in.
    pub good: i64,
    /// Why the computed values cannot be used, if so; the ones in force stay.
    pub kept: Option<&'static str>,
}

impl AnchorCalibration {
    /// Reads every window's stand-ins, and every window against those of other sources; `None` under rules without networks or
    /// with one source.
    ///
    /// # Errors
    /// When networks gave no answer.
    pub fn of(windows: &[SourceWindow], judge: &Judge) -> Result<Option<Self>, EvidenceError> {
        let (mut honest, mut others) = (Vec::new(), Vec::new());
        for window in windows {
            for clip in stand_ins(window, &HONEST) {
                honest.extend(judge.nearness(&clip, &window.reference)?);
            }
            for other in windows.iter().filter(|other| other.source != window.source) {
                others.extend(judge.nearness(&other.reference, &window.reference)?);
            }
        }
        let in_force = judge.rules().scoring.text.map(|text| text.anchor);
        Ok(Range::of(&honest).zip(Range::of(&others)).map(|sides| Self::between(sides, in_force)))
    }

    fn between((honest, others): (Range, Range), in_force: Option<AnchorRule>) -> Self {
        let way = honest.least - others.most;
        // The rules want the ends apart.
        let kept = (way < PART_OF_THE_WAY).then_some("clips of other sources come as near as stand-ins");
        Self { in_force, honest, others, bad: others.most, good: others.most + way / PART_OF_THE_WAY, kept }
    }

    /// Farthest that an end in force lies from the computed one, in percent of the distance between those in force; 0 where none
    /// is in force or the computed ones cannot be used.
    pub fn drift_percent(&self) -> u64 {
        match (self.in_force, self.kept) {
            (Some(rule), None) => {
                let off = rule.bad.abs_diff(self.bad).max(rule.good.abs_diff(self.good));
                off * 100 / rule.good.abs_diff(rule.bad).max(1)
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(honest: i64, others: i64, in_force: Option<AnchorRule>) -> AnchorCalibration {
        let range = |least| Range { least, most: least };
        AnchorCalibration::between((range(honest), range(others)), in_force)
    }

    #[test]
    fn the_ends_lie_between_other_scenes_and_stand_ins() {
        let found = between(940, 640, None);
        assert_eq!((found.bad, found.good, found.kept, found.drift_percent()), (640, 740, None, 0));
        assert!(between(640, 640, None).kept.is_some() && between(600, 640, None).kept.is_some());
    }

    #[test]
    fn drift_is_told_in_percent_of_the_span_in_force() {
        let rule = AnchorRule { bad: 600, good: 700, ceiling: 3_000 };
        assert_eq!(between(940, 640, Some(rule)).drift_percent(), 40);
        assert_eq!(between(600, 640, Some(rule)).drift_percent(), 0, "nothing was computed");
    }
}
