//! Scoring devices behind one trait: the CPU twins, and GPUs through wgpu.
//!
//! `port` is what the validator sees; `cpu` and `wgpu_scorer` are its devices, `choose` opens one. A GPU is one
//! `device::Generation` on one thread; `kernels` are the host sides of `shaders/`, `measure` puts them together.

#![warn(missing_docs)]

use leoma_core::{domain, quality};

pub mod adapters;
pub mod caps;
pub mod choose;
pub mod cpu;
pub mod device;
pub mod error;
mod flow_measure;
pub mod kernels;
pub mod measure;
mod pacer;
mod pool;
pub mod port;
mod prepared;
pub use prepared::judge_input;
pub mod selftest;
pub mod shader;
pub mod wgpu_scorer;
