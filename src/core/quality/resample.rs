//! Exact integer resampling of 8-bit planes: the reference clips' only scaler.
//!
//! Each axis is handled on its own. Shrinking takes the area average (every source pixel weighs as
//! much as the output pixel covers of it); growing interpolates linearly between pixel centres;
//! equal sizes copy. The weights of both are rational numbers, so the two passes are summed in
//! integers and divided **once**, rounding half up: equal input gives equal bytes on every machine.
//!
//! A chroma plane is scaled on its own grid with the same rule. Against left-sited chroma (what
//! most encoders assume) that is a horizontal shift of at most a quarter of a chroma pixel.

/// Largest side of a plane, in pixels.
pub const MAX_SIDE: usize = 4096;

/// A rectangle of a plane, in that plane's pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Area {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// One 8-bit plane `[height, width]` without row padding.
#[derive(Clone, Copy)]
pub struct PlaneRef<'a> {
    /// Pixels, row by row.
    pub data: &'a [u8],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Why a plane could not be resampled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResampleError {
    /// The pixels do not fill `width * height`.
    #[error("plane of {width}x{height} needs {expected} bytes, got {got}")]
    PlaneSize {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes that a plane of this size has.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The crop leaves the plane or is empty.
    #[error("crop {crop:?} does not lie inside a plane of {width}x{height}")]
    Crop {
        /// The rectangle.
        crop: Area,
        /// Columns of the plane.
        width: usize,
        /// Rows of the plane.
        height: usize,
    },
    /// A side of the output is zero or above [`MAX_SIDE`].
    #[error("output of {width}x{height}: each side must be 1..={MAX_SIDE}")]
    Output {
        /// Columns asked for.
        width: usize,
        /// Rows asked for.
        height: usize,
    },
}

/// What one output pixel takes from one axis: `weights[k]` of source pixel `first + k`.
struct Tap {
    first: usize,
    weights: Vec<u32>,
}

/// The taps of one axis; every tap's weights sum to `denominator`.
struct Axis {
    denominator: u64,
    taps: Vec<Tap>,
}

impl Axis {
    fn new(source: usize, target: usize) -> Self {
        if target < source { Self::area(source, target) } else { Self::linear(source, target) }
    }

    /// Output `i` covers `[i * source, (i + 1) * source)` in units of `1 / target` source pixels,
    /// source pixel `j` covers `[j * target, (j + 1) * target)`: the overlap is an integer.
    fn area(source: usize, target: usize) -> Self {
        let tap = |i: usize| {
            let (begin, end) = (i * source, (i + 1) * source);
            let (first, last) = (begin / target, (end - 1) / target);
            let overlap = |j: usize| (end.min((j + 1) * target) - begin.max(j * target)) as u32;
            Tap { first, weights: (first..=last).map(overlap).collect() }
        };
        Self { denominator: source as u64, taps: (0..target).map(tap).collect() }
    }

    /// Output centre `(i + 1/2) * source / target - 1/2` in source pixels, as a fraction over
    /// `2 * target`; positions outside the first and last centre take the border pixel.
    fn linear(source: usize, target: usize) -> Self {
        let whole = 2 * target;
        let tap = |i: usize| {
            let position = ((2 * i + 1) * source).saturating_sub(target);
            let (first, fraction) = (position / whole, position % whole);
            if fraction == 0 || first + 1 >= source {
                Tap { first: first.min(source - 1), weights: vec![whole as u32] }
            } else {
                Tap { first, weights: vec![(whole - fraction) as u32, fraction as u32] }
            }
        };
        Self { denominator: whole as u64, taps: (0..target).map(tap).collect() }
    }
}

/// A prepared scaling from one crop to one size, reusable for every frame of a clip.
pub struct Resampler {
    source_width: usize,
    source_height: usize,
    crop: Area,
    columns: Axis,
    rows: Axis,
}

