//! `delta_txt`: credit for what changes towards the prompt, and for nothing else.
//!
//! The given frame often shows most of the prompt already. Whoever only holds it must not be paid for that, so what
//! counts is how much more likely the prompt is in later frames than in the given one, against the same quantity of the
//! real clip. Log-odds and not log-probabilities: these end at zero, where a fitting first frame already is.

use super::{likelihood::Likelihoods, relevance::mean};

/// Credit for change in 1/1000 of the real clip's change, 0..=1000: mean over the sentences that the real clip moves
/// towards, each by its least view.
///
/// `least_gain` (1/1000 nat): a sentence whose real clip changes by less cannot be judged. `None` when none can be, or
/// the tables do not belong together.
pub fn change(
    clip: &Likelihoods,
    reference: &Likelihoods,
    given: &Likelihoods,
    least_gain: i64,
) -> Option<i64> {
    if !clip.comparable(reference) || !clip.comparable(given) {
        return None;
    }
    let all = clip.odds().iter().zip(reference.odds()).zip(given.odds());
    let credits: Vec<i64> = all
        .filter_map(|((clip, reference), given)| {
            let asked = least_view_gain(reference, given)?;
            let got = least_view_gain(clip, given)?;
            (asked >= least_gain.max(1)).then(|| got.clamp(0, asked) * 1000 / asked)
        })
        .collect();
    (!credits.is_empty()).then(|| mean(&credits))
}

/// Mean log-odds of the frames after the first beyond the given frame's in the same view, by the view where it is least.
fn least_view_gain(clip: &[Vec<i64>], given: &[Vec<i64>]) -> Option<i64> {
    let gain = |(clip, given): (&Vec<i64>, &Vec<i64>)| {
        let gains: Vec<i64> = clip.iter().zip(given).skip(1).map(|(frame, given)| frame - given).collect();
        mean(&gains)
    };
    clip.iter().zip(given).map(gain).min()
}
