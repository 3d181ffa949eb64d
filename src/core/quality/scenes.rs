//! Breaks between the shots of a source, when a corpus is built: hard cuts by histograms, dissolves by mixtures.
//!
//! A round finds cuts by the change of pixels (`corpus::timeline`). That misses two things, which a corpus has to
//! leave out beforehand: cuts between dark or flat pictures, and dissolves. Both are found on luma thumbnails, in
//! integers, so that every machine builds the same corpus:
//! - **cut**: with `H_t` the histogram of a frame in [`BINS`] equal bins and `n` pixels,
//!   `D_t = sum |H_t - H_(t-1)| * 10_000 / 2n`; a cut stands before frame `t` when
//!   `min(D_t, |D_t - D_(t-1)|) >= CUT_DIFFERENCE`. (Histogram difference: Zhang, Kankanhalli and Smoliar,
//!   "Automatic partitioning of full-motion video", 1993; the change of it, as ffmpeg's `scene` does.)
//! - **dissolve**: two frames `a`, `b` some time apart that differ by at least [`DISSOLVE_LEVELS`] levels on average,
//!   while the frames at every eighth of the way between are their mixture: the mean distance from
//!   `(1 - w) * a + w * b` is at most [`DISSOLVE_RESIDUAL_PERCENT`] of their difference. Fades are dissolves with black.
//!
//! The thresholds lie between what was measured on the fetched clips (64x36 thumbnails). Cuts: 7074, 5859, 4149, 3585,
//! 3038, 2356; strongest non-cuts: 1145 (bikes), 915 (surf), 833 (a hand before the camera), and one that is taken for a
//! cut, which costs material and nothing else: a low sun uncovered by a jumping man, up to 2612. Of 180 dissolves of 8 to
//! 50 frames between those clips 169 are found (residual 6 to 12 % in the median); within their shots no two frames that
//! differ by 24 levels have a residual below 33 % (`scripts/scene-thresholds.py`). Missed are dissolves between shots that both move strongly.

/// Bins of a histogram.
pub const BINS: usize = 32;
/// Histogram difference from which a frame starts a new shot, in ten-thousandths.
pub const CUT_DIFFERENCE: u32 = 1_800;
/// Least mean difference of the two ends of a dissolve, in luma levels.
pub const DISSOLVE_LEVELS: u64 = 24;
/// Most mean distance of the frames between from the mixture of the ends, in percent of their difference.
pub const DISSOLVE_RESIDUAL_PERCENT: u64 = 28;
/// Distances in time at which dissolves are looked for, in microseconds.
pub const DISSOLVE_SPANS_US: [u64; 3] = [400_000, 800_000, 1_600_000];
/// Fewest frames from one end of a dissolve to the other.
const DISSOLVE_FRAMES: usize = 4;

/// One frame as the search sees it.
#[derive(Clone, Copy, Debug)]
pub struct SceneFrame<'a> {
    /// Presentation time in microseconds.
    pub pts_us: u64,
    /// Luma thumbnail `[height, width]`; the same size for every frame.
    pub luma: &'a [u8],
}

/// What separates two shots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakKind {
    /// From one frame to the next.
    Cut,
    /// Over several frames.
    Dissolve,
}

/// Where a shot ends and the next begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Break {
    /// What separates them.
    pub kind: BreakKind,
    /// Index of the last frame of the shot before.
    pub last: usize,
    /// Index of the first frame of the shot after.
    pub next: usize,
}

