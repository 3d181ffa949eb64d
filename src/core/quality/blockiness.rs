//! Blockiness: how much steeper the luma is across the lines of a regular grid than beside them.
//!
//! For every pixel boundary the excess `2 g(x) - g(x - 1) - g(x + 1)` of its absolute gradient over
//! its two neighbours is summed per phase of an 8- and a 16-pixel grid, along rows and along columns.
//! A codec's grid makes one phase stand out, natural edges fall on all phases alike.
//!
//! GPU sibling: one `atomicAdd` per phase and workgroup. Overflow: an excess lies within
//! -510..=510, a frame of 2^22 pixels gives at most 2^31 per phase (i64 here).

use super::fixed::scale;

/// Sums per phase of one frame, to be added up over frames.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GridSums {
    /// Signed gradient excess at vertical grid lines, by boundary position modulo 16.
    pub columns: [i64; 16],
    /// Number of boundaries per phase.
    pub column_counts: [i64; 16],
    /// Signed gradient excess at horizontal grid lines, by boundary position modulo 16.
    pub rows: [i64; 16],
    /// Number of boundaries per phase.
    pub row_counts: [i64; 16],
    /// Sum of all absolute gradients, both directions.
    pub gradient: i64,
    /// Number of gradients.
    pub gradients: i64,
}

impl GridSums {
    /// Sums of nothing with the counts of one plane.
    pub fn counted(width: usize, height: usize) -> Self {
        let mut sums = Self::default();
        for x in 2..width.saturating_sub(1) {
            sums.column_counts[x % 16] += height as i64;
        }
        for row in 2..height.saturating_sub(1) {
            sums.row_counts[row % 16] += width as i64;
        }
        sums.gradients = (width.saturating_sub(1) * height + width * height.saturating_sub(1)) as i64;
        sums
    }

    /// Adds another frame's sums.
    pub fn add(&mut self, other: &GridSums) {
        for phase in 0..16 {
            self.columns[phase] += other.columns[phase];
            self.column_counts[phase] += other.column_counts[phase];
            self.rows[phase] += other.rows[phase];
            self.row_counts[phase] += other.row_counts[phase];
        }
        self.gradient += other.gradient;
        self.gradients += other.gradients;
    }

    /// Gradient excess of the best phase over the mean of the other phases, in 1/1024 of the mean
    /// gradient plus a quarter of a level (so that flat frames do not divide by nothing); the larger of the
    /// 8- and the 16-pixel grid, summed over both directions.
    pub fn blockiness(&self) -> i64 {
        let of_period = |period: usize| {
            best_excess(&self.columns, &self.column_counts, period)
                + best_excess(&self.rows, &self.row_counts, period)
        };
        let mean_gradient = scale(self.gradient, 1024, self.gradients) + 256;
        scale(of_period(8).max(of_period(16)), 1024, mean_gradient)
    }
}

/// Largest over phases of (mean excess of the phase - mean excess of the rest), in 1/1024 level.
fn best_excess(sums: &[i64; 16], counts: &[i64; 16], period: usize) -> i64 {
    let fold = |values: &[i64; 16], phase: usize| values.iter().skip(phase).step_by(period).sum::<i64>();
    let (all, number): (i64, i64) = (sums.iter().sum(), counts.iter().sum());
    (0..period)
        .map(|phase| {
            let (sum, count) = (fold(sums, phase), fold(counts, phase));
            // The excess holds the gradient twice, hence 512.
            scale(sum, 512, count) - scale(all - sum, 512, number - count)
        })
        .max()
        .unwrap_or(0)
        .max(0)
}

/// Grid sums of one luma plane `[height, width]`.
///
/// # Panics
/// When the plane is shorter than `width * height`, as slices do.
pub fn grid_sums(y: &[u8], width: usize, height: usize) -> GridSums {
    let mut sums = GridSums::counted(width, height);
    let mut gradients = vec![0i16; width.max(1) - 1];
    for line in y[..width * height].chunks_exact(width) {
        for (gradient, pair) in gradients.iter_mut().zip(line.windows(2)) {
            *gradient = i16::from(pair[0].abs_diff(pair[1]));
        }
        sums.gradient += gradients.iter().map(|&g| i64::from(g)).sum::<i64>();
        for (x, triple) in (2usize..).zip(gradients.windows(3)) {
            sums.columns[x % 16] += excess(triple[0], triple[1], triple[2]);
        }
    }
    for row in 1..height {
        sums.gradient += row_gradient(y, width, row).map(i64::from).sum::<i64>();
        if row >= 2 && row + 1 < height {
            let [before, here, after] = [row - 1, row, row + 1].map(|row| row_gradient(y, width, row));
            sums.rows[row % 16] +=
                before.zip(here).zip(after).map(|((a, b), c)| excess(a, b, c)).sum::<i64>();
        }
    }
    sums
}

/// Absolute gradients across the boundary above `row`.
fn row_gradient(y: &[u8], width: usize, row: usize) -> impl Iterator<Item = i16> {
    let (above, below) = (&y[(row - 1) * width..][..width], &y[row * width..][..width]);
    above.iter().zip(below).map(|(&p, &q)| i16::from(p.abs_diff(q)))
}

fn excess(before: i16, here: i16, after: i16) -> i64 {
    i64::from(2 * here - before - after)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flat squares of pseudo-random level: 7 * 16 * 3 pixels wide, so that the lines of a 7-pixel lattice
    /// fall equally often on every phase of an 8- and a 16-pixel grid.
    const SIDE: usize = 336;

    fn squares(side: usize, phase: usize) -> Vec<u8> {
        let level = |x: usize, y: usize| {
            ((x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77))
                .wrapping_mul(0x2c1b_3c6d)
        };
        (0..SIDE * SIDE)
            .map(|i| 60 + (level((i % SIDE + phase) / side, i / SIDE / side) >> 24) as u8 / 3)
            .collect()
    }

    fn value(pixels: &[u8]) -> i64 {
        grid_sums(pixels, SIDE, SIDE).blockiness()
    }

    #[test]
    fn grids_of_both_sizes_and_any_phase_stand_out() {
        let natural = value(&squares(7, 2));
        for (side, phase) in [(8, 0), (8, 5), (16, 0), (16, 3)] {
            let found = value(&squares(side, phase));
            assert!(found > 10_000 && found > 4 * natural, "{side} {phase}: {found} against {natural}");
        }
    }

    #[test]
    fn flat_tiny_and_saturated_planes_are_defined() {
        assert_eq!(grid_sums(&[9; SIDE * SIDE], SIDE, SIDE).blockiness(), 0);
        for (width, height) in [(1, 1), (2, 2), (3, 1), (1, 3), (5, 4)] {
            let checker: Vec<u8> = (0..width * height).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
            assert!(grid_sums(&checker, width, height).blockiness() >= 0);
        }
    }

    #[test]
    fn sums_of_frames_add_in_any_order() {
        let parts = [squares(8, 0), squares(16, 3), squares(8, 5)].map(|p| grid_sums(&p, SIDE, SIDE));
        let mut forward = GridSums::default();
        parts.iter().for_each(|part| forward.add(part));
        let mut backward = GridSums::default();
        parts.iter().rev().for_each(|part| backward.add(part));
        assert_eq!(forward, backward);
    }
}
