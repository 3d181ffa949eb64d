//! Inverse search: every patch of the first image is found again in the second by Gauss-Newton.

use super::{FlowField, Plane};

/// Side of a patch in pixels.
const PATCH: usize = 8;
/// Distance of neighbouring patches in pixels.
const STRIDE: usize = 4;
/// Gauss-Newton steps per patch.
const STEPS: usize = 10;
/// A step shorter than this (pixels, squared) ends the search.
const STILL: f32 = 0.01 * 0.01;
/// Added to the diagonal of a patch's normal matrix: grey values squared of gradient energy below
/// which a direction is too flat to be followed.
const FLAT: f32 = 32.0;
/// Pixels that a patch may lie outside of the image.
const PAD: usize = PATCH + 2;

type PatchPixels = [f32; PATCH * PATCH];

/// The second image with its border repeated, so that no access needs a check.
struct Padded {
    width: usize,
    data: Vec<f32>,
    limit: [f32; 2],
}

impl Padded {
    fn new(plane: &Plane) -> Self {
        let width = plane.width + 2 * PAD;
        let mut data = Vec::with_capacity(width * (plane.height + 2 * PAD));
        for y in 0..plane.height + 2 * PAD {
            let y = y.saturating_sub(PAD).min(plane.height - 1);
            let row = &plane.data[y * plane.width..(y + 1) * plane.width];
            data.extend(std::iter::repeat_n(row[0], PAD));
            data.extend_from_slice(row);
            data.extend(std::iter::repeat_n(row[plane.width - 1], PAD));
        }
        Self { width, data, limit: [plane.width as f32, plane.height as f32] }
    }

    /// The patch with its upper left pixel at a position; false when it lies outside the padding.
    fn patch(&self, x: f32, y: f32, out: &mut PatchPixels) -> bool {
        let low = -(PATCH as f32);
        if !(x >= low && y >= low && x <= self.limit[0] && y <= self.limit[1]) {
            return false;
        }
        let (px, py) = (x + PAD as f32, y + PAD as f32);
        let (ix, iy) = (px as usize, py as usize);
        let (fx, fy) = (px - ix as f32, py - iy as f32);
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        for (j, row) in out.chunks_exact_mut(PATCH).enumerate() {
            let top = &self.data[(iy + j) * self.width + ix..][..PATCH + 1];
            let bottom = &self.data[(iy + j + 1) * self.width + ix..][..PATCH + 1];
            for (i, value) in row.iter_mut().enumerate() {
                *value = weights[0] * top[i]
                    + weights[1] * top[i + 1]
                    + weights[2] * bottom[i]
                    + weights[3] * bottom[i + 1];
            }
        }
        true
    }
}

/// One patch of the first image, ready to be searched for.
struct Template {
    grey: PatchPixels,
    gradient: [PatchPixels; 2],
    inverse: [f32; 3],
    origin: [f32; 2],
}

fn remove_mean(values: &mut PatchPixels) {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    values.iter_mut().for_each(|v| *v -= mean);
}

impl Template {
    fn new(plane: &Plane, x: usize, y: usize) -> Self {
        let mut grey = [0.0; PATCH * PATCH];
        let mut gradient = [[0.0; PATCH * PATCH]; 2];
        for j in 0..PATCH {
            for i in 0..PATCH {
                let (px, py, k) = (x + i, y + j, j * PATCH + i);
                let row = py * plane.width;
                let (left, right) = (px.saturating_sub(1), (px + 1).min(plane.width - 1));
                let (up, down) = (py.saturating_sub(1), (py + 1).min(plane.height - 1));
                grey[k] = plane.data[row + px];
                gradient[0][k] = 0.5 * (plane.data[row + right] - plane.data[row + left]);
                gradient[1][k] =
                    0.5 * (plane.data[down * plane.width + px] - plane.data[up * plane.width + px]);
            }
        }
        // A patch is compared without its mean: a change of exposure is no motion.
        remove_mean(&mut grey);
        gradient.iter_mut().for_each(remove_mean);
        let dot = |a: &PatchPixels, b: &PatchPixels| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (xx, yy) = (dot(&gradient[0], &gradient[0]) + FLAT, dot(&gradient[1], &gradient[1]) + FLAT);
        let xy = dot(&gradient[0], &gradient[1]);
        let determinant = xx * yy - xy * xy;
        let inverse = [yy / determinant, -xy / determinant, xx / determinant];
        Self { grey, gradient, inverse, origin: [x as f32, y as f32] }
    }

