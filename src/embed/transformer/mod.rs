//! Transformers, written once for CLIP's towers ([`crate::clip`]) and for DINOv2 ([`crate::dino`]).
//!
//! As with the convolutional networks, a tower is data ([`parts`]) that one function runs ([`tower`]) by two executors: burn
//! tensors ([`tensors`]) and plain loops with one order of sums ([`canonical`]).

pub mod canonical;
pub(crate) mod checkpoint;
pub mod parts;
pub mod tensors;
pub mod tower;
