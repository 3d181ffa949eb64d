//! Raw values of the terms that rest on looks. Smaller is better; every function says its unit and where it is known to
//! fail; none divides by what can be zero.
//!
//! `first` is the given first frame. Drifts are means over sampled frames of the distance to it; a clip may drift as far
//! as the reference does. Rings, grids, bands and clipping may be as strong as in the first frame or the reference,
//! whichever has more.

use crate::quality::fixed::{div_round, isqrt, scale};

use super::{
    FrameLooks, Looks,
    bands::SIZES,
    color::{ColorSums, SECTORS},
    luma::{LumaSums, PERIOD},
};

/// Chroma that counts beside the measured one before a ratio is taken: 4 levels a sample, in 1/16 level.
const GREY_FLOOR: i64 = 64;
/// Edges that count beside the measured ones before a ratio is taken: one side in so many pixels.
const PIXELS_PER_SIDE: i64 = 2_000;

/// Mean over frames of a distance to the first frame.
fn drift(clip: &Looks, first: &FrameLooks, distance: fn(&ColorSums, &ColorSums) -> i64) -> i64 {
    let sum = clip.frames.iter().map(|frame| distance(&first.color, &frame.color)).sum();
    div_round(sum, clip.frames.len() as i64)
}

/// A clip's drift beyond the reference's.
fn beyond(
    clip: &Looks,
    first: &FrameLooks,
    reference: &Looks,
    distance: fn(&ColorSums, &ColorSums) -> i64,
) -> i64 {
    (drift(clip, first, distance) - drift(reference, first, distance)).max(0)
}

/// Drift of the colour histogram beyond the reference's: half the chi-square distance, in 1/10000 (10000 has no colour in
/// common).
///
/// Known failures: blind to where colours are; things that come into the picture change it, as does a camera that turns,
/// where the reference's does not.
pub fn palette(clip: &Looks, first: &FrameLooks, reference: &Looks) -> i64 {
    beyond(clip, first, reference, chi_square)
}

/// Half the chi-square distance of two colour histograms of one mass, in 1/10000.
fn chi_square(a: &ColorSums, b: &ColorSums) -> i64 {
    let bin = |(&p, &q): (&u64, &u64)| {
        // Below 2^40 each.
        let apart = i128::from(p) - i128::from(q);
        apart * apart * 10_000 / i128::from((p + q).max(1))
    };
    let sum: i128 = a.bins.iter().zip(&b.bins).map(bin).sum();
    let mass: i128 = a.bins.iter().chain(&b.bins).map(|&n| i128::from(n)).sum();
    (sum / mass.max(1)) as i64
}

/// Black and white luma pixels (at or below 16, at or above 235) beyond the budget, in 1/10000.
///
/// Known failure: a scene that grows dark or bright by itself.
pub fn clipping(clip: &Looks, first: &FrameLooks, reference: Option<&Looks>) -> i64 {
    above(clip, first, reference, |frames| {
        let total = |pick: fn(&ColorSums) -> u64| frames.iter().map(|f| pick(&f.color) as i64).sum();
        scale(total(|c| c.dark + c.bright), 10_000, 4 * total(|c| c.samples))
    })
}

/// Drift of the mean saturation beyond the reference's, in 1/1000 of the first frame's.
///
/// Known failure: coloured things that come or go.
pub fn saturation(clip: &Looks, first: &FrameLooks, reference: &Looks) -> i64 {
    beyond(clip, first, reference, |a, b| {
        let mean = |c: &ColorSums| scale(c.saturation as i64, 16, c.samples as i64);
        scale((mean(b) - mean(a)).abs(), 1_000, mean(a) + 16 * GREY_FLOOR)
    })
}

/// Drift of the hues beyond the reference's, in 1/100 degree: the way that chroma has to go round the circle, and less
/// where there is little chroma.
///
/// Known failures: coloured things that come or go; pictures near grey.
pub fn hue(clip: &Looks, first: &FrameLooks, reference: &Looks) -> i64 {
    beyond(clip, first, reference, hue_distance)
}

/// Earth mover's distance of two hue histograms on the circle, in 1/100 degree (least over where the circle is cut: the
/// median of the summed differences), times the share of the smaller one's chroma in it and four levels a sample.
fn hue_distance(a: &ColorSums, b: &ColorSums) -> i64 {
    let total = |c: &ColorSums| c.hues.iter().sum::<u64>() as i64;
    let least = total(a).min(total(b));
    let share = |c: &ColorSums, sector: usize| scale(c.hues[sector] as i64, 1 << 20, total(c));
    let mut summed = 0;
    let mut sums: [i64; SECTORS] = std::array::from_fn(|sector| {
        summed += share(a, sector) - share(b, sector);
        summed
    });
    sums.sort_unstable();
    let median = sums[SECTORS / 2];
    let way = sums.iter().map(|sum| (sum - median).abs()).sum::<i64>();
    let degrees = scale(way, 36_000 / SECTORS as i64, 1 << 20);
    scale(degrees, least, least + GREY_FLOOR * a.samples as i64)
}

