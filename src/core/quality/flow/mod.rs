//! Dense optical flow between two luma planes by inverse search (after Kroeger et al., "Fast Optical Flow using
//! Dense Inverse Search", 2016), in integers.
//!
//! Coarse to fine over a 2x2 box pyramid; at every level 8x8 patches every four pixels are searched from the
//! coarser field, improved from their neighbours' vectors and spread over the pixels. Unlike the original,
//! neighbours' vectors are taken from the array of the stage before, never from one that is being written, and
//! there is no variational step. `docs/flow.md` has the stages with layouts and units, and what it achieves.
//!
//! Arithmetic is u32 / i32 throughout, for 8-bit input proven beside the lines not to overflow, with right shifts
//! that round down and divisions that round towards zero unless said otherwise: a WGSL sibling agrees bit for bit.

pub mod consistency;
mod densify;
pub mod patch;
pub mod raster;
pub mod search;
pub mod stages;

pub use consistency::Fate;
pub use raster::{Field, Luma, Pyramid};

/// Units per pixel: vectors are in 1/32 pixel of their level.
pub const UNIT: i32 = 32;
/// Largest component of a vector, in units: 511 pixels, below 2^14.
pub const MAX_COMPONENT: i32 = 511 * UNIT;
/// Gauss-Newton steps of stage `search` at the levels below the base.
pub const SEARCH_STEPS: u32 = 4;
/// Gauss-Newton steps of stage `improve`, which the base level does without.
pub const IMPROVE_STEPS: u32 = 2;
/// Gauss-Newton steps of stage `search` at the base level.
pub const BASE_STEPS: u32 = 2;

/// Flow from `first` to `second` at the size of their base planes.
///
/// # Panics
/// When the two differ in size: both are frames of one clip.
pub fn flow(first: &Pyramid, second: &Pyramid) -> Field {
    stages::run(first, second, |_, _| ())
}

/// Flow between two frames in both directions, and where the two agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowPair {
    /// From the first frame to the second.
    pub forward: Field,
    /// From the second frame to the first.
    pub backward: Field,
    /// [`Fate`] of every pixel of the first frame.
    pub forward_fates: Vec<u8>,
    /// [`Fate`] of every pixel of the second frame.
    pub backward_fates: Vec<u8>,
}

impl FlowPair {
    /// Flow between two frames of one size.
    ///
    /// # Panics
    /// When the two differ in size.
    pub fn of(first: &Pyramid, second: &Pyramid) -> Self {
        let (forward, backward) = (flow(first, second), flow(second, first));
        let forward_fates = consistency::fates(&forward, &backward);
        let backward_fates = consistency::fates(&backward, &forward);
        Self { forward, backward, forward_fates, backward_fates }
    }
}
