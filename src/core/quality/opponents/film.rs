//! The frames of the opponents.

use rayon::prelude::*;

use crate::{
    domain::{ids::Digest, score::Opponent},
    quality::frame::Yuv420Clip,
};

use super::sampler::{Axis, ONE, level, resample};

/// Frames from one turn of the loop to the next.
const TURN: usize = 8;
/// Scale of the zoomed still that a crossfade ends at: 4/5 of the picture is seen.
const ZOOMED: i64 = ONE * 4 / 5;
/// Frames until a blurred freeze is wholly blurred.
const BLUR_RAMP: usize = 16;
/// Shift of each depth layer a frame, from the farthest to the nearest, in 1/16 luma pixel.
const LAYER_SPEED: [i64; 3] = [4, 8, 16];
/// Weight that is all.
const WHOLE: i32 = 256;

/// The first `made` frames (at least one) of an opponent that would last `asked` frames: `[frames, height, width]`,
/// YUV 4:2:0.
/// Frame 0 is frame 0 of `given`, byte for byte.
///
/// Every frame follows from `given`, its number and `asked` alone, in 32- and 64-bit integers: equal on every machine and
/// thread count, and the first frames of a longer film are those of a shorter one.
///
/// # Panics
/// When `given` has no frame, as slices do.
pub fn film(opponent: Opponent, given: &Yuv420Clip, asked: usize, made: usize) -> Yuv420Clip {
    let (width, height) = (given.width(), given.height());
    let (size, count) = (Yuv420Clip::frame_bytes(width, height), made.clamp(1, asked.max(1)));
    let still = given.frame(0);
    let moment = Moment { opponent, asked };
    let mut data = vec![0; size * count];
    data.par_chunks_exact_mut(size).enumerate().for_each(|(t, out)| {
        let (luma, chroma) = out.split_at_mut(width * height);
        let (blue, red) = chroma.split_at_mut(chroma.len() / 2);
        luma.copy_from_slice(&moment.plane(still.y, (width, height), 1, t));
        blue.copy_from_slice(&moment.plane(still.u, (width / 2, height / 2), 2, t));
        red.copy_from_slice(&moment.plane(still.v, (width / 2, height / 2), 2, t));
    });
    // The sizes are those of `given`, which has been checked when it was made.
    #[allow(clippy::expect_used)]
    Yuv420Clip::from_planes(width, height, count, data).expect("sizes agree by construction")
}

/// Digest of all opponents of a first frame, 9 of 81 frames each: the known answer of the self-test.
pub fn digest(given: &Yuv420Clip) -> Digest {
    let films = Opponent::ALL.map(|opponent| film(opponent, given, 81, 9));
    Digest::of_parts(&films.each_ref().map(Yuv420Clip::as_bytes))
}

/// What all frames of an opponent have in common.
struct Moment {
    opponent: Opponent,
    asked: usize,
}

impl Moment {
    /// One plane of frame `t`; `step` is its size in luma pixels: 1 for luma, 2 for chroma.
    fn plane(&self, source: &[u8], (width, height): (usize, usize), step: i64, t: usize) -> Vec<u8> {
        let frame = t as i64;
        let panned = |pixels: i64| {
            resample(source, width, &Axis::map(width, ONE, pixels * ONE / step), &Axis::same(height))
        };
        let zoomed =
            |scale: i64| resample(source, width, &Axis::map(width, scale, 0), &Axis::map(height, scale, 0));
        // How far a crossfade has come.
        let faded = (frame * i64::from(WHOLE) / (self.asked as i64 - 1).max(1)) as i32;
        match self.opponent {
            _ if t == 0 => source.to_vec(),
            Opponent::Freeze => source.to_vec(),
            Opponent::Pan => panned(frame),
            Opponent::Zoom => zoomed(ONE * 1000 / (1000 + 3 * frame)),
            Opponent::Parallax => {
                parallax(source, width, LAYER_SPEED.map(|speed| speed * frame * ONE / (16 * step)))
            }
            Opponent::Loop => panned((t % (2 * TURN)).min(2 * TURN - t % (2 * TURN)) as i64),
            Opponent::CrossfadeMirrored => blend(source, &mirrored(source, width), faded),
            Opponent::CrossfadeZoomed => blend(source, &zoomed(ZOOMED), faded),
            Opponent::BlurredFreeze => {
                let share = (t.min(BLUR_RAMP) as i32) * WHOLE / BLUR_RAMP as i32;
                blend(source, &blurred(source, width), share)
            }
        }
    }
}

/// `one` to `other` by a weight 0..=256, rounded.
fn blend(one: &[u8], other: &[u8], weight: i32) -> Vec<u8> {
    let mixed = |(&p, &q): (&u8, &u8)| level(i32::from(p) * (WHOLE - weight) + i32::from(q) * weight, 8);
    one.iter().zip(other).map(mixed).collect()
}

fn mirrored(source: &[u8], width: usize) -> Vec<u8> {
    source.chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect()
}

/// 5x5 binomial blur, edges repeated; sums stay below 2^16.
fn blurred(source: &[u8], width: usize) -> Vec<u8> {
    const WEIGHTS: [i32; 5] = [1, 4, 6, 4, 1];
    let height = source.len() / width;
    let near = |i: usize, step: usize, side: usize| (i + step).saturating_sub(2).min(side - 1);
    let across: Vec<i32> = (0..source.len())
        .map(|i| {
            let (x, row) = (i % width, &source[i / width * width..][..width]);
            (0..5).map(|k| WEIGHTS[k] * i32::from(row[near(x, k, width)])).sum()
        })
        .collect();
    (0..source.len())
        .map(|i| {
            let (x, y) = (i % width, i / width);
            level((0..5).map(|k| WEIGHTS[k] * across[near(y, k, height) * width + x]).sum(), 8)
        })
        .collect()
}

