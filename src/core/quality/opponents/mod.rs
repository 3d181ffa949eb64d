//! The cheats that every clip must beat, made from the given first frame of each task.
//!
//! An opponent is integer frames: never encoded (encoders differ), the same bytes on every machine. It is measured by the
//! same code as a miner's clip, judged without gates and without the motion multiplier ([`standing`]), and belongs to the
//! task: measured once, whatever the number of miners ([`PreparedTask`]).

pub mod film;
pub mod sampler;
pub mod standing;
pub mod task;

pub use film::film;
pub use standing::{Standing, compare, standing};
pub use task::{Known, Opponents, PreparedTask, TaskInput};
