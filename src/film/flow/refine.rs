//! Refinement: robust brightness constancy and robust smoothness, relaxed by successive over-relaxation.

use super::{FlowField, Plane};

/// Linearisations per call: each looks at the warped second image anew.
const WARPS: usize = 1;
/// Relaxation sweeps per linearisation.
const SWEEPS: usize = 4;
/// Over-relaxation factor.
const OMEGA: f32 = 1.2;
/// Weight of smoothness against brightness.
const SMOOTH: f32 = 3.0;
/// Softening of the robust functions, both in pixels squared.
const SOFT_DATA: f32 = 0.01;
const SOFT_FLOW: f32 = 0.01;
/// Squared gradient below which a pixel has little say.
const SOFT_CONTRAST: f32 = 4.0;

/// The linearised problem around one flow field.
struct System {
    /// Per pixel: gradient x, gradient y and difference of the warped second image.
    image: Vec<[f32; 3]>,
    /// Per pixel: smoothness weight to the right and to the lower neighbour.
    smooth: Vec<[f32; 2]>,
}

fn warp(to: &Plane, flow: &FlowField) -> Plane {
    let w = flow.width;
    let sample = |(k, v): (usize, &[f32; 2])| to.sample((k % w) as f32 + v[0], (k / w) as f32 + v[1]);
    Plane::new(w, flow.vectors.iter().enumerate().map(sample).collect())
}

fn linearise(from: &Plane, to: &Plane, flow: &FlowField) -> System {
    let (w, h) = (flow.width, flow.height);
    let warped = warp(to, flow);
    let mut image = vec![[0.0; 3]; w * h];
    let mut smooth = vec![[0.0; 2]; w * h];
    for y in 0..h {
        let (up, down) = (y.saturating_sub(1) * w, (y + 1).min(h - 1) * w);
        for x in 0..w {
            let (left, right, k) = (x.saturating_sub(1), (x + 1).min(w - 1), y * w + x);
            // The mean of both images' gradients is second-order accurate between them.
            let gx = warped.data[y * w + right] - warped.data[y * w + left] + from.data[y * w + right]
                - from.data[y * w + left];
            let gy = warped.data[down + x] - warped.data[up + x] + from.data[down + x] - from.data[up + x];
            image[k] = [0.25 * gx, 0.25 * gy, warped.data[k] - from.data[k]];
            let here = flow.vectors[k];
            let weight = |there: [f32; 2]| {
                let (du, dv) = (there[0] - here[0], there[1] - here[1]);
                SMOOTH / (du * du + dv * dv + SOFT_FLOW).sqrt()
            };
            smooth[k] = [
                if x + 1 < w { weight(flow.vectors[k + 1]) } else { 0.0 },
                if y + 1 < h { weight(flow.vectors[k + w]) } else { 0.0 },
            ];
        }
    }
    System { image, smooth }
}

/// One sweep over all pixels; `base` is the field that the system was linearised around.
fn sweep(system: &System, base: &[[f32; 2]], flow: &mut FlowField) {
    let (w, h) = (flow.width, flow.height);
    for y in 0..h {
        for x in 0..w {
            let k = y * w + x;
            let (mut weight, mut su, mut sv) = (0.0, 0.0, 0.0);
            let mut neighbour = |at: usize, strength: f32, flow: &FlowField| {
                weight += strength;
                su += strength * flow.vectors[at][0];
                sv += strength * flow.vectors[at][1];
            };
            if x > 0 {
                neighbour(k - 1, system.smooth[k - 1][0], flow);
            }
            if x + 1 < w {
                neighbour(k + 1, system.smooth[k][0], flow);
            }
            if y > 0 {
                neighbour(k - w, system.smooth[k - w][1], flow);
            }
            if y + 1 < h {
                neighbour(k + w, system.smooth[k][1], flow);
            }
            let [gx, gy, gt] = system.image[k];
            let [u0, v0] = base[k];
            let [u, v] = flow.vectors[k];
            let residual = gt + gx * (u - u0) + gy * (v - v0);
            // Divided by the gradient, the residual is a distance in pixels, whatever the contrast.
            let contrast = gx * gx + gy * gy + SOFT_CONTRAST;
            let trust = 1.0 / (contrast * (residual * residual / contrast + SOFT_DATA).sqrt());
            let (xx, yy, xy) = (trust * gx * gx + weight, trust * gy * gy + weight, trust * gx * gy);
            let rest = gt - gx * u0 - gy * v0;
            let new_u = (su - trust * gx * rest - xy * v) / xx;
            let u = u + OMEGA * (new_u - u);
            let new_v = (sv - trust * gy * rest - xy * u) / yy;
            flow.vectors[k] = [u, v + OMEGA * (new_v - v)];
        }
    }
}

/// Improves a field in place.
pub(super) fn refine(from: &Plane, to: &Plane, flow: &mut FlowField) {
    for _ in 0..WARPS {
        let system = linearise(from, to, flow);
        let base = flow.vectors.clone();
        for _ in 0..SWEEPS {
            sweep(&system, &base, flow);
        }
    }
}
