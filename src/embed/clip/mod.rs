//! CLIP ViT-B/32 (Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021):
//! how well frames fit a prompt.
//!
//! Two towers of transformer blocks ([`crate::transformer`]) end in vectors of one space; the cosine of an image's and a
//! text's vector says how well they fit. Names of parameters are those of `openai/clip-vit-base-patch32` in the
//! `transformers` library.

pub(crate) mod lane;
pub mod model;
pub mod picture;
pub mod task;
pub mod tokens;
pub mod tower;

pub use model::{Clip, ClipShape, load};
