//! `txt_rel`: does each frame show the prompt as well as the real clip's frames do?

use super::likelihood::Likelihoods;

/// Whole of a rank.
const WHOLE: i64 = 10_000;

/// How well a clip's frames fit the prompt, ranked among the real clip's and the given frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relevance {
    /// Mean over sentences of the least view's mean rank, in 1/10000; equal to the real clip: about 5000 and more.
    pub rank: i64,
    /// Mean rank by view, over all sentences, in 1/10000: what a page shows.
    pub by_view: Vec<i64>,
    /// By how much the plain frame's mean log-odds exceed that of the mirrored and the coarse view, beyond the
    /// real clip's excess, in 1/1000 nat, largest of the sentences: writing in the picture (G9).
    pub overlay_gap: i64,
}

/// Ranks a clip. `slack` (1/1000 nat) is taken off what it is compared with, so that quantisation and codecs cost nothing.
///
/// `None` when the tables do not belong together.
pub fn relevance(
    clip: &Likelihoods,
    reference: &Likelihoods,
    given: &Likelihoods,
    slack: i64,
) -> Option<Relevance> {
    if !clip.comparable(reference) || !clip.comparable(given) {
        return None;
    }
    let all = clip.probabilities().iter().zip(reference.probabilities()).zip(given.probabilities());
    let ranks: Vec<Vec<i64>> = all
        .map(|((clip, reference), given)| {
            let views = clip.iter().zip(reference).zip(given);
            views.map(|((clip, reference), given)| mean_rank(clip, reference, given, slack)).collect()
        })
        .collect();
    let odds = clip.odds().iter().zip(reference.odds());
    let overlay_gap = odds.map(|(clip, reference)| gap(clip) - gap(reference)).max().unwrap_or(0);
    let least = ranks.iter().map(|views| views.iter().copied().min().unwrap_or(0));
    let views = ranks.first().map_or(0, Vec::len);
    let by_view =
        (0..views).map(|view| mean(&ranks.iter().map(|sentence| sentence[view]).collect::<Vec<_>>()));
    Some(Relevance { rank: mean(&least.collect::<Vec<_>>()), by_view: by_view.collect(), overlay_gap })
}

/// Mean over frames of the part of the real clip's frames and the given one (its mean) that a frame equals or exceeds.
fn mean_rank(clip: &[i64], reference: &[i64], given: &[i64], slack: i64) -> i64 {
    let pool: Vec<i64> = reference.iter().copied().chain([mean(given)]).map(|value| value - slack).collect();
    let rank = |value: &i64| {
        let below = pool.iter().filter(|&other| other < value).count() as i64;
        let equal = pool.iter().filter(|&other| other == value).count() as i64;
        (2 * below + equal) * WHOLE / (2 * pool.len().max(1) as i64)
    };
    mean(&clip.iter().map(rank).collect::<Vec<_>>())
}

/// Excess of the plain view (the first) over the lesser of the mirrored and the coarse one (which follow).
fn gap(views: &[Vec<i64>]) -> i64 {
    match views {
        [frame, mirror, coarse, ..] => mean(frame) - mean(mirror).min(mean(coarse)),
        _ => 0,
    }
}

/// Mean, rounded to nearest; zero of nothing.
pub(super) fn mean(values: &[i64]) -> i64 {
    crate::quality::fixed::div_round(values.iter().sum(), values.len() as i64)
}
