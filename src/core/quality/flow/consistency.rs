//! Stage `consistency`: where a vector and the way back from its end agree.

use super::{UNIT, raster::Field};

/// What became of a pixel of the frame that a field starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fate {
    /// The way back leads home: the pixel is seen in the other frame.
    Seen = 0,
    /// The way back leads elsewhere: the pixel is covered, or the vector is wrong.
    Hidden = 1,
    /// The vector leads out of the frame.
    Left = 2,
}

/// Squared distance from home that is always allowed: half a squared pixel.
const ALLOWED: i32 = UNIT * UNIT / 2;
/// Further from home, one part in so many of the squared lengths of both ways is allowed.
const SHARE: i32 = 100;
/// Distances from home are cut to this, in units, so that their squares sum to at most 2^27.
const FARTHEST: i32 = 1 << 13;

/// The fate of every pixel (values of [`Fate`], row by row) under `there`, judged by `back`.
///
/// With `f = there(p)`, `q = p + floor(f / 32 + 1/2)` and `b = back(q)` a pixel is seen when
/// `|f + b|^2 <= 512 + floor((|f|^2 + |b|^2) / 100)` (Sundaram, Brox and Keutzer, 2010). Squares of components
/// below 2^14 make at most 2^30.
///
/// # Panics
/// When the fields differ in size: both come from one pair of frames.
pub fn fates(there: &Field, back: &Field) -> Vec<u8> {
    assert_eq!((there.width, there.height), (back.width, back.height), "fields of one pair");
    let (width, height) = (there.width as i32, there.height as i32);
    let mut out = Vec::with_capacity(there.x.len());
    for y in 0..height {
        let start = y as usize * there.width;
        let line = there.x[start..][..there.width].iter().zip(&there.y[start..][..there.width]);
        for (x, (&fx, &fy)) in (0..width).zip(line) {
            let (fx, fy) = (i32::from(fx), i32::from(fy));
            let (qx, qy) = (x + ((fx + UNIT / 2) >> 5), y + ((fy + UNIT / 2) >> 5));
            out.push(if qx < 0 || qy < 0 || qx >= width || qy >= height {
                Fate::Left
            } else {
                let end = qy as usize * there.width + qx as usize;
                home((fx, fy), (i32::from(back.x[end]), i32::from(back.y[end])))
            } as u8);
        }
    }
    out
}

#[inline(always)]
fn home(f: (i32, i32), b: (i32, i32)) -> Fate {
    let off = |f: i32, b: i32| f.wrapping_add(b).clamp(-FARTHEST, FARTHEST);
    let square = |x: i32, y: i32| x.wrapping_mul(x).wrapping_add(y.wrapping_mul(y));
    let far = square(off(f.0, b.0), off(f.1, b.1));
    let lengths = square(f.0, f.1).wrapping_add(square(b.0, b.1));
    if far <= ALLOWED + lengths / SHARE { Fate::Seen } else { Fate::Hidden }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(x: i16, y: i16) -> Field {
        let mut field = Field::still(6, 3);
        field.x.fill(x);
        field.y.fill(y);
        field
    }

    #[test]
    fn the_way_back_decides_and_the_edge_is_told_apart() {
        let there = constant(64, 0);
        let row = |back: &Field| fates(&there, back)[..6].to_vec();
        assert_eq!(row(&constant(-64, 0)), [0, 0, 0, 0, 2, 2]);
        assert_eq!(row(&constant(-64 + 22, 0)), [0, 0, 0, 0, 2, 2], "within 0.7 of a pixel");
        assert_eq!(row(&constant(-64 + 25, 0)), [1, 1, 1, 1, 2, 2], "beyond it");
    }

    #[test]
    fn the_largest_vectors_do_not_overflow() {
        let mut there = Field::still(2_000, 1);
        there.x[..1_000].fill(super::super::MAX_COMPONENT as i16);
        there.x[1_000..].fill(-super::super::MAX_COMPONENT as i16);
        let found = fates(&there, &there);
        let at = |x: usize| found[x];
        // 511 pixels on, the way back leads further away, home, home, and further away.
        assert_eq!([at(0), at(600), at(1_400), at(1_999)], [1, 0, 0, 1]);
    }
}