/// Farthest that mean luma goes from the first frame's, beyond the reference's, in 1/256 level.
///
/// Known failure: large dark or bright things that come or go.
pub fn exposure(clip: &Looks, first: &FrameLooks, reference: &Looks) -> i64 {
    let mean = |frame: &FrameLooks| scale(frame.color.luma as i64, 64, frame.color.samples as i64);
    let farthest =
        |of: &Looks| of.frames.iter().map(|frame| (mean(frame) - mean(first)).abs()).max().unwrap_or(0);
    (farthest(clip) - farthest(reference)).max(0)
}

/// Second differences beside strong edges beyond those further off, per side of an edge and beyond the budget, in 1/64
/// level.
///
/// Known failures: lines beside edges (window frames, text); edges out of focus ring less than they should.
pub fn ringing(clip: &Looks, first: &FrameLooks, reference: Option<&Looks>) -> i64 {
    above(clip, first, reference, |frames| {
        let total = |pick: &dyn Fn(&LumaSums) -> i64| frames.iter().map(|f| pick(&f.luma)).sum::<i64>();
        let floor = total(&|l| l.size.map(i64::from).iter().product()) / PIXELS_PER_SIDE;
        scale(total(&|l| l.rings), 64, total(&|l| l.sides) + floor)
    })
}

/// Steps of 2 to 16 levels between flat regions, mean over sizes and tiles, beyond the budget, in 1/1000.
///
/// Known failures: drawn pictures with flat colours have such steps; noise hides them, from the eye too.
pub fn banding(clip: &Looks, first: &FrameLooks, reference: Option<&Looks>) -> i64 {
    above(clip, first, reference, |frames| {
        let of_size = |size: usize| {
            let total =
                |pick: &dyn Fn(&FrameLooks) -> u64| frames.iter().map(|f| pick(f) as i64).sum::<i64>();
            scale(total(&|f| f.bands.sums[size]), 1_000, total(&|f| f.bands.tiles[size]))
        };
        div_round((0..SIZES).map(of_size).sum(), SIZES as i64)
    })
}

/// Amplitude of what repeats at a fixed period of 2, 4, 8 or 16 pixels, the strongest of the four beyond its budget, in
/// 1/64 level of the Laplacian (a checkerboard of +-1 level has 512).
///
/// Known failures: a real fence that stands still and has such a period; grids that move with the picture.
pub fn checker(clip: &Looks, first: &FrameLooks, reference: Option<&Looks>) -> i64 {
    let energies = |frames: &[FrameLooks]| locked_energies(frames.iter().map(|frame| &frame.luma));
    let (ours, given) = (energies(&clip.frames), energies(std::slice::from_ref(first)));
    let theirs = reference.map_or([0; 4], |r| energies(&r.frames));
    let excess = |(period, &energy): (usize, &i64)| (energy - given[period].max(theirs[period])).max(0);
    let most = ours.iter().enumerate().map(excess).max().unwrap_or(0);
    // Energies are in 1/1024 squared level, so their roots are in 1/32.
    2 * isqrt(most as u64) as i64
}

/// Mean squared phase of the grids of period 2, 4, 8, 16, in 1/1024 squared level.
fn locked_energies<'a>(frames: impl Iterator<Item = &'a LumaSums>) -> [i64; 4] {
    let mut sums = [0i64; PERIOD * PERIOD];
    let mut counts = [0i64; PERIOD * PERIOD];
    for frame in frames {
        let [columns, rows] = frame.counts();
        for phase in 0..PERIOD * PERIOD {
            sums[phase] += frame.phases[phase];
            counts[phase] += columns[phase % PERIOD] * rows[phase / PERIOD];
        }
    }
    [2, 4, 8, 16].map(|period| {
        let fold = |values: &[i64; PERIOD * PERIOD], x: usize, y: usize| {
            let rows = (y..PERIOD).step_by(period);
            rows.flat_map(|row| (x..PERIOD).step_by(period).map(move |column| row * PERIOD + column))
                .map(|phase| values[phase])
                .sum::<i64>()
        };
        let squared = |place: usize| {
            let (x, y) = (place % period, place / period);
            // Within +-32 levels of 1/1024: the square stays below 2^30.
            let mean = scale(fold(&sums, x, y), 1_024, fold(&counts, x, y));
            mean * mean
        };
        div_round((0..period * period).map(squared).sum(), (period * period * 1_024) as i64)
    })
}

