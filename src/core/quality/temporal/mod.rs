//! Temporal measures that rest on dense flow: how well a frame is found in the next, flicker along the motion, jerk,
//! motion amount, cuts.
//!
//! Per-pixel work is integer kernels over 16x16 blocks (`warp`) and one flow sample in 64 pixels (`affine`); what is
//! done with their sums (`measures`, `terms`) runs on the host. `docs/flow.md` describes kernels and terms.

pub mod affine;
pub mod measures;
pub mod structure;
pub mod terms;
pub mod warp;

pub use measures::FlowMeasures;
