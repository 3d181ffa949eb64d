//! DINOv2 ViT-S/14 (Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023): the embedder that
//! rules may name in place of MobileNetV2.
//!
//! A picture's vector is what becomes of the class token, after the last normalisation: `pooler_output` of `Dinov2Model` in
//! the `transformers` library, whose names the parameters of `facebook/dinov2-small` have. Blocks are those of
//! [`crate::transformer`].

pub mod model;
pub mod positions;

pub use model::{Dino, DinoShape, load, vectors};
