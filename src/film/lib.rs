//! Pictures that we make: drawn scenes, and stills moved by a real clip's motion.
//!
//! For the demo and for tests only; nothing in here decides a verdict.

#![warn(missing_docs)]

use leoma_core::{
    domain::score,
    quality::{self, opponents},
};

pub mod affine;
pub mod assemble;
pub mod attacks;
pub mod degrade;
pub mod flow;
pub mod motion;
pub mod resample;
pub mod scenes;
pub mod testing;
pub mod texture;
pub mod transfer;
