//! The simulation beside the validator: service stand-ins and miners. Demo only.
//!
//! Nothing in here is evidence about real models: the "honest" miners move the pixels of the given
//! frame by the flow of the real clip, which they are handed through a door that no real miner has
//! (`sim::door`). They exist so that a whole round can run without a GPU, keys or accounts.

pub mod affine;
pub mod cheats;
pub mod door;
pub mod encode;
pub mod flow;
pub mod makers;
pub mod motion;
pub mod process;
pub mod report;
pub mod resample;
pub mod roster;
pub mod services;
pub mod studio;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod transfer;
