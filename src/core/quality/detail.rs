//! Fine detail: energy of the Laplacian, which blur takes away and noise adds; sums of planes.
//!
//! GPU sibling: tree sum per workgroup. Overflow: one response lies within -1020..=1020, its square
//! below 2^20; a run of 1024 sums to less than 2^30 (u32), a plane of 2^22 pixels to less than 2^42 (u64).

use super::instructions::for_every_instruction_set;

/// Pixels whose energy is summed in 32 bits.
const RUN: usize = 1024;

for_every_instruction_set! {
    /// Sum over the inner pixels of `(4 c - left - right - above - below)^2`, in squared luma levels.
    /// Planes below 3x3 have no inner pixel and give zero.
    ///
    /// # Panics
    /// When the plane is shorter than `width * height`, as slices do.
    pub fn laplacian_energy(y: &[u8], width: usize, height: usize) -> u64 {
        let mut total = 0u64;
        for row in 1..height.saturating_sub(1) {
            let line = |row: usize| &y[row * width..][..width];
            let (above, here, below) = (line(row - 1), line(row), line(row + 1));
            for from in (1..width.saturating_sub(1)).step_by(RUN) {
                let to = (from + RUN).min(width - 1);
                total += run_energy(&above[from..to], &here[from - 1..to + 1], &below[from..to]);
            }
        }
        total
    }
}

/// Energy of a run of pixels; `here` has one more at either end. Unchecked arithmetic, which the budgets above allow,
/// lets the compiler take many pixels at once.
#[inline(always)]
fn run_energy(above: &[u8], here: &[u8], below: &[u8]) -> u64 {
    let width = above.len();
    let (here, below) = (&here[..width + 2], &below[..width]);
    let mut sum = 0u32;
    for x in 0..width {
        let beside = i16::from(here[x]).wrapping_add(here[x + 2].into());
        let around = beside.wrapping_add(above[x].into()).wrapping_add(below[x].into());
        let response = i32::from((i16::from(here[x + 1]) << 2).wrapping_sub(around));
        sum = sum.wrapping_add(response.wrapping_mul(response) as u32);
    }
    sum.into()
}

/// Sum of all luma values of a plane; a frame of 2^32 pixels stays below 2^40.
pub fn luma_sum(y: &[u8]) -> u64 {
    y.chunks(1 << 16).map(|part| u64::from(part.iter().map(|&v| u32::from(v)).sum::<u32>())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_dot_has_the_kernels_energy() {
        let mut plane = vec![0u8; 7 * 5];
        plane[2 * 7 + 3] = 255;
        assert_eq!(laplacian_energy(&plane, 7, 5), 1020 * 1020 + 4 * 255 * 255);
        for (width, height) in [(1, 1), (2, 9), (9, 2)] {
            assert_eq!(laplacian_energy(&vec![77; width * height], width, height), 0);
        }
    }

    #[test]
    fn the_sum_of_a_white_frame_does_not_overflow() {
        assert_eq!(luma_sum(&vec![255; 832 * 480]), 255 * 832 * 480);
    }
}
