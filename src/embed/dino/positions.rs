//! Positions of one grid of patches on another.

/// Keys' cubic with this parameter, as PyTorch resizes without antialiasing.
const A: f64 = -0.75;

/// What one output takes from four inputs in a row; those beyond an end are the end's.
struct Taps {
    from: [usize; 4],
    weights: [f64; 4],
}

/// Positions `[from * from, width]` of a square grid on one of `to * to`: bicubic, cell centres on cell centres, as
/// `torch.nn.functional.interpolate(mode="bicubic", align_corners=False, antialias=False)`, in f64 and rounded once. A grid
/// of the same side is not touched.
///
/// `Dinov2Model` of `transformers` does this; Meta's own code asks for a factor of `(to + 0.1) / from` instead, which moves
/// the centres a little.
pub fn interpolated(positions: &[f32], width: usize, from: usize, to: usize) -> Vec<f32> {
    if from == to {
        return positions.to_vec();
    }
    let taps: Vec<Taps> = (0..to).map(|at| taps(at, from, to)).collect();
    let mut out = Vec::with_capacity(to * to * width);
    for row in &taps {
        for column in &taps {
            out.extend((0..width).map(|channel| {
                let mut sum = 0.0;
                for (&y, high) in row.from.iter().zip(row.weights) {
                    let mut line = 0.0;
                    for (&x, wide) in column.from.iter().zip(column.weights) {
                        line += wide * f64::from(positions[(y * from + x) * width + channel]);
                    }
                    sum += high * line;
                }
                sum as f32
            }));
        }
    }
    out
}

fn taps(at: usize, from: usize, to: usize) -> Taps {
    let centre = (at as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let (first, rest) = (centre.floor(), centre - centre.floor());
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((x - 5.0) * x + 8.0) * x * A - 4.0 * A;
    Taps {
        // `as` holds negative numbers at zero.
        from: [-1.0, 0.0, 1.0, 2.0].map(|step| ((first + step) as usize).min(from - 1)),
        weights: [far(rest + 1.0), near(rest), near(1.0 - rest), far(2.0 - rest)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_positions_stay_flat_and_a_ramp_stays_a_symmetric_one() {
        assert!(interpolated(&[0.25; 49 * 2], 2, 7, 4).iter().all(|&value| value == 0.25));
        let ramp: Vec<f32> = (0..37 * 37).map(|at| (at % 37) as f32).collect();
        let resized = interpolated(&ramp, 1, 37, 16);
        for (left, right) in (0..8).zip((8..16).rev()) {
            assert!((resized[left] + resized[right] - 36.0).abs() < 1e-5, "{left}");
        }
        assert!(resized[..16].is_sorted() && resized[..16] == resized[240..]);
        assert_eq!(interpolated(&ramp, 1, 37, 37), ramp);
    }
}
