//! Leoma's validator: whole tournament rounds from finalized blocks to weights read back from chain.
//!
//! `domain` and `quality` are pure (package `leoma-core`); the adapters (`chain`, `miners`, `corpus`,
//! `decode`, `store`, and `gpu` and `embed` in packages of their own) do I/O; `actors` route typed
//! messages between them; `cli` and `web` are the surfaces. `docs/architecture.md` is the map.

#![warn(missing_docs)]

pub use leoma_core::{domain, quality};
pub use leoma_embed as embed;
pub use leoma_gpu as gpu;

pub mod actors;
pub mod bundle;
pub mod chain;
pub mod cli;
pub mod config;
pub mod corpus;
pub mod decode;
pub mod encode;
pub mod evidence;
pub mod fuzz;
pub mod miners;
pub mod runtime;
pub mod sim;
pub mod storage;
pub mod store;
pub mod telemetry;
pub mod web;
