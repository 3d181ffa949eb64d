//! Miners over HTTP: Hugging Face and Chutes lookups, and the `/generate` call.
//!
//! [`services::HttpServices`] is the client; [`faults`] is the one table that says who is to blame
//! for what; [`intake`] turns chain reads into the roster's candidates.

pub mod faults;
pub mod intake;
pub mod options;
pub mod port;
pub mod protocol;
pub mod services;

mod chutes;
mod huggingface;
mod wire;
