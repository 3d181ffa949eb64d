//! Attacks that are made from the still alone and are no opponents of `leoma_core`.

use super::{Canvas, painted};
use crate::{assemble::mirrored, quality::frame::Yuv420Clip, resample::PlaneView, texture};

/// Frames until a slow blur is complete.
const BLUR_RAMP: f32 = 24.0;
/// Side of a block that jumps, luma pixels.
const JUMPING: usize = 8;

/// One plane of the still, sampled where `source` says; `(x, y)` from and to in luma pixels.
fn moved(still: &Yuv420Clip, canvas: Canvas, source: impl Fn(f32, f32) -> (f32, f32)) -> Vec<u8> {
    let plane = PlaneView { data: canvas.of(still, 0), width: canvas.width };
    let step = canvas.step();
    let pixel = |i: usize| {
        let (x, y) = source((i % canvas.width) as f32 * step, (i / canvas.width) as f32 * step);
        plane.bicubic(x / step, y / step)
    };
    (0..canvas.width * canvas.height).map(pixel).collect()
}

/// Smoothly from 0 to 1.
fn eased(share: f32) -> f32 {
    let share = share.clamp(0.0, 1.0);
    share * share * (3.0 - 2.0 * share)
}

pub(super) fn pan(still: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    painted(still, frames, |canvas| {
        let t = canvas.frame as f32;
        let (dx, dy) = match variant {
            1 => (1.3 * t, -0.45 * t),
            _ => (60.0 * eased(t / frames as f32), 0.0),
        };
        moved(still, canvas, |x, y| (x + dx, y + dy))
    })
}

pub(super) fn zoom(still: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    let middle = (still.width() as f32 / 2.0, still.height() as f32 / 2.0);
    painted(still, frames, |canvas| {
        let t = canvas.frame as f32;
        let (scale, turn) = match variant {
            1 => (1.0 / (1.0 + 0.002 * t), 0.0008 * t),
            _ => (1.0 - 0.12 * (std::f32::consts::PI * t / frames as f32).sin(), 0.0),
        };
        let (sine, cosine) = (scale * turn.sin(), scale * turn.cos());
        moved(still, canvas, |x, y| {
            let (x, y) = (x - middle.0, y - middle.1);
            (middle.0 + cosine * x - sine * y, middle.1 + sine * x + cosine * y)
        })
    })
}

pub(super) fn blurred_freeze(still: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    painted(still, frames, |canvas| {
        let t = canvas.frame as f32;
        let scale = if variant == 2 { 1.0 / (1.0 + 0.002 * t) } else { 1.0 };
        let middle = (still.width() as f32 / 2.0, still.height() as f32 / 2.0);
        let mut plane = moved(still, canvas, |x, y| {
            (middle.0 + (x - middle.0) * scale, middle.1 + (y - middle.1) * scale)
        });
        // Passes of the 3x3 binomial mean, the last one in part.
        let passes = match variant {
            0 if canvas.frame == 0 => 0.0,
            0 => 4.0,
            _ => 6.0 * (t / BLUR_RAMP).min(1.0),
        };
        for pass in 0..passes.ceil() as usize {
            plane = PlaneView { data: &plane, width: canvas.width }.softened(passes - pass as f32);
        }
        plane
    })
}

/// A value -1..1 of two places and a time.
fn random(x: usize, y: usize, time: usize) -> f32 {
    (texture::hash(x as i32, y as i32, time as u32) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// [`random`] on a lattice of a spacing, smooth between.
fn smooth(x: f32, y: f32, spacing: f32, time: usize) -> f32 {
    let (x, y) = (x / spacing, y / spacing);
    let (column, row) = (x as usize, y as usize);
    let (fx, fy) = (eased(x - column as f32), eased(y - row as f32));
    let line = |row| random(column, row, time) * (1.0 - fx) + random(column + 1, row, time) * fx;
    line(row) * (1.0 - fy) + line(row + 1) * fy
}

pub(super) fn shimmer(still: &Yuv420Clip, frames: usize, variant: usize) -> Yuv420Clip {
    painted(still, frames, |canvas| {
        let t = canvas.frame;
        if t == 0 {
            return canvas.of(still, 0).to_vec();
        }
        let step = canvas.step();
        match variant {
            0 => {
                let value = |(i, value): (usize, &u8)| {
                    let (x, y) = ((i % canvas.width) as f32 * step, (i / canvas.width) as f32 * step);
                    let noise = 22.0 * smooth(x, y, 6.0, 3 * t + canvas.plane);
                    (f32::from(*value) + noise + 0.5).clamp(0.0, 255.0) as u8
                };
                canvas.of(still, 0).iter().enumerate().map(value).collect()
            }
            1 => moved(still, canvas, |x, y| {
                let (column, row) = (x as usize / JUMPING, y as usize / JUMPING);
                (x + 2.5 * random(column, row, 2 * t), y + 2.5 * random(column, row, 2 * t + 1))
            }),
            _ => moved(still, canvas, |x, y| {
                (x + 4.0 * smooth(x, y, 24.0, 2 * t), y + 4.0 * smooth(x, y, 24.0, 2 * t + 1))
            }),
        }
    })
}

/// The still faded to its mirror image at half of the time, and back.
pub(super) fn faded_and_back(still: &Yuv420Clip, frames: usize) -> Yuv420Clip {
    let other = mirrored(still, 0);
    painted(still, frames, |canvas| {
        let share = canvas.frame as f32 / (frames.max(2) - 1) as f32;
        let weight = (std::f32::consts::PI * share).sin();
        let mixed = |(one, other): (&u8, &u8)| {
            (f32::from(*one) * (1.0 - weight) + f32::from(*other) * weight + 0.5).clamp(0.0, 255.0) as u8
        };
        canvas.of(still, 0).iter().zip(canvas.of(&other, 0)).map(mixed).collect()
    })
}
