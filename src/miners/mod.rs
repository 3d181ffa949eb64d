//! Miners over HTTP: Hugging Face and Chutes lookups, and the `/generate` call.
//!
//! [`services::HttpServices`] is the client; [`faults`] is the one table that says who is to blame
//! for what, [`evidence`] says when it is nobody's among the miners; [`intake`] turns chain reads into the roster's
//! candidates; [`kinship`] finds models that are copies of others; [`validity`] remembers who was valid since when.

pub mod blacklist;
pub mod cache;
pub mod evidence;
pub mod faults;
pub mod guard;
pub mod intake;
pub mod kinship;
pub mod options;
pub mod port;
pub mod protocol;
pub mod retry;
pub mod services;
pub mod validity;
pub mod weights;

mod chutes;
pub(crate) mod doors;
mod files;
mod host;
mod huggingface;
mod wire;