impl Resampler {
    /// Prepares scaling of `crop` inside planes of `source` `(width, height)` to `target`
    /// `(width, height)`.
    pub fn new(source: (usize, usize), crop: Area, target: (usize, usize)) -> Result<Self, ResampleError> {
        let (width, height) = source;
        let inside = crop.width > 0
            && crop.height > 0
            && crop.x.checked_add(crop.width).is_some_and(|right| right <= width)
            && crop.y.checked_add(crop.height).is_some_and(|bottom| bottom <= height);
        if !inside || width > MAX_SIDE || height > MAX_SIDE {
            return Err(ResampleError::Crop { crop, width, height });
        }
        let fits = |side: usize| (1..=MAX_SIDE).contains(&side);
        if !fits(target.0) || !fits(target.1) {
            return Err(ResampleError::Output { width: target.0, height: target.1 });
        }
        Ok(Self {
            source_width: width,
            source_height: height,
            crop,
            columns: Axis::new(crop.width, target.0),
            rows: Axis::new(crop.height, target.1),
        })
    }

    /// Scales one plane; the result is `[target height, target width]` without padding.
    pub fn apply(&self, plane: PlaneRef<'_>) -> Result<Vec<u8>, ResampleError> {
        let expected = self.source_width * self.source_height;
        let fits = plane.width == self.source_width && plane.height == self.source_height;
        if !fits || plane.data.len() != expected {
            let (width, height) = (self.source_width, self.source_height);
            return Err(ResampleError::PlaneSize { width, height, expected, got: plane.data.len() });
        }
        let width = self.columns.taps.len();
        let sums = self.sum_columns(plane.data);
        // Bounds: a column sum is at most 255 * 8192, a full sum at most 255 * 8192 * 8192 < 2^35.
        let divisor = self.columns.denominator * self.rows.denominator;
        let mut out = Vec::with_capacity(width * self.rows.taps.len());
        let mut line = vec![0u64; width];
        for tap in &self.rows.taps {
            line.fill(divisor / 2);
            for (k, &weight) in tap.weights.iter().enumerate() {
                let row = &sums[(tap.first + k) * width..][..width];
                for (total, &sum) in line.iter_mut().zip(row) {
                    *total += u64::from(sum) * u64::from(weight);
                }
            }
            out.extend(line.iter().map(|&total| (total / divisor) as u8));
        }
        Ok(out)
    }

    /// Weighted sums along each row of the crop, `[crop height, target width]`.
    fn sum_columns(&self, data: &[u8]) -> Vec<u32> {
        let mut sums = Vec::with_capacity(self.columns.taps.len() * self.crop.height);
        for y in self.crop.y..self.crop.y + self.crop.height {
            let row = &data[y * self.source_width + self.crop.x..][..self.crop.width];
            sums.extend(self.columns.taps.iter().map(|tap| {
                let pixels = &row[tap.first..][..tap.weights.len()];
                pixels.iter().zip(&tap.weights).map(|(&p, &w)| u32::from(p) * w).sum::<u32>()
            }));
        }
        sums
    }
}

/// Scales `crop` of one plane to `width` x `height`; see the module for the rule.
pub fn resample_plane(
    plane: PlaneRef<'_>,
    crop: Area,
    width: usize,
    height: usize,
) -> Result<Vec<u8>, ResampleError> {
    Resampler::new((plane.width, plane.height), crop, (width, height))?.apply(plane)
}

/// Size of the thumbnail that [`thumbnail`] makes of a plane: each side cut to its maximum.
pub fn thumbnail_size(width: usize, height: usize, max: (usize, usize)) -> (usize, usize) {
    (width.min(max.0), height.min(max.1))
}