/// All breaks of a source in rising order, not overlapping. Frames are in presentation order with rising times; a
/// thumbnail of another size than the first one's counts as its common part.
pub fn breaks(frames: &[SceneFrame<'_>]) -> Vec<Break> {
    let mut found = cuts(frames);
    found.extend(dissolves(frames));
    merged(found)
}

/// Breaks by several searches as one list: in rising order, overlapping ones made one dissolve.
pub fn merged(mut found: Vec<Break>) -> Vec<Break> {
    found.sort_by_key(|one| (one.last, one.next));
    let mut merged: Vec<Break> = Vec::with_capacity(found.len());
    for one in found {
        match merged.last_mut() {
            Some(before) if one == *before => {}
            Some(before) if one.last < before.next => {
                before.kind = BreakKind::Dissolve;
                before.next = before.next.max(one.next);
            }
            _ => merged.push(one),
        }
    }
    merged
}

fn histogram(luma: &[u8]) -> [u32; BINS] {
    let mut bins = [0; BINS];
    for &level in luma {
        bins[usize::from(level) * BINS / 256] += 1;
    }
    bins
}

fn cuts(frames: &[SceneFrame<'_>]) -> Vec<Break> {
    let mut found = Vec::new();
    let mut histogram_before: Option<[u32; BINS]> = None;
    let mut difference_before = 0;
    for (index, frame) in frames.iter().enumerate() {
        let now = histogram(frame.luma);
        let difference = histogram_before.map_or(0, |before| {
            let moved: u64 = before.iter().zip(&now).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            (moved * 10_000 / (2 * frame.luma.len().max(1) as u64)) as u32
        });
        if difference.min(difference.abs_diff(difference_before)) >= CUT_DIFFERENCE {
            found.push(Break { kind: BreakKind::Cut, last: index - 1, next: index });
        }
        (histogram_before, difference_before) = (Some(now), difference);
    }
    found
}

fn dissolves(frames: &[SceneFrame<'_>]) -> Vec<Break> {
    let mut found = Vec::new();
    for span in DISSOLVE_SPANS_US {
        let mut end = 0;
        for start in 0..frames.len() {
            while end < frames.len() && frames[end].pts_us < frames[start].pts_us + span {
                end += 1;
            }
            if end == frames.len() {
                break;
            }
            if end - start >= DISSOLVE_FRAMES && is_mixture(&frames[start..=end]) {
                found.push(Break { kind: BreakKind::Dissolve, last: start, next: end });
            }
        }
    }
    found
}

/// Whether the frames between the first and the last are mixtures of those two, which differ.
fn is_mixture(frames: &[SceneFrame<'_>]) -> bool {
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return false };
    let apart: u64 = first.luma.iter().zip(last.luma).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    if apart < DISSOLVE_LEVELS * first.luma.len().max(1) as u64 {
        return false;
    }
    let whole = (last.pts_us - first.pts_us).max(1);
    // Eighths: at quarters alone, two cuts with a middling shot between them look like a mixture.
    (1..8).all(|eighth| {
        let between = &frames[(frames.len() - 1) * eighth / 8];
        // Weight of the last frame in 256ths, rounded down.
        let weight = ((between.pts_us - first.pts_us) * 256 / whole) as i32;
        let ends = first.luma.iter().zip(last.luma);
        let off: u64 = ends
            .zip(between.luma)
            .map(|((a, b), seen)| {
                let mixture = (256 - weight) * i32::from(*a) + weight * i32::from(*b);
                u64::from((i32::from(*seen) * 256 - mixture).unsigned_abs())
            })
            .sum();
        off * 100 <= apart * 256 * DISSOLVE_RESIDUAL_PERCENT
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: (usize, usize) = (64, 36);

    /// A textured picture of its own levels, moved sideways by `shift`.
    fn picture(seed: usize, base: usize, contrast: usize, shift: usize) -> Vec<u8> {
        let at = |x: usize, y: usize| {
            let (x, y) = ((x + shift) / (3 + seed % 5), y / (2 + seed % 3));
            (base + (x * 37 + y * 61 + seed * 97 + x * y * 13) % contrast) as u8
        };
        (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| at(x, y))).collect()
    }

    fn found(pictures: &[Vec<u8>]) -> Vec<Break> {
        let frame = |(t, luma): (usize, &Vec<u8>)| (t as u64 * 40_000, luma.clone());
        let owned: Vec<(u64, Vec<u8>)> = pictures.iter().enumerate().map(frame).collect();
        let frames: Vec<SceneFrame<'_>> =
            owned.iter().map(|(pts_us, luma)| SceneFrame { pts_us: *pts_us, luma }).collect();
        breaks(&frames)
    }

    fn shot(seed: usize, base: usize, contrast: usize, frames: usize) -> Vec<Vec<u8>> {
        (0..frames).map(|t| picture(seed, base, contrast, t / 3)).collect()
    }

    fn dissolve(from: &[u8], to: &[u8], frames: usize) -> Vec<Vec<u8>> {
        let mix = |t: usize| {
            let blend = |(a, b): (&u8, &u8)| {
                ((usize::from(*a) * (frames - t) + usize::from(*b) * t + frames / 2) / frames) as u8
            };
            from.iter().zip(to).map(blend).collect()
        };
        (1..frames).map(mix).collect()
    }

    #[test]
    fn a_cut_between_dark_pictures_is_found_where_pixels_hardly_change() {
        let (before, after) = (shot(1, 16, 14, 30), shot(2, 34, 12, 30));
        let levels: u64 =
            before[29].iter().zip(&after[0]).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() / 2_304;
        assert!(levels < 24, "the round's own score would need 24 levels, these are {levels}");
        assert_eq!(found(&[before, after].concat()), [Break { kind: BreakKind::Cut, last: 29, next: 30 }]);
    }

    #[test]
    fn a_moving_shot_has_no_break() {
        assert_eq!(found(&shot(3, 40, 150, 120)), []);
        assert_eq!(found(&[]), []);
        assert_eq!(found(&shot(3, 40, 150, 1)), []);
    }

    #[test]
    fn dissolves_and_fades_of_usual_lengths_are_found_where_they_are() {
        let (before, after) = (shot(1, 30, 60, 40), shot(2, 150, 90, 40));
        let black = vec![vec![16; SIZE.0 * SIZE.1]; 40];
        for (after, name) in [(&after, "dissolve"), (&black, "fade")] {
            for frames in [12, 25, 45] {
                let between = dissolve(&before[39], &after[0], frames);
                let found = found(&[before.clone(), between, after.clone()].concat());
                let [one] = found[..] else { panic!("{name} over {frames} frames: {found:?}") };
                assert_eq!(one.kind, BreakKind::Dissolve);
                // A few frames at its ends hardly differ from the shots beside it, and a span a little longer than
                // it still looks like a mixture.
                assert!((39 - 16..=39 + 6).contains(&one.last), "{name} over {frames} frames: {one:?}");
                let end = 39 + frames;
                assert!((end - 6..=end + 16).contains(&one.next), "{name} over {frames} frames: {one:?}");
            }
        }
    }

    #[test]
    fn two_cuts_near_each_other_stay_two() {
        let pictures = [shot(1, 16, 40, 30), shot(2, 200, 40, 5), shot(5, 120, 40, 30)].concat();
        let cut = |next| Break { kind: BreakKind::Cut, last: next - 1, next };
        assert_eq!(found(&pictures), [cut(30), cut(35)]);
    }

    #[test]
    fn the_same_break_by_two_searches_is_one() {
        let cut = Break { kind: BreakKind::Cut, last: 4, next: 5 };
        let over = Break { kind: BreakKind::Dissolve, last: 2, next: 9 };
        let later = Break { kind: BreakKind::Cut, last: 9, next: 10 };
        assert_eq!(merged(vec![cut, cut]), [cut]);
        assert_eq!(merged(vec![later, cut, over]), [over, later]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn breaks_of_any_pictures_rise_and_lie_inside(
            levels in prop::collection::vec((any::<u8>(), any::<u8>()), 0..80),
        ) {
            let pictures: Vec<Vec<u8>> = levels.iter().map(|&(a, b)| [vec![a; 8], vec![b; 8]].concat()).collect();
            let found = found(&pictures);
            prop_assert!(found.iter().all(|one| one.last < one.next && one.next < pictures.len()));
            prop_assert!(found.windows(2).all(|pair| pair[0].next <= pair[1].last));
        }
    }
}
