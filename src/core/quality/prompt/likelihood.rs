//! From cosines to log-probabilities: which of several texts does a picture show?

use crate::quality::fixed::{LOG_BITS, log2, scale};

/// Steps of a cosine in one unit, as the embedding lane quantises them.
pub const COSINE_STEPS: i32 = 1024;
/// Inverse temperature of the softmax: CLIP's trained logit scale, which its authors clip at 100.
const LOGIT_SCALE: i64 = 100;
/// `log2(e)` and `ln(2) * 1000` in 1/2^32.
const LOG2_E: i64 = 6_196_328_019;
const MILLI_LN2: i64 = 2_977_044_471_820;
/// Fractional bits of a term of the sum: up to 32 terms of at most one fit into 32 bits.
const TERM_BITS: u32 = 26;
/// Most texts of one comparison.
pub const MOST_TEXTS: usize = 32;

/// Cosines of pictures and texts, `[views, frames, texts]`, in 1/1024; sentences of the prompt first, then distractors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosines {
    views: usize,
    frames: usize,
    sentences: usize,
    texts: usize,
    values: Vec<i32>,
}

/// A table of cosines that has another shape than it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got} cosines cannot be {views} views of {frames} frames with {sentences} sentences and {distractors} distractors \
     (1 to 31): ask the embedding lane anew"
)]
pub struct TableError {
    got: usize,
    views: usize,
    frames: usize,
    sentences: usize,
    distractors: usize,
}

/// Shape of a table of cosines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableShape {
    /// Views of each frame.
    pub views: usize,
    /// Frames.
    pub frames: usize,
    /// Sentences of the prompt.
    pub sentences: usize,
    /// Other texts.
    pub distractors: usize,
}

impl Cosines {
    /// A table from its values, view by view, frame by frame; sentences before distractors.
    ///
    /// # Errors
    /// When their number is not that of the shape, or the shape has nothing to compare.
    pub fn new(shape: TableShape, values: Vec<i32>) -> Result<Self, TableError> {
        let TableShape { views, frames, sentences, distractors } = shape;
        let texts = sentences.saturating_add(distractors);
        let asked = views.checked_mul(frames).and_then(|count| count.checked_mul(texts));
        let sound = (1..MOST_TEXTS).contains(&distractors) && sentences > 0 && views > 0 && frames > 0;
        if !sound || asked != Some(values.len()) {
            return Err(TableError { got: values.len(), views, frames, sentences, distractors });
        }
        Ok(Self { views, frames, sentences, texts, values })
    }
}

/// Numbers `[sentences][views][frames]`.
pub type Table = Vec<Vec<Vec<i64>>>;

/// How likely each sentence is for each picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Likelihoods {
    /// [`log_probability`], which ends at zero: once no distractor comes near, it says no more.
    probabilities: Table,
    /// [`log_odds`], which has no end.
    odds: Table,
}

impl Likelihoods {
    /// Each sentence against all distractors, picture by picture. Sentences do not compete with each other.
    pub fn of(table: &Cosines) -> Self {
        let by = |of_picture: fn(i32, &[i32]) -> i64| -> Table {
            let of_view = |sentence: usize, view: &[i32]| {
                let pictures = view.chunks_exact(table.texts);
                pictures.map(|picture| of_picture(picture[sentence], &picture[table.sentences..])).collect()
            };
            let of_sentence = |sentence: usize| {
                let views = table.values.chunks_exact(table.frames * table.texts);
                views.map(|view| of_view(sentence, view)).collect()
            };
            (0..table.sentences).map(of_sentence).collect()
        };
        Self { probabilities: by(log_probability), odds: by(log_odds) }
    }

    /// Log-probabilities in 1/1000 nat, at most zero.
    pub fn probabilities(&self) -> &Table {
        &self.probabilities
    }

    /// Log-odds in 1/1000 nat.
    pub fn odds(&self) -> &Table {
        &self.odds
    }

