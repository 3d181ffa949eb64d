//! Kernel `looks_colors`: colour histograms and sums of one frame, read once.
//!
//! One sample per chroma position: the mean of its four luma pixels, U and V. The colour histogram has 4 bins a
//! component and shares every sample among its eight nearest bins (linear in each component), so that codec noise
//! moves no mass; the hue histogram has 32 sectors and counts chroma beyond grey.
//!
//! GPU sibling: 16x16 samples a workgroup, `atomicAdd` on its 100 rows. Overflow: a sample adds at most 2^16 to a bin,
//! 2896 to a sector or to the saturation and 1020 to the luma, so a workgroup stays below 2^25 (u32); a frame of 2^22
//! samples stays below 2^38 (u64 here).

use std::sync::LazyLock;

use crate::quality::frame::FrameView;

/// Bins of the colour histogram: 4 of luma by 4 of U by 4 of V.
pub const BINS: usize = 64;
/// Sectors of the hue histogram.
pub const SECTORS: usize = 32;
/// What one sample adds to the colour histogram.
pub const SAMPLE_WEIGHT: u64 = 1 << 16;
/// Luma of the first bin's centre, and from one centre to the next, as a power of two.
const LUMA_BINS: (i32, u32) = (32, 6);
/// The same for chroma.
const CHROMA_BINS: (i32, u32) = (80, 5);
/// Chroma that counts as grey in the hue histogram, in 1/16 level.
const GREY: u16 = 64;
/// Luma at and below which a pixel is black, at and above which it is white.
pub const BLACK: u8 = 16;
/// See [`BLACK`].
pub const WHITE: u8 = 235;

/// Sums of one frame's colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColorSums {
    /// Number of samples.
    pub samples: u64,
    /// Colour histogram, bin `16 * luma + 4 * u + v`; it sums to `2^16 * samples`.
    pub bins: [u64; BINS],
    /// Chroma beyond grey by hue, in 1/16 level.
    pub hues: [u64; SECTORS],
    /// Luma pixels at or below 16.
    pub dark: u64,
    /// Luma pixels at or above 235.
    pub bright: u64,
    /// Sum of all luma pixels that belong to samples.
    pub luma: u64,
    /// Sum of the samples' distances from grey, in 1/16 level.
    pub saturation: u64,
}

/// Lower bin and the upper one's share of a component.
fn place(value: u8, (first, bits): (i32, u32)) -> (usize, u32) {
    let at = (i32::from(value) - first).clamp(0, 3 << bits) as u32;
    let lower = (at >> bits).min(2);
    (lower as usize, at - (lower << bits))
}

/// Distance from grey in 1/16 level (rounded down) and the sector of the hue.
///
/// Sectors divide the diamond `|u| + |v|`, eight to a quadrant: `8 t / (|u| + |v|)` with `t` the component that grows.
fn hue(u: u8, v: u8) -> (u16, u8) {
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    let distance = ((u * u + v * v) as u32 * 256).isqrt() as u16;
    let (quadrant, grows) = match (u, v) {
        (0, 0) => return (0, 0),
        (1.., 0..) => (0, v),
        (..=0, 1..) => (1, -u),
        (..=-1, ..=0) => (2, -v),
        _ => (3, u),
    };
    (distance, (8 * quadrant + 8 * grows / (u.abs() + v.abs())) as u8)
}

/// [`hue`] of every chroma pair, row U, column V.
static HUES: LazyLock<Vec<(u16, u8)>> =
    LazyLock::new(|| (0..=u16::MAX).map(|pair| hue((pair >> 8) as u8, pair as u8)).collect());

