//! Exact synthetic images for the simulation's own tests.

use crate::quality::frame::Yuv420Clip;

/// A smooth texture that can be sampled at any position: a sum of plane waves, values 40..215.
pub struct Texture {
    waves: Vec<[f32; 4]>,
}

impl Texture {
    /// A texture that depends on the seed alone.
    pub fn new(seed: u32) -> Self {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let waves = (0..24)
            .map(|_| {
                let (length, angle) = (12.0 + 48.0 * random(), std::f32::consts::TAU * random());
                let k = std::f32::consts::TAU / length;
                [k * angle.cos(), k * angle.sin(), std::f32::consts::TAU * random(), 0.4 + 0.6 * random()]
            })
            .collect();
        Self { waves }
    }

    /// Grey value at a position.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let sum: f32 = self.waves.iter().map(|[kx, ky, phase, a]| a * (kx * x + ky * y + phase).sin()).sum();
        (127.5 + 16.0 * sum).clamp(40.0, 215.0)
    }
}

/// A clip whose luma at frame `t` and pixel `(x, y)` is `pixel(t, x, y)`, with chroma from a texture.
pub fn clip(
    (width, height, frames): (usize, usize, usize),
    pixel: impl Fn(usize, f32, f32) -> f32,
) -> Yuv420Clip {
    let mut data = Vec::with_capacity(Yuv420Clip::frame_bytes(width, height) * frames);
    let plane = |w: usize, h: usize, at: &dyn Fn(f32, f32) -> f32, data: &mut Vec<u8>| {
        for i in 0..w * h {
            data.push(at((i % w) as f32, (i / w) as f32).round().clamp(0.0, 255.0) as u8);
        }
    };
    for t in 0..frames {
        plane(width, height, &|x, y| pixel(t, x, y), &mut data);
        for sign in [1.0, -1.0] {
            let chroma =
                |x: f32, y: f32| 128.0 + sign * 0.2 * (pixel(t, 2.0 * x + 0.5, 2.0 * y + 0.5) - 128.0);
            plane(width / 2, height / 2, &chroma, &mut data);
        }
    }
    Yuv420Clip::from_planes(width, height, frames, data).expect("planes fit")
}

/// Peak signal-to-noise ratio of two lumas in decibels; infinite when equal.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / sum).log10()
}
