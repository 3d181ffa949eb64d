//! PURE integer twins of the kernels and the scoring rules: no tokio, actix, wgpu or ffmpeg.

pub mod active;
pub mod blockiness;
pub mod border;
pub mod canonical;
pub mod color;
pub mod color_distance;
pub mod detail;
pub mod difference;
pub mod fixed;
pub mod flow;
pub mod frame;
pub mod gates;
pub mod instructions;
pub mod layers;
pub mod measure;
pub mod mosaic;
pub mod motion;
pub mod perceptual;
pub mod plane;
pub mod prompt;
pub mod resample;
pub mod selftest;
pub mod ssim;
pub mod temporal;
pub mod terms;
pub mod verdict;