/// Share (0..=256) of each depth layer in a place of a plane: the ground towards the lower edge is near, an oval in the
/// middle lies half-way, the rest is far. Coordinates in 1/1024 of the plane.
fn shares(x: usize, y: usize, width: usize, height: usize) -> [i32; 3] {
    let place = |i: usize, side: usize| ((2 * i + 1) * 512 / side) as i32;
    let (x, y) = (place(x, width), place(y, height));
    // A border of 64/1024 about 800/1024 of the height.
    let near = ((y - 768) * 4).clamp(0, WHOLE);
    let (dx, dy) = ((x - 512) * 1024 / 288, (y - 512) * 1024 / 388);
    let oval = 1024 - (dx * dx + dy * dy) / 1024;
    let middle = oval.clamp(0, WHOLE) * (WHOLE - near) / WHOLE;
    [WHOLE - near - middle, middle, near]
}

/// A plane cut into depth layers, each moved to the right by its shift (Q16 pixels of the plane) with its outline; where
/// one left and no other came, the still shows. Weighted sums stay below 3 * 2^8 * 2^15.
fn parallax(source: &[u8], width: usize, shifts: [i64; 3]) -> Vec<u8> {
    let height = source.len() / width;
    let axes = shifts.map(|shift| Axis::map(width, ONE, -shift));
    let whole = shifts.map(|shift| ((shift + ONE / 2) / ONE) as usize);
    let mut lines = [Vec::new(), Vec::new(), Vec::new()];
    let mut out = Vec::with_capacity(source.len());
    for (y, row) in source.chunks_exact(width).enumerate() {
        lines.iter_mut().zip(&axes).for_each(|(line, axis)| axis.line(row, line));
        let here: Vec<[i32; 3]> = (0..width).map(|x| shares(x, y, width, height)).collect();
        out.extend((0..width).map(|x| {
            let share: [i32; 3] = std::array::from_fn(|layer| here[x.saturating_sub(whole[layer])][layer]);
            let weight: i32 = share.iter().sum();
            if weight == 0 {
                return row[x];
            }
            let sum: i32 = share.iter().zip(&lines).map(|(share, line)| share * line[x]).sum();
            ((sum + weight * 32).div_euclid(weight * 64)).clamp(0, 255) as u8
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::selftest::test_clip;

    fn all(asked: usize, made: usize) -> Vec<(Opponent, Yuv420Clip)> {
        let given = test_clip();
        Opponent::ALL.map(|opponent| (opponent, film(opponent, &given, asked, made))).to_vec()
    }

    #[test]
    fn frames_do_not_depend_on_the_number_of_threads() {
        let films = all(81, 9);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            assert_eq!(pool.install(|| all(81, 9)), films);
        }
    }

    #[test]
    fn all_begin_with_the_given_frame_and_shorter_films_are_the_start_of_longer_ones() {
        let given = test_clip();
        for ((opponent, long), (_, short)) in all(81, 20).into_iter().zip(all(81, 4)) {
            assert_eq!((long.len(), short.len()), (20, 4), "{opponent:?}");
            assert_eq!(long.frame(0).y, given.frame(0).y, "{opponent:?}");
            assert_eq!(long.frame(0).v, given.frame(0).v, "{opponent:?}");
            assert_eq!(long.as_bytes()[..short.as_bytes().len()], *short.as_bytes(), "{opponent:?}");
            let moves = opponent != Opponent::Freeze;
            assert_eq!(long.frame(9).y != long.frame(0).y, moves, "{opponent:?}");
            assert_eq!(long.frame(9).u != long.frame(0).u, moves, "{opponent:?}");
        }
        assert_eq!(all(3, 17).iter().map(|(_, film)| film.len()).collect::<Vec<_>>(), vec![3; 8]);
        assert_eq!(all(0, 0)[0].1.len(), 1, "the given frame is always there");
    }

    #[test]
    fn each_does_what_its_name_says() {
        let given = test_clip();
        let (width, height) = (given.width(), given.height());
        let of = |opponent| film(opponent, &given, 41, 41);
        let line = |clip: &Yuv420Clip, t: usize, y: usize| clip.frame(t).y[y * width..][..width].to_vec();
        let still = line(&given, 0, 40);
        assert_eq!(line(&of(Opponent::Pan), 5, 40)[..100], still[5..105], "a pixel a frame");
        assert_eq!(line(&of(Opponent::Loop), 16, 40), still, "back at the start");
        assert_eq!(line(&of(Opponent::Loop), 10, 40)[..100], still[6..106]);
        let mirror: Vec<u8> = still.iter().rev().copied().collect();
        assert_eq!(line(&of(Opponent::CrossfadeMirrored), 40, 40), mirror);
        let parallax = of(Opponent::Parallax);
        assert_eq!(line(&parallax, 8, 3)[60..140], line(&given, 0, 3)[58..138], "the far layer: 2 pixels");
        let ground = height - 4;
        assert_eq!(line(&parallax, 8, ground)[60..140], line(&given, 0, ground)[52..132], "the near one: 8");
        let zoom = of(Opponent::Zoom);
        let middle = (width / 2, height / 2);
        assert!(
            zoom.frame(40).y[middle.1 * width + middle.0]
                .abs_diff(given.frame(0).y[middle.1 * width + middle.0])
                < 24
        );
        let blurred = of(Opponent::BlurredFreeze);
        let rough =
            |t: usize| line(&blurred, t, 40).windows(2).map(|p| u32::from(p[0].abs_diff(p[1]))).sum::<u32>();
        assert!(rough(16) < rough(0) && rough(16) == rough(30));
    }
}
