//! Ladders of graded damage, and how well the readings follow them.

use std::{collections::BTreeMap, sync::Arc};

use leoma_film::degrade::Material;
use serde::Serialize;

use super::{
    EvidenceError,
    judge::{Judge, Reading, SourceCopies},
    plans::{Axis, CRF_LEVELS, Damage, LEVELS, Plan},
    stats::{PairCount, ladder_pairs, ladder_tau, mean},
    windows::SourceWindow,
};
use crate::{
    decode::Decoder,
    domain::score::Axes,
    encode::{EncodeOptions, IndexPlace, encode},
    quality::frame::Yuv420Clip,
};

/// Seed of everything that damage draws.
pub const SEED: u32 = 20_261;

/// How well one reading follows the levels of a ladder, over all windows.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Following {
    /// Pairs of neighbouring levels.
    pub adjacent: PairCount,
    /// Pairs two or more levels apart.
    pub distant: PairCount,
    /// Mean over windows of Kendall's tau-b against the level; `None` where no window has a reading.
    pub tau: Option<f64>,
    /// Windows with a reading at every level.
    pub windows: usize,
}

impl Following {
    fn of(ladders: &[Vec<f64>]) -> Self {
        let mut found = Self { windows: ladders.len(), ..Self::default() };
        for ladder in ladders {
            found.adjacent += ladder_pairs(ladder, 1..=1);
            found.distant += ladder_pairs(ladder, 2..=ladder.len());
        }
        found.tau = mean(&ladders.iter().map(|ladder| ladder_tau(ladder)).collect::<Vec<_>>());
        found
    }
}

/// One ladder's figures.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LadderFigures {
    /// Name of the damage.
    pub generator: &'static str,
    /// What its levels are.
    pub what: &'static str,
    /// Terms that were asked: those of the plan that the rules know.
    pub answers: Vec<&'static str>,
    /// Axes that may lose points.
    pub touches: &'static [Axis],
    /// How the worst raw reading among the answering terms follows, gates off.
    pub raw: Following,
    /// How the final score (gates and caps on, 0 when rejected) follows.
    pub overall: Following,
    /// Tau of every raw term, the mean over windows.
    pub term_tau: BTreeMap<&'static str, f64>,
    /// Mean badness of the raw reading by level 0..=5 (0 the good end, 1 the bad end of the rules).
    pub raw_by_level: Vec<Option<f64>>,
    /// Mean final score by level, 0..=10000.
    pub overall_by_level: Vec<f64>,
    /// Mean points of 100 lost against level 0 on each axis, gates off, by level 1..=5; only axes that exist.
    pub lost_by_level: BTreeMap<&'static str, Vec<f64>>,
}

impl LadderFigures {
    /// Points of 100 that the strongest level takes from an axis.
    pub fn lost(&self, axis: Axis) -> Option<f64> {
        self.lost_by_level.get(axis.name())?.last().copied()
    }

    /// Most points of 100 that any level takes from an axis that the damage should not touch.
    pub fn cross_talk(&self) -> Option<f64> {
        let untouched = Axis::ALL.into_iter().filter(|axis| !self.touches.contains(axis));
        let lost = untouched.filter_map(|axis| self.lost_by_level.get(axis.name())).flatten().copied();
        lost.reduce(f64::max)
    }
}

/// Makes the damaged versions of a window.
pub struct Workshop {
    /// Reads back what was encoded.
    pub decoder: Decoder,
    /// Frames per second of what is encoded.
    pub fps: u32,
}

impl Workshop {
    /// One level of damage to a window's real clip; `other` is another window.
    ///
    /// # Errors
    /// When an encode fails or what it gave cannot be read back.
    pub async fn damaged(
        &self,
        damage: Damage,
        window: &SourceWindow,
        other: &SourceWindow,
        level: usize,
    ) -> Result<Arc<Yuv420Clip>, EvidenceError> {
        match (damage, level.checked_sub(1)) {
            (_, None) => Ok(window.reference.clone()),
            (Damage::Crf, Some(grade)) => self.encoded(&window.reference, CRF_LEVELS[grade.min(4)]).await,
            (Damage::Made(generator), Some(_)) => {
                let material = Material { clip: &window.reference, other: &other.reference, seed: SEED };
                Ok(Arc::new(tokio::task::block_in_place(|| generator.apply(&material, level))))
            }
        }
    }