/// Box average of a plane on a fixed grid of at most `max` `(width, height)` cells, rounding half
/// up; the cells are whole pixels (`floor(i * side / cells)`), the aspect is not kept.
pub fn thumbnail(plane: PlaneRef<'_>, max: (usize, usize)) -> Result<Vec<u8>, ResampleError> {
    let (width, height) = (plane.width, plane.height);
    let expected = width * height;
    if expected == 0 || plane.data.len() != expected {
        return Err(ResampleError::PlaneSize { width, height, expected, got: plane.data.len() });
    }
    let (columns, rows) = thumbnail_size(width, height, max);
    if columns == 0 || rows == 0 {
        return Err(ResampleError::Output { width: columns, height: rows });
    }
    let edges: Vec<usize> = (0..=columns).map(|x| x * width / columns).collect();
    let mut out = Vec::with_capacity(columns * rows);
    let mut sums = vec![0u64; columns];
    for cell in 0..rows {
        let (top, bottom) = (cell * height / rows, (cell + 1) * height / rows);
        sums.fill(0);
        for y in top..bottom {
            let row = &plane.data[y * width..][..width];
            for (sum, edge) in sums.iter_mut().zip(edges.windows(2)) {
                // A cell is at most 4096 wide: its row sum fits u32.
                *sum += u64::from(row[edge[0]..edge[1]].iter().map(|&p| u32::from(p)).sum::<u32>());
            }
        }
        out.extend(sums.iter().zip(edges.windows(2)).map(|(&sum, edge)| {
            let pixels = ((edge[1] - edge[0]) * (bottom - top)) as u64;
            ((sum + pixels / 2) / pixels) as u8
        }));
    }
    Ok(out)
}

/// Full-range luma 0..=255 to limited range 16..=235, rounding half up, in place.
pub fn limit_luma_range(plane: &mut [u8]) {
    for pixel in plane {
        *pixel = (16 + (u32::from(*pixel) * 219 + 127) / 255) as u8;
    }
}