/// Colour sums of a frame whose luma plane is `width` x `height`, both even.
///
/// # Panics
/// When a plane is shorter than `width * height` (chroma: half of each side), as slices do.
pub fn color_sums(frame: &FrameView, width: usize, height: usize) -> ColorSums {
    let (columns, rows) = (width / 2, height / 2);
    let mut sums = ColorSums {
        samples: (columns * rows) as u64,
        bins: [0; BINS],
        hues: [0; SECTORS],
        dark: 0,
        bright: 0,
        luma: 0,
        saturation: 0,
    };
    let hues = &*HUES;
    for row in 0..rows {
        let upper = frame.y[2 * row * width..][..width].as_chunks::<2>().0;
        let lower = frame.y[(2 * row + 1) * width..][..width].as_chunks::<2>().0;
        let (us, vs) = (&frame.u[row * columns..][..columns], &frame.v[row * columns..][..columns]);
        for (((&[a, b], &[c, d]), &u), &v) in upper.iter().zip(lower).zip(us).zip(vs) {
            let total = [a, b, c, d].map(u32::from).iter().sum::<u32>();
            sums.luma += u64::from(total);
            sums.dark += [a, b, c, d].iter().filter(|&&y| y <= BLACK).count() as u64;
            sums.bright += [a, b, c, d].iter().filter(|&&y| y >= WHITE).count() as u64;
            let (distance, sector) = hues[usize::from(u) << 8 | usize::from(v)];
            sums.saturation += u64::from(distance);
            sums.hues[usize::from(sector)] += u64::from(distance.saturating_sub(GREY));
            share(&mut sums.bins, ((total + 2) >> 2) as u8, u, v);
        }
    }
    sums
}

/// Shares one sample among its eight bins.
fn share(bins: &mut [u64; BINS], y: u8, u: u8, v: u8) {
    let ((y, above_y), (u, above_u), (v, above_v)) =
        (place(y, LUMA_BINS), place(u, CHROMA_BINS), place(v, CHROMA_BINS));
    for (bin_y, share_y) in [(y, 64 - above_y), (y + 1, above_y)] {
        for (bin_u, share_u) in [(u, 32 - above_u), (u + 1, above_u)] {
            let (both, line) = (share_y * share_u, 16 * bin_y + 4 * bin_u);
            bins[line + v] += u64::from(both * (32 - above_v));
            bins[line + v + 1] += u64::from(both * above_v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(y: u8, u: u8, v: u8) -> ColorSums {
        let planes = ([y; 24], [u; 6], [v; 6]);
        color_sums(&FrameView { y: &planes.0, u: &planes.1, v: &planes.2 }, 6, 4)
    }

    #[test]
    fn a_flat_frame_lies_in_the_bins_around_its_colour() {
        let sums = flat(32, 80, 176);
        assert_eq!((sums.samples, sums.bins[3], sums.luma), (6, 6 * SAMPLE_WEIGHT, 24 * 32));
        let between = flat(64, 128, 128);
        // Half of the luma in the first bin, half of each chroma in the second and third.
        assert_eq!(between.bins[5], 6 * SAMPLE_WEIGHT / 8);
        assert_eq!((between.saturation, between.dark, between.bright), (0, 0, 0));
        assert_eq!((flat(16, 128, 128).dark, flat(235, 128, 128).bright), (24, 24));
        for extreme in [flat(0, 0, 255), flat(255, 255, 0), flat(255, 0, 0)] {
            assert_eq!(extreme.bins.iter().sum::<u64>(), 6 * SAMPLE_WEIGHT);
            assert_eq!(extreme.hues.iter().sum::<u64>() + 6 * u64::from(GREY), extreme.saturation);
        }
    }

    #[test]
    fn sectors_follow_the_angle_and_grey_has_none() {
        let around: Vec<u8> = (0..360)
            .map(|degree| {
                let (sin, cos) = f64::from(degree).to_radians().sin_cos();
                let level = |part: f64| (128.0 + 100.0 * part).round() as u8;
                hue(level(cos), level(sin)).1
            })
            .collect();
        assert!(around.is_sorted(), "{around:?}");
        assert_eq!((around[0], around[90], around[180], around[270], around[359]), (0, 8, 16, 24, 31));
        assert_eq!(hue(131, 132), (80, 4), "a triangle of 3, 4 and 5 levels");
        assert_eq!(flat(100, 129, 127).hues, [0; SECTORS]);
    }

    proptest! {
        #[test]
        fn every_sample_is_shared_out_whole(y in any::<u8>(), u in any::<u8>(), v in any::<u8>()) {
            let mut bins = [0; BINS];
            share(&mut bins, y, u, v);
            prop_assert_eq!(bins.iter().sum::<u64>(), SAMPLE_WEIGHT);
            prop_assert!(hue(u, v).1 < SECTORS as u8);
        }
    }
}
