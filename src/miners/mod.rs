//! Miners over HTTP: Hugging Face and Chutes lookups, and the `/generate` call.

pub mod port;