/// A clip's value beyond the larger of the first frame's and the reference's.
fn above(
    clip: &Looks,
    first: &FrameLooks,
    reference: Option<&Looks>,
    value: impl Fn(&[FrameLooks]) -> i64,
) -> i64 {
    let budget = value(std::slice::from_ref(first)).max(reference.map_or(0, |r| value(&r.frames)));
    (value(&clip.frames) - budget).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::frame::Yuv420Clip;

    const SIDE: usize = 96;

    /// Five frames of a slope with coloured squares; `change(frame, byte of plane 0, 1 or 2)`.
    fn clip(change: impl Fn(usize, usize, u8, usize) -> u8) -> Yuv420Clip {
        let mut data = Vec::new();
        for t in 0..5 {
            data.extend((0..SIDE * SIDE).map(|i| change(t, 0, (60 + i % SIDE) as u8, i)));
            for plane in 1..=2 {
                let half = SIDE / 2;
                let square = |i: usize| (i % half / 8 + i / half / 8 + plane) % 3;
                data.extend((0..half * half).map(|i| change(t, plane, 108 + 20 * square(i) as u8, i)));
            }
        }
        Yuv420Clip::from_planes(SIDE, SIDE, 5, data).expect("sizes agree")
    }

    fn all(changed: &Yuv420Clip) -> [i64; 8] {
        let real = clip(|_, _, v, _| v);
        let first = FrameLooks::of(&real.frame(0), SIDE, SIDE);
        let (ours, theirs) = (Looks::of(changed, 5), Looks::of(&real, 5));
        let relative = [palette, saturation, hue, exposure].map(|term| term(&ours, &first, &theirs));
        let absolute = [clipping, ringing, banding, checker].map(|term| term(&ours, &first, Some(&theirs)));
        [relative, absolute].concat().try_into().expect("eight terms")
    }

    #[test]
    fn an_unchanged_clip_reads_nothing_and_every_damage_reads_in_its_term() {
        assert_eq!(all(&clip(|_, _, v, _| v)), [0; 8]);
        let grey = |v: u8, times: i32| (128 + (i32::from(v) - 128) * times / 10) as u8;
        let [palette, saturation, hue, exposure, clipping, ..] =
            all(&clip(|_, plane, v, _| if plane == 0 { v } else { grey(v, 5) }));
        assert!(palette > 500 && (200..=500).contains(&saturation), "{palette} {saturation}");
        assert!(hue < 1_000 && exposure == 0 && clipping == 0, "{hue} {exposure} {clipping}");
        // The colours of one plane in the other: hues are mirrored, saturation stays.
        let mirrored = all(&clip(|_, plane, v, _| if plane == 1 { 255 - v } else { v }));
        assert!(mirrored[2] > 2_000 && mirrored[1] < 100, "{mirrored:?}");
        let brighter = all(&clip(|t, plane, v, _| if plane == 0 { v + 5 * t as u8 } else { v }));
        assert_eq!(brighter[3], 20 * 256);
        let clipped = all(&clip(|_, plane, v, _| if plane == 0 && v > 140 { 235 } else { v }));
        assert!(clipped[4] > 1_000, "{clipped:?}");
        let checkers = |v: u8, i: usize| if (i % SIDE + i / SIDE).is_multiple_of(2) { v + 1 } else { v - 1 };
        let checkered = all(&clip(|_, plane, v, i| if plane == 0 { checkers(v, i) } else { v }));
        assert!((500..=512).contains(&checkered[7]), "{checkered:?}");
        let coarse = all(&clip(|_, plane, v, _| if plane == 0 { v & !7 } else { v }));
        assert!(coarse[6] > 1_000, "{coarse:?}");
    }

    #[test]
    fn hues_go_the_short_way_round() {
        let one = |sector: usize| {
            let mut hues = [0; SECTORS];
            hues[sector] = 1 << 40;
            ColorSums { samples: 1, bins: [0; 64], hues, dark: 0, bright: 0, luma: 0, saturation: 0 }
        };
        for (from, to, steps) in [(0, 1, 1), (0, 31, 1), (30, 2, 4), (3, 19, 16)] {
            assert_eq!(hue_distance(&one(from), &one(to)), 1_125 * steps, "{from} to {to}");
        }
    }
}
