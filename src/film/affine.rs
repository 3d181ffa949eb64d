//! The dominant motion of a frame: one affine map, fitted so that what moves on its own is ignored.

/// Grid points left out between two that are fitted.
const STEP: usize = 6;
/// Rounds of reweighting.
const ROUNDS: usize = 8;
/// Residual (half-size pixels) at which a point has lost half of its say.
const SCALE: f32 = 0.25;
/// Movement of an image's corners (pixels) that is noise.
const STILL: f32 = 0.04;

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

    /// This map of what another map gives.
    pub fn after(&self, inner: &Self) -> Self {
        let [[a, b], [c, d]] = self.linear;
        let [[e, f], [g, h]] = inner.linear;
        Self {
            linear: [[a * e + b * g, a * f + b * h], [c * e + d * g, c * f + d * h]],
            offset: self.apply(inner.offset),
        }
    }

    /// Whether the map moves nothing of an image by more than the noise of its estimate.
    pub fn is_still(&self, width: usize, height: usize) -> bool {
        let (right, bottom) = (width as f32 - 1.0, height as f32 - 1.0);
        [[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]].into_iter().all(|p| {
            let q = self.apply(p);
            (q[0] - p[0]).hypot(q[1] - p[1]) < STILL
        })
    }

    /// Fits the dominant motion of displacements on a grid of the given width.
    pub fn fit(vectors: &[[f32; 2]], width: usize) -> Self {
        let height = vectors.len() / width;
        let sampled: Vec<([f32; 2], [f32; 2])> = (0..height)
            .step_by(STEP)
            .flat_map(|y| (0..width).step_by(STEP).map(move |x| (x, y)))
            .map(|(x, y)| {
                let (p, v) = ([x as f32, y as f32], vectors[y * width + x]);
                (p, [p[0] + v[0], p[1] + v[1]])
            })
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
        let vector = |k: usize| {
            let p = [(k % w) as f32, (k / w) as f32];
            let q = truth.apply(p);
            if k % w < w / 3 { [25.0, 9.0] } else { [q[0] - p[0], q[1] - p[1]] }
        };
        let fit = Affine::fit(&(0..w * h).map(vector).collect::<Vec<_>>(), w);
        for p in [[60.0, 10.0], [100.0, 50.0]] {
            let (a, b) = (fit.apply(p), truth.apply(p));
            assert!((a[0] - b[0]).hypot(a[1] - b[1]) < 0.1, "{a:?} against {b:?}");
        }
    }

    #[test]
    fn maps_apply_one_after_the_other() {
        let first = Affine { linear: [[1.2, 0.1], [-0.05, 0.9]], offset: [3.0, 7.0] };
        let second = Affine { linear: [[0.9, -0.2], [0.3, 1.1]], offset: [-2.0, 1.0] };
        let p = [12.0, 34.0];
        let (both, one_by_one) = (second.after(&first).apply(p), second.apply(first.apply(p)));
        assert!((both[0] - one_by_one[0]).hypot(both[1] - one_by_one[1]) < 1e-3);
        assert!(Affine::IDENTITY.is_still(400, 300) && !first.is_still(400, 300));
    }
}
