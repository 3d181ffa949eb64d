//! Sampling of 8-bit planes between pixels.

/// Reflects a coordinate into `0..=last`, mirrored at the border pixels.
pub fn reflect(value: f32, last: f32) -> f32 {
    if last <= 0.0 {
        return 0.0;
    }
    let folded = value.rem_euclid(2.0 * last);
    if folded > last { 2.0 * last - folded } else { folded }
}

/// Catmull-Rom weights at a fraction `0..1` between the two middle ones of four samples.
fn cubic(f: f32) -> [f32; 4] {
    let (f2, f3) = (f * f, f * f * f);
    [
        0.5 * (-f3 + 2.0 * f2 - f),
        0.5 * (3.0 * f3 - 5.0 * f2 + 2.0),
        0.5 * (-3.0 * f3 + 4.0 * f2 + f),
        0.5 * (f3 - f2),
    ]
}

/// One 8-bit plane of `width` columns.
#[derive(Clone, Copy)]
pub struct PlaneView<'a> {
    /// Values, row by row.
    pub data: &'a [u8],
    /// Columns.
    pub width: usize,
}

impl PlaneView<'_> {
    fn height(&self) -> usize {
        self.data.len() / self.width
    }

    /// Value at a position by Catmull-Rom (bicubic, a = -1/2), which keeps the grain that bilinear
    /// sampling would smear; exact at whole positions. Outside, the plane is mirrored.
    pub fn bicubic(&self, x: f32, y: f32) -> u8 {
        let (w, h) = (self.width, self.height());
        let x = reflect(x, w as f32 - 1.0);
        let y = reflect(y, h as f32 - 1.0);
        let (ix, iy) = (x as usize, y as usize);
        let (fx, fy) = (x - ix as f32, y - iy as f32);
        if fx == 0.0 && fy == 0.0 {
            return self.data[iy * w + ix];
        }
        let (wx, wy) = (cubic(fx), cubic(fy));
        let mut sum = 0.0;
        if ix >= 1 && ix + 2 < w && iy >= 1 && iy + 2 < h {
            // A whole row position needs one row of the four.
            for (j, weight) in wy.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                let row = &self.data[(iy + j - 1) * w + ix - 1..][..4];
                sum += weight
                    * (wx[0] * f32::from(row[0])
                        + wx[1] * f32::from(row[1])
                        + wx[2] * f32::from(row[2])
                        + wx[3] * f32::from(row[3]));
            }
        } else {
            for (j, weight) in wy.iter().enumerate() {
                let row = (iy + j).saturating_sub(1).min(h - 1) * w;
                for (i, across) in wx.iter().enumerate() {
                    sum +=
                        weight * across * f32::from(self.data[row + (ix + i).saturating_sub(1).min(w - 1)]);
                }
            }
        }
        (sum + 0.5).clamp(0.0, 255.0) as u8
    }

    /// Moves every pixel towards the 3x3 binomial mean around it; `amount` 0 leaves the plane as it is.
    pub fn softened(&self, amount: f32) -> Vec<u8> {
        let (w, h) = (self.width, self.height());
        let weight = (amount.clamp(0.0, 1.0) * 256.0).round() as i32;
        if weight == 0 {
            return self.data.to_vec();
        }
        let mut out = Vec::with_capacity(self.data.len());
        for y in 0..h {
            let rows = [y.saturating_sub(1), y, (y + 1).min(h - 1)].map(|y| &self.data[y * w..(y + 1) * w]);
            for x in 0..w {
                let (l, r) = (x.saturating_sub(1), (x + 1).min(w - 1));
                let across = |row: &[u8]| i32::from(row[l]) + 2 * i32::from(row[x]) + i32::from(row[r]);
                let mean16 = across(rows[0]) + 2 * across(rows[1]) + across(rows[2]);
                let here = i32::from(rows[1][x]);
                let moved = here * 4096 + weight * (mean16 - 16 * here);
                out.push(((moved + 2048) >> 12).clamp(0, 255) as u8);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_positions_are_exact_and_a_ramp_is_reproduced_between() {
        let data: Vec<u8> = (0..16 * 12).map(|k| (4 * (k % 16) + 8 * (k / 16)) as u8).collect();
        let plane = PlaneView { data: &data, width: 16 };
        assert_eq!(plane.bicubic(5.0, 7.0), data[7 * 16 + 5]);
        assert_eq!(plane.bicubic(5.5, 7.25), 4 * 5 + 2 + 8 * 7 + 2);
    }

    #[test]
    fn outside_is_mirrored() {
        assert_eq!(reflect(-2.0, 9.0), 2.0);
        assert_eq!(reflect(11.0, 9.0), 7.0);
        assert_eq!(reflect(21.0, 9.0), 3.0);
        let data: Vec<u8> = (0..10).collect();
        assert_eq!(PlaneView { data: &data, width: 10 }.bicubic(-3.0, 0.0), 3);
    }

    #[test]
    fn softening_keeps_flat_areas_and_lowers_peaks() {
        let mut data = vec![100u8; 25];
        data[12] = 200;
        let plane = PlaneView { data: &data, width: 5 };
        assert_eq!(plane.softened(0.0), data);
        let soft = plane.softened(1.0);
        assert_eq!((soft[12], soft[0], soft[11]), (125, 100, 113));
    }
}
