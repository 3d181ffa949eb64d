//! Mean colour distance of two frames after an 8x8 box: colour casts and exposure shifts.
//!
//! GPU sibling: one invocation per cell. Overflow: a cell's luma sum differs by at most
//! 64 * 255 = 16,320, and so do its chroma sums after scaling; three squares stay below 2^30 (u32).

use super::{
    fixed::{div_round, isqrt},
    frame::FrameView,
};

/// Side of a cell in luma pixels.
pub const CELL: usize = 8;

/// Mean Euclidean distance in YUV between the 8x8 box means of two frames, in 1/64 level.
///
/// Per cell `floor(sqrt(dY^2 + dU^2 + dV^2))` of 64 times the mean differences; cells that the frame
/// cuts off at its right and lower edge are left out. `None` when no whole cell fits.
///
/// # Panics
/// When a plane is shorter than `width * height` (chroma: half of each side), as slices do.
pub fn color_distance(a: &FrameView, b: &FrameView, width: usize, height: usize) -> Option<i64> {
    let (columns, rows) = (width / CELL, height / CELL);
    if columns * rows == 0 {
        return None;
    }
    let mut total = 0i64;
    for row in 0..rows {
        for column in 0..columns {
            let luma = cell_difference(a.y, b.y, width, column, row, CELL);
            let [u, v] = [(a.u, b.u), (a.v, b.v)]
                .map(|(p, q)| 4 * cell_difference(p, q, width / 2, column, row, CELL / 2));
            let square = luma * luma + u * u + v * v;
            total += isqrt(square as u64) as i64;
        }
    }
    Some(div_round(total, (columns * rows) as i64))
}

/// Sum over one cell of `a - b`.
fn cell_difference(a: &[u8], b: &[u8], stride: usize, column: usize, row: usize, side: usize) -> i32 {
    (row * side..(row + 1) * side)
        .map(|y| {
            let start = y * stride + column * side;
            let (line_a, line_b) = (&a[start..start + side], &b[start..start + side]);
            line_a.iter().zip(line_b).map(|(&p, &q)| i32::from(p) - i32::from(q)).sum::<i32>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(planes: &[u8], area: usize) -> FrameView<'_> {
        let (y, chroma) = planes.split_at(area);
        let (u, v) = chroma.split_at(area / 4);
        FrameView { y, u, v }
    }

    #[test]
    fn a_constant_cast_is_its_own_distance() {
        let (width, height) = (24, 18); // 2 rows of cells, two pixel rows left out
        let area = width * height;
        let a = vec![100u8; area * 3 / 2];
        let mut b = a.clone();
        b[..area].fill(103);
        b[area..area + area / 4].fill(104);
        assert_eq!(color_distance(&frame(&a, area), &frame(&b, area), width, height), Some(5 * 64));
        assert_eq!(color_distance(&frame(&a, area), &frame(&a, area), width, height), Some(0));
    }

    #[test]
    fn noise_of_zero_mean_is_not_a_cast_and_extremes_fit() {
        let (width, height) = (16, 16);
        let area = width * height;
        let a = vec![100u8; area * 3 / 2];
        let checker: Vec<u8> = (0..area * 3 / 2).map(|i| if i % 2 == 0 { 90 } else { 110 }).collect();
        assert_eq!(color_distance(&frame(&a, area), &frame(&checker, area), width, height), Some(0));
        let (black, white) = (vec![0u8; area * 3 / 2], vec![255u8; area * 3 / 2]);
        let far = color_distance(&frame(&black, area), &frame(&white, area), width, height);
        assert_eq!(far, Some(28_267)); // floor(16320 * sqrt(3))
        assert_eq!(color_distance(&frame(&a, area), &frame(&a, area), 4, 64), None);
    }
}
