//! Why the embedding lane could not answer. None of these is ever a miner's fault.

use std::path::PathBuf;

/// Errors of the embedding lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The file of weights is not there.
    #[error(
        "{path} is missing: run `leoma models fetch`, with its name if it is optional (`leoma models list`)"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file of weights could not be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file of weights is not the pinned one.
    #[error(
        "{path} has {bytes} bytes with sha256 {got}, not the pinned {expected}: run `leoma models fetch`"
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// Its digest.
        got: String,
        /// The digest in `config/models.toml`.
        expected: String,
    },
    /// A checkpoint does not hold exactly what the network needs.
    #[error("the checkpoint of {model} does not fit its network: {reason}")]
    Checkpoint {
        /// The model.
        model: &'static str,
        /// What is missing, left over or of another shape.
        reason: String,
    },
    /// `config/models.toml` is not valid or lacks a model.
    #[error("config/models.toml: {0}")]
    Manifest(String),
    /// The device could not be opened.
    #[error("the embedding device cannot be opened: {0}")]
    Device(String),
    /// The device computes something else than it must.
    #[error(
        "{device} is not fit for {what}: it says {got}, the canonical path {expected}, and they may differ by \
         {allowed} at most; score on another device (`cpu`)"
    )]
    Disagrees {
        /// The device.
        device: String,
        /// The quantity.
        what: &'static str,
        /// What the device computed.
        got: String,
        /// What it must compute.
        expected: String,
        /// Largest difference.
        allowed: String,
    },
    /// The canonical path does not give the committed bits on this machine.
    #[error(
        "the canonical path gives {got} for the known answer {expected} of {what} on this machine: it must not score"
    )]
    Canonical {
        /// The quantity.
        what: &'static str,
        /// What it computed.
        got: String,
        /// The committed answer.
        expected: String,
    },
    /// A frame that cannot be compared.
    #[error(
        "frames of {width}x{height} cannot be embedded: sides run from {least} to {most} pixels and both clips agree"
    )]
    Size {
        /// Width of the frame.
        width: usize,
        /// Height of the frame.
        height: usize,
        /// Smallest side.
        least: usize,
        /// Largest side.
        most: usize,
    },
    /// A frame that the clip does not have.
    #[error("frame {index} was asked of a clip of {frames} frames")]
    Frame {
        /// Its index.
        index: usize,
        /// Frames of the clip.
        frames: usize,
    },
    /// Too many frames were asked for at once.
    #[error("{asked} frames were asked for at once, {most} are the most")]
    TooMany {
        /// How many.
        asked: usize,
        /// The most.
        most: usize,
    },
    /// A prompt was asked about without a text model.
    #[error(
        "no text model is loaded: run `leoma models fetch clip-vit-base-patch32 clip-merges` and load both"
    )]
    NoTextModel,
    /// A text that the text model cannot take.
    #[error("a text of {tokens} tokens was given, 2 to {most} can be read: split the prompt")]
    Text {
        /// Its tokens.
        tokens: usize,
        /// The most.
        most: usize,
    },
    /// Nothing to compare: no frames or no texts.
    #[error("the cosines of a prompt make no table: {0}")]
    Table(String),
    /// The embedding thread failed while it worked on this request.
    #[error("the embedding thread failed: {0}")]
    Panicked(String),
    /// The embedding thread is gone.
    #[error("the embedding thread has stopped: {0}")]
    Stopped(String),
}

impl EmbedError {
    /// Whether the lane or its device failed, and not the request.
    pub(crate) fn is_of_the_device(&self) -> bool {
        matches!(self, Self::Device(_) | Self::Disagrees { .. } | Self::Panicked(_))
    }
}
