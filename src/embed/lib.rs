//! Embedding models (burn); filled by the embedding lane.

#![warn(missing_docs)]
