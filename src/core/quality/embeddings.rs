//! What networks say of a clip: the port to them, and the terms that rest on it.
//!
//! The networks live elsewhere (`leoma-embed`) and report integers that are equal on every machine; here stand the frames
//! that they read and what is made of the answers.

use std::fmt::Debug;

use crate::domain::{
    ids::Digest,
    scoring::{ModelRules, ScoringRules, TextModelRules},
};

use super::{
    fixed::{div_round, scale},
    frame::Yuv420Clip,
    prompt::likelihood::Likelihoods,
};

/// Steps of a distance or cosine in one unit.
pub const STEPS: i64 = 1024;
/// Frames of a clip that are embedded, those that it has.
pub const FRAMES: [usize; 8] = [0, 2, 5, 10, 20, 40, 60, 80];
/// First of them, by its place, that is set beside the given frame: the ones before are the first frame's business.
pub const FROM: usize = 2;
/// Pairs of them whose likeness is taken, by their places in [`FRAMES`]: every frame with the next, and the last with three before
/// it, so that 2 to 80 frames lie between.
pub const PAIRS: [(usize, usize); 10] =
    [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (5, 7), (4, 7), (0, 7)];
/// Least cosine of a reference that a part is taken of: below it nothing is alike anyway.
const LEAST: i64 = STEPS / 4;

/// Cosines of a clip's embeddings, in 1/1024.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Likeness {
    /// Of the given first frame with each of [`FRAMES`] that the clip has, from place [`FROM`] on.
    pub to_given: Vec<i64>,
    /// Of each of [`PAIRS`] whose frames the clip has.
    pub between: Vec<i64>,
}

/// Those of [`FRAMES`] that a clip of so many frames has.
pub fn asked(frames: usize) -> Vec<usize> {
    FRAMES.into_iter().take_while(|&frame| frame < frames).collect()
}

/// Those of [`PAIRS`] that so many frames make.
pub fn pairs(frames: usize) -> impl Iterator<Item = (usize, usize)> {
    PAIRS.into_iter().filter(move |&(_, later)| later < frames)
}

/// Networks that read frames. Every implementation of the same networks gives the same integers.
pub trait FrameModels: Send + Sync + Debug {
    /// Which networks these are.
    fn rules(&self) -> ModelRules;
    /// Perceptual distance of frame 0 of `clip` from frame 0 of `given`, which have one size, in 1/1024: 0 for equal frames,
    /// some 700 and more for unrelated ones.
    ///
    /// # Errors
    /// When the networks could not answer; never the miner's fault.
    fn distance(&self, given: &Yuv420Clip, clip: &Yuv420Clip) -> Result<i64, ModelError>;
    /// Likeness of the first `frames` frames of a clip ([`asked`]) to each other and to frame 0 of `given`.
    ///
    /// # Errors
    /// When the networks could not answer; never the miner's fault.
    fn likeness(&self, given: &Yuv420Clip, clip: &Yuv420Clip, frames: usize) -> Result<Likeness, ModelError>;
    /// Cosines of the first `frames` frames of a clip ([`asked`], from place [`FROM`] on) with another clip's at the same times, in
    /// 1/1024.
    ///
    /// # Errors
    /// When the networks could not answer; never the miner's fault.
    fn alike(&self, clip: &Yuv420Clip, other: &Yuv420Clip, frames: usize) -> Result<Vec<i64>, ModelError>;
    /// Which text model there is; none unless said otherwise.
    fn text_rules(&self) -> Option<TextModelRules> {
        None
    }
    /// How likely a prompt is for frames of a clip, each shown in its sample's views.
    ///
    /// `shown`: the frame of each sample, `prompt::view::samples` for a clip and as many zeros for the given frame.
    ///
    /// # Errors
    /// When there is no text model or it could not answer; never the miner's fault.
    fn likelihoods(
        &self,
        _question: &PromptQuestion,
        _clip: &Yuv420Clip,
        _shown: &[usize],
    ) -> Result<Likelihoods, ModelError> {
        Err(ModelError::MissingText)
    }
    /// How they have fared.
    fn health(&self) -> ModelHealth;
}

/// What a text model is asked about every clip of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PromptQuestion<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// Prompts of other tasks, in any order.
    pub others: &'a [String],
    /// What distractors and parts of frames are drawn from: unknown to miners before they have answered.
    pub seed: Digest,
}

