//! Frame difference statistics: how much changed between two luma planes, and where.
//!
//! GPU sibling: one workgroup per 16x16 block, `atomicAdd` of block sums and histogram bins.
//! Overflow: a block sum is at most 256 * 255 = 65,280 (u32); a frame sum at most
//! 2^32 pixels * 255 < 2^40 (u64).

use super::{fixed::div_round, instructions::for_every_instruction_set};

/// Side of the blocks in which the largest local change is looked for, in pixels.
pub const BLOCK: usize = 16;

/// Statistics of `|a - b|` over two luma planes of one size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Sum over all pixels, in luma levels.
    pub sum: u64,
    /// Largest sum over one 16x16 block of the grid at the origin; blocks at the right and lower
    /// edge may be smaller and are not scaled up.
    pub largest_block: u32,
    /// Number of pixels per absolute difference 0..=255.
    pub histogram: [u32; 256],
    /// Number of pixels.
    pub pixels: u64,
}

impl Difference {
    /// Mean absolute difference in 1/256 luma levels, rounded to nearest.
    pub fn mean_q8(&self) -> i64 {
        mean_q8(self.sum, self.pixels)
    }
}

/// A sum of levels over so many pixels as a mean in 1/256 level, rounded to nearest.
pub fn mean_q8(sum: u64, pixels: u64) -> i64 {
    div_round(sum as i64 * 256, pixels as i64)
}

/// Compares two luma planes `[height, width]`.
///
/// # Panics
/// When a plane is shorter than `width * height`, as slices do.
pub fn difference(a: &[u8], b: &[u8], width: usize, height: usize) -> Difference {
    let (sum, largest_block) = block_sums(a, b, width, height);
    // Four interleaved histograms keep neighbouring equal values from waiting for each other.
    let mut bins = [[0u32; 256]; 4];
    for (index, (&p, &q)) in a[..width * height].iter().zip(&b[..width * height]).enumerate() {
        bins[index & 3][usize::from(p.abs_diff(q))] += 1;
    }
    let histogram = std::array::from_fn(|value| bins.iter().map(|bin| bin[value]).sum());
    Difference { sum, largest_block, histogram, pixels: (width * height) as u64 }
}

for_every_instruction_set! {
    /// `sum` and `largest_block` of the [`Difference`] of two luma planes `[height, width]`, without its histogram.
    ///
    /// # Panics
    /// When a plane is shorter than `width * height`, as slices do.
    pub fn block_sums(a: &[u8], b: &[u8], width: usize, height: usize) -> (u64, u32) {
        let (mut sum, mut largest_block) = (0u64, 0u32);
        let mut columns = vec![0u32; width.div_ceil(BLOCK)];
        for y in 0..height {
            let (row_a, row_b) = (&a[y * width..][..width], &b[y * width..][..width]);
            let ((whole_a, rest_a), (whole_b, rest_b)) = (row_a.as_chunks(), row_b.as_chunks());
            for ((column, run_a), run_b) in columns.iter_mut().zip(whole_a).zip(whole_b) {
                *column += run_difference::<BLOCK>(run_a, run_b);
            }
            if let (Some(column), [_, ..]) = (columns.last_mut(), rest_a) {
                *column += rest_a.iter().zip(rest_b).map(|(&p, &q)| u32::from(p.abs_diff(q))).sum::<u32>();
            }
            if (y + 1) % BLOCK == 0 || y + 1 == height {
                for column in &mut columns {
                    largest_block = largest_block.max(*column);
                    sum += u64::from(*column);
                    *column = 0;
                }
            }
        }
        (sum, largest_block)
    }
}

/// Sum of absolute differences; at most `N * 255`, so that no sum needs a check.
#[inline(always)]
pub(super) fn run_difference<const N: usize>(a: &[u8; N], b: &[u8; N]) -> u32 {
    let mut sum = 0u32;
    for i in 0..N {
        sum = sum.wrapping_add(a[i].abs_diff(b[i]).into());
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_block_is_found_and_the_edges_count() {
        let (width, height) = (37, 19);
        let a = vec![10u8; width * height];
        let mut b = a.clone();
        b[18 * width + 36] = 255; // corner block of 5x3 pixels
        let found = difference(&a, &b, width, height);
        assert_eq!((found.sum, found.largest_block), (245, 245));
        assert_eq!((found.histogram[245], found.histogram[0]), (1, (width * height - 1) as u32));
    }

    #[test]
    fn saturated_planes_do_not_overflow() {
        let (width, height) = (832, 480);
        let found = difference(&vec![0; width * height], &vec![255; width * height], width, height);
        assert_eq!((found.sum, found.largest_block), (255 * 399_360, 65_280));
        assert_eq!(found.mean_q8(), 255 * 256);
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            (width, height, a, b) in (1usize..40, 1usize..40).prop_flat_map(|(w, h)| {
                let plane = || prop::collection::vec(any::<u8>(), w * h);
                (Just(w), Just(h), plane(), plane())
            })
        ) {
            let found = difference(&a, &b, width, height);
            let all: u64 = a.iter().zip(&b).map(|(&p, &q)| u64::from(p.abs_diff(q))).sum();
            prop_assert_eq!(found.sum, all);
            let weighted: u64 = found.histogram.iter().zip(0u64..).map(|(&n, v)| u64::from(n) * v).sum();
            prop_assert_eq!(weighted, all);
            prop_assert!(u64::from(found.largest_block) <= all);
            prop_assert_eq!(difference(&b, &a, width, height), found);
        }
    }
}
