//! Dense optical flow for the stand-in miners: inverse search on a pyramid, then refinement.
//!
//! This is the simulation's own estimator in floating point, apart from the validator's integer
//! kernels on purpose: a stand-in that shared its judge's flow would flatter both. Search after
//! Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (2016); refinement after Brox et
//! al., "High accuracy optical flow estimation based on a theory for warping" (2004).

mod refine;
mod search;

use crate::quality::frame::FrameView;

/// A grey image `[height, width]`, values 0..255.
#[derive(Clone, PartialEq, Debug)]
pub struct Plane {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

impl Plane {
    /// A plane from rows of `width` values.
    ///
    /// # Panics
    /// When the values do not fill whole rows.
    pub fn new(width: usize, data: Vec<f32>) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "a plane is made of whole rows");
        Self { width, height: data.len() / width, data }
    }

    /// The luma of a frame at half its size: the mean of every 2x2 block.
    pub fn half_luma(frame: FrameView<'_>, width: usize) -> Self {
        let rows = frame.y.chunks_exact(2 * width);
        let data = rows
            .flat_map(|pair| {
                let (top, bottom) = pair.split_at(width);
                top.chunks_exact(2).zip(bottom.chunks_exact(2)).map(|(a, b)| {
                    (u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1])) as f32 * 0.25
                })
            })
            .collect();
        Self::new(width / 2, data)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Value at a position, bilinear; positions outside take the nearest pixel.
    pub fn sample(&self, x: f32, y: f32) -> f32 {
        let (at, fx, fy) = bilinear_cell(self.width, self.height, x, y);
        let (d, w) = (&self.data, self.width);
        let top = d[at] + (d[at + 1] - d[at]) * fx;
        let bottom = d[at + w] + (d[at + w + 1] - d[at + w]) * fx;
        top + (bottom - top) * fy
    }

    /// Every pixel as the mean of the 3x3 around it.
    pub fn smoothed(&self) -> Self {
        let (w, h) = (self.width, self.height);
        let mean = |k: usize| {
            let (x, y) = (k % w, k / w);
            let columns = [x.saturating_sub(1), x, (x + 1).min(w - 1)];
            let rows = [y.saturating_sub(1), y, (y + 1).min(h - 1)];
            rows.iter().flat_map(|j| columns.map(|i| self.data[j * w + i])).sum::<f32>() / 9.0
        };
        Self::new(w, (0..w * h).map(mean).collect())
    }

    /// Half the size by a [1 3 3 1] / 8 filter in both directions, so that coarse pixel `i` lies
    /// between fine pixels `2i` and `2i + 1`.
    fn reduced(&self) -> Self {
        let (w, h) = (self.width / 2, self.height / 2);
        let mut across = vec![0.0; w * self.height];
        for (row, out) in self.data.chunks_exact(self.width).zip(across.chunks_exact_mut(w)) {
            for (i, value) in out.iter_mut().enumerate() {
                let at = |d: isize| row[(2 * i as isize + d).clamp(0, self.width as isize - 1) as usize];
                *value = (at(-1) + at(2) + 3.0 * (at(0) + at(1))) * 0.125;
            }
        }
        let mut data = vec![0.0; w * h];
        for (j, out) in data.chunks_exact_mut(w).enumerate() {
            let row = |d: isize| {
                let y = (2 * j as isize + d).clamp(0, self.height as isize - 1) as usize;
                &across[y * w..(y + 1) * w]
            };
            let (a, b, c, d) = (row(-1), row(0), row(1), row(2));
            for (i, value) in out.iter_mut().enumerate() {
                *value = (a[i] + d[i] + 3.0 * (b[i] + c[i])) * 0.125;
            }
        }
        Self::new(w, data)
    }
}

/// Index of the upper left pixel of the cell around a position, and the position inside it.
fn bilinear_cell(width: usize, height: usize, x: f32, y: f32) -> (usize, f32, f32) {
    let x = x.clamp(0.0, width as f32 - 1.001);
    let y = y.clamp(0.0, height as f32 - 1.001);
    let (ix, iy) = (x as usize, y as usize);
    (iy * width + ix, x - ix as f32, y - iy as f32)
}

