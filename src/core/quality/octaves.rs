//! Kernel `octaves`: energy of the highest octave of a picture and of the one below it, per 16x16 block.
//!
//! A picture that was enlarged has edges, but none that is sharp: its highest octave is nearly empty wherever the next one
//! is not. Codecs empty it too, but leave it at the strongest edges, and so does a lens; hence shares of single blocks
//! and not sums.
//!
//! GPU sibling: one workgroup per block. Overflow: a response lies within -4590..=4590 and, shifted, -1147..=1148; its
//! square is below 1,317,905, two directions of 256 pixels sum to at most 674,766,848 (u32), 4 times that fits i64.

use super::{
    fixed::{percentile, scale},
    instructions::for_every_instruction_set,
    plane::{downscale, half_size},
};

/// Side of a block in pixels; half of it at half size.
pub const BLOCK: usize = 16;
/// Least energy of the lower octave of a block that is judged: 2.8 levels of response in the mean.
const TEXTURED: u32 = 16_384;
/// Which of the blocks' shares stands for a picture, in percent: its sharpest edges, but not the very few.
const SHARPEST: usize = 90;

/// Energies of one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OctaveBlock {
    /// Of the highest octave, in 1/16 squared level, summed over pixels and both directions.
    pub fine: u32,
    /// Of the octave below, on the half-size plane, the same way.
    pub coarse: u32,
}

/// How sharp the sharpest edges of pictures are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sharpness {
    /// Blocks that were judged.
    pub blocks: i64,
    /// 90th percentile over them of the highest octave's energy against four times that of the one below, in 1/1000. An
    /// ideal edge and its like at half size would have as much of both.
    pub share: i64,
}

impl Sharpness {
    /// Of the blocks of all given pictures together.
    pub fn of<'a>(blocks: impl IntoIterator<Item = &'a OctaveBlock>) -> Self {
        let textured = blocks.into_iter().filter(|block| block.coarse >= TEXTURED);
        let shares: Vec<i64> =
            textured.map(|block| scale(block.fine.into(), 1000, 4 * i64::from(block.coarse))).collect();
        Self { blocks: shares.len() as i64, share: percentile(&shares, SHARPEST) }
    }

    /// Of one luma plane `[height, width]`.
    pub fn of_plane(y: &[u8], width: usize, height: usize) -> Self {
        Self::of(&octaves(y, &downscale(y, width, height), width, height))
    }
}

/// The kernel: blocks of a luma plane `[height, width]` and of its half-size plane, row by row.
///
/// The response at a pixel is `16 p(0) - 9 (p(-1) + p(1)) + p(-3) + p(3)`, plus 2, shifted right by 2, along the row and
/// along the column; coordinates are clamped. It is what the half-band filter (-1, 0, 9, 16, 9, 0, -1) / 32 leaves of a signal
/// (Deslauriers and Dubuc's interpolation, 1989), so that it vanishes on cubics and passes the upper half of the band.
///
/// # Panics
/// When a plane is shorter than its sides say, as slices do.
pub fn octaves(y: &[u8], half: &[u8], width: usize, height: usize) -> Vec<OctaveBlock> {
    let (columns, rows) = half_size(width, height);
    let fine = energies(y, width, height, BLOCK);
    let coarse = energies(half, columns, rows, BLOCK / 2);
    fine.into_iter().zip(coarse).map(|(fine, coarse)| OctaveBlock { fine, coarse }).collect()
}

for_every_instruction_set! {
    /// Energy of the responses in `side` x `side` blocks of one plane.
    fn energies(plane: &[u8], width: usize, height: usize, side: usize) -> Vec<u32> {
        let columns = width.div_ceil(side);
        let mut sums = vec![0u32; columns * height.div_ceil(side)];
        let mut wide = vec![0i16; width + 6];
        let mut squares = vec![0u32; width];
        for y in 0..height {
            let line = |shift: isize| {
                &plane[y.saturating_add_signed(shift).min(height - 1) * width..][..width]
            };
            let here = line(0);
            for (x, value) in wide.iter_mut().enumerate() {
                *value = i16::from(here[x.saturating_sub(3).min(width - 1)]);
            }
            square_row(&wide, [-3, -1, 0, 1, 3].map(line), &mut squares);
            let into = &mut sums[y / side * columns..][..columns];
            for (sum, run) in into.iter_mut().zip(squares.chunks(side)) {
                *sum += run.iter().sum::<u32>();
            }
        }
        sums
    }
}

