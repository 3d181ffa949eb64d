//! Scoring devices behind one trait: the CPU twins here, wgpu adapters beside them.

#![warn(missing_docs)]

use leoma_core::{domain, quality};

pub mod cpu;
pub mod port;