    /// A clip after one encode, read back as a miner's answer is.
    ///
    /// # Errors
    /// When the encode fails or its file is refused.
    pub async fn encoded(&self, clip: &Yuv420Clip, crf: u8) -> Result<Arc<Yuv420Clip>, EvidenceError> {
        let options = EncodeOptions { fps: self.fps, crf, scale: None, index: IndexPlace::Front };
        let file = encode(clip, &options).await?;
        let (width, height) = (clip.width() as u32, clip.height() as u32);
        let spec = crate::domain::plan::ClipSpec { frames: clip.len() as u32, width, height, fps: self.fps };
        Ok(self.decoder.decode_clip(file, spec).await?.frames)
    }
}

/// Climbs one ladder on every window; the next window lends its pictures where damage needs foreign ones (a single
/// window lends its own mirrored ones). `progress` hears every clip that was read.
///
/// # Errors
/// When we fail; no clip can.
pub async fn climb(
    plan: &Plan,
    windows: &[SourceWindow],
    judge: &Judge,
    workshop: &Workshop,
    mut progress: impl FnMut(),
) -> Result<LadderFigures, EvidenceError> {
    let mut climbed = Vec::with_capacity(windows.len());
    for (place, window) in windows.iter().enumerate() {
        let other = foreign(windows, place);
        let mut readings = Vec::with_capacity(LEVELS + 1);
        for level in 0..=LEVELS {
            let clip = workshop.damaged(plan.damage, window, &other, level).await?;
            readings.push(tokio::task::block_in_place(|| judge.read(window, &clip, SourceCopies::Allowed))?);
            progress();
        }
        climbed.push(readings);
    }
    Ok(figures(plan, &climbed, judge))
}

/// The window whose pictures are foreign to one: the next of another source, else its own real clip mirrored.
pub fn foreign(windows: &[SourceWindow], place: usize) -> SourceWindow {
    let here = &windows[place];
    let after = windows.iter().cycle().skip(place + 1).take(windows.len());
    match after.into_iter().find(|window| window.source != here.source) {
        Some(window) => window.clone(),
        None => {
            let reference = Arc::new(leoma_film::assemble::mirrored(&here.reference, 0));
            SourceWindow { reference, ..here.clone() }
        }
    }
}

fn figures(plan: &Plan, climbed: &[Vec<Reading>], judge: &Judge) -> LadderFigures {
    let known = |name: &&&str| judge.terms().contains_key(**name) || **name == "dyn";
    let answers: Vec<&'static str> = plan.answers.iter().filter(known).copied().collect();
    let badness = |reading: &Reading, term: &str| judge.badness(term, *reading.raw.get(term)?);
    let worst = |reading: &Reading| answers.iter().filter_map(|term| badness(reading, term)).reduce(f64::max);
    let complete = |read: &dyn Fn(&Reading) -> Option<f64>| -> Vec<Vec<f64>> {
        climbed.iter().filter_map(|readings| readings.iter().map(read).collect()).collect()
    };
    let names: std::collections::BTreeSet<&'static str> =
        climbed.iter().flatten().flat_map(|reading| reading.raw.keys().copied()).collect();
    let term_tau = names
        .into_iter()
        .filter_map(|term| Some((term, Following::of(&complete(&|r| badness(r, term))).tau?)))
        .collect();
    let by_level = |read: &dyn Fn(&Reading) -> Option<f64>| -> Vec<Option<f64>> {
        let level =
            |level: usize| climbed.iter().filter_map(|readings| read(&readings[level])).collect::<Vec<_>>();
        (0..=LEVELS).map(|at| mean(&level(at))).collect()
    };
    LadderFigures {
        generator: plan.damage.name(),
        what: plan.damage.what(),
        touches: plan.touches,
        raw: Following::of(&complete(&worst)),
        overall: Following::of(&complete(&|r| Some(10_000.0 - f64::from(r.overall)))),
        raw_by_level: by_level(&worst),
        overall_by_level: by_level(&|r| Some(f64::from(r.overall))).into_iter().flatten().collect(),
        lost_by_level: lost(climbed),
        term_tau,
        answers,
    }
}