/// Squares of both responses of a row; `wide` has three more pixels at either end.
#[inline(always)]
fn square_row(wide: &[i16], rows: [&[u8]; 5], squares: &mut [u32]) {
    let width = squares.len();
    let wide = &wide[..width + 6];
    let [a, b, c, d, e] = rows.map(|row| &row[..width]);
    for x in 0..width {
        let response = |far: i16, near: i16, middle: i16| {
            let sum = (middle << 4).wrapping_sub(near.wrapping_mul(9)).wrapping_add(far);
            i32::from(sum.wrapping_add(2) >> 2)
        };
        let across =
            response(wide[x].wrapping_add(wide[x + 6]), wide[x + 2].wrapping_add(wide[x + 4]), wide[x + 3]);
        let both = |p: u8, q: u8| i16::from(p).wrapping_add(i16::from(q));
        let along = response(both(a[x], e[x]), both(b[x], d[x]), i16::from(c[x]));
        squares[x] = across.wrapping_mul(across).wrapping_add(along.wrapping_mul(along)) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plainly(plane: &[u8], width: usize, height: usize, side: usize) -> Vec<u32> {
        let at = |x: i64, y: i64| {
            i64::from(
                plane[y.clamp(0, height as i64 - 1) as usize * width + x.clamp(0, width as i64 - 1) as usize],
            )
        };
        let columns = width.div_ceil(side);
        let mut sums = vec![0u32; columns * height.div_ceil(side)];
        for (x, y) in (0..width * height).map(|i| ((i % width) as i64, (i / width) as i64)) {
            let response = |dx: i64, dy: i64| {
                let p = |k: i64| at(x + k * dx, y + k * dy);
                (16 * p(0) - 9 * (p(-1) + p(1)) + p(-3) + p(3) + 2) >> 2
            };
            let energy = response(1, 0).pow(2) + response(0, 1).pow(2);
            sums[y as usize / side * columns + x as usize / side] += energy as u32;
        }
        sums
    }

    proptest! {
        #[test]
        fn energies_are_what_the_definition_says(
            (width, height, plane) in (1usize..40, 1usize..40).prop_flat_map(|(w, h)| {
                let level = prop_oneof![any::<u8>(), Just(0u8), Just(255u8)];
                (Just(w), Just(h), prop::collection::vec(level, w * h))
            })
        ) {
            let found = octaves(&plane, &downscale(&plane, width, height), width, height);
            let fine: Vec<u32> = found.iter().map(|block| block.fine).collect();
            prop_assert_eq!(fine, plainly(&plane, width, height, 16));
            let (columns, rows) = half_size(width, height);
            let coarse: Vec<u32> = found.iter().map(|block| block.coarse).collect();
            prop_assert_eq!(coarse, plainly(&downscale(&plane, width, height), columns, rows, 8));
        }
    }

    #[test]
    fn a_checkerboard_reaches_the_stated_limit_and_slopes_have_nothing() {
        let board: Vec<u8> = (0..64 * 64).map(|i| if (i % 64 + i / 64) % 2 == 0 { 0 } else { 255 }).collect();
        let found = octaves(&board, &downscale(&board, 64, 64), 64, 64);
        // Black pixels respond with -4590, white ones with 4080: the filter's gain is 32 on a swing of 255 / 2.
        assert!(found[5].fine <= 674_766_848 && found[5].fine > 500_000_000, "{found:?}");
        assert_eq!(found[5].coarse, 0);
        let slope: Vec<u8> = (0..64 * 64).map(|i| (2 * (i % 64) + i / 64) as u8).collect();
        let inner = octaves(&slope, &downscale(&slope, 64, 64), 64, 64)[5];
        assert_eq!(inner, OctaveBlock::default());
    }

    #[test]
    fn enlarging_takes_the_share_away() {
        let size = 128;
        let hash = |x: usize, y: usize| ((x * 0x9e37 + y * 0x85eb) ^ (x * y * 0x2c1b)) % 251;
        let sharp: Vec<u8> = (0..size * size).map(|i| hash(i % size / 3, i / size / 3) as u8).collect();
        let half = downscale(&sharp, size, size);
        let near = |x: usize, y: usize| u32::from(half[y.min(63) * 64 + x.min(63)]);
        let large: Vec<u8> = (0..size * size)
            .map(|i| {
                let (x, y) = (i % size, i / size);
                let (c, r) = (x / 2, y / 2);
                let sum = near(c, r) + near(c + x % 2, r) + near(c, r + y % 2) + near(c + x % 2, r + y % 2);
                (sum / 4) as u8
            })
            .collect();
        let (before, after) =
            (Sharpness::of_plane(&sharp, size, size), Sharpness::of_plane(&large, size, size));
        assert!(before.blocks == 64 && after.blocks > 32, "{before:?} {after:?}");
        assert!(after.share * 2 < before.share, "{before:?} {after:?}");
    }
}
