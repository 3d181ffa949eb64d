//! G9: writing that is laid over the clip.

use crate::{
    domain::{score::GateId, scoring::OverlayGate},
    quality::{
        fixed::div_round,
        layers::Affine,
        measure::ClipMeasures,
        strokes::{StrokeWindow, WINDOW_STEP},
    },
};

use super::{GateFinding, finding};

/// Way of the picture since the first frame, in 1/8 pixel, up to which its edges are known where they stand: 4 pixels, the
/// reach of the kernel.
const NEAR: i64 = 32;
/// Way within a window along either side, in 1/8 pixel, from which edges of the scene do not stand: a pixel.
const MOVES: i64 = 8;
/// Fractional bits of affine coefficients.
const COEFFICIENT_BITS: u32 = 16;

/// The windows in which standing new edges cannot be those of the scene that the camera brought there: it has not gone
/// anywhere, or it is on its way, or they are more than the scene had. Where it has come to rest elsewhere, every edge of
/// the scene is new and stands; where it goes straight along one side, edges along that side stand.
fn judged(clip: &ClipMeasures) -> impl Iterator<Item = (usize, &StrokeWindow)> {
    let mut way = vec![Affine::default()];
    for pair in &clip.motion {
        let last = way.last().copied().unwrap_or_default();
        let add = |a: [i64; 3], b: [i64; 3]| std::array::from_fn(|i| a[i] + b[i]);
        way.push(Affine { x: add(last.x, pair.global.x), y: add(last.y, pair.global.y) });
    }
    let corner = [clip.mosaic.columns(), clip.mosaic.rows()].map(|side| side as i64 - 1);
    clip.strokes.windows.iter().enumerate().filter_map(move |(index, window)| {
        let end = (index + 1) * WINDOW_STEP;
        let (there, before) = (way.get(end)?, way.get(end - WINDOW_STEP)?);
        let less = |a: [i64; 3], b: [i64; 3]| std::array::from_fn(|i| a[i] - b[i]);
        let within = Affine { x: less(there.x, before.x), y: less(there.y, before.y) };
        let known = ways(there, corner).iter().sum::<i64>() <= NEAR
            || ways(&within, corner).iter().all(|&way| way >= MOVES);
        (known || window.fresh > clip.strokes.first_edges).then_some((end, window))
    })
}

/// The window with most strokes among those that are judged, the first of equals, and the frame at which it ends.
fn densest(clip: &ClipMeasures) -> (usize, StrokeWindow) {
    let most = judged(clip).max_by_key(|(end, window)| (window.dense, std::cmp::Reverse(*end)));
    most.map_or((0, StrokeWindow::default()), |(end, window)| (end, *window))
}

/// Mean displacement of the four corners along each side, in 1/8 pixel. Coefficients are below 2^41 a pair (fits clamp
/// them), so that 1000 pairs and sides of 2^9 half blocks stay below 2^61.
fn ways(motion: &Affine, [right, lower]: [i64; 2]) -> [i64; 2] {
    let corners = [(-right, -lower), (right, -lower), (-right, lower), (right, lower)];
    [motion.x, motion.y].map(|c| {
        let length = |(x, y): (i64, i64)| ((c[0] + c[1] * x + c[2] * y) >> COEFFICIENT_BITS).abs();
        div_round(corners.into_iter().map(length).sum(), 4)
    })
}

/// G9: in one window of five frames far more sharp edges stand close together, where the first frame has none, than in any
/// window of the reference.
pub fn overlay(clip: &ClipMeasures, reference: Option<&ClipMeasures>, gate: &OverlayGate) -> GateFinding {
    let (end, worst) = densest(clip);
    let budget = reference.map_or(0, |r| densest(r).1.dense);
    let fired = worst.dense - budget >= gate.strokes;
    let numbers = [
        ("strokes", worst.dense),
        ("reference_strokes", budget),
        ("fresh", worst.fresh),
        ("frame", end as i64),
        ("windows", judged(clip).count() as i64),
    ];
    let reason = format!(
        "{} new edges stand close together at frame {end}, in the reference {budget} at most",
        worst.dense
    );
    finding(GateId::G9, numbers, fired, gate.mode, reason)
}