/// How networks have fared since the start; no part of a verdict.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ModelHealth {
    /// Where they run.
    pub device: String,
    /// Values that the device gave.
    pub by_device: u64,
    /// Values that lay near a rounding boundary and were computed again by the canonical path.
    pub by_canonical: u64,
    /// Largest distance of the two, in 1/1000 of what is allowed.
    pub noise_permille: u64,
}

/// Why networks gave no answer; never the miner's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The rules name networks and none are loaded.
    #[error(
        "the rules name embedding models and none are loaded: run `leoma models fetch`, or judge by rules without \
         [scoring.models] (another rules digest)"
    )]
    Missing,
    /// The rules name a text model and none is loaded.
    #[error(
        "the rules name a text model and none is loaded: run `leoma models fetch clip-vit-base-patch32 clip-merges`, or judge by \
         rules without [scoring.text] (another rules digest)"
    )]
    MissingText,
    /// The rules name others than those that are loaded.
    #[error(
        "[scoring.models] or [scoring.text] names {0} by another digest than this build has: use the rules of this version"
    )]
    Others(&'static str),
    /// They failed.
    #[error("embedding models: {0}")]
    Failed(String),
}

/// The networks that rules ask for: none where they name none, and nothing else than what they name.
///
/// # Errors
/// When they are not there.
pub fn named<'a>(
    rules: &ScoringRules,
    loaded: Option<&'a dyn FrameModels>,
) -> Result<Option<&'a dyn FrameModels>, ModelError> {
    let Some(wanted) = &rules.models else { return Ok(None) };
    let models = loaded.ok_or(ModelError::Missing)?;
    let have = models.rules();
    let parts = [
        ("perceptual", wanted.perceptual == have.perceptual),
        ("embedding", wanted.embedding == have.embedding),
        ("answers", wanted.answers == have.answers),
    ];
    let of_text = match &rules.text {
        None => [("", true); 3],
        Some(text) => {
            let have = models.text_rules().ok_or(ModelError::MissingText)?;
            [
                ("text weights", text.model.weights == have.weights),
                ("text tokens", text.model.tokens == have.tokens),
                ("text answers", text.model.answers == have.answers),
            ]
        }
    };
    match parts.into_iter().chain(of_text).find(|(_, same)| !same) {
        Some((part, _)) => Err(ModelError::Others(part)),
        None => Ok(Some(models)),
    }
}

/// A clip's readings by the networks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelReading {
    /// Distance of the first frames, in 1/1024.
    pub distance: i64,
    /// Likeness of its frames.
    pub likeness: Likeness,
}

impl ModelReading {
    /// Reads the first `frames` frames of a clip.
    ///
    /// # Errors
    /// When the networks could not answer.
    pub fn of(
        models: &dyn FrameModels,
        given: &Yuv420Clip,
        clip: &Yuv420Clip,
        frames: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self { distance: models.distance(given, clip)?, likeness: models.likeness(given, clip, frames)? })
    }
}

/// How much a clip's frames stay like the given one, as a part of the reference's likeness at the same places, at most 1: mean
/// over frames 5 to 80, in 1/1000. `None` for a clip without such frames.
///
/// Known failures: a subject that leaves the picture where the reference's stays; a background that stays while a small
/// subject becomes another (the networks see the whole picture).
pub fn id_drift(clip: &Likeness, reference: &Likeness) -> Option<i64> {
    let parts = parts(&clip.to_given, &reference.to_given);
    (!parts.is_empty()).then(|| div_round(parts.iter().sum(), parts.len() as i64))
}

/// The least likeness of two frames of a clip 2 to 80 frames apart, as a part of the reference's at the same places, at most 1,
/// in 1/1000. `None` for a clip without such pairs.
///
/// Known failures: a camera that turns farther than the reference's shows another place; slow change of a small subject.
pub fn drift(clip: &Likeness, reference: &Likeness) -> Option<i64> {
    parts(&clip.between, &reference.between).into_iter().min()
}

