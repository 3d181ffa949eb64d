//! PURE integer twins of the kernels and the scoring rules: no tokio, actix, wgpu or ffmpeg.

pub mod color;
pub mod frame;
pub mod resample;
