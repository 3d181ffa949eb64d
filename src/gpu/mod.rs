//! Scoring devices behind one trait: the CPU twins here, wgpu adapters beside them.

pub mod cpu;
pub mod port;
