//! How we know that scores mean something: graded damage, attacks, false rejects, ratings, calibration.
//!
//! Everything here judges the judge: clips of a corpus are damaged by known amounts (`leoma_film::degrade`), attacked
//! and left alone, and what the scorer says of them is counted. Sources are split, once, into those that constants may
//! be fitted to and those that figures are taken from ([`split`]). `docs/evidence.md` defines every figure.

pub mod anchor;
pub mod attacks;
pub mod calibration;
pub mod clean;
pub mod judge;
pub mod ladder;
pub mod limits;
pub mod plans;
pub mod ratings;
pub mod rewrite;
pub mod split;
pub mod stats;
pub mod whole;
pub mod windows;

use std::convert::Infallible;

use crate::{
    decode::DecodeError,
    encode::EncodeError,
    quality::{embeddings::ModelError, verdict::JudgeError},
};

/// Why evidence could not be taken; never a clip's fault.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The corpus could not be read.
    #[error(transparent)]
    Corpus(#[from] crate::corpus::CorpusError),
    /// A clip could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A file that we encoded ourselves could not be read back.
    #[error("reading back what was encoded: {0}")]
    Decode(#[from] DecodeError),
    /// An attack could not be made of what we have.
    #[error(transparent)]
    Attack(#[from] leoma_film::attacks::AttackError),
    /// Our own planes do not fit the rules, or networks gave no answer.
    #[error(transparent)]
    Judge(#[from] JudgeError<Infallible>),
    /// The networks that the rules name are not there.
    #[error(transparent)]
    Models(#[from] ModelError),
    /// Not enough sources serve.
    #[error(
        "{serving} of the corpus's sources can serve ({why}), {needed} are needed: add source files, see `leoma corpus verify`"
    )]
    FewSources {
        /// How many serve.
        serving: usize,
        /// How many are needed.
        needed: usize,
        /// What the others lack.
        why: String,
    },
    /// Rules that this cannot work with.
    #[error("rules: {0}")]
    Rules(#[from] crate::domain::rules::RulesError),
}