/// Displacements `[height, width]` in pixels: the content at `p` in one image is at `p + at(p)` in
/// the other.
#[derive(Clone, PartialEq, Debug)]
pub struct FlowField {
    width: usize,
    height: usize,
    vectors: Vec<[f32; 2]>,
}

impl FlowField {
    fn zero(width: usize, height: usize) -> Self {
        Self { width, height, vectors: vec![[0.0; 2]; width * height] }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All displacements `(x, y)`, row by row.
    pub fn vectors(&self) -> &[[f32; 2]] {
        &self.vectors
    }

    /// Displacement at a position, bilinear; positions outside take the nearest pixel.
    pub fn at(&self, x: f32, y: f32) -> [f32; 2] {
        let (at, fx, fy) = bilinear_cell(self.width, self.height, x, y);
        let (v, w) = (&self.vectors, self.width);
        std::array::from_fn(|c| {
            let top = v[at][c] + (v[at + 1][c] - v[at][c]) * fx;
            let bottom = v[at + w][c] + (v[at + w + 1][c] - v[at + w][c]) * fx;
            top + (bottom - top) * fy
        })
    }

    /// The field on the next finer level of a pyramid: twice the displacements.
    fn expanded(&self, width: usize, height: usize) -> Self {
        let mut vectors = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let [u, v] = self.at((x as f32 - 0.5) * 0.5, (y as f32 - 0.5) * 0.5);
                vectors.push([2.0 * u, 2.0 * v]);
            }
        }
        Self { width, height, vectors }
    }
}

/// An image at all sizes, each half the one before, down to a shorter side of at least 24 pixels.
pub struct Pyramid {
    levels: Vec<Plane>,
}

impl Pyramid {
    /// Builds all sizes of an image.
    pub fn new(plane: Plane) -> Self {
        let mut levels = vec![plane];
        while let Some(last) = levels.last().filter(|p| p.width.min(p.height) >= 48) {
            let next = last.reduced();
            levels.push(next);
        }
        Self { levels }
    }

    /// The image in its own size.
    pub fn base(&self) -> &Plane {
        &self.levels[0]
    }
}

/// How much work an estimate is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// Down to the image's own size.
    Full,
    /// Stops one level above it: a quarter of the time, for consistency checks.
    Coarse,
}

