//! How much a flow field deforms what it moves, beyond the global motion: things that melt and wobble.
//!
//! Runs on the host, on the lattice that a device hands over (`affine`). A rigid thing that moves or turns deforms only
//! along its outline; a picture that swims deforms everywhere.

use super::affine::{Global, Lattice};

/// Largest deformation of one cell, in units of 1/64 pixel a lattice step: outlines count no more than this.
const LARGEST: i32 = 128;

/// Deformation of the cells of a lattice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deformation {
    /// Cells whose four corners are seen.
    pub cells: i64,
    /// Sum over them, in 1/64 pixel of half-size luma a lattice step (8 pixels), at most 128 a cell.
    pub sum: i64,
}

impl Deformation {
    /// Of the residual motion of a lattice after its global motion.
    ///
    /// A cell's is the sum of absolute divergence, curl and both shears, each from differences of its corners summed over
    /// two edges. Residuals are within 2^17, differences within 2^20 (i32); 2^20 cells stay below 2^27.
    pub fn of(lattice: &Lattice, global: &Global) -> Self {
        let mut all = Self::default();
        let columns = lattice.columns;
        for upper in (0..lattice.rows.saturating_sub(1)).map(|row| row * columns) {
            for left in upper..upper + columns.saturating_sub(1) {
                let corners = [left, left + 1, left + columns, left + columns + 1];
                if corners.iter().all(|&corner| lattice.samples[corner].seen) {
                    let residuals = corners.map(|corner| global.left(lattice, corner));
                    all.cells += 1;
                    all.sum += i64::from(strain(residuals).min(LARGEST));
                }
            }
        }
        all
    }
}

/// Of one cell: corners above left, above right, below left, below right.
fn strain([a, b, c, d]: [(i32, i32); 4]) -> i32 {
    let across = |pick: fn((i32, i32)) -> i32| pick(b) + pick(d) - pick(a) - pick(c);
    let down = |pick: fn((i32, i32)) -> i32| pick(c) + pick(d) - pick(a) - pick(b);
    let (ux, uy) = (across(|p| p.0), down(|p| p.0));
    let (vx, vy) = (across(|p| p.1), down(|p| p.1));
    (ux + vy).abs() + (vx - uy).abs() + (ux - vy).abs() + (uy + vx).abs()
}

#[cfg(test)]
mod tests {
    use super::{super::affine::Sample, *};

    fn lattice(of: impl Fn(i32, i32) -> Option<(i32, i32)>) -> Lattice {
        let samples = (0..20 * 12)
            .map(|i| of(i % 20, i / 20).map_or(Sample::default(), |(x, y)| Sample { x, y, seen: true }))
            .collect();
        Lattice { columns: 20, rows: 12, samples }
    }

    fn deformed(lattice: &Lattice) -> Deformation {
        Deformation::of(lattice, &Global::fit(lattice))
    }

    #[test]
    fn global_motion_deforms_nothing_and_a_rigid_thing_its_outline_only() {
        let zoomed = deformed(&lattice(|x, y| Some((3 * x + y - 40, 2 * y - x))));
        assert_eq!(zoomed, Deformation { cells: 19 * 11, sum: 0 });
        let thing = deformed(&lattice(|x, y| Some(if x < 6 && y < 5 { (90, -300) } else { (7, 5) })));
        // Five cells down, six across and one corner touch the outline.
        assert_eq!(thing, Deformation { cells: 19 * 11, sum: (4 + 5 + 1) * 128 });
    }

    #[test]
    fn waves_deform_everywhere_and_what_is_not_seen_does_not_count() {
        let wave = |strength: f64| {
            deformed(&lattice(move |x, y| {
                let turn = |i: i32| (f64::from(i) / 1.5).sin() * strength;
                Some((turn(y) as i32, turn(x) as i32))
            }))
        };
        let (mild, strong) = (wave(8.0), wave(24.0));
        assert!(mild.sum > 209 * 8 && strong.sum > 2 * mild.sum, "{mild:?} {strong:?}");
        let holes = deformed(&lattice(|x, _| (x % 2 == 0).then_some((x, 3 * x))));
        assert_eq!(holes, Deformation::default());
        let one = Lattice { columns: 1, rows: 1, samples: vec![Sample::default()] };
        assert_eq!(deformed(&one), Deformation::default());
    }

    #[test]
    fn the_largest_vectors_do_not_overflow() {
        let far = 65_536 + 16_384;
        assert_eq!(strain([(-far, far), (far, -far), (far, -far), (-far, far)]), 0);
        assert_eq!(strain([(-far, -far), (far, far), (-far, -far), (far, far)]), 16 * far);
    }
}