/// Full-range chroma 0..=255 around 128 to limited range 16..=240, rounding half up, in place.
pub fn limit_chroma_range(plane: &mut [u8]) {
    for pixel in plane {
        // 128 + (c - 128) * 224 / 255, with the sum kept positive for the integer division.
        *pixel = ((u32::from(*pixel) * 224 + 128 * 31 + 127) / 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(width: usize, height: usize) -> Area {
        Area { x: 0, y: 0, width, height }
    }

    fn plane(data: &[u8], width: usize, height: usize) -> PlaneRef<'_> {
        PlaneRef { data, width, height }
    }

    #[test]
    fn halving_is_the_mean_of_four_rounded_half_up() {
        let data = [0, 1, 10, 20, 1, 0, 30, 41];
        let out = resample_plane(plane(&data, 4, 2), whole(4, 2), 2, 1).expect("valid");
        assert_eq!(out, [1, 25]); // 2/4 = 0.5 -> 1, 101/4 = 25.25 -> 25
    }

    #[test]
    fn three_to_two_weighs_the_shared_pixel_by_its_halves() {
        let out = resample_plane(plane(&[0, 90, 255], 3, 1), whole(3, 1), 2, 1).expect("valid");
        assert_eq!(out, [30, 200]); // (0*2 + 90)/3, (90 + 255*2)/3
    }

    #[test]
    fn doubling_interpolates_between_centres_and_holds_the_border() {
        let out = resample_plane(plane(&[0, 100], 2, 1), whole(2, 1), 4, 1).expect("valid");
        assert_eq!(out, [0, 25, 75, 100]);
    }

    #[test]
    fn one_axis_may_grow_while_the_other_shrinks() {
        let out = resample_plane(plane(&[0, 200, 100, 100], 2, 2), whole(2, 2), 4, 1).expect("valid");
        assert_eq!(out, [50, 75, 125, 150]);
    }

    #[test]
    fn a_crop_takes_only_its_own_pixels() {
        let mut data = vec![255; 36];
        for y in 2..4 {
            data[y * 6 + 2..y * 6 + 4].fill(7);
        }
        let crop = Area { x: 2, y: 2, width: 2, height: 2 };
        assert_eq!(resample_plane(plane(&data, 6, 6), crop, 5, 3).expect("valid"), vec![7; 15]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let data = [0; 16];
        let outside = Area { x: 2, y: 0, width: 3, height: 4 };
        assert!(matches!(resample_plane(plane(&data, 4, 4), outside, 2, 2), Err(ResampleError::Crop { .. })));
        let wrapping = Area { x: usize::MAX, y: 0, width: 2, height: 1 };
        assert!(resample_plane(plane(&data, 4, 4), wrapping, 2, 2).is_err());
        assert!(matches!(
            resample_plane(plane(&data, 4, 4), whole(4, 4), 0, 2),
            Err(ResampleError::Output { .. })
        ));
        assert!(matches!(
            resample_plane(plane(&data[1..], 4, 4), whole(4, 4), 2, 2),
            Err(ResampleError::PlaneSize { .. })
        ));
        assert!(thumbnail(plane(&[], 0, 0), (4, 4)).is_err());
    }

    #[test]
    fn a_thumbnail_averages_whole_pixels_and_never_grows() {
        let data: Vec<u8> = (0..15).map(|i| i * 10).collect(); // 5x3
        let out = thumbnail(plane(&data, 5, 3), (2, 1)).expect("valid");
        // columns 0..2 and 2..5 over all three rows
        assert_eq!(out, [55, 80]);
        assert_eq!(thumbnail(plane(&data, 5, 3), (64, 36)).expect("valid"), data);
    }

    #[test]
    fn full_range_ends_meet_the_limited_ends() {
        let mut luma = [0, 128, 255];
        limit_luma_range(&mut luma);
        assert_eq!(luma, [16, 126, 235]);
        let mut chroma = [0, 128, 255];
        limit_chroma_range(&mut chroma);
        assert_eq!(chroma, [16, 128, 240]);
    }

    prop_compose! {
        fn any_plane()(width in 1usize..40, height in 1usize..40)
            (data in prop::collection::vec(any::<u8>(), width * height), width in Just(width), height in Just(height))
            -> (Vec<u8>, usize, usize) { (data, width, height) }
    }

    proptest! {
        #[test]
        fn a_constant_stays_constant(value: u8, w in 1usize..70, h in 1usize..70, tw in 1usize..70, th in 1usize..70) {
            let data = vec![value; w * h];
            let out = resample_plane(plane(&data, w, h), whole(w, h), tw, th).unwrap();
            prop_assert_eq!(out, vec![value; tw * th]);
            let thumb = thumbnail(plane(&data, w, h), (tw, th)).unwrap();
            prop_assert!(thumb.iter().all(|&p| p == value));
        }

        #[test]
        fn equal_sizes_copy((data, w, h) in any_plane()) {
            prop_assert_eq!(resample_plane(plane(&data, w, h), whole(w, h), w, h).unwrap(), data);
        }

        #[test]
        fn output_stays_inside_the_input((data, w, h) in any_plane(), tw in 1usize..90, th in 1usize..90) {
            let out = resample_plane(plane(&data, w, h), whole(w, h), tw, th).unwrap();
            let (low, high) = (*data.iter().min().unwrap(), *data.iter().max().unwrap());
            prop_assert_eq!(out.len(), tw * th);
            prop_assert!(out.iter().all(|p| (low..=high).contains(p)));
        }

        #[test]
        fn weights_always_sum_to_the_denominator(source in 1usize..600, target in 1usize..600) {
            let axis = Axis::new(source, target);
            for tap in &axis.taps {
                prop_assert_eq!(tap.weights.iter().map(|&w| u64::from(w)).sum::<u64>(), axis.denominator);
                prop_assert!(tap.first + tap.weights.len() <= source);
            }
        }

        #[test]
        fn shrinking_keeps_the_mean_within_rounding((data, w, h) in any_plane(), tw in 1usize..40, th in 1usize..40) {
            prop_assume!(tw <= w && th <= h);
            let out = resample_plane(plane(&data, w, h), whole(w, h), tw, th).unwrap();
            let mean = |p: &[u8]| p.iter().map(|&v| f64::from(v)).sum::<f64>() / p.len() as f64;
            prop_assert!((mean(&out) - mean(&data)).abs() <= 0.5 + 1e-9);
        }
    }
}
