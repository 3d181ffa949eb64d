//! Results as integers that every machine agrees on.

use crate::error::EmbedError;

/// Steps of a [`Quantised`] value in one unit.
pub const STEPS: f64 = 1024.0;

/// Largest magnitude: far beyond any distance or cosine.
const LIMIT: i32 = 1 << 20;

/// A distance or cosine in 1/1024, rounded to nearest, halves up.
///
/// Thresholds (gates, `bad` and `good` of a term) are compared with these integers, never with raw values:
/// the only boundaries are those of rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantised(i32);

impl Quantised {
    /// Rounds a finite raw value; what is not a number reads as zero.
    pub fn nearest(raw: f64) -> Self {
        // `as` saturates and reads NaN as 0.
        Self(((raw * STEPS + 0.5).floor() as i32).clamp(-LIMIT, LIMIT))
    }

    /// The value in 1/1024.
    pub fn get(self) -> i32 {
        self.0
    }
}

/// How far a device's raw value of a quantity may lie from the canonical path's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseFloor {
    /// The quantity, for messages.
    pub what: &'static str,
    /// Part of it that grows with the value.
    pub relative: f64,
    /// Part that does not.
    pub absolute: f64,
}

/// The perceptual distance (measured: `tests/embed/noise.rs`, `docs/models.md`).
pub const DISTANCE_NOISE: NoiseFloor =
    NoiseFloor { what: "the perceptual distance", relative: 5e-5, absolute: 5e-6 };

/// Cosines of embeddings (measured likewise).
pub const COSINE_NOISE: NoiseFloor =
    NoiseFloor { what: "the cosine of two embeddings", relative: 0.0, absolute: 5e-5 };

/// Cosines of DINOv2's vectors: less than [`COSINE_NOISE`], because its canonical path is slow (measured likewise).
pub const LIKENESS_NOISE: NoiseFloor =
    NoiseFloor { what: "the cosine of two vectors of DINOv2", relative: 0.0, absolute: 2e-5 };

/// Cosines of a picture and a text: a tenth of [`COSINE_NOISE`], because one clip asks for thousands and the canonical
/// towers are slow (measured likewise).
pub const PROMPT_NOISE: NoiseFloor =
    NoiseFloor { what: "the cosine of a picture and a text", relative: 0.0, absolute: 5e-6 };

impl NoiseFloor {
    /// The floor around a raw value.
    pub fn around(&self, raw: f64) -> f64 {
        self.absolute + self.relative * raw.abs()
    }

    /// Whether no value within the floor of `raw` rounds to another integer.
    pub fn settles(&self, raw: f64) -> bool {
        let floor = self.around(raw);
        raw.is_finite() && Quantised::nearest(raw - floor) == Quantised::nearest(raw + floor)
    }

    /// Whether two paths agree on a value.
    pub fn agree(&self, raw: f64, canonical: f64) -> bool {
        (raw - canonical).abs() <= self.around(canonical)
    }
}

/// How a value was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The device's own value, far from every boundary.
    ByDevice(Quantised),
    /// The canonical path's, because the device's lay within the noise floor of a boundary.
    ByCanonical {
        /// The value.
        value: Quantised,
        /// How far the two paths lay apart, in 1/1000 of the floor.
        noise_permille: u16,
    },
}

impl Settled {
    /// The value.
    pub fn value(self) -> Quantised {
        match self {
            Self::ByDevice(value) | Self::ByCanonical { value, .. } => value,
        }
    }
}

/// Rounds a device's raw value, by the canonical path where its noise could matter.
///
/// # Errors
/// When the two paths lie further apart than the floor: the device is not fit, whatever the integer says.
pub fn settle(
    device: &str,
    noise: &NoiseFloor,
    raw: f64,
    canonical: impl FnOnce() -> f64,
) -> Result<Settled, EmbedError> {
    if noise.settles(raw) {
        return Ok(Settled::ByDevice(Quantised::nearest(raw)));
    }
    let exact = canonical();
    check(device, noise, raw, exact)?;
    // At most 1000, as `check` found.
    let noise_permille = ((raw - exact).abs() / noise.around(exact) * 1000.0) as u16;
    Ok(Settled::ByCanonical { value: Quantised::nearest(exact), noise_permille })
}

/// Refuses a device whose value lies further from the canonical one than the floor.
///
/// # Errors
/// When it does, or is not a number.
pub fn check(device: &str, noise: &NoiseFloor, raw: f64, canonical: f64) -> Result<(), EmbedError> {
    if raw.is_finite() && noise.agree(raw, canonical) {
        return Ok(());
    }
    Err(EmbedError::Disagrees {
        device: device.into(),
        what: noise.what,
        got: raw.to_string(),
        expected: canonical.to_string(),
        allowed: noise.around(canonical).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOISE: NoiseFloor = NoiseFloor { what: "a test", relative: 0.0, absolute: 1e-5 };

    #[test]
    fn halves_round_up_and_what_is_no_number_is_zero() {
        assert_eq!(Quantised::nearest(0.5 / STEPS).get(), 1);
        assert_eq!(Quantised::nearest(-0.5 / STEPS).get(), 0);
        assert_eq!(Quantised::nearest(1.0).get(), 1024);
        assert_eq!(Quantised::nearest(f64::NAN).get(), 0);
        assert_eq!(Quantised::nearest(f64::INFINITY).get(), LIMIT);
    }

    #[test]
    fn only_values_near_a_boundary_ask_the_canonical_path() {
        let boundary = 300.5 / STEPS;
        let far = settle("d", &NOISE, boundary + 2e-5, || unreachable!("far from the boundary"));
        assert_eq!(far, Ok(Settled::ByDevice(Quantised(301))));
        let above = settle("d", &NOISE, boundary + 8.99e-6, || boundary - 1.05e-7);
        assert_eq!(above, Ok(Settled::ByCanonical { value: Quantised(300), noise_permille: 909 }));
        let below = settle("d", &NOISE, boundary - 9e-6, || boundary);
        assert_eq!(below.map(Settled::value), Ok(Quantised(301)));
    }

    #[test]
    fn a_device_beyond_its_floor_is_refused() {
        let boundary = 300.5 / STEPS;
        assert!(matches!(
            settle("d", &NOISE, boundary, || boundary + 2e-5),
            Err(EmbedError::Disagrees { .. })
        ));
        assert!(matches!(settle("d", &NOISE, f64::NAN, || 0.1), Err(EmbedError::Disagrees { .. })));
    }

    proptest! {
        /// The rule of digests: two devices within the floor of one canonical value report one integer.
        #[test]
        fn devices_within_the_floor_report_the_canonical_integer(
            step in -1100i32..3000, offset in -1.0f64..1.0, one in -1.0f64..1.0, other in -1.0f64..1.0,
        ) {
            // Near and at a boundary, where it matters.
            let canonical = (f64::from(step) + 0.5) / STEPS + offset * 3e-5;
            let expected = Quantised::nearest(canonical);
            for error in [one, other] {
                let raw = canonical + error * 0.999e-5;
                prop_assert_eq!(settle("d", &NOISE, raw, || canonical).unwrap().value(), expected);
            }
        }
    }
}
