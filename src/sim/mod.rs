//! The simulation beside the validator: service stand-ins and miners. Demo only.
//!
//! Nothing in here is evidence about real models: the "honest" miners move the pixels of the given
//! frame by the flow of the real clip, which they are handed through a door that no real miner has
//! (`sim::door`). They exist so that a whole round can run without a GPU, keys or accounts.

pub mod door;
pub mod makers;
pub mod process;
pub mod report;
pub mod roster;
pub mod services;
pub mod studio;
pub mod table;

pub use crate::encode;
