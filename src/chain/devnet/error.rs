//! What can go wrong in the development chain itself.

use std::{net::SocketAddr, path::PathBuf};

use jsonrpsee::core::RegisterMethodError;

/// Why the development chain could not start.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The address could not be bound.
    #[error(
        "development chain: cannot listen on {address}: {source}; choose another port (0 picks a free one)"
    )]
    Listen {
        /// Address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration contradicts itself.
    #[error("development chain: {field}: {problem}")]
    Config {
        /// Field of `DevnetConfig`.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The model does not fit the metadata, or the metadata was asked to change in a way it cannot.
    #[error("development chain: {0}")]
    Model(#[from] ModelError),
    /// A fork cannot replace so many blocks.
    #[error(
        "development chain: a fork of {depth} blocks: {unfinalized} blocks are not final, so 1 to {unfinalized} can be replaced (see finality_lag)"
    )]
    Reorg {
        /// Blocks asked for.
        depth: u64,
        /// Blocks that are not final.
        unfinalized: u64,
    },
    /// The state file cannot be used.
    #[error("development chain: state file {path}: {problem}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Two RPC methods share a name.
    #[error("development chain: registering RPC methods: {0}")]
    Methods(#[from] RegisterMethodError),
}

/// A name or value of the model that the vendored metadata does not know: a fault of the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The metadata bytes do not decode.
    #[error("the vendored metadata does not decode: {0}")]
    Metadata(String),
    /// A pallet, storage entry, event, error or runtime call is not in the metadata.
    #[error("{0} is not in the metadata of this runtime")]
    Missing(String),
    /// Another runtime has this spec version.
    #[error("spec version {0} is another runtime on this chain: choose a number that was not used")]
    SpecVersionTaken(u32),
    /// A value could not be encoded as the type that the metadata gives it.
    #[error("{what} cannot be encoded by the metadata: {detail}")]
    Encode {
        /// Pallet and item.
        what: String,
        /// What the encoder said.
        detail: String,
    },
    /// Stored bytes could not be decoded as the type that the metadata gives them.
    #[error("{what} cannot be decoded by the metadata: {detail}")]
    Decode {
        /// Pallet and item.
        what: String,
        /// What the decoder said.
        detail: String,
    },
}
