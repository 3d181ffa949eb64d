//! Single 8-bit planes, their 2x2 pyramid, and edge replication.
//!
//! GPU sibling: one thread per output pixel; reads outside the plane clamp their coordinates.

/// An 8-bit plane `[height, width]` whose edges are replicated `MARGIN` pixels outwards, so that
/// a read at a coordinate up to `MARGIN` outside equals the read at the clamped coordinate.
#[derive(Clone, PartialEq, Eq)]
pub struct Plane {
    width: usize,
    height: usize,
    margin: usize,
    data: Vec<u8>,
}

impl Plane {
    /// Copies `pixels` `[height, width]` and replicates its edges `margin` pixels outwards.
    ///
    /// # Panics
    /// When `pixels` is empty or its length is not `width * height`: planes come from `Yuv420Clip`,
    /// which has checked both.
    pub fn new(pixels: &[u8], width: usize, height: usize, margin: usize) -> Self {
        assert!(width > 0 && height > 0 && pixels.len() == width * height, "plane sizes disagree");
        let mut data = Vec::with_capacity((width + 2 * margin) * (height + 2 * margin));
        for row in 0..height + 2 * margin {
            let source = row.saturating_sub(margin).min(height - 1);
            let line = &pixels[source * width..(source + 1) * width];
            data.resize(data.len() + margin, line[0]);
            data.extend_from_slice(line);
            data.resize(data.len() + margin, line[width - 1]);
        }
        Self { width, height, margin, data }
    }

    /// Width in pixels without margin.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels without margin.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `length` pixels of row `y` from column `x` on; coordinates may lie in the margin.
    ///
    /// # Panics
    /// When the run leaves the margin, as slices do.
    #[inline]
    pub fn run(&self, x: i32, y: i32, length: usize) -> &[u8] {
        let margin = self.margin as i32;
        let stride = self.width + 2 * self.margin;
        let start = (y + margin) as usize * stride + (x + margin) as usize;
        &self.data[start..start + length]
    }

    /// `N` pixels of row `y` from column `x` on, as [`Self::run`].
    ///
    /// # Panics
    /// When the run leaves the margin, as slices do.
    #[inline(always)]
    pub fn array<const N: usize>(&self, x: i32, y: i32) -> &[u8; N] {
        let margin = self.margin as i32;
        let stride = self.width + 2 * self.margin;
        let start = (y + margin) as usize * stride + (x + margin) as usize;
        // Cannot fail: the slice has N bytes.
        self.data[start..start + N].first_chunk().expect("N bytes")
    }

    /// The pixels without margin, row by row.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.height as i32).map(|y| self.run(0, y, self.width))
    }
}

/// Size of the next pyramid level: halves, rounded up.
pub fn half_size(width: usize, height: usize) -> (usize, usize) {
    (width.div_ceil(2), height.div_ceil(2))
}

/// 2x2 box downscale of `[height, width]` to `[ceil(height / 2), ceil(width / 2)]`.
///
/// `out = (a + b + c + d + 2) >> 2`; an odd last row or column is counted twice.
pub fn downscale(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let (out_width, out_height) = half_size(width, height);
    let mut out = vec![0u8; out_width * out_height];
    for (y, line) in out.chunks_exact_mut(out_width).enumerate() {
        let top = &pixels[2 * y * width..][..width];
        let low = (2 * y + 1).min(height - 1);
        let bottom = &pixels[low * width..][..width];
        for ((pixel, a), b) in line.iter_mut().zip(top.chunks_exact(2)).zip(bottom.chunks_exact(2)) {
            *pixel = box_of(a[0], a[1], b[0], b[1]);
        }
        if width % 2 == 1 {
            let (a, b) = (top[width - 1], bottom[width - 1]);
            line[out_width - 1] = box_of(a, a, b, b);
        }
    }
    out
}

fn box_of(a: u8, b: u8, c: u8, d: u8) -> u8 {
    ((u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d) + 2) >> 2) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn box_rounds_half_up_and_odd_edges_repeat() {
        // columns 0,1 | 2 (odd), rows 0,1 | 2 (odd)
        let pixels = [1, 2, 9, 3, 4, 9, 5, 6, 255];
        assert_eq!(downscale(&pixels, 3, 3), [3, 9, 6, 255]);
        assert_eq!(downscale(&[7], 1, 1), [7]);
    }

    #[test]
    fn margin_replicates_edges() {
        let plane = Plane::new(&[1, 2, 3, 4], 2, 2, 2);
        assert_eq!(plane.run(-2, -2, 6), [1, 1, 1, 2, 2, 2]);
        assert_eq!(plane.run(-2, 3, 6), [3, 3, 3, 4, 4, 4]);
        assert_eq!(plane.rows().collect::<Vec<_>>(), [[1, 2], [3, 4]]);
    }

    proptest! {
        #[test]
        fn downscale_stays_inside_the_range_of_its_input(
            (width, height, pixels) in (1usize..9, 1usize..9).prop_flat_map(|(w, h)| {
                (Just(w), Just(h), prop::collection::vec(any::<u8>(), w * h))
            })
        ) {
            let out = downscale(&pixels, width, height);
            prop_assert_eq!(out.len(), width.div_ceil(2) * height.div_ceil(2));
            let (low, high) = (pixels.iter().min(), pixels.iter().max());
            prop_assert!(out.iter().min() >= low && out.iter().max() <= high);
        }
    }
}