/// Flow from one image to the next. Both pyramids stand on images of the same size of at least
/// 24x24 pixels; the field has that size with either effort.
pub fn estimate(from: &Pyramid, to: &Pyramid, effort: Effort) -> FlowField {
    let finest = if effort == Effort::Full { 0 } else { (from.levels.len() - 1).min(1) };
    let coarsest = &from.levels[from.levels.len() - 1];
    let mut flow = FlowField::zero(coarsest.width, coarsest.height);
    for level in (finest..from.levels.len()).rev() {
        let (a, b) = (&from.levels[level], &to.levels[level]);
        if (flow.width, flow.height) != (a.width, a.height) {
            flow = flow.expanded(a.width, a.height);
        }
        flow = search::inverse_search(a, b, &flow);
        refine::refine(a, b, &mut flow);
    }
    let base = from.base();
    if finest > 0 { flow.expanded(base.width, base.height) } else { flow }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Texture;

    fn pair(size: (usize, usize), warp: impl Fn(f32, f32) -> (f32, f32)) -> (Pyramid, Pyramid) {
        let texture = Texture::new(7);
        let (w, h) = size;
        let draw = |map: &dyn Fn(f32, f32) -> (f32, f32)| {
            let at = |i: usize| map((i % w) as f32, (i / w) as f32);
            Pyramid::new(Plane::new(w, (0..w * h).map(|i| texture.at(at(i).0, at(i).1)).collect()))
        };
        (draw(&|x, y| (x, y)), draw(&warp))
    }

    /// Mean endpoint error away from the border, where the truth leaves the image.
    fn mean_error(flow: &FlowField, border: usize, truth: impl Fn(f32, f32) -> (f32, f32)) -> f32 {
        let (mut sum, mut count) = (0.0, 0);
        for y in border..flow.height - border {
            for x in border..flow.width - border {
                let (u, v) = truth(x as f32, y as f32);
                let got = flow.vectors[y * flow.width + x];
                sum += (got[0] - u).hypot(got[1] - v);
                count += 1;
            }
        }
        sum / count as f32
    }

    #[test]
    fn shifts_are_found_to_a_tenth_of_a_pixel() {
        for (u, v) in [(1.0, 0.0), (0.4, -0.7), (-6.3, 2.5), (11.0, 9.0)] {
            // Content at p moves to p + (u, v), so the second image at q shows the first at q - (u, v).
            let (a, b) = pair((208, 120), |x, y| (x - u, y - v));
            let error = mean_error(&estimate(&a, &b, Effort::Full), 16, |_, _| (u, v));
            assert!(error < 0.1, "shift {u},{v}: mean endpoint error {error}");
        }
    }

    #[test]
    fn a_wavy_warp_is_found_below_half_a_pixel() {
        let wave = |x: f32, y: f32| (3.0 * (y / 17.0).sin(), 2.0 * (x / 23.0).cos());
        let (a, b) = pair((208, 120), |x, y| {
            let (u, v) = wave(x, y);
            (x - u, y - v)
        });
        // The warp is given on the second image's grid, so the flow from second to first is exact.
        let error = mean_error(&estimate(&b, &a, Effort::Full), 8, |x, y| {
            let (u, v) = wave(x, y);
            (-u, -v)
        });
        assert!(error < 0.25, "mean endpoint error {error}");
        let coarse = mean_error(&estimate(&b, &a, Effort::Coarse), 8, |x, y| {
            let (u, v) = wave(x, y);
            (-u, -v)
        });
        assert!(coarse < 0.5, "coarse mean endpoint error {coarse}");
    }

    #[test]
    fn a_rotation_with_zoom_is_found_below_half_a_pixel() {
        let map = |x: f32, y: f32| {
            let (dx, dy) = (x - 104.0, y - 60.0);
            (0.02 * dx - 0.05 * dy, 0.05 * dx + 0.02 * dy)
        };
        let (a, b) = pair((208, 120), |x, y| (x + map(x, y).0, y + map(x, y).1));
        let error = mean_error(&estimate(&b, &a, Effort::Full), 8, map);
        assert!(error < 0.25, "mean endpoint error {error}");
    }

    #[test]
    fn equal_images_have_no_flow() {
        let (a, b) = pair((96, 64), |x, y| (x, y));
        let worst =
            estimate(&a, &b, Effort::Full).vectors.iter().map(|v| v[0].hypot(v[1])).fold(0.0, f32::max);
        assert!(worst < 0.01, "{worst}");
    }

    #[test]
    fn a_moving_square_keeps_a_still_background_still() {
        let texture = Texture::new(3);
        let other = Texture::new(11);
        let (w, h, shift) = (160usize, 96usize, 5.0f32);
        let draw = |dx: f32| {
            let pixel = |i: usize| {
                let (x, y) = ((i % w) as f32, (i / w) as f32);
                let inside = (60.0..92.0).contains(&(x - dx)) && (32.0..64.0).contains(&y);
                if inside { other.at(x - dx, y) } else { texture.at(x, y) }
            };
            Pyramid::new(Plane::new(w, (0..w * h).map(pixel).collect()))
        };
        let flow = estimate(&draw(0.0), &draw(shift), Effort::Full);
        let inside = flow.at(76.0, 48.0);
        assert!((inside[0] - shift).abs() < 0.3 && inside[1].abs() < 0.3, "square: {inside:?}");
        for (x, y) in [(20.0, 20.0), (140.0, 80.0), (76.0, 12.0), (40.0, 48.0)] {
            let still = flow.at(x, y);
            assert!(still[0].hypot(still[1]) < 0.2, "background at {x},{y}: {still:?}");
        }
    }
}
