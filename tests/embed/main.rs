//! The embedding models with their real weights: parity with PyTorch, noise, and one digest everywhere.
//!
//! Weights and photos come from `scripts/fetch-assets.sh`. Where they are absent a test says so and passes;
//! with `LEOMA_REQUIRE_ASSETS=1`, as in CI, it fails.

mod clip;
mod determinism;
mod dino;
mod judged;
mod lane;
mod lesser_processor;
mod noise;
mod parity;
mod reader;
mod reordered;
mod reversed;
mod support;
