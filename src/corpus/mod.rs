//! Source clips: manifest, one-shot selection, resampling, prompt.
//!
//! A round's clip is a pure function of the block hash, the manifest and the set of keys published
//! before: [`window`] walks the sorted keys and draws a window by integers only, the decode worker
//! cuts it out and scales it by integers only, and [`png`] writes the first frame byte for byte the
//! same everywhere. So every validator, and everyone later, gets the same planes and the same PNG.

pub mod audit;
pub mod build;
pub mod draw;
pub mod judging;
pub mod library;
pub mod location;
pub mod manifest;
pub mod png;
pub mod publish;
pub mod published;
pub mod shelf;
pub mod timeline;
pub mod vision;
pub mod window;

pub use library::{Candidate, Candidates, Corpus, CorpusError, CorpusOptions, PreparedClip, Usability};
pub use manifest::{ClipEntry, Manifest, ManifestError};
