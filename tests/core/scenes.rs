//! Drawn clips of 384x240: a textured picture that lives, and the cheats that are made from its first frame.

use leoma_core::{domain::rules::Rules, quality::frame::Yuv420Clip};

pub const WIDTH: usize = 384;
pub const HEIGHT: usize = 240;
pub const FRAMES: usize = 17;

/// Embedded rules for clips of this size.
pub fn rules() -> Rules {
    let mut rules = Rules::embedded().without_models();
    rules.request.width = WIDTH as u32;
    rules.request.height = HEIGHT as u32;
    rules.request.frames = FRAMES as u32;
    rules
}

/// 32-bit multiply-xorshift of two coordinates and a seed.
pub fn mix(x: i64, y: i64, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77) ^ seed;
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// Two octaves of value noise at a real position, 16..=235.
fn texture(x: f64, y: f64, seed: u32) -> f64 {
    let octave = |scale: f64, salt: u32| {
        let (x, y) = (x / scale + 1_000.0, y / scale + 1_000.0);
        let (fx, fy) = (x.fract(), y.fract());
        let at = |dx: i64, dy: i64| f64::from(mix(x as i64 + dx, y as i64 + dy, seed ^ salt) >> 24);
        let upper = at(0, 0) * (1.0 - fx) + at(1, 0) * fx;
        let lower = at(0, 1) * (1.0 - fx) + at(1, 1) * fx;
        upper * (1.0 - fy) + lower * fy
    };
    16.0 + (octave(11.0, 1) * 0.65 + octave(4.0, 2) * 0.35) * 219.0 / 255.0
}

/// Draws a clip: `source(x, y, t)` says which place of the picture a pixel shows.
pub fn draw(seed: u32, frames: usize, source: impl Fn(f64, f64, f64) -> (f64, f64)) -> Yuv420Clip {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(WIDTH, HEIGHT) * frames);
    for t in 0..frames {
        let mut plane = |step: usize, salt: u32, low: f64, gain: f64| {
            for y in (0..HEIGHT).step_by(step) {
                for x in (0..WIDTH).step_by(step) {
                    let (sx, sy) = source(x as f64, y as f64, t as f64);
                    data.push((low + gain * texture(sx, sy, seed ^ salt)).round().clamp(0.0, 255.0) as u8);
                }
            }
        };
        plane(1, 0, 0.0, 1.0);
        plane(2, 77, 100.0, 0.2);
        plane(2, 99, 100.0, 0.2);
    }
    Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data).expect("drawn to size")
}

/// A living scene: waves of motion that no affine layers explain; `amount` scales it, 1 is the real clip.
pub fn living(seed: u32, amount: f64) -> Yuv420Clip {
    draw(seed, FRAMES, |x, y, t| {
        let grow = amount * (t / 3.0).min(1.0);
        let dx = 5.0 * grow * (x / 17.0 + t * 0.35).sin() * (y / 23.0 + 0.4).cos();
        let dy = 5.0 * grow * (y / 15.0 - t * 0.3).sin() * (x / 21.0 + t * 0.1).cos();
        (x + dx, y + dy)
    })
}

/// One frame of a clip as a clip.
pub fn frame(clip: &Yuv420Clip, index: usize) -> Yuv420Clip {
    frames(clip, [index])
}

/// Frames of a clip in any order.
pub fn frames(clip: &Yuv420Clip, order: impl IntoIterator<Item = usize>) -> Yuv420Clip {
    let size = Yuv420Clip::frame_bytes(clip.width(), clip.height());
    let parts: Vec<&[u8]> = order.into_iter().map(|i| &clip.as_bytes()[i * size..(i + 1) * size]).collect();
    Yuv420Clip::from_planes(clip.width(), clip.height(), parts.len(), parts.concat()).expect("whole frames")
}

/// Changes every byte of every frame: `change(value, index in the clip)`.
pub fn each_byte(clip: &Yuv420Clip, change: impl Fn(u8, usize) -> u8) -> Yuv420Clip {
    let data = clip.as_bytes().iter().enumerate().map(|(i, &v)| change(v, i)).collect();
    Yuv420Clip::from_planes(clip.width(), clip.height(), clip.len(), data).expect("same size")
}

/// Adds uniform noise of at most `amount` levels, new in every frame.
pub fn noisy(clip: &Yuv420Clip, amount: u32) -> Yuv420Clip {
    each_byte(clip, |v, i| {
        let noise = (mix(i as i64, 5, 3) % (2 * amount + 1)) as i32 - amount as i32;
        (i32::from(v) + noise).clamp(0, 255) as u8
    })
}

/// Changes every luma plane: `change(plane, frame)`.
pub fn each_luma(clip: &Yuv420Clip, change: impl Fn(&[u8], usize) -> Vec<u8>) -> Yuv420Clip {
    let mut data = Vec::with_capacity(clip.as_bytes().len());
    for index in 0..clip.len() {
        let view = clip.frame(index);
        data.extend(change(view.y, index));
        data.extend_from_slice(view.u);
        data.extend_from_slice(view.v);
    }
    Yuv420Clip::from_planes(clip.width(), clip.height(), clip.len(), data).expect("same size")
}

/// Box blur of luma with the given radius.
pub fn blurred(clip: &Yuv420Clip, radius: i64) -> Yuv420Clip {
    let (width, height) = (clip.width() as i64, clip.height() as i64);
    let pass = |plane: &[u8], dx: i64, dy: i64| -> Vec<u8> {
        (0..width * height)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                let sum: i64 = (-radius..=radius)
                    .map(|k| {
                        let (x, y) = ((x + k * dx).clamp(0, width - 1), (y + k * dy).clamp(0, height - 1));
                        i64::from(plane[(y * width + x) as usize])
                    })
                    .sum();
                (sum / (2 * radius + 1)) as u8
            })
            .collect()
    };
    each_luma(clip, |plane, _| pass(&pass(plane, 1, 0), 0, 1))
}

/// Every 8x8 block of luma takes a part of the way to its mean, `strength` in 0..=8 eighths.
pub fn blocky(clip: &Yuv420Clip, strength: u32) -> Yuv420Clip {
    let (width, height) = (clip.width(), clip.height());
    each_luma(clip, |plane, _| {
        let mut out = plane.to_vec();
        for by in (0..height).step_by(8) {
            for bx in (0..width).step_by(8) {
                let cells = || (0..64).map(|k| (by + k / 8) * width + bx + k % 8);
                let mean = cells().map(|i| u32::from(plane[i])).sum::<u32>() / 64;
                cells().for_each(|i| {
                    out[i] = ((u32::from(plane[i]) * (8 - strength) + mean * strength) / 8) as u8
                });
            }
        }
        out
    })
}

/// The still of `seed` cut into discs and a ground that slide over each other.
pub fn parallax(seed: u32, discs: usize) -> Yuv420Clip {
    draw(seed, FRAMES, |x, y, t| {
        let speeds = [(-1.1, 0.3), (1.4, -0.4)];
        let centres = [(115.0, 120.0), (275.0, 125.0)];
        for ((sx, sy), (cx, cy)) in speeds.into_iter().zip(centres).take(discs) {
            let (px, py) = (x + sx * t, y + sy * t);
            if (px - cx) * (px - cx) + (py - cy) * (py - cy) < 72.0 * 72.0 {
                return (px, py);
            }
        }
        (x + 0.4 * t, y)
    })
}
