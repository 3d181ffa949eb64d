//! Integer building blocks of the drawn scenes: hashing, value noise, waves, rotation, colour mixing.
//!
//! Lengths are in sixteenths of a pixel of the 832x480 canvas, angles in 1/1024 of a turn, time in
//! 1/24 s, weights in 1/256.

/// Red, green, blue, 0..=255.
pub type Rgb = [u8; 3];

/// A point on the canvas in sixteenths of a pixel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// To the right.
    pub x: i32,
    /// Down.
    pub y: i32,
}

impl Point {
    /// The point as seen from `origin`.
    pub fn from(self, origin: Point) -> Point {
        Point { x: self.x - origin.x, y: self.y - origin.y }
    }

    /// The point turned about the origin by an angle (1/1024 turn).
    pub fn turned(self, angle: i32) -> Point {
        let (sine, cosine) = (sine(angle), sine(angle + 256));
        Point { x: (self.x * cosine - self.y * sine) >> 8, y: (self.x * sine + self.y * cosine) >> 8 }
    }

    /// Squared distance to the origin.
    pub fn norm(self) -> i64 {
        i64::from(self.x) * i64::from(self.x) + i64::from(self.y) * i64::from(self.y)
    }

    /// Whether the point lies in the ellipse about the origin with these half axes.
    pub fn in_ellipse(self, half_width: i32, half_height: i32) -> bool {
        let (x, y) = (i64::from(self.x), i64::from(self.y));
        let (a, b) = (i64::from(half_width), i64::from(half_height));
        x * x * b * b + y * y * a * a <= a * a * b * b
    }
}

/// A hash of three integers (multiply and xor-shift, as in 32-bit finalisers).
pub fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    h ^= seed.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// Sine of an angle in 1/1024 turn, times 256: Bhaskara's rational approximation, error below 0.2 %.
pub fn sine(angle: i32) -> i32 {
    let half = angle & 511;
    let hump = half * (512 - half);
    let value = (i64::from(hump) * 4096 / (1_310_720 - 4 * i64::from(hump))) as i32;
    if angle & 512 == 0 { value } else { -value }
}

/// Smooth value noise 0..=255 with cells of `1 << bits` units.
pub fn noise(at: Point, bits: u32, seed: u32) -> i32 {
    let smooth = |value: i32| {
        let f = if bits >= 8 {
            (value & ((1 << bits) - 1)) >> (bits - 8)
        } else {
            (value & ((1 << bits) - 1)) << (8 - bits)
        };
        (f * f * (768 - 2 * f)) >> 16
    };
    let (cell_x, cell_y) = (at.x >> bits, at.y >> bits);
    let corner = |dx: i32, dy: i32| (hash(cell_x + dx, cell_y + dy, seed) & 255) as i32;
    let (fx, fy) = (smooth(at.x), smooth(at.y));
    let upper = corner(0, 0) * (256 - fx) + corner(1, 0) * fx;
    let lower = corner(0, 1) * (256 - fx) + corner(1, 1) * fx;
    (upper * (256 - fy) + lower * fy) >> 16
}

/// Three octaves of [`noise`] from cells of `1 << bits` units down, 0..=255.
pub fn fractal(at: Point, bits: u32, seed: u32) -> i32 {
    let octave = |less: u32| noise(at, bits.saturating_sub(less).max(1), seed + less);
    (octave(0) * 4 + octave(1) * 2 + octave(2)) / 7
}

/// `one` to `other` by a weight 0..=256 (clamped).
pub fn mix(one: Rgb, other: Rgb, weight: i32) -> Rgb {
    let weight = weight.clamp(0, 256);
    std::array::from_fn(|c| ((i32::from(one[c]) * (256 - weight) + i32::from(other[c]) * weight) >> 8) as u8)
}

/// A colour made lighter or darker by an amount in levels.
pub fn shade(colour: Rgb, levels: i32) -> Rgb {
    colour.map(|value| (i32::from(value) + levels).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_has_its_known_values_and_symmetry() {
        for (angle, value) in [(0, 0), (256, 256), (512, 0), (768, -256), (1024, 0)] {
            assert_eq!(sine(angle), value, "{angle}");
        }
        assert!(sine(128).abs_diff(181) <= 1 && sine(-128) == -sine(128));
    }

    #[test]
    fn noise_is_continuous_across_cells() {
        let at = |x| noise(Point { x, y: 77 }, 6, 5);
        assert!((0..2_000).all(|x| at(x).abs_diff(at(x + 1)) <= 8));
        assert!((0..2_000).map(at).max() > (0..2_000).map(at).min().map(|low| low + 100));
    }

    #[test]
    fn a_turn_keeps_the_distance() {
        let point = Point { x: 1_600, y: -400 };
        for angle in (0..1_024).step_by(37) {
            let ratio = point.turned(angle).norm() as f64 / point.norm() as f64;
            assert!((0.98..1.02).contains(&ratio), "{angle}: {ratio}");
        }
    }
}
