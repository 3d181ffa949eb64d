//! CLIP ViT-B/32 (Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021):
//! how well frames fit a prompt.
//!
//! Two towers of transformer blocks end in vectors of one space; the cosine of an image's and a text's vector says
//! how well they fit. As with the convolutional networks, the towers are written once ([`tower`]) and run by two
//! executors: burn tensors ([`tensors`]) and plain loops with one order of sums ([`canonical`]). Names of
//! parameters are those of `openai/clip-vit-base-patch32` in the `transformers` library.

pub mod canonical;
mod checkpoint;
pub(crate) mod lane;
pub mod model;
pub mod picture;
pub mod task;
pub mod tensors;
pub mod tokens;
pub mod tower;

pub use checkpoint::load;
pub use model::{Clip, ClipShape};
