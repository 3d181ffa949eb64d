//! Perceptual hash of a frame: 64 bits that survive coding, scaling and a change of brightness.
//!
//! The difference hash ("dHash", N. Krawetz, *Kind of Like That*, 2013) on the mosaic: the luma cells are averaged into 9
//! columns by 8 rows (column `i` holds the cells `i * columns / 9 .. (i + 1) * columns / 9`, rows likewise, at least
//! one); a bit is set where a mean is less than its right neighbour's. Row by row from the upper left, highest bit first.

use super::mosaic::Mosaic;

/// Columns of means; a row has one bit less.
const COLUMNS: usize = 9;
/// Rows of means.
const ROWS: usize = 8;

/// Hash of one frame.
///
/// # Panics
/// When there is no such frame, as slices do.
pub fn hash(mosaic: &Mosaic, frame: usize) -> u64 {
    let cells = &mosaic.frames[frame];
    let (columns, rows) = (mosaic.columns(), mosaic.rows());
    let part = |index: usize, parts: usize, length: usize| {
        let first = (index * length / parts).min(length - 1);
        first..((index + 1) * length / parts).max(first + 1)
    };
    let mut bits = 0u64;
    for row in 0..ROWS {
        let mean = |column: usize| {
            let (mut sum, mut pixels) = (0u64, 0u64);
            for y in part(row, ROWS, rows) {
                for x in part(column, COLUMNS, columns) {
                    sum += u64::from(cells[y * columns + x].y);
                    pixels += mosaic.pixels(x, y) as u64;
                }
            }
            (sum, pixels)
        };
        for column in 0..COLUMNS - 1 {
            let ((left, n), (right, m)) = (mean(column), mean(column + 1));
            // Cross-multiplied, so that nothing is rounded; sums stay below 2^32, so products below 2^56.
            bits = bits << 1 | u64::from(left * m < right * n);
        }
    }
    bits
}

/// Hashes of all frames.
pub fn track(mosaic: &Mosaic) -> Vec<u64> {
    (0..mosaic.frames.len()).map(|frame| hash(mosaic, frame)).collect()
}

/// Differing bits of two hashes.
pub fn apart(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::frame::Yuv420Clip;

    fn mosaic(width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Mosaic {
        let mut data: Vec<u8> = (0..width * height).map(|i| luma(i % width, i / width)).collect();
        data.resize(Yuv420Clip::frame_bytes(width, height), 128);
        Mosaic::of(&Yuv420Clip::from_planes(width, height, 1, data).expect("one frame"), 1)
    }

    #[test]
    fn slopes_set_all_bits_or_none_and_a_mirror_turns_them_round() {
        let rising = mosaic(288, 160, |x, _| (x / 2) as u8);
        assert_eq!(hash(&rising, 0), u64::MAX);
        assert_eq!(hash(&rising.mirrored(), 0), 0);
        assert_eq!(hash(&mosaic(288, 160, |_, _| 90), 0), 0);
    }

    #[test]
    fn brightness_contrast_and_noise_leave_the_hash_and_another_picture_does_not() {
        let picture = |x: usize, y: usize| {
            60.0 + 50.0 * ((x as f64 / 37.0).sin() + (y as f64 / 23.0 + x as f64 / 90.0).cos())
        };
        let of = |gain: f64, offset: f64, grain: u8| {
            mosaic(288, 160, move |x, y| {
                let noise = (x * 31 + y * 17) % 7 * usize::from(grain);
                (picture(x, y) * gain + offset) as u8 + noise as u8
            })
        };
        let plain = hash(&of(1.0, 0.0, 0), 0);
        for (gain, offset, grain) in [(1.0, 30.0, 0), (0.6, 10.0, 0), (1.0, 0.0, 2)] {
            assert!(apart(plain, hash(&of(gain, offset, grain), 0)) <= 3, "{gain} {offset} {grain}");
        }
        let other = mosaic(288, 160, |x, y| (100.0 + 80.0 * ((x + y) as f64 / 29.0).sin()) as u8);
        assert!(apart(plain, hash(&other, 0)) >= 16);
    }

    #[test]
    fn pictures_smaller_than_the_grid_have_a_hash_too() {
        for (width, height) in [(2, 2), (16, 16), (50, 38), (34, 200)] {
            let mosaic = mosaic(width, height, |x, y| (x * 5 + y * 3) as u8);
            assert_eq!(track(&mosaic).len(), 1);
        }
    }
}