    /// Squared difference to the second image at a displacement, and the next Gauss-Newton step.
    fn measure(&self, image: &Padded, at: [f32; 2]) -> Option<(f32, [f32; 2])> {
        let mut warped = [0.0; PATCH * PATCH];
        if !image.patch(self.origin[0] + at[0], self.origin[1] + at[1], &mut warped) {
            return None;
        }
        remove_mean(&mut warped);
        let (mut cost, mut bx, mut by) = (0.0, 0.0, 0.0);
        for (k, grey) in warped.into_iter().enumerate() {
            let residual = grey - self.grey[k];
            cost += residual * residual;
            bx += residual * self.gradient[0][k];
            by += residual * self.gradient[1][k];
        }
        let [a, b, c] = self.inverse;
        Some((cost, [a * bx + b * by, b * bx + c * by]))
    }

    /// Best of the starting points, followed downhill.
    fn search(&self, image: &Padded, starts: &[[f32; 2]]) -> [f32; 2] {
        let mut best: Option<(f32, [f32; 2], [f32; 2])> = None;
        for &start in starts {
            if let Some((cost, step)) = self.measure(image, start)
                && best.is_none_or(|(least, ..)| cost < least)
            {
                best = Some((cost, start, step));
            }
        }
        let Some((mut cost, mut at, mut step)) = best else { return starts[0] };
        let start = at;
        for _ in 0..STEPS {
            if step[0] * step[0] + step[1] * step[1] < STILL {
                break;
            }
            let next = [at[0] - step[0], at[1] - step[1]];
            // Farther than a patch from the start means that the patch was lost.
            if (next[0] - start[0]).hypot(next[1] - start[1]) > PATCH as f32 {
                return start;
            }
            let Some((new_cost, new_step)) = self.measure(image, next) else { break };
            if new_cost >= cost {
                break;
            }
            (cost, at, step) = (new_cost, next, new_step);
        }
        at
    }
}

/// Positions of patches along one side: every `STRIDE` pixels and one flush with the end.
fn positions(length: usize) -> Vec<usize> {
    let last = length - PATCH;
    let mut all: Vec<usize> = (0..=last).step_by(STRIDE).collect();
    if all.last() != Some(&last) {
        all.push(last);
    }
    all
}

/// Searches every patch, starting from `initial` and from its finished neighbours, and spreads the
/// patches' displacements over the pixels, weighted by how well each explains the pixel.
pub(super) fn inverse_search(from: &Plane, to: &Plane, initial: &FlowField) -> FlowField {
    let image = Padded::new(to);
    let (xs, ys) = (positions(from.width), positions(from.height));
    let mut found = vec![[0.0f32; 2]; xs.len() * ys.len()];
    let centre = (PATCH as f32 - 1.0) / 2.0;
    for (j, &y) in ys.iter().enumerate() {
        for (i, &x) in xs.iter().enumerate() {
            let mut starts = [initial.at(x as f32 + centre, y as f32 + centre); 4];
            starts[1] = [0.0; 2];
            if i > 0 {
                starts[2] = found[j * xs.len() + i - 1];
            }
            if j > 0 {
                starts[3] = found[(j - 1) * xs.len() + i];
            }
            found[j * xs.len() + i] = Template::new(from, x, y).search(&image, &starts);
        }
    }
    densify(from, &image, (&xs, &ys), &found)
}

fn densify(from: &Plane, image: &Padded, (xs, ys): (&[usize], &[usize]), found: &[[f32; 2]]) -> FlowField {
    let mut sums = vec![[0.0f32; 3]; from.width * from.height];
    let mut warped = [0.0; PATCH * PATCH];
    for (j, &y) in ys.iter().enumerate() {
        for (i, &x) in xs.iter().enumerate() {
            let [u, v] = found[j * xs.len() + i];
            if !image.patch(x as f32 + u, y as f32 + v, &mut warped) {
                continue;
            }
            for (row, values) in warped.chunks_exact(PATCH).enumerate() {
                let at = (y + row) * from.width + x;
                for (k, value) in values.iter().enumerate() {
                    let weight = 1.0 / (value - from.data[at + k]).abs().max(1.0);
                    let sum = &mut sums[at + k];
                    sum[0] += weight;
                    sum[1] += weight * u;
                    sum[2] += weight * v;
                }
            }
        }
    }
    let vector = |s: &[f32; 3]| if s[0] > 0.0 { [s[1] / s[0], s[2] / s[0]] } else { [0.0; 2] };
    FlowField { width: from.width, height: from.height, vectors: sums.iter().map(vector).collect() }
}
