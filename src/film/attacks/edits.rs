//! Attacks that are made from a clip: another miner's, the cheat's own, or the real one.

use super::{Canvas, painted};
use crate::{
    assemble::{cropped, first, mirrored, picked},
    quality::frame::Yuv420Clip,
    resample::PlaneView,
};

/// Level of black luma and of no colour.
const BLACK: [u8; 3] = [16, 128, 128];
/// Frames until growing bars have grown.
const GROWTH: usize = 8;

/// The frame that a loop over a clip's first frames shows at a time.
fn looped(t: usize, frames: usize, variant: usize) -> usize {
    let swing = |length: usize| {
        let period = 2 * (length.max(2) - 1);
        (t % period).min(period - t % period)
    };
    match variant {
        0 => swing(frames / 5 + 1),
        1 => t % (frames / 4).max(2),
        2 => swing(frames * 3 / 8 + 1),
        _ => t % 8,
    }
}

pub(super) fn repeated(clip: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    picked(clip, frames, |t| looped(t, frames, variant))
}

/// A plane with every level changed; `change(plane, level)`.
fn toned(canvas: Canvas, source: &[u8], change: impl Fn(usize, f32) -> f32) -> Vec<u8> {
    let table: Vec<u8> =
        (0..=255u8).map(|v| (change(canvas.plane, f32::from(v)) + 0.5).clamp(0.0, 255.0) as u8).collect();
    source.iter().map(|v| table[usize::from(*v)]).collect()
}

pub(super) fn source_copy(real: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    match variant {
        0 => return first(real, frames),
        4 => return picked(real, frames, |t| t.saturating_sub(1)),
        5 => return mirrored(real, 1),
        _ => {}
    }
    painted(real, frames, |canvas| match variant {
        1 => toned(canvas, canvas.of(real, canvas.frame), |plane, v| {
            if plane == 0 { 126.0 + (v - 122.0) * 1.05 } else { 128.0 + (v - 128.0) * 1.08 }
        }),
        _ => {
            // Between two frames of the source, by their nearness.
            let time = canvas.frame as f32 * 0.9;
            let (whole, share) = (time as usize, time.fract());
            let (one, other) = (canvas.of(real, whole), canvas.of(real, whole + 1));
            let mixed =
                |(p, q): (&u8, &u8)| (f32::from(*p) * (1.0 - share) + f32::from(*q) * share + 0.5) as u8;
            one.iter().zip(other).map(mixed).collect()
        }
    })
}

pub(super) fn borrowed(other: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    painted(other, frames, |canvas| {
        let source = canvas.of(other, canvas.frame);
        match variant {
            0 => source.to_vec(),
            1 => toned(canvas, source, |plane, v| if plane == 0 { v + 2.0 } else { v }),
            _ => scaled(source, canvas, (canvas.width, canvas.height), 0.99),
        }
    })
}

/// A clip without the last `columns` columns.
pub(super) fn narrowed(clip: &Yuv420Clip, columns: usize) -> Yuv420Clip {
    cropped(clip, clip.width().saturating_sub(columns).max(2), clip.height())
}

/// A plane as another of `size`, of which the middle `share` is seen, between pixels by Catmull-Rom.
fn scaled(source: &[u8], canvas: Canvas, size: (usize, usize), share: f32) -> Vec<u8> {
    let plane = PlaneView { data: source, width: canvas.width };
    let place = |i: usize, side: usize, whole: usize| {
        let centre = (i as f32 + 0.5) / side as f32;
        (0.5 + (centre - 0.5) * share) * whole as f32 - 0.5
    };
    (0..size.0 * size.1)
        .map(|i| {
            plane.bicubic(place(i % size.0, size.0, canvas.width), place(i / size.0, size.1, canvas.height))
        })
        .collect()
}

/// Means of squares of `factor` pixels, those at the edge of what there is.
fn reduced(source: &[u8], canvas: Canvas, factor: usize) -> (Vec<u8>, usize, usize) {
    let (width, height) = (canvas.width.div_ceil(factor), canvas.height.div_ceil(factor));
    let mean = |i: usize| {
        let (x, y) = (i % width * factor, i / width * factor);
        let (right, bottom) = ((x + factor).min(canvas.width), (y + factor).min(canvas.height));
        let sum: u32 = (y..bottom)
            .flat_map(|y| &source[y * canvas.width + x..y * canvas.width + right])
            .map(|v| u32::from(*v))
            .sum();
        let count = ((right - x) * (bottom - y)) as u32;
        ((sum + count / 2) / count) as u8
    };
    ((0..width * height).map(mean).collect(), width, height)
}

pub(super) fn upscaled(clip: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    painted(clip, frames, |canvas| {
        let factor = if variant == 1 { 3 } else { 2 };
        let (small, width, height) = reduced(canvas.of(clip, canvas.frame), canvas, factor);
        let reduced = Canvas { width, height, ..canvas };
        if variant < 2 {
            return scaled(&small, reduced, (canvas.width, canvas.height), 1.0);
        }
        let near = |i: usize, step: isize, side: usize| i.saturating_add_signed(step).min(side - 1);
        (0..canvas.width * canvas.height)
            .map(|i| {
                let (x, y) = (i % canvas.width, i / canvas.width);
                let beside = |i: usize| if i.is_multiple_of(2) { -1 } else { 1 };
                let (column, row) = (near(x / 2, 0, width), near(y / 2, 0, height));
                let (across, along) = (near(x / 2, beside(x), width), near(y / 2, beside(y), height));
                let at = |x: usize, y: usize| u32::from(small[y * width + x]);
                let sum = 9 * at(column, row) + 3 * (at(across, row) + at(column, along)) + at(across, along);
                ((sum + 8) / 16) as u8
            })
            .collect()
    })
}

pub(super) fn letterbox(clip: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    painted(clip, frames, |canvas| {
        let mut plane = canvas.of(clip, canvas.frame).to_vec();
        let (width, height) = (canvas.width, canvas.height);
        let black = BLACK[canvas.plane];
        // A tenth of the side on either side, an even number of luma lines.
        let thickness = |side: usize| match variant {
            2 => side / 20 * 2 * canvas.frame.min(GROWTH) / GROWTH,
            _ => side / 20 * 2,
        };
        if variant == 1 {
            let bar = thickness(width);
            for row in plane.chunks_exact_mut(width) {
                row[..bar].fill(black);
                row[width - bar..].fill(black);
            }
        } else {
            let bar = thickness(height);
            plane[..bar * width].fill(black);
            plane[(height - bar) * width..].fill(black);
        }
        plane
    })
}