    /// Whether two have the same sentences, views and frames.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        let frames = |views: &Vec<Vec<i64>>| views.iter().map(Vec::len).collect::<Vec<_>>();
        let shape = |all: &Self| all.odds.iter().map(frames).collect::<Vec<_>>();
        !self.odds.is_empty() && shape(self) == shape(other)
    }
}

/// `2^-fraction` for a fraction in 1/2^24, 0..=2^24, in 1/2^31: the product of the roots of 1/2 whose bits are set, each
/// product truncated.
fn exp2_fraction(fraction: i64, roots: &[u64; LOG_BITS as usize]) -> u64 {
    let mut value = 1u64 << 31;
    for (bit, root) in roots.iter().enumerate() {
        if fraction >> (LOG_BITS as usize - 1 - bit) & 1 == 1 {
            value = (value * root) >> 31;
        }
    }
    value
}

/// `2^-(1/2), 2^-(1/4), ...` in 1/2^31, each the root of the one before, truncated.
const fn roots_of_half() -> [u64; LOG_BITS as usize] {
    let mut roots = [0; LOG_BITS as usize];
    let mut root = 1u64 << 30;
    let mut at = 0;
    while at < roots.len() {
        root = (root << 31).isqrt();
        roots[at] = root;
        at += 1;
    }
    roots
}

const ROOTS: [u64; LOG_BITS as usize] = roots_of_half();

/// A cosine as a logit to base 2 in 1/2^24: at most 2.4e9.
fn logit(cosine: i32) -> i64 {
    let steps = i64::from(cosine.clamp(-COSINE_STEPS, COSINE_STEPS)) * LOGIT_SCALE;
    scale(steps, LOG2_E, i64::from(COSINE_STEPS) << (32 - LOG_BITS))
}

/// Logarithm to base 2 of the sum of the powers of two of at most 32 logits, in 1/2^24. Terms are taken relative to the
/// largest and truncated at 2^-26, so the result errs by less than 2^-19.
fn log_sum(logits: impl Iterator<Item = i64> + Clone) -> i64 {
    let largest = logits.clone().max().unwrap_or(0);
    let term = |logit: i64| {
        let distance = largest - logit;
        let whole = distance >> LOG_BITS;
        if whole >= i64::from(TERM_BITS) {
            return 0;
        }
        (exp2_fraction(distance & ((1 << LOG_BITS) - 1), &ROOTS) >> (31 - TERM_BITS)) >> whole
    };
    // At most 32 * 2^26 = 2^31.
    let sum: u64 = logits.take(MOST_TEXTS).map(term).sum();
    largest + log2(u32::try_from(sum).unwrap_or(u32::MAX)) - (i64::from(TERM_BITS) << LOG_BITS)
}

/// From 1/2^24 of a bit to 1/1000 nat, rounded to nearest.
fn milli_nats(bits: i64) -> i64 {
    scale(bits, MILLI_LN2, 1 << (32 + LOG_BITS))
}

/// Natural logarithm of the softmax's part of `own` among itself and `others` (at most 31), in 1/1000 nat:
/// `ln(e^(100 own) / sum e^(100 cosine))`, cosines in 1/1024 and clamped to -1..=1. Errs by less than one unit.
pub fn log_probability(own: i32, others: &[i32]) -> i64 {
    let all = std::iter::once(own).chain(others.iter().copied().take(MOST_TEXTS - 1));
    milli_nats(logit(own) - log_sum(all.map(logit))).min(0)
}

/// Natural logarithm of the odds of `own` against `others` (1 to 31): `ln(e^(100 own) / sum e^(100 other))`, in 1/1000
/// nat. Errs by less than one unit; zero without others.
pub fn log_odds(own: i32, others: &[i32]) -> i64 {
    if others.is_empty() {
        return 0;
    }
    milli_nats(logit(own) - log_sum(others.iter().map(|&other| logit(other))))
}
