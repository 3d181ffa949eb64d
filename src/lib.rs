//! Leoma's validator: whole tournament rounds from finalized blocks to weights read back from chain.
//!
//! `domain` and `quality` are pure; the adapters (`chain`, `miners`, `corpus`, `decode`, `gpu`,
//! `embed`, `store`) do I/O; `actors` route typed messages between them; `cli` and `web` are the
//! surfaces. `docs/architecture.md` is the map.

#![warn(missing_docs)]

pub mod actors;
pub mod chain;
pub mod cli;
pub mod config;
pub mod corpus;
pub mod decode;
pub mod domain;
pub mod embed;
pub mod gpu;
pub mod miners;
pub mod quality;
pub mod runtime;
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod web;
