//! Untrusted video files: decoded by a child process of this binary.
//!
//! ```text
//! Decoder (parent) ──spawn──▶ leoma decode-worker (child)
//!    request: JSON header + the file's bytes  ──stdin──▶  sandbox, container checks, ffmpeg
//!    records: frames as raw planes, one ending ◀─stdout─  (stderr: kept bounded, for the log)
//! ```
//!
//! The file's bytes never meet a demuxer or decoder in the parent. The parent knows from its own
//! request how many bytes a reply may have and believes none of the child's sizes. Two jobs:
//! a *clip* (a miner's file, judged by the gates G1 and G10 to G13 of `docs/scoring.md`) and a
//! *source* (a file of our own corpus, scanned for its frame times or cut, cropped and scaled).
//!
//! Only `ffmpeg.rs` and `ffmpeg_log.rs` name ffmpeg.

mod client;
mod clip;
mod container;
mod ebml;
mod error;
mod ffmpeg;
mod ffmpeg_log;
mod isobmff;
mod policy;
mod protocol;
mod reply;
mod sandbox;
mod source;
mod timing;
mod worker;

pub use client::{DecodedClip, Decoder, DecoderOptions};
pub use error::{DecodeError, DecodeJob};
pub use protocol::{ClipFacts, Codec, ContainerKind, CropRect, ExtractRequest, ScanFrame, SourceScan};
pub use worker::serve;

/// Whether a file's outer structure is that of a container which is decoded; the first of a worker's checks, and
/// nothing of what follows.
pub(crate) fn container_is_sound(file: &[u8]) -> bool {
    container::identify(file).is_ok_and(|kind| container::inspect(kind, file).is_ok())
}