/// Score of an axis.
pub fn score_of(axes: &Axes, axis: Axis) -> Option<f64> {
    let score = match axis {
        Axis::FirstFrame => axes.first_frame,
        Axis::Prompt => axes.prompt,
        Axis::Temporal => axes.temporal,
        Axis::Artifacts => axes.artifacts,
    };
    score.map(|score| f64::from(score.get()))
}

fn lost(climbed: &[Vec<Reading>]) -> BTreeMap<&'static str, Vec<f64>> {
    let at = |axis: Axis, level: usize| {
        let one = |readings: &Vec<Reading>| {
            let (clean, here) = (score_of(&readings[0].axes, axis)?, score_of(&readings[level].axes, axis)?);
            Some((clean - here) / 100.0)
        };
        mean(&climbed.iter().filter_map(one).collect::<Vec<_>>())
    };
    let of =
        |axis: Axis| Some((axis.name(), (1..=LEVELS).map(|level| at(axis, level)).collect::<Option<_>>()?));
    Axis::ALL.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{rules::Rules, score::Score};
    use leoma_film::degrade::Generator;

    /// A reading by its blur, its final score and its artifacts axis.
    fn reading(blur: i64, overall: u16, artifacts: i64) -> Reading {
        Reading {
            raw: [("blur", blur)].into(),
            scores: BTreeMap::new(),
            axes: Axes {
                first_frame: Some(Score::MAX),
                artifacts: Some(Score::clamped(artifacts)),
                ..Axes::default()
            },
            gate: None,
            fired: Vec::new(),
            gates: BTreeMap::new(),
            overall,
            passed: false,
        }
    }

    #[test]
    fn figures_count_pairs_ties_and_points() {
        let judge = Judge::of(Rules::embedded().without_models(), None).expect("sound rules");
        let plan = Plan {
            damage: Damage::Made(Generator::Blur),
            answers: &["blur", "unheard_of"],
            touches: &[Axis::FirstFrame],
        };
        // The second window's readings turn back once and its final score stands still twice.
        let one = [1000, 900, 700, 500, 300, 100].map(|blur| reading(blur, blur as u16 * 10, blur * 10));
        let two = [(1000, 9000), (950, 9000), (960, 8000), (600, 8000), (400, 3000), (200, 0)]
            .map(|(blur, overall)| reading(blur, overall, 9_000));
        let found = figures(&plan, &[one.into(), two.into()], &judge);
        assert_eq!(found.answers, ["blur"]);
        assert_eq!((found.raw.adjacent.right, found.raw.adjacent.wrong), (9, 1));
        assert_eq!((found.raw.distant.pairs(), found.raw.distant.wrong), (20, 0));
        assert_eq!((found.overall.adjacent.tied, found.overall.adjacent.right), (2, 8));
        assert!(found.raw.tau.is_some_and(|tau| (tau - (1.0 + 13.0 / 15.0) / 2.0).abs() < 1e-9));
        assert_eq!(found.term_tau.len(), 1);
        assert_eq!(found.overall_by_level[0], 9_500.0);
        // The artifacts axis is not the plan's: what it loses is cross-talk, 90 points on one window, none on the other.
        assert_eq!(found.cross_talk(), Some(45.0));
        assert_eq!(found.lost(Axis::FirstFrame), Some(0.0));
        assert_eq!(found.lost(Axis::Prompt), None);
    }
}
