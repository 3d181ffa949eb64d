//! Kernel `looks_bands`: steps between flat regions, of one luma plane, at full, half and quarter size.
//!
//! After CAMBI (Tandon, Afonso, Sole, Krasula, *CAMBI: Contrast-aware Multiscale Banding Index*, PCS 2021): in a window, two
//! levels that flat pixels take, weighted by how far they lie apart, at several sizes. Differences, for integers and one
//! pass: windows are 16x16 tiles that do not overlap; a pixel is flat when its four neighbours have its level; and the
//! levels between the two must be empty but for a quarter of the rarer one, which tells the comb of a quantised slope from a
//! slope that takes every level. A step of one level, the least that 8 bits have, counts nothing.
//!
//! A tile's value is the largest `(k - 1) * min(h(l), h(l + k))` over levels `l` and `k` in 2..=16: at most 15 * 128.
//! GPU sibling: one workgroup per tile, one invocation per level. Overflow: 2^18 tiles a plane stay below 2^29.

use crate::quality::plane::{downscale, half_size};

/// Side of a tile in pixels of its size; tiles at the right and lower edge may be smaller.
pub const TILE: usize = 16;
/// Widest step that is a band, in levels.
pub const WIDEST: usize = 16;
/// Sizes that are looked at: full, half, quarter.
pub const SIZES: usize = 3;

/// Bands of one plane at three sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BandSums {
    /// Sum of the tiles' values by size, full size first.
    pub sums: [u64; SIZES],
    /// Number of tiles by size.
    pub tiles: [u64; SIZES],
}

impl BandSums {
    /// Sums by size of a plane of `width` x `height` at full size.
    pub fn counted(sums: [u64; SIZES], width: usize, height: usize) -> Self {
        let mut size = (width, height);
        let tiles = std::array::from_fn(|_| {
            let tiles = size.0.div_ceil(TILE) * size.1.div_ceil(TILE);
            size = half_size(size.0, size.1);
            tiles as u64
        });
        Self { sums, tiles }
    }
}

/// Bands of a plane `[height, width]` and of its two next pyramid levels.
///
/// # Panics
/// When the plane is shorter than `width * height`, as slices do.
pub fn band_sums(y: &[u8], width: usize, height: usize) -> BandSums {
    let half = downscale(y, width, height);
    let half_of = half_size(width, height);
    let quarter = downscale(&half, half_of.0, half_of.1);
    let quarter_of = half_size(half_of.0, half_of.1);
    let sums = [
        plane_bands(y, width, height),
        plane_bands(&half, half_of.0, half_of.1),
        plane_bands(&quarter, quarter_of.0, quarter_of.1),
    ];
    BandSums::counted(sums, width, height)
}

/// Sum of the tiles' values of one plane.
fn plane_bands(y: &[u8], width: usize, height: usize) -> u64 {
    let columns = width.div_ceil(TILE);
    let mut total = 0;
    let mut tiles = vec![[0u16; 256]; columns];
    for top in (0..height).step_by(TILE) {
        tiles.fill([0; 256]);
        for row in top..(top + TILE).min(height) {
            let line = |row: usize| &y[row * width..][..width];
            let (here, above, below) =
                (line(row), line(row.saturating_sub(1)), line((row + 1).min(height - 1)));
            for x in 0..width {
                let (level, left, right) = (here[x], here[x.saturating_sub(1)], here[(x + 1).min(width - 1)]);
                if (left ^ level) | (right ^ level) | (above[x] ^ level) | (below[x] ^ level) == 0 {
                    tiles[x / TILE][usize::from(level)] += 1;
                }
            }
        }
        total += tiles.iter().map(|histogram| u64::from(strongest(histogram))).sum::<u64>();
    }
    total
}

/// Value of a tile with this histogram of flat pixels.
fn strongest(histogram: &[u16; 256]) -> u32 {
    let mut most = 0;
    for (level, &count) in histogram.iter().enumerate().filter(|&(_, &count)| count > 0) {
        let mut between = 0;
        for (wide, &other) in (0..).zip(&histogram[level + 1..]).take(WIDEST) {
            let least = u32::from(count.min(other));
            if 4 * between <= least {
                most = most.max(wide * least);
            }
            between += u32::from(other);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 128;

    fn plane(level: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        (0..SIDE * SIDE).map(|i| level(i % SIDE, i / SIDE)).collect()
    }

    #[test]
    fn a_quantised_slope_bands_and_the_slope_itself_does_not() {
        let slope = |x: usize, y: usize| (40 + (x + y / 2) / 6) as u8;
        let smooth = band_sums(&plane(slope), SIDE, SIDE);
        let coarse = band_sums(&plane(|x, y| slope(x, y) & !7), SIDE, SIDE);
        assert_eq!(smooth.sums[0], 0);
        for size in 0..SIZES {
            assert!(
                coarse.sums[size] > 100 && coarse.sums[size] > 2 * smooth.sums[size],
                "{coarse:?} {smooth:?}"
            );
        }
        assert_eq!(coarse.tiles, [64, 16, 4]);
    }

    #[test]
    fn wide_steps_single_levels_and_texture_are_no_bands() {
        for step in [1, 17, 40] {
            let edge = plane(|x, _| if x < SIDE / 2 + 8 { 100 } else { 100 + step });
            assert_eq!(band_sums(&edge, SIDE, SIDE).sums[0], 0, "step {step}");
        }
        let edge = plane(|x, _| if x < SIDE / 2 + 8 { 100 } else { 104 });
        // Seven flat columns on each side in each of the eight tiles in the middle.
        assert_eq!(band_sums(&edge, SIDE, SIDE).sums[0], 8 * 3 * 7 * 16);
        let texture = plane(|x, y| ((x * 37 + y * 91) % 11) as u8 * 4);
        assert_eq!(band_sums(&texture, SIDE, SIDE).sums[0], 0);
    }

    #[test]
    fn tiny_and_saturated_planes_are_defined() {
        assert_eq!(band_sums(&[255; SIDE * SIDE], SIDE, SIDE).sums, [0; SIZES]);
        for (width, height) in [(1, 1), (2, 3), (17, 1)] {
            let checker: Vec<u8> = (0..width * height).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
            assert_eq!(band_sums(&checker, width, height).sums[0], 0);
        }
    }
}
