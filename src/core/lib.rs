//! The pure part of the validator: what a round is, who is paid, and what a clip is worth.
//!
//! `domain` holds the rules of the tournament and the fold of its events; `quality` holds the
//! integer kernels, gates, terms and verdicts. Nothing here does I/O.

#![warn(missing_docs)]

pub mod domain;
pub mod quality;
