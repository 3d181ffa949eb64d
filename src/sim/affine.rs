//! The dominant motion of a frame: one affine map, fitted so that what moves on its own is ignored.

use super::tracks::TrackPoint;

/// Grid points left out between two that are fitted.
const STEP: usize = 6;
/// Rounds of reweighting.
const ROUNDS: usize = 8;
/// Residual (half-size pixels) at which a point has lost half of its say.
const SCALE: f32 = 1.0;

/// `q = linear * p + offset`, in pixels of one grid.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Affine {
    /// Rows `[[a, b], [c, d]]`.
    pub linear: [[f32; 2]; 2],
    /// Offset `(x, y)`.
    pub offset: [f32; 2],
}

impl Affine {
    /// The map that changes nothing.
    pub const IDENTITY: Self = Self { linear: [[1.0, 0.0], [0.0, 1.0]], offset: [0.0; 2] };

    /// Where a point goes.
    pub fn apply(&self, p: [f32; 2]) -> [f32; 2] {
        std::array::from_fn(|r| self.linear[r][0] * p[0] + self.linear[r][1] * p[1] + self.offset[r])
    }

    /// The same motion at another strength: 0 is none, 1 is this one.
    pub fn scaled(&self, amount: f32) -> Self {
        let blend = |r: usize, c: usize| {
            let unit = Self::IDENTITY.linear[r][c];
            unit + amount * (self.linear[r][c] - unit)
        };
        Self {
            linear: [[blend(0, 0), blend(0, 1)], [blend(1, 0), blend(1, 1)]],
            offset: self.offset.map(|v| amount * v),
        }
    }

    /// The way back; the identity when the map is not invertible.
    pub fn inverse(&self) -> Self {
        let [[a, b], [c, d]] = self.linear;
        let determinant = a * d - b * c;
        if determinant.abs() < 1e-6 {
            return Self::IDENTITY;
        }
        let linear = [[d / determinant, -b / determinant], [-c / determinant, a / determinant]];
        let offset = std::array::from_fn(|r| -(linear[r][0] * self.offset[0] + linear[r][1] * self.offset[1]));
        Self { linear, offset }
    }

    /// Fits the motion of the seen points of a grid of the given width, each of which started at its
    /// own place; the identity where too few are seen.
    pub fn fit(points: &[TrackPoint], width: usize) -> Self {
        let height = points.len() / width;
        let sampled: Vec<([f32; 2], [f32; 2])> = (0..height)
            .step_by(STEP)
            .flat_map(|y| (0..width).step_by(STEP).map(move |x| (x, y)))
            .filter(|(x, y)| points[y * width + x].seen)
            .map(|(x, y)| ([x as f32, y as f32], points[y * width + x].at))
            .collect();
        if sampled.len() < 12 {
            return Self::IDENTITY;
        }
        // The median shift is a start that a large moving thing cannot pull along.
        let median = |c: usize| {
            let mut shifts: Vec<f32> = sampled.iter().map(|(p, q)| q[c] - p[c]).collect();
            let middle = shifts.len() / 2;
            *shifts.select_nth_unstable_by(middle, f32::total_cmp).1
        };
        let mut map = Self { offset: [median(0), median(1)], ..Self::IDENTITY };
        for _ in 0..ROUNDS {
            map = map.refitted(&sampled).unwrap_or(map);
        }
        map
    }

    /// One weighted least-squares fit with weights from the residuals of `self`.
    fn refitted(&self, sampled: &[([f32; 2], [f32; 2])]) -> Option<Self> {
        let mut normal = [[0.0f64; 3]; 3];
        let mut right = [[0.0f64; 3]; 2];
        for (p, q) in sampled {
            let r = self.apply(*p);
            let residual = (r[0] - q[0]).hypot(r[1] - q[1]) / SCALE;
            let weight = f64::from(1.0 / (1.0 + residual * residual).powi(2));
            let row = [f64::from(p[0]), f64::from(p[1]), 1.0];
            for i in 0..3 {
                (0..3).for_each(|j| normal[i][j] += weight * row[i] * row[j]);
                (0..2).for_each(|c| right[c][i] += weight * row[i] * f64::from(q[c]));
            }
        }
        let x = solve(normal, right[0])?;
        let y = solve(normal, right[1])?;
        Some(Self {
            linear: [[x[0] as f32, x[1] as f32], [y[0] as f32, y[1] as f32]],
            offset: [x[2] as f32, y[2] as f32],
        })
    }
}

/// Solves three equations by Cramer's rule; `None` when they are dependent.
fn solve(m: [[f64; 3]; 3], b: [f64; 3]) -> Option<[f64; 3]> {
    let det = |m: &[[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = det(&m);
    (whole.abs() > 1e-9).then(|| {
        std::array::from_fn(|c| {
            let mut replaced = m;
            (0..3).for_each(|r| replaced[r][c] = b[r]);
            det(&replaced) / whole
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_outliers_does_not_move_the_fit() {
        let truth = Affine { linear: [[1.03, -0.02], [0.01, 0.98]], offset: [4.0, -2.5] };
        let (w, h) = (104, 60);
        let points: Vec<TrackPoint> = (0..w * h)
            .map(|k| {
                let p = [(k % w) as f32, (k / w) as f32];
                let at = if k % w < w / 3 { [p[0] + 25.0, p[1] + 9.0] } else { truth.apply(p) };
                TrackPoint { at, seen: true }
            })
            .collect();
        let fit = Affine::fit(&points, w);
        for p in [[60.0, 10.0], [100.0, 50.0]] {
            let (a, b) = (fit.apply(p), truth.apply(p));
            assert!((a[0] - b[0]).hypot(a[1] - b[1]) < 0.1, "{a:?} against {b:?}");
        }
    }

    #[test]
    fn the_inverse_leads_back_and_half_strength_goes_half_way() {
        let map = Affine { linear: [[1.2, 0.1], [-0.05, 0.9]], offset: [3.0, 7.0] };
        let p = [12.0, 34.0];
        let back = map.inverse().apply(map.apply(p));
        assert!((back[0] - p[0]).hypot(back[1] - p[1]) < 1e-3);
        let (half, full) = (map.scaled(0.5).apply(p), map.apply(p));
        assert!((half[0] - (p[0] + full[0]) / 2.0).abs() < 1e-4);
    }

    #[test]
    fn unseen_points_give_no_motion() {
        let points = vec![TrackPoint { at: [9.0, 9.0], seen: false }; 400];
        assert_eq!(Affine::fit(&points, 20), Affine::IDENTITY);
    }
}