fn parts(clip: &[i64], reference: &[i64]) -> Vec<i64> {
    let part = |(&ours, &theirs): (&i64, &i64)| scale(ours.max(0), 1000, theirs.max(LEAST)).min(1000);
    clip.iter().zip(reference).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_names_frames_two_to_eighty_apart_in_order() {
        for (early, late) in PAIRS {
            let apart = FRAMES[late] - FRAMES[early];
            assert!((2..=80).contains(&apart), "{early} {late}");
        }
        assert_eq!(asked(81), FRAMES);
        assert!(pairs(FRAMES.len()).eq(PAIRS));
        assert_eq!(asked(17), [0, 2, 5, 10]);
        assert!(pairs(4).eq([(0, 1), (1, 2), (2, 3)]));
        assert_eq!((asked(0).len(), pairs(0).count()), (0, 0));
    }

    #[test]
    fn likeness_counts_up_to_the_reference_and_no_further() {
        let curve = |cosines: &[i64]| Likeness { to_given: cosines.to_vec(), between: cosines.to_vec() };
        let reference = curve(&[900, 800]);
        assert_eq!(id_drift(&reference, &reference), Some(1000));
        let still = curve(&[1024; 2]);
        assert_eq!((id_drift(&still, &reference), drift(&still, &reference)), (Some(1000), Some(1000)));
        let swapped = curve(&[450, 400]);
        assert_eq!((id_drift(&swapped, &reference), drift(&swapped, &reference)), (Some(500), Some(500)));
        assert_eq!(id_drift(&Likeness::default(), &reference), None);
        assert_eq!(drift(&Likeness::default(), &reference), None);
        // Nothing divides by a reference that is unlike itself.
        let odd = curve(&[-300, 0]);
        assert_eq!(id_drift(&curve(&[128, 128]), &odd), Some(500));
    }

    #[test]
    fn rules_get_what_they_name_and_nothing_else() {
        use crate::domain::{
            rules::Rules,
            scoring::{AnchorRule, TermRule, TextRules},
        };
        #[derive(Debug)]
        struct Loaded(ModelRules, Option<TextModelRules>);
        impl FrameModels for Loaded {
            fn rules(&self) -> ModelRules {
                self.0
            }
            fn distance(&self, _: &Yuv420Clip, _: &Yuv420Clip) -> Result<i64, ModelError> {
                Ok(0)
            }
            fn likeness(&self, _: &Yuv420Clip, _: &Yuv420Clip, _: usize) -> Result<Likeness, ModelError> {
                Ok(Likeness::default())
            }
            fn alike(&self, _: &Yuv420Clip, _: &Yuv420Clip, _: usize) -> Result<Vec<i64>, ModelError> {
                Ok(Vec::new())
            }
            fn text_rules(&self) -> Option<TextModelRules> {
                self.1
            }
            fn health(&self) -> ModelHealth {
                ModelHealth::default()
            }
        }
        let digest = |byte| Digest([byte; 32]);
        let models = ModelRules { perceptual: digest(1), embedding: digest(2), answers: digest(3) };
        let model = TextModelRules { weights: digest(4), tokens: digest(5), answers: digest(6) };
        let (plain, with_text) = (Loaded(models, None), Loaded(models, Some(model)));
        let mut scoring = Rules::embedded().without_models().scoring;
        assert!(named(&scoring, Some(&plain)).is_ok_and(|models| models.is_none()));
        scoring.models = Some(models);
        assert!(named(&scoring, Some(&plain)).is_ok_and(|models| models.is_some()));
        assert_eq!(named(&scoring, None).err(), Some(ModelError::Missing));
        let mut others = scoring.clone();
        others.models = Some(ModelRules { embedding: digest(9), ..models });
        assert_eq!(named(&others, Some(&plain)).err(), Some(ModelError::Others("embedding")));
        let term = TermRule { bad: 0, good: 1, weight: 1 };
        let anchor = AnchorRule { bad: 0, good: 1, ceiling: 1 };
        let text = TextRules {
            model,
            slack: 0,
            least_gain: 1,
            txt_rel: term,
            delta_txt: term,
            camera_weight: 1,
            anchor,
        };
        scoring.text = Some(text);
        assert!(named(&scoring, Some(&with_text)).is_ok_and(|models| models.is_some()));
        assert_eq!(named(&scoring, Some(&plain)).err(), Some(ModelError::MissingText));
        scoring.text = Some(TextRules { model: TextModelRules { tokens: digest(9), ..model }, ..text });
        assert_eq!(named(&scoring, Some(&with_text)).err(), Some(ModelError::Others("text tokens")));
    }
}
